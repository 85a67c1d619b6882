//! The exact sum of doubles (decision D9).
//!
//! ```text
//! 25.3   ── on the 2^-64 grid, |x| < 2^62 ──> small: i128, in units of 2^-64
//! 1e-20  ── any other finite value ─────────> wide:  34 limbs, in units of 2^-1074
//! NaN, ±inf ────────────────────────────────> counters, so that they can be taken back
//! ```

use super::rounding::ratio;
use super::wide::Wide;

/// Bit 0 of [`Wide`] is 2^-1074, and bit 0 of `small` is 2^-64.
const SMALL_SHIFT: u32 = 1074 - 64;

/// 2098 bits for the largest double, so 2^77 additions cannot overflow it.
type WideSum = Wide<34>;

/// An exact sum: a function of the multiset of its values.
#[derive(Debug, Clone, Default)]
pub(super) struct ExactSum {
    small: i128,
    rest: Option<Box<Rest>>,
}

/// What few sums need.
#[derive(Debug, Clone)]
struct Rest {
    wide: WideSum,
    nan: i64,
    up: i64,
    down: i64,
}

/// A finite double as `mantissa * 2^(shift - 1074)`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parts {
    pub(super) mantissa: u64,
    pub(super) shift: u32,
    pub(super) negative: bool,
}

// === impl Parts ===

impl Parts {
    /// `None` for NaN and the infinities.
    #[inline]
    pub(super) fn of(value: f64) -> Option<Self> {
        let bits = value.to_bits();
        let field = ((bits >> 52) & 0x7ff) as u32;
        let fraction = bits & ((1 << 52) - 1);
        let negative = bits >> 63 == 1;
        match field {
            0x7ff => None,
            0 => Some(Self { mantissa: fraction, shift: 0, negative }),
            _ => Some(Self { mantissa: fraction | 1 << 52, shift: field - 1, negative }),
        }
    }

    /// The same value as `mantissa * 2^(shift - 64)`, when it lies on that grid and `shift <= limit`.
    #[inline]
    pub(super) fn on_grid(self, limit: u32) -> Option<(u64, u32)> {
        if self.shift >= SMALL_SHIFT {
            let shift = self.shift - SMALL_SHIFT;
            return (shift <= limit).then_some((self.mantissa, shift));
        }
        let below = SMALL_SHIFT - self.shift;
        (self.mantissa.trailing_zeros() >= below).then(|| (self.mantissa >> below, 0))
    }
}

// === impl ExactSum ===

impl ExactSum {
    /// Adds a value, or takes it back when `retract`.
    #[inline]
    pub(super) fn add(&mut self, value: f64, retract: bool) {
        let Some(parts) = Parts::of(value) else { return self.add_special(value, retract) };
        let negative = parts.negative != retract;
        match parts.on_grid(73) {
            Some((mantissa, shift)) => {
                let value = i128::from(mantissa) << shift;
                self.add_small(if negative { -value } else { value });
            }
            None if parts.mantissa == 0 => {}
            None => self.rest().wide.add(u128::from(parts.mantissa), parts.shift, negative),
        }
    }

    #[inline]
    fn add_small(&mut self, value: i128) {
        match self.small.checked_add(value) {
            Some(sum) => self.small = sum,
            None => {
                self.rest().wide.add(value.unsigned_abs(), SMALL_SHIFT, value < 0);
            }
        }
    }

    #[cold]
    fn add_special(&mut self, value: f64, retract: bool) {
        let rest = self.rest();
        let counter = match value {
            value if value.is_nan() => &mut rest.nan,
            value if value > 0.0 => &mut rest.up,
            _ => &mut rest.down,
        };
        *counter += if retract { -1 } else { 1 };
    }

    fn rest(&mut self) -> &mut Rest {
        self.rest.get_or_insert_with(|| Box::new(Rest { wide: WideSum::ZERO, nan: 0, up: 0, down: 0 }))
    }

    /// Adds all values of another sum.
    pub(super) fn merge(&mut self, other: &Self) {
        self.add_small(other.small);
        if let Some(more) = &other.rest {
            let rest = self.rest();
            rest.wide.merge(&more.wide);
            rest.nan += more.nan;
            rest.up += more.up;
            rest.down += more.down;
        }
    }

    /// What NaN and infinities among the values make of the sum.
    pub(super) fn special(&self) -> Option<f64> {
        let rest = self.rest.as_ref()?;
        match (rest.nan != 0, rest.up != 0, rest.down != 0) {
            (false, false, false) => None,
            (false, true, false) => Some(f64::INFINITY),
            (false, false, true) => Some(f64::NEG_INFINITY),
            _ => Some(f64::NAN),
        }
    }

    /// The sum divided by `divisor` (at least 1), rounded once.
    pub(super) fn over(&self, divisor: u64) -> f64 {
        if let Some(special) = self.special() {
            return special;
        }
        match self.small() {
            Some(sum) => {
                let magnitude = sum.unsigned_abs();
                ratio(sum < 0, &[magnitude as u64, (magnitude >> 64) as u64], -64, u128::from(divisor))
            }
            None => {
                let total = self.wide();
                ratio(total.is_negative(), &total.magnitude(), -1074, u128::from(divisor))
            }
        }
    }

    /// The sum in units of 2^-64, when all of it is kept that way.
    pub(super) fn small(&self) -> Option<i128> {
        self.rest.as_ref().is_none_or(|rest| rest.wide.is_zero()).then_some(self.small)
    }

    /// The sum in units of 2^-1074.
    pub(super) fn wide(&self) -> WideSum {
        let mut total = self.rest.as_ref().map_or(WideSum::ZERO, |rest| rest.wide.clone());
        total.add(self.small.unsigned_abs(), SMALL_SHIFT, self.small < 0);
        total
    }

    /// Bytes on the heap.
    #[inline]
    pub(super) fn heap(&self) -> usize {
        if self.rest.is_some() { size_of::<Rest>() } else { 0 }
    }

    /// Appends the sum; equal multisets give equal bytes.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let Some(rest) = &self.rest else { return out.extend_from_slice(&self.small.to_le_bytes()) };
        let small = self.small().or_else(|| self.wide().as_i128(SMALL_SHIFT));
        out.extend_from_slice(&small.unwrap_or(0).to_le_bytes());
        if small.is_some() && self.special().is_none() {
            return;
        }
        for count in [rest.nan, rest.up, rest.down] {
            out.extend_from_slice(&count.to_le_bytes());
        }
        let wide = if small.is_some() { WideSum::ZERO } else { self.wide() };
        wide.encode(out);
    }

    /// Reads what [`ExactSum::encode`] wrote.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (small, bytes) = bytes.split_first_chunk()?;
        let small = i128::from_le_bytes(*small);
        if bytes.is_empty() {
            return Some(Self { small, rest: None });
        }
        let (nan, bytes) = bytes.split_first_chunk()?;
        let (up, bytes) = bytes.split_first_chunk()?;
        let (down, bytes) = bytes.split_first_chunk()?;
        let [nan, up, down] = [nan, up, down].map(|count| i64::from_le_bytes(*count));
        Some(Self { small, rest: Some(Box::new(Rest { wide: WideSum::decode(bytes)?, nan, up, down })) })
    }
}
