//! Who has access to a file, and what changed of it.

use serde_json::{Value, json};

/// Of a file shared with more, only these are compared.
const COMPARED_MAX: usize = 200;

/// `id:role` of each permission, sorted. In shared drives, and where the account may not see who
/// else has access, there are ids at most.
pub fn summary(file: &Value) -> Vec<String> {
    let list = |field: &str| file.get(field).and_then(Value::as_array);
    let mut summary: Vec<String> = match (list("permissions"), list("permissionIds")) {
        (Some(permissions), _) => permissions
            .iter()
            .filter_map(|permission| {
                let role = permission.get("role").and_then(Value::as_str);
                Some(format!(
                    "{}:{}",
                    id_of(permission)?,
                    role.unwrap_or_default()
                ))
            })
            .collect(),
        (None, Some(ids)) => ids
            .iter()
            .filter_map(|id| Some(format!("{}:", id.as_str()?)))
            .collect(),
        (None, None) => Vec::new(),
    };
    summary.sort_unstable();
    summary.truncate(COMPARED_MAX);
    summary
}

/// What differs between two summaries.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Difference {
    pub granted: Vec<String>,
    pub changed: Vec<String>,
    pub revoked: Vec<String>,
}

impl Difference {
    /// Nobody is said to have lost access, or to have got it, only because this time Drive told
    /// less or more: a role that one of the two does not say is no difference, and neither is
    /// anything against an empty summary.
    pub fn between(before: &[String], after: &[String]) -> Self {
        let mut difference = Self::default();
        if before.is_empty() || after.is_empty() {
            return difference;
        }
        for (id, role) in after.iter().map(|entry| parts(entry)) {
            match role_of(before, id) {
                None => difference.granted.push(id.to_owned()),
                Some(then) if then != role && !then.is_empty() && !role.is_empty() => {
                    difference.changed.push(id.to_owned());
                }
                Some(_) => {}
            }
        }
        let gone = before.iter().map(|entry| parts(entry).0);
        let gone = gone.filter(|id| role_of(after, id).is_none());
        difference.revoked.extend(gone.map(str::to_owned));
        difference
    }

    /// Somebody can do more or other things than before.
    pub fn gives(&self) -> bool {
        !self.granted.is_empty() || !self.changed.is_empty()
    }

    /// With what Drive says of those permissions.
    pub fn as_said(&self, file: &Value) -> Value {
        let said = |id: &String| {
            let permissions = file.get("permissions").and_then(Value::as_array);
            let found = permissions
                .into_iter()
                .flatten()
                .find(|permission| id_of(permission) == Some(id));
            found.cloned().unwrap_or_else(|| json!({ "id": id }))
        };
        json!({
            "granted": self.granted.iter().map(said).collect::<Vec<_>>(),
            "changed": self.changed.iter().map(said).collect::<Vec<_>>(),
            "revoked": self.revoked,
        })
    }
}

fn id_of(permission: &Value) -> Option<&str> {
    permission.get("id")?.as_str()
}

fn parts(entry: &str) -> (&str, &str) {
    entry.rsplit_once(':').unwrap_or((entry, ""))
}

fn role_of<'s>(summary: &'s [String], id: &str) -> Option<&'s str> {
    let mut entries = summary.iter().map(|entry| parts(entry));
    entries.find_map(|(each, role)| (each == id).then_some(role))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(
        before: &[&str],
        after: &[&str],
        granted: &[&str],
        changed: &[&str],
        revoked: &[&str],
    ) {
        let owned = |list: &[&str]| list.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
        let difference = Difference::between(&owned(before), &owned(after));
        let expected = Difference {
            granted: owned(granted),
            changed: owned(changed),
            revoked: owned(revoked),
        };
        assert_eq!(difference, expected, "{before:?} -> {after:?}");
    }

    #[test]
    fn granted_changed_and_revoked_are_told_apart() {
        check(&["a:owner"], &["a:owner", "b:reader"], &["b"], &[], &[]);
        check(
            &["a:owner", "b:reader"],
            &["a:owner", "b:writer"],
            &[],
            &["b"],
            &[],
        );
        check(&["a:owner", "b:reader"], &["a:owner"], &[], &[], &["b"]);
        check(&["a:owner"], &["a:owner"], &[], &[], &[]);
    }

    #[test]
    fn what_drive_did_not_tell_is_no_difference() {
        check(&["a:owner", "b:reader"], &[], &[], &[], &[]);
        check(&[], &["a:owner"], &[], &[], &[]);
        check(&["a:owner", "b:reader"], &["a:", "b:"], &[], &[], &[]);
    }
}
