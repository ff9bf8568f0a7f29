//! Joins. NULL keys never match (except null-aware anti joins, see `JoinType`); `condition` is what equality of keys does not say.

mod chunks;
mod hash_join;
pub mod join_index;
pub mod keys;
mod lower;
pub mod matches;
mod nested_loop;
mod partitioned;
mod rows;
mod sort_merge;
#[cfg(test)]
mod tests;

pub use chunks::bytes_held;
pub use join_index::JoinIndex;

use std::sync::Arc;

use crate::base::{Attribute, Result};
use crate::expr::{Expr, SortOrder};
use crate::logical::JoinType;
use crate::logical::plan::join_output;

use super::plan::map_list;
use super::properties::{Distribution, Partitioning, ProvidedOrder, expand_through_keys, ordering_satisfies};
use super::{BroadcastMode, SparkPlan};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BuildSide {
    Left,
    Right,
}

/// BroadcastHashJoin and ShuffledHashJoin. Children are left and right as in SQL; for a broadcast join the build side's child
/// is a BroadcastExchange.
#[derive(Debug, Clone, PartialEq)]
pub struct HashJoin {
    pub left_keys: Vec<Expr>,
    pub right_keys: Vec<Expr>,
    pub join_type: JoinType,
    pub build: BuildSide,
    /// Over the attributes of both sides.
    pub condition: Option<Expr>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct SortMergeJoin {
    pub left_keys: Vec<Expr>,
    pub right_keys: Vec<Expr>,
    pub join_type: JoinType,
    pub condition: Option<Expr>,
    /// A skewed partition was split by adaptive execution.
    pub skew: bool,
}

/// BroadcastNestedLoopJoin and CartesianProduct (`build` is Right there).
#[derive(Debug, Clone, PartialEq)]
pub struct NestedLoopJoin {
    pub join_type: JoinType,
    pub build: BuildSide,
    pub condition: Option<Expr>,
}

impl BuildSide {
    /// The child's position.
    pub fn index(self) -> usize {
        match self {
            BuildSide::Left => 0,
            BuildSide::Right => 1,
        }
    }

    pub fn stream(self) -> Self {
        match self {
            BuildSide::Left => BuildSide::Right,
            BuildSide::Right => BuildSide::Left,
        }
    }

    /// `BuildLeft` or `BuildRight`.
    pub fn name(self) -> &'static str {
        match self {
            BuildSide::Left => "BuildLeft",
            BuildSide::Right => "BuildRight",
        }
    }

    /// Per-child values with `build` at this side and `stream` at the other.
    fn arrange<T>(self, build: T, stream: T) -> Vec<T> {
        match self {
            BuildSide::Left => vec![build, stream],
            BuildSide::Right => vec![stream, build],
        }
    }
}

/// Output of any physical join.
pub fn output(join_type: &JoinType, children: &[Arc<SparkPlan>]) -> Vec<Attribute> {
    join_output(join_type, &children[0].output(), &children[1].output())
}

impl HashJoin {
    pub fn expressions(&self) -> Vec<&Expr> {
        self.left_keys.iter().chain(&self.right_keys).chain(&self.condition).collect()
    }

    pub fn keys(&self, side: BuildSide) -> &[Expr] {
        match side {
            BuildSide::Left => &self.left_keys,
            BuildSide::Right => &self.right_keys,
        }
    }

    /// Of a BroadcastHashJoin: the build side hashed by its keys in one piece.
    pub fn broadcast_distribution(&self) -> Vec<Distribution> {
        let null_aware = self.join_type == JoinType::NullAwareAnti;
        let mode = BroadcastMode::Hashed { keys: self.keys(self.build).to_vec(), null_aware };
        self.build.arrange(Distribution::Broadcast(mode), Distribution::Unspecified)
    }

    /// Of a BroadcastHashJoin: the streamed side's; an inner join knows it under the build side's keys too.
    pub fn broadcast_partitioning(&self, children: &[Arc<SparkPlan>]) -> Partitioning {
        let stream = self.build.stream();
        let partitioning = children[stream.index()].output_partitioning();
        if !self.join_type.is_inner() {
            return partitioning;
        }
        let pairs: Vec<_> = self.keys(stream).iter().zip(self.keys(self.build)).collect();
        expand_through_keys(partitioning, &pairs)
    }

    /// Matches come out in the order of the streamed side, unless unmatched build rows follow.
    pub fn output_ordering(&self, children: &[Arc<SparkPlan>]) -> Vec<ProvidedOrder> {
        let build_rows_follow = match self.join_type {
            JoinType::FullOuter => true,
            JoinType::LeftOuter => self.build == BuildSide::Left,
            JoinType::RightOuter => self.build == BuildSide::Right,
            JoinType::Inner
            | JoinType::Cross
            | JoinType::LeftSemi
            | JoinType::LeftAnti
            | JoinType::NullAwareAnti
            | JoinType::Existence(_)
            | JoinType::LeftSingle => false,
        };
        if build_rows_follow { vec![] } else { children[self.build.stream().index()].output_ordering() }
    }

    /// # Errors
    /// Those of `f`.
    pub fn map_expressions(self, f: &mut dyn FnMut(Expr) -> Result<Expr>) -> Result<Self> {
        Ok(Self {
            left_keys: map_list(self.left_keys, f)?,
            right_keys: map_list(self.right_keys, f)?,
            condition: self.condition.map(f).transpose()?,
            ..self
        })
    }
}

impl SortMergeJoin {
    pub fn expressions(&self) -> Vec<&Expr> {
        self.left_keys.iter().chain(&self.right_keys).chain(&self.condition).collect()
    }

    pub fn required_distribution(&self) -> Vec<Distribution> {
        if self.skew {
            return vec![Distribution::Unspecified; 2];
        }
        shuffled_distribution(&self.left_keys, &self.right_keys)
    }

    pub fn required_ordering(&self) -> Vec<Vec<SortOrder>> {
        [&self.left_keys, &self.right_keys].map(|keys| keys.iter().cloned().map(SortOrder::ascending).collect()).into()
    }

    /// By the keys; an inner join's output is ordered by either side's.
    pub fn output_ordering(&self, children: &[Arc<SparkPlan>]) -> Vec<ProvidedOrder> {
        let left = || key_ordering(&self.left_keys, children[0].output_ordering());
        let right = || key_ordering(&self.right_keys, children[1].output_ordering());
        match self.join_type {
            JoinType::Inner | JoinType::Cross => {
                let pair = |(l, r): (ProvidedOrder, ProvidedOrder)| {
                    let same = l.same.into_iter().chain([r.order.expr]).chain(r.same).collect();
                    ProvidedOrder { order: l.order, same }
                };
                left().into_iter().zip(right()).map(pair).collect()
            }
            JoinType::RightOuter => right(),
            JoinType::FullOuter => vec![],
            JoinType::LeftOuter
            | JoinType::LeftSemi
            | JoinType::LeftAnti
            | JoinType::NullAwareAnti
            | JoinType::Existence(_)
            | JoinType::LeftSingle => left(),
        }
    }

    /// # Errors
    /// Those of `f`.
    pub fn map_expressions(self, f: &mut dyn FnMut(Expr) -> Result<Expr>) -> Result<Self> {
        Ok(Self {
            left_keys: map_list(self.left_keys, f)?,
            right_keys: map_list(self.right_keys, f)?,
            condition: self.condition.map(f).transpose()?,
            ..self
        })
    }
}

impl NestedLoopJoin {
    /// Of a BroadcastNestedLoopJoin.
    pub fn required_distribution(&self) -> Vec<Distribution> {
        self.build.arrange(Distribution::Broadcast(BroadcastMode::Identity), Distribution::Unspecified)
    }

    /// Whether one pass over the streamed side gives the whole result: no unmatched build rows to find at the end.
    pub fn streams(&self) -> bool {
        match self.join_type {
            JoinType::Inner | JoinType::Cross => true,
            JoinType::RightOuter => self.build == BuildSide::Left,
            JoinType::FullOuter => false,
            JoinType::LeftOuter
            | JoinType::LeftSemi
            | JoinType::LeftAnti
            | JoinType::NullAwareAnti
            | JoinType::Existence(_)
            | JoinType::LeftSingle => self.build == BuildSide::Right,
        }
    }

    /// Of a BroadcastNestedLoopJoin: the streamed side's where it streams.
    pub fn output_partitioning(&self, children: &[Arc<SparkPlan>]) -> Partitioning {
        if self.streams() { children[self.build.stream().index()].output_partitioning() } else { Partitioning::Unknown(0) }
    }

    pub fn output_ordering(&self, children: &[Arc<SparkPlan>]) -> Vec<ProvidedOrder> {
        if self.streams() { children[self.build.stream().index()].output_ordering() } else { vec![] }
    }
}

/// The order by keys of rows in the order `provided`, with what else goes up with a key.
fn key_ordering(keys: &[Expr], provided: Vec<ProvidedOrder>) -> Vec<ProvidedOrder> {
    let required: Vec<SortOrder> = keys.iter().cloned().map(SortOrder::ascending).collect();
    if !ordering_satisfies(&provided, &required) {
        return required.into_iter().map(ProvidedOrder::from).collect();
    }
    let with_others = |(order, p): (SortOrder, ProvidedOrder)| {
        let same = std::iter::once(p.order.expr).chain(p.same).filter(|e| *e != order.expr).collect();
        ProvidedOrder { order, same }
    };
    required.into_iter().zip(provided).map(with_others).collect()
}

/// Rows of equal keys in the same partition number on both sides.
pub fn shuffled_distribution(left_keys: &[Expr], right_keys: &[Expr]) -> Vec<Distribution> {
    vec![Distribution::clustered(left_keys), Distribution::clustered(right_keys)]
}

/// Output partitioning of SortMergeJoin and ShuffledHashJoin.
pub fn shuffled_partitioning(join_type: &JoinType, children: &[Arc<SparkPlan>]) -> Partitioning {
    let [left, right] = [&children[0], &children[1]].map(|c| c.output_partitioning());
    match join_type {
        JoinType::Inner | JoinType::Cross => Partitioning::Collection(vec![left, right]),
        JoinType::RightOuter => right,
        JoinType::FullOuter => Partitioning::Unknown(left.num_partitions()),
        JoinType::LeftOuter
        | JoinType::LeftSemi
        | JoinType::LeftAnti
        | JoinType::NullAwareAnti
        | JoinType::Existence(_)
        | JoinType::LeftSingle => left,
    }
}
