//! Window calls against their definition, row by row, on small random tables.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, RecordBatch};

use super::passes::Passes;
use super::*;
use crate::base::{DataType, Scalar};
use crate::expr::window::RankingFunction;
use crate::expr::{AggregateExpr, AggregateFunction, ComparisonOp, Frame, FrameBound, FrameUnits, WindowExpr, WindowFunction};
use crate::operators::test_support::{call, local_table, run, test_context};
use crate::operators::{Exchange, Operator, Partitioning, ShuffleOrigin, Sort};
use crate::rdd::MapWriter;

#[derive(Debug, Clone, Copy)]
struct Row {
    id: i32,
    p: Option<i32>,
    o: Option<i32>,
    v: Option<i32>,
}

struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }

    fn value(&mut self, n: u64) -> Option<i32> {
        if self.below(5) == 0 { None } else { Some(self.below(n) as i32) }
    }
}

fn int(v: Option<i32>) -> Scalar {
    v.map_or(Scalar::Null(DataType::Int), Scalar::Int)
}

/// The frame of row `i` of a sorted window partition, by definition.
fn frame_rows(frame: &Frame, rows: &[Row], i: usize, ascending: bool) -> Vec<usize> {
    let offset = |s: &Scalar| i64::try_from(s.as_i128().unwrap()).unwrap();
    let distance = |bound: &FrameBound| match bound {
        FrameBound::UnboundedPreceding => i64::MIN,
        FrameBound::Preceding(n) => -offset(n),
        FrameBound::CurrentRow => 0,
        FrameBound::Following(n) => offset(n),
        FrameBound::UnboundedFollowing => i64::MAX,
    };
    let (low, high) = (distance(&frame.start), distance(&frame.end));
    (0..rows.len())
        .filter(|&j| match frame.units {
            FrameUnits::Rows => {
                let d = j as i64 - i as i64;
                low <= d && d <= high
            }
            FrameUnits::Range => match (rows[i].o, rows[j].o) {
                (Some(a), Some(b)) => {
                    let d = i64::from(if ascending { b - a } else { a - b });
                    low <= d && d <= high
                }
                (None, None) => true,
                // A NULL is at no distance: only an unbounded edge reaches it, or is reached from it.
                _ => {
                    if j < i {
                        low == i64::MIN
                    } else {
                        high == i64::MAX
                    }
                }
            },
        })
        .collect()
}

fn aggregate(function: AggregateFunction, rows: &[Row], filter: bool) -> Scalar {
    let rows: Vec<&Row> = rows.iter().filter(|r| !filter || r.id > 10).collect();
    let values: Vec<i32> = rows.iter().filter_map(|r| r.v).collect();
    let total: i64 = values.iter().map(|&v| i64::from(v)).sum();
    match function {
        AggregateFunction::Count => Scalar::Long(values.len() as i64),
        AggregateFunction::Sum if values.is_empty() => Scalar::Null(DataType::Long),
        AggregateFunction::Sum => Scalar::Long(total),
        AggregateFunction::Avg if values.is_empty() => Scalar::Null(DataType::Double),
        AggregateFunction::Avg => Scalar::Double(total as f64 / values.len() as f64),
        AggregateFunction::Min => int(values.iter().min().copied()),
        AggregateFunction::Max => int(values.iter().max().copied()),
        AggregateFunction::First => int(rows.first().and_then(|r| r.v)),
        AggregateFunction::Last => int(rows.last().and_then(|r| r.v)),
        AggregateFunction::FirstIgnoreNulls => int(values.first().copied()),
        AggregateFunction::LastIgnoreNulls => int(values.last().copied()),
        AggregateFunction::CollectList => Scalar::Array(values.into_iter().map(Scalar::Int).collect(), DataType::Int),
        AggregateFunction::CollectSet => {
            let mut distinct: Vec<i32> = vec![];
            values.into_iter().for_each(|v| {
                if !distinct.contains(&v) {
                    distinct.push(v);
                }
            });
            Scalar::Array(distinct.into_iter().map(Scalar::Int).collect(), DataType::Int)
        }
        other => panic!("{other:?}"),
    }
}

fn ranking(function: RankingFunction, n: i64, ignore_nulls: bool, rows: &[Row], i: usize, frame: &[usize]) -> Scalar {
    let before = rows.iter().position(|r| r.o == rows[i].o).unwrap();
    let up_to = rows.iter().rposition(|r| r.o == rows[i].o).unwrap() + 1;
    let count = rows.len();
    let counted = |j: &usize| !ignore_nulls || rows[*j].v.is_some();
    match function {
        RankingFunction::RowNumber => Scalar::Int(i as i32 + 1),
        RankingFunction::Rank => Scalar::Int(before as i32 + 1),
        RankingFunction::DenseRank => Scalar::Int((1..=i).filter(|&j| rows[j].o != rows[j - 1].o).count() as i32 + 1),
        RankingFunction::PercentRank => Scalar::Double(if count > 1 { before as f64 / (count - 1) as f64 } else { 0.0 }),
        RankingFunction::CumeDist => Scalar::Double(up_to as f64 / count as f64),
        RankingFunction::Ntile => {
            let sizes = (0..n as usize).map(|b| count / n as usize + usize::from(b < count % n as usize));
            let mut end = 0;
            for (bucket, size) in sizes.enumerate() {
                end += size;
                if i < end {
                    return Scalar::Int(bucket as i32 + 1);
                }
            }
            panic!()
        }
        RankingFunction::Lead => (i + 1..count).filter(counted).nth(n as usize - 1).map_or(Scalar::Int(-7), |j| int(rows[j].v)),
        RankingFunction::Lag => (0..i).rev().filter(counted).nth(n as usize - 1).map_or(Scalar::Int(-7), |j| int(rows[j].v)),
        RankingFunction::NthValue => int(frame.iter().copied().filter(counted).nth(n as usize - 1).and_then(|j| rows[j].v)),
    }
}

/// A call under test: the plan's form of it, and what it gives for a row of a window partition with its frame.
type Case = (WindowFunction, Box<dyn Fn(&[Row], usize, &[usize]) -> Scalar>);

fn cases(id: &Attribute, v: &Attribute) -> Vec<Case> {
    let mut cases: Vec<Case> = vec![];
    for function in [
        AggregateFunction::Count,
        AggregateFunction::Sum,
        AggregateFunction::Avg,
        AggregateFunction::Min,
        AggregateFunction::Max,
        AggregateFunction::First,
        AggregateFunction::Last,
        AggregateFunction::FirstIgnoreNulls,
        AggregateFunction::LastIgnoreNulls,
        AggregateFunction::CollectList,
        AggregateFunction::CollectSet,
    ] {
        for filter in [false, true] {
            let condition = Expr::Comparison {
                op: ComparisonOp::Greater,
                left: Box::new(Expr::Attribute(id.clone())),
                right: Box::new(Expr::Literal(Scalar::Int(10))),
            };
            let call = AggregateExpr { filter: filter.then(|| Box::new(condition)), ..call(function, v) };
            let by_hand = move |rows: &[Row], _: usize, frame: &[usize]| {
                aggregate(function, &frame.iter().map(|&j| rows[j]).collect::<Vec<_>>(), filter)
            };
            cases.push((WindowFunction::Aggregate(call), Box::new(by_hand)));
        }
    }
    for (function, arguments) in [
        (RankingFunction::RowNumber, 0),
        (RankingFunction::Rank, 0),
        (RankingFunction::DenseRank, 0),
        (RankingFunction::PercentRank, 0),
        (RankingFunction::CumeDist, 0),
        (RankingFunction::Ntile, 1),
        (RankingFunction::Lead, 3),
        (RankingFunction::Lag, 3),
        (RankingFunction::NthValue, 2),
    ] {
        for (n, ignore_nulls) in [(1, false), (2, false), (3, false), (2, true)] {
            let value = Expr::Attribute(v.clone());
            let count = Expr::Literal(Scalar::Int(n));
            let args = match arguments {
                0 => vec![],
                1 => vec![count],
                2 => vec![value, count],
                _ => vec![value, count, Expr::Literal(Scalar::Int(-7))],
            };
            let ignore_nulls = ignore_nulls && arguments > 1;
            let by_hand = move |rows: &[Row], i: usize, frame: &[usize]| ranking(function, i64::from(n), ignore_nulls, rows, i, frame);
            cases.push((WindowFunction::Ranking { function, args, ignore_nulls }, Box::new(by_hand)));
        }
    }
    cases
}

fn frames() -> Vec<Frame> {
    let n = |n: i32| Scalar::Int(n);
    use FrameBound::*;
    let bounds = [
        (UnboundedPreceding, CurrentRow),
        (UnboundedPreceding, UnboundedFollowing),
        (UnboundedPreceding, Preceding(n(1))),
        (Preceding(n(2)), Following(n(1))),
        (Preceding(n(3)), Preceding(n(1))),
        (CurrentRow, Following(n(2))),
        (Following(n(1)), UnboundedFollowing),
        (CurrentRow, CurrentRow),
    ];
    let units = [FrameUnits::Rows, FrameUnits::Range];
    units.iter().flat_map(|u| bounds.iter().map(move |(s, e)| Frame { units: *u, start: s.clone(), end: e.clone() })).collect()
}

#[test]
fn window_calls_agree_with_their_definition() {
    let mut random = Random(11);
    for round in 0..3 {
        let rows: Vec<Row> = (0..40).map(|id| Row { id, p: random.value(3 + round), o: random.value(6), v: random.value(9) }).collect();
        let ascending = round % 2 == 0;
        let columns = ["id", "p", "o", "v"].map(|n| (n, DataType::Int));
        let (table, output) = local_table(&columns, rows.iter().map(|r| vec![int(Some(r.id)), int(r.p), int(r.o), int(r.v)]).collect());
        let partition_by = vec![Expr::Attribute(output[1].clone())];
        let key = Expr::Attribute(output[2].clone());
        let order_by = vec![if ascending { SortOrder::ascending(key) } else { SortOrder::descending(key) }];
        let mut calls = vec![];
        let mut checks = vec![];
        for frame in frames() {
            for (function, by_hand) in cases(&output[0], &output[3]) {
                let call = WindowExpr { function, partition_by: partition_by.clone(), order_by: order_by.clone(), frame: frame.clone() };
                let name = format!("{call:?}");
                calls.push(Expr::Alias { expr: Box::new(Expr::Window(Box::new(call))), name: "w".into(), id: crate::base::ExprId::next() });
                checks.push((name, frame.clone(), by_hand));
            }
        }
        let partitioning = Partitioning::Hash { exprs: partition_by.clone(), partitions: 2 };
        let over = |operator: Operator, child: Arc<SparkPlan>| SparkPlan::new(operator, vec![child]);
        let exchange = over(Operator::Exchange(Exchange { partitioning, origin: ShuffleOrigin::EnsureRequirements }), table);
        let window = Window { calls, partition_by, order_by };
        let sort = over(Operator::Sort(Sort { order: window.required_ordering(), global: false }), exchange);
        let plan = over(Operator::Window(window), sort);
        let batch_size = ["1", "3", "1000"][round as usize % 3];
        let found = run(&plan, &test_context(&[("execution.batchSize", batch_size)])).unwrap();
        assert_eq!(found.len(), rows.len());

        let mut groups: HashMap<Option<i32>, Vec<Row>> = HashMap::new();
        rows.iter().for_each(|r| groups.entry(r.p).or_default().push(*r));
        for group in groups.values_mut() {
            // Ascending has NULLs first, descending last: the one is the other's reverse but for the order of equal rows.
            group.sort_by(|a, b| if ascending { a.o.cmp(&b.o) } else { b.o.cmp(&a.o) });
        }
        for row in &found {
            let Scalar::Int(id) = row[0] else { panic!("{row:?}") };
            let group = &groups[&rows[id as usize].p];
            let i = group.iter().position(|r| r.id == id).unwrap();
            for ((name, frame, by_hand), value) in checks.iter().zip(&row[4..]) {
                let seen = frame_rows(frame, group, i, ascending);
                assert_eq!(*value, by_hand(group, i, &seen), "{name}\nrow {i} of {group:?}");
            }
        }
    }
}

/// A partition that was set aside gives what it gives in memory, whatever pieces it comes in.
#[test]
fn passes_agree_with_chunks() {
    let mut random = Random(5);
    let context = test_context(&[]);
    for (round, keys) in [2, 6, 1000, 12].into_iter().enumerate() {
        let input: Vec<Attribute> = ["id", "o", "v", "x"].map(|n| Attribute::new(n, DataType::Int, true)).to_vec();
        let (id, key, v, x) = (&input[0], Expr::Attribute(input[1].clone()), &input[2], Expr::Attribute(input[3].clone()));
        let ascending = round % 2 == 0;
        let order_by = vec![if ascending { SortOrder::ascending(key) } else { SortOrder::descending(key) }];
        let mut functions: Vec<WindowFunction> = cases(id, v).into_iter().map(|(function, _)| function).collect();
        for (function, second) in [
            (AggregateFunction::StddevSamp, None),
            (AggregateFunction::Kurtosis, None),
            (AggregateFunction::Corr, Some(x.clone())),
            (AggregateFunction::MaxBy, Some(x.clone())),
            (AggregateFunction::BitXor, None),
            (AggregateFunction::TrySum, None),
        ] {
            let mut call = call(function, v);
            call.args.extend(second);
            functions.push(WindowFunction::Aggregate(call));
        }
        let mut frames = frames();
        let (far, one) = (|n: i32| Scalar::Int(n), Scalar::Int(1));
        for (start, end) in [
            (FrameBound::UnboundedPreceding, FrameBound::Following(far(2))),
            (FrameBound::UnboundedPreceding, FrameBound::Preceding(far(200))),
            (FrameBound::UnboundedPreceding, FrameBound::Following(far(200))),
            (FrameBound::Preceding(far(200)), FrameBound::Following(one)),
        ] {
            frames.push(Frame { units: FrameUnits::Rows, start, end });
        }
        let calls = frames.iter().flat_map(|frame| {
            functions.iter().map(|function| {
                let call =
                    WindowExpr { function: function.clone(), partition_by: vec![], order_by: order_by.clone(), frame: frame.clone() };
                Expr::Alias { expr: Box::new(Expr::Window(Box::new(call))), name: "w".into(), id: crate::base::ExprId::next() }
            })
        });
        for order_by in [order_by.clone(), vec![]] {
            let range_needs_order = |call: &Expr| !order_by.is_empty() || !format!("{call:?}").contains("units: Range");
            let calls: Vec<Expr> = calls.clone().filter(range_needs_order).collect();
            let window = Window { calls, partition_by: vec![], order_by };
            let calls = Arc::new(window.bound(&input, &context).unwrap());
            let mut values: Vec<[Option<i32>; 4]> =
                (0..100).map(|id| [Some(id), random.value(keys), random.value(9), random.value(50)]).collect();
            values.sort_by(|a, b| if ascending { a[1].cmp(&b[1]) } else { b[1].cmp(&a[1]) });
            let columns = (0..4).map(|c| Arc::new(values.iter().map(|r| r[c]).collect::<Int32Array>()) as ArrayRef).collect();
            let rows = RecordBatch::try_new(calls.input_schema.clone(), columns).unwrap();
            let expected = calls.compute(rows.clone()).unwrap();

            let mut aside = MapWriter::new(1, 0, &context);
            let mut at = 0;
            while at < rows.num_rows() {
                let piece = (1 + random.below(11) as usize).min(rows.num_rows() - at);
                aside.push(0, rows.slice(at, piece)).unwrap();
                at += piece;
            }
            let mut passes = Passes::new(&calls, &[0, 1, 2, 3], &aside.finish(), || context.fixed(0, "Window")).unwrap();
            let mut at = 0;
            while at < rows.num_rows() {
                let piece = (1 + random.below(20) as usize).min(rows.num_rows() - at);
                for ((found, expected), call) in passes.next(piece).unwrap().iter().zip(&expected).zip(&window.calls) {
                    assert_eq!(**found, *expected.slice(at, piece), "row {at}: {call:?}");
                }
                at += piece;
            }
        }
    }
}

/// Sums of doubles over moving frames, and months as RANGE offsets.
#[test]
fn moving_double_sums_and_month_ranges() {
    let dates = [0, 31, 59, 60, 90, 120];
    let rows = dates.iter().enumerate().map(|(i, d)| vec![Scalar::Date(*d), Scalar::Double(f64::from(1u32 << i))]).collect();
    let (table, output) = local_table(&[("d", DataType::Date), ("x", DataType::Double)], rows);
    let order_by = vec![SortOrder::ascending(Expr::Attribute(output[0].clone()))];
    let frame = |units, start| Frame { units, start, end: FrameBound::CurrentRow };
    let frames = [
        frame(FrameUnits::Rows, FrameBound::Preceding(Scalar::Int(2))),
        frame(FrameUnits::Range, FrameBound::Preceding(Scalar::YearMonthInterval(1))),
    ];
    let calls = frames.map(|frame| {
        let function = WindowFunction::Aggregate(call(AggregateFunction::Sum, &output[1]));
        let call = WindowExpr { function, partition_by: vec![], order_by: order_by.clone(), frame };
        Expr::Alias { expr: Box::new(Expr::Window(Box::new(call))), name: "w".into(), id: crate::base::ExprId::next() }
    });
    let window = Window { calls: calls.into(), partition_by: vec![], order_by };
    let plan = SparkPlan::new(Operator::Window(window), vec![table]);
    let found = run(&plan, &test_context(&[("execution.threads", "1")])).unwrap();
    let column = |c: usize| found.iter().map(|r| r[c].clone()).collect::<Vec<_>>();
    let doubles = |values: [f64; 6]| values.map(Scalar::Double).to_vec();
    assert_eq!(column(2), doubles([1.0, 3.0, 7.0, 14.0, 28.0, 56.0]));
    // 1970-01-01, 02-01, 03-01, 03-02, 04-01, 05-01: a month before March 2 is February 2.
    assert_eq!(column(3), doubles([1.0, 3.0, 6.0, 12.0, 28.0, 48.0]));
}
