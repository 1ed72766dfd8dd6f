//! Loops: items that go on, and items that may begin. What ended is not looked at again.

use std::collections::HashSet;

use serde_json::Value;

use super::expression::{Given, Variables};
use super::memory::{Progress, item_of};
use super::plan::{Outcome, Planning};
use super::spec::{Each, ITEMS_MAX};

impl Planning<'_> {
    pub(super) fn each(&mut self, each: &Each, key: &str, variables: &Variables) -> Outcome {
        if let Some(result) = self.memory.ended_loop(key) {
            return Outcome::Done(result);
        }
        let begun = match self.memory.loops.remove(key) {
            Some(progress) => Ok(progress),
            None => self.begin_loop(each, key, variables),
        };
        let mut progress = match begun {
            Ok(progress) => progress,
            Err(error) => return Outcome::Failed(format!("step `{key}`: `for_each`{error}")),
        };
        // Those that were begun first: what they are tells how many may be begun now.
        for index in std::mem::take(&mut progress.open) {
            self.item(each, &mut progress, (key, index), variables);
        }
        while let Some(index) = progress.next(each.concurrency) {
            self.item(each, &mut progress, (key, index), variables);
        }
        match progress.outcome() {
            Some(Ok(result)) => Outcome::Done(self.memory.result(key, || result)),
            Some(Err(error)) => Outcome::Failed(error),
            None => {
                self.memory.loops.insert(key.to_owned(), progress);
                Outcome::Waits
            }
        }
    }

    fn begin_loop(
        &self,
        each: &Each,
        key: &str,
        variables: &Variables,
    ) -> Result<Progress, String> {
        let items = match each.items.evaluate(variables) {
            Ok(Value::Array(items)) => items,
            Ok(_) => return Err(" gives no list".to_owned()),
            Err(error) => return Err(format!(": {error}")),
        };
        if items.len() > ITEMS_MAX {
            let count = items.len();
            return Err(format!(" gives {count} items, more than {ITEMS_MAX}"));
        }
        let steps = self.facts.steps.keys();
        let begun: HashSet<&str> = steps.filter_map(|step| item_of(step)).collect();
        let is_begun = |index: usize| begun.contains(format!("{key}[{index}]").as_str());
        Ok(Progress::of(items, is_begun))
    }

    fn item(
        &mut self,
        each: &Each,
        progress: &mut Progress,
        (key, index): (&str, usize),
        variables: &Variables,
    ) {
        let mut inner = variables.clone();
        inner.named.insert("item", progress.items[index].clone());
        inner.named.insert("index", Given::of(index.into()));
        let prefix = format!("{key}[{index}].");
        match self.steps(&each.steps, &prefix, &mut inner) {
            Outcome::Done(result) => progress.worked(index, result),
            Outcome::Waits => {
                progress.open.insert(index);
            }
            Outcome::Failed(error) => progress.failed(index, error),
        }
    }
}
