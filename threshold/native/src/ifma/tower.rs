//! Fp2 = Fp[u]/(u^2 + 1), Fp6 = Fp2[v]/(v^3 - xi) with xi = 1 + u, Fp12 = Fp6[w]/(w^2 - v), as in blst.
//!
//! Products are added up before they are reduced: a reduction costs as much as a product, an addition of columns a
//! tenth.

use std::arch::x86_64::{_mm512_add_epi64 as sum, _mm512_sub_epi64 as sub};

use super::fp::{self, Fp, LANES, Limbs, Wide, simd};

#[derive(Clone, Copy)]
pub struct Fp2(pub [Fp; 2]);

#[derive(Clone, Copy)]
pub struct Fp6(pub [Fp2; 3]);

#[derive(Clone, Copy)]
pub struct Fp12(pub [Fp6; 2]);

#[derive(Clone, Copy)]
struct Wide2(Wide, Wide);

type Wide6 = [Wide2; 3];

/// One element of Fp12 outside the vector registers: w^0 first, then v, then u.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limbs12(pub [Limbs; 12]);

simd! {
    #[inline]
    pub fn add2(a: &Fp2, b: &Fp2) -> Fp2 {
        Fp2([fp::add(&a.0[0], &b.0[0]), fp::add(&a.0[1], &b.0[1])])
    }

    #[inline]
    pub fn conjugate2(a: &Fp2) -> Fp2 {
        Fp2([a.0[0], fp::negate(&a.0[1])])
    }

    #[inline]
    pub fn scale2(a: &Fp2, k: &Fp) -> Fp2 {
        Fp2([fp::multiply(&a.0[0], k), fp::multiply(&a.0[1], k)])
    }

    /// Kept out of line: its 384 multiplications would not fit the instruction cache a dozen times.
    #[inline(never)]
    fn product2(a: &Fp2, b: &Fp2) -> Wide2 {
        let low = fp::wide_product(&a.0[0], &b.0[0]);
        let high = fp::wide_product(&a.0[1], &b.0[1]);
        let both = fp::wide_product(&fp::add(&a.0[0], &a.0[1]), &fp::add(&b.0[0], &b.0[1]));
        let mut result = Wide2(low, both);
        for i in 0..2 * fp::LIMBS {
            result.0.0[i] = sub(low.0[i], high.0[i]);
            result.1.0[i] = sub(sub(both.0[i], low.0[i]), high.0[i]);
        }
        result
    }

    #[inline(never)]
    fn square2(a: &Fp2) -> Wide2 {
        let sum = fp::add(&a.0[0], &a.0[1]);
        let difference = fp::subtract(&a.0[0], &a.0[1]);
        Wide2(fp::wide_product(&sum, &difference), fp::wide_product(&a.0[0], &fp::add(&a.0[1], &a.0[1])))
    }

    #[inline]
    fn wide_add2(a: &Wide2, b: &Wide2) -> Wide2 {
        Wide2(fp::wide_add(&a.0, &b.0), fp::wide_add(&a.1, &b.1))
    }

    #[inline]
    fn wide_subtract2(a: &Wide2, b: &Wide2) -> Wide2 {
        Wide2(fp::wide_subtract(&a.0, &b.0), fp::wide_subtract(&a.1, &b.1))
    }

    /// Times xi.
    #[inline]
    fn wide_xi(a: &Wide2) -> Wide2 {
        Wide2(fp::wide_subtract(&a.0, &a.1), fp::wide_add(&a.0, &a.1))
    }

    #[inline(never)]
    fn reduce_one(t: &Wide) -> Fp {
        fp::reduce(t)
    }

    /// The reduction of a + sb * b + sc * c.
    #[inline(never)]
    fn reduce_sum<const SB: i8, const SC: i8>(a: &Wide, b: &Wide, c: &Wide) -> Fp {
        fp::reduce(&fp::wide_sum::<SB, SC>(a, b, c))
    }

    #[inline]
    fn reduce2(t: &Wide2) -> Fp2 {
        Fp2([reduce_one(&t.0), reduce_one(&t.1)])
    }

    #[inline]
    pub fn multiply2(a: &Fp2, b: &Fp2) -> Fp2 {
        reduce2(&product2(a, b))
    }

    #[inline]
    fn add6(a: &Fp6, b: &Fp6) -> Fp6 {
        let mut result = *a;
        for i in 0..3 {
            result.0[i] = add2(&a.0[i], &b.0[i]);
        }
        result
    }

    /// By Karatsuba's method, with six products in Fp2; one pass over the columns puts them together.
    #[inline(never)]
    fn product6(a: &Fp6, b: &Fp6) -> Wide6 {
        let [a0, a1, a2] = &a.0;
        let [b0, b1, b2] = &b.0;
        let v0 = product2(a0, b0);
        let v1 = product2(a1, b1);
        let v2 = product2(a2, b2);
        let mut t12 = product2(&add2(a1, a2), &add2(b1, b2));
        let mut t01 = product2(&add2(a0, a1), &add2(b0, b1));
        let mut t02 = product2(&add2(a0, a2), &add2(b0, b2));
        for i in 0..2 * fp::LIMBS {
            let (v00, v10, v20) = (v0.0.0[i], v1.0.0[i], v2.0.0[i]);
            let (v01, v11, v21) = (v0.1.0[i], v1.1.0[i], v2.1.0[i]);
            // t12 - v1 - v2, to be multiplied by xi
            let x = sub(sub(t12.0.0[i], v10), v20);
            let y = sub(sub(t12.1.0[i], v11), v21);
            t12.0.0[i] = sum(v00, sub(x, y));
            t12.1.0[i] = sum(v01, sum(x, y));
            t01.0.0[i] = sum(sub(sub(t01.0.0[i], v00), v10), sub(v20, v21));
            t01.1.0[i] = sum(sub(sub(t01.1.0[i], v01), v11), sum(v20, v21));
            t02.0.0[i] = sum(sub(sub(t02.0.0[i], v00), v20), v10);
            t02.1.0[i] = sum(sub(sub(t02.1.0[i], v01), v21), v11);
        }
        [t12, t01, t02]
    }

    #[inline]
    fn reduce6(t: &Wide6) -> Fp6 {
        Fp6([reduce2(&t[0]), reduce2(&t[1]), reduce2(&t[2])])
    }

    #[inline]
    pub fn multiply6(a: &Fp6, b: &Fp6) -> Fp6 {
        reduce6(&product6(a, b))
    }

    /// Times v.
    #[inline]
    fn wide_v(t: &Wide6) -> Wide6 {
        [wide_xi(&t[2]), t[0], t[1]]
    }

    #[inline]
    pub fn one12() -> Fp12 {
        let zero = Fp2([fp::zero(); 2]);
        let none = Fp6([zero; 3]);
        Fp12([Fp6([Fp2([fp::one(), fp::zero()]), zero, zero]), none])
    }

    #[inline(never)]
    pub fn multiply12(a: &Fp12, b: &Fp12) -> Fp12 {
        let low = product6(&a.0[0], &b.0[0]);
        let high = product6(&a.0[1], &b.0[1]);
        let both = product6(&add6(&a.0[0], &a.0[1]), &add6(&b.0[0], &b.0[1]));
        let mut result = *a;
        // low + v high, where v takes the last coefficient times xi to the front
        result.0[0].0[0] = Fp2([
            reduce_sum::<1, -1>(&low[0].0, &high[2].0, &high[2].1),
            reduce_sum::<1, 1>(&low[0].1, &high[2].0, &high[2].1),
        ]);
        for i in 1..3 {
            let (l, h) = (&low[i], &high[i - 1]);
            result.0[0].0[i] = Fp2([reduce_sum::<1, 0>(&l.0, &h.0, &h.0), reduce_sum::<1, 0>(&l.1, &h.1, &h.1)]);
        }
        for i in 0..3 {
            let (t, l, h) = (&both[i], &low[i], &high[i]);
            result.0[1].0[i] = Fp2([reduce_sum::<-1, -1>(&t.0, &l.0, &h.0), reduce_sum::<-1, -1>(&t.1, &l.1, &h.1)]);
        }
        result
    }

    #[inline(never)]
    pub fn square12(a: &Fp12) -> Fp12 {
        let [low, high] = &a.0;
        // (low + high)(low + v high) - (1 + v) low high, and twice low high
        let shifted = Fp6([times_xi(&high.0[2]), high.0[0], high.0[1]]);
        let cross = product6(low, high);
        let both = product6(&add6(low, high), &add6(low, &shifted));
        let twisted = wide_v(&cross);
        let mut result = *a;
        for i in 0..3 {
            let (t, c, v) = (&both[i], &cross[i], &twisted[i]);
            result.0[0].0[i] = Fp2([reduce_sum::<-1, -1>(&t.0, &c.0, &v.0), reduce_sum::<-1, -1>(&t.1, &c.1, &v.1)]);
            result.0[1].0[i] = Fp2([reduce_sum::<1, 0>(&c.0, &c.0, &c.0), reduce_sum::<1, 0>(&c.1, &c.1, &c.1)]);
        }
        result
    }

    #[inline]
    fn times_xi(a: &Fp2) -> Fp2 {
        Fp2([fp::subtract(&a.0[0], &a.0[1]), fp::add(&a.0[0], &a.0[1])])
    }

    #[inline]
    pub fn conjugate12(a: &Fp12) -> Fp12 {
        let mut result = *a;
        for coefficient in &mut result.0[1].0 {
            *coefficient = Fp2([fp::negate(&coefficient.0[0]), fp::negate(&coefficient.0[1])]);
        }
        result
    }

    /// The square of an element of the cyclotomic subgroup. Granger and Scott, PKC 2010.
    #[inline(never)]
    pub fn cyclotomic_square(a: &Fp12) -> Fp12 {
        let [[r0, r4, r3], [r2, r1, r5]] = [&a.0[0].0, &a.0[1].0];
        let (even0, odd0) = square4(r0, r1, false);
        let (even1, odd1) = square4(r2, r3, false);
        let (even2, odd2) = square4(r4, r5, true);
        Fp12([
            Fp6([folded(&even0, r0, -2), folded(&even1, r4, -2), folded(&even2, r3, -2)]),
            Fp6([folded(&odd2, r2, 2), folded(&odd0, r1, 2), folded(&odd1, r5, 2)]),
        ])
    }

    /// Three times the square of a + b s with s^2 = xi; its second half times xi once more if `twisted`.
    #[inline(never)]
    fn square4(a: &Fp2, b: &Fp2, twisted: bool) -> (Wide2, Wide2) {
        let (mut aa, bb) = (square2(a), square2(b));
        let mut both = square2(&add2(a, b));
        for i in 0..2 * fp::LIMBS {
            let (a0, a1, b0, b1) = (aa.0.0[i], aa.1.0[i], bb.0.0[i], bb.1.0[i]);
            let (x, y) = (sub(sub(both.0.0[i], a0), b0), sub(sub(both.1.0[i], a1), b1));
            let (x, y) = if twisted { (sub(x, y), sum(x, y)) } else { (x, y) };
            let (u, v) = (sum(a0, sub(b0, b1)), sum(a1, sum(b0, b1)));
            aa.0.0[i] = sum(u, sum(u, u));
            aa.1.0[i] = sum(v, sum(v, v));
            both.0.0[i] = sum(x, sum(x, x));
            both.1.0[i] = sum(y, sum(y, y));
        }
        (aa, both)
    }

    /// t + kr.
    #[inline]
    fn folded(t: &Wide2, r: &Fp2, k: i64) -> Fp2 {
        Fp2([folded_one(&t.0, &r.0[0], k), folded_one(&t.1, &r.0[1], k)])
    }

    #[inline(never)]
    fn folded_one(t: &Wide, r: &Fp, k: i64) -> Fp {
        // k is 2 or -2
        fp::reduce_and_add(t, r.0.map(|limb| if k > 0 { sum(limb, limb) } else { sub(sub(limb, limb), sum(limb, limb)) }))
    }

    /// a * (x + y v + v w).
    #[inline(never)]
    pub fn multiply_by_line(a: &Fp12, x: &Fp2, y: &Fp2) -> Fp12 {
        let sum = add2(x, y);
        let [low, high] = &a.0;
        let (p, q) = (product_by_line(low, x, y, &sum), product_by_line(high, x, y, &sum));
        Fp12([
            Fp6([plus_xi(&p[0], &high.0[1]), plus_xi(&p[1], &high.0[2]), plus(&p[2], &high.0[0])]),
            Fp6([plus_xi(&q[0], &low.0[2]), plus(&q[1], &low.0[0]), plus(&q[2], &low.0[1])]),
        ])
    }

    /// a * (x + y v), given x + y.
    #[inline(never)]
    fn product_by_line(a: &Fp6, x: &Fp2, y: &Fp2, both: &Fp2) -> Wide6 {
        let [a0, a1, a2] = &a.0;
        let (mut v0, mut v1) = (product2(a0, x), product2(a1, y));
        let mut cross = product2(&add2(a0, a1), both);
        let (w0, w1) = (product2(a2, y), product2(a2, x));
        for i in 0..2 * fp::LIMBS {
            let (w00, w01) = (w0.0.0[i], w0.1.0[i]);
            cross.0.0[i] = sub(sub(cross.0.0[i], v0.0.0[i]), v1.0.0[i]);
            cross.1.0[i] = sub(sub(cross.1.0[i], v0.1.0[i]), v1.1.0[i]);
            v0.0.0[i] = sum(v0.0.0[i], sub(w00, w01));
            v0.1.0[i] = sum(v0.1.0[i], sum(w00, w01));
            v1.0.0[i] = sum(v1.0.0[i], w1.0.0[i]);
            v1.1.0[i] = sum(v1.1.0[i], w1.1.0[i]);
        }
        [v0, cross, v1]
    }

    #[inline]
    fn plus(t: &Wide2, a: &Fp2) -> Fp2 {
        Fp2([reduce_plus(&t.0, &a.0[0]), reduce_plus(&t.1, &a.0[1])])
    }

    /// t + xi a.
    #[inline]
    fn plus_xi(t: &Wide2, a: &Fp2) -> Fp2 {
        plus(t, &times_xi(a))
    }

    #[inline(never)]
    fn reduce_plus(t: &Wide, a: &Fp) -> Fp {
        fp::reduce_and_add(t, a.0)
    }

    #[inline(never)]
    pub fn invert12(a: &Fp12) -> Fp12 {
        let [low, high] = &a.0;
        let squares = (product6(low, low), wide_v(&product6(high, high)));
        let mut norm = squares.0;
        for i in 0..3 {
            norm[i] = wide_subtract2(&squares.0[i], &squares.1[i]);
        }
        let inverse = invert6(&reduce6(&norm));
        let mut result = Fp12([multiply6(low, &inverse), multiply6(high, &inverse)]);
        result = conjugate12(&result);
        result
    }

    fn invert6(a: &Fp6) -> Fp6 {
        let [a0, a1, a2] = &a.0;
        let c0 = reduce2(&wide_subtract2(&product2(a0, a0), &wide_xi(&product2(a1, a2))));
        let c1 = reduce2(&wide_subtract2(&wide_xi(&product2(a2, a2)), &product2(a0, a1)));
        let c2 = reduce2(&wide_subtract2(&product2(a1, a1), &product2(a0, a2)));
        let cross = wide_add2(&product2(a2, &c1), &product2(a1, &c2));
        let norm = invert2(&reduce2(&wide_add2(&product2(a0, &c0), &wide_xi(&cross))));
        Fp6([multiply2(&c0, &norm), multiply2(&c1, &norm), multiply2(&c2, &norm)])
    }

    fn invert2(a: &Fp2) -> Fp2 {
        let norm = fp::add(&fp::square(&a.0[0]), &fp::square(&a.0[1]));
        let inverse = fp::invert(&norm);
        Fp2([fp::multiply(&a.0[0], &inverse), fp::negate(&fp::multiply(&a.0[1], &inverse))])
    }

    pub fn load12(rows: [&Limbs12; LANES]) -> Fp12 {
        let mut at = 0;
        Fp12([(); 2].map(|()| Fp6([(); 3].map(|()| Fp2([(); 2].map(|()| {
            at += 1;
            fp::load(rows.map(|row| &row.0[at - 1]))
        }))))))
    }

    pub fn store12(a: &Fp12) -> [Limbs12; LANES] {
        let mut result = [Limbs12([Limbs([0; fp::LIMBS]); 12]); LANES];
        for (at, coefficient) in coefficients(a).iter().enumerate() {
            for (row, limbs) in result.iter_mut().zip(fp::store(coefficient)) {
                row.0[at] = limbs;
            }
        }
        result
    }

    pub fn select12(mask: u8, a: &Fp12, b: &Fp12) -> Fp12 {
        let mut result = *a;
        for i in 0..2 {
            for j in 0..3 {
                for k in 0..2 {
                    result.0[i].0[j].0[k] = fp::select(mask, &a.0[i].0[j].0[k], &b.0[i].0[j].0[k]);
                }
            }
        }
        result
    }
}

/// In the order of `Limbs12`.
pub fn coefficients(a: &Fp12) -> [&Fp; 12] {
    std::array::from_fn(|at| &a.0[at / 6].0[at / 2 % 3].0[at % 2])
}
