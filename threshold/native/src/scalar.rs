//! Integers modulo r, the group order, and how they are written in base |x|.
//!
//! x = -0xd201000000010000 is the parameter of the curve, r = x^4 - x^2 + 1, and the Frobenius map of the pairing's
//! target group, like the endomorphism of G2, multiplies exponents by x modulo r. So four digits of 64 bits in base |x|
//! make one long exponentiation into four short ones that run together.

use blst::{blst_fr, blst_fr_add, blst_fr_from_uint64, blst_fr_inverse, blst_fr_mul, blst_fr_sub, blst_uint64_from_fr};

pub const X: u64 = 0xd201_0000_0001_0000;

/// Below r, in 64-bit words from the lowest.
pub type Scalar = [u64; 4];

pub const ORDER: Scalar = [0xffff_ffff_0000_0001, 0x53bd_a402_fffe_5bfe, 0x3339_d808_09a1_d805, 0x73ed_a753_299d_7d48];

pub const SCALAR_BYTES: usize = 32;

/// From 32 big-endian bytes; None unless below r.
pub fn from_bytes(bytes: &[u8; SCALAR_BYTES]) -> Option<Scalar> {
    let mut scalar = [0; 4];
    for (word, chunk) in scalar.iter_mut().zip(bytes.rchunks_exact(8)) {
        *word = u64::from_be_bytes(chunk.try_into().expect("chunks of 8 bytes"));
    }
    scalar.iter().rev().lt(ORDER.iter().rev()).then_some(scalar)
}

pub fn to_little_endian(scalar: &Scalar) -> [u8; SCALAR_BYTES] {
    let mut bytes = [0; SCALAR_BYTES];
    for (chunk, word) in bytes.chunks_exact_mut(8).zip(scalar) {
        chunk.copy_from_slice(&word.to_le_bytes());
    }
    bytes
}

/// At least 1: what blst takes as the length of a scalar.
pub fn bit_length(scalar: &Scalar) -> usize {
    (0..256).rev().find(|bit| scalar[bit / 64] >> (bit % 64) & 1 == 1).unwrap_or(0) + 1
}

/// d0 + d1 |x| + d2 |x|^2 + d3 |x|^3.
pub fn digits(scalar: &Scalar) -> [u64; 4] {
    let mut rest = *scalar;
    let mut result = [0; 4];
    for digit in &mut result {
        let mut remainder = 0u128;
        for word in rest.iter_mut().rev() {
            let value = (remainder << 64) | u128::from(*word);
            *word = (value / u128::from(X)) as u64;
            remainder = value % u128::from(X);
        }
        *digit = remainder as u64;
    }
    result
}

/// A scalar in Montgomery form, for arithmetic.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Fr(blst_fr);

impl Fr {
    pub fn new(scalar: &Scalar) -> Self {
        let mut result = blst_fr::default();
        // SAFETY: both point to four words, and blst reads and writes no more.
        unsafe { blst_fr_from_uint64(&mut result, scalar.as_ptr()) };
        Self(result)
    }

    pub fn from_u64(value: u64) -> Self {
        Self::new(&[value, 0, 0, 0])
    }

    pub fn scalar(&self) -> Scalar {
        let mut result = [0; 4];
        // SAFETY: as above.
        unsafe { blst_uint64_from_fr(result.as_mut_ptr(), &self.0) };
        result
    }

    fn with(
        &self,
        other: &Self,
        operation: unsafe extern "C" fn(*mut blst_fr, *const blst_fr, *const blst_fr),
    ) -> Self {
        let mut result = blst_fr::default();
        // SAFETY: blst's binary operations on fr read two values and write one.
        unsafe { operation(&mut result, &self.0, &other.0) };
        Self(result)
    }

    pub fn add(&self, other: &Self) -> Self {
        self.with(other, blst_fr_add)
    }

    pub fn subtract(&self, other: &Self) -> Self {
        self.with(other, blst_fr_sub)
    }

    pub fn multiply(&self, other: &Self) -> Self {
        self.with(other, blst_fr_mul)
    }

    pub fn negate(&self) -> Self {
        Self::default().subtract(self)
    }

    /// 1/self, and 0 for 0.
    pub fn inverse(&self) -> Self {
        let mut result = blst_fr::default();
        // SAFETY: blst reads one value and writes one.
        unsafe { blst_fr_inverse(&mut result, &self.0) };
        Self(result)
    }

    pub fn power(&self, exponent: u64) -> Self {
        let mut result = Self::from_u64(1);
        for bit in (0..64).rev() {
            result = result.multiply(&result);
            if exponent >> bit & 1 == 1 {
                result = result.multiply(self);
            }
        }
        result
    }
}

/// x, which has order 12.
pub fn seed() -> Fr {
    Fr::from_u64(X).negate()
}

/// Of order `size`, a power of two up to 2^32, with root^(size/4) = x^3, where the Frobenius map serves as a root.
pub fn root_of_unity(size: usize) -> Fr {
    assert!(size.is_power_of_two() && size <= 1 << 32, "no root of unity has order {size}");
    // 7 generates the multiplicative group, and (r-1)/2^32 is the odd cofactor.
    let cofactor: [u64; 4] = [0xfffe_5bfe_ffff_ffff, 0x09a1_d805_53bd_a402, 0x299d_7d48_3339_d808, 0x73ed_a753];
    let seven = Fr::from_u64(7);
    let mut root = Fr::from_u64(1);
    for bit in (0..256).rev() {
        root = root.multiply(&root);
        if cofactor[bit / 64] >> (bit % 64) & 1 == 1 {
            root = root.multiply(&seven);
        }
    }
    for _ in 0..32 - size.ilog2() {
        root = root.multiply(&root);
    }
    if size >= 4 && root.power(size as u64 / 4) != seed().power(3) { root.inverse() } else { root }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_make_the_scalar() {
        let x = Fr::from_u64(X);
        for scalar in [[0, 0, 0, 0], [1, 0, 0, 0], [5, 6, 7, 8], {
            let mut most = ORDER;
            most[0] -= 1;
            most
        }] {
            let sum =
                digits(&scalar).iter().rev().fold(Fr::default(), |sum, d| sum.multiply(&x).add(&Fr::from_u64(*d)));
            assert_eq!(sum.scalar(), scalar);
        }
    }

    #[test]
    fn roots_have_their_order() {
        for size in [1, 2, 4, 8, 1024] {
            let root = root_of_unity(size);
            assert_eq!(root.power(size as u64), Fr::from_u64(1));
            assert!(size == 1 || root.power(size as u64 / 2) != Fr::from_u64(1));
            assert!(size < 4 || root.power(size as u64 / 4) == seed().power(3));
        }
        assert_eq!(seed().power(12), Fr::from_u64(1));
        assert_ne!(seed().power(6), Fr::from_u64(1));
    }
}
