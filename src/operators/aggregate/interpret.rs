//! Interpreted face.
