//! The pages in a real Chromium, of the size of a phone. Needs Debian's packages `chromium` and
//! `chromium-driver`:
//!
//! ```text
//! cargo test --workspace --test service browser -- --ignored
//! ```

use std::{collections::BTreeMap, path::Path, process::Stdio, time::Duration};

use axum::http::Method;
use fantoccini::{
    Client, ClientBuilder, Locator,
    elements::Element,
    wd::{Capabilities, WebDriverCompatibleCommand},
};
use hyper_util::client::legacy::connect::HttpConnector;
use identity_service::{AppState, app};
use serde_json::{Value, json};
use shared_http::{metrics::Registry, telemetry::Telemetry, testing::Server};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    task::LocalSet,
    time::{Instant, sleep, timeout},
};
use url::{ParseError, Url};

use crate::api::config;

const INSTALL: &str = "Chromium or its driver is missing or too old. On Debian and Ubuntu: \
                       sudo apt install chromium chromium-driver";

/// Bounds every wait. Generous, for the machine may be busy compiling.
const AT_MOST: Duration = Duration::from_secs(60);

#[tokio::test]
#[ignore = "needs chromium and chromedriver; .ci/run runs it"]
async fn a_demo_user_logs_in_through_docs_and_asks_who_it_is() {
    in_browser(async |page| {
        page.open("/docs").await;

        page.click("#operations-auth-login .opblock-summary-control").await;
        let example = page.find("#operations-auth-login textarea").await.prop("value").await;
        let example: Value = serde_json::from_str(&example.expect("a value").expect("some")).expect("JSON");
        assert_eq!(
            example,
            json!({"username": "panitia1", "password": "secret", "remember": false}),
            "what is sent as it stands"
        );
        let (status, answer) = page.execute("#operations-auth-login").await;
        assert_eq!(status, "200", "{answer}");
        let token = answer["access_token"].as_str().expect("a token");

        page.click(".auth-wrapper .authorize").await;
        page.find("#auth-bearer-value").await.send_keys(token).await.expect("typed");
        page.click(".auth-btn-wrapper [type=submit]").await;
        page.click(".auth-btn-wrapper .btn-done").await;

        page.click("#operations-auth-me .opblock-summary-control").await;
        let (status, answer) = page.execute("#operations-auth-me").await;
        assert_eq!((status.as_str(), answer), ("200", json!({"username": "panitia1", "role": "committee"})));

        page.fits_the_screen().await;
        page.asked_only_this_server_for(&["/docs", "/openapi.json", "/auth/login", "/auth/me"]).await;
    })
    .await;
}

#[tokio::test]
#[ignore = "needs chromium and chromedriver; .ci/run runs it"]
async fn the_landing_page_leads_to_docs_and_to_redoc_which_shows_every_operation() {
    in_browser(async |page| {
        for (link, shows) in
            [("/docs", "#operations-auth-login"), ("/redoc", "#tag\\/service\\/operation\\/health")]
        {
            page.open("/").await;
            assert_eq!(page.text("h1").await, "identity-service");
            assert!(page.text("section").await.contains("panitia1"));
            page.fits_the_screen().await;
            page.click(&format!("nav a[href='{link}']")).await;
            page.find(shows).await;
        }
        assert!(page.text("h1").await.starts_with("TixGo identity-service"));
        let shown = page.text("redoc, .redoc-wrap").await;
        for operation in
            ["Log in", "Who the token belongs to", "Register a user", "Whether the process is up"]
        {
            assert!(shown.contains(operation), "{operation} is not in: {shown}");
        }
        page.fits_the_screen().await;
        let asked = ["/", "/docs", "/redoc", "/redoc/redoc.standalone.js", "/openapi.json"];
        page.asked_only_this_server_for(&asked).await;
    })
    .await;
}

/// Runs `test` in a browser of its own on a service of its own, and ends both, whatever became of it.
async fn in_browser(test: impl AsyncFnOnce(&Page) + 'static) {
    let config = config("memory:", &[]);
    let state = AppState::open(&config, &mut Registry::default()).await.expect("a store");
    let app = app(state, &config, Telemetry::default());
    let server = Server::start(app, config.http.limits).await;

    let home = tempfile::tempdir().expect("a directory");
    let (mut driver, port) = start_driver(home.path()).await;
    let client = ClientBuilder::new(HttpConnector::new())
        .capabilities(capabilities(home.path()))
        .connect(&format!("http://127.0.0.1:{port}"))
        .await
        .unwrap_or_else(|error| panic!("{INSTALL}\n{error}"));
    let page = Page { client: client.clone(), origin: format!("http://{}", server.address) };

    // As a task, so that a panic comes back here and Chromium is told to go all the same.
    let run = async { tokio::task::spawn_local(async move { test(&page).await }).await };
    let outcome = LocalSet::new().run_until(run).await;
    client.close().await.expect("Chromium ends");
    driver.kill().await.expect("chromedriver ends");
    remove(home).await;
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic.into_panic());
    }
}

/// Starts chromedriver on a free port of its choice. All that it and Chromium write goes to `home`.
async fn start_driver(home: &Path) -> (Child, u16) {
    let mut driver = Command::new("chromedriver")
        .arg("--port=0")
        .env("HOME", home)
        .env("TMPDIR", home)
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap_or_else(|error| panic!("{INSTALL}\nchromedriver: {error}"));
    let mut lines = BufReader::new(driver.stdout.take().expect("piped")).lines();
    let port = timeout(AT_MOST, async {
        while let Some(line) = lines.next_line().await.expect("UTF-8") {
            let port = line.split_once("successfully on port ").map(|(_, port)| port.trim_end_matches('.'));
            if let Some(port) = port {
                return port.parse().expect("a port");
            }
        }
        panic!("{INSTALL}\nchromedriver ended before it listened");
    });
    let port = port.await.expect("chromedriver listens in time");
    (driver, port)
}

fn capabilities(home: &Path) -> Capabilities {
    let profile = format!("--user-data-dir={}", home.join("profile").display());
    let capabilities = json!({
        "goog:chromeOptions": {
            "args": [
                "--headless",
                profile,
                // Root, as whom containers run, has no sandbox, and containers have little /dev/shm.
                "--no-sandbox",
                "--disable-dev-shm-usage",
                // Whatever Chromium itself would like to fetch: nothing leaves this machine.
                "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
            ],
            "mobileEmulation": {"deviceMetrics": {"width": 390, "height": 844, "pixelRatio": 2.0}},
        },
        "goog:loggingPrefs": {"browser": "SEVERE", "performance": "ALL"},
    });
    serde_json::from_value(capabilities).expect("an object")
}

/// Chromium's last processes may still be writing while the directory is being removed.
async fn remove(home: TempDir) {
    let path = home.keep();
    let removed = timeout(AT_MOST, async {
        while std::fs::remove_dir_all(&path).is_err() {
            sleep(Duration::from_millis(50)).await;
        }
    });
    removed.await.expect("the profile can be removed");
}

struct Page {
    client: Client,
    origin: String,
}

impl Page {
    async fn open(&self, path: &str) {
        self.client.goto(&format!("{}{path}", self.origin)).await.expect("the page loads");
    }

    async fn find(&self, css: &str) -> Element {
        let found = self.client.wait().at_most(AT_MOST).for_element(Locator::Css(css)).await;
        found.unwrap_or_else(|error| panic!("{css}: {error}"))
    }

    async fn text(&self, css: &str) -> String {
        self.find(css).await.text().await.expect("text")
    }

    /// Clicks as soon as that can be done: an element may be there and still move, or be covered.
    async fn click(&self, css: &str) {
        let deadline = Instant::now() + AT_MOST;
        while let Err(error) = self.find(css).await.click().await {
            assert!(Instant::now() < deadline, "{css} cannot be clicked: {error}");
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Sends the request of an open operation; status and body of the answer, as Swagger UI shows them.
    async fn execute(&self, operation: &str) -> (String, Value) {
        self.click(&format!("{operation} .execute")).await;
        let answer = format!("{operation} .live-responses-table .response");
        let body = self.text(&format!("{answer} .highlight-code code")).await;
        let status = self.text(&format!("{answer} .response-col_status")).await;
        (status, serde_json::from_str(&body).unwrap_or_else(|error| panic!("{error}: {body}")))
    }

    async fn fits_the_screen(&self) {
        let script = "return [document.documentElement.scrollWidth, window.innerWidth]";
        let widths = self.client.execute(script, vec![]).await.expect("widths");
        assert_eq!(widths, json!([390, 390]), "width of the page, and of the screen");
    }

    /// What the browser asked for until now: all of `paths`, and nothing of another host. The console
    /// shows no error, and no violation of a page's policy is one.
    async fn asked_only_this_server_for(&self, paths: &[&str]) {
        let mut asked = BTreeMap::new();
        for entry in self.log("performance").await {
            let event: Value = serde_json::from_str(&entry).expect("JSON");
            let event = &event["message"];
            let id = event["params"]["requestId"].to_string();
            if event["method"] == "Network.requestWillBeSent" {
                asked.insert(id, event["params"]["request"]["url"].as_str().expect("a URL").to_owned());
            }
        }
        let asked: Vec<_> = asked.into_values().filter(|url| url.starts_with("http")).collect();
        for path in paths {
            let url = format!("{}{path}", self.origin);
            assert!(asked.contains(&url), "{url} is not in {asked:?}");
        }
        let foreign: Vec<_> = asked.iter().filter(|url| !url.starts_with(&self.origin)).collect();
        assert!(foreign.is_empty(), "asked for {foreign:?}");

        let errors = self.log("browser").await;
        assert!(errors.is_empty(), "{errors:?}");
    }

    /// The messages of one of chromedriver's logs since the last look.
    async fn log(&self, kind: &'static str) -> Vec<String> {
        let entries = self.client.issue_cmd(ReadLog(kind)).await.expect("a log");
        let entries = entries.as_array().expect("a list");
        entries.iter().map(|entry| entry["message"].as_str().expect("a message").to_owned()).collect()
    }
}

/// Chromium's own extension of WebDriver.
#[derive(Debug)]
struct ReadLog(&'static str);

impl WebDriverCompatibleCommand for ReadLog {
    fn endpoint(&self, base_url: &Url, session_id: Option<&str>) -> Result<Url, ParseError> {
        base_url.join(&format!("session/{}/se/log", session_id.unwrap_or_default()))
    }

    fn method_and_body(&self, _: &Url) -> (Method, Option<String>) {
        (Method::POST, Some(json!({ "type": self.0 }).to_string()))
    }
}
