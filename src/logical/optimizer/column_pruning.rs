//! ColumnPruning: no operator passes on columns that nobody above uses.
//!
//! One walk from the root with the set of columns needed. Tables are narrowed in place; a Project is put only where an operator
//! that keeps or moves rows (join, aggregate, sort, exchange, …) would otherwise get columns it does not need.

use std::collections::BTreeSet;

use super::support::{attribute, project};
use crate::base::{Attribute, ExprId, Result, Settings};
use crate::expr::{Expr, SortOrder};
use crate::logical::{Join, JoinType, LogicalPlan};

pub fn apply(plan: LogicalPlan, _: &Settings) -> Result<LogicalPlan> {
    let needed = plan.output_set();
    prune(plan, &needed)
}

type Needed = BTreeSet<ExprId>;

fn with<'a>(needed: &Needed, exprs: impl IntoIterator<Item = &'a Expr>) -> Needed {
    let mut out = needed.clone();
    for e in exprs {
        out.extend(e.references());
    }
    out
}

fn order_exprs(order: &[SortOrder]) -> impl Iterator<Item = &Expr> {
    order.iter().map(|o| &o.expr)
}

fn kept(output: &[Attribute], needed: &Needed) -> Vec<bool> {
    output.iter().map(|a| needed.contains(&a.id)).collect()
}

fn retain<T>(items: Vec<T>, keep: &[bool]) -> Vec<T> {
    items.into_iter().zip(keep).filter_map(|(item, keep)| keep.then_some(item)).collect()
}

/// The plan with at least the needed columns, in the same order, and with fewer others where that costs nothing.
fn prune(plan: LogicalPlan, needed: &Needed) -> Result<LogicalPlan> {
    stacker::maybe_grow(64 * 1024, 1024 * 1024, || prune_node(plan, needed))
}

/// The plan with exactly the needed columns: a Project on top where necessary.
fn narrow(plan: Box<LogicalPlan>, needed: &Needed) -> Result<Box<LogicalPlan>> {
    let plan = prune(*plan, needed)?;
    let output = plan.output();
    if output.iter().all(|a| needed.contains(&a.id)) {
        return Ok(Box::new(plan));
    }
    let list = output.iter().filter(|a| needed.contains(&a.id)).map(attribute).collect();
    Ok(Box::new(project(list, plan)))
}

fn prune_node(plan: LogicalPlan, needed: &Needed) -> Result<LogicalPlan> {
    use LogicalPlan::*;
    Ok(match plan {
        Relation { name, source, output } => {
            Relation { name, source, output: output.into_iter().filter(|a| needed.contains(&a.id)).collect() }
        }
        LocalRelation { output, rows } => {
            let keep = kept(&output, needed);
            LocalRelation { output: retain(output, &keep), rows: rows.into_iter().map(|row| retain(row, &keep)).collect() }
        }
        leaf @ (InMemoryRelation(_) | OneRowRelation | Range { .. }) => leaf,
        Project { mut list, input } => {
            list.retain(|e| needed.contains(&e.to_attribute().id));
            let below = with(&Needed::new(), &list);
            // A project drops columns itself; what lies below it should not carry them so far.
            Project { list, input: Box::new(prune(*input, &below)?) }
        }
        Filter { condition, input } => {
            let below = with(needed, [&condition]);
            Filter { condition, input: Box::new(prune(*input, &below)?) }
        }
        Join(j) => prune_join(j, needed)?,
        Apply(a) => {
            // Correlated references are not tracked: everything the subquery may use stays.
            let mut below = needed.clone();
            below.extend(a.outer.iter().map(|o| o.id));
            let values = LogicalPlan::Apply(a);
            below = with(&below, values.expressions());
            let LogicalPlan::Apply(a) = values else { return Ok(values) };
            Apply(crate::logical::Apply { input: Box::new(prune(*a.input, &below)?), ..a })
        }
        Aggregate { grouping, mut list, input } => {
            let first = list.first().cloned();
            list.retain(|e| needed.contains(&e.to_attribute().id));
            // An aggregate without output still has rows; keep it simple for those who run it.
            if list.is_empty() {
                list.extend(first);
            }
            let below = with(&Needed::new(), grouping.iter().chain(&list));
            Aggregate { grouping, list, input: narrow(input, &below)? }
        }
        Window { mut calls, partition_by, order_by, input } => {
            calls.retain(|e| needed.contains(&e.to_attribute().id));
            if calls.is_empty() {
                return prune(*input, needed);
            }
            let below = with(needed, calls.iter().chain(&partition_by).chain(order_exprs(&order_by)));
            Window { calls, partition_by, order_by, input: narrow(input, &below)? }
        }
        WindowGroupLimit { group, input } => {
            let below = with(needed, group.expressions());
            WindowGroupLimit { group, input: narrow(input, &below)? }
        }
        Hint { strategy, input } => Hint { strategy, input: Box::new(prune(*input, needed)?) },
        Sort { order, global, input } => {
            let below = with(needed, order_exprs(&order));
            Sort { order, global, input: narrow(input, &below)? }
        }
        Limit { limit, offset, input } => Limit { limit, offset, input: narrow(input, needed)? },
        Union { inputs, output } => prune_union(inputs, output, needed)?,
        // Every column decides what is equal to what.
        Distinct { input } => {
            let all = input.output_set();
            Distinct { input: Box::new(prune(*input, &all)?) }
        }
        SetOperation { operation, all, left, right } => {
            let (l, r) = (left.output_set(), right.output_set());
            SetOperation { operation, all, left: Box::new(prune(*left, &l)?), right: Box::new(prune(*right, &r)?) }
        }
        Expand { projections, output, input } => {
            let keep = kept(&output, needed);
            let projections: Vec<Vec<Expr>> = projections.into_iter().map(|p| retain(p, &keep)).collect();
            let below = with(&Needed::new(), projections.iter().flatten());
            Expand { projections, output: retain(output, &keep), input: narrow(input, &below)? }
        }
        Generate { generator, outer, output, input, .. } => {
            let below = with(needed, [&generator]);
            let input = narrow(input, &below)?;
            let dropped = input.output().iter().map(|a| a.id).filter(|id| !needed.contains(id)).collect();
            Generate { generator, outer, dropped, output, input }
        }
        Sample { lower, upper, with_replacement, seed, input } => {
            Sample { lower, upper, with_replacement, seed, input: narrow(input, needed)? }
        }
        Repartition { partitions, by, kind, input } => {
            let below = with(needed, order_exprs(&by));
            Repartition { partitions, by, kind, input: narrow(input, &below)? }
        }
        Coalesce { partitions, input } => Coalesce { partitions, input: Box::new(prune(*input, needed)?) },
    })
}

fn prune_join(j: Join, needed: &Needed) -> Result<LogicalPlan> {
    if matches!(&j.join_type, JoinType::Existence(a) if !needed.contains(&a.id)) {
        return prune(*j.left, needed);
    }
    let below = with(needed, &j.condition);
    Ok(LogicalPlan::Join(Join { left: narrow(j.left, &below)?, right: narrow(j.right, &below)?, ..j }))
}

fn prune_union(inputs: Vec<LogicalPlan>, output: Vec<Attribute>, needed: &Needed) -> Result<LogicalPlan> {
    let keep = kept(&output, needed);
    let inputs = inputs
        .into_iter()
        .map(|input| {
            let columns = retain(input.output(), &keep);
            let pruned = prune(input, &columns.iter().map(|a| a.id).collect())?;
            // Columns go by position: the outputs must be these and in this order (one may occur twice).
            Ok(if pruned.output() == columns { pruned } else { project(columns.iter().map(attribute).collect(), pruned) })
        })
        .collect::<Result<_>>()?;
    Ok(LogicalPlan::Union { inputs, output: retain(output, &keep) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logical::optimizer::support;
    use crate::logical::optimizer::testing::*;

    fn relation_columns(plan: &LogicalPlan) -> Vec<Vec<String>> {
        leaves(plan).iter().map(|l| l.output().iter().map(|a| a.name.to_string()).collect()).collect()
    }

    #[test]
    fn narrows_tables_and_projects_before_joins() {
        let (t, u) = (table("t", 10), table("u", 10));
        let on = equals(column(&t, "a"), column(&u, "a"));
        let plan = project(vec![column(&u, "b")], inner_join(filtered(t.clone(), greater(column(&t, "c"), 1)), u.clone(), on));
        let after = applied(apply, plan);
        assert_eq!(relation_columns(&after), [vec!["a", "c"], vec!["a", "b"]]);
        let LogicalPlan::Project { input, .. } = &after else { panic!("{after:?}") };
        let LogicalPlan::Join(j) = &**input else { panic!("{after:?}") };
        assert!(matches!(&*j.left, LogicalPlan::Project { list, .. } if list.len() == 1), "the filter column ends at the join");
        assert!(matches!(&*j.right, LogicalPlan::Relation { .. }));
    }

    #[test]
    fn counting_needs_no_columns() {
        let t = table("t", 10);
        let plan = grouped(vec![], vec![named(count_star(), "n")], t);
        assert_eq!(relation_columns(&applied(apply, plan)), [Vec::<String>::new()]);
    }

    #[test]
    fn unions_lose_columns_by_position() {
        let (t, u) = (table("t", 10), table("u", 10));
        let output: Vec<_> = t.output().iter().map(|a| a.fresh()).collect();
        let plan = project(vec![attribute(&output[1])], LogicalPlan::Union { inputs: vec![t, u], output });
        assert_eq!(relation_columns(&applied(apply, plan)), [["b"], ["b"]]);
    }

    #[test]
    fn unused_existence_joins_and_windows_go() {
        let (t, u) = (table("t", 10), table("u", 10));
        let on = equals(column(&t, "a"), column(&u, "a"));
        let flag = Attribute::new("e", crate::base::DataType::Boolean, false);
        let plan = project(vec![column(&t, "a")], support::join(t.clone(), u, JoinType::Existence(flag), vec![on]));
        assert!(matches!(applied(apply, plan), LogicalPlan::Project { input, .. } if matches!(*input, LogicalPlan::Relation { .. })));
    }

    #[test]
    fn leaves_a_plan_that_uses_everything() {
        let t = table("t", 10);
        assert_unchanged(apply, &filtered(t.clone(), greater(column(&t, "a"), 3)));
    }
}
