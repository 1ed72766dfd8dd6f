//! A whole host: `triggerd connect` on the command line, a browser, a service; and nothing secret in
//! its log, its answers and its files.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use reqwest::header::{COOKIE, LOCATION, SET_COOKIE};
use serde_json::{Value, json};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};

use crate::authority::{Authority, CLIENT_ID, CLIENT_SECRET};
use crate::harness::{Host, Options, client, place, target, text};

const DECLARATION: &str = "
identity: {name: acme, author: us, label: Acme, description: A service.}
subscription_constructor:
  parameters: []
  credentials_schema:
  - {name: access_token, type: secret-input, required: true, label: Token}
extra:
  native:
    base_url: https://acme.example
    oauth:
      authorize_url: /authorize
      token_url: /token
      revoke_url: /revoke
      scopes: [repo]
      pkce: S256
";

/// A host with the provider `acme`, whose shared client is one of the authority.
pub async fn host(authority: &Authority) -> Host {
    host_with(authority, Vec::new()).await
}

/// With these settings.
async fn host_with(authority: &Authority, variables: Vec<(String, String)>) -> Host {
    let mut options = Options {
        no_plugins: true,
        variables,
        ..Options::default()
    };
    let secret = ("ACME_SECRET".to_owned(), CLIENT_SECRET.to_owned());
    options.variables.push(secret);
    options
        .variables
        .push(("TRIGGERD_LOG_FILTER".to_owned(), "debug".to_owned()));
    let host = Host::start_with(options).await;
    let library = target().join("libprovider_declared.so");
    assert!(library.exists(), "{} is not built", library.display());
    place(&library, &host.path("plugins/libprovider_declared.so"));
    fs::write(host.path("plugins/acme.provider.yaml"), DECLARATION).expect("written");
    let url = &authority.url;
    let manifest = format!(
        "provider: acme\ndeclaration: acme.provider.yaml\n\
         oauth_client: {{client_id: {CLIENT_ID}, client_secret: '${{ACME_SECRET}}', shared: true}}\n\
         oauth: {{authorize_url: '{url}/authorize', token_url: '{url}/token', revoke_url: '{url}/revoke'}}\n\
         permissions: {{allow: [127.0.0.0/8]}}\n"
    );
    fs::write(host.path("manifests/acme.yaml"), manifest).expect("written");
    until_loaded(&host, "acme").await;
    host
}

async fn until_loaded(host: &Host, provider: &str) {
    host.until(&format!("the provider {provider}"), async || {
        let list = host.get("/api/v1/providers").await;
        let rows = list["items"].as_array()?;
        let is_loaded = |row: &&Value| row["name"] == provider && row["state"] == "loaded";
        rows.iter().find(is_loaded).map(|_| ())
    })
    .await;
}

/// What stands before a host and leads to where it is now, as a proxy does.
struct Front {
    url: String,
    leads_to: Arc<Mutex<String>>,
}

impl Front {
    async fn start() -> Front {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let leads_to = Arc::new(Mutex::new(String::new()));
        let target = Arc::clone(&leads_to);
        tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let address = target.lock().expect("no panic").clone();
                tokio::spawn(async move {
                    if let Ok(mut far) = TcpStream::connect(address).await {
                        let _ = copy_bidirectional(&mut near, &mut far).await;
                    }
                });
            }
        });
        Front { url, leads_to }
    }

    fn lead_to(&self, host: &Host) {
        let address = host.url.trim_start_matches("http://").to_owned();
        *self.leads_to.lock().expect("no panic") = address;
    }
}

/// The command, and the address that it prints.
pub fn connect(host: &Host, name: &str) -> (Child, String) {
    connect_at(&host.url, host, name)
}

fn connect_at(url: &str, host: &Host, name: &str) -> (Child, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_triggerd"))
        .args(["connect", "acme", "--name", name, "--json"])
        .env_clear()
        .env("TRIGGERD_URL", url)
        .env("TRIGGERD_TOKEN", &host.token)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the client runs");
    let mut url = String::new();
    let errors = child.stderr.take().expect("piped");
    BufReader::new(errors)
        .read_line(&mut url)
        .expect("an address");
    (child, url.trim().to_owned())
}

pub fn ended(mut child: Child) -> (bool, String) {
    let mut printed = String::new();
    let mut out = child.stdout.take().expect("piped");
    out.read_to_string(&mut printed).expect("printed");
    (child.wait().expect("it ends").success(), printed)
}

/// A person reads the page and agrees: the cookie, and where the browser goes.
async fn set_out(url: &str) -> (String, String) {
    let asked = client().get(url).send().await.expect("our page");
    assert_eq!(asked.status(), 200, "{url}");
    assert!(asked.headers().get(SET_COOKIE).is_none());
    let agreed = client().post(url).send().await.expect("our page");
    let header = |name: &str| agreed.headers()[name].to_str().expect("text").to_owned();
    let (cookie, leads) = (header("set-cookie"), header("refresh"));
    let cookie = cookie.split(';').next().expect("a pair").to_owned();
    let service = leads.strip_prefix("0; url=\"").expect("an address");
    (cookie, service.trim_end_matches('"').to_owned())
}

/// What the browser saw: the pages' texts and everything that it was sent.
async fn browse(url: &str) -> (u16, String) {
    let (cookie, service) = set_out(url).await;
    let agreed = client().get(service).send().await.expect("the service");
    let back = agreed.headers()[LOCATION]
        .to_str()
        .expect("an address")
        .to_owned();
    let stranger = client().get(&back).send().await.expect("our page");
    assert_eq!(stranger.status(), 400, "another browser ends nothing");
    let arrived = client().get(&back).header(COOKIE, cookie).send().await;
    let arrived = arrived.expect("our page");
    let status = arrived.status().as_u16();
    (status, arrived.text().await.expect("a page"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_is_connected_from_the_command_line_and_nothing_secret_is_left_anywhere() {
    let authority = Authority::start().await;
    let host = host(&authority).await;
    let (child, url) = connect(&host, "me");
    assert!(
        url.starts_with(&format!("{}/oauth/start/", host.url)),
        "{url}"
    );
    let (status, page) = browse(&url).await;
    assert_eq!(status, 200, "{page}");
    assert!(page.contains("acme is connected"), "{page}");
    let (success, printed) = ended(child);
    assert!(success, "{}", host.log());
    let credential: Value = serde_json::from_str(&printed).expect("one document");
    assert_eq!(credential["integration"], "shared");
    assert_eq!(credential["state"], "active");
    assert_eq!(authority.book().complaints, Vec::<String>::new());

    let shown = host.cli_ok(&["credentials", "show", "me"]);
    assert!(shown.contains("gist, repo"), "{shown}");
    let listed = host.cli_ok(&["credentials"]);
    let integrations = host.cli_ok(&["integrations", "--json"]);
    assert!(integrations.contains("\"shared\": true"), "{integrations}");
    let rotated = host
        .request(reqwest::Method::POST, "/api/v1/keys/rotate")
        .send()
        .await;
    assert_eq!(rotated.expect("an answer").status(), 200);
    let deleted = host.cli_ok(&["credentials", "delete", "me"]);
    assert!(deleted.contains("given back"), "{deleted}");
    assert_eq!(authority.book().revoked.len(), 1);

    let audit = host.get("/api/v1/workspaces/default/audit").await;
    let mut secrets = authority.book().given.clone();
    secrets.push(CLIENT_SECRET.to_owned());
    let told = [
        page,
        printed,
        shown,
        listed,
        integrations,
        audit.to_string(),
        host.log(),
    ];
    for secret in &secrets {
        assert!(!told.iter().any(|text| text.contains(secret)), "{secret}");
    }
    let files = fs::read_dir(host.path("data"))
        .expect("the data folder")
        .flatten();
    for file in files.filter(|file| file.path().is_file()) {
        let bytes = fs::read(file.path()).expect("a file");
        for secret in &secrets {
            let holds = bytes
                .windows(secret.len())
                .any(|window| window == secret.as_bytes());
            assert!(!holds, "{} holds {secret}", file.path().display());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_is_connected_although_the_host_started_anew_meanwhile() {
    let authority = Authority::start().await;
    let front = Front::start().await;
    let public = ("TRIGGERD_PUBLIC_URL".to_owned(), front.url.clone());
    let mut host = host_with(&authority, vec![public]).await;
    front.lead_to(&host);
    let (child, url) = connect_at(&front.url, &host, "me");
    host.kill();
    host.resume().await;
    front.lead_to(&host);
    let (status, page) = browse(&url).await;
    assert_eq!(status, 200, "{page}");
    let (success, printed) = ended(child);
    assert!(success, "{}", host.log());
    let credential: Value = serde_json::from_str(&printed).expect("one document");
    assert_eq!(credential["state"], "active", "{printed}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_would_connect_a_provider_of_keys_is_told_how_a_key_is_given() {
    let authority = Authority::start().await;
    let host = host(&authority).await;
    let (before, _) = DECLARATION
        .split_once("    oauth:")
        .expect("it is declared");
    let declaration = before.replace("acme", "plain");
    fs::write(host.path("plugins/plain.provider.yaml"), declaration).expect("written");
    let manifest = "provider: plain\ndeclaration: plain.provider.yaml\n";
    fs::write(host.path("manifests/plain.yaml"), manifest).expect("written");
    until_loaded(&host, "plain").await;
    let refused = host.cli(&["connect", "plain"]);
    assert!(!refused.status.success());
    let told = text(&refused.stderr);
    for words in [
        "not connected in a browser",
        "credentials: [{name: my-plain",
        "access_token",
    ] {
        assert!(told.contains(words), "{told}");
    }
    // As it is told, it works.
    let path = host.path("key.yaml");
    let key =
        "credentials: [{name: my-plain, provider: plain, values: {access_token: canary-key}}]\n";
    fs::write(&path, key).expect("written");
    host.cli_ok(&["apply", "-f", path.to_str().expect("a path")]);
    let shown = host.cli_ok(&["credentials"]);
    assert!(
        shown.contains("my-plain") && shown.contains("api-key"),
        "{shown}"
    );
    assert!(!shown.contains("canary-key") && !host.log().contains("canary-key"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_connected_is_said_in_the_words_of_flags() {
    let authority = Authority::start().await;
    let host = host(&authority).await;
    let refused = host.cli(&["connect", "acme", "--integration", "nope"]);
    let told = text(&refused.stderr);
    assert!(
        told.contains("there is no integration `nope` of `acme`"),
        "{told}"
    );
    assert!(told.contains("--integration shared"), "{told}");
    assert!(!told.contains("(/integration)"), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_at_the_service_is_what_the_command_ends_with() {
    let authority = Authority::start().await;
    let host = host(&authority).await;
    let (child, url) = connect(&host, "me");
    let (cookie, service) = set_out(&url).await;
    let service = url::Url::parse(&service).expect("an address");
    let mut pairs = service.query_pairs();
    let (_, state) = pairs.find(|(name, _)| name == "state").expect("a state");
    let back = format!(
        "{}/oauth/callback?error=access_denied&state={state}",
        host.url
    );
    let page = client()
        .get(back)
        .header(COOKIE, cookie)
        .send()
        .await
        .expect("our page");
    assert_eq!(page.status(), 409);
    let page = page.text().await.expect("a page");
    assert!(page.contains("access_denied"), "{page}");
    let (success, printed) = ended(child);
    assert!(!success && printed.is_empty(), "{printed}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn accounts_of_a_document_are_applied_with_references_and_pruned() {
    let authority = Authority::start().await;
    let host = host(&authority).await;
    let path = host.path("accounts.yaml");
    fs::write(host.path("token"), "canary-token\n").expect("written");
    let document = "
integrations:
- {name: cloud, provider: acme, base_url: 'https://cloud.acme.example/', client: {client_id: me, client_secret: 'file:token'}}
credentials:
- {name: ci, provider: acme, integration: cloud, values: {access_token: 'file:token'}}
";
    fs::write(&path, document).expect("written");
    let file = path.to_str().expect("a path");
    let applied = host.cli_ok(&["apply", "-f", file]);
    assert!(applied.contains("2 created"), "{applied}");
    let again = host.cli_ok(&["apply", "-f", file]);
    assert!(again.contains("2 unchanged"), "{again}");
    let shown = host
        .get("/api/v1/workspaces/default/integrations/cloud")
        .await;
    assert_eq!(shown["base_url"], "https://cloud.acme.example");
    fs::write(&path, "integrations: []\ncredentials: []\n").expect("written");
    let pruned = host.cli_ok(&["apply", "-f", file, "--prune", "--json"]);
    let pruned: Value = serde_json::from_str(&pruned).expect("JSON");
    assert_eq!(pruned["credentials"][0]["action"], json!("deleted"));
    let refused = host.cli(&["credentials", "show", "ci"]);
    assert!(!refused.status.success());
    assert!(text(&refused.stderr).contains("there is no credential `ci`"));
    assert!(!host.log().contains("canary-token"));
}
