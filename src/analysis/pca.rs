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
const BLOCK: i64 = 16_384;

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
    let mut gram = Tensor::zeros([m, m], (Kind::Double, Device::Cpu));
    for (start, columns) in blocks(length, BLOCK) {
        let block: Vec<Tensor> = rows
            .iter()
            .map(|row| row.f_view(-1)?.f_narrow(0, start, columns)?.f_to_device(Device::Cpu)?.f_to_kind(Kind::Double))
            .collect::<Result<_, _>>()?;
        let block = Tensor::f_stack(&block, 0)?;
        let centred = block.f_sub(&block.f_mean_dim(0, true, Kind::Double)?)?;
        gram = gram.f_addmm(&centred, &centred.f_tr()?)?;
    }
    let total = gram.f_trace()?.f_double_value(&[])?;
    ensure!(total.is_finite(), "rows that are not finite have no principal components");
    let (values, vectors) = gram.f_linalg_eigh("L")?;
    let values: Vec<f64> = values.try_into()?;

    let mut pca = Pca { scores: Vec::new(), explained_variance_ratio: Vec::new() };
    for component in 0..components {
        // eigh's order is ascending. Of m centred rows at most m - 1 are independent.
        let index = (rows.len() - 1).checked_sub(component);
        let value = index.map_or(0.0, |index| values[index].max(0.0));
        let mut scores: Vec<f64> = vec![0.0; rows.len()];
        if let Some(index) = index.filter(|_| value > f64::EPSILON * total * rows.len() as f64) {
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
