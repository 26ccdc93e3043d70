//! How figures look: units, sizes, colours, line widths and ways of writing. Colours are those that colour-blind
//! readers tell apart (Okabe and Ito, 2008), ColorBrewer's Blues and viridis. Knows no data and no layout.

use plotters::style::RGBColor;

use super::figure::Color;

// plotters places everything on whole drawing units, so the unit is fine: 12 to a dot (a pixel of the PNG), which also
// lets straight lines fall exactly on dots.
pub(super) const INCH: f64 = 2400.0;
pub(super) const PT: f64 = INCH / 72.0;
pub(super) const PNG_DPI: f64 = 200.0;
pub(super) const CSS_DPI: f64 = 96.0; // SVG user units per inch
pub(super) const DOT: f64 = INCH / PNG_DPI;
pub(super) const MM: f64 = INCH / 25.4;

pub(super) const ONE_PANEL: (f64, f64) = (6.4 * INCH, 4.0 * INCH);
// Beside others a panel is smaller, so that two in a row still fit a page at a readable size.
pub(super) const GRID_PANEL: (f64, f64) = (4.8 * INCH, 3.6 * INCH);

const INK: RGBColor = RGBColor(0x22, 0x22, 0x22);
pub(super) const AXIS: RGBColor = RGBColor(0x44, 0x44, 0x44);
pub(super) const WALL: RGBColor = RGBColor(0xF8, 0xF8, 0xF8); // of a surface's box
pub(super) const GRID: RGBColor = RGBColor(0xE4, 0xE4, 0xE4);
pub(super) const FRAME: RGBColor = RGBColor(0xCC, 0xCC, 0xCC);
pub(super) const FAINT: RGBColor = RGBColor(0x77, 0x77, 0x77);
pub(super) const PALE: RGBColor = RGBColor(0xB8, 0xB8, 0xB8); // a zero in a cell
pub(super) const BLACK: RGBColor = RGBColor(0, 0, 0); // the absence of light
pub(super) const WHITE: RGBColor = RGBColor(0xFF, 0xFF, 0xFF);

// Okabe and Ito without black (that is `Ink`) and yellow (too pale on white).
const PALETTE: [RGBColor; 6] = [
    RGBColor(0x00, 0x72, 0xB2),
    RGBColor(0xD5, 0x5E, 0x00),
    RGBColor(0x00, 0x9E, 0x73),
    RGBColor(0xCC, 0x79, 0xA7),
    RGBColor(0x56, 0xB4, 0xE9),
    RGBColor(0xE6, 0x9F, 0x00),
];

// Of a heat map, low to high (ColorBrewer's Blues, from white).
const SHADES: [RGBColor; 5] = [
    WHITE,
    RGBColor(0xC6, 0xDB, 0xEF),
    RGBColor(0x6B, 0xAE, 0xD6),
    RGBColor(0x21, 0x71, 0xB5),
    RGBColor(0x08, 0x30, 0x6B),
];
// Of a surface, low to high: viridis (Smith and van der Walt, 2015) at equal steps, in which equal differences look equal
// to colour-blind readers too, and in grey.
const HEIGHTS: [RGBColor; 10] = [
    RGBColor(0x44, 0x01, 0x54),
    RGBColor(0x48, 0x28, 0x78),
    RGBColor(0x3E, 0x4A, 0x89),
    RGBColor(0x31, 0x68, 0x8E),
    RGBColor(0x26, 0x82, 0x8E),
    RGBColor(0x1F, 0x9E, 0x89),
    RGBColor(0x35, 0xB7, 0x79),
    RGBColor(0x6D, 0xCD, 0x59),
    RGBColor(0xB4, 0xDE, 0x2C),
    RGBColor(0xFD, 0xE7, 0x25),
];
pub(super) const FLAT_HEIGHT: f64 = 0.5; // of a surface without heights
pub(super) const UNSHADED: RGBColor = RGBColor(0xE8, 0xE8, 0xE8);

pub(super) const MARGIN: f64 = 2.0 * MM;
pub(super) const GUTTER: f64 = 2.5 * MM; // between columns, on top of their margins
pub(super) const GAP: f64 = 1.2 * MM;
pub(super) const TICK: f64 = 7.0 * DOT;
pub(super) const MINOR_TICK: f64 = 4.0 * DOT;
pub(super) const HAIRLINE: u32 = 18;
pub(super) const MESH: u32 = 10; // on a surface
pub(super) const HALO: u32 = 14; // around what is marked on a surface
pub(super) const RULE: u32 = 20; // dashed
pub(super) const AXIS_LINE: u32 = 24;
pub(super) const CURVE: u32 = 37; // 1.5 px of 1/96 inch
// The SVG backend knows neither dashes nor caps: `STYLE` gives them to lines of these widths.
pub(super) const DASHED_CURVE: u32 = 38;
pub(super) const DISC: u32 = 116; // diameter
pub(super) const RING: u32 = 28; // of a hollow disc
pub(super) const PATH_DISCS: (f64, f64) = (68.0, 144.0); // diameters, of the first and the last
pub(super) const STYLE: &str = "rect{shape-rendering:crispEdges}polyline{stroke-linejoin:round}\
    polyline[stroke-width=\"20\"]{stroke-dasharray:72,48}\
    polyline[stroke-width=\"38\"]{stroke-dasharray:132,66}\
    polyline[stroke-width=\"116\"]{stroke-linecap:round}";
pub(super) const THIN_PALENESS: f64 = 0.45; // share of white
pub(super) const BAND_ALPHA: f64 = 0.22;
pub(super) const BAR_ALPHA: f64 = 0.45;

/// A way of writing: size in drawing units, weight, colour.
#[derive(Clone, Copy)]
pub(super) struct TextStyle {
    pub(super) size: f64,
    pub(super) bold: bool,
    pub(super) color: RGBColor,
}

pub(super) const TITLE: TextStyle = TextStyle::new(12.0, true, INK);
pub(super) const SUBTITLE: TextStyle = TextStyle::new(11.0, true, INK);
pub(super) const AXIS_LABEL: TextStyle = TextStyle::new(10.5, false, INK);
pub(super) const TICK_LABEL: TextStyle = TextStyle::new(10.0, false, AXIS);
pub(super) const LEGEND: TextStyle = TextStyle::new(10.0, false, INK);
pub(super) const CELL_COUNT: TextStyle = TextStyle::new(10.0, false, INK);
pub(super) const IMAGE_CAPTION: TextStyle = TextStyle::new(9.0, false, INK);
pub(super) const NOTE: TextStyle = TextStyle::new(10.5, false, FAINT);
pub(super) const RULE_LABEL: TextStyle = TextStyle::new(9.0, false, FAINT);
pub(super) const LEVEL_LABEL: TextStyle = TextStyle::new(8.0, false, AXIS);

impl TextStyle {
    pub(super) const fn new(points: f64, bold: bool, color: RGBColor) -> Self {
        Self { size: points * PT, bold, color }
    }

    pub(super) const fn line_height(self) -> f64 {
        1.25 * self.size
    }

    /// Height of digits and capitals, in `DejaVu` Sans.
    pub(super) const fn cap_height(self) -> f64 {
        0.729 * self.size
    }

    /// Height of `count` lines from the first one's capitals to the last one's descenders.
    pub(super) fn block_height(self, count: usize) -> f64 {
        match count {
            0 => 0.0,
            n => self.cap_height() + 0.236 * self.size + (n - 1) as f64 * self.line_height(),
        }
    }
}

impl Color {
    pub(super) fn rgb(self) -> RGBColor {
        match self {
            Self::Cycle(i) => PALETTE[i % PALETTE.len()],
            Self::Ink => INK,
        }
    }
}

/// The colour of a heat map's cell, from 0 to 1.
pub(super) fn shade(t: f64) -> RGBColor {
    along(&SHADES, t)
}

/// The colour of a surface at this height, from 0 to 1.
pub(super) fn height_color(t: f64) -> RGBColor {
    along(&HEIGHTS, t)
}

/// Between colours at equal steps.
fn along(colors: &[RGBColor], t: f64) -> RGBColor {
    let last = colors.len() - 1;
    let at = if t > 0.0 { t.min(1.0) } else { 0.0 } * last as f64;
    let i = (at as usize).min(last - 1);
    blend(colors[i], colors[i + 1], at - i as f64)
}

/// So much of the second colour in the first, from 0 to 1.
pub(super) fn blend(a: RGBColor, b: RGBColor, share: f64) -> RGBColor {
    let mix = |a: u8, b: u8| (f64::from(a) + share * (f64::from(b) - f64::from(a))).round() as u8;
    RGBColor(mix(a.0, b.0), mix(a.1, b.1), mix(a.2, b.2))
}

/// Which of ink and white is read more easily on this colour.
pub(super) fn ink_on(RGBColor(r, g, b): RGBColor) -> RGBColor {
    let light = 0.299 * f64::from(r) + 0.587 * f64::from(g) + 0.114 * f64::from(b);
    if light > 122.0 { INK } else { WHITE }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shades_darken_evenly_enough_and_carry_readable_digits() {
        let linear = |v: u8| (f64::from(v) / 255.0).powf(2.2);
        let light = |RGBColor(r, g, b)| 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
        let mut last = 1.01;
        for i in 0..=100 {
            let color = shade(f64::from(i) / 100.0);
            let (a, b) = (light(color), light(ink_on(color)));
            assert!(a < last, "{color:?}");
            assert!((a.max(b) + 0.05) / (a.min(b) + 0.05) > 3.7, "{color:?}");
            last = a;
        }
        assert_eq!((shade(-1.0), shade(f64::NAN), shade(9.0)), (WHITE, WHITE, SHADES[4]));
    }
}
