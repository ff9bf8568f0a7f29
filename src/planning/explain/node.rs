//! The text of one operator.

use std::fmt::{self, Display};
use std::sync::Arc;

use crate::base::{Attribute, DataType, Scalar, Settings, settings};
use crate::expr::{ComparisonOp, Expr, ScalarFunction, display::LONGEST_LIST};
use crate::operators::{
    Aggregate, AggregateCall, AggregateKind, AggregateMode, BroadcastMode, FileScan, InMemoryTableScan, Operator, Partitioning, SparkPlan,
};
use crate::planning::PhysicalQuery;

use super::tree::{is_owner, subqueries_of, subquery_name, visible};

/// Writes an operator as Spark does.
pub struct NodeText<'a> {
    plan: &'a SparkPlan,
    physical: &'a PhysicalQuery,
    /// Longest list shown in full.
    max_fields: usize,
    /// Longest value told of a scan.
    max_metadata: usize,
}

impl<'a> NodeText<'a> {
    pub fn new(plan: &'a SparkPlan, physical: &'a PhysicalQuery, settings: &Settings) -> Self {
        let length = |setting| settings.int(setting).max(0) as usize;
        let (max_fields, max_metadata) = (length(&settings::MAX_TO_STRING_FIELDS), length(&settings::MAX_METADATA_STRING_LENGTH));
        Self { plan, physical, max_fields, max_metadata }
    }

    /// `Filter (a#1 > 10)`. `verbose`: aggregates tell their output.
    pub fn line(&self, verbose: bool) -> String {
        let line = match &self.plan.operator {
            Operator::FileScan(s) => self.scan(s),
            Operator::Aggregate(a) => self.aggregate(a, verbose),
            Operator::OneRowScan => format!("{}[]", self.plan.name()),
            Operator::TakeOrderedAndProject(_) => format!("{}({})", self.plan.name(), self.arguments()),
            Operator::ReusedExchange(_) => format!("{} {}", self.plan.name(), self.arguments()),
            _ => {
                let (name, arguments) = (self.name(), self.arguments());
                if arguments.is_empty() { name } else { format!("{name} {arguments}") }
            }
        };
        self.with_subqueries(line)
    }

    /// The node's name; that of a table cached by name has it.
    pub fn name(&self) -> String {
        match &self.plan.operator {
            Operator::InMemoryTableScan(InMemoryTableScan { cached, .. }) if let Some(name) = &cached.name => {
                format!("Scan In-memory table {name}")
            }
            _ => self.plan.name().to_string(),
        }
    }

    /// The relation that a scan of a cached query reads, after its name.
    pub fn in_memory_relation(&self, scan: &InMemoryTableScan) -> String {
        format!("{}, {}", self.list(&scan.relation_output), scan.cached.level)
    }

    /// The node's name in the formatted form: a scan has its table's.
    pub fn formatted_name(&self) -> String {
        match &self.plan.operator {
            Operator::FileScan(s) => format!("Scan {} {}", s.source.format(), s.name),
            Operator::BroadcastHashJoin(j) | Operator::ShuffledHashJoin(j) => {
                format!("{} {} {}", self.plan.name(), j.join_type, j.build.name())
            }
            Operator::SortMergeJoin(j) => format!("{} {}", self.plan.name(), j.join_type),
            Operator::BroadcastNestedLoopJoin(j) => format!("{} {} {}", self.plan.name(), j.join_type, j.build.name()),
            Operator::CartesianProduct(j) => format!("{} {}", self.plan.name(), j.join_type),
            _ => self.name(),
        }
    }

    /// The arguments in the formatted form, which has those of the node's own text only by way of exception.
    pub fn formatted_arguments(&self) -> String {
        match &self.plan.operator {
            Operator::TakeOrderedAndProject(t) => {
                let offset = (t.offset > 0).then(|| t.offset.to_string());
                let parts = [t.limit.to_string(), self.list(&t.order), self.list(&t.list)];
                parts.into_iter().chain(offset).collect::<Vec<_>>().join(", ")
            }
            Operator::Range(r) => format!("Range ({}, {}, step={}, splits=Some({}))", r.start, r.end, r.step, r.partitions),
            _ => self.arguments(),
        }
    }

    /// What stands after the name.
    pub fn arguments(&self) -> String {
        let parts: Vec<String> = match &self.plan.operator {
            Operator::FileScan(_) | Operator::Aggregate(_) => vec![],
            Operator::InMemoryTableScan(s) => {
                let filters = (!s.filters.is_empty()).then(|| self.list(&s.filters));
                (!s.output.is_empty()).then(|| self.list(&s.output)).into_iter().chain(filters).collect()
            }
            Operator::LocalTableScan(s) if s.rows.is_empty() => vec!["<empty>".into(), self.list(&s.output)],
            Operator::LocalTableScan(s) => vec![self.list(&s.output)],
            Operator::OneRowScan => vec![],
            Operator::Range(r) => vec![format!("({}, {}, step={}, splits={})", r.start, r.end, r.step, r.partitions)],
            Operator::Filter(f) => vec![f.condition.to_string()],
            Operator::Project(p) => vec![self.list(&p.list)],
            Operator::Sort(s) => vec![self.list(&s.order), s.global.to_string(), "0".into()],
            Operator::TakeOrderedAndProject(t) => {
                let offset = (t.offset > 0).then(|| format!("offset={}", t.offset));
                let ordered = [format!("orderBy={}", self.list(&t.order)), format!("output={}", self.compact(&t.output()))];
                [format!("limit={}", t.limit)].into_iter().chain(offset).chain(ordered).collect()
            }
            Operator::CollectLimit(c) => {
                let limit = c.limit.map_or(-1, |l| l as i64).to_string();
                [limit].into_iter().chain((c.offset > 0).then(|| c.offset.to_string())).collect()
            }
            Operator::LocalLimit(l) => vec![l.limit.to_string()],
            Operator::GlobalLimit(g) => vec![g.limit.map_or(-1, |l| l as i64).to_string(), g.offset.to_string()],
            Operator::Exchange(e) => vec![partitioning(&e.partitioning), e.origin.name().into(), format!("[plan_id={}]", self.plan.id)],
            Operator::BroadcastExchange(b) => {
                vec![broadcast_mode(&b.mode, self.plan.child()), format!("[plan_id={}]", self.plan.id)]
            }
            Operator::ReusedExchange(r) => {
                vec![self.list(&r.output), NodeText { plan: self.plan.child(), ..*self }.line(false)]
            }
            Operator::BroadcastHashJoin(j) => {
                let null_aware = j.join_type == crate::logical::JoinType::NullAwareAnti;
                let mut parts = self.keyed(&j.left_keys, &j.right_keys, &j.join_type);
                parts.push(j.build.name().into());
                parts.extend(j.condition.iter().map(Expr::to_string));
                parts.push(null_aware.to_string());
                parts
            }
            Operator::ShuffledHashJoin(j) => {
                let mut parts = self.keyed(&j.left_keys, &j.right_keys, &j.join_type);
                parts.push(j.build.name().into());
                parts.extend(j.condition.iter().map(Expr::to_string));
                parts
            }
            Operator::SortMergeJoin(j) => {
                let mut parts = self.keyed(&j.left_keys, &j.right_keys, &j.join_type);
                parts.extend(j.condition.iter().map(Expr::to_string));
                parts
            }
            Operator::BroadcastNestedLoopJoin(j) => {
                [j.build.name().to_string(), j.join_type.to_string()].into_iter().chain(j.condition.iter().map(Expr::to_string)).collect()
            }
            Operator::CartesianProduct(j) => j.condition.iter().map(Expr::to_string).collect(),
            Operator::Union(_) => vec![],
            Operator::Expand(e) => {
                let projections: Vec<String> = e.projections.iter().map(|p| self.list(p)).collect();
                vec![self.list(&projections), self.list(&e.output)]
            }
            Operator::Generate(g) => {
                let required = (!g.required.is_empty()).then(|| self.list(&g.required));
                let rest = [g.outer.to_string(), self.list(&g.generator_output)];
                [g.generator.to_string()].into_iter().chain(required).chain(rest).collect()
            }
            Operator::Window(w) => {
                let partition = (!w.partition_by.is_empty()).then(|| self.list(&w.partition_by));
                let order = (!w.order_by.is_empty()).then(|| self.list(&w.order_by));
                [self.list(&w.calls)].into_iter().chain(partition).chain(order).collect()
            }
            Operator::WindowGroupLimit(w) => {
                let partition = (!w.group.partition_by.is_empty()).then(|| self.list(&w.group.partition_by));
                let order = [self.list(&w.group.order_by), w.group.call(), w.group.limit.to_string(), w.phase.name().into()];
                partition.into_iter().chain(order).collect()
            }
            Operator::Sample(s) => {
                vec![format!("{:?}", s.lower), format!("{:?}", s.upper), s.with_replacement.to_string(), s.seed.to_string()]
            }
            Operator::Coalesce(c) => vec![c.partitions.to_string()],
            Operator::WholeStageCodegen(w) => vec![format!("({})", w.stage_id)],
            Operator::InputAdapter => vec![],
        };
        parts.join(", ")
    }

    fn keyed(&self, left: &[Expr], right: &[Expr], join_type: &crate::logical::JoinType) -> Vec<String> {
        vec![self.list(left), self.list(right), join_type.to_string()]
    }

    fn scan(&self, scan: &FileScan) -> String {
        let output = self.compact(&scan.output);
        let format = scan.source.format();
        let details = self.scan_details(scan);
        let file = if format == "memory" { "" } else { "File" };
        let shown = |(key, value): (&str, String)| format!("{key}: {}", abbreviated(&value, self.max_metadata));
        let details: Vec<String> = details.into_iter().map(shown).collect();
        format!("{file}Scan {format} {}{output} {}", scan.name, details.join(", "))
    }

    /// What a scan does, by Spark's keys, in their order.
    pub fn scan_details(&self, scan: &FileScan) -> Vec<(&'static str, String)> {
        let pushed: Vec<String> = match scan.source.supports_pushdown() {
            true => scan.data_filters.iter().filter_map(pushed_filter).collect(),
            false => vec![],
        };
        let of_files = scan.table_output.len() - scan.source.partition_columns().min(scan.table_output.len());
        let in_files = |a: &&Attribute| scan.table_output[..of_files].iter().any(|t| t.id == a.id);
        let read = scan.output.iter().filter(in_files).map(|a| format!("{}:{}", a.name, a.data_type)).collect::<Vec<_>>().join(",");
        let format = scan.source.format();
        let bucketed = scan.buckets.as_ref().map(|b| ("Bucketed", b.usage.to_string()));
        let all = [
            ("DataFilters", self.list(&scan.data_filters)),
            ("Format", title(format)),
            ("Location", scan.source.location()),
            ("PartitionFilters", self.list(&scan.partition_filters)),
            ("PushedFilters", self.list(&pushed)),
            ("ReadSchema", format!("struct<{read}>")),
        ];
        let of_files = ["Format", "Location", "PartitionFilters"];
        let selected = scan.bucketed().map(|(buckets, spec)| {
            let count = buckets.selected.as_ref().map_or(spec.buckets, |s| s.iter().filter(|s| **s).count());
            let coalesced = buckets.coalesced.map(|n| format!(" (Coalesced to {n})")).unwrap_or_default();
            ("SelectedBucketsCount", format!("{count} out of {}{coalesced}", spec.buckets))
        });
        let all = [("Batched", "true".to_string())].into_iter().chain(bucketed).chain(all).chain(selected);
        all.filter(|(key, _)| format != "memory" || !of_files.contains(key)).collect()
    }

    fn aggregate(&self, a: &Aggregate, verbose: bool) -> String {
        let keys = if a.kind == AggregateKind::Sort { "key" } else { "keys" };
        let functions: Vec<String> = a.calls.iter().map(|c| CallText(c).to_string()).collect();
        let output = if verbose { format!(", output={}", self.list(&a.output())) } else { String::new() };
        format!("{}({keys}={}, functions={}{output})", a.name(), self.list(&a.grouping), self.list(&functions))
    }

    /// `[a, b]`, cut after the longest length allowed.
    pub fn list<T: Display>(&self, items: &[T]) -> String {
        self.separated(items, ", ")
    }

    /// `[a,b]`, as Spark prints the columns of scans and top-Ks.
    fn compact<T: Display>(&self, items: &[T]) -> String {
        self.separated(items, ",")
    }

    fn separated<T: Display>(&self, items: &[T], separator: &str) -> String {
        let mut shown: Vec<String> = items.iter().take(self.max_fields).map(T::to_string).collect();
        if items.len() > self.max_fields {
            shown.push(format!("... {} more fields", items.len() - self.max_fields));
        }
        format!("[{}]", shown.join(separator))
    }

    /// Subqueries under the names of their plans.
    pub fn with_subqueries(&self, text: String) -> String {
        let subqueries = subqueries_of(self.plan, self.physical);
        subqueries.into_iter().fold(text, |text, s| {
            let owner = is_owner(self.plan, s, self.physical);
            text.replace(&format!("scalar-subquery#{} []", s.id.0), &subquery_name(s, owner))
        })
    }
}

/// An aggregate call with its phase: `partial_sum(x#1)`, `merge_sum(x#1)`, `sum(x#1)`.
pub struct CallText<'a>(pub &'a AggregateCall);

impl Display for CallText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (prefix, filtered) = match self.0.mode {
            AggregateMode::Partial => ("partial_", true),
            AggregateMode::PartialMerge => ("merge_", false),
            AggregateMode::Final => ("", false),
            AggregateMode::Complete => ("", true),
        };
        let mut call = self.0.expr.clone();
        // Only a phase that reads rows filters them.
        call.filter = call.filter.filter(|_| filtered);
        call.display_with(prefix, f)
    }
}

/// `hashpartitioning(k#1, 200)`.
pub fn partitioning(p: &Partitioning) -> String {
    let with = |name: &str, items: Vec<String>, n: usize| format!("{name}({}, {n})", items.join(", "));
    match p {
        Partitioning::Unknown(n) => format!("UnknownPartitioning({n})"),
        Partitioning::RoundRobin(n) => format!("RoundRobinPartitioning({n})"),
        Partitioning::Single => "SinglePartition".into(),
        Partitioning::Hash { exprs, partitions } => with("hashpartitioning", exprs.iter().map(Expr::to_string).collect(), *partitions),
        Partitioning::Range { order, partitions } => with("rangepartitioning", order.iter().map(|o| o.to_string()).collect(), *partitions),
        Partitioning::Collection(all) => format!("({})", all.iter().map(partitioning).collect::<Vec<_>>().join(" or ")),
        Partitioning::Broadcast(_) => "BroadcastPartitioning".into(),
    }
}

/// `HashedRelationBroadcastMode(List(input[0, bigint, true]),false)`; a single narrow integral key is widened, as Spark does.
fn broadcast_mode(mode: &BroadcastMode, child: &Arc<SparkPlan>) -> String {
    let BroadcastMode::Hashed { keys, null_aware } = mode else { return "IdentityBroadcastMode".into() };
    let input = &after_filter(visible(child, None).0);
    let bound: Vec<String> = keys
        .iter()
        .map(|k| {
            let shown = k.clone().bind(input).unwrap_or_else(|_| k.clone());
            match k.data_type() {
                DataType::Byte | DataType::Short | DataType::Int if keys.len() == 1 => format!("cast({shown} as bigint)"),
                _ => shown.to_string(),
            }
        })
        .collect();
    format!("HashedRelationBroadcastMode(List({}),{null_aware})", bound.join(", "))
}

/// The output; of a filter without NULLs where it has tested for them.
fn after_filter(plan: &SparkPlan) -> Vec<Attribute> {
    let Operator::Filter(filter) = &plan.operator else { return plan.output() };
    let tested: Vec<Expr> = filter.condition.clone().split_conjunction();
    let tests = |a: &Attribute| tested.contains(&Expr::IsNotNull(Box::new(Expr::Attribute(a.clone()))));
    plan.output().into_iter().map(|a| if tests(&a) { a.with_nullable(false) } else { a }).collect()
}

/// At most `longest` characters, three of them dots if there were more.
fn abbreviated(text: &str, longest: usize) -> String {
    match text.char_indices().nth(longest) {
        Some(_) => text.chars().take(longest.saturating_sub(3)).chain("...".chars()).collect(),
        None => text.to_string(),
    }
}

fn title(format: &str) -> String {
    match format {
        "csv" | "json" => format.to_uppercase(),
        _ => format[..1].to_uppercase() + &format[1..],
    }
}

/// A conjunct in the form in which sources take it: `GreaterThan(amount,100.0)`; `None` where it has none.
fn pushed_filter(e: &Expr) -> Option<String> {
    let both = |name: &str, l: &Expr, r: &Expr| Some(format!("{name}({},{})", pushed_filter(l)?, pushed_filter(r)?));
    match e {
        Expr::And(l, r) => both("And", l, r),
        Expr::Or(l, r) => both("Or", l, r),
        Expr::Not(inner) => Some(format!("Not({})", pushed_filter(inner)?)),
        Expr::IsNull(inner) => Some(format!("IsNull({})", column(inner)?)),
        Expr::IsNotNull(inner) => Some(format!("IsNotNull({})", column(inner)?)),
        Expr::Comparison { op, left, right } => {
            let (op, name, value) = match (left.as_ref(), right.as_ref()) {
                (l, r) if column(l).is_some() => (*op, column(l)?, pushed_value(r)?),
                (l, r) => (op.swapped(), column(r)?, pushed_value(l)?),
            };
            Some(match op {
                ComparisonOp::Equal => format!("EqualTo({name},{value})"),
                ComparisonOp::EqualNullSafe => format!("EqualNullSafe({name},{value})"),
                ComparisonOp::NotEqual => format!("Not(EqualTo({name},{value}))"),
                ComparisonOp::Less => format!("LessThan({name},{value})"),
                ComparisonOp::LessOrEqual => format!("LessThanOrEqual({name},{value})"),
                ComparisonOp::Greater => format!("GreaterThan({name},{value})"),
                ComparisonOp::GreaterOrEqual => format!("GreaterThanOrEqual({name},{value})"),
            })
        }
        Expr::In { value, list } => {
            let mut items = list.iter().map(pushed_value).collect::<Option<Vec<String>>>()?;
            if items.len() > LONGEST_LIST {
                items.sort_unstable();
            }
            Some(format!("In({}, [{}])", column(value)?, items.join(",")))
        }
        Expr::Function { function, args } => {
            let name = match function {
                ScalarFunction::StartsWith => "StringStartsWith",
                ScalarFunction::EndsWith => "StringEndsWith",
                ScalarFunction::Contains => "StringContains",
                _ => return None,
            };
            match args.as_slice() {
                [c, Expr::Literal(v)] => Some(format!("{name}({},{v})", column(c)?)),
                _ => None,
            }
        }
        Expr::Attribute(a) if a.data_type == DataType::Boolean => Some(format!("EqualTo({},true)", a.name)),
        Expr::Literal(_)
        | Expr::Attribute(_)
        | Expr::Column { .. }
        | Expr::Alias { .. }
        | Expr::Cast { .. }
        | Expr::Negate(_)
        | Expr::Arithmetic { .. }
        | Expr::Case { .. }
        | Expr::Coalesce(_)
        | Expr::Like { .. }
        | Expr::Aggregate(_)
        | Expr::Window(_)
        | Expr::Lambda { .. }
        | Expr::LambdaVariable(_)
        | Expr::DynamicPruning { .. }
        | Expr::ScalarSubquery { .. } => None,
    }
}

/// A value as a source takes it; timestamps have a fraction.
fn pushed_value(e: &Expr) -> Option<String> {
    match e {
        Expr::Literal(v @ Scalar::Timestamp(_)) => {
            let text = v.to_string();
            Some(if text.contains('.') { text } else { text + ".0" })
        }
        Expr::Literal(v) => Some(v.to_string()),
        Expr::ScalarSubquery { id, .. } => Some(format!("ScalarSubquery#{}", id.0)),
        _ => None,
    }
}

fn column(e: &Expr) -> Option<&str> {
    match e {
        Expr::Attribute(a) => Some(&a.name),
        _ => None,
    }
}
