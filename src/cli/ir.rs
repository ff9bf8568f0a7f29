//! `wholestage ir`: the code made for a query's compiled stages.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::options::{self, Options, Sources, Statements};
use super::output;
use crate::base::{Error, ErrorClass, Result};
use crate::planning::ExplainLevel;

#[derive(Args)]
#[command(after_help = "\
Examples:
  wholestage ir --emit clif --data fixtures/sales \"SELECT sum(amount) FROM orders WHERE quantity > 2\"
  wholestage ir --emit asm --stage 1 --data fixtures/sales \"SELECT sum(amount) FROM orders WHERE quantity > 2\"")]
pub(super) struct Arguments {
    #[command(flatten)]
    statements: Statements,
    /// Which form of the code
    #[arg(long, value_enum, value_name = "FORM", default_value = "clif")]
    emit: Emit,
    /// Only the stage shown as *(N)
    #[arg(long, value_name = "N")]
    stage: Option<usize>,
    /// Write one file per stage and form into a folder
    #[arg(short = 'o', long = "output", value_name = "DIR")]
    output: Option<PathBuf>,
    #[command(flatten)]
    sources: Sources,
    #[command(flatten)]
    options: Options,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Emit {
    Plan,
    /// Before optimization
    Clif,
    /// After optimization
    ClifOpt,
    /// Cranelift's machine instructions; at present the same text as asm
    Vcode,
    /// Machine code
    Asm,
    All,
}

impl Emit {
    fn includes(self, one: Emit) -> bool {
        self == one || self == Emit::All
    }
}

pub(super) fn run(arguments: &Arguments) -> Result<()> {
    let text = arguments.statements.text()?;
    let session = options::session(&arguments.sources, &arguments.options)?;
    let statements = session.parse(&text)?;
    let Some((last, before)) = statements.split_last() else {
        return Err(Error::new(ErrorClass::Parse, "there is no SQL statement."));
    };
    for statement in before {
        session.run(statement)?;
    }
    let execution = session.run(last)?.query_execution()?;
    let mut parts: Vec<(String, String)> = vec![];
    if arguments.emit.includes(Emit::Plan) {
        parts.push(("plan.txt".to_string(), execution.explain(ExplainLevel::Simple)?));
    }
    if arguments.emit != Emit::Plan {
        let stages = execution.stages()?;
        let chosen: Vec<_> = stages.iter().filter(|(id, _)| arguments.stage.is_none_or(|wanted| wanted == *id)).collect();
        if let (Some(wanted), true) = (arguments.stage, chosen.is_empty()) {
            let known: Vec<String> = stages.iter().map(|(id, _)| id.to_string()).collect();
            let message = format!(
                "there is no compiled stage {wanted}; the plan has {}.",
                if known.is_empty() { "none".into() } else { known.join(", ") }
            );
            return Err(Error::new(ErrorClass::InvalidParameter, message));
        }
        for (id, stage) in chosen {
            if arguments.emit.includes(Emit::Clif) {
                parts.push((format!("stage{id}.clif"), stage.clif().to_string()));
            }
            if arguments.emit.includes(Emit::ClifOpt) {
                parts.push((format!("stage{id}.opt.clif"), stage.clif_optimized().to_string()));
            }
            if arguments.emit.includes(Emit::Vcode) || arguments.emit.includes(Emit::Asm) {
                parts.push((format!("stage{id}.asm"), stage.disassembly().to_string()));
            }
        }
    }
    match &arguments.output {
        None => {
            let all: Vec<String> = parts.into_iter().map(|(_, text)| text).collect();
            output::print(&all.join("\n"))
        }
        Some(dir) => {
            std::fs::create_dir_all(dir).map_err(|e| Error::from(e).context(dir.display()))?;
            for (name, text) in parts {
                let path = dir.join(name);
                std::fs::write(&path, text).map_err(|e| Error::from(e).context(path.display()))?;
            }
            Ok(())
        }
    }
}
