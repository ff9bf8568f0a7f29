//! Cranelift's JIT module: declared symbols, compiled pipelines, their texts, and the freeing of their memory.

use std::sync::{Arc, Mutex};

use cranelift_codegen::Context;
use cranelift_codegen::ir::{AbiParam, FuncRef, Signature, types};
use cranelift_codegen::isa::{CallConv, OwnedTargetIsa};
use cranelift_codegen::settings::{self, Configurable};
use cranelift_jit::{JITBuilder, JITModule};
use cranelift_module::{FuncId, Linkage, Module, default_libcall_names};

use super::cache::CACHE;
use crate::base::{Error, ErrorClass, Result, Settings, settings as keys};
use crate::runtime::symbols::{SYMBOLS, Symbol, Type};
use crate::runtime::{ColumnView, Input, Status};

/// A compiled pipeline: `(state, columns or row addresses, first row, past the last row) -> status`.
pub type PipelineFn = unsafe extern "C" fn(*mut u64, *const ColumnView, i64, i64) -> i64;

/// Generated code could not be made; the stage runs interpreted.
pub fn failure(what: impl std::fmt::Display) -> Error {
    Error::new(ErrorClass::Codegen, what.to_string())
}

/// What to keep of a compilation besides the code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dump {
    Nothing,
    /// CLIF before and after optimization, and machine code.
    Texts,
}

/// One compiled function.
pub struct Code {
    /// CLIF as generated, annotated by operator; only with [`Dump::Texts`].
    pub clif: String,
    pub clif_optimized: String,
    pub disassembly: String,
    /// Bytes of machine code.
    pub size: usize,
    entry: PipelineFn,
    /// Owns the code pages; dropped after the last user of the code.
    _memory: Memory,
}

impl Code {
    /// Runs the function over rows `first..last` of the input.
    ///
    /// `state` must be an instance of the layout that the function was compiled with, its reserved slots filled with addresses of
    /// what the pipeline names, alive; `input` the view of a batch of the pipeline's columns (or row addresses) with at least
    /// `last` rows. Stages see to that; nothing else makes or runs code.
    pub fn run(&self, state: &mut [u64], input: Input, first: usize, last: usize) -> Status {
        // SAFETY: by the contract above; the code lives as long as self.
        Status::from_code(unsafe { (self.entry)(state.as_mut_ptr(), input.address(), first as i64, last as i64) })
    }
}

struct Memory(Option<JITModule>);

// SAFETY: after finalization the module is only held, to be freed.
unsafe impl Send for Memory {}
// SAFETY: as above.
unsafe impl Sync for Memory {}

impl Drop for Memory {
    fn drop(&mut self) {
        if let Some(module) = self.0.take() {
            // SAFETY: the only Code of the module is being dropped, so no code of the module runs or can be called any more.
            unsafe { module.free_memory() };
        }
    }
}

/// Makes functions; one module per function, so that each is freed by itself.
pub struct Compiler {
    module: JITModule,
    context: Context,
    dump: Dump,
    /// What the code depends on besides the CLIF.
    flags: (String, bool),
    /// Functions kept for later queries.
    most_kept: usize,
}

/// The machine description for an optimization level, with or without verifier; made once.
fn isa(key: &(String, bool)) -> Result<OwnedTargetIsa> {
    static MADE: Mutex<Vec<((String, bool), OwnedTargetIsa)>> = Mutex::new(vec![]);
    let mut made = MADE.lock().unwrap_or_else(|e| e.into_inner());
    if let Some((_, isa)) = made.iter().find(|(k, _)| k == key) {
        return Ok(isa.clone());
    }
    let mut flags = settings::builder();
    let mut set = |k: &str, v: &str| flags.set(k, v).map_err(failure);
    set("opt_level", &key.0)?;
    set("enable_verifier", if key.1 { "true" } else { "false" })?;
    set("is_pic", "false")?;
    set("use_colocated_libcalls", "false")?;
    set("enable_probestack", "false")?;
    set("unwind_info", "false")?;
    set("enable_llvm_abi_extensions", "true")?;
    let isa = cranelift_native::builder().map_err(failure)?.finish(settings::Flags::new(flags)).map_err(failure)?;
    made.push((key.clone(), isa.clone()));
    Ok(isa)
}

impl Compiler {
    /// # Errors
    /// `Codegen` when the machine is not supported.
    pub fn new(settings: &Settings, dump: Dump) -> Result<Self> {
        let verifier = settings.bool(&keys::JIT_VERIFIER) || cfg!(debug_assertions);
        let flags = (settings.text(&keys::JIT_OPT_LEVEL).to_string(), verifier);
        let most_kept = settings.int(&keys::CODEGEN_CACHE_MAX_ENTRIES).max(0) as usize;
        let mut builder = JITBuilder::with_isa(isa(&flags)?, default_libcall_names());
        for symbol in SYMBOLS {
            builder.symbol(symbol.name, (symbol.address)());
        }
        let module = JITModule::new(builder);
        let mut context = module.make_context();
        context.func.signature = pipeline_signature(module.isa().default_call_conv());
        Ok(Self { module, context, dump, flags, most_kept })
    }

    /// The function to fill, and the module that resolves symbols.
    pub fn parts(&mut self) -> (&mut cranelift_codegen::ir::Function, &mut JITModule) {
        (&mut self.context.func, &mut self.module)
    }

    /// How Cranelift's text refers to each imported symbol, and its name.
    fn symbols(&self) -> Vec<(String, String)> {
        let functions = self.module.declarations().get_functions();
        functions.filter_map(|(id, f)| Some((format!("u0:{} ", id.as_u32()), format!("{} ", f.name.as_ref()?)))).collect()
    }

    /// The function's code: kept from before, or compiled. `operators` are the names of its operators, by source location less
    /// one.
    ///
    /// # Errors
    /// `Codegen` for what Cranelift refuses.
    pub fn finish(self, name: &str, operators: &[&str]) -> Result<Arc<Code>> {
        if self.dump == Dump::Texts || self.most_kept == 0 {
            return self.define(name, operators).map(Arc::new);
        }
        let symbols: Vec<_> = self.module.declarations().get_functions().map(|(_, f)| &f.name).collect();
        let key = CACHE.key((&self.context.func.stencil, symbols, &self.flags));
        if let Some(kept) = CACHE.get(key) {
            return Ok(kept);
        }
        let most_kept = self.most_kept;
        let code = Arc::new(self.define(name, operators)?);
        CACHE.put(key, code.clone(), most_kept);
        Ok(code)
    }

    fn define(mut self, name: &str, operators: &[&str]) -> Result<Code> {
        let texts = self.dump == Dump::Texts;
        if texts {
            self.context.func.dfg.resolve_all_aliases();
        }
        let symbols: Vec<(String, String)> = if texts { self.symbols() } else { vec![] };
        let annotate = |function: &cranelift_codegen::ir::Function| super::dump::annotated(function, name, &symbols, operators);
        let clif = if texts { annotate(&self.context.func) } else { String::new() };
        let id = self.module.declare_function(name, Linkage::Export, &self.context.func.signature).map_err(failure)?;
        self.module.define_function(id, &mut self.context).map_err(|e| match e {
            cranelift_module::ModuleError::Compilation(c) => failure(format!("{name}: {c:?}")),
            other => failure(format!("{name}: {other}")),
        })?;
        let compiled = self.context.compiled_code();
        let size = compiled.map_or(0, |c| c.code_buffer().len());
        let (mut clif_optimized, mut disassembly) = (String::new(), String::new());
        if texts {
            clif_optimized = annotate(&self.context.func);
            if let Some(code) = compiled {
                let capstone = self.module.isa().to_capstone().map_err(failure)?;
                disassembly = format!("{name}:\n{}", code.disassemble(Some(&self.context.func.params), &capstone).map_err(failure)?);
            }
        }
        self.module.clear_context(&mut self.context);
        self.module.finalize_definitions().map_err(failure)?;
        let address = self.module.get_finalized_function(id);
        // SAFETY: the function was declared with pipeline_signature, which is PipelineFn's.
        let entry = unsafe { std::mem::transmute::<*const u8, PipelineFn>(address) };
        Ok(Code { clif, clif_optimized, disassembly, size, entry, _memory: Memory(Some(self.module)) })
    }
}

fn pipeline_signature(convention: CallConv) -> Signature {
    let mut signature = Signature::new(convention);
    signature.params.extend([AbiParam::new(types::I64); 4]);
    signature.returns.push(AbiParam::new(types::I64));
    signature
}

/// Declares a symbol in the module and in the function.
///
/// # Errors
/// `Codegen` for a name that is not in the table.
pub fn import(module: &mut JITModule, function: &mut cranelift_codegen::ir::Function, name: &str) -> Result<FuncRef> {
    let symbol = SYMBOLS.iter().find(|s| s.name == name).ok_or_else(|| failure(format!("no symbol {name}")))?;
    let id: FuncId =
        module.declare_function(name, Linkage::Import, &symbol_signature(symbol, module.isa().default_call_conv())).map_err(failure)?;
    Ok(module.declare_func_in_func(id, function))
}

fn symbol_signature(symbol: &Symbol, convention: CallConv) -> Signature {
    let clif = |t: &Type| match t {
        Type::I8 => AbiParam::new(types::I8),
        Type::I64 | Type::Pointer => AbiParam::new(types::I64),
    };
    let mut signature = Signature::new(convention);
    signature.params.extend(symbol.params.iter().map(clif));
    signature.returns.extend(symbol.result.iter().map(clif));
    signature
}
