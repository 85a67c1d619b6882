//! JSON number tokens, read from their digits: exact, never through a float.
//!
//! ```text
//! -12.50e1   int "12", frac "50", exponent 1      as an integer of tenths (scale 1): -1250
//! ```

/// A number token, split; borrowed from the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Digits<'a> {
    negative: bool,
    int: &'a [u8],
    frac: &'a [u8],
    /// Power of ten behind the digits, at most [`MAX_EXPONENT`] either way.
    exponent: i64,
}

/// Why a number has no integer of the asked unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unfit {
    /// A digit other than zero lies below the unit.
    Fraction,
    /// The integer does not fit 128 bits.
    Range,
}

/// What becomes of digits below the unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Below {
    /// Any other digit than zero is [`Unfit::Fraction`].
    Refuse,
    /// They are cut off, towards the smaller number.
    Cut,
}

/// So many decimal digits always make an integer that a float holds exactly.
const SHORT: usize = 15;
/// Powers of ten, exact.
const POWERS: [f64; SHORT] = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14];

/// Exponents beyond this give zero or overflow whatever the digits of a message are.
const MAX_EXPONENT: i64 = 1 << 40;

// === impl Digits ===

impl<'a> Digits<'a> {
    /// Splits `token`; `None` if it is not a number by the grammar of JSON.
    pub(super) fn parse(token: &'a str) -> Option<Self> {
        let (negative, rest) = match token.as_bytes() {
            [b'-', rest @ ..] => (true, rest),
            rest => (false, rest),
        };
        let (int, rest) = digits(rest)?;
        if int.len() > 1 && int[0] == b'0' {
            return None;
        }
        let (frac, rest) = match rest {
            [b'.', rest @ ..] => digits(rest)?,
            rest => (&rest[..0], rest),
        };
        let exponent = match rest {
            [] => 0,
            [b'e' | b'E', rest @ ..] => exponent(rest)?,
            _ => return None,
        };
        Some(Self { negative, int, frac, exponent })
    }

    /// The number as an integer of units of 10^-`scale`.
    pub(super) fn scaled(&self, scale: i64, below: Below) -> Result<i128, Unfit> {
        let count = (self.int.len() + self.frac.len()) as i64;
        // How many digits, from the left, lie at or above the unit; may be negative or beyond the last digit.
        let whole = self.int.len() as i64 + self.exponent + scale;
        let (mut value, mut lost) = (0_i128, false);
        for (at, digit) in (0_i64..).zip(self.int.iter().chain(self.frac)) {
            let digit = i128::from(digit - b'0');
            if at < whole {
                value = value.checked_mul(10).and_then(|value| value.checked_add(digit)).ok_or(Unfit::Range)?;
            } else if digit != 0 {
                lost = true;
                break;
            }
        }
        if value != 0 {
            // Ends at the latest after 39 rounds, by overflow.
            for _ in count..whole {
                value = value.checked_mul(10).ok_or(Unfit::Range)?;
            }
        }
        match (lost, below) {
            (true, Below::Refuse) => Err(Unfit::Fraction),
            (true, Below::Cut) if self.negative => Ok(-value - 1),
            _ => Ok(if self.negative { -value } else { value }),
        }
    }
}

/// The token as an integer of 64 bits; `3.0` and `3e0` are 3.
pub(super) fn integer(token: &str) -> Option<Result<i64, Unfit>> {
    // Most integers are plain digits; what this refuses (a leading plus or zero too) the full grammar decides.
    let plain = token.as_bytes().first().is_some_and(|first| matches!(first, b'1'..=b'9'));
    if plain && let Ok(value) = token.parse() {
        return Some(Ok(value));
    }
    let scaled = Digits::parse(token)?.scaled(0, Below::Refuse);
    Some(scaled.and_then(|value| i64::try_from(value).map_err(|_| Unfit::Range)))
}

/// The float nearest to a number token of at most 15 digits without an exponent: digits and power of ten are exact
/// floats, so that one division rounds once. `None` leaves all other tokens to the full grammar.
pub(super) fn short(token: &str) -> Option<f64> {
    let digits = token.strip_prefix('-').unwrap_or(token).as_bytes();
    let (mut value, mut point) = (0_u64, None);
    if digits.len() > SHORT + 1 {
        return None;
    }
    for (at, byte) in digits.iter().enumerate() {
        match byte {
            b'0'..=b'9' => value = value * 10 + u64::from(byte - b'0'),
            b'.' if point.is_none() => point = Some(at),
            _ => return None,
        }
    }
    let whole = point.unwrap_or(digits.len());
    let fraction = point.map_or(0, |point| digits.len() - point - 1);
    let is_number = whole > 0 && (whole == 1 || digits[0] != b'0') && (point.is_none() || fraction > 0);
    if !is_number || whole + fraction > SHORT {
        return None;
    }
    let value = value as f64 / POWERS[fraction];
    Some(if digits.len() < token.len() { -value } else { value })
}

/// Splits off at least one digit.
fn digits(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let count = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    (count > 0).then(|| text.split_at(count))
}

fn exponent(text: &[u8]) -> Option<i64> {
    let (negative, rest) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    let (digits, []) = digits(rest)? else { return None };
    let size = digits.iter().fold(0_i64, |size, digit| (size * 10 + i64::from(digit - b'0')).min(MAX_EXPONENT));
    Some(if negative { -size } else { size })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_are_read_from_their_digits() {
        check("0", 0, Ok(0));
        check("-0", 0, Ok(0));
        check("-0.0", 3, Ok(0));
        check("12", 0, Ok(12));
        check("3.0", 0, Ok(3));
        check("3e0", 0, Ok(3));
        check("30E-1", 0, Ok(3));
        check("0.03e+2", 0, Ok(3));
        check("3.5", 0, Err(Unfit::Fraction));
        check("-12.50e1", 1, Ok(-1250));
        check("0.000001", 6, Ok(1));
        check("0.0000001", 6, Err(Unfit::Fraction));
        check("1e38", 0, Ok(10_i128.pow(38)));
        check("1e39", 0, Err(Unfit::Range));
        check("1e999999999999999999999", 0, Err(Unfit::Range));
        check("0e999999999999999999999", 0, Ok(0));
        check("1e-99999999999999999999", 0, Err(Unfit::Fraction));
        check("170141183460469231731687303715884105727", 0, Ok(i128::MAX));
        check("170141183460469231731687303715884105728", 0, Err(Unfit::Range));
        check("1.00000000000000000000000000000000000000000000000000", 0, Ok(1));
        check("1700000000.123456", 6, Ok(1_700_000_000_123_456));
    }

    #[test]
    fn a_cut_goes_to_the_smaller_number() {
        let cut = |token: &str| Digits::parse(token).unwrap().scaled(0, Below::Cut);
        assert_eq!([cut("1.9"), cut("-1.5"), cut("-1.0"), cut("-1e-9")], [Ok(1), Ok(-2), Ok(-1), Ok(-1)]);
    }

    #[test]
    fn other_grammars_are_no_numbers() {
        for token in ["", "-", "+1", "01", "-01", "1.", ".5", "1e", "1e+", "0x10", "NaN", "inf", " 1", "1 ", "1_0", "١"]
        {
            assert_eq!(Digits::parse(token), None, "{token}");
            assert_eq!(integer(token), None, "{token}");
        }
    }

    proptest! {
        #[test]
        fn a_short_number_is_the_nearest_float(token in "-?[0-9]{0,9}[.]?[0-9]{0,9}[e.]?") {
            let expect = Digits::parse(&token).and_then(|_| token.parse::<f64>().ok());
            match short(&token) {
                Some(value) => prop_assert_eq!(Some(value.to_bits()), expect.map(f64::to_bits)),
                None => prop_assert!(expect.is_none() || token.trim_start_matches('-').len() > SHORT),
            }
        }
    }

    #[test]
    fn integers_have_64_bits() {
        assert_eq!(integer("9223372036854775807"), Some(Ok(i64::MAX)));
        assert_eq!(integer("-9223372036854775808"), Some(Ok(i64::MIN)));
        assert_eq!(integer("9223372036854775808"), Some(Err(Unfit::Range)));
    }

    fn check(token: &str, scale: i64, expect: Result<i128, Unfit>) {
        assert_eq!(Digits::parse(token).unwrap().scaled(scale, Below::Refuse), expect, "{token}");
    }
}
