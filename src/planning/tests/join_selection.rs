use super::*;
use crate::logical::JoinHintStrategy::{self, *};
use crate::planning::strategies::join_selection::EquiKeys;

const TIB: u64 = 1 << 40;

/// Algorithm and build side of `l JOIN r` on `k = k`.
fn chosen(sizes: (u64, u64), join_type: JoinType, settings: &Settings) -> String {
    hinted(sizes, join_type, JoinHint::default(), true, settings)
}

fn hinted(sizes: (u64, u64), join_type: JoinType, hint: JoinHint, keys: bool, settings: &Settings) -> String {
    let (l, r) = (Table::kvs("l", sizes.0), Table::kvs("r", sizes.1));
    let condition = if keys { eq(l.col("k"), r.col("k")) } else { gt(l.col("k"), r.col("k")) };
    let LogicalPlan::Join(join) = join(l.plan, r.plan, join_type, Some(condition)) else { unreachable!() };
    let plan = planned(LogicalPlan::Join(Join { hint, ..join }), settings).spark_plan;
    let build = match &plan.operator {
        Operator::BroadcastHashJoin(j) | Operator::ShuffledHashJoin(j) => j.build.name(),
        Operator::BroadcastNestedLoopJoin(j) => j.build.name(),
        _ => "",
    };
    format!("{} {build}", plan.name()).trim_end().to_string()
}

fn hints(left: Option<JoinHintStrategy>, right: Option<JoinHintStrategy>) -> JoinHint {
    JoinHint { left, right }
}

#[test]
fn by_size() {
    let s = cluster(&[]);
    for (sizes, expected) in [
        ((TIB, 5 * MIB), "BroadcastHashJoin BuildRight"),
        ((5 * MIB, TIB), "BroadcastHashJoin BuildLeft"),
        ((TIB, 500 * MIB), "SortMergeJoin"),
        ((500 * MIB, 500 * MIB), "SortMergeJoin"),
        ((10 * MIB, 5 * MIB), "BroadcastHashJoin BuildRight"),
        ((5 * MIB, 10 * MIB), "BroadcastHashJoin BuildLeft"),
        ((MIB, MIB), "BroadcastHashJoin BuildRight"),
        ((TIB, 10 * MIB + 1), "SortMergeJoin"),
    ] {
        assert_eq!(chosen(sizes, JoinType::Inner, &s), expected, "{sizes:?}");
    }
    assert_eq!(chosen((TIB, 1), JoinType::Inner, &cluster(&[("sql.autoBroadcastJoinThreshold", "-1")])), "SortMergeJoin");
}

#[test]
fn shuffled_hash_join_where_not_sorting_is_preferred() {
    let s = cluster(&[("sql.join.preferSortMergeJoin", "false")]);
    assert_eq!(chosen((TIB, 500 * MIB), JoinType::Inner, &s), "ShuffledHashJoin BuildRight");
    // Not three times smaller.
    assert_eq!(chosen((500 * MIB, 400 * MIB), JoinType::Inner, &s), "SortMergeJoin");
    // A partition would not fit: 10 MiB times 200 partitions.
    assert_eq!(chosen((TIB, 2000 * MIB), JoinType::Inner, &s), "SortMergeJoin");
    // Either side may be built for outer joins, only the right one for semi joins.
    assert_eq!(chosen((500 * MIB, TIB), JoinType::LeftOuter, &s), "ShuffledHashJoin BuildLeft");
    assert_eq!(chosen((500 * MIB, TIB), JoinType::LeftSemi, &s), "SortMergeJoin");
}

#[test]
fn by_type() {
    let s = cluster(&[]);
    for (join_type, left_small, right_small) in [
        (JoinType::LeftOuter, "SortMergeJoin", "BroadcastHashJoin BuildRight"),
        (JoinType::RightOuter, "BroadcastHashJoin BuildLeft", "SortMergeJoin"),
        (JoinType::FullOuter, "SortMergeJoin", "SortMergeJoin"),
        (JoinType::LeftSemi, "SortMergeJoin", "BroadcastHashJoin BuildRight"),
        (JoinType::LeftAnti, "SortMergeJoin", "BroadcastHashJoin BuildRight"),
        (JoinType::LeftSingle, "ShuffledHashJoin BuildRight", "BroadcastHashJoin BuildRight"),
        (JoinType::NullAwareAnti, "BroadcastHashJoin BuildRight", "BroadcastHashJoin BuildRight"),
    ] {
        assert_eq!(chosen((MIB, TIB), join_type.clone(), &s), left_small, "{join_type}");
        assert_eq!(chosen((TIB, MIB), join_type.clone(), &s), right_small, "{join_type}");
    }
}

#[test]
fn hints_are_honoured_where_legal() {
    let s = cluster(&[]);
    let inner = |hint| hinted((TIB, MIB), JoinType::Inner, hint, true, &s);
    assert_eq!(inner(hints(Some(Broadcast), None)), "BroadcastHashJoin BuildLeft");
    assert_eq!(inner(hints(Some(Broadcast), Some(Broadcast))), "BroadcastHashJoin BuildRight");
    assert_eq!(inner(hints(Some(Merge), None)), "SortMergeJoin");
    assert_eq!(inner(hints(Some(ShuffleHash), None)), "ShuffledHashJoin BuildLeft");
    assert_eq!(inner(hints(None, Some(ShuffleReplicateNl))), "CartesianProduct");
    // Different hints: broadcast before merge before shuffle hash.
    assert_eq!(inner(hints(Some(ShuffleHash), Some(Broadcast))), "BroadcastHashJoin BuildRight");
    assert_eq!(inner(hints(Some(ShuffleHash), Some(Merge))), "SortMergeJoin");
    // A hint that the type forbids is passed over.
    assert_eq!(hinted((MIB, TIB), JoinType::LeftOuter, hints(Some(Broadcast), None), true, &s), "SortMergeJoin");
    assert_eq!(hinted((TIB, MIB), JoinType::LeftOuter, hints(None, Some(ShuffleReplicateNl)), true, &s), "BroadcastHashJoin BuildRight");
}

#[test]
fn without_equal_keys() {
    let s = cluster(&[]);
    let none = JoinHint::default();
    assert_eq!(hinted((TIB, MIB), JoinType::Inner, none, false, &s), "BroadcastNestedLoopJoin BuildRight");
    assert_eq!(hinted((MIB, TIB), JoinType::Inner, none, false, &s), "BroadcastNestedLoopJoin BuildLeft");
    assert_eq!(hinted((TIB, TIB), JoinType::Inner, none, false, &s), "CartesianProduct");
    assert_eq!(hinted((TIB, TIB), JoinType::LeftOuter, none, false, &s), "BroadcastNestedLoopJoin BuildRight");
    assert_eq!(hinted((TIB, TIB), JoinType::RightOuter, none, false, &s), "BroadcastNestedLoopJoin BuildLeft");
    assert_eq!(hinted((MIB, MIB), JoinType::LeftAnti, none, false, &s), "BroadcastNestedLoopJoin BuildRight");
    assert_eq!(hinted((TIB, TIB), JoinType::FullOuter, hints(Some(Broadcast), None), false, &s), "BroadcastNestedLoopJoin BuildLeft");
}

/// Every join type under every hint, on a side and on both; both sides large.
#[test]
fn every_type_under_every_hint() {
    let s = cluster(&[]);
    let existence = || JoinType::Existence(Attribute::new("e", DataType::Boolean, false));
    // Which sides broadcast and shuffled hash joins may build, whether sort-merge and Cartesian do, and what it is without a hint.
    let (both, left, right, neither) = ([true, true], [true, false], [false, true], [false, false]);
    for (join_type, broadcast, shuffled, merge, cartesian, otherwise) in [
        (JoinType::Inner, both, both, true, true, "SortMergeJoin"),
        (JoinType::Cross, both, both, true, true, "SortMergeJoin"),
        (JoinType::LeftOuter, right, both, true, false, "SortMergeJoin"),
        (JoinType::RightOuter, left, both, true, false, "SortMergeJoin"),
        (JoinType::FullOuter, neither, both, true, false, "SortMergeJoin"),
        (JoinType::LeftSemi, right, right, true, false, "SortMergeJoin"),
        (JoinType::LeftAnti, right, right, true, false, "SortMergeJoin"),
        (existence(), right, right, true, false, "SortMergeJoin"),
        (JoinType::LeftSingle, right, right, false, false, "ShuffledHashJoin BuildRight"),
    ] {
        let sides = [("BuildLeft", [true, false]), ("BuildRight", [false, true]), ("", [true, true])];
        for (strategy, name, legal) in [(Broadcast, "BroadcastHashJoin", broadcast), (ShuffleHash, "ShuffledHashJoin", shuffled)] {
            for (_, hinted_sides) in sides {
                let hint = hints(hinted_sides[0].then_some(strategy), hinted_sides[1].then_some(strategy));
                // Of equal sides the right one.
                let expected = match [hinted_sides[0] && legal[0], hinted_sides[1] && legal[1]] {
                    [_, true] => format!("{name} BuildRight"),
                    [true, false] => format!("{name} BuildLeft"),
                    [false, false] => otherwise.to_string(),
                };
                let (found, warnings) = crate::base::warning::gather(|| hinted((TIB, TIB), join_type.clone(), hint, true, &s));
                assert_eq!(found, expected, "{join_type} {hint:?}");
                let followed = (0..2).any(|i| hinted_sides[i] && legal[i]);
                let expected = if followed { 0 } else { hinted_sides.iter().filter(|h| **h).count() };
                assert_eq!(warnings.len(), expected, "{join_type} {hint:?}: {warnings:?}");
            }
        }
        for (strategy, name, legal) in [(Merge, "SortMergeJoin", merge), (ShuffleReplicateNl, "CartesianProduct", cartesian)] {
            for hint in [hints(Some(strategy), None), hints(None, Some(strategy)), hints(Some(strategy), Some(strategy))] {
                let (found, warnings) = crate::base::warning::gather(|| hinted((TIB, TIB), join_type.clone(), hint, true, &s));
                assert_eq!(found, if legal { name } else { otherwise }, "{join_type} {hint:?}");
                assert_eq!(warnings.is_empty(), legal, "{join_type} {hint:?}: {warnings:?}");
            }
        }
    }
}

/// Without equal keys: the side built by type and size, of two small ones, one, and none.
#[test]
fn nested_loops_by_type() {
    let s = cluster(&[]);
    let none = JoinHint::default();
    for (join_type, small, left_small, right_small, large) in [
        (JoinType::Inner, "BuildRight", "BuildLeft", "BuildRight", "CartesianProduct"),
        (JoinType::Cross, "BuildRight", "BuildLeft", "BuildRight", "CartesianProduct"),
        (JoinType::LeftOuter, "BuildRight", "BuildLeft", "BuildRight", "BuildRight"),
        (JoinType::RightOuter, "BuildLeft", "BuildLeft", "BuildRight", "BuildLeft"),
        (JoinType::FullOuter, "BuildRight", "BuildLeft", "BuildRight", "BuildRight"),
        (JoinType::LeftSemi, "BuildRight", "BuildLeft", "BuildRight", "BuildRight"),
        (JoinType::LeftAnti, "BuildRight", "BuildLeft", "BuildRight", "BuildRight"),
    ] {
        for (sizes, expected) in [((MIB, MIB), small), ((MIB, TIB), left_small), ((TIB, MIB), right_small), ((TIB, TIB), large)] {
            let found = hinted(sizes, join_type.clone(), none, false, &s);
            assert!(found.ends_with(expected), "{join_type} {sizes:?}: {found}");
        }
        let both = hinted((TIB, TIB), join_type.clone(), hints(Some(Broadcast), Some(Broadcast)), false, &s);
        assert_eq!(both, format!("BroadcastNestedLoopJoin {small}"), "{join_type}");
        let replicated = hinted((MIB, MIB), join_type.clone(), hints(Some(ShuffleReplicateNl), None), false, &s);
        assert_eq!(replicated == "CartesianProduct", join_type.is_inner(), "{join_type}");
    }
    let (_, warnings) = crate::base::warning::gather(|| hinted((MIB, MIB), JoinType::Inner, hints(Some(Merge), None), false, &s));
    assert_eq!(warnings, ["Hint (strategy=merge) is not supported in the query: no equi-join keys."]);
}

#[test]
fn not_in_compares_all_pairs_where_asked() {
    let s = cluster(&[("sql.optimizeNullAwareAntiJoin", "false")]);
    assert_eq!(chosen((TIB, MIB), JoinType::NullAwareAnti, &s), "BroadcastNestedLoopJoin BuildRight");
}

#[test]
fn keys_and_the_rest_of_the_condition() {
    let (l, r) = (Table::kvs("l", 1), Table::kvs("r", 1));
    let condition = all([
        eq(r.col("k"), l.col("k")),
        compare(ComparisonOp::EqualNullSafe, l.col("v"), r.col("v")),
        gt(l.col("v"), r.col("v")),
        eq(l.col("s"), Expr::Literal(Scalar::string("x"))),
    ]);
    let LogicalPlan::Join(join) = join(l.plan.clone(), r.plan.clone(), JoinType::Inner, Some(condition)) else { unreachable!() };
    let keys = EquiKeys::extract(&join);
    let null_safe = |e: Expr| (Expr::Coalesce(vec![e.clone(), int(0)]), Expr::IsNull(Box::new(e)));
    let (lv, rv) = (null_safe(l.col("v")), null_safe(r.col("v")));
    assert_eq!(keys.left, vec![l.col("k"), lv.0, lv.1]);
    assert_eq!(keys.right, vec![r.col("k"), rv.0, rv.1]);
    assert_eq!(keys.residual.len(), 2);
}
