//! Expressions: syntax to typed [`Expr`].

use std::sync::Arc;

use sqlparser::ast::{self, AccessExpr, BinaryOperator, CastKind, Ident, Spanned, Subscript, UnaryOperator};

use super::parse::{location, too_deep};
use super::scope::{At, Column, Scope, dotted, ident_location, is_suffix};
use super::subquery::PendingApply;
use super::time_window::TimeWindow;
use super::{Binder, MAX_NESTING, literal};
use crate::base::error::nearest;
use crate::base::{Attribute, DataType, Error, ErrorClass, Result, Scalar};
use crate::expr::{ArithmeticOp, ComparisonOp, Expr, ScalarFunction, coerce};

/// Where an expression stands, which decides what may occur in it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clause {
    pub name: &'static str,
    pub aggregates: bool,
    pub windows: bool,
    pub generators: bool,
}

impl Clause {
    /// A clause with neither aggregate nor window calls, nor generators.
    pub const fn plain(name: &'static str) -> Self {
        Self { name, aggregates: false, windows: false, generators: false }
    }
}

/// How the select list's names take part in resolution.
#[derive(Debug, Clone, Copy)]
pub(super) enum Aliases<'s> {
    None,
    /// Before the columns of FROM, as outputs (ORDER BY).
    First(&'s [Expr]),
    /// After the columns of FROM, as what they stand for (GROUP BY, HAVING, later select items).
    Fallback(&'s [Expr]),
}

/// `grouping(…)` or `grouping_id(…)`, replaced once the grouping sets are known.
#[derive(Debug)]
pub(super) struct GroupingCall {
    pub placeholder: Attribute,
    pub args: Vec<Expr>,
    /// `grouping_id` rather than `grouping`.
    pub id: bool,
}

/// What the expressions of a SELECT need beside themselves.
#[derive(Debug, Default)]
pub(super) struct Pending {
    /// Subqueries whose answers the clause uses.
    pub applies: Vec<PendingApply>,
    /// Subqueries inside arguments of aggregate calls: answered before grouping.
    pub below: Vec<PendingApply>,
    pub grouping_calls: Vec<GroupingCall>,
    /// The windows of time that there is a column of.
    pub time_window: Option<TimeWindow>,
}

/// Binds the expressions of one clause.
pub(super) struct ExprBinder<'b, 'a, 's> {
    pub binder: &'b mut Binder<'a>,
    pub scope: Scope<'s>,
    pub clause: Clause,
    pub aliases: Aliases<'s>,
    pub windows: &'s [ast::NamedWindowDefinition],
    pub pending: &'b mut Pending,
    pub in_aggregate: bool,
    /// Variables of each lambda function around the expression, the innermost last.
    pub lambdas: Vec<Vec<Attribute>>,
}

impl<'b, 'a, 's> ExprBinder<'b, 'a, 's> {
    pub fn new(binder: &'b mut Binder<'a>, pending: &'b mut Pending, scope: Scope<'s>, clause: Clause) -> Self {
        Self { binder, scope, clause, aliases: Aliases::None, windows: &[], pending, in_aggregate: false, lambdas: vec![] }
    }

    /// With the names of the select list.
    pub fn with_aliases(mut self, aliases: Aliases<'s>) -> Self {
        self.aliases = aliases;
        self
    }

    /// With the windows of the WINDOW clause.
    pub fn with_windows(mut self, windows: &'s [ast::NamedWindowDefinition]) -> Self {
        self.windows = windows;
        self
    }

    /// Binds one expression of the clause.
    ///
    /// # Errors
    /// Those of name resolution and typing, with their place; `NestingTooDeep`.
    pub fn expression(&mut self, e: &ast::Expr) -> Result<Expr> {
        let bound = self.bind(e)?;
        if depth(&bound) > MAX_NESTING {
            return Err(too_deep()).at(e);
        }
        Ok(bound)
    }

    /// As [`Self::expression`], of type boolean.
    ///
    /// # Errors
    /// `TypeMismatch` for another type.
    pub fn condition(&mut self, e: &ast::Expr) -> Result<Expr> {
        let bound = self.expression(e)?;
        coerce::condition(bound).at(e)
    }

    pub(super) fn bind(&mut self, e: &ast::Expr) -> Result<Expr> {
        self.binder.depth += 1;
        if self.binder.depth > 4 * MAX_NESTING {
            return Err(too_deep()).at(e);
        }
        let bound = stacker::maybe_grow(256 << 10, 4 << 20, || self.bind_node(e)).at(e);
        self.binder.depth -= 1;
        bound
    }

    pub(super) fn bind_all<'e>(&mut self, list: impl IntoIterator<Item = &'e ast::Expr>) -> Result<Vec<Expr>> {
        list.into_iter().map(|e| self.bind(e)).collect()
    }

    fn bind_node(&mut self, e: &ast::Expr) -> Result<Expr> {
        use ast::Expr as E;
        match e {
            E::Identifier(name) => self.column(std::slice::from_ref(name)),
            E::CompoundIdentifier(name) => self.column(name),
            E::CompoundFieldAccess { root, access_chain } => self.access(root, access_chain),
            E::Nested(inner) => self.bind(inner),
            E::Value(v) => literal::value(&v.value),
            E::TypedString(t) => literal::typed_string(t),
            E::Interval(i) => self.interval(i),
            E::BinaryOp { .. } => self.operator_chain(e),
            E::UnaryOp { op, expr } => self.unary(*op, expr),
            E::IsNull(x) | E::IsUnknown(x) => Ok(Expr::IsNull(Box::new(self.bind(x)?))),
            E::IsNotNull(x) | E::IsNotUnknown(x) => Ok(Expr::IsNotNull(Box::new(self.bind(x)?))),
            E::IsTrue(x) => self.is_boolean(x, true),
            E::IsFalse(x) => self.is_boolean(x, false),
            E::IsNotTrue(x) => coerce::logical_not(self.is_boolean(x, true)?),
            E::IsNotFalse(x) => coerce::logical_not(self.is_boolean(x, false)?),
            E::IsNotDistinctFrom(l, r) => coerce::comparison(ComparisonOp::EqualNullSafe, self.bind(l)?, self.bind(r)?),
            E::IsDistinctFrom(l, r) => coerce::logical_not(coerce::comparison(ComparisonOp::EqualNullSafe, self.bind(l)?, self.bind(r)?)?),
            E::InList { expr, list, negated } => {
                let found = self.in_list(expr, list)?;
                negate_if(*negated, found)
            }
            E::InSubquery { expr, subquery, negated } => {
                let found = self.in_subquery(expr, subquery)?;
                negate_if(*negated, found)
            }
            E::Between { expr, negated, low, high } => {
                let value = self.bind(expr)?;
                let low = coerce::comparison(ComparisonOp::GreaterOrEqual, value.clone(), self.bind(low)?)?;
                let high = coerce::comparison(ComparisonOp::LessOrEqual, value, self.bind(high)?)?;
                negate_if(*negated, coerce::logical_and(low, high)?)
            }
            E::Like { negated, any, expr, pattern, escape_char } => self.like(*negated, *any, expr, pattern, escape_char.as_deref(), false),
            E::ILike { negated, any, expr, pattern, escape_char } => self.like(*negated, *any, expr, pattern, escape_char.as_deref(), true),
            E::RLike { negated, expr, pattern, .. } => {
                let args = vec![self.bind(expr)?, self.bind(pattern)?];
                negate_if(*negated, coerce::function("rlike", args)?)
            }
            E::Cast { kind, expr, data_type, format: None } => {
                let to = literal::data_type(data_type)?;
                let value = self.bind(expr)?;
                coerce::explicit_cast(value, &to, matches!(kind, CastKind::TryCast | CastKind::SafeCast))
            }
            E::Extract { field, expr, .. } => {
                let value = self.bind(expr)?;
                coerce::function("extract", vec![Expr::Literal(Scalar::string(field.to_string())), value])
            }
            E::Ceil { expr, field } => self.round("ceil", expr, field),
            E::Floor { expr, field } => self.round("floor", expr, field),
            E::Position { expr, r#in } => {
                let args = vec![self.bind(expr)?, self.bind(r#in)?];
                coerce::function("position", args)
            }
            E::Substring { expr, substring_from, substring_for, .. } => {
                let mut args = vec![self.bind(expr)?];
                args.push(match substring_from {
                    Some(from) => self.bind(from)?,
                    None => Expr::Literal(Scalar::Int(1)),
                });
                if let Some(length) = substring_for {
                    args.push(self.bind(length)?);
                }
                coerce::function("substring", args)
            }
            E::Trim { trim_where, trim_what, expr, trim_characters } => {
                let name = match trim_where {
                    None | Some(ast::TrimWhereField::Both) => "trim",
                    Some(ast::TrimWhereField::Leading) => "ltrim",
                    Some(ast::TrimWhereField::Trailing) => "rtrim",
                };
                // The functions take the characters first.
                let what = trim_what.as_deref().or(trim_characters.as_ref().and_then(|c| c.first()));
                let args = self.bind_all(what.into_iter().chain([expr.as_ref()]))?;
                coerce::function(name, args)
            }
            E::Overlay { expr, overlay_what, overlay_from, overlay_for } => {
                let args = self.bind_all([expr, overlay_what, overlay_from].into_iter().chain(overlay_for).map(|b| b.as_ref()))?;
                coerce::function("overlay", args)
            }
            E::Case { operand, conditions, else_result, .. } => self.case(operand.as_deref(), conditions, else_result.as_deref()),
            E::Function(f) => self.call(f),
            E::Lambda(_) => Err(Error::new(
                ErrorClass::InvalidLambda,
                "Invalid lambda function call. A lambda function should only be used in a higher order function.",
            )),
            E::Exists { subquery, negated } => {
                let exists = self.exists(subquery)?;
                negate_if(*negated, exists)
            }
            E::Subquery(q) => self.scalar_subquery(q),
            E::Array(a) => {
                let args = self.bind_all(&a.elem)?;
                coerce::function("array", args)
            }
            E::Tuple(items) => {
                let args = self.bind_all(items)?;
                coerce::function("struct", args)
            }
            E::AnyOp { left, compare_op: BinaryOperator::Eq, right, .. } if let E::Subquery(q) = unnested(right) => {
                self.in_subquery(left, q)
            }
            E::AllOp { left, compare_op: BinaryOperator::NotEq, right } if let E::Subquery(q) = unnested(right) => {
                coerce::logical_not(self.in_subquery(left, q)?)
            }
            other => Err(Error::unsupported(format!("The expression `{other}` is not supported."))),
        }
    }

    /// The columns of `name.*`: those of a relation, else the fields of a struct; under their names.
    ///
    /// # Errors
    /// `StarNotFound`; `TypeMismatch` for a column that is no struct.
    pub(super) fn star(&mut self, name: &[Ident]) -> Result<Vec<(Arc<str>, Expr)>> {
        let of_relation = |c: &&Column| is_suffix(&c.qualifier, name);
        let found: Vec<_> = self.scope.columns.iter().filter(of_relation).map(Column::star_item).collect();
        if !found.is_empty() {
            return Ok(found);
        }
        let variable = name.first().and_then(|first| self.lambda_variable(first));
        if variable.is_none() && self.scope.find(name)?.is_none() {
            let mut tables: Vec<&str> = self.scope.columns.iter().filter_map(|c| c.qualifier.last().map(String::as_str)).collect();
            tables.dedup();
            let last = name.last().map_or("", |i| i.value.as_str());
            let hint = nearest(last, tables).map(|n| format!(" Did you mean `{n}`?")).unwrap_or_default();
            let message = format!("Cannot resolve {}.* given the tables in FROM.{hint}", dotted(name));
            return Err(Error::new(ErrorClass::StarNotFound, message).at(ident_location(name)));
        }
        let value = self.column(name)?;
        let DataType::Struct(fields) = value.data_type() else {
            let message = format!("Can only star expand struct data types. Attribute: {}.", dotted(name));
            return Err(Error::new(ErrorClass::TypeMismatch, message).at(ident_location(name)));
        };
        let field = |name: &Arc<str>| Expr::Function {
            function: ScalarFunction::GetField,
            args: vec![value.clone(), Expr::Literal(Scalar::String(name.clone()))],
        };
        Ok(fields.iter().map(|f| (f.name.clone(), field(&f.name))).collect())
    }

    fn column(&mut self, name: &[Ident]) -> Result<Expr> {
        if let Some(variable) = name.first().and_then(|first| self.lambda_variable(first)) {
            return fields(variable, &name[1..]);
        }
        if let (Aliases::First(items), [ident], false) = (self.aliases, name, self.in_aggregate)
            && let Some(item) = alias(items, ident)?
        {
            return Ok(Expr::Attribute(item.to_attribute()));
        }
        let resolved = match self.scope.find_here(name)? {
            Some(found) => found,
            None => {
                if let (Aliases::Fallback(items), [ident]) = (self.aliases, name)
                    && let Some(item) = alias(items, ident)?
                {
                    return Ok(item.unaliased().clone());
                }
                self.scope.resolve(name)?
            }
        };
        fields(Expr::Attribute(resolved.attribute), resolved.fields)
    }

    fn access(&mut self, root: &ast::Expr, chain: &[AccessExpr]) -> Result<Expr> {
        // `t.a[0].b` comes as the root `t` with the chain `.a`, `[0]`, `.b`: names at the front belong to the column's name.
        let mut name = match root {
            ast::Expr::Identifier(i) => vec![i.clone()],
            ast::Expr::CompoundIdentifier(is) => is.clone(),
            _ => vec![],
        };
        let mut rest = chain;
        if !name.is_empty() {
            while let [AccessExpr::Dot(ast::Expr::Identifier(i)), tail @ ..] = rest {
                name.push(i.clone());
                rest = tail;
            }
        }
        let mut value = if name.is_empty() { self.bind(root)? } else { self.column(&name)? };
        for step in rest {
            value = match step {
                AccessExpr::Dot(ast::Expr::Identifier(field)) => fields(value, std::slice::from_ref(field))?,
                AccessExpr::Subscript(Subscript::Index { index: at }) => coerce::extract(value, self.bind(at)?).at(at)?,
                other => return Err(Error::unsupported(format!("The access `{other}` is not supported."))),
            };
        }
        Ok(value)
    }

    /// Binds `a + b - c …` and `a AND b AND c …` without recursion along the chain. Chains of AND and OR become balanced trees
    /// when they are long, so that depth does not grow with length.
    fn operator_chain(&mut self, e: &ast::Expr) -> Result<Expr> {
        let mut spine = vec![];
        let mut first = e;
        while let ast::Expr::BinaryOp { left, op, right } = first {
            spine.push((op, right.as_ref()));
            first = left;
        }
        let mut value = self.bind(first)?;
        let mut levels = 0;
        let mut links = spine.into_iter().rev().peekable();
        while let Some((op, right)) = links.next() {
            if !matches!(op, BinaryOperator::And | BinaryOperator::Or) {
                // Each link types its left side again, so a chain that will be too deep stops here.
                levels += 1;
                if levels > MAX_NESTING {
                    return Err(too_deep()).at(right);
                }
                let right_value = self.bind(right)?;
                value = binary(op, value, right_value).at(right)?;
                continue;
            }
            let mut operands = vec![coerce::condition(value).at(first)?, coerce::condition(self.bind(right)?).at(right)?];
            while let Some((_, right)) = links.next_if(|(next, _)| *next == op) {
                operands.push(coerce::condition(self.bind(right)?).at(right)?);
            }
            let joined = if *op == BinaryOperator::And { Expr::conjunction(operands) } else { Expr::disjunction(operands) };
            value = joined.ok_or_else(|| Error::internal("a chain has operands"))?;
        }
        Ok(value)
    }

    fn unary(&mut self, op: UnaryOperator, operand: &ast::Expr) -> Result<Expr> {
        if op == UnaryOperator::Minus
            && let ast::Expr::Value(v) = operand
            && let ast::Value::Number(digits, _) = &v.value
        {
            return literal::number(&format!("-{digits}"));
        }
        let value = self.bind(operand)?;
        match op {
            UnaryOperator::Minus => coerce::negate(value),
            UnaryOperator::Plus if value.data_type().is_numeric() => Ok(value),
            UnaryOperator::Plus => coerce::negate(coerce::negate(value)?),
            UnaryOperator::Not | UnaryOperator::BangNot => coerce::logical_not(value),
            UnaryOperator::BitwiseNot => coerce::function("~", vec![value]),
            other => Err(Error::unsupported(format!("The operator `{other}` is not supported."))),
        }
    }

    fn is_boolean(&mut self, e: &ast::Expr, value: bool) -> Result<Expr> {
        let operand = self.bind(e)?;
        coerce::comparison(ComparisonOp::EqualNullSafe, operand, Expr::Literal(Scalar::Boolean(value)))
    }

    fn in_list(&mut self, value: &ast::Expr, list: &[ast::Expr]) -> Result<Expr> {
        let ast::Expr::Tuple(parts) = value else {
            let value = self.bind(value)?;
            let list = self.bind_all(list)?;
            return coerce::in_list(value, list);
        };
        // Row values: equal when all parts are.
        let parts = self.bind_all(parts)?;
        let mut rows = vec![];
        for row in list {
            let ast::Expr::Tuple(items) = row else {
                return Err(Error::new(ErrorClass::TypeMismatch, "IN compares a row with values that are no rows.")).at(row);
            };
            let items = self.bind_all(items)?;
            if items.len() != parts.len() {
                return Err(Error::new(ErrorClass::TypeMismatch, "IN compares rows of different lengths.")).at(row);
            }
            let equal =
                parts.iter().cloned().zip(items).map(|(l, r)| coerce::comparison(ComparisonOp::Equal, l, r)).collect::<Result<_>>()?;
            let equal: Vec<Expr> = equal;
            rows.extend(Expr::conjunction(equal));
        }
        Expr::disjunction(rows).ok_or_else(|| Error::new(ErrorClass::Parse, "IN needs values."))
    }

    fn like(
        &mut self,
        negated: bool,
        any: bool,
        value: &ast::Expr,
        pattern: &ast::Expr,
        escape: Option<&ast::Expr>,
        case_insensitive: bool,
    ) -> Result<Expr> {
        let escape = match escape {
            None => None,
            Some(ast::Expr::Value(v)) => match literal::text(&v.value).map(|t| t.chars().collect::<Vec<_>>()).as_deref() {
                Some([c]) => Some(*c),
                _ => return Err(Error::new(ErrorClass::InvalidParameter, "ESCAPE takes a single character.")).at(value),
            },
            Some(other) => return Err(Error::new(ErrorClass::InvalidParameter, "ESCAPE takes a single character.")).at(other),
        };
        let value = self.bind(value)?;
        let patterns = match pattern {
            ast::Expr::Tuple(items) if any => items.iter().collect(),
            other => vec![other],
        };
        let matches = patterns
            .into_iter()
            .map(|p| {
                let pattern = self.bind(p)?;
                negate_if(negated, coerce::like(value.clone(), pattern, escape, case_insensitive)?)
            })
            .collect::<Result<Vec<_>>>()?;
        Expr::disjunction(matches).ok_or_else(|| Error::new(ErrorClass::Parse, "LIKE ANY needs patterns."))
    }

    fn case(&mut self, operand: Option<&ast::Expr>, conditions: &[ast::CaseWhen], otherwise: Option<&ast::Expr>) -> Result<Expr> {
        let operand = operand.map(|o| self.bind(o)).transpose()?;
        let mut branches = vec![];
        for when in conditions {
            let condition = self.bind(&when.condition)?;
            let condition = match &operand {
                Some(o) => coerce::comparison(ComparisonOp::Equal, o.clone(), condition).at(&when.condition)?,
                None => condition,
            };
            branches.push((condition, self.bind(&when.result)?));
        }
        let otherwise = otherwise.map(|o| self.bind(o)).transpose()?;
        coerce::case(branches, otherwise)
    }

    fn round(&mut self, name: &str, e: &ast::Expr, kind: &ast::CeilFloorKind) -> Result<Expr> {
        let mut args = vec![self.bind(e)?];
        match kind {
            ast::CeilFloorKind::DateTimeField(ast::DateTimeField::NoDateTime) => {}
            ast::CeilFloorKind::Scale(v) => args.push(literal::value(&v.value)?),
            ast::CeilFloorKind::DateTimeField(f) => return Err(Error::unsupported(format!("{name} TO {f} is not supported."))),
        }
        coerce::function(name, args)
    }

    fn interval(&mut self, interval: &ast::Interval) -> Result<Expr> {
        if let Some(constant) = literal::interval(interval)? {
            return Ok(Expr::Literal(constant));
        }
        let unit = Expr::Literal(literal::interval_unit(interval)?);
        let count = self.bind(&interval.value)?;
        coerce::arithmetic(ArithmeticOp::Multiply, unit, count)
    }

    /// # Errors
    /// `InvalidGrouping`: the clause admits no such call.
    pub(super) fn reject(&self, what: &str, call: &impl Spanned) -> Error {
        let message = format!("{what} is not allowed in {}.", self.clause.name);
        Error::new(ErrorClass::InvalidGrouping, message).at(location(call.span().start))
    }
}

/// The select item of that name.
fn alias<'e>(items: &'e [Expr], name: &Ident) -> Result<Option<&'e Expr>> {
    let mut found = items.iter().filter(|i| i.to_attribute().name.eq_ignore_ascii_case(&name.value));
    let Some(first) = found.next() else { return Ok(None) };
    match found.any(|other| other.to_attribute().id != first.to_attribute().id && other.unaliased() != first.unaliased()) {
        true => {
            let message = format!(
                "Reference {} is ambiguous: several columns of the select list have that name.",
                dotted(std::slice::from_ref(name))
            );
            Err(Error::new(ErrorClass::AmbiguousReference, message).at(ident_location(std::slice::from_ref(name))))
        }
        false => Ok(Some(first)),
    }
}

fn unnested(mut e: &ast::Expr) -> &ast::Expr {
    while let ast::Expr::Nested(inner) = e {
        e = inner;
    }
    e
}

fn fields(value: Expr, names: &[Ident]) -> Result<Expr> {
    names.iter().try_fold(value, |value, field| {
        coerce::extract(value, Expr::Literal(Scalar::string(field.value.as_str()))).map_err(|e| e.at(location(field.span.start)))
    })
}

fn negate_if(negated: bool, e: Expr) -> Result<Expr> {
    if negated { coerce::logical_not(e) } else { Ok(e) }
}

fn binary(op: &BinaryOperator, left: Expr, right: Expr) -> Result<Expr> {
    use BinaryOperator as B;
    let arithmetic = match op {
        B::Plus => Some(ArithmeticOp::Add),
        B::Minus => Some(ArithmeticOp::Subtract),
        B::Multiply => Some(ArithmeticOp::Multiply),
        B::Divide => Some(ArithmeticOp::Divide),
        B::Modulo => Some(ArithmeticOp::Remainder),
        B::MyIntegerDivide | B::DuckIntegerDivide => Some(ArithmeticOp::IntegralDivide),
        _ => None,
    };
    if let Some(op) = arithmetic {
        return coerce::arithmetic(op, left, right);
    }
    let comparison = match op {
        B::Eq => Some(ComparisonOp::Equal),
        B::NotEq => Some(ComparisonOp::NotEqual),
        B::Lt => Some(ComparisonOp::Less),
        B::LtEq => Some(ComparisonOp::LessOrEqual),
        B::Gt => Some(ComparisonOp::Greater),
        B::GtEq => Some(ComparisonOp::GreaterOrEqual),
        B::Spaceship => Some(ComparisonOp::EqualNullSafe),
        _ => None,
    };
    if let Some(op) = comparison {
        return coerce::comparison(op, left, right);
    }
    match op {
        B::StringConcat => coerce::function("concat", vec![left, right]),
        B::BitwiseAnd => coerce::function("&", vec![left, right]),
        B::BitwiseOr => coerce::function("|", vec![left, right]),
        B::BitwiseXor | B::PGBitwiseXor => coerce::function("^", vec![left, right]),
        other => Err(Error::unsupported(format!("The operator `{other}` is not supported."))),
    }
}

/// Levels of an expression.
pub(super) fn depth(e: &Expr) -> usize {
    let below = |e: &Expr| e.children().into_iter().map(depth).max().unwrap_or(0);
    1 + stacker::maybe_grow(64 << 10, 1 << 20, || below(e))
}
