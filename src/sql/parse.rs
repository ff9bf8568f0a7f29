//! SQL text to statements: lexing, the nesting limit, and the statements that sqlparser does not know in Spark's form.

use std::collections::BTreeMap;

use sqlparser::ast::{Ident, ObjectName, ObjectNamePart, Query};
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Location as TokenLocation, Token, TokenWithSpan, Tokenizer, Whitespace};

use super::dialect::Spark;
use crate::base::{Error, ErrorClass, Field, Location, Result};
use crate::datasource::{BucketSpec, FileTable};
use crate::planning::ExplainLevel;

/// Deepest nesting of parentheses, brackets, CASE and prefix operators in a statement, and of a bound expression.
///
/// The tree of an expression is cloned, compared and dropped recursively by later phases on threads of ordinary stack size.
pub const MAX_NESTING: usize = 500;

/// A parsed statement. Long operator chains make deep trees, so it is dropped on a stack that fits them.
#[derive(Debug)]
pub struct ParsedStatement {
    pub(super) statement: Option<Box<Statement>>,
    /// Bytes of stack that walking the tree may take.
    pub(super) stack: usize,
}

impl Drop for ParsedStatement {
    fn drop(&mut self) {
        let statement = self.statement.take();
        stacker::maybe_grow(self.stack, self.stack, || drop(statement));
    }
}

/// The statements there are.
#[derive(Debug)]
pub(super) enum Statement {
    Query(Box<Query>),
    Explain { level: ExplainLevel, query: Box<Query> },
    CreateView { name: Vec<Ident>, columns: Vec<Ident>, replace: bool, if_not_exists: bool, query: Box<Query> },
    CreateTable { table: TableDefinition, query: Option<Box<Query>> },
    Drop { name: Vec<Ident>, view: bool, if_exists: bool },
    Insert { name: Vec<Ident>, columns: Vec<Ident>, overwrite: bool, query: Box<Query> },
    Set { key: Option<String>, value: Option<String> },
    Reset { key: Option<String> },
    ShowTables { pattern: Option<String> },
    ShowColumns { name: Vec<Ident> },
    Describe { name: Vec<Ident> },
    DescribeQuery { query: Box<Query> },
    Cache { name: Vec<Ident>, lazy: bool, options: BTreeMap<String, String>, query: Option<Box<Query>> },
    Uncache { name: Vec<Ident>, if_exists: bool },
    ClearCache,
    Refresh { name: Vec<Ident> },
}

/// Head of `CREATE TABLE` or `CREATE TEMPORARY VIEW … USING`.
#[derive(Debug)]
pub(super) struct TableDefinition {
    pub name: Vec<Ident>,
    pub replace: bool,
    pub if_not_exists: bool,
    pub columns: Vec<(Ident, sqlparser::ast::DataType)>,
    pub files: FileTable,
}

/// Parses the statements of a text, separated by `;`.
///
/// # Errors
/// `Parse` with its place; `NestingTooDeep`.
pub fn parse_statements(text: &str) -> Result<Vec<ParsedStatement>> {
    let dialect = Spark::default();
    let tokens = Tokenizer::new(&dialect, text)
        .tokenize_with_location()
        .map_err(|e| Error::new(ErrorClass::Parse, e.message).at(location(e.location)))?;
    tokens
        .split(|t| t.token == Token::SemiColon)
        .filter(|tokens| tokens.iter().any(|t| !matches!(t.token, Token::Whitespace(_))))
        .map(|tokens| parse_statement(&dialect, join_number_suffixes(tokens)))
        .collect()
}

/// Parses one scalar expression, as the DataFrame API takes them.
///
/// # Errors
/// `Parse`, `NestingTooDeep`.
pub(super) fn parse_expression<R>(text: &str, use_it: impl FnOnce(sqlparser::ast::SelectItem) -> Result<R>) -> Result<R> {
    let dialect = Spark::default();
    let tokens = Tokenizer::new(&dialect, text)
        .tokenize_with_location()
        .map_err(|e| Error::new(ErrorClass::Parse, e.message).at(location(e.location)))?;
    let tokens = join_number_suffixes(&tokens);
    let stack = stack_size(&tokens, check_nesting(&tokens)?);
    stacker::maybe_grow(stack, stack, || {
        let mut parser = Parser::new(&dialect).with_recursion_limit(RECURSION_LIMIT).with_tokens_with_locations(tokens);
        let item = parser.parse_select_item().map_err(parser_error)?;
        end_of_statement(&mut parser)?;
        use_it(item)
    })
}

/// The parser enters a few functions per level of nesting.
const RECURSION_LIMIT: usize = 8 * MAX_NESTING;

fn parse_statement(dialect: &Spark, tokens: Vec<TokenWithSpan>) -> Result<ParsedStatement> {
    let stack = stack_size(&tokens, check_nesting(&tokens)?);
    // What is missing is missing at the end.
    let end = tokens.iter().rfind(|t| !matches!(t.token, Token::Whitespace(_))).and_then(|t| location(t.span.end));
    let statement = stacker::maybe_grow(stack, stack, || {
        let mut parser = Parser::new(dialect).with_recursion_limit(RECURSION_LIMIT).with_tokens_with_locations(tokens);
        let statement = Head(&mut parser).statement()?;
        end_of_statement(&mut parser)?;
        Ok(statement)
    })
    .map_err(|e: Error| e.at(end))?;
    Ok(ParsedStatement { statement: Some(Box::new(statement)), stack })
}

fn end_of_statement(parser: &mut Parser) -> Result<()> {
    let next = parser.peek_token();
    match next.token {
        Token::EOF => Ok(()),
        token => Err(Error::new(ErrorClass::Parse, format!("Syntax error at or near '{token}'.")).at(location(next.span.start))),
    }
}

/// A frame of an unoptimised build per token of a chain, and the parser's and binder's frames per level of nesting.
fn stack_size(tokens: &[TokenWithSpan], nesting: usize) -> usize {
    (1 << 20) + tokens.len() * 2048 + nesting * (256 << 10)
}

/// The deepest nesting in the token stream.
///
/// # Errors
/// `NestingTooDeep` at the token that goes beyond [`MAX_NESTING`].
fn check_nesting(tokens: &[TokenWithSpan]) -> Result<usize> {
    let (mut open, mut signs, mut nots, mut deepest) = (0_usize, 0, 0, 0);
    for t in tokens {
        match &t.token {
            Token::Whitespace(_) => continue,
            Token::LParen | Token::LBracket => open += 1,
            Token::RParen | Token::RBracket => open = open.saturating_sub(1),
            Token::Word(w) if w.quote_style.is_none() && w.keyword == Keyword::CASE => open += 1,
            Token::Word(w) if w.quote_style.is_none() && w.keyword == Keyword::END => open = open.saturating_sub(1),
            _ => {}
        }
        // A run of signs nests as deep as it is long. NOTs nest also with operands between, as in `NOT a = NOT b = …`.
        match &t.token {
            Token::Minus | Token::Plus | Token::Tilde | Token::ExclamationMark => signs += 1,
            Token::Word(w) if w.keyword == Keyword::NOT => nots += 1,
            Token::Comma | Token::LParen | Token::RParen => (signs, nots) = (0, 0),
            Token::Word(w) if matches!(w.keyword, Keyword::AND | Keyword::OR | Keyword::WHEN | Keyword::THEN | Keyword::FROM) => {
                (signs, nots) = (0, 0);
            }
            _ => signs = 0,
        }
        deepest = deepest.max(open + signs + nots);
        if deepest > MAX_NESTING {
            return Err(too_deep().at(location(t.span.start)));
        }
    }
    Ok(deepest)
}

/// The error for expressions nested beyond [`MAX_NESTING`].
pub(super) fn too_deep() -> Error {
    Error::new(ErrorClass::NestingTooDeep, format!("The statement is nested deeper than {MAX_NESTING} levels."))
}

/// Makes one number token of `1` and a suffix that touches it: `1L`, `2S`, `3Y`, `1.5D`, `1.5F`, `1BD`.
fn join_number_suffixes(tokens: &[TokenWithSpan]) -> Vec<TokenWithSpan> {
    let mut out: Vec<TokenWithSpan> = Vec::with_capacity(tokens.len());
    for t in tokens {
        if let (Token::Word(w), Some(TokenWithSpan { token: Token::Number(number, _), span })) = (&t.token, out.last_mut())
            && span.end == t.span.start
            && ["D", "F", "S", "Y", "L", "BD"].iter().any(|s| w.value.eq_ignore_ascii_case(s))
        {
            number.push_str(&w.value.to_ascii_uppercase());
            span.end = t.span.end;
            continue;
        }
        out.push(match &t.token {
            // The tokenizer takes an L for itself.
            Token::Number(number, true) => TokenWithSpan { token: Token::Number(format!("{number}L"), false), span: t.span },
            _ => t.clone(),
        });
    }
    out
}

pub(super) fn location(l: TokenLocation) -> Option<Location> {
    (l.line > 0).then_some(Location { line: l.line, column: l.column })
}

/// sqlparser writes the place at the end of its message.
pub(super) fn parser_error(e: ParserError) -> Error {
    let message = match e {
        ParserError::RecursionLimitExceeded => return too_deep(),
        ParserError::TokenizerError(m) | ParserError::ParserError(m) => m,
    };
    let (text, place) = match message.rsplit_once(" at Line: ") {
        Some((text, place)) => (text.to_string(), Some(place)),
        None => (message.clone(), None),
    };
    let numbers = place.and_then(|p| p.split_once(", Column: "));
    let at = numbers.and_then(|(line, column)| Some(Location { line: line.trim().parse().ok()?, column: column.trim().parse().ok()? }));
    Error::new(ErrorClass::Parse, format!("Syntax error: {text}.")).at(at)
}

/// The parts of a dotted name.
///
/// # Errors
/// `Parse` for a name that contains a call.
pub(super) fn name_parts(name: &ObjectName) -> Result<Vec<Ident>> {
    name.0
        .iter()
        .map(|part| match part {
            ObjectNamePart::Identifier(i) => Ok(i.clone()),
            ObjectNamePart::Function(_) => Err(Error::new(ErrorClass::Parse, format!("`{name}` is not a name."))),
        })
        .collect()
}

/// Parses what comes before the query of a statement.
struct Head<'p, 'd>(&'p mut Parser<'d>);

impl Head<'_, '_> {
    fn statement(&mut self) -> Result<Statement> {
        let start = self.0.peek_token();
        let Token::Word(first) = &start.token else { return self.query().map(Statement::Query) };
        match first.value.to_ascii_uppercase().as_str() {
            "EXPLAIN" => self.explain(),
            "CREATE" => self.create(),
            "DROP" => self.drop_relation(),
            "INSERT" => self.insert(),
            "SET" => self.set(),
            "RESET" => {
                self.0.advance_token();
                let key = self.raw_rest();
                Ok(Statement::Reset { key: (!key.is_empty()).then_some(key) })
            }
            "SHOW" => self.show(),
            "DESCRIBE" | "DESC" => self.describe(),
            "CACHE" => self.cache(),
            "UNCACHE" => {
                self.0.advance_token();
                self.expect_word("TABLE")?;
                let if_exists = self.words(&["IF", "EXISTS"]);
                Ok(Statement::Uncache { name: self.name()?, if_exists })
            }
            "CLEAR" => {
                self.0.advance_token();
                self.expect_word("CACHE")?;
                Ok(Statement::ClearCache)
            }
            "REFRESH" => {
                self.0.advance_token();
                self.words(&["TABLE"]);
                Ok(Statement::Refresh { name: self.name()? })
            }
            "SELECT" | "WITH" | "VALUES" | "TABLE" | "FROM" => self.query().map(Statement::Query),
            "UPDATE" | "DELETE" | "MERGE" | "ALTER" | "TRUNCATE" | "USE" | "GRANT" | "REVOKE" | "ANALYZE" => {
                Err(Error::unsupported(format!("{} is not supported.", first.value.to_ascii_uppercase())).at(location(start.span.start)))
            }
            other => {
                let known =
                    ["SELECT", "WITH", "VALUES", "EXPLAIN", "CREATE", "DROP", "INSERT", "SET", "RESET", "SHOW", "DESCRIBE", "CACHE"];
                let hint = crate::base::error::nearest(other, known).map(|n| format!(" Did you mean {n}?")).unwrap_or_default();
                Err(Error::new(ErrorClass::Parse, format!("Syntax error at or near '{}'.{hint}", first.value))
                    .at(location(start.span.start)))
            }
        }
    }

    fn query(&mut self) -> Result<Box<Query>> {
        self.0.parse_query().map_err(parser_error)
    }

    fn explain(&mut self) -> Result<Statement> {
        self.0.advance_token();
        let levels = [
            ("SIMPLE", ExplainLevel::Simple),
            ("EXTENDED", ExplainLevel::Extended),
            ("FORMATTED", ExplainLevel::Formatted),
            ("COST", ExplainLevel::Cost),
            ("CODEGEN", ExplainLevel::Codegen),
            ("ANALYZE", ExplainLevel::Analyze),
        ];
        let level = levels.iter().find(|(word, _)| self.words(&[word])).map_or(ExplainLevel::Simple, |(_, level)| *level);
        Ok(Statement::Explain { level, query: self.query()? })
    }

    fn create(&mut self) -> Result<Statement> {
        self.0.advance_token();
        let replace = self.words(&["OR", "REPLACE"]);
        self.words(&["GLOBAL"]);
        let temporary = self.words(&["TEMP"]) || self.words(&["TEMPORARY"]);
        self.words(&["EXTERNAL"]);
        if self.words(&["TABLE"]) {
            return self.create_table(replace);
        }
        self.expect_word("VIEW")?;
        let if_not_exists = self.words(&["IF", "NOT", "EXISTS"]);
        let name = self.name()?;
        if temporary && self.peek_word("USING") {
            let mut table = TableDefinition { name, replace, if_not_exists, columns: vec![], files: FileTable::default() };
            self.table_clauses(&mut table)?;
            return Ok(Statement::CreateTable { table, query: None });
        }
        let mut columns = vec![];
        if self.0.consume_token(&Token::LParen) {
            columns = self.0.parse_comma_separated(Parser::parse_identifier).map_err(parser_error)?;
            self.0.expect_token(&Token::RParen).map_err(parser_error)?;
        }
        self.expect_word("AS")?;
        Ok(Statement::CreateView { name, columns, replace, if_not_exists, query: self.query()? })
    }

    fn create_table(&mut self, replace: bool) -> Result<Statement> {
        let if_not_exists = self.words(&["IF", "NOT", "EXISTS"]);
        let name = self.name()?;
        let mut table = TableDefinition { name, replace, if_not_exists, columns: vec![], files: FileTable::default() };
        if self.0.peek_token().token == Token::LParen {
            let (columns, _) = self.0.parse_columns().map_err(parser_error)?;
            table.columns = columns.into_iter().map(|c| (c.name, c.data_type)).collect();
        }
        self.table_clauses(&mut table)?;
        let query = match self.peek_word("AS") || self.peek_word("SELECT") || self.peek_word("WITH") {
            true => {
                self.words(&["AS"]);
                Some(self.query()?)
            }
            false => None,
        };
        Ok(Statement::CreateTable { table, query })
    }

    /// `USING format`, `OPTIONS (key value, …)`, `LOCATION 'path'`, `PARTITIONED BY (…)`, `CLUSTERED BY (…) … INTO n BUCKETS`,
    /// `COMMENT 'text'`, in any order.
    fn table_clauses(&mut self, table: &mut TableDefinition) -> Result<()> {
        let files = &mut table.files;
        let mut location = None;
        loop {
            if self.words(&["USING"]) {
                files.format = Some(self.0.parse_identifier().map_err(parser_error)?.value.to_ascii_lowercase());
            } else if self.words(&["LOCATION"]) {
                location = Some(self.0.parse_literal_string().map_err(parser_error)?);
            } else if self.words(&["COMMENT"]) {
                self.0.parse_literal_string().map_err(parser_error)?;
            } else if self.words(&["OPTIONS"]) || self.words(&["TBLPROPERTIES"]) {
                self.options(&mut files.options)?;
            } else if self.words(&["PARTITIONED", "BY"]) {
                let fields = self.names()?.into_iter().map(|name| Field::new(name, crate::base::DataType::Null, true));
                files.partition_by = fields.collect();
            } else if self.words(&["CLUSTERED", "BY"]) {
                files.buckets = Some(self.buckets()?);
            } else {
                break;
            }
        }
        let option = files.options.remove("path");
        files.path = location.or(option).unwrap_or_default();
        Ok(())
    }

    /// `(a, b) [SORTED BY (c [ASC])] INTO n BUCKETS`.
    fn buckets(&mut self) -> Result<BucketSpec> {
        let columns = self.names()?;
        let sort = if self.words(&["SORTED", "BY"]) { self.names()? } else { vec![] };
        self.expect_word("INTO")?;
        let number = self.0.parse_literal_uint().map_err(parser_error)?;
        self.expect_word("BUCKETS")?;
        Ok(BucketSpec { buckets: usize::try_from(number).unwrap_or(usize::MAX), columns, sort })
    }

    /// Names of columns in parentheses.
    fn names(&mut self) -> Result<Vec<String>> {
        self.0.expect_token(&Token::LParen).map_err(parser_error)?;
        let names = self.0.parse_comma_separated(|p| {
            let name = p.parse_identifier()?;
            let _ = p.parse_keyword(Keyword::ASC);
            Ok(name.value)
        });
        let names = names.map_err(parser_error)?;
        self.0.expect_token(&Token::RParen).map_err(parser_error)?;
        Ok(names)
    }

    /// `(key 'value', a.b = 5)`; keys in lower case.
    fn options(&mut self, options: &mut BTreeMap<String, String>) -> Result<()> {
        self.0.expect_token(&Token::LParen).map_err(parser_error)?;
        loop {
            let key = match self.0.peek_token().token {
                Token::SingleQuotedString(_) | Token::DoubleQuotedString(_) => self.0.parse_literal_string().map_err(parser_error)?,
                _ => self.name()?.iter().map(|i| i.value.as_str()).collect::<Vec<_>>().join("."),
            };
            let _ = self.0.consume_token(&Token::Eq);
            let value = self.0.next_token();
            let value = match value.token {
                Token::SingleQuotedString(s) | Token::DoubleQuotedString(s) | Token::Number(s, _) => s,
                Token::Word(w) => w.value,
                other => {
                    return Err(Error::new(ErrorClass::Parse, format!("Syntax error at or near '{other}'.")).at(location(value.span.start)));
                }
            };
            options.insert(key.to_ascii_lowercase(), value);
            if !self.0.consume_token(&Token::Comma) {
                break;
            }
        }
        self.0.expect_token(&Token::RParen).map_err(parser_error)?;
        Ok(())
    }

    fn drop_relation(&mut self) -> Result<Statement> {
        self.0.advance_token();
        self.words(&["TEMPORARY"]);
        let view = self.words(&["VIEW"]);
        if !view {
            self.expect_word("TABLE")?;
        }
        let if_exists = self.words(&["IF", "EXISTS"]);
        let name = self.name()?;
        self.words(&["PURGE"]);
        Ok(Statement::Drop { name, view, if_exists })
    }

    fn insert(&mut self) -> Result<Statement> {
        self.0.advance_token();
        let overwrite = self.words(&["OVERWRITE"]);
        if !overwrite {
            self.expect_word("INTO")?;
        }
        self.words(&["TABLE"]);
        let name = self.name()?;
        let mut columns = vec![];
        if self.0.peek_token().token == Token::LParen
            && !matches!(self.0.peek_nth_token(1).token, Token::Word(w) if w.keyword == Keyword::SELECT)
        {
            self.0.advance_token();
            columns = self.0.parse_comma_separated(Parser::parse_identifier).map_err(parser_error)?;
            self.0.expect_token(&Token::RParen).map_err(parser_error)?;
        }
        Ok(Statement::Insert { name, columns, overwrite, query: self.query()? })
    }

    fn set(&mut self) -> Result<Statement> {
        self.0.advance_token();
        let rest = self.raw_rest();
        if rest.is_empty() || rest.eq_ignore_ascii_case("-v") {
            return Ok(Statement::Set { key: None, value: None });
        }
        let unquoted = |s: &str| s.trim().trim_matches('`').to_string();
        Ok(match rest.split_once('=') {
            Some((key, value)) => Statement::Set { key: Some(unquoted(key)), value: Some(value.trim().to_string()) },
            None => Statement::Set { key: Some(unquoted(&rest)), value: None },
        })
    }

    fn show(&mut self) -> Result<Statement> {
        self.0.advance_token();
        if self.words(&["COLUMNS"]) {
            if !self.words(&["FROM"]) {
                self.expect_word("IN")?;
            }
            return Ok(Statement::ShowColumns { name: self.name()? });
        }
        if !self.words(&["VIEWS"]) {
            self.expect_word("TABLES")?;
        }
        self.words(&["LIKE"]);
        let pattern = match self.0.peek_token().token {
            Token::EOF => None,
            _ => Some(self.0.parse_literal_string().map_err(parser_error)?),
        };
        Ok(Statement::ShowTables { pattern })
    }

    fn describe(&mut self) -> Result<Statement> {
        self.0.advance_token();
        if self.words(&["QUERY"]) || ["SELECT", "WITH", "VALUES"].iter().any(|w| self.peek_word(w)) {
            return Ok(Statement::DescribeQuery { query: self.query()? });
        }
        self.words(&["TABLE"]);
        let _ = self.words(&["EXTENDED"]) || self.words(&["FORMATTED"]);
        Ok(Statement::Describe { name: self.name()? })
    }

    fn cache(&mut self) -> Result<Statement> {
        self.0.advance_token();
        let lazy = self.words(&["LAZY"]);
        self.expect_word("TABLE")?;
        let name = self.name()?;
        let mut options = BTreeMap::new();
        if self.words(&["OPTIONS"]) {
            self.options(&mut options)?;
        }
        let query = match self.words(&["AS"]) || self.peek_word("SELECT") || self.peek_word("WITH") {
            true => Some(self.query()?),
            false => None,
        };
        Ok(Statement::Cache { name, lazy, options, query })
    }

    fn name(&mut self) -> Result<Vec<Ident>> {
        name_parts(&self.0.parse_object_name(false).map_err(parser_error)?)
    }

    fn peek_word(&self, word: &str) -> bool {
        matches!(&self.0.peek_token_ref().token, Token::Word(w) if w.quote_style.is_none() && w.value.eq_ignore_ascii_case(word))
    }

    /// Consumes the words if they come next.
    fn words(&mut self, words: &[&str]) -> bool {
        let all = words.iter().enumerate().all(|(i, word)| {
            matches!(self.0.peek_nth_token(i).token, Token::Word(w) if w.quote_style.is_none() && w.value.eq_ignore_ascii_case(word))
        });
        if all {
            words.iter().for_each(|_| self.0.advance_token());
        }
        all
    }

    fn expect_word(&mut self, word: &str) -> Result<()> {
        if self.words(&[word]) {
            return Ok(());
        }
        let next = self.0.peek_token();
        let found = if next.token == Token::EOF { "end of input".to_string() } else { format!("'{}'", next.token) };
        Err(Error::new(ErrorClass::Parse, format!("Syntax error at or near {found}: expected {word}.")).at(location(next.span.start)))
    }

    /// The rest of the statement as written, outer blanks and quotes of a quoted value aside.
    fn raw_rest(&mut self) -> String {
        let mut text = String::new();
        while let Some(t) = self.0.next_token_no_skip() {
            match &t.token {
                Token::EOF => break,
                Token::Whitespace(Whitespace::SingleLineComment { .. } | Whitespace::MultiLineComment(_)) => {}
                Token::SingleQuotedString(s) | Token::DoubleQuotedString(s) => text.push_str(s),
                other => text.push_str(&other.to_string()),
            }
        }
        text.trim().to_string()
    }
}
