//! Calls: scalar and aggregate functions. Those with OVER go on to `window.rs`.

use sqlparser::ast::{self, FunctionArg, FunctionArgExpr, FunctionArgumentClause, FunctionArguments, NullTreatment, Spanned};

use super::expr::{ExprBinder, GroupingCall};
use super::literal::schema_type;
use super::parse::{location, name_parts};
use super::scope::At;
use super::time_window::TimeWindow;
use crate::base::{Attribute, DataType, Error, ErrorClass, ExprId, Result, Scalar};
use crate::expr::{Expr, coerce};

/// A call taken apart, its arguments bound.
pub(super) struct Call {
    /// In lower case.
    pub name: String,
    pub args: Vec<Expr>,
    pub distinct: bool,
    pub filter: Option<Expr>,
    pub ignore_nulls: bool,
}

impl ExprBinder<'_, '_, '_> {
    pub(super) fn call(&mut self, f: &ast::Function) -> Result<Expr> {
        let name = function_name(f)?;
        if name == "grouping" || name == "grouping_id" {
            return self.grouping_call(&name, f);
        }
        if f.over.is_some() {
            let call = self.window_call(f, name)?;
            return self.without_variables(call, "A window function", f);
        }
        if let Some((function, first)) = coerce::lambda::higher_order(&name)
            && let FunctionArguments::List(list) = &f.args
            && list.args.len() > first
        {
            return self.higher_order_call(function, &name, first, &list.args).at(f);
        }
        let subqueries_before = self.pending.applies.len();
        let is_aggregate = is_aggregate(&name);
        let was_in_aggregate = self.in_aggregate;
        self.in_aggregate |= is_aggregate;
        let call = self.arguments(f, name);
        self.in_aggregate = was_in_aggregate;
        let call = call?;
        if !is_aggregate {
            return self.scalar_call(f, call);
        }
        if !self.clause.aggregates {
            return Err(self.reject("An aggregate function", f));
        }
        if was_in_aggregate || call.args.iter().chain(&call.filter).any(|a| a.has_aggregate() || a.has_window()) {
            let message = "An aggregate function is not allowed in the argument of another one.";
            return Err(Error::new(ErrorClass::InvalidGrouping, message)).at(f);
        }
        self.pending.below.extend(self.pending.applies.drain(subqueries_before..));
        let call = aggregate(call, f)?;
        self.without_variables(call, "An aggregate function", f)
    }

    fn scalar_call(&mut self, f: &ast::Function, call: Call) -> Result<Expr> {
        if call.distinct || call.filter.is_some() || !f.within_group.is_empty() {
            let message = format!("`{}` is not an aggregate function: it takes no DISTINCT, FILTER or WITHIN GROUP.", call.name);
            return Err(Error::new(ErrorClass::WrongArguments, message)).at(f);
        }
        let mut call = call;
        if call.name == "window" {
            return self.time_window_call(call.args).at(f);
        }
        if call.name == "from_json"
            && let Some(schema) = call.args.get_mut(1)
        {
            *schema = schema_argument(schema).at(f)?;
        }
        let window = |e: Error| match e.class == ErrorClass::RoutineNotFound && is_ranking(&call.name) {
            true => Error::new(ErrorClass::WrongArguments, format!("The window function `{}` needs an OVER clause.", call.name)),
            false => e,
        };
        let bound = coerce::function(&call.name, call.args).map_err(window).at(f)?;
        if matches!(&bound, Expr::Function { function, .. } if function.is_generator()) && !self.clause.generators {
            let message = format!("The generator is not supported: outside the SELECT clause, found: {}.", self.clause.name);
            return Err(Error::new(ErrorClass::UnsupportedGenerator, message)).at(f);
        }
        Ok(bound)
    }

    /// Binds the arguments of a call, `*` as Spark reads it.
    pub(super) fn arguments(&mut self, f: &ast::Function, name: String) -> Result<Call> {
        let mut call = Call { name, args: vec![], distinct: false, filter: None, ignore_nulls: false };
        match &f.args {
            FunctionArguments::None => {}
            FunctionArguments::Subquery(q) => call.args.push(self.scalar_subquery(q)?),
            FunctionArguments::List(list) => {
                call.distinct = list.duplicate_treatment == Some(ast::DuplicateTreatment::Distinct);
                let mut args = list.args.as_slice();
                if let Some((unit, rest)) = time_unit(&call.name, args) {
                    call.args.push(Expr::Literal(Scalar::string(unit)));
                    args = rest;
                }
                for arg in args {
                    self.argument(arg, &mut call)?;
                }
                for clause in &list.clauses {
                    match clause {
                        FunctionArgumentClause::IgnoreOrRespectNulls(t) => call.ignore_nulls = *t == NullTreatment::IgnoreNulls,
                        other => return Err(Error::unsupported(format!("`{other}` in a call is not supported."))),
                    }
                }
            }
        }
        if let Some(t) = f.null_treatment {
            call.ignore_nulls = t == NullTreatment::IgnoreNulls;
        }
        if !f.within_group.is_empty() && is_aggregate(&call.name) {
            self.within_group(&f.within_group, &mut call).at(f)?;
        }
        call.filter = f.filter.as_deref().map(|e| self.bind(e)).transpose()?;
        Ok(call)
    }

    /// `WITHIN GROUP (ORDER BY key)`: the key becomes the first argument.
    fn within_group(&mut self, order: &[ast::OrderByExpr], call: &mut Call) -> Result<()> {
        let [order] = order else { return Err(Error::unsupported("WITHIN GROUP with several keys is not supported.")) };
        let (key, descending) = (self.bind(&order.expr)?, matches!(order.options.sort, Some(ast::OrderBySort::Desc)));
        match (call.name.as_str(), call.args.as_mut_slice()) {
            ("percentile_cont", [fraction]) => {
                if descending {
                    let one = Expr::Literal(Scalar::Double(1.0));
                    *fraction = coerce::arithmetic(crate::expr::ArithmeticOp::Subtract, one, fraction.clone())?;
                }
                call.args.insert(0, key);
            }
            ("percentile_disc", [_]) | ("mode", []) if !descending => call.args.insert(0, key),
            ("listagg" | "string_agg", [value, separator @ ..]) if *value == key && separator.len() < 2 => {
                if separator.is_empty() {
                    call.args.push(Expr::Literal(Scalar::string("")));
                }
                call.args.push(Expr::Literal(Scalar::Boolean(!descending)));
            }
            (name, _) => return Err(Error::unsupported(format!("WITHIN GROUP of this kind is not supported for `{name}`."))),
        }
        Ok(())
    }

    fn argument(&mut self, arg: &FunctionArg, call: &mut Call) -> Result<()> {
        let FunctionArg::Unnamed(value) = arg else {
            return Err(Error::unsupported(format!("The named argument `{arg}` is not supported.")));
        };
        match value {
            FunctionArgExpr::Expr(ast::Expr::Named { expr, name }) => {
                let expr = Box::new(self.bind(expr)?);
                // Names are those of a struct's fields; other functions have no use for them.
                call.args.push(match call.name.as_str() {
                    "struct" => Expr::Alias { expr, name: name.value.as_str().into(), id: ExprId::next() },
                    _ => *expr,
                });
            }
            FunctionArgExpr::Expr(e) => call.args.push(self.bind(e)?),
            // `count(*)` counts rows; elsewhere, and in `count(DISTINCT *)`, a star stands for the columns.
            FunctionArgExpr::Wildcard if call.name == "count" && !call.distinct => call.args.push(Expr::Literal(Scalar::Int(1))),
            FunctionArgExpr::Wildcard => {
                call.args.extend(self.scope.columns.iter().filter(|c| !c.hidden).map(|c| Expr::Attribute(c.attribute.clone())));
            }
            FunctionArgExpr::QualifiedWildcard(name) => {
                let name = name_parts(name)?;
                call.args.extend(self.star(&name)?.into_iter().map(|(_, e)| e));
            }
            other => return Err(Error::unsupported(format!("The argument `{other}` is not supported."))),
        }
        Ok(())
    }

    /// The column of windows.
    fn time_window_call(&mut self, args: Vec<Expr>) -> Result<Expr> {
        let asked = TimeWindow::of(args)?;
        match &self.pending.time_window {
            Some(known) if known.is_same(&asked) => Ok(Expr::Attribute(known.column.clone())),
            Some(_) => {
                let message = "Multiple time/session window expressions would result in a cartesian product of rows, therefore they are currently not supported.";
                Err(Error::unsupported(message))
            }
            None => Err(Error::unsupported(format!("`window` of time in {} that is no item of SELECT or GROUP BY.", self.clause.name))),
        }
    }

    fn grouping_call(&mut self, name: &str, f: &ast::Function) -> Result<Expr> {
        if !self.clause.aggregates {
            return Err(self.reject(name, f));
        }
        let id = name == "grouping_id";
        let call = self.arguments(f, name.to_string())?;
        if !id && call.args.len() != 1 {
            return Err(Error::new(ErrorClass::WrongArguments, "grouping() takes one grouping column.")).at(f);
        }
        let placeholder = Attribute::new(name, if id { DataType::Long } else { DataType::Byte }, false);
        self.pending.grouping_calls.push(GroupingCall { placeholder: placeholder.clone(), args: call.args, id });
        Ok(Expr::Attribute(placeholder))
    }
}

/// The type that a constant text names, as a NULL of it.
fn schema_argument(schema: &Expr) -> Result<Expr> {
    let text = if schema.is_foldable() { crate::expr::evaluate::fold(schema)? } else { Scalar::Null(DataType::Null) };
    match text {
        Scalar::String(text) => {
            let t = schema_type(&text)?;
            // Fields can always be missing.
            Ok(Expr::Literal(Scalar::Null(t)))
        }
        _ => {
            let message = format!(
                "The input schema \"{schema}\" is not a valid schema string. The input expression must be string literal and not null."
            );
            Err(Error::new(ErrorClass::TypeMismatch, message))
        }
    }
}

/// The unit that functions of timestamps have as a bare word in front, and the arguments after it.
fn time_unit<'a>(name: &str, args: &'a [FunctionArg]) -> Option<(&'a str, &'a [FunctionArg])> {
    let named = matches!(name, "timestampadd" | "timestampdiff" | "dateadd" | "date_add" | "datediff" | "date_diff");
    match args {
        [FunctionArg::Unnamed(FunctionArgExpr::Expr(ast::Expr::Identifier(unit))), rest @ ..] if named && rest.len() == 2 => {
            Some((&unit.value, rest))
        }
        _ => None,
    }
}

/// The name of the called function, in lower case.
pub(super) fn function_name(f: &ast::Function) -> Result<String> {
    let parts = name_parts(&f.name)?;
    parts.last().map(|i| i.value.to_ascii_lowercase()).ok_or_else(|| Error::internal("a call without a name"))
}

/// Whether window functions that are no aggregates know the name.
fn is_ranking(name: &str) -> bool {
    !matches!(coerce::ranking(name, vec![], false), Ok(None))
}

/// Whether aggregates know the name, whatever arguments they want.
fn is_aggregate(name: &str) -> bool {
    !matches!(coerce::aggregate(name, vec![], false, None), Ok(None))
}

fn aggregate(call: Call, f: &ast::Function) -> Result<Expr> {
    let Call { name, mut args, distinct, filter, ignore_nulls } = call;
    if ignore_nulls {
        args.push(Expr::Literal(Scalar::Boolean(true)));
    }
    match coerce::aggregate(&name, args, distinct, filter).at(f)? {
        Some(a) => Ok(Expr::Aggregate(Box::new(a))),
        None => Err(Error::internal(format!("{name} is no aggregate")).at(location(f.span().start))),
    }
}
