//! The figures of a study as files: an SVG and a PNG each, drawn only where they changed.

use crate::files::sha256;
use crate::plot::{Figure, rasterize};
use crate::runner;
use crate::store::StudyDir;
use anyhow::{Result, anyhow};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The last line of an SVG says what it was made of and what stands above it.
fn last_line(sources: &str, svg: &str) -> String {
    format!("<!-- {sources} {} -->\n", sha256(svg.as_bytes()))
}

/// Whether this SVG is whole, and one of these sources.
fn is_of(standing: &str, sources: &str) -> bool {
    standing.rfind("<!-- ").is_some_and(|at| standing[at..] == last_line(sources, &standing[..at]))
}

/// Writes each figure as SVG and PNG; one that has not changed is left as it stands.
pub(super) fn draw(figures: &[Figure], dir: &StudyDir) -> Result<()> {
    let draw_one = |figure: &Figure| -> Result<()> {
        let (svg_name, png_name) = (format!("figures/{}.svg", figure.name), format!("figures/{}.png", figure.name));
        let drawing = figure.drawing()?;
        let sources = sha256(drawing.sources().as_bytes());
        let png_path = dir.root().join(&png_name);
        let standing = std::fs::read_to_string(dir.root().join(&svg_name));
        if standing.is_ok_and(|standing| is_of(&standing, &sources)) && png_path.exists() {
            return Ok(());
        }
        let svg = drawing.publish()?;
        // The PNG first: an SVG that stands says that its PNG does too.
        dir.write(&png_name, &rasterize(&svg)?)?;
        dir.write(&svg_name, format!("{svg}{}", last_line(&sources, &svg)).as_bytes())
    };
    let mut drawn: Vec<(&Figure, Result<()>)> = figures.iter().map(|figure| (figure, Ok(()))).collect();
    // By this thread, and by the cores that the run has and that draw nothing else: each picture takes memory.
    runner::side_by_side(&mut drawn, 1, |(figure, result)| {
        let caught = catch_unwind(AssertUnwindSafe(|| draw_one(figure)));
        *result = caught.unwrap_or_else(|_| Err(anyhow!("drawing {} failed", figure.name)));
    });
    drawn.into_iter().try_for_each(|(_, result)| result)
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
