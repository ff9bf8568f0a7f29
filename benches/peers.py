#!/usr/bin/env python3
"""Times TPC-H in DuckDB and DataFusion over the Parquet files that `wholestage generate tpch` writes.

    pip install duckdb datafusion
    wholestage generate tpch --sf 1 -o tpch1
    python3 benches/peers.py tpch1 --threads 2
    wholestage bench tpch --data tpch1 --storage parquet --modes jit,interpreted --threads 2

Prints the median of each query in milliseconds and the geometric mean. Compare figures of one machine at one time only. With
`--memory`, DuckDB reads tables copied into memory.
"""

import argparse
import math
import pathlib
import statistics
import time

TABLES = ["customer", "lineitem", "nation", "orders", "part", "partsupp", "region", "supplier"]
QUERIES = pathlib.Path(__file__).parent.parent / "codegen-tests" / "tpch"


def duckdb_engine(data, threads, memory):
    import duckdb

    connection = duckdb.connect()
    connection.execute(f"SET threads = {threads}")
    kind = "TABLE" if memory else "VIEW"
    for table in TABLES:
        connection.execute(f"CREATE {kind} {table} AS SELECT * FROM read_parquet('{data / table}.parquet')")
    return lambda sql: connection.sql(sql).to_arrow_table()


def datafusion_engine(data, threads, _memory):
    from datafusion import SessionConfig, SessionContext

    context = SessionContext(SessionConfig().with_target_partitions(threads))
    for table in TABLES:
        context.register_parquet(table, str(data / f"{table}.parquet"))
    return lambda sql: context.sql(sql).collect()


def median_ms(run, sql, runs):
    times = []
    for _ in range(runs + 1):
        start = time.perf_counter()
        run(sql)
        times.append((time.perf_counter() - start) * 1e3)
    return statistics.median(times[1:])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=pathlib.Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--engines", default="duckdb,datafusion")
    arguments = parser.parse_args()
    makers = {"duckdb": duckdb_engine, "datafusion": datafusion_engine}
    engines = {name: makers[name](arguments.data, arguments.threads, arguments.memory) for name in arguments.engines.split(",")}
    print("query " + " ".join(f"{name:>12}" for name in engines))
    all_times = {name: [] for name in engines}
    for number in range(1, 23):
        sql = (QUERIES / f"q{number}.sql").read_text().rstrip().rstrip(";")
        cells = []
        for name, run in engines.items():
            try:
                ms = median_ms(run, sql, arguments.runs)
                all_times[name].append(ms)
                cells.append(f"{ms:12.2f}")
            except Exception as error:
                cells.append(f"{'failed':>12}")
                print(f"# query {number} in {name}: {str(error).splitlines()[0]}")
        print(f"{number:>5} " + " ".join(cells))
    means = [math.exp(statistics.fmean(map(math.log, times))) if times else 0.0 for times in all_times.values()]
    print(" mean " + " ".join(f"{mean:12.2f}" for mean in means) + "  (geometric)")


if __name__ == "__main__":
    main()
