//! Plans up to the identities and names of their columns: equal canonical forms give the same rows.

use std::collections::HashMap;
use std::sync::Arc;

use crate::base::{Attribute, DataType, ExprId, Scalar};
use crate::expr::{AggregateExpr, Expr, WindowFunction};
use crate::logical::JoinType;
use crate::operators::plan::deep;
use crate::operators::{AggregateCall, Operator, SparkPlan};

/// A plan without what does not change its result: ids are numbers in order of appearance, aliases have no names, stages and the
/// askers of shuffles are gone.
#[derive(Debug, PartialEq)]
pub struct Canonical {
    operator: Operator,
    children: Vec<Canonical>,
}

impl Canonical {
    pub fn of(plan: &Arc<SparkPlan>) -> Self {
        Numbering::default().canonical(plan)
    }
}

fn sorted(mut operands: Vec<Expr>, join: impl Fn(Expr, Expr) -> Expr) -> Expr {
    operands.sort_by_cached_key(|e| format!("{e:?}"));
    operands.into_iter().reduce(join).unwrap_or(Expr::Literal(Scalar::Null(DataType::Boolean)))
}

#[derive(Default)]
struct Numbering {
    ids: HashMap<ExprId, ExprId>,
    /// Not how many ids there are: columns of a reused exchange share the numbers of the original's.
    next: u64,
}

impl Numbering {
    fn id(&mut self, id: ExprId) -> ExprId {
        *self.ids.entry(id).or_insert_with(|| {
            self.next += 1;
            ExprId(self.next)
        })
    }

    fn attribute(&mut self, a: &mut Attribute) {
        a.id = self.id(a.id);
        a.name = "".into();
    }

    fn attributes(&mut self, list: &mut [Attribute]) {
        list.iter_mut().for_each(|a| self.attribute(a));
    }

    fn canonical(&mut self, plan: &Arc<SparkPlan>) -> Canonical {
        match &plan.operator {
            Operator::WholeStageCodegen(_) | Operator::InputAdapter => return self.canonical(plan.child()),
            Operator::ReusedExchange(r) => {
                let original = self.canonical(plan.child());
                for (own, theirs) in r.output.iter().zip(plan.child().output()) {
                    let id = self.id(theirs.id);
                    self.ids.insert(own.id, id);
                }
                return original;
            }
            _ => {}
        }
        // Children first: they define the columns that the node's expressions use.
        let children = plan.children.iter().map(|c| deep(|| self.canonical(c))).collect();
        let mut operator = plan.operator.clone();
        self.payload(&mut operator);
        let operator = match operator.map_expressions(&mut |e| Ok(self.expr(e))) {
            Ok(Operator::FileScan(mut scan)) => {
                for conjuncts in [&mut scan.partition_filters, &mut scan.data_filters] {
                    conjuncts.sort_by_cached_key(|e| format!("{e:?}"));
                }
                Operator::FileScan(scan)
            }
            Ok(operator) => operator,
            Err(_) => plan.operator.clone(),
        };
        Canonical { operator, children }
    }

    fn expr(&mut self, expr: Expr) -> Expr {
        let renumbered = expr.clone().transform_up(&mut |e| {
            Ok(match e {
                Expr::Attribute(mut a) => {
                    self.attribute(&mut a);
                    Expr::Attribute(a)
                }
                Expr::LambdaVariable(mut a) => {
                    self.attribute(&mut a);
                    Expr::LambdaVariable(a)
                }
                Expr::Lambda { mut params, body, hidden } => {
                    self.attributes(&mut params);
                    Expr::Lambda { params, body, hidden }
                }
                Expr::Alias { expr, id, .. } => Expr::Alias { expr, name: "".into(), id: self.id(id) },
                Expr::Aggregate(a) => Expr::Aggregate(Box::new(AggregateExpr { id: ExprId(0), ..*a })),
                Expr::Window(mut w) => {
                    if let WindowFunction::Aggregate(a) = &mut w.function {
                        a.id = ExprId(0);
                    }
                    Expr::Window(w)
                }
                // Operands in an order of their own.
                Expr::Or(..) => sorted(e.split_disjunction(), |l, r| Expr::Or(Box::new(l), Box::new(r))),
                Expr::And(..) => sorted(e.split_conjunction(), |l, r| Expr::And(Box::new(l), Box::new(r))),
                other => other,
            })
        });
        renumbered.unwrap_or(expr)
    }

    /// What an operator holds beside its expressions.
    fn payload(&mut self, operator: &mut Operator) {
        match operator {
            Operator::FileScan(s) => {
                self.attributes(&mut s.table_output);
                self.attributes(&mut s.output);
                s.name = "".into();
            }
            Operator::InMemoryTableScan(s) => {
                self.attributes(&mut s.relation_output);
                self.attributes(&mut s.output);
            }
            Operator::LocalTableScan(s) => self.attributes(&mut s.output),
            Operator::Range(r) => self.attribute(&mut r.output),
            Operator::Aggregate(a) => a.calls.iter_mut().for_each(|c| self.call(c)),
            Operator::Exchange(e) => e.origin = crate::operators::ShuffleOrigin::EnsureRequirements,
            Operator::Union(u) => self.attributes(&mut u.output),
            Operator::Expand(e) => self.attributes(&mut e.output),
            Operator::Generate(g) => {
                self.attributes(&mut g.required);
                self.attributes(&mut g.generator_output);
            }
            Operator::BroadcastHashJoin(j) | Operator::ShuffledHashJoin(j) => self.join_type(&mut j.join_type),
            Operator::SortMergeJoin(j) => self.join_type(&mut j.join_type),
            Operator::BroadcastNestedLoopJoin(j) | Operator::CartesianProduct(j) => self.join_type(&mut j.join_type),
            Operator::OneRowScan
            | Operator::Filter(_)
            | Operator::Project(_)
            | Operator::Sort(_)
            | Operator::TakeOrderedAndProject(_)
            | Operator::CollectLimit(_)
            | Operator::LocalLimit(_)
            | Operator::GlobalLimit(_)
            | Operator::BroadcastExchange(_)
            | Operator::ReusedExchange(_)
            | Operator::Window(_)
            | Operator::WindowGroupLimit(_)
            | Operator::Sample(_)
            | Operator::Coalesce(_)
            | Operator::WholeStageCodegen(_)
            | Operator::InputAdapter => {}
        }
    }

    fn call(&mut self, call: &mut AggregateCall) {
        call.expr.id = self.id(call.expr.id);
        self.attributes(&mut call.buffers);
        self.attribute(&mut call.result);
    }

    fn join_type(&mut self, join_type: &mut JoinType) {
        if let JoinType::Existence(a) = join_type {
            self.attribute(a);
        }
    }
}
