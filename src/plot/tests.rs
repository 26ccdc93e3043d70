//! Figures for the tests of every file, and tests of whole figures.

pub(super) use super::*;
pub(super) use super::{geometry::*, layout::PanelLayout, legend::LegendPosition, style::*, text::text_width};
pub(super) use anyhow::Result;
pub(super) use resvg::usvg;

pub(super) const MARKS: [Mark; 11] = {
    use Mark::*;
    [Line, Dashed, Thin, Points, LinePoints, Band, Crosses, Circles, Path, OpenPath, Bars]
};

pub(super) fn line(f: impl Fn(f64) -> f64, a: f64, b: f64, n: u32) -> Vec<(f64, f64)> {
    let xs = (0..=n).map(|i| a + (b - a) * f64::from(i) / f64::from(n));
    xs.map(|x| (x, f(x))).collect()
}

/// Series on linear axes.
pub(super) fn plot(series: Vec<Series>) -> Panel {
    Panel::plot("", Axis::linear("x"), Axis::linear("y"), series)
}

/// One line on linear axes.
pub(super) fn linear(points: Vec<(f64, f64)>) -> Panel {
    plot(vec![Series::new("", Color::Cycle(0), points)])
}

pub(super) fn panel(content: Content) -> Panel {
    Panel { title: String::new(), content }
}

pub(super) fn figure(panel: Panel) -> Figure {
    grid(1, vec![panel])
}

pub(super) fn grid(columns: usize, panels: Vec<Panel>) -> Figure {
    let [name, title, caption] = ["test", "Title", "Caption"].map(String::from);
    Figure { name, title, caption, columns, panels, doubts: Vec::new() }
}

pub(super) fn png(figure: &Figure) -> Vec<u8> {
    rasterize(&figure.svg().unwrap()).unwrap()
}

/// The first panel after layout.
pub(super) fn laid_out(figure: &Figure) -> PanelLayout<'_> {
    figure.layout().1.swap_remove(0)
}

/// What is drawn of its first series.
pub(super) fn first_runs(panel: &PanelLayout) -> Vec<Vec<Point>> {
    let (series, y) = panel.curves().next().unwrap();
    panel.runs(series, y)
}

/// Width, height, RGB bytes and dots per metre.
pub(super) fn decoded(bytes: &[u8]) -> (u32, u32, Vec<u8>, u32) {
    let decoder = png::Decoder::new(std::io::Cursor::new(bytes));
    let mut reader = decoder.read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let frame = reader.next_frame(&mut pixels).unwrap();
    let dims = reader.info().pixel_dims.unwrap();
    assert!(matches!(dims.unit, png::Unit::Meter) && dims.xppu == dims.yppu);
    (frame.width, frame.height, pixels, dims.xppu)
}

pub(super) fn labelled(points: Vec<(f64, f64)>) -> Panel {
    let first = Series::new("first", Color::Cycle(0), points.clone());
    let second = Series::new("second", Color::Cycle(1), points).mark(Mark::Dashed);
    plot(vec![first, second])
}

pub(super) fn confusion(n: usize) -> HeatMap {
    let names: Vec<String> = (0..n).map(|i| i.to_string()).collect();
    let cells = || (0..n * n).map(|i| (i / n, i % n));
    let count = |(row, column)| if row == column { 1000 } else { (row * column % 5) as u64 };
    let shade = |(row, column)| if row == column { f64::NAN } else { count((row, column)) as f64 };
    HeatMap {
        x: "predicted digit".into(),
        y: "true digit".into(),
        columns: names.clone(),
        rows: names,
        counts: cells().map(count).collect(),
        shades: cells().map(shade).collect(),
    }
}

pub(super) fn images(count: usize, columns: usize) -> Images {
    let pixels = |k: usize| (0..28 * 28).map(|i| (i * (k + 1) % 256) as u8).collect();
    let images = (0..count).map(|k| (format!("true {k}\npredicted 9 (0.98)"), pixels(k)));
    Images { size: (28, 28), pixels: Pixels::Ink, columns, images: images.collect() }
}

/// So many points from −1 to 1.
pub(super) fn evenly(count: u32) -> Vec<f64> {
    (0..count).map(|i| -1.0 + 2.0 * f64::from(i) / f64::from(count - 1)).collect()
}

/// A function on a square grid.
pub(super) fn surface(at: Vec<f64>, z: Axis, f: impl Fn(f64, f64) -> f64) -> Surface {
    let values = at.iter().flat_map(|&y| at.iter().map(move |&x| (x, y))).map(|(x, y)| f(x, y)).collect();
    let (x, y) = (Axis::linear("direction 1, filter-normalized"), Axis::linear("direction 2"));
    Surface { x, y, z, at_x: at.clone(), at_y: at, values, path: Vec::new(), point: None }
}

pub(super) fn bowl(count: u32) -> Surface {
    surface(evenly(count), Axis::linear("loss"), |x, y| x * x + y * y)
}

pub(super) fn shown(content: Content) -> Result<String> {
    figure(panel(content)).svg()
}

/// The RGB at the middle of a rectangle in drawing units.
pub(super) fn color_at(figure: &Figure, r: Rect, at: Point) -> [u8; 3] {
    let (width, _, pixels, _) = decoded(&png(figure));
    let dot = |from: f64, to: f64, t: f64| ((from + t * (to - from)) / DOT) as usize;
    let i = 3 * (dot(r.y0, r.y1, at.1) * width as usize + dot(r.x0, r.x1, at.0));
    [pixels[i], pixels[i + 1], pixels[i + 2]]
}

#[test]
fn hostile_texts_stay_text() {
    let nasty = "</title><script>alert('1')</script> & \"\u{0}\u{7}\u{ffff}\n]]>";
    let mut series = Series::new(nasty, Color::Ink, line(|x| x, 0.0, 1.0, 4));
    series.label.push_str(&"word ".repeat(9000));
    let panels = vec![Panel::plot(nasty, Axis::linear(nasty), Axis::log(nasty), vec![series])];
    let [name, title, caption] = [nasty; 3].map(String::from);
    let figure = Figure { name, title, caption, columns: 1, panels, doubts: vec![nasty.into()] };
    let svg = figure.svg().unwrap();
    let document = usvg::roxmltree::Document::parse(&svg).unwrap();
    let named = |name: &str| document.descendants().filter(|n| n.has_tag_name(name)).count();
    assert_eq!((named("script"), named("title"), named("desc")), (0, 1, 1));
    let title = document.root_element().first_element_child().unwrap();
    assert_eq!(title.text(), Some("</title><script>alert('1')</script> & \" ]]>"));
}

#[test]
fn nothing_is_cut_at_the_edges() {
    let long = "a label long enough to need more room than there is ".repeat(9);
    let points = || line(|x| x * 1e5, 0.0, 123_456.0, 4);
    let series = |i| Series::new(format!("{i} {long}"), Color::Cycle(i), points());
    let axis = || Axis::linear(&*long);
    let crowded = Panel::plot(&*long, axis(), axis(), (0..30).map(series).collect())
        .right(axis(), (30..50).map(series).collect())
        .rules(vec![(0.0, long.clone()), (9e9, long.clone())]);
    let mut table = confusion(12);
    table.rows.iter_mut().chain(&mut table.columns).for_each(|name| name.push_str(&long));
    (table.x, table.y) = (long.clone(), long.clone());
    let table = Panel { title: long.clone(), content: Content::HeatMap(table) };
    let mut digits = images(17, 5);
    digits.images.iter_mut().for_each(|(caption, _)| caption.push_str(&long));
    let digits = Panel { title: long.clone(), content: Content::Images(digits) };
    let mut solid = surface(evenly(5), Axis::linear(&*long), |x, y| 1e6 * x * y);
    (solid.x, solid.y) = (axis(), axis());
    let solid = Panel::surface(&*long, solid);
    let panels = [crowded, table, digits, solid];
    for panels in panels.iter().map(|panel| vec![panel.clone()]).chain([panels.to_vec()]) {
        let figure = Figure { title: long.clone(), ..grid(panels.len().min(2), panels) };
        let (width, height, pixels, _) = decoded(&png(&figure));
        for (i, rgb) in (0_u32..).zip(pixels.chunks(3)) {
            let (x, y) = (i % width, i / width);
            let edge = x.min(y).min(width - 1 - x).min(height - 1 - y) < 4;
            assert!(!edge || rgb == [255; 3], "ink at {x}, {y}");
        }
    }
}

#[test]
fn degenerate_data_are_drawn() {
    let points: Vec<Vec<(f64, f64)>> = vec![
        vec![],
        vec![(f64::NAN, 1.0), (1.0, f64::INFINITY), (f64::NEG_INFINITY, f64::NAN)],
        vec![(0.0, 0.0)],
        vec![(3.0, 5.0), (3.0, 5.0)],
        line(|_| 1e30, 0.0, 1.0, 3),
        line(|x| x * 1e30, -1.0, 1.0, 3),
        line(|x| x * 1e-300, -1.0, 1.0, 3),
        line(|x| 10_f64.powf(x), -300.0, 300.0, 60),
        line(|x| -1e4 - x, 0.0, 1.0, 3),
        line(|x| 1e15 + x, 0.0, 4.0, 4),
        vec![(0.0, f64::MAX), (1.0, -f64::MAX), (2.0, f64::MIN_POSITIVE)],
        vec![(5e-324, 5e-324), (1e-320, 1e-320)],
        vec![(1e300, -1e300), (-1e300, 1e300)],
        vec![(1e-310, 1.0), (1e308, 2.0)],
    ];
    for points in points {
        for scale in [Scale::Linear, Scale::Log, Scale::SymLog(-8), Scale::SymLog(i32::MIN)] {
            for mark in MARKS {
                let axis =
                    || Axis { label: "v".into(), scale, levels: vec![0.0, 1.0], reach: vec![0.0, f64::MAX, f64::NAN] };
                let series = Series::new("s", Color::Ink, points.clone()).mark(mark);
                let svg = figure(Panel::plot("", axis(), axis(), vec![series])).svg().unwrap();
                assert!(!svg.contains("NaN") && !svg.contains("inf"), "{points:?}");
            }
        }
    }
}

#[test]
fn long_series_make_a_small_svg() {
    let noise = |i: u32| f64::from(i.wrapping_mul(2_654_435_761) >> 16) / 65_536.0;
    let series = (0..3).map(|s| {
        let values: Vec<f64> = (0..20_000).map(|i| 0.1 + noise(i + s * 99_991)).collect();
        Series::over_epochs(format!("run {s}"), Color::Cycle(s as usize), 1, &values)
    });
    let panel = Panel::plot("", Axis::linear("epoch"), Axis::log("loss"), series.collect());
    assert!(figure(panel).svg().unwrap().len() < 250_000);
}

/// Bins with edges at whole numbers from zero on.
pub(super) fn unit_bins(counts: &[f64]) -> Vec<(f64, f64, f64)> {
    (0_u32..).zip(counts).map(|(i, &count)| (f64::from(i), f64::from(i) + 1.0, count)).collect()
}

#[test]
fn no_panel_and_too_many_panels_are_errors() {
    assert!(format!("{:#}", grid(1, vec![]).svg().unwrap_err()).contains("no panel"));
    assert!(grid(1, vec![linear(vec![]); MAX_PANELS + 1]).svg().is_err());
}

#[test]
fn only_plots_have_a_right_axis_rules_and_contours() {
    let table = || panel(Content::HeatMap(confusion(3)));
    let contours = Contours { x: vec![1.0], y: vec![1.0], z: vec![1.0], levels: vec![] };
    let changed = table().rules(vec![(0.0, "r".into())]).right(Axis::linear("y"), vec![]).contours(contours);
    assert_eq!(figure(changed).svg().unwrap(), figure(table()).svg().unwrap());
}
