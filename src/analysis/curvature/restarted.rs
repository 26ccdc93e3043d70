//! Extreme eigenvalues of a symmetric map too large for a long basis: Lanczos that is thickly restarted (Wu and Simon
//! 2000), which keeps its best Ritz vectors where a basis is full and goes on from them.

use super::lanczos::{Extremes, Ritz, Wanted};
use super::{finite, rademacher};
use crate::rng::Rng;
use anyhow::{Result, ensure};
use tch::{Device, Kind, Tensor};

/// Vectors beyond those that are wanted, without which restarts lose what they found.
const SPARE: usize = 6;

/// How many vectors a basis needs for so many eigenvalues.
pub fn least_basis(wanted: Wanted) -> usize {
    wanted.top + wanted.bottom + SPARE
}

/// As [`super::lanczos()`], with a basis of so many vectors of n numbers, in float32 where that suffices: residuals are
/// then no smaller than 1e-6 of the largest eigenvalue, and the eigenvectors in float32. Each eigenvalue is seen once, however often it occurs.
///
/// # Errors
/// Those of `apply`, a product that is not finite, and a basis of fewer vectors than [`least_basis`].
pub fn restarted(
    n: i64,
    wanted: Wanted,
    basis: usize,
    kind: Kind,
    rng: &mut Rng,
    mut apply: impl FnMut(&Tensor) -> Result<Tensor>,
) -> Result<Extremes> {
    ensure!(basis >= least_basis(wanted), "a basis of {basis} vectors; {} are needed", least_basis(wanted));
    ensure!(n as usize >= basis, "a map of {n} numbers, for which a whole basis is no larger");
    let rows = Tensor::f_zeros([basis as i64, n], (kind, Device::Cpu))?;
    let mut projected = vec![vec![0.0; basis]; basis];
    let probe = rademacher(n, rng)?;
    put(&rows, 0, &probe)?;
    let (mut used, mut steps, mut scale) = (0, 0, 0f64);
    loop {
        while used < basis && steps < wanted.steps {
            let product = finite(&apply(&row(&rows, used)?.f_unsqueeze(0)?)?)?.f_get(0)?;
            steps += 1;
            let (rest, along) = orthogonalised(&rows, used + 1, product)?;
            for (at, value) in along.iter().enumerate() {
                (projected[used][at], projected[at][used]) = (*value, *value);
            }
            used += 1;
            let mut beta = rest.f_norm()?.f_double_value(&[])?;
            scale = along.iter().fold(scale, |scale, value| scale.max(value.abs())).max(beta);
            // What is left of a vector within the space is rounding: a random one leads out of it.
            let next = if beta > 1e-12 * scale { rest } else { orthogonalised(&rows, used, rademacher(n, rng)?)?.0 };
            beta = if beta > 1e-12 * scale { beta } else { 0.0 };
            if used < basis {
                put(&rows, used, &next)?;
            } else {
                // The one that leads out of the full basis, behind which it goes on.
                let (values, vectors) = eigen(&projected, used)?;
                let picked = picked(used, wanted);
                let last = vectors.f_get(used as i64 - 1)?;
                let largest = values.iter().fold(0f64, |most, value| most.max(value.abs()));
                let residual = |at: usize| Ok::<_, anyhow::Error>(beta * last.f_double_value(&[at as i64])?.abs());
                let residuals = picked.iter().map(|&at| residual(at)).collect::<Result<Vec<f64>>>()?;
                let done = residuals.iter().all(|residual| *residual <= 0.5 * wanted.tolerance * largest);
                if done || steps >= wanted.steps {
                    return finish(&rows, &values, &vectors, used, (wanted, done, steps), &mut apply);
                }
                // As many beyond the wanted ones as leave room to go on.
                let keep = kept(used, wanted);
                rotate(&rows, &vectors, &keep, used)?;
                let couplings: Vec<f64> =
                    keep.iter().map(|&at| Ok(beta * last.f_double_value(&[at as i64])?)).collect::<Result<_>>()?;
                for line in &mut projected {
                    line.fill(0.0);
                }
                used = keep.len();
                for (place, (&at, coupling)) in keep.iter().zip(couplings).enumerate() {
                    projected[place][place] = values[at];
                    (projected[place][used], projected[used][place]) = (coupling, coupling);
                }
                put(&rows, used, &next)?;
            }
        }
        // Products ran out before the basis was full.
        if steps >= wanted.steps {
            let (values, vectors) = eigen(&projected, used)?;
            return finish(&rows, &values, &vectors, used, (wanted, false, steps), &mut apply);
        }
    }
}

fn row(rows: &Tensor, at: usize) -> Result<Tensor> {
    Ok(rows.f_get(at as i64)?.f_to_kind(Kind::Double)?)
}

/// Writes a vector, of length 1.
fn put(rows: &Tensor, at: usize, vector: &Tensor) -> Result<()> {
    rows.f_get(at as i64)?.f_copy_(&vector.f_div_scalar(vector.f_norm()?.f_double_value(&[])?)?)?;
    Ok(())
}

/// Without its parts along the first rows, and these; twice, which is enough (Parlett 1998, section 6.9).
fn orthogonalised(rows: &Tensor, used: usize, vector: Tensor) -> Result<(Tensor, Vec<f64>)> {
    let (mut rest, mut along) = (vector, vec![0.0; used]);
    for _ in 0..2 {
        for (at, along) in along.iter_mut().enumerate() {
            let row = row(rows, at)?;
            let part = row.f_dot(&rest)?.f_double_value(&[])?;
            rest = rest.f_sub(&row.f_mul_scalar(part)?)?;
            *along += part;
        }
    }
    Ok((rest, along))
}

/// Eigenvalues, ascending, and eigenvectors in columns of the leading part of a symmetric matrix.
fn eigen(projected: &[Vec<f64>], used: usize) -> Result<(Vec<f64>, Tensor)> {
    let flat: Vec<f64> = projected[..used].iter().flat_map(|line| &line[..used]).copied().collect();
    let matrix = Tensor::f_from_slice(&flat)?.f_view([used as i64, used as i64])?;
    let (values, vectors) = matrix.f_linalg_eigh("L")?;
    Ok((values.try_into()?, vectors))
}

/// The places of the wanted among ascending eigenvalues.
fn picked(used: usize, wanted: Wanted) -> Vec<usize> {
    (0..used).filter(|&at| at < wanted.bottom || at + wanted.top >= used).collect()
}

/// The wanted ones and some beside them at either wanted end: half of what room there is.
fn kept(used: usize, wanted: Wanted) -> Vec<usize> {
    let more = (used - wanted.top - wanted.bottom) / 2;
    let (above, below) = match (wanted.top, wanted.bottom) {
        (_, 0) => (more, 0),
        (0, _) => (0, more),
        _ => (more / 2, more - more / 2),
    };
    picked(used, Wanted { top: wanted.top + above, bottom: wanted.bottom + below, ..wanted })
}

/// Numbers of each vector that are turned together.
const CHUNK: i64 = 1 << 16;

/// The first rows become these Ritz vectors, in place.
fn rotate(rows: &Tensor, vectors: &Tensor, keep: &[usize], used: usize) -> Result<()> {
    let index: Vec<i64> = keep.iter().map(|&at| at as i64).collect();
    let turn = vectors.f_index_select(1, &Tensor::f_from_slice(&index)?)?.f_tr()?;
    for (start, size) in crate::data::blocks(rows.size()[1], CHUNK) {
        let part = rows.f_narrow(1, start, size)?;
        let turned = turn.f_mm(&part.f_narrow(0, 0, used as i64)?.f_to_kind(Kind::Double)?)?;
        part.f_narrow(0, 0, keep.len() as i64)?.f_copy_(&turned)?;
    }
    Ok(())
}

/// The wanted Ritz pairs, each with its residual by a product of its own.
fn finish(
    rows: &Tensor,
    values: &[f64],
    vectors: &Tensor,
    used: usize,
    (wanted, converged, steps): (Wanted, bool, usize),
    apply: &mut impl FnMut(&Tensor) -> Result<Tensor>,
) -> Result<Extremes> {
    let wanted_places = picked(used, wanted);
    rotate(rows, vectors, &wanted_places, used)?;
    let mut found = Vec::new();
    for place in 0..wanted_places.len() {
        let vector = row(rows, place)?;
        // Rows in float32 are of length 1 to seven digits.
        let vector = vector.f_div_scalar(vector.f_norm()?.f_double_value(&[])?)?;
        let mut ritz = Ritz { value: f64::NAN, residual: f64::NAN, vector };
        let product = finite(&apply(&ritz.vector.f_unsqueeze(0)?)?)?;
        ritz.confirm(&product.f_get(0)?)?;
        // In its place in the basis it takes no further memory.
        ritz.vector = rows.f_get(place as i64)?;
        found.push(ritz);
    }
    let largest = values.iter().fold(0f64, |most, value| most.max(value.abs()));
    let converged = converged && found.iter().all(|ritz| ritz.residual <= wanted.tolerance * largest);
    let bottom_count = wanted.bottom.min(found.len());
    let mut top = found.split_off(bottom_count.min(found.len().saturating_sub(wanted.top.min(found.len()))));
    top.reverse();
    Ok(Extremes { top, bottom: found, steps, converged, complete: false })
}

#[cfg(test)]
mod tests {
    use super::super::tests::{assert_close, diagonal, rng, values};
    use super::*;

    const WANTED: Wanted = Wanted { top: 4, bottom: 3, tolerance: 1e-8, steps: 2000, sweeps: 1, block: 1 };

    fn spectrum() -> Vec<f64> {
        let mut spectrum: Vec<f64> = (0..500).map(|i| f64::from(i) / 499.0).collect();
        spectrum.extend([10.0, 7.0, 6.9, 3.0, -0.5, -1.0, -4.0]);
        spectrum
    }

    #[test]
    fn a_short_basis_finds_both_ends() {
        let spectrum = spectrum();
        for basis in [13, 20, 60] {
            let found = restarted(507, WANTED, basis, Kind::Double, &mut rng(0), diagonal(&spectrum)).unwrap();
            assert!(found.converged, "{basis}: {} steps", found.steps);
            assert_close(&values(&found.top), &[10.0, 7.0, 6.9, 3.0], 1e-7);
            assert_close(&values(&found.bottom), &[-4.0, -1.0, -0.5], 1e-7);
            assert!(found.top.iter().chain(&found.bottom).all(|ritz| ritz.residual < 1e-6), "{basis}");
            for (ritz, place) in found.top.iter().chain(&found.bottom).zip([500, 501, 502, 503, 506, 505, 504]) {
                let along = ritz.vector.double_value(&[place]).abs();
                assert!((along - 1.0).abs() < 1e-6, "{basis}: {along} of the unit vector {place}");
            }
        }
    }

    #[test]
    fn one_end_alone_and_float32() {
        let spectrum = spectrum();
        let top = Wanted { bottom: 0, ..WANTED };
        let found = restarted(507, top, 12, Kind::Double, &mut rng(1), diagonal(&spectrum)).unwrap();
        assert_close(&values(&found.top), &[10.0, 7.0, 6.9, 3.0], 1e-7);
        assert!(found.bottom.is_empty() && found.converged);
        let bottom = Wanted { top: 0, ..WANTED };
        let found = restarted(507, bottom, 12, Kind::Double, &mut rng(1), diagonal(&spectrum)).unwrap();
        assert_close(&values(&found.bottom), &[-4.0, -1.0, -0.5], 1e-7);
        assert!(found.top.is_empty());
        let rough = Wanted { tolerance: 1e-4, ..WANTED };
        let found = restarted(507, rough, 14, Kind::Float, &mut rng(2), diagonal(&spectrum)).unwrap();
        assert!(found.converged);
        assert_close(&values(&found.top), &[10.0, 7.0, 6.9, 3.0], 1e-3);
    }

    #[test]
    fn too_few_products_are_said() {
        let few = Wanted { steps: 20, tolerance: 1e-12, ..WANTED };
        let spectrum = spectrum();
        let found = restarted(507, few, 13, Kind::Double, &mut rng(3), diagonal(&spectrum)).unwrap();
        assert!(!found.converged && found.steps == 20 && found.top.len() == 4 && found.bottom.len() == 3);
        // Residuals bound the error all the same.
        for ritz in found.top.iter().chain(&found.bottom) {
            let nearest = spectrum.iter().map(|value| (value - ritz.value).abs()).fold(f64::INFINITY, f64::min);
            assert!(nearest <= ritz.residual + 1e-12);
        }
        assert!(restarted(507, few, 12, Kind::Double, &mut rng(3), diagonal(&spectrum)).is_err());
        assert!(restarted(5, few, 13, Kind::Double, &mut rng(3), diagonal(&[0.0; 5])).is_err());
    }
}
