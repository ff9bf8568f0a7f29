//! Floor 6: from the optimized logical plan to the executed physical plan.
