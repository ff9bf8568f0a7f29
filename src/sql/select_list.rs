//! The select list: stars, aliases, generators, names of unnamed columns.

use std::ops::ControlFlow;
use std::sync::Arc;

use sqlparser::ast::{self, SelectItem, SelectItemQualifiedWildcardKind, Spanned, Visit, WildcardAdditionalOptions};

use super::Binder;
use super::aggregate::without_ids;
use super::expr::{Aliases, Clause, ExprBinder, Pending};
use super::naming::column_name;
use super::parse::{location, name_parts};
use super::scope::{At, Column, Scope};
use crate::base::{Attribute, DataType, Error, ErrorClass, ExprId, Location, Result};
use crate::expr::{Expr, ScalarFunction};
use crate::logical::LogicalPlan;

/// The bound select list.
#[derive(Debug, Default)]
pub(super) struct SelectList {
    /// `Attribute`s and `Alias`es.
    pub items: Vec<Expr>,
    /// Where each item stands in the text.
    pub locations: Vec<Option<Location>>,
    /// The generators in the list, with the columns that they make.
    pub generators: Vec<Generator>,
}

impl SelectList {
    /// The items, and the calls of generators that some of them are.
    pub fn exprs(&self) -> impl Iterator<Item = &Expr> {
        self.items.iter().chain(self.generators.iter().map(|g| &g.call))
    }

    fn push(&mut self, item: Expr, at: Option<Location>) {
        self.items.push(item);
        self.locations.push(at);
    }
}

impl<'a> Binder<'a> {
    pub(super) fn select_list(&mut self, s: &ast::Select, scope: Scope, pending: &mut Pending) -> Result<SelectList> {
        let mut list = SelectList::default();
        for item in &s.projection {
            let at = location(item.span().start);
            match item {
                SelectItem::Wildcard(options) => {
                    let columns: Vec<_> = scope.columns.iter().filter(|c| !c.hidden).map(Column::star_item).collect();
                    if columns.is_empty() {
                        return Err(Error::new(ErrorClass::ColumnNotFound, "`*` needs a FROM clause.").at(at));
                    }
                    star(columns, options, &mut list, at)?;
                }
                SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), options) => {
                    let name = name_parts(name)?;
                    let columns = self.select_binder(s, scope, pending, &list.items).star(&name)?;
                    star(columns, options, &mut list, at)?;
                }
                SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::Expr(e), _) => {
                    return Err(Error::unsupported("The star of an expression is not supported.")).at(e);
                }
                SelectItem::UnnamedExpr(e) => self.select_item(s, e, &[], scope, pending, &mut list)?,
                SelectItem::ExprWithAlias { expr, alias } => {
                    self.select_item(s, expr, std::slice::from_ref(alias), scope, pending, &mut list)?;
                }
                SelectItem::ExprWithAliases { expr, aliases } => self.select_item(s, expr, aliases, scope, pending, &mut list)?,
            }
        }
        Ok(list)
    }

    fn select_binder<'b, 's>(
        &'b mut self,
        s: &'s ast::Select,
        scope: Scope<'s>,
        pending: &'b mut Pending,
        items: &'s [Expr],
    ) -> ExprBinder<'b, 'a, 's> {
        let clause = Clause { name: "the select list", aggregates: true, windows: true, generators: true };
        ExprBinder::new(self, pending, scope, clause).with_aliases(Aliases::Fallback(items)).with_windows(&s.named_window)
    }

    fn select_item(
        &mut self,
        s: &ast::Select,
        e: &ast::Expr,
        names: &[ast::Ident],
        scope: Scope,
        pending: &mut Pending,
        list: &mut SelectList,
    ) -> Result<()> {
        if is_nested_generator(e) {
            let message = format!("The generator is not supported: nested in expressions \"{}\".", column_name(e));
            return Err(Error::new(ErrorClass::UnsupportedGenerator, message)).at(e);
        }
        let bound = self.select_binder(s, scope, pending, &list.items).expression(e)?;
        let at = location(e.span().start);
        if let Some(generator) = generated(&bound, names).map_err(|err| err.at(at))? {
            generator.output.iter().for_each(|c| list.push(Expr::Attribute(c.clone()), at));
            list.generators.push(generator);
            return Ok(());
        }
        let item = match (bound, names) {
            // A later use of an alias, or the answer of a subquery, may have another name than it is shown by.
            (Expr::Attribute(a), []) if *a.name == column_name(e) => Expr::Attribute(a),
            (bound, names) => {
                let name = match names {
                    [] => column_name(e),
                    [one] => one.value.clone(),
                    _ => return Err(Error::new(ErrorClass::WrongArguments, "One column has several names.").at(at)),
                };
                Expr::Alias { expr: Box::new(bound), name: name.into(), id: ExprId::next() }
            }
        };
        list.push(item, at);
        Ok(())
    }
}

/// The columns of `*`, without those EXCEPT names.
fn star(columns: Vec<(Arc<str>, Expr)>, options: &WildcardAdditionalOptions, list: &mut SelectList, at: Option<Location>) -> Result<()> {
    if options.opt_replace.is_some() || options.opt_rename.is_some() || options.opt_ilike.is_some() || options.opt_exclude.is_some() {
        return Err(Error::unsupported("REPLACE, RENAME, ILIKE and EXCLUDE of a star are not supported.").at(at));
    }
    let mut excepted: Vec<&ast::Ident> = vec![];
    if let Some(except) = &options.opt_except {
        excepted.push(&except.first_element);
        excepted.extend(&except.additional_elements);
    }
    for name in &excepted {
        if !columns.iter().any(|(n, _)| n.eq_ignore_ascii_case(&name.value)) {
            let message = format!("EXCEPT names `{}`, which is no column of the star.", name.value);
            return Err(Error::new(ErrorClass::ColumnNotFound, message).at(location(name.span.start)));
        }
    }
    for (name, item) in columns {
        if excepted.iter().any(|e| name.eq_ignore_ascii_case(&e.value)) {
            continue;
        }
        let item = match item {
            Expr::Attribute(_) => item,
            field => Expr::Alias { expr: Box::new(field), name, id: ExprId::next() },
        };
        list.push(item, at);
    }
    Ok(())
}

/// Whether a generator is called within the expression, other than by the expression itself.
fn is_nested_generator(e: &ast::Expr) -> bool {
    #[derive(Default)]
    struct Search {
        below_top: bool,
        /// Subqueries around; they have select lists of their own.
        queries: usize,
    }
    impl ast::Visitor for Search {
        type Break = ();
        fn pre_visit_query(&mut self, _: &ast::Query) -> ControlFlow<()> {
            self.queries += 1;
            ControlFlow::Continue(())
        }
        fn post_visit_query(&mut self, _: &ast::Query) -> ControlFlow<()> {
            self.queries -= 1;
            ControlFlow::Continue(())
        }
        fn pre_visit_expr(&mut self, e: &ast::Expr) -> ControlFlow<()> {
            let generates =
                |f: &ast::Function| ScalarFunction::from_name(&f.name.to_string().to_lowercase()).is_some_and(ScalarFunction::is_generator);
            match e {
                ast::Expr::Function(f) if self.below_top && self.queries == 0 && generates(f) => ControlFlow::Break(()),
                ast::Expr::Nested(_) => ControlFlow::Continue(()),
                _ => {
                    self.below_top = true;
                    ControlFlow::Continue(())
                }
            }
        }
    }
    e.visit(&mut Search::default()).is_break()
}

/// A generator call and the columns that it makes.
#[derive(Debug)]
pub(super) struct Generator {
    pub call: Expr,
    pub outer: bool,
    pub output: Vec<Attribute>,
}

impl Generator {
    /// Its rows for each row of the input.
    pub fn over(self, input: LogicalPlan) -> LogicalPlan {
        LogicalPlan::Generate { generator: self.call, outer: self.outer, dropped: vec![], output: self.output, input: Box::new(input) }
    }
}

/// The expression as a generator, its columns under the names given; `None` for one that is none.
///
/// # Errors
/// `WrongArguments` for another number of names, `UnsupportedGenerator` for a generator within an expression.
pub(super) fn generated(generator: &Expr, names: &[ast::Ident]) -> Result<Option<Generator>> {
    let generates = |e: &Expr| e.any(&mut |e| matches!(e, Expr::Function { function, .. } if function.is_generator()));
    let (function, args) = match generator {
        Expr::Function { function, args } if function.is_generator() && !args.iter().any(generates) => (function, args),
        other if generates(other) => {
            let shown = without_ids(&other.to_string());
            let message = format!("The generator is not supported: nested in expressions \"{shown}\".");
            return Err(Error::new(ErrorClass::UnsupportedGenerator, message));
        }
        _ => return Ok(None),
    };
    let DataType::Struct(fields) = generator.data_type() else {
        return Err(Error::internal(format!("{generator} makes no columns")));
    };
    if !names.is_empty() && names.len() != fields.len() {
        let given = names.iter().map(|n| n.value.as_str()).collect::<Vec<_>>().join(",");
        let message = format!(
            "The number of aliases supplied in the AS clause does not match the number of columns output by the UDTF. Expected {} aliases, but got {given}.",
            fields.len()
        );
        return Err(Error::new(ErrorClass::WrongArguments, message));
    }
    let name = |i: usize| names.get(i).map(|n| n.value.as_str().into());
    let columns =
        fields.iter().enumerate().map(|(i, f)| Attribute::new(name(i).unwrap_or_else(|| f.name.clone()), f.data_type.clone(), f.nullable));
    let output = columns.collect();
    let (function, outer) = function.without_outer().map_or((*function, false), |inner| (inner, true));
    Ok(Some(Generator { call: Expr::Function { function, args: args.clone() }, outer, output }))
}
