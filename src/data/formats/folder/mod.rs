//! A folder of classes of images: `train/<class>/*.png` (or .jpg, .jpeg) and perhaps `test/<class>/…`, or just
//! `<class>/…`, as torchvision's ImageFolder and Keras' image_dataset_from_directory have it. Which files those are is
//! [`walk`]'s, and what is in one [`image`]'s. No labels in files' names or in tables beside the images.

mod image;
mod walk;

pub use image::decode;

use crate::data::raw::{Kind, Numbers, Part, Raw, Reading, Targets};
use anyhow::{Result, anyhow, bail, ensure};
use image::{Decoded, MOST_SIDE, Pixels};
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use walk::{Image, Listing};

/// Of one image file.
const MOST_FILE: u64 = 256 << 20;
/// Of images that are decoded, and not yet in their array.
const MOST_WAITING: usize = 64 << 20;
const MOST_THREADS: usize = 8;

/// All images, train before test, in the order of the samples; `None` where no folder inside has any.
///
/// # Errors
/// Where only one class has images, test has a class that train has not, or a folder cannot be listed.
pub fn files(path: &Path) -> Result<Option<Vec<PathBuf>>> {
    let all = |listing: Listing| listing.train.into_iter().chain(listing.test.into_iter().flatten());
    Ok(walk::list(path)?.map(|listing| all(listing).map(|image| image.path).collect()))
}

/// The images of what [`files`] names: grey where all are, else red, green and blue.
///
/// # Errors
/// Where a file is no PNG or JPEG, or of another size than the first one and `size` is not given; it is named.
pub fn read(path: &Path, reading: &mut Reading) -> Result<Raw> {
    let options = reading.options;
    if let Some(kind) = options.kind.as_deref().filter(|kind| *kind != "images") {
        bail!("data.kind is {kind:?}, and a folder of classes holds images: leave it away");
    }
    let Some(listing) = walk::list(path)? else {
        bail!("{} has no folders of images, one a class: name another one", path.display());
    };
    let Listing { train, test, train_from, test_from, class_names, mut notes } = listing;
    let side = match options.size {
        Some(side) => {
            let fits = side.iter().all(|side| (1..=MOST_SIDE as usize).contains(side));
            ensure!(fits, "data.size is {}x{}: sides are from 1 to {MOST_SIDE}", side[0], side[1]);
            side
        }
        None => {
            let first = train.first().ok_or_else(|| anyhow!("{} has no image: add some", path.display()))?;
            let image = load(&first.path)?;
            [image.height, image.width]
        }
    };
    let to = Size { side, resize: options.size.is_some(), first: train.first().map(|image| image.path.clone()) };
    let parts = [&train[..], test.as_deref().unwrap_or_default()];
    let counts = parts.map(<[Image]>::len);
    let mut pixels = Gathered { arrays: [Vec::new(), Vec::new()], counts, channels: 0, plane: side[0] * side[1] };
    pixels.grow(1, reading.most_bytes)?;
    let threads = thread::available_parallelism().map_or(1, usize::from).min(MOST_THREADS);
    let block = (MOST_WAITING / pixels.plane / 3).clamp(threads, 32 * threads);
    let (mut blended, mut resized, mut done) = (0, 0, 0);
    let total = counts.iter().sum::<usize>() as u64;
    for (part, images) in parts.into_iter().enumerate() {
        for block in images.chunks(block) {
            for sample in decoded(block, &to, threads) {
                let sample = sample?;
                blended += u64::from(sample.blended);
                resized += u64::from(sample.resized);
                pixels.push(part, sample.pixels, reading.most_bytes)?;
            }
            done += block.len() as u64;
            (reading.progress)(done, total)?;
        }
    }
    if blended > 0 {
        notes.push(format!("images with transparent pixels, which were blended over black: {blended} of {total}"));
    }
    if resized > 0 {
        notes.push(format!("images of other sizes, resized to {}x{}: {resized} of {total}", side[0], side[1]));
    }
    let shape = vec![pixels.channels, side[0], side[1]];
    let part = |inputs, images: &[Image], from: &Path| Part {
        inputs: Numbers::Bytes(inputs),
        targets: Targets::Numbers(images.iter().map(|image| image.class as i64).collect()),
        from: from.display().to_string(),
    };
    let [train_pixels, test_pixels] = pixels.arrays;
    Ok(Raw {
        kind: Kind::Images,
        shape,
        train: part(train_pixels, &train, &train_from),
        test: test.zip(test_from).map(|(test, from)| part(test_pixels, &test, &from)),
        class_names: Some(class_names),
        divisor: 255.0,
        notes,
    })
}

/// What all images are brought to, or have to be.
struct Size {
    /// Height and width.
    side: [usize; 2],
    resize: bool,
    /// Whose size it is, where they are not resized.
    first: Option<PathBuf>,
}

struct Sample {
    /// Channels first.
    pixels: Pixels,
    blended: bool,
    resized: bool,
}

/// The images of a block, in its order, whichever thread decodes them.
fn decoded(block: &[Image], to: &Size, threads: usize) -> Vec<Result<Sample>> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        while let at = next.fetch_add(1, Ordering::Relaxed)
            && let Some(image) = block.get(at)
        {
            done.push((at, sample(&image.path, to)));
        }
        done
    };
    let mut all = thread::scope(|scope| {
        // Without further threads this one does it all.
        let start = |_| thread::Builder::new().spawn_scoped(scope, work).ok();
        let others: Vec<_> = (1..threads.min(block.len())).filter_map(start).collect();
        let mut all = work();
        for other in others {
            all.extend(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        all
    });
    all.sort_unstable_by_key(|(at, _)| *at);
    all.into_iter().map(|(_, sample)| sample).collect()
}

fn sample(path: &Path, to: &Size) -> Result<Sample> {
    let [height, width] = to.side;
    let image = load(path)?;
    let resized = (image.height, image.width) != (height, width);
    ensure!(
        to.resize || !resized,
        "{} is {height}x{width} (height x width) and {} is {}x{}: bring all to one size, such as with --set \
         data.size=32x32",
        to.first.as_deref().unwrap_or(Path::new("the first image")).display(),
        path.display(),
        image.height,
        image.width
    );
    let image = image.resized(height, width).map_err(|what| refusal(path, &what))?;
    let pixels = match image.pixels {
        Pixels::Grey(plane) => Pixels::Grey(plane),
        colour @ Pixels::Colour(_) => Pixels::Colour(colour.planes()),
    };
    Ok(Sample { pixels, blended: image.blended, resized })
}

fn load(path: &Path) -> Result<Decoded> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(MOST_FILE + 1).read_to_end(&mut bytes));
    read.map_err(|error| refusal(path, &format!("cannot be read ({error})")))?;
    if bytes.len() as u64 > MOST_FILE {
        return Err(refusal(path, "is larger than 256 MiB"));
    }
    decode(&bytes).map_err(|what| refusal(path, &what))
}

fn refusal(path: &Path, what: &str) -> anyhow::Error {
    anyhow!("{} {what}: remove or replace it", path.display())
}

/// Pixels of train and test: one plane an image for as long as all are grey, then three.
struct Gathered {
    arrays: [Vec<u8>; 2],
    counts: [usize; 2],
    channels: usize,
    /// Pixels of one.
    plane: usize,
}

impl Gathered {
    fn push(&mut self, part: usize, pixels: Pixels, most_bytes: u64) -> Result<()> {
        if self.channels == 1 && matches!(pixels, Pixels::Colour(_)) {
            self.grow(3, most_bytes)?;
        }
        match pixels {
            Pixels::Grey(plane) => (0..self.channels).for_each(|_| self.arrays[part].extend_from_slice(&plane)),
            Pixels::Colour(planes) => self.arrays[part].extend_from_slice(&planes),
        }
        Ok(())
    }

    /// Makes room for all images in so many channels, and grey ones that are there already, colour.
    fn grow(&mut self, channels: usize, most_bytes: u64) -> Result<()> {
        let bytes = |count: usize| self.plane.checked_mul(channels).and_then(|bytes| bytes.checked_mul(count));
        let count = self.counts[0] + self.counts[1];
        ensure!(
            bytes(count).is_some_and(|bytes| bytes as u64 <= most_bytes),
            "{count} images of {} pixels in {channels} channels take more memory than data may: remove some, or make \
             them smaller, such as with --set data.size=32x32",
            self.plane
        );
        let sizes = self.counts.map(|count| bytes(count).unwrap_or(0));
        for (array, size) in self.arrays.iter_mut().zip(sizes) {
            let there = array.len();
            let lacking =
                |_| anyhow!("there is no memory for {count} images: remove some, or add --set data.size=32x32");
            array.try_reserve_exact(size - there).map_err(lacking)?;
            if self.channels == 1 {
                array.resize(there * channels, 0);
                for image in (0..there / self.plane).rev() {
                    for channel in (0..channels).rev() {
                        let at = image * self.plane;
                        array.copy_within(at..at + self.plane, (image * channels + channel) * self.plane);
                    }
                }
            }
        }
        self.channels = channels;
        Ok(())
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
