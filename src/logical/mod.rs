//! Floor 4: the logical plan, its statistics, and the rules that improve it.

pub mod cached;
pub mod canonical;
pub mod display;
pub mod fresh;
pub mod optimizer;
pub mod plan;
pub mod statistics;

pub use cached::{CachedRows, InMemoryRelation, StorageLevel};
pub use canonical::Canonical;
pub use plan::{Apply, BoundQuery, Join, JoinHint, JoinHintStrategy, JoinType, LogicalPlan, RepartitionKind, SubqueryKind};
