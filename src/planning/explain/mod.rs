//! Explanations of plans, in Spark's formats.
//!
//! [`node`] has the text of one operator, [`tree`] draws trees, [`formatted`] the numbered form with details, [`json`] the form for
//! programs. Wrappers of compiled stages have no lines: the operators inside a stage are starred with its number instead.

mod formatted;
mod json;
mod node;
mod tree;

use std::fmt::Write;
use std::sync::Arc;

use crate::base::{Attribute, ExprId, Field, Result, Schema, Settings};
use crate::expr::Expr;
use crate::logical::display::list;
use crate::logical::{BoundQuery, LogicalPlan};
use crate::operators::{Metric, Operator, SparkPlan};
use crate::rdd::StageInfo;

use super::PhysicalQuery;

pub use json::explain_json;

/// How much to tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ExplainLevel {
    /// The executed physical plan.
    #[default]
    Simple,
    /// All logical plans, and the physical plan with the outputs of its aggregates.
    Extended,
    /// An outline of the physical plan with numbered operators, then a block for each.
    Formatted,
    /// The optimized logical plan with estimated sizes, and the physical plan.
    Cost,
    /// Each compiled stage with its code.
    Codegen,
    /// The physical plan with the metrics of its run, by operator, by compiled stage, and by stage of tasks.
    Analyze,
}

/// What only a later floor knows about the operators of a plan.
pub struct Details<'a> {
    /// The code of a stage, given its WholeStageCodegen node; an error's message is shown in place of the code.
    pub code: &'a dyn Fn(&Arc<SparkPlan>) -> Result<String>,
    /// The metrics of a node of the executed plan.
    pub metrics: &'a dyn Fn(&SparkPlan) -> Vec<(Metric, u64)>,
    /// The stages of the run.
    pub stages: Vec<StageInfo>,
}

impl Details<'_> {
    /// Knows nothing.
    pub fn none() -> Self {
        Self { code: &|_| Ok(String::new()), metrics: &|_| vec![], stages: vec![] }
    }
}

/// Explains a query: `analyzed` as bound, `optimized`, and planned.
pub fn explain(
    analyzed: &BoundQuery,
    optimized: &BoundQuery,
    physical: &PhysicalQuery,
    level: ExplainLevel,
    settings: &Settings,
    details: &Details,
) -> String {
    let printer = tree::Printer {
        physical,
        settings,
        verbose: matches!(level, ExplainLevel::Extended | ExplainLevel::Cost | ExplainLevel::Codegen),
        details: None,
    };
    match level {
        ExplainLevel::Simple => section("Physical Plan", &printer.executed()),
        ExplainLevel::Analyze => {
            let plan = tree::Printer { details: Some(details), ..printer }.executed();
            let tasks = details.stages.iter().map(|stage| format!("{stage}\n")).collect();
            let sections = [("Physical Plan", plan), ("Compiled Stages", compiled_stages(physical, details)), ("Stages", tasks)];
            let sections = sections.iter().filter(|(_, body)| !body.is_empty());
            sections.map(|(title, body)| section(title, body)).collect::<Vec<_>>().join("\n")
        }
        ExplainLevel::Extended => [
            // Names are resolved while parsing, so what was parsed is shown as analyzed already.
            section("Parsed Logical Plan", &analyzed.tree_string(false)),
            section("Analyzed Logical Plan", &format!("{}\n{}", schema(&analyzed.plan), analyzed.tree_string(false))),
            section("Optimized Logical Plan", &over_whole_tables(optimized).tree_string(false)),
            section("Physical Plan", &printer.executed()),
        ]
        .join("\n"),
        ExplainLevel::Cost => [
            section("Optimized Logical Plan", &over_whole_tables(optimized).tree_string(true)),
            section("Physical Plan", &printer.executed()),
        ]
        .join("\n"),
        ExplainLevel::Formatted => section("Physical Plan", &formatted::formatted(physical, settings)),
        ExplainLevel::Codegen => codegen(&printer, details),
    }
}

/// A physical plan as a tree, a line per operator: `*(1) Filter (a#1 > 10)`. For a query's main plan its subqueries are shown too.
pub fn tree_string(plan: &Arc<SparkPlan>, physical: Option<&PhysicalQuery>, settings: &Settings) -> String {
    let alone = PhysicalQuery { spark_plan: plan.clone(), executed_plan: plan.clone(), subqueries: vec![] };
    tree::Printer { physical: physical.unwrap_or(&alone), settings, verbose: false, details: None }.tree(plan)
}

fn section(title: &str, body: &str) -> String {
    format!("== {title} ==\n{body}")
}

fn schema(plan: &LogicalPlan) -> String {
    let columns: Vec<String> = plan.output().iter().map(|a| format!("{}: {}", a.name, a.data_type)).collect();
    columns.join(", ")
}

/// The query with a projection where the optimizer has narrowed a table, below none that is there: the relation itself is whole.
fn over_whole_tables(query: &BoundQuery) -> BoundQuery {
    let plain = |list: &[Expr]| list.iter().all(|e| matches!(e, Expr::Attribute(_)));
    let whole = |plan: &LogicalPlan| {
        plan.clone().transform_up(&mut |node| {
            Ok(match node {
                LogicalPlan::Relation { name, source, output } => match whole_output(source.schema(), &output) {
                    Some(all) => {
                        let list = output.into_iter().map(Expr::Attribute).collect();
                        LogicalPlan::Project { list, input: Box::new(LogicalPlan::Relation { name, source, output: all }) }
                    }
                    None => LogicalPlan::Relation { name, source, output },
                },
                LogicalPlan::Filter { condition, input } => match *input {
                    LogicalPlan::Project { list, input } if plain(&list) => {
                        LogicalPlan::Project { list, input: Box::new(LogicalPlan::Filter { condition, input }) }
                    }
                    other => LogicalPlan::Filter { condition, input: Box::new(other) },
                },
                LogicalPlan::Project { list, input } => match *input {
                    LogicalPlan::Project { list: lower, input } if plain(&lower) => LogicalPlan::Project { list, input },
                    other => LogicalPlan::Project { list, input: Box::new(other) },
                },
                other => other,
            })
        })
    };
    let shown = |plan: &LogicalPlan| whole(plan).unwrap_or_else(|_| plan.clone());
    BoundQuery { plan: shown(&query.plan), subqueries: query.subqueries.iter().map(|(id, plan)| (*id, shown(plan))).collect() }
}

/// All columns of a table of which `output` are left; ids were given in order.
fn whole_output(schema: &Schema, output: &[Attribute]) -> Option<Vec<Attribute>> {
    let known = output.first().filter(|_| output.len() < schema.fields.len())?;
    let place = schema.fields.iter().position(|f| f.name == known.name)?;
    let first = known.id.0.checked_sub(place as u64)?;
    let column = |(i, f): (usize, &Field)| {
        let own = output.iter().find(|a| a.name == f.name);
        let given =
            || Attribute { id: ExprId(first + i as u64), name: f.name.clone(), data_type: f.data_type.clone(), nullable: f.nullable };
        own.cloned().unwrap_or_else(given)
    };
    Some(schema.fields.iter().enumerate().map(column).collect())
}

/// What there is to tell of the stages that were compiled, a line for each.
fn compiled_stages(physical: &PhysicalQuery, details: &Details) -> String {
    let told = stages(physical).into_iter().map(|(id, stage)| (id, tree::metrics_text(&(details.metrics)(&stage))));
    told.filter(|(_, metrics)| !metrics.is_empty()).map(|(id, metrics)| format!("*({id}) {metrics}\n")).collect()
}

/// The WholeStageCodegen nodes with their numbers, those of subqueries first.
fn stages(physical: &PhysicalQuery) -> Vec<(usize, Arc<SparkPlan>)> {
    let mut stages = vec![];
    let roots = physical.subqueries.iter().map(|s| &s.executed_plan).chain([&physical.executed_plan]);
    for root in roots {
        let mut of_root = vec![];
        visit_once(root, &mut |node| {
            if let Operator::WholeStageCodegen(stage) = &node.operator {
                of_root.push((stage.stage_id, node.clone()));
            }
        });
        of_root.sort_by_key(|(id, _)| *id);
        stages.extend(of_root);
    }
    stages
}

fn codegen(printer: &tree::Printer, details: &Details) -> String {
    let stages = stages(printer.physical);
    let mut out = format!("Found {} WholeStageCodegen subtrees.\n", stages.len());
    for (i, (_, stage)) in stages.iter().enumerate() {
        let _ = write!(out, "== Subtree {} / {} ==\n{}\nGenerated code:\n", i + 1, stages.len(), printer.tree(stage));
        match (details.code)(stage) {
            Ok(code) => out.push_str(&code),
            Err(e) => {
                let _ = writeln!(out, "not compiled: {}", list(&[e], ""));
            }
        }
        out.push('\n');
    }
    out
}

/// Every node once: what is below a reused exchange was met where it stands.
fn visit_once(plan: &Arc<SparkPlan>, f: &mut dyn FnMut(&Arc<SparkPlan>)) {
    f(plan);
    if !matches!(plan.operator, Operator::ReusedExchange(_)) {
        plan.children.iter().for_each(|c| visit_once(c, f));
    }
}
