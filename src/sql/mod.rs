//! Floor 8: SQL text to logical plan.
