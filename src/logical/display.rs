//! Text of logical plans, in Spark's form.

use std::fmt::{Display, Write};

use super::BoundQuery;
use super::plan::{Join, JoinHintStrategy, JoinType, LogicalPlan, RepartitionKind, SetOperation, SubqueryKind};
use super::statistics::estimate;
use crate::base::number::format_bytes;
use crate::expr::SubqueryId;

impl LogicalPlan {
    /// Spark's node name: `Project`, `Join`.
    pub fn name(&self) -> &'static str {
        match self {
            LogicalPlan::Relation { .. } => "Relation",
            LogicalPlan::InMemoryRelation(_) => "InMemoryRelation",
            LogicalPlan::LocalRelation { .. } => "LocalRelation",
            LogicalPlan::OneRowRelation => "OneRowRelation",
            LogicalPlan::Range { .. } => "Range",
            LogicalPlan::Project { .. } => "Project",
            LogicalPlan::Filter { .. } => "Filter",
            LogicalPlan::Join(_) => "Join",
            LogicalPlan::Apply(_) => "LateralJoin",
            LogicalPlan::Aggregate { .. } => "Aggregate",
            LogicalPlan::Window { .. } => "Window",
            LogicalPlan::WindowGroupLimit { .. } => "WindowGroupLimit",
            LogicalPlan::Hint { .. } => "ResolvedHint",
            LogicalPlan::Sort { .. } => "Sort",
            LogicalPlan::Limit { limit: Some(_), .. } => "GlobalLimit",
            LogicalPlan::Limit { limit: None, .. } => "Offset",
            LogicalPlan::Union { .. } => "Union",
            LogicalPlan::Distinct { .. } => "Distinct",
            LogicalPlan::SetOperation { operation: SetOperation::Intersect, all: false, .. } => "Intersect",
            LogicalPlan::SetOperation { operation: SetOperation::Intersect, all: true, .. } => "Intersect All",
            LogicalPlan::SetOperation { operation: SetOperation::Except, all: false, .. } => "Except",
            LogicalPlan::SetOperation { operation: SetOperation::Except, all: true, .. } => "Except All",
            LogicalPlan::Expand { .. } => "Expand",
            LogicalPlan::Generate { .. } => "Generate",
            LogicalPlan::Sample { .. } => "Sample",
            LogicalPlan::Repartition { kind: RepartitionKind::Rebalance, .. } => "RebalancePartitions",
            LogicalPlan::Repartition { partitions: Some(_), by, .. } if by.is_empty() => "Repartition",
            LogicalPlan::Repartition { .. } => "RepartitionByExpression",
            LogicalPlan::Coalesce { .. } => "Repartition",
        }
    }

    /// The plan as a tree, a line per node.
    pub fn tree_string(&self) -> String {
        let mut out = String::new();
        Printer { subqueries: &[], statistics: false }.tree(self, &mut vec![], &mut out);
        out
    }

    fn line(&self) -> String {
        let name = self.name();
        match self {
            LogicalPlan::Relation { name, source, output } => format!("Relation {name}[{}] {}", list(output, ","), source.format()),
            LogicalPlan::InMemoryRelation(r) => format!("{name} [{}], {}", list(&r.output, ", "), r.rows.storage_level()),
            LogicalPlan::LocalRelation { output, rows } if rows.is_empty() => format!("{name} <empty>, [{}]", list(output, ", ")),
            LogicalPlan::LocalRelation { output, .. } => format!("{name} [{}]", list(output, ", ")),
            LogicalPlan::OneRowRelation => name.into(),
            LogicalPlan::Range { start, end, step, partitions, .. } => {
                let splits = partitions.map_or("None".into(), |p| format!("Some({p})"));
                format!("{name} ({start}, {end}, step={step}, splits={splits})")
            }
            LogicalPlan::Project { list: items, .. } => format!("{name} [{}]", list(items, ", ")),
            LogicalPlan::Filter { condition, .. } => format!("{name} {condition}"),
            LogicalPlan::Join(join) => join_line(join),
            LogicalPlan::Apply(a) => match &a.kind {
                SubqueryKind::Scalar(output) => format!("{name} scalar-subquery [{}], {output}", list(&a.outer, ", ")),
                SubqueryKind::Exists(output) => format!("{name} exists [{}], {output}", list(&a.outer, ", ")),
                SubqueryKind::In { values, output } => {
                    format!("{name} ({}) in [{}], {output}", list(values, ", "), list(&a.outer, ", "))
                }
            },
            LogicalPlan::Aggregate { grouping, list: items, .. } if grouping.is_empty() => format!("{name} [{}]", list(items, ", ")),
            LogicalPlan::Aggregate { grouping, list: items, .. } => {
                format!("{name} [{}], [{}]", list(grouping, ", "), list(items, ", "))
            }
            LogicalPlan::Window { calls, partition_by, order_by, .. } => {
                let parts = [list(calls, ", "), list(partition_by, ", "), list(order_by, ", ")];
                let shown: Vec<_> = parts.iter().filter(|p| !p.is_empty()).map(|p| format!("[{p}]")).collect();
                format!("{name} {}", shown.join(", "))
            }
            LogicalPlan::WindowGroupLimit { group, .. } => {
                let keys = [list(&group.partition_by, ", "), list(&group.order_by, ", ")];
                let keys = keys.iter().filter(|k| !k.is_empty()).map(|k| format!("[{k}], "));
                format!("{name} {}{}, {}", keys.collect::<String>(), group.call(), group.limit)
            }
            LogicalPlan::Hint { strategy, .. } => format!("{name} ({strategy})"),
            LogicalPlan::Sort { order, global, .. } => format!("{name} [{}], {global}", list(order, ", ")),
            LogicalPlan::Limit { limit: Some(limit), offset: 0, .. } => format!("{name} {limit}"),
            LogicalPlan::Limit { limit: Some(limit), offset, .. } => format!("{name} {limit}, {offset}"),
            LogicalPlan::Limit { limit: None, offset, .. } => format!("{name} {offset}"),
            LogicalPlan::Union { .. } => format!("{name} false, false"),
            LogicalPlan::Distinct { .. } | LogicalPlan::SetOperation { .. } => name.into(),
            LogicalPlan::Expand { projections, output, .. } => {
                let projections: Vec<_> = projections.iter().map(|p| format!("[{}]", list(p, ", "))).collect();
                format!("{name} [{}], [{}]", projections.join(", "), list(output, ", "))
            }
            LogicalPlan::Generate { generator, outer, output, .. } => format!("{name} {generator}, {outer}, [{}]", list(output, ", ")),
            LogicalPlan::Sample { lower, upper, with_replacement, seed, .. } => {
                format!("{name} {lower:?}, {upper:?}, {with_replacement}, {seed}")
            }
            LogicalPlan::Repartition { partitions: Some(n), by, kind, .. } if by.is_empty() && *kind != RepartitionKind::Rebalance => {
                format!("{name} {n}, true")
            }
            LogicalPlan::Repartition { partitions, by, .. } => {
                let by = (!by.is_empty()).then(|| format!("[{}]", list(by, ", ")));
                let parts: Vec<String> = by.into_iter().chain(partitions.map(|n| n.to_string())).collect();
                format!("{name} {}", parts.join(", ")).trim_end().to_string()
            }
            LogicalPlan::Coalesce { partitions, .. } => format!("{name} {partitions}, false"),
        }
    }
}

fn join_line(join: &Join) -> String {
    let mut line = format!("Join {}", join.join_type);
    match &join.condition {
        // What is unknown is a match, too.
        Some(condition) if join.join_type == JoinType::NullAwareAnti => {
            let _ = write!(line, ", ({condition} OR isnull({condition}))");
        }
        Some(condition) => {
            let _ = write!(line, ", {condition}");
        }
        None => {}
    }
    let hints = [("leftHint", join.hint.left), ("rightHint", join.hint.right)];
    for (side, hint) in hints.into_iter().filter_map(|(side, hint)| Some((side, hint?))) {
        let _ = write!(line, ", {side}=({hint})");
    }
    line
}

/// `strategy=broadcast`, as plans and warnings show a hint.
impl Display for JoinHintStrategy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            JoinHintStrategy::Broadcast => "strategy=broadcast",
            JoinHintStrategy::Merge => "strategy=merge",
            JoinHintStrategy::ShuffleHash => "strategy=shuffle_hash",
            JoinHintStrategy::ShuffleReplicateNl => "strategy=shuffle_replicate_nl",
        })
    }
}

/// Spark's names; a null-aware anti join is a LeftAnti.
impl Display for JoinType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            JoinType::Inner => f.write_str("Inner"),
            JoinType::Cross => f.write_str("Cross"),
            JoinType::LeftOuter => f.write_str("LeftOuter"),
            JoinType::RightOuter => f.write_str("RightOuter"),
            JoinType::FullOuter => f.write_str("FullOuter"),
            JoinType::LeftSemi => f.write_str("LeftSemi"),
            JoinType::LeftAnti | JoinType::NullAwareAnti => f.write_str("LeftAnti"),
            JoinType::Existence(a) => write!(f, "ExistenceJoin({a})"),
            JoinType::LeftSingle => f.write_str("LeftSingle"),
        }
    }
}

/// Items joined by `separator`.
pub fn list<T: Display>(items: &[T], separator: &str) -> String {
    items.iter().map(T::to_string).collect::<Vec<_>>().join(separator)
}

/// What stands before a node's line: for each ancestor whether it was its parent's last child.
pub fn tree_prefix(last: &[bool], out: &mut String) {
    if let Some((own, ancestors)) = last.split_last() {
        for ancestor_is_last in ancestors {
            out.push_str(if *ancestor_is_last { "   " } else { ":  " });
        }
        out.push_str(if *own { "+- " } else { ":- " });
    }
}

impl BoundQuery {
    /// The plan as a tree, scalar subqueries below the nodes that use them; `statistics`: with estimated sizes and rows.
    pub fn tree_string(&self, statistics: bool) -> String {
        let mut out = String::new();
        Printer { subqueries: &self.subqueries, statistics }.tree(&self.plan, &mut vec![], &mut out);
        out
    }
}

struct Printer<'a> {
    subqueries: &'a [(SubqueryId, LogicalPlan)],
    statistics: bool,
}

impl Printer<'_> {
    fn tree(&self, plan: &LogicalPlan, last: &mut Vec<bool>, out: &mut String) {
        stacker::maybe_grow(64 * 1024, 1024 * 1024, || {
            let suffix = if self.statistics { statistics(plan) } else { String::new() };
            let depth = last.len();
            for (i, line) in lines(plan).iter().enumerate() {
                last.extend((i > 0).then_some(true));
                tree_prefix(last, out);
                let _ = writeln!(out, "{line}{suffix}");
            }
            if let LogicalPlan::InMemoryRelation(relation) = plan {
                last.push(true);
                inner_tree(relation.rows.plan_text(), last, out);
                last.pop();
            }
            let children = plan.children();
            let used = self.subqueries_of(plan);
            for (i, subquery) in used.iter().enumerate() {
                // Between a node and its children, a level deeper than these.
                last.extend([children.is_empty(), i + 1 == used.len()]);
                self.tree(subquery, last, out);
                last.truncate(last.len() - 2);
            }
            for (i, child) in children.iter().enumerate() {
                last.push(i + 1 == children.len());
                self.tree(child, last, out);
                last.pop();
            }
            last.truncate(depth);
        });
    }

    fn subqueries_of(&self, plan: &LogicalPlan) -> Vec<&LogicalPlan> {
        let mut out = vec![];
        for e in plan.expressions() {
            let plan_of = |id| self.subqueries.iter().find(|(known, _)| *known == id).map(|(_, plan)| plan);
            out.extend(e.subqueries().into_iter().filter_map(plan_of));
        }
        out
    }
}

/// A node's lines, each below the one before: what Spark has several nodes for.
fn lines(plan: &LogicalPlan) -> Vec<String> {
    match plan {
        LogicalPlan::Limit { limit: Some(limit), offset: 0, .. } => vec![format!("GlobalLimit {limit}"), format!("LocalLimit {limit}")],
        LogicalPlan::Limit { limit: Some(limit), offset, .. } => {
            let local = limit.saturating_add(*offset);
            vec![format!("GlobalLimit {limit}"), format!("Offset {offset}"), format!("LocalLimit {local}")]
        }
        _ => vec![plan.line()],
    }
}

fn statistics(plan: &LogicalPlan) -> String {
    let statistics = estimate(plan);
    let rows = statistics.row_count.map(|r| format!(", rowCount={}", count(r))).unwrap_or_default();
    format!(", Statistics(sizeInBytes={}{rows})", format_bytes(statistics.size_bytes))
}

/// A tree already drawn, below a node at `last` but a level deeper than children would be.
fn inner_tree(text: &str, last: &mut Vec<bool>, out: &mut String) {
    last.push(true);
    for (i, line) in text.lines().enumerate() {
        let mut prefix = String::new();
        tree_prefix(last, &mut prefix);
        let _ = writeln!(out, "{}{line}", if i == 0 { prefix } else { prefix.replace("+- ", "   ") });
    }
    last.pop();
}

/// `1.23E+4`, plain below a thousand.
fn count(rows: f64) -> String {
    if rows < 1000.0 {
        return format!("{}", rows.round());
    }
    let exponent = rows.log10().floor();
    let mantissa = format!("{:.2}", rows / 10f64.powf(exponent));
    format!("{}E+{exponent}", mantissa.trim_end_matches('0').trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_counts_in_words() {
        assert_eq!(count(12_345.0), "1.23E+4");
        assert_eq!(count(7.0), "7");
    }
}
