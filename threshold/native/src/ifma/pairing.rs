//! The optimal ate pairing and its target group, eight values at once.
//!
//! A Miller loop runs over lines that were computed before. A line's value may be scaled by any element of Fp2, which
//! the final exponentiation removes: so each is (l0 + l1 v + v w) with l0 over y and l1 times x/y of the point in G1.
//!
//! The final exponentiation is split. The easy part, to the power (p^6 - 1)(p^2 + 1), leads into the cyclotomic
//! subgroup, where inverses are conjugates, squares are cheap and the Frobenius map acts as x does after the hard part.
//! The hard part is a homomorphism, so it can wait until all multiplications and powers are done.

use super::fp::{self, Fp, LANES, Limbs, mask, simd};
use super::tower::{self, Fp2, Fp12, Limbs12, conjugate12, cyclotomic_square, multiply12};
use crate::recoding::{Recoded, STEPS, TABLE};
use crate::scalar::X;

/// l0 and l1 of one line, each u^0 then u^1.
pub type Line = [Limbs; 4];

/// One pair in each lane.
pub struct Term<'a> {
    /// Lanes that have a pair.
    pub active: u8,
    pub lines: [&'a [Line]; LANES],
    /// 1/y and x/y of the point in G1.
    pub y_inverse: Fp,
    pub x_over_y: Fp,
}

simd! {
    /// The product of the Miller loops of all terms, in each lane, before any exponentiation.
    pub fn miller_loop(terms: &[Term]) -> Fp12 {
        let mut at = 0;
        let mut result = tower::one12();
        for bit in (0..63).rev() {
            if bit != 62 {
                result = tower::square12(&result);
            }
            for _ in 0..1 + (X >> bit & 1) {
                for term in terms {
                    let coefficient = |k: usize| fp::load(term.lines.map(|lane| &lane[at][k]));
                    let l0 = tower::scale2(&Fp2([coefficient(0), coefficient(1)]), &term.y_inverse);
                    let l1 = tower::scale2(&Fp2([coefficient(2), coefficient(3)]), &term.x_over_y);
                    let product = tower::multiply_by_line(&result, &l0, &l1);
                    result = if term.active == 0xff { product } else { tower::select12(term.active, &result, &product) };
                }
                at += 1;
            }
        }
        conjugate12(&result)
    }

    /// To the power (p^6 - 1)(p^2 + 1), of values that are not 0.
    pub fn easy_parts(values: &[Fp12], frobenius: &Frobenius) -> Vec<Fp12> {
        let mut before = Vec::with_capacity(values.len());
        let mut product = tower::one12();
        for value in values {
            before.push(product);
            product = multiply12(&product, value);
        }
        let mut inverse = tower::invert12(&product);
        let mut result = before;
        for (at, value) in values.iter().enumerate().rev() {
            let b = multiply12(&conjugate12(value), &multiply12(&inverse, &result[at]));
            result[at] = multiply12(&b, &frobenius_map(&b, 2, frobenius));
            inverse = multiply12(&inverse, value);
        }
        result
    }

    /// To the power (x - 1)^2 (x + p)(x^2 + p^2 - 1) + 3, which is 3 (p^4 - p^2 + 1) / r. Hayashida, Hayasaka and
    /// Teruya, eprint 2020/875.
    pub fn hard_part(a: &Fp12, frobenius: &Frobenius) -> Fp12 {
        let b = multiply12(&power_x(a), &conjugate12(a));
        let b = multiply12(&power_x(&b), &conjugate12(&b));
        let b = multiply12(&power_x(&b), &frobenius_map(&b, 1, frobenius));
        let c = multiply12(&power_x(&power_x(&b)), &frobenius_map(&b, 2, frobenius));
        let c = multiply12(&c, &conjugate12(&b));
        multiply12(&c, &multiply12(&cyclotomic_square(a), a))
    }

    /// a^x in the cyclotomic subgroup.
    fn power_x(a: &Fp12) -> Fp12 {
        let mut result = *a;
        for bit in (0..63).rev() {
            result = cyclotomic_square(&result);
            if X >> bit & 1 == 1 {
                result = multiply12(&result, a);
            }
        }
        conjugate12(&result)
    }

    /// a^(p^n), for n = 1, 2 or 3.
    pub fn frobenius_map(a: &Fp12, n: usize, frobenius: &Frobenius) -> Fp12 {
        let mut result = *a;
        for i in 0..2 {
            for j in 0..3 {
                let coefficient = &a.0[i].0[j];
                let conjugate = if n % 2 == 1 { tower::conjugate2(coefficient) } else { *coefficient };
                let factor = frobenius.0[n - 1][3 * i + j];
                let factor = Fp2([fp::load_all(&factor[0]), fp::load_all(&factor[1])]);
                result.0[i].0[j] = tower::multiply2(&conjugate, &factor);
            }
        }
        result
    }

    /// In each lane another power of another element of the cyclotomic subgroup.
    pub fn power(a: &Fp12, exponents: [&Recoded; LANES], frobenius: &Frobenius) -> Fp12 {
        let table = table(a, frobenius);
        let chosen = |step: usize| {
            let rows = exponents.map(|exponent| exponent.steps[step]);
            let rows: [usize; LANES] = rows.map(|code| usize::from(code & 7));
            tower::load12(std::array::from_fn(|lane| &table[rows[lane]][lane]))
        };
        let mut result = chosen(STEPS - 1);
        for step in (0..STEPS - 1).rev() {
            result = cyclotomic_square(&result);
            let negative = mask(exponents.map(|exponent| exponent.steps[step] & 8 != 0));
            let entry = chosen(step);
            result = multiply12(&result, &tower::select12(negative, &entry, &conjugate12(&entry)));
        }
        let even = mask(exponents.map(|exponent| exponent.even));
        tower::select12(even, &result, &multiply12(&result, &conjugate12(a)))
    }

    /// The products of a with subsets of its powers by |x|, |x|^2 and |x|^3.
    fn table(a: &Fp12, frobenius: &Frobenius) -> [[Limbs12; LANES]; TABLE] {
        let mut products = [*a; TABLE];
        for k in 0..3 {
            let mut power = frobenius_map(a, k + 1, frobenius);
            if k % 2 == 0 {
                power = conjugate12(&power);
            }
            for i in 0..1 << k {
                products[i + (1 << k)] = multiply12(&products[i], &power);
            }
        }
        let mut result = [[Limbs12([Limbs([0; fp::LIMBS]); 12]); LANES]; TABLE];
        for (entry, product) in result.iter_mut().zip(&products) {
            *entry = tower::store12(product);
        }
        result
    }
}

/// For n = 1, 2, 3 and each power of w (in the order 0, 2, 4, 1, 3, 5), w^k to the power p^n - 1.
pub struct Frobenius(pub [[[Limbs; 2]; 6]; 3]);
