"""Compares the answers of random queries with Spark's.

    WHOLESTAGE_ANSWERS=/tmp/random WHOLESTAGE_QUERIES=1000 cargo test --test random_queries
    python benches/spark/random_queries.py /tmp/random

needs the package pyspark 4.1 and Java. Every query casts its values to strings, so that Spark's words for them are compared too;
numbers that are equal but for the last digits of a floating-point computation count as equal. Where one side gives rows and the
other an error, the order of evaluation may be the cause: such queries are listed apart.
"""

import json
import pathlib
import sys

FRACTION = 1e-9


def close(a, b):
    if a == b:
        return True
    try:
        x, y = float(a), float(b)
    except ValueError:
        return False
    return ("." in a or "E" in a) and abs(x - y) <= FRACTION * max(abs(x), abs(y))


def same(ours, theirs):
    if len(ours) != len(theirs):
        return f"{len(ours)} rows, Spark gives {len(theirs)}"
    for mine, other in zip(sorted(ours), sorted(theirs)):
        if not all(close(a, b) for a, b in zip(mine, other)):
            return f"{mine}, Spark gives {other}"
    return None


def spark_session(folder):
    from pyspark.sql import SparkSession

    settings = {
        "spark.ui.enabled": "false",
        "spark.log.level": "OFF",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.shuffle.partitions": "2",
        "spark.sql.adaptive.enabled": "false",
        "spark.sql.crossJoin.enabled": "true",
    }
    builder = SparkSession.builder.master("local[1]")
    for key, value in settings.items():
        builder = builder.config(key, value)
    spark = builder.getOrCreate()
    for table in folder.glob("*.parquet"):
        spark.read.parquet(str(table)).createOrReplaceTempView(table.stem)
    return spark


def main():
    folder = pathlib.Path(sys.argv[1])
    spark = spark_session(folder)
    total, equal, apart = 0, 0, []
    for line in open(folder / "answers.ndjson"):
        query = json.loads(line)
        total += 1
        try:
            theirs = [list(row) for row in spark.sql(query["sql"]).collect()]
            error = None
        except Exception as e:
            get = getattr(e, "getCondition", None) or getattr(e, "getErrorClass", None)
            theirs, error = None, (get() if get else None) or str(e).splitlines()[0]
        if (theirs is None) != ("error" in query):
            apart.append(f"query {query['number']}: {query.get('error', 'rows')}, Spark gives {error or 'rows'}\n  {query['sql']}")
            continue
        wrong = same(query["rows"], theirs) if theirs is not None else None
        if wrong:
            print(f"query {query['number']}: {wrong}\n  {query['sql']}", flush=True)
        else:
            equal += 1
    print("\n".join(apart))
    print(f"{equal} of {total} equal; an error on one side only: {len(apart)}")


main()
