//! The built-in data set in colour: the strokes of [`digits`] on 3×32×32 pixels, in one colour on a ground that fades
//! from a second to a third.
//!
//! Colours are drawn without a look at the label, and ink is darker than its ground as often as lighter: only the
//! shape tells the digit. As in [`digits`], image `i` is a function of (seed, split, `i`) alone, and exact arithmetic
//! makes the bytes the same on every machine.

use super::digits::{self, Digits, Painter, Split};
use crate::rng::{Purpose, Rng};

/// Rows, and columns, of an image.
pub const SIDE: usize = 32;
/// Red, green and blue.
pub const CHANNELS: usize = 3;
/// Bytes of an image.
pub const PIXELS: usize = CHANNELS * SIDE * SIDE;
/// Labels are below this.
pub const CLASSES: u8 = digits::CLASSES;

/// Raised whenever an image changes: part of the data's fingerprint.
pub const VERSION: u32 = 1;

/// By channel, in 0…1: over the first 60000 training images of seed 0.
pub const MEAN: [f64; CHANNELS] = [0.5004, 0.5004, 0.5007];
pub const STANDARD_DEVIATION: [f64; CHANNELS] = [0.2466, 0.2983, 0.2330];

/// The first `count` images of a split: n · 3072 values, image after image, of each the red ones row by row, then green,
/// then blue; and their digits, 0 to 9.
pub fn generate(seed: u64, split: Split, count: usize) -> Digits {
    let mut images = vec![0; count * PIXELS];
    let mut painter = Painter::default();
    let labels = images
        .chunks_exact_mut(PIXELS)
        .enumerate()
        .map(|(index, image)| {
            let mut rng = Rng::keyed(seed, split.name(), Purpose::SyntheticColour, index as u64);
            let (label, ink) = painter.digit(&mut rng);
            colour(&ink, &mut rng, image);
            label
        })
        .collect();
    Digits { images, labels }
}

type Colour = [f64; CHANNELS];

/// Between the lightness of ink and of any part of its ground, 0…1.
const CONTRAST: f64 = 0.35;

/// How light a colour looks, 0…1 (luma of BT.601).
fn lightness([red, green, blue]: Colour) -> f64 {
    0.299 * red + 0.587 * green + 0.114 * blue
}

/// Ink and the two ends of its ground, each uniform among what is far enough apart.
fn colours(rng: &mut Rng) -> [Colour; 3] {
    loop {
        let drawn = [(); 3].map(|()| [(); CHANNELS].map(|()| rng.uniform()));
        let [ink, ground @ ..] = drawn.map(lightness);
        // Every colour between two has a lightness between theirs.
        if ground.iter().all(|end| end - ink >= CONTRAST) || ground.iter().all(|end| ink - end >= CONTRAST) {
            return drawn;
        }
    }
}

/// Puts the ink in colour somewhere on its ground.
fn colour(strokes: &[f64; digits::PIXELS], rng: &mut Rng, image: &mut [u8]) {
    let shift = SIDE - digits::SIDE + 1;
    let (right, down) = (rng.below(shift), rng.below(shift));
    let [ink, from, to] = colours(rng);
    // The ground fades along a line of any direction: from 0 in one corner, or edge, to 1 in the opposite one.
    let (across, along) = (rng.uniform_in(-1.0, 1.0), rng.uniform_in(-1.0, 1.0));
    let length = (across.abs() + along.abs()).max(1e-9) * (SIDE - 1) as f64;
    let middle = 0.5 * (SIDE - 1) as f64;
    // Most images have little noise, a few much.
    let grain = rng.uniform();
    let noise = 0.07 * grain * grain;
    for row in 0..SIDE {
        for column in 0..SIDE {
            let inside = |at: usize, shift: usize| at.checked_sub(shift).filter(|&at| at < digits::SIDE);
            let alpha = match (inside(row, down), inside(column, right)) {
                (Some(row), Some(column)) => strokes[row * digits::SIDE + column].min(1.0),
                _ => 0.0,
            };
            let faded = 0.5 + (across * (column as f64 - middle) + along * (row as f64 - middle)) / length;
            for channel in 0..CHANNELS {
                let ground = from[channel] + faded * (to[channel] - from[channel]);
                let value = ground + alpha * (ink[channel] - ground) + noise * rng.bell();
                image[(channel * SIDE + row) * SIDE + column] = (value.clamp(0.0, 1.0) * 255.0).round() as u8;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lightness of each pixel, 0…1.
    fn lightnesses(image: &[u8]) -> Vec<f64> {
        let at = |i: usize| [0, 1, 2].map(|channel| f64::from(image[channel * SIDE * SIDE + i]) / 255.0);
        (0..SIDE * SIDE).map(|i| lightness(at(i))).collect()
    }

    #[test]
    fn an_image_does_not_depend_on_the_count() {
        let (few, many) = (generate(3, Split::Train, 10), generate(3, Split::Train, 50));
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
        assert_ne!(base.labels, digits::generate(1, Split::Train, 40).labels, "a stream of its own");
    }

    #[test]
    fn labels_are_uniform_and_colours_know_nothing_of_them() {
        let Digits { images, labels } = generate(5, Split::Train, 4000);
        let mut of_label = vec![(0.0, 0.0); 10];
        for (image, &label) in images.chunks(PIXELS).zip(&labels) {
            let (count, corner) = &mut of_label[usize::from(label)];
            *count += 1.0;
            // Ground, at any place of the digit.
            *corner += f64::from(image[0]) / 255.0;
        }
        // Chi-squared with 9 degrees of freedom: above 27.9 one time in a thousand.
        let chi: f64 = of_label.iter().map(|(count, _)| (count - 400.0_f64).powi(2) / 400.0).sum();
        assert!(chi < 27.9, "{of_label:?}");
        // Standard error of each mean: 0.3 / 20.
        assert!(of_label.iter().all(|(count, corner)| (corner / count - 0.5).abs() < 0.06), "{of_label:?}");
    }

    #[test]
    fn ink_stands_out_from_its_ground_darker_as_often_as_lighter() {
        let mut rng = Rng::keyed(1, "contrast", Purpose::SyntheticColour, 0);
        let mut lighter = 0;
        for _ in 0..1000 {
            let [ink, from, to] = colours(&mut rng).map(lightness);
            assert!((ink - from).abs() >= CONTRAST && (ink - to).abs() >= CONTRAST && (ink > from) == (ink > to));
            lighter += usize::from(ink > from);
        }
        // Standard error 16.
        assert!((430..570).contains(&lighter), "{lighter}");
        // And as drawn; the corners have the ends of the ground.
        for image in generate(7, Split::Train, 500).images.chunks(PIXELS) {
            let light = lightnesses(image);
            let corners = [0, SIDE - 1, SIDE * (SIDE - 1), SIDE * SIDE - 1].map(|i| light[i]);
            let (low, high) = corners.iter().fold((1.0_f64, 0.0_f64), |(low, high), &v| (low.min(v), high.max(v)));
            let off = |v: f64| (v - high).max(low - v);
            let inked = light.iter().filter(|&&v| off(v) > CONTRAST / 3.0).count();
            assert!((15..400).contains(&inked), "{inked} pixels of ink");
        }
    }

    #[test]
    fn every_digit_is_inside_the_border() {
        let mut at_border = 0;
        for index in 0..1000 {
            let mut rng = Rng::keyed(7, "train", Purpose::SyntheticColour, index);
            let (_, strokes) = Painter::default().digit(&mut rng);
            let side = digits::SIDE;
            let edge = |at: usize| [0, side - 1].contains(&(at % side)) || [0, side - 1].contains(&(at / side));
            at_border += usize::from(strokes.iter().enumerate().any(|(at, &ink)| ink > 0.33 && edge(at)));
        }
        assert!(at_border < 50, "{at_border} of 1000 touch the border of the strokes' own square");
    }

    #[test]
    fn channels_come_first() {
        let images = generate(2, Split::Train, 300).images;
        // Neighbours along a row of one channel differ less than the channels of one pixel.
        let (mut along, mut between) = (0.0, 0.0);
        for image in images.chunks(PIXELS) {
            for row in 0..SIDE {
                along += f64::from(image[row * SIDE].abs_diff(image[row * SIDE + 1]));
                between += f64::from(image[row * SIDE].abs_diff(image[(SIDE + row) * SIDE]));
            }
        }
        assert!(along * 5.0 < between, "{along} {between}");
    }

    fn moments(count: usize) -> [(f64, f64); CHANNELS] {
        let images = generate(0, Split::Train, count).images;
        [0, 1, 2].map(|channel| {
            let (mut sum, mut squares) = (0_u64, 0_u64);
            for image in images.chunks(PIXELS) {
                for &v in &image[channel * SIDE * SIDE..(channel + 1) * SIDE * SIDE] {
                    sum += u64::from(v);
                    squares += u64::from(v) * u64::from(v);
                }
            }
            let n = (count * SIDE * SIDE) as f64;
            let (mean, square) = (sum as f64 / n / 255.0, squares as f64 / n / (255.0 * 255.0));
            (mean, (square - mean * mean).sqrt())
        })
    }

    #[test]
    fn mean_and_deviation_are_those_of_the_images() {
        for (channel, (mean, deviation)) in moments(5000).into_iter().enumerate() {
            // About 0.26 / √5000 for the mean of 5000 grounds.
            assert!((mean - MEAN[channel]).abs() < 0.012, "{channel} {mean}");
            assert!((deviation - STANDARD_DEVIATION[channel]).abs() < 0.006, "{channel} {deviation}");
        }
    }

    #[test]
    fn the_bytes_are_pinned() {
        // The same on every machine and in every release; a change must raise VERSION.
        let digits = generate(0, Split::Train, 100);
        let hex = crate::files::sha256(&[digits.images, digits.labels].concat());
        assert_eq!((VERSION, hex.as_str()), (1, "c01301fa5b500ffee47cfcb50e0b701193f97093290b587c415fd3898367d05d"));
    }
}
