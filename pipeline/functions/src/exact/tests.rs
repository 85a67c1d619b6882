//! Exact aggregates against exact rational arithmetic, in any order, split and merged in any way.

mod rational;
mod sql;

use super::moments::{Moments, Spread};
use super::state::{Finish, FloatState, State};
use arrow::datatypes::DataType;
use proptest::prelude::*;
use rational::{Big, is_nearest, is_nearest_root};

const OUTPUT: DataType = DataType::Float64;

fn finish<S: State<Output = arrow::datatypes::Float64Type>>(state: &S, finish: Finish) -> Option<f64> {
    state.finish(finish, &OUTPUT).unwrap()
}

fn state<S: State<Input = arrow::datatypes::Float64Type>>(values: &[f64]) -> S {
    let mut state = S::default();
    values.iter().for_each(|value| state.add(*value, false));
    state
}

fn bytes<S: State>(state: &S) -> Vec<u8> {
    let mut bytes = Vec::new();
    state.encode(&mut bytes);
    bytes
}

fn sum(values: &[f64]) -> Option<f64> {
    finish(&state::<FloatState>(values), Finish::Sum)
}

fn spread(values: &[f64], sample: bool, root: bool) -> Option<f64> {
    finish(&state::<Moments>(values), Finish::Spread(Spread { sample, root }))
}

/// Doubles of all sizes: measurements, small integers, any bits, subnormals, the extremes.
fn finite() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => (-1_000_000i64..1_000_000).prop_map(|cents| cents as f64 / 100.0),
        1 => (-5i32..5).prop_map(f64::from),
        4 => any::<u64>().prop_map(f64::from_bits).prop_filter("finite", |value| value.is_finite()),
        1 => (0u64..1 << 53).prop_map(f64::from_bits),
        1 => prop::sample::select(vec![0.0, -0.0, f64::MAX, f64::MIN, f64::MIN_POSITIVE, 5e-324, 2f64.powi(62), -2f64.powi(61), 1e-20]),
    ]
}

fn any_double() -> impl Strategy<Value = f64> {
    prop_oneof![20 => finite(), 1 => prop::sample::select(vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY])]
}

#[test]
fn sums_that_doubles_get_wrong() {
    assert_eq!(sum(&[1e100, 1.0, -1e100]), Some(1.0));
    assert_eq!(sum(&[f64::MAX, f64::MAX, -f64::MAX]), Some(f64::MAX), "an overflow on the way");
    assert_eq!(sum(&[f64::MAX, f64::MAX]), Some(f64::INFINITY));
    assert_eq!(sum(&[0.1; 10]), Some(1.0));
    assert_eq!(sum(&[5e-324, 5e-324]), Some(1e-323));
    assert_eq!(sum(&[-0.0, -0.0]).map(f64::to_bits), Some(0));
    assert_eq!(sum(&[2.5, -2.5]).map(f64::to_bits), Some(0));
    assert_eq!(sum(&[]), None);
    assert_eq!(finish(&state::<FloatState>(&[f64::MAX, f64::MAX]), Finish::Mean), Some(f64::MAX));
}

#[test]
fn not_a_number_and_infinities() {
    assert_eq!(sum(&[1.0, f64::INFINITY]), Some(f64::INFINITY));
    assert_eq!(sum(&[f64::NEG_INFINITY, 1.0]), Some(f64::NEG_INFINITY));
    assert!(sum(&[f64::NEG_INFINITY, f64::INFINITY]).unwrap().is_nan());
    assert!(sum(&[f64::NAN, 1.0]).unwrap().is_nan());
    assert!(spread(&[f64::INFINITY, 1.0], true, false).unwrap().is_nan());
}

#[test]
fn a_small_variance_on_a_large_mean_keeps_its_digits() {
    assert_eq!(spread(&[1e9 + 4.0, 1e9 + 7.0, 1e9 + 13.0, 1e9 + 16.0], true, false), Some(30.0));
    assert_eq!(spread(&[1e15, 1e15 + 1.0], false, false), Some(0.25));
    assert_eq!(spread(&[1e300, 1e300], false, true), Some(0.0));
    assert_eq!(spread(&[1e200, -1e200], false, true), Some(1e200), "its square is infinite");
    assert_eq!(spread(&[1e200, -1e200], false, false), Some(f64::INFINITY));
    assert_eq!(spread(&[f64::MAX, -f64::MAX], true, true), Some(f64::INFINITY), "the root of two times the largest");
    assert_eq!(spread(&[7.0], true, false), None);
    assert_eq!(spread(&[7.0], false, false), Some(0.0));
    assert_eq!(spread(&[], false, false), None);
}

#[test]
fn overflow_of_the_fast_path_is_caught() {
    let many = vec![2f64.powi(61); 100];
    assert_eq!(sum(&many), Some(100.0 * 2f64.powi(61)));
    let mut state: FloatState = state(&many);
    many.iter().skip(1).for_each(|value| state.add(*value, true));
    assert_eq!(finish(&state, Finish::Sum), Some(2f64.powi(61)));
    assert_eq!(bytes(&state).len(), 24, "back in the short form");
}

proptest! {
    #[test]
    fn sum_and_mean_are_rounded_once(values in prop::collection::vec(finite(), 1..30)) {
        let total = values.iter().fold(Big::default(), |total, value| total.add(&Big::of(*value)));
        prop_assert!(is_nearest(sum(&values).unwrap(), &total, 1, 0));
        let mean = finish(&state::<FloatState>(&values), Finish::Mean).unwrap();
        prop_assert!(is_nearest(mean, &total, values.len() as u64, 0));
    }

    #[test]
    fn spreads_are_rounded_once(values in prop::collection::vec(finite(), 2..20)) {
        let n = values.len() as u64;
        let sum = values.iter().fold(Big::default(), |sum, value| sum.add(&Big::of(*value)));
        let squares = values.iter().map(|value| Big::of(*value)).fold(Big::default(), |sum, value| sum.add(&value.multiply(&value)));
        let deviations = squares.times(n).add(&sum.multiply(&sum).negate());
        for (sample, divisor) in [(true, n * (n - 1)), (false, n * n)] {
            prop_assert!(is_nearest(spread(&values, sample, false).unwrap(), &deviations, divisor, 1074));
            prop_assert!(is_nearest_root(spread(&values, sample, true).unwrap(), &deviations, divisor));
        }
    }

    #[test]
    fn any_order_split_and_merge_tree_gives_the_same_bits(
        values in prop::collection::vec((any_double(), 0usize..5, any::<u32>()), 0..40),
    ) {
        let plain: Vec<f64> = values.iter().map(|(value, ..)| *value).collect();
        let mut shuffled = values.clone();
        shuffled.sort_by_key(|(.., order)| *order);
        check_tree::<FloatState>(&plain, &shuffled, Finish::Sum)?;
        check_tree::<FloatState>(&plain, &shuffled, Finish::Mean)?;
        check_tree::<Moments>(&plain, &shuffled, Finish::Spread(Spread { sample: true, root: false }))?;
    }

    #[test]
    fn taking_back_is_recomputing(values in prop::collection::vec((any_double(), any::<bool>()), 0..40)) {
        let kept: Vec<f64> = values.iter().filter(|(_, keep)| *keep).map(|(value, _)| *value).collect();
        check_retract::<FloatState>(&values, &kept)?;
        check_retract::<Moments>(&values, &kept)?;
    }
}

/// Adds to several states in another order, sends them through bytes, and merges them from the last to the first.
fn check_tree<S>(plain: &[f64], shuffled: &[(f64, usize, u32)], how: Finish) -> Result<(), TestCaseError>
where
    S: State<Input = arrow::datatypes::Float64Type, Output = arrow::datatypes::Float64Type>,
{
    let mut parts = vec![S::default(); 5];
    shuffled.iter().for_each(|(value, part, _)| parts[*part].add(*value, false));
    let mut merged = S::default();
    for part in parts.iter().rev() {
        merged.merge(&S::decode(&bytes(part)).unwrap());
    }
    let expected = state::<S>(plain);
    prop_assert_eq!(bytes(&merged), bytes(&expected));
    prop_assert_eq!(finish(&merged, how).map(f64::to_bits), finish(&expected, how).map(f64::to_bits));
    Ok(())
}

fn check_retract<S>(values: &[(f64, bool)], kept: &[f64]) -> Result<(), TestCaseError>
where
    S: State<Input = arrow::datatypes::Float64Type>,
{
    let mut state: S = state(&values.iter().map(|(value, _)| *value).collect::<Vec<_>>());
    values.iter().filter(|(_, keep)| !keep).for_each(|(value, _)| state.add(*value, true));
    prop_assert_eq!(bytes(&state), bytes(&self::state::<S>(kept)));
    Ok(())
}
