//! Union: the partitions of all children, one after the other; or, where all children are partitioned alike, partition by partition.

use std::sync::Arc;

use super::{Partitioning, SparkPlan, Union};

mod interpret;

impl Union {
    /// What holds of every child. Ranges do not count: each child's bounds are its own.
    pub fn output_partitioning(&self, children: &[Arc<SparkPlan>]) -> Partitioning {
        let of = |child: &SparkPlan| {
            let mut all = child.output_partitioning().renamed(&child.output(), &self.output).flatten();
            all.retain(|p| matches!(p, Partitioning::Hash { .. } | Partitioning::Single));
            all
        };
        let mut children = children.iter();
        let mut common = children.next().map(|c| of(c)).unwrap_or_default();
        for child in children {
            let theirs = of(child);
            common.retain(|p| theirs.contains(p));
        }
        if common.len() > 1 { Partitioning::Collection(common) } else { common.pop().unwrap_or(Partitioning::Unknown(0)) }
    }
}
