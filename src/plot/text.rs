//! Text: the two faces in the binary, how wide a text is (as the renderer itself lays it out), and how it is shortened
//! or wrapped to fit. Does not know what the text is for.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use resvg::usvg;

use super::style::{STYLE, TextStyle};

pub(super) const FAMILY: &str = "DejaVu Sans";
pub(super) const ELLIPSIS: char = '…';
/// Longer texts would be cut by the layout anyway; this bounds the work.
const MAX_CHARS: usize = 300;

/// How SVGs are read: with our fonts and our style sheet.
pub(super) fn options() -> usvg::Options<'static> {
    static FONTS: LazyLock<Arc<usvg::fontdb::Database>> = LazyLock::new(|| {
        let mut db = usvg::fontdb::Database::new();
        for face in [dejavu::sans::regular(), dejavu::sans::bold()] {
            db.load_font_source(usvg::fontdb::Source::Binary(Arc::new(face)));
        }
        db.set_sans_serif_family(FAMILY);
        Arc::new(db)
    });
    usvg::Options {
        font_family: FAMILY.to_owned(),
        fontdb: Arc::clone(&FONTS),
        style_sheet: Some(STYLE.to_owned()),
        ..usvg::Options::default()
    }
}

/// On one line and without the characters that XML 1.0 forbids.
pub(super) fn clean(text: &str) -> String {
    let allowed = |c: &char| !c.is_control() && !matches!(c, '\u{fffe}' | '\u{ffff}');
    let spaced = text.split_whitespace().collect::<Vec<_>>().join(" ");
    spaced.chars().filter(allowed).collect()
}

pub(super) fn escaped(text: &str) -> String {
    let text = clean(text).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    text.replace('"', "&quot;").replace('\'', "&apos;")
}

/// Advance width in drawing units. Remembered, since figures share most of their numbers and labels, and to shape a
/// text takes longer than to draw a curve.
pub(super) fn text_width(text: &str, style: TextStyle) -> f64 {
    type Widths = HashMap<(String, bool, u64), f64>;
    static WIDTHS: LazyLock<Mutex<Widths>> = LazyLock::new(Mutex::default);
    let widths = || WIDTHS.lock().unwrap_or_else(PoisonError::into_inner);
    let key = (text.to_owned(), style.bold, style.size.to_bits());
    let known = widths().get(&key).copied();
    known.unwrap_or_else(|| {
        let width = shaped(text, style, |text| f64::from(text.bounding_box().width())).unwrap_or(0.0);
        widths().insert(key, width);
        width
    })
}

/// What `look` sees of a text that the renderer has laid out; `None` where nothing is left of it.
fn shaped<T>(text: &str, style: TextStyle, look: impl Fn(&usvg::Text) -> T) -> Option<T> {
    let weight = if style.bold { "bold" } else { "normal" };
    let svg = format!(
        "<svg xmlns='http://www.w3.org/2000/svg'><text font-family='{FAMILY}' \
         font-size='{}' font-weight='{weight}'>{}</text></svg>",
        style.size,
        escaped(text)
    );
    let tree = usvg::Tree::from_str(&svg, &options()).ok()?;
    match tree.root().children().first() {
        Some(usvg::Node::Text(text)) => Some(look(text)),
        _ => None,
    }
}

/// The whole text if it fits, otherwise its beginning and an ellipsis.
pub(super) fn shortened(text: &str, style: TextStyle, max_width: f64) -> String {
    let chars: Vec<char> = text.chars().take(MAX_CHARS + 1).collect();
    if chars.len() <= MAX_CHARS && text_width(text, style) <= max_width {
        return text.to_owned();
    }
    let cut = |n: usize| chars[..n].iter().chain([&ELLIPSIS]).collect::<String>();
    let lengths: Vec<usize> = (0..chars.len().min(MAX_CHARS)).collect();
    let fitting = lengths.partition_point(|&n| text_width(&cut(n), style) <= max_width);
    cut(fitting.saturating_sub(1))
}

/// The same of several texts, which stay different: those that would be one end in a number.
pub(super) fn shortened_apart(texts: &[String], style: TextStyle, max_width: f64) -> Vec<String> {
    let mut shown: Vec<String> = Vec::new();
    for (at, text) in texts.iter().enumerate() {
        let before = &texts[..at];
        let is_free = |label: &String| !before.iter().zip(&shown).any(|(other, shown)| other != text && shown == label);
        let numbered = |number: usize| {
            let number = number.to_string();
            shortened(text, style, max_width - text_width(&number, style)) + &number
        };
        let label = match before.iter().position(|other| other == text) {
            Some(same) => shown[same].clone(),
            None => {
                let mut labels = [shortened(text, style, max_width)].into_iter().chain((2..).map(numbered));
                labels.find(is_free).unwrap_or_default()
            }
        };
        shown.push(label);
    }
    shown
}

/// At most `most` lines, broken between words; what exceeds `max_width` is cut.
pub(super) fn wrapped(text: &str, style: TextStyle, max_width: f64, most: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let text: String = clean(text).chars().take(2 * MAX_CHARS).collect();
    for word in text.split(' ').filter(|w| !w.is_empty()) {
        let full = lines.len() == most;
        match lines.last_mut() {
            Some(line) if full || text_width(&format!("{line} {word}"), style) <= max_width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines.iter().map(|l| shortened(l, style, max_width)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::*;
    use super::*;

    #[test]
    fn mathematical_signs_have_glyphs() {
        for style in [AXIS_LABEL, TITLE] {
            for sign in "θ∇π²‖∈±α−×⁻⁰¹²³⁴⁵⁶⁷⁸⁹…√≤≥→ℝ".chars() {
                let known = |text: &usvg::Text| {
                    let mut glyphs = text.layouted().iter().flat_map(|s| &s.positioned_glyphs);
                    glyphs.all(|glyph| glyph.id.0 != 0)
                };
                assert_eq!(shaped(&sign.to_string(), style, known), Some(true), "{sign}");
            }
        }
    }

    #[test]
    fn long_labels_that_begin_alike_stay_different() {
        let names = ["first", "second", "first"].map(|end| format!("{} {end}", "a long beginning".repeat(9)));
        let room = 2.0 * INCH;
        let labels = shortened_apart(&names, LEGEND, room);
        assert!(labels[0] != labels[1] && labels[0] == labels[2], "{labels:?}");
        assert!(labels.iter().all(|label| text_width(label, LEGEND) <= room), "{labels:?}");
    }

    #[test]
    fn long_titles_wrap_and_long_words_are_shortened() {
        let room = 3.0 * INCH;
        let lines = wrapped(&"several words ".repeat(20), TITLE, room, 3);
        assert_eq!(lines.len(), 3);
        assert!(lines[2].ends_with(ELLIPSIS));
        for line in lines.iter().chain(&wrapped(&"x".repeat(999), TITLE, room, 3)) {
            assert!(text_width(line, TITLE) <= room, "{line}");
        }
        assert_eq!(wrapped("short", TITLE, room, 3), ["short"]);
    }
}
