//! FROM: tables, views, CTEs, derived tables, VALUES, table functions, joins, samples, LATERAL VIEW.

use std::collections::BTreeMap;

use sqlparser::ast::{self, FunctionArg, FunctionArgExpr, Ident, JoinConstraint, JoinOperator, Spanned, TableFactor, TableWithJoins};

use super::expr::{Clause, ExprBinder, Pending};
use super::hints::Hints;
use super::parse::{location, name_parts, too_deep};
use super::pivot::Pivot;
use super::query::rename_columns;
use super::scope::{At, Column, Relation, Scope, dotted, ident_location};
use super::select_list::generated;
use super::set_ops::union;
use super::subquery::attach;
use super::{Binder, CatalogEntry, MAX_NESTING, literal};
use crate::base::error::nearest;
use crate::base::{Attribute, DataType, Error, ErrorClass, ExprId, Result, Scalar};
use crate::datasource;
use crate::expr::{ComparisonOp, Expr, coerce, evaluate};
use crate::logical::{Join, JoinHint, JoinType, LogicalPlan};

impl Binder<'_> {
    /// The tables of FROM, comma-separated ones joined without a condition; without FROM one row of no columns.
    pub(super) fn from(&mut self, tables: &[TableWithJoins], hints: &Hints, outer: Option<&Scope>) -> Result<Relation> {
        let mut joined: Option<Relation> = None;
        let mut joins = 0;
        for table in tables {
            joins += 1 + table.joins.len();
            if joins > MAX_NESTING {
                return Err(too_deep()).at(&table.relation);
            }
            let right = self.table_with_joins(table, hints, outer)?;
            joined = Some(match joined {
                None => right,
                Some(left) => self.join(left, right, JoinType::Inner, &JoinConstraint::None, outer)?,
            });
        }
        Ok(joined.unwrap_or_else(|| Relation::new(LogicalPlan::OneRowRelation, &[])))
    }

    fn table_with_joins(&mut self, table: &TableWithJoins, hints: &Hints, outer: Option<&Scope>) -> Result<Relation> {
        let mut left = self.factor(&table.relation, hints, outer)?;
        for join in &table.joins {
            let right = self.factor(&join.relation, hints, outer)?;
            let (kind, constraint) = match &join.join_operator {
                JoinOperator::Join(c) | JoinOperator::Inner(c) => (JoinType::Inner, c),
                JoinOperator::Left(c) | JoinOperator::LeftOuter(c) => (JoinType::LeftOuter, c),
                JoinOperator::Right(c) | JoinOperator::RightOuter(c) => (JoinType::RightOuter, c),
                JoinOperator::FullOuter(c) => (JoinType::FullOuter, c),
                JoinOperator::CrossJoin(c) => (JoinType::Cross, c),
                JoinOperator::Semi(c) | JoinOperator::LeftSemi(c) => (JoinType::LeftSemi, c),
                JoinOperator::Anti(c) | JoinOperator::LeftAnti(c) => (JoinType::LeftAnti, c),
                other => return Err(Error::unsupported(format!("The join {other:?} is not supported."))).at(&join.relation),
            };
            left = self.join(left, right, kind, constraint, outer)?;
        }
        Ok(left)
    }

    fn join(
        &mut self,
        left: Relation,
        right: Relation,
        join_type: JoinType,
        constraint: &JoinConstraint,
        outer: Option<&Scope>,
    ) -> Result<Relation> {
        let mut pending = Pending::default();
        let mut columns: Vec<Column> = left.columns.iter().chain(&right.columns).cloned().collect();
        let mut merged = None;
        let condition = match constraint {
            JoinConstraint::None => None,
            JoinConstraint::On(e) => {
                let scope = Scope::new(&columns, outer);
                Some(ExprBinder::new(self, &mut pending, scope, Clause::plain("the JOIN condition")).condition(e)?)
            }
            JoinConstraint::Using(names) => {
                let names = names.iter().map(|n| Ok(name_parts(n)?.into_iter().next_back())).collect::<Result<Vec<_>>>()?;
                let keys = names.into_iter().flatten().map(|n| Ok((key(&left, &n, "left")?, key(&right, &n, "right")?)));
                merged = Some(keys.collect::<Result<Vec<_>>>()?);
                None
            }
            JoinConstraint::Natural => {
                let common = left.visible().filter(|l| right.visible().any(|r| r.name().eq_ignore_ascii_case(l.name())));
                let names: Vec<Ident> = common.map(|c| Ident::new(c.name())).collect();
                merged = Some(names.iter().map(|n| Ok((key(&left, n, "left")?, key(&right, n, "right")?))).collect::<Result<_>>()?);
                None
            }
        };
        let condition = match &merged {
            None => condition,
            Some(keys) => {
                let side = |c: &Column| Expr::Attribute(c.attribute.clone());
                let equal = keys.iter().map(|(l, r)| coerce::comparison(ComparisonOp::Equal, side(l), side(r)));
                Expr::conjunction(equal.collect::<Result<Vec<_>>>()?)
            }
        };
        let inner = matches!(join_type, JoinType::Inner | JoinType::Cross);
        let full = join_type == JoinType::FullOuter;
        let right_outer = join_type == JoinType::RightOuter;
        let left_width = left.columns.len();
        if matches!(join_type, JoinType::LeftSemi | JoinType::LeftAnti) {
            columns.truncate(left_width);
        }
        // Outer joins make columns nullable.
        for (i, c) in columns.iter_mut().enumerate() {
            c.attribute.nullable |= full || if i < left_width { right_outer } else { join_type == JoinType::LeftOuter };
        }
        // The subqueries of an inner join's condition are answered for each pair of rows, those of others for the rows of one side.
        let (mut left, mut right) = (left.plan, right.plan);
        let (condition, filter) = if inner && !pending.applies.is_empty() { (None, condition) } else { (condition, None) };
        if !inner && !pending.applies.is_empty() {
            let (of_left, of_right) = (left.output_set(), right.output_set());
            let (on_right, on_left): (Vec<_>, Vec<_>) = pending.applies.drain(..).partition(|a| !a.used().is_disjoint(&of_right));
            if on_right.iter().any(|a| !a.used().is_disjoint(&of_left)) {
                let error = Error::unsupported("Correlated subqueries in the join predicate cannot reference both join inputs.");
                return match constraint {
                    JoinConstraint::On(e) => Err(error).at(e),
                    JoinConstraint::Using(_) | JoinConstraint::Natural | JoinConstraint::None => Err(error),
                };
            }
            (left, right) = (attach(left, on_left), attach(right, on_right));
        }
        let (left, right) = (Box::new(left), Box::new(right));
        let mut plan = attach(LogicalPlan::Join(Join { left, right, join_type, condition, hint: JoinHint::default() }), pending.applies);
        if let Some(condition) = filter {
            plan = LogicalPlan::Filter { condition, input: Box::new(plan) };
        }
        if let Some(keys) = merged {
            let keys: Vec<(ExprId, ExprId)> = keys.iter().map(|(l, r)| (l.attribute.id, r.attribute.id)).collect();
            if full {
                plan = coalesce_keys(plan, &keys, &mut columns)?;
            } else {
                let shown = |(l, r): &(ExprId, ExprId)| if right_outer { *r } else { *l };
                let hidden = |(l, r): &(ExprId, ExprId)| if right_outer { *l } else { *r };
                merge_keys(&keys.iter().map(shown).collect::<Vec<_>>(), &keys.iter().map(hidden).collect::<Vec<_>>(), &mut columns);
            }
        }
        Ok(Relation { plan, columns })
    }

    fn factor(&mut self, factor: &TableFactor, hints: &Hints, outer: Option<&Scope>) -> Result<Relation> {
        let relation = self.unhinted(factor, hints, outer)?;
        Ok(hints.on(relation, &relation_name(factor)?))
    }

    /// A relation without the hints that name it.
    fn unhinted(&mut self, factor: &TableFactor, hints: &Hints, outer: Option<&Scope>) -> Result<Relation> {
        match factor {
            TableFactor::Table { name, alias, args: None, sample, .. } => {
                let relation = self.table(&name_parts(name)?)?;
                let relation = self.sample(relation, sample.as_ref())?;
                aliased(relation, alias.as_ref())
            }
            TableFactor::Table { name, alias, args: Some(args), .. } => {
                let relation = self.table_function(&name_parts(name)?, &args.args)?;
                aliased(relation, alias.as_ref())
            }
            TableFactor::Function { name, args, alias, .. } => {
                let relation = self.table_function(&name_parts(name)?, args)?;
                aliased(relation, alias.as_ref())
            }
            TableFactor::Derived { lateral, subquery, alias, sample } => {
                let relation = self.query(subquery, outer).map_err(|e| match *lateral && e.class == ErrorClass::ColumnNotFound {
                    true => e.context("LATERAL subqueries cannot refer to the tables before them"),
                    false => e,
                })?;
                let relation = self.sample(relation, sample.as_ref())?;
                aliased(relation, alias.as_ref())
            }
            TableFactor::NestedJoin { table_with_joins, alias } => {
                let relation = self.table_with_joins(table_with_joins, hints, outer)?;
                if alias.is_some() { aliased(relation, alias.as_ref()) } else { Ok(relation) }
            }
            TableFactor::Pivot { table, aggregate_functions, value_column, value_source, alias, .. } => {
                let table = self.factor(table, hints, outer)?;
                let pivot = Pivot { aggregates: aggregate_functions, columns: value_column, values: value_source };
                let relation = self.pivot(table, &pivot, outer).at(factor)?;
                aliased(relation, alias.as_ref())
            }
            TableFactor::TableFunction { expr: ast::Expr::Function(f), alias } => {
                let args = match &f.args {
                    ast::FunctionArguments::List(list) => list.args.as_slice(),
                    _ => &[],
                };
                let relation = self.table_function(&name_parts(&f.name)?, args)?;
                aliased(relation, alias.as_ref())
            }
            other => Err(Error::unsupported(format!("`{other}` in FROM is not supported."))).at(other),
        }
    }

    /// A CTE in sight, else a table or view of the catalog, else files given as `` parquet.`path` ``.
    pub(super) fn table(&mut self, name: &[Ident]) -> Result<Relation> {
        if let [one] = name
            && let Some(cte) = self.ctes.iter().rev().find(|c| c.name.eq_ignore_ascii_case(&one.value)).cloned()
        {
            return Ok(Relation::new(self.instantiate(&cte.query, &cte.outer)?, std::slice::from_ref(&one.value)));
        }
        let parts: Vec<String> = name.iter().map(|i| i.value.clone()).collect();
        match self.catalog.resolve(&parts) {
            Some(CatalogEntry::View(query)) => Ok(Relation::new(self.instantiate(&query, &[])?, &parts)),
            Some(CatalogEntry::Table(source)) => Ok(Relation::new(LogicalPlan::relation(&parts.join("."), source), &parts)),
            None => match parts.as_slice() {
                [format, path] if ["parquet", "csv", "json", "arrow"].contains(&format.to_ascii_lowercase().as_str()) => {
                    let source = datasource::open_path(path, Some(&format.to_ascii_lowercase()), &BTreeMap::new())
                        .map_err(|e| e.at(ident_location(name)))?;
                    Ok(Relation::new(LogicalPlan::relation(&parts.join("."), source), &[]))
                }
                _ => Err(self.no_table(name)),
            },
        }
    }

    fn no_table(&self, name: &[Ident]) -> Error {
        let names = self.catalog.names();
        let ctes = self.ctes.iter().map(|c| c.name.as_str());
        let last = name.last().map_or("", |i| i.value.as_str());
        let hint = nearest(last, names.iter().map(String::as_str).chain(ctes)).map(|n| format!(" Did you mean `{n}`?")).unwrap_or_default();
        let message = format!("The table or view {} cannot be found.{hint}", dotted(name));
        Error::new(ErrorClass::TableNotFound, message).at(ident_location(name))
    }

    /// `range([start,] end [, step [, partitions]])`, or a generator.
    fn table_function(&mut self, name: &[Ident], args: &[FunctionArg]) -> Result<Relation> {
        let function = name.last().map_or(String::new(), |i| i.value.to_ascii_lowercase());
        let mut exprs = vec![];
        for arg in args {
            let FunctionArg::Unnamed(FunctionArgExpr::Expr(e)) = arg else {
                return Err(Error::unsupported(format!("The argument `{arg}` of a table function is not supported.")));
            };
            exprs.push(e);
        }
        let at = ident_location(name);
        if function == "range" {
            return self.range(&exprs).map_err(|e| e.at(at));
        }
        let mut pending = Pending::default();
        let mut binder =
            ExprBinder::new(self, &mut pending, Scope::default(), Clause { generators: true, ..Clause::plain("a table function") });
        let args = exprs.into_iter().map(|e| binder.expression(e)).collect::<Result<_>>()?;
        let generator = coerce::function(&function, args).map_err(|e| e.at(at))?;
        let Some(generator) = generated(&generator, &[]).map_err(|e| e.at(at))? else {
            let message = format!("`{function}` is not a table function.");
            return Err(Error::new(ErrorClass::RoutineNotFound, message).at(at));
        };
        Ok(Relation::new(generator.over(LogicalPlan::OneRowRelation), &[]))
    }

    fn range(&mut self, args: &[&ast::Expr]) -> Result<Relation> {
        let mut pending = Pending::default();
        let mut binder = ExprBinder::new(self, &mut pending, Scope::default(), Clause::plain("range"));
        let mut numbers = vec![];
        for e in args {
            let value = coerce::implicit_cast(binder.expression(e)?, &DataType::Long).at(*e)?;
            let number =
                if value.is_foldable() { evaluate::fold(&value).at(*e)?.as_i128().and_then(|v| i64::try_from(v).ok()) } else { None };
            numbers.push(
                number
                    .ok_or_else(|| Error::new(ErrorClass::InvalidParameter, "The arguments of range must be integer constants."))
                    .at(*e)?,
            );
        }
        let (start, end, step, partitions) = match numbers.as_slice() {
            [end] => (0, *end, 1, None),
            [start, end] => (*start, *end, 1, None),
            [start, end, step] => (*start, *end, *step, None),
            [start, end, step, partitions] => (*start, *end, *step, Some(*partitions)),
            _ => return Err(Error::new(ErrorClass::WrongArguments, "range takes 1 to 4 arguments.")),
        };
        if step == 0 {
            return Err(Error::new(ErrorClass::InvalidParameter, "The step of range must not be 0."));
        }
        let partitions = match partitions {
            None => None,
            Some(n @ 1..) => usize::try_from(n).ok(),
            Some(_) => return Err(Error::new(ErrorClass::InvalidParameter, "The partitions of range must be positive.")),
        };
        let output = Attribute::new("id", DataType::Long, false);
        Ok(Relation::new(LogicalPlan::Range { start, end, step, partitions, output }, &[]))
    }

    /// `VALUES (…), (…)`: literal rows where all is constant, else one projection per row.
    pub(super) fn values(&mut self, values: &ast::Values, outer: Option<&Scope>) -> Result<Relation> {
        let mut pending = Pending::default();
        let scope = Scope::new(&[], outer);
        let mut rows = vec![];
        for row in &values.rows {
            let mut binder = ExprBinder::new(self, &mut pending, scope, Clause::plain("VALUES"));
            let row_values = row.content.iter().map(|e| binder.expression(e)).collect::<Result<Vec<Expr>>>()?;
            if rows.first().is_some_and(|first: &Vec<Expr>| first.len() != row_values.len()) {
                let message = "The rows of VALUES must have the same number of columns.";
                return Err(Error::new(ErrorClass::WrongArguments, message).at(row.content.first().and_then(|e| location(e.span().start))));
            }
            rows.push(row_values);
        }
        if !pending.applies.is_empty() {
            return Err(Error::unsupported("Correlated subqueries in VALUES are not supported."));
        }
        let width = rows.first().map_or(0, Vec::len);
        let types = (0..width).map(|c| {
            let types: Vec<DataType> = rows.iter().map(|r| r[c].data_type()).collect();
            coerce::common_type(&types).ok_or_else(|| {
                let names: Vec<String> = types.iter().map(DataType::to_string).collect();
                Error::new(
                    ErrorClass::TypeMismatch,
                    format!("Column {} of VALUES has types {}, which have no common one.", c + 1, names.join(", ")),
                )
            })
        });
        let types = types.collect::<Result<Vec<_>>>()?;
        let rows = rows
            .into_iter()
            .map(|row| row.into_iter().zip(&types).map(|(e, t)| coerce::implicit_cast(e, t)).collect::<Result<Vec<_>>>())
            .collect::<Result<Vec<_>>>()?;
        if !rows.iter().flatten().all(Expr::is_foldable) {
            let project = |row: Vec<Expr>| {
                let alias = |(i, e)| Expr::Alias { expr: Box::new(e), name: format!("col{}", i + 1).into(), id: ExprId::next() };
                LogicalPlan::Project {
                    list: row.into_iter().enumerate().map(alias).collect(),
                    input: Box::new(LogicalPlan::OneRowRelation),
                }
            };
            let mut plans: Vec<LogicalPlan> = rows.into_iter().map(project).collect();
            let plan = if plans.len() == 1 { plans.remove(0) } else { union(plans)? };
            return Ok(Relation::new(plan, &[]));
        }
        let fold = |row: &Vec<Expr>| row.iter().map(evaluate::fold).collect::<Result<Vec<Scalar>>>();
        let rows = rows.iter().map(fold).collect::<Result<Vec<_>>>()?;
        let output = types.into_iter().enumerate().map(|(c, t)| {
            let nullable = rows.iter().any(|r| r[c].is_null());
            Attribute::new(format!("col{}", c + 1), t, nullable)
        });
        Ok(Relation::new(LogicalPlan::LocalRelation { output: output.collect(), rows }, &[]))
    }

    fn sample(&mut self, relation: Relation, sample: Option<&ast::TableSampleKind>) -> Result<Relation> {
        let Some(ast::TableSampleKind::BeforeTableAlias(sample) | ast::TableSampleKind::AfterTableAlias(sample)) = sample else {
            return Ok(relation);
        };
        let input = Box::new(relation.plan);
        let plan = match (&sample.quantity, &sample.bucket) {
            (Some(quantity), _) if quantity.unit == Some(ast::TableSampleUnit::Rows) => {
                LogicalPlan::Limit { limit: Some(self.row_count(&quantity.value, "TABLESAMPLE")?), offset: 0, input }
            }
            (Some(quantity), _) => {
                let percent = sample_number(&quantity.value)?;
                let upper = if quantity.unit == Some(ast::TableSampleUnit::Percent) { percent / 100.0 } else { percent };
                bernoulli(upper, seed(sample)?, input)?
            }
            (None, Some(bucket)) => {
                let (part, total) = (literal_number(&bucket.bucket.value)?, literal_number(&bucket.total.value)?);
                bernoulli(part / total, seed(sample)?, input)?
            }
            (None, None) => return Err(Error::unsupported("This TABLESAMPLE is not supported.")),
        };
        Ok(Relation { plan, ..relation })
    }

    /// `LATERAL VIEW [OUTER] explode(x) t AS c`.
    pub(super) fn lateral_view(&mut self, from: Relation, view: &ast::LateralView, outer: Option<&Scope>) -> Result<Relation> {
        let mut pending = Pending::default();
        let scope = Scope::new(&from.columns, outer);
        let generator = ExprBinder::new(self, &mut pending, scope, Clause { generators: true, ..Clause::plain("LATERAL VIEW") })
            .expression(&view.lateral_view)?;
        let Some(mut generator) = generated(&generator, &view.lateral_col_alias).at(&view.lateral_view)? else {
            let message = format!("The generator is not supported: `{}` is expected to be a generator such as explode.", view.lateral_view);
            return Err(Error::new(ErrorClass::UnsupportedGenerator, message)).at(&view.lateral_view);
        };
        let qualifier: Vec<String> = name_parts(&view.lateral_view_name)?.into_iter().map(|i| i.value).collect();
        if view.outer {
            generator.outer = true;
            generator.output = generator.output.into_iter().map(|a| a.with_nullable(true)).collect();
        }
        let columns = generator.output.iter().map(|a| Column { qualifier: qualifier.clone(), attribute: a.clone(), hidden: false });
        let columns = from.columns.iter().cloned().chain(columns).collect();
        Ok(Relation { plan: generator.over(attach(from.plan, pending.applies)), columns })
    }
}

/// The name by which a hint means a relation: its alias, else the name of the table.
fn relation_name(factor: &TableFactor) -> Result<Vec<String>> {
    let (name, alias) = match factor {
        TableFactor::Table { name, alias, .. } => (Some(name), alias),
        TableFactor::Function { alias, .. }
        | TableFactor::Derived { alias, .. }
        | TableFactor::NestedJoin { alias, .. }
        | TableFactor::Pivot { alias, .. }
        | TableFactor::TableFunction { alias, .. } => (None, alias),
        _ => return Ok(vec![]),
    };
    match (alias, name) {
        (Some(alias), _) => Ok(vec![alias.name.value.clone()]),
        (None, Some(name)) => Ok(name_parts(name)?.into_iter().map(|i| i.value).collect()),
        (None, None) => Ok(vec![]),
    }
}

/// The relation under its alias, which hides the names below it.
fn aliased(relation: Relation, alias: Option<&ast::TableAlias>) -> Result<Relation> {
    let Some(alias) = alias else { return Ok(relation) };
    let qualifier = vec![alias.name.value.clone()];
    let names: Vec<Ident> = alias.columns.iter().map(|c| c.name.clone()).collect();
    if !names.is_empty() {
        return Ok(Relation::new(rename_columns(relation.plan, &names)?, &qualifier));
    }
    let columns = relation.columns.into_iter().filter(|c| !c.hidden).map(|c| Column { qualifier: qualifier.clone(), ..c });
    Ok(Relation { columns: columns.collect(), ..relation })
}

/// The column of a USING or NATURAL join on one side.
fn key(side: &Relation, name: &Ident, which: &str) -> Result<Column> {
    let visible: Vec<Column> = side.visible().cloned().collect();
    match Scope::new(&visible, None).find_here(std::slice::from_ref(name))? {
        Some(found) => visible
            .into_iter()
            .find(|c| c.attribute.id == found.attribute.id)
            .ok_or_else(|| Error::internal("a found column is among the columns")),
        None => {
            let hint = nearest(&name.value, visible.iter().map(Column::name)).map(|n| format!(" Did you mean `{n}`?")).unwrap_or_default();
            let message = format!("USING column `{}` cannot be resolved on the {which} side of the join.{hint}", name.value);
            Err(Error::new(ErrorClass::ColumnNotFound, message).at(location(name.span.start)))
        }
    }
}

/// Shows the merged keys first and hides their duplicates.
fn merge_keys(shown: &[ExprId], hidden: &[ExprId], columns: &mut Vec<Column>) {
    for c in columns.iter_mut() {
        c.hidden |= hidden.contains(&c.attribute.id);
    }
    let keys = shown.iter().filter_map(|id| columns.iter().find(|c| c.attribute.id == *id && !c.hidden).cloned()).collect::<Vec<_>>();
    let rest = columns.iter().filter(|c| c.hidden || !shown.contains(&c.attribute.id)).cloned();
    *columns = keys.into_iter().chain(rest).collect();
}

/// The keys of a full outer join come from whichever side has them.
fn coalesce_keys(plan: LogicalPlan, keys: &[(ExprId, ExprId)], columns: &mut Vec<Column>) -> Result<LogicalPlan> {
    let output = plan.output();
    let find = |id: &ExprId| {
        output
            .iter()
            .find(|a| a.id == *id)
            .cloned()
            .map(Expr::Attribute)
            .ok_or_else(|| Error::internal("a join key is a column of the join"))
    };
    let mut merged = vec![];
    for (l, r) in keys {
        let left = find(l)?;
        let name = left.to_attribute().name;
        merged.push(Expr::Alias { expr: Box::new(coerce::coalesce(vec![left, find(r)?])?), name, id: ExprId::next() });
    }
    let hidden: Vec<ExprId> = keys.iter().flat_map(|(l, r)| [*l, *r]).collect();
    for c in columns.iter_mut() {
        c.hidden |= hidden.contains(&c.attribute.id);
    }
    let keys = merged.iter().map(|e| Column { qualifier: vec![], attribute: e.to_attribute(), hidden: false });
    *columns = keys.chain(columns.iter().cloned()).collect();
    let list = output.into_iter().map(Expr::Attribute).chain(merged).collect();
    Ok(LogicalPlan::Project { list, input: Box::new(plan) })
}

fn bernoulli(upper: f64, seed: u64, input: Box<LogicalPlan>) -> Result<LogicalPlan> {
    if !(0.0..=1.0).contains(&upper) {
        return Err(Error::new(ErrorClass::InvalidParameter, format!("The sampling fraction {upper} is not between 0 and 1.")));
    }
    Ok(LogicalPlan::Sample { lower: 0.0, upper, with_replacement: false, seed, input })
}

/// The seed of REPEATABLE, else another one each time.
fn seed(sample: &ast::TableSample) -> Result<u64> {
    match &sample.seed {
        Some(seed) => Ok(literal_number(&seed.value.value)? as u64),
        None => Ok(std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| u64::from(d.subsec_nanos()))),
    }
}

fn sample_number(e: &ast::Expr) -> Result<f64> {
    match e {
        ast::Expr::Value(v) => literal_number(&v.value),
        other => Err(Error::new(ErrorClass::InvalidParameter, "TABLESAMPLE takes a number.")).at(other),
    }
}

fn literal_number(v: &ast::Value) -> Result<f64> {
    let number = match v {
        ast::Value::Number(digits, _) => digits.parse().ok(),
        other => literal::text(other).and_then(|t| t.parse().ok()),
    };
    number.ok_or_else(|| Error::new(ErrorClass::InvalidParameter, format!("{v} is not a number.")))
}
