#!/usr/bin/env python3
"""Prints the rows of a Delta table, one JSON object a line, sorted as text.

    delta_rows.py TABLE

Which files count is what deltalake for Python says, the rows are what DuckDB reads from them: two readers that share no
code with the writer's Parquet path. Times are printed as the product prints them, RFC 3339 with Z.
"""
import datetime
import json
import sys

import deltalake
import duckdb


def shown(value):
    if isinstance(value, datetime.datetime):
        text = value.isoformat(timespec="microseconds").rstrip("0").rstrip(".")
        return text + "Z"
    if isinstance(value, datetime.date):
        return value.isoformat()
    return value


def main(path):
    table = deltalake.DeltaTable(path)
    files = table.file_uris()
    if len(files) != len(set(files)):
        sys.exit(f"{path}: a file counts twice")
    if not files:
        return
    columns = [field.name for field in table.schema().fields]
    rows = duckdb.connect().execute(
        "SELECT * FROM read_parquet(?, union_by_name = true, hive_partitioning = false)", [files]
    )
    names = [column[0] for column in rows.description]
    assert names == columns, (names, columns)
    lines = []
    for row in rows.fetchall():
        pairs = {name: shown(value) for name, value in zip(names, row)}
        lines.append(json.dumps(pairs, ensure_ascii=False, separators=(",", ":")))
    print("\n".join(sorted(lines)))


if __name__ == "__main__":
    main(sys.argv[1])
