//! Principal component analysis of a few long rows, such as snapshots of θ (Pearson 1901; Lorch
//! 2016 and Li et al. 2018 for the paths of trainings), by the Gram matrix of the rows.

use crate::data::blocks;
use anyhow::{Result, ensure};
use tch::{Device, Kind, Tensor};

/// The first components of some rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Pca {
    /// For each component its score in every row: the row's coordinate along it, the mean row at
    /// 0. A component's sign is free; its score of largest magnitude is made positive.
    pub scores: Vec<Vec<f64>>,
    /// For each component its share of the rows' total variance, 0…1; NaN where the rows are all equal.
    pub explained_variance_ratio: Vec<f64>,
}

/// Columns of the rows that are centred at a time: the memory beyond the rows' own.
pub const BLOCK: i64 = 16_384;

/// The first `components` principal components of `rows`, tensors of equal length and any floating kind, centred:
/// those of scikit-learn's `PCA` up to sign. A component beyond what the rows span has scores of 0.
///
/// The eigenvectors of the centred Gram matrix XXᵀ (m×m for m rows) give the scores Uλ^½, so time
/// is m² · length and memory m · length, never length². In float64, on the CPU.
///
/// # Errors
/// No rows, rows of different length, or numbers that are not finite.
pub fn pca(rows: &[Tensor], components: usize) -> Result<Pca> {
    let _no_grad = tch::no_grad_guard();
    ensure!(!rows.is_empty(), "no rows to analyse");
    let (m, length) = (rows.len() as i64, rows[0].numel() as i64);
    ensure!(rows.iter().all(|row| row.numel() as i64 == length), "rows of different length");
    let mut gram = Gram::new(m)?;
    for (start, columns) in blocks(length, BLOCK) {
        let block = Tensor::f_zeros([m, columns], (Kind::Double, Device::Cpu))?;
        for (at, row) in (0..).zip(rows) {
            block.f_select(0, at)?.f_copy_(&row.f_view(-1)?.f_narrow(0, start, columns)?)?;
        }
        gram.add(block)?;
    }
    gram.pca(components)
}

/// The products of centred rows, gathered block by block of their columns: nothing of a block is kept.
pub struct Gram(Tensor);

impl Gram {
    pub fn new(rows: i64) -> Result<Self> {
        Ok(Self(Tensor::f_zeros([rows, rows], (Kind::Double, Device::Cpu))?))
    }

    /// Adds those of some columns, [rows, columns] in float64, which are centred in place.
    pub fn add(&mut self, block: Tensor) -> Result<()> {
        let _no_grad = tch::no_grad_guard();
        let mean = block.f_mean_dim(0, true, Kind::Double)?;
        let mut centred = block;
        let _ = centred.f_sub_(&mean)?;
        let _ = self.0.f_addmm_(&centred, &centred.f_tr()?)?;
        Ok(())
    }

    pub fn copy(&self) -> Self {
        Self(self.0.copy())
    }

    /// The first components, as of [`pca`].
    ///
    /// # Errors
    /// Where the rows are not finite.
    pub fn pca(&self, components: usize) -> Result<Pca> {
        of_gram(&self.0, components)
    }
}

/// The same of rows that are read one by one, at most `at_once` of them in memory: each is read once where all may be,
/// else once for every `at_once` of the others.
///
/// # Errors
/// Those of [`pca`], and of `row`.
pub fn pca_of_rows(
    count: usize,
    at_once: usize,
    components: usize,
    row: &mut dyn FnMut(usize) -> Result<Tensor>,
) -> Result<Pca> {
    let _no_grad = tch::no_grad_guard();
    ensure!(count > 0, "no rows to analyse");
    // Differences from one of the rows: numbers near each other lose no digits when the mean is taken off.
    let last = row(count - 1)?;
    let length = last.numel() as i64;
    let chunk = at_once.div_ceil(2).max(1);
    let mut gram = vec![0.0; count * count];
    let mut read = |from: usize| -> Result<Vec<Tensor>> {
        let rows: Vec<Tensor> = (from..count.min(from + chunk)).map(&mut *row).collect::<Result<_>>()?;
        ensure!(rows.iter().all(|row| row.numel() as i64 == length), "rows of different length");
        Ok(rows)
    };
    let stacked = |rows: &[Tensor], start: i64, columns: i64| -> Result<Tensor> {
        let part = |row: &Tensor| -> Result<Tensor> {
            Ok(row.f_view(-1)?.f_narrow(0, start, columns)?.f_to_device(Device::Cpu)?.f_to_kind(Kind::Double)?)
        };
        let rows: Vec<Tensor> = rows.iter().map(part).collect::<Result<_>>()?;
        Ok(Tensor::f_stack(&rows, 0)?.f_sub(&part(&last)?)?)
    };
    for first in (0..count).step_by(chunk) {
        let ones = read(first)?;
        for second in (first..count).step_by(chunk) {
            let others = if second == first { ones.iter().map(Tensor::shallow_clone).collect() } else { read(second)? };
            let mut products = Tensor::zeros([ones.len() as i64, others.len() as i64], (Kind::Double, Device::Cpu));
            for (start, columns) in blocks(length, BLOCK) {
                let [one, other] = [&ones, &others].map(|rows| stacked(rows, start, columns));
                products = products.f_addmm(&one?, &other?.f_tr()?)?;
            }
            let products: Vec<f64> = products.f_reshape([-1])?.try_into()?;
            for (at, product) in products.into_iter().enumerate() {
                let (i, j) = (first + at / others.len(), second + at % others.len());
                gram[i * count + j] = product;
                gram[j * count + i] = product;
            }
        }
    }
    let gram = Tensor::f_from_slice(&gram)?.f_view([count as i64, count as i64])?;
    let mean = |dim: i64| gram.f_mean_dim(dim, true, Kind::Double);
    let centred = gram.f_sub(&mean(0)?)?.f_sub(&mean(1)?)?.f_add(&gram.f_mean(Kind::Double)?)?;
    of_gram(&centred, components)
}

/// Of the products [m, m] of centred rows.
fn of_gram(gram: &Tensor, components: usize) -> Result<Pca> {
    let m = gram.size()[0] as usize;
    let total = gram.f_trace()?.f_double_value(&[])?;
    ensure!(total.is_finite(), "rows that are not finite have no principal components");
    let (values, vectors) = gram.f_linalg_eigh("L")?;
    let values: Vec<f64> = values.try_into()?;

    let mut pca = Pca { scores: Vec::new(), explained_variance_ratio: Vec::new() };
    for component in 0..components {
        // eigh's order is ascending. Of m centred rows at most m - 1 are independent.
        let index = (m - 1).checked_sub(component);
        let value = index.map_or(0.0, |index| values[index].max(0.0));
        let mut scores: Vec<f64> = vec![0.0; m];
        if let Some(index) = index.filter(|_| value > f64::EPSILON * total * m as f64) {
            scores = vectors.f_select(1, index as i64)?.f_mul_scalar(value.sqrt())?.try_into()?;
            let largest = scores.iter().copied().max_by(|a, b| a.abs().total_cmp(&b.abs())).unwrap_or(0.0);
            if largest < 0.0 {
                scores.iter_mut().for_each(|score| *score = -*score);
            }
        }
        pca.scores.push(scores);
        pca.explained_variance_ratio.push(if total > 0.0 { value / total } else { f64::NAN });
    }
    Ok(pca)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(values: &[&[f64]]) -> Vec<Tensor> {
        values.iter().map(|row| Tensor::from_slice(row)).collect()
    }

    #[test]
    fn a_line_has_one_component_its_length() {
        // Steps of (3, 4) from (1, 1): distances of 5 along one direction.
        let found = pca(&rows(&[&[1.0, 1.0], &[4.0, 5.0], &[7.0, 9.0], &[10.0, 13.0]]), 2).unwrap();
        let sign = found.scores[0][3].signum();
        for (score, expected) in found.scores[0].iter().zip([-7.5, -2.5, 2.5, 7.5]) {
            assert!((score * sign - expected).abs() < 1e-12, "{found:?}");
        }
        assert_eq!(found.scores[1], [0.0; 4]);
        assert!((found.explained_variance_ratio[0] - 1.0).abs() < 1e-12);
        assert!(found.explained_variance_ratio[1] < 1e-12);
    }

    #[test]
    fn blocks_make_no_difference() {
        // Two orthogonal directions of different size, over more columns than one block.
        let length = 3 * BLOCK + 17;
        let t = Tensor::arange(length, (Kind::Double, Device::Cpu)) * (2.0 * std::f64::consts::PI / length as f64);
        let (a, b) = (t.cos(), t.sin());
        let coordinates = [(3.0, 0.5), (-3.0, 0.5), (0.0, -1.0)];
        let rows: Vec<Tensor> =
            coordinates.iter().map(|(p, q)| (&a * *p + &b * *q + 2.0).to_kind(Kind::Float)).collect();
        let found = pca(&rows, 2).unwrap();
        let norm = (length as f64 / 2.0).sqrt();
        for (scores, expected) in found.scores.iter().zip([coordinates.map(|c| c.0), coordinates.map(|c| c.1)]) {
            let sign = (scores[2] * expected[2] + scores[0] * expected[0]).signum();
            for (score, expected) in scores.iter().zip(expected) {
                assert!((score * sign - expected * norm).abs() < 1e-4 * norm, "{score} against {expected}");
            }
        }
        // Variances 18 and 1.5.
        assert!((found.explained_variance_ratio[0] - 18.0 / 19.5).abs() < 1e-6);
    }

    #[test]
    fn rows_that_are_read_one_by_one_give_the_same() {
        let length = BLOCK + 3;
        let t = Tensor::arange(length, (Kind::Double, Device::Cpu));
        // Far from 0, near each other.
        let rows: Vec<Tensor> = (1..8).map(|i| (&t * f64::from(i * i) * 0.001).sin() * 0.01 + 5.0).collect();
        let expected = pca(&rows, 3).unwrap();
        for at_once in [1, 2, 3, 6, 7, 100] {
            let mut reads = 0;
            let found = pca_of_rows(rows.len(), at_once, 3, &mut |at| {
                reads += 1;
                Ok(rows[at].shallow_clone())
            });
            let found = found.unwrap();
            for (a, b) in found.scores.iter().flatten().zip(expected.scores.iter().flatten()) {
                assert!((a - b).abs() < 1e-9, "{at_once}: {a} against {b}");
            }
            for (a, b) in found.explained_variance_ratio.iter().zip(&expected.explained_variance_ratio) {
                assert!((a - b).abs() < 1e-9);
            }
            assert!(at_once < 14 || reads == 8, "{reads}");
        }
        assert!(pca_of_rows(0, 1, 2, &mut |_| anyhow::bail!("none")).is_err());
        let odd = [Tensor::from_slice(&[1.0]), Tensor::from_slice(&[1.0, 2.0])];
        assert!(pca_of_rows(2, 2, 2, &mut |at| Ok(odd[at].shallow_clone())).is_err());
    }

    #[test]
    fn few_equal_or_bad_rows() {
        let one = pca(&rows(&[&[1.0, 2.0]]), 2).unwrap();
        assert_eq!(one.scores, vec![vec![0.0], vec![0.0]]);
        assert!(one.explained_variance_ratio.iter().all(|share| share.is_nan()));
        let equal = pca(&rows(&[&[1.0, 2.0], &[1.0, 2.0]]), 2).unwrap();
        assert_eq!(equal.scores, [[0.0, 0.0], [0.0, 0.0]]);
        assert!(pca(&[], 2).is_err());
        assert!(pca(&rows(&[&[1.0, 2.0], &[1.0]]), 2).is_err());
        assert!(pca(&rows(&[&[1.0, f64::NAN], &[1.0, 1.0]]), 2).unwrap_err().to_string().contains("not finite"));
    }
}
