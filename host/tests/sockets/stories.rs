//! What works.

use serde_json::json;

use crate::harness::text;
use crate::server::{Order, Server, until};
use crate::{arguments, document, messages, options, scripts, start};

#[tokio::test]
async fn messages_become_jobs_and_what_is_said_first_is_said() {
    let server = Server::start().await;
    let host = start(options(None)).await;
    scripts(&host);
    let socket = format!(
        "{{url: '{}/feed?key=canary-77', headers: {{X-Client: triggerd}}, \
         secret_headers: {{Authorization: Bearer canary-88}}, \
         initial_messages: [{{message: {{op: subscribe, to: [1, null]}}}}, {{message: plain}}, \
         {{runnable: f/t/hello}}], \
         heartbeat: {{message: 'beat {{{{state}}}}', every: 1s, state: s}}, allow: [127.0.0.0/8]}}",
        server.url
    );
    host.apply(&document(&socket));
    let connection = server.connection(1).await;
    assert_eq!(connection.target, "/feed?key=canary-77");
    assert_eq!(connection.header("x-client"), Some("triggerd"));
    assert_eq!(connection.header("authorization"), Some("Bearer canary-88"));
    until("what is said first", || {
        (connection.received().len() >= 3).then_some(())
    })
    .await;
    let first = [
        "{\"op\":\"subscribe\",\"to\":[1,null]}",
        "plain",
        "hello from a runnable",
    ];
    assert_eq!(connection.received()[..3], first);

    connection.say(r#"{"s": 41, "x": "a"}"#);
    connection.say("no JSON");
    connection.tell(Order::Binary(vec![0, 159, 146, 150]));
    host.until("three jobs", async || {
        (messages(&host).await.len() == 3).then_some(())
    })
    .await;
    let all = arguments(&host).await;
    let trigger_of = |message: &str| {
        let found = all.iter().find(|one| one["msg"] == message);
        found.unwrap_or_else(|| panic!("{message}: {all:?}"))["trigger"].clone()
    };
    let url = format!("{}/feed", server.url);
    let of_text = json!({"kind": "websocket", "websocket": {"url": url}});
    assert_eq!(trigger_of(r#"{"s": 41, "x": "a"}"#), of_text);
    assert_eq!(trigger_of("no JSON"), of_text);
    let of_bytes = trigger_of("AJ+Slg==");
    assert_eq!(of_bytes["websocket"]["encoding"], "base64");
    until("a heartbeat with the state", || {
        connection
            .received()
            .contains(&"beat 41".to_owned())
            .then_some(())
    })
    .await;

    let requests = host.items("requests").await;
    assert_eq!(requests.len(), 3, "each message stands in the log");
    assert!(requests.iter().all(|one| one["outcome"] == "accepted"));
    let shown = host.cli_ok(&["subscriptions", "show", "feed", "--json"]);
    assert!(
        !shown.contains("canary-88") && !host.log().contains("canary"),
        "{shown}"
    );
    for list in ["requests", "events", "jobs"] {
        let shown = serde_json::to_string(&host.items(list).await).expect("JSON");
        assert!(!shown.contains("canary"), "{list}: {shown}");
    }
}

#[tokio::test]
async fn only_messages_that_a_trigger_wants_fire_it() {
    let server = Server::start().await;
    let host = start(options(None)).await;
    scripts(&host);
    let socket = format!("{{url: '{}', allow: [127.0.0.0/8]}}", server.url);
    let wanted = "runnable: f/t/echo, parameters: {filters: {all_of: [{key: type, value: trade}], \
                  none_of: [{path: /data/symbol, value: TEST}]}}}";
    let document = document(&socket).replace("runnable: f/t/echo}", wanted);
    host.apply(&document);
    let connection = server.connection(1).await;
    for text in [
        r#"{"type":"quote"}"#,
        r#"{"type":"trade","data":{"symbol":"TEST"}}"#,
        "no JSON",
        r#"{"type":"trade","data":{"symbol":"A"}}"#,
    ] {
        connection.say(text);
    }
    host.until("four events", async || {
        let events = host.items("events").await;
        let done = events
            .iter()
            .filter(|one| one["state"] == "handled")
            .count();
        (done == 4).then_some(())
    })
    .await;
    let fired = messages(&host).await;
    assert_eq!(fired, [r#"{"type":"trade","data":{"symbol":"A"}}"#]);

    let path = host.path("wrong.yaml");
    std::fs::write(&path, document.replace("key: type,", "kee: type,")).expect("a file");
    let refused = host.cli(&["apply", "-f", path.to_str().expect("a path")]);
    let said = crate::harness::text(&refused.stderr);
    assert!(
        !refused.status.success() && said.contains("filters"),
        "{said}"
    );
}

#[tokio::test]
async fn results_go_back_if_asked_for_and_the_address_may_come_from_a_runnable() {
    let server = Server::start().await;
    let host = start(options(None)).await;
    scripts(&host);
    host.script(
        "hello.sh",
        &format!("printf '\"{}/from-a-runnable\"'", server.url),
    );
    host.script(
        "echo.sh",
        "case $(cat) in *null*) printf null;; *fail*) echo no >&2; exit 1;; *) printf '{\"ok\":true}';; esac",
    );
    let socket =
        "{url: {runnable: f/t/hello}, reply: {results: true, errors: true}, allow: [127.0.0.0/8]}";
    let document = document(socket).replace(
        "{path: f/t/echo, command: {argv: [./echo.sh]}}",
        "{path: f/t/echo, command: {argv: [./echo.sh]}, retry: {attempts_max: 1}}",
    );
    host.apply(&document);
    let connection = server.connection(1).await;
    assert_eq!(connection.target, "/from-a-runnable");
    for text in ["null", "please", "fail"] {
        connection.say(text);
    }
    until("a result and an error", || {
        (connection.received().len() == 2).then_some(())
    })
    .await;
    let received = connection.received();
    assert!(
        received.contains(&r#"{"ok":true}"#.to_owned()),
        "{received:?}"
    );
    assert!(
        received.iter().any(|one| one.starts_with(r#"{"error":"#)),
        "{received:?}"
    );
}

#[tokio::test]
async fn secrets_come_by_reference_and_runnables_get_their_arguments() {
    let server = Server::start().await;
    let host = start(options(None)).await;
    scripts(&host);
    std::fs::write(host.path("token"), "canary-66\n").expect("a file");
    host.script(
        "hello.sh",
        &format!(
            "printf '\"{}/%s\"' \"$(sed -E 's/.*\"room\":\"([^\"]*)\".*/\\1/')\"",
            server.url
        ),
    );
    let socket = "{url: {runnable: f/t/hello, arguments: {room: blue}}, \
                  secret_headers: {Authorization: 'file:token'}, \
                  initial_messages: [{runnable: f/t/echo, arguments: {say: [1, x]}}], allow: [127.0.0.0/8]}";
    host.apply(&document(socket));
    let connection = server.connection(1).await;
    assert_eq!(connection.target, "/blue");
    assert_eq!(connection.header("authorization"), Some("canary-66"));
    until("what the runnable says", || {
        (connection.received() == [r#"{"say":[1,"x"]}"#]).then_some(())
    })
    .await;
}

#[tokio::test]
async fn errors_go_back_only_if_asked_for_and_nothing_if_nothing_is() {
    let server = Server::start().await;
    let host = start(options(None)).await;
    scripts(&host);
    host.script(
        "echo.sh",
        "case $(cat) in *fail*) exit 1;; *) printf 1;; esac",
    );
    let once = "{path: f/t/echo, command: {argv: [./echo.sh]}, retry: {attempts_max: 1}}";
    for (number, (reply, received)) in [("{results: true}", vec!["1"]), ("{errors: false}", vec![])]
        .into_iter()
        .enumerate()
    {
        let socket = format!(
            "{{url: '{}', reply: {reply}, allow: [127.0.0.0/8]}}",
            server.url
        );
        let document = document(&socket);
        host.apply(&document.replace("{path: f/t/echo, command: {argv: [./echo.sh]}}", once));
        let connection = server.connection(number + 1).await;
        connection.say("fail");
        host.until("the failure", async || {
            let dead = host.items("jobs?state=dead").await;
            (dead.len() == number + 1).then_some(())
        })
        .await;
        connection.say("please");
        host.until("the result", async || {
            let done = host.items("jobs?state=done").await;
            (done.len() == number + 1).then_some(())
        })
        .await;
        if !received.is_empty() {
            until("what goes back", || {
                (!connection.received().is_empty()).then_some(())
            })
            .await;
        }
        assert_eq!(connection.received(), received);
    }
}

#[tokio::test]
async fn a_paused_subscription_is_not_connected_and_a_changed_one_anew() {
    let server = Server::start().await;
    let host = start(options(None)).await;
    scripts(&host);
    let socket = format!("{{url: '{}/one', allow: [127.0.0.0/8]}}", server.url);
    host.apply(&document(&socket));
    server.connection(1).await;
    host.cli_ok(&["subscriptions", "pause", "feed"]);
    until("its end", || server.open().is_empty().then_some(())).await;
    host.cli_ok(&["subscriptions", "resume", "feed"]);
    server.connection(2).await;
    host.apply(&document(&socket.replace("/one", "/two")));
    assert_eq!(server.connection(3).await.target, "/two");
    until("the end of the one before", || {
        (server.open().len() == 1).then_some(())
    })
    .await;
    let nothing = host.path("nothing.yaml");
    std::fs::write(&nothing, "workspace: default\n").expect("a file");
    host.cli_ok(&["apply", "--prune", "-f", nothing.to_str().expect("a path")]);
    until("the last end", || server.open().is_empty().then_some(())).await;
}

#[tokio::test]
async fn what_stands_wrong_in_a_socket_is_told_with_its_place() {
    let host = start(options(None)).await;
    let wrong = "{url: 'https://x.example', headers: {Host: x, Sec-WebSocket-Key: y}, idle: soon, \
                 initial_messages: [7, {message: 1, x: 2}, {runnable: no-path}], more: 1, \
                 heartbeat: {message: x, every: 10ms}, allow: [x], message_max: 1GiB}";
    let path = host.path("wrong.yaml");
    std::fs::write(&path, document(wrong)).expect("a file");
    let refused = host.cli(&["apply", "-f", path.to_str().expect("a path"), "--json"]);
    let said = crate::harness::text(&refused.stderr) + &crate::harness::text(&refused.stdout);
    for part in [
        "`url`",
        "`Host`",
        "`Sec-WebSocket-Key`",
        "`idle`",
        "message: …",
        "`x`",
        "`runnable`",
        "`more`",
        "`every`",
        "`allow`",
        "`message_max`",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let many = vec!["{message: 1}"; 101].join(", ");
    for (wrong, expected) in [
        ("{url: 'ws://u:p@x.example'}", "without user and password"),
        (
            "{url: 'ws://x.example', headers: {X-A: \"b\\r\\nX-B: c\"}}",
            "`X-A`: expected a header's value",
        ),
        (
            "{url: 'ws://x.example', secret_headers: {X-A: \"b\\nX-B: c\"}}",
            "`X-A`: expected a header's value",
        ),
        (
            &format!("{{url: 'ws://x.example', initial_messages: [{many}]}}"),
            "expected at most 100",
        ),
    ] {
        std::fs::write(&path, document(wrong)).expect("a file");
        let refused = host.cli(&["apply", "-f", path.to_str().expect("a path")]);
        assert!(!refused.status.success(), "{wrong}");
        let said = crate::harness::text(&refused.stderr);
        assert!(said.contains(expected), "{wrong}: {said}");
    }
}

#[tokio::test]
async fn what_a_connection_asks_is_there_when_it_is_saved_and_stays() {
    let host = start(options(None)).await;
    scripts(&host);
    let asks = |url: &str, first: &str| {
        document(&format!(
            "{{url: {{runnable: {url}}}, initial_messages: [{{message: plain}}, {{runnable: {first}}}]}}"
        ))
    };
    let path = host.path("feed.yaml");
    std::fs::write(&path, asks("f/t/hello", "f/t/nobody")).expect("a document");
    let refused = host.cli(&["apply", "-f", path.to_str().expect("a path")]);
    assert!(!refused.status.success());
    let said = text(&refused.stderr);
    assert!(
        said.contains("feed.yaml:9:") && said.contains("there is no runnable `f/t/nobody`"),
        "{said}"
    );

    host.apply(&asks("f/t/hello", "f/t/echo"));
    let path = "/api/v1/workspaces/default/runnables/f%2Ft%2Fhello";
    let kept = host.request(reqwest::Method::DELETE, path).send().await;
    let kept = kept.expect("an answer");
    assert_eq!(kept.status(), 409);
    let said = kept.text().await.expect("a body");
    assert!(said.contains("connections (feed)"), "{said}");
}
