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
const SECONDS: &str = "write date_part('epoch', b) - date_part('epoch', a), which is seconds; for minutes (date_part('epoch', b) - date_part('epoch', a)) / 60, for hours / 3600";
const ORDERED: &str = "write last_value(x ORDER BY y), or first_value(x ORDER BY y)";
const OF_LARGEST: &str = "write last_value(x ORDER BY y NULLS FIRST), the x of the largest y";
const OF_SMALLEST: &str = "write first_value(x ORDER BY y), the x of the smallest y";
const MODE: &str = "count each value in a WITH query, c: SELECT window_start, window_end, x, count(*) AS n ... GROUP BY 1, 2, 3; then SELECT ... FROM c QUALIFY row_number() OVER (PARTITION BY window_start, window_end ORDER BY n DESC, x) = 1";

/// Other systems' functions, by their names in lower case, and ours.
const INSTEAD: [(&[&str], &str); 36] = [
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
    (&["max_by", "arg_max", "argmax"], OF_LARGEST),
    (&["min_by", "arg_min", "argmin"], OF_SMALLEST),
    (&["mode", "mode_within_group", "topk", "approx_top_k"], MODE),
    (&["latest_by_offset", "earliest_by_offset", "last", "first", "any_value", "anylast"], ORDERED),
    (&["uniq", "count_distinct", "uniqexact"], "write count(DISTINCT x)"),
    (&["average"], "write avg(x)"),
    (&["every", "bool_every"], "write bool_and(x)"),
    (
        &["unix_millis", "unix_micros", "unix_seconds", "to_epoch_milli"],
        "write date_part('epoch', x), which is seconds, or date_part('epoch', x) * 1000",
    ),
    (&["stdev", "stdevp"], "write stddev(x)"),
    (&["percentile", "quantile", "quartile"], "write percentile_cont(0.95) WITHIN GROUP (ORDER BY x)"),
    (
        &["averageif", "averageifs", "sumifs", "countifs", "maxifs", "minifs"],
        "write avg(x) FILTER (WHERE condition), and sum, count, max and min likewise",
    ),
    (
        &["vlookup", "hlookup", "xlookup", "lookup"],
        "join a reference table: FROM stream AS r LEFT JOIN sensors AS s ON s.sensor_id = r.sensor_id",
    ),
    (&["concatenate", "textjoin"], "write a || '-' || b, or concat(a, '-', b)"),
    (&["mid"], "write substr(x, 2, 3), from the second letter on three"),
    (&["len"], "write length(x)"),
    (&["find", "search", "charindex", "instr", "locate"], "write strpos(x, 'part')"),
    (
        &["iferror", "try_divide", "safe_divide", "try"],
        "write coalesce(x, 0): what cannot be computed, such as a division by zero, is NULL",
    ),
    (&["ifs", "switch", "decode", "choose"], "write CASE WHEN condition THEN a WHEN condition THEN b ELSE c END"),
    (
        &[
            "json_value",
            "json_query",
            "get_json_object",
            "json_extract",
            "json_extract_scalar",
            "jsonextractstring",
            "jsonb_extract_path",
            "jsonb_extract_path_text",
            "json_extract_path_text",
        ],
        "declare the field as a column of the stream: speed DOUBLE with 'path.speed' '/payload/speed'",
    ),
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
