//! Routes. No two of the instance take the same request: what would is a conflict.

use super::changes::Edit;
use super::keys::route_place;
use super::runnables::RUNNABLE_PATH;
use super::select::Select;
use super::sql::{FromRow, Row, Statement};
use super::subscriptions::{Envelope, json};
use super::{Store, StoreError};
use crate::id::{RouteId, WorkspaceId};
use crate::model::{
    ChangedKind, NewRoute, Page, PageQuery, Route, RouteContent, RouteUpdate, Runnable,
    SecretsUpdate,
};
use crate::secret::Secret;

macro_rules! columns {
    () => {
        "t.id, t.workspace_id, t.name, t.path, t.methods, t.runnable_id, t.preprocessor_id, \
         t.spec, t.enabled, t.revision, t.created_at, t.updated_at, \
         case when t.secrets is null then 0 else 1 end as has_secrets"
    };
}

const SELECT: &str = concat!("select ", columns!(), " from routes t");

/// A route as it is served, its secrets opened.
#[derive(Clone, Debug)]
pub struct ServedRoute {
    pub route: Route,
    pub secrets: Option<Secret<String>>,
}

impl Store {
    /// A route of this workspace.
    pub async fn route(
        &self,
        workspace: &WorkspaceId,
        id: &RouteId,
    ) -> Result<Option<Route>, StoreError> {
        let mut connection = self.database.read().await?;
        Statement::composed(
            "read a route",
            format!("{SELECT} where t.workspace_id = $1 and t.id = $2"),
        )
        .bind(workspace)
        .bind(id)
        .one(&mut connection)
        .await
    }

    /// By its name.
    pub async fn route_by_name(
        &self,
        workspace: &WorkspaceId,
        name: &str,
    ) -> Result<Option<Route>, StoreError> {
        let mut connection = self.database.read().await?;
        Statement::composed(
            "read a route",
            format!("{SELECT} where t.workspace_id = $1 and t.name = $2"),
        )
        .bind(workspace)
        .bind(name)
        .one(&mut connection)
        .await
    }

    /// Newest first.
    pub async fn list_routes(
        &self,
        workspace: &WorkspaceId,
        page: &PageQuery,
    ) -> Result<Page<Route>, StoreError> {
        let mut connection = self.database.read().await?;
        Select::new("list routes", SELECT)
            .and_value("workspace_id =", workspace.clone())
            .page(&mut connection, page, |row: &Route| row.id.as_str())
            .await
    }

    /// All of the instance, for whoever saves another one.
    pub async fn all_routes(&self) -> Result<Vec<Route>, StoreError> {
        let mut connection = self.database.read().await?;
        Statement::composed("read all routes", format!("{SELECT} order by t.id"))
            .all(&mut connection)
            .await
    }

    /// Its secrets opened: a JSON object, value by name.
    pub async fn route_secrets(&self, id: &RouteId) -> Result<Option<Secret<String>>, StoreError> {
        let mut connection = self.database.read().await?;
        let envelope: Option<Envelope> = Statement::new(
            "read a route's secrets",
            "select secrets from routes where id = $1",
        )
        .bind(id)
        .one(&mut connection)
        .await?;
        let envelope = envelope.and_then(|envelope| envelope.0);
        envelope
            .map(|envelope| self.open_route_secrets(id, &envelope))
            .transpose()
    }

    /// How often routes were changed: as long as it stays, they are the same.
    pub async fn route_changes(&self) -> Result<i64, StoreError> {
        let mut connection = self.database.read().await?;
        let number: Option<Number> = Statement::new(
            "read how often routes were changed",
            "select number from route_changes where id = 1",
        )
        .one(&mut connection)
        .await?;
        Ok(number.map_or(0, |number| number.0))
    }

    /// All routes of the instance that are enabled.
    pub async fn served_routes(&self) -> Result<Vec<ServedRoute>, StoreError> {
        let mut connection = self.database.read().await?;
        let rows: Vec<ServedRow> = Statement::new(
            "read the routes to be served",
            concat!(
                "select ",
                columns!(),
                ", t.secrets from routes t where t.enabled = 1 order by t.id"
            ),
        )
        .all(&mut connection)
        .await?;
        rows.into_iter()
            .map(|row| {
                let envelope = row.envelope.as_deref();
                let secrets = envelope
                    .map(|envelope| self.open_route_secrets(&row.route.id, envelope))
                    .transpose()?;
                Ok(ServedRoute {
                    route: row.route,
                    secrets,
                })
            })
            .collect()
    }

    /// What a route runs, as it is now: the runnable, and the one before it.
    pub async fn route_targets(
        &self,
        route: &Route,
    ) -> Result<(Option<Runnable>, Option<Runnable>), StoreError> {
        let workspace = &route.workspace_id;
        let content = &route.content;
        let runnable = match &content.runnable_id {
            Some(id) => self.runnable(workspace, id).await?,
            None => None,
        };
        let preprocessor = match &content.preprocessor_id {
            Some(id) => self.runnable(workspace, id).await?,
            None => None,
        };
        Ok((runnable, preprocessor))
    }

    fn open_route_secrets(
        &self,
        id: &RouteId,
        envelope: &[u8],
    ) -> Result<Secret<String>, StoreError> {
        let place = route_place(id.as_str());
        self.open_envelope("open a route's secrets", &place, envelope)
    }
}

impl FromRow for Route {
    fn from_row(row: &Row<'_>) -> Result<Route, StoreError> {
        let methods = row.text("methods")?;
        Ok(Route {
            id: row.parsed("id")?,
            workspace_id: row.parsed("workspace_id")?,
            name: row.text("name")?,
            content: RouteContent {
                path: row.parsed("path")?,
                methods: methods
                    .split_ascii_whitespace()
                    .map(str::to_owned)
                    .collect(),
                runnable_id: row.parsed_opt("runnable_id")?,
                preprocessor_id: row.parsed_opt("preprocessor_id")?,
                spec: row.json("spec")?,
                enabled: row.flag("enabled")?,
            },
            has_secrets: row.flag("has_secrets")?,
            revision: row.int("revision")?,
            created_at: row.millis("created_at")?,
            updated_at: row.millis("updated_at")?,
        })
    }
}

struct ServedRow {
    route: Route,
    envelope: Option<Vec<u8>>,
}

impl FromRow for ServedRow {
    fn from_row(row: &Row<'_>) -> Result<ServedRow, StoreError> {
        Ok(ServedRow {
            route: Route::from_row(row)?,
            envelope: row.bytes_opt("secrets")?,
        })
    }
}

struct Number(i64);

impl FromRow for Number {
    fn from_row(row: &Row<'_>) -> Result<Number, StoreError> {
        row.int("number").map(Number)
    }
}

impl Edit<'_> {
    pub(super) async fn create_route(&mut self, new: &NewRoute) -> Result<ChangedKind, StoreError> {
        self.check_workspace(&new.workspace_id)?;
        self.hold_routes().await?;
        self.check_targets(&new.content).await?;
        self.routes.push(new.id.clone());
        let place = route_place(new.id.as_str());
        let content = &new.content;
        let made = Statement::new(
            "create a route",
            "insert into routes (id, workspace_id, name, path, methods, runnable_id, \
             preprocessor_id, spec, secrets, enabled, revision, created_at, updated_at) \
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 1, $11, $12) \
             on conflict (workspace_id, name) do nothing",
        )
        .bind(&new.id)
        .bind(&new.workspace_id)
        .bind(&new.name)
        .bind(content.path.as_str())
        .bind(content.methods.join(" "))
        .bind(&content.runnable_id)
        .bind(&content.preprocessor_id)
        .bind(json(&content.spec))
        .bind(self.seal(&place, new.secrets.as_ref()))
        .bind(content.enabled)
        .bind(self.now)
        .bind(self.now)
        .run(self.connection)
        .await?;
        match made {
            0 => Err(StoreError::Conflict(format!(
                "there is a route `{}` already",
                new.name
            ))),
            _ => Ok(ChangedKind::Created),
        }
    }

    pub(super) async fn update_route(
        &mut self,
        update: &RouteUpdate,
    ) -> Result<ChangedKind, StoreError> {
        self.hold_routes().await?;
        self.find_name(ROUTE_NAME, update.id.as_str()).await?;
        self.check_targets(&update.content).await?;
        self.routes.push(update.id.clone());
        let content = &update.content;
        let place = route_place(update.id.as_str());
        let (are_kept, secrets) = match &update.secrets {
            SecretsUpdate::Keep => (true, None),
            SecretsUpdate::Replace(secrets) => (false, self.seal(&place, Some(secrets))),
            SecretsUpdate::Remove => (false, None),
        };
        let updated = Statement::new(
            "update a route",
            "update routes set path = $1, methods = $2, runnable_id = $3, preprocessor_id = $4, \
             spec = $5, secrets = case when $6 = 1 then secrets else $7 end, enabled = $8, \
             revision = revision + 1, updated_at = $9 \
             where id = $10 and workspace_id = $11 and revision = $12",
        )
        .bind(content.path.as_str())
        .bind(content.methods.join(" "))
        .bind(&content.runnable_id)
        .bind(&content.preprocessor_id)
        .bind(json(&content.spec))
        .bind(are_kept)
        .bind(secrets)
        .bind(content.enabled)
        .bind(self.now)
        .bind(&update.id)
        .bind(&self.actor.workspace_id)
        .bind(update.revision)
        .run(self.connection)
        .await?;
        match updated {
            0 => Err(StoreError::Conflict(format!(
                "{} was changed meanwhile: read it again",
                update.id
            ))),
            _ => Ok(ChangedKind::Updated),
        }
    }

    pub(super) async fn delete_route(&mut self, id: &RouteId) -> Result<ChangedKind, StoreError> {
        self.hold_routes().await?;
        self.find_name(ROUTE_NAME, id.as_str()).await?;
        Statement::new("delete a route", "delete from routes where id = $1")
            .bind(id)
            .run(self.connection)
            .await?;
        Ok(ChangedKind::Deleted)
    }

    /// One change of routes at a time: whoever comes second sees what the first one made.
    async fn hold_routes(&mut self) -> Result<(), StoreError> {
        Statement::new(
            "count a change of routes",
            "update route_changes set number = number + 1 where id = 1",
        )
        .run(self.connection)
        .await
        .map(|_| ())
    }

    /// What it runs is there and stays until the commit.
    async fn check_targets(&mut self, content: &RouteContent) -> Result<(), StoreError> {
        let targets = content.runnable_id.iter().chain(&content.preprocessor_id);
        for runnable in targets {
            self.find_name(RUNNABLE_PATH, runnable.as_str()).await?;
        }
        Ok(())
    }

    /// No other route takes the requests of those that were made or changed, now that all are: two
    /// may have swapped their paths.
    pub(super) async fn check_routes(&mut self) -> Result<(), StoreError> {
        if self.routes.is_empty() {
            return Ok(());
        }
        let all: Vec<Route> = Statement::composed("read all routes", SELECT)
            .all(self.connection)
            .await?;
        let workspace = &self.actor.workspace_id;
        for changed in all.iter().filter(|one| self.routes.contains(&one.id)) {
            let takes_the_same =
                |other: &&Route| other.id != changed.id && other.content.overlaps(&changed.content);
            if let Some(other) = all.iter().find(takes_the_same) {
                return Err(StoreError::Conflict(
                    other.clash_with(&changed.content, workspace),
                ));
            }
        }
        Ok(())
    }
}

const ROUTE_NAME: &str = "select name as text from routes where id = $1 and workspace_id = $2";
