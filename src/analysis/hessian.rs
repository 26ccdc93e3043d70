//! The eigenvalues of a whole Hessian, and their signs. Knows matrices only.

use anyhow::{Result, ensure};
use tch::{Kind, Tensor};

/// Eigenvalues of a Hessian.
#[derive(Clone, Debug, PartialEq)]
pub struct Spectrum {
    /// Ascending.
    pub eigenvalues: Vec<f64>,
}

/// How many eigenvalues are above, at and below 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signs {
    pub positive: usize,
    pub zero: usize,
    pub negative: usize,
}

impl Spectrum {
    /// Of a symmetric matrix, by LAPACK on the CPU.
    ///
    /// # Errors
    /// A matrix that is not finite.
    pub fn of(matrix: &Tensor) -> Result<Self> {
        let _no_grad = tch::no_grad_guard();
        let finite = matrix.f_isfinite()?.f_all()?.f_int64_value(&[])? == 1;
        ensure!(finite, "a matrix that is not finite has no spectrum");
        let matrix = matrix.f_to_device(tch::Device::Cpu)?.f_to_kind(Kind::Double)?;
        Ok(Self { eigenvalues: matrix.f_linalg_eigvalsh("L")?.try_into()? })
    }

    /// An eigenvalue is zero if its magnitude is at most `tolerance` times the largest magnitude.
    pub fn signs(&self, tolerance: f64) -> Signs {
        let largest = self.eigenvalues.iter().fold(0f64, |largest, value| largest.max(value.abs()));
        let bound = tolerance * largest;
        let count = |is: fn(f64, f64) -> bool| self.eigenvalues.iter().filter(|&&value| is(value, bound)).count();
        Signs {
            positive: count(|value, bound| value > bound),
            zero: count(|value, bound| value.abs() <= bound),
            negative: count(|value, bound| value < -bound),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Device;

    #[test]
    fn spectrum_of_a_known_matrix() {
        // Eigenvalues 3, 1 of [[2, 1], [1, 2]], then -1e-9, 1e-14, 0 on the diagonal.
        let matrix = Tensor::zeros([5, 5], (Kind::Double, Device::Cpu));
        for (row, column, value) in [(0, 0, 2.0), (0, 1, 1.0), (1, 0, 1.0), (1, 1, 2.0), (2, 2, -1e-9), (3, 3, 1e-14)] {
            let _ = matrix.get(row).get(column).fill_(value);
        }
        let spectrum = Spectrum::of(&matrix).unwrap();
        for (value, expected) in spectrum.eigenvalues.iter().zip([-1e-9, 0.0, 1e-14, 1.0, 3.0]) {
            assert!((value - expected).abs() < 1e-15, "{:?}", spectrum.eigenvalues);
        }
        assert_eq!(spectrum.signs(1e-10), Signs { positive: 2, zero: 2, negative: 1 });
        assert_eq!(spectrum.signs(1e-8), Signs { positive: 2, zero: 3, negative: 0 });
        assert!(Spectrum::of(&(matrix * f64::NAN)).is_err());
        assert_eq!(Spectrum { eigenvalues: vec![0.0; 3] }.signs(1e-9), Signs { positive: 0, zero: 3, negative: 0 });
    }
}
