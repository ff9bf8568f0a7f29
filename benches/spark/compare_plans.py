#!/usr/bin/env python3
"""Compares Wholestage's physical plans with Spark's, query by query, over the same Parquet tables.

    pip install pyspark
    python3 benches/spark/compare_plans.py tpch --data tpch1 --cache spark-tpch.json
    python3 benches/spark/compare_plans.py my/folder --data tables --queries 3,7 --diff

A plan is reduced to its skeleton (see README.md beside this file). Exits with 1 unless every difference is an expected one.
"""

import argparse
import concurrent.futures
import difflib
import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
SUITES = {name: ROOT / "codegen-tests" / name for name in ("tpch", "tpcds")}


def queries_of(suite, numbers):
    """(name, text) of each query, in the order of the numbers in their names."""
    folder = SUITES.get(suite, pathlib.Path(suite))
    files = [folder] if folder.is_file() else list(folder.glob("*.sql"))
    natural = lambda path: [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", path.stem)]
    out = []
    for path in sorted(files, key=natural):
        number = re.search(r"\d+", path.stem)
        if numbers and (number is None or int(number.group()) not in numbers):
            continue
        text = re.sub(r"^\s*--.*$", "", path.read_text(), flags=re.M).strip().rstrip(";")
        out.append((path.stem, text))
    if not out:
        sys.exit(f"no queries in {folder}")
    return out


# ---------------------------------------------------------------------------------------------------------------------------- plans


class Spark:
    """Extended plans of Spark, from the cache where they are known; the session starts with the first that is not."""

    def __init__(self, data, cache, settings):
        self.data, self.path, self.settings = data, cache, settings
        self.cache = json.loads(cache.read_text()) if cache and cache.exists() else {}
        self.session = None

    def start(self):
        from pyspark.sql import SparkSession

        builder = SparkSession.builder.master("local[2]")
        fixed = {"spark.ui.enabled": "false", "spark.log.level": "ERROR", "spark.sql.debug.maxToStringFields": "100000"}
        for key, value in {**fixed, **self.settings}.items():
            builder = builder.config(key, value)
        session = builder.getOrCreate()
        for table in sorted(self.data.iterdir()):
            if table.suffix == ".parquet":
                session.read.parquet(str(table)).createOrReplaceTempView(table.stem)
        return session

    def explain(self, sql):
        facts = [sql, str(self.data.resolve()), sorted(self.settings.items())]
        key = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]
        if key not in self.cache:
            self.session = self.session or self.start()
            try:
                self.cache[key] = self.session.sql("EXPLAIN EXTENDED " + sql).collect()[0][0]
            except Exception as error:
                self.cache[key] = "error: " + str(error)
            if self.path:
                self.path.write_text(json.dumps(self.cache, indent=1))
        return self.cache[key]


def wholestage(binary, data, settings, sql):
    conf = {"planner.profile": "cluster", "sql.debug.maxToStringFields": "100000", **settings}
    command = [binary, "explain", "--level", "extended", "--data", str(data)]
    command += [word for pair in conf.items() for word in ("--conf", "=".join(pair))]
    done = subprocess.run([*command, "-f", "-"], input=sql, capture_output=True, text=True)
    return done.stdout if done.returncode == 0 else "error: " + done.stderr


# ------------------------------------------------------------------------------------------------------------------------- skeletons

# Not operators of their own in one of both: a scan of Arrow batches needs no conversion, and the rest is bookkeeping.
TRANSPARENT = {"ColumnarToRow", "InputAdapter", "AdaptiveSparkPlan"}
LINE = re.compile(r"^((?:   |:  |:- |\+- )*)(?:\*\((\d+)\) |\* )?(\w[\w ]*?)(?=[\[\(, ]|$)(.*)$")


def split_top(text):
    """The parts of a list, at commas outside brackets."""
    parts, depth, start = [], 0, 0
    for i, c in enumerate(text):
        if c in "([":
            depth += 1
        elif c in ")]":
            depth -= 1
        elif c == "," and depth == 0:
            parts.append(text[start:i].strip())
            start = i + 1
    last = text[start:].strip()
    return parts + [last] if last else parts


def bracketed(text, opening):
    """What stands in the bracket that follows `opening`, e.g. `keys=[`."""
    start = text.find(opening)
    if start < 0:
        return ""
    depth, begin = 1, start + len(opening)
    for i in range(begin, len(text)):
        depth += {"(": 1, "[": 1, ")": -1, "]": -1}.get(text[i], 0)
        if depth == 0:
            return text[begin:i]
    return text[begin:]


def plain(text):
    """Without ids of attributes and plans, and without names that the optimizer made up."""
    text = re.sub(r"#\d+L?", "", text)
    text = re.sub(r",? ?\[plan_id=\d+\]", "", text)
    text = re.sub(r",\s*", ", ", text)
    text = text.replace("substr(", "substring(")
    return text.strip()


def aggregate(rest):
    functions = [re.match(r"\w+", f).group() for f in split_top(bracketed(rest, "functions=["))]
    keys = ", ".join(sorted(split_top(plain(bracketed(rest, "keys=[")))))
    return f"(keys=[{keys}], functions=[{', '.join(sorted(functions))}])"


def describe(name, rest):
    """What counts of an operator's arguments."""
    if name in ("HashAggregate", "ObjectHashAggregate", "SortAggregate"):
        return aggregate(rest)
    if name == "TakeOrderedAndProject":
        return f"(limit={re.search(r'limit=([0-9]+)', rest).group(1)}, orderBy=[{plain(bracketed(rest, 'orderBy=['))}])"
    if name == "Window":
        parts = [p for p in split_top(plain(rest)) if p.startswith("[")]
        return " " + ", ".join(parts[1:])
    if name in ("BroadcastHashJoin", "ShuffledHashJoin", "SortMergeJoin"):
        # Keys, type and side; a further condition only by its presence.
        parts = split_top(plain(rest))
        flags = [p for p in parts[2:] if p in ("true", "false") or re.match(r"(Build(Left|Right)|Inner|Cross|\w+Outer|LeftSemi|LeftAnti|ExistenceJoin.*)$", p)]
        condition = ["condition"] if len(flags) < len(parts) - 2 else []
        return " " + ", ".join(parts[:2] + [re.sub(r"\(.*", "", f) for f in flags] + condition)
    if name in ("BroadcastNestedLoopJoin", "CartesianProduct"):
        parts = split_top(plain(rest))
        return " " + ", ".join([re.sub(r"\(.*", "", p) for p in parts[:2]] + ["condition"] * (len(parts) > 2))
    if name in ("Exchange", "Sort", "CollectLimit", "LocalLimit", "GlobalLimit"):
        return " " + plain(rest)
    if name == "BroadcastExchange":
        return " " + plain(rest).split("(")[0]
    if name in ("ReusedExchange", "ReusedSubquery"):
        return " " + re.sub(r"^\[.*?\], ", "", plain(rest)).split("(")[0].split(" ")[0]
    return ""


def skeleton(explained):
    """Lines of the physical plan: indent, stage, operator and what counts of its arguments."""
    if "== Physical Plan ==" not in explained:
        return [explained.strip().splitlines()[0] if explained.strip() else "no plan"]
    out, indents = [], []
    for line in explained.split("== Physical Plan ==")[1].splitlines():
        match = LINE.match(line)
        if not line.strip() or not match:
            continue
        depth, stage, name, rest = len(match[1]) // 3, match[2], match[3], match[4]
        words = name.split(" ")
        name, rest = (words[0], " ".join(["", *words[1:]]) + rest) if words[0] != "Scan" else (name, rest)
        # Children of a transparent operator move up to its place.
        indents = [i for i in indents if i < depth]
        level = depth - len(indents)
        if name in TRANSPARENT:
            indents.append(depth)
            continue
        star = f"*({stage}) " if stage and not name.startswith("FileScan") else ""
        out.append("   " * level + star + name + describe(name, rest))
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("suite", help="tpch, tpcds, a folder of .sql files, or one such file")
    parser.add_argument("--data", type=pathlib.Path, required=True, help="folder of NAME.parquet")
    parser.add_argument("--binary", default=str(ROOT / "target" / "debug" / "wholestage"))
    parser.add_argument("--cache", type=pathlib.Path, help="file that keeps Spark's plans for later runs")
    parser.add_argument("--queries", help="numbers, separated by commas")
    parser.add_argument("--aqe", action="store_true", help="compare with the initial plan of Spark's adaptive execution")
    parser.add_argument("--conf", action="append", default=[], metavar="KEY=VALUE", help="a setting of both; repeatable")
    parser.add_argument("--diff", action="store_true", help="print the differences of the skeletons")
    parser.add_argument("--show", choices=["spark", "wholestage"], help="print the plans of one side, logical and physical")
    arguments = parser.parse_args()
    numbers = {int(n) for n in arguments.queries.split(",")} if arguments.queries else None
    queries = queries_of(arguments.suite, numbers)
    given = dict(pair.split("=", 1) for pair in arguments.conf)
    adaptive = {"spark.sql.adaptive.enabled": str(arguments.aqe).lower()}
    spark = Spark(arguments.data, arguments.cache, {**adaptive, **given})
    expected = {}
    if (HERE / "expected_differences.json").exists():
        expected = json.loads((HERE / "expected_differences.json").read_text()).get(pathlib.Path(arguments.suite).stem, {})

    explain = lambda query: wholestage(arguments.binary, arguments.data, given, query[1])
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        ours = list(pool.map(explain, queries)) if arguments.show != "spark" else [""] * len(queries)
    equal, unexpected = 0, 0
    for (name, sql), mine in zip(queries, ours):
        theirs = spark.explain(sql) if arguments.show != "wholestage" else ""
        if arguments.show:
            print(f"-- {name}\n{mine or theirs}")
            continue
        left, right = skeleton(theirs), skeleton(mine)
        if arguments.aqe:
            # Before it runs, an adaptive plan has neither stages nor reuse.
            left, right = ([re.sub(r"\*\(\d+\) ", "", line) for line in s] for s in (left, right))
        if left == right and not left[0].startswith("error"):
            equal += 1
            continue
        reason = expected.get(name)
        unexpected += reason is None
        print(f"{name}: different" + (f" (expected: {reason})" if reason else ""))
        if arguments.diff:
            print("\n".join(difflib.unified_diff(left, right, "spark", "wholestage", lineterm="", n=100)))
    if not arguments.show:
        print(f"{equal} of {len(queries)} plans equal")
        sys.exit(1 if unexpected else 0)


if __name__ == "__main__":
    main()
