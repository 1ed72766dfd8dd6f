//! The repositories and organisations that there are.

use serde_json::{Value, json};

use super::bodies;

/// One repository, as the one account sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repository {
    pub id: u64,
    pub full_name: String,
    pub is_private: bool,
    pub is_archived: bool,
    /// Who does not administer it sees no webhooks.
    pub is_admin: bool,
}

/// All of them.
#[derive(Debug)]
pub struct World {
    pub all: Vec<Repository>,
    organizations: Vec<String>,
}

impl World {
    /// A repository by its whole name, which is of any case.
    pub fn repository(&self, full_name: &str) -> Option<&Repository> {
        let mut all = self.all.iter();
        all.find(|each| each.full_name.eq_ignore_ascii_case(full_name))
    }

    /// Adds one that the account administers.
    pub fn add(&mut self, full_name: &str) -> &mut Repository {
        self.all.push(Repository {
            id: 1_296_269 + self.all.len() as u64,
            full_name: full_name.to_owned(),
            is_private: false,
            is_archived: false,
            is_admin: true,
        });
        self.all.last_mut().expect("invariant: it was just pushed")
    }

    /// All repositories as lists have them, by name.
    pub fn repositories(&self) -> Vec<Value> {
        let mut all: Vec<&Repository> = self.all.iter().collect();
        all.sort_by(|one, other| one.full_name.cmp(&other.full_name));
        let shown = all.into_iter().map(|each| {
            let mut body = bodies::repository(&each.full_name, each.id, each.is_private);
            body["archived"] = json!(each.is_archived);
            body["permissions"]["admin"] = json!(each.is_admin);
            body
        });
        shown.collect()
    }

    /// An organisation by its login.
    pub fn organization(&self, login: &str) -> Option<Value> {
        let known = &self.organizations;
        let at = known
            .iter()
            .position(|each| each.eq_ignore_ascii_case(login))?;
        Some(bodies::organization(&known[at], 6_811_672 + at as u64))
    }

    /// All organisations as lists have them.
    pub fn organizations(&self) -> Vec<Value> {
        let known = self.organizations.iter();
        known.filter_map(|login| self.organization(login)).collect()
    }

    /// Adds an organisation.
    pub fn add_organization(&mut self, login: &str) {
        self.organizations.push(login.to_owned());
    }
}

impl Default for World {
    fn default() -> Self {
        let mut world = Self {
            all: Vec::new(),
            organizations: vec!["acme".to_owned()],
        };
        world.add("acme/site");
        world.add("acme/secret").is_private = true;
        world.add("acme/old").is_archived = true;
        world.add("octocat/hello-world");
        world.add("others/theirs").is_admin = false;
        world
    }
}
