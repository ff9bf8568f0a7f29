//! Estimates over hand-made plans.

use super::*;
use crate::logical::optimizer::testing::*;

fn rows(plan: &LogicalPlan) -> f64 {
    estimate(plan).row_count.unwrap()
}

fn close(actual: f64, expected: f64) {
    assert!((actual - expected).abs() <= expected.abs() * 0.02 + 1e-9, "{actual} is not near {expected}");
}

#[test]
fn filters_by_value() {
    let t = keyed_table("t", 10_000, 100);
    let a = column(&t, "a");
    close(rows(&t), 10_000.0);
    close(rows(&filtered(t.clone(), equals(a.clone(), int(7)))), 100.0);
    close(rows(&filtered(t.clone(), greater(a.clone(), 74))), 2450.0);
    close(rows(&filtered(t.clone(), equals(a.clone(), int(1000)))), 0.0);
    close(rows(&filtered(t.clone(), and(equals(a.clone(), int(7)), equals(column(&t, "b"), int(7))))), 1.0);
}

#[test]
fn filters_narrow_hard_bounds() {
    let t = keyed_table("t", 10_000, 100);
    let a = column(&t, "a");
    let after = estimate(&filtered(t.clone(), and(greater(a.clone(), 10), greater(int(20), 0))));
    let Expr::Attribute(a) = a else { panic!() };
    assert_eq!(after.columns[&a.id].min, Some(Scalar::Long(10)));
    assert_eq!(after.columns[&a.id].max, Some(Scalar::Long(99)));
}

#[test]
fn bounds_follow_arithmetic() {
    let t = keyed_table("t", 10_000, 100);
    let sum = named(plus(column(&t, "a"), column(&t, "b")), "x");
    let id = sum.to_attribute().id;
    let after = estimate(&LogicalPlan::Project { list: vec![sum], input: Box::new(t) });
    assert_eq!((after.columns[&id].min.clone(), after.columns[&id].max.clone()), (Some(Scalar::Long(0)), Some(Scalar::Long(198))));
}

#[test]
fn foreign_keys_find_their_row() {
    let (fact, dimension) = (keyed_table("fact", 1_000_000, 1000), keyed_table("dimension", 1000, 1000));
    let on = equals(column(&fact, "a"), column(&dimension, "a"));
    close(rows(&inner_join(fact.clone(), dimension.clone(), on.clone())), 1_000_000.0);
    let one = filtered(dimension.clone(), equals(column(&dimension, "b"), int(5)));
    close(rows(&inner_join(fact, one, on)), 1000.0);
}

#[test]
fn keys_of_two_columns_are_not_multiplied() {
    let (fact, dimension) = (keyed_table("fact", 1_000_000, 1000), keyed_table("dimension", 5000, 1000));
    let both = and(equals(column(&fact, "a"), column(&dimension, "a")), equals(column(&fact, "b"), column(&dimension, "b")));
    close(rows(&inner_join(fact, dimension, both)), 1_000_000.0);
}

#[test]
fn groups_are_at_most_the_combinations() {
    let t = keyed_table("t", 10_000, 20);
    let (a, b) = (column(&t, "a"), column(&t, "b"));
    close(rows(&grouped(vec![a.clone()], vec![a.clone()], t.clone())), 20.0);
    close(rows(&grouped(vec![a.clone(), b.clone()], vec![a, b], t.clone())), 400.0);
    close(rows(&grouped(vec![], vec![named(count_star(), "n")], t)), 1.0);
}

#[test]
fn sizes_follow_rows_and_columns() {
    let t = keyed_table("t", 1000, 1000);
    assert_eq!(estimate(&t).size_bytes, 1000 * (8 + 3 * 8));
    let narrow = LogicalPlan::Project { list: vec![column(&t, "a")], input: Box::new(t.clone()) };
    assert_eq!(estimate(&narrow).size_bytes, 1000 * (8 + 8));
    let limit = LogicalPlan::Limit { limit: Some(10), offset: 0, input: Box::new(t) };
    assert_eq!(estimate(&limit).size_bytes, 10 * (8 + 3 * 8));
}

#[test]
fn ranges_are_exact() {
    let output = Attribute::new("id", DataType::Long, false);
    let range = LogicalPlan::Range { start: 3, end: 10, step: 3, partitions: None, output: output.clone() };
    let after = estimate(&range);
    assert_eq!((after.row_count, after.columns[&output.id].max.clone()), (Some(3.0), Some(Scalar::Long(9))));
}

#[test]
fn sizes_alone_multiply_in_joins_unless_one_side_is_unique() {
    let (t, u) = (keyed_table("t", 1000, 1000), keyed_table("u", 1000, 1000));
    let size = 1000.0 * 24.0;
    assert_eq!(size_in_bytes(&t), size);
    assert_eq!(size_in_bytes(&filtered(t.clone(), equals(column(&t, "a"), int(7)))), size);
    let on = |l: &LogicalPlan, r: &LogicalPlan| equals(column(l, "a"), column(r, "a"));
    assert_eq!(size_in_bytes(&inner_join(t.clone(), u.clone(), on(&t, &u))), size * size);
    let once = grouped(vec![column(&u, "a")], vec![column(&u, "a")], u.clone());
    let groups = size_in_bytes(&once);
    assert_eq!(groups, size / 2.0);
    assert_eq!(size_in_bytes(&inner_join(t.clone(), once.clone(), on(&t, &once))), size + groups);
    assert_eq!(size_in_bytes(&inner_join(t.clone(), once.clone(), equals(column(&t, "a"), int(1)))), size * groups);
    let output: Vec<_> = t.output().iter().map(|a| a.fresh()).collect();
    let both = LogicalPlan::Union { inputs: vec![t.clone(), u.clone()], output };
    assert_eq!(size_in_bytes(&both), 2.0 * size);
    assert_eq!(size_in_bytes(&LogicalPlan::Limit { limit: Some(10), offset: 0, input: Box::new(both) }), 10.0 * 32.0);
    let narrow = LogicalPlan::Project { list: vec![column(&t, "a")], input: Box::new(t) };
    assert_eq!(size_in_bytes(&narrow), size / 2.0);
}
