//! What people do in Drive and Calendar, and what goes wrong at Google.

use serde_json::{Map, Value, json};

use super::channels::About;
use super::clock::rfc3339;
use super::drive::{FOLDER, ROOT, Stored};
use super::refusal::Refusal;
use super::{ACCOUNT, State};

/// What an action is about, by name.
type Arguments<'a> = &'a Value;

impl State {
    /// One action of `POST /_fake/{action}`.
    pub fn act(&mut self, at_ms: i64, action: &str, with: Arguments<'_>) -> Result<Value, String> {
        match action {
            "create_file" => self.create_file(at_ms, with),
            "rename" => self.change_file(at_ms, with, "update", Some("properties"), |file| {
                file.name = required(with, "name")?.to_owned();
                file.modified_ms = at_ms;
                Ok(())
            }),
            "edit" => self.change_file(at_ms, with, "update", Some("content"), |file| {
                file.content += 1;
                file.modified_ms = at_ms;
                Ok(())
            }),
            "move" => {
                let parent = required(with, "parent")?.to_owned();
                let drive = self
                    .drive
                    .files
                    .get(&parent)
                    .and_then(|to| to.drive.clone());
                self.change_file(at_ms, with, "update", Some("parents"), |file| {
                    file.parent = Some(parent);
                    file.drive = drive;
                    Ok(())
                })
            }
            "trash" => self.change_file(at_ms, with, "trash", None, |file| {
                file.trashed_ms = Some(at_ms);
                Ok(())
            }),
            "restore" => self.change_file(at_ms, with, "untrash", None, |file| {
                file.trashed_ms = None;
                Ok(())
            }),
            "share" => self.change_file(at_ms, with, "update", Some("permissions"), |file| {
                let role = text(with, "role").unwrap_or("reader");
                let address = required(with, "email")?;
                file.permissions.insert(address.to_owned(), role.to_owned());
                Ok(())
            }),
            "unshare" => self.change_file(at_ms, with, "update", Some("permissions"), |file| {
                file.permissions.remove(required(with, "email")?);
                Ok(())
            }),
            "touch" => self.change_file(at_ms, with, "update", None, |_| Ok(())),
            "delete" => {
                self.change_file(at_ms, with, "remove", None, |_| Ok(()))?;
                let id = required(with, "id")?;
                self.drive.log(at_ms, id, true);
                Ok(Value::Null)
            }
            "create_event" => self.create_event(at_ms, with),
            "update_event" => self.update_event(at_ms, with, false),
            "cancel_event" => self.update_event(at_ms, with, true),
            "expire_cursor" => {
                self.drive.expire_cursor();
                self.calendars
                    .0
                    .values_mut()
                    .for_each(|calendar| calendar.expire_cursor());
                Ok(Value::Null)
            }
            "revoke_tokens" => {
                self.grants.revoke_all();
                Ok(Value::Null)
            }
            "expire_access" => {
                self.grants.expire_access();
                Ok(Value::Null)
            }
            "consent" => {
                let ticked = with["scopes"].as_array().map(|scopes| {
                    let scopes = scopes.iter().filter_map(Value::as_str);
                    scopes.map(str::to_owned).collect()
                });
                self.grants.ticked = ticked;
                Ok(Value::Null)
            }
            "client_secret" => {
                required(with, "secret")?.clone_into(&mut self.grants.client_secret);
                Ok(Value::Null)
            }
            "channels" => Ok(self.channels.listed()),
            "vanish_channel" | "vanish_hook" => {
                self.channels.vanish(text(with, "id"));
                Ok(Value::Null)
            }
            "sync_before_answer" => {
                self.channels.sync_before_answer = with["on"] != false;
                Ok(Value::Null)
            }
            "expiration_as_number" => {
                self.channels.expiration_as_number = with["on"] != false;
                Ok(Value::Null)
            }
            "page_max" => {
                let size = with["items"]
                    .as_u64()
                    .and_then(|size| usize::try_from(size).ok());
                self.page_max = size.filter(|size| *size > 0);
                Ok(Value::Null)
            }
            "refuse" => self.refuse(with),
            other => Err(format!("the fake has no action `{other}`")),
        }
    }

    fn create_file(&mut self, at_ms: i64, with: Arguments<'_>) -> Result<Value, String> {
        let count = self.drive.files.len();
        let id = text(with, "id").map_or_else(|| format!("1file{count}"), str::to_owned);
        let parent = text(with, "parent").unwrap_or(ROOT);
        let around = self.drive.files.get(parent);
        let drive = around
            .ok_or_else(|| format!("there is no folder {parent}"))?
            .drive
            .clone();
        let owner = text(with, "owner").unwrap_or(ACCOUNT);
        let created_ms = with["created_ms"].as_i64().unwrap_or(at_ms);
        let kind = match text(with, "mime_type") {
            Some("folder") => FOLDER,
            Some(kind) => kind,
            None => "text/plain",
        };
        let mut permissions = std::collections::BTreeMap::new();
        permissions.insert(owner.to_owned(), "owner".to_owned());
        let is_shared_with_me = owner != ACCOUNT;
        if is_shared_with_me {
            permissions.insert(ACCOUNT.to_owned(), "reader".to_owned());
        }
        let file = Stored {
            id: id.clone(),
            name: text(with, "name").unwrap_or("Untitled").to_owned(),
            mime_type: kind.to_owned(),
            parent: Some(parent.to_owned()),
            drive,
            trashed_ms: None,
            created_ms,
            modified_ms: with["modified_ms"].as_i64().unwrap_or(created_ms),
            shared_with_me_ms: is_shared_with_me.then_some(at_ms),
            version: 1,
            content: 0,
            owner: owner.to_owned(),
            editor: text(with, "editor").unwrap_or(owner).to_owned(),
            permissions,
        };
        self.drive.files.insert(id.clone(), file);
        self.drive.log(at_ms, &id, false);
        self.tell_of_file(at_ms, &id, "add", None);
        Ok(json!({ "id": id }))
    }

    fn change_file(
        &mut self,
        at_ms: i64,
        with: Arguments<'_>,
        state: &str,
        changed: Option<&str>,
        change: impl FnOnce(&mut Stored) -> Result<(), String>,
    ) -> Result<Value, String> {
        let id = required(with, "id")?;
        let file = self.drive.files.get_mut(id);
        let file = file.ok_or_else(|| format!("there is no file {id}"))?;
        file.version += 1;
        text(with, "editor")
            .unwrap_or(ACCOUNT)
            .clone_into(&mut file.editor);
        change(file)?;
        self.drive.log(at_ms, id, false);
        self.tell_of_file(at_ms, id, state, changed);
        Ok(Value::Null)
    }

    fn tell_of_file(&mut self, at_ms: i64, id: &str, state: &str, changed: Option<&str>) {
        let drive = self.drive.files.get(id).and_then(|file| file.drive.clone());
        self.channels.notify(
            at_ms,
            |about| matches!(about, About::File(watched) if watched == id),
            state,
            changed,
        );
        self.channels.notify(
            at_ms,
            |about| match about {
                About::Changes(None) => true,
                About::Changes(watched) => *watched == drive,
                _ => false,
            },
            "change",
            None,
        );
    }

    fn create_event(&mut self, at_ms: i64, with: Arguments<'_>) -> Result<Value, String> {
        let name = text(with, "calendar").unwrap_or(ACCOUNT);
        let calendar = self.calendars.0.get_mut(name);
        let calendar = calendar.ok_or_else(|| format!("there is no calendar {name}"))?;
        let count = calendar.events.len();
        let id = text(with, "id").map_or_else(|| format!("event{count}"), str::to_owned);
        let mut said = Map::new();
        said.insert("status".to_owned(), json!("confirmed"));
        said.insert("created".to_owned(), json!(rfc3339(at_ms)));
        said.insert(
            "htmlLink".to_owned(),
            json!(format!("https://calendar.google.com/event?eid={id}")),
        );
        said.insert(
            "organizer".to_owned(),
            json!({"email": ACCOUNT, "self": true}),
        );
        said.insert(
            "creator".to_owned(),
            json!({"email": ACCOUNT, "self": true}),
        );
        said.insert("iCalUID".to_owned(), json!(format!("{id}@google.com")));
        said.insert("eventType".to_owned(), json!("default"));
        said.insert("sequence".to_owned(), json!(0));
        extend(&mut said, with);
        if !said.contains_key("start") || !said.contains_key("end") {
            return Err("an event needs a start and an end".to_owned());
        }
        calendar.store(at_ms, &id, said);
        self.tell_of_calendar(at_ms, name, "exists");
        Ok(json!({ "id": id }))
    }

    /// Also of one event of a series, by its own id.
    fn update_event(
        &mut self,
        at_ms: i64,
        with: Arguments<'_>,
        cancelled: bool,
    ) -> Result<Value, String> {
        let name = text(with, "calendar").unwrap_or(ACCOUNT);
        let calendar = self.calendars.0.get_mut(name);
        let calendar = calendar.ok_or_else(|| format!("there is no calendar {name}"))?;
        let id = required(with, "id")?;
        let stored = calendar.events.get(id).map(|stored| stored.said.clone());
        let said = stored.or_else(|| calendar.instance(id));
        let mut said = said.ok_or_else(|| format!("there is no event {id}"))?;
        extend(&mut said, with);
        if cancelled {
            said.insert("status".to_owned(), json!("cancelled"));
        }
        calendar.store(at_ms, id, said);
        self.tell_of_calendar(at_ms, name, "exists");
        Ok(Value::Null)
    }

    fn tell_of_calendar(&mut self, at_ms: i64, name: &str, state: &str) {
        self.channels.notify(
            at_ms,
            |about| matches!(about, About::Calendar(watched) if watched == name),
            state,
            None,
        );
    }

    /// The next requests get this answer: `{"status", "reason", "times", "retry_after"}`.
    fn refuse(&mut self, with: Arguments<'_>) -> Result<Value, String> {
        let status = with["status"]
            .as_u64()
            .and_then(|status| u16::try_from(status).ok());
        let status = status.ok_or("refuse needs a status")?;
        let reason = text(with, "reason").unwrap_or("backendError");
        let retry_after = with["retry_after"]
            .as_u64()
            .map(|seconds| seconds.to_string());
        for _ in 0..with["times"].as_u64().unwrap_or(1) {
            let refusal = Refusal::new(status, reason, format!("the fake was told to: {reason}"));
            self.refusals.push_back((refusal, retry_after.clone()));
        }
        Ok(Value::Null)
    }
}

fn extend(said: &mut Map<String, Value>, with: Arguments<'_>) {
    let given = with.as_object().into_iter().flatten();
    let fields = given.filter(|(name, _)| !matches!(name.as_str(), "calendar" | "id"));
    for (name, value) in fields {
        said.insert(name.clone(), value.clone());
    }
}

fn text<'a>(with: Arguments<'a>, name: &str) -> Option<&'a str> {
    with[name].as_str()
}

fn required<'a>(with: Arguments<'a>, name: &str) -> Result<&'a str, String> {
    text(with, name).ok_or_else(|| format!("`{name}` is missing"))
}
