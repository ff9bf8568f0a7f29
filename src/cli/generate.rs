//! `wholestage generate`: benchmark data as files.

use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, ValueEnum};

use crate::base::{Error, ErrorClass, Result};
use crate::datasource::generate::Suite;

#[derive(Args)]
#[command(after_help = "\
Example:
  wholestage generate tpch --sf 0.01 -o tpch && wholestage query --data tpch \"SELECT count(*) FROM lineitem\"")]
pub(super) struct Arguments {
    /// Which benchmark's tables
    #[arg(value_name = "SUITE", value_parser = suites())]
    suite: Suite,
    /// Scale factor: 1 is about a gigabyte of text
    #[arg(long, value_name = "N")]
    sf: f64,
    /// Folder to write to; made if missing
    #[arg(short = 'o', long = "output", value_name = "DIR")]
    output: PathBuf,
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "parquet")]
    format: Format,
    /// Files per table
    #[arg(long, value_name = "N", default_value_t = 1)]
    parts: usize,
}

fn suites() -> impl TypedValueParser<Value = Suite> {
    PossibleValuesParser::new(Suite::ALL.map(Suite::name)).try_map(|name| Suite::named(&name).ok_or("no such suite"))
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    Parquet,
    Csv,
    Arrow,
}

pub(super) fn run(arguments: &Arguments) -> Result<()> {
    check_scale(arguments.sf)?;
    let format = match arguments.format {
        Format::Parquet => "parquet",
        Format::Csv => "csv",
        Format::Arrow => "arrow",
    };
    arguments.suite.write(arguments.sf, &arguments.output.to_string_lossy(), format, arguments.parts.max(1))
}

/// # Errors
/// `InvalidParameter` unless it is a positive number.
pub(super) fn check_scale(scale: f64) -> Result<()> {
    if scale.is_finite() && scale > 0.0 {
        return Ok(());
    }
    Err(Error::new(ErrorClass::InvalidParameter, format!("--sf must be a positive number, not {scale}.")))
}
