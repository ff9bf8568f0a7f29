#!/usr/bin/env python3
"""Compares answers with DuckDB's, query by query, over the Parquet files that `wholestage generate` writes.

    pip install duckdb
    wholestage generate tpcds --sf 1 -o tpcds1
    python3 benches/answers.py tpcds tpcds1 --binary target/release/wholestage

Each query runs compiled and interpreted. Rows must be the same in number and, as a multiset, in content; numbers may differ by one
part in a million, as DuckDB averages decimals as floating-point numbers. Where a query's ORDER BY leaves open which rows a LIMIT
keeps, both sides are asked without the LIMIT. Prints a line per query and a summary; exits with 1 unless all are equal.
`--store` writes the answers, where they equal DuckDB's, as the stored answers of the suite (over files of scale factor
0.01 of TPC-H, 0.05 of TPC-DS).
"""

import argparse
import csv
import datetime
import decimal
import io
import pathlib
import re
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
TOLERANCE = 1e-6

# What DuckDB must be asked in other words: (pattern, replacement) by suite and query; "" is for all queries.
REWORDED = {
    "tpcds": {
        "": [(r"`([^`]*)`", r'"\1"'), (r"\breturns\b", "returns_"), (r"\)\s*at,", ") at_,")],
        # DuckDB rounds where Spark cuts off.
        "q54": [(r"cast\(\(revenue/50\) AS int\)", "cast(trunc(revenue/50) AS int)")],
        # It divides decimals as floating-point numbers, and rounds 0.575 down.
        "q78": [(r"round\((.*),2\) ratio", r"round(cast(\1 AS decimal(18,6)),2) ratio")],
    },
    "tpch": {},
}


def natural(path):
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", path.stem)]


def duckdb_connection(data, threads):
    import duckdb

    connection = duckdb.connect()
    connection.execute(f"SET threads = {threads}")
    connection.execute("SET default_null_order = 'nulls_first_on_asc_last_on_desc'")
    for file in sorted(data.iterdir()):
        if file.suffix == ".parquet" or file.is_dir():
            files = file if file.suffix == ".parquet" else file / "*.parquet"
            connection.execute(f"CREATE VIEW {file.stem} AS SELECT * FROM read_parquet('{files}')")
    return connection


def reworded(suite, name, sql):
    rules = REWORDED[suite]
    for pattern, replacement in rules.get("", []) + rules.get(name, []):
        sql = re.sub(pattern, replacement, sql)
    return sql


def cell(value):
    """A DuckDB value as a number, text or None."""
    if value is None or value == "":
        return None
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float, decimal.Decimal)):
        return value
    if isinstance(value, datetime.date):
        return value.isoformat()
    return str(value)


def number(text):
    try:
        return decimal.Decimal(text) if text not in (None, "NaN", "Infinity", "-Infinity") else None
    except (decimal.InvalidOperation, TypeError):
        return None


def close(mine, theirs):
    if mine is None or theirs is None:
        return mine is None and theirs is None
    if isinstance(theirs, str):
        return mine == theirs
    n = number(mine)
    if n is None or theirs != theirs:
        return str(mine) == str(theirs)
    # Quotients and averages of decimals have six digits or more, the last of them rounded.
    rounded = 0.51 * 10.0 ** n.as_tuple().exponent if n.as_tuple().exponent <= -6 else 0.0
    n, theirs = float(n), float(theirs)
    return abs(n - theirs) <= max(TOLERANCE * max(abs(n), abs(theirs), 1e-3), rounded)


def key(row):
    """Sorts equal rows of both sides to the same place: exact text first, numbers by few digits."""
    out = []
    for value in row:
        n = None if value is None else number(value) if isinstance(value, str) else value
        if value is None:
            out.append((0, 0.0, ""))
        elif n is not None and n == n:
            out.append((1, float(f"{float(n):.4e}"), ""))
        else:
            out.append((2, 0.0, str(value)))
    return out


def difference(mine, theirs):
    """None, or how two lists of rows differ as multisets. Rows that do not line up after sorting are looked for elsewhere."""
    if len(mine) != len(theirs):
        return f"{len(mine)} rows instead of {len(theirs)}"
    same = lambda a, b: len(a) == len(b) and all(map(close, a, b))
    if all(map(same, mine, theirs)):
        return None
    left, right = sorted(mine, key=key), sorted(theirs, key=key)
    unmatched = []
    for row in left:
        at = next((i for i, other in enumerate(right[:400]) if same(row, other)), None)
        if at is None:
            unmatched.append(row)
        else:
            right.pop(at)
    if not unmatched:
        return None
    show = lambda row: "|".join("" if v is None else str(v) for v in row)
    return f"{len(unmatched)} rows differ: {show(unmatched[0])} instead of {show(right[0])}"


def parse_csv(text):
    rows = list(csv.reader(io.StringIO(text)))
    # A line without a character is a NULL in the only column.
    return [[value if value != "" else None for value in row] or [None] for row in rows[1:]]


class Wholestage:
    def __init__(self, binary, data, threads, timeout):
        self.command = [binary, "query", "--format", "csv", "--threads", str(threads), "--data", str(data)]
        self.timeout = timeout

    def run(self, mode, sql):
        """(CSV, None) or (None, error)."""
        try:
            done = subprocess.run([*self.command, "--mode", mode, "-"], input=sql, capture_output=True, text=True, timeout=self.timeout)
        except subprocess.TimeoutExpired:
            return None, f"not done after {self.timeout} s"
        if done.returncode != 0:
            return None, done.stderr.strip().splitlines()[0] if done.stderr.strip() else f"exit code {done.returncode}"
        return done.stdout, None


def without_limit(sql):
    """The query without its last LIMIT, or None."""
    shorter = re.sub(r"\s+LIMIT\s+\d+\s*$", "", sql, flags=re.I)
    return shorter if shorter != sql else None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("suite", choices=sorted(REWORDED))
    parser.add_argument("data", type=pathlib.Path, help="folder of NAME.parquet")
    parser.add_argument("--binary", default=str(ROOT / "target" / "release" / "wholestage"))
    parser.add_argument("--queries", help="names or numbers, separated by commas; 14 for 14a and 14b")
    parser.add_argument("--modes", default="jit,interpreted")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--timeout", type=float, default=300, help="seconds that a query may take")
    parser.add_argument("--store", action="store_true", help="write the suite's stored answers")
    arguments = parser.parse_args()
    folder = ROOT / "codegen-tests" / arguments.suite
    connection = duckdb_connection(arguments.data, arguments.threads)
    wholestage = Wholestage(arguments.binary, arguments.data, arguments.threads, arguments.timeout)
    wanted = set(arguments.queries.split(",")) if arguments.queries else None
    equal, wrong = 0, []
    for path in sorted(folder.glob("q*.sql"), key=natural):
        name = path.stem
        if wanted and name[1:] not in wanted and name[1:].rstrip("ab") not in wanted:
            continue
        sql = re.sub(r"^\s*--.*$", "", path.read_text(), flags=re.M).strip().rstrip(";")
        ask = lambda text: [[cell(v) for v in row] for row in connection.execute(reworded(arguments.suite, name, text)).fetchall()]
        try:
            theirs, refused = ask(sql), None
        except Exception as error:
            theirs, refused = None, f"DuckDB: {str(error).splitlines()[0]}"
        problems, times, stored = [], [], None
        for mode in arguments.modes.split(","):
            start = time.perf_counter()
            answer, failed = wholestage.run(mode, sql)
            times.append(f"{mode} {time.perf_counter() - start:.2f} s")
            if failed:
                problems.append(f"{mode}: {failed}")
                continue
            stored = answer
            rows = parse_csv(answer)
            differs = difference(rows, theirs) if theirs is not None else None
            if differs and without_limit(sql):
                # Ties at the limit: every row of ours must be one of all rows.
                whole, failed = wholestage.run(mode, without_limit(sql))
                differs = failed or (difference(parse_csv(whole), ask(without_limit(sql))) if len(rows) == len(theirs) else differs)
                times[-1] += " (ties)"
            if differs:
                problems.append(f"{mode}: {differs}")
        if refused:
            problems.append(refused)
        if problems:
            wrong.append(name)
        else:
            equal += 1
        rows = "-" if theirs is None else len(theirs)
        outcome = "DIFFERENT " + "; ".join(problems) if problems else "equal"
        print(f"{name:>5} {rows:>6} rows  {', '.join(times)}  {outcome}", flush=True)
        if arguments.store and stored is not None and not problems:
            (folder / "answers").mkdir(exist_ok=True)
            (folder / "answers" / f"{name}.csv").write_text(stored)
    print(f"{equal} of {equal + len(wrong)} equal" + (f"; different: {', '.join(wrong)}" if wrong else ""))
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
