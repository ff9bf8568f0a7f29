//! NullabilityFromStatistics: a table's column that is known to have no NULL is not nullable, whatever its schema allows.
//!
//! Tests for NULL on it then vanish. Spark has no such rule, so plans under its profile are left as Spark's.

use std::collections::HashMap;

use super::update_attribute_nullability;
use crate::base::settings::PROFILE;
use crate::base::{Result, Settings};
use crate::logical::LogicalPlan;

pub fn apply(plan: LogicalPlan, settings: &Settings) -> Result<LogicalPlan> {
    if settings.text(&PROFILE) == "cluster" {
        return Ok(plan);
    }
    let plan = plan.transform_up(&mut |node| {
        let LogicalPlan::Relation { name, source, mut output } = node else { return Ok(node) };
        let columns: HashMap<&str, usize> = source.schema().fields.iter().enumerate().map(|(i, f)| (f.name.as_ref(), i)).collect();
        for a in &mut output {
            let known = columns.get(a.name.as_ref()).and_then(|i| source.statistics().columns.get(*i));
            a.nullable &= known.and_then(|c| c.null_count) != Some(0);
        }
        Ok(LogicalPlan::Relation { name, source, output })
    })?;
    update_attribute_nullability::apply(plan, settings)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logical::optimizer::testing::*;

    #[test]
    fn follows_the_statistics() {
        let known = nullable_table_without_nulls("t");
        assert!(known.output()[0].nullable);
        let plan = filtered(known.clone(), greater(column(&known, "a"), 1));
        let after = applied(apply, plan.clone());
        assert!(!after.output()[0].nullable);
        let LogicalPlan::Filter { condition, .. } = &after else { panic!() };
        assert!(!condition.nullable());

        let mut cluster = Settings::new();
        cluster.set("planner.profile", "cluster").unwrap();
        assert!(apply(plan, &cluster).unwrap().output()[0].nullable);
    }

    #[test]
    fn leaves_unknown_columns() {
        assert!(applied(apply, table("t", 10)).output()[0].nullable);
    }
}
