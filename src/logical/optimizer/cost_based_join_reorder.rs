//! CostBasedJoinReorder: the order of inner joins with the smallest intermediate results.
//!
//! Dynamic programming over sets of inputs (P. Selinger et al., "Access Path Selection", SIGMOD 1979, but bushy trees too) up to
//! [`MAX_EXHAUSTIVE`] inputs, beyond that greedily the pair with the smallest result (L. Fegaras, "A New Heuristic for Optimizing
//! Large Queries", DEXA 1998). Cost of a join: the rows it gives and the rows of its smaller side, from which a table is built.
//! Sets without a linking equality are joined last. Joins with hints stay where they are.

use std::collections::HashMap;

use super::join_group::{JoinGroup, Mask, Member, Tree, take_apart};
use crate::base::settings::CBO_JOIN_REORDER;
use crate::base::{Result, Settings};
use crate::expr::Expr;
use crate::logical::LogicalPlan;
use crate::logical::statistics::{EquiJoin, KeyColumn, Statistics, estimate, key_column, selectivity_over_both};

/// 3^10 pairs of sets are looked at within a millisecond.
const MAX_EXHAUSTIVE: usize = 10;

pub fn apply(plan: LogicalPlan, settings: &Settings) -> Result<LogicalPlan> {
    if settings.bool(&CBO_JOIN_REORDER) { reorder(plan) } else { Ok(plan) }
}

fn reorder(plan: LogicalPlan) -> Result<LogicalPlan> {
    stacker::maybe_grow(64 * 1024, 1024 * 1024, || match take_apart(plan.clone()) {
        Ok(mut group) => {
            let inputs = std::mem::take(&mut group.inputs);
            group.inputs = inputs.into_iter().map(reorder).collect::<Result<_>>()?;
            let mut model = Model::new(&group);
            let best = if group.inputs.len() <= MAX_EXHAUSTIVE { model.exhaustive() } else { model.greedy() };
            // The order as written wins a tie, so that the rule changes nothing without a reason.
            if model.cost(&best) < model.cost(&group.tree) * (1.0 - 1e-9) {
                return Ok(group.build(&best));
            }
            plan.map_children(&mut |c| reorder_below(c))
        }
        Err(plan) => plan.map_children(&mut reorder),
    })
}

/// Below the top of a group that stays as it is: only what lies under its joins.
fn reorder_below(plan: LogicalPlan) -> Result<LogicalPlan> {
    stacker::maybe_grow(64 * 1024, 1024 * 1024, || match &plan {
        LogicalPlan::Join(j) if j.join_type.is_inner() => plan.map_children(&mut reorder_below),
        LogicalPlan::Project { list, .. } if list.iter().all(|e| matches!(e, Expr::Attribute(_))) => plan.map_children(&mut reorder_below),
        _ => reorder(plan),
    })
}

/// Estimates for sets of inputs.
struct Model<'a> {
    group: &'a JoinGroup,
    inputs: Vec<Statistics>,
    rows: HashMap<Mask, f64>,
}

impl<'a> Model<'a> {
    fn new(group: &'a JoinGroup) -> Self {
        let inputs: Vec<Statistics> = group.inputs.iter().map(estimate).collect();
        let rows = inputs.iter().enumerate().map(|(i, s)| (1 << i, s.rows().max(1.0))).collect();
        Self { group, inputs, rows }
    }

    /// Rows of both sets joined; whatever pair of sets makes up a set first decides for it.
    fn joined_rows(&mut self, left: Mask, right: Mask) -> f64 {
        if let Some(rows) = self.rows.get(&(left | right)) {
            return *rows;
        }
        let rows_of = |mask: Mask| self.rows.get(&mask).copied().unwrap_or(1.0);
        let mut rows = rows_of(left) * rows_of(right);
        let pairs: Vec<(KeyColumn, KeyColumn)> =
            self.group.shared(left, right).into_iter().filter_map(|(l, r)| Some((self.narrowest(&l)?, self.narrowest(&r)?))).collect();
        if !pairs.is_empty() {
            rows *= EquiJoin::new(&pairs).selectivity();
        }
        for c in self.group.newly_applicable(left, right) {
            rows *= selectivity_over_both(&c.expr);
        }
        let rows = rows.max(1.0);
        self.rows.insert(left | right, rows);
        rows
    }

    /// Of equal columns, the one with the fewest values speaks for its side.
    fn narrowest(&self, members: &[&Member]) -> Option<KeyColumn> {
        members.iter().map(|m| key_column(&self.inputs[m.input], &m.expr)).min_by(|a, b| a.distinct.total_cmp(&b.distinct))
    }

    /// Cost of joining two sets that are there already.
    fn step(&mut self, left: Mask, right: Mask) -> f64 {
        let out = self.joined_rows(left, right);
        let rows_of = |mask: Mask| self.rows.get(&mask).copied().unwrap_or(1.0);
        // A product is no better than a join because a later condition shrinks it: it pairs every row with every row.
        let product = if self.group.connected(left, right) { 0.0 } else { rows_of(left) * rows_of(right) };
        out + rows_of(left).min(rows_of(right)) + product
    }

    fn cost(&mut self, tree: &Tree) -> f64 {
        match tree {
            Tree::Input(_) => 0.0,
            Tree::Join(l, r) => self.cost(l) + self.cost(r) + self.step(l.mask(), r.mask()),
        }
    }

    /// The larger side first: the smaller one is built from.
    fn oriented(&self, left: Tree, right: Tree) -> Tree {
        let rows = |t: &Tree| self.rows.get(&t.mask()).copied().unwrap_or(1.0);
        if rows(&right) > rows(&left) { Tree::join(right, left) } else { Tree::join(left, right) }
    }

    fn exhaustive(&mut self) -> Tree {
        let n = self.group.inputs.len();
        let all = self.group.all();
        // For each set: cost and left part of its best join, where equalities link it.
        let mut best: Vec<Option<(f64, Mask)>> = vec![None; 1 << n];
        for mask in 1..=all {
            if mask.count_ones() == 1 {
                best[mask as usize] = Some((0.0, 0));
                continue;
            }
            let lowest = mask & mask.wrapping_neg();
            let mut left = (mask - 1) & mask;
            while left > 0 {
                let right = mask ^ left;
                // Each pair once: the part with the lowest input is the left one.
                if left & lowest != 0
                    && let (Some((l, _)), Some((r, _))) = (best[left as usize], best[right as usize])
                    && self.group.connected(left, right)
                {
                    let cost = l + r + self.step(left, right);
                    if best[mask as usize].is_none_or(|(c, _)| cost < c) {
                        best[mask as usize] = Some((cost, left));
                    }
                }
                left = (left - 1) & mask;
            }
        }
        let mut rest = all;
        let mut parts = vec![];
        while rest != 0 {
            let component = self.component(rest & rest.wrapping_neg(), rest);
            parts.push(self.tree_of(component, &best));
            rest &= !component;
        }
        self.join_smallest_first(parts)
    }

    /// All inputs of `within` that equalities link to `start`, directly or by way of others.
    fn component(&self, start: Mask, within: Mask) -> Mask {
        let mut reached = start;
        loop {
            let next = (0..self.group.inputs.len())
                .map(|i| 1 << i)
                .filter(|bit| within & bit != 0 && reached & bit == 0 && self.group.connected(reached, *bit))
                .fold(reached, |m, bit| m | bit);
            if next == reached {
                return reached;
            }
            reached = next;
        }
    }

    fn tree_of(&self, mask: Mask, best: &[Option<(f64, Mask)>]) -> Tree {
        match best[mask as usize] {
            Some((_, left)) if left != 0 => self.oriented(self.tree_of(left, best), self.tree_of(mask ^ left, best)),
            _ if mask.count_ones() == 1 => Tree::Input(mask.trailing_zeros() as usize),
            // Linked only by conditions over more than two inputs: in the order written.
            _ => {
                let mut inputs = (0..self.group.inputs.len()).filter(|i| mask & (1 << i) != 0).map(Tree::Input);
                let first = inputs.next().unwrap_or(Tree::Input(0));
                inputs.fold(first, Tree::join)
            }
        }
    }

    fn greedy(&mut self) -> Tree {
        self.join_smallest_first((0..self.group.inputs.len()).map(Tree::Input).collect())
    }

    /// Joins the linked pair with the smallest result, again and again; products only when no pair is linked.
    fn join_smallest_first(&mut self, mut parts: Vec<Tree>) -> Tree {
        while parts.len() > 1 {
            let mut best: Option<(bool, f64, usize, usize)> = None;
            for i in 0..parts.len() {
                for j in i + 1..parts.len() {
                    let (l, r) = (parts[i].mask(), parts[j].mask());
                    let (apart, rows) = (!self.group.connected(l, r), self.joined_rows(l, r));
                    if best.is_none_or(|(a, n, ..)| (apart, rows) < (a, n)) {
                        best = Some((apart, rows, i, j));
                    }
                }
            }
            let Some((_, _, i, j)) = best else { break };
            let right = parts.remove(j);
            let left = parts.remove(i);
            let joined = self.oriented(left, right);
            parts.push(joined);
        }
        parts.pop().unwrap_or(Tree::Input(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logical::JoinHintStrategy;
    use crate::logical::optimizer::testing::*;

    /// fact(a, b) with a million rows, two small tables; `fact JOIN wide JOIN narrow` where narrow filters much more.
    fn star() -> (LogicalPlan, LogicalPlan, LogicalPlan) {
        (keyed_table("fact", 1_000_000, 1000), keyed_table("wide", 1000, 1000), keyed_table("narrow", 1000, 1000))
    }

    #[test]
    fn joins_the_selective_table_first() {
        let (fact, wide, narrow) = star();
        let one = filtered(narrow.clone(), equals(column(&narrow, "c"), int(7)));
        let first = inner_join(fact.clone(), wide.clone(), equals(column(&fact, "a"), column(&wide, "a")));
        let plan = inner_join(first, one, equals(column(&fact, "b"), column(&narrow, "a")));
        let after = applied(apply, plan.clone());
        assert_eq!(plan.output(), after.output());
        let order: Vec<_> = leaves(&after).iter().map(|l| relation_name(l)).collect();
        assert_eq!(order, ["fact", "narrow", "wide"], "{after:?}");
    }

    #[test]
    fn respects_hints_and_the_setting() {
        let (fact, wide, narrow) = star();
        let one = filtered(narrow.clone(), equals(column(&narrow, "c"), int(7)));
        let mut first = inner_join(fact.clone(), wide.clone(), equals(column(&fact, "a"), column(&wide, "a")));
        let on = equals(column(&fact, "b"), column(&narrow, "a"));
        let plain = inner_join(first.clone(), one.clone(), on.clone());
        let mut off = Settings::new();
        off.set("sql.cbo.joinReorder.enabled", "false").unwrap();
        assert_eq!(apply(plain.clone(), &off).unwrap(), plain);
        if let LogicalPlan::Join(j) = &mut first {
            j.hint.right = Some(JoinHintStrategy::Broadcast);
        }
        assert_unchanged(apply, &inner_join(first, one, on));
    }

    #[test]
    fn many_inputs_are_joined_greedily() {
        let tables: Vec<_> = (0..14).map(|i| keyed_table(&format!("t{i}"), 100 + i, 1000)).collect();
        let mut plan = tables[0].clone();
        for t in &tables[1..] {
            plan = inner_join(plan, t.clone(), equals(column(&tables[0], "a"), column(t, "a")));
        }
        let after = applied(apply, plan.clone());
        assert_eq!(plan.output(), after.output());
        assert!(joins(&after).iter().all(|j| j.condition.is_some()));
    }
}
