//! The plan for programs.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::base::Settings;
use crate::operators::SparkPlan;
use crate::operators::plan::deep;
use crate::planning::PhysicalQuery;
use crate::rdd::StageInfo;

use super::node::NodeText;
use super::tree::{visible, visible_children};
use super::{Details, stages};

/// `{"plan": NODE, "subqueries": [{"id": NUMBER, "plan": NODE}]}`, after a run (`--level analyze`) also `"compiled_stages"`,
/// a list of `{"id", "stage", "metrics", "metric_values"}`, and `"stages"`, those that tasks ran in, a list of `{"id", "name", "tasks",
/// "failed_tries", "run_time", "rows", "shuffle_bytes", "spilled"}` with times in nanoseconds. A NODE is an object of
///
/// | key | value |
/// | --- | --- |
/// | `id` | number of the node in its plan (`plan_id` of exchanges) |
/// | `name` | Spark's name of the operator: `HashAggregate` |
/// | `stage` | number of its compiled stage, or null |
/// | `text` | its line in the simple form, without the stage |
/// | `arguments` | what stands after the name in `text` |
/// | `output` | list of columns, `{"name", "id", "type", "nullable"}`; `id` as in `name#id` |
/// | `metrics` | after a run: object of the metrics' values as text, by Spark's key: `{"numOutputRows": "1,000"}` |
/// | `metric_values` | after a run: the same as numbers, of rows and the like, bytes, or nanoseconds |
/// | `children` | list of NODEs, inputs from left to right; empty for a reused exchange |
///
/// Keys may be added; these stay. Long lists in texts are cut by `sql.debug.maxToStringFields`, `output` is whole.
pub fn explain_json(physical: &PhysicalQuery, settings: &Settings, details: Option<&Details>) -> String {
    let plan = |plan: &Arc<SparkPlan>| node(visible(plan, None), physical, settings, details);
    let subqueries: Vec<Value> = physical.subqueries.iter().map(|s| json!({ "id": s.id.0, "plan": plan(&s.executed_plan) })).collect();
    let mut value = json!({ "plan": plan(&physical.executed_plan), "subqueries": subqueries });
    if let Some(details) = details {
        let stage = |(number, plan): (usize, Arc<SparkPlan>)| {
            let mut stage = json!({ "id": plan.id, "stage": number });
            add_metrics(&mut stage, &plan, details);
            stage
        };
        value["compiled_stages"] = stages(physical).into_iter().map(stage).collect();
        let tasks = |s: &StageInfo| {
            json!({
                "id": s.id,
                "name": s.name,
                "tasks": s.tasks,
                "failed_tries": s.failed_tries,
                "run_time": s.run_time.as_nanos() as u64,
                "rows": s.rows,
                "shuffle_bytes": s.shuffle_bytes,
                "spilled": s.spilled,
            })
        };
        value["stages"] = details.stages.iter().map(tasks).collect();
    }
    format!("{value:#}\n")
}

fn add_metrics(value: &mut Value, plan: &SparkPlan, details: &Details) {
    let metrics = (details.metrics)(plan);
    value["metrics"] = metrics.iter().map(|(metric, v)| (metric.key, Value::String(metric.text(*v)))).collect();
    value["metric_values"] = metrics.iter().map(|(metric, v)| (metric.key, Value::from(*v))).collect();
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
        add_metrics(&mut value, plan, details);
    }
    value
}
