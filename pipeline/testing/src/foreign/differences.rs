//! What is not compared, and why: the only place where the second oracle may look away.
//!
//! Differences of dialect that have one exact translation stand in the translation, not here: the order of nulls, integer
//! overflow and failed casts (NULL), window functions, intervals, semi joins, `QUALIFY`, the total order of equal rows.

use std::fmt;

/// A reason to leave a case out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Difference {
    /// `median`, `percentile_cont`.
    Quantiles,
    /// `var_*`, `stddev*`.
    Spreads,
    /// `approx_distinct`.
    Approximate,
    /// `*`, `/`, `%` of decimals.
    DecimalProducts,
    /// Casts of text and floats to decimals, and of decimals to fewer digits.
    ToDecimal,
    /// A float as text whose shortest digits are two.
    FloatTies,
    /// A decimal beyond 64 bits.
    WideDecimals,
    /// `row_number` and its like in arithmetic with integers.
    UnsignedArithmetic,
    /// Two types of different classes meet.
    MixedTypes,
    /// 0.0 and -0.0 meet in `nullif`, `PARTITION BY` or `count(DISTINCT ...)`.
    Zeros,
    /// A result is of a wider type than its expression.
    Widths,
    /// More than one function numbers rows of which some are equal.
    EqualRows,
    /// Grammar that the translation does not know.
    Syntax,
}

/// Each difference with its reason.
pub const DIFFERENCES: [(Difference, &str); 13] = {
    use Difference::*;
    [
        (Quantiles, "SQLite has none, and DataFusion's interpolation is not specified"),
        (Spreads, "SQLite has none; `functions/src/exact/tests.rs` checks ours against exact rationals"),
        (Approximate, "the answer is DataFusion's own sketch"),
        (DecimalProducts, "SQLite has no decimals, and the digits of a product are DataFusion's own rule"),
        (ToDecimal, "how digits are cut off is Arrow's own rule"),
        (
            FloatTies,
            "1000000014901161.25 is 1000000014901161.2 to Arrow and 1000000014901161.3 to Rust; both read back the same",
        ),
        (WideDecimals, "SQLite's integers have 64 bits"),
        (UnsignedArithmetic, "SQLite has no unsigned integers; DataFusion makes decimals of the two"),
        (MixedTypes, "what DataFusion makes of the two is its own rule"),
        (
            Zeros,
            "equal in SQL, and in `=` and GROUP BY of DataFusion 55; two values in its `nullif`, PARTITION BY and `count(DISTINCT ...)`",
        ),
        (Widths, "DataFusion 55 counts the letters of a `string_agg` in 64 bits"),
        (
            EqualRows,
            "the SQL does not say which of two equal rows comes first, and each function may have its own view",
        ),
        (Syntax, "what generated jobs do not hold; or the planner found that a stream gives no row and left it out"),
    ]
};

/// The case lies outside of what is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outside(pub Difference);

/// Marks an [`Outside`] in an error message of SQLite.
const MARK: &str = "outside: ";

// === impl Outside ===

impl From<Difference> for Outside {
    fn from(difference: Difference) -> Self {
        Self(difference)
    }
}

impl fmt::Display for Outside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{MARK}{:?}", self.0)
    }
}

impl std::error::Error for Outside {}

impl Outside {
    /// Finds the [`Outside`] that a function has reported through SQLite.
    pub(super) fn in_message(message: &str) -> Option<Self> {
        let name = message.split_once(MARK)?.1;
        DIFFERENCES.iter().find(|(known, _)| format!("{known:?}") == name).map(|(known, _)| Self(*known))
    }
}
