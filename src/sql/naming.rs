//! Names of unnamed columns, as Spark makes them: `count(1)`, `(a + 1)`, `CAST((a + 1) AS INT)`.

use sqlparser::ast::{self, BinaryOperator, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, UnaryOperator, Value};

use super::literal;

/// The name of a select item without an alias.
pub(super) fn column_name(e: &Expr) -> String {
    match e {
        Expr::Identifier(i) => i.value.clone(),
        Expr::CompoundIdentifier(parts) => parts.last().map_or_else(String::new, |i| i.value.clone()),
        Expr::Nested(inner) => column_name(inner),
        // A cast of a column keeps its name.
        Expr::Cast { expr, .. } if matches!(**expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_)) => column_name(expr),
        other => text(other),
    }
}

fn list<'e>(items: impl IntoIterator<Item = &'e Expr>) -> String {
    items.into_iter().map(text).collect::<Vec<_>>().join(", ")
}

fn text(e: &Expr) -> String {
    stacker::maybe_grow(128 << 10, 2 << 20, || describe(e))
}

fn negated(negated: bool, inner: String) -> String {
    if negated { format!("(NOT {inner})") } else { inner }
}

fn describe(e: &Expr) -> String {
    match e {
        Expr::Identifier(i) => i.value.clone(),
        // Qualifiers are no part of a name.
        Expr::CompoundIdentifier(parts) => parts.last().map_or_else(String::new, |i| i.value.clone()),
        Expr::CompoundFieldAccess { root, access_chain } => access_chain.iter().fold(text(root), |root, step| match step {
            ast::AccessExpr::Dot(field) => format!("{root}.{field}"),
            ast::AccessExpr::Subscript(ast::Subscript::Index { index }) => format!("{root}[{}]", text(index)),
            ast::AccessExpr::Subscript(other) => format!("{root}[{other}]"),
        }),
        Expr::Nested(inner) => text(inner),
        Expr::Value(v) => value(&v.value),
        Expr::TypedString(t) => format!("{} '{}'", t.data_type, literal::text(&t.value.value).unwrap_or_default()),
        Expr::Interval(i) => match (&i.leading_field, &i.last_field) {
            (Some(unit), None) => {
                let (value, unit) = (text(&i.value), unit.to_string());
                let unit = unit.trim_end_matches('S');
                // Parts of a day have two digits.
                let padded = matches!(unit, "HOUR" | "MINUTE" | "SECOND") && value.len() == 1;
                format!("INTERVAL '{}{value}' {unit}", if padded { "0" } else { "" })
            }
            _ => i.to_string(),
        },
        Expr::BinaryOp { .. } => chain(e),
        Expr::UnaryOp { op, expr } => match (op, expr.as_ref()) {
            (UnaryOperator::Minus, Expr::Value(v)) => format!("-{}", value(&v.value)),
            (UnaryOperator::Minus, other) => format!("(- {})", text(other)),
            (UnaryOperator::Plus, other) => format!("(+ {})", text(other)),
            (UnaryOperator::Not | UnaryOperator::BangNot, other) => format!("(NOT {})", text(other)),
            (op, other) => format!("{op}{}", text(other)),
        },
        Expr::IsNull(x) => format!("({} IS NULL)", text(x)),
        Expr::IsNotNull(x) => format!("({} IS NOT NULL)", text(x)),
        Expr::IsTrue(x) => format!("({} IS TRUE)", text(x)),
        Expr::IsFalse(x) => format!("({} IS FALSE)", text(x)),
        Expr::IsNotDistinctFrom(l, r) => format!("({} <=> {})", text(l), text(r)),
        Expr::IsDistinctFrom(l, r) => format!("(NOT ({} <=> {}))", text(l), text(r)),
        Expr::InList { expr, list: items, negated: not } => negated(*not, format!("({} IN ({}))", text(expr), list(items))),
        Expr::InSubquery { expr, negated: not, .. } => negated(*not, format!("({} IN (listquery()))", text(expr))),
        Expr::Exists { negated: not, .. } => negated(*not, "exists()".to_string()),
        Expr::Subquery(_) => "scalarsubquery()".to_string(),
        Expr::Between { expr, negated: not, low, high } => negated(*not, format!("between({}, {}, {})", text(expr), text(low), text(high))),
        Expr::Like { negated: not, expr, pattern, .. } => negated(*not, format!("{} LIKE {}", text(expr), text(pattern))),
        Expr::ILike { negated: not, expr, pattern, .. } => negated(*not, format!("ilike({}, {})", text(expr), text(pattern))),
        Expr::RLike { negated: not, expr, pattern, .. } => negated(*not, format!("RLIKE({}, {})", text(expr), text(pattern))),
        Expr::Named { expr, name } => format!("{} AS {}", text(expr), name.value),
        // Casts to nested types are not shown.
        Expr::Cast { expr, data_type: ast::DataType::Array(_) | ast::DataType::Map(..) | ast::DataType::Struct(..), .. } => text(expr),
        Expr::Cast { kind, expr, data_type, .. } => {
            let cast = if matches!(kind, ast::CastKind::TryCast | ast::CastKind::SafeCast) { "TRY_CAST" } else { "CAST" };
            let to = literal::data_type(data_type).map_or_else(|_| data_type.to_string(), |t| t.to_string());
            format!("{cast}({} AS {})", text(expr), to.to_uppercase())
        }
        Expr::Extract { field, expr, .. } => format!("extract({field} FROM {})", text(expr)),
        Expr::Ceil { expr, .. } => format!("CEIL({})", text(expr)),
        Expr::Floor { expr, .. } => format!("FLOOR({})", text(expr)),
        Expr::Position { expr, r#in } => format!("position({}, {}, 1)", text(expr), text(r#in)),
        Expr::Substring { expr, substring_from, substring_for, .. } => {
            format!("substring({})", list([expr].into_iter().chain(substring_from).chain(substring_for).map(|b| b.as_ref())))
        }
        Expr::Trim { trim_where, trim_what, expr, .. } => match (trim_where, trim_what) {
            (None, None) => format!("trim({})", text(expr)),
            (side, what) => {
                let side = side.as_ref().map_or_else(|| "BOTH".to_string(), ToString::to_string);
                let what = what.as_ref().map(|w| format!("{} ", text(w))).unwrap_or_default();
                format!("TRIM({side} {what}FROM {})", text(expr))
            }
        },
        Expr::Case { operand, conditions, else_result, .. } => {
            let mut out = "CASE".to_string();
            for when in conditions {
                let condition = match operand {
                    Some(o) => format!("({} = {})", text(o), text(&when.condition)),
                    None => text(&when.condition),
                };
                out.push_str(&format!(" WHEN {condition} THEN {}", text(&when.result)));
            }
            if let Some(e) = else_result {
                out.push_str(&format!(" ELSE {}", text(e)));
            }
            out + " END"
        }
        Expr::Function(f) => function(f),
        Expr::Lambda(l) => lambda(l),
        Expr::Array(a) => format!("array({})", list(&a.elem)),
        Expr::Tuple(items) => format!("struct({})", list(items)),
        other => other.to_string(),
    }
}

/// Variables have one name for all.
fn lambda(l: &ast::LambdaFunction) -> String {
    const VARIABLE: &str = "namedlambdavariable()";
    let is_variable = |name: &ast::Ident| l.params.iter().any(|p| p.name.value.eq_ignore_ascii_case(&name.value));
    let variable = || Expr::Identifier(ast::Ident::new(VARIABLE));
    let mut body = l.body.as_ref().clone();
    let _ = ast::visit_expressions_mut(&mut body, |e| {
        let new = match e {
            Expr::Identifier(name) if is_variable(name) => variable(),
            Expr::CompoundIdentifier(names) if names.first().is_some_and(is_variable) => Expr::CompoundFieldAccess {
                root: Box::new(variable()),
                access_chain: names[1..].iter().map(|n| ast::AccessExpr::Dot(Expr::Identifier(n.clone()))).collect(),
            },
            _ => return std::ops::ControlFlow::<()>::Continue(()),
        };
        *e = new;
        std::ops::ControlFlow::Continue(())
    });
    format!("lambdafunction({}{})", text(&body), format!(", {VARIABLE}").repeat(l.params.len()))
}

fn value(v: &Value) -> String {
    match v {
        Value::Null => "NULL".to_string(),
        Value::Boolean(b) => b.to_string(),
        Value::Number(digits, _) => digits.trim_end_matches(|c: char| c.is_ascii_alphabetic()).to_string(),
        other => literal::text(other).map_or_else(|| other.to_string(), str::to_string),
    }
}

/// Operators nest to the left as deep as the text is long, so the left side is walked in a loop.
fn chain(e: &Expr) -> String {
    let mut spine = vec![];
    let mut first = e;
    while let Expr::BinaryOp { left, op, right } = first {
        spine.push((op, right.as_ref()));
        first = left;
    }
    // Sums with an interval stand without parentheses.
    let bare = |right: &Expr| matches!(right, Expr::Interval(_));
    // Opening parentheses of all levels come first, so that the text grows at its end only.
    let opening = |op: &BinaryOperator, right: &Expr| match op {
        BinaryOperator::StringConcat => "concat(",
        BinaryOperator::NotEq => "(NOT (",
        _ if bare(right) => "",
        _ => "(",
    };
    let mut out: String = spine.iter().map(|(op, right)| opening(op, right)).collect();
    out.push_str(&text(first));
    for (op, right) in spine.into_iter().rev() {
        let symbol = match op {
            BinaryOperator::StringConcat => ", ".to_string(),
            BinaryOperator::MyIntegerDivide => " div ".to_string(),
            BinaryOperator::Spaceship => " <=> ".to_string(),
            BinaryOperator::NotEq => " = ".to_string(),
            other => format!(" {other} "),
        };
        out.push_str(&symbol);
        out.push_str(&text(right));
        out.push_str(match op {
            BinaryOperator::NotEq => "))",
            _ if bare(right) => "",
            _ => ")",
        });
    }
    out
}

fn function(f: &ast::Function) -> String {
    let name = f.name.to_string().to_lowercase();
    let argument = |a: &FunctionArg| match a {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(e)) => text(e),
        FunctionArg::Unnamed(FunctionArgExpr::Wildcard) if name == "count" => "1".to_string(),
        other => other.to_string(),
    };
    let mut out = match &f.args {
        FunctionArguments::None => format!("{name}()"),
        FunctionArguments::Subquery(_) => format!("{name}(scalarsubquery())"),
        FunctionArguments::List(l) => {
            let distinct = if l.duplicate_treatment == Some(ast::DuplicateTreatment::Distinct) { "DISTINCT " } else { "" };
            let mut args = l.args.iter().map(argument).collect::<Vec<_>>().join(", ");
            if matches!(name.as_str(), "aggregate" | "reduce") && l.args.len() == 3 {
                args.push_str(", lambdafunction(namedlambdavariable(), namedlambdavariable())");
            }
            match name.as_str() {
                "if" => format!("(IF({args}))"),
                "window" => name.clone(),
                "sort_array" if l.args.len() == 1 => format!("sort_array({args}, true)"),
                "str_to_map" if l.args.len() < 3 => format!("str_to_map({args}{})", if l.args.len() == 1 { ", ,, :" } else { ", :" }),
                "array_agg" => format!("collect_list({distinct}{args})"),
                "from_json" | "to_json" | "shuffle" | "approx_count_distinct" => {
                    format!("{name}({distinct}{})", l.args.first().map(argument).unwrap_or_default())
                }
                "ceil" | "floor" => format!("{}({args})", name.to_uppercase()),
                _ => format!("{name}({distinct}{args})"),
            }
        }
    };
    if let Some(filter) = &f.filter {
        out.push_str(&format!(" FILTER (WHERE {})", text(filter)));
    }
    match &f.over {
        None => out,
        Some(ast::WindowType::NamedWindow(w)) => format!("{out} OVER {}", w.value),
        Some(ast::WindowType::WindowSpec(spec)) => format!("{out} OVER ({})", window(spec, &name)),
    }
}

/// The specification with the frame that holds where none is written.
fn window(spec: &ast::WindowSpec, function: &str) -> String {
    let mut parts = vec![];
    if !spec.partition_by.is_empty() {
        parts.push(format!("PARTITION BY {}", list(&spec.partition_by)));
    }
    if !spec.order_by.is_empty() {
        let order = |o: &ast::OrderByExpr| {
            let ascending = !matches!(o.options.sort, Some(ast::OrderBySort::Desc));
            let nulls = if o.options.nulls_first.unwrap_or(ascending) { "FIRST" } else { "LAST" };
            format!("{} {} NULLS {nulls}", text(&o.expr), if ascending { "ASC" } else { "DESC" })
        };
        parts.push(format!("ORDER BY {}", spec.order_by.iter().map(order).collect::<Vec<_>>().join(", ")));
    }
    parts.push(match &spec.window_frame {
        Some(frame) => {
            let end = frame.end_bound.as_ref().map_or_else(|| "CURRENT ROW".to_string(), ToString::to_string);
            format!("{} BETWEEN {} AND {end}", frame.units, frame.start_bound)
        }
        None if matches!(function, "row_number" | "rank" | "dense_rank" | "percent_rank" | "cume_dist" | "ntile") => {
            "ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW".to_string()
        }
        None if spec.order_by.is_empty() => "ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING".to_string(),
        None => "RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW".to_string(),
    });
    parts.join(" ")
}
