//! The engine for any processor: blst, one value after another.

use blst::*;

use crate::engine::{Engine, G1_BYTES, Product, in_parallel};
use crate::msm::{X_SQUARED, pippenger_g1};
use crate::recoding::{Recoded, STEPS, TABLE};
use crate::scalar::{Scalar, X, bit_length, to_little_endian};

pub struct Portable;

/// None for the identity.
pub struct Lines(Option<Box<[blst_fp6; LINES]>>);

pub const LINES: usize = 68;

// SAFETY of this file: blst's functions read and write whole values behind pointers that come from references here, and
// allow results in place of arguments where that is done (`same`).

/// The result of one of blst's functions that write to their first argument. Only for such, with references for pointers
/// or pointers to as many bytes as the function reads.
macro_rules! blst {
    ($function:ident($($argument:expr),*) -> $kind:ty) => {{
        let mut result = <$kind>::default();
        #[allow(unused_unsafe)]
        unsafe {
            $function(&mut result, $($argument),*)
        };
        result
    }};
}
pub(crate) use blst;

pub fn raw_lines(point: &blst_p2_affine) -> Box<[blst_fp6; LINES]> {
    let mut lines = Box::new([blst_fp6::default(); LINES]);
    // SAFETY: blst writes 68 lines.
    unsafe { blst_precompute_lines(lines.as_mut_ptr(), point) };
    lines
}

pub fn p2_is_identity(point: &blst_p2) -> bool {
    unsafe { blst_p2_is_inf(point) }
}

pub fn p1_is_identity(point: &blst_p1) -> bool {
    unsafe { blst_p1_is_inf(point) }
}

pub fn negated(point: &blst_p1) -> blst_p1 {
    let mut result = *point;
    unsafe { blst_p1_cneg(&mut result, true) };
    result
}

pub fn conjugated(a: &blst_fp12) -> blst_fp12 {
    let mut result = *a;
    unsafe { blst_fp12_conjugate(&mut result) };
    result
}

pub fn one() -> blst_fp12 {
    unsafe { *blst_fp12_one() }
}

pub fn times(a: &blst_fp12, b: &blst_fp12) -> blst_fp12 {
    blst!(blst_fp12_mul(a, b) -> blst_fp12)
}

fn squared(a: &blst_fp12) -> blst_fp12 {
    blst!(blst_fp12_cyclotomic_sqr(a) -> blst_fp12)
}

fn frobenius(a: &blst_fp12, n: usize) -> blst_fp12 {
    blst!(blst_fp12_frobenius_map(a, n) -> blst_fp12)
}

/// To the power (p^6 - 1)(p^2 + 1).
pub fn easy_part(a: &blst_fp12) -> blst_fp12 {
    let inverse = blst!(blst_fp12_inverse(a) -> blst_fp12);
    let b = times(&conjugated(a), &inverse);
    times(&b, &frobenius(&b, 2))
}

/// As `ifma::pairing::hard_part`.
pub fn hard_part(a: &blst_fp12) -> blst_fp12 {
    let b = times(&power_x(a), &conjugated(a));
    let b = times(&power_x(&b), &conjugated(&b));
    let b = times(&power_x(&b), &frobenius(&b, 1));
    let c = times(&power_x(&power_x(&b)), &frobenius(&b, 2));
    let c = times(&c, &conjugated(&b));
    times(&c, &times(&squared(a), a))
}

fn power_x(a: &blst_fp12) -> blst_fp12 {
    let mut result = *a;
    for bit in (0..63).rev() {
        result = squared(&result);
        if X >> bit & 1 == 1 {
            result = times(&result, a);
        }
    }
    conjugated(&result)
}

pub fn power(a: &blst_fp12, exponent: &Recoded) -> blst_fp12 {
    let mut table = [*a; TABLE];
    for k in 0..3 {
        let image = frobenius(a, k + 1);
        let image = if k % 2 == 0 { conjugated(&image) } else { image };
        for i in 0..1 << k {
            table[i + (1 << k)] = times(&table[i], &image);
        }
    }
    let mut result = table[usize::from(exponent.steps[STEPS - 1] & 7)];
    for code in exponent.steps[..STEPS - 1].iter().rev() {
        result = squared(&result);
        let entry = &table[usize::from(code & 7)];
        result = if code & 8 == 0 { times(&result, entry) } else { times(&result, &conjugated(entry)) };
    }
    if exponent.even { times(&result, &conjugated(a)) } else { result }
}

/// In little-endian bytes.
fn multiplied(point: &blst_p1, scalar: &[u8], bits: usize) -> blst_p1 {
    assert!(8 * scalar.len() >= bits);
    // SAFETY: blst reads `bits` of the scalar.
    blst!(blst_p1_mult(point, scalar.as_ptr(), bits) -> blst_p1)
}

fn each<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    in_parallel(items.len(), 1, |range| items[range].iter().map(&work).collect())
}

fn both<T: Sync, U: Sync, R: Send>(a: &[T], b: &[U], work: impl Fn(&T, &U) -> R + Sync) -> Vec<R> {
    assert_eq!(a.len(), b.len());
    in_parallel(a.len(), 1, |range| a[range.clone()].iter().zip(&b[range]).map(|(a, b)| work(a, b)).collect())
}

impl Engine for Portable {
    type G1 = blst_p1;
    type Gt = blst_fp12;
    type Lines = Lines;

    const NAME: &'static str = "blst";

    fn g1_load(points: &[blst_p1]) -> Vec<blst_p1> {
        points.to_vec()
    }

    fn g1_store(points: &[blst_p1]) -> Vec<blst_p1> {
        points.to_vec()
    }

    fn g1_add(a: &[blst_p1], b: &[blst_p1]) -> Vec<blst_p1> {
        both(a, b, |a, b| blst!(blst_p1_add_or_double(a, b) -> blst_p1))
    }

    fn g1_negate(a: &[blst_p1]) -> Vec<blst_p1> {
        each(a, negated)
    }

    fn g1_multiply(a: &[blst_p1], scalars: &[Scalar]) -> Vec<blst_p1> {
        both(a, scalars, |point, scalar| multiplied(point, &to_little_endian(scalar), bit_length(scalar)))
    }

    fn g1_times_x(a: &[blst_p1]) -> Vec<blst_p1> {
        each(a, |point| negated(&multiplied(point, &X.to_le_bytes(), 64)))
    }

    fn g1_times_x_squared(a: &[blst_p1]) -> Vec<blst_p1> {
        let square = X_SQUARED.to_le_bytes();
        each(a, |point| multiplied(point, &square, 128))
    }

    fn g1_msm(points: &[blst_p1], scalars: &[Scalar]) -> blst_p1 {
        let parts = in_parallel(points.len(), 64, |range| vec![pippenger_g1(&points[range.clone()], &scalars[range])]);
        parts.iter().fold(blst_p1::default(), |sum, part| blst!(blst_p1_add_or_double(&sum, part) -> blst_p1))
    }

    fn g1_decode(encoded: &[[u8; G1_BYTES]]) -> Vec<Option<blst_p1>> {
        each(encoded, |bytes| {
            let mut affine = blst_p1_affine::default();
            // SAFETY: blst reads 48 bytes and writes a point.
            let valid = unsafe {
                blst_p1_uncompress(&mut affine, bytes.as_ptr()) == BLST_ERROR::BLST_SUCCESS
                    && !blst_p1_affine_is_inf(&affine)
                    && blst_p1_affine_in_g1(&affine)
            };
            valid.then(|| blst!(blst_p1_from_affine(&affine) -> blst_p1))
        })
    }

    fn lines(points: &[blst_p2]) -> Vec<Lines> {
        each(points, |point| {
            let affine = blst!(blst_p2_to_affine(point) -> blst_p2_affine);
            Lines((!p2_is_identity(point)).then(|| raw_lines(&affine)))
        })
    }

    fn pairings(products: &[Product<Self>]) -> Vec<blst_fp12> {
        each(products, |product| {
            let terms = product.points.iter().zip(&product.lines).filter_map(|(point, lines)| {
                let lines = lines.0.as_ref().filter(|_| !p1_is_identity(point))?;
                let affine = blst!(blst_p1_to_affine(point) -> blst_p1_affine);
                // SAFETY: there are 68 lines.
                Some(blst!(blst_miller_loop_lines(lines.as_ptr(), &affine) -> blst_fp12))
            });
            easy_part(&terms.fold(one(), |product, term| times(&product, &term)))
        })
    }

    fn gt_load(values: &[blst_fp12]) -> Vec<blst_fp12> {
        values.to_vec()
    }

    fn gt_store(values: &[blst_fp12]) -> Vec<blst_fp12> {
        values.to_vec()
    }

    fn gt_multiply(a: &[blst_fp12], b: &[blst_fp12]) -> Vec<blst_fp12> {
        both(a, b, times)
    }

    fn gt_invert(a: &[blst_fp12]) -> Vec<blst_fp12> {
        each(a, conjugated)
    }

    fn gt_frobenius(a: &[blst_fp12], n: usize) -> Vec<blst_fp12> {
        each(a, |a| frobenius(a, n))
    }

    fn gt_power(a: &[blst_fp12], exponents: &[&Recoded]) -> Vec<blst_fp12> {
        both(a, exponents, |a, exponent| power(a, exponent))
    }

    fn gt_finish(a: &[blst_fp12]) -> Vec<blst_fp12> {
        each(a, hard_part)
    }
}
