//! Explanations of plans.
