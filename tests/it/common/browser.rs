//! Headless Chromium, driven through its DevTools protocol over a pipe: what a reader's browser
//! makes of a page. JSON messages, each ended by a zero byte, on its file descriptors 3 and 4.

mod page;

pub use page::{CONTROL, PLAIN, Page, SHIFT, Screen, until};

use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;
use tempfile::TempDir;

/// Longer than anything takes on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(60);

pub struct Browser {
    child: Child,
    requests: ChildStdin,
    messages: Receiver<Value>,
    /// Events that came while an answer was waited for.
    events: Vec<Value>,
    calls: u64,
    _profile: TempDir,
}

impl Browser {
    /// `None` where there is no Chromium: `apt-get install chromium`.
    pub fn start() -> Option<Self> {
        let names = ["chromium", "chromium-browser", "google-chrome"];
        let folders: Vec<_> = std::env::split_paths(&std::env::var_os("PATH")?).collect();
        let program = names.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
        let program = program.into_iter().find(|path| path.is_file())?;
        let profile = tempfile::tempdir().unwrap();
        let mut child = Command::new("sh")
            .args(["-c", "exec \"$@\" 3<&0 4>&1 </dev/null >/dev/null 2>&1", "sh"])
            .arg(program)
            // No sandbox within a sandbox: containers have no namespaces to give, and the pages are ours.
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"])
            .args(["--disable-background-networking", "--remote-debugging-pipe"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (requests, answers) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let (sender, messages) = channel();
        std::thread::spawn(move || {
            for message in BufReader::new(answers).split(0) {
                let Ok(message) = message else { return };
                if sender.send(serde_json::from_slice(&message).unwrap()).is_err() {
                    return;
                }
            }
        });
        Some(Self { child, requests, messages, events: Vec::new(), calls: 0, _profile: profile })
    }

    fn call(&mut self, session: &Value, method: &str, parameters: Value) -> Value {
        self.calls += 1;
        let mut request = json!({"id": self.calls, "method": method, "params": parameters});
        if !session.is_null() {
            request["sessionId"] = session.clone();
        }
        self.requests.write_all(format!("{request}\0").as_bytes()).unwrap();
        loop {
            let message = self.messages.recv_timeout(PATIENCE).unwrap_or_else(|error| panic!("{method}: {error}"));
            if message["id"] == self.calls {
                assert!(message["error"].is_null(), "{method}: {}", message["error"]);
                return message["result"].clone();
            }
            self.events.push(message);
        }
    }

    /// What is wrong with the page of a file, shown `width` pixels wide: errors on the console,
    /// requests, images that do not decode or have no text, links that lead nowhere, overflow, and
    /// headings out of order.
    pub fn faults(&mut self, file: &Path, width: u32) -> Vec<String> {
        let url = format!("file://{}", file.display());
        let target = self.call(&Value::Null, "Target.createTarget", json!({"url": "about:blank"}))["targetId"].clone();
        let attach = json!({"targetId": target, "flatten": true});
        let session = self.call(&Value::Null, "Target.attachToTarget", attach)["sessionId"].clone();
        for domain in ["Runtime", "Log", "Network", "Page"] {
            self.call(&session, &format!("{domain}.enable"), json!({}));
        }
        // A phone: without a viewport of its own the page would be laid out 980 pixels wide.
        let screen = json!({"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 600});
        self.call(&session, "Emulation.setDeviceMetricsOverride", screen);
        self.events.clear();
        self.call(&session, "Page.navigate", json!({"url": url}));
        while !self.events.iter().any(|event| event["method"] == "Page.loadEventFired") {
            let event = self.messages.recv_timeout(PATIENCE).unwrap();
            self.events.push(event);
        }
        let look = json!({"expression": LOOK.replace("WIDTH", &width.to_string()), "awaitPromise": true, "returnByValue": true});
        let seen = self.call(&session, "Runtime.evaluate", look);
        let list = seen["result"]["value"].as_array().unwrap_or_else(|| panic!("{seen}"));
        let mut faults: Vec<String> = list.iter().map(|fault| fault.as_str().unwrap().to_owned()).collect();
        faults.extend(self.events.drain(..).filter_map(|event| told(&event, &url)));
        self.call(&Value::Null, "Target.closeTarget", json!({"targetId": target}));
        faults
    }
}

/// The fault that an event tells of, if any.
fn told(event: &Value, url: &str) -> Option<String> {
    let parameters = &event["params"];
    match event["method"].as_str()? {
        "Runtime.consoleAPICalled" => Some(format!("console: {}", parameters["args"])),
        "Runtime.exceptionThrown" => Some(format!("console: {}", parameters["exceptionDetails"]["text"])),
        "Log.entryAdded" => Some(format!("console: {}", parameters["entry"]["text"])),
        "Network.requestWillBeSent" => {
            let to = parameters["request"]["url"].as_str()?;
            (to != url && !to.starts_with("data:")).then(|| format!("request: {to}"))
        }
        _ => None,
    }
}

const LOOK: &str = r##"(async () => {
    const faults = [];
    const wait = () => new Promise(done => setTimeout(done, 30));
    if (!document.documentElement.lang) faults.push("language: none");
    if (!document.title) faults.push("title: none");
    for (const image of document.images) {
        const decoded = await image.decode().then(() => image.naturalWidth > 0, () => false);
        if (!decoded) faults.push("image: " + image.alt);
        if (!image.alt) faults.push("alternative text: none");
    }
    const ids = [...document.querySelectorAll("[id]")].map(element => element.id);
    for (const id of ids.filter((id, at) => ids.indexOf(id) != at)) faults.push("twice: " + id);
    let last = 0;
    for (const heading of document.querySelectorAll("h1, h2, h3, h4, h5, h6")) {
        const level = Number(heading.tagName[1]);
        if (level > last + 1) faults.push("heading: " + heading.textContent);
        last = level;
    }
    // Everything open is the widest it gets.
    for (const details of document.querySelectorAll("details")) details.open = true;
    await wait();
    const across = document.documentElement.scrollWidth;
    if (across > WIDTH) faults.push("overflow: the page is " + across + " wide");
    for (const element of document.body.querySelectorAll("*")) {
        const right = element.getBoundingClientRect().right;
        if (right > WIDTH + 1 && !element.parentElement.closest(".scroll"))
            faults.push("overflow: " + element.outerHTML.slice(0, 80));
    }
    for (const link of document.querySelectorAll("a")) {
        const name = link.getAttribute("href");
        if (!name.startsWith("#")) { faults.push("link: leaves to " + name); continue; }
        const target = document.getElementById(decodeURIComponent(name.slice(1)));
        if (!target) { faults.push("link: no target " + name); continue; }
        link.click();
        await wait();
        const top = target.getBoundingClientRect().top;
        if (top < -1 || top > innerHeight - 20) faults.push("link: does not land " + name);
    }
    return faults;
})()"##;

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
