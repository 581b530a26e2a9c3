//! Sums of multiples of points, by the bucket method.
//!
//! In G1 a scalar becomes two signed halves, and eight windows of them run in lanes: each lane has its own buckets, and
//! all take the same point.

use blst::*;

use crate::scalar::{Scalar, X, digits, to_little_endian};

/// |x|^2.
pub const X_SQUARED: u128 = X as u128 * X as u128;

/// k0 + k1 x^2, both of at most 127 bits with their signs.
pub fn signed_halves(scalar: &Scalar) -> [i128; 2] {
    let d = digits(scalar).map(u128::from);
    let x = u128::from(X);
    let (low, high) = (d[0] + x * d[1], d[2] + x * d[3]);
    let (mut low, carry) = if low > X_SQUARED / 2 { (-((X_SQUARED - low) as i128), 1) } else { (low as i128, 0) };
    let mut high = if high > X_SQUARED / 2 {
        // x^4 = x^2 - 1 mod r
        low -= 1;
        1 - (X_SQUARED - high) as i128
    } else {
        high as i128
    };
    high += carry;
    [low, high]
}

/// How wide windows of 128 bits should be for this many halves, in passes of eight.
pub fn window_bits(halves: usize) -> usize {
    [4, 6, 8, 16]
        .into_iter()
        .min_by_key(|bits| windows(*bits).div_ceil(8) * (halves + (2 << (bits - 1))))
        .expect("there are widths to choose from")
}

pub fn windows(bits: usize) -> usize {
    128usize.div_ceil(bits)
}

/// Digits between -2^(bits-1) and 2^(bits-1), from the lowest.
pub fn window_digits(value: i128, bits: usize) -> Vec<i32> {
    let (mut rest, sign) = (value.unsigned_abs(), if value < 0 { -1 } else { 1 });
    let mut carry = 0;
    let digits = (0..windows(bits))
        .map(|_| {
            let digit = (rest & ((1 << bits) - 1)) as i32 + carry;
            rest >>= bits;
            carry = i32::from(digit > 1 << (bits - 1));
            sign * (digit - (carry << bits))
        })
        .collect();
    debug_assert_eq!(carry, 0);
    digits
}

/// Each window's sum times 2^(bits * its number), added up.
pub fn joined(sums: &[blst_p1], bits: usize) -> blst_p1 {
    let mut result = blst_p1::default();
    for sum in sums.iter().rev() {
        for _ in 0..bits {
            // SAFETY: blst reads one point and writes one, which may be the same.
            unsafe { blst_p1_double(&mut result, &result) };
        }
        // SAFETY: as above.
        unsafe { blst_p1_add_or_double(&mut result, &result, sum) };
    }
    result
}

macro_rules! pippenger {
    ($name:ident, $point:ty, $affine:ty, $to_affine:ident, $mult:ident, $scratch:ident) => {
        /// blst's own, for scalars and points of equal number, on this thread.
        pub fn $name(points: &[$point], scalars: &[Scalar]) -> $point {
            assert_eq!(points.len(), scalars.len());
            let mut result = <$point>::default();
            if points.is_empty() {
                return result;
            }
            let mut affine = vec![<$affine>::default(); points.len()];
            let bytes: Vec<u8> = scalars.iter().flat_map(to_little_endian).collect();
            // SAFETY: null ends the lists of pointers, whose first points to all items in a row; the scratch space has
            // the size that blst asks for; 255 bits are less than each scalar's 32 bytes.
            unsafe {
                let lists = [points.as_ptr(), std::ptr::null()];
                $to_affine(affine.as_mut_ptr(), lists.as_ptr(), points.len());
                let mut scratch = vec![0u64; $scratch(points.len()).div_ceil(8)];
                let (lists, scalars) = ([affine.as_ptr(), std::ptr::null()], [bytes.as_ptr(), std::ptr::null()]);
                $mult(&mut result, lists.as_ptr(), points.len(), scalars.as_ptr(), 255, scratch.as_mut_ptr());
            }
            result
        }
    };
}

pippenger!(
    pippenger_g1,
    blst_p1,
    blst_p1_affine,
    blst_p1s_to_affine,
    blst_p1s_mult_pippenger,
    blst_p1s_mult_pippenger_scratch_sizeof
);
pippenger!(
    pippenger_g2,
    blst_p2,
    blst_p2_affine,
    blst_p2s_to_affine,
    blst_p2s_mult_pippenger,
    blst_p2s_mult_pippenger_scratch_sizeof
);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scalar::{Fr, ORDER, seed};

    #[test]
    fn halves_make_the_scalar() {
        let square = seed().power(2);
        let fr = |value: i128| {
            let size = value.unsigned_abs();
            let fr = Fr::new(&[size as u64, (size >> 64) as u64, 0, 0]);
            if value < 0 { fr.negate() } else { fr }
        };
        let mut state = 1u64;
        let mut word = || {
            state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
            state.rotate_left(23)
        };
        let mut scalars: Vec<Scalar> = (0..300).map(|_| [word(), word(), word(), word() >> 2]).collect();
        scalars.push([0; 4]);
        scalars.push([ORDER[0] - 1, ORDER[1], ORDER[2], ORDER[3]]);
        for scalar in scalars {
            let [low, high] = signed_halves(&scalar);
            assert!(low.unsigned_abs() <= 1 << 127 && high.unsigned_abs() <= 1 << 127);
            assert_eq!(fr(low).add(&fr(high).multiply(&square)).scalar(), scalar);
            for bits in [4, 6, 8, 16] {
                for half in [low, high] {
                    let digits = window_digits(half, bits);
                    assert!(digits.iter().all(|digit| digit.abs() <= 1 << (bits - 1)));
                    let sum = digits.iter().rev().fold(Fr::default(), |sum, digit| {
                        sum.multiply(&Fr::from_u64(1 << bits)).add(&fr(i128::from(*digit)))
                    });
                    assert_eq!(sum, fr(half));
                }
            }
        }
    }
}
