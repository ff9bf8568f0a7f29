//! Executing a stage: which parts run compiled, and the choice between engines.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::WholeStageCodegen;
use super::region::{Region, lowerable, resolve_in};
use super::stage::Stage;
use super::task::Task;
use crate::base::{ErrorClass, Result, settings};
use crate::codegen::Dump;
use crate::operators::{Operator, SparkPlan};
use crate::rdd::{Dependency, QueryContext, Rdd};

/// What the tasks of a part share.
pub struct Shared {
    pub stage: Arc<Stage>,
    /// The WholeStageCodegen node, whose metrics tell of code and calls, of all parts together.
    pub stage_node: u64,
    pub input: Rdd,
    /// The build sides of shuffled joins, in order of the join objects.
    pub builds: Vec<Option<Rdd>>,
    /// The same rows by the interpreter.
    pub interpreted: Rdd,
    /// There was no memory for the table of a broadcast: tasks to come leave it to the interpreter at once.
    pub refused: AtomicBool,
}

impl WholeStageCodegen {
    /// # Errors
    /// Those of describing the operators; what cannot be compiled runs interpreted unless `sql.codegen.fallback` is off.
    pub fn execute(&self, plan: &Arc<SparkPlan>, context: &Arc<QueryContext>) -> Result<Rdd> {
        if context.settings.text(&settings::MODE) == "interpreted" {
            return plan.child().execute(context);
        }
        self.execute_part(plan.child(), plan, context)
    }

    /// An operator inside the stage: compiled with what fuses below it, or interpreted over compiled inputs.
    fn execute_part(&self, plan: &Arc<SparkPlan>, stage_plan: &SparkPlan, context: &Arc<QueryContext>) -> Result<Rdd> {
        if !lowerable(plan) {
            return if inputs_compile(plan) { over_stages(plan, stage_plan).execute(context) } else { plan.execute(context) };
        }
        let resolve = resolve_in(context);
        let region = match Region::lower(plan, self.stage_id, &resolve) {
            Ok(region) => region,
            Err(e) if e.class == ErrorClass::Codegen && context.settings.bool(&settings::CODEGEN_FALLBACK) => return plan.execute(context),
            Err(e) => return Err(e),
        };
        let Some(input_plan) = region.input.clone() else { return plan.execute(context) };
        if region.only_renames() {
            return plan.execute(context);
        }
        let input = self.execute_part(&input_plan, stage_plan, context)?;
        let stage = Arc::new(Stage::new(region, context.settings.clone(), Dump::Nothing));
        let mut dependencies = vec![Dependency::Narrow(input.clone())];
        let mut builds = vec![];
        for join in stage.objects.iter().filter_map(super::region::Object::join) {
            if join.broadcast {
                dependencies.extend_from_slice(join.build.execute_broadcast(context)?.rows.dependencies());
                builds.push(None);
                continue;
            }
            let build = self.execute_part(&join.build, stage_plan, context)?;
            dependencies.push(Dependency::Narrow(build.clone()));
            builds.push(Some(build));
        }
        let interpreted = plan.execute(context)?;
        let name = format!("WholeStageCodegen ({})", self.stage_id);
        let partitions = input.num_partitions();
        let shared = Arc::new(Shared { stage, stage_node: stage_plan.id, input, builds, interpreted, refused: AtomicBool::new(false) });
        let auto = context.settings.text(&settings::MODE) == "auto";
        let least = context.settings.int(&settings::JIT_MIN_ROWS).max(0) as u64;
        let scanned = scanned_rows(&input_plan);
        if !auto || scanned.is_some_and(|rows| rows >= least) {
            // Not what the stage reads: that goes with the query, and compiling may end after it.
            let (stage, query, node) = (shared.stage.clone(), context.clone(), shared.stage_node);
            let compile = move || drop(stage.compile_all(&stage.likely_forms(), &query, node));
            context.runner.background(Box::new(compile));
        }
        Ok(Rdd::new(name, partitions, dependencies, move |p, task| {
            if auto && rows_to_come(&shared.input, scanned).is_some_and(|rows| rows < least) {
                return shared.interpreted.compute(p, task);
            }
            Task::start(shared.clone(), p, task)
        }))
    }
}

/// Whether an operator that is interpreted within a stage has inputs that compile.
fn inputs_compile(plan: &SparkPlan) -> bool {
    !matches!(plan.operator, Operator::InputAdapter) && plan.children.iter().any(|c| !matches!(c.operator, Operator::InputAdapter))
}

/// The same node over inputs that are parts of the stage `stage` of their own.
fn over_stages(plan: &Arc<SparkPlan>, stage: &SparkPlan) -> Arc<SparkPlan> {
    let wrap = |child: &Arc<SparkPlan>| match child.operator {
        Operator::InputAdapter => child.clone(),
        _ => Arc::new(SparkPlan { id: stage.id, operator: stage.operator.clone(), children: vec![child.clone()] }),
    };
    Arc::new(SparkPlan { id: plan.id, operator: plan.operator.clone(), children: plan.children.iter().map(wrap).collect() })
}

/// The topmost operators of the compiled parts of a stage, from the stage's root down.
pub fn compiled_parts(plan: &Arc<SparkPlan>) -> Vec<Arc<SparkPlan>> {
    let mut out = vec![];
    let mut visit = vec![(plan.clone(), false)];
    while let Some((node, inside)) = visit.pop() {
        if matches!(node.operator, Operator::InputAdapter) {
            continue;
        }
        let fused = lowerable(&node);
        if fused && !inside {
            out.push(node.clone());
        }
        for (i, child) in node.children.iter().enumerate() {
            let continues = match &node.operator {
                Operator::BroadcastHashJoin(j) | Operator::ShuffledHashJoin(j) => i == j.build.stream().index(),
                _ => true,
            };
            visit.push((child.clone(), fused && continues));
        }
    }
    out
}

/// Rows of the table that a scan reads, where known.
fn scanned_rows(plan: &SparkPlan) -> Option<u64> {
    match &plan.operator {
        Operator::FileScan(scan) => scan.source.statistics().row_count,
        Operator::InMemoryTableScan(scan) => scan.cached.statistics()?.row_count,
        Operator::InputAdapter => scanned_rows(plan.child()),
        _ => None,
    }
}

/// Rows that a part is to read in all its tasks, as far as known before it runs: of a scan from statistics, of shuffles from what
/// they wrote.
fn rows_to_come(input: &Rdd, scanned: Option<u64>) -> Option<u64> {
    if scanned.is_some() {
        return scanned;
    }
    let mut total = None;
    for dependency in input.dependencies() {
        let rows = match dependency {
            Dependency::Narrow(parent) => rows_to_come(parent, None)?,
            Dependency::Shuffle(shuffle) => shuffle.rows()?,
            Dependency::Kept(rows) => rows.rows()?,
        };
        total = Some(total.unwrap_or(0) + rows);
    }
    total
}
