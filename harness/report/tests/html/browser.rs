//! A real Chromium without a window, spoken to in its DevTools protocol over a pipe: JSON with a NUL behind each message. The
//! crates for this generate the whole protocol, a hundred thousand lines of it; these tests need seven calls.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

/// A browser that says nothing for so long is dead.
const LIMIT: Duration = Duration::from_secs(60);

/// What is asked of every page.
const AUDIT: &str = include_str!("audit.js");

/// A browser with one tab.
pub struct Browser {
    child: Child,
    input: ChildStdin,
    heard: Receiver<Value>,
    calls: u64,
    session: String,
    /// What happened since the page was opened.
    events: Vec<Value>,
    files: TempDir,
}

/// Where the program is, in the order in which distributions name it.
fn program() -> Option<PathBuf> {
    let paths = std::env::var_os("PATH")?;
    ["chromium", "chromium-browser", "google-chrome"].iter().find_map(|name| {
        std::env::split_paths(&paths).map(|directory| directory.join(name)).find(|path| path.is_file())
    })
}

impl Browser {
    /// A browser; none where the machine has none, which is a failure where everything must be tried.
    pub fn start() -> Option<Self> {
        let Some(program) = program() else {
            let required = std::env::var("PGDRILL_REQUIRE_DOCKER").is_ok_and(|value| value == "1")
                || std::env::var_os("CI").is_some();
            assert!(!required, "there is no chromium, which this test needs; ci/test installs it");
            eprintln!("SKIPPED: there is no chromium in PATH");
            return None;
        };
        let files = TempDir::new().unwrap();
        let flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"];
        let quiet = ["--no-first-run", "--disable-background-networking", "--disable-component-update"];
        // The browser reads from descriptor 3 and writes to 4.
        let mut child = Command::new("sh")
            .args(["-c", "exec \"$0\" \"$@\" 3<&0 4>&1 </dev/null >/dev/null 2>&1"])
            .arg(program)
            .args(flags)
            .args(quiet)
            .arg("--remote-debugging-pipe")
            .arg(format!("--user-data-dir={}", files.path().join("profile").display()))
            .env("HOME", files.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let (says, heard) = mpsc::channel();
        thread::spawn(move || {
            for message in BufReader::new(output).split(0) {
                let Ok(message) = message else { return };
                if says.send(serde_json::from_slice(&message).unwrap()).is_err() {
                    return;
                }
            }
        });
        let mut browser =
            Self { child, input, heard, calls: 0, session: String::new(), events: Vec::new(), files };
        let tab = browser.call("Target.createTarget", &json!({ "url": "about:blank" }));
        let attached = json!({ "targetId": tab["targetId"], "flatten": true });
        let session = browser.call("Target.attachToTarget", &attached);
        browser.session = session["sessionId"].as_str().unwrap().to_owned();
        for domain in ["Page", "Runtime", "Log", "Network"] {
            browser.call(&format!("{domain}.enable"), &json!({}));
        }
        Some(browser)
    }

    /// Calls a method, and waits for what it gives.
    pub fn call(&mut self, method: &str, parameters: &Value) -> Value {
        self.calls += 1;
        let id = self.calls;
        let mut call = json!({ "id": id, "method": method, "params": parameters });
        if !self.session.is_empty() {
            call["sessionId"] = json!(self.session);
        }
        self.input.write_all(format!("{call}\0").as_bytes()).unwrap();
        loop {
            let heard = self.hear();
            if heard["id"] == id {
                assert!(heard.get("error").is_none(), "{method}: {}", heard["error"]);
                return heard["result"].clone();
            }
            self.events.push(heard);
        }
    }

    fn hear(&mut self) -> Value {
        self.heard.recv_timeout(LIMIT).expect("the browser answers")
    }

    /// Opens a page from a file, and waits until it is there.
    pub fn open(&mut self, html: &str) {
        let file = self.files.path().join("page.html");
        std::fs::write(&file, html).unwrap();
        self.events.clear();
        self.call("Page.navigate", &json!({ "url": format!("file://{}", file.display()) }));
        while !self.events.iter().any(|event| event["method"] == "Page.loadEventFired") {
            let heard = self.hear();
            self.events.push(heard);
        }
    }

    /// What an expression comes to in the page. It is not bound by what the page allows itself.
    pub fn eval(&mut self, expression: &str) -> Value {
        let asked = json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let answer = self.call("Runtime.evaluate", &asked);
        assert!(answer.get("exceptionDetails").is_none(), "{}", answer["exceptionDetails"]);
        answer["result"]["value"].clone()
    }

    /// What is wrong with the page as it is shown, each in words.
    pub fn audit(&mut self) -> Vec<String> {
        let wrong = self.eval(AUDIT);
        wrong.as_array().unwrap().iter().map(|line| line.as_str().unwrap().to_owned()).collect()
    }

    /// Shows the page `width` wide, in a scheme of colours, on a screen or on paper.
    pub fn show(&mut self, width: u32, scheme: &str, media: &str) {
        let size = json!({ "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500 });
        self.call("Emulation.setDeviceMetricsOverride", &size);
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.call("Emulation.setEmulatedMedia", &json!({ "media": media, "features": features }));
        self.drawn();
    }

    /// Waits until the page has been drawn twice: then it is as it was last told to be.
    fn drawn(&mut self) {
        self.eval("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))");
    }

    /// What the page was forbidden or failed at, and what was asked of it or by it: errors, violations, dialogs.
    pub fn complaints(&mut self) -> Vec<String> {
        // What is still on its way has come when something new has been answered.
        self.drawn();
        let loud = [
            "Log.entryAdded",
            "Runtime.exceptionThrown",
            "Runtime.consoleAPICalled",
            "Page.javascriptDialogOpening",
        ];
        let loud = |event: &&Value| event["method"].as_str().is_some_and(|method| loud.contains(&method));
        self.events.iter().filter(loud).map(Value::to_string).collect()
    }

    /// The addresses that were asked for since the page was opened.
    pub fn requests(&self) -> Vec<String> {
        let sent = self.events.iter().filter(|event| event["method"] == "Network.requestWillBeSent");
        sent.map(|event| event["params"]["request"]["url"].as_str().unwrap().to_owned()).collect()
    }

    /// A picture of the page, where somebody wants to look: in the directory that the environment names.
    pub fn keep(&mut self, name: &str) {
        let Some(directory) = std::env::var_os("PGDRILL_SCREENSHOTS") else { return };
        let path = PathBuf::from(directory).join(name);
        let png =
            self.call("Page.captureScreenshot", &json!({ "captureBeyondViewport": true, "format": "png" }));
        std::fs::write(path, bytes(&png["data"])).unwrap();
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // It may have died already, which the test has seen then.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn bytes(data: &Value) -> Vec<u8> {
    use base64::prelude::{BASE64_STANDARD, Engine};
    BASE64_STANDARD.decode(data.as_str().unwrap()).unwrap()
}
