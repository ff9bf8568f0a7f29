//! Walking and rebuilding expressions: the one place that knows every variant's children.

use std::collections::BTreeSet;

use super::{AggregateExpr, Expr, Pruning, SortOrder, SubqueryId, WindowExpr, WindowFunction};
use crate::base::{Attribute, Error, ExprId, Result};

impl Expr {
    /// Direct children, in evaluation order.
    pub fn children(&self) -> Vec<&Expr> {
        match self {
            Expr::Literal(_) | Expr::Attribute(_) | Expr::Column { .. } | Expr::ScalarSubquery { .. } | Expr::LambdaVariable(_) => vec![],
            Expr::Lambda { body, .. } => vec![body],
            Expr::Alias { expr, .. } | Expr::Cast { expr, .. } => vec![expr],
            Expr::Negate(e) | Expr::Not(e) | Expr::IsNull(e) | Expr::IsNotNull(e) => vec![e],
            Expr::Arithmetic { left, right, .. } | Expr::Comparison { left, right, .. } => vec![left, right],
            Expr::And(l, r) | Expr::Or(l, r) => vec![l, r],
            Expr::Case { branches, otherwise } => branches.iter().flat_map(|(c, v)| [c, v]).chain(otherwise.as_deref()).collect(),
            Expr::Coalesce(args) | Expr::Function { args, .. } => args.iter().collect(),
            Expr::In { value, list } => std::iter::once(value.as_ref()).chain(list).collect(),
            Expr::DynamicPruning { value, .. } => vec![value],
            Expr::Like { value, pattern, .. } => vec![value, pattern],
            Expr::Aggregate(a) => a.children(),
            Expr::Window(w) => {
                let mut out = match &w.function {
                    WindowFunction::Aggregate(a) => a.children(),
                    WindowFunction::Ranking { args, .. } => args.iter().collect(),
                };
                out.extend(&w.partition_by);
                out.extend(w.order_by.iter().map(|o| &o.expr));
                out
            }
        }
    }

    /// The same expression with `f` applied to each direct child.
    ///
    /// # Errors
    /// Those of `f`.
    pub fn map_children(self, f: &mut dyn FnMut(Expr) -> Result<Expr>) -> Result<Expr> {
        let boxed = |e: Box<Expr>, f: &mut dyn FnMut(Expr) -> Result<Expr>| -> Result<Box<Expr>> { Ok(Box::new(f(*e)?)) };
        let list = |v: Vec<Expr>, f: &mut dyn FnMut(Expr) -> Result<Expr>| -> Result<Vec<Expr>> { v.into_iter().map(f).collect() };
        Ok(match self {
            leaf
            @ (Expr::Literal(_) | Expr::Attribute(_) | Expr::Column { .. } | Expr::ScalarSubquery { .. } | Expr::LambdaVariable(_)) => leaf,
            Expr::Lambda { params, body, hidden } => Expr::Lambda { params, body: boxed(body, f)?, hidden },
            Expr::Alias { expr, name, id } => Expr::Alias { expr: boxed(expr, f)?, name, id },
            Expr::Cast { expr, to, try_cast } => Expr::Cast { expr: boxed(expr, f)?, to, try_cast },
            Expr::Negate(e) => Expr::Negate(boxed(e, f)?),
            Expr::Not(e) => Expr::Not(boxed(e, f)?),
            Expr::IsNull(e) => Expr::IsNull(boxed(e, f)?),
            Expr::IsNotNull(e) => Expr::IsNotNull(boxed(e, f)?),
            Expr::Arithmetic { op, left, right, try_arithmetic } => {
                Expr::Arithmetic { op, left: boxed(left, f)?, right: boxed(right, f)?, try_arithmetic }
            }
            Expr::Comparison { op, left, right } => Expr::Comparison { op, left: boxed(left, f)?, right: boxed(right, f)? },
            Expr::And(l, r) => Expr::And(boxed(l, f)?, boxed(r, f)?),
            Expr::Or(l, r) => Expr::Or(boxed(l, f)?, boxed(r, f)?),
            Expr::Case { branches, otherwise } => Expr::Case {
                branches: branches.into_iter().map(|(c, v)| Ok((f(c)?, f(v)?))).collect::<Result<_>>()?,
                otherwise: otherwise.map(|e| boxed(e, f)).transpose()?,
            },
            Expr::Coalesce(args) => Expr::Coalesce(list(args, f)?),
            Expr::In { value, list: items } => Expr::In { value: boxed(value, f)?, list: list(items, f)? },
            Expr::DynamicPruning { value, id, state } => Expr::DynamicPruning { value: boxed(value, f)?, id, state },
            Expr::Like { value, pattern, escape, case_insensitive } => {
                Expr::Like { value: boxed(value, f)?, pattern: boxed(pattern, f)?, escape, case_insensitive }
            }
            Expr::Function { function, args } => Expr::Function { function, args: list(args, f)? },
            Expr::Aggregate(a) => Expr::Aggregate(Box::new(a.map_children(f)?)),
            Expr::Window(w) => {
                let WindowExpr { function, partition_by, order_by, frame } = *w;
                let function = match function {
                    WindowFunction::Aggregate(a) => WindowFunction::Aggregate(a.map_children(f)?),
                    WindowFunction::Ranking { function, args, ignore_nulls } => {
                        WindowFunction::Ranking { function, args: list(args, f)?, ignore_nulls }
                    }
                };
                Expr::Window(Box::new(WindowExpr {
                    function,
                    partition_by: list(partition_by, f)?,
                    order_by: map_orders(order_by, f)?,
                    frame,
                }))
            }
        })
    }

    /// Rebuilds bottom-up: children first, then the node.
    ///
    /// # Errors
    /// Those of `f`.
    pub fn transform_up(self, f: &mut dyn FnMut(Expr) -> Result<Expr>) -> Result<Expr> {
        stacker::maybe_grow(64 * 1024, 1024 * 1024, || {
            let node = self.map_children(&mut |c| c.transform_up(f))?;
            f(node)
        })
    }

    /// Rebuilds top-down: the node first, then the children of what it became. `f` returns `Err(node)` to leave a node unchanged
    /// and go on below it, `Ok(new)` to put `new` in its place without going into it.
    pub fn replace(self, f: &mut dyn FnMut(Expr) -> std::result::Result<Expr, Expr>) -> Expr {
        match f(self) {
            Ok(new) => new,
            Err(same) => stacker::maybe_grow(64 * 1024, 1024 * 1024, || same.map_children(&mut |c| Ok(c.replace(f))))
                .unwrap_or_else(|_| unreachable!("replacing cannot fail")),
        }
    }

    /// Calls `f` on every node, parents first; `f` returns whether to go below.
    pub fn visit<'a>(&'a self, f: &mut dyn FnMut(&'a Expr) -> bool) {
        if f(self) {
            stacker::maybe_grow(64 * 1024, 1024 * 1024, || {
                for c in self.children() {
                    c.visit(f);
                }
            });
        }
    }

    /// Whether any node satisfies `test`.
    pub fn any(&self, test: &mut dyn FnMut(&Expr) -> bool) -> bool {
        let mut found = false;
        self.visit(&mut |e| {
            found = found || test(e);
            !found
        });
        found
    }

    /// The subqueries that it needs answered, in order.
    pub fn subqueries(&self) -> Vec<SubqueryId> {
        let mut out = vec![];
        self.visit(&mut |e| {
            out.extend(e.subquery());
            true
        });
        out
    }

    /// The subquery that this very node needs answered.
    pub fn subquery(&self) -> Option<SubqueryId> {
        match self {
            Expr::ScalarSubquery { id, .. } => Some(*id),
            Expr::DynamicPruning { state: Pruning::Dropped, .. } => None,
            Expr::DynamicPruning { id, .. } => Some(*id),
            _ => None,
        }
    }

    /// The node with other subqueries for those it needs.
    pub fn rename_subquery(self, rename: impl FnOnce(SubqueryId) -> SubqueryId) -> Self {
        match self {
            Expr::ScalarSubquery { id, data_type } => Expr::ScalarSubquery { id: rename(id), data_type },
            Expr::DynamicPruning { value, id, state } => Expr::DynamicPruning { value, id: rename(id), state },
            other => other,
        }
    }

    /// Ids of the attributes used.
    pub fn references(&self) -> BTreeSet<ExprId> {
        let mut out = BTreeSet::new();
        self.visit(&mut |e| {
            if let Expr::Attribute(a) = e {
                out.insert(a.id);
            }
            true
        });
        out
    }

    /// Replaces attributes by positions in `input`.
    ///
    /// # Errors
    /// `Internal` when an attribute is not in `input`.
    pub fn bind(self, input: &[Attribute]) -> Result<Expr> {
        self.transform_up(&mut |e| match e {
            Expr::Attribute(a) => match input.iter().position(|i| i.id == a.id) {
                Some(index) => Ok(Expr::Column { index, data_type: input[index].data_type.clone(), nullable: input[index].nullable }),
                None => Err(Error::internal(format!(
                    "attribute {a} is not among [{}]",
                    input.iter().map(|i| i.to_string()).collect::<Vec<_>>().join(", ")
                ))),
            },
            other => Ok(other),
        })
    }

    /// The conjuncts of a condition, left to right.
    pub fn split_conjunction(self) -> Vec<Expr> {
        let mut out = vec![];
        let mut stack = vec![self];
        while let Some(e) = stack.pop() {
            match e {
                Expr::And(l, r) => {
                    stack.push(*r);
                    stack.push(*l);
                }
                other => out.push(other),
            }
        }
        out
    }

    /// The disjuncts of a condition, left to right.
    pub fn split_disjunction(self) -> Vec<Expr> {
        let mut out = vec![];
        let mut stack = vec![self];
        while let Some(e) = stack.pop() {
            match e {
                Expr::Or(l, r) => {
                    stack.push(*r);
                    stack.push(*l);
                }
                other => out.push(other),
            }
        }
        out
    }

    /// Left-nested AND of the conjuncts, balanced when they are many; `None` for an empty list.
    pub fn conjunction(conjuncts: impl IntoIterator<Item = Expr>) -> Option<Expr> {
        joined(conjuncts.into_iter().collect(), &|l, r| Expr::And(Box::new(l), Box::new(r)))
    }

    /// Left-nested OR of the disjuncts, balanced when they are many; `None` for an empty list.
    pub fn disjunction(disjuncts: impl IntoIterator<Item = Expr>) -> Option<Expr> {
        joined(disjuncts.into_iter().collect(), &|l, r| Expr::Or(Box::new(l), Box::new(r)))
    }

    /// Without aliases at the top.
    pub fn unaliased(&self) -> &Expr {
        let mut e = self;
        while let Expr::Alias { expr, .. } = e {
            e = expr;
        }
        e
    }

    /// Whether the expression contains an aggregate call (window calls aside).
    pub fn has_aggregate(&self) -> bool {
        match self {
            Expr::Aggregate(_) => true,
            Expr::Window(w) => {
                let args = match &w.function {
                    WindowFunction::Aggregate(a) => a.children(),
                    WindowFunction::Ranking { args, .. } => args.iter().collect(),
                };
                args.into_iter().chain(&w.partition_by).chain(w.order_by.iter().map(|o| &o.expr)).any(Expr::has_aggregate)
            }
            other => stacker::maybe_grow(64 * 1024, 1024 * 1024, || other.children().into_iter().any(Expr::has_aggregate)),
        }
    }

    /// Whether the expression contains a window call.
    pub fn has_window(&self) -> bool {
        self.any(&mut |e| matches!(e, Expr::Window(_)))
    }

    /// Same inputs, same result.
    pub fn is_deterministic(&self) -> bool {
        !self.any(&mut |e| matches!(e, Expr::Function { function, .. } if !function.is_deterministic()))
    }

    /// No attribute, column, variable, subquery, aggregate or window inside: can be folded to a literal.
    pub fn is_foldable(&self) -> bool {
        !self.any(&mut |e| match e {
            Expr::Attribute(_)
            | Expr::Column { .. }
            | Expr::LambdaVariable(_)
            | Expr::ScalarSubquery { .. }
            | Expr::DynamicPruning { .. }
            | Expr::Aggregate(_)
            | Expr::Window(_) => true,
            Expr::Function { function, .. } => !function.is_deterministic(),
            _ => false,
        })
    }
}

/// Longest chain of AND or OR that nests to the left, as it was written and as EXPLAIN shows it. Longer ones become balanced trees,
/// so that depth does not grow with length.
const LONG_CHAIN: usize = 100;

fn joined(mut operands: Vec<Expr>, join: &dyn Fn(Expr, Expr) -> Expr) -> Option<Expr> {
    if operands.len() <= LONG_CHAIN {
        return operands.into_iter().reduce(join);
    }
    let right = operands.split_off(operands.len() / 2);
    Some(join(joined(operands, join)?, joined(right, join)?))
}

/// `f` over the expressions of sort orders.
///
/// # Errors
/// Those of `f`.
pub fn map_orders(orders: Vec<SortOrder>, f: &mut dyn FnMut(Expr) -> Result<Expr>) -> Result<Vec<SortOrder>> {
    orders.into_iter().map(|o| Ok(SortOrder { expr: f(o.expr)?, ..o })).collect()
}

impl AggregateExpr {
    /// Arguments, then the filter.
    pub fn children(&self) -> Vec<&Expr> {
        self.args.iter().chain(self.filter.as_deref()).collect()
    }

    /// # Errors
    /// Those of `f`.
    pub fn map_children(self, f: &mut dyn FnMut(Expr) -> Result<Expr>) -> Result<Self> {
        Ok(Self {
            args: self.args.into_iter().map(&mut *f).collect::<Result<_>>()?,
            filter: match self.filter {
                Some(e) => Some(Box::new(f(*e)?)),
                None => None,
            },
            ..self
        })
    }
}
