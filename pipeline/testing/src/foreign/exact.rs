//! Sums of doubles without an error, the slow way: one long integer in units of 2^-1074.

/// Limbs of 32 bits, with room for carries: the largest double lies below bit 2098.
const LIMBS: usize = 70;
/// Bits added below the smallest double, so that a quotient can be rounded.
const BELOW: usize = 96;

/// A sum and the number of its terms.
#[derive(Debug, Clone)]
pub(super) struct Sum {
    limbs: [i64; LIMBS],
    count: i64,
    /// Terms that are no numbers, by kind: NaN, infinity, minus infinity.
    special: [i64; 3],
}

// === impl Sum ===

impl Sum {
    pub(super) fn new() -> Self {
        Self { limbs: [0; LIMBS], count: 0, special: [0; 3] }
    }

    /// Adds `value` `times` times: 1, or -1 to take it back.
    pub(super) fn add(&mut self, value: f64, times: i64) {
        self.count += times;
        if !value.is_finite() {
            let kind = if value.is_nan() { 0 } else { 1 + usize::from(value < 0.0) };
            self.special[kind] += times;
            return;
        }
        let (bits, sign) = (value.to_bits(), if value < 0.0 { -times } else { times });
        let (field, fraction) = ((bits >> 52 & 0x7ff) as usize, bits & ((1 << 52) - 1));
        let mantissa = if field == 0 { fraction } else { fraction | 1 << 52 };
        let place = field.max(1) - 1;
        let mut shifted = u128::from(mantissa) << (place % 32);
        for limb in &mut self.limbs[place / 32..] {
            *limb += sign * (shifted & 0xffff_ffff) as i64;
            shifted >>= 32;
            if shifted == 0 {
                break;
            }
        }
    }

    /// The sum, rounded once.
    pub(super) fn sum(&self) -> Option<f64> {
        (self.count > 0).then(|| self.divided(1))
    }

    /// The mean, rounded once.
    pub(super) fn mean(&self) -> Option<f64> {
        (self.count > 0).then(|| self.divided(self.count as u64))
    }

    fn divided(&self, divisor: u64) -> f64 {
        match self.special {
            [0, 0, 0] => {}
            [0, _, 0] => return f64::INFINITY,
            [0, 0, _] => return f64::NEG_INFINITY,
            _ => return f64::NAN,
        }
        let (negative, magnitude) = self.magnitude();
        // Long division, from the largest limb down; the lowest limbs are the bits below.
        let mut quotient = vec![0u32; BELOW / 32 + LIMBS];
        let mut rest = 0u128;
        for at in (0..quotient.len()).rev() {
            let limb = if at < BELOW / 32 { 0 } else { magnitude[at - BELOW / 32] };
            let value = rest << 32 | u128::from(limb);
            quotient[at] = (value / u128::from(divisor)) as u32;
            rest = value % u128::from(divisor);
        }
        let value = rounded(&quotient, rest != 0);
        if negative { -value } else { value }
    }

    /// Sign and limbs without carries.
    fn magnitude(&self) -> (bool, Vec<u32>) {
        let carried = |sign: i64| {
            let mut carry = 0i64;
            let limbs = self.limbs.iter().map(|limb| {
                let value = sign * limb + carry;
                carry = value >> 32;
                (value & 0xffff_ffff) as u32
            });
            let limbs: Vec<u32> = limbs.collect();
            (carry < 0, limbs)
        };
        match carried(1) {
            (true, _) => (true, carried(-1).1),
            positive => positive,
        }
    }
}

/// `limbs` in units of 2^-(1074 + BELOW) as a double, to nearest even; `more` says that something lies below.
fn rounded(limbs: &[u32], more: bool) -> f64 {
    let bit = |at: usize| limbs[at / 32] >> (at % 32) & 1 == 1;
    let Some(top) = (0..limbs.len() * 32).rev().find(|at| bit(*at)) else { return 0.0 };
    // 53 bits stay, and none below the smallest double.
    let lowest = (top.saturating_sub(52)).max(BELOW);
    let mut mantissa = (lowest..=top.max(lowest)).rev().fold(0u64, |value, at| value << 1 | u64::from(bit(at)));
    let half = bit(lowest - 1);
    if half && (more || mantissa & 1 == 1 || (0..lowest - 1).any(bit)) {
        mantissa += 1;
    }
    // The leading bit of a normal mantissa adds one to the exponent's field.
    let bits = ((lowest - BELOW) as u64).saturating_mul(1 << 52).saturating_add(mantissa);
    f64::from_bits(bits.min(f64::INFINITY.to_bits()))
}

#[cfg(test)]
mod tests {
    use super::Sum;

    fn of(values: &[f64]) -> Sum {
        let mut sum = Sum::new();
        values.iter().for_each(|value| sum.add(*value, 1));
        sum
    }

    #[test]
    fn sums_are_exact() {
        for (values, expected) in [
            (vec![0.1], 0.1),
            (vec![-0.1], -0.1),
            (vec![-0.0], 0.0),
            (vec![f64::MAX, 5e-324, -f64::MAX], 5e-324),
            (vec![f64::MAX, f64::MAX], f64::INFINITY),
            (vec![1e16, 1.0, -1e16], 1.0),
            (vec![0.1, 0.2], 0.1 + 0.2),
            (vec![-2.5, 1e300, -1e300], -2.5),
            (vec![f64::INFINITY, 1.0], f64::INFINITY),
        ] {
            assert_eq!(of(&values).sum().unwrap().to_bits(), expected.to_bits(), "{values:?}");
        }
        assert!(of(&[f64::INFINITY, f64::NEG_INFINITY]).sum().unwrap().is_nan());
    }

    #[test]
    fn means_are_rounded_once() {
        assert_eq!(of(&[f64::MAX, f64::MAX]).mean(), Some(f64::MAX));
        assert_eq!(of(&[1.0, 0.0, 0.0]).mean(), Some(1.0 / 3.0));
        assert_eq!(of(&[5e-324, 0.0]).mean(), Some(0.0), "a tie goes to even");
        assert_eq!(of(&[1.5e-323, 0.0]).mean(), Some(1e-323), "a tie goes to even");
    }

    #[test]
    fn a_term_taken_back_leaves_nothing() {
        let mut sum = of(&[0.1, 1e300]);
        sum.add(1e300, -1);
        assert_eq!(sum.sum(), Some(0.1));
    }
}
