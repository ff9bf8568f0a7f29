//! BasicOperators: logical nodes with one physical counterpart.

use std::sync::Arc;

use crate::base::{Error, Result};
use crate::expr::Expr;
use crate::logical::{LogicalPlan, RepartitionKind};
use crate::operators::{
    Coalesce, Exchange, Expand, Filter, Generate, GlobalLimit, LocalLimit, LocalTableScan, Operator, Partitioning, Project, Range, Sample,
    ShuffleOrigin, Sort, SparkPlan, Union,
};
use crate::planning::planner::Planner;

/// # Errors
/// `Internal` for nodes that an earlier phase must have rewritten.
pub fn plan(planner: &Planner, logical: &LogicalPlan) -> Result<Option<Arc<SparkPlan>>> {
    let unary = |operator: Operator, input: &LogicalPlan| -> Result<Option<Arc<SparkPlan>>> {
        Ok(Some(SparkPlan::new(operator, vec![planner.plan(input)?])))
    };
    let leaf = |operator: Operator| Ok(Some(SparkPlan::new(operator, vec![])));
    match logical {
        LogicalPlan::LocalRelation { output, rows } => {
            leaf(Operator::LocalTableScan(LocalTableScan { output: output.clone(), rows: rows.clone() }))
        }
        LogicalPlan::OneRowRelation => leaf(Operator::OneRowScan),
        LogicalPlan::Range { start, end, step, partitions, output } => {
            let partitions = partitions.unwrap_or_else(|| planner.settings.threads()).max(1);
            leaf(Operator::Range(Range { start: *start, end: *end, step: *step, partitions, output: output.clone() }))
        }
        LogicalPlan::Project { list, input } => unary(Operator::Project(Project { list: list.clone() }), input),
        LogicalPlan::Filter { condition, input } => unary(Operator::Filter(Filter { condition: condition.clone() }), input),
        LogicalPlan::Sort { order, global, input } => unary(Operator::Sort(Sort { order: order.clone(), global: *global }), input),
        LogicalPlan::Limit { limit, offset, input } => {
            let mut plan = planner.plan(input)?;
            let limit = limit.map(|l| l.saturating_add(*offset));
            if let Some(limit) = limit {
                plan = SparkPlan::new(Operator::LocalLimit(LocalLimit { limit }), vec![plan]);
            }
            Ok(Some(SparkPlan::new(Operator::GlobalLimit(GlobalLimit { limit, offset: *offset }), vec![plan])))
        }
        LogicalPlan::Union { inputs, output } => {
            let children = inputs.iter().map(|i| planner.plan(i)).collect::<Result<_>>()?;
            Ok(Some(SparkPlan::new(Operator::Union(Union { output: output.clone() }), children)))
        }
        LogicalPlan::Expand { projections, output, input } => {
            unary(Operator::Expand(Expand { projections: projections.clone(), output: output.clone() }), input)
        }
        LogicalPlan::Generate { generator, outer, dropped, output, input } => {
            let required = input.output().into_iter().filter(|a| !dropped.contains(&a.id)).collect();
            unary(
                Operator::Generate(Generate { generator: generator.clone(), required, outer: *outer, generator_output: output.clone() }),
                input,
            )
        }
        LogicalPlan::Sample { lower, upper, with_replacement, seed, input } => {
            unary(Operator::Sample(Sample { lower: *lower, upper: *upper, with_replacement: *with_replacement, seed: *seed }), input)
        }
        LogicalPlan::Repartition { partitions, by, kind, input } => {
            let n = partitions.unwrap_or_else(|| planner.settings.shuffle_partitions()).max(1);
            let partitioning = match (by.is_empty(), kind) {
                _ if n == 1 => Partitioning::Single,
                (true, _) => Partitioning::RoundRobin(n),
                (false, RepartitionKind::Range) => Partitioning::Range { order: by.clone(), partitions: n },
                (false, RepartitionKind::Hash | RepartitionKind::Rebalance) => {
                    Partitioning::Hash { exprs: by.iter().map(|o| o.expr.clone()).collect(), partitions: n }
                }
            };
            let rebalances = *kind == RepartitionKind::Rebalance;
            let origin = match (by.is_empty(), partitions) {
                // A repartition that asks for nothing in particular may be changed at will.
                (true, None) => ShuffleOrigin::RebalancePartitionsByNone,
                (true, Some(_)) if rebalances => ShuffleOrigin::RebalancePartitionsByNone,
                (false, _) if rebalances => ShuffleOrigin::RebalancePartitionsByCol,
                (_, Some(_)) => ShuffleOrigin::RepartitionByNum,
                (false, None) => ShuffleOrigin::RepartitionByCol,
            };
            unary(Operator::Exchange(Exchange { partitioning, origin }), input)
        }
        LogicalPlan::Coalesce { partitions, input } => unary(Operator::Coalesce(Coalesce { partitions: (*partitions).max(1) }), input),
        LogicalPlan::Distinct { input } => {
            let columns: Vec<Expr> = input.output().into_iter().map(Expr::Attribute).collect();
            planner.plan(&LogicalPlan::Aggregate { grouping: columns.clone(), list: columns, input: input.clone() }).map(Some)
        }
        LogicalPlan::Apply(_) | LogicalPlan::SetOperation { .. } | LogicalPlan::Hint { .. } => {
            Err(Error::internal(format!("{} was not rewritten before physical planning", logical.name())))
        }
        LogicalPlan::Relation { .. }
        | LogicalPlan::InMemoryRelation(_)
        | LogicalPlan::Join(_)
        | LogicalPlan::Aggregate { .. }
        | LogicalPlan::Window { .. }
        | LogicalPlan::WindowGroupLimit { .. } => Ok(None),
    }
}
