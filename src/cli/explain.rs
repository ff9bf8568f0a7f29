//! `wholestage explain`: how a query would run.

use clap::Args;

use super::options::{self, Options, Sources, Statements};
use super::output;
use crate::base::{Error, ErrorClass, Result};
use crate::planning::ExplainLevel;

#[derive(Args)]
#[command(after_help = "\
Examples:
  wholestage explain --data fixtures/sales \"SELECT region, sum(amount) FROM orders WHERE quantity > 2 GROUP BY region\"
  wholestage explain --level formatted --data fixtures/sales \"SELECT c.country, sum(o.amount) FROM orders o JOIN customers c ON o.customer_id = c.id GROUP BY c.country\"
  wholestage explain --level analyze --data fixtures/sales \"SELECT region, sum(amount) FROM orders GROUP BY region\"")]
pub(super) struct Arguments {
    #[command(flatten)]
    statements: Statements,
    /// How much is shown: simple, extended, formatted, cost, codegen, or analyze, which runs the query and adds metrics
    #[arg(long, value_name = "LEVEL", default_value = "simple", value_parser = parse_level)]
    level: ExplainLevel,
    /// One JSON object per plan node instead of text
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    sources: Sources,
    #[command(flatten)]
    options: Options,
}

fn parse_level(text: &str) -> std::result::Result<ExplainLevel, String> {
    Ok(match text {
        "simple" => ExplainLevel::Simple,
        "extended" => ExplainLevel::Extended,
        "formatted" => ExplainLevel::Formatted,
        "cost" => ExplainLevel::Cost,
        "codegen" => ExplainLevel::Codegen,
        "analyze" => ExplainLevel::Analyze,
        _ => return Err("one of simple, extended, formatted, cost, codegen, analyze".to_string()),
    })
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
    execution.physical()?;
    output::warn(&execution.warnings());
    let progress = arguments.options.progress;
    if arguments.json {
        let explain = || execution.explain_json(arguments.level == ExplainLevel::Analyze);
        return output::print(&progress.during(&execution, explain)?);
    }
    output::print(&progress.during(&execution, || execution.explain(arguments.level))?)
}
