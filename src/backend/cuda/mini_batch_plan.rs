//! The plan of a network that trains in mini-batches on a card: the constants before `kernels/mini_batch.cu`, chosen by a
//! reckoning of cycles among what fits the card's shared memory.

use super::{Limits, Source, up};

/// The constants before the kernel. Tile and threads follow from network and batch alone, as they fix the order of sums;
/// the others from how many blocks each training may have, and change no bit.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Plan {
    tile: usize,
    tiles_per_block: usize,
    /// Of the first layer's outputs, those of a block, and those whose gradient is taken at a time.
    slice: usize,
    pass: usize,
    /// Samples that go through the upper layers together, and from which layer on these lie in shared memory.
    chunk: usize,
    staged: usize,
    input_buffers: usize,
    moments_shared: bool,
    /// Blocks of a training, and trainings that run at once.
    pub group: usize,
    pub wave: usize,
}

pub(super) const THREADS: usize = 256;
const UNIT_INPUTS: usize = 32;
const UNIT_OUTPUTS: usize = 16;
const FIRST_PARTS: usize = 4;
const UPPER_PARTS: usize = 8;

/// What a plan takes.
pub(super) struct Sizes {
    /// Of a training, in float32.
    pub scratch: usize,
    pub shared_bytes: usize,
    /// The fewest blocks of a training.
    pub owners: usize,
}

fn padded(n: usize) -> usize {
    up(n, 4)
}

/// A network, and samples a step.
pub(super) struct Shape<'a> {
    pub widths: &'a [usize],
    pub batch: usize,
}

impl Shape<'_> {
    fn layers(&self) -> usize {
        self.widths.len() - 1
    }

    /// Neighbouring widths above the first layer.
    fn upper(&self) -> impl Iterator<Item = (usize, usize)> {
        self.widths[1..].windows(2).map(|pair| (pair[0], pair[1]))
    }

    /// A fourteenth of the inputs, so that fourteen blocks may share them, and at most 64 KiB of a batch.
    fn tile(&self) -> usize {
        let most = 16384 / up(self.batch, 8) / 8 * 8;
        up(self.widths[0].div_ceil(14), 8).min(most).max(8)
    }

    /// As the kernel reckons.
    pub(super) fn sizes(&self, plan: &Plan) -> Sizes {
        let (rows, first) = (up(self.batch, 8), self.widths[1]);
        let &Plan { tile, tiles_per_block: per_block, slice, pass, chunk, .. } = plan;
        let tiles = self.widths[0].div_ceil(tile);
        let owners = tiles.div_ceil(per_block) * first.div_ceil(slice);
        let rectangles = |samples: usize, quads: usize| per_block * (rows / samples) * (slice / 4).div_ceil(quads);
        let rect_quads = if rectangles(8, 2) >= THREADS { 2 } else { 1 };
        let block_weights = per_block * tile * up(slice, 4 * rect_quads);
        let step_quads = if per_block * (tile / 4) * (pass / 8) >= THREADS / 2 { 2 } else { 1 };
        let is_split = per_block * (tile / 4) * (pass / 4 / step_quads) * 2 < THREADS;
        let hidden = &self.widths[1..self.layers()];
        let above = &self.widths[1..];
        let both = |(below, above): (usize, usize)| below * padded(above) + above * padded(below);
        let sum = |widths: &[usize]| widths.iter().map(|&width| padded(width)).sum::<usize>();
        let mut scratch = 3 * rows + tiles * rows * padded(first) + rows * (sum(hidden) + sum(above));
        scratch += self.upper().map(both).sum::<usize>() + sum(above);
        if !plan.moments_shared {
            scratch += 2 * owners * block_weights;
        }
        let splits = |inner: usize, outer: usize| (THREADS / (padded(outer) / 4)).min(inner.div_ceil(4)).max(1);
        let stride = tile + if (tile / 4).is_multiple_of(2) { 4 } else { 0 };
        let mut work = plan.input_buffers * per_block * rows * stride;
        work += block_weights * if plan.moments_shared { 3 } else { 1 };
        work += 3 * rows + (3 * rows) % 2 + 2 * rows + rows + 8;
        let parts = self
            .upper()
            .map(|(below, above)| (splits(below, above) * padded(above)).max(splits(above, below) * padded(below)));
        let parts = parts.max().unwrap_or(0);
        let mut phase_b = sum(above) * chunk + parts * chunk + sum(&self.widths[2..]);
        phase_b +=
            self.upper().zip(2..).filter(|(_, layer)| *layer >= plan.staged).map(|(pair, _)| both(pair)).sum::<usize>();
        let is_deep = self.layers() > 1;
        let unit = if is_deep { up(UPPER_PARTS * (UNIT_INPUTS + 1) * (UNIT_OUTPUTS + 1), 4) } else { 0 };
        let mut phase_c = if is_deep { rows * (UNIT_INPUTS + UNIT_OUTPUTS) } else { 0 } + rows * pass;
        let of_split = if is_split { FIRST_PARTS * per_block * tile * pass } else { 0 };
        phase_c += of_split.max(FIRST_PARTS * pass).max(unit);
        Sizes { scratch, shared_bytes: 4 * (work + phase_b.max(phase_c)), owners }
    }

    /// Cycles of a step, roughly: products by how many of the threads they keep busy, plus what passes the L2 cache.
    fn cost(&self, plan: &Plan, group: usize) -> f64 {
        let word = 4.0 / 40.0;
        let (rows, first) = (up(self.batch, 8), self.widths[1]);
        let &Plan { tile, tiles_per_block: per_block, slice, pass, chunk, staged, .. } = plan;
        let (tiles, block) = (self.widths[0].div_ceil(tile), (per_block * tile * slice) as f64);
        let busy = |items: usize| (items as f64 / THREADS as f64).min(1.0);
        let shapes = [(8, 2, 85.0), (8, 1, 70.0), (4, 1, 50.0), (2, 1, 40.0)]
            .map(|(samples, quads, rate)| (per_block * (rows / samples) * (slice / 4).div_ceil(quads), rate));
        let (items, rate) = shapes.into_iter().find(|(items, _)| *items >= THREADS).unwrap_or(shapes[3]);
        let rows_of = rows as f64;
        let mut total = rows_of * block / rate / busy(items) + rows_of * (per_block * slice) as f64 * word;
        let quads = if per_block * (tile / 4) * (pass / 8) >= THREADS / 2 { 2 } else { 1 };
        let mut items = per_block * (tile / 4) * (pass / 4 / quads);
        items *= if items * 2 < THREADS { FIRST_PARTS } else { 1 };
        total += rows_of * block / if quads == 2 { 70.0 } else { 50.0 } / busy(items);
        total += slice.div_ceil(pass) as f64 * 700.0 + rows_of * slice as f64 * word;
        total += if plan.moments_shared { 0.0 } else { 4.0 * block * word };
        total += if plan.input_buffers == 1 { 2500.0 } else { 0.0 };
        let rounds = self.batch.div_ceil(chunk).div_ceil(group) as f64;
        total += rounds * (1500.0 + (tiles * chunk * first) as f64 * word);
        let mut units = 0;
        for ((below, above), layer) in self.upper().zip(2..) {
            let weights = (below * above) as f64;
            total += rounds * (700.0 + 2.0 * chunk as f64 * weights / 50.0);
            total += 2.0 * weights * word * if layer >= staged { 1.0 } else { rounds };
            total += if layer >= staged { 0.0 } else { rounds * 1400.0 };
            units += below.div_ceil(UNIT_INPUTS) * above.div_ceil(UNIT_OUTPUTS);
        }
        total += units.div_ceil(group) as f64 * 1500.0;
        total + if group > 1 { 5000.0 } else { 500.0 }
    }

    /// The cheapest plan for so many trainings: of each division of the first layer the arrangements of shared memory that
    /// fit, with the largest pass and as many staged layers as fit; then the least cost of a step times the number of waves.
    pub(super) fn plan(&self, trainings: usize, limits: Limits) -> Option<Plan> {
        let room = limits.multiprocessors;
        let (tile, layers) = (self.tile(), self.layers());
        let tiles = self.widths[0].div_ceil(tile);
        let mut best: Option<(f64, Plan)> = None;
        for tiles_per_block in 1..=tiles {
            for slices in 1..=self.widths[1].div_ceil(8).min(16) {
                let slice = up(self.widths[1].div_ceil(slices), 4);
                let owners = tiles.div_ceil(tiles_per_block) * self.widths[1].div_ceil(slice);
                if owners > room {
                    continue;
                }
                for chunk in [2, 4, 8] {
                    let chunks = self.batch.div_ceil(chunk);
                    let group = owners.max(chunks.min(room / trainings));
                    let wave = trainings.min(room / group);
                    for (input_buffers, moments_shared) in [(2, true), (2, false), (1, true), (1, false)] {
                        let mut passes = [256, 128, 64, 32, 16, 8].map(|pass| up(slice, 8).min(pass)).to_vec();
                        passes.dedup();
                        let plan = |pass, staged| Plan {
                            tile,
                            tiles_per_block,
                            slice,
                            pass,
                            chunk,
                            staged,
                            input_buffers,
                            moments_shared,
                            group,
                            wave,
                        };
                        let fits = |plan: &Plan| self.sizes(plan).shared_bytes <= limits.shared_bytes;
                        let found = passes.into_iter().map(|pass| plan(pass, layers + 1)).find(fits);
                        let Some(mut found) = found else { continue };
                        while found.staged > 2 {
                            let more = Plan { staged: found.staged - 1, ..found.clone() };
                            if !fits(&more) {
                                break;
                            }
                            found = more;
                        }
                        let price = self.cost(&found, group) * trainings.div_ceil(wave) as f64;
                        if best.as_ref().is_none_or(|(least, _)| price < *least) {
                            best = Some((price, found));
                        }
                    }
                }
            }
        }
        best.map(|(_, plan)| plan)
    }

    pub(super) fn source(&self, plan: &Plan) -> Source {
        let widths = self.widths.iter().map(usize::to_string).collect::<Vec<_>>().join(", ");
        let mut prefix = format!(
            "constexpr int LAYERS = {};\nconstexpr int DIMS[LAYERS + 1] = {{{widths}}};\nconstexpr int BATCH = {};\n",
            self.layers(),
            self.batch
        );
        for (name, value) in [
            ("THREADS", THREADS),
            ("TILE", plan.tile),
            ("TILES_PER_BLOCK", plan.tiles_per_block),
            ("SLICE", plan.slice),
            ("PASS", plan.pass),
            ("CHUNK", plan.chunk),
            ("STAGED", plan.staged),
            ("INPUT_BUFFERS", plan.input_buffers),
            ("BLOCKS_PER_SM", 1),
        ] {
            prefix += &format!("constexpr int {name} = {value};\n");
        }
        prefix += &format!("constexpr bool MOMENTS_SHARED = {};\n", plan.moments_shared);
        Source { name: "mini_batch", prefix }
    }
}

/// A network's kernel of one training on such a card.
#[cfg(test)]
pub(super) fn source(widths: &[usize], batch: usize, limits: Limits) -> Option<Source> {
    let shape = Shape { widths, batch };
    shape.plan(1, limits).map(|plan| shape.source(&plan))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A card of 132 multiprocessors with 227 KiB each.
    const LARGE: Limits = Limits { multiprocessors: 132, shared_bytes: 232_448, memory_bytes: 80 << 30 };

    /// Of the script that the kernel was written with.
    #[test]
    fn plans_fill_a_large_card() {
        for (widths, trainings, group, shared_bytes, scratch) in [
            (&[784, 256, 128, 64, 10][..], 1, 112, 231_344, 659_148),
            (&[784, 22, 11, 10], 1, 64, 123_328, 54_972),
            (&[784, 128, 64, 10], 8, 16, 230_608, 298_444),
            (&[784, 22, 11, 10], 8, 16, 203_552, 54_972),
            (&[784, 4, 2, 10], 8, 16, 113_856, 11_244),
        ] {
            let shape = Shape { widths, batch: 128 };
            let plan = shape.plan(trainings, LARGE).unwrap();
            let sizes = shape.sizes(&plan);
            assert_eq!((plan.group, sizes.shared_bytes, sizes.scratch), (group, shared_bytes, scratch), "{widths:?}");
            assert!(sizes.owners <= plan.group && plan.group * plan.wave <= 132);
        }
        assert!(Shape { widths: &[784, 22, 11, 10], batch: 1024 }.plan(1, LARGE).is_none());
    }
}
