//! A compiled stage: pipelines whose functions are made when first needed.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use super::WholeStageCodegen;
use super::region::{Object, Region, any_value, resolve_in};
use crate::base::settings::JIT_COUNT_ROWS;
use crate::base::{Attribute, Error, Result, Settings};
use crate::codegen::pipeline::emit;
use crate::codegen::state::{Slot, StateLayout};
use crate::codegen::{Code, Dump, Op, Pipeline, Source};
use crate::expr::Expr;
use crate::operators::metrics::OUTPUT_ROWS;
use crate::operators::{Operator, SparkPlan};
use crate::rdd::QueryContext;
use crate::runtime::Form;

/// A function and the input columns that it reads.
pub struct Variant {
    pub code: Arc<Code>,
    pub compile_time: Duration,
    pub used: Vec<bool>,
    /// Slots that the function's code knows; a task's state must have as many.
    pub slots: usize,
    /// Operators of the pipeline whose rows the code does not know.
    pub unknown: Vec<usize>,
}

/// What a variant is made for: whether columns read have NULLs, and the forms of the join tables, by slot.
type VariantKey = (bool, Vec<(Slot, Form)>);

/// Made by the first task that needs it; others wait.
type VariantCell = Arc<OnceLock<Result<Arc<Variant>>>>;

/// A pipeline with its variants.
pub struct StagePipeline {
    pub pipeline: Pipeline,
    /// The operators whose rows the code counts: the place in the pipeline, the node, the slot.
    pub counted: Vec<(usize, u64, Slot)>,
    /// Operators of which the rows are not known, as code that ran has not counted all.
    pub unknown: Mutex<BTreeSet<usize>>,
    variants: Mutex<Vec<(VariantKey, VariantCell)>>,
}

/// The lowered form of a stage (or of a part of it), shared by its tasks.
pub struct Stage {
    pub pipelines: Vec<StagePipeline>,
    /// The operators that the pipelines but the last end in.
    pub sinks: Vec<u64>,
    /// The operator whose rows come out; see [`Region::rows_of`].
    pub rows_of: Option<u64>,
    pub objects: Vec<Object>,
    pub row_sources: Vec<usize>,
    pub output: Slot,
    /// The columns of the output.
    pub attributes: Vec<Attribute>,
    pub layout: Mutex<StateLayout>,
    pub settings: Settings,
    dump: Dump,
    /// Pipelines that someone has begun to compile.
    begun: AtomicUsize,
}

impl Stage {
    pub fn new(region: Region, settings: Settings, dump: Dump) -> Self {
        let counts = settings.bool(&JIT_COUNT_ROWS);
        let pipeline = |(pipeline, counted)| StagePipeline {
            pipeline,
            counted: if counts { counted } else { vec![] },
            unknown: Mutex::default(),
            variants: Mutex::default(),
        };
        let pipelines = region.pipelines.into_iter().zip(region.counted).map(pipeline).collect();
        Self {
            pipelines,
            sinks: region.sinks,
            rows_of: region.rows_of,
            objects: region.objects,
            row_sources: region.row_sources,
            output: region.output,
            attributes: region.attributes,
            layout: Mutex::new(region.layout),
            settings,
            dump,
            begun: AtomicUsize::new(0),
        }
    }

    /// Compiles every pipeline for batches without NULLs; callers at the same time share the work.
    ///
    /// # Errors
    /// `Codegen`.
    pub fn compile_all(&self, forms: &[(Slot, Form)], context: &QueryContext, node: u64) -> Result<()> {
        loop {
            let begun = self.begun.fetch_add(1, Ordering::Relaxed);
            if begun >= self.pipelines.len() {
                break;
            }
            context.check_cancelled()?;
            self.variant(begun, false, forms, Some((context, node)))?;
        }
        (0..self.pipelines.len()).try_for_each(|i| self.variant(i, false, forms, Some((context, node))).map(drop))
    }

    /// The forms that join tables most likely have, by slot.
    pub fn likely_forms(&self) -> Vec<(Slot, Form)> {
        self.objects.iter().filter_map(Object::join).map(|j| (j.table, j.likely_form())).collect()
    }

    /// The function of pipeline `index` for batches with (or without) NULLs and join tables of these forms, compiled at the first
    /// call.
    ///
    /// # Errors
    /// `Codegen`.
    pub fn variant(
        &self,
        index: usize,
        nulls: bool,
        forms: &[(Slot, Form)],
        context: Option<(&QueryContext, u64)>,
    ) -> Result<Arc<Variant>> {
        let pipeline = &self.pipelines[index];
        let nulls = nulls && pipeline.can_have_nulls();
        pipeline
            .cell(nulls, forms)
            .get_or_init(|| {
                let start = Instant::now();
                let (emitted, slots) = {
                    let mut layout = self.layout.lock().unwrap_or_else(|e| e.into_inner());
                    (emit(&pipeline.pipeline, &mut layout, &self.settings, nulls, forms, self.dump)?, layout.len())
                };
                let (used, unknown) = (emitted.used.clone(), emitted.unknown.clone());
                let code = emitted.finish()?;
                let compile_time = start.elapsed();
                if let Some((context, node)) = context {
                    context.metric(node, "compileTime").fetch_add(compile_time.as_nanos() as u64, Ordering::Relaxed);
                    context.metric(node, "codeSize").fetch_add(code.size as u64, Ordering::Relaxed);
                    context.metric(node, "numFunctions").fetch_add(1, Ordering::Relaxed);
                }
                Ok(Arc::new(Variant { code, compile_time, used, slots, unknown }))
            })
            .clone()
    }
}

impl StagePipeline {
    /// The place of a variant; forms of tables that the pipeline does not probe make no difference.
    fn cell(&self, nulls: bool, forms: &[(Slot, Form)]) -> VariantCell {
        let probed = |table: Slot| self.pipeline.ops.iter().any(|(_, op)| matches!(op, Op::Probe(p) if p.table == table));
        let key = (nulls, forms.iter().filter(|(table, _)| probed(*table)).copied().collect());
        let mut variants = self.variants.lock().unwrap_or_else(|e| e.into_inner());
        if let Some((_, cell)) = variants.iter().find(|(k, _)| *k == key) {
            return cell.clone();
        }
        let cell = VariantCell::default();
        variants.push((key, cell.clone()));
        cell
    }

    /// Adds the rows that a task's code has counted since the last time to the metrics of their operators.
    pub fn count_rows(&self, state: &mut [u64], query: &QueryContext) {
        if self.counted.is_empty() {
            return;
        }
        let unknown = self.unknown.lock().unwrap_or_else(|e| e.into_inner());
        for (op, node, slot) in &self.counted {
            let rows = std::mem::take(&mut state[*slot]);
            match unknown.contains(op) {
                true => query.forget_metric(*node, OUTPUT_ROWS),
                false => {
                    query.metric(*node, OUTPUT_ROWS).fetch_add(rows, Ordering::Relaxed);
                }
            }
        }
    }

    fn can_have_nulls(&self) -> bool {
        match &self.pipeline.source.1 {
            Source::Batches(columns) => columns.iter().any(|c| c.nullable),
            Source::Rows(_) => false,
        }
    }
}

/// A stage's functions, compiled for people to look at.
#[derive(Debug, Default)]
pub struct CompiledStage {
    clif: String,
    clif_optimized: String,
    disassembly: String,
    code_size: usize,
    compile_time: Duration,
}

impl CompiledStage {
    /// CLIF as generated, annotated by operator; a function per pipeline.
    pub fn clif(&self) -> &str {
        &self.clif
    }

    /// CLIF after Cranelift's optimizations.
    pub fn clif_optimized(&self) -> &str {
        &self.clif_optimized
    }

    /// Machine code as assembly text.
    pub fn disassembly(&self) -> &str {
        &self.disassembly
    }

    /// Bytes of machine code.
    pub fn code_size(&self) -> usize {
        self.code_size
    }

    /// What compiling all functions took.
    pub fn compile_time(&self) -> Duration {
        self.compile_time
    }
}

/// Compiles a stage to be looked at: the variants for batches without NULLs. Nothing runs; a scalar subquery without a value yet
/// has a stand-in.
///
/// # Errors
/// `Codegen` for what cannot be compiled.
pub fn compile_stage(plan: &Arc<SparkPlan>, context: &Arc<QueryContext>) -> Result<Arc<CompiledStage>> {
    let Operator::WholeStageCodegen(WholeStageCodegen { stage_id }) = plan.operator else {
        return Err(Error::internal("not a compiled stage"));
    };
    let in_query = resolve_in(context);
    let resolve = |e: &Expr| in_query(e).or_else(|_| Ok(any_value(&e.data_type())));
    let mut out = CompiledStage::default();
    for part in super::run::compiled_parts(plan.child()) {
        let region = Region::lower(&part, stage_id, &resolve)?;
        if region.only_renames() {
            continue;
        }
        let stage = Stage::new(region, context.settings.clone(), Dump::Texts);
        for i in 0..stage.pipelines.len() {
            let variant = stage.variant(i, false, &stage.likely_forms(), None)?;
            let code = &variant.code;
            for (all, one) in
                [(&mut out.clif, &code.clif), (&mut out.clif_optimized, &code.clif_optimized), (&mut out.disassembly, &code.disassembly)]
            {
                if !all.is_empty() {
                    all.push('\n');
                }
                all.push_str(one);
            }
            out.code_size += code.size;
            out.compile_time += variant.compile_time;
        }
    }
    Ok(Arc::new(out))
}
