//! One page, open in the browser as a reader has it: a screen of some size, a mouse or fingers, a keyboard, and paper.

use super::{Browser, PATIENCE, told};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Keys held while another, or a button of the mouse, is pressed.
pub const PLAIN: u32 = 0;
pub const CONTROL: u32 = 2;
pub const SHIFT: u32 = 8;

/// A place in the window, in CSS pixels.
pub type Spot = (f64, f64);

/// What the page is shown on.
#[derive(Clone, Copy)]
pub struct Screen {
    width: u32,
    dark: bool,
    touch: bool,
    script: bool,
}

impl Screen {
    /// Light, with a mouse, JavaScript on.
    pub const fn wide(width: u32) -> Self {
        Self { width, dark: false, touch: false, script: true }
    }

    pub const fn dark(self) -> Self {
        Self { dark: true, ..self }
    }

    /// A phone or tablet: fingers in place of a mouse.
    pub const fn touch(self) -> Self {
        Self { touch: true, ..self }
    }

    pub const fn without_script(self) -> Self {
        Self { script: false, ..self }
    }

    const fn scheme(self) -> &'static str {
        if self.dark { "dark" } else { "light" }
    }
}

/// A file's page in a tab of its own, which closes with it.
pub struct Page<'a> {
    browser: &'a mut Browser,
    session: Value,
    target: Value,
    url: String,
    screen: Screen,
    /// When the last touch was, in seconds: told to the page with each, so that no test rests on how fast it runs.
    touched: f64,
}

impl Browser {
    pub fn open(&mut self, file: &Path, screen: Screen) -> Page<'_> {
        let url = format!("file://{}", file.display());
        let target = self.call(&Value::Null, "Target.createTarget", json!({"url": "about:blank"}))["targetId"].clone();
        let attach = json!({"targetId": target, "flatten": true});
        let session = self.call(&Value::Null, "Target.attachToTarget", attach)["sessionId"].clone();
        let touched = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
        let mut page = Page { browser: self, session, target, url, screen, touched };
        for domain in ["Runtime", "Log", "Network", "Page"] {
            page.call(&format!("{domain}.enable"), json!({}));
        }
        page.resize(screen.width);
        page.call("Emulation.setTouchEmulationEnabled", json!({"enabled": screen.touch, "maxTouchPoints": 5}));
        page.call("Emulation.setScriptExecutionDisabled", json!({"value": !screen.script}));
        page.media("");
        page.call("Page.bringToFront", json!({}));
        page.browser.events.clear();
        page.call("Page.navigate", json!({"url": page.url}));
        while !page.browser.events.iter().any(|event| event["method"] == "Page.loadEventFired") {
            let event = page.browser.messages.recv_timeout(PATIENCE).unwrap();
            page.browser.events.push(event);
        }
        page
    }

    /// Where what is saved goes; and the clipboard may be read.
    pub fn saves_to(&mut self, folder: &Path) {
        let to = json!({"behavior": "allow", "downloadPath": folder});
        self.call(&Value::Null, "Browser.setDownloadBehavior", to);
        let clipboard = json!({"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"]});
        self.call(&Value::Null, "Browser.grantPermissions", clipboard);
    }
}

impl Page<'_> {
    fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.browser.call(&self.session, method, parameters)
    }

    pub fn resize(&mut self, width: u32) {
        let screen = json!({"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": self.screen.touch});
        self.call("Emulation.setDeviceMetricsOverride", screen);
    }

    /// `print` as on paper, empty as on a screen.
    pub fn media(&mut self, media: &str) {
        let features = json!([{"name": "prefers-color-scheme", "value": self.screen.scheme()}]);
        self.call("Emulation.setEmulatedMedia", json!({"media": media, "features": features}));
    }

    pub fn is_touch(&self) -> bool {
        self.screen.touch
    }

    // What the page says.

    /// The value of an expression, of a promise what it brings.
    pub fn evaluate(&mut self, expression: &str) -> Value {
        let look = json!({
            "expression": expression, "awaitPromise": self.screen.script, "returnByValue": true, "userGesture": true
        });
        let seen = self.call("Runtime.evaluate", look);
        assert!(seen["exceptionDetails"].is_null(), "{expression}: {}", seen["exceptionDetails"]["exception"]);
        seen["result"]["value"].clone()
    }

    pub fn text(&mut self, expression: &str) -> String {
        let value = self.evaluate(expression);
        value.as_str().unwrap_or_else(|| panic!("{expression}: {value}")).to_owned()
    }

    pub fn number(&mut self, expression: &str) -> f64 {
        let value = self.evaluate(expression);
        value.as_f64().unwrap_or_else(|| panic!("{expression}: {value}"))
    }

    pub fn is(&mut self, expression: &str) -> bool {
        self.evaluate(expression) == json!(true)
    }

    /// Until an expression is true; what comes late is waited for, never slept for.
    #[track_caller]
    pub fn wait_for(&mut self, expression: &str) {
        until(expression, || self.is(expression));
    }

    /// Until what was done is drawn: a frame asks for what is drawn, the next is behind it.
    pub fn settle(&mut self) {
        self.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))");
    }

    /// What came on the console and what was requested, since the last time.
    pub fn faults(&mut self) -> Vec<String> {
        // Events come in order: all that were before this answer are here.
        self.evaluate("0");
        let told = self.browser.events.drain(..).filter_map(|event| told(&event, &self.url));
        // What the page made itself, to save it, comes from nowhere else.
        told.filter(|fault| !fault.starts_with("request: blob:")).collect()
    }

    // What hands do.

    fn mouse(&mut self, kind: &str, (x, y): Spot, more: Value) {
        let mut event = json!({"type": kind, "x": x, "y": y});
        event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.call("Input.dispatchMouseEvent", event);
    }

    pub fn move_to(&mut self, at: Spot) {
        self.mouse("mouseMoved", at, json!({}));
        self.settle();
    }

    pub fn click(&mut self, at: Spot, held: u32) {
        self.mouse("mouseMoved", at, json!({"modifiers": held}));
        for kind in ["mousePressed", "mouseReleased"] {
            self.mouse(kind, at, json!({"button": "left", "clickCount": 1, "modifiers": held}));
        }
        self.settle();
    }

    pub fn double_click(&mut self, at: Spot) {
        self.click(at, PLAIN);
        for kind in ["mousePressed", "mouseReleased"] {
            self.mouse(kind, at, json!({"button": "left", "clickCount": 2}));
        }
        self.settle();
    }

    /// With the button down.
    pub fn drag(&mut self, from: Spot, to: Spot, held: u32) {
        self.mouse("mouseMoved", from, json!({"modifiers": held}));
        self.mouse("mousePressed", from, json!({"button": "left", "clickCount": 1, "modifiers": held}));
        for at in between(from, to) {
            self.mouse("mouseMoved", at, json!({"button": "left", "buttons": 1, "modifiers": held}));
        }
        self.mouse("mouseReleased", to, json!({"button": "left", "clickCount": 1, "modifiers": held}));
        self.settle();
    }

    /// Down is positive.
    pub fn wheel(&mut self, at: Spot, down: f64, held: u32) {
        self.mouse("mouseMoved", at, json!({}));
        self.mouse("mouseWheel", at, json!({"deltaX": 0, "deltaY": down, "modifiers": held}));
        self.settle();
    }

    fn touch(&mut self, kind: &str, fingers: &[Spot], after: f64) {
        self.touched += after;
        let points: Vec<Value> =
            fingers.iter().enumerate().map(|(id, (x, y))| json!({"x": x, "y": y, "id": id})).collect();
        let event = json!({"type": kind, "touchPoints": points, "timestamp": self.touched});
        self.call("Input.dispatchTouchEvent", event);
    }

    /// Long after the last.
    pub fn tap(&mut self, at: Spot) {
        self.touch("touchStart", &[at], 1.0);
        self.touch("touchEnd", &[], 0.05);
        self.settle();
    }

    pub fn double_tap(&mut self, at: Spot) {
        self.tap(at);
        self.touch("touchStart", &[at], 0.1);
        self.touch("touchEnd", &[], 0.05);
        self.settle();
    }

    /// One finger.
    pub fn swipe(&mut self, from: Spot, to: Spot) {
        self.touch("touchStart", &[from], 1.0);
        for at in between(from, to) {
            self.touch("touchMove", &[at], 0.02);
        }
        self.touch("touchEnd", &[], 0.02);
        self.settle();
    }

    /// Two fingers, so many pixels apart at first and at last.
    pub fn pinch(&mut self, (x, y): Spot, from: f64, to: f64) {
        let fingers = |apart: f64| [(x - apart / 2.0, y - apart / 4.0), (x + apart / 2.0, y + apart / 4.0)];
        self.touch("touchStart", &fingers(from), 1.0);
        for (apart, _) in between((from, 0.0), (to, 0.0)) {
            self.touch("touchMove", &fingers(apart), 0.02);
        }
        self.touch("touchEnd", &[], 0.02);
        self.settle();
    }

    /// A key by its name in the DOM, such as `ArrowLeft` or `+`.
    pub fn key(&mut self, key: &str, held: u32) {
        let (code, text) = match key {
            "Tab" => (9, ""),
            "Enter" => (13, "\r"),
            "Escape" => (27, ""),
            " " => (32, " "),
            "PageUp" => (33, ""),
            "PageDown" => (34, ""),
            "End" => (35, ""),
            "Home" => (36, ""),
            "ArrowLeft" => (37, ""),
            "ArrowUp" => (38, ""),
            "ArrowRight" => (39, ""),
            "ArrowDown" => (40, ""),
            letter => (0, letter),
        };
        let kind = if text.is_empty() { "rawKeyDown" } else { "keyDown" };
        let mut event = json!({"type": kind, "key": key, "windowsVirtualKeyCode": code, "modifiers": held});
        if !text.is_empty() {
            event["text"] = json!(text);
        }
        self.call("Input.dispatchKeyEvent", event);
        self.call(
            "Input.dispatchKeyEvent",
            json!({"type": "keyUp", "key": key, "windowsVirtualKeyCode": code, "modifiers": held}),
        );
        self.settle();
    }

    // What becomes of it on paper, and for a look by eye.

    pub fn pdf(&mut self) -> Vec<u8> {
        let printed = self.call("Page.printToPDF", json!({"printBackground": true}));
        STANDARD.decode(printed["data"].as_str().unwrap()).unwrap()
    }

    pub fn screenshot(&mut self, file: &Path) {
        let shot = self.call("Page.captureScreenshot", json!({"format": "png"}));
        std::fs::write(file, STANDARD.decode(shot["data"].as_str().unwrap()).unwrap()).unwrap();
    }
}

impl Drop for Page<'_> {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let target = json!({"targetId": self.target});
            self.browser.call(&Value::Null, "Target.closeTarget", target);
        }
    }
}

/// Asks again and again, for longer than anything takes.
#[track_caller]
pub fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "never: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Places on the way, the last of them its end.
fn between(from: Spot, to: Spot) -> impl Iterator<Item = Spot> {
    const STEPS: u32 = 6;
    (1..=STEPS).map(move |step| {
        let part = f64::from(step) / f64::from(STEPS);
        (from.0 + part * (to.0 - from.0), from.1 + part * (to.1 - from.1))
    })
}
