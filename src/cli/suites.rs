//! The queries of the benchmarks, with the validation parameters of their specifications, and stored answers.

use crate::datasource::generate::Suite;

/// A query of a suite.
pub(super) struct SuiteQuery {
    /// Its number, and a letter where a number has variants: `14a`.
    pub name: &'static str,
    pub text: &'static str,
    /// The answer at [`answers_scale`] as CSV.
    pub answer: &'static str,
}

/// Scale factor of a suite's stored answers, which were checked against DuckDB.
pub(super) fn answers_scale(suite: Suite) -> f64 {
    match suite {
        Suite::Tpch => 0.01,
        // Below, Q12 divides by zero.
        Suite::Tpcds => 0.05,
    }
}

macro_rules! queries {
    ($suite:literal: $($name:literal)*) => {
        &[$(SuiteQuery {
            name: $name,
            text: include_str!(concat!("../../codegen-tests/", $suite, "/q", $name, ".sql")),
            answer: include_str!(concat!("../../codegen-tests/", $suite, "/answers/q", $name, ".csv")),
        }),*]
    };
}

static TPCH: &[SuiteQuery] = queries!("tpch":
    "1" "2" "3" "4" "5" "6" "7" "8" "9" "10" "11" "12" "13" "14" "15" "16" "17" "18" "19" "20" "21" "22");

static TPCDS: &[SuiteQuery] = queries!("tpcds":
    "1" "2" "3" "4" "5" "6" "7" "8" "9" "10" "11" "12" "13" "14a" "14b" "15" "16" "17" "18" "19" "20" "21" "22" "23a" "23b" "24a" "24b"
    "25" "26" "27" "28" "29" "30" "31" "32" "33" "34" "35" "36" "37" "38" "39a" "39b" "40" "41" "42" "43" "44" "45" "46" "47" "48" "49"
    "50" "51" "52" "53" "54" "55" "56" "57" "58" "59" "60" "61" "62" "63" "64" "65" "66" "67" "68" "69" "70" "71" "72" "73" "74" "75"
    "76" "77" "78" "79" "80" "81" "82" "83" "84" "85" "86" "87" "88" "89" "90" "91" "92" "93" "94" "95" "96" "97" "98" "99");

/// The queries of a suite in the order of their numbers.
pub(super) fn queries(suite: Suite) -> &'static [SuiteQuery] {
    match suite {
        Suite::Tpch => TPCH,
        Suite::Tpcds => TPCDS,
    }
}
