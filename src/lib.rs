//! Wholestage plans a SQL query the way Spark does and compiles it the way Umbra does.

pub mod base;
pub mod datasource;
pub mod expr;
pub mod logical;
pub mod operators;
pub mod rdd;
