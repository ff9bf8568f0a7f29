//! Floor 7: runs planned queries — phases of one query ([`QueryExecution`]) and its tasks ([`Scheduler`]).

pub mod cache_manager;
pub mod query_execution;
pub mod scheduler;
pub mod stream;
mod task;

pub use cache_manager::{CacheInfo, CacheManager};
pub use query_execution::{CancelHandle, OperatorMetrics, PhaseTimings, QueryExecution, QueryProgress};
pub use scheduler::Scheduler;
pub use stream::{Stream, StreamOrder};
