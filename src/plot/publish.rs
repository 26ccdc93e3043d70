//! Makes of a drawing the SVG that is published, which needs no font, and of that the PNG. Knows what plotters writes,
//! nothing of a figure but its title and caption.

use anyhow::{Context as _, Result};
use resvg::{tiny_skia, usvg};

use super::figure::Figure;
use super::style::{CSS_DPI, INCH, PNG_DPI};
use super::text::{escaped, options};

/// Raise it when [`Drawing::publish`] or [`rasterize`] makes other bytes of the same drawing: after a change to this
/// file, to `STYLE` or to the fonts, or a new version of usvg or resvg. A figure is drawn again where this, what
/// plotters wrote, the title or the caption differs; what changes the layout is seen in what plotters wrote.
const DRAWING_VERSION: u32 = 1;

/// A figure as plotters draws it.
pub struct Drawing<'a> {
    pub(super) figure: &'a Figure,
    pub(super) drawn: String,
}

impl Drawing<'_> {
    /// What the published picture depends on: equal texts give equal bytes.
    pub fn sources(&self) -> String {
        let Figure { title, caption, .. } = self.figure;
        [&DRAWING_VERSION.to_string(), &self.drawn, title, caption].map(String::as_str).join("\n")
    }

    /// The published SVG: no font needed, in user units of 1/96 inch, with a title and a description for those who do
    /// not see it. [`rasterize`] turns it into a PNG.
    ///
    /// # Errors
    /// Where the drawing cannot be read, which is an error in this program.
    pub fn publish(&self) -> Result<String> {
        let Figure { name, title, caption, .. } = self.figure;
        let (body, (w, h)) = without_fonts(&self.drawn).with_context(|| format!("figure {name:?} as SVG"))?;
        let (width, height) = (w * CSS_DPI / INCH, h * CSS_DPI / INCH);
        Ok(format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
             viewBox=\"0 0 {w} {h}\" role=\"img\">\n<title>{}</title>\n<desc>{}</desc>{}",
            escaped(title),
            escaped(caption),
            merged_paths(&body)
        ))
    }
}

/// What stands inside the `<svg>` element, with text turned into paths, and the drawing's size.
fn without_fonts(drawn: &str) -> Result<(String, (f64, f64))> {
    let tree = usvg::Tree::from_str(drawn, &options()).context("reading plotters' SVG")?;
    let written = tree.to_string(&usvg::WriteOptions {
        preserve_text: false,
        coordinates_precision: 0,
        transforms_precision: 4,
        indent: usvg::Indent::Spaces(0),
        ..usvg::WriteOptions::default()
    });
    let body = written.split_once("<svg ").and_then(|(_, rest)| rest.split_once('>'));
    let (_, body) = body.context("usvg wrote no <svg> element")?;
    // SVG 2's name for it needs no namespace. Nothing else holds these words: text is paths by now.
    let body = body.replace(" xlink:href=\"data:image/png;base64, ", " href=\"data:image/png;base64,");
    Ok((body, (f64::from(tree.size().width()), f64::from(tree.size().height()))))
}

/// Joins neighbouring paths that differ in their outline alone, as grid lines and discs do. Opaque ones look the same
/// together; others would lose the overlap.
fn merged_paths(body: &str) -> String {
    let path = |line| {
        let split = str::strip_suffix(line, "\"/>").and_then(|line| line.split_once(" d=\""));
        split.filter(|(head, _)| head.starts_with("<path") && !head.contains("opacity")).ok_or(line)
    };
    let lines: Vec<Result<(&str, &str), &str>> = body.lines().map(path).collect();
    let same_look = |a: &_, b: &_| matches!((a, b), (Ok((a, _)), Ok((b, _))) if a == b);
    let written = lines.chunk_by(same_look).map(|group| match group[0] {
        Ok((head, _)) => {
            let outline = group.iter().flatten().map(|path| path.1).collect::<Vec<_>>().join(" ");
            format!("{head} d=\"{}\"/>\n", relative_outline(&outline).unwrap_or(outline))
        }
        Err(line) => format!("{line}\n"),
    });
    written.collect()
}

/// The same outline in relative coordinates, two fifths of the bytes; whole numbers lose nothing.
fn relative_outline(outline: &str) -> Option<String> {
    let mut out = String::new();
    let (mut at, mut start) = ([0, 0], [0, 0]);
    let mut tokens = outline.split_whitespace().peekable();
    while let Some(command) = tokens.next() {
        let coordinates = std::iter::from_fn(|| tokens.next_if(|t| !t.starts_with(char::is_alphabetic)));
        let coordinates = coordinates.map(|t| t.parse().ok()).collect::<Option<Vec<i64>>>()?;
        let shifted = coordinates.iter().enumerate().map(|(i, n)| (n - at[i % 2]).to_string());
        out += &command.to_lowercase();
        out += &shifted.collect::<Vec<_>>().join(" ");
        match (command, &coordinates[..]) {
            ("M", &[x, y]) => (at, start) = ([x, y], [x, y]),
            ("L", &[x, y]) | ("Q", &[_, _, x, y]) | ("C", &[_, _, _, _, x, y]) => at = [x, y],
            ("Z", []) => at = start,
            _ => return None,
        }
    }
    Some(out)
}

/// The PNG of a published SVG: 200 dpi, 8-bit RGB.
///
/// # Errors
/// No SVG, or one too large.
pub fn rasterize(svg: &str) -> Result<Vec<u8>> {
    let tree = usvg::Tree::from_str(svg, &options()).context("reading the published SVG")?;
    let scale = PNG_DPI / CSS_DPI;
    let pixels = |user: f32| (f64::from(user) * scale).round() as u32;
    let (width, height) = (pixels(tree.size().width()), pixels(tree.size().height()));
    let mut pixmap = tiny_skia::Pixmap::new(width, height).context("picture too large")?;
    let scale = scale as f32;
    resvg::render(&tree, tiny_skia::Transform::from_scale(scale, scale), &mut pixmap.as_mut());
    // The background is opaque, so alpha carries nothing.
    let rgb: Vec<u8> = pixmap.data().chunks_exact(4).flat_map(|p| [p[0], p[1], p[2]]).collect();
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_compression(png::Compression::High);
    let per_meter = (PNG_DPI / 0.0254).round() as u32;
    encoder.set_pixel_dims(Some(png::PixelDimensions { xppu: per_meter, yppu: per_meter, unit: png::Unit::Meter }));
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&rgb)?;
    writer.finish()?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::super::tests::*;
    use super::*;

    /// A small figure of every kind of panel, with every kind of mark; all data exact.
    fn samples() -> [Figure; 5] {
        let steps = [1.0, 3.0, 2.0, 4.0];
        let series = MARKS.iter().enumerate().map(|(i, &mark)| {
            let points = steps.iter().zip(0..).map(|(y, x)| (f64::from(x), y + i as f64)).collect();
            Series::new(format!("{mark:?}"), Color::Cycle(i), points).mark(mark)
        });
        let accuracy = Series::over_epochs("accuracy", Color::Ink, 0, &steps);
        let (at, z) = (vec![0.0, 2.0, 4.0], vec![1.0, 2.0, 4.0, 2.0, 8.0, 4.0, 4.0, 2.0, 1.0]);
        let contours = Contours { x: at.clone(), y: at, levels: Contours::log_levels(&z), z };
        let curves = Panel::plot("", Axis::linear("x"), Axis::log("y"), series.collect())
            .right(Axis::symlog("right", 0), vec![accuracy])
            .rules(vec![(1.5, "rule".into())]);
        let bowl = plot(vec![]).contours(contours);
        let (table, digits) = (panel(Content::HeatMap(confusion(3))), panel(Content::Images(images(2, 2))));
        let sample = |i: usize| ("colour".into(), (0..5 * 4 * 3).map(|at| (at * (i + 37)) as u8).collect());
        let colours = Images { size: (5, 4), pixels: Pixels::Rgb, columns: 2, images: (0..3).map(sample).collect() };
        let colours = panel(Content::Images(colours));
        let heights = |x: f64, y: f64| if x + y > 1.0 { f64::NAN } else { x * x + y * y + x * y + 0.5 };
        let path = vec![(-1.0, 1.0, 1.5), (-0.5, 0.5, 0.75), (0.0, 0.0, 0.5)];
        let solid = Surface { path, point: Some((0.5, -1.0, 1.25)), ..surface(evenly(5), Axis::linear("z"), heights) };
        let solid = Panel::surface("", solid);
        [grid(2, vec![curves, bowl]), figure(table), figure(digits), figure(colours), figure(solid)]
    }

    /// Published coordinates are whole units, so that a last bit in which processors differ (of a logarithm) is not
    /// seen; all else is text and exact arithmetic.
    #[test]
    fn published_bytes_change_only_with_the_version() {
        let found = samples().map(|figure| {
            assert_eq!(png(&figure), png(&figure));
            crate::files::sha256(figure.svg().unwrap().as_bytes())
        });
        let pinned = [
            "7e364e0ebf1a301b6110e3c497bce2235724ce7b3700a4c56832ba4e3cc88ca8",
            "576a07f7f93fb630b1a1a4a19422a9dbe019a8b8b4d593f2b1adc8f50063d0e9",
            "d349109b9c9b4f2349cfa48ac9dc767914997540c0605b8a94348415fd5ba845",
            "70b9a0c8b345d8af3fcc32bca4a9af18f76c6e67b5de2c82cb3cf964007bc9ef",
            "60ce2af3900be9b81550049264a1795414bcafb65491c8749bef6000ebc824f4",
        ];
        assert_eq!((DRAWING_VERSION, found), (1, pinned.map(str::to_owned)), "raise DRAWING_VERSION if this is meant");
    }

    #[test]
    fn pictures_have_the_promised_size_and_resolution() {
        let one = linear(line(|x| x, 0.0, 1.0, 4));
        let (width, height, _, dots) = decoded(&png(&figure(one.clone())));
        assert_eq!((width, height, dots), (1280, 800, 7874));
        let (width, height, ..) = decoded(&png(&grid(2, vec![one.clone(), one])));
        assert_eq!(width, 1920);
        assert!((720..900).contains(&height));
    }

    #[test]
    fn the_published_svg_needs_no_font() {
        let drawn = figure(labelled(line(|x| x, 0.0, 1.0, 4)));
        assert!(drawn.draw().unwrap().contains("<text"));
        let svg = drawn.svg().unwrap();
        assert!(!svg.contains("<text") && !svg.contains("font"));
        assert!(svg.starts_with("<svg ") && svg.contains("role=\"img\""));
        assert!(svg.contains("<title>Title</title>\n<desc>Caption</desc>"));
    }

    #[test]
    fn publishing_changes_no_pixel_visibly() {
        let figure = figure(labelled(line(f64::sin, 0.0, 9.0, 300)));
        let drawn = usvg::Tree::from_str(&figure.draw().unwrap(), &options()).unwrap();
        let mut pixmap = tiny_skia::Pixmap::new(1280, 800).unwrap();
        let scale = tiny_skia::Transform::from_scale(1.0 / 12.0, 1.0 / 12.0);
        resvg::render(&drawn, scale, &mut pixmap.as_mut());
        let (_, _, published, _) = decoded(&png(&figure));
        let direct = pixmap.data().chunks(4).flat_map(|p| &p[..3]);
        let worst = published.iter().zip(direct).map(|(a, b)| a.abs_diff(*b)).max();
        // Outlines are rounded to a twelfth of a dot, which shows in the antialiasing only.
        assert!(worst < Some(48), "{worst:?}");
    }

    #[test]
    fn style_sheet_knows_its_widths() {
        for width in [RULE, DASHED_CURVE, DISC] {
            assert!(STYLE.contains(&format!("[stroke-width=\"{width}\"]")));
        }
        let series = Series::new("", Color::Ink, line(|x| x, 0.0, 1.0, 4)).mark(Mark::Dashed);
        assert!(figure(plot(vec![series])).svg().unwrap().contains("stroke-dasharray"));
    }

    #[test]
    fn neighbouring_paths_are_joined_if_opaque() {
        let body = "<path a=\"1\" d=\"M 0 0\"/>\n<path a=\"1\" d=\"M 1 1\"/>\n<g>\n</svg>";
        assert_eq!(merged_paths(body), "<path a=\"1\" d=\"m0 0m1 1\"/>\n<g>\n</svg>\n");
        let mixed = "M 5 9 L 7 9 Q -1 2 3 4 C 1 2 3 4 5 6 Z M 6 6 L 0 0";
        assert_eq!(relative_outline(mixed).unwrap(), "m5 9l2 0q-8 -7 -4 -5c-2 -2 0 0 2 2zm1 -3l-6 -6");
        assert!(["M 0.5 1", "A 1 2", "M 1", "1 2"].into_iter().all(|odd| relative_outline(odd).is_none()));
        let glass = "<path opacity=\".5\" d=\"A\"/>\n<path opacity=\".5\" d=\"B\"/>\n";
        assert_eq!(merged_paths(glass), glass);
    }
}
