//! Building and walking physical plans.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Operator, SparkPlan};
use crate::base::Result;

static NEXT_PLAN_ID: AtomicU64 = AtomicU64::new(1);

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

    /// Rebuilds bottom-up.
    ///
    /// # Errors
    /// Those of `f`.
    pub fn transform_up(self: &Arc<Self>, f: &mut dyn FnMut(Arc<SparkPlan>) -> Result<Arc<SparkPlan>>) -> Result<Arc<SparkPlan>> {
        let children = self.children.iter().map(|c| c.transform_up(f)).collect::<Result<Vec<_>>>()?;
        f(self.with_children(children))
    }

    /// Calls `f` on every node, parents first.
    pub fn visit(self: &Arc<Self>, f: &mut dyn FnMut(&Arc<SparkPlan>)) {
        f(self);
        for c in &self.children {
            c.visit(f);
        }
    }
}
