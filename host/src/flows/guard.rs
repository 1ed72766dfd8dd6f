//! What bounds the evaluation of an expression. The interpreter knows no limits, so they are woven
//! into the expression itself: each turn of a loop asks for leave, and each value that is made of
//! others is counted.
//!
//! Leave that is refused is an error. `||` and `&&` may swallow an error, but then the loop that asked
//! has ended already, and whoever evaluates asks the budget at the end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use cel::common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, LiteralValue, operators};
use cel::{Context, ExecutionError, IdedExpr, Value};

use super::value::size_of;

/// Turns of loops in one evaluation.
pub(super) const TURNS_MAX: u64 = 50_000;
/// The bytes of all values that one evaluation makes.
pub(super) const BYTES_MAX: u64 = 16 << 20;
/// The time for one evaluation.
pub(super) const TIME_MAX: Duration = Duration::from_millis(500);

/// Names that no expression can be written with.
const TURN: &str = "@turn";
const COUNT: &str = "@count";

/// What one evaluation may use.
pub(super) struct Budget {
    turns: AtomicU64,
    bytes: AtomicU64,
    until: Instant,
    is_spent: AtomicBool,
}

impl Budget {
    pub(super) fn new() -> Arc<Budget> {
        Arc::new(Budget {
            turns: AtomicU64::new(TURNS_MAX),
            bytes: AtomicU64::new(BYTES_MAX),
            until: Instant::now() + TIME_MAX,
            is_spent: AtomicBool::new(false),
        })
    }

    /// Makes the woven-in questions answerable.
    pub(super) fn serve(self: &Arc<Self>, context: &mut Context<'_, '_>) {
        let (turning, counting) = (Arc::clone(self), Arc::clone(self));
        let turn = move || turning.take(&turning.turns, 1).map(|()| true);
        let count = move |value: Value| {
            let size = size_of(&value) as u64;
            counting.take(&counting.bytes, size).map(|()| value)
        };
        context
            .add_function(TURN, turn)
            .and_then(|()| context.add_function(COUNT, count))
            .expect("invariant: no function of the language has these names");
    }

    /// Whether the evaluation wanted more than it may.
    pub(super) fn is_spent(&self) -> bool {
        self.is_spent.load(Ordering::Relaxed) || Instant::now() > self.until
    }

    fn take(&self, of: &AtomicU64, amount: u64) -> Result<(), ExecutionError> {
        let left = of.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
            left.checked_sub(amount)
        });
        if left.is_err() || self.is_spent() {
            self.is_spent.store(true, Ordering::Relaxed);
            return Err(ExecutionError::function_error("expression", "too slow"));
        }
        Ok(())
    }
}

/// Weaves the questions in.
pub(super) fn weave(expr: &mut IdedExpr) {
    match &mut expr.expr {
        Expr::Call(call) => {
            call.target.iter_mut().for_each(|target| weave(target));
            call.args.iter_mut().for_each(weave);
            if call.func_name == operators::ADD {
                count(expr);
            }
        }
        Expr::Comprehension(comprehension) => weave_loop(comprehension),
        Expr::List(list) => {
            for element in &mut list.elements {
                weave(element);
                count(element);
            }
        }
        Expr::Map(map) => {
            for entry in &mut map.entries {
                if let EntryExpr::MapEntry(entry) = &mut entry.expr {
                    weave(&mut entry.key);
                    weave(&mut entry.value);
                    count(&mut entry.key);
                    count(&mut entry.value);
                }
            }
        }
        Expr::Select(select) => weave(&mut select.operand),
        Expr::Struct(_) | Expr::Ident(_) | Expr::Literal(_) | Expr::Unspecified => {}
    }
}

/// The interpreter appends in place only if the condition of a loop is a literal, and copies the
/// whole list in each turn otherwise; so a loop that makes a list asks where its elements are made.
fn weave_loop(comprehension: &mut ComprehensionExpr) {
    weave(&mut comprehension.iter_range);
    let makes_list = matches!(comprehension.accu_init.expr, Expr::List(_))
        && matches!(comprehension.loop_cond.expr, Expr::Literal(_));
    if !makes_list {
        weave(&mut comprehension.loop_step);
        ask(&mut comprehension.loop_cond);
        return;
    }
    let Expr::Call(step) = &mut comprehension.loop_step.expr else {
        return;
    };
    let append = match step.func_name == operators::CONDITIONAL {
        true => {
            weave(&mut step.args[0]);
            ask(&mut step.args[0]);
            &mut step.args[1]
        }
        false => &mut comprehension.loop_step,
    };
    if let Expr::Call(append) = &mut append.expr
        && let Some(Expr::List(made)) = append.args.get_mut(1).map(|made| &mut made.expr)
    {
        for element in &mut made.elements {
            weave(element);
            count(element);
            ask(element);
        }
    }
}

/// `x` becomes `@turn() ? x : false`.
fn ask(expr: &mut IdedExpr) {
    let asked = std::mem::take(expr);
    let id = asked.id;
    let turn = call(id, TURN, Vec::new());
    let otherwise = IdedExpr {
        id,
        expr: Expr::Literal(LiteralValue::Boolean(false.into())),
    };
    *expr = call(id, operators::CONDITIONAL, vec![turn, asked, otherwise]);
}

/// `x` becomes `@count(x)`, unless its size is that of the text.
fn count(expr: &mut IdedExpr) {
    // The accumulator of a loop is counted where it grows.
    let is_counted = match &expr.expr {
        Expr::Literal(_) => true,
        Expr::Call(call) => matches!(call.args.first().map(|arg| &arg.expr),
            Some(Expr::Ident(name)) if name.starts_with('@')),
        _ => false,
    };
    if !is_counted {
        let counted = std::mem::take(expr);
        *expr = call(counted.id, COUNT, vec![counted]);
    }
}

fn call(id: u64, func_name: &str, args: Vec<IdedExpr>) -> IdedExpr {
    IdedExpr {
        id,
        expr: Expr::Call(CallExpr {
            func_name: func_name.to_owned(),
            target: None,
            args,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn until(until: Instant) -> Budget {
        let mut budget = Arc::into_inner(Budget::new()).expect("the only one");
        assert!(budget.until <= Instant::now() + TIME_MAX);
        budget.until = until;
        budget
    }

    #[test]
    fn what_an_evaluation_may_use_is_used_up() {
        let an_hour = Duration::from_secs(3600);
        for (which, max) in [(0, TURNS_MAX), (1, BYTES_MAX)] {
            let budget = until(Instant::now() + an_hour);
            let of = [&budget.turns, &budget.bytes][which];
            assert!(budget.take(of, max).is_ok());
            assert!(!budget.is_spent());
            assert!(budget.take(of, 1).is_err());
            assert!(budget.is_spent());
        }
    }

    #[test]
    fn what_is_put_together_is_counted() {
        let counted = |text: &str| {
            let read = cel::parser::Parser::new().parse_with_source_info(text);
            let (mut expr, _) = read.expect("it reads");
            weave(&mut expr);
            format!("{expr:?}").matches(COUNT).count()
        };
        assert_eq!(counted("a"), 0);
        assert_eq!(counted("a + b"), 1);
        assert_eq!(counted("a + b + c"), 2);
        assert_eq!(counted("[a, 1]"), 1);
        assert_eq!(counted("{a: b}"), 2);
    }

    #[test]
    fn the_time_of_an_evaluation_ends() {
        let now = Instant::now();
        let budget = until(now);
        while Instant::now() == now {}
        assert!(budget.is_spent());
        assert!(budget.take(&budget.turns, 1).is_err());
    }
}
