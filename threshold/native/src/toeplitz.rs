//! Products of one Toeplitz matrix in G2 with many vectors in G1: y_i = product over l of e(x_l, t_(l-i)).
//!
//! The product of polynomials by evaluation, transposed. The points are one, two or three cosets of a group of 2^k-th
//! roots of unity, apart by a root of order 3: for n entries at least 2n-1 points, so n of them cost about 2n pairings.
//! What depends on the matrix alone is done once, down to the lines of the Miller loops. The sums after the pairings run
//! on values after the easy part of the final exponentiation; whoever needs a result finishes it.

use blst::blst_p1;
use blst::blst_p2;

use crate::engine::{Engine, Product};
use crate::scalar::{Fr, seed};
use crate::transform::{Factor, Module, OfG1, OfG2, OfGt, Transform};

pub struct Toeplitz<E: Engine> {
    size: usize,
    cosets: usize,
    transform: Transform,
    lines: Vec<E::Lines>,
}

impl<E: Engine> Toeplitz<E> {
    /// From t_(1-n)..t_(n-1). Costs about 8n multiplications in G2.
    pub fn new(diagonals: &[blst_p2]) -> Self {
        let size = diagonals.len().div_ceil(2);
        let cosets_of = |length: usize| diagonals.len().div_ceil(length);
        let length = (0..usize::BITS)
            .map(|k| 1 << k)
            .filter(|length| cosets_of(*length) <= 3)
            .min_by_key(|length| (cosets_of(*length) * length, *length))
            .expect("some power of two is long enough");
        let cosets = cosets_of(length);
        let transform = Transform::new(length);
        let mut padded = diagonals.to_vec();
        padded.resize(cosets * length, blst_p2::default());
        let order = transform.order();
        let mut points = Vec::with_capacity(padded.len());
        for coset in residues(&padded, cosets, length) {
            let values = transform.apply::<OfG2>(&coset, true);
            points.extend(order.iter().map(|frequency| values[*frequency]));
        }
        Self { size, cosets, transform, lines: E::lines(&points) }
    }

    pub fn size(&self) -> usize {
        self.size
    }

    /// y_0..y_(m-1), each still to be finished, for x_0..x_(m-1) and the identity in place of the others, m <= n.
    pub fn multiply(&self, vector: &[blst_p1]) -> Vec<E::Gt> {
        assert!(vector.len() <= self.size, "{} entries for a matrix of size {}", vector.len(), self.size);
        let length = self.transform.size();
        let points = E::g1_load(vector);
        let mut values = Vec::with_capacity(self.cosets * length);
        let zero = E::g1_load(&[blst_p1::default()])[0];
        let mut turned = turns::<OfG1<E>>(&points, self.cosets);
        for column in &mut turned {
            let rest = column.split_off(length.min(column.len()));
            column.resize(length, zero);
            let sums = OfG1::<E>::add(&column[..rest.len()], &rest);
            column[..rest.len()].copy_from_slice(&sums);
            values.append(column);
        }
        self.transform.scrambled::<OfG1<E>>(&mut values);
        let products: Vec<Product<E>> =
            values.iter().zip(&self.lines).map(|(x, t)| Product { points: vec![*x], lines: vec![t] }).collect();
        let mut values = E::pairings(&products);
        self.transform.unscrambled::<OfGt<E>>(&mut values);
        // Row i of the matrix is place n-1-i.
        let rows: Vec<usize> = (0..vector.len()).map(|i| self.size - 1 - i).collect();
        let mut result: Vec<E::Gt> = rows.iter().map(|j| values[j % length]).collect();
        for coset in 1..self.cosets {
            let part: Vec<E::Gt> = rows.iter().map(|j| values[coset * length + j % length]).collect();
            result = OfGt::<E>::add(&result, &turned_by::<OfGt<E>>(&part, |at| coset * rows[at]));
        }
        result
    }
}

/// Each value v_l times x^(4 l e), for every e below `count`.
fn turns<M: Module>(values: &[M::Item], count: usize) -> Vec<Vec<M::Item>> {
    (0..count).map(|e| turned_by::<M>(values, |l| e * l)).collect()
}

/// Each value times a power of x^4, which has order 3.
fn turned_by<M: Module>(values: &[M::Item], turns: impl Fn(usize) -> usize) -> Vec<M::Item> {
    let mut result = values.to_vec();
    for least in 1..3 {
        let at: Vec<usize> = (0..values.len()).filter(|at| turns(*at) % 3 >= least).collect();
        let moved = M::third_turn(&at.iter().map(|at| result[*at]).collect::<Vec<_>>());
        for (at, value) in at.into_iter().zip(moved) {
            result[at] = value;
        }
    }
    result
}

/// D_e with t_j = sum over e of z^(e j) D_e[j mod length] for all j below e * length, where z = x^4.
fn residues(t: &[blst_p2], cosets: usize, length: usize) -> Vec<Vec<blst_p2>> {
    let root = seed().power(4);
    let part = |m: usize| &t[m * length..(m + 1) * length];
    let times = |values: &[blst_p2], factor: &dyn Fn(usize) -> Fr| {
        let factors: Vec<Factor> = (0..values.len()).map(|k| Factor::new(factor(k))).collect();
        OfG2::multiply(values, &factors.iter().collect::<Vec<_>>())
    };
    let power = |exponent: usize| root.power((exponent % 3) as u64);
    match cosets {
        1 => vec![t.to_vec()],
        2 => {
            let scale = Fr::from_u64(1).subtract(&power(length)).inverse();
            let second = times(&OfG2::subtract(part(0), part(1)), &|k| scale.multiply(&power(2 * k)));
            let first = OfG2::subtract(part(0), &times(&second, &|k| power(k)));
            vec![first, second]
        }
        _ => {
            let third = Fr::from_u64(3).inverse();
            (0..3)
                .map(|e| {
                    let scaled = |m: usize| times(part(m), &|k| third.multiply(&power(2 * e * (k + m * length))));
                    OfG2::add(&OfG2::add(&scaled(0), &scaled(1)), &scaled(2))
                })
                .collect()
        }
    }
}
