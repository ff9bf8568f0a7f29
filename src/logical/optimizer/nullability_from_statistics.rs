//! NullabilityFromStatistics: a table's column that is known to have no NULL is not nullable, whatever its schema allows.
//!
//! Tests for NULL on it then vanish. Spark is of the opposite mind: any column of a file may hold NULLs, whatever the file's schema
//! says. Under its profile that holds here too, so that plans have the tests for NULL that Spark's have.

use std::collections::HashMap;

use super::update_attribute_nullability;
use crate::base::settings::PROFILE;
use crate::base::{Result, Settings};
use crate::logical::LogicalPlan;

pub fn apply(plan: LogicalPlan, settings: &Settings) -> Result<LogicalPlan> {
    let as_spark = settings.text(&PROFILE) == "cluster";
    let plan = plan.transform_up(&mut |node| {
        let LogicalPlan::Relation { name, source, mut output } = node else { return Ok(node) };
        let columns: HashMap<&str, usize> = source.schema().fields.iter().enumerate().map(|(i, f)| (f.name.as_ref(), i)).collect();
        for a in &mut output {
            if as_spark {
                a.nullable |= source.format() != "memory";
                continue;
            }
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
