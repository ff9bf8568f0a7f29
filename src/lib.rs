//! Wholestage plans a SQL query the way Spark does and compiles it the way Umbra does.

pub mod api;
pub mod base;
pub mod cli;
pub mod codegen;
pub mod datasource;
pub mod execution;
pub mod expr;
pub mod logical;
pub mod operators;
pub mod planning;
pub mod rdd;
pub mod runtime;
pub mod sql;
