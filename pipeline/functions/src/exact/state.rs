//! What an exact aggregate keeps per group, and what it gives at the end.

use super::moments::{Moments, Spread};
use super::sum::ExactSum;
use arrow::array::ArrowPrimitiveType;
use arrow::datatypes::{DataType, DecimalType, Float64Type, i256};
use std::fmt::Debug;
use std::marker::PhantomData;

/// A native value of an arrow type.
pub(super) type Native<T> = <T as ArrowPrimitiveType>::Native;

/// What is asked of a state at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Finish {
    /// `sum`.
    Sum,
    /// `avg`.
    Mean,
    /// `avg` of decimals, whose result has more digits after the point than the argument.
    DecimalMean {
        /// How many more.
        more_digits: u32,
    },
    /// `var*` and `stddev*`.
    Spread(Spread),
}

/// The result does not fit its type: NULL, and counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Overflow;

/// A commutative sum of contributions that are functions of one value each.
pub(super) trait State: Debug + Clone + Default + Send + Sync + 'static {
    /// Type of the argument.
    type Input: ArrowPrimitiveType + Debug;
    /// Type of the result.
    type Output: ArrowPrimitiveType;

    /// Adds a value, or takes it back when `retract`.
    fn add(&mut self, value: Native<Self::Input>, retract: bool);
    /// Adds what another state has seen.
    fn merge(&mut self, other: &Self);
    /// The result; `None` (NULL) without enough values.
    fn finish(&self, finish: Finish, output: &DataType) -> Result<Option<Native<Self::Output>>, Overflow>;
    /// Appends the state as bytes.
    fn encode(&self, out: &mut Vec<u8>);
    /// Reads what [`State::encode`] wrote.
    fn decode(bytes: &[u8]) -> Option<Self>;
    /// Equal for values that `DISTINCT` and `GROUP BY` take as one: all bits, except that `-0.0` is `0.0`.
    fn key(value: Native<Self::Input>) -> i128;
    /// Bytes on the heap.
    fn heap(&self) -> usize {
        0
    }
}

/// Count and exact sum of doubles: `sum` and `avg`.
#[derive(Debug, Clone, Default)]
pub(super) struct FloatState {
    count: i64,
    sum: ExactSum,
}

/// Count and sum of 64-bit integers; 128 bits hold 2^63 of them.
#[derive(Debug)]
pub(super) struct IntegerState<T> {
    count: i64,
    sum: i128,
    kind: PhantomData<fn() -> T>,
}

/// Count and sum of decimals of up to 38 digits; 256 bits hold 2^63 of them.
#[derive(Debug)]
pub(super) struct DecimalState<T> {
    count: i64,
    sum: i256,
    kind: PhantomData<fn() -> T>,
}

// === impl FloatState ===

impl State for FloatState {
    type Input = Float64Type;
    type Output = Float64Type;

    #[inline]
    fn add(&mut self, value: f64, retract: bool) {
        self.count += if retract { -1 } else { 1 };
        self.sum.add(value, retract);
    }

    fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.sum.merge(&other.sum);
    }

    fn finish(&self, finish: Finish, _: &DataType) -> Result<Option<f64>, Overflow> {
        let Ok(count @ 1..) = u64::try_from(self.count) else { return Ok(None) };
        Ok(Some(self.sum.over(if finish == Finish::Mean { count } else { 1 })))
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.count.to_le_bytes());
        self.sum.encode(out);
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (count, bytes) = bytes.split_first_chunk()?;
        Some(Self { count: i64::from_le_bytes(*count), sum: ExactSum::decode(bytes)? })
    }

    fn key(value: f64) -> i128 {
        float_key(value)
    }

    #[inline]
    fn heap(&self) -> usize {
        self.sum.heap()
    }
}

// === impl Moments ===

impl State for Moments {
    type Input = Float64Type;
    type Output = Float64Type;

    fn add(&mut self, value: f64, retract: bool) {
        Moments::add(self, value, retract);
    }

    fn merge(&mut self, other: &Self) {
        Moments::merge(self, other);
    }

    fn finish(&self, finish: Finish, _: &DataType) -> Result<Option<f64>, Overflow> {
        let Finish::Spread(spread) = finish else { return Ok(None) };
        Ok(self.spread(spread))
    }

    fn encode(&self, out: &mut Vec<u8>) {
        Moments::encode(self, out);
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        Moments::decode(bytes)
    }

    fn key(value: f64) -> i128 {
        float_key(value)
    }

    fn heap(&self) -> usize {
        Moments::heap(self)
    }
}

// === impl IntegerState ===

impl<T> Clone for IntegerState<T> {
    fn clone(&self) -> Self {
        Self { count: self.count, sum: self.sum, kind: PhantomData }
    }
}

impl<T> Default for IntegerState<T> {
    fn default() -> Self {
        Self { count: 0, sum: 0, kind: PhantomData }
    }
}

impl<T> State for IntegerState<T>
where
    T: ArrowPrimitiveType + Debug,
    Native<T>: Into<i128> + TryFrom<i128>,
{
    type Input = T;
    type Output = T;

    #[inline]
    fn add(&mut self, value: Native<T>, retract: bool) {
        let value: i128 = value.into();
        self.count += if retract { -1 } else { 1 };
        self.sum += if retract { -value } else { value };
    }

    fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.sum += other.sum;
    }

    fn finish(&self, _: Finish, _: &DataType) -> Result<Option<Native<T>>, Overflow> {
        if self.count == 0 {
            return Ok(None);
        }
        Native::<T>::try_from(self.sum).map(Some).map_err(|_| Overflow)
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.count.to_le_bytes());
        out.extend_from_slice(&self.sum.to_le_bytes());
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (count, bytes) = bytes.split_first_chunk()?;
        let sum = i128::from_le_bytes(bytes.try_into().ok()?);
        Some(Self { count: i64::from_le_bytes(*count), sum, kind: PhantomData })
    }

    fn key(value: Native<T>) -> i128 {
        value.into()
    }
}

// === impl DecimalState ===

impl<T> Clone for DecimalState<T> {
    fn clone(&self) -> Self {
        Self { count: self.count, sum: self.sum, kind: PhantomData }
    }
}

impl<T> Default for DecimalState<T> {
    fn default() -> Self {
        Self { count: 0, sum: i256::ZERO, kind: PhantomData }
    }
}

impl<T> State for DecimalState<T>
where
    T: DecimalType + Debug,
    Native<T>: Into<i128> + TryFrom<i128>,
{
    type Input = T;
    type Output = T;

    #[inline]
    fn add(&mut self, value: Native<T>, retract: bool) {
        let value = i256::from_i128(value.into());
        self.count += if retract { -1 } else { 1 };
        self.sum = if retract { self.sum.wrapping_sub(value) } else { self.sum.wrapping_add(value) };
    }

    fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.sum = self.sum.wrapping_add(other.sum);
    }

    fn finish(&self, finish: Finish, output: &DataType) -> Result<Option<Native<T>>, Overflow> {
        if self.count == 0 {
            return Ok(None);
        }
        let result = match finish {
            Finish::DecimalMean { more_digits } => mean(self.sum, self.count, more_digits).ok_or(Overflow)?,
            _ => self.sum,
        };
        let result = result.to_i128().and_then(|sum| Native::<T>::try_from(sum).ok()).ok_or(Overflow)?;
        let (DataType::Decimal32(precision, _)
        | DataType::Decimal64(precision, _)
        | DataType::Decimal128(precision, _)) = output
        else {
            return Err(Overflow);
        };
        if T::is_valid_decimal_precision(result, *precision) { Ok(Some(result)) } else { Err(Overflow) }
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.count.to_le_bytes());
        out.extend_from_slice(&self.sum.to_le_bytes());
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (count, bytes) = bytes.split_first_chunk()?;
        let sum = i256::from_le_bytes(bytes.try_into().ok()?);
        Some(Self { count: i64::from_le_bytes(*count), sum, kind: PhantomData })
    }

    fn key(value: Native<T>) -> i128 {
        value.into()
    }
}

/// The last digit is cut off towards zero, as in DataFusion.
fn mean(sum: i256, count: i64, more_digits: u32) -> Option<i256> {
    let scaled = sum.checked_mul(i256::from_i128(10).checked_pow(more_digits)?)?;
    scaled.checked_div(i256::from_i128(count.into()))
}

fn float_key(value: f64) -> i128 {
    if value == 0.0 { 0 } else { value.to_bits().into() }
}
