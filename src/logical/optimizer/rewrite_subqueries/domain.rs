//! Undoing correlation by computing the subquery for the domain: the distinct combinations of the outer attributes it uses.
//!
//! [`Pushing::push`] gives, for a correlated plan, an uncorrelated one with the domain's columns added: its rows with the values
//! `d` in those columns are the rows of the original where the outer attributes have the values `d`.

use std::collections::{BTreeSet, HashMap};

use super::{Decorrelated, is_correlated};
use crate::base::{Attribute, DataType, Error, ExprId, Result, Scalar};
use crate::expr::window::RankingFunction;
use crate::expr::{ComparisonOp, Expr, Frame, SortOrder, WindowExpr, WindowFunction};
use crate::logical::optimizer::support::{
    alias, alias_as, attribute, boolean, comparison, conjuncts, definitions, equal_null_safe, filter, is_null, is_null_literal, join,
    over_no_rows, project, substitute,
};
use crate::logical::{Join, JoinType, LogicalPlan};

pub fn decorrelate(subquery: LogicalPlan, outer: &[Attribute], input: &LogicalPlan) -> Result<Decorrelated> {
    let pushing = Pushing { input, outer, ids: outer.iter().map(|a| a.id).collect() };
    let (plan, domain) = pushing.push(subquery)?;
    let predicates = outer.iter().zip(&domain).map(|(o, d)| equal_null_safe(attribute(o), attribute(d))).collect();
    Ok(Decorrelated { plan, predicates, defaults: None })
}

struct Pushing<'a> {
    input: &'a LogicalPlan,
    outer: &'a [Attribute],
    ids: BTreeSet<ExprId>,
}

/// A plan and, for each outer attribute, its column that has the value.
type Pushed = (LogicalPlan, Vec<Attribute>);

impl Pushing<'_> {
    /// The distinct outer values, under fresh ids.
    fn domain(&self) -> Pushed {
        let grouping: Vec<Expr> = self.outer.iter().map(attribute).collect();
        let list: Vec<Expr> = self.outer.iter().map(|a| alias(attribute(a), a.name.clone())).collect();
        let attributes = list.iter().map(Expr::to_attribute).collect();
        let values = project(grouping.clone(), self.input.clone());
        (LogicalPlan::Aggregate { grouping, list, input: Box::new(values) }, attributes)
    }

    fn resolve(&self, e: Expr, domain: &[Attribute]) -> Expr {
        substitute(e, &self.map(domain))
    }

    fn map(&self, domain: &[Attribute]) -> HashMap<ExprId, Expr> {
        self.outer.iter().zip(domain).map(|(o, d)| (o.id, attribute(d))).collect()
    }

    fn push(&self, plan: LogicalPlan) -> Result<Pushed> {
        stacker::maybe_grow(64 * 1024, 1024 * 1024, || self.push_node(plan))
    }

    fn push_node(&self, plan: LogicalPlan) -> Result<Pushed> {
        if !is_correlated(&plan, &self.ids) {
            let (values, domain) = self.domain();
            return Ok((join(values, plan, JoinType::Cross, vec![]), domain));
        }
        match plan {
            LogicalPlan::Filter { condition, input } => {
                let (input, domain) = self.push(*input)?;
                Ok((filter(vec![self.resolve(condition, &domain)], input), domain))
            }
            LogicalPlan::Project { list, input } => {
                let (input, domain) = self.push(*input)?;
                let named = |e: Expr| match e {
                    Expr::Attribute(a) if self.ids.contains(&a.id) => alias_as(attribute(&a), &a),
                    other => other,
                };
                let list = list.into_iter().map(|e| self.resolve(named(e), &domain)).chain(domain.iter().map(attribute)).collect();
                Ok((project(list, input), domain))
            }
            LogicalPlan::Aggregate { grouping, list, input } => self.push_aggregate(grouping, list, *input),
            LogicalPlan::Join(j) => self.push_join(j),
            LogicalPlan::Sort { order, global, input } => {
                let (input, domain) = self.push(*input)?;
                let order = order.into_iter().map(|o| SortOrder { expr: self.resolve(o.expr, &domain), ..o }).collect();
                Ok((LogicalPlan::Sort { order, global, input: Box::new(input) }, domain))
            }
            LogicalPlan::Limit { limit, offset, input } => {
                let (input, domain) = self.push(*input)?;
                Ok((limit_per_group(input, domain.iter().map(attribute).collect(), limit, offset), domain))
            }
            LogicalPlan::Distinct { input } => {
                let (input, domain) = self.push(*input)?;
                Ok((LogicalPlan::Distinct { input: Box::new(input) }, domain))
            }
            LogicalPlan::Union { inputs, mut output } => {
                let mut pushed = vec![];
                for input in inputs {
                    let columns = input.output();
                    let (input, domain) = self.push(input)?;
                    pushed.push(project(columns.iter().chain(&domain).map(attribute).collect(), input));
                }
                let domain: Vec<Attribute> = self.outer.iter().map(Attribute::fresh).collect();
                output.extend(domain.iter().cloned());
                Ok((LogicalPlan::Union { inputs: pushed, output }, domain))
            }
            LogicalPlan::Window { calls, mut partition_by, order_by, input } => {
                let (input, domain) = self.push(*input)?;
                let keys: Vec<Expr> = domain.iter().map(attribute).collect();
                let calls = calls
                    .into_iter()
                    .map(|call| {
                        self.resolve(call, &domain).transform_up(&mut |e| {
                            Ok(match e {
                                Expr::Window(mut w) => {
                                    w.partition_by.extend(keys.iter().cloned());
                                    Expr::Window(w)
                                }
                                other => other,
                            })
                        })
                    })
                    .collect::<Result<_>>()?;
                partition_by = partition_by.into_iter().map(|e| self.resolve(e, &domain)).chain(keys.iter().cloned()).collect();
                let order_by = order_by.into_iter().map(|o| SortOrder { expr: self.resolve(o.expr, &domain), ..o }).collect();
                Ok((LogicalPlan::Window { calls, partition_by, order_by, input: Box::new(input) }, domain))
            }
            LogicalPlan::Expand { projections, mut output, input } => {
                let (input, domain) = self.push(*input)?;
                // Under fresh ids: an expand gives all its columns new ones.
                let copies: Vec<Attribute> = domain.iter().map(Attribute::fresh).collect();
                let projections = projections
                    .into_iter()
                    .map(|p| p.into_iter().map(|e| self.resolve(e, &domain)).chain(domain.iter().map(attribute)).collect())
                    .collect();
                output.extend(copies.iter().cloned());
                Ok((LogicalPlan::Expand { projections, output, input: Box::new(input) }, copies))
            }
            LogicalPlan::Generate { generator, outer, dropped, output, input } => {
                let (input, domain) = self.push(*input)?;
                let generator = self.resolve(generator, &domain);
                Ok((LogicalPlan::Generate { generator, outer, dropped, output, input: Box::new(input) }, domain))
            }
            LogicalPlan::Repartition { input, .. } | LogicalPlan::Coalesce { input, .. } => self.push(*input),
            LogicalPlan::Hint { strategy, input } => {
                let (input, domain) = self.push(*input)?;
                Ok((LogicalPlan::Hint { strategy, input: Box::new(input) }, domain))
            }
            LogicalPlan::Sample { .. } => Err(Error::unsupported("TABLESAMPLE over a correlated subquery")),
            LogicalPlan::SetOperation { .. } | LogicalPlan::Apply(_) | LogicalPlan::WindowGroupLimit { .. } => {
                Err(Error::internal("set operations, nested subqueries and group limits do not occur where correlation is undone"))
            }
            LogicalPlan::Relation { .. }
            | LogicalPlan::InMemoryRelation(_)
            | LogicalPlan::LocalRelation { .. }
            | LogicalPlan::OneRowRelation
            | LogicalPlan::Range { .. } => Err(Error::internal("a leaf cannot be correlated")),
        }
    }

    fn push_aggregate(&self, mut grouping: Vec<Expr>, list: Vec<Expr>, input: LogicalPlan) -> Result<Pushed> {
        let (input, domain) = self.push(input)?;
        let global = grouping.is_empty();
        grouping = grouping.into_iter().map(|e| self.resolve(e, &domain)).collect();
        let mut list: Vec<Expr> = list.into_iter().map(|e| self.resolve(e, &domain)).collect();
        let columns: Vec<Attribute> = list.iter().map(Expr::to_attribute).collect();
        let defaults = definitions(&list);
        grouping.extend(domain.iter().map(attribute));
        if !global {
            list.extend(domain.iter().map(attribute));
            return Ok((LogicalPlan::Aggregate { grouping, list, input: Box::new(input) }, domain));
        }
        // A global aggregate has a row for every combination, also for those without input rows.
        let results: Vec<Expr> = list.iter().map(|e| alias(e.unaliased().clone(), e.to_attribute().name)).collect();
        let result_columns: Vec<Attribute> = results.iter().map(Expr::to_attribute).collect();
        let groups = LogicalPlan::Aggregate {
            grouping,
            list: results.into_iter().chain(domain.iter().map(attribute)).collect(),
            input: Box::new(input),
        };
        let matched = Attribute::new("matched", DataType::Boolean, false);
        let marked_list = groups.output().into_iter().map(Expr::Attribute).chain([alias_as(boolean(true), &matched)]).collect();
        let marked = project(marked_list, groups);
        let (values, all) = self.domain();
        let condition = all.iter().zip(&domain).map(|(a, d)| equal_null_safe(attribute(a), attribute(d))).collect();
        let joined = join(values, marked, JoinType::LeftOuter, condition);
        let completed = columns.iter().zip(&result_columns).map(|(column, result)| {
            let result = attribute(&result.clone().with_nullable(true));
            let default = super::folded(over_no_rows(defaults.get(&column.id).cloned().unwrap_or_else(|| result.clone())));
            let value = if is_null_literal(&default) {
                result
            } else {
                let missing = is_null(attribute(&matched.clone().with_nullable(true)));
                Expr::Case { branches: vec![(missing, self.resolve(default, &all))], otherwise: Some(Box::new(result)) }
            };
            alias_as(value, column)
        });
        let list = completed.chain(all.iter().map(attribute)).collect();
        Ok((project(list, joined), all))
    }

    fn push_join(&self, j: Join) -> Result<Pushed> {
        let Join { left, right, join_type, condition, hint } = j;
        let in_condition = condition.as_ref().is_some_and(|c| super::super::support::refers_to(c, &self.ids));
        let (in_left, in_right) = (is_correlated(&left, &self.ids), is_correlated(&right, &self.ids));
        let alone = |correlated_other: bool| !correlated_other;
        let one_sided = match join_type {
            JoinType::Inner | JoinType::Cross => {
                if alone(in_right) {
                    Some(true)
                } else if alone(in_left) {
                    Some(false)
                } else {
                    None
                }
            }
            JoinType::RightOuter => alone(in_left).then_some(false),
            JoinType::FullOuter => None,
            JoinType::LeftOuter
            | JoinType::LeftSingle
            | JoinType::LeftSemi
            | JoinType::LeftAnti
            | JoinType::NullAwareAnti
            | JoinType::Existence(_) => alone(in_right).then_some(true),
        };
        let build = |left: LogicalPlan, right: LogicalPlan, join_type: JoinType, conjuncts: Vec<Expr>| {
            let join_type = if join_type == JoinType::Cross && !conjuncts.is_empty() { JoinType::Inner } else { join_type };
            LogicalPlan::Join(Join {
                left: Box::new(left),
                right: Box::new(right),
                join_type,
                condition: Expr::conjunction(conjuncts),
                hint,
            })
        };
        match one_sided {
            Some(true) => {
                let (left, domain) = self.push(*left)?;
                let condition = condition.map(|c| self.resolve(c, &domain));
                Ok((build(left, *right, join_type, conjuncts(condition)), domain))
            }
            Some(false) => {
                let (right, domain) = self.push(*right)?;
                let condition = condition.map(|c| self.resolve(c, &domain));
                Ok((build(*left, right, join_type, conjuncts(condition)), domain))
            }
            None if matches!(join_type, JoinType::FullOuter | JoinType::NullAwareAnti) => {
                let what = if in_condition { "in the condition of" } else { "below" };
                Err(Error::unsupported(format!("correlated references {what} a {join_type:?} join")))
            }
            None => {
                let (left, left_domain) = self.push(*left)?;
                let (right, right_domain) = self.push(*right)?;
                let kept = if join_type == JoinType::RightOuter { right_domain.clone() } else { left_domain.clone() };
                let condition = condition.map(|c| self.resolve(c, &kept));
                let same = left_domain.iter().zip(&right_domain).map(|(l, r)| equal_null_safe(attribute(l), attribute(r)));
                let all = conjuncts(condition).into_iter().chain(same).collect();
                Ok((build(left, right, join_type, all), kept))
            }
        }
    }
}

/// The rows from `offset` on, at most `limit`, of each group of equal keys, in the order of a sort on top of `plan`.
pub fn limit_per_group(plan: LogicalPlan, keys: Vec<Expr>, limit: Option<u64>, offset: u64) -> LogicalPlan {
    let output = plan.output();
    let (order_by, input) = match plan {
        LogicalPlan::Sort { order, global: true, input } => (order, *input),
        other => (vec![], other),
    };
    let (window, number) = row_number(input, keys, order_by);
    let bound = |op, n: u64| comparison(op, attribute(&number), Expr::Literal(Scalar::Int(i32::try_from(n).unwrap_or(i32::MAX))));
    let mut conjuncts = vec![];
    if offset > 0 {
        conjuncts.push(bound(ComparisonOp::Greater, offset));
    }
    if let Some(limit) = limit {
        conjuncts.push(bound(ComparisonOp::LessOrEqual, limit.saturating_add(offset)));
    }
    project(output.iter().map(attribute).collect(), filter(conjuncts, window))
}

/// `plan` with a column that numbers the rows of each group of equal keys, from 1; and that column.
fn row_number(plan: LogicalPlan, keys: Vec<Expr>, order_by: Vec<SortOrder>) -> (LogicalPlan, Attribute) {
    let call = Expr::Window(Box::new(WindowExpr {
        function: WindowFunction::Ranking { function: RankingFunction::RowNumber, args: vec![], ignore_nulls: false },
        partition_by: keys.clone(),
        order_by: order_by.clone(),
        frame: Frame::expanding(),
    }));
    let number = Attribute::new("row_number", DataType::Int, false);
    let window = LogicalPlan::Window { calls: vec![alias_as(call, &number)], partition_by: keys, order_by, input: Box::new(plan) };
    (window, number)
}
