//! The pages in a real browser: read, pressed, come back to; and out of reach of other pages.

use serde_json::{Value, json};
use tokio::task::block_in_place;

use crate::authority::Authority;
use crate::chromium::Chromium;
use crate::whole::{connect, ended, host};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_connects_an_account_in_a_browser() {
    let authority = Authority::start().await;
    let host = host(&authority).await;
    let (child, url) = connect(&host, "me");
    block_in_place(|| {
        let mut browser = Chromium::start();
        browser.open(&url);
        let asked = browser.text();
        for part in ["Connect an account", "default", "acme", "me", "repo"] {
            assert!(asked.contains(part), "{part} is missing in {asked}");
        }
        assert!(authority.book().given.is_empty(), "looking begins nothing");
        assert!(browser.cookies(&url).is_empty());
        look(&mut browser);

        browser.click("button");
        browser.until("location.pathname === '/oauth/callback' && !!document.querySelector('h1')");
        let connected = browser.text();
        assert!(connected.contains("acme is connected"), "{connected}");
        assert_eq!(browser.value("document.cookie"), "");
        let kept = browser.cookies(&host.url);
        assert!(
            kept.is_empty(),
            "its cookie is of no use any more: {kept:?}"
        );

        browser.call("Page.reload", json!({}));
        browser.until("!!document.body && document.body.innerText.includes('Not connected')");
        assert_eq!(authority.book().exchanges, 1);
        let complaints = &mut browser.complaints;
        // The browser says so of each page whose status is no good one.
        complaints.retain(|text| !text.contains("status of 400"));
        assert_eq!(*complaints, Vec::<String>::new());
    });
    let (success, printed) = ended(child);
    assert!(success, "{printed}");
    let credential: Value = serde_json::from_str(&printed).expect("one document");
    assert_eq!(credential["state"], "active");
}

/// Narrow and wide, light and dark.
fn look(browser: &mut Chromium) {
    for width in [320, 1280] {
        let size = json!({"width": width, "height": 700, "deviceScaleFactor": 1, "mobile": true});
        browser.call("Emulation.setDeviceMetricsOverride", size);
        let overflow = browser.value("document.documentElement.scrollWidth - innerWidth");
        assert!(
            overflow.as_i64().is_some_and(|by| by <= 0),
            "{width}: {overflow}"
        );
        let height = browser.value("document.querySelector('button').offsetHeight");
        assert!(
            height.as_i64().is_some_and(|height| height >= 44),
            "{height}"
        );
    }
    let mut grounds = Vec::new();
    for scheme in ["light", "dark"] {
        let feature = json!({"name": "prefers-color-scheme", "value": scheme});
        browser.call("Emulation.setEmulatedMedia", json!({"features": [feature]}));
        // Without the style, which only the policy's hash lets through, there would be none.
        let ground = browser.value("getComputedStyle(document.body).backgroundColor");
        assert_ne!(ground, "rgba(0, 0, 0, 0)", "{scheme}");
        grounds.push(ground);
    }
    assert_ne!(grounds[0], grounds[1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_other_page_shows_or_presses_the_button() {
    let authority = Authority::start().await;
    let host = host(&authority).await;
    let (mut child, url) = connect(&host, "me");
    let evil = |route: &str| format!("{}/{route}?url={url}", authority.url);
    block_in_place(|| {
        let mut browser = Chromium::start();
        browser.open(&evil("framing"));
        let tree = browser.call("Page.getFrameTree", json!({}));
        let frame = &tree["frameTree"]["childFrames"][0]["frame"];
        let shown = frame["url"].as_str().expect("a frame");
        assert!(shown.starts_with("chrome-error:"), "{shown}");
        assert!(
            browser.complaints.iter().any(|text| text.contains("frame")),
            "{:?}",
            browser.complaints
        );

        browser.open(&evil("posting"));
        browser.until("location.pathname.startsWith('/oauth/start/') && !!document.body");
        let refused = browser.text();
        assert!(refused.contains("Not connected"), "{refused}");
        assert!(browser.cookies(&url).is_empty());
    });
    assert!(authority.book().given.is_empty());
    child.kill().expect("it still waits");
    child.wait().expect("it ends");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_services_words_are_shown_as_words() {
    let authority = Authority::start().await;
    authority.book().denial = Some("<img src=x onerror=alert(1)><h2>all is well</h2>");
    let host = host(&authority).await;
    let (child, url) = connect(&host, "me");
    block_in_place(|| {
        let mut browser = Chromium::start();
        browser.open(&url);
        browser.click("button");
        browser.until("location.pathname === '/oauth/callback' && !!document.querySelector('h1')");
        let shown = browser.text();
        assert!(shown.contains("Not connected"), "{shown}");
        assert!(shown.contains("<img src=x onerror=alert(1)>"), "{shown}");
        assert_eq!(
            browser.value("document.querySelectorAll('img, h2').length"),
            0
        );
    });
    let (success, _) = ended(child);
    assert!(!success);
}
