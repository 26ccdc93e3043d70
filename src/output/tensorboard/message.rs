//! Messages of protocol buffers, field by field: written, and read back as far as an export asks what stands there.
//! Knows no message of TensorBoard's.

/// How a field is laid out, as its key says.
const VARINT: u64 = 0;
const FIXED_64: u64 = 1;
const BYTES: u64 = 2;
const FIXED_32: u64 = 5;

/// A message that is being written.
#[derive(Clone, Default)]
pub(super) struct Message(Vec<u8>);

impl Message {
    fn push_varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    fn push_key(&mut self, field: u64, layout: u64) {
        self.push_varint(field << 3 | layout);
    }

    pub fn whole(mut self, field: u64, value: u64) -> Self {
        self.push_key(field, VARINT);
        self.push_varint(value);
        self
    }

    pub fn double(mut self, field: u64, value: f64) -> Self {
        self.push_key(field, FIXED_64);
        self.0.extend(value.to_le_bytes());
        self
    }

    pub fn float(mut self, field: u64, value: f32) -> Self {
        self.push_key(field, FIXED_32);
        self.0.extend(value.to_le_bytes());
        self
    }

    pub fn bytes(mut self, field: u64, value: &[u8]) -> Self {
        self.push_key(field, BYTES);
        self.push_varint(value.len() as u64);
        self.0.extend(value);
        self
    }

    pub fn text(self, field: u64, value: &str) -> Self {
        self.bytes(field, value.as_bytes())
    }

    pub fn message(self, field: u64, value: &Self) -> Self {
        self.bytes(field, &value.0)
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// What stands in a field.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value<'a> {
    /// Of whatever type a number has.
    Number(u64),
    Bytes(&'a [u8]),
}

fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0;
    for (at, byte) in bytes.iter().enumerate().take(10) {
        value |= u64::from(byte & 0x7f).checked_shl(7 * at as u32).unwrap_or(0);
        if byte & 0x80 == 0 {
            return Some((value, &bytes[at + 1..]));
        }
    }
    None
}

fn field(bytes: &[u8]) -> Option<(u64, Value<'_>, &[u8])> {
    let (key, rest) = varint(bytes)?;
    let (value, rest) = match key & 7 {
        VARINT => varint(rest).map(|(value, rest)| (Value::Number(value), rest))?,
        FIXED_64 => rest.split_first_chunk().map(|(value, rest)| (Value::Number(u64::from_le_bytes(*value)), rest))?,
        FIXED_32 => {
            rest.split_first_chunk().map(|(value, rest)| (Value::Number(u32::from_le_bytes(*value).into()), rest))?
        }
        BYTES => {
            let (length, rest) = varint(rest)?;
            let (value, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
            (Value::Bytes(value), rest)
        }
        _ => return None,
    };
    Some((key >> 3, value, rest))
}

/// The fields of a message, in their order; up to the first that makes no sense.
pub(super) fn fields(message: &[u8]) -> impl Iterator<Item = (u64, Value<'_>)> {
    let mut rest = message;
    std::iter::from_fn(move || {
        let (number, value, behind) = field(rest)?;
        rest = behind;
        Some((number, value))
    })
}

/// The messages and texts of one field.
pub(super) fn bytes_of(message: &[u8], number: u64) -> impl Iterator<Item = &[u8]> {
    fields(message).filter_map(move |(own, value)| match value {
        Value::Bytes(bytes) if own == number => Some(bytes),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_as_protobuf_documents_it() {
        // protobuf.dev/programming-guides/encoding: 150 in field 1, "testing" in field 2, and that message in field 3.
        let inner = Message::default().whole(1, 150);
        assert_eq!(inner.as_bytes(), [0x08, 0x96, 0x01]);
        assert_eq!(Message::default().text(2, "testing").as_bytes(), b"\x12\x07testing");
        assert_eq!(Message::default().message(3, &inner).as_bytes(), [0x1a, 0x03, 0x08, 0x96, 0x01]);
        assert_eq!(Message::default().double(1, 1.0).as_bytes(), [9, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f]);
        assert_eq!(Message::default().float(2, 1.0).as_bytes(), [0x15, 0, 0, 0x80, 0x3f]);
    }

    #[test]
    fn what_was_written_is_read_back_and_nonsense_ends_it() {
        let message = Message::default().whole(1, u64::MAX).text(16, "α").float(3, 0.5).double(4, -0.0).bytes(16, b"");
        let read: Vec<_> = fields(message.as_bytes()).collect();
        let half = Value::Number(0.5f32.to_bits().into());
        assert_eq!(
            read,
            [
                (1, Value::Number(u64::MAX)),
                (16, Value::Bytes("α".as_bytes())),
                (3, half),
                (4, Value::Number((-0.0f64).to_bits())),
                (16, Value::Bytes(b"")),
            ]
        );
        assert_eq!(bytes_of(message.as_bytes(), 16).collect::<Vec<_>>(), ["α".as_bytes(), b""]);
        for end in 0..message.as_bytes().len() {
            assert!(fields(&message.as_bytes()[..end]).count() < 5, "{end}");
        }
        for nonsense in [&[0xff; 20][..], &[0x0b], &[0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f], &[0x0a]] {
            assert_eq!(fields(nonsense).count(), 0, "{nonsense:?}");
        }
    }
}
