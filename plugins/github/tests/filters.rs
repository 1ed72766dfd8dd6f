//! Which events fire a trigger with given parameters: a table for each event. The payloads are
//! genuine ones, changed at a few places where no genuine one has the value.
#![allow(clippy::unwrap_used)] // A test that cannot go on says so by panicking.

mod support;

use serde_json::{Value, json};
use support::{json_fixture, provider};
use trigger_plugin_api::prelude::*;

const FIRES: bool = true;
const SILENT: bool = false;

#[test]
fn an_empty_filter_lets_everything_through() {
    let push = payload("push._.04");
    check(
        &push,
        "push",
        [
            (json!({}), FIRES),
            (json!({"branches": []}), FIRES),
            (json!({"branches": null, "message_contains": ""}), FIRES),
        ],
    );
}

#[test]
fn push_by_branch_tag_and_ref() {
    let main = payload("push._.04").with("/ref", json!("refs/heads/main"));
    check(
        &main,
        "push",
        [
            (json!({"branches": ["main"]}), FIRES),
            (json!({"branches": ["release/*", "main"]}), FIRES),
            (json!({"branches": ["m?in"]}), FIRES),
            (json!({"branches": ["**", "!main"]}), SILENT),
            (json!({"branches": ["!dev"]}), FIRES),
            (json!({"branches": ["Main"]}), SILENT),
            (json!({"branches": ["refs/heads/main"]}), SILENT),
            (json!({"tags": ["**"]}), SILENT),
            (json!({"branches": ["main"], "tags": ["v*"]}), FIRES),
            (json!({"branches": ["dev"], "tags": ["main"]}), SILENT),
            (
                json!({"branches": ["main"], "tags": ["v*"], "paths": ["src/**"]}),
                SILENT,
            ),
        ],
    );
    let nested = payload("push._.04").with("/ref", json!("refs/heads/release/2.0/hotfix"));
    check(
        &nested,
        "push",
        [
            (json!({"branches": ["release/*"]}), SILENT),
            (json!({"branches": ["release/**"]}), FIRES),
            (
                json!({"branches": ["release/**", "!release/2.0/*"]}),
                SILENT,
            ),
        ],
    );
    let tag = payload("push._.00");
    check(
        &tag,
        "push",
        [
            (json!({"tags": ["simple-*"]}), FIRES),
            (json!({"tags": ["v*"]}), SILENT),
            (json!({"branches": ["**"]}), SILENT),
            (json!({"branches": ["main"], "tags": ["simple-tag"]}), FIRES),
        ],
    );
}

#[test]
fn push_by_path_author_message_and_kind() {
    let push = payload("push._.04")
        .with("/commits/0/added", json!(["docs/a.md"]))
        .with("/commits/0/modified", json!(["src/deep/b.rs"]))
        .with("/commits/0/removed", json!(["c.txt"]));
    check(
        &push,
        "push",
        [
            (json!({"paths": ["docs/*"]}), FIRES),
            (json!({"paths": ["src/**"]}), FIRES),
            (json!({"paths": ["src/*"]}), SILENT),
            (json!({"paths": ["c.txt"]}), FIRES),
            (json!({"paths": ["*.md"]}), SILENT),
            (json!({"paths": ["**/*.md"]}), FIRES),
            (json!({"paths": ["!docs/**", "!src/**"]}), FIRES),
            (json!({"paths": ["!docs/**", "!src/**", "!*.txt"]}), SILENT),
            (json!({"authors": ["codertocat"]}), FIRES),
            (json!({"authors": ["mona"]}), SILENT),
            (json!({"ignored_senders": ["dependabot[bot]"]}), FIRES),
            (json!({"ignored_senders": ["Codertocat"]}), SILENT),
            (json!({"message_contains": "initial"}), FIRES),
            (json!({"message_contains": "[deploy]"}), SILENT),
            (
                json!({"created": true, "deleted": false, "forced": false}),
                FIRES,
            ),
            (json!({"forced": true}), SILENT),
            (json!({"repositories": ["codertocat/*"]}), FIRES),
            (json!({"repositories": ["acme/*"]}), SILENT),
        ],
    );
    let empty = payload("push._.00");
    check(&empty, "push", [(json!({"paths": ["**"]}), SILENT)]);
}

#[test]
fn pull_request() {
    let opened = payload("pull_request.opened.12");
    check(
        &opened,
        "pull_request",
        [
            (json!({"actions": ["opened", "reopened"]}), FIRES),
            (json!({"actions": "opened"}), FIRES),
            (json!({"actions": ["closed"]}), SILENT),
            (json!({"labels": ["BUG", "feature"]}), FIRES),
            (json!({"labels": ["feature"]}), SILENT),
            (json!({"changed_labels": ["bug"]}), SILENT),
            (json!({"authors": ["Codertocat"]}), FIRES),
            (json!({"authors": ["mona"]}), SILENT),
            (json!({"base_branches": ["master"]}), FIRES),
            (json!({"base_branches": ["release/**"]}), SILENT),
            (json!({"head_branches": ["changes"]}), FIRES),
            (json!({"head_branches": ["!changes"]}), SILENT),
            (json!({"draft": false}), FIRES),
            (json!({"draft": true}), SILENT),
            (json!({"merged": true}), SILENT),
            (json!({"assignees": ["codertocat"]}), FIRES),
            (json!({"reviewers": ["octocat"]}), FIRES),
            (json!({"reviewers": ["mona"]}), SILENT),
            (json!({"title_contains": "readme"}), FIRES),
            (
                json!({"actions": ["opened"], "labels": ["feature"]}),
                SILENT,
            ),
        ],
    );
    let labeled = payload("pull_request.labeled.09");
    check(
        &labeled,
        "pull_request",
        [
            (json!({"changed_labels": ["bug"]}), FIRES),
            (json!({"changed_labels": ["feature"]}), SILENT),
            (json!({"milestones": ["v1.0"]}), FIRES),
            (json!({"milestones": ["v2.0"]}), SILENT),
        ],
    );
    let merged = opened
        .with("/action", json!("closed"))
        .with("/pull_request/merged", json!(true));
    check(
        &merged,
        "pull_request",
        [
            (json!({"actions": ["closed"], "merged": true}), FIRES),
            (json!({"actions": ["closed"], "merged": false}), SILENT),
        ],
    );
}

#[test]
fn issues() {
    let assigned = payload("issues.assigned.01");
    check(
        &assigned,
        "issues",
        [
            (json!({"actions": ["assigned"]}), FIRES),
            (json!({"actions": ["opened"]}), SILENT),
            (json!({"labels": ["bug"]}), FIRES),
            (json!({"labels": ["feature"]}), SILENT),
            (json!({"assignees": ["codertocat"]}), FIRES),
            (json!({"assignees": ["mona"]}), SILENT),
            (json!({"milestones": ["v1.0"]}), FIRES),
            (json!({"milestones": ["v2.0"]}), SILENT),
            (json!({"authors": ["Codertocat"]}), FIRES),
            (json!({"title_contains": "spelling"}), FIRES),
            (json!({"body_contains": "accidently"}), FIRES),
            (json!({"body_contains": "crash"}), SILENT),
        ],
    );
    check(
        &payload("issues.unlabeled.24"),
        "issues",
        [
            (json!({"changed_labels": ["bug"]}), FIRES),
            (json!({"milestones": ["v1.0"]}), SILENT),
        ],
    );
    check(
        &payload("issues.opened.16"),
        "issues",
        [
            (json!({"changed_labels": ["bug"]}), SILENT),
            (json!({"body_contains": "x"}), SILENT),
        ],
    );
}

#[test]
fn comments() {
    let on_issue = payload("issue_comment.created.00");
    check(
        &on_issue,
        "issue_comment",
        [
            (
                json!({"actions": ["created"], "body_contains": "totally RIGHT"}),
                FIRES,
            ),
            (json!({"body_contains": "/deploy"}), SILENT),
            (json!({"authors": ["codertocat"]}), FIRES),
            (json!({"on_pull_request": false}), FIRES),
            (json!({"on_pull_request": true}), SILENT),
            (json!({"labels": ["bug"]}), FIRES),
            (json!({"author_associations": ["OWNER", "MEMBER"]}), FIRES),
            (json!({"author_associations": ["NONE"]}), SILENT),
        ],
    );
    let on_pull_request = on_issue.with("/issue/pull_request", json!({"url": "https://x.test/"}));
    check(
        &on_pull_request,
        "issue_comment",
        [
            (json!({"on_pull_request": true}), FIRES),
            (json!({"on_pull_request": false}), SILENT),
        ],
    );
    let on_commit = payload("commit_comment.created.00").with("/comment/path", json!("src/lib.rs"));
    check(
        &on_commit,
        "commit_comment",
        [
            (json!({"body_contains": "good change"}), FIRES),
            (json!({"paths": ["src/**"]}), FIRES),
            (json!({"paths": ["docs/**"]}), SILENT),
        ],
    );
    let on_lines = payload("pull_request_review_comment.created.00");
    check(
        &on_lines,
        "pull_request_review_comment",
        [
            (json!({"body_contains": "emoji"}), FIRES),
            (
                json!({"paths": ["*.md"], "base_branches": ["master"]}),
                FIRES,
            ),
            (json!({"authors": ["mona"]}), SILENT),
        ],
    );
    let on_discussion = payload("discussion_comment.created.00");
    check(
        &on_discussion,
        "discussion_comment",
        [
            (
                json!({"body_contains": "questions", "categories": ["General"]}),
                FIRES,
            ),
            (json!({"categories": ["q-a"]}), SILENT),
        ],
    );
}

#[test]
fn checks_and_workflows() {
    let failed = payload("check_run.completed.01");
    check(
        &failed,
        "check_run",
        [
            (json!({"conclusions": ["failure", "timed_out"]}), FIRES),
            (json!({"conclusions": ["success"]}), SILENT),
            (
                json!({"statuses": ["completed"], "branches": ["changes"], "names": ["*-linter"]}),
                FIRES,
            ),
            (json!({"branches": ["main"]}), SILENT),
            (json!({"apps": ["github-actions"]}), FIRES),
        ],
    );
    check(
        &payload("check_run.created.04"),
        "check_run",
        [
            (json!({"conclusions": ["success", "failure"]}), SILENT),
            (json!({"statuses": ["queued"]}), FIRES),
        ],
    );
    check(
        &payload("check_suite.completed.00"),
        "check_suite",
        [
            (
                json!({"actions": ["completed"], "conclusions": ["success"], "branches": ["c*"]}),
                FIRES,
            ),
            (json!({"conclusions": ["failure"]}), SILENT),
        ],
    );
    let run = payload("workflow_run.requested.04");
    check(
        &run,
        "workflow_run",
        [
            (
                json!({"statuses": ["completed"], "conclusions": ["action_required"]}),
                FIRES,
            ),
            (json!({"conclusions": ["failure"]}), SILENT),
            (
                json!({"branches": ["master"], "paths": [".github/workflows/*"]}),
                FIRES,
            ),
            (json!({"causes": ["push"]}), SILENT),
        ],
    );
    check(
        &payload("workflow_run.completed.00"),
        "workflow_run",
        [
            (json!({"names": ["Manually*"], "branches": ["main"]}), FIRES),
            (json!({"names": ["CI"]}), SILENT),
        ],
    );
    let job = payload("workflow_job.completed.01");
    check(
        &job,
        "workflow_job",
        [
            (
                json!({"conclusions": ["failure"], "names": ["lint*"], "workflows": ["CodeQL"]}),
                FIRES,
            ),
            (json!({"runner_labels": ["ubuntu-latest"]}), FIRES),
            (json!({"runner_labels": ["self-hosted"]}), SILENT),
            (json!({"actions": ["queued"]}), SILENT),
        ],
    );
}

#[test]
fn deployments_and_statuses() {
    check(
        &payload("deployment.created.00"),
        "deployment",
        [
            (
                json!({"environments": ["prod*"], "refs": ["master"], "tasks": ["deploy"]}),
                FIRES,
            ),
            (json!({"environments": ["staging"]}), SILENT),
            (json!({"creators": ["codertocat"]}), FIRES),
        ],
    );
    check(
        &payload("deployment_status.created.00"),
        "deployment_status",
        [
            (
                json!({"states": ["success"], "environments": ["production"]}),
                FIRES,
            ),
            (json!({"states": ["failure", "error"]}), SILENT),
        ],
    );
    check(
        &payload("deployment_review.requested.00"),
        "deployment_review",
        [
            (
                json!({"environments": ["TST"], "branches": ["sample"]}),
                FIRES,
            ),
            (json!({"environments": ["PRD"]}), SILENT),
        ],
    );
    check(
        &payload("status._.00"),
        "status",
        [
            (
                json!({"states": ["success"], "contexts": ["default"], "branches": ["gh-*"]}),
                FIRES,
            ),
            (json!({"states": ["failure"]}), SILENT),
            (json!({"branches": ["release/*"]}), SILENT),
        ],
    );
}

#[test]
fn releases_reviews_and_refs() {
    check(
        &payload("release.prereleased.09"),
        "release",
        [
            (
                json!({"actions": ["prereleased"], "prerelease": true, "draft": false}),
                FIRES,
            ),
            (json!({"prerelease": false}), SILENT),
            (
                json!({"tags": ["0.*"], "branches": ["master"], "authors": ["codertocat"]}),
                FIRES,
            ),
            (json!({"draft": true}), SILENT),
        ],
    );
    let review = payload("pull_request_review.dismissed.01");
    check(
        &review,
        "pull_request_review",
        [
            (
                json!({"states": ["dismissed"], "base_branches": ["master"]}),
                FIRES,
            ),
            (json!({"states": ["approved", "changes_requested"]}), SILENT),
            (json!({"body_contains": "x"}), SILENT),
        ],
    );
    for event in ["create", "delete"] {
        check(
            &payload(&format!("{event}._.00")),
            event,
            [
                (json!({"ref_types": ["tag"], "refs": ["simple-*"]}), FIRES),
                (json!({"ref_types": ["branch"]}), SILENT),
            ],
        );
    }
    check(
        &payload("workflow_dispatch._.00"),
        "workflow_dispatch",
        [
            (
                json!({"branches": ["main"], "workflows": [".github/workflows/hello*"]}),
                FIRES,
            ),
            (json!({"branches": ["dev"]}), SILENT),
        ],
    );
    check(
        &payload("repository_dispatch.on-demand-test.00"),
        "repository_dispatch",
        [
            (
                json!({"event_types": ["on-demand-*"], "branches": ["master"]}),
                FIRES,
            ),
            (json!({"event_types": ["deploy"]}), SILENT),
        ],
    );
    check(
        &payload("merge_group.checks_requested.00"),
        "merge_group",
        [
            (json!({"base_branches": ["main"]}), FIRES),
            (json!({"base_branches": ["dev"]}), SILENT),
            (json!({"reasons": ["merged"]}), SILENT),
        ],
    );
}

#[test]
fn alerts_packages_and_people() {
    check(
        &payload("code_scanning_alert.reopened.04"),
        "code_scanning_alert",
        [
            (
                json!({"branches": ["master"], "severities": ["note"], "tools": ["Rubocop"]}),
                FIRES,
            ),
            (json!({"severities": ["error", "critical"]}), SILENT),
        ],
    );
    check(
        &payload("dependabot_alert.created.01"),
        "dependabot_alert",
        [
            (
                json!({"severities": ["medium"], "ecosystems": ["npm"], "packages": ["sem*"]}),
                FIRES,
            ),
            (json!({"severities": ["high", "critical"]}), SILENT),
        ],
    );
    check(
        &payload("security_advisory.published.00"),
        "security_advisory",
        [
            (
                json!({"ecosystems": ["pip"], "packages": ["django"]}),
                FIRES,
            ),
            (json!({"ecosystems": ["npm"]}), SILENT),
        ],
    );
    check(
        &payload("package.published.00"),
        "package",
        [
            (
                json!({"names": ["hello-*"], "package_types": ["npm"], "versions": ["1.*"]}),
                FIRES,
            ),
            (json!({"versions": ["2.*"]}), SILENT),
        ],
    );
    check(
        &payload("discussion.answered.01"),
        "discussion",
        [
            (
                json!({"actions": ["answered"], "categories": ["Q&A"], "title_contains": "test"}),
                FIRES,
            ),
            (json!({"labels": ["bug"]}), SILENT),
        ],
    );
    check(
        &payload("gollum._.00"),
        "gollum",
        [
            (
                json!({"pages": ["Home"], "page_actions": ["edited"]}),
                FIRES,
            ),
            (json!({"page_actions": ["created"]}), SILENT),
        ],
    );
    check(
        &payload("project_card.moved.08"),
        "project_card",
        [
            (json!({"column_ids": [5_368_157]}), FIRES),
            (json!({"column_ids": ["5368157"]}), FIRES),
            (json!({"column_ids": [1]}), SILENT),
        ],
    );
    check(
        &payload("installation_repositories.added.00"),
        "installation_repositories",
        [
            (
                json!({"repositories": ["Codertocat/*"], "accounts": ["codertocat"]}),
                FIRES,
            ),
            (json!({"repositories": ["acme/*"]}), SILENT),
        ],
    );
    check(
        &payload("deploy_key.created.00"),
        "deploy_key",
        [
            (json!({"read_only": true}), FIRES),
            (json!({"read_only": false}), SILENT),
        ],
    );
    check(
        &payload("star.created.00"),
        "star",
        [
            (json!({"actions": ["created"]}), FIRES),
            (json!({"actions": ["deleted"]}), SILENT),
        ],
    );
    check(
        &payload("membership.added.01"),
        "membership",
        [
            (
                json!({"teams": ["github"], "members": ["CODERTOCAT"]}),
                FIRES,
            ),
            (json!({"teams": ["ops"]}), SILENT),
        ],
    );
}

#[test]
fn a_parameter_that_is_wrong_is_refused_when_the_trigger_is_made() {
    for (event, parameters) in [
        ("push", json!({"branch": ["main"]})),
        ("push", json!({"branches": "main"})),
        ("push", json!({"created": "perhaps"})),
        ("push", json!({"branches": ["[z-a]"]})),
        ("pull_request", json!({"actions": ["exploded"]})),
        ("issues", json!({"title_contains": {"a": 1}})),
    ] {
        let parameters: Map = serde_json::from_value(parameters).unwrap();
        let shown = format!("{event} {parameters:?}");
        let error = provider().declared().open_trigger(event, parameters).err();
        let error = error.unwrap_or_else(|| panic!("{shown} is accepted"));
        assert_eq!(error.code, ErrorCode::InvalidInput, "{shown}");
    }
}

#[track_caller]
fn check<const N: usize>(payload: &Payload, event: &str, table: [(Value, bool); N]) {
    let provider = provider();
    let body = payload.0.to_string();
    for (parameters, fires) in table {
        let shown = parameters.to_string();
        let parameters = serde_json::from_value(parameters).unwrap();
        let trigger = provider
            .declared()
            .open_trigger(event, parameters)
            .unwrap_or_else(|error| panic!("{event} {shown}: {error:?}"));
        let call = EventCall {
            event,
            payload: body.as_bytes(),
            occurred_at_ms: None,
        };
        let expected = match fires {
            FIRES => Outcome::Fires(Variables::Payload),
            SILENT => Outcome::NotForThisTrigger,
        };
        let found = provider.on_event(&trigger, &call).unwrap();
        assert_eq!(found, expected, "{event} {shown}");
    }
}

/// The body of an event.
struct Payload(Value);

fn payload(name: &str) -> Payload {
    Payload(json_fixture(&format!("examples/{name}.json")))
}

impl Payload {
    /// The same with another value at one place.
    fn with(&self, pointer: &str, value: Value) -> Self {
        let mut payload = self.0.clone();
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        payload.pointer_mut(parent).unwrap()[key] = value;
        Self(payload)
    }
}
