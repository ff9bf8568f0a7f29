//! A region: a chain of operators lowered to pipelines, with what they need at run time.

use std::sync::Arc;

use super::facts::facts;
use crate::base::{Attribute, DataType, Error, Result, Scalar};
use crate::codegen::aggregate::AggregateSink;
use crate::codegen::output::OutputSink;
use crate::codegen::pipeline::{InputColumn, RowColumn};
use crate::codegen::probe::EarlyPass;
use crate::codegen::state::{Slot, StateLayout};
use crate::codegen::value::Bounds;
use crate::codegen::{Op, Pipeline, Sink, Source, support};
use crate::expr::Expr;
use crate::operators::execute::scalar_subquery;
use crate::operators::{Operator, SparkPlan};
use crate::rdd::QueryContext;
use crate::runtime::aggregate_table::Addressing;
use crate::runtime::bloom::BloomFilter;
use crate::runtime::{Form, RowLayout};

/// Something that a task makes, or is given, before it runs, and whose address goes to a slot.
#[derive(Debug, Clone)]
pub enum Object {
    /// A table of groups.
    Groups { slot: Slot, layout: RowLayout, addressing: Addressing },
    /// The one row of an aggregate without keys.
    Group { slot: Slot, layout: RowLayout },
    /// The table of a join.
    Join(Box<JoinObject>),
    /// Rows still wanted of a limit.
    Counter { slot: Slot, start: u64 },
}

impl Object {
    /// The join, if it is one.
    pub fn join(&self) -> Option<&JoinObject> {
        match self {
            Object::Join(join) => Some(join),
            Object::Groups { .. } | Object::Group { .. } | Object::Counter { .. } => None,
        }
    }
}

/// What a join's table is built from.
#[derive(Debug, Clone)]
pub struct JoinObject {
    /// The plan node whose metrics are the join's.
    pub node: u64,
    pub table: Slot,
    pub null_row: Slot,
    pub flags: Slot,
    /// The build side: a broadcast, or a partition of its own for each task.
    pub build: Arc<SparkPlan>,
    pub broadcast: bool,
    /// Slots of the probe's early pass (see [`crate::codegen::probe::EarlyPass`]).
    pub early: EarlyPass,
    /// Bound to the build side's columns.
    pub keys: Vec<Expr>,
    /// Which keys are integers to the probe.
    pub integer_keys: Vec<bool>,
    /// The probe wants to know only whether a key is there.
    pub set: bool,
    /// Fields: the build side's columns, then keys that are not columns; of a set, the keys.
    pub layout: RowLayout,
    /// Which field each key is.
    pub key_fields: Vec<usize>,
}

impl JoinObject {
    /// The form that the table most likely has.
    pub fn likely_form(&self) -> Form {
        match (self.integer_keys.as_slice(), self.set) {
            ([true], true) => Form::Set,
            ([true], false) => Form::Unique,
            _ => Form::Hashed { filter: None },
        }
    }
}

/// Operators on their way to pipelines; each operator's `lower` adds to it, inputs first.
pub struct Region<'c> {
    context: &'c Resolve<'c>,
    name: String,
    pub layout: StateLayout,
    /// The operator whose batches the first pipeline reads.
    pub input: Option<Arc<SparkPlan>>,
    pub pipelines: Vec<Pipeline>,
    /// Of each pipeline the operators whose rows its code counts: the place in the pipeline, the node, the slot.
    pub counted: Vec<Vec<(usize, u64, Slot)>>,
    /// The operators that the pipelines but the last end in.
    pub sinks: Vec<u64>,
    /// The operator whose rows come out, but for projections; none if they are groups or those that are read.
    pub rows_of: Option<u64>,
    pub objects: Vec<Object>,
    /// Objects whose rows the pipelines after the first read: of pipeline `i + 1`, the object's place.
    pub row_sources: Vec<usize>,
    /// Slot of the output builder.
    pub output: Slot,
    // The pipeline being put together.
    source: Option<(String, Source)>,
    ops: Vec<(String, Op)>,
    /// Of each the node and the slot for its rows, if they are counted.
    ops_counted: Vec<Option<(u64, Slot)>>,
    /// The columns of the rows so far.
    pub attributes: Vec<Attribute>,
    /// Their bounds, as far as known.
    pub bounds: Vec<Option<Bounds>>,
    /// No more rows than this reach the end of the pipeline so far, in all tasks together.
    pub most_rows: Option<u64>,
    /// No more rows than this are read, in all tasks together.
    pub input_rows: Option<u64>,
}

/// The value of a scalar subquery.
pub type Resolve<'c> = dyn Fn(&Expr) -> Result<Scalar> + 'c;

/// Values of finished subqueries.
pub fn resolve_in(context: &QueryContext) -> impl Fn(&Expr) -> Result<Scalar> + '_ {
    |e| match e {
        Expr::ScalarSubquery { id, .. } => scalar_subquery(*id, context),
        other => Err(Error::internal(format!("{other} is no subquery"))),
    }
}

impl<'c> Region<'c> {
    /// Lowers `plan`; `stage` is the number in the names of functions.
    ///
    /// # Errors
    /// `Codegen` for what cannot be compiled; `Internal` for unbound attributes.
    pub fn lower(plan: &Arc<SparkPlan>, stage: usize, context: &'c Resolve<'c>) -> Result<Self> {
        let mut region = Region {
            context,
            name: format!("stage{stage}"),
            layout: StateLayout::new(),
            input: None,
            pipelines: vec![],
            counted: vec![],
            sinks: vec![],
            rows_of: None,
            objects: vec![],
            row_sources: vec![],
            output: 0,
            source: None,
            ops: vec![],
            ops_counted: vec![],
            attributes: vec![],
            bounds: vec![],
            most_rows: None,
            input_rows: None,
        };
        region.output = region.layout.reserve();
        region.add(plan)?;
        // What comes out of the last operator is in the output, and counted there.
        let last = region.ops_counted.iter_mut().rev().find_map(Option::take);
        region.rows_of = last.map(|(node, _)| node);
        let columns = region.attributes.iter().map(|a| (a.data_type.clone(), a.nullable)).collect();
        let sink = Sink::Output(OutputSink { output: region.output, columns });
        region.end_pipeline("Output".into(), sink)?;
        Ok(region)
    }

    /// Adds an operator and what is below it.
    ///
    /// # Errors
    /// As for [`Self::lower`].
    pub fn add(&mut self, plan: &Arc<SparkPlan>) -> Result<()> {
        if !lowerable(plan) {
            return self.read(plan);
        }
        match &plan.operator {
            Operator::Filter(o) => o.lower(plan, self),
            Operator::Project(o) => o.lower(plan, self),
            Operator::Aggregate(o) => o.lower(plan, self),
            Operator::BroadcastHashJoin(o) => o.lower(plan, true, self),
            Operator::ShuffledHashJoin(o) => o.lower(plan, false, self),
            Operator::LocalLimit(o) => o.lower(plan, self),
            Operator::Expand(o) => o.lower(plan, self),
            _ => self.read(plan),
        }
    }

    /// The region's input: batches of an operator outside it.
    fn read(&mut self, plan: &Arc<SparkPlan>) -> Result<()> {
        let output = plan.output();
        for a in &output {
            support::data_type(&a.data_type).map_err(crate::codegen::module::failure)?;
        }
        let facts = facts(plan);
        self.most_rows = facts.most_rows;
        self.input_rows = facts.most_rows;
        let columns: Vec<InputColumn> = output
            .iter()
            .enumerate()
            .map(|(i, a)| {
                let (bounds, never_null) = facts.columns.get(i).cloned().unwrap_or_default();
                InputColumn { data_type: a.data_type.clone(), nullable: a.nullable && !never_null, bounds }
            })
            .collect();
        self.bounds = columns.iter().map(|c| c.bounds).collect();
        self.attributes = output.into_iter().zip(&columns).map(|(a, c)| a.with_nullable(c.nullable)).collect();
        let name = match &plan.operator {
            Operator::InputAdapter => plan.child().name(),
            _ => plan.name(),
        };
        self.source = Some((name.to_string(), Source::Batches(columns)));
        self.input = Some(plan.clone());
        Ok(())
    }

    /// Adds an operator to the pipeline; `attributes` are the columns behind it.
    pub fn push(&mut self, plan: &SparkPlan, op: Op, attributes: Vec<Attribute>, bounds: Vec<Option<Bounds>>) {
        let counted = !matches!(op, Op::Project(_));
        self.ops_counted.push(counted.then(|| (plan.id, self.layout.reserve())));
        self.ops.push((plan.name().to_string(), op));
        self.attributes = attributes;
        self.bounds = bounds;
    }

    fn end_pipeline(&mut self, name: String, sink: Sink) -> Result<()> {
        let source = self.source.take().ok_or_else(|| Error::internal("a pipeline without a source"))?;
        let number = self.pipelines.len();
        let (ops, counted) = (std::mem::take(&mut self.ops), std::mem::take(&mut self.ops_counted));
        let counts = counted.iter().map(|c| c.map(|(_, slot)| slot)).collect();
        self.counted.push(counted.iter().enumerate().filter_map(|(op, c)| c.map(|(node, slot)| (op, node, slot))).collect());
        self.pipelines.push(Pipeline { name: format!("{}_pipeline{number}", self.name), source, ops, counts, sink: (name, sink) });
        Ok(())
    }

    /// Ends the pipeline in an aggregate and begins the next with its groups.
    ///
    /// # Errors
    /// `Internal` when there is no pipeline.
    pub fn break_at(
        &mut self,
        plan: &SparkPlan,
        sink: AggregateSink,
        object: Object,
        columns: Vec<RowColumn>,
        attributes: Vec<Attribute>,
    ) -> Result<()> {
        self.end_pipeline(plan.name().to_string(), Sink::Aggregate(Box::new(sink)))?;
        self.sinks.push(plan.id);
        self.row_sources.push(self.objects.len());
        self.objects.push(object);
        self.bounds = vec![None; columns.len()];
        self.attributes = attributes;
        self.most_rows = None;
        self.source = Some((format!("{} output", plan.name()), Source::Rows(columns)));
        Ok(())
    }

    /// Whether rows pass unchanged: the interpreter then does so without a copy.
    pub fn only_renames(&self) -> bool {
        let renames = |op: &Op| matches!(op, Op::Project(list) if list.iter().all(|e| matches!(e.unaliased(), Expr::Column { .. })));
        self.pipelines.len() == 1 && self.pipelines[0].ops.iter().all(|(_, op)| renames(op))
    }

    /// Binds an expression to columns, subqueries replaced by their values.
    ///
    /// # Errors
    /// `Internal` for an attribute that is not there.
    pub fn bind_to(&self, expr: &Expr, input: &[Attribute]) -> Result<Expr> {
        expr.clone()
            .transform_up(&mut |e| match e {
                Expr::ScalarSubquery { .. } => Ok(Expr::Literal((self.context)(&e)?)),
                other => Ok(other),
            })?
            .bind(input)
    }

    /// Binds an expression to the columns so far.
    ///
    /// # Errors
    /// As for [`Self::bind_to`].
    pub fn bind(&self, expr: &Expr) -> Result<Expr> {
        self.bind_to(expr, &self.attributes)
    }
}

/// Whether an operator is lowered with its input, rather than read as batches.
pub fn lowerable(plan: &SparkPlan) -> bool {
    let compiled = |e: &Expr| support::expression(e).is_ok();
    // What it is not lowered with is read whole: columns that no expression uses as well.
    let readable = |input: &SparkPlan| lowerable(input) || input.output().iter().all(|a| support::data_type(&a.data_type).is_ok());
    let lowered = match &plan.operator {
        Operator::LocalLimit(_) => true,
        Operator::Filter(f) => compiled(&f.condition),
        Operator::Project(p) => p.list.iter().all(compiled),
        Operator::Expand(e) => e.projections.iter().flatten().all(compiled),
        Operator::Aggregate(a) => a.lowerable(),
        Operator::BroadcastHashJoin(j) => j.lowerable(),
        Operator::ShuffledHashJoin(j) => j.lowerable(),
        _ => false,
    };
    lowered && plan.children.iter().all(|c| readable(c))
}

/// The value that stands for a subquery's where code is only to be looked at.
pub fn any_value(t: &DataType) -> Scalar {
    match t {
        DataType::Boolean => Scalar::Boolean(true),
        DataType::Byte => Scalar::Byte(1),
        DataType::Short => Scalar::Short(1),
        DataType::Int => Scalar::Int(1),
        DataType::Long => Scalar::Long(1),
        DataType::Float => Scalar::Float(1.0),
        DataType::Double => Scalar::Double(1.0),
        DataType::Decimal { precision, scale } => Scalar::Decimal { value: 1, precision: *precision, scale: *scale },
        DataType::String => Scalar::string(""),
        DataType::Date => Scalar::Date(1),
        DataType::Timestamp => Scalar::Timestamp(1),
        DataType::TimestampNtz => Scalar::TimestampNtz(1),
        // What planned subqueries of bytes give.
        DataType::Binary => Scalar::Binary(BloomFilter::new(64, 1).to_bytes().into()),
        other => Scalar::Null(other.clone()),
    }
}
