//! Strategies: one file each, in the order of `planner::STRATEGIES`.

pub mod aggregation;
pub mod basic_operators;
pub mod bucket_pruning;
pub mod file_source;
pub mod in_memory_scans;
pub mod join_selection;
pub mod special_limits;
pub mod window;
pub mod window_group_limit;
