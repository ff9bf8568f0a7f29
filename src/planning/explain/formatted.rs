//! The formatted form: an outline with numbered operators, then a block for each.

use std::collections::HashMap;
use std::fmt::{Display, Write};
use std::sync::Arc;

use crate::base::Settings;
use crate::expr::{Expr, SubqueryId};
use crate::logical::display::{list, tree_prefix};
use crate::operators::plan::deep;
use crate::operators::{Operator, SparkPlan};
use crate::planning::{PhysicalQuery, PhysicalSubquery};

use super::node::{CallText, NodeText};
use super::tree::{is_owner, subqueries_of, subquery_name, visible, visible_children};

/// Outline and blocks of the executed plan, then of its subqueries.
pub fn formatted(physical: &PhysicalQuery, settings: &Settings) -> String {
    let mut writer = Writer { physical, settings, numbers: HashMap::new(), relations: HashMap::new(), out: String::new() };
    // All are numbered before anything is written: what is reused may come later.
    let mut hosts = vec![];
    let main = writer.numbered(&physical.executed_plan, &mut hosts);
    let mut of_hosts = vec![];
    while let Some(host) = hosts.get(of_hosts.len()) {
        let plan = host.owner.then(|| host.subquery.executed_plan.clone());
        let nodes = plan.map(|plan| writer.numbered(&plan, &mut hosts));
        of_hosts.push(nodes);
    }
    writer.plan(&physical.executed_plan, main);
    for (i, (Host { number, subquery, owner, value }, nodes)) in hosts.iter().zip(of_hosts).enumerate() {
        if i == 0 {
            writer.out.push_str("\n===== Subqueries =====\n");
        }
        let name = match value {
            Some(value) => format!("{value} IN dynamicpruning#{}", subquery.id.0),
            None => subquery_name(subquery, *owner),
        };
        let _ = writeln!(writer.out, "\nSubquery:{} Hosting operator id = {number} Hosting Expression = {name}", i + 1);
        if let Some(nodes) = nodes {
            writer.plan(&subquery.executed_plan, nodes);
        }
    }
    writer.out
}

type Nodes = Vec<(Arc<SparkPlan>, Option<usize>)>;

/// Where a subquery is used.
struct Host<'a> {
    number: usize,
    subquery: &'a PhysicalSubquery,
    owner: bool,
    /// What is pruned by its answer.
    value: Option<Expr>,
}

struct Writer<'a> {
    physical: &'a PhysicalQuery,
    settings: &'a Settings,
    /// Operators' numbers by node id, from 1, children before parents.
    numbers: HashMap<u64, usize>,
    /// Numbers of what scans of cached queries read, by the scan's node id.
    relations: HashMap<u64, usize>,
    out: String,
}

impl<'a> Writer<'a> {
    /// Numbers the operators of a plan and finds its subqueries.
    fn numbered(&mut self, plan: &Arc<SparkPlan>, hosts: &mut Vec<Host<'a>>) -> Nodes {
        let root = visible(plan, None);
        let mut nodes = vec![];
        self.number(root, &mut nodes);
        self.hosts(root, hosts);
        nodes
    }

    fn plan(&mut self, plan: &Arc<SparkPlan>, nodes: Nodes) {
        self.outline(visible(plan, None), &mut vec![]);
        self.out.push('\n');
        for (node, stage) in nodes {
            self.block(&node, stage);
        }
    }

    /// The subqueries of a plan, from its root down.
    fn hosts(&self, (plan, stage): (&Arc<SparkPlan>, Option<usize>), hosts: &mut Vec<Host<'a>>) {
        let number = self.numbers[&plan.id];
        hosts.extend(subqueries_of(plan, self.physical).into_iter().map(|subquery| Host {
            number,
            subquery,
            owner: is_owner(plan, subquery, self.physical),
            value: plan.expressions().into_iter().find_map(|e| pruned_value(e, subquery.id)),
        }));
        for child in visible_children(plan, stage) {
            deep(|| self.hosts(child, hosts));
        }
    }

    fn number(&mut self, (plan, stage): (&Arc<SparkPlan>, Option<usize>), nodes: &mut Nodes) {
        for child in visible_children(plan, stage) {
            deep(|| self.number(child, nodes));
        }
        // A cached plan may be read twice.
        if self.numbers.contains_key(&plan.id) {
            return;
        }
        self.numbers.insert(plan.id, self.next());
        nodes.push((plan.clone(), stage));
        if let Operator::InMemoryTableScan(scan) = &plan.operator {
            self.relations.insert(plan.id, self.next());
            deep(|| self.number(visible(&scan.cached.plan, None), nodes));
        }
    }

    fn next(&self) -> usize {
        self.numbers.len() + self.relations.len() + 1
    }

    fn outline(&mut self, (plan, stage): (&Arc<SparkPlan>, Option<usize>), last: &mut Vec<bool>) {
        tree_prefix(last, &mut self.out);
        let star = if stage.is_some() { "* " } else { "" };
        let name = NodeText::new(plan, self.physical, self.settings).formatted_name();
        let _ = writeln!(self.out, "{star}{name} ({})", self.numbers[&plan.id]);
        if let Operator::InMemoryTableScan(scan) = &plan.operator {
            // A level deeper than children would be.
            last.extend([true, true]);
            tree_prefix(last, &mut self.out);
            let _ = writeln!(self.out, "InMemoryRelation ({})", self.relations[&plan.id]);
            last.extend([true, true]);
            deep(|| self.outline(visible(&scan.cached.plan, None), last));
            last.truncate(last.len() - 4);
        }
        let children = visible_children(plan, stage);
        for (i, child) in children.iter().enumerate() {
            last.push(i + 1 == children.len());
            deep(|| self.outline(*child, last));
            last.pop();
        }
    }

    fn block(&mut self, plan: &Arc<SparkPlan>, stage: Option<usize>) {
        let text = NodeText::new(plan, self.physical, self.settings);
        let name = match &plan.operator {
            Operator::FileScan(_) => text.formatted_name(),
            _ => text.name(),
        };
        let _ = write!(self.out, "\n({}) {name}", self.numbers[&plan.id]);
        if let Operator::ReusedExchange(_) = &plan.operator
            && let Some(original) = self.numbers.get(&plan.child().id)
        {
            let _ = write!(self.out, " [Reuses operator id: {original}]");
        }
        if let Some(id) = stage {
            let _ = write!(self.out, " [codegen id : {id}]");
        }
        self.out.push('\n');
        for (key, value) in lines(plan, &text) {
            let _ = writeln!(self.out, "{key}: {}", text.with_subqueries(value));
        }
        if let Operator::InMemoryTableScan(scan) = &plan.operator {
            let (number, relation) = (self.relations[&plan.id], text.in_memory_relation(scan));
            let _ = writeln!(self.out, "\n({number}) InMemoryRelation\nArguments: {relation}");
        }
    }
}

/// What `expr` prunes by the answer of that subquery.
fn pruned_value(expr: &Expr, subquery: SubqueryId) -> Option<Expr> {
    let mut found = None;
    expr.visit(&mut |e| {
        if let Expr::DynamicPruning { value, id, .. } = e
            && *id == subquery
        {
            found = Some(value.as_ref().clone());
        }
        true
    });
    found
}

/// A counted list: `Keys [2]: [a#1, b#2]`, without a count when empty.
fn counted<T: Display>(name: &str, items: &[T]) -> (String, String) {
    let name = if items.is_empty() { name.to_string() } else { format!("{name} [{}]", items.len()) };
    (name, format!("[{}]", list(items, ", ")))
}

/// The lines of an operator's block.
fn lines(plan: &SparkPlan, text: &NodeText) -> Vec<(String, String)> {
    let output = || counted("Output", &plan.output());
    let input = || counted("Input", &plan.children.iter().flat_map(|c| c.output()).collect::<Vec<_>>());
    let arguments = || {
        let arguments = text.formatted_arguments();
        (!arguments.is_empty()).then_some(("Arguments".to_string(), arguments))
    };
    let condition =
        |condition: &Option<Expr>| ("Join condition".to_string(), condition.as_ref().map_or("None".to_string(), Expr::to_string));
    let join = |left: &[Expr], right: &[Expr], join_type: &crate::logical::JoinType, residual: &Option<Expr>| {
        vec![
            counted("Left keys", left),
            counted("Right keys", right),
            ("Join type".to_string(), join_type.to_string()),
            condition(residual),
        ]
    };
    match &plan.operator {
        Operator::FileScan(s) => {
            let hidden = ["DataFilters", "Format"];
            let details = text.scan_details(s).into_iter().filter(|(key, value)| !hidden.contains(key) && value != "[]");
            [output()].into_iter().chain(details.map(|(k, v)| (k.to_string(), v))).collect()
        }
        Operator::Filter(f) => vec![input(), ("Condition ".to_string(), f.condition.to_string())],
        Operator::Project(p) => vec![counted("Output", &p.list), input()],
        Operator::Aggregate(a) => {
            let functions: Vec<String> = a.calls.iter().map(|c| CallText(c).to_string()).collect();
            let attributes: Vec<_> =
                a.calls.iter().flat_map(|c| if c.mode.gives_results() { vec![c.result.clone()] } else { c.buffers.clone() }).collect();
            vec![
                input(),
                counted("Keys", &a.grouping),
                counted("Functions", &functions),
                counted("Aggregate Attributes", &attributes),
                counted("Results", &a.result),
            ]
        }
        Operator::BroadcastHashJoin(j) | Operator::ShuffledHashJoin(j) => join(&j.left_keys, &j.right_keys, &j.join_type, &j.condition),
        Operator::SortMergeJoin(j) => join(&j.left_keys, &j.right_keys, &j.join_type, &j.condition),
        Operator::BroadcastNestedLoopJoin(j) | Operator::CartesianProduct(j) => {
            vec![("Join type".to_string(), j.join_type.to_string()), condition(&j.condition)]
        }
        Operator::ReusedExchange(_) => vec![output()],
        Operator::InMemoryTableScan(_) | Operator::LocalTableScan(_) | Operator::OneRowScan | Operator::Range(_) => {
            [output()].into_iter().chain(arguments()).collect()
        }
        Operator::Union(_) => vec![],
        Operator::Sort(_)
        | Operator::TakeOrderedAndProject(_)
        | Operator::CollectLimit(_)
        | Operator::LocalLimit(_)
        | Operator::GlobalLimit(_)
        | Operator::Exchange(_)
        | Operator::BroadcastExchange(_)
        | Operator::Expand(_)
        | Operator::Generate(_)
        | Operator::Window(_)
        | Operator::WindowGroupLimit(_)
        | Operator::Sample(_)
        | Operator::Coalesce(_)
        | Operator::WholeStageCodegen(_)
        | Operator::InputAdapter => [input()].into_iter().chain(arguments()).collect(),
    }
}
