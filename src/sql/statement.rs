//! Statements, bound: queries, EXPLAIN, and what changes or shows the catalog and the settings.

use std::sync::Arc;

use sqlparser::ast::{self, Ident};

use super::expr::{Clause, ExprBinder, Pending};
use super::naming::column_name;
use super::parse::{ParsedStatement, Statement, TableDefinition, parse_expression};
use super::query::rename_columns;
use super::scope::{Column, Relation, Scope, dotted, ident_location};
use super::set_ops::cast_columns;
use super::{Binder, CatalogView, literal};
use crate::base::{Attribute, DataType, Error, ErrorClass, ExprId, Field, Result, Scalar, Schema, Settings};
use crate::datasource::FileTable;
use crate::expr::{Expr, coerce};
use crate::logical::{BoundQuery, LogicalPlan, StorageLevel};
use crate::planning::ExplainLevel;

/// A statement, ready to run.
#[derive(Debug, Clone)]
pub enum BoundStatement {
    Query(BoundQuery),
    Explain {
        level: ExplainLevel,
        query: BoundQuery,
    },
    /// `CREATE [OR REPLACE] [TEMPORARY] VIEW`.
    CreateView {
        name: Vec<String>,
        replace: bool,
        if_not_exists: bool,
        query: BoundQuery,
    },
    /// `CREATE TABLE … USING format OPTIONS (…) CLUSTERED BY (…) INTO n BUCKETS LOCATION 'path'`, or `CREATE TEMPORARY VIEW … USING`. Without a path an empty
    /// table in memory of the given schema.
    CreateTable {
        name: Vec<String>,
        replace: bool,
        if_not_exists: bool,
        schema: Option<Schema>,
        files: FileTable,
    },
    /// `CREATE TABLE … AS query`; without a path into memory.
    CreateTableAs {
        name: Vec<String>,
        replace: bool,
        if_not_exists: bool,
        files: FileTable,
        query: BoundQuery,
    },
    /// `INSERT INTO` or `INSERT OVERWRITE`; the query's columns have the table's types, in its order.
    Insert {
        name: Vec<String>,
        overwrite: bool,
        query: BoundQuery,
    },
    /// `DROP TABLE` or `DROP VIEW`.
    Drop {
        name: Vec<String>,
        view: bool,
        if_exists: bool,
    },
    /// `SET key = value`; without a value shows the key, without a key all.
    Set {
        key: Option<String>,
        value: Option<String>,
    },
    /// Back to the default: one key or all.
    Reset {
        key: Option<String>,
    },
    /// Names that match the pattern (`*` any text, `|` or).
    ShowTables {
        pattern: Option<String>,
    },
    /// The columns of a table, view or query.
    Describe {
        columns: Vec<Field>,
    },
    /// `CACHE [LAZY] TABLE name [OPTIONS ('storageLevel' 'MEMORY_ONLY')] [AS query]`.
    Cache {
        name: Vec<String>,
        lazy: bool,
        level: StorageLevel,
        query: Option<BoundQuery>,
    },
    Uncache {
        name: Vec<String>,
        if_exists: bool,
    },
    ClearCache,
    /// `REFRESH TABLE name`: looks at the files anew, and caches anew what is cached of them.
    Refresh {
        name: Vec<String>,
    },
}

/// Resolves the names and types of a statement.
///
/// # Errors
/// With line and column: `TableNotFound`, `ColumnNotFound`, `RoutineNotFound` (with the nearest name), `AmbiguousReference`,
/// `TypeMismatch`, `WrongArguments`, `InvalidGrouping`, `NestingTooDeep`, `Unsupported`, and those of constant folding.
pub fn bind(statement: &ParsedStatement, catalog: &dyn CatalogView, settings: &Settings) -> Result<BoundStatement> {
    let Some(parsed) = statement.statement.as_deref() else { return Err(Error::internal("a statement without a tree")) };
    stacker::maybe_grow(statement.stack, statement.stack, || Binder::new(catalog, settings).statement(parsed))
}

/// Binds one expression over the given columns, as the DataFrame API takes them from text. Aggregate and window calls are
/// allowed; the result is an `Alias` or an `Attribute`.
///
/// # Errors
/// `Parse` and those of [`bind`]; `Unsupported` for a subquery or a star.
pub fn bind_expression(text: &str, columns: &[Attribute]) -> Result<Expr> {
    struct Nothing;
    impl CatalogView for Nothing {
        fn resolve(&self, _: &[String]) -> Option<super::CatalogEntry> {
            None
        }
        fn names(&self) -> Vec<String> {
            vec![]
        }
    }
    parse_expression(text, |item| {
        let (expr, alias) = match item {
            ast::SelectItem::UnnamedExpr(e) => (e, None),
            ast::SelectItem::ExprWithAlias { expr, alias } => (expr, Some(alias)),
            other => return Err(Error::unsupported(format!("`{other}` is not one expression."))),
        };
        let columns: Vec<Column> = columns.iter().map(|a| Column { qualifier: vec![], attribute: a.clone(), hidden: false }).collect();
        let mut pending = Pending::default();
        let mut binder = Binder::new(&Nothing, &Settings::new());
        let clause = Clause { name: "an expression", aggregates: true, windows: true, generators: true };
        let bound = ExprBinder::new(&mut binder, &mut pending, Scope::new(&columns, None), clause).expression(&expr)?;
        if !pending.applies.is_empty() || !pending.below.is_empty() || !binder.subqueries.is_empty() {
            return Err(Error::unsupported("Subqueries in an expression of the DataFrame API are not supported."));
        }
        Ok(match (bound, alias) {
            (Expr::Attribute(a), None) => Expr::Attribute(a),
            (bound, alias) => {
                let name = alias.map_or_else(|| column_name(&expr), |a| a.value);
                Expr::Alias { expr: Box::new(bound), name: name.into(), id: ExprId::next() }
            }
        })
    })
}

fn strings(name: &[Ident]) -> Vec<String> {
    name.iter().map(|i| i.value.clone()).collect()
}

fn fields(plan: &LogicalPlan) -> Vec<Field> {
    plan.output().iter().map(Attribute::to_field).collect()
}

impl Binder<'_> {
    fn statement(&mut self, statement: &Statement) -> Result<BoundStatement> {
        Ok(match statement {
            Statement::Query(q) => BoundStatement::Query(self.template(q, &[], None)?),
            Statement::Explain { level, query } => BoundStatement::Explain { level: *level, query: self.template(query, &[], None)? },
            Statement::CreateView { name, columns, replace, if_not_exists, query } => BoundStatement::CreateView {
                name: strings(name),
                replace: *replace,
                if_not_exists: *if_not_exists,
                query: self.template(query, columns, None)?,
            },
            Statement::CreateTable { table, query } => self.create_table(table, query.as_deref())?,
            Statement::Drop { name, view, if_exists } => BoundStatement::Drop { name: strings(name), view: *view, if_exists: *if_exists },
            Statement::Insert { name, columns, overwrite, query } => {
                let table = self.table(name)?;
                let source = self.template(query, &[], None)?;
                let plan = insertion(&table, columns, source.plan).map_err(|e| e.at(ident_location(name)))?;
                BoundStatement::Insert { name: strings(name), overwrite: *overwrite, query: BoundQuery { plan, ..source } }
            }
            Statement::Set { key, value } => BoundStatement::Set { key: key.clone(), value: value.clone() },
            Statement::Reset { key } => BoundStatement::Reset { key: key.clone() },
            Statement::ShowTables { pattern } => BoundStatement::ShowTables { pattern: pattern.clone() },
            Statement::ShowColumns { name } | Statement::Describe { name } => {
                BoundStatement::Describe { columns: fields(&self.table(name)?.plan) }
            }
            Statement::DescribeQuery { query } => BoundStatement::Describe { columns: fields(&self.query(query, None)?.plan) },
            Statement::Cache { name, lazy, options, query } => {
                let level = options.get("storagelevel").map_or(Ok(StorageLevel::MEMORY_AND_DISK), |l| l.parse());
                let level = level.map_err(|e| e.at(ident_location(name)))?;
                let query = match query {
                    Some(q) => Some(self.template(q, &[], None)?),
                    None => {
                        self.table(name)?;
                        None
                    }
                };
                BoundStatement::Cache { name: strings(name), lazy: *lazy, level, query }
            }
            Statement::Uncache { name, if_exists } => BoundStatement::Uncache { name: strings(name), if_exists: *if_exists },
            Statement::ClearCache => BoundStatement::ClearCache,
            Statement::Refresh { name } => {
                self.table(name)?;
                BoundStatement::Refresh { name: strings(name) }
            }
        })
    }

    fn create_table(&mut self, table: &TableDefinition, query: Option<&ast::Query>) -> Result<BoundStatement> {
        let TableDefinition { name, replace, if_not_exists, columns, files } = table;
        let (replace, if_not_exists) = (*replace, *if_not_exists);
        let files = files.clone();
        if let Some(q) = query {
            if !columns.is_empty() {
                let message = "CREATE TABLE … AS takes no list of columns: the query has them.";
                return Err(Error::new(ErrorClass::Parse, message).at(ident_location(name)));
            }
            let query = self.template(q, &[], None)?;
            check_layout(&files, &fields(&query.plan)).map_err(|e| e.at(ident_location(name)))?;
            return Ok(BoundStatement::CreateTableAs { name: strings(name), replace, if_not_exists, files, query });
        }
        let fields = columns.iter().map(|(name, t)| Ok(Field::new(name.value.as_str(), literal::data_type(t)?, true)));
        let fields = fields.collect::<Result<Vec<_>>>()?;
        let schema = (!fields.is_empty()).then(|| Schema::new(fields));
        if files.path.is_empty() && schema.is_none() {
            let message = format!("CREATE TABLE {} needs columns, a path (OPTIONS (path '…') or LOCATION '…') or a query.", dotted(name));
            return Err(Error::new(ErrorClass::Parse, message).at(ident_location(name)));
        }
        Ok(BoundStatement::CreateTable { name: strings(name), replace, if_not_exists, schema, files })
    }
}

/// Whether a query's columns are those that its table is partitioned and bucketed by.
fn check_layout(files: &FileTable, columns: &[Field]) -> Result<()> {
    let partitioned = |f: &&Field| files.partition_by.iter().any(|p| p.name.eq_ignore_ascii_case(&f.name));
    if let Some(missing) = files.partition_by.iter().find(|p| !columns.iter().any(|f| f.name.eq_ignore_ascii_case(&p.name))) {
        let names: Vec<&str> = columns.iter().map(|f| f.name.as_ref()).collect();
        let message = format!("The partition column `{}` is not among the columns: {}.", missing.name, names.join(", "));
        return Err(Error::new(ErrorClass::ColumnNotFound, message));
    }
    let data = Schema::new(columns.iter().filter(|f| !partitioned(f)).cloned().collect());
    files.buckets.iter().try_for_each(|spec| spec.check(&data, 0))
}

/// The rows of `source` as rows of the table: by position, or into the named columns with NULL for the others.
fn insertion(table: &Relation, columns: &[Ident], source: LogicalPlan) -> Result<LogicalPlan> {
    let target: Vec<Attribute> = table.columns.iter().map(|c| c.attribute.clone()).collect();
    let given = source.output();
    let wanted = if columns.is_empty() { target.len() } else { columns.len() };
    if given.len() != wanted {
        let message = format!("INSERT writes {wanted} columns, but the query has {}.", given.len());
        return Err(Error::new(ErrorClass::WrongArguments, message));
    }
    if columns.is_empty() {
        let types: Vec<DataType> = target.iter().map(|a| a.data_type.clone()).collect();
        let names: Vec<Ident> = target.iter().map(|a| Ident::new(a.name.as_ref())).collect();
        return rename_columns(cast_columns(source, &types)?, &names);
    }
    for name in columns {
        Scope::new(&table.columns, None).resolve(std::slice::from_ref(name))?;
    }
    let value = |a: &Attribute| -> Result<Expr> {
        let position = columns.iter().position(|c| c.value.eq_ignore_ascii_case(&a.name));
        let value = match position {
            Some(i) => coerce::implicit_cast(Expr::Attribute(given[i].clone()), &a.data_type)?,
            None => Expr::Literal(Scalar::Null(a.data_type.clone())),
        };
        Ok(Expr::Alias { expr: Box::new(value), name: a.name.clone(), id: ExprId::next() })
    };
    let list = target.iter().map(value).collect::<Result<_>>()?;
    Ok(LogicalPlan::Project { list, input: Box::new(source) })
}

/// A view over a bound query, for catalogs.
impl From<BoundQuery> for super::CatalogEntry {
    fn from(query: BoundQuery) -> Self {
        Self::View(Arc::new(query))
    }
}
