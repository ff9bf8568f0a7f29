//! `a.b` and `a[b]`: a field of a struct, or of the structs of an array; an element of an array; a value of a map.

use super::functions::{call, function};
use crate::base::error::nearest;
use crate::base::{DataType, Error, ErrorClass, Field, Result, Scalar};
use crate::expr::{Expr, ScalarFunction};

/// `value[at]`, and `value.name` with the name as a text.
///
/// # Errors
/// `FieldNotFound`, `AmbiguousField`, `InvalidExtractBase`, `TypeMismatch`.
pub fn extract(value: Expr, at: Expr) -> Result<Expr> {
    let t = value.data_type();
    match (&t, &at) {
        (DataType::Struct(fields), Expr::Literal(Scalar::String(name))) => {
            let name = field(fields, name)?;
            Ok(call(ScalarFunction::GetField, vec![value, Expr::Literal(Scalar::String(name))]))
        }
        (DataType::Struct(_), _) => {
            Err(Error::new(ErrorClass::TypeMismatch, format!("Field name should be a non-null string literal, but it's \"{at}\".")))
        }
        (DataType::Array(element), Expr::Literal(Scalar::String(name))) if let DataType::Struct(fields) = element.as_ref() => {
            let name = field(fields, name)?;
            Ok(call(ScalarFunction::GetArrayFields, vec![value, Expr::Literal(Scalar::String(name))]))
        }
        (DataType::Array(_), _) => {
            let t = at.data_type();
            if !t.is_integral() && t != DataType::Null {
                let message = format!(
                    "The second parameter requires the \"INTEGRAL\" type, however \"{at}\" has the type \"{}\".",
                    t.to_string().to_uppercase()
                );
                return Err(Error::new(ErrorClass::TypeMismatch, message));
            }
            function("getitem", vec![value, at])
        }
        (DataType::Map(..), _) => function("getitem", vec![value, at]),
        (t, _) => Err(Error::new(
            ErrorClass::InvalidExtractBase,
            format!(
                "Can't extract a value from \"{}\". Need a complex type [STRUCT, ARRAY, MAP] but got \"{}\".",
                match &value {
                    Expr::Attribute(a) | Expr::LambdaVariable(a) => a.name.to_string(),
                    other => other.to_string(),
                },
                t.to_string().to_uppercase()
            ),
        )),
    }
}

/// The name of the one field that is meant, without regard to case.
fn field(fields: &[Field], name: &str) -> Result<std::sync::Arc<str>> {
    let mut found = fields.iter().filter(|f| f.name.eq_ignore_ascii_case(name));
    match (found.next(), found.count()) {
        (Some(field), 0) => Ok(field.name.clone()),
        (Some(_), more) => Err(Error::new(
            ErrorClass::AmbiguousField,
            format!("Ambiguous reference to the field `{name}`. It appears {} times in the schema.", more + 1),
        )),
        (None, _) => {
            let names: Vec<String> = fields.iter().map(|f| format!("`{}`", f.name)).collect();
            let hint = nearest(name, fields.iter().map(|f| f.name.as_ref())).map(|n| format!(" Did you mean `{n}`?")).unwrap_or_default();
            Err(Error::new(ErrorClass::FieldNotFound, format!("No such struct field `{name}` in {}.{hint}", names.join(", "))))
        }
    }
}
