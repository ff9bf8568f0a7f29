//! Random queries whose answers are the same in any order of rows and any division of them among tasks.
//!
//! So sums of floating-point numbers go over columns only, whose values add up exactly; LIMIT comes with an ORDER BY of all columns;
//! what depends on the order within a window is ordered by the unique `id`.

use super::expression::{Column, Expressions, TYPES, Type};
use super::random::Random;
use super::tables::{TABLES, columns};

/// A query and the types of its columns.
struct Select {
    sql: String,
    columns: Vec<Column>,
}

/// Where rows come from, and how expressions name its columns.
struct Source {
    sql: String,
    scope: Vec<Column>,
    /// The unique column, if it is one of the tables.
    id: Option<String>,
}

/// The query of a number, the same in every run, and the names of its columns.
pub fn query(number: u64) -> (String, Vec<String>) {
    let mut random = Random(number.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5eed);
    Queries { random: &mut random, names: 0, common: None }.statement()
}

struct Queries<'a> {
    random: &'a mut Random,
    /// How many aliases there are; each is used once in a query.
    names: usize,
    /// A common table expression.
    common: Option<(String, Vec<Column>)>,
}

impl Queries<'_> {
    fn name(&mut self, prefix: char) -> String {
        self.names += 1;
        format!("{prefix}{}", self.names)
    }

    fn over<'s>(&'s mut self, scope: &'s [Column]) -> Expressions<'s> {
        Expressions { random: &mut *self.random, scope }
    }

    fn statement(&mut self) -> (String, Vec<String>) {
        let mut sql = String::new();
        if self.random.one_in(8) {
            let (name, select) = (self.name('w'), self.select(1));
            sql = format!("WITH {name} AS ({}) ", select.sql);
            self.common = Some((name, select.columns));
        }
        let select = self.select(2);
        sql += &select.sql;
        if self.random.one_in(3) {
            let mut keys = vec![];
            for column in &select.columns {
                let order = self.random.pick(&["", " DESC", " DESC NULLS FIRST", " ASC NULLS LAST"]);
                keys.push(format!("{}{order}", column.name));
            }
            sql += &format!(" ORDER BY {}", keys.join(", "));
            // Of equal floating-point numbers either may come first.
            if !select.columns.iter().any(|c| c.of.is_floating()) && !self.random.one_in(3) {
                sql += &format!(" LIMIT {}", self.random.below(40));
                if self.random.one_in(3) {
                    sql += &format!(" OFFSET {}", self.random.below(10));
                }
            }
        }
        (sql, select.columns.into_iter().map(|c| c.name).collect())
    }

    fn select(&mut self, depth: usize) -> Select {
        match self.random.below(10) {
            0..3 => self.grouped(depth),
            3 => self.windowed(),
            4 if depth > 0 => self.combined(depth - 1),
            _ => {
                let count = 1 + self.random.below(4);
                let types: Vec<Type> = (0..count).map(|_| self.random.pick(&TYPES)).collect();
                self.plain(depth, &types)
            }
        }
    }

    /// Rows of a source as they are, but for a filter and expressions.
    fn plain(&mut self, depth: usize, types: &[Type]) -> Select {
        let source = self.source(depth);
        let (mut list, mut columns) = (vec![], vec![]);
        for &of in types {
            let (name, levels) = (self.name('v'), self.random.below(4));
            list.push(format!("{} AS {name}", self.over(&source.scope).expression(of, levels)));
            columns.push(Column { name, of });
        }
        let distinct = if self.random.one_in(6) { "DISTINCT " } else { "" };
        let filter = self.filter(&source.scope);
        Select { sql: format!("SELECT {distinct}{} FROM {}{filter}", list.join(", "), source.sql), columns }
    }

    fn grouped(&mut self, depth: usize) -> Select {
        let source = self.source(depth);
        let (mut list, mut columns) = (vec![], vec![]);
        for _ in 0..self.random.below(4) {
            let levels = self.random.pick(&[0, 0, 1, 2]);
            let name = self.name('v');
            let mut over = self.over(&source.scope);
            let of = over.column_type();
            let key = over.expression(of, levels);
            // The same key twice in a ROLLUP is two keys to Spark.
            if !list.iter().any(|k: &String| k.starts_with(&format!("{key} AS "))) {
                list.push(format!("{key} AS {name}"));
                columns.push(Column { name, of });
            }
        }
        let keys: Vec<_> = columns.iter().map(|c: &Column| c.name.clone()).collect();
        for _ in 0..1 + self.random.below(3) {
            let (aggregate, of) = self.aggregate(&source.scope);
            let name = self.name('v');
            list.push(format!("{aggregate} AS {name}"));
            columns.push(Column { name, of });
        }
        let mut sql = format!("SELECT {} FROM {}{}", list.join(", "), source.sql, self.filter(&source.scope));
        if !keys.is_empty() {
            let keys = keys.join(", ");
            sql += &match self.random.below(12) {
                0 => format!(" GROUP BY ROLLUP({keys})"),
                1 => format!(" GROUP BY CUBE({keys})"),
                _ => format!(" GROUP BY {keys}"),
            };
        }
        if self.random.one_in(4) {
            let (aggregate, of) = self.aggregate(&source.scope);
            sql += &format!(" HAVING {aggregate} {} {}", self.random.pick(&["<", ">=", "<>"]), self.over(&[]).literal(of));
        }
        Select { sql, columns }
    }

    fn aggregate(&mut self, scope: &[Column]) -> (String, Type) {
        let levels = self.random.below(3);
        let which = self.random.below(12);
        let mut over = self.over(scope);
        let distinct = if over.random.one_in(6) { "DISTINCT " } else { "" };
        let any = if over.random.one_in(3) { over.any_type() } else { over.column_type() };
        let whole = over.random.pick(&[Type::Byte, Type::Short, Type::Int]);
        let wide = Type::Decimal(25, 4);
        let (call, of) = match which {
            0 => ("count(*)".into(), Type::Long),
            1 | 2 => (format!("count({distinct}{})", over.expression(any, levels)), Type::Long),
            3 | 4 => (format!("sum({distinct}{})", over.expression(whole, levels)), Type::Long),
            5 => (format!("avg({distinct}{})", over.expression(whole, levels)), Type::Double),
            6 | 7 => (format!("{}({})", over.random.pick(&["min", "max"]), over.expression(any, levels)), any),
            8 => {
                let function = over.random.pick(&["bool_and", "bool_or"]);
                (format!("{function}({})", over.expression(Type::Boolean, levels)), Type::Boolean)
            }
            9 => match over.column(Type::Double) {
                Some(column) => (format!("{}({column})", over.random.pick(&["sum", "avg"])), Type::Double),
                None => ("count(*)".into(), Type::Long),
            },
            10 => {
                let call = format!("{}({})", over.random.pick(&["sum", "avg"]), over.expression(Type::Decimal(9, 2), levels));
                return (format!("try_cast({call} AS {})", wide.sql()), wide);
            }
            _ => {
                let list = over.random.pick(&["collect_list", "collect_set"]);
                let of = over.random.pick(&[Type::Int, Type::String, Type::Date]);
                return (format!("CAST(sort_array({list}({})) AS STRING)", over.expression(of, levels)), Type::String);
            }
        };
        match over.random.one_in(8) {
            true => (format!("{call} FILTER (WHERE {})", over.condition(1)), of),
            false => (call, of),
        }
    }

    fn windowed(&mut self) -> Select {
        let source = self.source(0);
        let (mut list, mut columns) = (vec![], vec![]);
        for _ in 0..1 + self.random.below(3) {
            let name = self.name('v');
            let (call, of) = self.window(&source);
            list.push(format!("{call} AS {name}"));
            columns.push(Column { name, of });
        }
        let name = self.name('v');
        let mut over = self.over(&source.scope);
        let of = over.column_type();
        list.push(format!("{} AS {name}", over.expression(of, 1)));
        columns.push(Column { name, of });
        let filter = self.filter(&source.scope);
        Select { sql: format!("SELECT {} FROM {}{filter}", list.join(", "), source.sql), columns }
    }

    fn window(&mut self, source: &Source) -> (String, Type) {
        let which = self.random.below(10);
        let mut over = self.over(&source.scope);
        let of = over.column_type();
        let partition = over.expression(of, 1);
        let partition = if over.random.one_in(4) { String::new() } else { format!("PARTITION BY {partition} ") };
        let of = over.column_type();
        let order = over.expression(of, 1);
        let direction = over.random.pick(&["", " DESC", " NULLS LAST"]);
        let whole = over.random.pick(&[Type::Byte, Type::Short, Type::Int]);
        let any = over.column_type();
        let (number, value) = (over.expression(whole, 1), over.expression(any, 1));
        let call = match which {
            0 => return (format!("rank() OVER ({partition}ORDER BY {order}{direction})"), Type::Int),
            1 => return (format!("dense_rank() OVER ({partition}ORDER BY {order}{direction})"), Type::Int),
            2 => return (format!("percent_rank() OVER ({partition}ORDER BY {order}{direction})"), Type::Double),
            3 => (format!("sum({number})"), Type::Long),
            4 => (format!("count({value})"), Type::Long),
            5 => (format!("{}({value})", over.random.pick(&["min", "max"])), any),
            6 => (format!("avg({number})"), Type::Double),
            _ => match (&source.id, which) {
                (Some(id), 7) => return (format!("row_number() OVER ({partition}ORDER BY {order}{direction}, {id})"), Type::Int),
                (Some(id), 8) => {
                    let function = over.random.pick(&["lag", "lead"]);
                    let offset = over.random.below(4);
                    return (format!("{function}({value}, {offset}) OVER ({partition}ORDER BY {order}{direction}, {id})"), any);
                }
                (Some(id), _) => {
                    let function = over.random.pick(&["first_value", "last_value", "min", "max", "count"]);
                    let frame = over.random.pick(&[
                        "ROWS BETWEEN 2 PRECEDING AND CURRENT ROW",
                        "ROWS BETWEEN 1 PRECEDING AND 3 FOLLOWING",
                        "ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING",
                        "ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING",
                    ]);
                    let call = format!("{function}({value}) OVER ({partition}ORDER BY {order}{direction}, {id} {frame})");
                    return (call, if function == "count" { Type::Long } else { any });
                }
                (None, _) => ("count(*)".into(), Type::Long),
            },
        };
        let order = if over.random.one_in(3) { String::new() } else { format!("ORDER BY {order}{direction}") };
        (format!("{} OVER ({partition}{order})", call.0), call.1)
    }

    /// UNION, INTERSECT or EXCEPT.
    fn combined(&mut self, depth: usize) -> Select {
        let count = 1 + self.random.below(3);
        let types: Vec<Type> = (0..count).map(|_| self.random.pick(&TYPES)).collect();
        let (left, right) = (self.plain(depth, &types), self.plain(depth, &types));
        let operator = self.random.pick(&["UNION ALL", "UNION ALL", "UNION", "INTERSECT", "INTERSECT ALL", "EXCEPT", "EXCEPT ALL"]);
        // In parentheses, for the sake of an ORDER BY behind.
        let (all, name) = (self.name('t'), left.columns.iter().map(|c| c.name.clone()).collect::<Vec<_>>());
        let sql = format!("SELECT {} FROM (({}) {operator} ({})) AS {all}", name.join(", "), left.sql, right.sql);
        Select { sql, columns: left.columns }
    }

    fn source(&mut self, depth: usize) -> Source {
        if depth > 0 && self.random.one_in(3) {
            return self.join(depth - 1);
        }
        self.relation(depth)
    }

    fn relation(&mut self, depth: usize) -> Source {
        let alias = self.name('t');
        let qualified = |columns: Vec<Column>| -> Vec<Column> {
            columns.into_iter().map(|c| Column { name: format!("{alias}.{}", c.name), of: c.of }).collect()
        };
        if let (Some((name, columns)), 0) = (&self.common, self.random.below(2)) {
            return Source { sql: format!("{name} AS {alias}"), scope: qualified(columns.clone()), id: None };
        }
        if depth > 0 && self.random.one_in(4) {
            let select = self.select(depth - 1);
            return Source { sql: format!("({}) AS {alias}", select.sql), scope: qualified(select.columns), id: None };
        }
        let table = if self.random.one_in(20) { TABLES[2].0 } else { TABLES[self.random.below(2)].0 };
        Source { sql: format!("{table} AS {alias}"), scope: qualified(columns()), id: Some(format!("{alias}.id")) }
    }

    fn join(&mut self, depth: usize) -> Source {
        let (left, right) = (self.source(depth), self.relation(depth));
        let both: Vec<Column> = left.scope.iter().chain(&right.scope).cloned().collect();
        let kind = self.random.pick(&[
            "JOIN",
            "JOIN",
            "LEFT JOIN",
            "LEFT JOIN",
            "RIGHT JOIN",
            "FULL JOIN",
            "LEFT SEMI JOIN",
            "LEFT ANTI JOIN",
            "CROSS JOIN",
        ]);
        let scope = if kind.contains("SEMI") || kind.contains("ANTI") { left.scope.clone() } else { both.clone() };
        if kind == "CROSS JOIN" {
            // Few rows, or what is joined next is too much.
            let (a, b) = (self.name('t'), self.name('t'));
            let limited = |e: &Source, of: &str| format!("(SELECT * FROM {} ORDER BY ALL LIMIT 7) AS {of}", e.sql);
            let (l, r) = (self.relation(0), self.relation(0));
            let renamed = |e: &Source, of: &str| -> Vec<Column> {
                e.scope.iter().map(|c| Column { name: format!("{of}.{}", c.name.split('.').next_back().unwrap()), of: c.of }).collect()
            };
            let scope = renamed(&l, &a).into_iter().chain(renamed(&r, &b)).collect();
            return Source { sql: format!("{} CROSS JOIN {}", limited(&l, &a), limited(&r, &b)), scope, id: None };
        }
        let mut conditions = vec![];
        for _ in 0..self.random.pick(&[1, 1, 1, 2, 0]) {
            let of = self.over(&left.scope).column_type();
            let levels = self.random.pick(&[0, 0, 0, 1]);
            let (l, r) = (self.over(&left.scope).expression(of, levels), self.over(&right.scope).expression(of, levels));
            conditions.push(format!("{l} {} {r}", if self.random.one_in(8) { "<=>" } else { "=" }));
        }
        if conditions.is_empty() || self.random.one_in(4) {
            conditions.push(self.over(&both).condition(1));
        }
        Source { sql: format!("{} {kind} {} ON {}", left.sql, right.sql, conditions.join(" AND ")), scope, id: None }
    }

    fn filter(&mut self, scope: &[Column]) -> String {
        let levels = 1 + self.random.below(3);
        let mut conditions = vec![];
        if self.random.one_in(2) {
            conditions.push(self.over(scope).condition(levels));
        }
        if self.random.one_in(6) {
            conditions.push(self.subquery(scope));
        }
        match conditions.is_empty() {
            true => String::new(),
            false => format!(" WHERE {}", conditions.join(self.random.pick(&[" AND ", " AND ", " OR "]))),
        }
    }

    /// A condition with a subquery, correlated or not.
    fn subquery(&mut self, outer: &[Column]) -> String {
        let inner = self.relation(0);
        let of = self.over(outer).column_type();
        let (mine, theirs) = (self.over(outer).expression(of, 0), self.over(&inner.scope).expression(of, 0));
        let correlated = if self.random.one_in(3) {
            let of = self.over(outer).column_type();
            format!(" WHERE {} = {}", self.over(outer).expression(of, 0), self.over(&inner.scope).expression(of, 0))
        } else if self.random.one_in(2) {
            format!(" WHERE {}", self.over(&inner.scope).condition(1))
        } else {
            String::new()
        };
        let not = self.random.pick(&["", "NOT "]);
        match self.random.below(4) {
            0 | 1 => format!("{mine} {not}IN (SELECT {theirs} FROM {}{correlated})", inner.sql),
            2 => format!("{not}EXISTS (SELECT {theirs} FROM {}{correlated})", inner.sql),
            _ => {
                let function = self.random.pick(&["min", "max"]);
                format!("{mine} {} (SELECT {function}({theirs}) FROM {}{correlated})", self.random.pick(&["<", "=", ">="]), inner.sql)
            }
        }
    }
}
