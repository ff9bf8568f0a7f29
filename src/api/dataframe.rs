//! A lazy table: verbs with Spark's names build a plan, actions run it.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Int64Type;

use super::column::Column;
use super::functions;
use super::grouped::GroupedData;
use super::resolve::{Qualifiers, Scope, alias};
use super::session::Session;
use super::write;
use super::writer::DataFrameWriter;
use crate::base::{Attribute, DataType, Error, ErrorClass, ExprId, Result, Scalar, Schema};
use crate::datasource::BatchStream;
use crate::datasource::write::{ResultFormat, render};
use crate::execution::{CacheInfo, QueryExecution, Stream, StreamOrder};
use crate::expr::{Expr, coerce};
use crate::logical::{BoundQuery, Join, JoinHint, JoinHintStrategy, JoinType, LogicalPlan, RepartitionKind, StorageLevel};
use crate::planning::ExplainLevel;

/// A query that has not run. Verbs resolve names at once, so a wrong name is an error where it is written.
#[derive(Clone)]
pub struct DataFrame {
    session: Session,
    query: BoundQuery,
    qualifiers: Qualifiers,
    /// What its statement and its hints warned of.
    warnings: Vec<String>,
    parse: Duration,
}

/// What a join matches by.
pub enum JoinOn {
    /// A condition over the columns of both sides.
    Condition(Box<Column>),
    /// Columns of these names are equal; they appear once in the result.
    Using(Vec<String>),
    /// Every row with every row.
    Nothing,
}

impl From<Column> for JoinOn {
    fn from(condition: Column) -> Self {
        JoinOn::Condition(Box::new(condition))
    }
}

impl From<&str> for JoinOn {
    fn from(name: &str) -> Self {
        JoinOn::Using(vec![name.to_string()])
    }
}

impl<const N: usize> From<[&str; N]> for JoinOn {
    fn from(names: [&str; N]) -> Self {
        JoinOn::Using(names.iter().map(ToString::to_string).collect())
    }
}

fn columns<C: Into<Column>>(list: impl IntoIterator<Item = C>) -> Vec<Column> {
    list.into_iter().map(Into::into).collect()
}

impl DataFrame {
    pub(crate) fn new(session: Session, plan: LogicalPlan) -> Self {
        Self::from_query(session, plan.into())
    }

    pub(crate) fn from_query(session: Session, query: BoundQuery) -> Self {
        Self { session, query, qualifiers: Qualifiers::new(), warnings: vec![], parse: Duration::ZERO }
    }

    pub(crate) fn parsed_in(mut self, time: Duration) -> Self {
        self.parse = time;
        self
    }

    pub(crate) fn warned(mut self, warnings: Vec<String>) -> Self {
        self.warnings.extend(warnings);
        self
    }

    pub(super) fn map_plan(mut self, f: impl FnOnce(Box<LogicalPlan>) -> LogicalPlan) -> Self {
        self.query.plan = f(Box::new(self.query.plan));
        self
    }

    pub(super) fn with_scope<T>(&self, f: impl FnOnce(&Scope) -> Result<T>) -> Result<T> {
        f(&Scope { attributes: &self.output(), qualifiers: &self.qualifiers })
    }

    pub(super) fn qualified(mut self, name: &str) -> Self {
        for a in self.query.plan.output() {
            self.qualifiers.insert(a.id, vec![name.into()]);
        }
        self
    }

    fn output(&self) -> Vec<Attribute> {
        self.query.plan.output()
    }

    /// Names and types of the columns.
    pub fn schema(&self) -> Schema {
        Schema::new(self.output().iter().map(Attribute::to_field).collect())
    }

    /// Names of the columns.
    pub fn columns(&self) -> Vec<String> {
        self.output().iter().map(|a| a.name.to_string()).collect()
    }

    /// The schema as Spark's `printSchema` draws it.
    pub fn schema_tree(&self) -> String {
        let mut out = String::from("root\n");
        for f in self.schema().fields {
            let _ = writeln!(out, " |-- {}: {} (nullable = {})", f.name, f.data_type, f.nullable);
        }
        out
    }

    /// Names the rows, so that `col("name.column")` means them.
    pub fn alias(self, name: &str) -> Self {
        self.qualified(name)
    }

    /// Other columns in place of these. Aggregates without a grouping make one row of all.
    ///
    /// # Errors
    /// Those of resolving the columns.
    pub fn select<C: Into<Column>>(self, list: impl IntoIterator<Item = C>) -> Result<Self> {
        let list = self.with_scope(|s| s.named_list(&columns(list)))?;
        self.project(list)
    }

    fn project(self, list: Vec<Expr>) -> Result<Self> {
        if list.iter().any(Expr::has_window) {
            return self.project_windows(list);
        }
        if list.iter().any(Expr::has_aggregate) {
            for e in &list {
                check_grouping(e, &[])?;
            }
            return Ok(self.map_plan(|input| LogicalPlan::Aggregate { grouping: vec![], list, input }));
        }
        Ok(self.map_plan(|input| LogicalPlan::Project { list, input }))
    }

    /// One `Window` node per window call below the projection that uses it; equal windows are merged by the optimizer.
    fn project_windows(mut self, list: Vec<Expr>) -> Result<Self> {
        let mut windows = vec![];
        let list = list
            .into_iter()
            .map(|e| {
                e.transform_up(&mut |e| match e {
                    Expr::Window(w) => {
                        let (partition_by, order_by) = (w.partition_by.clone(), w.order_by.clone());
                        let call = alias(Expr::Window(w), "_window");
                        let column = call.to_attribute();
                        windows.push((call, partition_by, order_by));
                        Ok(Expr::Attribute(column))
                    }
                    other => Ok(other),
                })
            })
            .collect::<Result<Vec<_>>>()?;
        for (call, partition_by, order_by) in windows {
            self = self.map_plan(|input| LogicalPlan::Window { calls: vec![call], partition_by, order_by, input });
        }
        Ok(self.map_plan(|input| LogicalPlan::Project { list, input }))
    }

    /// The rows for which the condition is true.
    ///
    /// # Errors
    /// Those of resolving; `TypeMismatch` for a condition that is not a boolean.
    pub fn filter(self, condition: Column) -> Result<Self> {
        let condition = self.with_scope(|s| s.condition(&condition))?;
        Ok(self.map_plan(|input| LogicalPlan::Filter { condition, input }))
    }

    /// [`Self::filter`].
    ///
    /// # Errors
    /// As for `filter`.
    pub fn where_(self, condition: Column) -> Result<Self> {
        self.filter(condition)
    }

    /// One more column, or another one in the place of that name.
    ///
    /// # Errors
    /// Those of resolving the column.
    pub fn with_column(self, name: &str, column: Column) -> Result<Self> {
        let mut new = Some(alias(self.with_scope(|s| s.column(&column))?, name));
        let mut list: Vec<Expr> = vec![];
        for a in self.output() {
            match a.name.eq_ignore_ascii_case(name) {
                true => list.extend(new.take()),
                false => list.push(Expr::Attribute(a)),
            }
        }
        list.extend(new);
        self.project(list)
    }

    /// A column under another name; nothing when there is none of the old name.
    ///
    /// # Errors
    /// None at present.
    pub fn with_column_renamed(self, old: &str, new: &str) -> Result<Self> {
        let list = self.output().into_iter().map(|a| match a.name.eq_ignore_ascii_case(old) {
            true => alias(Expr::Attribute(a), new),
            false => Expr::Attribute(a),
        });
        let list = list.collect();
        self.project(list)
    }

    /// Without these columns; names that there are not are ignored, as in Spark.
    ///
    /// # Errors
    /// None at present.
    pub fn drop(self, names: &[&str]) -> Result<Self> {
        let kept = self.output().into_iter().filter(|a| !names.iter().any(|n| a.name.eq_ignore_ascii_case(n)));
        let list = kept.map(Expr::Attribute).collect();
        self.project(list)
    }

    /// Groups rows; say what to compute with [`GroupedData::agg`].
    pub fn group_by<C: Into<Column>>(self, keys: impl IntoIterator<Item = C>) -> GroupedData {
        GroupedData { frame: self, keys: columns(keys) }
    }

    /// Aggregates over all rows.
    ///
    /// # Errors
    /// Those of [`GroupedData::agg`].
    pub fn agg<C: Into<Column>>(self, aggregates: impl IntoIterator<Item = C>) -> Result<Self> {
        self.group_by::<Column>([]).agg(aggregates)
    }

    /// Matching rows of both sides, by a condition or by columns of the same name.
    ///
    /// # Errors
    /// Those of resolving; `TypeMismatch` for a condition that is not a boolean.
    pub fn join(self, right: &DataFrame, on: impl Into<JoinOn>, how: JoinType) -> Result<Self> {
        let left_ids = self.query.plan.output_set();
        // A table joined with itself: its columns need an identity of their own on each side.
        let right = match right.query.plan.output_set().is_disjoint(&left_ids) {
            true => right.clone(),
            false => right.clone().fresh()?,
        };
        let (left_output, right_output) = (self.output(), right.output());
        let mut qualifiers = self.qualifiers.clone();
        qualifiers.extend(right.qualifiers.clone());
        let both = [left_output.clone(), right_output.clone()].concat();
        let mut list = None;
        let condition = match on.into() {
            JoinOn::Condition(c) => Some(Scope { attributes: &both, qualifiers: &qualifiers }.condition(&c)?),
            JoinOn::Using(names) => {
                let (condition, columns) = using(&names, &left_output, &right_output, &qualifiers, &how)?;
                list = Some(columns);
                condition
            }
            JoinOn::Nothing => None,
        };
        let mut subqueries = self.query.subqueries;
        subqueries
            .extend(right.query.subqueries.into_iter().filter(|(id, _)| !subqueries.iter().any(|(s, _)| s == id)).collect::<Vec<_>>());
        let (left, right) = (Box::new(self.query.plan), Box::new(right.query.plan));
        let plan = LogicalPlan::Join(Join { left, right, join_type: how, condition, hint: JoinHint::default() });
        let joined = Self { query: BoundQuery { plan, subqueries }, qualifiers, ..self };
        match list {
            Some(list) => joined.project(list),
            None => Ok(joined),
        }
    }

    /// Every row with every row of the other side.
    ///
    /// # Errors
    /// None at present.
    pub fn cross_join(self, right: &DataFrame) -> Result<Self> {
        self.join(right, JoinOn::Nothing, JoinType::Cross)
    }

    /// The same rows under column identities of their own.
    fn fresh(mut self) -> Result<Self> {
        let mut renamed = std::collections::HashMap::new();
        self.query.plan = self.query.plan.with_fresh_ids(&mut renamed)?;
        self.qualifiers = self.qualifiers.into_iter().map(|(id, names)| (renamed.get(&id).copied().unwrap_or(id), names)).collect();
        Ok(self)
    }

    /// All rows in order.
    ///
    /// # Errors
    /// Those of resolving the columns.
    pub fn order_by<C: Into<Column>>(self, order: impl IntoIterator<Item = C>) -> Result<Self> {
        self.sorted(columns(order), true)
    }

    /// [`Self::order_by`].
    ///
    /// # Errors
    /// As for `order_by`.
    pub fn sort<C: Into<Column>>(self, order: impl IntoIterator<Item = C>) -> Result<Self> {
        self.order_by(order)
    }

    /// The rows of each partition in order.
    ///
    /// # Errors
    /// Those of resolving the columns.
    pub fn sort_within_partitions<C: Into<Column>>(self, order: impl IntoIterator<Item = C>) -> Result<Self> {
        self.sorted(columns(order), false)
    }

    fn sorted(self, order: Vec<Column>, global: bool) -> Result<Self> {
        let order = self.with_scope(|s| order.iter().map(|c| s.order(c)).collect::<Result<_>>())?;
        Ok(self.map_plan(|input| LogicalPlan::Sort { order, global, input }))
    }

    /// At most `n` rows.
    pub fn limit(self, n: u64) -> Self {
        self.map_plan(|input| LogicalPlan::Limit { limit: Some(n), offset: 0, input })
    }

    /// Without the first `n` rows.
    pub fn offset(self, n: u64) -> Self {
        self.map_plan(|input| LogicalPlan::Limit { limit: None, offset: n, input })
    }

    /// The rows of both, duplicates kept; columns by position, of the common types.
    ///
    /// # Errors
    /// `TypeMismatch` when the columns do not fit.
    pub fn union(self, other: &DataFrame) -> Result<Self> {
        let (left, right) = (self.output(), other.output());
        if left.len() != right.len() {
            return Err(Error::new(
                ErrorClass::TypeMismatch,
                format!("a union needs as many columns on both sides, not {} and {}.", left.len(), right.len()),
            ));
        }
        let mut output = vec![];
        for (l, r) in left.iter().zip(&right) {
            let common = coerce::common_type(&[l.data_type.clone(), r.data_type.clone()]).ok_or_else(|| {
                let message = format!("column `{}` of a union is {} on one side and {} on the other.", l.name, l.data_type, r.data_type);
                Error::new(ErrorClass::TypeMismatch, message)
            })?;
            output.push(Attribute::new(l.name.clone(), common, l.nullable || r.nullable));
        }
        let types: Vec<DataType> = output.iter().map(|a| a.data_type.clone()).collect();
        let mut subqueries = self.query.subqueries.clone();
        subqueries.extend(other.query.subqueries.iter().filter(|(id, _)| !self.query.subqueries.iter().any(|(s, _)| s == id)).cloned());
        let inputs = vec![cast_columns(self.query.plan, &types)?, cast_columns(other.clone().fresh()?.query.plan, &types)?];
        let query = BoundQuery { plan: LogicalPlan::Union { inputs, output }, subqueries };
        Ok(Self::from_query(self.session, query))
    }

    /// Every row once.
    pub fn distinct(self) -> Self {
        self.map_plan(|input| LogicalPlan::Distinct { input })
    }

    /// Advice for the next join of these rows: `broadcast`, `merge`, `shuffle_hash`, `shuffle_replicate_nl`. Any other word is
    /// ignored with a warning.
    pub fn hint(mut self, name: &str) -> Self {
        match JoinHintStrategy::parse(name) {
            Some(strategy) => self.map_plan(|input| LogicalPlan::Hint { strategy, input }),
            None => {
                self.warnings.push(format!("Unrecognized hint: {name}()"));
                self
            }
        }
    }

    /// The rows dealt out evenly to `n` partitions.
    pub fn repartition(self, n: usize) -> Self {
        self.map_plan(|input| LogicalPlan::Repartition { partitions: Some(n.max(1)), by: vec![], kind: RepartitionKind::Hash, input })
    }

    /// The rows dealt out to partitions by the hash of columns.
    ///
    /// # Errors
    /// Those of resolving the columns.
    pub fn repartition_by<C: Into<Column>>(self, n: Option<usize>, by: impl IntoIterator<Item = C>) -> Result<Self> {
        let by = self.with_scope(|s| columns(by).iter().map(|c| s.order(c)).collect::<Result<_>>())?;
        Ok(self.map_plan(|input| LogicalPlan::Repartition { partitions: n, by, kind: RepartitionKind::Hash, input }))
    }

    /// At most `n` partitions, without a shuffle.
    pub fn coalesce(self, n: usize) -> Self {
        self.map_plan(|input| LogicalPlan::Coalesce { partitions: n.max(1), input })
    }

    /// From their first use on the rows are kept, in memory or in files where others need the memory, and every query of the session
    /// that has this one as a part reads them.
    ///
    /// # Errors
    /// Those of planning.
    pub fn cache(self) -> Result<Self> {
        self.persist(StorageLevel::MEMORY_AND_DISK)
    }

    /// [`Self::cache`], with a storage level, which says where the rows are kept.
    ///
    /// # Errors
    /// Those of planning.
    pub fn persist(self, level: StorageLevel) -> Result<Self> {
        self.session.cache_query(&self.query, None, level)?;
        Ok(self)
    }

    /// The rows are no longer kept.
    ///
    /// # Errors
    /// None at present.
    pub fn unpersist(self) -> Result<Self> {
        self.session.catalog().cache().uncache(&self.query)?;
        Ok(self)
    }

    /// What is kept of the rows: the storage level, and the size once they have been used.
    ///
    /// # Errors
    /// None at present.
    pub fn cached(&self) -> Result<Option<CacheInfo>> {
        Ok(self.session.catalog().cache().lookup(&self.query)?.map(|plan| CacheInfo::of(&plan)))
    }

    /// Names these rows for SQL; a table or view of that name is replaced.
    ///
    /// # Errors
    /// None at present.
    pub fn create_temp_view(&self, name: &str) -> Result<()> {
        super::statement::register_view(&self.session, name, self.query.clone());
        Ok(())
    }

    /// The query with its phases.
    ///
    /// # Errors
    /// `ResourceExhausted` when worker threads cannot be started.
    pub fn query_execution(&self) -> Result<QueryExecution> {
        Ok(self.session.query_execution(self.query.clone(), self.parse)?.warned(self.warnings.clone()))
    }

    /// All rows.
    ///
    /// # Errors
    /// The first error of planning or of any task.
    pub fn collect(&self) -> Result<Vec<RecordBatch>> {
        self.query_execution()?.collect()
    }

    /// The last `n` rows, in order.
    ///
    /// # Errors
    /// The first error of planning or of any task.
    pub fn tail(&self, n: usize) -> Result<Vec<RecordBatch>> {
        self.query_execution()?.tail(n)
    }

    /// The first `n` rows.
    ///
    /// # Errors
    /// As for [`Self::collect`].
    pub fn take(&self, n: usize) -> Result<Vec<RecordBatch>> {
        self.query_execution()?.take(n)
    }

    /// The first row, if there is one.
    ///
    /// # Errors
    /// As for [`Self::collect`].
    pub fn first(&self) -> Result<Option<RecordBatch>> {
        Ok(self.take(1)?.into_iter().find(|b| b.num_rows() > 0).map(|b| b.slice(0, 1)))
    }

    /// The number of rows.
    ///
    /// # Errors
    /// As for [`Self::collect`].
    pub fn count(&self) -> Result<u64> {
        let batches = self.clone().agg([functions::count("*").alias("count")])?.collect()?;
        let count = batches.iter().find(|b| b.num_rows() > 0).map(|b| b.column(0).as_primitive::<Int64Type>().value(0));
        count.and_then(|n| u64::try_from(n).ok()).ok_or_else(|| Error::internal("count gave no row"))
    }

    /// The batches in order, one partition computed at a time.
    ///
    /// # Errors
    /// Those of planning; later ones come through the iterator.
    pub fn to_local_iterator(&self) -> Result<BatchStream> {
        self.query_execution()?.to_local_iterator()
    }

    /// The batches as they come, from all partitions at once.
    ///
    /// # Errors
    /// Those of planning; later ones come through the stream.
    pub fn execute_stream(&self) -> Result<Stream> {
        self.query_execution()?.execute_stream(StreamOrder::AsMade)
    }

    /// The first `n` rows as a table of text.
    ///
    /// # Errors
    /// As for [`Self::collect`].
    pub fn show_string(&self, n: usize) -> Result<String> {
        Ok(render(&self.schema(), &self.take(n)?, Some(20)))
    }

    /// Prints the first `n` rows.
    ///
    /// # Errors
    /// As for [`Self::collect`].
    pub fn show(&self, n: usize) -> Result<()> {
        print!("{}", self.show_string(n)?);
        Ok(())
    }

    /// Writes all rows to a Parquet file.
    ///
    /// # Errors
    /// Those of the query, and `Io`.
    pub fn write_parquet(&self, path: impl AsRef<Path>) -> Result<()> {
        self.write_file(path, ResultFormat::Parquet)
    }

    /// Writes all rows to a CSV file with a header.
    ///
    /// # Errors
    /// Those of the query, and `Io`.
    pub fn write_csv(&self, path: impl AsRef<Path>) -> Result<()> {
        self.write_file(path, ResultFormat::Csv)
    }

    /// Writes all rows to a file of one JSON object per line.
    ///
    /// # Errors
    /// Those of the query, and `Io`.
    pub fn write_json(&self, path: impl AsRef<Path>) -> Result<()> {
        self.write_file(path, ResultFormat::Ndjson)
    }

    fn write_file(&self, path: impl AsRef<Path>, format: ResultFormat) -> Result<()> {
        write::file(path.as_ref(), format, &self.output(), self.query_execution()?.execute_stream(StreamOrder::ByPartition)?)
    }

    /// Writes the rows as a table or a folder, partitioned or bucketed.
    pub fn write(&self) -> DataFrameWriter {
        DataFrameWriter::new(self.clone())
    }

    /// Adds the rows to a table, column by column, or puts them in the place of its rows.
    ///
    /// # Errors
    /// `TableNotFound`; `WrongArguments` and `TypeMismatch` where the columns are not the table's; those of the query and of writing.
    pub fn insert_into(&self, name: &str, overwrite: bool) -> Result<()> {
        let target = self.session.table(name)?;
        let types: Vec<DataType> = target.output().iter().map(|a| a.data_type.clone()).collect();
        let own = self.output();
        if own.len() != types.len() {
            let message = format!("`{name}` has {} columns, but the rows have {}.", types.len(), own.len());
            return Err(Error::new(ErrorClass::WrongArguments, message));
        }
        let plan = cast_columns(self.query.plan.clone(), &types)?;
        let list = plan.output().into_iter().zip(target.output()).map(|(a, t)| alias(Expr::Attribute(a), &t.name)).collect();
        let plan = LogicalPlan::Project { list, input: Box::new(plan) };
        super::tables::insert(&self.session, name, overwrite, BoundQuery { plan, subqueries: self.query.subqueries.clone() })
    }

    pub(super) fn session(&self) -> &Session {
        &self.session
    }

    pub(super) fn query(&self) -> &BoundQuery {
        &self.query
    }

    /// The plans as text, in Spark's formats.
    ///
    /// # Errors
    /// Those of planning.
    pub fn explain(&self, level: ExplainLevel) -> Result<String> {
        self.query_execution()?.explain(level)
    }

    /// What the statement behind this frame, and its hints, gave reason to warn of; planning may add to it
    /// ([`QueryExecution::warnings`]).
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The text of an `EXPLAIN` statement; nothing for other frames.
    pub(crate) fn explanation(&self) -> Option<&str> {
        match &self.query.plan {
            LogicalPlan::LocalRelation { output, rows } if output.len() == 1 && output[0].name.as_ref() == "plan" => {
                rows.first().and_then(|r| if let [Scalar::String(text)] = r.as_slice() { Some(text.as_ref()) } else { None })
            }
            _ => None,
        }
    }

    /// The resolved plan.
    pub fn logical_plan(&self) -> &LogicalPlan {
        &self.query.plan
    }
}

/// The condition and the select list of a join by columns of the same name.
fn using(
    names: &[String],
    left: &[Attribute],
    right: &[Attribute],
    qualifiers: &Qualifiers,
    how: &JoinType,
) -> Result<(Option<Expr>, Vec<Expr>)> {
    let (left_scope, right_scope) = (Scope { attributes: left, qualifiers }, Scope { attributes: right, qualifiers });
    let mut conditions = vec![];
    let mut list = vec![];
    let mut keys: Vec<ExprId> = vec![];
    for name in names {
        let column = functions::col(&format!("`{name}`"));
        let (l, r) = (left_scope.column(&column)?, right_scope.column(&column)?);
        keys.extend([&l, &r].iter().filter_map(|e| e.references().into_iter().next()));
        conditions.push(coerce::comparison(crate::expr::ComparisonOp::Equal, l.clone(), r.clone())?);
        list.push(match how {
            JoinType::RightOuter => r,
            JoinType::FullOuter => alias(coerce::coalesce(vec![l, r])?, name),
            _ => l,
        });
    }
    let right = if how.keeps_right() { right } else { &[] };
    list.extend(left.iter().chain(right).filter(|a| !keys.contains(&a.id)).cloned().map(Expr::Attribute));
    Ok((Expr::conjunction(conditions), list))
}

fn cast_columns(plan: LogicalPlan, types: &[DataType]) -> Result<LogicalPlan> {
    let output = plan.output();
    if output.iter().zip(types).all(|(a, t)| a.data_type == *t) {
        return Ok(plan);
    }
    let cast = |(a, t): (Attribute, &DataType)| {
        let name = a.name.clone();
        if a.data_type == *t { Ok(Expr::Attribute(a)) } else { Ok(alias(coerce::implicit_cast(Expr::Attribute(a), t)?, &name)) }
    };
    Ok(LogicalPlan::Project { list: output.into_iter().zip(types).map(cast).collect::<Result<_>>()?, input: Box::new(plan) })
}

/// Outside aggregates, an item of an aggregation may use grouping expressions only.
pub(super) fn check_grouping(item: &Expr, grouping: &[Expr]) -> Result<()> {
    let mut wrong: Option<Arc<str>> = None;
    item.visit(&mut |e| {
        if matches!(e, Expr::Aggregate(_)) || grouping.contains(e) {
            return false;
        }
        if let Expr::Attribute(a) = e {
            wrong.get_or_insert_with(|| a.name.clone());
        }
        true
    });
    match wrong {
        Some(name) => Err(Error::new(
            ErrorClass::InvalidGrouping,
            format!("column `{name}` is neither grouped by nor inside an aggregate function; group by it or wrap it in `first`."),
        )),
        None => Ok(()),
    }
}
