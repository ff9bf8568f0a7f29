//! The TPC-H queries, with the validation parameters of the specification, and their stored answers.

macro_rules! numbered {
    ($folder:literal, $extension:literal, $($n:literal)*) => {
        [$(include_str!(concat!("../../codegen-tests/tpch/", $folder, "q", $n, ".", $extension))),*]
    };
}

/// Query `n` is at `n - 1`.
pub(super) static QUERIES: [&str; 22] = numbered!("", "sql", 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22);

/// Answers at scale factor 0.01 as CSV, checked against DuckDB; query `n` is at `n - 1`.
pub(super) static ANSWERS_SF_0_01: [&str; 22] = numbered!("answers/", "csv", 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22);
