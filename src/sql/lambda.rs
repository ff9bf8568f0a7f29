//! Calls of higher-order functions: `transform(a, x -> x + 1)`.

use sqlparser::ast::{self, FunctionArg, FunctionArgExpr, Spanned};

use super::expr::ExprBinder;
use super::parse::location;
use super::scope::At;
use crate::base::{Attribute, Error, ErrorClass, Result};
use crate::expr::coerce::lambda::{self, Parameter};
use crate::expr::{Expr, ScalarFunction};

impl ExprBinder<'_, '_, '_> {
    /// Binds the call of a higher-order function, of whose arguments `first` is the first lambda function.
    pub(super) fn higher_order_call(&mut self, function: ScalarFunction, name: &str, first: usize, args: &[FunctionArg]) -> Result<Expr> {
        let args = args.iter().map(|a| match a {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(e)) => Ok(e),
            other => Err(Error::unsupported(format!("The argument `{other}` of `{name}` is not supported."))),
        });
        let args: Vec<&ast::Expr> = args.collect::<Result<_>>()?;
        let bound = self.bind_all(args[..first].iter().copied())?;
        let mut bound = lambda::inputs(function, name, bound)?;
        for (at, e) in args.into_iter().enumerate().skip(first) {
            let e = match e {
                ast::Expr::Lambda(l) => {
                    let given = lambda::parameters(function, at, &bound[..first]);
                    self.lambda(function, l, given).at(e)?
                }
                other => self.bind(other)?,
            };
            bound.push(e);
        }
        lambda::call(function, name, bound)
    }

    fn lambda(&mut self, function: ScalarFunction, l: &ast::LambdaFunction, given: Vec<Parameter>) -> Result<Expr> {
        let names: Vec<&ast::Ident> = l.params.iter().map(|p| &p.name).collect();
        lambda::check_parameters(function, names.len(), given.len())?;
        for (i, name) in names.iter().enumerate() {
            if names[..i].iter().any(|n| n.value.eq_ignore_ascii_case(&name.value)) {
                let names = names.iter().map(|n| format!("`{}`", n.value)).collect::<Vec<_>>().join(", ");
                let message = format!("Invalid lambda function call. The lambda function has duplicate arguments {names}.");
                return Err(Error::new(ErrorClass::InvalidLambda, message).at(location(name.span.start)));
            }
        }
        let params: Vec<Attribute> =
            names.iter().zip(given).enumerate().map(|(place, (name, parameter))| self.variable(place, &name.value, parameter)).collect();
        self.lambdas.push(params.clone());
        let body = self.bind(&l.body);
        self.lambdas.pop();
        Ok(Expr::Lambda { params, body: Box::new(body?), hidden: false })
    }

    /// The variable in that place of a lambda function here: the same one for functions that are written alike.
    fn variable(&mut self, place: usize, name: &str, (data_type, nullable): Parameter) -> Attribute {
        let depth = self.lambdas.len();
        let known = self
            .binder
            .variables
            .iter()
            .find(|(d, p, a)| (*d, *p, a.name.as_ref(), a.nullable) == (depth, place, name, nullable) && a.data_type == data_type);
        if let Some((.., variable)) = known {
            return variable.clone();
        }
        let variable = Attribute::new(name, data_type, nullable);
        self.binder.variables.push((depth, place, variable.clone()));
        variable
    }

    /// The variable of that name of a lambda function around.
    pub(super) fn lambda_variable(&self, name: &ast::Ident) -> Option<Expr> {
        let mut variables = self.lambdas.iter().rev().flatten();
        variables.find(|v| v.name.eq_ignore_ascii_case(&name.value)).map(|v| Expr::LambdaVariable(v.clone()))
    }

    /// The call, if it can be computed outside the lambda functions that are around it.
    ///
    /// # Errors
    /// `Unsupported` when it uses one of their variables.
    pub(super) fn without_variables(&self, call: Expr, what: &str, node: &impl Spanned) -> Result<Expr> {
        let around = |e: &Expr| matches!(e, Expr::LambdaVariable(v) if self.lambdas.iter().flatten().any(|a| a.id == v.id));
        if call.any(&mut |e| around(e)) {
            let message = format!("{what} over a variable of a lambda function is not supported.");
            return Err(Error::unsupported(message)).at(node);
        }
        Ok(call)
    }
}
