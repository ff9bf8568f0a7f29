//! Building and walking physical plans, and the planning face of every node.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::properties::{Distribution, Partitioning, ProvidedOrder, project_ordering};
use super::{Operator, SparkPlan, join};
use crate::base::{Attribute, Result};
use crate::expr::traverse::map_orders;
use crate::expr::{Expr, SortOrder};

static NEXT_PLAN_ID: AtomicU64 = AtomicU64::new(1);

/// Runs `f` with enough stack for one more level of a plan, however deep its user has nested it.
pub fn deep<T>(f: impl FnOnce() -> T) -> T {
    stacker::maybe_grow(64 * 1024, 1024 * 1024, f)
}

/// How many children an operator has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    Leaf,
    Unary,
    Binary,
    Many,
}

impl Shape {
    /// Whether so many children are right.
    pub fn admits(self, children: usize) -> bool {
        match self {
            Shape::Leaf => children == 0,
            Shape::Unary => children == 1,
            Shape::Binary => children == 2,
            Shape::Many => children > 0,
        }
    }
}

impl SparkPlan {
    /// A node with a fresh id.
    pub fn new(operator: Operator, children: Vec<Arc<SparkPlan>>) -> Arc<Self> {
        Arc::new(Self { id: NEXT_PLAN_ID.fetch_add(1, Ordering::Relaxed), operator, children })
    }

    /// The same operator (under a fresh id) over other children; the node itself when they are the same objects.
    pub fn with_children(self: &Arc<Self>, children: Vec<Arc<SparkPlan>>) -> Arc<Self> {
        if children.len() == self.children.len() && children.iter().zip(&self.children).all(|(a, b)| Arc::ptr_eq(a, b)) {
            return self.clone();
        }
        Self::new(self.operator.clone(), children)
    }

    /// The only child of a unary operator.
    pub fn child(&self) -> &Arc<SparkPlan> {
        &self.children[0]
    }

    /// The first child of a binary operator.
    pub fn left(&self) -> &Arc<SparkPlan> {
        &self.children[0]
    }

    /// The second child of a binary operator.
    pub fn right(&self) -> &Arc<SparkPlan> {
        &self.children[1]
    }

    /// How many children the operator has; `Union` has as many as it is given.
    pub fn shape(&self) -> Shape {
        match &self.operator {
            Operator::FileScan(_)
            | Operator::InMemoryTableScan(_)
            | Operator::LocalTableScan(_)
            | Operator::OneRowScan
            | Operator::Range(_) => Shape::Leaf,
            Operator::BroadcastHashJoin(_)
            | Operator::ShuffledHashJoin(_)
            | Operator::SortMergeJoin(_)
            | Operator::BroadcastNestedLoopJoin(_)
            | Operator::CartesianProduct(_) => Shape::Binary,
            Operator::Union(_) => Shape::Many,
            Operator::Filter(_)
            | Operator::Project(_)
            | Operator::Aggregate(_)
            | Operator::Sort(_)
            | Operator::TakeOrderedAndProject(_)
            | Operator::CollectLimit(_)
            | Operator::LocalLimit(_)
            | Operator::GlobalLimit(_)
            | Operator::Exchange(_)
            | Operator::BroadcastExchange(_)
            | Operator::ReusedExchange(_)
            | Operator::Expand(_)
            | Operator::Generate(_)
            | Operator::Window(_)
            | Operator::WindowGroupLimit(_)
            | Operator::Sample(_)
            | Operator::Coalesce(_)
            | Operator::WholeStageCodegen(_)
            | Operator::InputAdapter => Shape::Unary,
        }
    }

    /// Rebuilds bottom-up.
    ///
    /// # Errors
    /// Those of `f`.
    pub fn transform_up(self: &Arc<Self>, f: &mut dyn FnMut(Arc<SparkPlan>) -> Result<Arc<SparkPlan>>) -> Result<Arc<SparkPlan>> {
        deep(|| {
            let children = self.children.iter().map(|c| c.transform_up(f)).collect::<Result<Vec<_>>>()?;
            f(self.with_children(children))
        })
    }

    /// Calls `f` on every node, parents first.
    pub fn visit(self: &Arc<Self>, f: &mut dyn FnMut(&Arc<SparkPlan>)) {
        deep(|| {
            f(self);
            for c in &self.children {
                c.visit(f);
            }
        })
    }

    /// Spark's node name: `HashAggregate`, `Exchange`.
    pub fn name(&self) -> &'static str {
        match &self.operator {
            Operator::FileScan(_) => "FileScan",
            Operator::InMemoryTableScan(_) => "InMemoryTableScan",
            Operator::LocalTableScan(_) => "LocalTableScan",
            Operator::OneRowScan => "Scan OneRowRelation",
            Operator::Range(_) => "Range",
            Operator::Filter(_) => "Filter",
            Operator::Project(_) => "Project",
            Operator::Aggregate(a) => a.name(),
            Operator::Sort(_) => "Sort",
            Operator::TakeOrderedAndProject(_) => "TakeOrderedAndProject",
            Operator::CollectLimit(_) => "CollectLimit",
            Operator::LocalLimit(_) => "LocalLimit",
            Operator::GlobalLimit(_) => "GlobalLimit",
            Operator::Exchange(_) => "Exchange",
            Operator::BroadcastExchange(_) => "BroadcastExchange",
            Operator::ReusedExchange(_) => "ReusedExchange",
            Operator::BroadcastHashJoin(_) => "BroadcastHashJoin",
            Operator::ShuffledHashJoin(_) => "ShuffledHashJoin",
            Operator::SortMergeJoin(_) => "SortMergeJoin",
            Operator::BroadcastNestedLoopJoin(_) => "BroadcastNestedLoopJoin",
            Operator::CartesianProduct(_) => "CartesianProduct",
            Operator::Union(_) => "Union",
            Operator::Expand(_) => "Expand",
            Operator::Generate(_) => "Generate",
            Operator::Window(_) => "Window",
            Operator::WindowGroupLimit(_) => "WindowGroupLimit",
            Operator::Sample(_) => "Sample",
            Operator::Coalesce(_) => "Coalesce",
            Operator::WholeStageCodegen(_) => "WholeStageCodegen",
            Operator::InputAdapter => "InputAdapter",
        }
    }

    /// The columns of the result, in order.
    pub fn output(&self) -> Vec<Attribute> {
        deep(|| match &self.operator {
            Operator::FileScan(s) => s.output.clone(),
            Operator::InMemoryTableScan(s) => s.output.clone(),
            Operator::LocalTableScan(s) => s.output.clone(),
            Operator::OneRowScan => vec![],
            Operator::Range(r) => vec![r.output.clone()],
            Operator::Project(p) => p.output(),
            Operator::Aggregate(a) => a.output(),
            Operator::TakeOrderedAndProject(t) => t.output(),
            Operator::ReusedExchange(r) => r.output.clone(),
            Operator::BroadcastHashJoin(j) | Operator::ShuffledHashJoin(j) => join::output(&j.join_type, &self.children),
            Operator::SortMergeJoin(j) => join::output(&j.join_type, &self.children),
            Operator::BroadcastNestedLoopJoin(j) | Operator::CartesianProduct(j) => join::output(&j.join_type, &self.children),
            Operator::Union(u) => u.output.clone(),
            Operator::Expand(e) => e.output.clone(),
            Operator::Generate(g) => g.output(),
            Operator::Window(w) => w.output(self.child()),
            Operator::Filter(_)
            | Operator::WindowGroupLimit(_)
            | Operator::Sort(_)
            | Operator::CollectLimit(_)
            | Operator::LocalLimit(_)
            | Operator::GlobalLimit(_)
            | Operator::Exchange(_)
            | Operator::BroadcastExchange(_)
            | Operator::Sample(_)
            | Operator::Coalesce(_)
            | Operator::WholeStageCodegen(_)
            | Operator::InputAdapter => self.child().output(),
        })
    }

    /// The expressions that the node evaluates, over the columns of its children (of an aggregate's results: over keys and calls).
    pub fn expressions(&self) -> Vec<&Expr> {
        match &self.operator {
            Operator::FileScan(s) => s.partition_filters.iter().chain(&s.data_filters).collect(),
            Operator::InMemoryTableScan(s) => s.filters.iter().collect(),
            Operator::Filter(f) => vec![&f.condition],
            Operator::Project(p) => p.list.iter().collect(),
            Operator::Aggregate(a) => a.expressions(),
            Operator::Sort(s) => s.order.iter().map(|o| &o.expr).collect(),
            Operator::TakeOrderedAndProject(t) => t.expressions(),
            Operator::Exchange(e) => e.partitioning.expressions(),
            Operator::BroadcastExchange(b) => b.mode.keys().iter().collect(),
            Operator::BroadcastHashJoin(j) | Operator::ShuffledHashJoin(j) => j.expressions(),
            Operator::SortMergeJoin(j) => j.expressions(),
            Operator::BroadcastNestedLoopJoin(j) | Operator::CartesianProduct(j) => j.condition.iter().collect(),
            Operator::Expand(e) => e.projections.iter().flatten().collect(),
            Operator::Generate(g) => vec![&g.generator],
            Operator::Window(w) => w.expressions(),
            Operator::WindowGroupLimit(w) => w.group.expressions(),
            Operator::LocalTableScan(_)
            | Operator::OneRowScan
            | Operator::Range(_)
            | Operator::CollectLimit(_)
            | Operator::LocalLimit(_)
            | Operator::GlobalLimit(_)
            | Operator::ReusedExchange(_)
            | Operator::Union(_)
            | Operator::Sample(_)
            | Operator::Coalesce(_)
            | Operator::WholeStageCodegen(_)
            | Operator::InputAdapter => vec![],
        }
    }

    /// What is guaranteed about the rows across partitions.
    pub fn output_partitioning(&self) -> Partitioning {
        deep(|| match &self.operator {
            Operator::FileScan(s) => s.output_partitioning(),
            Operator::LocalTableScan(_) | Operator::Expand(_) | Operator::CartesianProduct(_) => Partitioning::Unknown(0),
            Operator::Union(u) => u.output_partitioning(&self.children),
            Operator::OneRowScan | Operator::TakeOrderedAndProject(_) | Operator::CollectLimit(_) => Partitioning::Single,
            Operator::InMemoryTableScan(s) => s.output_partitioning(),
            Operator::Range(r) => r.output_partitioning(),
            Operator::Project(p) => self.child().output_partitioning().project(&p.list),
            Operator::Aggregate(a) => a.output_partitioning(self.child()),
            Operator::Exchange(e) => e.partitioning.clone(),
            Operator::BroadcastExchange(b) => Partitioning::Broadcast(b.mode.clone()),
            Operator::ReusedExchange(r) => self.child().output_partitioning().renamed(&self.child().output(), &r.output),
            Operator::BroadcastHashJoin(j) => j.broadcast_partitioning(&self.children),
            Operator::ShuffledHashJoin(j) => join::shuffled_partitioning(&j.join_type, &self.children),
            Operator::SortMergeJoin(j) => join::shuffled_partitioning(&j.join_type, &self.children),
            Operator::BroadcastNestedLoopJoin(j) => j.output_partitioning(&self.children),
            Operator::Coalesce(c) if c.partitions == 1 => Partitioning::Single,
            Operator::Coalesce(c) => Partitioning::Unknown(c.partitions),
            Operator::Filter(_)
            | Operator::Sort(_)
            | Operator::LocalLimit(_)
            | Operator::GlobalLimit(_)
            | Operator::Generate(_)
            | Operator::Window(_)
            | Operator::WindowGroupLimit(_)
            | Operator::Sample(_)
            | Operator::WholeStageCodegen(_)
            | Operator::InputAdapter => self.child().output_partitioning(),
        })
    }

    /// What is guaranteed about the order of rows within each partition.
    pub fn output_ordering(&self) -> Vec<ProvidedOrder> {
        deep(|| match &self.operator {
            Operator::InMemoryTableScan(s) => s.output_ordering(),
            Operator::Range(r) => r.output_ordering(),
            Operator::Project(p) => project_ordering(self.child().output_ordering(), &p.list),
            Operator::Aggregate(a) => a.output_ordering(),
            Operator::Sort(s) => s.order.iter().cloned().map(ProvidedOrder::from).collect(),
            Operator::TakeOrderedAndProject(t) => t.output_ordering(),
            Operator::BroadcastHashJoin(j) | Operator::ShuffledHashJoin(j) => j.output_ordering(&self.children),
            Operator::SortMergeJoin(j) => j.output_ordering(&self.children),
            Operator::BroadcastNestedLoopJoin(j) => j.output_ordering(&self.children),
            Operator::Filter(_)
            | Operator::CollectLimit(_)
            | Operator::LocalLimit(_)
            | Operator::GlobalLimit(_)
            | Operator::Window(_)
            | Operator::WindowGroupLimit(_)
            | Operator::WholeStageCodegen(_)
            | Operator::InputAdapter => self.child().output_ordering(),
            Operator::FileScan(s) => s.output_ordering(),
            Operator::LocalTableScan(_)
            | Operator::OneRowScan
            | Operator::Exchange(_)
            | Operator::BroadcastExchange(_)
            | Operator::ReusedExchange(_)
            | Operator::CartesianProduct(_)
            | Operator::Union(_)
            | Operator::Expand(_)
            | Operator::Generate(_)
            | Operator::Sample(_)
            | Operator::Coalesce(_) => vec![],
        })
    }

    /// What is required of each child across partitions. Where several children are required to be clustered, equal partition
    /// numbers hold matching rows.
    pub fn required_child_distribution(&self) -> Vec<Distribution> {
        match &self.operator {
            Operator::Aggregate(a) => vec![a.required_distribution()],
            Operator::Sort(s) => vec![s.required_distribution()],
            Operator::GlobalLimit(_) => vec![Distribution::AllTuples],
            Operator::BroadcastHashJoin(j) => j.broadcast_distribution(),
            Operator::ShuffledHashJoin(j) => join::shuffled_distribution(&j.left_keys, &j.right_keys),
            Operator::SortMergeJoin(j) => j.required_distribution(),
            Operator::BroadcastNestedLoopJoin(j) => j.required_distribution(),
            Operator::Window(w) => vec![w.required_distribution()],
            Operator::WindowGroupLimit(w) => vec![w.required_distribution()],
            Operator::FileScan(_)
            | Operator::InMemoryTableScan(_)
            | Operator::LocalTableScan(_)
            | Operator::OneRowScan
            | Operator::Range(_)
            | Operator::Filter(_)
            | Operator::Project(_)
            | Operator::TakeOrderedAndProject(_)
            | Operator::CollectLimit(_)
            | Operator::LocalLimit(_)
            | Operator::Exchange(_)
            | Operator::BroadcastExchange(_)
            | Operator::ReusedExchange(_)
            | Operator::CartesianProduct(_)
            | Operator::Union(_)
            | Operator::Expand(_)
            | Operator::Generate(_)
            | Operator::Sample(_)
            | Operator::Coalesce(_)
            | Operator::WholeStageCodegen(_)
            | Operator::InputAdapter => vec![Distribution::Unspecified; self.children.len()],
        }
    }

    /// In which order each child's rows must come, within a partition.
    pub fn required_child_ordering(&self) -> Vec<Vec<SortOrder>> {
        match &self.operator {
            Operator::Aggregate(a) => vec![a.required_ordering()],
            Operator::SortMergeJoin(j) => j.required_ordering(),
            Operator::Window(w) => vec![w.required_ordering()],
            Operator::WindowGroupLimit(w) => vec![w.required_ordering()],
            Operator::FileScan(_)
            | Operator::InMemoryTableScan(_)
            | Operator::LocalTableScan(_)
            | Operator::OneRowScan
            | Operator::Range(_)
            | Operator::Filter(_)
            | Operator::Project(_)
            | Operator::Sort(_)
            | Operator::TakeOrderedAndProject(_)
            | Operator::CollectLimit(_)
            | Operator::LocalLimit(_)
            | Operator::GlobalLimit(_)
            | Operator::Exchange(_)
            | Operator::BroadcastExchange(_)
            | Operator::ReusedExchange(_)
            | Operator::BroadcastHashJoin(_)
            | Operator::ShuffledHashJoin(_)
            | Operator::BroadcastNestedLoopJoin(_)
            | Operator::CartesianProduct(_)
            | Operator::Union(_)
            | Operator::Expand(_)
            | Operator::Generate(_)
            | Operator::Sample(_)
            | Operator::Coalesce(_)
            | Operator::WholeStageCodegen(_)
            | Operator::InputAdapter => vec![vec![]; self.children.len()],
        }
    }
}

impl Operator {
    /// The same operator with `f` applied to each of its expressions (roots only; use `Expr::transform_up` inside).
    ///
    /// # Errors
    /// Those of `f`.
    pub fn map_expressions(self, f: &mut dyn FnMut(Expr) -> Result<Expr>) -> Result<Self> {
        Ok(match self {
            Operator::FileScan(s) => Operator::FileScan(super::FileScan {
                partition_filters: map_list(s.partition_filters, f)?,
                data_filters: map_list(s.data_filters, f)?,
                ..s
            }),
            Operator::InMemoryTableScan(s) => {
                Operator::InMemoryTableScan(super::InMemoryTableScan { filters: map_list(s.filters, f)?, ..s })
            }
            Operator::Filter(x) => Operator::Filter(super::Filter { condition: f(x.condition)? }),
            Operator::Project(p) => Operator::Project(super::Project { list: map_list(p.list, f)? }),
            Operator::Aggregate(a) => Operator::Aggregate(a.map_expressions(f)?),
            Operator::Sort(s) => Operator::Sort(super::Sort { order: map_orders(s.order, f)?, ..s }),
            Operator::TakeOrderedAndProject(t) => Operator::TakeOrderedAndProject(t.map_expressions(f)?),
            Operator::Exchange(e) => {
                Operator::Exchange(super::Exchange { partitioning: e.partitioning.map_expressions(f)?, origin: e.origin })
            }
            Operator::BroadcastExchange(b) => Operator::BroadcastExchange(super::BroadcastExchange { mode: b.mode.map_expressions(f)? }),
            Operator::BroadcastHashJoin(j) => Operator::BroadcastHashJoin(j.map_expressions(f)?),
            Operator::ShuffledHashJoin(j) => Operator::ShuffledHashJoin(j.map_expressions(f)?),
            Operator::SortMergeJoin(j) => Operator::SortMergeJoin(j.map_expressions(f)?),
            Operator::BroadcastNestedLoopJoin(j) => {
                Operator::BroadcastNestedLoopJoin(super::NestedLoopJoin { condition: j.condition.map(f).transpose()?, ..j })
            }
            Operator::CartesianProduct(j) => {
                Operator::CartesianProduct(super::NestedLoopJoin { condition: j.condition.map(f).transpose()?, ..j })
            }
            Operator::Expand(e) => Operator::Expand(super::Expand {
                projections: e.projections.into_iter().map(|p| map_list(p, f)).collect::<Result<_>>()?,
                output: e.output,
            }),
            Operator::Generate(g) => Operator::Generate(super::Generate { generator: f(g.generator)?, ..g }),
            Operator::Window(w) => Operator::Window(w.map_expressions(f)?),
            Operator::WindowGroupLimit(w) => {
                Operator::WindowGroupLimit(super::WindowGroupLimit { group: w.group.map_expressions(f)?, phase: w.phase })
            }
            same @ (Operator::LocalTableScan(_)
            | Operator::OneRowScan
            | Operator::Range(_)
            | Operator::CollectLimit(_)
            | Operator::LocalLimit(_)
            | Operator::GlobalLimit(_)
            | Operator::ReusedExchange(_)
            | Operator::Union(_)
            | Operator::Sample(_)
            | Operator::Coalesce(_)
            | Operator::WholeStageCodegen(_)
            | Operator::InputAdapter) => same,
        })
    }
}

/// `f` over a list of expressions.
///
/// # Errors
/// Those of `f`.
pub fn map_list(list: Vec<Expr>, f: &mut dyn FnMut(Expr) -> Result<Expr>) -> Result<Vec<Expr>> {
    list.into_iter().map(f).collect()
}
