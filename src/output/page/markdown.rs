//! The page as Markdown for a repository, beside its figures: the template and its escaping.

use super::{Answer, Page, html::percent_encoded};
use askama::Template;
use std::fmt;

#[derive(Template)]
#[template(path = "page.md")]
pub(super) struct MarkdownText<'a> {
    pub page: &'a Page,
}

/// A figure's path from the run directory, as a link has it.
pub(super) fn link(folder: &str, figure: &str) -> String {
    let [folder, figure] = [folder, figure].map(|part| percent_encoded(part, "-_."));
    format!("{folder}/figures/{figure}.png")
}

/// The escaper of `.md` templates: what would be markup is text, on one line, also in a table.
#[derive(Clone, Copy)]
pub struct Markdown;

impl askama::filters::Escaper for Markdown {
    fn write_escaped_str<W: fmt::Write>(&self, mut out: W, text: &str) -> fmt::Result {
        text.chars().try_for_each(|c| self.write_escaped_char(&mut out, c))
    }

    fn write_escaped_char<W: fmt::Write>(&self, mut out: W, c: char) -> fmt::Result {
        match c {
            c if c.is_control() => out.write_char(' '),
            c if "\\`*_{}[]<>#|~&!$".contains(c) => write!(out, "\\{c}"),
            c => out.write_char(c),
        }
    }
}
