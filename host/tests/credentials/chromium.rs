//! A real browser, driven by the DevTools protocol over two pipes: what it is sent is what a person's
//! would be sent, and what it shows is what a person would see.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// Nothing here takes longer, however busy the machine is.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// One page of a browser with a profile of its own; both end with this.
pub struct Chromium {
    child: Child,
    to: ChildStdin,
    from: Receiver<Value>,
    calls: u64,
    session: Option<String>,
    /// What the page's console and the browser complained of.
    pub complaints: Vec<String>,
    _profile: tempfile::TempDir,
}

impl Chromium {
    pub fn start() -> Chromium {
        let profile = tempfile::tempdir().expect("a folder");
        let folder = format!("--user-data-dir={}", profile.path().display());
        // Messages go over the descriptors 3 and 4.
        let script = "exec chromium \"$@\" 3<&0 4>&1 </dev/null >/dev/null 2>&1";
        let mut child = Command::new("sh")
            .args(["-c", script, "chromium", "--headless", "--no-sandbox"])
            .args(["--remote-debugging-pipe", "--disable-gpu", "--no-first-run"])
            .args(["--disable-dev-shm-usage", "--disable-background-networking"])
            .args([
                "--disable-component-update",
                "--disable-sync",
                "--disable-extensions",
            ])
            // Whatever it has in mind beside what is tested stays on this machine.
            .arg("--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1")
            .args([folder.as_str(), "about:blank"])
            .env("HOME", profile.path())
            .env("TMPDIR", profile.path())
            .env_remove("XDG_CONFIG_HOME")
            .env_remove("XDG_CACHE_HOME")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a shell");
        let to = child.stdin.take().expect("piped");
        let mut out = BufReader::new(child.stdout.take().expect("piped"));
        let (told, from) = channel();
        std::thread::spawn(move || {
            let mut message = Vec::new();
            while out
                .read_until(0, &mut message)
                .is_ok_and(|length| length > 0)
            {
                message.pop();
                let read = serde_json::from_slice(&message);
                if told.send(read.expect("the protocol is JSON")).is_err() {
                    return;
                }
                message.clear();
            }
        });
        let mut chromium = Chromium {
            child,
            to,
            from,
            calls: 0,
            session: None,
            complaints: Vec::new(),
            _profile: profile,
        };
        let page = chromium.call("Target.createTarget", json!({"url": "about:blank"}));
        let attach = json!({"targetId": page["targetId"], "flatten": true});
        let attached = chromium.call("Target.attachToTarget", attach);
        chromium.session = attached["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Runtime", "Log", "Network"] {
            chromium.call(&format!("{domain}.enable"), json!({}));
        }
        chromium
    }

    /// Asks the browser; what happens meanwhile is noted.
    pub fn call(&mut self, method: &str, params: Value) -> Value {
        let answer = self.ask(method, params);
        let error = &answer["error"];
        assert!(error.is_null(), "{method}: {error}");
        answer["result"].clone()
    }

    fn ask(&mut self, method: &str, params: Value) -> Value {
        self.calls += 1;
        let mut message = json!({"id": self.calls, "method": method, "params": params});
        if let Some(session) = &self.session {
            message["sessionId"] = session.as_str().into();
        }
        let mut bytes = message.to_string().into_bytes();
        bytes.push(0);
        let sent = self.to.write_all(&bytes).and_then(|()| self.to.flush());
        sent.expect("chromium is not there: `make deps-test` installs it");
        loop {
            let message = self.hear(PATIENCE).expect("chromium hangs");
            if message["id"] == self.calls {
                return message;
            }
        }
    }

    fn hear(&mut self, patience: Duration) -> Option<Value> {
        let message = match self.from.recv_timeout(patience) {
            Ok(message) => message,
            Err(RecvTimeoutError::Timeout) => return None,
            Err(RecvTimeoutError::Disconnected) => {
                panic!("chromium is not there: `make deps-test` installs it")
            }
        };
        if message["method"] == "Log.entryAdded" {
            let entry = &message["params"]["entry"];
            if entry["level"] == "error" || entry["source"] == "security" {
                let text = format!("{} {}", entry["text"], entry["url"]);
                self.complaints.push(text);
            }
        }
        Some(message)
    }

    /// Goes where a person's address bar would.
    pub fn open(&mut self, url: &str) {
        self.call("Page.navigate", json!({"url": url}));
        self.until("document.readyState === 'complete' && location.href !== 'about:blank'");
    }

    /// Until this is so on the page that is shown then.
    pub fn until(&mut self, expression: &str) {
        let end = Instant::now() + PATIENCE;
        while self.asked(expression) != Some(json!(true)) {
            assert!(Instant::now() < end, "it never becomes so: {expression}");
            // A page comes, a frame ends, a file is read; what was said of it may have been heard
            // while something else was asked.
            self.hear(LOOK_AGAIN);
        }
    }

    /// The value of an expression on the page.
    pub fn value(&mut self, expression: &str) -> Value {
        self.asked(expression).expect("a page that stays")
    }

    /// None: the page goes away at this moment.
    fn asked(&mut self, expression: &str) -> Option<Value> {
        let params = json!({"expression": expression, "returnByValue": true});
        let answer = self.ask("Runtime.evaluate", params);
        let result = answer.get("result")?;
        assert!(
            result["exceptionDetails"].is_null(),
            "{expression}: {result}"
        );
        result["result"].get("value").cloned()
    }

    /// What a person reads.
    pub fn text(&mut self) -> String {
        let text = self.value("document.body.innerText");
        text.as_str().expect("a text").to_owned()
    }

    /// Presses the mouse where this element is seen.
    pub fn click(&mut self, selector: &str) {
        let place = self.value(&format!(
            "(() => {{ const r = document.querySelector('{selector}').getBoundingClientRect(); \
             return {{x: r.x + r.width / 2, y: r.y + r.height / 2}} }})()"
        ));
        for kind in ["mousePressed", "mouseReleased"] {
            let mut event = json!({"type": kind, "button": "left", "clickCount": 1});
            event["x"] = place["x"].clone();
            event["y"] = place["y"].clone();
            self.call("Input.dispatchMouseEvent", event);
        }
    }

    /// The names of the cookies that are kept for this address.
    pub fn cookies(&mut self, url: &str) -> Vec<Value> {
        let kept = self.call("Network.getCookies", json!({"urls": [url]}));
        kept["cookies"].as_array().cloned().unwrap_or_default()
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        // All its processes end, so that none writes into the profile while that is removed; it may
        // be gone already.
        let _ = self
            .to
            .write_all(b"{\"id\":0,\"method\":\"Browser.close\"}\0");
        while self.from.recv_timeout(PATIENCE).is_ok() {}
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
