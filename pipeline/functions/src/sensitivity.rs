//! Which aggregates of DataFusion give the same answer in any order of their input.

/// What an aggregate needs, for live and batch to agree bit for bit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sensitivity {
    /// The result depends on the multiset of values alone.
    OrderFree,
    /// The result follows the order of the input: allowed after an `ORDER BY` inside the call that leaves no ties.
    NeedsOrder,
    /// The result depends on how the input was split or rounded on the way: refused where live has to equal batch.
    Inexact {
        /// What to write instead; empty where there is nothing.
        instead: &'static str,
    },
    /// Not on any list, so nothing can be promised (closed world).
    Unknown,
}

/// The sensitivity of an aggregate by its name or alias in DataFusion, in lower case; [`crate::aggregates`] registered.
///
/// `approx_distinct` is order-free: its registers are maxima of hashes, and the hash seed is fixed.
pub fn order_sensitivity(name: &str) -> Sensitivity {
    match name {
        "count" | "min" | "max" | "sum" | "avg" | "mean" => Sensitivity::OrderFree,
        "var" | "var_samp" | "var_sample" | "var_pop" | "var_population" => Sensitivity::OrderFree,
        "stddev" | "stddev_samp" | "stddev_pop" => Sensitivity::OrderFree,
        "bool_and" | "bool_or" | "bit_and" | "bit_or" | "bit_xor" => Sensitivity::OrderFree,
        "median" | "percentile_cont" | "quantile_cont" => Sensitivity::OrderFree,
        "approx_distinct" | "grouping" | "regr_count" => Sensitivity::OrderFree,
        "first_value" | "last_value" | "nth_value" | "array_agg" | "string_agg" => Sensitivity::NeedsOrder,
        other => inexact(other).map_or(Sensitivity::Unknown, |instead| Sensitivity::Inexact { instead }),
    }
}

/// What to write instead of an aggregate that depends on rounding or splitting.
fn inexact(name: &str) -> Option<&'static str> {
    Some(match name {
        "approx_median" => "median(x)",
        "approx_percentile_cont" => "percentile_cont(p) WITHIN GROUP (ORDER BY x)",
        "any_value" => "min(x) or max(x)",
        "regr_avgx" => "avg(x) FILTER (WHERE y IS NOT NULL)",
        "regr_avgy" => "avg(y) FILTER (WHERE x IS NOT NULL)",
        "covar" | "covar_samp" => {
            "(sum(x * y) - sum(x) * sum(y) / count(*)) / (count(*) - 1), over rows that have both"
        }
        "covar_pop" => "avg(x * y) - avg(x) * avg(y), over rows that have both",
        "regr_sxx" => "var_pop(x) * count(x), over rows that have both",
        "regr_syy" => "var_pop(y) * count(y), over rows that have both",
        "regr_sxy" => "sum(x * y) - sum(x) * sum(y) / count(*), over rows that have both",
        "regr_slope" => "(avg(x * y) - avg(x) * avg(y)) / var_pop(x), over rows that have both",
        "corr" => "(avg(x * y) - avg(x) * avg(y)) / (stddev_pop(x) * stddev_pop(y)), over rows that have both",
        "approx_percentile_cont_with_weight" | "regr_intercept" | "regr_r2" => "",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::functions_aggregate::all_default_aggregate_functions;

    #[test]
    fn every_aggregate_of_this_datafusion_is_on_a_list() {
        for function in all_default_aggregate_functions() {
            for name in std::iter::once(function.name()).chain(function.aliases().iter().map(String::as_str)) {
                assert_ne!(order_sensitivity(name), Sensitivity::Unknown, "{name}");
            }
        }
    }

    #[test]
    fn unknown_names_promise_nothing() {
        assert_eq!(order_sensitivity("my_sketch"), Sensitivity::Unknown);
        assert_eq!(order_sensitivity("approx_median"), Sensitivity::Inexact { instead: "median(x)" });
    }
}
