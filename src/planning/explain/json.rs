//! The plan for programs.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::base::Settings;
use crate::operators::SparkPlan;
use crate::operators::plan::deep;
use crate::planning::PhysicalQuery;

use super::Details;
use super::node::NodeText;
use super::tree::{visible, visible_children};

/// `{"plan": NODE, "subqueries": [{"id": NUMBER, "plan": NODE}]}`. A NODE is an object of
///
/// | key | value |
/// | --- | --- |
/// | `id` | number of the node in its plan (`plan_id` of exchanges) |
/// | `name` | Spark's name of the operator: `HashAggregate` |
/// | `stage` | number of its compiled stage, or null |
/// | `text` | its line in the simple form, without the stage |
/// | `arguments` | what stands after the name in `text` |
/// | `output` | list of columns, `{"name", "id", "type", "nullable"}`; `id` as in `name#id` |
/// | `metrics` | after a run (`--level analyze`): object of the metrics' values as text, by name |
/// | `children` | list of NODEs, inputs from left to right; empty for a reused exchange |
///
/// Keys may be added; these stay. Long lists in texts are cut by `sql.debug.maxToStringFields`, `output` is whole.
pub fn explain_json(physical: &PhysicalQuery, settings: &Settings, details: Option<&Details>) -> String {
    let plan = |plan: &Arc<SparkPlan>| node(visible(plan, None), physical, settings, details);
    let subqueries: Vec<Value> = physical.subqueries.iter().map(|s| json!({ "id": s.id.0, "plan": plan(&s.executed_plan) })).collect();
    format!("{:#}\n", json!({ "plan": plan(&physical.executed_plan), "subqueries": subqueries }))
}

fn node(
    (plan, stage): (&Arc<SparkPlan>, Option<usize>),
    physical: &PhysicalQuery,
    settings: &Settings,
    details: Option<&Details>,
) -> Value {
    let output: Vec<Value> = plan
        .output()
        .iter()
        .map(|a| json!({ "name": a.name.as_ref(), "id": a.id.0, "type": a.data_type.to_string(), "nullable": a.nullable }))
        .collect();
    let children: Vec<Value> = visible_children(plan, stage).into_iter().map(|c| deep(|| node(c, physical, settings, details))).collect();
    let text = NodeText::new(plan, physical, settings).line(false);
    let mut value = json!({
        "id": plan.id,
        "name": plan.name(),
        "stage": stage,
        "arguments": text.strip_prefix(plan.name()).unwrap_or(&text).trim_start(),
        "text": text,
        "output": output,
        "children": children,
    });
    if let Some(details) = details {
        value["metrics"] = (details.metrics)(plan.id).into_iter().map(|(name, value)| (name, Value::String(value))).collect();
    }
    value
}
