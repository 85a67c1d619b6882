//! Functions of other systems, and what to write here instead.

/// Functions that read the clock or the progress of the stream.
const CLOCKS: [&str; 15] = [
    "getdate",
    "getutcdate",
    "sysdate",
    "sysdatetime",
    "systimestamp",
    "proctime",
    "unix_timestamp",
    "clock_timestamp",
    "statement_timestamp",
    "transaction_timestamp",
    "timeofday",
    "current_row_timestamp",
    "current_watermark",
    "gen_random_uuid",
    "newid",
];

const WINDOW: &str = "a window stands in FROM: FROM tumble(stream, time_column, INTERVAL '5 minutes') AS w ... GROUP BY w.window_start, w.window_end; it gives the columns window_start and window_end";
const BIN: &str = "write date_bin(INTERVAL '5 minutes', time_column), or a window in FROM: tumble(stream, time_column, INTERVAL '5 minutes')";
const SECONDS: &str = "write date_part('epoch', b) - date_part('epoch', a) for seconds";
const ORDERED: &str = "write last_value(x ORDER BY y), or first_value(x ORDER BY y)";

/// Other systems' functions, by their names in lower case, and ours.
const INSTEAD: [(&[&str], &str); 19] = [
    (&["tumble_start", "tumble_end", "tumble_rowtime", "hop_start", "hop_end", "hop_rowtime"], WINDOW),
    (&["session_start", "session_end", "session_rowtime", "cumulate_start", "cumulate_end", "windowstart"], WINDOW),
    (&["tumblingwindow", "hoppingwindow", "slidingwindow", "sessionwindow", "window", "session_window"], WINDOW),
    (&["time_bucket", "time_bucket_gapfill", "tostartofinterval", "time_floor", "timestamp_trunc"], BIN),
    (
        &["tostartofminute", "tostartofhour", "tostartofday"],
        "write date_trunc('minute', time_column), or 'hour', 'day'",
    ),
    (
        &["descriptor"],
        "DESCRIPTOR names the one time column inside a window function: tumble(stream, time_column, ...)",
    ),
    (&["date_diff", "datediff", "timestampdiff", "timestamp_diff"], SECONDS),
    (&["date_add", "dateadd", "timestampadd", "timestamp_add", "date_sub"], "write time_column + INTERVAL '5 minutes'"),
    (&["to_timestamp_ltz", "from_unixtime_ms"], "write to_timestamp_millis(x), or to_timestamp_seconds(x)"),
    (
        &["year", "month", "day", "hour", "minute", "second", "dayofweek", "day_of_week"],
        "write date_part('hour', x), or 'year', 'month', 'day', 'minute', 'dow'",
    ),
    (&["if", "iif", "iff"], "write CASE WHEN condition THEN a ELSE b END"),
    (&["isnull"], "write x IS NULL, or coalesce(x, 0)"),
    (&["count_if", "countif"], "write count(*) FILTER (WHERE condition)"),
    (&["sum_if", "sumif", "avg_if", "avgif"], "write sum(x) FILTER (WHERE condition)"),
    (&["collect", "collect_list", "collect_set", "grouparray"], "write array_agg(x ORDER BY time_column)"),
    (&["listagg", "group_concat"], "write string_agg(x, ',' ORDER BY time_column)"),
    (
        &[
            "max_by",
            "min_by",
            "arg_max",
            "arg_min",
            "argmax",
            "argmin",
            "latest_by_offset",
            "earliest_by_offset",
            "last",
            "first",
        ],
        ORDERED,
    ),
    (&["uniq", "count_distinct", "uniqexact"], "write count(DISTINCT x)"),
    (&["explode"], "write unnest(x)"),
];

/// Functions that only mean something behind OVER.
const RANKS: [&str; 8] = ["row_number", "rank", "dense_rank", "percent_rank", "cume_dist", "ntile", "lag", "lead"];

/// True for a function that would give another answer in each run.
pub(crate) fn is_clock(name: &str) -> bool {
    CLOCKS.contains(&name)
}

/// What to write instead of a function that does not exist here.
pub(crate) fn instead(name: &str) -> Option<&'static str> {
    INSTEAD.iter().find(|(names, _)| names.contains(&name)).map(|(_, instead)| *instead)
}

/// True for a function that needs OVER.
pub(crate) fn is_rank(name: &str) -> bool {
    RANKS.contains(&name)
}
