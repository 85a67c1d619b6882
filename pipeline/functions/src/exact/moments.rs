//! Count, sum and sum of squares of doubles, all exact, and the variance formed from them.
//!
//! `n * Sxx - Sx^2` is formed in integers and divided by `n * n` or `n * (n - 1)`; only that quotient (or its root) is
//! rounded, so a small variance on a large mean keeps its digits.

use super::rounding::{ratio, root};
use super::sum::{ExactSum, Parts};
use super::wide::{Wide, multiply, subtract};

/// Bit 0 of the wide squares is 2^-2148, bit 0 of the small ones 2^-128.
const SMALL_SHIFT: u32 = 2148 - 128;

/// A small square is below 2^190 units, so 2^63 of them stay below 2^253.
const SMALL_LIMIT: u32 = 42;

/// 4196 bits for the largest square, so 2^155 additions cannot overflow it.
type WideSquares = Wide<68>;

/// The first two moments of a multiset of doubles.
#[derive(Debug, Clone)]
pub(super) struct Moments {
    count: i64,
    sum: ExactSum,
    squares: Wide<4>,
    wide: Option<Box<WideSquares>>,
}

/// Which spread is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Spread {
    /// Divide by `n - 1` rather than by `n`.
    pub(super) sample: bool,
    /// The standard deviation rather than the variance.
    pub(super) root: bool,
}

impl Default for Moments {
    fn default() -> Self {
        Self { count: 0, sum: ExactSum::default(), squares: Wide::ZERO, wide: None }
    }
}

// === impl Moments ===

impl Moments {
    /// Adds a value, or takes it back when `retract`.
    pub(super) fn add(&mut self, value: f64, retract: bool) {
        self.count += if retract { -1 } else { 1 };
        self.sum.add(value, retract);
        let Some(parts) = Parts::of(value).filter(|parts| parts.mantissa != 0) else { return };
        let square = |mantissa: u64| u128::from(mantissa) * u128::from(mantissa);
        match parts.on_grid(SMALL_LIMIT) {
            Some((mantissa, shift)) => self.squares.add(square(mantissa), 2 * shift, retract),
            None => self.wide_squares().add(square(parts.mantissa), 2 * parts.shift, retract),
        }
    }

    fn wide_squares(&mut self) -> &mut WideSquares {
        self.wide.get_or_insert_with(|| Box::new(WideSquares::ZERO))
    }

    /// Adds all values of another multiset.
    pub(super) fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.sum.merge(&other.sum);
        self.squares.merge(&other.squares);
        if let Some(wide) = &other.wide {
            self.wide_squares().merge(wide);
        }
    }

    /// The spread, rounded once; `None` without enough values, NaN when one of them is not finite.
    pub(super) fn spread(&self, spread: Spread) -> Option<f64> {
        let count = u64::try_from(self.count).unwrap_or(0);
        let freedom = if spread.sample { count.saturating_sub(1) } else { count };
        if freedom == 0 {
            return None;
        }
        if self.sum.special().is_some() {
            return Some(f64::NAN);
        }
        let (squares, exponent) = self.deviations(count);
        let divisor = u128::from(count) * u128::from(freedom);
        Some(if spread.root { root(&squares, exponent, divisor) } else { ratio(false, &squares, exponent, divisor) })
    }

    /// `n * Sxx - Sx^2`, which is never below zero (Cauchy-Schwarz), and the exponent of its unit.
    fn deviations(&self, count: u64) -> (Vec<u64>, i32) {
        let no_wide = self.wide.as_ref().is_none_or(|wide| wide.is_zero());
        if let (Some(sum), true) = (self.sum.small(), no_wide) {
            let sum = sum.unsigned_abs();
            let sum = [sum as u64, (sum >> 64) as u64];
            return (subtract(multiply(&self.squares.magnitude(), &[count]), &multiply(&sum, &sum)), -128);
        }
        let mut squares = self.wide.as_deref().cloned().unwrap_or(WideSquares::ZERO);
        squares.add_limbs(&self.squares.magnitude(), SMALL_SHIFT, self.squares.is_negative());
        let sum = self.sum.wide().magnitude();
        (subtract(multiply(&squares.magnitude(), &[count]), &multiply(&sum, &sum)), -2148)
    }

    /// Bytes on the heap.
    pub(super) fn heap(&self) -> usize {
        self.sum.heap() + if self.wide.is_some() { size_of::<WideSquares>() } else { 0 }
    }

    /// Appends the moments: count, squares, length of the sum, sum, and the wide squares where there are any.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.count.to_le_bytes());
        let mut sum = Vec::new();
        self.sum.encode(&mut sum);
        out.extend_from_slice(&(sum.len() as u16).to_le_bytes());
        out.extend_from_slice(&sum);
        let mut squares = Vec::new();
        self.squares.encode(&mut squares);
        out.extend_from_slice(&(squares.len() as u16).to_le_bytes());
        out.extend_from_slice(&squares);
        if let Some(wide) = self.wide.as_ref().filter(|wide| !wide.is_zero()) {
            wide.encode(out);
        }
    }

    /// Reads what [`Moments::encode`] wrote.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (count, bytes) = bytes.split_first_chunk()?;
        let (sum, bytes) = part(bytes)?;
        let (squares, bytes) = part(bytes)?;
        let wide = if bytes.is_empty() { None } else { Some(Box::new(WideSquares::decode(bytes)?)) };
        Some(Self {
            count: i64::from_le_bytes(*count),
            sum: ExactSum::decode(sum)?,
            squares: Wide::decode(squares)?,
            wide,
        })
    }
}

/// A part with its length in front, and what follows it.
fn part(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, bytes) = bytes.split_first_chunk()?;
    bytes.split_at_checked(usize::from(u16::from_le_bytes(*length)))
}
