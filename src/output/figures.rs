//! The figures of a study as files: an SVG and a PNG each, drawn only where they changed or are not what they were, and
//! what they show as JSON.

use crate::files::sha256;
use crate::plot::{Figure, rasterize};
use crate::runner;
use crate::store::StudyDir;
use anyhow::{Result, anyhow};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The last line of an SVG says what it was made of and what stands above it.
fn last_line(sources: &str, svg: &str) -> String {
    format!("<!-- {sources} {} -->\n", sha256(svg.as_bytes()))
}

/// Whether this SVG is whole, and one of these sources.
fn is_of(standing: &str, sources: &str) -> bool {
    standing.rfind("<!-- ").is_some_and(|at| standing[at..] == last_line(sources, &standing[..at]))
}

/// Whether a figure's name is one, not a path to elsewhere.
pub(super) fn is_file_name(name: &str) -> bool {
    !name.starts_with('.') && !name.contains(['/', '\\'])
}

/// Whether this is an SVG to its end, as far as can be told of one of any version.
pub(super) fn is_whole_svg(text: &str) -> bool {
    text.contains("</svg>")
}

/// Whether this is a PNG from its first chunk to its last.
pub(super) fn is_whole_png(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\x89PNG\r\n\x1a\n") && bytes.ends_with(b"IEND\xae\x42\x60\x82")
}

/// SHA-256 by file.
pub(super) type Digests = BTreeMap<String, String>;

/// Writes each figure as SVG, PNG and JSON; one that has not changed, and whose PNG is the `known` one, is left as it stands.
/// Returns the digests of all of them.
pub(super) fn draw(figures: &[Figure], dir: &StudyDir, known: &Digests) -> Result<Digests> {
    let draw_one = |figure: &Figure| -> Result<Digests> {
        let (svg_name, png_name) = (format!("figures/{}.svg", figure.name), format!("figures/{}.png", figure.name));
        let json_name = format!("figures/{}.json", figure.name);
        let json = figure.to_json()?;
        let json_digest = sha256(&json);
        if std::fs::read(dir.root().join(&json_name)).ok().as_ref() != Some(&json) {
            dir.write(&json_name, &json)?;
        }
        let drawing = figure.drawing()?;
        let sources = sha256(drawing.sources().as_bytes());
        let digests = |svg: &str, png: String| {
            let svg = sha256(svg.as_bytes());
            Digests::from([(json_name.clone(), json_digest.clone()), (svg_name.clone(), svg), (png_name.clone(), png)])
        };
        let standing = std::fs::read_to_string(dir.root().join(&svg_name));
        if let Ok(svg) = standing.as_ref().map_err(drop)
            && is_of(svg, &sources)
            && let Ok(png) = std::fs::read(dir.root().join(&png_name))
            && known.get(&png_name) == Some(&sha256(&png))
        {
            return Ok(digests(svg, sha256(&png)));
        }
        let svg = drawing.publish()?;
        let png = rasterize(&svg)?;
        let svg = format!("{svg}{}", last_line(&sources, &svg));
        dir.write(&png_name, &png)?;
        dir.write(&svg_name, svg.as_bytes())?;
        Ok(digests(&svg, sha256(&png)))
    };
    let mut drawn: Vec<_> = figures.iter().map(|figure| (figure, Ok(Digests::new()))).collect();
    // By this thread, and by the cores that the run has and that draw nothing else: each picture takes memory.
    runner::side_by_side(&mut drawn, 1, |(figure, result)| {
        let caught = catch_unwind(AssertUnwindSafe(|| draw_one(figure)));
        *result = caught.unwrap_or_else(|_| Err(anyhow!("drawing {} failed", figure.name)));
    });
    let digests: Vec<Digests> = drawn.into_iter().map(|(_, result)| result).collect::<Result<_>>()?;
    Ok(digests.into_iter().flatten().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_svg_that_is_cut_off_or_changed_or_of_other_sources_is_drawn_again() {
        let svg = "<svg>\n<!-- a comment -->\n</svg>\n";
        let whole = format!("{svg}{}", last_line("sources", svg));
        assert!(is_of(&whole, "sources") && !is_of(&whole, "others"));
        for end in 0..whole.len() {
            assert!(!is_of(&whole[..end], "sources"), "cut off after {end}");
        }
        assert!(!is_of(&whole.replacen("comment", "changed", 1), "sources"));
        assert!(!is_of(&format!("{whole} "), "sources") && !is_of(svg, "sources"));
    }
}
