//! Krylov spaces of a symmetric map from a block of vectors: an orthonormal basis, and the map in it (Golub and Van Loan
//! 2013, section 10.3.6), with full reorthogonalisation done twice (Parlett 1998, chapter 13).

use super::basis::{Room, Rows, remove};
use super::{finite, normal, rademacher};
use crate::rng::Rng;
use anyhow::Result;
use tch::{Device, Kind, Tensor};

/// An orthonormal basis V of a block Krylov space, and the block tridiagonal VᵀAV in it. A block of one vector is the
/// usual Lanczos. Directions in which a block depends on what is there are dropped, so that blocks only become smaller.
pub(super) struct Krylov<'a> {
    /// With the block whose products are due.
    rows: Rows<'a>,
    /// [b, n], the last rows of the basis; of no rows where nothing leads out of the space.
    block: Tensor,
    /// The lower triangle of VᵀAV: row, column, value.
    projected: Vec<(usize, usize, f64)>,
    /// How the last block that has its products leads out of the space: a row each of its vectors.
    coupling: Vec<Vec<f64>>,
    /// Products so far.
    pub done: usize,
    most: usize,
    /// [k, n], orthonormal: the basis keeps clear of them.
    locked: Option<Tensor>,
    scale: f64,
}

/// Eigenvalues of a map in a basis, ascending; of each the norm of its residual; and the eigenvectors in columns.
pub(super) struct Projection {
    pub values: Vec<f64>,
    pub residuals: Vec<f64>,
    pub vectors: Tensor,
}

impl<'a> Krylov<'a> {
    /// Of a map of n numbers, in at most so many products.
    pub fn new(n: i64, most: usize, locked: Option<Tensor>, room: Room<'a>) -> Result<Self> {
        let block = Tensor::f_zeros([0, n], (Kind::Double, Device::Cpu))?;
        let (rows, projected, coupling) = (Rows::new(n, room), Vec::new(), Vec::new());
        Ok(Self { rows, block, projected, coupling, done: 0, most, locked, scale: 0.0 })
    }

    /// The vectors [b, n] whose products are due.
    pub fn block(&self) -> &Tensor {
        &self.block
    }

    /// Whether a block is there whose products are within the bound.
    pub fn goes_on(&self) -> bool {
        self.block.size()[0] > 0
    }

    /// A random block of so many vectors, beside all before; whether the space has one more, and products are left.
    pub fn start(&mut self, vectors: usize, rng: &mut Rng) -> Result<bool> {
        let count = vectors.min(self.most - self.done);
        let n = self.block.size()[1];
        let mut probes = vec![Tensor::f_zeros([0, n], (Kind::Double, Device::Cpu))?];
        for _ in 0..count {
            // Signs of a block may all agree on the few numbers that an eigenvector has, and then see one copy of it.
            let probe = if vectors == 1 { rademacher(n, rng)? } else { normal(n, rng)? };
            probes.push(probe.f_unsqueeze(0)?);
        }
        let w = self.orthogonalised(Tensor::f_cat(&probes, 0)?)?;
        let (block, _) = self.factored(w, 1e-8 * (n as f64).sqrt())?;
        self.coupling.clear();
        self.put(block)
    }

    /// The next rows of the basis.
    fn put(&mut self, block: Tensor) -> Result<bool> {
        self.rows.push(&block)?;
        self.block = block;
        Ok(self.goes_on())
    }

    /// The block's products; whether they lead out of the space. Where they do and products are left, the next block
    /// stands there.
    pub fn absorb(&mut self, products: &Tensor) -> Result<bool> {
        let products = finite(products)?;
        let (start, b) = (self.done, self.block.size()[0] as usize);
        let diagonal = self.block.f_mm(&products.f_tr()?)?;
        let diagonal: Vec<f64> = diagonal.f_add(&diagonal.f_tr()?)?.f_mul_scalar(0.5)?.f_view([-1])?.try_into()?;
        for row in 0..b {
            for column in 0..=row {
                let value = diagonal[row * b + column];
                self.scale = self.scale.max(value.abs());
                self.projected.push((start + row, start + column, value));
            }
        }
        self.done += b;
        let w = self.orthogonalised(products)?;
        let norms: Vec<f64> = w.f_square()?.f_sum_dim_intlist(1, false, Kind::Double)?.f_sqrt()?.try_into()?;
        self.scale = norms.into_iter().fold(self.scale, f64::max);
        // What is left of a vector within the space is rounding.
        let (next, coupling) = self.factored(w, 1e-12 * self.scale)?;
        let rank = next.size()[0] as usize;
        self.coupling = coupling;
        if rank == 0 || self.done + rank > self.most {
            self.block = self.block.f_narrow(0, 0, 0)?;
            return Ok(rank > 0);
        }
        for (column, row) in self.coupling.iter().enumerate() {
            let entries = row.iter().enumerate();
            self.projected.extend(entries.map(|(at, value)| (self.done + at, start + column, *value)));
        }
        self.put(next)
    }

    /// Without its parts along the basis and what is locked. Twice is enough (Parlett 1998, section 6.9).
    fn orthogonalised(&self, mut w: Tensor) -> Result<Tensor> {
        for _ in 0..2 {
            if let Some(locked) = &self.locked {
                remove(locked, &mut w)?;
            }
            self.rows.each(|_, piece| remove(piece, &mut w))?;
        }
        Ok(w)
    }

    /// w [b, n] as C·Q: orthonormal rows Q [r, n], the longest first, without what is no longer than `least`, and C [b][r].
    fn factored(&self, w: Tensor, least: f64) -> Result<(Tensor, Vec<Vec<f64>>)> {
        let b = w.size()[0];
        let mut rest: Vec<Tensor> = (0..b).map(|at| Ok(w.f_get(at)?.copy())).collect::<Result<_>>()?;
        let mut coupling = vec![Vec::new(); b as usize];
        let mut found = vec![Tensor::f_zeros([0, w.size()[1]], (Kind::Double, Device::Cpu))?];
        for _ in 0..b {
            let norms = rest.iter().map(|row| Ok(row.f_norm()?.f_double_value(&[])?)).collect::<Result<Vec<f64>>>()?;
            let (longest, length) = norms
                .iter()
                .copied()
                .enumerate()
                .fold((0, 0.0), |most, next| if next.1 > most.1 { next } else { most });
            if length <= least {
                break;
            }
            let mut q = rest[longest].f_div_scalar(length)?.f_unsqueeze(0)?;
            if found.len() > 1 {
                // What is left of a block's vector may be short, and rounding then no longer small beside it.
                q = self.orthogonalised(q)?;
                remove(&Tensor::f_cat(&found, 0)?, &mut q)?;
                q = q.f_div(&q.f_norm()?)?;
            }
            let row = q.f_get(0)?;
            for (rest, coupling) in rest.iter_mut().zip(&mut coupling) {
                let along = row.f_dot(rest)?.f_double_value(&[])?;
                *rest = rest.f_sub(&row.f_mul_scalar(along)?)?;
                coupling.push(along);
            }
            found.push(q);
        }
        Ok((Tensor::f_cat(&found, 0)?, coupling))
    }

    /// The eigenvalues of the map in this space.
    pub fn projection(&self) -> Result<Projection> {
        let m = self.done;
        let mut matrix = vec![0.0; m * m];
        for &(row, column, value) in self.projected.iter().filter(|(row, ..)| *row < m) {
            matrix[row * m + column] = value;
        }
        let (values, vectors) = Tensor::f_from_slice(&matrix)?.f_view([m as i64, m as i64])?.f_linalg_eigh("L")?;
        let mut squares = vec![0.0; m];
        let first = m - self.coupling.len();
        let last: Vec<Vec<f64>> =
            (first..m).map(|at| Ok(vectors.f_get(at as i64)?.try_into()?)).collect::<Result<_>>()?;
        for (at, square) in squares.iter_mut().enumerate() {
            for column in 0..self.coupling.first().map_or(0, Vec::len) {
                let parts = self.coupling.iter().zip(&last).map(|(coupling, last)| coupling[column] * last[at]);
                *square += parts.sum::<f64>().powi(2);
            }
        }
        Ok(Projection { values: values.try_into()?, residuals: squares.into_iter().map(f64::sqrt).collect(), vectors })
    }

    /// The vectors [p, n] of length 1 of these columns of a [`Projection`].
    pub fn vectors(&self, columns: &Tensor, picked: &[usize]) -> Result<Tensor> {
        let picked: Vec<i64> = picked.iter().map(|&at| at as i64).collect();
        let turn = columns.f_index_select(1, &Tensor::f_from_slice(&picked)?)?.f_tr()?.f_contiguous()?;
        let mut sum = Tensor::f_zeros([picked.len() as i64, self.block.size()[1]], (Kind::Double, Device::Cpu))?;
        self.rows.each(|start, piece| {
            let count = piece.size()[0].min(self.done as i64 - start).max(0);
            let _ = sum.f_addmm_(&turn.f_narrow(1, start, count)?, &piece.f_narrow(0, 0, count)?)?;
            Ok(())
        })?;
        for at in 0..picked.len() as i64 {
            let mut row = sum.f_get(at)?;
            let _ = row.f_div_(&row.f_norm()?)?;
        }
        Ok(sum)
    }
}
