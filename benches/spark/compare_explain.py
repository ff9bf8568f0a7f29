#!/usr/bin/env python3
"""Compares what EXPLAIN prints here with what it prints in a real Spark (pip install pyspark; needs Java 17).

    benches/spark/compare_explain.py --wholestage target/release/wholestage [--levels simple,formatted] [--queries window,sort] [-v]

Makes small Parquet tables, explains the queries of queries.sql in both with Spark's defaults (adaptive execution off), and prints for every
level, and part of it, which explanations are equal up to ids, paths and ColumnarToRow (here a scan is part of its stage). --spark FILE keeps Spark's side
between runs.
"""

import argparse
import difflib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

from normalise import normalise, numbered_without_columnar_to_row, without_columnar_to_row

HERE = os.path.dirname(os.path.abspath(__file__))
LEVELS = ["simple", "extended", "formatted", "cost", "codegen"]
# What of a level is compared on its own.
PARTS = {
    "extended": ["Parsed Logical Plan", "Analyzed Logical Plan", "Optimized Logical Plan", "Physical Plan"],
    "cost": ["Optimized Logical Plan", "Physical Plan"],
}


def queries():
    with open(os.path.join(HERE, "queries.sql")) as f:
        parts = re.split(r"^-- name: (\w+)\n", f.read(), flags=re.M)[1:]
    return dict(zip(parts[::2], (q.strip().rstrip(";") for q in parts[1::2])))


TABLES = {
    "items": """SELECT id, cast(id % 7 AS int) AS k, id * 1.5D AS price, concat('n', id % 11) AS name, date_add(DATE '2024-01-01', cast(id AS int)) AS day,
        TIMESTAMP '2024-01-01 00:00:00' + make_dt_interval(0, cast(id AS int)) AS at, cast(id AS decimal(7, 2)) AS cost, id % 2 = 0 AS flag,
        array('a', concat('t', id)) AS tags FROM range(0, 1000, 1, 1)""",
    "kinds": "SELECT cast(id AS int) AS k, concat('kind ', id) AS label, id * 10.0D AS low FROM range(0, 7, 1, 1)",
    "wide": "SELECT " + ", ".join(f"cast(id + {i} AS int) AS c{i}" for i in range(1, 31)) + " FROM range(0, 10, 1, 1)",
    "transactions": """SELECT concat('r', id % 4) AS region, id * 0.5D AS sales, cast(2023 + id % 3 AS int) AS year FROM range(0, 300, 1, 1)""",
}


def spark_session(folder):
    from pyspark.sql import SparkSession

    settings = {
        "spark.ui.enabled": "false",
        "spark.sql.adaptive.enabled": "false",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.warehouse.dir": os.path.join(folder, "warehouse"),
        "spark.driver.extraJavaOptions": f"-Dderby.system.home={folder}",
    }
    builder = SparkSession.builder.master("local[2]")
    for key, value in settings.items():
        builder = builder.config(key, value)
    return builder.getOrCreate()


def make_tables(spark, folder):
    for name, sql in TABLES.items():
        path = os.path.join(folder, "data", name)
        if not os.path.exists(path):
            # What Spark reads from files may be NULL, so what it writes again is declared so.
            spark.sql(sql).write.parquet(f"{path}-required")
            writer = spark.read.parquet(f"{path}-required").coalesce(1).write
            (writer.partitionBy("year") if name == "transactions" else writer).parquet(path)
            shutil.rmtree(f"{path}-required")
        if name == "transactions":
            spark.sql(f"CREATE TABLE {name} (region string, sales double, year int) USING parquet PARTITIONED BY (year) LOCATION '{path}'")
            spark.sql(f"MSCK REPAIR TABLE {name}")
        else:
            spark.sql(f"CREATE TABLE {name} USING parquet LOCATION '{path}'")


def explained_by_spark(folder):
    spark = spark_session(folder)
    spark.sparkContext.setLogLevel("ERROR")
    make_tables(spark, folder)
    utils = spark._jvm.PythonSQLUtils
    out = {}
    for name, sql in queries().items():
        try:
            execution = spark.sql(sql)._jdf.queryExecution()
            out[name] = {level: utils.explainString(execution, level) for level in LEVELS}
        except Exception as e:
            out[name] = {level: f"error: {e}" for level in LEVELS}
    spark.stop()
    return out


def explained_here(binary, folder, sql, level):
    command = [binary, "explain", "--level", level, "--conf", "planner.profile=cluster", "--data", os.path.join(folder, "data"), sql]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    return done.stdout if done.returncode == 0 else f"error: {done.stderr}"


def part_of(text, title):
    found = re.search(rf"^== {title} ==\n(.*?)(?=^== |\Z)", text, re.M | re.S)
    return found.group(1) if found else text


def comparable(text, level):
    if level == "cost":
        # Sizes and rows: here from row counts in the files' footers, in Spark from file sizes.
        text = re.sub(r"Statistics\([^)]*\)", "Statistics()", text)
    if level == "codegen":
        # The trees of the stages; the code is another language.
        text = re.sub(r"\(maxMethodCodeSize:[^)]*\)[^)]*\) ", "", text)
        text = re.sub(r"Generated code:\n.*?(?=^== Subtree|\Z)", "", text, flags=re.M | re.S)
    text = normalise(text)
    return numbered_without_columnar_to_row(text) if level == "formatted" else without_columnar_to_row(text)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wholestage", default="target/release/wholestage")
    parser.add_argument("--levels", default=",".join(LEVELS))
    parser.add_argument("--queries", default="")
    parser.add_argument("--folder", default=os.path.join(tempfile.gettempdir(), "wholestage-explain"), help="where the tables are made")
    parser.add_argument("--spark", help="a file that keeps what Spark printed")
    parser.add_argument("-v", action="store_true", help="print the differences")
    arguments = parser.parse_args()

    os.makedirs(arguments.folder, exist_ok=True)
    if arguments.spark and os.path.exists(arguments.spark):
        with open(arguments.spark) as f:
            spark = json.load(f)
    else:
        spark = explained_by_spark(arguments.folder)
        if arguments.spark:
            with open(arguments.spark, "w") as f:
                json.dump(spark, f)

    wanted = arguments.queries.split(",") if arguments.queries else list(spark)
    for level in arguments.levels.split(","):
        ours = {name: explained_here(arguments.wholestage, arguments.folder, queries()[name], level) for name in wanted}
        for part in PARTS.get(level, [None]):
            title = f"{level}, {part}" if part else level
            different = []
            for name in wanted:
                both = [spark[name][level], ours[name]]
                sides = [comparable(part_of(text, part) if part else text, level) for text in both]
                if sides[0] != sides[1]:
                    different.append(name)
                    if arguments.v:
                        print(f"--- {name} ({title})")
                        for line in difflib.unified_diff(*(side.split("\n") for side in sides), "spark", "wholestage", lineterm="", n=2):
                            print(line)
            equal = len(wanted) - len(different)
            print(f"{title}: {equal} of {len(wanted)} equal" + (f"; different: {', '.join(different)}" if different else ""))


if __name__ == "__main__":
    sys.exit(main())
