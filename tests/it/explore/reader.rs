//! What a reader does with a figure of the page, and what that reader then sees or hears of it.

use super::made::made;
use crate::common::browser::{PLAIN, Page};
use serde_json::{Value, json};

/// Blue, the first of the six colours, in a light page.
pub const BLUE: [u8; 3] = [0, 0x72, 0xb2];

/// In JavaScript, a text in quotes.
fn quoted(text: &str) -> String {
    json!(text).to_string()
}

/// What `all` gives of the elements that a selector names.
fn each(selector: &str, all: &str) -> String {
    format!("[...document.querySelectorAll({})].{all}", quoted(selector))
}

impl Page<'_> {
    /// Scrolls to a figure of a study, waits until it lives, and says where it is: a selector.
    #[track_caller]
    pub fn figure(&mut self, study: &str, name: &str) -> String {
        let title = made().figure(study, name)["title"].as_str().unwrap().to_owned();
        let at = self.figure_titled(study, &title);
        self.wait_for(&format!("document.querySelector('{at}').classList.contains('live')"));
        self.settle();
        at
    }

    /// The same of one that need not live.
    pub fn figure_titled(&mut self, study: &str, title: &str) -> String {
        let found = each(
            &format!("figure[data-study=\"{study}\"]"),
            &format!("find(figure => figure.querySelector('img').alt === {}).id", quoted(title)),
        );
        let at = format!("#{}", self.text(&found));
        self.show(&at);
        at
    }

    /// Into the middle of the window.
    fn show(&mut self, selector: &str) {
        self.evaluate(&format!("document.querySelector({}).scrollIntoView({{ block: 'center' }})", quoted(selector)));
        self.settle();
    }

    /// A place on a panel, in shares of its width and height.
    pub fn spot(&mut self, figure: &str, panel: usize, (x, y): (f64, f64)) -> (f64, f64) {
        let canvas = each(&format!("{figure} canvas.above"), &format!("at({panel})"));
        self.evaluate(&format!("{canvas}.scrollIntoView({{ block: 'center' }})"));
        self.settle();
        let area = self.evaluate(&format!(
            "(({{ left, top, width, height }}) => [left, top, width, height])({canvas}.getBoundingClientRect())"
        ));
        let side = |at: usize| area[at].as_f64().unwrap();
        (side(0) + x * side(2), side(1) + y * side(3))
    }

    /// Points at a place with what this reader has: the mouse, or a finger.
    pub fn point_at(&mut self, at: (f64, f64)) {
        if self.is_touch() {
            self.tap(at);
        } else {
            self.move_to(at);
        }
    }

    /// Where a button is, by the text on it or by how its name begins; it can be seen there, not covered by another.
    fn button(&mut self, figure: &str, label: &str) -> (f64, f64) {
        let button = button(figure, label);
        self.evaluate(&format!("{button}.scrollIntoView({{ block: 'center' }})"));
        self.settle();
        let middle = self.evaluate(&format!(
            "(button => {{
                const {{ left, top, width, height }} = button.getBoundingClientRect();
                const middle = [left + width / 2, top + height / 2];
                return document.elementFromPoint(...middle)?.closest('button') === button ? middle : null;
            }})({button})"
        ));
        assert!(middle.is_array(), "covered: {label} in {figure}");
        (middle[0].as_f64().unwrap(), middle[1].as_f64().unwrap())
    }

    pub fn press(&mut self, figure: &str, label: &str) {
        self.press_holding(figure, label, PLAIN);
    }

    pub fn press_holding(&mut self, figure: &str, label: &str, held: u32) {
        let at = self.button(figure, label);
        // A tap becomes a click a little later.
        let told = "() => globalThis.isClicked = true, { once: true }";
        self.evaluate(&format!("(isClicked = false, {}.addEventListener('click', {told}))", button(figure, label)));
        if self.is_touch() {
            self.tap(at);
        } else {
            self.click(at, held);
        }
        self.wait_for("isClicked");
        self.settle();
    }

    pub fn is_pressed(&mut self, figure: &str, label: &str) -> bool {
        self.text(&format!("{}.getAttribute('aria-pressed')", button(figure, label))) == "true"
    }

    /// Names and values in the box beside what is read; none where there is no box.
    pub fn read(&mut self, figure: &str, panel: usize) -> Vec<(String, String)> {
        let rows = self.evaluate(&format!(
            "(box => box.checkVisibility() ? [...box.children].map(cell => cell.textContent) : [])({})",
            each(&format!("{figure} .reading"), &format!("at({panel})"))
        ));
        let cells = strings(&rows);
        cells.chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect()
    }

    /// What a screen reader said last.
    pub fn heard(&mut self, figure: &str) -> String {
        self.text(&format!("document.querySelector('{figure} [aria-live]').textContent"))
    }

    /// What a screen reader says of a panel.
    pub fn about(&mut self, figure: &str, panel: usize) -> String {
        let canvas = each(&format!("{figure} canvas.above"), &format!("at({panel})"));
        self.text(&format!("document.getElementById({canvas}.getAttribute('aria-describedby')).textContent"))
    }

    pub fn is_zoomed(&mut self, figure: &str, panel: usize) -> bool {
        self.about(figure, panel).contains("Zoomed to ")
    }

    /// The keyboard goes to a panel.
    pub fn focus(&mut self, figure: &str, panel: usize) {
        self.spot(figure, panel, (0.5, 0.5));
        self.evaluate(&format!("{}.focus()", each(&format!("{figure} canvas.above"), &format!("at({panel})"))));
        self.settle();
    }

    /// What is drawn, as one text that is equal for equal pictures.
    pub fn picture(&mut self, figure: &str, panel: usize) -> String {
        self.text(&picture(figure, panel))
    }

    /// Until it looks otherwise.
    #[track_caller]
    pub fn wait_for_another(&mut self, figure: &str, panel: usize, before: &str) {
        self.wait_for(&format!("{} !== {}", picture(figure, panel), quoted(before)));
    }

    #[track_caller]
    pub fn wait_for_same(&mut self, figure: &str, panel: usize, before: &str) {
        self.wait_for(&format!("{} === {}", picture(figure, panel), quoted(before)));
    }

    /// Until a panel has more of a colour than so many pixels, or none.
    #[track_caller]
    pub fn wait_for_pixels(&mut self, figure: &str, panel: usize, color: [u8; 3], some: bool) {
        self.wait_for(&format!("{} {}", pixels(figure, panel, color), if some { "> 20" } else { "=== 0" }));
    }

    /// Texts of what can be seen of a selector within a figure.
    pub fn texts(&mut self, figure: &str, selector: &str) -> Vec<String> {
        let seen = "filter(element => element.checkVisibility()).map(element => element.textContent)";
        let all = self.evaluate(&each(&format!("{figure} {selector}"), seen));
        strings(&all)
    }
}

fn strings(all: &Value) -> Vec<String> {
    all.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

fn button(figure: &str, label: &str) -> String {
    let label = quoted(label);
    let named = format!("button.textContent === {label} || button.getAttribute('aria-label')?.startsWith({label})");
    each(&format!("{figure} button"), &format!("find(button => button.checkVisibility() && ({named}))"))
}

fn picture(figure: &str, panel: usize) -> String {
    each(&format!("{figure} canvas.drawn"), &format!("at({panel}).toDataURL()"))
}

fn pixels(figure: &str, panel: usize, [r, g, b]: [u8; 3]) -> String {
    format!(
        "((canvas) => {{
            // A copy: reading often from the canvas itself would make the browser warn.
            const copy = new OffscreenCanvas(canvas.width || 1, canvas.height || 1);
            const context = copy.getContext('2d', {{ willReadFrequently: true }});
            if (canvas.width) context.drawImage(canvas, 0, 0);
            const {{ data }} = context.getImageData(0, 0, copy.width, copy.height);
            let count = 0;
            for (let i = 0; i < data.length; i += 4) {{
                const away = Math.max(Math.abs(data[i] - {r}), Math.abs(data[i + 1] - {g}), Math.abs(data[i + 2] - {b}));
                if (data[i + 3] > 200 && away < 12) count++;
            }}
            return count;
        }})({})",
        each(&format!("{figure} canvas.drawn"), &format!("at({panel})"))
    )
}

/// Of a box: the value beside a name.
#[track_caller]
pub fn beside<'a>(rows: &'a [(String, String)], name: &str) -> &'a str {
    &rows.iter().find(|row| row.0 == name).unwrap_or_else(|| panic!("no {name:?} in {rows:?}")).1
}
