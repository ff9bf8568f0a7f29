//! Spark's lexical rules and operator precedence, as sqlparser wants them told.

use sqlparser::ast::{Expr, Ident, ObjectName, UnaryOperator};
use sqlparser::dialect::{Dialect, Precedence, SparkSqlDialect};
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::Token;

/// sqlparser's Spark dialect with what it lacks: hints, string escapes, samples before the alias, Spark's place of `||`.
#[derive(Debug, Default)]
pub(super) struct Spark(SparkSqlDialect);

impl Dialect for Spark {
    fn is_delimited_identifier_start(&self, ch: char) -> bool {
        ch == '`'
    }

    fn identifier_quote_style(&self, identifier: &str) -> Option<char> {
        self.0.identifier_quote_style(identifier)
    }

    fn is_identifier_start(&self, ch: char) -> bool {
        ch.is_alphabetic() || ch == '_'
    }

    fn is_identifier_part(&self, ch: char) -> bool {
        ch.is_alphanumeric() || ch == '_'
    }

    fn supports_string_literal_backslash_escape(&self) -> bool {
        true
    }

    /// `\%` and `\_` stay as they are, for LIKE.
    fn ignores_wildcard_escapes(&self) -> bool {
        true
    }

    fn supports_string_literal_concatenation(&self) -> bool {
        true
    }

    fn supports_comment_optimizer_hint(&self) -> bool {
        true
    }

    fn supports_filter_during_aggregation(&self) -> bool {
        true
    }

    fn supports_group_by_expr(&self) -> bool {
        true
    }

    fn supports_group_by_with_modifier(&self) -> bool {
        true
    }

    fn supports_order_by_all(&self) -> bool {
        true
    }

    fn supports_window_clause_named_window_reference(&self) -> bool {
        true
    }

    fn supports_window_function_null_treatment_arg(&self) -> bool {
        true
    }

    fn supports_select_wildcard_except(&self) -> bool {
        true
    }

    /// Types `struct<…>`; the literal is a function, see [`Self::parse_prefix`].
    fn supports_struct_literal(&self) -> bool {
        true
    }

    fn supports_map_literal_with_angle_brackets(&self) -> bool {
        true
    }

    /// `struct(a AS b)`.
    fn supports_aliased_function_args(&self) -> bool {
        true
    }

    fn supports_nested_comments(&self) -> bool {
        true
    }

    fn supports_long_type_as_bigint(&self) -> bool {
        true
    }

    fn supports_values_as_table_factor(&self) -> bool {
        true
    }

    fn supports_parens_around_table_factor(&self) -> bool {
        true
    }

    fn supports_table_sample_before_alias(&self) -> bool {
        true
    }

    fn supports_bang_not_operator(&self) -> bool {
        true
    }

    fn supports_select_item_multi_column_alias(&self) -> bool {
        true
    }

    fn supports_cte_without_as(&self) -> bool {
        true
    }

    fn allow_extract_custom(&self) -> bool {
        true
    }

    fn supports_subquery_as_function_arg(&self) -> bool {
        false
    }

    fn supports_named_fn_args_with_rarrow_operator(&self) -> bool {
        true
    }

    fn supports_lambda_functions(&self) -> bool {
        true
    }

    /// `struct(…)` and `exists(array, x -> …)` are functions; `EXISTS (SELECT …)` is none.
    fn parse_prefix(&self, parser: &mut Parser) -> Option<Result<Expr, ParserError>> {
        let word = |n: usize| match &parser.peek_nth_token_ref(n).token {
            Token::Word(w) if w.quote_style.is_none() => Some(w.value.to_ascii_uppercase()),
            _ => None,
        };
        let opens = |n: usize| parser.peek_nth_token_ref(n).token == Token::LParen;
        let query = |n: usize| opens(n) || matches!(word(n).as_deref(), Some("SELECT" | "WITH" | "VALUES" | "TABLE" | "FROM"));
        match word(0)?.as_str() {
            "NOT" if word(1).as_deref() == Some("EXISTS") && opens(2) && !query(3) => {
                parser.next_token();
                let operand = parser.parse_subexpr(self.prec_value(Precedence::UnaryNot));
                Some(operand.map(|e| Expr::UnaryOp { op: UnaryOperator::Not, expr: Box::new(e) }))
            }
            name @ ("EXISTS" | "STRUCT") if opens(1) && (name == "STRUCT" || !query(2)) => {
                let name = Ident::with_span(parser.next_token().span, name.to_ascii_lowercase());
                Some(parser.parse_function(ObjectName::from(vec![name])))
            }
            _ => None,
        }
    }

    fn parse_infix(&self, parser: &mut Parser, expr: &Expr, precedence: u8) -> Option<Result<Expr, ParserError>> {
        self.0.parse_infix(parser, expr, precedence)
    }

    fn get_next_precedence(&self, parser: &Parser) -> Option<Result<u8, ParserError>> {
        match &parser.peek_token_ref().token {
            Token::StringConcat => Some(Ok(self.prec_value(Precedence::PlusMinus))),
            _ => None,
        }
    }
}
