//! The rows of an orthonormal basis, as many as there are so far: the first in memory, those past a bound elsewhere.
//! Results do not depend on where they are: rows are met in the same pieces.

use anyhow::Result;
use std::cell::OnceCell;
use tch::{Device, Kind, Tensor};

/// Where rows of a basis go that memory has no place for.
pub trait Spill {
    /// Writes a row behind those before.
    ///
    /// # Errors
    /// Where there is no place left, in words for the user.
    fn append(&mut self, row: &[f64]) -> Result<()>;

    /// Reads the row at this place.
    ///
    /// # Errors
    /// Where it cannot be read.
    fn read(&self, at: usize, row: &mut [f64]) -> Result<()>;
}

/// How much of a basis stays in memory, and what takes the rest.
#[derive(Clone, Copy)]
pub struct Room<'a> {
    /// Bytes.
    pub memory: u64,
    pub spill: &'a dyn Fn() -> Result<Box<dyn Spill>>,
}

impl Room<'_> {
    /// All in memory.
    pub const MEMORY: Room<'static> = Room { memory: u64::MAX, spill: &|| anyhow::bail!("memory is without bound") };
}

/// Rows that are allocated and met together.
const PIECE: usize = 8;

/// Rows of n numbers in float64 that only become more.
pub(super) struct Rows<'a> {
    n: i64,
    len: usize,
    /// [`PIECE`, n] each, the last one in part.
    pieces: Vec<Tensor>,
    most_pieces: usize,
    room: Room<'a>,
    spilled: Option<Box<dyn Spill>>,
    /// Where a piece comes back to.
    back: OnceCell<Tensor>,
}

impl<'a> Rows<'a> {
    pub fn new(n: i64, room: Room<'a>) -> Self {
        let most_pieces = (room.memory / (8 * PIECE as u64 * n.unsigned_abs().max(1))) as usize;
        Self { n, len: 0, pieces: Vec::new(), most_pieces, room, spilled: None, back: OnceCell::new() }
    }

    /// Adds the rows of [k, n].
    pub fn push(&mut self, rows: &Tensor) -> Result<()> {
        for at in 0..rows.size()[0] {
            let (row, piece) = (rows.f_get(at)?, self.len / PIECE);
            if piece < self.most_pieces {
                if piece == self.pieces.len() {
                    // Memory that is not written is not taken.
                    self.pieces.push(Tensor::f_empty([PIECE as i64, self.n], (Kind::Double, Device::Cpu))?);
                }
                self.pieces[piece].f_get((self.len % PIECE) as i64)?.f_copy_(&row)?;
            } else {
                if self.spilled.is_none() {
                    self.spilled = Some((self.room.spill)()?);
                }
                if let Some(spilled) = &mut self.spilled {
                    spilled.append(&Vec::<f64>::try_from(row.f_contiguous()?)?)?;
                }
            }
            self.len += 1;
        }
        Ok(())
    }

    /// Calls `each` with all rows in order, a piece [c, n] and the place of its first row at a time.
    pub fn each(&self, mut each: impl FnMut(i64, &Tensor) -> Result<()>) -> Result<()> {
        let mut row = Vec::new();
        for (start, count) in crate::data::blocks(self.len as i64, PIECE as i64) {
            let piece = start as usize / PIECE;
            let Some(spilled) = self.spilled.as_ref().filter(|_| piece >= self.pieces.len()) else {
                each(start, &self.pieces[piece].f_narrow(0, 0, count)?)?;
                continue;
            };
            if self.back.get().is_none() {
                let _ = self.back.set(Tensor::f_empty([PIECE as i64, self.n], (Kind::Double, Device::Cpu))?);
            }
            let back = self.back.get().map(|back| back.f_narrow(0, 0, count)).transpose()?;
            let Some(back) = back else { continue };
            row.resize(self.n as usize, 0.0);
            for at in 0..count {
                spilled.read((start + at) as usize - self.pieces.len() * PIECE, &mut row)?;
                back.f_get(at)?.f_copy_(&Tensor::f_from_slice(&row)?)?;
            }
            each(start, &back)?;
        }
        Ok(())
    }
}

/// Takes from each row of w [b, n] its parts along orthonormal rows, in place.
pub(super) fn remove(rows: &Tensor, w: &mut Tensor) -> Result<()> {
    let along = w.f_mm(&rows.f_tr()?)?.f_neg()?;
    let _ = w.f_addmm_(&along, rows)?;
    Ok(())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::cell::Cell;
    use std::rc::Rc;

    /// A spill in memory, and how many rows all of them took.
    struct Kept(Vec<Vec<f64>>, Rc<Cell<usize>>);

    impl Spill for Kept {
        fn append(&mut self, row: &[f64]) -> Result<()> {
            self.0.push(row.to_vec());
            self.1.set(self.1.get() + 1);
            Ok(())
        }

        fn read(&self, at: usize, row: &mut [f64]) -> Result<()> {
            row.copy_from_slice(&self.0[at]);
            Ok(())
        }
    }

    /// What `run` gives with so much memory, and how many rows had no place there.
    pub fn spilling<T>(memory: u64, run: impl FnOnce(Room) -> T) -> (T, usize) {
        let count = Rc::new(Cell::new(0));
        let spill = || Ok(Box::new(Kept(Vec::new(), count.clone())) as Box<dyn Spill>);
        (run(Room { memory, spill: &spill }), count.get())
    }

    #[test]
    fn rows_come_back_in_order_wherever_they_are() {
        let rows = Tensor::arange(21 * 5, (Kind::Double, Device::Cpu)).view([21, 5]);
        // All in memory; one piece; none.
        for (memory, spilled) in [(u64::MAX, 0), (8 * 5 * 12, 13), (0, 21)] {
            let (found, away) = spilling(memory, |room| {
                let mut found = Rows::new(5, room);
                for (start, count) in crate::data::blocks(21, 4) {
                    found.push(&rows.narrow(0, start, count)).unwrap();
                }
                assert_eq!(found.len, 21);
                let mut seen = Vec::new();
                let mut next = 0;
                let each = found.each(|start, piece| {
                    assert_eq!(start, next);
                    next += piece.size()[0];
                    seen.push(piece.copy());
                    Ok(())
                });
                each.map(|()| Tensor::cat(&seen, 0)).unwrap()
            });
            assert_eq!((found, away), (rows.shallow_clone(), spilled), "{memory}");
        }
        let full = || anyhow::bail!("no place");
        assert!(Rows::new(5, Room { memory: 0, spill: &full }).push(&rows).is_err());
    }
}
