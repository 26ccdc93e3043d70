//! Arrays as files: a NumPy .npz (a zip of .npy, stored), and a .csv of the grids among them in long form. Knows numbers
//! and names, nothing of what they mean.

use crate::output::csv::number;
use crate::study::Arrays;
use anyhow::{Context as _, Result, ensure};
use rawzip::{CompressionMethod, ZipArchiveWriter};
use std::io::Write as _;

/// A .npy of float64, version 1.0 of its format: `numpy.lib.format`.
fn npy(shape: &[usize], numbers: &[f64]) -> Result<Vec<u8>> {
    /// What stands in front of the header.
    const MAGIC: &[u8] = b"\x93NUMPY\x01\x00";
    /// The numbers begin at a multiple of this.
    const ALIGNED: usize = 64;
    ensure!(shape.iter().product::<usize>() == numbers.len(), "{} numbers of shape {shape:?}", numbers.len());
    let sides: String = shape.iter().map(|side| format!("{side}, ")).collect();
    let sides = if shape.len() == 1 { sides.trim_end() } else { sides.trim_end_matches(", ") };
    let header = format!("{{'descr': '<f8', 'fortran_order': False, 'shape': ({sides}), }}");
    let before = MAGIC.len() + 2;
    let length = (before + header.len() + 1).next_multiple_of(ALIGNED) - before;
    let mut bytes = MAGIC.to_vec();
    bytes.extend(u16::try_from(length).context("a shape of too many sides")?.to_le_bytes());
    bytes.extend(format!("{header:<width$}\n", width = length - 1).bytes());
    bytes.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
    Ok(bytes)
}

/// `numpy.load` gives the arrays by their names.
///
/// # Errors
/// Where one has not the numbers that its shape says.
pub(super) fn npz(arrays: &Arrays) -> Result<Vec<u8>> {
    let mut archive = ZipArchiveWriter::new(Vec::new());
    for (name, shape, numbers) in &arrays.all {
        let file = format!("{name}.npy");
        let (mut entry, config) =
            archive.new_file(file.as_str()).compression_method(CompressionMethod::STORE).start()?;
        let mut writer = config.wrap(&mut entry);
        writer.write_all(&npy(shape, numbers)?)?;
        let (_, output) = writer.finish()?;
        entry.finish(output)?;
    }
    Ok(archive.finish()?)
}

/// Of arrays `x` and `y` and others [y, x] a row a place: x, y and the numbers there; `None` where there are none such.
///
/// # Errors
/// Where the text cannot be made.
pub(super) fn csv(arrays: &Arrays) -> Result<Option<Vec<u8>>> {
    let of = |name: &str| arrays.all.iter().find(|(own, ..)| own == name).map(|(.., numbers)| numbers);
    let Some((x, y)) = of("x").zip(of("y")) else { return Ok(None) };
    let grids: Vec<_> = arrays.all.iter().filter(|(_, shape, _)| *shape == [y.len(), x.len()]).collect();
    if grids.is_empty() {
        return Ok(None);
    }
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(["x", "y"].into_iter().chain(grids.iter().map(|(name, ..)| name.as_str())))?;
    for (row, y) in y.iter().enumerate() {
        for (column, x_here) in x.iter().enumerate() {
            let there = grids.iter().map(|(.., numbers)| numbers[row * x.len() + column]);
            writer.write_record([*x_here, *y].into_iter().chain(there).map(number))?;
        }
    }
    Ok(Some(writer.into_inner().context("cannot finish the CSV text")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_numpys() {
        for (shape, text) in [(&[3][..], "(3,)"), (&[2, 3], "(2, 3)"), (&[], "()"), (&[0, 2], "(0, 2)")] {
            let numbers = vec![1.5; shape.iter().product()];
            let bytes = npy(shape, &numbers).unwrap();
            let header = u16::from_le_bytes([bytes[8], bytes[9]]) as usize;
            assert!((10 + header).is_multiple_of(64) && bytes[10 + header - 1] == b'\n');
            let said = std::str::from_utf8(&bytes[10..10 + header]).unwrap().trim_end();
            assert_eq!(said, format!("{{'descr': '<f8', 'fortran_order': False, 'shape': {text}, }}"));
            assert_eq!(bytes.len(), 10 + header + 8 * numbers.len());
        }
        assert!(npy(&[2], &[1.0]).is_err());
    }

    #[test]
    fn a_grid_is_told_place_by_place() {
        let arrays = Arrays::new("surface")
            .with("x", vec![2], vec![-1.0, 1.0])
            .with("y", vec![1], vec![0.5])
            .with("loss", vec![1, 2], vec![3.25, f64::NAN])
            .with("path", vec![3], vec![1.0, 2.0, 3.0]);
        assert_eq!(csv(&arrays).unwrap().unwrap(), b"x,y,loss\n-1,5e-1,3.25\n1,5e-1,NaN\n");
        assert_eq!(csv(&Arrays::new("a").with("x", vec![1], vec![1.0])).unwrap(), None);
        let zip = npz(&arrays).unwrap();
        let archive = rawzip::ZipArchive::from_slice(&zip).unwrap();
        let names: Vec<_> = archive.entries().map(|entry| entry.unwrap().file_path().as_ref().to_vec()).collect();
        assert_eq!(names, [&b"x.npy"[..], b"y.npy", b"loss.npy", b"path.npy"]);
        assert_eq!(zip, npz(&arrays).unwrap());
    }
}
