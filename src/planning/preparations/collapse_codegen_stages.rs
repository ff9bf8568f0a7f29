//! CollapseCodegenStages: groups operators into compiled stages and numbers them.
//!
//! A stage reaches down from its root until an operator that cannot be compiled, which gets an InputAdapter above it. Both inputs
//! of a sort-merge or shuffled hash join end the stage too: each must be run to a point of its own. Numbers start at 1 and are given
//! once everything below a root has its own; nothing resets them.

use std::sync::Arc;

use crate::base::{Result, Settings, settings};
use crate::operators::plan::deep;
use crate::operators::whole_stage::supports_codegen;
use crate::operators::{Operator, SparkPlan, WholeStageCodegen};

/// # Errors
/// None of its own.
pub fn apply(plan: Arc<SparkPlan>, settings: &Settings) -> Result<Arc<SparkPlan>> {
    if !settings.bool(&settings::CODEGEN_ENABLED) {
        return Ok(plan);
    }
    Ok(Collapse { settings, last_id: 0 }.wrap(&plan))
}

struct Collapse<'a> {
    settings: &'a Settings,
    last_id: usize,
}

impl Collapse<'_> {
    fn supports(&self, plan: &SparkPlan) -> bool {
        supports_codegen(plan, self.settings)
    }

    /// Puts stages where the operators outside any stage have such below them.
    fn wrap(&mut self, plan: &Arc<SparkPlan>) -> Arc<SparkPlan> {
        if matches!(plan.operator, Operator::WholeStageCodegen(_)) {
            return plan.clone();
        }
        // Literal rows are collected without a job when nothing is done to them.
        if self.supports(plan) && !matches!(plan.operator, Operator::LocalTableScan(_)) {
            let root = self.adapt(plan);
            self.last_id += 1;
            return SparkPlan::new(Operator::WholeStageCodegen(WholeStageCodegen { stage_id: self.last_id }), vec![root]);
        }
        deep(|| plan.with_children(plan.children.iter().map(|c| self.wrap(c)).collect()))
    }

    /// Goes on inside a stage.
    fn adapt(&mut self, plan: &Arc<SparkPlan>) -> Arc<SparkPlan> {
        if !self.supports(plan) {
            return self.input(plan);
        }
        let zips = matches!(plan.operator, Operator::SortMergeJoin(_) | Operator::ShuffledHashJoin(_));
        deep(|| plan.with_children(plan.children.iter().map(|c| if zips { self.input(c) } else { self.adapt(c) }).collect()))
    }

    fn input(&mut self, plan: &Arc<SparkPlan>) -> Arc<SparkPlan> {
        SparkPlan::new(Operator::InputAdapter, vec![self.wrap(plan)])
    }
}
