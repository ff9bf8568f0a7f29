//! Arguments that several subcommands share, and the session made of them.

use std::io::Read;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::progress::Progress;
use crate::api::Session;
use crate::base::settings::MEMORY_LIMIT;
use crate::base::{Error, Result};
use crate::runtime::allocator;

/// What tables there are.
#[derive(Args, Default)]
#[command(next_help_heading = "Sources")]
pub(super) struct Sources {
    /// Name a file, folder or glob (parquet, csv, tsv, json, ndjson, arrow by extension); repeatable
    #[arg(long = "table", value_name = "NAME=PATH", value_parser = parse_pair)]
    tables: Vec<(String, String)>,
    /// Name every NAME.EXT file and NAME/ folder in DIR
    #[arg(long = "data", value_name = "DIR")]
    data: Vec<PathBuf>,
}

/// How queries run.
#[derive(Args, Default)]
#[command(next_help_heading = "Options")]
pub(super) struct Options {
    /// auto, jit or interpreted: whether stages are compiled [default: auto]
    #[arg(long, value_enum, value_name = "MODE", hide_possible_values = true)]
    mode: Option<Mode>,
    /// Worker threads [default: all cores]
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Most memory of running queries, e.g. 512MB; sorts, aggregations and shuffles spill to files below it
    #[arg(long, value_name = "SIZE")]
    memory_limit: Option<String>,
    /// Where spill files go [default: the system's folder]
    #[arg(long, value_name = "DIR")]
    temp_dir: Option<String>,
    /// Any setting; repeatable. `SET` lists them all
    #[arg(long = "conf", value_name = "KEY=VALUE", value_parser = parse_pair)]
    conf: Vec<(String, String)>,
    /// Print parse, plan, compile and run times on standard error
    #[arg(long)]
    pub timing: bool,
    /// auto, always or never: a progress bar on standard error while a query takes long [default: auto, on a terminal]
    #[arg(long, value_enum, value_name = "WHEN", default_value = "auto", hide_default_value = true, hide_possible_values = true)]
    pub progress: Progress,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Mode {
    Auto,
    Jit,
    Interpreted,
}

impl Mode {
    /// The value of the setting `execution.mode`.
    pub fn name(self) -> &'static str {
        match self {
            Mode::Auto => "auto",
            Mode::Jit => "jit",
            Mode::Interpreted => "interpreted",
        }
    }
}

/// The SQL to run.
#[derive(Args, Default)]
pub(super) struct Statements {
    /// One or more statements separated by ';'; '-' reads standard input
    #[arg(value_name = "SQL", required_unless_present = "file", conflicts_with = "file")]
    sql: Option<String>,
    /// Read the statements from a file
    #[arg(short = 'f', long = "file", value_name = "FILE")]
    file: Option<PathBuf>,
}

impl Statements {
    /// The text of the statements.
    ///
    /// # Errors
    /// `PathNotFound`, `Io`.
    pub fn text(&self) -> Result<String> {
        match (&self.file, self.sql.as_deref()) {
            (Some(path), _) if path != Path::new("-") => read_file(path),
            (Some(_), _) | (None, Some("-")) => {
                let mut text = String::new();
                std::io::stdin().read_to_string(&mut text).map_err(|e| Error::from(e).context("standard input"))?;
                Ok(text)
            }
            (None, sql) => Ok(sql.unwrap_or_default().to_string()),
        }
    }
}

/// A text file.
///
/// # Errors
/// `PathNotFound`, `Io`, naming the file.
pub(super) fn read_file(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(|e| Error::from(e).context(path.display()))
}

/// `NAME=VALUE`, for clap.
pub(super) fn parse_pair(text: &str) -> std::result::Result<(String, String), String> {
    let pair = text.split_once('=').filter(|(name, _)| !name.is_empty());
    pair.map(|(name, value)| (name.to_string(), value.to_string())).ok_or_else(|| "it must have the form NAME=VALUE".to_string())
}

/// A session with these tables and settings.
///
/// # Errors
/// Those of the settings and of finding the tables.
pub(super) fn session(sources: &Sources, options: &Options) -> Result<Session> {
    let mut builder = Session::builder();
    for (key, value) in &options.conf {
        builder = builder.config(key, value);
    }
    if let Some(mode) = options.mode {
        builder = builder.config("execution.mode", mode.name());
    }
    if let Some(threads) = options.threads {
        builder = builder.threads(threads);
    }
    if let Some(limit) = &options.memory_limit {
        builder = builder.config("memory.limit", limit);
    }
    if let Some(dir) = &options.temp_dir {
        builder = builder.config("memory.tempDir", dir);
    }
    let session = builder.build()?;
    for dir in &sources.data {
        session.register_folder(dir)?;
    }
    for (name, path) in &sources.tables {
        session.register_path(name, path)?;
    }
    heed_memory_limit(&session);
    Ok(session)
}

/// Has the process keep no memory that is free where the session's memory is limited.
pub(super) fn heed_memory_limit(session: &Session) {
    allocator::give_back_at_once(session.settings().bytes(&MEMORY_LIMIT) > 0);
}
