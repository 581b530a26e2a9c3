//! Eight elements of Fp at once, one in each lane of AVX-512's 52-bit integer multipliers.
//!
//! An element is 8 limbs of 52 bits in Montgomery form with R = 2^416, which leaves 35 bits above p. The room makes
//! reduction rare. Bounds that all code here keeps:
//!
//! * factors of a product are below 2^398, with limbs in 0..2^52: the multiplier reads no more than the low 52 bits
//! * a sum of products that is reduced lies between -2^796 and 2^796, with columns of less than 2^63
//! * reduction gives 0..4p, and `settled` 0..3p; sums of a few of those go into products as they are

use std::arch::x86_64::*;

use bytemuck::cast;

pub const LANES: usize = 8;
pub const LIMBS: usize = 8;
const BITS: u32 = 52;
const MASK: i64 = (1 << BITS) - 1;

/// One element outside the vector registers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C, align(64))]
pub struct Limbs(pub [u64; LIMBS]);

const P: [u64; LIMBS] = [
    0xe_ffff_ffff_aaab,
    0xf_eb15_3fff_fb9f,
    0x6_b0f6_241e_abff,
    0x1_2bf6_730d_2a0f,
    0x7_6477_4b84_f385,
    0x1_ba7b_6434_bacd,
    0x1_ea39_7fe6_9a4b,
    0x1_a011,
];
/// -1/p modulo 2^52.
const P_INVERSE: u64 = 0x3_fffc_fffc_fffd;
const P_TWICE: [u64; LIMBS] = multiple(2);
/// 2^404 / p, rounded down: the quotient by p from the limb at 2^364.
const QUOTIENT: i64 = 10_322_781;
/// 2^448 mod p: brings 2^384 a to 2^416 a.
const FROM_384: [u64; LIMBS] = [
    0x7_fde3_7dba_9366,
    0x4_e275_25bc_342b,
    0x1_f5b1_e977_8489,
    0xb_872b_2b91_b9dc,
    0xb_206f_497d_fcaf,
    0x4_137c_c89a_9b0b,
    0xd_9d20_d7e3_9959,
    0x411c,
];
/// 2^384 mod p: brings 2^416 a to 2^384 a.
const TO_384: [u64; LIMBS] = [
    0x9_0000_0002_fffd,
    0x0_bc40_c000_2760,
    0x3_c758_baeb_f400,
    0x5_7455_f489_8575,
    0xd_77ce_5853_7052,
    0x0_71a9_7a25_6ec6,
    0xe_c3fa_80e4_935c,
    0x1_5f65,
];
/// 2^416 mod p.
const ONE: [u64; LIMBS] = [
    0x6_480e_a8e9_b9af,
    0x6_5766_c8fe_444f,
    0x8_b540_fea9_6f7d,
    0x3_b2ee_82ef_d422,
    0xa_6723_e5f0_ade5,
    0xf_f6eb_6fdd_4230,
    0xe_06ef_23c2_4a25,
    0x1_4c8e,
];

const P_MINUS_2: [u64; 6] = [
    0xb9feffffffffaaa9,
    0x1eabfffeb153ffff,
    0x6730d2a0f6b0f624,
    0x64774b84f38512bf,
    0x4b1ba7b6434bacd7,
    0x1a0111ea397fe69a,
];

pub const P_PLUS_1_QUARTER: [u64; 6] = [
    0xee7fbfffffffeaab,
    0x07aaffffac54ffff,
    0xd9cc34a83dac3d89,
    0xd91dd2e13ce144af,
    0x92c6e9ed90d2eb35,
    0x0680447a8e5ff9a6,
];

const fn multiple(k: u64) -> [u64; LIMBS] {
    let mut result = [0; LIMBS];
    let (mut i, mut carry) = (0, 0);
    while i < LIMBS {
        let limb = P[i] as u128 * k as u128 + carry;
        result[i] = (limb & MASK as u128) as u64;
        carry = limb >> BITS;
        i += 1;
    }
    result
}

#[derive(Clone, Copy)]
pub struct Fp(pub [__m512i; LIMBS]);

/// A sum of products, before its reduction: columns with signs.
#[derive(Clone, Copy)]
pub struct Wide(pub [__m512i; 2 * LIMBS]);

macro_rules! simd {
    ($($(#[$doc:meta])* $visibility:vis fn $name:ident $(<$(const $constant:ident: $kind:ty),*>)?
       ($($arguments:tt)*) $(-> $result:ty)? $body:block)*) => {
        $($(#[$doc])* #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
        $visibility fn $name $(<$(const $constant: $kind),*>)? ($($arguments)*) $(-> $result)? $body)*
    };
}
pub(crate) use simd;

simd! {
    #[inline]
    fn broadcast(limbs: &[u64; LIMBS]) -> Fp {
        Fp(limbs.map(|limb| _mm512_set1_epi64(limb as i64)))
    }

    /// Brings limbs into 0..2^52, of a number that is not negative.
    #[inline]
    fn carried(mut t: [__m512i; LIMBS]) -> Fp {
        let mask = _mm512_set1_epi64(MASK);
        for i in 0..LIMBS - 1 {
            t[i + 1] = _mm512_add_epi64(t[i + 1], _mm512_srai_epi64::<BITS>(t[i]));
            t[i] = _mm512_and_si512(t[i], mask);
        }
        Fp(t)
    }

    #[inline]
    fn transposed(r: [__m512i; 8]) -> [__m512i; 8] {
        let mut a = [_mm512_setzero_si512(); 8];
        for i in 0..4 {
            a[2 * i] = _mm512_unpacklo_epi64(r[2 * i], r[2 * i + 1]);
            a[2 * i + 1] = _mm512_unpackhi_epi64(r[2 * i], r[2 * i + 1]);
        }
        let mut b = [_mm512_setzero_si512(); 8];
        for i in 0..2 {
            b[i] = _mm512_shuffle_i64x2::<0x88>(a[i], a[i + 2]);
            b[i + 2] = _mm512_shuffle_i64x2::<0xdd>(a[i], a[i + 2]);
            b[i + 4] = _mm512_shuffle_i64x2::<0x88>(a[i + 4], a[i + 6]);
            b[i + 6] = _mm512_shuffle_i64x2::<0xdd>(a[i + 4], a[i + 6]);
        }
        let mut c = [_mm512_setzero_si512(); 8];
        for i in 0..4 {
            c[i] = _mm512_shuffle_i64x2::<0x88>(b[i], b[i + 4]);
            c[i + 4] = _mm512_shuffle_i64x2::<0xdd>(b[i], b[i + 4]);
        }
        c
    }

    #[inline]
    pub fn zero() -> Fp {
        Fp([_mm512_setzero_si512(); LIMBS])
    }

    #[inline]
    pub fn one() -> Fp {
        broadcast(&ONE)
    }

    /// From one element for each lane.
    #[inline]
    pub fn load(rows: [&Limbs; LANES]) -> Fp {
        Fp(transposed(rows.map(|row| cast(row.0))))
    }

    #[inline]
    pub fn load_all(row: &Limbs) -> Fp {
        broadcast(&row.0)
    }

    #[inline]
    pub fn store(a: &Fp) -> [Limbs; LANES] {
        transposed(a.0).map(|row| Limbs(cast(row)))
    }

    #[inline]
    pub fn add(a: &Fp, b: &Fp) -> Fp {
        let mut t = a.0;
        for i in 0..LIMBS {
            t[i] = _mm512_add_epi64(t[i], b.0[i]);
        }
        carried(t)
    }

    /// An element in 0..3p, from limbs of either sign and up to 2^60 of a number between -2^11 p and 2^11 p.
    #[inline]
    pub fn settled(mut t: [__m512i; LIMBS]) -> Fp {
        let top = _mm512_add_epi64(t[LIMBS - 1], _mm512_srai_epi64::<BITS>(t[LIMBS - 2]));
        let estimate = _mm512_srai_epi64::<40>(_mm512_mullo_epi64(top, _mm512_set1_epi64(QUOTIENT)));
        let quotient = _mm512_sub_epi64(estimate, _mm512_set1_epi64(1));
        for i in 0..LIMBS {
            t[i] = _mm512_sub_epi64(t[i], _mm512_mullo_epi64(quotient, _mm512_set1_epi64(P[i] as i64)));
        }
        carried(t)
    }

    #[inline]
    pub fn subtract(a: &Fp, b: &Fp) -> Fp {
        let mut t = a.0;
        for i in 0..LIMBS {
            t[i] = _mm512_sub_epi64(t[i], b.0[i]);
        }
        settled(t)
    }

    #[inline]
    pub fn negate(a: &Fp) -> Fp {
        subtract(&zero(), a)
    }

    /// A multiple by up to 2^6, settled.
    #[inline]
    pub fn times(a: &Fp, k: i64) -> Fp {
        let factor = _mm512_set1_epi64(k);
        settled(a.0.map(|limb| _mm512_mullo_epi64(limb, factor)))
    }

    /// In each lane whose bit is set, b.
    #[inline]
    pub fn select(mask: u8, a: &Fp, b: &Fp) -> Fp {
        let mut t = a.0;
        for i in 0..LIMBS {
            t[i] = _mm512_mask_blend_epi64(mask, t[i], b.0[i]);
        }
        Fp(t)
    }

    #[inline]
    pub fn wide_zero() -> Wide {
        Wide([_mm512_setzero_si512(); 2 * LIMBS])
    }

    /// t + a * b.
    #[inline]
    pub fn multiply_onto(t: &Wide, a: &Fp, b: &Fp) -> Wide {
        let mut t = t.0;
        for i in 0..LIMBS {
            for j in 0..LIMBS {
                t[i + j] = _mm512_madd52lo_epu64(t[i + j], a.0[i], b.0[j]);
                t[i + j + 1] = _mm512_madd52hi_epu64(t[i + j + 1], a.0[i], b.0[j]);
            }
        }
        Wide(t)
    }

    #[inline]
    pub fn wide_product(a: &Fp, b: &Fp) -> Wide {
        multiply_onto(&wide_zero(), a, b)
    }

    #[inline]
    pub fn wide_add(a: &Wide, b: &Wide) -> Wide {
        let mut t = a.0;
        for i in 0..2 * LIMBS {
            t[i] = _mm512_add_epi64(t[i], b.0[i]);
        }
        Wide(t)
    }

    #[inline]
    pub fn wide_subtract(a: &Wide, b: &Wide) -> Wide {
        let mut t = a.0;
        for i in 0..2 * LIMBS {
            t[i] = _mm512_sub_epi64(t[i], b.0[i]);
        }
        Wide(t)
    }

    /// a + sb * b + sc * c, for signs -1, 0 and 1.
    #[inline]
    pub fn wide_sum<const SB: i8, const SC: i8>(a: &Wide, b: &Wide, c: &Wide) -> Wide {
        let mut t = a.0;
        for i in 0..2 * LIMBS {
            t[i] = signed_sum::<SC>(signed_sum::<SB>(t[i], b.0[i]), c.0[i]);
        }
        Wide(t)
    }

    #[inline]
    fn signed_sum<const SIGN: i8>(a: __m512i, b: __m512i) -> __m512i {
        match SIGN {
            1 => _mm512_add_epi64(a, b),
            -1 => _mm512_sub_epi64(a, b),
            _ => a,
        }
    }

    /// t / R mod p, in 0..4p.
    #[inline]
    pub fn reduce(t: &Wide) -> Fp {
        let mut high = reduced_columns(t);
        for i in 0..LIMBS {
            high[i] = _mm512_add_epi64(high[i], _mm512_set1_epi64(P_TWICE[i] as i64));
        }
        carried(high)
    }

    /// t / R + a mod p, in 0..3p, for limbs of a of either sign.
    #[inline]
    pub fn reduce_and_add(t: &Wide, a: [__m512i; LIMBS]) -> Fp {
        let mut high = reduced_columns(t);
        for i in 0..LIMBS {
            high[i] = _mm512_add_epi64(high[i], a[i]);
        }
        settled(high)
    }

    #[inline]
    fn reduced_columns(t: &Wide) -> [__m512i; LIMBS] {
        let mut t = t.0;
        let zero = _mm512_setzero_si512();
        let inverse = _mm512_set1_epi64(P_INVERSE as i64);
        for i in 0..LIMBS {
            let q = _mm512_madd52lo_epu64(zero, t[i], inverse);
            for j in 0..LIMBS {
                let limb = _mm512_set1_epi64(P[j] as i64);
                t[i + j] = _mm512_madd52lo_epu64(t[i + j], q, limb);
                t[i + j + 1] = _mm512_madd52hi_epu64(t[i + j + 1], q, limb);
            }
            t[i + 1] = _mm512_add_epi64(t[i + 1], _mm512_srai_epi64::<BITS>(t[i]));
        }
        let mut high = [zero; LIMBS];
        high.copy_from_slice(&t[LIMBS..]);
        high
    }

    #[inline]
    pub fn multiply(a: &Fp, b: &Fp) -> Fp {
        reduce(&wide_product(a, b))
    }

    #[inline]
    pub fn square(a: &Fp) -> Fp {
        let mut t = [_mm512_setzero_si512(); 2 * LIMBS];
        for i in 0..LIMBS {
            for j in i + 1..LIMBS {
                t[i + j] = _mm512_madd52lo_epu64(t[i + j], a.0[i], a.0[j]);
                t[i + j + 1] = _mm512_madd52hi_epu64(t[i + j + 1], a.0[i], a.0[j]);
            }
        }
        for i in 0..LIMBS {
            t[2 * i] = _mm512_madd52lo_epu64(_mm512_add_epi64(t[2 * i], t[2 * i]), a.0[i], a.0[i]);
            t[2 * i + 1] = _mm512_madd52hi_epu64(_mm512_add_epi64(t[2 * i + 1], t[2 * i + 1]), a.0[i], a.0[i]);
        }
        reduce(&Wide(t))
    }

    /// a^e, for e in 64-bit words from the lowest.
    #[inline]
    pub fn power(a: &Fp, e: &[u64]) -> Fp {
        let mut table = [*a; 16];
        table[0] = one();
        for i in 2..16 {
            table[i] = multiply(&table[i - 1], a);
        }
        let mut result = one();
        for word in e.iter().rev() {
            for digit in (0..16).rev().map(|at| (word >> (4 * at) & 15) as usize) {
                for _ in 0..4 {
                    result = square(&result);
                }
                if digit != 0 {
                    result = multiply(&result, &table[digit]);
                }
            }
        }
        result
    }
}

simd! {
    /// 1/a, and 0 for 0.
    #[inline(never)]
    pub fn invert(a: &Fp) -> Fp {
        power(a, &P_MINUS_2)
    }

    /// The inverses of many, which are not 0, with one exponentiation. `scratch` has their length.
    pub fn invert_all(values: &mut [Fp], scratch: &mut [Fp]) {
        let mut product = one();
        for (value, before) in values.iter().zip(scratch.iter_mut()) {
            *before = product;
            product = multiply(&product, value);
        }
        let mut inverse = invert(&product);
        for (value, before) in values.iter_mut().zip(scratch.iter()).rev() {
            let next = multiply(&inverse, value);
            *value = multiply(&inverse, before);
            inverse = next;
        }
    }
}

/// Lanes as bits.
pub fn mask(lanes: [bool; LANES]) -> u8 {
    lanes.iter().rev().fold(0, |mask, bit| mask << 1 | u8::from(*bit))
}

/// blst's form: below p, times 2^384, in 64-bit words from the lowest.
pub type Words = [u64; 6];

fn words_to_limbs(words: &Words) -> Limbs {
    let mut limbs = [0; LIMBS];
    for (i, limb) in limbs.iter_mut().enumerate() {
        let (word, shift) = (52 * i / 64, 52 * i % 64);
        *limb = words[word] >> shift;
        if shift > 12 && word + 1 < 6 {
            *limb |= words[word + 1] << (64 - shift);
        }
        *limb &= MASK as u64;
    }
    Limbs(limbs)
}

/// Of an element below 4p.
fn limbs_to_words(limbs: &Limbs) -> Words {
    let mut value = limbs.0;
    for k in [2, 1] {
        let (mut difference, mut borrow) = ([0; LIMBS], 0i64);
        let taken = multiple(k);
        for i in 0..LIMBS {
            let limb = value[i] as i64 - taken[i] as i64 + borrow;
            difference[i] = (limb & MASK) as u64;
            borrow = limb >> BITS;
        }
        if borrow == 0 {
            value = difference;
        }
    }
    let mut words = [0u64; 6];
    for (i, limb) in value.iter().enumerate() {
        let (word, shift) = (52 * i / 64, 52 * i % 64);
        words[word] |= limb << shift;
        if shift > 12 && word + 1 < 6 {
            words[word + 1] |= limb >> (64 - shift);
        }
    }
    words
}

simd! {
    /// From blst's form.
    #[inline]
    pub fn from_words(rows: [&Words; LANES]) -> Fp {
        let rows = rows.map(words_to_limbs);
        multiply(&load(rows.each_ref()), &broadcast(&FROM_384))
    }

    #[inline]
    pub fn is_zero(a: &Fp) -> [bool; LANES] {
        to_words(a).map(|words| words == [0; 6])
    }

    pub fn to_words(a: &Fp) -> [Words; LANES] {
        store(&multiply(a, &broadcast(&TO_384))).each_ref().map(limbs_to_words)
    }
}
