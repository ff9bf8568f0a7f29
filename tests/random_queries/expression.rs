//! Random expressions of a wanted type.
//!
//! An error in one row fails a query, which then tests little; so sums and products mostly go over numbers of a smaller type, or by
//! `try_add` and its like, and divisors mostly are not zero.

use super::random::Random;

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Type {
    Boolean,
    Byte,
    Short,
    Int,
    Long,
    Float,
    Double,
    Decimal(u8, u8),
    String,
    Date,
    Timestamp,
}

pub const TYPES: [Type; 12] = [
    Type::Boolean,
    Type::Byte,
    Type::Short,
    Type::Int,
    Type::Long,
    Type::Float,
    Type::Double,
    Type::Decimal(9, 2),
    Type::Decimal(25, 4),
    Type::String,
    Type::Date,
    Type::Timestamp,
];

impl Type {
    /// As SQL writes it.
    pub fn sql(self) -> String {
        match self {
            Type::Boolean => "BOOLEAN".into(),
            Type::Byte => "TINYINT".into(),
            Type::Short => "SMALLINT".into(),
            Type::Int => "INT".into(),
            Type::Long => "BIGINT".into(),
            Type::Float => "FLOAT".into(),
            Type::Double => "DOUBLE".into(),
            Type::Decimal(precision, scale) => format!("DECIMAL({precision}, {scale})"),
            Type::String => "STRING".into(),
            Type::Date => "DATE".into(),
            Type::Timestamp => "TIMESTAMP".into(),
        }
    }

    pub fn is_floating(self) -> bool {
        matches!(self, Type::Float | Type::Double)
    }

    /// The next smaller type of whole numbers.
    fn smaller(self) -> Option<Type> {
        match self {
            Type::Short => Some(Type::Byte),
            Type::Int => Some(Type::Short),
            Type::Long => Some(Type::Int),
            _ => None,
        }
    }
}

/// A column that an expression may name, as it writes it.
#[derive(Debug, Clone)]
pub struct Column {
    pub name: String,
    pub of: Type,
}

impl Column {
    /// Of the tables' own columns.
    pub fn nullable(&self) -> bool {
        !matches!(self.name.as_str(), "id" | "name")
    }
}

/// Writes expressions over the columns of a scope.
pub struct Expressions<'a> {
    pub random: &'a mut Random,
    pub scope: &'a [Column],
}

impl Expressions<'_> {
    fn one_in(&mut self, n: usize) -> bool {
        self.random.one_in(n)
    }

    pub fn any_type(&mut self) -> Type {
        self.random.pick(&TYPES)
    }

    /// A type of which there is a column.
    pub fn column_type(&mut self) -> Type {
        match self.scope {
            [] => self.any_type(),
            columns => columns[self.random.below(columns.len())].of,
        }
    }

    /// A column of type `of`, if there is one.
    pub fn column(&mut self, of: Type) -> Option<String> {
        let fitting: Vec<&Column> = self.scope.iter().filter(|c| c.of == of).collect();
        if fitting.is_empty() { None } else { Some(fitting[self.random.below(fitting.len())].name.clone()) }
    }

    pub fn literal(&mut self, of: Type) -> String {
        if self.one_in(15) {
            return format!("CAST(NULL AS {})", of.sql());
        }
        let n = self.random.below(7) as i64 - 1;
        match of {
            Type::Boolean => self.random.pick(&["true", "false"]).into(),
            Type::Byte => format!("{n}Y"),
            Type::Short => format!("{n}S"),
            Type::Int => n.to_string(),
            Type::Long => format!("{}L", n * 7),
            Type::Float => format!("CAST({n}.5 AS FLOAT)"),
            Type::Double => self.random.pick(&["0.0D", "1.5D", "-2.25D", "CAST('NaN' AS DOUBLE)", "1e3D"]).into(),
            Type::Decimal(precision, scale) => format!("CAST({n}.25 AS DECIMAL({precision}, {scale}))"),
            Type::String => {
                let texts = ["''", "'a'", "'ab'", "'Hello, world: more than twelve bytes'", "'7'", "'äöü'", "'2020-02-29'"];
                self.random.pick(&texts).into()
            }
            Type::Date => format!("DATE '2020-02-{:02}'", 8 + self.random.below(20)),
            Type::Timestamp => format!("TIMESTAMP '2020-02-08 {:02}:00:00.25'", self.random.below(24)),
        }
    }

    fn leaf(&mut self, of: Type) -> String {
        match self.column(of) {
            Some(column) if !self.one_in(4) => column,
            _ => self.literal(of),
        }
    }

    /// An expression of type `of`, of at most `depth` levels of operators.
    pub fn expression(&mut self, of: Type, depth: usize) -> String {
        if depth == 0 || self.one_in(4) {
            return self.leaf(of);
        }
        let depth = depth - 1;
        if self.one_in(4) {
            return self.of_any_type(of, depth);
        }
        match of {
            Type::Boolean => self.condition(depth),
            Type::Byte | Type::Short | Type::Int | Type::Long => self.whole(of, depth),
            Type::Float | Type::Double => self.floating(of, depth),
            Type::Decimal(..) => self.decimal(of, depth),
            Type::String => self.string(depth),
            Type::Date => self.date(depth),
            Type::Timestamp => self.timestamp(depth),
        }
    }

    /// What there is of every type.
    fn of_any_type(&mut self, of: Type, depth: usize) -> String {
        let (a, b) = (self.expression(of, depth), self.expression(of, depth));
        match self.random.below(8) {
            0 | 1 => format!("CASE WHEN {} THEN {a} ELSE {b} END", self.condition(depth)),
            2 => format!("CASE {a} WHEN {b} THEN {a} WHEN {} THEN {b} END", self.literal(of)),
            3 => format!("coalesce({a}, {b})"),
            4 => format!("if({}, {a}, {b})", self.condition(depth)),
            5 => format!("nullif({a}, {b})"),
            6 => format!("{}({a}, {b}, {})", self.random.pick(&["greatest", "least"]), self.leaf(of)),
            _ => self.cast(of, depth),
        }
    }

    fn cast(&mut self, to: Type, depth: usize) -> String {
        use Type::*;
        let numbers = [Boolean, Byte, Short, Int, Long, Float, Double, Decimal(9, 2), Decimal(25, 4), String];
        let from = match to {
            Date => self.random.pick(&[Timestamp, String]),
            Timestamp => self.random.pick(&[Date, String]),
            String => self.any_type(),
            _ => self.random.pick(&numbers),
        };
        // What fails for few values fails for most queries.
        let function = if self.one_in(12) { "CAST" } else { "try_cast" };
        format!("{function}({} AS {})", self.expression(from, depth), to.sql())
    }

    pub fn condition(&mut self, depth: usize) -> String {
        if depth == 0 {
            let of = self.column_type();
            let (a, b) = (self.leaf(of), self.literal(of));
            return format!("({a} {} {b})", self.random.pick(&["<", "<=", "=", "<>", ">", ">="]));
        }
        let depth = depth - 1;
        let of = if self.one_in(3) { self.any_type() } else { self.column_type() };
        match self.random.below(14) {
            0 | 1 => format!("({} AND {})", self.condition(depth), self.condition(depth)),
            2 | 3 => format!("({} OR {})", self.condition(depth), self.condition(depth)),
            4 => format!("(NOT {})", self.expression(Type::Boolean, depth)),
            5 => format!("({} IS {}NULL)", self.expression(of, depth), self.random.pick(&["", "NOT "])),
            6 => {
                let not = self.random.pick(&["", "NOT "]);
                let list: Vec<_> = (0..1 + self.random.below(5)).map(|_| self.literal(of)).collect();
                format!("({} {not}IN ({}))", self.expression(of, depth), list.join(", "))
            }
            7 => format!("({} BETWEEN {} AND {})", self.expression(of, depth), self.literal(of), self.expression(of, depth)),
            8 => {
                let pattern = self.random.pick(&["'%a%'", "'Hello%'", "'%bytes'", "'_b%'", "'50\\\\%'", "''", "'%'", "'a%b_'"]);
                format!("({} {}LIKE {pattern})", self.expression(Type::String, depth), self.random.pick(&["", "NOT "]))
            }
            9 => {
                let function = self.random.pick(&["startswith", "endswith", "contains"]);
                format!("{function}({}, {})", self.expression(Type::String, depth), self.expression(Type::String, depth))
            }
            10 => format!("({} <=> {})", self.expression(of, depth), self.expression(of, depth)),
            11 => format!("isnan({})", self.expression(Type::Double, depth)),
            _ => {
                let operator = self.random.pick(&["<", "<=", "=", "<>", ">", ">="]);
                format!("({} {operator} {})", self.expression(of, depth), self.expression(of, depth))
            }
        }
    }

    /// An operand whose sums and products with its like fit into `of`, where there is a smaller type.
    fn operand(&mut self, of: Type, depth: usize) -> String {
        match of.smaller() {
            Some(smaller) => format!("CAST({} AS {})", self.expression(smaller, depth), of.sql()),
            None => self.literal(of),
        }
    }

    fn whole(&mut self, of: Type, depth: usize) -> String {
        let (a, b) = (self.expression(of, depth), self.expression(of, depth));
        let text = |e: &mut Self| e.expression(Type::String, depth);
        match (self.random.below(14), of) {
            (0 | 1, _) => {
                let (a, b) = (self.operand(of, depth), self.operand(of, depth));
                format!("({a} {} {b})", self.random.pick(&["+", "-", "*"]))
            }
            (2 | 3, _) => format!("{}({a}, {b})", self.random.pick(&["try_add", "try_subtract", "try_multiply"])),
            (4, _) => format!("({a} % nullif({b}, {}))", zero(of)),
            (5, _) if self.one_in(3) => format!("({a} {} {b})", self.random.pick(&["+", "-", "*", "%"])),
            (5, _) => format!("({a} {} {b})", self.random.pick(&["&", "|", "^"])),
            (6, _) => format!("(- {})", self.operand(of, depth)),
            (7, _) => format!("abs({})", self.operand(of, depth)),
            (8, Type::Int) => format!("length({})", text(self)),
            (9, Type::Int) => {
                let part = self.random.pick(&["year", "month", "day", "quarter", "dayofweek", "dayofyear", "weekofyear"]);
                format!("{part}({})", self.expression(Type::Date, depth))
            }
            (10, Type::Int) => format!("datediff({}, {})", self.expression(Type::Date, depth), self.expression(Type::Date, depth)),
            (11, Type::Int) => match self.random.below(5) {
                0 => format!("ascii({})", text(self)),
                1 => format!("instr({}, {})", text(self), text(self)),
                2 => format!("hour({})", self.expression(Type::Timestamp, depth)),
                3 => format!("bit_count({})", self.expression(Type::Long, depth)),
                _ => {
                    let of = self.any_type();
                    format!("hash({}, {})", self.expression(of, depth), text(self))
                }
            },
            (8 | 9, Type::Long) => {
                let divisor = if self.one_in(20) { b } else { format!("nullif({b}, 0L)") };
                format!("({a} div {divisor})")
            }
            (10, Type::Long) => format!("floor({} / 4)", self.expression(Type::Decimal(9, 2), depth)),
            (11, Type::Long) => match self.random.below(3) {
                0 => format!("unix_timestamp({})", self.expression(Type::Timestamp, depth)),
                1 => format!("xxhash64({})", text(self)),
                _ => format!("shiftright({a}, {})", self.random.below(5)),
            },
            _ => self.cast(of, depth),
        }
    }

    fn floating(&mut self, of: Type, depth: usize) -> String {
        let (a, b) = (self.expression(of, depth), self.expression(of, depth));
        match self.random.below(8) {
            0..3 => format!("({a} {} {b})", self.random.pick(&["+", "-", "*"])),
            3 => format!("CAST({a} / nullif({b}, 0) AS {})", of.sql()),
            4 => format!("(- {a})"),
            5 => format!("abs({a})"),
            6 if of == Type::Double => format!("{}({a})", self.random.pick(&["sqrt", "exp", "log2", "sin", "cbrt", "signum", "radians"])),
            6 => format!("round({a}, 1)"),
            _ => self.cast(of, depth),
        }
    }

    fn decimal(&mut self, of: Type, depth: usize) -> String {
        let (a, b) = (self.expression(of, depth), self.expression(of, depth));
        let function = if self.one_in(15) { "CAST" } else { "try_cast" };
        let whole = self.expression(Type::Int, depth);
        match self.random.below(8) {
            0..2 => format!("{function}({a} {} {b} AS {})", self.random.pick(&["+", "-", "*"]), of.sql()),
            2 => format!("{function}({a} / nullif({b}, 0) AS {})", of.sql()),
            3 => format!("{function}({a} % nullif({b}, 0) AS {})", of.sql()),
            4 => format!("{function}({a} * {whole} AS {})", of.sql()),
            5 => format!("abs({a})"),
            6 => format!("{function}({}({a}, {}) AS {})", self.random.pick(&["round", "bround"]), self.random.below(4), of.sql()),
            _ => self.cast(of, depth),
        }
    }

    fn string(&mut self, depth: usize) -> String {
        let (a, b) = (self.expression(Type::String, depth), self.expression(Type::String, depth));
        let (n, m) = (self.random.below(8) as i32 - 2, self.random.below(9));
        match self.random.below(16) {
            0 => format!("concat({a}, {b})"),
            1 => format!("({a} || {b})"),
            2 => format!("substring({a}, {n}, {m})"),
            3 => format!("{}({a})", self.random.pick(&["upper", "lower", "trim", "ltrim", "rtrim", "reverse", "initcap"])),
            4 => format!("replace({a}, {b}, 'xy')"),
            5 => format!("{}({a}, {m}, '*-')", self.random.pick(&["lpad", "rpad"])),
            6 => format!("repeat({a}, {})", n.min(3)),
            7 => format!("{}({a}, {m})", self.random.pick(&["left", "right"])),
            8 => format!("translate({a}, 'abo', 'xy')"),
            9 => format!("concat_ws('-', {a}, {b}, {a})"),
            10 => format!("substring_index({a}, 'l', {n})"),
            11 => format!("hex({})", self.expression(Type::Long, depth)),
            12 => format!("date_format({}, 'yyyy/MM/dd HH:mm')", self.expression(Type::Timestamp, depth)),
            _ => self.cast(Type::String, depth),
        }
    }

    fn date(&mut self, depth: usize) -> String {
        let a = self.expression(Type::Date, depth);
        let days = self.expression(Type::Short, depth);
        match self.random.below(6) {
            0 => format!("{}({a}, {days})", self.random.pick(&["date_add", "date_sub"])),
            1 => format!("add_months({a}, {})", self.expression(Type::Byte, depth)),
            2 => format!("last_day({a})"),
            3 => format!("trunc({a}, '{}')", self.random.pick(&["MONTH", "YEAR", "QUARTER", "WEEK"])),
            4 => format!("next_day({a}, '{}')", self.random.pick(&["MON", "FRI"])),
            _ => self.cast(Type::Date, depth),
        }
    }

    fn timestamp(&mut self, depth: usize) -> String {
        let a = self.expression(Type::Timestamp, depth);
        match self.random.below(4) {
            0 => format!("date_trunc('{}', {a})", self.random.pick(&["HOUR", "DAY", "MONTH", "MINUTE"])),
            1 => format!("({a} + INTERVAL '{}' DAY)", self.random.below(40)),
            2 => format!("({a} - INTERVAL '{}' HOUR)", self.random.below(40)),
            _ => self.cast(Type::Timestamp, depth),
        }
    }
}

fn zero(of: Type) -> &'static str {
    match of {
        Type::Byte => "0Y",
        Type::Short => "0S",
        Type::Long => "0L",
        _ => "0",
    }
}
