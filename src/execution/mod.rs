//! Floor 7: runs planned queries — phases of one query ([`QueryExecution`]) and its tasks ([`Scheduler`]).

pub mod query_execution;
pub mod scheduler;

pub use query_execution::{PhaseTimings, QueryExecution};
pub use scheduler::Scheduler;
