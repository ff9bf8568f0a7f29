use super::*;
use crate::operators::{Distribution, Exchange, HashJoin, Partitioning, ShuffleOrigin, ShuffleSpec, SortMergeJoin};
use crate::planning::preparations::ensure_requirements;

fn scan(t: &Table) -> Arc<SparkPlan> {
    planned(t.plan.clone(), &cluster(&[("sql.codegen.wholeStage", "false")])).executed_plan
}

fn hash(columns: &[Expr], partitions: usize) -> Partitioning {
    Partitioning::Hash { exprs: columns.to_vec(), partitions }
}

/// A child that is partitioned so, by a user's shuffle hidden below a filter or not.
fn partitioned(t: &Table, partitioning: Partitioning, in_place: bool) -> Arc<SparkPlan> {
    let exchange = Exchange { partitioning, origin: ShuffleOrigin::RepartitionByNum };
    let plan = SparkPlan::new(Operator::Exchange(exchange), vec![scan(t)]);
    if !in_place {
        return plan;
    }
    let condition = Expr::Literal(Scalar::Boolean(true));
    SparkPlan::new(Operator::Filter(crate::operators::Filter { condition }), vec![plan])
}

fn hash_joined(left: Arc<SparkPlan>, right: Arc<SparkPlan>, left_keys: &[Expr], right_keys: &[Expr]) -> Arc<SparkPlan> {
    let join = HashJoin {
        left_keys: left_keys.to_vec(),
        right_keys: right_keys.to_vec(),
        join_type: JoinType::Inner,
        build: crate::operators::BuildSide::Right,
        condition: None,
    };
    let plan = SparkPlan::new(Operator::ShuffledHashJoin(join), vec![left, right]);
    let settings = cluster(&[]);
    let ensured = ensure_requirements::apply(plan, &settings).unwrap();
    validate::validate(&ensured, &settings, true).unwrap();
    let again = ensure_requirements::apply(ensured.clone(), &settings).unwrap();
    assert!(Arc::ptr_eq(&ensured, &again), "not idempotent");
    ensured
}

fn sides(plan: &Arc<SparkPlan>) -> (Partitioning, Partitioning) {
    (plan.children[0].output_partitioning(), plan.children[1].output_partitioning())
}

#[test]
fn co_partitioning() {
    let (l, r) = (Table::kvs("l", 1), Table::kvs("r", 1));
    let (a, x) = (l.col("k"), r.col("k"));
    let (a2, x2) = (l.col("v"), r.col("v"));
    let one = |left, right| sides(&hash_joined(left, right, std::slice::from_ref(&a), std::slice::from_ref(&x)));
    let (ha, hx) = (|n| hash(&[l.col("k")], n), |n| hash(&[r.col("k")], n));

    assert_eq!(one(scan(&l), scan(&r)), (ha(200), hx(200)));
    assert_eq!(one(partitioned(&l, ha(50), true), scan(&r)), (ha(50), hx(50)));
    assert_eq!(one(partitioned(&l, ha(5), true), partitioned(&r, hx(6), true)), (ha(6), hx(6)));
    assert_eq!(one(partitioned(&l, ha(300), false), scan(&r)), (ha(300), hx(300)));
    let range = Partitioning::Range { order: vec![SortOrder::ascending(a.clone())], partitions: 7 };
    assert_eq!(one(partitioned(&l, range, true), scan(&r)), (ha(200), hx(200)));

    // By fewer keys than the join's: both sides shuffle by all.
    let joined = hash_joined(partitioned(&l, ha(9), true), scan(&r), &[a.clone(), a2.clone()], &[x.clone(), x2.clone()]);
    assert_eq!(sides(&joined), (hash(&[a, a2], 200), hash(&[x, x2], 200)));
}

#[test]
fn keys_follow_a_partitioning_that_is_there() {
    let (l, r) = (Table::kvs("l", 1), Table::kvs("r", 1));
    let by_va = hash(&[l.col("v"), l.col("k")], 200);
    let joined = hash_joined(partitioned(&l, by_va.clone(), true), scan(&r), &[l.col("k"), l.col("v")], &[r.col("k"), r.col("v")]);
    assert_eq!(sides(&joined), (by_va, hash(&[r.col("v"), r.col("k")], 200)));
    let Operator::ShuffledHashJoin(join) = &joined.operator else { panic!() };
    assert_eq!(join.left_keys, [l.col("v"), l.col("k")]);
}

#[test]
fn sorts_only_what_is_not_sorted() {
    let (l, r) = (Table::kvs("l", 1), Table::kvs("r", 1));
    let join = |left, right| SortMergeJoin {
        left_keys: vec![left],
        right_keys: vec![right],
        join_type: JoinType::Inner,
        condition: None,
        skew: false,
    };
    let inner = SparkPlan::new(Operator::SortMergeJoin(join(l.col("k"), r.col("k"))), vec![scan(&l), scan(&r)]);
    let third = Table::kvs("x", 1);
    // The right key of an inner sort-merge join is ordered as the left one is, and partitioned so too.
    let outer = SparkPlan::new(Operator::SortMergeJoin(join(r.col("k"), third.col("k"))), vec![inner, scan(&third)]);
    let settings = cluster(&[]);
    let ensured = ensure_requirements::apply(outer, &settings).unwrap();
    validate::validate(&ensured, &settings, true).unwrap();
    assert_lines(
        &outline(&ensured),
        "
        SortMergeJoin
         SortMergeJoin
          Sort
           Exchange
            FileScan
          Sort
           Exchange
            FileScan
         Sort
          Exchange
           FileScan
        ",
    );
    let again = ensure_requirements::apply(ensured.clone(), &settings).unwrap();
    assert!(Arc::ptr_eq(&ensured, &again));
}

#[test]
fn partitionings_and_what_they_satisfy() {
    let t = Table::kvs("t", 1);
    let (a, b, c) = (t.col("k"), t.col("v"), t.col("s"));
    let clustered = |keys: &[&Expr]| Distribution::Clustered(keys.iter().map(|e| (*e).clone()).collect());
    let order = |keys: &[&Expr]| keys.iter().map(|e| SortOrder::ascending((*e).clone())).collect::<Vec<_>>();
    let range = |keys: &[&Expr]| Partitioning::Range { order: order(keys), partitions: 4 };
    let ha = hash(std::slice::from_ref(&a), 4);
    let hab = hash(&[a.clone(), b.clone()], 4);

    assert!(ha.satisfies(&clustered(&[&a, &b]), false));
    assert!(!ha.satisfies(&clustered(&[&a, &b]), true));
    assert!(!hab.satisfies(&clustered(&[&a]), false));
    assert!(hab.satisfies(&clustered(&[&a, &b]), true) && !hab.satisfies(&clustered(&[&b, &a]), true));
    assert!(range(&[&a, &b]).satisfies(&clustered(&[&a, &b, &c]), false));
    assert!(hash(std::slice::from_ref(&a), 1).satisfies(&Distribution::AllTuples, false));
    assert!(!ha.satisfies(&Distribution::AllTuples, false));
    assert!(range(&[&a, &b]).satisfies(&Distribution::Ordered(order(&[&a])), false));
    assert!(range(&[&a]).satisfies(&Distribution::Ordered(order(&[&a, &b])), false));
    assert!(!range(&[&b]).satisfies(&Distribution::Ordered(order(&[&a])), false));
    assert!(!ha.satisfies(&Distribution::Ordered(order(&[&a])), false));
    let identity = crate::operators::BroadcastMode::Identity;
    assert!(!Partitioning::Single.satisfies(&Distribution::Broadcast(identity.clone()), false));
    assert!(Partitioning::Broadcast(identity.clone()).satisfies(&Distribution::Broadcast(identity), false));
    for p in [Partitioning::Single, Partitioning::RoundRobin(1), Partitioning::Unknown(1)] {
        assert!(p.satisfies(&Distribution::AllTuples, false), "{p:?}");
    }
    assert!(!Partitioning::RoundRobin(1).satisfies(&clustered(&[&a]), false));
    assert!(Partitioning::Collection(vec![Partitioning::RoundRobin(4), ha.clone()]).satisfies(&clustered(&[&a]), false));
}

#[test]
fn shuffle_specs() {
    let t = Table::new("t", &["a", "b", "x", "y", "z"].map(|n| (n, DataType::Int)), 0, 1);
    let cols = |names: &[&str]| names.iter().map(|n| t.col(n)).collect::<Vec<_>>();
    let spec = |keys: &[&str], n, clustering: &[&str]| ShuffleSpec::new(hash(&cols(keys), n), &cols(clustering), false);
    let left = spec(&["a", "b"], 8, &["a", "b", "b"]);
    assert!(left.is_compatible(&spec(&["x", "z"], 8, &["x", "y", "z"])));
    assert!(!left.is_compatible(&spec(&["z", "x"], 8, &["x", "y", "z"])));
    assert!(!left.is_compatible(&spec(&["x", "z"], 9, &["x", "y", "z"])));
    assert!(!left.can_create_partitioning(true) && left.can_create_partitioning(false));
    assert_eq!(left.create_partitioning(&cols(&["x", "y", "z"])), Some(hash(&cols(&["x", "y"]), 8)));
    assert!(ShuffleSpec::Single.is_compatible(&spec(&["a"], 1, &["a"])));
    assert!(!ShuffleSpec::Range { partitions: 4 }.is_compatible(&ShuffleSpec::Range { partitions: 4 }));
}

#[test]
fn projections_rename_what_is_known() {
    let t = Table::kvs("t", 1);
    let renamed = alias(t.col("k"), "x");
    let x = Expr::Attribute(renamed.to_attribute());
    let by_k = hash(&[t.col("k")], 4);
    assert_eq!(by_k.clone().project(std::slice::from_ref(&renamed)), hash(std::slice::from_ref(&x), 4));
    assert_eq!(by_k.clone().project(&[t.col("v")]), Partitioning::Unknown(4));
    let both = by_k.project(&[t.col("k"), renamed.clone()]);
    assert_eq!(both, Partitioning::Collection(vec![hash(&[t.col("k")], 4), hash(std::slice::from_ref(&x), 4)]));

    let order = |e: Expr| crate::operators::ProvidedOrder::from(SortOrder::ascending(e));
    let provided = vec![order(t.col("k")), order(t.col("v"))];
    let projected = crate::operators::properties::project_ordering(provided, std::slice::from_ref(&renamed));
    assert_eq!(projected, [order(x)]);
}

#[test]
fn a_union_of_inputs_partitioned_alike_is_not_shuffled() {
    let (t, u) = (Table::kvs("t", 1 << 40), Table::kvs("u", 1 << 40));
    let groups = |t: &Table| aggregate(vec![t.col("k")], vec![t.col("k"), alias(sum(t.col("v")), "s")], t.plan.clone());
    let totals = |inputs: Vec<LogicalPlan>, by: usize| {
        let output: Vec<Attribute> = inputs[0].output().iter().map(Attribute::fresh).collect();
        let (key, s) = (Expr::Attribute(output[by].clone()), Expr::Attribute(output[1].clone()));
        let union = LogicalPlan::Union { inputs, output };
        shape(aggregate(vec![key.clone()], vec![key, alias(sum(s), "total")], union), &cluster(&[]))
    };
    let alike = totals(vec![groups(&t), groups(&u)], 0);
    assert!(alike.starts_with("HashAggregate\n HashAggregate\n  Union\n"), "{alike}");
    let by_another_column = totals(vec![groups(&t), groups(&u)], 1);
    assert!(by_another_column.starts_with("HashAggregate\n Exchange\n"), "{by_another_column}");
    let one_is_not = totals(vec![groups(&t), project(vec![u.col("k"), u.col("v")], u.plan.clone())], 0);
    assert!(one_is_not.starts_with("HashAggregate\n Exchange\n"), "{one_is_not}");
}
