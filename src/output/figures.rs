//! The figures of a study as files: an SVG and a PNG each, drawn only where they changed or are not what they were, and
//! what they show as JSON.

use crate::files::sha256;
use crate::plot::{Drawing, Figure, rasterize};
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

/// The path of one of a figure's files from the study's folder.
fn name(figure: &Figure, ending: &str) -> String {
    format!("figures/{}.{ending}", figure.name)
}

/// The SVG of a figure as it is written.
///
/// # Errors
/// Where it cannot be drawn.
pub(super) fn published(drawing: &Drawing) -> Result<String> {
    let svg = drawing.publish()?;
    let last = last_line(&sha256(drawing.sources().as_bytes()), &svg);
    Ok(svg + &last)
}

/// Writes a figure of which this is the SVG, as SVG, PNG and JSON; their digests.
///
/// # Errors
/// Where a file cannot be written, or the picture is too large.
pub(super) fn write(figure: &Figure, svg: &str, dir: &StudyDir) -> Result<Digests> {
    let png = rasterize(svg)?;
    let data = write_data(figure, dir)?;
    let drawn = [("png", &png[..]), ("svg", svg.as_bytes())];
    let written = drawn.into_iter().map(|(ending, bytes)| {
        let name = name(figure, ending);
        dir.write(&name, bytes)?;
        Ok((name, sha256(bytes)))
    });
    written.chain([Ok(data)]).collect()
}

/// Writes what a figure shows as JSON, unless it stands there; its name and digest.
fn write_data(figure: &Figure, dir: &StudyDir) -> Result<(String, String)> {
    let (name, json) = (name(figure, "json"), figure.to_json()?);
    if std::fs::read(dir.root().join(&name)).ok().as_ref() != Some(&json) {
        dir.write(&name, &json)?;
    }
    let digest = sha256(&json);
    Ok((name, digest))
}

/// Writes each figure as SVG, PNG and JSON; one that has not changed, and whose PNG is the `known` one, is left as it stands.
/// Returns the digests of all of them.
pub(super) fn draw(figures: &[Figure], dir: &StudyDir, known: &Digests) -> Result<Digests> {
    let draw_one = |figure: &Figure| -> Result<Digests> {
        let drawing = figure.drawing()?;
        let (svg_name, png_name) = (name(figure, "svg"), name(figure, "png"));
        let standing = std::fs::read_to_string(dir.root().join(&svg_name));
        if let Ok(svg) = standing.as_ref().map_err(drop)
            && is_of(svg, &sha256(drawing.sources().as_bytes()))
            && let Ok(png) = std::fs::read(dir.root().join(&png_name))
            && known.get(&png_name) == Some(&sha256(&png))
        {
            let drawn = [(svg_name, sha256(svg.as_bytes())), (png_name, sha256(&png))];
            return Ok(drawn.into_iter().chain([write_data(figure, dir)?]).collect());
        }
        write(figure, &published(&drawing)?, dir)
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
