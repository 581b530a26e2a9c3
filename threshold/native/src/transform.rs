//! Number-theoretic transforms over anything that scalars multiply: Fr, G1, G2 and the pairing's target group.
//!
//! Split radix, which multiplies least, one level after another over all blocks, so that every step is one call on many
//! values. A root of order 4 costs next to nothing in the target group, where it is a power of the Frobenius map, and a
//! root of order 3 in G1 as well. Source: Duhamel and Hollmann, "Split radix FFT algorithm", Electronics Letters 1984.

use std::marker::PhantomData;

use blst::*;

use crate::engine::{Engine, in_parallel};
use crate::portable::blst;
use crate::recoding::{Recoded, recode};
use crate::scalar::{Fr, Scalar, root_of_unity, seed, to_little_endian};

/// A scalar in all the forms that multiplications ask for.
#[derive(Clone)]
pub struct Factor {
    fr: Fr,
    scalar: Scalar,
    recoded: Recoded,
}

impl Factor {
    pub fn new(fr: Fr) -> Self {
        let scalar = fr.scalar();
        Self { fr, scalar, recoded: recode(&scalar) }
    }
}

/// Values that can be added and multiplied by scalars, many at a time.
pub trait Module {
    type Item: Copy + Send + Sync;

    fn add(a: &[Self::Item], b: &[Self::Item]) -> Vec<Self::Item>;
    fn negate(a: &[Self::Item]) -> Vec<Self::Item>;
    fn multiply(a: &[Self::Item], factors: &[&Factor]) -> Vec<Self::Item>;

    /// Times x^3, of order 4.
    fn quarter_turn(a: &[Self::Item]) -> Vec<Self::Item> {
        let root = Factor::new(seed().power(3));
        Self::multiply(a, &vec![&root; a.len()])
    }

    /// Times x^4, of order 3.
    fn third_turn(a: &[Self::Item]) -> Vec<Self::Item> {
        let root = Factor::new(seed().power(4));
        Self::multiply(a, &vec![&root; a.len()])
    }

    fn subtract(a: &[Self::Item], b: &[Self::Item]) -> Vec<Self::Item> {
        Self::add(a, &Self::negate(b))
    }
}

pub struct OfFr;

impl Module for OfFr {
    type Item = Fr;

    fn add(a: &[Fr], b: &[Fr]) -> Vec<Fr> {
        a.iter().zip(b).map(|(a, b)| a.add(b)).collect()
    }

    fn negate(a: &[Fr]) -> Vec<Fr> {
        a.iter().map(Fr::negate).collect()
    }

    fn multiply(a: &[Fr], factors: &[&Factor]) -> Vec<Fr> {
        a.iter().zip(factors).map(|(a, factor)| a.multiply(&factor.fr)).collect()
    }
}

pub struct OfG1<E>(PhantomData<E>);

impl<E: Engine> Module for OfG1<E> {
    type Item = E::G1;

    fn add(a: &[E::G1], b: &[E::G1]) -> Vec<E::G1> {
        E::g1_add(a, b)
    }

    fn negate(a: &[E::G1]) -> Vec<E::G1> {
        E::g1_negate(a)
    }

    fn multiply(a: &[E::G1], factors: &[&Factor]) -> Vec<E::G1> {
        E::g1_multiply(a, &factors.iter().map(|factor| factor.scalar).collect::<Vec<_>>())
    }

    fn quarter_turn(a: &[E::G1]) -> Vec<E::G1> {
        E::g1_times_x(&E::g1_times_x_squared(a))
    }

    fn third_turn(a: &[E::G1]) -> Vec<E::G1> {
        E::g1_times_x_squared(&E::g1_times_x_squared(a))
    }
}

pub struct OfG2;

impl Module for OfG2 {
    type Item = blst_p2;

    fn add(a: &[blst_p2], b: &[blst_p2]) -> Vec<blst_p2> {
        // SAFETY: blst reads two points and writes one.
        in_parallel(a.len(), 64, |range| range.map(|i| blst!(blst_p2_add_or_double(&a[i], &b[i]) -> blst_p2)).collect())
    }

    fn negate(a: &[blst_p2]) -> Vec<blst_p2> {
        a.iter()
            .map(|point| {
                let mut result = *point;
                // SAFETY: blst changes one point in place.
                unsafe { blst_p2_cneg(&mut result, true) };
                result
            })
            .collect()
    }

    fn multiply(a: &[blst_p2], factors: &[&Factor]) -> Vec<blst_p2> {
        // SAFETY: blst reads a point and 255 bits of a scalar of 32 bytes, and writes a point.
        in_parallel(a.len(), 1, |range| {
            range
                .map(|i| {
                    let scalar = to_little_endian(&factors[i].scalar);
                    blst!(blst_p2_mult(&a[i], scalar.as_ptr(), 255) -> blst_p2)
                })
                .collect()
        })
    }
}

/// Written multiplicatively elsewhere: `add` multiplies, and `multiply` is a power.
pub struct OfGt<E>(PhantomData<E>);

impl<E: Engine> Module for OfGt<E> {
    type Item = E::Gt;

    fn add(a: &[E::Gt], b: &[E::Gt]) -> Vec<E::Gt> {
        E::gt_multiply(a, b)
    }

    fn negate(a: &[E::Gt]) -> Vec<E::Gt> {
        E::gt_invert(a)
    }

    fn multiply(a: &[E::Gt], factors: &[&Factor]) -> Vec<E::Gt> {
        E::gt_power(a, &factors.iter().map(|factor| &factor.recoded).collect::<Vec<_>>())
    }

    fn quarter_turn(a: &[E::Gt]) -> Vec<E::Gt> {
        E::gt_frobenius(a, 3)
    }

    fn third_turn(a: &[E::Gt]) -> Vec<E::Gt> {
        E::gt_frobenius(&E::gt_frobenius(a, 2), 2)
    }
}

#[derive(Clone, Copy)]
struct Block {
    start: usize,
    size: usize,
}

pub struct Transform {
    size: usize,
    /// The powers of a root of unity of order `size`.
    factors: Vec<Factor>,
    levels: Vec<Vec<Block>>,
}

/// Where the four legs of a butterfly are, and which powers of the root turn its last two. A butterfly of two has
/// only the first and third leg.
struct Butterflies {
    first: Vec<usize>,
    second: Vec<usize>,
    third: Vec<usize>,
    fourth: Vec<usize>,
    turns: Vec<usize>,
}

impl Transform {
    /// For a power of two.
    pub fn new(size: usize) -> Self {
        let root = root_of_unity(size);
        let powers = std::iter::successors(Some(Fr::from_u64(1)), |power| Some(power.multiply(&root)));
        let mut levels = vec![vec![Block { start: 0, size }]];
        loop {
            let next: Vec<Block> = levels[levels.len() - 1]
                .iter()
                .filter(|block| block.size >= 4)
                .flat_map(|&Block { start, size }| {
                    [(0, size / 2), (size / 2, size / 4), (size / 4 * 3, size / 4)]
                        .map(|(at, size)| Block { start: start + at, size })
                })
                .filter(|block| block.size > 1)
                .collect();
            if next.is_empty() {
                break;
            }
            levels.push(next);
        }
        Self { size, factors: powers.take(size).map(Factor::new).collect(), levels }
    }

    pub fn size(&self) -> usize {
        self.size
    }

    /// Which frequency stands at each place of a scrambled transform.
    pub fn order(&self) -> Vec<usize> {
        fn order(size: usize) -> Vec<usize> {
            match size {
                1 => vec![0],
                2 => vec![0, 1],
                _ => {
                    let quarter = order(size / 4);
                    let even = order(size / 2).into_iter().map(|f| 2 * f);
                    even.chain(quarter.iter().map(|f| 4 * f + 1)).chain(quarter.iter().map(|f| 4 * f + 3)).collect()
                }
            }
        }
        order(self.size)
    }

    /// Of every `size` values in turn; frequencies come out in `order`.
    pub fn scrambled<M: Module>(&self, values: &mut [M::Item]) {
        for level in &self.levels {
            let at = self.butterflies(level, values.len());
            let [a, b, c, d] = at.legs(values);
            let (b_plus_d, b_minus_d) = (M::add(&b, &d), M::subtract(&b, &d));
            let (a_plus_c, a_minus_c) = (M::add(&a, &c), M::subtract(&a, &c));
            let turned = M::quarter_turn(&b_minus_d);
            let (four, two) = a_minus_c.split_at(turned.len());
            let mut lower = M::add(four, &turned);
            lower.extend(M::subtract(four, &turned));
            self.turn::<M>(&mut lower, &at.turns);
            put(values, &at.first, &a_plus_c);
            put(values, &at.second, &b_plus_d);
            put(values, &at.third, &[&lower[..four.len()], two].concat());
            put(values, &at.fourth, &lower[four.len()..]);
        }
    }

    /// The transform of every `size` values in `order`: the transpose of `scrambled`, step by step.
    pub fn unscrambled<M: Module>(&self, values: &mut [M::Item]) {
        for level in self.levels.iter().rev() {
            let at = self.butterflies(level, values.len());
            let [first, second, third, fourth] = at.legs(values);
            let (four, two) = third.split_at(fourth.len());
            let mut lower = [four, &fourth].concat();
            self.turn::<M>(&mut lower, &at.turns);
            let (p, q) = lower.split_at(four.len());
            let sums = [&M::add(p, q)[..], two].concat();
            let turned = M::quarter_turn(&M::subtract(p, q));
            put(values, &at.first, &M::add(&first, &sums));
            put(values, &at.third, &M::subtract(&first, &sums));
            put(values, &at.second, &M::add(&second, &turned));
            put(values, &at.fourth, &M::subtract(&second, &turned));
        }
    }

    /// Sum over j of root^(jk) v_j for every k; of the inverse root and divided by the size if `inverse`.
    pub fn apply<M: Module>(&self, values: &[M::Item], inverse: bool) -> Vec<M::Item> {
        let mut scrambled = values.to_vec();
        self.scrambled::<M>(&mut scrambled);
        let mut result = scrambled.clone();
        for (value, frequency) in scrambled.into_iter().zip(self.order()) {
            result[if inverse { (self.size - frequency) % self.size } else { frequency }] = value;
        }
        if inverse {
            let part = Factor::new(Fr::from_u64(self.size as u64).inverse());
            result = M::multiply(&result, &vec![&part; self.size]);
        }
        result
    }

    fn butterflies(&self, level: &[Block], length: usize) -> Butterflies {
        let mut at = Butterflies { first: vec![], second: vec![], third: vec![], fourth: vec![], turns: vec![] };
        let blocks = || (0..length).step_by(self.size).flat_map(|base| level.iter().map(move |block| (base, block)));
        let mut triple = Vec::new();
        for (base, &Block { start, size }) in blocks().filter(|(_, block)| block.size >= 4) {
            for k in 0..size / 4 {
                let leg = base + start + k;
                at.first.push(leg);
                at.second.push(leg + size / 4);
                at.third.push(leg + size / 2);
                at.fourth.push(leg + size / 4 * 3);
                at.turns.push(k * (self.size / size));
                triple.push(3 * k * (self.size / size));
            }
        }
        at.turns.extend(triple);
        for (base, block) in blocks().filter(|(_, block)| block.size == 2) {
            at.first.push(base + block.start);
            at.third.push(base + block.start + 1);
        }
        at
    }

    /// Multiplies by powers of the root, leaving out the zeroth.
    fn turn<M: Module>(&self, values: &mut [M::Item], turns: &[usize]) {
        let moved: Vec<usize> = (0..values.len()).filter(|at| !turns[*at].is_multiple_of(self.size)).collect();
        let factors: Vec<&Factor> = moved.iter().map(|at| &self.factors[turns[*at] % self.size]).collect();
        let products = M::multiply(&take(values, &moved), &factors);
        put(values, &moved, &products);
    }
}

impl Butterflies {
    fn legs<T: Copy>(&self, values: &[T]) -> [Vec<T>; 4] {
        [&self.first, &self.second, &self.third, &self.fourth].map(|leg| take(values, leg))
    }
}

fn take<T: Copy>(values: &[T], at: &[usize]) -> Vec<T> {
    at.iter().map(|at| values[*at]).collect()
}

fn put<T: Copy>(values: &mut [T], at: &[usize], new: &[T]) {
    for (at, value) in at.iter().zip(new) {
        values[*at] = *value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equals_the_sum() {
        for size in [1usize, 2, 4, 8, 16, 64, 128] {
            let values: Vec<Fr> = (0..size).map(|i| Fr::from_u64(3 * i as u64 * i as u64 + 5)).collect();
            let root = root_of_unity(size);
            let transform = Transform::new(size);
            let result = transform.apply::<OfFr>(&values, false);
            for (k, value) in result.iter().enumerate() {
                let sum = values
                    .iter()
                    .enumerate()
                    .fold(Fr::default(), |sum, (j, v)| sum.add(&v.multiply(&root.power((j * k) as u64))));
                assert_eq!(sum, *value);
            }
            assert_eq!(transform.apply::<OfFr>(&result, true), values);
            let mut back: Vec<Fr> = transform.order().iter().map(|f| values[*f]).collect();
            transform.unscrambled::<OfFr>(&mut back);
            assert_eq!(back, result);
        }
    }
}
