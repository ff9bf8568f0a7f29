//! Every join against nested loops over scalars, on small random tables with NULLs and repeated keys.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::*;
use crate::base::{DataType, ErrorClass, Scalar};
use crate::expr::ComparisonOp;
use crate::operators::test_support::{local_table, run, test_context};
use crate::operators::{BroadcastExchange, Exchange, Operator, ShuffleOrigin, Sort};

type Row = Vec<Scalar>;

/// A small linear congruential generator: the same tables in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

/// Kinds of keys, each with a layout of its own in the index.
#[derive(Debug, Clone, Copy, PartialEq)]
enum KeyKind {
    Dense,
    Sparse,
    Float,
    Text,
    Decimal,
    IntPair,
    LongPair,
    Mixed,
}

const KINDS: [KeyKind; 8] =
    [KeyKind::Dense, KeyKind::Sparse, KeyKind::Float, KeyKind::Text, KeyKind::Decimal, KeyKind::IntPair, KeyKind::LongPair, KeyKind::Mixed];

impl KeyKind {
    fn types(self) -> Vec<DataType> {
        match self {
            KeyKind::Dense => vec![DataType::Int],
            KeyKind::Sparse => vec![DataType::Long],
            KeyKind::Float => vec![DataType::Double],
            KeyKind::Text => vec![DataType::String],
            KeyKind::Decimal => vec![DataType::decimal(30, 2)],
            KeyKind::IntPair => vec![DataType::Int, DataType::Short],
            KeyKind::LongPair => vec![DataType::Long, DataType::Long],
            KeyKind::Mixed => vec![DataType::String, DataType::Int],
        }
    }

    /// Key values out of a handful; NULL now and then.
    fn keys(self, random: &mut Random, distinct: u64, nulls: bool) -> Row {
        let value = |t: &DataType, random: &mut Random| {
            if nulls && random.below(6) == 0 {
                return Scalar::Null(t.clone());
            }
            let n = random.below(distinct) as i64;
            match t {
                DataType::Int => Scalar::Int(n as i32 - 2),
                DataType::Short => Scalar::Short(n as i16 - 1),
                DataType::Long => Scalar::Long((n - 2) * 1_000_000_007),
                DataType::Double => Scalar::Double([0.0, -0.0, f64::NAN, -f64::NAN, 1.5][n as usize % 5]),
                DataType::String => Scalar::string(
                    ["", "a", "a string of more than twelve bytes", "a string of more than twelve bites", "b"][n as usize % 5],
                ),
                _ => Scalar::Decimal { value: i128::from(n) << 70, precision: 30, scale: 2 },
            }
        };
        self.types().iter().map(|t| value(t, random)).collect()
    }
}

fn equal(a: &Scalar, b: &Scalar) -> bool {
    match (a, b) {
        (Scalar::Double(x), Scalar::Double(y)) => x == y || x.is_nan() && y.is_nan(),
        _ => !a.is_null() && !b.is_null() && a == b,
    }
}

/// What the rows of both sides are joined by.
#[derive(Clone, Copy)]
struct Match {
    keys: usize,
    residual: bool,
}

impl Match {
    /// Whether a pair matches; the residual condition is that the left number (after the keys) is below the right one.
    fn holds(self, left: &Row, right: &Row) -> bool {
        let below = match (&left[self.keys], &right[self.keys]) {
            (Scalar::Int(l), Scalar::Int(r)) => l < r,
            _ => false,
        };
        (0..self.keys).all(|k| equal(&left[k], &right[k])) && (!self.residual || below)
    }
}

/// The join by definition; `None` where it is an error.
fn expected(join_type: &JoinType, left: &[Row], right: &[Row], left_types: &[DataType], on: Match) -> Option<Vec<Row>> {
    let nulls = |types: &[DataType]| types.iter().cloned().map(Scalar::Null).collect::<Row>();
    let (left_nulls, right_nulls) = (nulls(left_types), nulls(left_types));
    let mut out = vec![];
    for l in left {
        let matches: Vec<&Row> = right.iter().filter(|r| on.holds(l, r)).collect();
        let pairs = matches.iter().map(|r| [l.clone(), (*r).clone()].concat());
        match join_type {
            JoinType::Inner | JoinType::Cross | JoinType::RightOuter => out.extend(pairs),
            JoinType::LeftSingle if matches.len() > 1 => return None,
            JoinType::LeftOuter | JoinType::FullOuter | JoinType::LeftSingle => {
                out.extend(pairs);
                if matches.is_empty() {
                    out.push([l.clone(), right_nulls.clone()].concat());
                }
            }
            JoinType::LeftSemi if !matches.is_empty() => out.push(l.clone()),
            JoinType::LeftAnti if matches.is_empty() => out.push(l.clone()),
            JoinType::NullAwareAnti => {
                let unknown = l[0].is_null() && !right.is_empty() || right.iter().any(|r| r[0].is_null());
                if matches.is_empty() && !unknown {
                    out.push(l.clone());
                }
            }
            JoinType::Existence(_) => out.push([l.clone(), vec![Scalar::Boolean(!matches.is_empty())]].concat()),
            JoinType::LeftSemi | JoinType::LeftAnti => {}
        }
    }
    if matches!(join_type, JoinType::RightOuter | JoinType::FullOuter) {
        for r in right.iter().filter(|r| !left.iter().any(|l| on.holds(l, r))) {
            out.push([left_nulls.clone(), r.clone()].concat());
        }
    }
    Some(out)
}

/// Rows in any order, comparable.
fn bag(rows: Vec<Row>) -> BTreeMap<String, usize> {
    let mut bag = BTreeMap::new();
    rows.iter().for_each(|r| *bag.entry(format!("{r:?}")).or_default() += 1);
    bag
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Method {
    Broadcast(BuildSide),
    Shuffled(BuildSide),
    SortMerge,
    NestedLoop(BuildSide),
    Cartesian,
}

const METHODS: [Method; 8] = [
    Method::Broadcast(BuildSide::Left),
    Method::Broadcast(BuildSide::Right),
    Method::Shuffled(BuildSide::Left),
    Method::Shuffled(BuildSide::Right),
    Method::SortMerge,
    Method::NestedLoop(BuildSide::Left),
    Method::NestedLoop(BuildSide::Right),
    Method::Cartesian,
];

impl Method {
    fn allows(self, join_type: &JoinType) -> bool {
        use JoinType::*;
        match self {
            Method::Broadcast(BuildSide::Left) => matches!(join_type, Inner | Cross | RightOuter),
            Method::Broadcast(BuildSide::Right) => !matches!(join_type, RightOuter | FullOuter),
            Method::Shuffled(BuildSide::Left) => matches!(join_type, Inner | Cross | LeftOuter | RightOuter | FullOuter),
            Method::Shuffled(BuildSide::Right) => *join_type != NullAwareAnti,
            Method::SortMerge => !matches!(join_type, NullAwareAnti),
            Method::NestedLoop(BuildSide::Left) => *join_type != LeftSingle,
            Method::NestedLoop(BuildSide::Right) => true,
            Method::Cartesian => join_type.is_inner(),
        }
    }
}

struct Side {
    plan: Arc<SparkPlan>,
    keys: Vec<Expr>,
    number: Expr,
}

fn side(kind: KeyKind, rows: &[Row], number: &str) -> Side {
    let mut columns: Vec<(&str, DataType)> = kind.types().into_iter().map(|t| ("k", t)).collect();
    columns.push((number, DataType::Int));
    let (plan, output) = local_table(&columns, rows.to_vec());
    let mut exprs: Vec<Expr> = output.into_iter().map(Expr::Attribute).collect();
    let number = exprs.pop().unwrap();
    Side { plan, keys: exprs, number }
}

fn over(operator: Operator, child: &Arc<SparkPlan>) -> Arc<SparkPlan> {
    SparkPlan::new(operator, vec![child.clone()])
}

fn join(method: Method, join_type: &JoinType, left: &Side, right: &Side, residual: bool) -> Arc<SparkPlan> {
    let comparison = |op: ComparisonOp, l: &Expr, r: &Expr| Expr::Comparison { op, left: Box::new(l.clone()), right: Box::new(r.clone()) };
    let residual = residual.then(|| comparison(ComparisonOp::Less, &left.number, &right.number));
    let (left_keys, right_keys) = (left.keys.clone(), right.keys.clone());
    let hash = |build| HashJoin {
        left_keys: left_keys.clone(),
        right_keys: right_keys.clone(),
        join_type: join_type.clone(),
        build,
        condition: residual.clone(),
    };
    let loops = |build| {
        let equal = left_keys.iter().zip(&right_keys).map(|(l, r)| comparison(ComparisonOp::Equal, l, r));
        NestedLoopJoin { join_type: join_type.clone(), build, condition: Expr::conjunction(equal.chain(residual.clone())) }
    };
    let broadcast = |build: BuildSide, mode: &dyn Fn(&Side) -> BroadcastMode| {
        let wrap = |side: BuildSide, s: &Side| {
            if side == build { over(Operator::BroadcastExchange(BroadcastExchange { mode: mode(s) }), &s.plan) } else { s.plan.clone() }
        };
        vec![wrap(BuildSide::Left, left), wrap(BuildSide::Right, right)]
    };
    let shuffled = |s: &Side| {
        let partitioning = Partitioning::Hash { exprs: s.keys.clone(), partitions: 2 };
        over(Operator::Exchange(Exchange { partitioning, origin: ShuffleOrigin::EnsureRequirements }), &s.plan)
    };
    let sorted = |s: &Side| {
        let order = s.keys.iter().cloned().map(SortOrder::ascending).collect();
        over(Operator::Sort(Sort { order, global: false }), &shuffled(s))
    };
    let hashed = |s: &Side| BroadcastMode::Hashed { keys: s.keys.clone(), null_aware: *join_type == JoinType::NullAwareAnti };
    match method {
        Method::Broadcast(build) => SparkPlan::new(Operator::BroadcastHashJoin(hash(build)), broadcast(build, &hashed)),
        Method::Shuffled(build) => SparkPlan::new(Operator::ShuffledHashJoin(hash(build)), vec![shuffled(left), shuffled(right)]),
        Method::SortMerge => {
            let HashJoin { left_keys, right_keys, join_type, condition, .. } = hash(BuildSide::Right);
            let join = SortMergeJoin { left_keys, right_keys, join_type, condition, skew: false };
            SparkPlan::new(Operator::SortMergeJoin(join), vec![sorted(left), sorted(right)])
        }
        Method::NestedLoop(build) => {
            SparkPlan::new(Operator::BroadcastNestedLoopJoin(loops(build)), broadcast(build, &|_| BroadcastMode::Identity))
        }
        Method::Cartesian => {
            SparkPlan::new(Operator::CartesianProduct(loops(BuildSide::Right)), vec![left.plan.clone(), right.plan.clone()])
        }
    }
}

fn join_types() -> Vec<JoinType> {
    use JoinType::*;
    let exists = Existence(Attribute::new("exists", DataType::Boolean, false));
    vec![Inner, LeftOuter, RightOuter, FullOuter, LeftSemi, LeftAnti, NullAwareAnti, exists, LeftSingle]
}

#[test]
fn all_joins_agree_with_nested_loops_over_scalars() {
    let mut random = Random(7);
    for round in 0..16 {
        let kind = KINDS[round % KINDS.len()];
        let (distinct, nulls) = (2 + random.below(8), random.below(3) > 0);
        let rows = |count: u64, random: &mut Random| -> Vec<Row> {
            let number = |random: &mut Random| match random.below(8) {
                0 => Scalar::Null(DataType::Int),
                n => Scalar::Int(n as i32),
            };
            (0..count).map(|_| [kind.keys(random, distinct, nulls), vec![number(random)]].concat()).collect()
        };
        let counts = (random.below(14), random.below(14));
        let (left, right) = (rows(counts.0, &mut random), rows(counts.1, &mut random));
        let types = [kind.types(), vec![DataType::Int]].concat();
        let sides = (side(kind, &left, "l"), side(kind, &right, "r"));
        let batch_size = ["1", "3", "100"][round % 3];
        for join_type in join_types() {
            for residual in [false, true] {
                if join_type == JoinType::NullAwareAnti && (residual || types.len() > 2) {
                    continue;
                }
                let on = Match { keys: types.len() - 1, residual };
                let wanted = expected(&join_type, &left, &right, &types, on).map(bag);
                for method in METHODS.into_iter().filter(|m| m.allows(&join_type)) {
                    let plan = join(method, &join_type, &sides.0, &sides.1, residual);
                    let context = test_context(&[("execution.batchSize", batch_size)]);
                    let what = format!("{method:?} {join_type:?} residual={residual} {kind:?}\nleft {left:?}\nright {right:?}");
                    match (run(&plan, &context), &wanted) {
                        (Ok(rows), Some(wanted)) => assert_eq!(bag(rows), *wanted, "{what}"),
                        (Err(e), None) => assert_eq!(e.class, ErrorClass::ScalarSubqueryTooManyRows, "{what}"),
                        (result, wanted) => panic!("{what}\n{result:?} instead of {wanted:?}"),
                    }
                }
            }
        }
    }
}

#[test]
fn joins_without_columns_count_rows() {
    let mut random = Random(3);
    let rows: Vec<Row> = (0..5).map(|_| KeyKind::Dense.keys(&mut random, 3, false)).collect();
    let (plan, _) = local_table(&[("k", DataType::Int)], rows);
    let none = over(Operator::Project(crate::operators::Project { list: vec![] }), &plan);
    let broadcast = over(Operator::BroadcastExchange(BroadcastExchange { mode: BroadcastMode::Identity }), &none);
    let loops = NestedLoopJoin { join_type: JoinType::Cross, build: BuildSide::Right, condition: None };
    let plan = SparkPlan::new(Operator::BroadcastNestedLoopJoin(loops), vec![none, broadcast]);
    assert_eq!(run(&plan, &test_context(&[])).unwrap().len(), 25);
}

#[test]
fn streamed_order_survives_and_batches_stay_small() {
    let rows =
        |n: i32, copies: usize| (0..n).flat_map(|i| std::iter::repeat_n(vec![Scalar::Int(i), Scalar::Int(i)], copies)).collect::<Vec<_>>();
    let sides = (side(KeyKind::Dense, &rows(20, 1), "l"), side(KeyKind::Dense, &rows(20, 7), "r"));
    for method in [Method::Broadcast(BuildSide::Right), Method::NestedLoop(BuildSide::Right)] {
        let plan = join(method, &JoinType::LeftOuter, &sides.0, &sides.1, false);
        let context = test_context(&[("execution.batchSize", "10"), ("execution.threads", "1")]);
        plan.prepare(&context).unwrap();
        let batches = context.runner.run_job(&plan.execute(&context).unwrap(), &[0], &context).unwrap().concat();
        assert!(batches.iter().all(|b| b.num_rows() <= 10));
        let keys: Vec<Scalar> = crate::operators::test_support::rows_of(&batches).into_iter().map(|r| r[0].clone()).collect();
        assert_eq!(keys, rows(20, 7).into_iter().map(|r| r[0].clone()).collect::<Vec<_>>(), "{method:?}");
    }
}
