//! Wide integers: fixed two's complement accumulators, and the few products that a variance needs.
//!
//! This is the accumulator of U. Kulisch ("Computer Arithmetic and Validity", 2008): one integer that spans every
//! bit of a double, so that additions are exact and commute. R. M. Neal ("Fast exact summation using small and large
//! superaccumulators", 2015) delays the carries; here most values take the 128-bit path and never come to this file.

/// A two's complement integer of `N` limbs of 64 bits, the lowest first. It wraps; `N` is chosen so that it cannot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wide<const N: usize>([u64; N]);

// === impl Wide ===

impl<const N: usize> Wide<N> {
    /// Zero.
    pub(super) const ZERO: Self = Self([0; N]);

    /// Adds `magnitude * 2^shift`, or subtracts it when `negative`.
    pub(super) fn add(&mut self, magnitude: u128, shift: u32, negative: bool) {
        let (from, bits) = ((shift / 64) as usize, shift % 64);
        let low = magnitude << bits;
        let high = if bits == 0 { 0 } else { magnitude >> (128 - bits) };
        self.add_at(from, &[low as u64, (low >> 64) as u64, high as u64], negative);
    }

    /// Adds `limbs * 2^shift`, or subtracts it when `negative`.
    pub(super) fn add_limbs(&mut self, limbs: &[u64], shift: u32, negative: bool) {
        for (at, limb) in (0u32..).zip(limbs) {
            self.add(u128::from(*limb), shift + 64 * at, negative);
        }
    }

    /// Adds another integer of the same width.
    pub(super) fn merge(&mut self, other: &Self) {
        self.add_at(0, &other.0, false);
    }

    fn add_at(&mut self, from: usize, parts: &[u64], negative: bool) {
        let mut carry = false;
        let mut parts = parts.iter();
        for limb in self.0.iter_mut().skip(from) {
            let part = match parts.next() {
                Some(part) => *part,
                None if carry => 0,
                None => break,
            };
            (*limb, carry) =
                if negative { borrowing_sub(*limb, part, carry) } else { carrying_add(*limb, part, carry) };
        }
    }

    /// True when the value is zero.
    pub(super) fn is_zero(&self) -> bool {
        self.0.iter().all(|limb| *limb == 0)
    }

    /// True when the value is below zero.
    pub(super) fn is_negative(&self) -> bool {
        self.0.last().is_some_and(|limb| limb >> 63 == 1)
    }

    /// The absolute value.
    pub(super) fn magnitude(&self) -> [u64; N] {
        if !self.is_negative() {
            return self.0;
        }
        let mut zero = Self::ZERO;
        zero.add_at(0, &self.0, true);
        zero.0
    }

    /// The value as `i128 * 2^shift`, where it is one.
    pub(super) fn as_i128(&self, shift: u32) -> Option<i128> {
        let negative = self.is_negative();
        let magnitude = self.magnitude();
        let top = bit_length(&magnitude);
        if top > shift + 127 || (0..shift / 64).any(|at| magnitude[at as usize] != 0) {
            return None;
        }
        let mut rest = 0u128;
        for at in 0..top.saturating_sub(shift) {
            rest |= u128::from(bit(&magnitude, shift + at)) << at;
        }
        let mut back = Self::ZERO;
        back.add(rest, shift, negative);
        let value = rest as i128;
        (back == *self).then_some(if negative { -value } else { value })
    }

    /// Appends the limbs that matter: the index of the first one, then the limbs up to the sign.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let fill = if self.is_negative() { u64::MAX } else { 0 };
        let low = self.0.iter().position(|limb| *limb != 0).unwrap_or(0);
        let mut high = self.0.iter().rposition(|limb| *limb != fill).map_or(low, |at| at + 1).max(low);
        let sign_is_kept = high > low && (self.0[high - 1] >> 63 == 1) == self.is_negative();
        if !sign_is_kept && !self.is_zero() {
            high += 1;
        }
        out.push(low as u8);
        for limb in &self.0[low..high.min(N)] {
            out.extend_from_slice(&limb.to_le_bytes());
        }
    }

    /// Reads what [`Wide::encode`] wrote; the bytes end where the integer ends.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (low, limbs) = bytes.split_first()?;
        let (low, mut wide) = (usize::from(*low), Self::ZERO);
        if limbs.len() % 8 != 0 || low + limbs.len() / 8 > N {
            return None;
        }
        let mut end = low;
        for (at, limb) in limbs.chunks_exact(8).enumerate() {
            wide.0[low + at] = u64::from_le_bytes(limb.try_into().ok()?);
            end = low + at + 1;
        }
        if end > low && wide.0[end - 1] >> 63 == 1 {
            wide.0[end..].fill(u64::MAX);
        }
        Some(wide)
    }
}

fn carrying_add(left: u64, right: u64, carry: bool) -> (u64, bool) {
    let (sum, first) = left.overflowing_add(right);
    let (sum, second) = sum.overflowing_add(u64::from(carry));
    (sum, first || second)
}

fn borrowing_sub(left: u64, right: u64, borrow: bool) -> (u64, bool) {
    let (rest, first) = left.overflowing_sub(right);
    let (rest, second) = rest.overflowing_sub(u64::from(borrow));
    (rest, first || second)
}

/// Bits up to the highest one.
pub(super) fn bit_length(limbs: &[u64]) -> u32 {
    let top = limbs.iter().rposition(|limb| *limb != 0);
    top.map_or(0, |at| 64 * at as u32 + 64 - limbs[at].leading_zeros())
}

/// Bit `at` of `limbs`; 0 beyond the end.
pub(super) fn bit(limbs: &[u64], at: u32) -> bool {
    limbs.get((at / 64) as usize).is_some_and(|limb| (limb >> (at % 64)) & 1 == 1)
}

/// `left * right`, in as many limbs as both have.
pub(super) fn multiply(left: &[u64], right: &[u64]) -> Vec<u64> {
    let mut product = vec![0; left.len() + right.len()];
    for (at, factor) in left.iter().enumerate().filter(|(_, factor)| **factor != 0) {
        let mut carry = 0u128;
        for (limb, other) in product[at..].iter_mut().zip(right.iter().chain(std::iter::repeat(&0))) {
            let sum = u128::from(*limb) + u128::from(*factor) * u128::from(*other) + carry;
            *limb = sum as u64;
            carry = sum >> 64;
        }
    }
    product
}

/// `left - right` for `left >= right`; limbs beyond either end are 0.
pub(super) fn subtract(mut left: Vec<u64>, right: &[u64]) -> Vec<u64> {
    let mut borrow = false;
    left.resize(left.len().max(right.len()), 0);
    for (at, limb) in left.iter_mut().enumerate() {
        (*limb, borrow) = borrowing_sub(*limb, right.get(at).copied().unwrap_or(0), borrow);
    }
    left
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_carry_through_all_limbs() {
        let mut wide = Wide::<4>::ZERO;
        wide.add(1, 0, true);
        assert!(wide.is_negative());
        assert_eq!(wide.magnitude(), [1, 0, 0, 0]);
        wide.add(3, 100, false);
        wide.add(1, 0, false);
        assert_eq!(wide.magnitude(), [0, 3 << 36, 0, 0]);
        assert_eq!(wide.as_i128(100), Some(3));
        assert_eq!(wide.as_i128(101), None);
        assert_eq!(wide.as_i128(99), Some(6));
    }

    #[test]
    fn encoded_limbs_come_back() {
        for (magnitude, shift) in
            [(0, 0), (1, 0), (u128::MAX, 3), (1, 63), (1, 64), (1 << 63, 64), (5, 191), (u128::MAX, 120)]
        {
            for negative in [false, true] {
                let mut wide = Wide::<4>::ZERO;
                wide.add(magnitude, shift, negative);
                let mut bytes = Vec::new();
                wide.encode(&mut bytes);
                assert_eq!(Wide::<4>::decode(&bytes).as_ref(), Some(&wide), "{magnitude} << {shift} {negative}");
            }
        }
        assert_eq!(Wide::<4>::decode(&[]), None);
        assert_eq!(Wide::<4>::decode(&[4, 0, 0, 0, 0, 0, 0, 0, 0]), None);
    }

    #[test]
    fn products() {
        assert_eq!(multiply(&[u64::MAX], &[u64::MAX]), [1, u64::MAX - 1]);
        assert_eq!(multiply(&[0, 2], &[0, 0, 3]), [0, 0, 0, 6, 0]);
        assert_eq!(subtract(vec![0, 1], &[1]), [u64::MAX, 0]);
    }
}
