//! The limit that a condition sets to a rank.

use super::*;
use datafusion::logical_expr::{cast, col, in_list};

#[test]
fn limits_of_conditions() {
    let rank = || col("rank");
    let wide = || cast(rank(), DataType::Int64);
    let cases = [
        (rank().lt_eq(lit(3u64)), Some(3)),
        (rank().lt(lit(3u64)), Some(2)),
        (rank().lt(lit(0u64)), Some(0)),
        (rank().eq(lit(1u64)), Some(1)),
        (lit(4u64).gt(rank()), Some(3)),
        (lit(4u64).gt_eq(rank()), Some(4)),
        (wide().lt_eq(lit(3i64)), Some(3)),
        (wide().lt_eq(lit(-3i64)), None),
        (rank().between(lit(2u64), lit(5u64)), Some(5)),
        (rank().not_between(lit(2u64), lit(5u64)), None),
        (in_list(rank(), vec![lit(1u64), lit(7u64)], false), Some(7)),
        (in_list(rank(), vec![lit(1u64), lit(7u64)], true), None),
        (rank().lt_eq(lit(3u64)).and(rank().lt_eq(lit(2u64))), Some(2)),
        (rank().lt_eq(lit(3u64)).and(col("v").gt(lit(0))), Some(3)),
        (rank().eq(lit(1u64)).or(rank().eq(lit(6u64))), Some(6)),
        (rank().eq(lit(1u64)).or(col("v").gt(lit(0))), None),
        (rank().gt(lit(3u64)), None),
        (rank().lt_eq(col("v")), None),
        (rank().lt_eq(lit(2.5)), None),
        (cast(rank(), DataType::Float64).lt_eq(lit(3i64)), None),
        (col("v").lt_eq(lit(3u64)), None),
    ];
    for (condition, expected) in cases {
        let is_rank = |expr: &Expr| column(expr).is_some_and(|column| column.name == "rank");
        assert_eq!(limit(&condition, &is_rank), expected, "{condition}");
    }
}
