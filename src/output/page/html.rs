//! The page as one HTML file that needs no other: the template, and figures within it.
//!
//! Figures go into the page as `data:` images, not as elements: what stands in an SVG cannot run,
//! load or restyle anything there, and the image has an alternative text as any other. Escaped by
//! percent signs they grow by a twentieth, in base64 by a third.

use super::{Answer, Page};
use askama::Template;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use sha2::{Digest as _, Sha256};

#[derive(Template)]
#[template(path = "page.html")]
pub(super) struct Html<'a> {
    pub page: &'a Page,
}

impl Html<'_> {
    /// What runs in the page: the modules of `page/`, joined when this is built.
    const SCRIPT: &'static str = include_str!(concat!(env!("OUT_DIR"), "/page.js"));
    const EXPLORE_STYLE: &'static str = include_str!("../../../page/explore.css");

    /// By which the page's policy knows its script, and no other.
    fn script_hash() -> String {
        format!("sha256-{}", STANDARD.encode(Sha256::digest(Self::SCRIPT)))
    }
}

/// An SVG to go into the page.
pub(super) struct Image {
    pub uri: String,
    /// In CSS pixels, as the height.
    pub width: u32,
    pub height: u32,
}

impl Image {
    /// `None` where it does not say how large it is.
    pub fn of(svg: &str) -> Option<Self> {
        let tag = svg.split_once("<svg ")?.1.split_once('>')?.0;
        let length = |name: &str| {
            let value = tag.split_once(name)?.1.split_once('"')?.0;
            let value = value.parse::<f64>().ok().filter(|value| (1.0..1e5).contains(value))?;
            Some(value.round() as u32)
        };
        // These stay as they are within quotes, beside letters and digits.
        let uri = format!("data:image/svg+xml,{}", percent_encoded(svg.trim(), " -_.!*()/:;,=?@+$"));
        Some(Self { uri, width: length("width=\"")?, height: length("height=\"")? })
    }
}

/// `keep` stays as it is, beside letters and digits.
pub fn percent_encoded(text: &str, keep: &str) -> String {
    let mut encoded = String::with_capacity(text.len() + text.len() / 16);
    for &byte in text.as_bytes() {
        if byte.is_ascii_alphanumeric() || keep.as_bytes().contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}
