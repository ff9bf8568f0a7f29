//! The plan for programs.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::base::Settings;
use crate::operators::SparkPlan;
use crate::operators::plan::deep;
use crate::planning::PhysicalQuery;

use super::node::NodeText;
use super::tree::{visible, visible_children};

/// `{"plan": NODE, "subqueries": [{"id": N, "plan": NODE}]}` with NODE
/// `{"id", "name", "stage" (number or null), "text", "output": [{"name", "id", "type", "nullable"}], "children": [NODE]}`.
pub fn explain_json(physical: &PhysicalQuery) -> String {
    let settings = Settings::new();
    let plan = |plan: &Arc<SparkPlan>| node(visible(plan, None), physical, &settings);
    let subqueries: Vec<Value> = physical.subqueries.iter().map(|s| json!({ "id": s.id.0, "plan": plan(&s.executed_plan) })).collect();
    format!("{:#}\n", json!({ "plan": plan(&physical.executed_plan), "subqueries": subqueries }))
}

fn node((plan, stage): (&Arc<SparkPlan>, Option<usize>), physical: &PhysicalQuery, settings: &Settings) -> Value {
    let output: Vec<Value> = plan
        .output()
        .iter()
        .map(|a| json!({ "name": a.name.as_ref(), "id": a.id.0, "type": a.data_type.to_string(), "nullable": a.nullable }))
        .collect();
    let children: Vec<Value> = visible_children(plan, stage).into_iter().map(|c| deep(|| node(c, physical, settings))).collect();
    json!({
        "id": plan.id,
        "name": plan.name(),
        "stage": stage,
        "text": NodeText::new(plan, physical, settings).line(false),
        "output": output,
        "children": children,
    })
}
