//! Floor 8: what a Rust program holds — [`Session`], [`DataFrame`], [`Column`], [`functions`].

pub mod catalog;
pub mod column;
pub mod dataframe;
pub mod functions;
pub mod grouped;
mod resolve;
pub mod session;
mod statement;
mod tables;
pub mod write;
pub mod writer;

pub use catalog::Catalog;
pub use column::{Column, WindowSpec};
pub use dataframe::DataFrame;
pub use functions::{call, col, lit, when};
pub use grouped::GroupedData;
pub use session::{Session, SessionBuilder};
pub use writer::DataFrameWriter;
