"""The endings of files that are tables or archives. Imports nothing."""

from __future__ import annotations

TSV, PARQUET, JSON = (".tsv", ".tsv.gz", ".tab"), (".parquet",), (".json",)
CSV, JSON_LINES = (".csv", ".csv.gz", *TSV), (".jsonl", ".jsonl.gz", ".ndjson")
TABLES = (*CSV, *JSON_LINES, *PARQUET)
ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
