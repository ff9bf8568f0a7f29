//! RewriteDistinctAggregates: DISTINCT calls over more than one set of arguments, which one pass over the rows cannot serve.
//!
//! Each input row is expanded to one row for the calls without DISTINCT and one for each set of arguments, told apart by `gid`; a
//! first aggregate removes duplicates within each, a second one computes the calls. Calls over a single set are planned directly.

use super::support::{attribute, equal};
use crate::base::{Attribute, DataType, ExprId, Result, Scalar, Settings};
use crate::expr::{AggregateExpr, AggregateFunction, Expr};
use crate::logical::LogicalPlan;

pub fn apply(plan: LogicalPlan, _: &Settings) -> Result<LogicalPlan> {
    plan.transform_up(&mut |node| {
        Ok(match node {
            LogicalPlan::Aggregate { grouping, list, input } if needs_rewrite(&list) => rewrite(grouping, list, input),
            other => other,
        })
    })
}

fn calls(list: &[Expr]) -> Vec<AggregateExpr> {
    let mut out: Vec<AggregateExpr> = vec![];
    for e in list {
        e.visit(&mut |e| match e {
            Expr::Aggregate(a) => {
                if !out.contains(a) {
                    out.push(a.as_ref().clone());
                }
                false
            }
            _ => true,
        });
    }
    out
}

fn needs_rewrite(list: &[Expr]) -> bool {
    let mut sets: Vec<Vec<Expr>> = vec![];
    for call in calls(list).iter().filter(|c| c.distinct) {
        let set = call.distinct_arguments();
        if !sets.contains(&set) {
            sets.push(set);
        }
    }
    sets.len() > 1
}

/// The text of an expression without the ids of its columns.
fn name_of(e: &Expr) -> String {
    let text = e.to_string();
    let mut parts = text.split('#');
    let mut name = parts.next().unwrap_or_default().to_string();
    for part in parts {
        let rest = part.trim_start_matches(|c: char| c.is_ascii_digit());
        name.push_str(rest.strip_prefix('L').unwrap_or(rest));
    }
    name
}

fn null_of(e: &Expr) -> Expr {
    Expr::Literal(Scalar::Null(e.data_type()))
}

fn int(v: i32) -> Expr {
    Expr::Literal(Scalar::Int(v))
}

fn rewrite(grouping: Vec<Expr>, list: Vec<Expr>, input: Box<LogicalPlan>) -> LogicalPlan {
    let all = calls(&list);
    let (distinct, regular): (Vec<_>, Vec<_>) = all.into_iter().partition(|c| c.distinct);
    let mut sets: Vec<Vec<Expr>> = vec![];
    for call in &distinct {
        let set = call.distinct_arguments();
        if !sets.contains(&set) {
            sets.push(set);
        }
    }
    // Columns of the expand: grouping keys, arguments of DISTINCT calls, gid, arguments and filters of the other calls.
    let column = |e: &Expr, nullable: bool| Attribute::new(name_of(e), e.data_type(), nullable);
    let mut arguments: Vec<Expr> = vec![];
    for e in sets.iter().flatten() {
        if !arguments.contains(e) {
            arguments.push(e.clone());
        }
    }
    let mut inputs: Vec<Expr> = vec![];
    for e in regular.iter().flat_map(AggregateExpr::children) {
        if !matches!(e, Expr::Literal(_)) && !inputs.contains(e) {
            inputs.push(e.clone());
        }
    }
    let key = |e: &Expr| if let Expr::Attribute(a) = e { a.clone() } else { column(e, e.nullable()) };
    let keys: Vec<Attribute> = grouping.iter().map(key).collect();
    let argument_columns: Vec<Attribute> = arguments.iter().map(|e| column(e, true)).collect();
    let gid = Attribute::new("gid", DataType::Int, false);
    let input_columns: Vec<Attribute> = inputs.iter().map(|e| column(e, true)).collect();

    let mut projections = vec![];
    if !regular.is_empty() {
        let nulls = arguments.iter().map(null_of);
        projections.push(grouping.iter().cloned().chain(nulls).chain([int(0)]).chain(inputs.iter().cloned()).collect::<Vec<_>>());
    }
    for (i, set) in sets.iter().enumerate() {
        let of_set = arguments.iter().map(|e| if set.contains(e) { e.clone() } else { null_of(e) });
        let nulls = inputs.iter().map(null_of);
        projections.push(grouping.iter().cloned().chain(of_set).chain([int(i as i32 + 1)]).chain(nulls).collect());
    }
    let output = keys.iter().chain(&argument_columns).chain([&gid]).chain(&input_columns).cloned().collect();
    let expand = LogicalPlan::Expand { projections, output, input };

    let by_input = |e: Expr| e.replace(&mut |e| inputs.iter().position(|i| *i == e).map(|i| attribute(&input_columns[i])).ok_or(e));
    let results: Vec<(AggregateExpr, Expr)> = regular
        .iter()
        .map(|call| {
            // Groups of the other rows have values too, but none that the second aggregate looks at.
            let first = AggregateExpr {
                args: call.args.iter().cloned().map(by_input).collect(),
                filter: call.filter.as_ref().map(|f| Box::new(by_input(f.as_ref().clone()))),
                id: ExprId::next(),
                ..call.clone()
            };
            (call.clone(), super::support::alias(Expr::Aggregate(Box::new(first)), name_of(&Expr::Aggregate(Box::new(call.clone())))))
        })
        .collect();
    let first_grouping: Vec<Expr> = keys.iter().chain(&argument_columns).chain([&gid]).map(attribute).collect();
    let first_list = first_grouping.iter().cloned().chain(results.iter().map(|(_, e)| e.clone())).collect();
    let first = LogicalPlan::Aggregate { grouping: first_grouping, list: first_list, input: Box::new(expand) };

    let second = |call: &AggregateExpr| -> Expr {
        if call.distinct {
            let set = call.distinct_arguments();
            let group = sets.iter().position(|s| *s == set).unwrap_or_default();
            let args = set
                .iter()
                .map(|e| arguments.iter().position(|a| a == e).map_or_else(|| e.clone(), |i| attribute(&argument_columns[i])))
                .collect();
            let filter = equal(attribute(&gid), int(group as i32 + 1));
            return Expr::Aggregate(Box::new(AggregateExpr { args, distinct: false, filter: Some(Box::new(filter)), ..call.clone() }));
        }
        let Some((_, result)) = results.iter().find(|(c, _)| c == call) else { return Expr::Aggregate(Box::new(call.clone())) };
        let first = Expr::Aggregate(Box::new(AggregateExpr {
            function: AggregateFunction::FirstIgnoreNulls,
            args: vec![Expr::Attribute(result.to_attribute())],
            distinct: false,
            filter: Some(Box::new(equal(attribute(&gid), int(0)))),
            id: call.id,
        }));
        // A count over no rows at all has no first row to come from.
        if call.function == AggregateFunction::Count { Expr::Coalesce(vec![first, Expr::Literal(Scalar::Long(0))]) } else { first }
    };
    let by_key = |e: Expr| {
        e.replace(&mut |e| match &e {
            Expr::Aggregate(a) => Ok(second(a)),
            _ => grouping.iter().position(|g| *g == e).map(|i| attribute(&keys[i])).ok_or(e),
        })
    };
    let list = list
        .into_iter()
        .map(|e| match e {
            // A bare key keeps its identity.
            Expr::Attribute(a) if keys.contains(&a) => Expr::Attribute(a),
            Expr::Attribute(a) => super::support::alias_as(by_key(Expr::Attribute(a.clone())), &a),
            other => by_key(other),
        })
        .collect();
    LogicalPlan::Aggregate { grouping: keys.iter().map(attribute).collect(), list, input: Box::new(first) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logical::optimizer::testing::*;

    fn count_distinct(e: Expr) -> Expr {
        let call = AggregateExpr { function: AggregateFunction::Count, args: vec![e], distinct: true, filter: None, id: ExprId::next() };
        Expr::Aggregate(Box::new(call))
    }

    #[test]
    fn fires() {
        let t = table("t", 10);
        let [a, b, c] = ["a", "b", "c"].map(|n| column(&t, n));
        let list = vec![
            c.clone(),
            named(count_distinct(a), "x"),
            named(count_distinct(b.clone()), "y"),
            named(sum(b), "s"),
            named(count_star(), "n"),
        ];
        let after = applied(apply, grouped(vec![c], list, t));
        let LogicalPlan::Aggregate { input, .. } = &after else { panic!() };
        let LogicalPlan::Aggregate { grouping, input, .. } = &**input else { panic!() };
        assert_eq!(grouping.len(), 4, "key, two arguments, gid");
        assert!(matches!(&**input, LogicalPlan::Expand { projections, .. } if projections.len() == 3));
    }

    #[test]
    fn leaves_a_single_set() {
        let t = table("t", 10);
        let list = vec![named(count_distinct(column(&t, "a")), "x"), named(count_star(), "n")];
        assert_unchanged(apply, &grouped(vec![], list, t));
    }
}
