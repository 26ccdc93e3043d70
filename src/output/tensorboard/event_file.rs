//! The frames of an event file (TensorFlow's TFRecord): the length of a record, its check sum, the record, its check sum.
//! Knows nothing of what a record says.

use crc::{CRC_32_ISCSI, Crc};

/// Castagnoli's polynomial, as the format asks for.
const CRC_32C: Crc<u32> = Crc::<u32>::new(&CRC_32_ISCSI);

/// Bytes of a length.
const LENGTH: usize = 8;
/// Bytes of a check sum.
const SUM: usize = 4;

/// A check sum as it stands in the file: turned and raised, so that one of bytes that hold check sums is another.
fn masked(bytes: &[u8]) -> u32 {
    const RAISED_BY: u32 = 0xa282_ead8;
    CRC_32C.checksum(bytes).rotate_right(15).wrapping_add(RAISED_BY)
}

/// Puts a record behind what is there.
pub(super) fn append(file: &mut Vec<u8>, record: &[u8]) {
    let length = (record.len() as u64).to_le_bytes();
    file.extend(length);
    file.extend(masked(&length).to_le_bytes());
    file.extend(record);
    file.extend(masked(record).to_le_bytes());
}

/// The record at the beginning of some bytes, and what stands behind it; `None` where there is no whole one.
fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<LENGTH>()?;
    let (sum, rest) = rest.split_first_chunk::<SUM>()?;
    let is_length = u32::from_le_bytes(*sum) == masked(length);
    let length = usize::try_from(u64::from_le_bytes(*length)).ok().filter(|_| is_length)?;
    let (record, rest) = rest.split_at_checked(length)?;
    let (sum, rest) = rest.split_first_chunk::<SUM>()?;
    (u32::from_le_bytes(*sum) == masked(record)).then_some((record, rest))
}

/// The first record of a file; `None` where it is cut off or changed.
pub(super) fn first(file: &[u8]) -> Option<&[u8]> {
    split(file).map(|(record, _)| record)
}

/// The records of a file up to the first that is cut off or changed, and whether there is none such.
pub(super) fn records(file: &[u8]) -> (Vec<&[u8]>, bool) {
    let (mut records, mut rest) = (Vec::new(), file);
    while let Some((record, behind)) = split(rest) {
        records.push(record);
        rest = behind;
    }
    (records, rest.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_sums_are_castagnolis() {
        // RFC 3720, B.4.
        let ascending: Vec<u8> = (0..32).collect();
        for (bytes, sum) in [(&[0; 32][..], 0x8a91_36aa), (&[0xff; 32], 0x62a8_ab43), (&ascending, 0x46dd_794e)] {
            assert_eq!(CRC_32C.checksum(bytes), sum);
        }
        // As tensorflow::crc32c::Mask has it.
        assert_eq!(masked(&[0; 32]), (0x8a91_36aa_u32.rotate_right(15)).wrapping_add(0xa282_ead8));
    }

    #[test]
    fn a_file_is_read_up_to_where_it_is_cut_off_or_changed() {
        let mut file = Vec::new();
        append(&mut file, b"one");
        let first = file.len();
        append(&mut file, b"");
        append(&mut file, b"three");
        assert_eq!(records(&file), (vec![&b"one"[..], b"", b"three"], true));
        for end in 0..file.len() {
            let (found, is_whole) = records(&file[..end]);
            let ends = [0, first, first + LENGTH + 2 * SUM];
            assert_eq!(
                (found.len(), is_whole),
                (ends.iter().filter(|at| **at > 0 && **at <= end).count(), ends.contains(&end))
            );
        }
        for at in first..file.len() {
            let mut changed = file.clone();
            changed[at] ^= 1;
            assert!(!records(&changed).1, "{at}");
        }
        // A length beyond all bytes.
        let length = u64::MAX.to_le_bytes();
        let endless = [&length[..], &masked(&length).to_le_bytes(), b"x"].concat();
        assert_eq!(records(&endless), (Vec::new(), false));
    }
}
