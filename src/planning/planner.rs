//! The planner: asks the strategies, in order, for each logical node.

use std::sync::Arc;

use crate::base::{Error, Result, Settings};
use crate::logical::LogicalPlan;
use crate::operators::SparkPlan;
use crate::operators::plan::deep;

use super::strategies::{
    aggregation, basic_operators, file_source, in_memory_scans, join_selection, special_limits, window, window_group_limit,
};

/// Plans a node, or leaves it to the next strategy. Children are planned through [`Planner::plan`].
pub type Strategy = fn(&Planner, &LogicalPlan) -> Result<Option<Arc<SparkPlan>>>;

/// In priority order. File sources come first because they take the projections and filters above a scan with it; limits come
/// before the basic operators because a limit over a sort is one operator. The others answer for different nodes.
pub const STRATEGIES: &[(&str, Strategy)] = &[
    ("FileSource", file_source::plan),
    ("SpecialLimits", special_limits::plan),
    ("Aggregation", aggregation::plan),
    ("Window", window::plan),
    ("WindowGroupLimit", window_group_limit::plan),
    ("JoinSelection", join_selection::plan),
    ("InMemoryScans", in_memory_scans::plan),
    ("BasicOperators", basic_operators::plan),
];

/// Turns logical plans into physical ones.
pub struct Planner<'a> {
    pub settings: &'a Settings,
}

impl<'a> Planner<'a> {
    pub fn new(settings: &'a Settings) -> Self {
        Self { settings }
    }

    /// Plans the root of a query, where a limit means to collect no more than that.
    ///
    /// # Errors
    /// See [`super::plan`].
    pub fn plan_root(&self, logical: &LogicalPlan) -> Result<Arc<SparkPlan>> {
        match special_limits::plan_root(self, logical)? {
            Some(plan) => Ok(plan),
            None => self.plan(logical),
        }
    }

    /// # Errors
    /// See [`super::plan`].
    pub fn plan(&self, logical: &LogicalPlan) -> Result<Arc<SparkPlan>> {
        deep(|| {
            for (_, strategy) in STRATEGIES {
                if let Some(plan) = strategy(self, logical)? {
                    return Ok(plan);
                }
            }
            Err(Error::internal(format!("No plan for {}", logical.name())))
        })
    }
}
