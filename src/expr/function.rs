//! Named scalar functions.

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ScalarFunction {
    Substring,
    Upper,
    Lower,
    Year,
    Month,
    DayOfMonth,
    Rand,
}

impl ScalarFunction {
    /// Same arguments, same result.
    pub fn is_deterministic(self) -> bool {
        !matches!(self, ScalarFunction::Rand)
    }
}
