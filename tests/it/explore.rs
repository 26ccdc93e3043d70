//! The page that one can explore, as a reader has it: pages that the binary wrote, in a browser, by mouse, finger and key.
//! What is seen and heard is held against the figures' JSON and metrics.json.

mod around;
mod curves;
mod made;
mod others;
mod reader;
mod tools;

use crate::common::browser::{Browser, Page, Screen};

/// The three widths of the project's pages; a phone has fingers.
const SCREENS: [Screen; 3] = [Screen::wide(375).touch(), Screen::wide(800), Screen::wide(1280)];

/// A browser; where there is none its tests are skipped, and say so.
fn browser() -> Option<Browser> {
    let browser = Browser::start();
    if browser.is_none() {
        eprintln!("skipped: no Chromium to explore a page in");
    }
    browser
}

/// On each screen the page opens anew, and nothing may come on its console or be requested.
fn on_each_screen(mut test: impl FnMut(&mut Page)) {
    let Some(mut browser) = browser() else { return };
    for screen in SCREENS {
        let mut page = browser.open(&made::made().page(), screen);
        test(&mut page);
        assert_eq!(page.faults(), [""; 0]);
    }
}
