//! The built-in data set: handwritten-looking digits drawn from strokes, 28×28, white on black.
//!
//! It needs no file and no network, so that every experiment runs anywhere. Image `i` of a split
//! is a function of (seed, split, `i`) alone, its label included: whatever the count, an image is
//! the same, and every prefix is a fair sample.
//!
//! Only additions, products, quotients and square roots are used, which IEEE 754 defines to the
//! last bit: the bytes are the same on every machine. No sine, exponential or logarithm.

use crate::rng::{Purpose, Rng};

/// Rows, and columns, of an image.
pub const SIDE: usize = 28;
/// Bytes of an image, one a pixel.
pub const PIXELS: usize = SIDE * SIDE;
/// Labels are below this.
pub const CLASSES: u8 = 10;

/// n images and their labels, as MNIST's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digits {
    /// n · 784 grey values, image after image, row by row; 0 is background, 255 ink.
    pub images: Vec<u8>,
    /// n digits, 0 to 9.
    pub labels: Vec<u8>,
}

/// Raised whenever an image changes: part of the data's fingerprint.
pub const VERSION: u32 = 1;

/// Which of the two independent collections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    Train,
    Test,
}

impl Split {
    /// Part of every key: never rename one.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Test => "test",
        }
    }
}

/// The first `count` digits of a split.
pub fn generate(seed: u64, split: Split, count: usize) -> Digits {
    let mut images = vec![0; count * PIXELS];
    let mut painter = Painter::default();
    let labels = images
        .chunks_exact_mut(PIXELS)
        .enumerate()
        .map(|(index, image)| {
            let mut rng = Rng::keyed(seed, split.name(), Purpose::SyntheticDigit, index as u64);
            let (label, ink) = painter.digit(&mut rng);
            // Most images have little noise, a few much.
            let grain = rng.uniform();
            let noise = 0.09 * grain * grain;
            for (pixel, ink) in image.iter_mut().zip(ink) {
                let value = ink + noise * rng.bell();
                *pixel = (value.clamp(0.0, 1.0) * 255.0).round() as u8;
            }
            label
        })
        .collect();
    Digits { images, labels }
}

/// Points that a smooth curve passes through, in a box with (0, 0) top left and (1, 1) bottom
/// right. A point given twice in a row is a sharp corner.
type Stroke = &'static [(f64, f64)];
type Glyph = &'static [Stroke];

/// The ways to write each digit, each entry equally likely.
#[rustfmt::skip]
const GLYPHS: [&[Glyph]; 10] = [
    &[ // 0: closed, slightly open, with the end crossing inwards
        &[&[(0.55, 0.0), (0.15, 0.16), (0.0, 0.5), (0.14, 0.85), (0.5, 1.0), (0.86, 0.85), (1.0, 0.5), (0.86, 0.15), (0.5, 0.0)]],
        &[&[(0.7, 0.06), (0.3, 0.04), (0.04, 0.4), (0.1, 0.8), (0.45, 1.0), (0.85, 0.84), (1.0, 0.45), (0.86, 0.14), (0.52, 0.06)]],
        &[&[(0.4, 0.02), (0.08, 0.28), (0.02, 0.68), (0.35, 1.0), (0.8, 0.86), (1.0, 0.46), (0.8, 0.1), (0.42, 0.0), (0.25, 0.14)]],
    ],
    &[ // 1: a bar (twice as often), with a flag, with flag and foot
        &[&[(0.5, 0.0), (0.5, 0.5), (0.5, 1.0)]],
        &[&[(0.5, 0.0), (0.5, 0.5), (0.5, 1.0)]],
        &[&[(0.24, 0.22), (0.54, 0.0), (0.54, 0.0), (0.54, 0.5), (0.54, 1.0)]],
        &[&[(0.24, 0.24), (0.52, 0.0), (0.52, 0.0), (0.52, 1.0)], &[(0.2, 1.0), (0.84, 1.0)]],
    ],
    &[ // 2: angular foot, loop in the foot, swan
        &[&[(0.04, 0.24), (0.28, 0.03), (0.68, 0.03), (0.9, 0.26), (0.72, 0.54), (0.34, 0.82), (0.0, 1.0), (0.0, 1.0), (1.0, 0.99)]],
        &[&[(0.06, 0.2), (0.36, 0.0), (0.78, 0.1), (0.82, 0.38), (0.52, 0.74), (0.2, 0.97), (0.02, 0.88), (0.18, 0.76), (0.5, 0.88), (1.0, 0.98)]],
        &[&[(0.1, 0.14), (0.5, 0.0), (0.84, 0.2), (0.7, 0.52), (0.36, 0.78), (0.04, 0.97), (0.04, 0.97), (0.4, 0.92), (0.7, 1.0), (1.0, 0.9)]],
    ],
    &[ // 3: round, flat-topped, with a small loop in the waist
        &[&[(0.04, 0.14), (0.4, 0.0), (0.82, 0.1), (0.8, 0.36), (0.36, 0.47), (0.36, 0.47), (0.84, 0.56), (0.96, 0.8), (0.55, 1.0), (0.0, 0.88)]],
        &[&[(0.06, 0.02), (0.88, 0.0), (0.88, 0.0), (0.42, 0.4), (0.42, 0.4), (0.86, 0.52), (0.96, 0.78), (0.55, 1.0), (0.0, 0.9)]],
        &[&[(0.1, 0.1), (0.5, 0.0), (0.84, 0.18), (0.62, 0.42), (0.34, 0.5), (0.4, 0.42), (0.8, 0.56), (0.92, 0.8), (0.5, 1.0), (0.02, 0.86)]],
    ],
    &[ // 4: open, closed, with a curved cup
        &[&[(0.16, 0.0), (0.1, 0.3), (0.02, 0.56), (0.02, 0.56), (1.0, 0.54)], &[(0.78, 0.12), (0.72, 0.55), (0.7, 1.0)]],
        &[&[(0.66, 0.0), (0.0, 0.66), (0.0, 0.66), (1.0, 0.66)], &[(0.68, 0.0), (0.68, 1.0)]],
        &[&[(0.06, 0.02), (0.06, 0.36), (0.34, 0.52), (0.84, 0.42)], &[(0.9, 0.0), (0.84, 0.5), (0.76, 1.0)]],
    ],
    &[ // 5: in one stroke, with a separate bar, rounded like an S
        &[&[(0.9, 0.0), (0.2, 0.02), (0.2, 0.02), (0.12, 0.42), (0.12, 0.42), (0.56, 0.37), (0.94, 0.62), (0.76, 0.92), (0.36, 1.0), (0.0, 0.88)]],
        &[&[(0.22, 0.04), (0.16, 0.44), (0.16, 0.44), (0.6, 0.42), (0.9, 0.68), (0.6, 0.98), (0.02, 0.92)], &[(0.22, 0.04), (1.0, 0.0)]],
        &[&[(0.94, 0.02), (0.52, 0.02), (0.22, 0.1), (0.22, 0.36), (0.64, 0.48), (0.88, 0.72), (0.56, 0.98), (0.04, 0.92)]],
    ],
    &[ // 6: curved back, straight back, small loop
        &[&[(0.78, 0.0), (0.36, 0.18), (0.06, 0.58), (0.14, 0.9), (0.5, 1.0), (0.88, 0.84), (0.82, 0.58), (0.48, 0.5), (0.1, 0.68)]],
        &[&[(0.6, 0.0), (0.22, 0.42), (0.04, 0.76), (0.3, 0.99), (0.72, 0.94), (0.9, 0.7), (0.6, 0.54), (0.26, 0.64), (0.1, 0.82)]],
        &[&[(0.46, 0.0), (0.14, 0.36), (0.06, 0.74), (0.36, 1.0), (0.78, 0.9), (0.74, 0.64), (0.42, 0.62), (0.24, 0.86)]],
    ],
    &[ // 7: plain, with a bar, with a hook, curved
        &[&[(0.0, 0.03), (0.94, 0.0), (0.94, 0.0), (0.6, 0.5), (0.4, 1.0)]],
        &[&[(0.0, 0.03), (0.94, 0.0), (0.94, 0.0), (0.6, 0.5), (0.4, 1.0)], &[(0.3, 0.53), (0.9, 0.5)]],
        &[&[(0.02, 0.22), (0.05, 0.04), (0.05, 0.04), (0.95, 0.03), (0.95, 0.03), (0.6, 0.52), (0.44, 1.0)]],
        &[&[(0.04, 0.1), (0.5, 0.06), (0.92, 0.02), (0.86, 0.3), (0.62, 0.64), (0.54, 1.0)]],
    ],
    &[ // 8: one crossing stroke, two rings, begun in the middle
        &[&[(0.84, 0.12), (0.5, 0.0), (0.14, 0.16), (0.34, 0.42), (0.8, 0.66), (0.84, 0.88), (0.5, 1.0), (0.12, 0.88), (0.18, 0.64), (0.62, 0.42), (0.88, 0.2), (0.74, 0.04)]],
        &[&[(0.5, 0.46), (0.16, 0.24), (0.5, 0.0), (0.84, 0.24), (0.5, 0.46)], &[(0.5, 0.46), (0.08, 0.74), (0.5, 1.0), (0.92, 0.74), (0.5, 0.46)]],
        &[&[(0.5, 0.48), (0.18, 0.3), (0.22, 0.08), (0.6, 0.0), (0.84, 0.18), (0.56, 0.46), (0.14, 0.74), (0.36, 0.99), (0.78, 0.94), (0.88, 0.72), (0.46, 0.46)]],
    ],
    &[ // 9: straight stem, curved stem, hooked tail
        &[&[(0.88, 0.14), (0.5, 0.0), (0.12, 0.16), (0.12, 0.4), (0.46, 0.5), (0.8, 0.36), (0.88, 0.08), (0.88, 0.08), (0.86, 0.5), (0.8, 1.0)]],
        &[&[(0.82, 0.2), (0.5, 0.0), (0.14, 0.18), (0.18, 0.44), (0.54, 0.48), (0.82, 0.24), (0.88, 0.3), (0.76, 0.66), (0.56, 1.0)]],
        &[&[(0.84, 0.2), (0.52, 0.0), (0.16, 0.12), (0.14, 0.4), (0.5, 0.5), (0.84, 0.26), (0.84, 0.26), (0.9, 0.62), (0.66, 0.96), (0.16, 0.94)]],
    ],
];

/// Short straight pieces that a curve is cut into between two of its points.
const PIECES: usize = 5;
/// Nodes along each side of the net that bends the plane, as many as a cubic has coefficients.
const NODES: usize = 4;

/// What stays free along the border, pixels, unless the digit is too large for that.
const MARGIN: f64 = 1.5;

/// A point of the pen's path: where, and how wide the pen is there.
#[derive(Clone, Copy, Debug)]
struct Dot {
    x: f64,
    y: f64,
    radius: f64,
}

/// Draws one digit after another into the same buffers.
#[derive(Default)]
pub(super) struct Painter {
    /// A stroke's control points, moved from where the glyph has them.
    control: Vec<Dot>,
    /// The path of all strokes, as the ends of short straight lines.
    lines: Vec<(Dot, Dot)>,
}

/// How one image differs from another of the same glyph.
struct Hand {
    /// Lengths of the unit box's sides, pixels.
    width: f64,
    height: f64,
    slant: f64,
    cosine: f64,
    sine: f64,
    /// Displacements of the net's nodes, in the glyph's unit.
    net: [[(f64, f64); NODES]; NODES],
}

impl Hand {
    fn draw(rng: &mut Rng) -> Self {
        let height = rng.uniform_in(15.0, 21.5);
        let width = height * rng.uniform_in(0.52, 0.92);
        let slant = 0.06 + 0.18 * rng.bell();
        // The rational parameters of a circle: a rotation without sine and cosine.
        let half = 0.065 * rng.bell();
        let scale = 1.0 + half * half;
        let (cosine, sine) = ((1.0 - half * half) / scale, 2.0 * half / scale);
        let strength = rng.uniform_in(0.03, 0.18);
        let mut net = [[(0.0, 0.0); NODES]; NODES];
        for node in net.iter_mut().flatten() {
            *node = (strength * rng.bell(), strength * rng.bell());
        }
        Self { width, height, slant, cosine, sine, net }
    }

    /// From the glyph's unit box to pixels around the origin: bend, stretch, slant, turn.
    fn place(&self, dot: Dot) -> Dot {
        let (across, down) = (pulls(dot.x), pulls(dot.y));
        let (mut x, mut y) = (dot.x - 0.5, dot.y - 0.5);
        for (nodes, down) in self.net.iter().zip(down) {
            for (node, across) in nodes.iter().zip(across) {
                x += down * across * node.0;
                y += down * across * node.1;
            }
        }
        (x, y) = (x * self.width, y * self.height);
        x -= self.slant * y;
        Dot { x: self.cosine * x - self.sine * y, y: self.sine * x + self.cosine * y, ..dot }
    }
}

/// How strongly each node along a side pulls at a coordinate: Bernstein's cubic polynomials, so
/// that the plane bends without a kink.
fn pulls(at: f64) -> [f64; NODES] {
    let t = at.clamp(0.0, 1.0);
    let u = 1.0 - t;
    [u * u * u, 3.0 * u * u * t, 3.0 * u * t * t, t * t * t]
}

impl Painter {
    /// The digit that a stream decides on: its label and its ink, from 0 to a little above 1 where the pen is bold.
    pub(super) fn digit(&mut self, rng: &mut Rng) -> (u8, [f64; PIXELS]) {
        let label = rng.below(GLYPHS.len());
        let variants = GLYPHS[label];
        let glyph = variants[rng.below(variants.len())];
        (label as u8, self.draw(glyph, rng))
    }

    fn draw(&mut self, glyph: Glyph, rng: &mut Rng) -> [f64; PIXELS] {
        let hand = Hand::draw(rng);
        let radius = rng.uniform_in(0.7, 1.65);
        self.lines.clear();
        for stroke in glyph {
            self.move_points(stroke, radius, rng);
            self.trace(&hand);
        }
        self.shift(rng);
        // Between sharp and slightly out of focus.
        let softness = rng.uniform_in(0.45, 0.85);
        let mut ink = [0.0; PIXELS];
        for line in &self.lines {
            cover(line, softness, &mut ink);
        }
        let brightness = rng.uniform_in(0.85, 1.3);
        ink.map(|ink| ink * brightness)
    }

    /// The control points of one stroke, each a little off, as no hand hits them exactly.
    fn move_points(&mut self, stroke: Stroke, radius: f64, rng: &mut Rng) {
        self.control.clear();
        for (index, &(x, y)) in stroke.iter().enumerate() {
            let corner = index > 0 && stroke[index - 1] == (x, y);
            let dot = match self.control.last() {
                Some(&before) if corner => before,
                _ => Dot {
                    x: x + 0.022 * rng.bell(),
                    y: y + 0.018 * rng.bell(),
                    radius: radius * rng.uniform_in(0.9, 1.1),
                },
            };
            self.control.push(dot);
        }
    }

    /// Appends the smooth curve through the control points (a Catmull-Rom spline).
    fn trace(&mut self, hand: &Hand) {
        let points = &self.control;
        for index in 1..points.len() {
            let (from, to) = (points[index - 1], points[index]);
            if same_place(from, to) {
                continue;
            }
            // Beyond an end or a corner, the curve continues as if mirrored.
            let mirrored = |at: Dot, other: Dot| Dot { x: 2.0 * at.x - other.x, y: 2.0 * at.y - other.y, ..at };
            let before = match index.checked_sub(2) {
                Some(i) if !same_place(points[i], from) => points[i],
                _ => mirrored(from, to),
            };
            let after = match points.get(index + 1) {
                Some(&next) if !same_place(next, to) => next,
                _ => mirrored(to, from),
            };
            let mut start = hand.place(from);
            for piece in 1..=PIECES {
                let t = piece as f64 / PIECES as f64;
                let end = hand.place(Dot {
                    x: spline([before.x, from.x, to.x, after.x], t),
                    y: spline([before.y, from.y, to.y, after.y], t),
                    radius: from.radius + (to.radius - from.radius) * t,
                });
                self.lines.push((start, end));
                start = end;
            }
        }
    }

    /// Moves the drawing to somewhere near the middle, inside the border where it fits.
    fn shift(&mut self, rng: &mut Rng) {
        let offset = |low: f64, high: f64, wish: f64| {
            let slack = (0.5 * (SIDE as f64 - (high - low)) - MARGIN).max(0.0);
            // The middle of pixel 0 is at 0.
            0.5 * (SIDE as f64 - 1.0) - 0.5 * (low + high) + wish.clamp(-slack, slack)
        };
        let mut low = (f64::MAX, f64::MAX);
        let mut high = (f64::MIN, f64::MIN);
        for dot in self.lines.iter().flat_map(|&(start, end)| [start, end]) {
            low = (low.0.min(dot.x - dot.radius), low.1.min(dot.y - dot.radius));
            high = (high.0.max(dot.x + dot.radius), high.1.max(dot.y + dot.radius));
        }
        let dx = offset(low.0, high.0, 1.85 * rng.bell());
        let dy = offset(low.1, high.1, 1.85 * rng.bell());
        for dot in self.lines.iter_mut().flat_map(|(start, end)| [start, end]) {
            dot.x += dx;
            dot.y += dy;
        }
    }
}

fn same_place(a: Dot, b: Dot) -> bool {
    a.x == b.x && a.y == b.y
}

/// The curve from `p[1]` (t = 0) to `p[2]` (t = 1) whose slopes there point along the neighbours.
fn spline(p: [f64; 4], t: f64) -> f64 {
    let a = p[2] - p[0];
    let b = 2.0 * p[0] - 5.0 * p[1] + 4.0 * p[2] - p[3];
    let c = 3.0 * (p[1] - p[2]) + p[3] - p[0];
    p[1] + 0.5 * t * (a + t * (b + t * c))
}

/// Covers the pixels near a line, antialiased over ±`softness` about the pen's edge. Overlapping
/// strokes take the stronger ink, so that joints do not show.
fn cover(&(start, end): &(Dot, Dot), softness: f64, ink: &mut [f64; PIXELS]) {
    let reach = start.radius.max(end.radius) + softness;
    // Casts saturate: a line off the picture gives an empty or clipped range.
    let pixels = |a: f64, b: f64| ((a.min(b) - reach).ceil() as usize)..((a.max(b) + reach) as usize + 1).min(SIDE);
    let (dx, dy) = (end.x - start.x, end.y - start.y);
    let length = dx * dx + dy * dy;
    let per_length = if length > 0.0 { 1.0 / length } else { 0.0 };
    for row in pixels(start.y, end.y) {
        let y = row as f64 - start.y;
        for column in pixels(start.x, end.x) {
            let x = column as f64 - start.x;
            let along = ((x * dx + y * dy) * per_length).clamp(0.0, 1.0);
            let (off_x, off_y) = (x - along * dx, y - along * dy);
            let distance = off_x * off_x + off_y * off_y;
            if distance < reach * reach {
                let edge = start.radius + (end.radius - start.radius) * along + softness;
                let covered = ((edge - distance.sqrt()) / (2.0 * softness)).clamp(0.0, 1.0);
                let pixel = &mut ink[row * SIDE + column];
                *pixel = covered.max(*pixel);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_does_not_depend_on_the_count() {
        let few = generate(3, Split::Train, 10);
        let many = generate(3, Split::Train, 50);
        assert_eq!(few.images, many.images[..10 * PIXELS]);
        assert_eq!(few.labels, many.labels[..10]);
        assert_eq!(generate(3, Split::Train, 0), Digits { images: vec![], labels: vec![] });
    }

    #[test]
    fn seeds_and_splits_and_indices_differ() {
        let base = generate(1, Split::Train, 40);
        assert_eq!(base, generate(1, Split::Train, 40));
        let mut images: Vec<Vec<u8>> = Vec::new();
        for other in [&base, &generate(2, Split::Train, 40), &generate(1, Split::Test, 40)] {
            images.extend(other.images.chunks(PIXELS).map(<[u8]>::to_vec));
        }
        images.sort();
        images.dedup();
        assert_eq!(images.len(), 120, "no image occurs twice");
    }

    #[test]
    fn labels_are_uniform_in_every_prefix() {
        let labels = generate(5, Split::Train, 4000).labels;
        for prefix in [1000, 4000] {
            let mut counts = [0usize; 10];
            labels[..prefix].iter().for_each(|&label| counts[usize::from(label)] += 1);
            // Chi-squared with 9 degrees of freedom: above 27.9 one time in a thousand.
            let expected = prefix as f64 / 10.0;
            let chi: f64 = counts.iter().map(|&count| (count as f64 - expected).powi(2) / expected).sum();
            assert!(chi < 27.9, "{counts:?}");
        }
    }

    #[test]
    fn pixels_are_distributed_as_in_mnist() {
        let images = generate(6, Split::Test, 2000).images;
        let n = images.len() as f64;
        let mean = images.iter().map(|&p| f64::from(p) / 255.0).sum::<f64>() / n;
        let square = images.iter().map(|&p| (f64::from(p) / 255.0).powi(2)).sum::<f64>() / n;
        let deviation = (square - mean * mean).sqrt();
        // MNIST: 0.131 and 0.308.
        assert!((0.12..0.16).contains(&mean), "{mean}");
        assert!((0.28..0.33).contains(&deviation), "{deviation}");
    }

    #[test]
    fn every_image_shows_a_digit_away_from_the_border() {
        let images = generate(7, Split::Train, 2000).images;
        let mut at_border = 0;
        for image in images.chunks(PIXELS) {
            // A third of full brightness: above the noise, within the faintest stroke.
            let bright = |&(_, &pixel): &(usize, &u8)| pixel > 85;
            let ink = image.iter().enumerate().filter(bright).count();
            assert!((15..400).contains(&ink), "{ink} bright pixels");
            let edge = |at: usize| [0, SIDE - 1].contains(&(at % SIDE)) || [0, SIDE - 1].contains(&(at / SIDE));
            at_border += usize::from(image.iter().enumerate().filter(bright).any(|(at, _)| edge(at)));
        }
        assert!(at_border < 100, "{at_border} of 2000 touch the border");
    }

    #[test]
    fn the_curve_passes_through_its_points_and_keeps_lines_straight() {
        let p = [0.3, -1.0, 2.0, 7.0];
        assert_eq!((spline(p, 0.0), spline(p, 1.0)), (-1.0, 2.0));
        assert!((spline([0.0, 1.0, 2.0, 3.0], 0.3) - 1.3).abs() < 1e-12);
    }

    #[test]
    fn a_line_covers_its_area() {
        // A pen of radius 1.5 along 10 pixels: a rectangle and two half discs.
        let dot = |x, y| Dot { x, y, radius: 1.5 };
        let mut ink = [0.0; PIXELS];
        cover(&(dot(8.2, 9.4), dot(14.2, 17.4)), 0.5, &mut ink);
        let area: f64 = ink.iter().sum();
        assert!((area - (30.0 + std::f64::consts::PI * 2.25)).abs() < 0.5, "{area}");
        // Off the picture, wholly or in part, nothing panics.
        for line in
            [(dot(-9.0, -9.0), dot(-5.0, -9.0)), (dot(40.0, 3.0), dot(25.0, 60.0)), (dot(-3.0, 5.0), dot(4.0, 5.0))]
        {
            cover(&line, 0.5, &mut ink);
        }
    }

    #[test]
    fn the_bytes_are_pinned() {
        // The same on every machine and in every release; a change must raise VERSION.
        let digits = generate(0, Split::Train, 100);
        let hex = crate::files::sha256(&[digits.images, digits.labels].concat());
        assert_eq!((VERSION, hex.as_str()), (1, "8429809f8442f59aab161dd34715df931ee9c642222b6550b13d21d3f76daaf5"));
    }
}
