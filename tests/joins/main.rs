//! Every type of join by every algorithm over every kind of key gives what nested loops over the rows give, in both engines.
//!
//! Cases are the product of types of join, algorithms, kinds of keys and residual conditions; the data (NULLs, repeated keys, empty
//! sides, sizes around those of batches), what is selected, the memory and the session are drawn at random from the seed in
//! `WHOLESTAGE_JOINS_SEED`, or a fixed one. A failure names its seed.

mod data;
#[path = "../common/random.rs"]
mod random;
mod reference;

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use data::{KeyType, Shape, Table, table};
use random::Random;
use reference::expected;
use wholestage::api::Session;
use wholestage::base::ErrorClass;
use wholestage::planning::ExplainLevel;

/// How a query asks for a type of join.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    Inner,
    Cross,
    LeftOuter,
    RightOuter,
    FullOuter,
    LeftSemi,
    LeftAnti,
    /// `WHERE EXISTS`.
    Exists,
    /// `WHERE NOT EXISTS`.
    NotExists,
    /// `WHERE … OR EXISTS`: an existence join.
    OrExists,
    /// EXISTS in the select list.
    ExistsValue,
    /// `WHERE … IN`.
    In,
    /// IN in the select list.
    InValue,
    /// `WHERE … NOT IN`: a null-aware anti join where there is one column.
    NotIn,
    /// A correlated scalar subquery: an error where there is a second match.
    Single,
}

use Kind::*;

const KINDS: [Kind; 15] = [
    Inner,
    Cross,
    LeftOuter,
    RightOuter,
    FullOuter,
    LeftSemi,
    LeftAnti,
    Exists,
    NotExists,
    OrExists,
    ExistsValue,
    In,
    InValue,
    NotIn,
    Single,
];

impl Kind {
    /// Written with JOIN, so that hints reach it.
    fn is_join(self) -> bool {
        matches!(self, Inner | Cross | LeftOuter | RightOuter | FullOuter | LeftSemi | LeftAnti)
    }

    /// Whether columns of the right side are there to select.
    pub fn has_right(self) -> bool {
        matches!(self, Inner | Cross | LeftOuter | RightOuter | FullOuter)
    }

    fn compares_in(self) -> bool {
        matches!(self, In | InValue | NotIn)
    }
}

/// The algorithm and how it is forced: joins by hints, subqueries by settings.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Algorithm {
    BroadcastLeft,
    BroadcastRight,
    ShuffledLeft,
    ShuffledRight,
    SortMerge,
    LoopLeft,
    LoopRight,
    Cartesian,
    /// A Cartesian product although there are equal keys.
    CartesianWithKeys,
}

use Algorithm::*;

const ALGORITHMS: [Algorithm; 9] =
    [BroadcastLeft, BroadcastRight, ShuffledLeft, ShuffledRight, SortMerge, LoopLeft, LoopRight, Cartesian, CartesianWithKeys];

impl Algorithm {
    fn allows(self, kind: Kind) -> bool {
        match self {
            _ if kind == Cross => matches!(self, LoopLeft | LoopRight | Cartesian),
            BroadcastLeft => matches!(kind, Inner | RightOuter),
            BroadcastRight => !matches!(kind, RightOuter | FullOuter),
            ShuffledLeft => matches!(kind, Inner | LeftOuter | RightOuter | FullOuter),
            ShuffledRight => kind.is_join() || kind == Single,
            SortMerge => !matches!(kind, NotIn | Single),
            LoopLeft => kind.is_join(),
            LoopRight => !kind.compares_in(),
            Cartesian | CartesianWithKeys => kind == Inner,
        }
    }

    /// Whether the condition is written so that no equality is seen in it.
    fn hides_keys(self) -> bool {
        matches!(self, LoopLeft | LoopRight | Cartesian)
    }

    fn hint(self) -> &'static str {
        match self {
            BroadcastLeft | LoopLeft => "/*+ BROADCAST(l) */",
            BroadcastRight | LoopRight => "/*+ BROADCAST(r) */",
            ShuffledLeft => "/*+ SHUFFLE_HASH(l) */",
            ShuffledRight => "/*+ SHUFFLE_HASH(r) */",
            SortMerge => "/*+ MERGE(l) */",
            Cartesian | CartesianWithKeys => "/*+ SHUFFLE_REPLICATE_NL(l) */",
        }
    }

    fn settings(self) -> &'static str {
        match self {
            SortMerge | ShuffledLeft | ShuffledRight => "-1",
            _ => "10MB",
        }
    }

    /// Whether it can do with any memory.
    fn spills(self) -> bool {
        !matches!(self, BroadcastLeft | BroadcastRight)
    }

    /// What EXPLAIN shows of it.
    fn shown(self) -> [&'static str; 2] {
        match self {
            BroadcastLeft => ["BroadcastHashJoin", "BuildLeft"],
            BroadcastRight => ["BroadcastHashJoin", "BuildRight"],
            ShuffledLeft => ["ShuffledHashJoin", "BuildLeft"],
            ShuffledRight => ["ShuffledHashJoin", "BuildRight"],
            SortMerge => ["SortMergeJoin", ""],
            LoopLeft => ["BroadcastNestedLoopJoin", "BuildLeft"],
            LoopRight => ["BroadcastNestedLoopJoin", "BuildRight"],
            Cartesian | CartesianWithKeys => ["CartesianProduct", ""],
        }
    }
}

/// The condition besides equal keys.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Residual {
    None,
    /// `l.n < r.n`.
    Below,
    /// Of the right side alone.
    RightOnly,
    /// Of the left side alone.
    LeftOnly,
    /// False, but only known row by row.
    Never,
    /// `false`.
    False,
}

const RESIDUALS: [Residual; 6] =
    [Residual::None, Residual::Below, Residual::RightOnly, Residual::LeftOnly, Residual::Never, Residual::False];

impl Residual {
    fn sql(self) -> Option<&'static str> {
        Some(match self {
            Residual::None => return None,
            Residual::Below => "l.n < r.n",
            Residual::RightOnly => "r.n > 3",
            Residual::LeftOnly => "l.n > 3",
            Residual::Never => "l.n + r.n < -1",
            Residual::False => "false",
        })
    }
}

/// What is selected.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Output {
    All,
    LeftKeys,
    RightKeys,
    Numbers,
    Texts,
    /// `count(*)`.
    Nothing,
}

/// A key column, and whether it is compared by `<=>`.
type Key = (KeyType, bool);

pub struct Case {
    pub kind: Kind,
    algorithm: Algorithm,
    pub keys: Vec<Key>,
    pub residual: Residual,
    pub output: Output,
}

impl Case {
    fn equality(&self, i: usize) -> String {
        let (l, r) = (format!("l.k{i}"), format!("r.k{i}"));
        match (self.algorithm.hides_keys(), self.keys[i].1) {
            (false, false) => format!("{l} = {r}"),
            (false, true) => format!("{l} <=> {r}"),
            (true, false) => format!("({l} <= {r} AND {l} >= {r})"),
            (true, true) => format!("coalesce({l} <= {r} AND {l} >= {r}, {l} IS NULL AND {r} IS NULL)"),
        }
    }

    /// Columns as the names of those of [`data::Row::shown`].
    pub fn columns(&self) -> (Vec<usize>, Vec<usize>) {
        let keys = self.keys.len();
        let (left, right): (Vec<usize>, Vec<usize>) = match self.output {
            Output::All => ((0..keys + 2).collect(), (0..keys + 2).collect()),
            Output::LeftKeys => ((0..keys).collect(), vec![]),
            Output::RightKeys if self.kind.has_right() => (vec![], (0..keys).collect()),
            Output::RightKeys => ((0..keys).collect(), vec![]),
            Output::Numbers => (vec![keys], vec![keys]),
            Output::Texts => (vec![keys + 1], vec![keys + 1]),
            Output::Nothing => (vec![], vec![]),
        };
        (left, if self.kind.has_right() { right } else { vec![] })
    }

    fn sql(&self) -> String {
        let name = |c: usize| match c - self.keys.len().min(c) {
            _ if c < self.keys.len() => format!("k{c}"),
            0 => "n".to_string(),
            _ => "t".to_string(),
        };
        let (left, right) = self.columns();
        let mut list: Vec<String> = left.iter().map(|&c| format!("l.{}", name(c))).collect();
        list.extend(right.iter().map(|&c| format!("r.{}", name(c))));
        let equalities = || (0..self.keys.len()).map(|i| self.equality(i));
        let residual = self.residual.sql().map(String::from);
        let condition = equalities().chain(residual.clone()).collect::<Vec<_>>().join(" AND ");
        let (l, r) = ("(SELECT * FROM left_table WHERE keep) l", "(SELECT * FROM right_table WHERE keep) r");
        let exists = format!("EXISTS (SELECT r.t FROM {r} WHERE {condition})");
        let tuple = |side: &str| (0..self.keys.len()).map(|i| format!("{side}.k{i}")).collect::<Vec<_>>().join(", ");
        let filter = residual.map(|c| format!(" WHERE {c}")).unwrap_or_default();
        let within = format!("(SELECT {} FROM {r}{filter})", tuple("r"));
        let mut from = match self.kind {
            Inner => format!("{l} JOIN {r} ON {condition}"),
            Cross => format!("{l} CROSS JOIN {r}"),
            LeftOuter => format!("{l} LEFT JOIN {r} ON {condition}"),
            RightOuter => format!("{l} RIGHT JOIN {r} ON {condition}"),
            FullOuter => format!("{l} FULL JOIN {r} ON {condition}"),
            LeftSemi => format!("{l} LEFT SEMI JOIN {r} ON {condition}"),
            LeftAnti => format!("{l} LEFT ANTI JOIN {r} ON {condition}"),
            Exists => format!("{l} WHERE {exists}"),
            NotExists => format!("{l} WHERE NOT {exists}"),
            OrExists => format!("{l} WHERE l.n > 5 OR {exists}"),
            In => format!("{l} WHERE ({}) IN {within}", tuple("l")),
            NotIn => format!("{l} WHERE ({}) NOT IN {within}", tuple("l")),
            ExistsValue | InValue | Single => l.to_string(),
        };
        match self.kind {
            ExistsValue => list.push(format!("{exists} AS v")),
            InValue => list.push(format!("({}) IN {within} AS v", tuple("l"))),
            Single => list.push(format!("(SELECT r.t FROM {r} WHERE {condition}) AS v")),
            _ if self.output == Output::Nothing => list.push("count(*)".into()),
            _ => {}
        }
        if self.output == Output::Nothing && matches!(self.kind, ExistsValue | InValue | Single) {
            from = format!("(SELECT {} FROM {from})", list.join(", "));
            list = vec!["count(v)".into(), "count(*)".into()];
        }
        let hint = if self.kind.is_join() { self.algorithm.hint() } else { "" };
        format!("SELECT {hint} {} FROM {from}", list.join(", "))
    }
}

/// Rows in no order.
fn rows(batches: &[RecordBatch]) -> Vec<Vec<String>> {
    let options = FormatOptions::new().with_null("NULL");
    let mut rows = vec![];
    for batch in batches {
        let columns: Vec<_> = batch.columns().iter().map(|c| ArrayFormatter::try_new(c.as_ref(), &options).unwrap()).collect();
        rows.extend((0..batch.num_rows()).map(|r| columns.iter().map(|c| c.value(r).to_string()).collect::<Vec<_>>()));
    }
    rows.sort();
    rows
}

fn session(mode: &str, threads: usize) -> Session {
    Session::builder()
        .config("execution.mode", mode)
        .config("sql.codegen.fallback", false)
        .config("sql.shuffle.partitions", threads)
        .threads(threads)
        .build()
        .unwrap()
}

fn seed() -> u64 {
    std::env::var("WHOLESTAGE_JOINS_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(20_250_731)
}

#[derive(Default)]
struct Tally {
    cases: usize,
    failures: Vec<String>,
    /// Cases whose plan had to show the algorithm.
    forced: usize,
}

/// Runs one case in a session of each engine.
fn check(case: &Case, tables: [&Table; 2], plan_shows: bool, sessions: [&Session; 2], seed: u64, tally: &mut Tally) {
    let wanted = expected(case, &tables[0].rows, &tables[1].rows);
    let sql = case.sql();
    tally.cases += 1;
    for session in sessions {
        session.set("sql.autoBroadcastJoinThreshold", case.algorithm.settings()).unwrap();
        let mut wrong = String::new();
        let execution = session.sql(&sql).and_then(|d| d.query_execution());
        let plan = execution.as_ref().ok().and_then(|e| e.explain(ExplainLevel::Simple).ok()).unwrap_or_default();
        if plan_shows && !case.algorithm.shown().iter().all(|s| plan.contains(s)) {
            let _ = write!(wrong, "the plan does not have {:?}", case.algorithm.shown());
        }
        match (execution.and_then(|e| e.collect()), &wanted) {
            (Ok(got), Some(wanted)) => {
                let (got, mut wanted) = (rows(&got), wanted.clone());
                wanted.sort();
                if got != wanted {
                    let _ = write!(wrong, "got    {got:?}\nwanted {wanted:?}");
                }
            }
            (Err(e), None) if e.class == ErrorClass::ScalarSubqueryTooManyRows => {}
            (Ok(got), None) => drop(write!(wrong, "got {:?}, wanted an error", rows(&got))),
            (Err(e), _) => drop(write!(wrong, "{e}")),
        }
        // Code that nobody waits for any more may still be compiling.
        let soon = Instant::now() + Duration::from_secs(5);
        while session.memory().used() > 0 && Instant::now() < soon {
            std::thread::sleep(Duration::from_millis(1));
        }
        if session.memory().used() > 0 {
            let _ = write!(wrong, "{} bytes are still reserved", session.memory().used());
        }
        if !wrong.is_empty() {
            let settings = session.settings();
            let show = |t: &Table| t.rows.iter().map(|r| format!("\n    {}", r.shown.join(" | "))).collect::<String>();
            tally.failures.push(format!(
                "seed {seed}, {} threads, mode {}, batches of {}, memory.limit {}: {:?} {:?}\n  {sql}\n{wrong}\n  left {}\n  right {}\n{plan}",
                settings.threads(),
                settings.text(&wholestage::base::settings::MODE),
                settings.batch_size(),
                settings.text(&wholestage::base::settings::MEMORY_LIMIT),
                case.kind,
                case.algorithm,
                show(tables[0]),
                show(tables[1]),
            ));
        }
    }
    tally.forced += usize::from(plan_shows);
}

fn shape(random: &mut Random) -> Shape {
    match random.below(14) {
        0..6 => Shape::Mixed,
        6..8 => Shape::NoNulls,
        8..10 => Shape::Unique,
        10 => Shape::OneKey,
        11 => Shape::AllNull,
        12 => Shape::AllFiltered,
        _ => Shape::Empty,
    }
}

/// All types of join, algorithms and residual conditions over these keys.
fn prove(keys: &[Key]) {
    let seed = seed();
    let mut random = Random(seed ^ keys.iter().fold(keys.len() as u64, |h, (t, safe)| h * 31 + *t as u64 * 2 + u64::from(*safe)));
    let sessions: Vec<[Session; 2]> = [1, 3].map(|threads| ["interpreted", "jit"].map(|mode| session(mode, threads))).into();
    let types: Vec<KeyType> = keys.iter().map(|k| k.0).collect();
    let mut tally = Tally::default();
    for residual in RESIDUALS {
        for algorithm in ALGORITHMS {
            // Tables for all types of join by one algorithm: sizes just below, at and above whole batches.
            let batch_size = random.pick(&[1, 3, 8, 1024]);
            let count = |random: &mut Random| match batch_size {
                1024 => 1 + random.below(40),
                _ => ((1 + random.below(3)) * batch_size + random.below(3)) * if batch_size == 1 { 3 } else { 1 } - 1,
            };
            let (left_shape, right_shape) = (shape(&mut random), shape(&mut random));
            let left_count = count(&mut random);
            let right_count = count(&mut random);
            let left = table(&mut random, &types, left_shape, left_count, "l");
            let right = table(&mut random, &types, right_shape, right_count, "r");
            let pair = &sessions[random.below(2)];
            let limit = if algorithm.spills() { random.pick(&["0", "3KB", "6KB"]) } else { "0" };
            for session in pair {
                session.set("memory.limit", limit).unwrap();
                session.set("execution.batchSize", &batch_size.to_string()).unwrap();
                for (name, t) in [("left_table", &left), ("right_table", &right)] {
                    session.create_dataframe(t.batches.clone()).unwrap().create_temp_view(name).unwrap();
                }
            }
            for kind in KINDS.into_iter().filter(|k| algorithm.allows(*k)) {
                if kind.compares_in() && (residual == Residual::False || keys.iter().any(|k| k.1))
                    || kind == Cross && residual != Residual::None
                {
                    continue;
                }
                let outputs = [Output::All, Output::LeftKeys, Output::RightKeys, Output::Numbers, Output::Texts, Output::Nothing];
                let case = Case { kind, algorithm, keys: keys.to_vec(), residual, output: random.pick(&outputs) };
                let rows_known = [left_shape, right_shape].iter().any(|s| matches!(s, Shape::Empty | Shape::AllFiltered | Shape::AllNull))
                    || left.rows.is_empty()
                    || right.rows.is_empty();
                let plan_shows = kind.is_join() && residual != Residual::False && !rows_known;
                check(&case, [&left, &right], plan_shows, [&pair[0], &pair[1]], seed, &mut tally);
            }
        }
    }
    println!("{keys:?}: {} cases, {} with the algorithm checked, {} failures", tally.cases, tally.forced, tally.failures.len());
    let first: Vec<_> = tally.failures.iter().take(3).cloned().collect();
    assert!(first.is_empty(), "{} failures of {} cases, the first ones:\n{}", tally.failures.len(), tally.cases, first.join("\n\n"));
}

macro_rules! proofs {
    ($($name:ident: $($key:expr),+;)*) => {$(
        #[test]
        fn $name() {
            prove(&[$($key),+]);
        }
    )*};
}

const fn eq(t: KeyType) -> Key {
    (t, false)
}

const fn safe(t: KeyType) -> Key {
    (t, true)
}

proofs! {
    keys_int: eq(KeyType::Int);
    keys_sparse_int: eq(KeyType::SparseInt);
    keys_bigint: eq(KeyType::Long);
    keys_short_text: eq(KeyType::ShortText);
    keys_long_text: eq(KeyType::LongText);
    keys_decimal: eq(KeyType::Decimal);
    keys_wide_decimal: eq(KeyType::WideDecimal);
    keys_date: eq(KeyType::Date);
    keys_boolean: eq(KeyType::Boolean);
    keys_double: eq(KeyType::Double);
    keys_int_and_short: eq(KeyType::Int), eq(KeyType::Short);
    keys_bigint_and_timestamp: eq(KeyType::Long), eq(KeyType::Timestamp);
    keys_text_and_int: eq(KeyType::LongText), eq(KeyType::Int);
    keys_of_three_kinds: eq(KeyType::Date), eq(KeyType::ShortText), eq(KeyType::Double);
    keys_null_safe_int: safe(KeyType::Int);
    keys_null_safe_text: safe(KeyType::LongText);
    keys_null_safe_double_and_int: safe(KeyType::Double), eq(KeyType::Int);
}
