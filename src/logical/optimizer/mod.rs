//! The optimizer: rules that turn a logical plan into a better one with the same rows and the same attribute ids.
//!
//! Rules stand in [`BATCHES`], applied from first to last; a batch runs once or until nothing changes. To add a rule: a file with
//! `apply`, a line in a batch, and tests that it fires and that it does not. Every rule is idempotent (tested for all).

mod boolean_simplification;
mod collapse_project;
mod collapse_repartition;
mod column_pruning;
mod combine_filters;
mod combine_limits;
mod combine_unions;
mod constant_folding;
mod constraints;
mod cost_based_join_reorder;
mod eliminate_outer_join;
mod eliminate_resolved_hint;
mod eliminate_sorts;
mod infer_filters_from_constraints;
mod infer_semi_joins;
mod infer_window_group_limit;
mod inject_bloom_filter;
mod inject_runtime_filter;
mod join_group;
mod like_simplification;
mod limit_push_down;
mod limit_push_down_through_window;
mod null_propagation;
mod nullability_from_statistics;
mod optimize_in;
mod partition_pruning;
mod propagate_empty_relation;
mod prune_filters;
mod pull_out_grouping_expressions;
mod push_down_predicates;
mod push_extra_predicate_through_join;
mod push_left_semi_left_anti_through_join;
mod push_predicate_subqueries;
mod push_predicate_through_join;
mod push_predicate_through_non_join;
mod remove_noop_operators;
mod remove_redundant_aggregates;
mod reorder_join;
mod reorder_join_first;
mod replace_distinct_with_aggregate;
mod replace_set_operations;
mod rewrite_distinct_aggregates;
mod rewrite_subqueries;
mod simplify_binary_comparison;
mod simplify_casts;
mod simplify_conditionals;
mod support;
#[cfg(test)]
pub(super) mod testing;
mod transpose_window;
mod update_attribute_nullability;

use super::{BoundQuery, LogicalPlan};
use crate::base::{Result, Settings, interrupt};

/// A named rewrite of a whole plan.
pub struct Rule {
    /// Spark's name, where Spark has the rule.
    pub name: &'static str,
    pub apply: fn(LogicalPlan, &Settings) -> Result<LogicalPlan>,
}

/// Rules applied together.
pub struct Batch {
    pub name: &'static str,
    /// Apply until the plan no longer changes (at most [`MAX_ITERATIONS`] times) rather than once.
    pub fixed_point: bool,
    pub rules: &'static [Rule],
}

/// Spark's `optimizer.maxIterations`.
const MAX_ITERATIONS: usize = 100;

macro_rules! rules {
    ($($module:ident $name:literal),* $(,)?) => { &[$(Rule { name: $name, apply: $module::apply }),*] };
}

/// Rules over expressions and single operators; they enable each other, so they run to a fixed point.
static OPERATOR_RULES: &[Rule] = rules![
    constant_folding "ConstantFolding",
    null_propagation "NullPropagation",
    simplify_conditionals "SimplifyConditionals",
    simplify_casts "SimplifyCasts",
    optimize_in "OptimizeIn",
    like_simplification "LikeSimplification",
    simplify_binary_comparison "SimplifyBinaryComparison",
    boolean_simplification "BooleanSimplification",
    combine_unions "CombineUnions",
    // Before outer joins are judged: a filter must stand right above the join that it turns inner.
    push_down_predicates "PushDownPredicates",
    eliminate_outer_join "EliminateOuterJoin",
    prune_filters "PruneFilters",
    limit_push_down "LimitPushDown",
    limit_push_down_through_window "LimitPushDownThroughWindow",
    combine_limits "CombineLimits",
    column_pruning "ColumnPruning",
    collapse_project "CollapseProject",
    collapse_repartition "CollapseRepartition",
    transpose_window "TransposeWindow",
    remove_redundant_aggregates "RemoveRedundantAggregates",
    remove_noop_operators "RemoveNoopOperators",
    eliminate_sorts "EliminateSorts",
    propagate_empty_relation "PropagateEmptyRelation",
];

/// A plan whose join hints have reached their joins; others are dropped with a warning. So none is for a join around the plan.
///
/// # Errors
/// None of its own.
pub fn settle_hints(plan: LogicalPlan, settings: &Settings) -> Result<LogicalPlan> {
    eliminate_resolved_hint::apply(plan, settings)
}

/// All batches, in order.
pub static BATCHES: &[Batch] = &[
    Batch { name: "Eliminate Resolved Hint", fixed_point: false, rules: rules![eliminate_resolved_hint "EliminateResolvedHint"] },
    Batch {
        name: "Replace Operators",
        fixed_point: false,
        rules: rules![
            replace_set_operations "ReplaceSetOperations",
            replace_distinct_with_aggregate "ReplaceDistinctWithAggregate",
            // Aggregates then group by attributes only, so later rules cannot make grouping and output disagree.
            pull_out_grouping_expressions "PullOutGroupingExpressions",
            nullability_from_statistics "NullabilityFromStatistics",
            reorder_join_first "ReorderJoin",
        ],
    },
    // `NOT (NOT EXISTS …)` must be plain before subqueries are judged by their place in a condition.
    Batch {
        name: "Simplify Conditions",
        fixed_point: true,
        rules: rules![
            constant_folding "ConstantFolding",
            simplify_binary_comparison "SimplifyBinaryComparison",
            boolean_simplification "BooleanSimplification",
            combine_filters "CombineFilters",
        ],
    },
    Batch {
        name: "Subqueries",
        fixed_point: false,
        rules: rules![
            push_predicate_subqueries "PushPredicateSubqueries",
            rewrite_subqueries "RewriteSubqueries",
            // The hints on what were subqueries.
            eliminate_resolved_hint "EliminateResolvedHint",
            // Outer joins made some columns nullable; the rules that follow trust the flags.
            update_attribute_nullability "UpdateAttributeNullability",
        ],
    },
    Batch { name: "Operator Optimization before Inferring Filters", fixed_point: true, rules: OPERATOR_RULES },
    Batch {
        name: "Infer Filters",
        fixed_point: false,
        rules: rules![
            infer_filters_from_constraints "InferFiltersFromConstraints",
            infer_semi_joins "InferSemiJoins",
            push_extra_predicate_through_join "PushExtraPredicateThroughJoin",
        ],
    },
    Batch { name: "Operator Optimization after Inferring Filters", fixed_point: true, rules: OPERATOR_RULES },
    // Filters stand on their tables now, so estimates are as good as they get.
    Batch {
        name: "Join Reorder",
        fixed_point: false,
        rules: rules![
            push_left_semi_left_anti_through_join "PushLeftSemiLeftAntiThroughJoin",
            reorder_join "ReorderJoin",
            cost_based_join_reorder "CostBasedJoinReorder",
        ],
    },
    // After the order of joins is settled: which side has few rows depends on it.
    Batch { name: "Runtime Filters", fixed_point: false, rules: rules![inject_runtime_filter "InjectRuntimeFilter"] },
    Batch {
        name: "Clean Up",
        fixed_point: true,
        rules: rules![
            push_down_predicates "PushDownPredicates",
            column_pruning "ColumnPruning",
            collapse_project "CollapseProject",
            remove_noop_operators "RemoveNoopOperators",
        ],
    },
    // Once filters stand right above their windows for good.
    Batch {
        name: "Infer Window Group Limit",
        fixed_point: false,
        rules: rules![
            infer_window_group_limit "InferWindowGroupLimit",
            limit_push_down_through_window "LimitPushDownThroughWindow",
        ],
    },
    Batch {
        name: "Finish",
        fixed_point: false,
        rules: rules![
            rewrite_distinct_aggregates "RewriteDistinctAggregates",
            column_pruning "ColumnPruning",
            update_attribute_nullability "UpdateAttributeNullability",
        ],
    },
];

/// Optimizes the query and its uncorrelated scalar subqueries. No [`LogicalPlan::Apply`] remains.
///
/// # Errors
/// `Unsupported` for correlated subqueries that cannot be turned into joins.
pub fn optimize(query: BoundQuery, settings: &Settings) -> Result<BoundQuery> {
    optimize_with(query, settings, &mut None)
}

/// [`optimize`], and the plan after each application of a rule that changed it (of the subqueries first, then of the query).
///
/// # Errors
/// Those of [`optimize`].
pub fn optimize_traced(query: BoundQuery, settings: &Settings) -> Result<(BoundQuery, Vec<(&'static str, LogicalPlan)>)> {
    let mut trace = Some(vec![]);
    let query = optimize_with(query, settings, &mut trace)?;
    Ok((query, trace.unwrap_or_default()))
}

/// What looks at the optimized query with its subqueries, and adds to these.
type QueryStep = fn(BoundQuery, &Settings) -> Result<BoundQuery>;
static QUERY_STEPS: &[(&str, QueryStep)] =
    &[("PartitionPruning", partition_pruning::apply), ("InjectRuntimeFilter", inject_bloom_filter::apply)];

type Trace = Option<Vec<(&'static str, LogicalPlan)>>;

fn optimize_with(query: BoundQuery, settings: &Settings, trace: &mut Trace) -> Result<BoundQuery> {
    // Cloning, comparing and dropping deep expressions recurse without a check of their own: give them room at once.
    stacker::maybe_grow(32 << 20, 128 << 20, || {
        let subqueries = query.subqueries.into_iter().map(|(id, plan)| Ok((id, run(plan, settings, trace)?))).collect::<Result<_>>()?;
        let mut query = BoundQuery { plan: run(query.plan, settings, trace)?, subqueries };
        for (name, step) in QUERY_STEPS {
            let after = step(query.clone(), settings)?;
            if let Some(trace) = trace
                && after.plan != query.plan
            {
                trace.push((name, after.plan.clone()));
            }
            query = after;
        }
        Ok(query)
    })
}

fn run(mut plan: LogicalPlan, settings: &Settings, trace: &mut Trace) -> Result<LogicalPlan> {
    for batch in BATCHES {
        for _ in 0..if batch.fixed_point { MAX_ITERATIONS } else { 1 } {
            let before = batch.fixed_point.then(|| plan.clone());
            for rule in batch.rules {
                plan = apply_rule(rule, plan, settings, trace)?;
            }
            if before.is_none_or(|b| b == plan) {
                break;
            }
        }
    }
    Ok(plan)
}

fn apply_rule(rule: &Rule, plan: LogicalPlan, settings: &Settings, trace: &mut Trace) -> Result<LogicalPlan> {
    interrupt::check()?;
    let Some(trace) = trace else { return (rule.apply)(plan, settings) };
    let after = (rule.apply)(plan.clone(), settings)?;
    if after != plan {
        trace.push((rule.name, after.clone()));
    }
    Ok(after)
}
