//! Name resolution: which columns a clause sees, and what a dotted name means there.

use std::sync::Arc;

use sqlparser::ast::{Ident, Spanned};

use super::parse::location;
use crate::base::error::nearest;
use crate::base::{Attribute, Error, ErrorClass, ExprId, Location, Result};
use crate::expr::Expr;
use crate::logical::LogicalPlan;

/// A column that a name can mean.
#[derive(Debug, Clone)]
pub(super) struct Column {
    /// The alias or the parts of the name of its relation; empty for none.
    pub qualifier: Vec<String>,
    pub attribute: Attribute,
    /// Found by its qualified name only, and not part of `*`: the duplicate key of a USING or NATURAL join.
    pub hidden: bool,
}

impl Column {
    /// Of no relation.
    pub fn new(attribute: Attribute) -> Self {
        Self { qualifier: vec![], attribute, hidden: false }
    }

    pub fn name(&self) -> &str {
        &self.attribute.name
    }

    /// The column as a star gives it.
    pub fn star_item(&self) -> (Arc<str>, Expr) {
        (self.attribute.name.clone(), Expr::Attribute(self.attribute.clone()))
    }

    pub fn display_name(&self) -> String {
        let parts: Vec<String> = self.qualifier.iter().map(String::as_str).chain([self.name()]).map(|p| format!("`{p}`")).collect();
        parts.join(".")
    }
}

/// A plan with the names of its columns.
#[derive(Debug, Clone)]
pub(super) struct Relation {
    pub plan: LogicalPlan,
    pub columns: Vec<Column>,
}

impl Relation {
    /// All output columns of `plan` under one qualifier.
    pub fn new(plan: LogicalPlan, qualifier: &[String]) -> Self {
        let columns =
            plan.output().into_iter().map(|attribute| Column { qualifier: qualifier.to_vec(), attribute, hidden: false }).collect();
        Self { plan, columns }
    }

    /// The columns of `*`.
    pub fn visible(&self) -> impl Iterator<Item = &Column> {
        self.columns.iter().filter(|c| !c.hidden)
    }
}

/// The columns that a clause sees, and around them those of the queries that it is nested in.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Scope<'s> {
    pub columns: &'s [Column],
    pub outer: Option<&'s Scope<'s>>,
}

/// What a dotted name means: a column, and the parts of the name that go into its struct fields.
#[derive(Debug)]
pub(super) struct Resolved<'n> {
    pub attribute: Attribute,
    pub fields: &'n [Ident],
}

impl<'s> Scope<'s> {
    pub fn new(columns: &'s [Column], outer: Option<&'s Scope<'s>>) -> Self {
        Self { columns, outer }
    }

    /// Resolves a name here, else in the outer scopes from the inside out.
    ///
    /// # Errors
    /// `ColumnNotFound` with the nearest name, `AmbiguousReference`.
    pub fn resolve<'n>(&self, name: &'n [Ident]) -> Result<Resolved<'n>> {
        match self.find(name)? {
            Some(found) => Ok(found),
            None => Err(self.not_found(name)),
        }
    }

    /// As [`Self::resolve`], `None` where there is no such column.
    ///
    /// # Errors
    /// `AmbiguousReference`.
    pub fn find<'n>(&self, name: &'n [Ident]) -> Result<Option<Resolved<'n>>> {
        match self.find_here(name)? {
            Some(found) => Ok(Some(found)),
            None => self.outer.map_or(Ok(None), |outer| outer.find(name)),
        }
    }

    /// As [`Self::find`], in this scope alone. Of several readings the one with the longest qualifier wins.
    pub fn find_here<'n>(&self, name: &'n [Ident]) -> Result<Option<Resolved<'n>>> {
        for split in (0..name.len()).rev() {
            let (qualifier, rest) = name.split_at(split);
            let Some((column, fields)) = rest.split_first() else { continue };
            let meant = |c: &&Column| {
                c.name().eq_ignore_ascii_case(&column.value) && if split == 0 { !c.hidden } else { is_suffix(&c.qualifier, qualifier) }
            };
            let mut matches: Vec<&Column> = vec![];
            for c in self.columns.iter().filter(meant) {
                if !matches.iter().any(|m| m.attribute.id == c.attribute.id) {
                    matches.push(c);
                }
            }
            match matches.as_slice() {
                [] => {}
                [one] => {
                    let attribute = Attribute { name: column.value.as_str().into(), ..one.attribute.clone() };
                    return Ok(Some(Resolved { attribute, fields }));
                }
                several => {
                    let candidates: Vec<String> = several.iter().map(|c| c.display_name()).collect();
                    let message = format!("Reference {} is ambiguous, could be: [{}].", dotted(name), candidates.join(", "));
                    return Err(Error::new(ErrorClass::AmbiguousReference, message).at(ident_location(name)));
                }
            }
        }
        Ok(None)
    }

    fn not_found(&self, name: &[Ident]) -> Error {
        let last = name.last().map_or("", |i| i.value.as_str());
        let mut candidates = vec![];
        let mut scope = Some(self);
        while let Some(s) = scope {
            candidates.extend(s.columns.iter());
            scope = s.outer;
        }
        let suggestion = nearest(last, candidates.iter().map(|c| c.name())).map(|found| {
            let column = candidates
                .iter()
                .find(|c| c.name() == found && qualifier_matches(c, name))
                .or_else(|| candidates.iter().find(|c| c.name() == found));
            column.map_or_else(String::new, |c| format!(" Did you mean {}?", c.display_name()))
        });
        let fallback = || match candidates.is_empty() {
            true => String::new(),
            false => {
                let names: Vec<String> = candidates.iter().take(5).map(|c| c.display_name()).collect();
                format!(" Columns there are: {}{}.", names.join(", "), if candidates.len() > 5 { ", …" } else { "" })
            }
        };
        let message = format!("A column with name {} cannot be resolved.{}", dotted(name), suggestion.unwrap_or_else(fallback));
        Error::new(ErrorClass::ColumnNotFound, message).at(ident_location(name))
    }

    /// Whether the column is one of this scope or of an outer one.
    pub fn contains(&self, id: ExprId) -> bool {
        self.columns.iter().any(|c| c.attribute.id == id) || self.outer.is_some_and(|o| o.contains(id))
    }
}

fn qualifier_matches(column: &Column, name: &[Ident]) -> bool {
    name.len() < 2 || is_suffix(&column.qualifier, &name[..name.len() - 1])
}

/// Whether the parts are the last ones of a qualifier, without regard to case.
pub(super) fn is_suffix(qualifier: &[String], parts: &[Ident]) -> bool {
    parts.len() <= qualifier.len()
        && qualifier[qualifier.len() - parts.len()..].iter().zip(parts).all(|(q, p)| q.eq_ignore_ascii_case(&p.value))
}

/// `` `a`.`b` ``
pub(super) fn dotted(name: &[Ident]) -> String {
    name.iter().map(|i| format!("`{}`", i.value)).collect::<Vec<_>>().join(".")
}

pub(super) fn ident_location(name: &[Ident]) -> Option<Location> {
    name.first().and_then(|i| location(i.span.start))
}

/// Adds the place of a syntax node to an error that has none.
pub(super) trait At<T> {
    fn at(self, node: &impl Spanned) -> Result<T>;
}

impl<T> At<T> for Result<T> {
    fn at(self, node: &impl Spanned) -> Result<T> {
        self.map_err(|e| {
            if e.location.is_some() {
                e
            } else {
                let l = location(node.span().start);
                e.at(l)
            }
        })
    }
}
