//! The engines against each other and against blst's own functions.

use blst::*;
use encmempool_native::engine::{Engine, Product};
use encmempool_native::portable::Portable;
use encmempool_native::recoding::recode;
use encmempool_native::scalar::{ORDER, Scalar, to_little_endian};

#[cfg(target_arch = "x86_64")]
use encmempool_native::ifma::{Ifma, is_supported};

/// Scalars with the extremes first.
fn scalars(count: usize) -> Vec<Scalar> {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut word = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut most = ORDER;
    most[0] -= 1;
    let mut result = vec![[0, 0, 0, 0], [1, 0, 0, 0], most, [2, 0, 0, 0], [u64::MAX, u64::MAX, 0, 0]];
    result.extend((0..count).map(|_| [word(), word(), word(), word() >> 2]));
    result.truncate(count);
    result
}

fn g1(scalar: &Scalar) -> blst_p1 {
    let mut result = blst_p1::default();
    unsafe { blst_p1_mult(&mut result, blst_p1_generator(), to_little_endian(scalar).as_ptr(), 255) };
    result
}

fn g2(scalar: &Scalar) -> blst_p2 {
    let mut result = blst_p2::default();
    unsafe { blst_p2_mult(&mut result, blst_p2_generator(), to_little_endian(scalar).as_ptr(), 255) };
    result
}

fn same(a: &[blst_p1], b: &[blst_p1]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| unsafe { blst_p1_is_equal(a, b) })
}

fn pairing(p: &blst_p1, q: &blst_p2) -> blst_fp12 {
    let (mut pa, mut qa, mut result) = (blst_p1_affine::default(), blst_p2_affine::default(), blst_fp12::default());
    unsafe {
        blst_p1_to_affine(&mut pa, p);
        blst_p2_to_affine(&mut qa, q);
        blst_miller_loop(&mut result, &qa, &pa);
        blst_final_exp(&mut result, &result);
    }
    result
}

fn check<E: Engine>() {
    let ks = scalars(37);
    let points: Vec<blst_p1> = ks.iter().map(g1).collect();
    let loaded = E::g1_load(&points);
    assert!(same(&E::g1_store(&loaded), &points));
    let turned: Vec<_> = loaded.iter().rev().copied().collect();
    let sums: Vec<blst_p1> = points
        .iter()
        .zip(points.iter().rev())
        .map(|(a, b)| {
            let mut sum = blst_p1::default();
            unsafe { blst_p1_add_or_double(&mut sum, a, b) };
            sum
        })
        .collect();
    assert!(same(&E::g1_store(&E::g1_add(&loaded, &turned)), &sums));
    let doubled = E::g1_store(&E::g1_add(&loaded, &loaded));
    let none = E::g1_store(&E::g1_add(&loaded, &E::g1_negate(&loaded)));
    for (point, (twice, zero)) in points.iter().zip(doubled.iter().zip(&none)) {
        let mut expected = blst_p1::default();
        unsafe { blst_p1_double(&mut expected, point) };
        assert!(unsafe { blst_p1_is_equal(&expected, twice) && blst_p1_is_inf(zero) });
    }
    let others: Vec<Scalar> = ks.iter().rev().copied().collect();
    let products: Vec<blst_p1> = points
        .iter()
        .zip(&others)
        .map(|(point, k)| {
            let mut product = blst_p1::default();
            unsafe { blst_p1_mult(&mut product, point, to_little_endian(k).as_ptr(), 255) };
            product
        })
        .collect();
    assert!(same(&E::g1_store(&E::g1_multiply(&loaded, &others)), &products));
    let squared = E::g1_times_x(&E::g1_times_x(&loaded));
    assert!(same(&E::g1_store(&squared), &E::g1_store(&E::g1_times_x_squared(&loaded))));

    for length in [0, 1, 2, 3, 9, 37] {
        let (points, ks) = (&points[..length], &others[..length]);
        let sum = products[..length].iter().fold(blst_p1::default(), |sum, product| {
            let mut result = blst_p1::default();
            unsafe { blst_p1_add_or_double(&mut result, &sum, product) };
            result
        });
        assert!(same(&[E::g1_msm(points, ks)], &[sum]));
    }

    let qs: Vec<blst_p2> = others.iter().map(g2).collect();
    let lines = E::lines(&qs);
    let singles: Vec<Product<E>> =
        loaded.iter().zip(&lines).map(|(p, q)| Product { points: vec![*p], lines: vec![q] }).collect();
    let values = E::pairings(&singles);
    let expected: Vec<blst_fp12> = points.iter().zip(&qs).map(|(p, q)| pairing(p, q)).collect();
    let finished = E::gt_finish(&values);
    assert_eq!(E::gt_store(&finished), expected);
    assert_eq!(E::gt_store(&E::gt_load(&expected)), expected);

    let long = Product { points: loaded.clone(), lines: lines.iter().collect() };
    let short = Product { points: loaded[..3].to_vec(), lines: lines[..3].iter().collect() };
    let product = |values: &[blst_fp12]| {
        values.iter().fold(unsafe { *blst_fp12_one() }, |product, value| {
            let mut result = blst_fp12::default();
            unsafe { blst_fp12_mul(&mut result, &product, value) };
            result
        })
    };
    let empty = Product { points: vec![], lines: vec![] };
    let long = E::gt_store(&E::gt_finish(&E::pairings(&[long, short, empty])));
    assert_eq!(long, [product(&expected), product(&expected[..3]), product(&[])]);

    let recoded: Vec<_> = ks.iter().map(recode).collect();
    let powers = E::gt_store(&E::gt_finish(&E::gt_power(&values, &recoded.iter().collect::<Vec<_>>())));
    for ((value, k), power) in expected.iter().zip(&ks).zip(&powers) {
        let bytes = to_little_endian(k);
        let mut result = unsafe { *blst_fp12_one() };
        for bit in (0..256).rev() {
            unsafe {
                blst_fp12_sqr(&mut result, &result);
                if bytes[bit / 8] >> (bit % 8) & 1 == 1 {
                    blst_fp12_mul(&mut result, &result, value);
                }
            }
        }
        assert_eq!(result, *power);
    }
    let x = recode(&encmempool_native::scalar::seed().scalar());
    for n in 1..4 {
        let mut powered = values.clone();
        for _ in 0..n {
            powered = E::gt_power(&powered, &vec![&x; values.len()]);
        }
        assert_eq!(E::gt_store(&E::gt_finish(&powered)), E::gt_store(&E::gt_finish(&E::gt_frobenius(&values, n))));
    }
    let inverse = E::gt_finish(&E::gt_multiply(&E::gt_invert(&values), &values));
    assert!(E::gt_store(&inverse).iter().all(|value| unsafe { blst_fp12_is_one(value) }));
}

/// Encodings of which not all are points: by flags, of x from 0 and from p on, and of every kind of torsion.
fn check_decoding<E: Engine>() {
    let mut encoded = Vec::new();
    let p = "1a0111ea397fe69a4b1ba7b6434bacd764774b84f38512bf6730d2a0f6b0f6241eabfffeb153ffffb9feffffffffaaab";
    let p: Vec<u8> = (0..48).map(|at| u8::from_str_radix(&p[2 * at..2 * at + 2], 16).unwrap()).collect();
    let mut raised = 0;
    for scalar in scalars(30) {
        let mut bytes = [0; 48];
        unsafe { blst_p1_compress(bytes.as_mut_ptr(), &g1(&scalar)) };
        // The same point to a reader that reduces x + p, where that has a place.
        let (mut larger, mut carry) = (bytes, 0);
        larger[0] &= 0x1f;
        for at in (0..48).rev() {
            carry += u16::from(larger[at]) + u16::from(p[at]);
            larger[at] = carry as u8;
            carry >>= 8;
        }
        if larger[0] < 0x20 {
            larger[0] |= bytes[0] & 0xe0;
            encoded.push(larger);
            raised += 1;
        }
        for change in 0..8u8 {
            let mut changed = bytes;
            changed[0] ^= change << 5;
            encoded.push(changed);
        }
        bytes[47] ^= 1;
        encoded.push(bytes);
    }
    for x in 0..40u8 {
        let mut bytes = [0; 48];
        (bytes[0], bytes[47]) = (0x80, x);
        encoded.push(bytes);
        bytes.copy_from_slice(&p);
        bytes[0] |= 0xa0;
        bytes[47] = bytes[47].wrapping_add(x).wrapping_sub(5);
        encoded.push(bytes);
    }
    let mut found = [0, 0];
    for (bytes, point) in encoded.iter().zip(E::g1_decode(&encoded)) {
        let mut affine = blst_p1_affine::default();
        let valid = unsafe {
            blst_p1_uncompress(&mut affine, bytes.as_ptr()) == BLST_ERROR::BLST_SUCCESS
                && !blst_p1_affine_is_inf(&affine)
                && blst_p1_affine_in_g1(&affine)
        };
        assert_eq!(point.is_some(), valid, "{bytes:02x?}");
        found[usize::from(valid)] += 1;
        if let Some(point) = point {
            let mut back = [0; 48];
            unsafe { blst_p1_compress(back.as_mut_ptr(), &point) };
            assert_eq!(back, *bytes);
        }
    }
    assert!(found[0] > 50 && found[1] > 50 && raised > 3);
}

#[test]
fn portable() {
    check_decoding::<Portable>();
    check::<Portable>();
}

#[cfg(target_arch = "x86_64")]
#[test]
fn ifma() {
    if is_supported() {
        check_decoding::<Ifma>();
        check::<Ifma>();
    } else {
        eprintln!("skipped: this processor has no AVX-512 IFMA");
    }
}
