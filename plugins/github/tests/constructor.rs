//! What the provider asks of GitHub's API, and what it makes of the answers.
#![allow(clippy::unwrap_used)] // A test that cannot go on says so by panicking.

mod support;

use expect_test::{Expect, expect};
use serde_json::{Value, json};
use support::github_api::{Answer, GithubApi, NOW_MS, answer, hook};
use support::provider;
use trigger_plugin_api::prelude::*;
use trigger_plugin_api::testkit::block_on;

const URL: &str = "https://triggers.acme.test/webhooks/github/ep_1";
const SECRET: &str = "Zm9yIHRlc3RzIG9ubHksIGFzIGxvbmcgYXMgYSByZWFs";

#[test]
fn a_repository_s_webhook_is_created_with_the_secret_that_the_host_keeps() {
    let api = GithubApi::answers([answer(201, hook(42, URL))]);
    let new = new(json!({"repository": "acme/site", "events": ["push", "issues", "ping"]}));
    let created = block_on(provider().create(&api.host(), &new)).unwrap();

    assert_eq!(api.transcript(), "POST /repos/acme/site/hooks\n");
    assert_eq!(
        api.body(0),
        json!({
            "name": "web",
            "active": true,
            "events": ["issues", "push"],
            "config": {"url": URL, "content_type": "json", "insecure_ssl": "0", "secret": SECRET},
        })
    );
    assert_eq!(created.external_id, "42");
    assert!(created.secrets.is_empty());
    assert_eq!(created.properties["repository"], "acme/site");
    assert_eq!(created.properties["ours_since_ms"], 1_714_564_800_000_i64);
    assert_eq!(created.expires_at_ms, None);
}

#[test]
fn an_organisation_s_webhook_is_created_on_an_enterprise_server() {
    let api = GithubApi::at("https://ghe.acme.test/api/v3", [answer(201, hook(7, URL))]);
    let mut new =
        new(json!({"organization": "acme", "content_type": "form", "insecure_ssl": true}));
    new.credentials
        .values
        .insert("base_url".to_owned(), "https://ghe.acme.test".to_owned());
    let created = block_on(provider().create(&api.host(), &new)).unwrap();

    assert_eq!(api.transcript(), "POST /orgs/acme/hooks\n");
    assert_eq!(api.body(0)["config"]["content_type"], "form");
    assert_eq!(api.body(0)["config"]["insecure_ssl"], "1");
    assert_eq!(created.properties["organization"], "acme");
}

#[test]
fn the_manifest_s_address_comes_before_the_integration_s() {
    let base_url = "https://api.acme.test";
    let api = GithubApi::at(base_url, [answer(201, hook(7, URL))]);
    let provider = support::provider_with(json!({"api_base_url": base_url})).unwrap();
    let mut new = new(json!({"organization": "acme"}));
    new.credentials
        .values
        .insert("base_url".to_owned(), "https://github.com".to_owned());
    block_on(provider.create(&api.host(), &new)).unwrap();
    assert_eq!(api.transcript(), "POST /orgs/acme/hooks\n");
}

#[test]
fn without_chosen_events_the_webhook_sends_what_triggers_wait_for() {
    for (chosen, waited_for, sent) in [
        (
            json!(null),
            vec!["push", "issues"],
            json!(["issues", "push"]),
        ),
        (json!([]), vec!["push"], json!(["push"])),
        (json!(["release"]), vec!["push"], json!(["release"])),
        (json!(null), vec![], json!(["*"])),
        (json!(null), vec!["ping"], json!(["*"])),
        (json!(["*", "push"]), vec![], json!(["*"])),
    ] {
        let api = GithubApi::answers([answer(201, hook(42, URL))]);
        let mut new = new(json!({"repository": "acme/site", "events": chosen}));
        new.events = waited_for.iter().map(|&event| event.to_owned()).collect();
        block_on(provider().create(&api.host(), &new)).unwrap();
        assert_eq!(api.body(0)["events"], sent, "{chosen} {waited_for:?}");
    }
}

#[test]
fn a_webhook_made_by_a_lost_create_is_taken_over() {
    let api = GithubApi::answers([
        answer(422, already_exists()),
        answer(
            200,
            json!([hook(1, "https://elsewhere.test/"), hook(42, URL)]),
        ),
        answer(200, hook(42, URL)),
    ]);
    let created =
        block_on(provider().create(&api.host(), &new(json!({"repository": "acme/site"}))));
    assert_eq!(created.unwrap().external_id, "42");
    expect![[r#"
        POST /repos/acme/site/hooks
        GET /repos/acme/site/hooks?per_page=100
        PATCH /repos/acme/site/hooks/42
    "#]]
    .assert_eq(&api.transcript());
    assert_eq!(api.body(2)["config"]["secret"], SECRET);
}

#[test]
fn a_webhook_that_exists_elsewhere_is_not_taken_over() {
    let api = GithubApi::answers([
        answer(422, already_exists()),
        answer(200, json!([hook(1, "https://elsewhere.test/")])),
    ]);
    let created =
        block_on(provider().create(&api.host(), &new(json!({"repository": "acme/site"}))));
    assert_eq!(created.unwrap_err().code, ErrorCode::InvalidInput);
}

#[test]
fn an_update_changes_the_webhook_in_place_and_keeps_its_secret() {
    let api = GithubApi::answers([answer(200, hook(42, URL))]);
    let change = SubscriptionChange {
        subscription: held(),
        parameters: map(json!({"repository": "acme/site", "events": ["release"]})),
        events: Vec::new(),
        endpoint_url: URL.to_owned(),
    };
    let updated = block_on(provider().update(&api.host(), &change)).unwrap();
    assert_eq!(api.transcript(), "PATCH /repos/acme/site/hooks/42\n");
    assert_eq!(
        api.body(0),
        json!({
            "active": true,
            "events": ["release"],
            "config": {"url": URL, "content_type": "json", "insecure_ssl": "0", "secret": "kept"},
        })
    );
    assert!(updated.secrets.is_empty());
    assert_eq!(updated.properties["ours_since_ms"], 5);
}

#[test]
fn a_webhook_is_not_moved_to_another_repository() {
    let api = GithubApi::answers([]);
    let change = SubscriptionChange {
        subscription: held(),
        parameters: map(json!({"repository": "acme/other"})),
        events: Vec::new(),
        endpoint_url: URL.to_owned(),
    };
    let error = block_on(provider().update(&api.host(), &change)).unwrap_err();
    expect!["InvalidInput: a webhook of acme/site cannot be moved to acme/other: make a new subscription"]
        .assert_eq(&shown(&error));
}

#[test]
fn a_webhook_without_a_known_id_is_deleted_by_its_address() {
    let hooks = || {
        answer(
            200,
            json!([hook(1, "https://elsewhere.test/"), hook(42, URL)]),
        )
    };
    let unknown = ExistingSubscription {
        external_id: String::new(),
        properties: Map::new(),
        ..held()
    };
    for (script, transcript) in [
        (
            vec![hooks(), answer(204, Value::Null)],
            expect![[r#"
                GET /repos/acme/site/hooks?per_page=100
                DELETE /repos/acme/site/hooks/42
            "#]],
        ),
        (
            vec![answer(200, json!([]))],
            expect![[r#"
                GET /repos/acme/site/hooks?per_page=100
            "#]],
        ),
    ] {
        let api = GithubApi::answers(script);
        block_on(provider().delete(&api.host(), &unknown)).unwrap();
        transcript.assert_eq(&api.transcript());
    }
}

#[test]
fn a_webhook_is_tested_by_a_ping() {
    let api = GithubApi::answers([answer(204, Value::Null)]);
    block_on(provider().test(&api.host(), &held())).unwrap();
    assert_eq!(api.transcript(), "POST /repos/acme/site/hooks/42/pings\n");
}

#[test]
fn without_a_secret_of_the_host_s_no_webhook_is_made() {
    let api = GithubApi::answers([]);
    let mut new = new(json!({"repository": "acme/site"}));
    new.secrets.clear();
    let error = block_on(provider().create(&api.host(), &new)).unwrap_err();
    assert_eq!(error.code, ErrorCode::Host);
}

#[test]
fn deleting_a_webhook_that_is_gone_is_fine() {
    let gone = || answer(404, json!({"message": "Not Found"}));
    for (script, transcript) in [
        (
            vec![answer(204, Value::Null)],
            expect![[r#"
                DELETE /repos/acme/site/hooks/42
            "#]],
        ),
        (
            vec![gone(), answer(200, json!([]))],
            expect![[r#"
                DELETE /repos/acme/site/hooks/42
                GET /repos/acme/site/hooks?per_page=1
            "#]],
        ),
        (
            vec![gone(), gone(), gone()],
            expect![[r#"
                DELETE /repos/acme/site/hooks/42
                GET /repos/acme/site/hooks?per_page=1
                GET /repos/acme/site
            "#]],
        ),
    ] {
        let api = GithubApi::answers(script);
        block_on(provider().delete(&api.host(), &held())).unwrap();
        transcript.assert_eq(&api.transcript());
    }
}

#[test]
fn a_webhook_that_the_token_may_not_see_is_not_taken_for_gone() {
    let script = || {
        [
            answer(404, json!({"message": "Not Found"})),
            answer(404, json!({"message": "Not Found"})),
            answer(200, json!({"full_name": "acme/site"})),
        ]
    };
    let api = GithubApi::answers(script());
    let error = block_on(provider().delete(&api.host(), &held())).unwrap_err();
    assert_eq!(error.code, ErrorCode::Credentials);
    let api = GithubApi::answers(script());
    let error = block_on(provider().check(&api.host(), &held())).unwrap_err();
    assert_eq!(error.code, ErrorCode::Credentials);
}

#[test]
fn a_check_says_how_the_webhook_differs() {
    for (path, value, state, findings) in [
        ("/active", json!(true), CheckState::Ok, expect![""]),
        (
            "/config/insecure_ssl",
            json!(0),
            CheckState::Ok,
            expect![""],
        ),
        (
            "/last_response",
            json!({"code": 502, "status": "timeout", "message": "Bad Gateway"}),
            CheckState::Ok,
            expect!["the last delivery was not accepted: 502 (Bad Gateway)"],
        ),
        (
            "/config/url",
            json!("https://old.test/"),
            CheckState::Drifted,
            expect!["it sends to another address than this subscription's endpoint"],
        ),
        (
            "/events",
            json!(["push", "fork"]),
            CheckState::Drifted,
            expect!["it sends the events fork, push, but should send push"],
        ),
        (
            "/active",
            json!(false),
            CheckState::Drifted,
            expect!["it is switched off"],
        ),
        (
            "/config/content_type",
            json!("form"),
            CheckState::Drifted,
            expect!["its content type is form, but should be json"],
        ),
        (
            "/config/insecure_ssl",
            json!("1"),
            CheckState::Drifted,
            expect!["it does not check the certificate"],
        ),
        (
            "/config/secret",
            json!(null),
            CheckState::Drifted,
            expect!["it has no secret, so that its requests are refused"],
        ),
    ] {
        let mut hook = hook(42, URL);
        *hook.pointer_mut(path).unwrap() = value;
        let api = GithubApi::answers([answer(200, hook)]);
        let report = block_on(provider().check(&api.host(), &held())).unwrap();
        assert_eq!(report.state, state, "{path}");
        findings.assert_eq(&report.findings.join("\n"));
    }
}

#[test]
fn a_drift_is_told_field_by_field_and_adopted_only_as_a_whole() {
    let mut theirs = hook(42, URL);
    theirs["events"] = json!(["push", "fork"]);
    theirs["config"]["content_type"] = json!("form");
    let report = checked(theirs.clone());
    let drift = json!(report.drift);
    assert_eq!(
        drift,
        json!([
            {"field": "config.content_type", "ours": "json", "theirs": "form"},
            {"field": "events", "ours": ["push"], "theirs": ["fork", "push"]},
        ])
    );
    let adopted = json!({"content_type": "form", "events": ["fork", "push"]});
    assert_eq!(json!(report.adopt), adopted);

    theirs["active"] = json!(false);
    let report = checked(theirs);
    assert_eq!(report.drift.len(), 3);
    assert_eq!(
        json!(report.drift[2]),
        json!({"field": "active", "ours": true, "theirs": false})
    );
    assert!(report.adopt.is_empty());
}

#[test]
fn another_secret_shows_in_the_newest_delivery_alone() {
    let changed = "2024-05-01T12:00:00Z";
    for (answered, at, is_drift) in [
        (401, "2024-05-01T12:00:07Z", true),
        (401, "2024-05-01T11:59:59Z", false),
        (200, "2024-05-01T12:00:07Z", false),
    ] {
        let mut hook = hook(42, URL);
        hook["updated_at"] = json!(changed);
        hook["last_response"] = json!({"code": 401, "status": "unused", "message": null});
        let api = GithubApi::answers([
            answer(200, hook),
            answer(200, json!([{"delivered_at": at, "status_code": answered}])),
        ]);
        let report = block_on(provider().check(&api.host(), &held())).unwrap();
        assert_eq!(
            report.state == CheckState::Drifted,
            is_drift,
            "{answered} {at}"
        );
        assert!(report.adopt.is_empty());
        expect![[r#"
            GET /repos/acme/site/hooks/42
            GET /repos/acme/site/hooks/42/deliveries?per_page=1
        "#]]
        .assert_eq(&api.transcript());
    }
}

#[test]
fn a_check_reports_a_webhook_that_is_gone() {
    let api = GithubApi::answers([
        answer(404, json!({"message": "Not Found"})),
        answer(200, json!([])),
    ]);
    let report = block_on(provider().check(&api.host(), &held())).unwrap();
    assert_eq!(report.state, CheckState::Missing);
    assert_eq!(report.findings, ["GitHub has no webhook 42 of acme/site"]);
}

#[test]
fn all_pages_of_webhooks_are_listed() {
    let next = "https://api.github.com/repositories/9/hooks?per_page=100&page=2";
    let next = next.replace("/repositories/9", "/repos/acme/site");
    let api = GithubApi::answers([
        answer(200, json!([hook(1, "https://a.test/"), hook(2, URL)])).header(
            "Link",
            &format!("<{next}>; rel=\"next\", <{next}>; rel=\"last\""),
        ),
        answer(200, json!([hook(3, "https://c.test/")]))
            .header("Link", "<https://api.github.com/x>; rel=\"first\""),
    ]);
    let request = ListRequest {
        parameters: map(json!({"repository": "acme/site"})),
        credentials: credentials(),
    };
    let hooks = block_on(provider().list(&api.host(), &request)).unwrap();
    let ids: Vec<&str> = hooks.iter().map(|hook| hook.external_id.as_str()).collect();
    assert_eq!(ids, ["1", "2", "3"]);
    assert_eq!(hooks[1].endpoint_url, URL);
    assert!(hooks[1].active);
    expect![[r#"
        GET /repos/acme/site/hooks?per_page=100
        GET /repos/acme/site/hooks?per_page=100&page=2
    "#]]
    .assert_eq(&api.transcript());
}

#[test]
fn a_search_reads_on_until_a_page_has_something_that_fits() {
    let more = || "<https://api.github.com/user/repos?page=9>; rel=\"next\"";
    let repository = |name: &str, admin: bool| json!({"full_name": name, "private": name.ends_with("secret"), "permissions": {"admin": admin}});
    let api = GithubApi::answers([
        answer(200, json!([repository("acme/site", true)])).header("link", more()),
        answer(
            200,
            json!([
                repository("acme/my-Secret", true),
                repository("acme/secret-of-others", false)
            ]),
        )
        .header("link", more()),
    ]);
    let page =
        block_on(provider().parameter_options(&api.host(), &query("repository", "secret", None)));
    let page = page.unwrap();
    let values: Vec<&str> = page
        .options
        .iter()
        .map(|each| each.value.as_str())
        .collect();
    assert_eq!(values, ["acme/my-Secret"]);
    assert_eq!(page.next_cursor.as_deref(), Some("3"));
    expect![[r#"
        GET /user/repos?sort=full_name&per_page=100&page=1
        GET /user/repos?sort=full_name&per_page=100&page=2
    "#]]
    .assert_eq(&api.transcript());
}

#[test]
fn organisations_are_offered_from_the_cursor_on() {
    let api = GithubApi::answers([answer(200, json!([{"login": "acme"}, {"login": "zeta"}]))]);
    let page =
        block_on(provider().parameter_options(&api.host(), &query("organization", "", Some("2"))));
    let page = page.unwrap();
    assert_eq!(page.options.len(), 2);
    assert_eq!(page.next_cursor, None);
    assert_eq!(api.transcript(), "GET /user/orgs?per_page=100&page=2\n");
}

#[test]
fn a_token_is_told_whose_it_is_what_it_may_do_and_when_it_ends() {
    let user = || json!({"id": 4_294_967_297_u64, "login": "mona"});
    let api = GithubApi::answers([answer(200, user())
        .header("X-OAuth-Scopes", "admin:repo_hook, read:org")
        .header(
            "GitHub-Authentication-Token-Expiration",
            "2026-12-01 09:30:00 UTC",
        )]);
    let account = block_on(provider().validate_credentials(&api.host(), &credentials())).unwrap();
    assert_eq!(
        account,
        Account {
            id: "4294967297".to_owned(),
            name: "mona".to_owned(),
            scopes: vec!["admin:repo_hook".to_owned(), "read:org".to_owned()],
            expires_at_ms: Some(1_796_117_400_000),
        }
    );

    let fine_grained = GithubApi::answers([answer(200, user())]);
    let account = block_on(provider().validate_credentials(&fine_grained.host(), &credentials()));
    assert_eq!(account.unwrap().scopes, Vec::<String>::new());

    let weak = GithubApi::answers([answer(200, user()).header("x-oauth-scopes", "public_repo")]);
    let error =
        block_on(provider().validate_credentials(&weak.host(), &credentials())).unwrap_err();
    expect!["Credentials: the access token of mona has the scopes public_repo, but needs admin:repo_hook, or admin:org_hook for organisations"]
        .assert_eq(&shown(&error));
}

#[test]
fn refusals_are_told_apart() {
    let message = |text: &str| json!({"message": text});
    let reset = (NOW_MS / 1000 + 90).to_string();
    check_refusal(
        answer(401, message("Bad credentials")),
        expect![[
            r#"Credentials: cannot create the webhook of acme/site: GitHub does not know the access token: it is wrong, expired or revoked (Bad credentials)"#
        ]],
    );
    check_refusal(
        answer(
            403,
            message("Resource not accessible by personal access token"),
        )
        .header("X-Accepted-GitHub-Permissions", "repository_hooks=write"),
        expect![[
            r#"Credentials: cannot create the webhook of acme/site: the access token may not do this (Resource not accessible by personal access token); it needs the permission repository_hooks=write"#
        ]],
    );
    check_refusal(
        answer(403, message("Must have admin rights to Repository."))
            .header("X-Accepted-OAuth-Scopes", "admin:repo_hook, repo")
            .header("X-OAuth-Scopes", "gist"),
        expect![[
            r#"Credentials: cannot create the webhook of acme/site: the access token may not do this (Must have admin rights to Repository.); it needs one of the scopes admin:repo_hook, repo, and has gist"#
        ]],
    );
    check_refusal(
        answer(
            403,
            message("Resource protected by organization SAML enforcement."),
        )
        .header(
            "X-GitHub-SSO",
            "required; url=https://github.com/orgs/acme/sso",
        ),
        expect![[
            r#"Credentials: cannot create the webhook of acme/site: the access token may not do this (Resource protected by organization SAML enforcement.); authorise it for the organisation's single sign-on"#
        ]],
    );
    check_refusal(
        answer(403, message("Repository was archived so is read-only.")),
        expect![[
            r#"InvalidInput: cannot create the webhook of acme/site: GitHub refuses what was asked: Repository was archived so is read-only."#
        ]],
    );
    check_refusal(
        answer(403, message("API rate limit exceeded for user ID 1."))
            .header("X-RateLimit-Remaining", "0")
            .header("X-RateLimit-Reset", &reset),
        expect![[
            r#"RateLimited after 90000 ms: cannot create the webhook of acme/site: GitHub throttles the account (API rate limit exceeded for user ID 1.)"#
        ]],
    );
    check_refusal(
        answer(403, message("You have exceeded a secondary rate limit."))
            .header("X-RateLimit-Remaining", "4000")
            .header("X-RateLimit-Reset", &reset),
        expect![[
            r#"RateLimited after 60000 ms: cannot create the webhook of acme/site: GitHub throttles the account (You have exceeded a secondary rate limit.)"#
        ]],
    );
    check_refusal(
        answer(429, message("Too many requests")).header("Retry-After", "7"),
        expect![[
            r#"RateLimited after 7000 ms: cannot create the webhook of acme/site: GitHub throttles the account (Too many requests)"#
        ]],
    );
    check_refusal(
        answer(404, message("Not Found")),
        expect![[
            r#"NotFound: cannot create the webhook of acme/site: GitHub finds nothing there: it does not exist, or the access token lacks the permission to see it"#
        ]],
    );
    check_refusal(
        answer(
            422,
            json!({"message": "Validation Failed", "errors": [
                {"resource": "Hook", "field": "url", "code": "custom", "message": "url is not supported because it isn't reachable over the public Internet (localhost)"},
                {"resource": "Hook", "field": "events", "code": "invalid"},
            ]}),
        ),
        expect![[
            r#"InvalidInput: cannot create the webhook of acme/site: GitHub refuses what was asked: url: url is not supported because it isn't reachable over the public Internet (localhost); events: invalid"#
        ]],
    );
    check_refusal(
        answer(503, Value::Null),
        expect![[
            r#"Upstream: cannot create the webhook of acme/site: GitHub answered 503 (status 503)"#
        ]],
    );
}

#[test]
fn a_renamed_repository_is_followed_and_the_token_goes_nowhere_else() {
    let moved = "https://api.github.com/repos/acme/new-name/hooks";
    let api = GithubApi::answers([
        answer(307, json!({"message": "Moved"})).header("Location", moved),
        answer(201, hook(42, URL)),
    ]);
    block_on(provider().create(&api.host(), &new(json!({"repository": "acme/site"})))).unwrap();
    expect![[r#"
        POST /repos/acme/site/hooks
        POST /repos/acme/new-name/hooks
    "#]]
    .assert_eq(&api.transcript());

    check_refusal(
        answer(307, Value::Null).header("Location", "https://evil.test/hooks"),
        expect![
            "Upstream: cannot create the webhook of acme/site: GitHub's answer leads to another address than its API's"
        ],
    );
}

#[test]
fn parameters_that_name_no_one_thing_are_refused() {
    for (parameters, error) in [
        (
            json!({}),
            expect![
                "InvalidInput: parameters.repository is missing: give `owner/name`, or an organisation in parameters.organization, or parameters.app for a GitHub App's own webhook"
            ],
        ),
        (
            json!({"repository": "acme/site", "organization": "acme"}),
            expect![
                "InvalidInput: parameters.repository and parameters.organization are both given: a webhook belongs to one of them"
            ],
        ),
        (
            json!({"repository": "acme"}),
            expect!["InvalidInput: parameters.repository is `acme`, but must be `owner/name`"],
        ),
        (
            json!({"repository": "acme/../../user"}),
            expect![
                "InvalidInput: parameters.repository is `acme/../../user`, but must be `owner/name`"
            ],
        ),
        (
            json!({"organization": "a b"}),
            expect![
                "InvalidInput: parameters.organization is `a b`, but must be an organisation's login such as `acme`"
            ],
        ),
        (
            json!({"repository": "acme/site", "content_type": "xml"}),
            expect![[
                r#"InvalidInput: parameters.content_type is "xml", but must be `json` or `form`"#
            ]],
        ),
        (
            json!({"repository": "acme/site", "events": [1]}),
            expect!["InvalidInput: parameters.events is 1, but must be a list of event names"],
        ),
    ] {
        let api = GithubApi::answers([]);
        let refused = block_on(provider().create(&api.host(), &new(parameters))).unwrap_err();
        error.assert_eq(&shown(&refused));
    }
}

fn checked(hook: Value) -> CheckReport {
    let api = GithubApi::answers([answer(200, hook)]);
    block_on(provider().check(&api.host(), &held())).unwrap()
}

fn check_refusal(refusal: Answer, expected: Expect) {
    let api = GithubApi::answers([refusal]);
    let new = new(json!({"repository": "acme/site"}));
    let error = block_on(provider().create(&api.host(), &new)).unwrap_err();
    expected.assert_eq(&shown(&error));
}

fn shown(error: &Error) -> String {
    let wait = error
        .retry_after_ms
        .map(|wait| format!(" after {wait} ms"))
        .unwrap_or_default();
    format!("{:?}{wait}: {}", error.code, error.message)
}

fn already_exists() -> Value {
    json!({"message": "Validation Failed", "errors": [
        {"resource": "Hook", "code": "custom", "message": "Hook already exists on this repository"}
    ]})
}

fn new(parameters: Value) -> NewSubscription {
    NewSubscription {
        id: "sub_1".to_owned(),
        endpoint_url: URL.to_owned(),
        parameters: map(parameters),
        credentials: credentials(),
        secrets: [("webhook_secret".to_owned(), SECRET.to_owned())].into(),
        ..NewSubscription::default()
    }
}

fn held() -> ExistingSubscription {
    ExistingSubscription {
        id: "sub_1".to_owned(),
        endpoint_url: URL.to_owned(),
        external_id: "42".to_owned(),
        parameters: map(json!({"repository": "acme/site", "events": ["push"]})),
        properties: map(json!({"repository": "acme/site", "ours_since_ms": 5})),
        secrets: [("webhook_secret".to_owned(), "kept".to_owned())].into(),
        credentials: credentials(),
        ..ExistingSubscription::default()
    }
}

fn query(parameter: &str, search: &str, cursor: Option<&str>) -> OptionsQuery {
    OptionsQuery {
        parameter: parameter.to_owned(),
        search: search.to_owned(),
        cursor: cursor.map(str::to_owned),
        parameters: Map::new(),
        credentials: credentials(),
    }
}

fn credentials() -> Credentials {
    Credentials {
        kind: "api-key".to_owned(),
        values: [("base_url".to_owned(), "https://github.com".to_owned())].into(),
    }
}

fn map(value: Value) -> Map {
    serde_json::from_value(value).unwrap()
}
