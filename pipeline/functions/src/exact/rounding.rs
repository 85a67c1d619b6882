//! From a wide integer to the nearest double, rounded once, to nearest even.

use super::wide::{bit, bit_length};

/// A number as `(bits + fraction) * 2^exponent`, with `0 <= fraction < 1`, and 0 only when `exact`.
struct Leading {
    bits: u128,
    exponent: i32,
    exact: bool,
}

/// `magnitude * 2^exponent / divisor` rounded once, with the sign; exact zero is `+0.0`.
///
/// `divisor` lies in `1..2^127`.
pub(super) fn ratio(negative: bool, magnitude: &[u64], exponent: i32, divisor: u128) -> f64 {
    let leading = match (bit_length(magnitude), u64::try_from(divisor)) {
        (0, _) => return 0.0,
        (1..=128, Ok(divisor)) => short_division(magnitude, exponent, divisor),
        _ => long_division(magnitude, exponent, divisor, 66),
    };
    let rounded = nearest(&leading);
    if negative { -rounded } else { rounded }
}

/// The square root of `magnitude * 2^exponent / divisor`, rounded once.
pub(super) fn root(magnitude: &[u64], exponent: i32, divisor: u128) -> f64 {
    if bit_length(magnitude) == 0 {
        return 0.0;
    }
    let square = long_division(magnitude, exponent, divisor, 124);
    let bits = square.bits.isqrt();
    nearest(&Leading { bits, exponent: square.exponent / 2, exact: square.exact && bits * bits == square.bits })
}

/// The usual case of `avg`: both fit in machine words. Gives at least 64 bits.
fn short_division(magnitude: &[u64], exponent: i32, divisor: u64) -> Leading {
    let limb = |at: usize| u128::from(magnitude.get(at).copied().unwrap_or(0));
    let value = limb(0) | limb(1) << 64;
    let shift = value.leading_zeros();
    let (value, divisor) = (value << shift, u128::from(divisor));
    Leading { bits: value / divisor, exponent: exponent - shift as i32, exact: value % divisor == 0 }
}

/// Bit by bit, until there are more than `wanted` bits and the exponent is even (so that a root can be taken).
fn long_division(magnitude: &[u64], exponent: i32, divisor: u128, wanted: u32) -> Leading {
    let mut place = bit_length(magnitude) as i32;
    let (mut remainder, mut bits) = (0u128, 0u128);
    while bits >> wanted == 0 || (place + exponent) % 2 != 0 {
        place -= 1;
        let next = u32::try_from(place).is_ok_and(|place| bit(magnitude, place));
        remainder = remainder << 1 | u128::from(next);
        bits <<= 1;
        if remainder >= divisor {
            remainder -= divisor;
            bits |= 1;
        }
    }
    let nothing_below = (0..place.max(0) as u32).all(|at| !bit(magnitude, at));
    Leading { bits, exponent: exponent + place, exact: remainder == 0 && nothing_below }
}

/// Rounds to nearest even. `bits` has more than 54 bits unless it is exact.
fn nearest(leading: &Leading) -> f64 {
    let length = 128 - leading.bits.leading_zeros() as i32;
    // 53 bits stay, fewer where the result is subnormal: nothing lies below 2^-1074.
    let shift = (length - 53).max(-1074 - leading.exponent);
    let (mut mantissa, half, rest) = match shift {
        ..=0 => (leading.bits << -shift, false, false),
        1..=127 => {
            let below = leading.bits & ((1 << shift) - 1);
            let half = 1u128 << (shift - 1);
            (leading.bits >> shift, below & half != 0, below & (half - 1) != 0 || !leading.exact)
        }
        128 => (0, leading.bits >> 127 == 1, leading.bits << 1 != 0 || !leading.exact),
        _ => return 0.0,
    };
    if half && (rest || mantissa & 1 == 1) {
        mantissa += 1;
    }
    // A mantissa with its leading bit adds one to the exponent field, which is why the field starts at 0 here.
    let field = (leading.exponent + shift + 1074) as u64;
    if field > 2046 {
        return f64::INFINITY;
    }
    f64::from_bits(((field << 52) + mantissa as u64).min(f64::INFINITY.to_bits()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_round_as_the_compiler_does() {
        for value in [
            0u128,
            1,
            3,
            (1 << 53) + 1,
            (1 << 53) + 3,
            (1 << 54) + 2,
            u128::MAX,
            (1 << 127) + (1 << 74),
            (1 << 127) + (1 << 74) + 1,
        ] {
            let limbs = [value as u64, (value >> 64) as u64];
            assert_eq!(ratio(false, &limbs, 0, 1), value as f64, "{value}");
            assert_eq!(ratio(true, &limbs, 0, 1), if value == 0 { 0.0 } else { -(value as f64) }, "{value}");
        }
    }

    #[test]
    fn quotients_of_small_integers_are_those_of_the_processor() {
        for dividend in [1u64, 2, 3, 7, 10, 1 << 52, (1 << 53) - 1] {
            for divisor in [1u64, 3, 7, 10, 49, 1 << 40, (1 << 53) - 1] {
                assert_eq!(ratio(false, &[dividend], 0, u128::from(divisor)), dividend as f64 / divisor as f64);
                let long = nearest(&long_division(&[dividend], 0, u128::from(divisor), 66));
                assert_eq!(long, dividend as f64 / divisor as f64);
                assert_eq!(root(&[dividend], 0, 1), (dividend as f64).sqrt());
            }
        }
    }

    #[test]
    fn edges_of_the_range() {
        assert_eq!(ratio(false, &[1], -1074, 1), f64::from_bits(1));
        assert_eq!(ratio(false, &[1], -1074, 2), 0.0, "a tie goes to even");
        assert_eq!(ratio(false, &[3], -1074, 2), f64::from_bits(2));
        assert_eq!(ratio(false, &[1], -1300, 1), 0.0);
        assert_eq!(ratio(false, &[1], 1023, 1), 2f64.powi(1023));
        assert_eq!(ratio(false, &[1], 1024, 1), f64::INFINITY);
        assert_eq!(ratio(false, &[(1 << 53) - 1], 971, 1), f64::MAX);
        assert_eq!(ratio(false, &[(1 << 54) - 1], 970, 1), f64::INFINITY, "rounds up and over");
    }
}
