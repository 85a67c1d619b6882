//! A plain big integer, written for these tests alone, and what it means to be the nearest double to a fraction.

use std::cmp::Ordering;

/// Sign and magnitude, 32 bits per limb, the lowest first, without zeros at the top.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Big {
    negative: bool,
    limbs: Vec<u32>,
}

// === impl Big ===

impl Big {
    /// A finite double in units of 2^-1074; infinity counts as 2^1024.
    pub(super) fn of(value: f64) -> Self {
        let bits = value.abs().to_bits();
        let (mantissa, shift) = match bits >> 52 {
            0 => (bits, 0),
            field => (bits & ((1 << 52) - 1) | 1 << 52, field as usize - 1),
        };
        let limbs = vec![mantissa as u32, (mantissa >> 32) as u32];
        Self { negative: value.is_sign_negative(), limbs }.trim().shift(shift)
    }

    fn trim(mut self) -> Self {
        while self.limbs.last() == Some(&0) {
            self.limbs.pop();
        }
        self.negative &= !self.limbs.is_empty();
        self
    }

    fn shift(&self, bits: usize) -> Self {
        let mut limbs = vec![0; bits / 32];
        let mut carry = 0u64;
        for limb in self.limbs.iter().chain([&0]) {
            carry |= u64::from(*limb) << (bits % 32);
            limbs.push(carry as u32);
            carry >>= 32;
        }
        Self { negative: self.negative, limbs }.trim()
    }

    pub(super) fn negate(&self) -> Self {
        Self { negative: !self.negative, limbs: self.limbs.clone() }.trim()
    }

    fn abs(&self) -> Self {
        Self { negative: false, limbs: self.limbs.clone() }
    }

    pub(super) fn times(&self, factor: u64) -> Self {
        self.multiply(&Self { negative: false, limbs: vec![factor as u32, (factor >> 32) as u32] }.trim())
    }

    pub(super) fn multiply(&self, other: &Self) -> Self {
        let mut limbs = vec![0u32; self.limbs.len() + other.limbs.len() + 1];
        for (at, left) in self.limbs.iter().enumerate() {
            let mut carry = 0u64;
            for (to, right) in other.limbs.iter().chain([&0]).enumerate() {
                carry += u64::from(limbs[at + to]) + u64::from(*left) * u64::from(*right);
                limbs[at + to] = carry as u32;
                carry >>= 32;
            }
        }
        Self { negative: self.negative != other.negative, limbs }.trim()
    }

    pub(super) fn add(&self, other: &Self) -> Self {
        let limb = |big: &Self, at: usize| i64::from(big.limbs.get(at).copied().unwrap_or(0));
        let (large, small) =
            if compare_magnitudes(self, other) == Ordering::Less { (other, self) } else { (self, other) };
        let sign = if large.negative == small.negative { 1 } else { -1 };
        let (mut limbs, mut carry) = (Vec::new(), 0i64);
        for at in 0..=large.limbs.len() {
            carry += limb(large, at) + sign * limb(small, at);
            limbs.push(carry as u32);
            carry >>= 32;
        }
        Self { negative: large.negative, limbs }.trim()
    }

    fn compare(&self, other: &Self) -> Ordering {
        let difference = self.add(&other.negate());
        match (difference.negative, difference.limbs.is_empty()) {
            (_, true) => Ordering::Equal,
            (true, _) => Ordering::Less,
            _ => Ordering::Greater,
        }
    }
}

fn compare_magnitudes(left: &Big, right: &Big) -> Ordering {
    left.limbs.len().cmp(&right.limbs.len()).then_with(|| left.limbs.iter().rev().cmp(right.limbs.iter().rev()))
}

/// True when `value` is the double nearest to `dividend / divisor` (in units of 2^-(1074 + more)), ties to even.
pub(super) fn is_nearest(value: f64, dividend: &Big, divisor: u64, more: usize) -> bool {
    if dividend.limbs.is_empty() {
        return value.to_bits() == 0;
    }
    if value.is_sign_negative() != dividend.negative {
        return false;
    }
    let distance = |bits: u64| {
        let value = Big::of(f64::from_bits(bits)).shift(more).times(divisor);
        value.add(&dividend.abs().negate()).abs()
    };
    let bits = value.abs().to_bits();
    let own = distance(bits);
    let beats = |other: u64| match own.compare(&distance(other)) {
        Ordering::Less => true,
        Ordering::Equal => bits & 1 == 0,
        Ordering::Greater => false,
    };
    (bits == 0 || beats(bits - 1)) && (value.is_infinite() || beats(bits + 1))
}

/// True when `value` is the double nearest to the root of `dividend / divisor` (in units of 2^-2148).
pub(super) fn is_nearest_root(value: f64, dividend: &Big, divisor: u64) -> bool {
    if dividend.limbs.is_empty() {
        return value.to_bits() == 0;
    }
    let four = dividend.times(4);
    let bits = value.to_bits();
    // The square of twice the middle between two doubles.
    let middle = |other: u64| {
        let twice = Big::of(value).add(&Big::of(f64::from_bits(other)));
        twice.multiply(&twice).times(divisor)
    };
    (bits == 0 || middle(bits - 1).compare(&four) != Ordering::Greater)
        && (value.is_infinite() || middle(bits + 1).compare(&four) != Ordering::Less)
}
