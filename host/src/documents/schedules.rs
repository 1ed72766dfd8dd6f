//! Schedules in a document: their words, and the steps to what is wanted.

use serde_json::{Map, Value};

use super::difference::{compare, compare_maps};
use super::document::note;
use super::draft::{Draft, Stored};
use super::fields::Fields;
use super::mistake::Mistake;
use super::plan::{ObjectKind, Planner};
use super::words;
use crate::clock::Millis;
use crate::id::{RunnableId, ScheduleId};
use crate::model::{Change, Missed, NewSchedule, NextTime, PageQuery, Schedule, ScheduleUpdate};
use crate::store::StoreError;
use crate::timetable::{Timetable, TimetableError};

const ZONE_DEFAULT: &str = "UTC";
const MISSED: [&str; 3] = ["skip", "once", "all"];

/// A schedule as it is wanted.
#[derive(Debug, Clone, PartialEq)]
pub struct ScheduleEntry {
    pub pointer: String,
    pub name: String,
    pub cron: String,
    pub timezone: String,
    pub runnable: String,
    pub arguments: Map<String, Value>,
    pub overlap: bool,
    pub missed: Missed,
    /// Absent: as it is; a new one is not.
    pub paused: Option<bool>,
}

/// Reads one item of the list.
pub(super) fn read(
    value: &Value,
    pointer: String,
    mistakes: &mut Vec<Mistake>,
) -> Option<ScheduleEntry> {
    let mut fields = Fields::open(value, pointer.clone(), mistakes)?;
    let name = fields.text("name", mistakes);
    if let Some(name) = name {
        note(words::name(name), &fields, "name", mistakes);
    }
    let cron = fields.text("cron", mistakes);
    let timezone = fields.text_if_any("timezone", mistakes);
    let runnable = fields.text("runnable", mistakes);
    let arguments = fields.map("arguments", mistakes);
    let overlap = fields.flag("overlap", mistakes);
    let missed = fields.word("missed", &MISSED, mistakes);
    let paused = fields.flag("paused", mistakes);
    fields.finish(mistakes);
    let missed = missed.and_then(|word| word.parse().ok());
    Some(ScheduleEntry {
        pointer,
        name: name?.to_owned(),
        cron: cron?.to_owned(),
        timezone: timezone.unwrap_or(ZONE_DEFAULT).to_owned(),
        runnable: runnable?.to_owned(),
        arguments: arguments.cloned().unwrap_or_default(),
        overlap: overlap.unwrap_or(false),
        missed: missed.unwrap_or(Missed::Skip),
        paused,
    })
}

/// The first time, or what is wrong with the timetable.
fn first_time(entry: &ScheduleEntry, now: Millis) -> Result<Millis, Mistake> {
    let at = |field: &str| format!("{}/{field}", entry.pointer);
    let timetable = Timetable::parse(&entry.cron, &entry.timezone).map_err(|error| {
        let field = match error {
            TimetableError::Cron(_) => "cron",
            TimetableError::Zone => "timezone",
        };
        Mistake::value(at(field), format!("`{field}`: {error}"))
    })?;
    timetable.next_after(now).ok_or_else(|| {
        let message = "`cron`: there is no such day: it would never run";
        Mistake::value(at("cron"), message)
    })
}

impl Planner<'_> {
    pub(super) async fn load_schedules(&self, stored: &mut Stored) -> Result<(), StoreError> {
        let mut page = PageQuery::first(PageQuery::LIMIT_MAX);
        loop {
            let found = self.store.list_schedules(self.workspace_id, &page).await?;
            let named = found.items.into_iter().map(|one| (one.name.clone(), one));
            stored.schedules.extend(named);
            let Some(next) = found.next else {
                return Ok(());
            };
            page.cursor = Some(next);
        }
    }

    pub(super) fn plan_schedule(&self, entry: &ScheduleEntry, draft: &mut Draft<'_>) {
        let now = self.clock.now();
        let runnable = draft.find_runnable(&entry.pointer, &entry.runnable);
        let first = match first_time(entry, now) {
            Ok(first) => Some(first),
            Err(mistake) => {
                draft.mistakes.push(mistake);
                None
            }
        };
        let (Some(runnable_id), Some(first)) = (runnable, first) else {
            return;
        };
        match draft.stored.schedules.get(&entry.name).cloned() {
            Some(stored) => change(entry, &stored, (runnable_id, first), draft),
            None => self.create(entry, (runnable_id, first), draft),
        }
    }

    fn create(
        &self,
        entry: &ScheduleEntry,
        (runnable_id, first): (RunnableId, Millis),
        draft: &mut Draft<'_>,
    ) {
        let id = ScheduleId::generate(self.clock.now());
        let paused = entry.paused.unwrap_or(false);
        let change = Change::CreateSchedule(NewSchedule {
            id: id.clone(),
            workspace_id: self.workspace_id.clone(),
            name: entry.name.clone(),
            cron: entry.cron.clone(),
            timezone: entry.timezone.clone(),
            runnable_id,
            arguments: entry.arguments.clone(),
            overlap: entry.overlap,
            missed: entry.missed,
            paused,
            due_at: Some(first).filter(|_| !paused),
        });
        draft.create(ObjectKind::Schedule, &entry.name, id.to_string(), change);
    }
}

fn change(
    entry: &ScheduleEntry,
    stored: &Schedule,
    (runnable_id, first): (RunnableId, Millis),
    draft: &mut Draft<'_>,
) {
    let paused = entry.paused.unwrap_or(stored.paused);
    let mut differences = Vec::new();
    let texts = [
        ("cron", stored.cron.as_str(), entry.cron.as_str()),
        ("timezone", &stored.timezone, &entry.timezone),
        ("missed", stored.missed.as_str(), entry.missed.as_str()),
    ];
    for (field, from, to) in texts {
        compare(field, &from.into(), &to.into(), &mut differences);
    }
    let runnable = draft.path_of(&stored.runnable_id);
    let wanted = entry.runnable.as_str().into();
    compare("runnable", &runnable, &wanted, &mut differences);
    let (from, to) = (&stored.arguments, &entry.arguments);
    compare_maps(Some("arguments"), from, to, &mut differences);
    for (field, from, to) in [
        ("overlap", stored.overlap, entry.overlap),
        ("paused", stored.paused, paused),
    ] {
        compare(field, &from.into(), &to.into(), &mut differences);
    }
    // Of a schedule whose times stay, a time that has come and was not looked at yet stays too.
    let same_times = stored.cron == entry.cron && stored.timezone == entry.timezone;
    let next = match same_times && stored.paused == paused {
        true => NextTime::Keep,
        false => NextTime::Set(Some(first).filter(|_| !paused)),
    };
    let change = Change::UpdateSchedule(ScheduleUpdate {
        id: stored.id.clone(),
        revision: stored.revision,
        cron: entry.cron.clone(),
        timezone: entry.timezone.clone(),
        runnable_id,
        arguments: entry.arguments.clone(),
        overlap: entry.overlap,
        missed: entry.missed,
        paused,
        next,
    });
    let id = stored.id.to_string();
    draft.change(ObjectKind::Schedule, &entry.name, id, (change, differences));
}
