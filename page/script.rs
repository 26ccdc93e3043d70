// How the modules of this folder become the page's one script, for build.rs and for a test: each after those that it
// imports, without comments and without spaces that mean nothing.

use std::collections::BTreeSet;
use std::path::Path;

/// The script that `main.js` makes with all that it imports. `import { a } from "./b.js";` stands on a line of its own, and
/// no two modules declare the same name.
pub fn script(folder: &Path) -> Result<String, String> {
    let mut joined = String::new();
    join(folder, "main.js", &mut BTreeSet::new(), &mut joined)?;
    let script = format!("(() => {{\n\"use strict\";\n{}\n}})();\n", squeezed(&joined).trim());
    if script.contains("</script") || script.contains("<!--") {
        return Err("what would end a script stands in it".into());
    }
    Ok(script)
}

fn join(folder: &Path, name: &str, seen: &mut BTreeSet<String>, joined: &mut String) -> Result<(), String> {
    if !seen.insert(name.to_owned()) {
        return Ok(());
    }
    let text = std::fs::read_to_string(folder.join(name)).map_err(|error| format!("{name}: {error}"))?;
    let mut own = String::new();
    for line in text.lines().filter(|line| *line != "export {};") {
        if let Some(import) = line.strip_prefix("import ") {
            let other = import.strip_suffix("\";").and_then(|import| import.split_once("from \"./"));
            let (_, other) = other.ok_or_else(|| format!("{name}: not understood: {line}"))?;
            join(folder, other, seen, joined)?;
        } else {
            own.push_str(line.strip_prefix("export ").unwrap_or(line));
            own.push('\n');
        }
    }
    joined.push_str(&own);
    Ok(())
}

/// Without comments, and without spaces that mean nothing. Strings, templates and regular expressions stay as they are; so
/// does a line's end behind a brace, where a statement may end without a semicolon.
pub fn squeezed(text: &str) -> String {
    let source: Vec<char> = text.chars().collect();
    let at = |i: usize| source.get(i).copied().unwrap_or('\0');
    let is_comment = |i: usize| at(i) == '/' && matches!(at(i + 1), '/' | '*');
    let is_word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '$');
    let mut out = String::with_capacity(text.len());
    // Braces that are open within each `${…}`.
    let mut open: Vec<usize> = Vec::new();
    let mut i = 0;
    while i < source.len() {
        let c = source[i];
        let end = if c.is_whitespace() || is_comment(i) {
            let from = i;
            while i < source.len() && (at(i).is_whitespace() || is_comment(i)) {
                i = if is_comment(i) { after_comment(&source, i) } else { i + 1 };
            }
            let (before, next) = (out.chars().next_back().unwrap_or('\0'), at(i));
            if before == '}' && is_word(next) && source[from..i].contains(&'\n') {
                out.push('\n');
            } else if is_word(before) && is_word(next) || matches!(before, '+' | '-' | '/') && before == next {
                out.push(' ');
            }
            continue;
        } else if matches!(c, '"' | '\'') {
            quoted(&source, i + 1, c)
        } else if c == '`' || c == '}' && open.last() == Some(&0) {
            if c == '}' {
                open.pop();
            }
            let end = template(&source, i + 1);
            if at(end - 1) == '{' {
                open.push(0);
            }
            end
        } else if c == '/' && may_begin_regex(&out) {
            regex(&source, i + 1)
        } else {
            if let Some(open) = open.last_mut() {
                match c {
                    '{' => *open += 1,
                    '}' => *open -= 1,
                    _ => {}
                }
            }
            i + 1
        };
        let end = end.min(source.len());
        out.extend(&source[i..end]);
        i = end;
    }
    out
}

fn after_comment(source: &[char], from: usize) -> usize {
    let is_line = source[from + 1] == '/';
    let mut i = from + 2;
    while i < source.len() {
        if is_line && source[i] == '\n' {
            return i;
        }
        if !is_line && source[i - 1..=i] == ['*', '/'] && i > from + 2 {
            return i + 1;
        }
        i += 1;
    }
    i
}

/// Behind the quote that ends what began before `i`.
fn quoted(source: &[char], mut i: usize, quote: char) -> usize {
    while i < source.len() && source[i] != quote {
        i += if source[i] == '\\' { 2 } else { 1 };
    }
    i + 1
}

/// Behind the template's end, or behind the `${` that comes first.
fn template(source: &[char], mut i: usize) -> usize {
    while i < source.len() && source[i] != '`' {
        if source[i..].starts_with(&['$', '{']) {
            return i + 2;
        }
        i += if source[i] == '\\' { 2 } else { 1 };
    }
    i + 1
}

/// Whether a slash behind this divides nothing.
fn may_begin_regex(before: &str) -> bool {
    let before = before.trim_end();
    let is_behind_word = ["return", "typeof", "case"].iter().any(|word| before.ends_with(word));
    is_behind_word || before.chars().next_back().is_none_or(|c| "(,=:[!&|?{};+-*%<>~^".contains(c))
}

/// Behind the slash that ends a regular expression.
fn regex(source: &[char], mut i: usize) -> usize {
    let mut in_set = false;
    while i < source.len() && (in_set || source[i] != '/') {
        match source[i] {
            '\\' => i += 1,
            '[' => in_set = true,
            ']' => in_set = false,
            _ => {}
        }
        i += 1;
    }
    i + 1
}
