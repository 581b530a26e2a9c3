//! Work on many values at once, by whichever instructions the processor has.
//!
//! Values keep an engine's own form between its calls. Calls run on the current rayon pool. All points are in the
//! subgroups of order r; a value of the target group is one of the cyclotomic subgroup of Fp12 that `gt_finish` brings
//! into the group of order r.

use std::ops::Range;

use blst::{blst_fp12, blst_p1, blst_p2};
use rayon::prelude::*;

use crate::recoding::Recoded;
use crate::scalar::Scalar;

pub const G1_BYTES: usize = 48;
pub const G2_BYTES: usize = 96;

/// A product of pairings: points of G1 and the lines of points of G2, of equal number.
pub struct Product<'a, E: Engine> {
    pub points: Vec<E::G1>,
    pub lines: Vec<&'a E::Lines>,
}

pub trait Engine: Sync + Sized + 'static {
    type G1: Copy + Send + Sync;
    type Gt: Copy + Send + Sync;
    /// The lines that Miller loops with one point of G2 go through.
    type Lines: Send + Sync;

    const NAME: &'static str;

    fn g1_load(points: &[blst_p1]) -> Vec<Self::G1>;
    fn g1_store(points: &[Self::G1]) -> Vec<blst_p1>;
    fn g1_add(a: &[Self::G1], b: &[Self::G1]) -> Vec<Self::G1>;
    fn g1_negate(a: &[Self::G1]) -> Vec<Self::G1>;
    /// Each point by its own scalar.
    fn g1_multiply(a: &[Self::G1], scalars: &[Scalar]) -> Vec<Self::G1>;
    fn g1_times_x(a: &[Self::G1]) -> Vec<Self::G1>;
    fn g1_times_x_squared(a: &[Self::G1]) -> Vec<Self::G1>;
    /// The sum of each point times its scalar.
    fn g1_msm(points: &[blst_p1], scalars: &[Scalar]) -> blst_p1;
    /// Of 48 bytes each, in the compressed form: canonical, on the curve, in the subgroup and not the identity, or None.
    fn g1_decode(encoded: &[[u8; G1_BYTES]]) -> Vec<Option<blst_p1>>;

    fn lines(points: &[blst_p2]) -> Vec<Self::Lines>;
    /// Miller loops and the easy part of the final exponentiation.
    fn pairings(products: &[Product<Self>]) -> Vec<Self::Gt>;

    fn gt_load(values: &[blst_fp12]) -> Vec<Self::Gt>;
    fn gt_store(values: &[Self::Gt]) -> Vec<blst_fp12>;
    fn gt_multiply(a: &[Self::Gt], b: &[Self::Gt]) -> Vec<Self::Gt>;
    fn gt_invert(a: &[Self::Gt]) -> Vec<Self::Gt>;
    /// To the power p^n, n from 1 to 3, which is x^n in the group of order r.
    fn gt_frobenius(a: &[Self::Gt], n: usize) -> Vec<Self::Gt>;
    fn gt_power(a: &[Self::Gt], exponents: &[&Recoded]) -> Vec<Self::Gt>;
    /// The hard part of the final exponentiation.
    fn gt_finish(a: &[Self::Gt]) -> Vec<Self::Gt>;
}

/// What `work` makes of all items from 0 to `count`, in pieces of a multiple of `unit`, on all threads.
pub fn in_parallel<R: Send>(count: usize, unit: usize, work: impl Fn(Range<usize>) -> Vec<R> + Sync) -> Vec<R> {
    // The number of threads is asked for last: outside of a pool, where few items are done, the question starts one.
    if count <= unit.max(2) || rayon::current_num_threads() == 1 {
        return work(0..count);
    }
    let threads = rayon::current_num_threads();
    let piece = count.div_ceil(4 * threads).div_ceil(unit) * unit;
    let pieces: Vec<Vec<R>> =
        (0..count.div_ceil(piece)).into_par_iter().map(|at| work(at * piece..count.min((at + 1) * piece))).collect();
    pieces.into_iter().flatten().collect()
}
