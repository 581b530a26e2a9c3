//! Exponents of the target group as sums of signed powers of two, four digits in step.
//!
//! The first digit, made odd, is a sum of +-2^i for all i, and the others follow its signs: each step is one of eight
//! products, or its inverse. Faz-Hernandez, Longa and Sanchez, "Efficient and secure algorithms for GLV-based scalar
//! multiplication", J. Cryptographic Engineering 2015. All exponents take the same steps, so eight can run in lanes.

use crate::scalar::{Scalar, digits};

pub const STEPS: usize = 65;
pub const TABLE: usize = 8;

#[derive(Clone, Debug)]
pub struct Recoded {
    /// From the lowest power of two: which of the digits 1..3 take part, and 8 for a negative sign.
    pub steps: [u8; STEPS],
    /// The first digit was even, and one too much is taken.
    pub even: bool,
}

pub fn recode(scalar: &Scalar) -> Recoded {
    let [first, others @ ..] = digits(scalar);
    let even = first & 1 == 0;
    let first = first | 1;
    let mut others = others.map(i128::from);
    let steps = std::array::from_fn(|i| {
        let negative = i + 1 < STEPS && (first.checked_shr(i as u32 + 1).unwrap_or(0)) & 1 == 0;
        let sign = if negative { -1 } else { 1 };
        let mut code = if negative { 8 } else { 0 };
        for (at, digit) in others.iter_mut().enumerate() {
            let bit = (*digit & 1) * sign;
            code |= u8::from(bit != 0) << at;
            *digit = (*digit - bit) / 2;
        }
        code
    });
    debug_assert_eq!(others, [0; 3]);
    Recoded { steps, even }
}
