//! Text for people: standard output, a terminal's width, paragraphs that keep to it, tables, words, and names that
//! come from files and must not move the cursor. Knows nothing of what is shown.

use anyhow::{Context as _, Result};
use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, Table, Width, presets};
use std::borrow::Cow;
use std::io::{ErrorKind, IsTerminal, Write as _};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

static READER_IS_GONE: AtomicBool = AtomicBool::new(false);

/// Whether somebody who read standard output went away: there is nobody to tell, and the exit code is SIGPIPE's.
pub fn reader_is_gone() -> bool {
    READER_IS_GONE.load(Ordering::Relaxed)
}

/// To standard output. That its reader has gone away is no reason to stop what else is to be done: [`reader_is_gone`].
///
/// # Errors
/// Where it cannot be written, on a full disk, say.
pub fn print(text: &str) -> Result<()> {
    print_bytes(legible(text, std::io::stdout().is_terminal()).as_bytes())
}

/// The same of what need not be text, such as a path.
///
/// # Errors
/// As of [`print`].
pub fn print_bytes(bytes: &[u8]) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => {
            READER_IS_GONE.store(true, Ordering::Relaxed);
            Ok(())
        }
        written => written.context("cannot write to standard output"),
    }
}

/// Whether standard error is a terminal that moves its cursor: one that says nothing of itself, or that it is dumb, is none.
pub fn moves_cursor() -> bool {
    let says = std::env::var_os("TERM").is_some_and(|kind| !kind.is_empty() && kind != "dumb");
    says && std::io::stderr().is_terminal()
}

/// Whether the locale shows more than ASCII; where nothing names one, as in a container, it does.
pub fn shows_unicode() -> bool {
    static SHOWS: OnceLock<bool> = OnceLock::new();
    *SHOWS.get_or_init(|| {
        let set = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let named = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(set);
        named.is_none_or(|locale| is_unicode(&locale))
    })
}

fn is_unicode(locale: &str) -> bool {
    let locale = locale.to_ascii_lowercase();
    ["utf-8", "utf8"].iter().any(|charset| locale.contains(charset))
}

/// Text as a terminal of this locale shows it; files and other programs get it as it is.
pub fn legible(text: &str, to_terminal: bool) -> Cow<'_, str> {
    if !to_terminal || shows_unicode() { Cow::Borrowed(text) } else { Cow::Owned(ascii(text)) }
}

/// The same in ASCII.
fn ascii(text: &str) -> String {
    let mut plain = String::new();
    for c in text.chars() {
        match c {
            ' '..='~' | '\n' | '\t' | '\r' | '\u{1b}' => plain.push(c),
            '±' => plain.push_str("+-"),
            '×' | '·' => plain.push('*'),
            '…' => plain.push_str("..."),
            '–' | '—' | '−' | '─' => plain.push('-'),
            '━' | '╸' => plain.push('='),
            '‖' => plain.push_str("||"),
            '→' => plain.push_str("->"),
            '≤' => plain.push_str("<="),
            '≥' => plain.push_str(">="),
            '∞' => plain.push_str("inf"),
            '√' => plain.push_str("sqrt"),
            '∇' => plain.push_str("grad "),
            '²' => plain.push_str("^2"),
            '³' => plain.push_str("^3"),
            '⁻' => plain.push_str("^-"),
            'α' => plain.push_str("alpha"),
            'β' => plain.push_str("beta"),
            'ε' => plain.push_str("epsilon"),
            'η' => plain.push_str("eta"),
            'θ' => plain.push_str("theta"),
            'λ' => plain.push_str("lambda"),
            'μ' | 'µ' => plain.push_str("mu"),
            'π' => plain.push_str("pi"),
            'ρ' => plain.push_str("rho"),
            'σ' => plain.push_str("sigma"),
            '‘' | '’' => plain.push('\''),
            '“' | '”' => plain.push('"'),
            _ => plain.push('?'),
        }
    }
    plain
}

/// Columns to keep to: `COLUMNS`, else the terminal's own; `None` where standard output is none, so
/// that `grep` gets whole lines.
pub fn width() -> Option<usize> {
    const NARROWEST: usize = 40;
    let named = std::env::var("COLUMNS").ok().and_then(|text| text.parse().ok()).filter(|&columns| columns > 0);
    let own = || console::Term::stdout().size_checked().map(|(_, columns)| usize::from(columns));
    named.or_else(own).map(|columns: usize| columns.max(NARROWEST))
}

/// A paragraph whose lines all begin with `indent` blanks; a word that is too long for a line of
/// its own stays whole.
pub fn paragraph(text: &str, indent: usize, width: Option<usize>) -> String {
    let indent = " ".repeat(indent);
    let mut lines = String::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        let wanted = indent.len() + console::measure_text_width(&line) + 1 + console::measure_text_width(word);
        if !line.is_empty() && width.is_some_and(|width| wanted > width) {
            lines.push_str(&format!("{indent}{line}\n"));
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    if line.is_empty() { lines } else { format!("{lines}{indent}{line}\n") }
}

/// Columns of text, words to the left and numbers to the right. Where it would be wider than `width`
/// cells wrap between their words, which stay whole even where that is too wide.
pub fn table(columns: &[String], rows: &[Vec<String>], width: Option<usize>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(columns);
    if let Some(width) = width {
        table.set_content_arrangement(ContentArrangement::Dynamic);
        table.set_width(u16::try_from(width).unwrap_or(u16::MAX));
    }
    for row in rows {
        table.add_row(row);
    }
    for (index, column) in table.column_iter_mut().enumerate() {
        let numeric = rows.iter().all(|row| row.get(index).is_some_and(|cell| is_number(cell)));
        column.set_cell_alignment(if numeric { CellAlignment::Right } else { CellAlignment::Left });
        let cells = rows.iter().filter_map(|row| row.get(index)).chain(columns.get(index));
        let longest = cells.flat_map(|cell| cell.split_whitespace()).map(console::measure_text_width).max();
        let with_padding = u16::try_from(longest.unwrap_or(0) + 2).unwrap_or(u16::MAX);
        column.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(with_padding)));
    }
    table.trim_fmt()
}

/// Whether a cell is a number, perhaps with its spread or a sign for percent, or says that there is none.
pub fn is_number(cell: &str) -> bool {
    ["-", "not finite"].contains(&cell)
        || cell
            .split_whitespace()
            .all(|word| ["±", "%"].contains(&word) || word.replace(['(', ')'], "").parse::<f64>().is_ok())
}

/// Text from a file or a folder's name on one line, with a mark in place of what would control the terminal.
pub fn plain(text: &str) -> String {
    // Marks that turn the direction of writing let a name pose as another.
    let turns = |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars().map(|c| if c.is_control() || turns(c) { '\u{fffd}' } else { c }).collect()
}

/// "1 study", "2 studies".
pub fn counted(n: usize, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}

/// A word as a shell takes it.
pub fn shell_word(text: &str) -> String {
    let safe = |c: char| c.is_ascii_alphanumeric() || "-_./:=+,@%".contains(c);
    if !text.is_empty() && text.chars().all(safe) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paragraphs_keep_to_the_width_and_lose_no_word() {
        let text = "the deeper the model, the lower the loss at incomprehensibilities";
        let wrapped = paragraph(text, 2, Some(20));
        assert_eq!(wrapped.split_whitespace().collect::<Vec<_>>(), text.split_whitespace().collect::<Vec<_>>());
        for line in wrapped.lines() {
            assert!(line.starts_with("  ") && (line.len() <= 20 || line.trim() == "incomprehensibilities"), "{line}");
        }
        assert_eq!(paragraph(text, 2, None), format!("  {text}\n"));
        assert_eq!(paragraph(" ", 2, Some(20)), "");
    }

    #[test]
    fn numbers_stand_to_the_right() {
        let (columns, rows) = (["a", "b"].map(String::from), [["x", "1.5"], ["longer", "-20 %"]]);
        let rows: Vec<Vec<String>> = rows.iter().map(|row| row.map(String::from).to_vec()).collect();
        let lines: Vec<String> = table(&columns, &rows, None).lines().map(str::to_owned).collect();
        assert_eq!(lines, [" a           b", " x         1.5", " longer  -20 %"]);
    }

    #[test]
    fn cells_wrap_between_words_and_never_within() {
        let (columns, rows) = (["name", "data"].map(String::from), [["incomprehensibilities", "synthetic digits"]]);
        let rows: Vec<Vec<String>> = rows.iter().map(|row| row.map(String::from).to_vec()).collect();
        for (width, lines) in [(60, 2), (36, 3), (10, 3)] {
            let text = table(&columns, &rows, Some(width));
            assert_eq!(text.lines().count(), lines, "{text}");
            assert!(["incomprehensibilities", "synthetic", "digits"].iter().all(|word| text.contains(word)), "{text}");
        }
    }

    #[test]
    fn a_locale_without_unicode_gets_ascii() {
        for (locale, unicode) in
            [("C.UTF-8", true), ("de_DE.utf8", true), ("C", false), ("POSIX", false), ("de_DE.ISO-8859-1", false)]
        {
            assert_eq!(is_unicode(locale), unicode, "{locale}");
        }
        assert_eq!(ascii("0.5 ± 1e-3, ‖∇L‖² ≤ 3\n"), "0.5 +- 1e-3, ||grad L||^2 <= 3\n");
        assert!(ascii("━╸─ 手 e\u{301}").is_ascii());
        assert_eq!(legible("±", false), "±");
    }

    #[test]
    fn names_from_files_cannot_control_the_terminal() {
        assert_eq!(plain("a\u{1b}[2J\nb\u{202e}α"), "a\u{fffd}[2J\u{fffd}b\u{fffd}α");
        assert_eq!(shell_word("runs/report"), "runs/report");
        assert_eq!(shell_word("it's; rm"), r"'it'\''s; rm'");
        assert_eq!(shell_word(""), "''");
    }
}
