//! FileSource: a table scan with the projections and filters above it.
//!
//! Filters over partition columns alone are applied by the source and leave the plan; filters over data columns are offered to the
//! source for skipping and stay in a Filter above. Of the files only the columns that are used are read; partition columns, which are
//! the same in a whole file, always come along.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::bucket_pruning;
use crate::base::{Attribute, ExprId, Result, Settings, settings};
use crate::datasource::BucketSpec;
use crate::expr::Expr;
use crate::logical::LogicalPlan;
use crate::operators::{BucketScan, BucketUse, FileScan, Filter, Operator, Project, SparkPlan};
use crate::planning::planner::Planner;

/// # Errors
/// None of its own.
pub fn plan(planner: &Planner, logical: &LogicalPlan) -> Result<Option<Arc<SparkPlan>>> {
    let Some(operation) = PhysicalOperation::collect(logical) else { return Ok(None) };
    let LogicalPlan::Relation { name, source, output } = operation.relation else { return Ok(None) };

    // The optimizer may have narrowed the relation; the scan speaks of positions in the whole table.
    let table_output: Vec<Attribute> = source
        .schema()
        .fields
        .iter()
        .map(|f| {
            let known = output.iter().find(|a| a.name == f.name);
            known.cloned().unwrap_or_else(|| Attribute::new(f.name.clone(), f.data_type.clone(), f.nullable))
        })
        .collect();
    let first_partition_column = table_output.len() - source.partition_columns().min(table_output.len());
    let partition_columns: BTreeSet<ExprId> = table_output[first_partition_column..].iter().map(|a| a.id).collect();

    let prunes = |e: &Expr| {
        let references = e.references();
        e.is_deterministic() && !references.is_empty() && references.is_subset(&partition_columns)
    };
    let (mut partition_filters, filters): (Vec<_>, Vec<_>) = operation.filters.into_iter().partition(prunes);
    if !partition_columns.is_empty() {
        // What only a subquery decides keeps all partitions or none.
        partition_filters.extend(filters.iter().filter(|e| e.is_deterministic() && e.references().is_empty()).cloned());
    }
    let data_filters: Vec<_> =
        filters.iter().filter(|e| e.is_deterministic() && e.references().is_disjoint(&partition_columns)).cloned().collect();

    let list = operation.list.unwrap_or_else(|| output.iter().cloned().map(Expr::Attribute).collect());
    let used: BTreeSet<ExprId> = list.iter().chain(&filters).flat_map(Expr::references).collect();
    let read: Vec<Attribute> = table_output.iter().filter(|a| used.contains(&a.id) || partition_columns.contains(&a.id)).cloned().collect();

    let same = list.len() == read.len() && list.iter().zip(&read).all(|(e, a)| matches!(e, Expr::Attribute(b) if a == b));
    let buckets = source.bucketing().map(|b| bucket_scan(&b.spec, &read, &data_filters, planner.settings)).transpose()?;
    let (name, source) = (name.clone(), source.clone());
    let scan = FileScan { name, source, table_output, output: read, partition_filters, data_filters, buckets };
    let mut plan = SparkPlan::new(Operator::FileScan(scan), vec![]);
    if let Some(condition) = Expr::conjunction(filters) {
        plan = SparkPlan::new(Operator::Filter(Filter { condition }), vec![plan]);
    }
    if !same {
        plan = SparkPlan::new(Operator::Project(Project { list }), vec![plan]);
    }
    Ok(Some(plan))
}

fn bucket_scan(spec: &BucketSpec, read: &[Attribute], filters: &[Expr], settings: &Settings) -> Result<BucketScan> {
    let is_read = |name: &String| read.iter().any(|a| a.name.eq_ignore_ascii_case(name));
    let usage = if !settings.bool(&settings::BUCKETING_ENABLED) {
        BucketUse::DisabledByConfiguration
    } else if !spec.columns.iter().all(is_read) {
        BucketUse::ColumnsNotRead
    } else {
        BucketUse::Bucketed
    };
    let selected = bucket_pruning::selected(spec, filters)?;
    Ok(BucketScan { usage, selected, coalesced: None, ordered: settings.bool(&settings::BUCKETED_SCAN_ORDERING) })
}

/// Projections and filters over a relation, as one projection (absent: all columns) over one list of conjuncts, all in terms of
/// the relation's columns.
pub(super) struct PhysicalOperation<'a> {
    pub list: Option<Vec<Expr>>,
    pub filters: Vec<Expr>,
    pub relation: &'a LogicalPlan,
}

impl<'a> PhysicalOperation<'a> {
    pub fn collect(plan: &'a LogicalPlan) -> Option<Self> {
        match plan {
            LogicalPlan::Relation { .. } | LogicalPlan::InMemoryRelation(_) => Some(Self { list: None, filters: vec![], relation: plan }),
            LogicalPlan::Project { list, input } => {
                let below = Self::collect(input)?;
                let list = match &below.list {
                    None => list.clone(),
                    Some(lower) if can_inline(list, lower) => list.iter().map(|e| inline_named(e, lower)).collect(),
                    Some(_) => return None,
                };
                // A filter above must not see an undetermined value computed again: such lists are the top.
                Some(Self { list: Some(list), ..below })
            }
            LogicalPlan::Filter { condition, input } => {
                let mut below = Self::collect(input)?;
                let conjuncts = condition.clone().split_conjunction();
                match &below.list {
                    None => below.filters.extend(conjuncts),
                    Some(lower) if can_inline(&conjuncts, lower) => {
                        let inlined = conjuncts.into_iter().map(|e| inline(e, lower)).collect::<Vec<_>>();
                        below.filters.extend(inlined);
                    }
                    Some(_) => return None,
                }
                Some(below)
            }
            _ => None,
        }
    }
}

/// Whether expressions over the columns of `lower` may be written over its input: nothing undetermined, nothing costly twice.
fn can_inline(upper: &[Expr], lower: &[Expr]) -> bool {
    let mut uses: HashMap<ExprId, usize> = HashMap::new();
    for e in upper {
        e.visit(&mut |e| {
            if let Expr::Attribute(a) = e {
                *uses.entry(a.id).or_default() += 1;
            }
            true
        });
    }
    lower.iter().all(|e| {
        let cheap = matches!(e.unaliased(), Expr::Attribute(_) | Expr::Literal(_));
        e.is_deterministic() && (cheap || uses.get(&e.to_attribute().id).copied().unwrap_or(0) <= 1)
    })
}

fn inline(expr: Expr, lower: &[Expr]) -> Expr {
    expr.replace(&mut |e| match e {
        Expr::Attribute(a) => match lower.iter().find(|l| matches!(l, Expr::Alias { id, .. } if *id == a.id)) {
            Some(alias) => Ok(alias.unaliased().clone()),
            None => Err(Expr::Attribute(a)),
        },
        other => Err(other),
    })
}

/// Inlines into an item of a projection, which keeps its name and identity.
fn inline_named(item: &Expr, lower: &[Expr]) -> Expr {
    match item {
        Expr::Attribute(a) => lower.iter().find(|l| l.to_attribute().id == a.id).unwrap_or(item).clone(),
        other => inline(other.clone(), lower),
    }
}
