//! EnsureRequirements: inserts the exchanges and sorts that operators require of their children.
//!
//! Bottom-up, once per node: redundant user repartitions go, join keys are put in the order of a partitioning that is there, each
//! child gets the distribution required of it, children that must be co-partitioned are made so at the least cost, and last each
//! child gets its order. Applying it again changes nothing.

use std::sync::Arc;

use crate::base::{Result, Settings, settings};
use crate::expr::Expr;
use crate::operators::properties::ordering_satisfies;
use crate::operators::{BroadcastExchange, Distribution, Exchange, Operator, Partitioning, ShuffleOrigin, ShuffleSpec, Sort, SparkPlan};

use super::reorder_join_keys::reorder;

/// # Errors
/// None of its own.
pub fn apply(plan: Arc<SparkPlan>, settings: &Settings) -> Result<Arc<SparkPlan>> {
    let rule = EnsureRequirements {
        shuffle_partitions: settings.shuffle_partitions(),
        all_keys: settings.bool(&settings::REQUIRE_ALL_CLUSTER_KEYS_FOR_DISTRIBUTION),
        all_keys_for_co_partition: settings.bool(&settings::REQUIRE_ALL_CLUSTER_KEYS_FOR_CO_PARTITION),
    };
    plan.transform_up(&mut |node| Ok(rule.ensure(node)))
}

struct EnsureRequirements {
    shuffle_partitions: usize,
    all_keys: bool,
    all_keys_for_co_partition: bool,
}

impl EnsureRequirements {
    fn ensure(&self, plan: Arc<SparkPlan>) -> Arc<SparkPlan> {
        if is_repeated_repartition(&plan) {
            return plan.child().clone();
        }
        let plan = reorder(plan);
        let required = plan.required_child_distribution();
        let mut children: Vec<_> = plan.children.iter().zip(&required).map(|(c, d)| self.distribute(c.clone(), d)).collect();
        self.co_partition(&mut children, &required);
        for (child, order) in children.iter_mut().zip(plan.required_child_ordering()) {
            if !ordering_satisfies(&child.output_ordering(), &order) {
                *child = SparkPlan::new(Operator::Sort(Sort { order, global: false }), vec![child.clone()]);
            }
        }
        plan.with_children(children)
    }

    fn distribute(&self, child: Arc<SparkPlan>, required: &Distribution) -> Arc<SparkPlan> {
        if child.output_partitioning().satisfies(required, self.all_keys) {
            return child;
        }
        match required {
            Distribution::Broadcast(mode) => {
                SparkPlan::new(Operator::BroadcastExchange(BroadcastExchange { mode: mode.clone() }), vec![child])
            }
            _ => match required.create_partitioning(self.shuffle_partitions) {
                Some(partitioning) => shuffle(partitioning, child),
                None => child,
            },
        }
    }

    /// Makes equal partition numbers of clustered children hold matching rows.
    fn co_partition(&self, children: &mut [Arc<SparkPlan>], required: &[Distribution]) {
        let clustered: Vec<(usize, &[Expr])> = required
            .iter()
            .enumerate()
            .filter_map(|(i, d)| match d {
                Distribution::Clustered(keys) => Some((i, keys.as_slice())),
                _ => None,
            })
            .collect();
        let all_single = clustered.iter().all(|(i, _)| children[*i].output_partitioning() == Partitioning::Single);
        if clustered.len() < 2 || all_single {
            return;
        }
        let specs: Vec<ShuffleSpec> =
            clustered.iter().map(|(i, keys)| ShuffleSpec::new(children[*i].output_partitioning(), keys, self.all_keys)).collect();
        let best = self.best(&specs, &clustered.iter().map(|(i, _)| is_shuffle(&children[*i])).collect::<Vec<_>>());
        for ((i, keys), spec) in clustered.iter().zip(&specs) {
            if best.is_some_and(|b| b.is_compatible(spec)) {
                continue;
            }
            let default = || Partitioning::Hash { exprs: keys.to_vec(), partitions: self.shuffle_partitions };
            let partitioning = best.and_then(|b| b.create_partitioning(keys)).unwrap_or_else(default);
            let child = &children[*i];
            children[*i] = match &child.operator {
                Operator::Exchange(e) if e.partitioning == partitioning => child.clone(),
                Operator::Exchange(e) => {
                    let exchange = Exchange { partitioning, origin: e.origin };
                    SparkPlan::new(Operator::Exchange(exchange), child.children.clone())
                }
                _ => shuffle(partitioning, child.clone()),
            };
        }
    }

    /// The partitioning that the others follow: preferably of a child that need not be shuffled, with the most partitions. When all
    /// could be shuffled anew, one with fewer partitions than a new shuffle is not worth following.
    fn best<'a>(&self, specs: &'a [ShuffleSpec], shuffled: &[bool]) -> Option<&'a ShuffleSpec> {
        let can_create = |s: &ShuffleSpec| s.can_create_partitioning(self.all_keys_for_co_partition);
        let all_movable = specs.iter().zip(shuffled).all(|(s, shuffled)| *shuffled || !can_create(s));
        let candidates: Vec<(&ShuffleSpec, bool)> = specs
            .iter()
            .zip(shuffled.iter().copied())
            .filter(|(s, _)| can_create(s) && (!all_movable || s.num_partitions() >= self.shuffle_partitions))
            .collect();
        let any_in_place = candidates.iter().any(|(_, shuffled)| !shuffled);
        candidates
            .into_iter()
            .filter(|(_, shuffled)| !any_in_place || !shuffled)
            .map(|(s, _)| s)
            // The first of equals, where `max_by_key` would give the last.
            .reduce(|best, s| if s.num_partitions() > best.num_partitions() { s } else { best })
    }
}

fn is_shuffle(plan: &SparkPlan) -> bool {
    matches!(plan.operator, Operator::Exchange(_))
}

fn shuffle(partitioning: Partitioning, child: Arc<SparkPlan>) -> Arc<SparkPlan> {
    SparkPlan::new(Operator::Exchange(Exchange { partitioning, origin: ShuffleOrigin::EnsureRequirements }), vec![child])
}

/// A user's hash repartition of rows that are partitioned so already.
fn is_repeated_repartition(plan: &SparkPlan) -> bool {
    match &plan.operator {
        Operator::Exchange(Exchange {
            partitioning: p @ Partitioning::Hash { .. },
            origin: ShuffleOrigin::RepartitionByCol | ShuffleOrigin::RepartitionByNum,
        }) => plan.child().output_partitioning().flatten().contains(p),
        _ => false,
    }
}
