//! LikeSimplification: a LIKE that asks for a beginning, an end, a part or the whole says so.

use super::support::{equal, transform_expressions};
use crate::base::{Result, Scalar, Settings};
use crate::expr::{Expr, ScalarFunction};
use crate::logical::LogicalPlan;

pub fn apply(plan: LogicalPlan, _: &Settings) -> Result<LogicalPlan> {
    transform_expressions(plan, &mut |e| {
        Ok(match e {
            Expr::Like { value, pattern, escape, case_insensitive: false } => match simple(&pattern, escape) {
                Some((Some(function), text)) => Expr::Function { function, args: vec![*value, Expr::Literal(Scalar::string(text))] },
                Some((None, text)) => equal(*value, Expr::Literal(Scalar::string(text))),
                None => Expr::Like { value, pattern, escape, case_insensitive: false },
            },
            other => other,
        })
    })
}

/// What a pattern asks for and the text; without a function: the text as a whole.
fn simple(pattern: &Expr, escape: char) -> Option<(Option<ScalarFunction>, String)> {
    let Expr::Literal(Scalar::String(pattern)) = pattern else { return None };
    if pattern.contains(['_', escape]) {
        return None;
    }
    let (begins, rest) = pattern.strip_prefix('%').map_or((true, &**pattern), |rest| (false, rest));
    let (ends, text) = rest.strip_suffix('%').map_or((true, rest), |text| (false, text));
    if text.is_empty() || text.contains('%') {
        return None;
    }
    let function = match (begins, ends) {
        (true, true) => None,
        (true, false) => Some(ScalarFunction::StartsWith),
        (false, true) => Some(ScalarFunction::EndsWith),
        (false, false) => Some(ScalarFunction::Contains),
    };
    Some((function, text.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logical::optimizer::testing::*;

    fn like(t: &LogicalPlan, pattern: &str) -> LogicalPlan {
        let value = Expr::Cast { expr: Box::new(column(t, "a")), to: crate::base::DataType::String, try_cast: false };
        let pattern = Box::new(Expr::Literal(Scalar::string(pattern)));
        filtered(t.clone(), Expr::Like { value: Box::new(value), pattern, escape: '\\', case_insensitive: false })
    }

    #[test]
    fn fires() {
        let t = table("t", 10);
        let shown = |pattern: &str| apply(like(&t, pattern), &Settings::new()).unwrap().tree_string();
        for (pattern, wanted) in [("x%", "StartsWith("), ("%x", "EndsWith("), ("%x%", "Contains("), ("x", " = x)")] {
            assert!(shown(pattern).contains(wanted), "{}", shown(pattern));
        }
    }

    #[test]
    fn leaves_other_patterns() {
        let t = table("t", 10);
        for pattern in ["x_", "a%b", "%", "", "a\\%", "%a%b%"] {
            assert_unchanged(apply, &like(&t, pattern));
        }
    }
}
