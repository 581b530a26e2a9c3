//! The engine for processors with AVX-512 IFMA: eight values at once.

// Limbs are numbered as in the formulas.
#![allow(clippy::needless_range_loop)]

mod curve;
mod fp;
mod pairing;
mod tower;

use std::array::from_fn;
use std::ops::Range;
use std::sync::LazyLock;

use blst::*;

use crate::engine::{Engine, G1_BYTES, Product, in_parallel};
use crate::msm::{self, pippenger_g1};
use crate::portable::{self, LINES, blst, p2_is_identity, raw_lines};
use crate::recoding::Recoded;
use crate::scalar::Scalar;
use curve::LimbsG1;
use fp::{Fp, LANES, Limbs, mask, simd};
use pairing::{Frobenius, Line, Term};
use tower::{Fp2, Fp6, Fp12, Limbs12};

pub struct Ifma;

/// None for the identity.
pub struct Lines(Option<Box<[Line]>>);

/// How many vectors share one inversion.
const SHARED: usize = 16;
/// How many pairs a product has that gets all lanes to itself.
const LONG: usize = 32;

pub fn is_supported() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512ifma")
}

struct Constants {
    /// The cube root of one with (beta x, -y) = x^2 (x, y).
    beta: Limbs,
    frobenius: Frobenius,
}

static CONSTANTS: LazyLock<Constants> = LazyLock::new(|| {
    assert!(is_supported());
    // SAFETY: all that kernels ask for is a processor with their instructions.
    unsafe { constants() }
});

/// Up to eight items in lanes: which one each lane takes, the last again where there are no more.
fn lanes(start: usize, end: usize) -> [usize; LANES] {
    from_fn(|lane| (start + lane).min(end - 1))
}

/// What the body makes of eight items at a time, stored.
macro_rules! in_lanes {
    ($count:expr, $store:path, |$at:ident| $body:expr) => {{
        let mut result = Vec::with_capacity($count);
        for start in (0..$count).step_by(LANES) {
            let $at = lanes(start, $count);
            let value = $body;
            result.extend(&$store(&value)[..LANES.min($count - start)]);
        }
        result
    }};
}

simd! {
    fn constants() -> Constants {
        // SAFETY: blst's generators and ones are constants.
        let generator = unsafe { *blst_p1_generator() };
        let square = msm::X_SQUARED.to_le_bytes();
        let multiple = blst!(blst_p1_mult(&generator, square.as_ptr(), 128) -> blst_p1);
        let affine = blst!(blst_p1_to_affine(&multiple) -> blst_p1_affine);
        let start = blst!(blst_p1_to_affine(&generator) -> blst_p1_affine);
        let inverse = blst!(blst_fp_eucl_inverse(&start.x) -> blst_fp);
        let beta = blst!(blst_fp_mul(&affine.x, &inverse) -> blst_fp);
        let one = portable::one().fp6[0].fp2[0].fp[0];
        let frobenius = from_fn(|n| from_fn(|k| {
            let mut basis = blst_fp12::default();
            basis.fp6[k / 3].fp2[k % 3].fp[0] = one;
            let image = blst!(blst_fp12_frobenius_map(&basis, n + 1) -> blst_fp12);
            image.fp6[k / 3].fp2[k % 3].fp.map(|c| limbs(&c))
        }));
        Constants { beta: limbs(&beta), frobenius: Frobenius(frobenius) }
    }

    fn limbs(a: &blst_fp) -> Limbs {
        fp::store(&fp::from_words([&a.l; LANES]))[0]
    }

    fn g1_load(points: &[blst_p1]) -> Vec<LimbsG1> {
        let mut result = Vec::with_capacity(points.len());
        for start in (0..points.len()).step_by(LANES) {
            let rows = lanes(start, points.len()).map(|at| &points[at]);
            let (x, y) = (fp::from_words(rows.map(|p| &p.x.l)), fp::from_words(rows.map(|p| &p.y.l)));
            let z = fp::from_words(rows.map(|p| &p.z.l));
            // From x = X/Z^2 and y = Y/Z^3.
            let point = curve::G1 { x: fp::multiply(&x, &z), y, z: fp::multiply(&z, &fp::square(&z)) };
            let identity = mask(rows.map(|p| p.z.l == [0; 6]));
            let none = curve::identity();
            let point = curve::G1 {
                x: fp::select(identity, &point.x, &none.x),
                y: fp::select(identity, &point.y, &none.y),
                z: fp::select(identity, &point.z, &none.z),
            };
            result.extend(&curve::store(&point)[..LANES.min(points.len() - start)]);
        }
        result
    }

    fn g1_store(points: &[LimbsG1]) -> Vec<blst_p1> {
        let mut result = Vec::with_capacity(points.len());
        for start in (0..points.len()).step_by(LANES) {
            let point = curve::load(lanes(start, points.len()).map(|at| &points[at]));
            let z = fp::to_words(&point.z);
            let x = fp::to_words(&fp::multiply(&point.x, &point.z));
            let y = fp::to_words(&fp::multiply(&point.y, &fp::square(&point.z)));
            for lane in 0..LANES.min(points.len() - start) {
                result.push(blst_p1 { x: blst_fp { l: x[lane] }, y: blst_fp { l: y[lane] }, z: blst_fp { l: z[lane] } });
            }
        }
        result
    }

    fn g1_add(a: &[LimbsG1], b: &[LimbsG1]) -> Vec<LimbsG1> {
        in_lanes!(a.len(), curve::store, |at| {
            curve::add(&curve::load(at.map(|i| &a[i])), &curve::load(at.map(|i| &b[i])))
        })
    }

    fn g1_negate(a: &[LimbsG1]) -> Vec<LimbsG1> {
        in_lanes!(a.len(), curve::store, |at| curve::negate(&curve::load(at.map(|i| &a[i]))))
    }

    fn g1_multiply(a: &[LimbsG1], scalars: &[Scalar]) -> Vec<LimbsG1> {
        let beta = fp::load_all(&CONSTANTS.beta);
        in_lanes!(a.len(), curve::store, |at| {
            curve::multiply(&curve::load(at.map(|i| &a[i])), at.map(|i| &scalars[i]), &beta)
        })
    }

    fn g1_times_x(a: &[LimbsG1]) -> Vec<LimbsG1> {
        in_lanes!(a.len(), curve::store, |at| curve::negate(&curve::times_x(&curve::load(at.map(|i| &a[i])))))
    }

    fn g1_times_x_squared(a: &[LimbsG1]) -> Vec<LimbsG1> {
        let beta = fp::load_all(&CONSTANTS.beta);
        in_lanes!(a.len(), curve::store, |at| curve::times_x_squared(&curve::load(at.map(|i| &a[i])), &beta))
    }

    /// The sums of eight windows: digits for each of the points.
    fn window_sums(points: &[LimbsG1], digits: &[[i32; LANES]], bits: usize) -> [LimbsG1; LANES] {
        let mut buckets = vec![curve::store(&curve::identity()); (1 << (bits - 1)) + 1];
        for (point, digits) in points.iter().zip(digits) {
            curve::add_to_buckets(&mut buckets, point, *digits);
        }
        curve::bucket_sum(&buckets)
    }

    fn g1_decode(encoded: &[[u8; G1_BYTES]]) -> Vec<Option<blst_p1>> {
        let beta = fp::load_all(&CONSTANTS.beta);
        let mut result = Vec::with_capacity(encoded.len());
        for start in (0..encoded.len()).step_by(LANES) {
            let rows = lanes(start, encoded.len()).map(|at| x_of(&encoded[at]));
            let x = fp::from_words(rows.each_ref().map(|row| row.as_ref().map_or(&[0; 6], |(x, _)| &x.l)));
            let (y, on_curve) = curve::y_of(&x);
            let point = curve::G1 { x, y, z: fp::one() };
            let inside = curve::is_in_subgroup(&point, &beta);
            let (x, y) = (fp::to_words(&x), fp::to_words(&y));
            for lane in 0..LANES.min(encoded.len() - start) {
                result.push(rows[lane].filter(|_| on_curve[lane] && inside[lane]).map(|(_, larger)| {
                    let (x, y) = (blst_fp { l: x[lane] }, blst_fp { l: y[lane] });
                    let other = blst!(blst_fp_cneg(&y, true) -> blst_fp);
                    let y = if is_larger(&y) == larger { y } else { other };
                    blst_p1 { x, y, z: portable::one().fp6[0].fp2[0].fp[0] }
                }));
            }
        }
        result
    }

    /// (l0 / 2 l2, -l1 / l2) of blst's lines l0 - 2x l1 v + 2y l2 v w.
    fn normalised(raw: &[blst_fp6; LINES]) -> Box<[Line]> {
        let mut product = portable::one().fp6[0].fp2[0];
        let mut before = [product; LINES];
        for (line, before) in raw.iter().zip(&mut before) {
            *before = product;
            product = blst!(blst_fp2_mul(&product, &line.fp2[2]) -> blst_fp2);
        }
        let mut inverse = blst!(blst_fp2_eucl_inverse(&product) -> blst_fp2);
        let mut pairs = [[blst_fp2::default(); 2]; LINES];
        for ((line, before), pair) in raw.iter().zip(&before).zip(&mut pairs).rev() {
            let third = blst!(blst_fp2_mul(&inverse, before) -> blst_fp2);
            inverse = blst!(blst_fp2_mul(&inverse, &line.fp2[2]) -> blst_fp2);
            let twice = blst!(blst_fp2_add(&third, &third) -> blst_fp2);
            // Twice both; halves follow in lanes.
            pair[0] = blst!(blst_fp2_mul(&line.fp2[0], &third) -> blst_fp2);
            pair[1] = blst!(blst_fp2_mul(&line.fp2[1], &blst!(blst_fp2_cneg(&twice, true) -> blst_fp2)) -> blst_fp2);
        }
        let mut result = vec![[Limbs([0; fp::LIMBS]); 4]; LINES].into_boxed_slice();
        let two = fp::add(&fp::one(), &fp::one());
        let half = fp::invert(&two);
        for start in (0..LINES).step_by(2) {
            let rows = from_fn(|lane| &pairs[start + lane / 4][lane / 2 % 2].fp[lane % 2].l);
            let stored = fp::store(&fp::multiply(&fp::from_words(rows), &half));
            for (lane, limbs) in stored.into_iter().enumerate() {
                result[start + lane / 4][lane % 4] = limbs;
            }
        }
        result
    }

    /// The Miller loops of each lane's column of pairs, multiplied.
    fn miller_loops(rows: &[[Option<Pair>; LANES]]) -> Fp12 {
        let spare = &*SPARE;
        let points: Vec<curve::G1> =
            rows.iter().map(|row| curve::load(row.map(|pair| pair.map_or(&spare.0, |(point, _)| point)))).collect();
        let mut inverses: Vec<Fp> = points.iter().map(|point| point.y).collect();
        fp::invert_all(&mut inverses, &mut points.iter().map(|point| point.y).collect::<Vec<_>>());
        let mut terms = Vec::with_capacity(rows.len());
        for ((row, point), inverse) in rows.iter().zip(&points).zip(&inverses) {
            // 1/y = Z/Y and x/y = X/Y, both 0 for the identity. Its lines are then v w alone, of which the easy part
            // makes 1: w^(p^6) = -w, and p^2 + 1 is even.
            terms.push(Term {
                active: mask(row.map(|pair| pair.is_some())),
                lines: row.map(|pair| pair.map_or(&spare.1[..], |(_, lines)| lines)),
                y_inverse: fp::multiply(&point.z, inverse),
                x_over_y: fp::multiply(&point.x, inverse),
            });
        }
        pairing::miller_loop(&terms)
    }

    /// One product in each lane.
    fn short_products(products: &[&Product<Ifma>]) -> Vec<Limbs12> {
        in_lanes!(products.len(), tower::store12, |at| {
            let longest = at.iter().map(|i| products[*i].points.len()).max().unwrap_or(0);
            let rows: Vec<_> = (0..longest).map(|k| at.map(|i| pair(products[i], k))).collect();
            miller_loops(&rows)
        })
    }

    /// A part of one product, as eight factors of it.
    fn long_product(product: &Product<Ifma>, rows: Range<usize>) -> Vec<Limbs12> {
        let rows: Vec<_> = rows.map(|row| from_fn(|lane| pair(product, LANES * row + lane))).collect();
        tower::store12(&miller_loops(&rows)).to_vec()
    }

    fn easy_parts(values: &[Limbs12]) -> Vec<Limbs12> {
        let mut result = Vec::with_capacity(values.len());
        for chunk in values.chunks(SHARED * LANES) {
            let loaded: Vec<Fp12> = (0..chunk.len())
                .step_by(LANES)
                .map(|start| tower::load12(lanes(start, chunk.len()).map(|i| &chunk[i])))
                .collect();
            for (value, start) in pairing::easy_parts(&loaded, &CONSTANTS.frobenius).iter().zip((0..).step_by(LANES)) {
                result.extend(&tower::store12(value)[..LANES.min(chunk.len() - start)]);
            }
        }
        result
    }

    fn gt_load(values: &[blst_fp12]) -> Vec<Limbs12> {
        in_lanes!(values.len(), tower::store12, |at| {
            let coefficient = |k: usize| fp::from_words(at.map(|i| &values[i].fp6[k / 6].fp2[k / 2 % 3].fp[k % 2].l));
            Fp12(from_fn(|i| Fp6(from_fn(|j| Fp2(from_fn(|k| coefficient(6 * i + 2 * j + k)))))))
        })
    }

    fn gt_store(values: &[Limbs12]) -> Vec<blst_fp12> {
        let mut result = vec![blst_fp12::default(); values.len()];
        for start in (0..values.len()).step_by(LANES) {
            let value = tower::load12(lanes(start, values.len()).map(|i| &values[i]));
            for (k, coefficient) in tower::coefficients(&value).into_iter().enumerate() {
                for (stored, words) in result[start..].iter_mut().zip(fp::to_words(coefficient)) {
                    stored.fp6[k / 6].fp2[k / 2 % 3].fp[k % 2].l = words;
                }
            }
        }
        result
    }

    fn gt_multiply(a: &[Limbs12], b: &[Limbs12]) -> Vec<Limbs12> {
        in_lanes!(a.len(), tower::store12, |at| {
            tower::multiply12(&tower::load12(at.map(|i| &a[i])), &tower::load12(at.map(|i| &b[i])))
        })
    }

    fn gt_invert(a: &[Limbs12]) -> Vec<Limbs12> {
        in_lanes!(a.len(), tower::store12, |at| tower::conjugate12(&tower::load12(at.map(|i| &a[i]))))
    }

    fn gt_frobenius(a: &[Limbs12], n: usize) -> Vec<Limbs12> {
        in_lanes!(a.len(), tower::store12, |at| {
            pairing::frobenius_map(&tower::load12(at.map(|i| &a[i])), n, &CONSTANTS.frobenius)
        })
    }

    fn gt_power(a: &[Limbs12], exponents: &[&Recoded]) -> Vec<Limbs12> {
        in_lanes!(a.len(), tower::store12, |at| {
            pairing::power(&tower::load12(at.map(|i| &a[i])), at.map(|i| exponents[i]), &CONSTANTS.frobenius)
        })
    }

    fn gt_finish(a: &[Limbs12]) -> Vec<Limbs12> {
        in_lanes!(a.len(), tower::store12, |at| {
            pairing::hard_part(&tower::load12(at.map(|i| &a[i])), &CONSTANTS.frobenius)
        })
    }
}

/// The x of an encoded point and whether its y is the larger one: None unless canonical and not the identity.
fn x_of(encoded: &[u8; G1_BYTES]) -> Option<(blst_fp, bool)> {
    let flags = encoded[0] >> 5;
    let mut bytes = *encoded;
    bytes[0] &= 0x1f;
    let x = blst!(blst_fp_from_bendian(bytes.as_ptr()) -> blst_fp);
    let mut canonical = [0; G1_BYTES];
    // SAFETY: blst reads one value and writes 48 bytes.
    unsafe { blst_bendian_from_fp(canonical.as_mut_ptr(), &x) };
    (flags & 0b110 == 0b100 && canonical == bytes).then_some((x, flags & 1 == 1))
}

/// Whether a is larger than -a, as integers.
fn is_larger(a: &blst_fp) -> bool {
    let bytes = |a: &blst_fp| {
        let mut bytes = [0; G1_BYTES];
        // SAFETY: as above.
        unsafe { blst_bendian_from_fp(bytes.as_mut_ptr(), a) };
        bytes
    };
    // SAFETY: as above.
    bytes(a) > bytes(&blst!(blst_fp_cneg(a, true) -> blst_fp))
}

type Pair<'a> = (&'a LimbsG1, &'a [Line]);

/// The k-th pair of a product, if it has one and its point in G2 is not the identity.
fn pair<'a>(product: &'a Product<Ifma>, k: usize) -> Option<Pair<'a>> {
    Some((product.points.get(k)?, product.lines[k].0.as_deref()?))
}

/// Fills lanes whose results are not used.
static SPARE: LazyLock<(LimbsG1, Box<[Line]>)> = LazyLock::new(|| {
    // SAFETY: blst's generators are constants.
    let (g1, g2) = unsafe { (*blst_p1_generator(), *blst_p2_generator()) };
    let lines = Ifma::lines(&[g2]).remove(0).0.expect("the generator is not the identity");
    (Ifma::g1_load(&[g1])[0], lines)
});

/// Runs a kernel on parts of its arguments, on all threads.
macro_rules! spread {
    ($kernel:ident($first:expr $(, $other:expr)*)) => {{
        assert!(is_supported());
        // SAFETY: all that kernels ask for is a processor with their instructions, which is asserted.
        in_parallel($first.len(), LANES, |range| unsafe { $kernel(&$first[range.clone()] $(, &$other[range.clone()])*) })
    }};
}

impl Engine for Ifma {
    type G1 = LimbsG1;
    type Gt = Limbs12;
    type Lines = Lines;

    const NAME: &'static str = "avx512-ifma";

    fn g1_load(points: &[blst_p1]) -> Vec<LimbsG1> {
        spread!(g1_load(points))
    }

    fn g1_store(points: &[LimbsG1]) -> Vec<blst_p1> {
        spread!(g1_store(points))
    }

    fn g1_add(a: &[LimbsG1], b: &[LimbsG1]) -> Vec<LimbsG1> {
        assert_eq!(a.len(), b.len());
        spread!(g1_add(a, b))
    }

    fn g1_negate(a: &[LimbsG1]) -> Vec<LimbsG1> {
        spread!(g1_negate(a))
    }

    fn g1_multiply(a: &[LimbsG1], scalars: &[Scalar]) -> Vec<LimbsG1> {
        assert_eq!(a.len(), scalars.len());
        spread!(g1_multiply(a, scalars))
    }

    fn g1_times_x(a: &[LimbsG1]) -> Vec<LimbsG1> {
        spread!(g1_times_x(a))
    }

    fn g1_times_x_squared(a: &[LimbsG1]) -> Vec<LimbsG1> {
        spread!(g1_times_x_squared(a))
    }

    fn g1_msm(points: &[blst_p1], scalars: &[Scalar]) -> blst_p1 {
        assert!(is_supported());
        assert_eq!(points.len(), scalars.len());
        if points.len() <= 2 {
            return pippenger_g1(points, scalars);
        }
        let mut halves = Self::g1_load(points);
        halves.extend(Self::g1_times_x_squared(&halves));
        let scalars: Vec<[i128; 2]> = scalars.iter().map(msm::signed_halves).collect();
        let bits = msm::window_bits(halves.len());
        let digits: Vec<Vec<i32>> = [0, 1]
            .into_iter()
            .flat_map(|half| scalars.iter().map(move |s| msm::window_digits(s[half], bits)))
            .collect();
        // One piece of work for each eight windows and each part of the points.
        let passes = msm::windows(bits).div_ceil(LANES);
        let length = halves.len().div_ceil(rayon::current_num_threads().div_ceil(passes));
        let starts: Vec<usize> = (0..halves.len()).step_by(length).collect();
        let sums = in_parallel(passes * starts.len(), 1, |pieces| {
            let piece = |number: usize| {
                let (pass, start) = (number % passes, starts[number / passes]);
                let part = start..halves.len().min(start + length);
                let chosen: Vec<[i32; LANES]> = digits[part.clone()]
                    .iter()
                    .map(|digits| from_fn(|lane| digits.get(LANES * pass + lane).copied().unwrap_or(0)))
                    .collect();
                // SAFETY: as in `spread`.
                unsafe { window_sums(&halves[part], &chosen, bits) }
            };
            pieces.flat_map(piece).collect()
        });
        let whole = sums.chunks(passes * LANES).map(<[LimbsG1]>::to_vec).reduce(|a, b| Self::g1_add(&a, &b));
        msm::joined(&Self::g1_store(&whole.unwrap_or_default())[..msm::windows(bits)], bits)
    }

    fn g1_decode(encoded: &[[u8; G1_BYTES]]) -> Vec<Option<blst_p1>> {
        spread!(g1_decode(encoded))
    }

    fn lines(points: &[blst_p2]) -> Vec<Lines> {
        assert!(is_supported());
        in_parallel(points.len(), 1, |range| {
            let each = points[range].iter().map(|point| {
                let affine = blst!(blst_p2_to_affine(point) -> blst_p2_affine);
                // SAFETY: as in `spread`.
                Lines((!p2_is_identity(point)).then(|| unsafe { normalised(&raw_lines(&affine)) }))
            });
            each.collect()
        })
    }

    fn pairings(products: &[Product<Self>]) -> Vec<Limbs12> {
        // In one product alone, pairs fill the lanes; of several, those of like length share a vector.
        let alone = |at: &usize| products.len() <= LANES / 2 || products[*at].points.len() >= LONG;
        let (long, mut short): (Vec<usize>, Vec<usize>) = (0..products.len()).partition(alone);
        short.sort_by_key(|at| products[*at].points.len());
        let shared: Vec<&Product<Self>> = short.iter().map(|at| &products[*at]).collect();
        let of_short = spread!(short_products(shared));
        let of_long = long.iter().map(|at| (*at, one_product(&products[*at])));
        let mut values: Vec<(usize, Limbs12)> = short.into_iter().zip(of_short).chain(of_long).collect();
        values.sort_by_key(|(at, _)| *at);
        let values: Vec<Limbs12> = values.into_iter().map(|(_, value)| value).collect();
        spread!(easy_parts(values))
    }

    fn gt_load(values: &[blst_fp12]) -> Vec<Limbs12> {
        spread!(gt_load(values))
    }

    fn gt_store(values: &[Limbs12]) -> Vec<blst_fp12> {
        spread!(gt_store(values))
    }

    fn gt_multiply(a: &[Limbs12], b: &[Limbs12]) -> Vec<Limbs12> {
        assert_eq!(a.len(), b.len());
        spread!(gt_multiply(a, b))
    }

    fn gt_invert(a: &[Limbs12]) -> Vec<Limbs12> {
        spread!(gt_invert(a))
    }

    fn gt_frobenius(a: &[Limbs12], n: usize) -> Vec<Limbs12> {
        assert!(is_supported());
        // SAFETY: as in `spread`.
        in_parallel(a.len(), LANES, |range| unsafe { gt_frobenius(&a[range], n) })
    }

    fn gt_power(a: &[Limbs12], exponents: &[&Recoded]) -> Vec<Limbs12> {
        assert_eq!(a.len(), exponents.len());
        spread!(gt_power(a, exponents))
    }

    fn gt_finish(a: &[Limbs12]) -> Vec<Limbs12> {
        spread!(gt_finish(a))
    }
}

/// All factors of a long product, multiplied.
fn one_product(product: &Product<Ifma>) -> Limbs12 {
    assert!(is_supported());
    let rows = product.points.len().div_ceil(LANES).max(1);
    // SAFETY: as in `spread`.
    let mut factors = in_parallel(rows, 1, |range| unsafe { long_product(product, range) });
    while factors.len() > 1 {
        let (a, b) = factors.split_at(factors.len() / 2);
        let mut next = Ifma::gt_multiply(a, &b[..a.len()]);
        next.extend(&b[a.len()..]);
        factors = next;
    }
    factors[0]
}
