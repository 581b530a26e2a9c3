//! G1, eight points at once, in homogeneous coordinates: x = X/Z, y = Y/Z, and (0, 1, 0) is the identity.
//!
//! Formulas without exceptions: Renes, Costello and Batina, "Complete addition formulas for prime order elliptic
//! curves", Eurocrypt 2016, algorithms 7 and 9. They hold on the whole curve, since it has no point of order 2.

use std::array::from_fn;

use super::fp::{self, Fp, LANES, Limbs, mask, simd};
use crate::msm::{signed_halves, window_digits, windows};
use crate::scalar::{Scalar, X};

/// 3b, for y^2 = x^3 + b with b = 4.
const B3: i64 = 12;
const WINDOW: usize = 4;
const TABLE: usize = (1 << (WINDOW - 1)) + 1;

/// One point outside the vector registers.
#[derive(Clone, Copy, Debug)]
pub struct LimbsG1(pub [Limbs; 3]);

#[derive(Clone, Copy)]
pub struct G1 {
    pub x: Fp,
    pub y: Fp,
    pub z: Fp,
}

simd! {
    pub fn load(rows: [&LimbsG1; LANES]) -> G1 {
        G1 {
            x: fp::load(rows.map(|row| &row.0[0])),
            y: fp::load(rows.map(|row| &row.0[1])),
            z: fp::load(rows.map(|row| &row.0[2])),
        }
    }

    pub fn store(a: &G1) -> [LimbsG1; LANES] {
        let (x, y, z) = (fp::store(&a.x), fp::store(&a.y), fp::store(&a.z));
        from_fn(|at| LimbsG1([x[at], y[at], z[at]]))
    }

    pub fn identity() -> G1 {
        G1 { x: fp::zero(), y: fp::one(), z: fp::zero() }
    }

    pub fn negate(a: &G1) -> G1 {
        G1 { x: a.x, y: fp::negate(&a.y), z: a.z }
    }

    #[inline(never)]
    pub fn add(a: &G1, b: &G1) -> G1 {
        let xx = fp::wide_product(&a.x, &b.x);
        let yy = fp::wide_product(&a.y, &b.y);
        let zz = fp::wide_product(&a.z, &b.z);
        let xy = fp::wide_product(&fp::add(&a.x, &a.y), &fp::add(&b.x, &b.y));
        let yz = fp::wide_product(&fp::add(&a.y, &a.z), &fp::add(&b.y, &b.z));
        let xz = fp::wide_product(&fp::add(&a.x, &a.z), &fp::add(&b.x, &b.z));
        let xy = fp::reduce(&fp::wide_subtract(&xy, &fp::wide_add(&xx, &yy)));
        let yz = fp::reduce(&fp::wide_subtract(&yz, &fp::wide_add(&yy, &zz)));
        let xz = fp::reduce(&fp::wide_subtract(&xz, &fp::wide_add(&xx, &zz)));
        let xx3 = fp::times(&fp::reduce(&xx), 3);
        let yy = fp::reduce(&yy);
        let zz = fp::times(&fp::reduce(&zz), B3);
        let xz = fp::times(&xz, B3);
        let (minus, plus) = (fp::subtract(&yy, &zz), fp::add(&yy, &zz));
        G1 {
            x: fp::reduce(&fp::wide_subtract(&fp::wide_product(&xy, &minus), &fp::wide_product(&yz, &xz))),
            y: fp::reduce(&fp::multiply_onto(&fp::wide_product(&minus, &plus), &xz, &xx3)),
            z: fp::reduce(&fp::multiply_onto(&fp::wide_product(&yz, &plus), &xx3, &xy)),
        }
    }

    #[inline(never)]
    pub fn double(a: &G1) -> G1 {
        let yy = fp::square(&a.y);
        let yz = fp::multiply(&a.y, &a.z);
        let zz = fp::times(&fp::square(&a.z), B3);
        let xy = fp::multiply(&a.x, &a.y);
        let yy8 = fp::times(&yy, 8);
        let minus = fp::subtract(&yy, &fp::times(&zz, 3));
        let plus = fp::add(&yy, &zz);
        let x = fp::multiply(&minus, &xy);
        G1 {
            x: fp::add(&x, &x),
            y: fp::reduce(&fp::multiply_onto(&fp::wide_product(&zz, &yy8), &minus, &plus)),
            z: fp::multiply(&yz, &yy8),
        }
    }

    /// x^2 times a point of the subgroup: an endomorphism, whatever else it is on the rest of the curve.
    pub fn times_x_squared(a: &G1, beta: &Fp) -> G1 {
        G1 { x: fp::multiply(&a.x, beta), y: fp::negate(&a.y), z: a.z }
    }

    /// |x| times a point.
    pub fn times_x(a: &G1) -> G1 {
        let mut result = *a;
        for bit in (0..63).rev() {
            result = double(&result);
            if X >> bit & 1 == 1 {
                result = add(&result, a);
            }
        }
        result
    }

    /// In each lane another point of the subgroup by another scalar.
    pub fn multiply(a: &G1, scalars: [&Scalar; LANES], beta: &Fp) -> G1 {
        let digits = scalars.map(|scalar| signed_halves(scalar).map(|half| window_digits(half, WINDOW)));
        let column = |half: usize, window: usize| digits.each_ref().map(|pair| pair[half][window]);
        // Scalars that are short in all lanes take fewer steps.
        let lengths = [0, 1].map(|half| {
            (0..windows(WINDOW)).rev().find(|window| column(half, *window) != [0; LANES]).map_or(0, |window| window + 1)
        });
        let tables = tables(a, beta);
        let mut result = identity();
        for window in (0..lengths[0].max(lengths[1])).rev() {
            for _ in 0..WINDOW {
                result = double(&result);
            }
            for half in 0..2 {
                if window < lengths[half] {
                    result = add(&result, &lookup(&tables[half], &column(half, window)));
                }
            }
        }
        result
    }

    /// One step of the bucket method: adds a point, in each lane, into the bucket that the lane's digit names.
    pub fn add_to_buckets(buckets: &mut [[LimbsG1; LANES]], point: &LimbsG1, digits: [i32; LANES]) {
        let numbers = digits.map(|digit| digit.unsigned_abs() as usize);
        let sums = load(from_fn(|lane| &buckets[numbers[lane]][lane]));
        let mut term = G1 {
            x: fp::load_all(&point.0[0]),
            y: fp::load_all(&point.0[1]),
            z: fp::load_all(&point.0[2]),
        };
        let negative = mask(digits.map(|digit| digit < 0));
        term.y = fp::select(negative, &term.y, &fp::negate(&term.y));
        for (lane, sum) in store(&add(&sums, &term)).into_iter().enumerate() {
            buckets[numbers[lane]][lane] = sum;
        }
    }

    /// The sum of each bucket times its number, in each lane.
    pub fn bucket_sum(buckets: &[[LimbsG1; LANES]]) -> [LimbsG1; LANES] {
        let (mut running, mut total) = (identity(), identity());
        for bucket in buckets[1..].iter().rev() {
            running = add(&running, &load(bucket.each_ref()));
            total = add(&total, &running);
        }
        store(&total)
    }

    /// Whether a point of the curve, in each lane, is in the subgroup: whether x^2 acts as the endomorphism does.
    /// Scott, "A note on group membership tests", eprint 2021/1130.
    pub fn is_in_subgroup(a: &G1, beta: &Fp) -> [bool; LANES] {
        let product = times_x(&times_x(a));
        let image = times_x_squared(a, beta);
        let x = fp::is_zero(&fp::subtract(&fp::multiply(&product.x, &image.z), &fp::multiply(&image.x, &product.z)));
        let y = fp::is_zero(&fp::subtract(&fp::multiply(&product.y, &image.z), &fp::multiply(&image.y, &product.z)));
        from_fn(|lane| x[lane] && y[lane])
    }

    /// A square root of x^3 + 4 in each lane, and whether there is one.
    pub fn y_of(x: &Fp) -> (Fp, [bool; LANES]) {
        let one = fp::one();
        let four = fp::times(&one, 4);
        let square = fp::add(&fp::multiply(&fp::square(x), x), &four);
        let root = fp::power(&square, &fp::P_PLUS_1_QUARTER);
        (root, fp::is_zero(&fp::subtract(&fp::square(&root), &square)))
    }

    /// The multiples 0..8 of each lane's point, and the same times x^2.
    fn tables(a: &G1, beta: &Fp) -> [[[LimbsG1; LANES]; TABLE]; 2] {
        let mut multiples = [identity(); TABLE];
        multiples[1] = *a;
        for i in 2..TABLE {
            multiples[i] = if i % 2 == 0 { double(&multiples[i / 2]) } else { add(&multiples[i - 1], a) };
        }
        let mut result = [[store(a); TABLE]; 2];
        for (at, multiple) in multiples.iter().enumerate() {
            result[0][at] = store(multiple);
            result[1][at] = store(&times_x_squared(multiple, beta));
        }
        result
    }

    fn lookup(table: &[[LimbsG1; LANES]; TABLE], digits: &[i32; LANES]) -> G1 {
        let mut result = load(from_fn(|lane| &table[digits[lane].unsigned_abs() as usize][lane]));
        let negative = mask(digits.map(|digit| digit < 0));
        result.y = fp::select(negative, &result.y, &fp::negate(&result.y));
        result
    }
}
