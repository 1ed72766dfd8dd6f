//! What an expression may say: names and functions that are there, within bounds.

use std::collections::BTreeSet;

use cel::IdedExpr;
use cel::common::ast::{EntryExpr, Expr};

/// How deep an expression may be nested.
const DEPTH_MAX: usize = 40;
/// Loops in loops: two already mean the square of what is given.
const LOOPS_MAX: usize = 2;

/// The functions of the language, as far as they stand for something here.
pub(super) const FUNCTIONS: [&str; 12] = [
    "size",
    "contains",
    "startsWith",
    "endsWith",
    "string",
    "int",
    "uint",
    "double",
    "bool",
    "type",
    "dyn",
    "bytes",
];
/// What the parser makes loops and tests of, in the words of who writes them.
const MACROS: [&str; 6] = ["has", "all", "exists", "exists_one", "map", "filter"];
/// The names of types stand for themselves.
const TYPES: [&str; 10] = [
    "int",
    "uint",
    "double",
    "bool",
    "string",
    "bytes",
    "list",
    "map",
    "null_type",
    "type",
];
/// Where the results of earlier steps are.
pub(super) const RESULTS: &str = "results";

/// What may be named at one place of a flow.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    /// `args`, `results` and the like.
    pub variables: Vec<&'static str>,
    /// The steps whose results may be there.
    pub steps: Vec<String>,
}

/// What of its scope an expression names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Uses {
    pub(super) variables: BTreeSet<String>,
    /// Steps named as `results.NAME`.
    pub(super) steps: BTreeSet<String>,
    /// `results` as a whole.
    pub(super) all_results: bool,
}

/// What is wrong at one node.
pub(super) struct Wrong {
    pub(super) node: u64,
    pub(super) message: String,
}

/// Checks a whole expression.
pub(super) fn check(expr: &IdedExpr, scope: &Scope) -> Result<Uses, Wrong> {
    let mut checking = Checking {
        scope,
        bound: Vec::new(),
        loops: 0,
        uses: Uses::default(),
    };
    checking.visit(expr, 0)?;
    Ok(checking.uses)
}

struct Checking<'a> {
    scope: &'a Scope,
    /// The variables of the loops around.
    bound: Vec<String>,
    loops: usize,
    uses: Uses,
}

impl Checking<'_> {
    fn visit(&mut self, expr: &IdedExpr, depth: usize) -> Result<(), Wrong> {
        if depth > DEPTH_MAX {
            let message = format!("it is nested deeper than {DEPTH_MAX} levels");
            return Err(wrong(expr, message));
        }
        let depth = depth + 1;
        match &expr.expr {
            Expr::Literal(_) => Ok(()),
            Expr::Ident(name) => self.name(expr, name),
            Expr::Select(select) => {
                if let Expr::Ident(name) = &select.operand.expr
                    && name == RESULTS
                    && !self.bound.contains(name)
                {
                    return self.result(expr, &select.field);
                }
                self.visit(&select.operand, depth)
            }
            Expr::Call(call) => {
                let is_word = call.func_name.starts_with(|c: char| c.is_alphabetic());
                if is_word && !FUNCTIONS.contains(&call.func_name.as_str()) {
                    let message = format!(
                        "there is no function `{}` (there are: {})",
                        call.func_name,
                        [&FUNCTIONS[..], &MACROS[..]].concat().join(", ")
                    );
                    return Err(wrong(expr, message));
                }
                for part in call.target.as_deref().into_iter().chain(&call.args) {
                    self.visit(part, depth)?;
                }
                Ok(())
            }
            Expr::List(list) => list
                .elements
                .iter()
                .try_for_each(|element| self.visit(element, depth)),
            Expr::Map(map) => map.entries.iter().try_for_each(|entry| match &entry.expr {
                EntryExpr::MapEntry(entry) => {
                    self.visit(&entry.key, depth)?;
                    self.visit(&entry.value, depth)
                }
                EntryExpr::StructField(_) => Err(wrong(expr, "a map was expected".to_owned())),
            }),
            Expr::Comprehension(inner) => {
                self.visit(&inner.iter_range, depth)?;
                if self.loops == LOOPS_MAX {
                    let message = format!(
                        "it is too slow: loops (`map`, `filter`, `all`, `exists`) may be nested {LOOPS_MAX} deep"
                    );
                    return Err(wrong(expr, message));
                }
                self.loops += 1;
                let bound = self.bound.len();
                self.bound.push(inner.iter_var.clone());
                self.bound.push(inner.accu_var.clone());
                self.bound.extend(inner.iter_var2.clone());
                let parts = [
                    &inner.accu_init,
                    &inner.loop_cond,
                    &inner.loop_step,
                    &inner.result,
                ];
                // A loop is one level to who writes it, and several to the interpreter.
                parts
                    .into_iter()
                    .try_for_each(|part| self.visit(part, depth))?;
                self.bound.truncate(bound);
                self.loops -= 1;
                Ok(())
            }
            Expr::Struct(made) => {
                let message = format!("there is no type `{}`", made.type_name);
                Err(wrong(expr, message))
            }
            Expr::Unspecified => Err(wrong(expr, "nothing stands there".to_owned())),
        }
    }

    fn name(&mut self, expr: &IdedExpr, name: &str) -> Result<(), Wrong> {
        if self.bound.iter().any(|bound| bound == name) {
            return Ok(());
        }
        if self.scope.variables.contains(&name) {
            self.uses.all_results |= name == RESULTS;
            self.uses.variables.insert(name.to_owned());
            return Ok(());
        }
        if TYPES.contains(&name) {
            return Ok(());
        }
        let message = format!(
            "there is no `{name}` here (there are: {})",
            self.scope.variables.join(", ")
        );
        Err(wrong(expr, message))
    }

    fn result(&mut self, expr: &IdedExpr, step: &str) -> Result<(), Wrong> {
        if !self.scope.variables.contains(&RESULTS) {
            return self.name(expr, RESULTS);
        }
        if self.scope.steps.iter().any(|known| known == step) {
            self.uses.variables.insert(RESULTS.to_owned());
            self.uses.steps.insert(step.to_owned());
            return Ok(());
        }
        let steps = match self.scope.steps.as_slice() {
            [] => "there is none before".to_owned(),
            steps => format!("there are: {}", steps.join(", ")),
        };
        let message = format!("`{step}` is no step before this one ({steps})");
        Err(wrong(expr, message))
    }
}

fn wrong(expr: &IdedExpr, message: String) -> Wrong {
    Wrong {
        node: expr.id,
        message,
    }
}
