//! A group of inner joins taken apart into its inputs and conjuncts, so that it can be put together in another order.

use std::collections::{BTreeSet, HashMap};

use super::support::{attribute, conjuncts, equal, filter, join, project};
use crate::base::{Attribute, ExprId};
use crate::expr::{ComparisonOp, Expr};
use crate::logical::{Join, JoinHint, JoinType, LogicalPlan};

/// A set of inputs of a group, one bit each.
pub type Mask = u64;

/// The order in which the inputs are joined.
#[derive(Debug, Clone, PartialEq)]
pub enum Tree {
    Input(usize),
    Join(Box<Tree>, Box<Tree>),
}

/// Inner joins between `inputs`, in any order.
pub struct JoinGroup {
    pub inputs: Vec<LogicalPlan>,
    /// Expressions that are all equal, each over one input; at most one per input.
    pub classes: Vec<Vec<Member>>,
    /// The other conjuncts.
    pub others: Vec<Conjunct>,
    /// The order in which the group stands now.
    pub tree: Tree,
    /// Equalities as written, for those that fit an order.
    equalities: Vec<Expr>,
    output: Vec<Attribute>,
}

/// An expression of a class and the input that it is over.
#[derive(Clone)]
pub struct Member {
    pub input: usize,
    pub expr: Expr,
}

/// A conjunct, the inputs it uses, and for equalities those of either side.
pub struct Conjunct {
    pub expr: Expr,
    pub uses: Mask,
    pub sides: Option<(Mask, Mask)>,
}

impl Tree {
    pub fn join(left: Tree, right: Tree) -> Tree {
        Tree::Join(Box::new(left), Box::new(right))
    }

    pub fn mask(&self) -> Mask {
        match self {
            Tree::Input(i) => 1 << i,
            Tree::Join(l, r) => l.mask() | r.mask(),
        }
    }
}

/// An inner join that may change its place: no hint says how to run it.
fn is_movable(j: &Join) -> bool {
    j.join_type.is_inner() && j.hint == JoinHint::default() && j.condition.as_ref().is_none_or(Expr::is_deterministic)
}

/// Takes apart the inner joins on top of `plan`; gives the plan back if there are fewer than three inputs (or more than 64).
pub fn take_apart(plan: LogicalPlan) -> Result<JoinGroup, LogicalPlan> {
    if !(3..=64).contains(&count_inputs(&plan)) {
        return Err(plan);
    }
    let output = plan.output();
    let (mut inputs, mut conditions) = (vec![], vec![]);
    let tree = flatten(plan, &mut inputs, &mut conditions);
    Ok(JoinGroup::new(inputs, conditions, tree, output))
}

/// Projects that only choose columns do not separate joins.
fn is_choice(list: &[Expr]) -> bool {
    list.iter().all(|e| matches!(e, Expr::Attribute(_)))
}

fn count_inputs(plan: &LogicalPlan) -> usize {
    stacker::maybe_grow(64 * 1024, 1024 * 1024, || match plan {
        LogicalPlan::Join(j) if is_movable(j) => count_inputs(&j.left) + count_inputs(&j.right),
        LogicalPlan::Project { list, input } if is_choice(list) && is_group(input) => count_inputs(input),
        _ => 1,
    })
}

fn is_group(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Join(j) => is_movable(j),
        LogicalPlan::Project { list, input } => is_choice(list) && is_group(input),
        _ => false,
    }
}

fn flatten(plan: LogicalPlan, inputs: &mut Vec<LogicalPlan>, conditions: &mut Vec<Expr>) -> Tree {
    match plan {
        LogicalPlan::Join(j) if is_movable(&j) => {
            let left = flatten(*j.left, inputs, conditions);
            let right = flatten(*j.right, inputs, conditions);
            conditions.extend(conjuncts(j.condition));
            Tree::join(left, right)
        }
        LogicalPlan::Project { list, input } if is_choice(&list) && is_group(&input) => flatten(*input, inputs, conditions),
        other => {
            inputs.push(other);
            Tree::Input(inputs.len() - 1)
        }
    }
}

impl JoinGroup {
    fn new(inputs: Vec<LogicalPlan>, conditions: Vec<Expr>, tree: Tree, output: Vec<Attribute>) -> Self {
        let ids: Vec<BTreeSet<ExprId>> = inputs.iter().map(LogicalPlan::output_set).collect();
        let owner: HashMap<ExprId, usize> = ids.iter().enumerate().flat_map(|(i, ids)| ids.iter().map(move |id| (*id, i))).collect();
        let uses = |e: &Expr| e.references().iter().filter_map(|id| owner.get(id)).fold(0, |m: Mask, i| m | 1 << i);
        let mut group = Self { inputs, classes: vec![], others: vec![], tree, equalities: vec![], output };
        let mut local: Vec<(usize, Expr)> = vec![];
        for expr in conditions {
            let sides = match &expr {
                Expr::Comparison { op: ComparisonOp::Equal | ComparisonOp::EqualNullSafe, left, right } => Some((uses(left), uses(right))),
                _ => None,
            };
            match (&expr, sides) {
                (Expr::Comparison { op: ComparisonOp::Equal, left, right }, Some((l, r)))
                    if l.count_ones() == 1 && r.count_ones() == 1 && l != r =>
                {
                    let member = |mask: Mask, e: &Expr| Member { input: mask.trailing_zeros() as usize, expr: e.clone() };
                    group.equate(member(l, left), member(r, right), &mut local);
                    group.equalities.push(expr);
                }
                _ => {
                    let used = uses(&expr);
                    if used.count_ones() == 1 {
                        local.push((used.trailing_zeros() as usize, expr));
                    } else {
                        let all = group.all();
                        group.others.push(Conjunct { uses: if used == 0 { all } else { used }, expr, sides });
                    }
                }
            }
        }
        for (i, condition) in local {
            let input = std::mem::replace(&mut group.inputs[i], LogicalPlan::OneRowRelation);
            group.inputs[i] = filter(vec![condition], input);
        }
        group
    }

    /// Joins the classes of both; two members over one input become an equality within it.
    fn equate(&mut self, left: Member, right: Member, local: &mut Vec<(usize, Expr)>) {
        let mut merged: Vec<Member> = vec![];
        let mut add = |m: Member| match merged.iter().find(|n| n.input == m.input) {
            Some(n) if n.expr == m.expr => {}
            Some(n) => {
                let condition = equal(n.expr.clone(), m.expr);
                if !local.iter().any(|(_, c)| *c == condition) {
                    local.push((m.input, condition));
                }
            }
            None => merged.push(m),
        };
        let related = |class: &Vec<Member>| class.iter().any(|m| m.expr == left.expr || m.expr == right.expr);
        let (joined, apart): (Vec<_>, Vec<_>) = std::mem::take(&mut self.classes).into_iter().partition(related);
        for m in joined.into_iter().flatten().chain([left, right]) {
            add(m);
        }
        self.classes = apart;
        self.classes.push(merged);
    }

    pub fn all(&self) -> Mask {
        Mask::MAX >> (64 - self.inputs.len())
    }

    /// Whether an equality links the two sets.
    pub fn connected(&self, left: Mask, right: Mask) -> bool {
        self.classes.iter().any(|class| {
            let mask = class.iter().fold(0, |m, member| m | 1 << member.input);
            mask & left != 0 && mask & right != 0
        }) || self.others.iter().any(|c| {
            c.sides.is_some_and(|(l, r)| {
                let fits = |l: Mask, r: Mask| l != 0 && r != 0 && l & left == l && r & right == r;
                fits(l, r) || fits(r, l)
            })
        })
    }

    /// The other conjuncts that can be judged once both sets are joined, and not before.
    pub fn newly_applicable(&self, left: Mask, right: Mask) -> impl Iterator<Item = &Conjunct> {
        let both = left | right;
        self.others.iter().filter(move |c| c.uses & both == c.uses && c.uses & left != c.uses && c.uses & right != c.uses)
    }

    /// The members of the classes that have one on either side, as (left, right).
    pub fn shared(&self, left: Mask, right: Mask) -> Vec<(Vec<&Member>, Vec<&Member>)> {
        let within = |class: &'_ [Member], mask: Mask| -> Vec<usize> {
            class.iter().enumerate().filter(|(_, m)| mask & (1 << m.input) != 0).map(|(i, _)| i).collect()
        };
        self.classes
            .iter()
            .filter_map(|class| {
                let (l, r) = (within(class, left), within(class, right));
                (!l.is_empty() && !r.is_empty())
                    .then(|| (l.into_iter().map(|i| &class[i]).collect(), r.into_iter().map(|i| &class[i]).collect()))
            })
            .collect()
    }

    fn condition(&self, left: Mask, right: Mask) -> Vec<Expr> {
        let mut out = vec![];
        for (l, r) in self.shared(left, right) {
            let is = |members: &[&Member], e: &Expr| members.iter().any(|m| m.expr == *e);
            let written = self
                .equalities
                .iter()
                .find(|e| matches!(e, Expr::Comparison { left: a, right: b, .. } if (is(&l, a) && is(&r, b)) || (is(&l, b) && is(&r, a))));
            out.push(written.cloned().unwrap_or_else(|| equal(l[0].expr.clone(), r[0].expr.clone())));
        }
        out.extend(self.newly_applicable(left, right).map(|c| c.expr.clone()));
        out
    }

    /// The group joined in this order, with the output it had.
    pub fn build(mut self, tree: &Tree) -> LogicalPlan {
        let mut inputs: Vec<Option<LogicalPlan>> = std::mem::take(&mut self.inputs).into_iter().map(Some).collect();
        let plan = self.build_tree(tree, &mut inputs);
        if plan.output() == self.output { plan } else { project(self.output.iter().map(attribute).collect(), plan) }
    }

    fn build_tree(&self, tree: &Tree, inputs: &mut [Option<LogicalPlan>]) -> LogicalPlan {
        match tree {
            Tree::Input(i) => inputs[*i].take().unwrap_or(LogicalPlan::OneRowRelation),
            Tree::Join(l, r) => {
                let condition = self.condition(l.mask(), r.mask());
                let join_type = if condition.is_empty() { JoinType::Cross } else { JoinType::Inner };
                let (left, right) = (self.build_tree(l, inputs), self.build_tree(r, inputs));
                join(left, right, join_type, condition)
            }
        }
    }
}
