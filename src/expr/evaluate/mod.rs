//! Interpretation over Arrow arrays.
