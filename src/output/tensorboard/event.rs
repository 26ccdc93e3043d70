//! TensorBoard's messages, of its event.proto, summary.proto and the plugin hparams' own: numbers, an image, and the
//! settings of a trial, each as a record of an event file. Knows no study.

use super::event_file;
use super::message::{Message, bytes_of};
use serde_json::Value as Json;
use std::collections::BTreeMap;

/// Who wrote an event file, as its first record says: what tells a file of hw1's from any other.
const WRITER: &str = "hw1";

/// Fields of an event.
mod of_event {
    pub const WALL_TIME: u64 = 1;
    pub const STEP: u64 = 2;
    pub const FILE_VERSION: u64 = 3;
    pub const SUMMARY: u64 = 5;
    pub const SOURCE: u64 = 10;
    /// In the source.
    pub const WRITER: u64 = 1;
    /// In the summary.
    pub const VALUE: u64 = 1;
}

/// Fields of a value of a summary.
mod of_value {
    pub const TAG: u64 = 1;
    pub const NUMBER: u64 = 2;
    pub const IMAGE: u64 = 4;
    pub const TENSOR: u64 = 8;
    pub const METADATA: u64 = 9;
    /// In the metadata.
    pub const PLUGIN: u64 = 1;
    /// In the image.
    pub const HEIGHT: u64 = 1;
    pub const WIDTH: u64 = 2;
    pub const COLORSPACE: u64 = 3;
    pub const ENCODED: u64 = 4;
}

/// Where an event stands: seconds since 1970, and a step.
#[derive(Clone, Copy)]
pub(super) struct At {
    pub wall_time: f64,
    pub step: u64,
}

/// An event file as it grows.
pub(super) struct Events(Vec<u8>);

impl Events {
    pub fn new(wall_time: f64) -> Self {
        let source = Message::default().text(of_event::WRITER, WRITER);
        let head = Message::default()
            .double(of_event::WALL_TIME, wall_time)
            .text(of_event::FILE_VERSION, "brain.Event:2")
            .message(of_event::SOURCE, &source);
        let mut events = Self(Vec::new());
        event_file::append(&mut events.0, head.as_bytes());
        events
    }

    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    fn push(&mut self, At { wall_time, step }: At, values: impl Iterator<Item = Message>) {
        let summary = values.fold(Message::default(), |summary, value| summary.message(of_event::VALUE, &value));
        let whole = Message::default()
            .double(of_event::WALL_TIME, wall_time)
            .whole(of_event::STEP, step)
            .message(of_event::SUMMARY, &summary);
        event_file::append(&mut self.0, whole.as_bytes());
    }

    /// Numbers of one step by name; TensorBoard knows them as float32.
    pub fn push_numbers<'a>(&mut self, at: At, numbers: impl Iterator<Item = (&'a str, f64)>) {
        self.push(
            at,
            numbers.map(|(tag, number)| {
                Message::default().text(of_value::TAG, tag).float(of_value::NUMBER, number as f32)
            }),
        );
    }

    /// A picture; `None` where the bytes are no PNG.
    pub fn push_image(&mut self, at: At, tag: &str, png: &[u8]) -> Option<()> {
        let Header { width, height, channels } = Header::of(png)?;
        let image = Message::default()
            .whole(of_value::HEIGHT, height.into())
            .whole(of_value::WIDTH, width.into())
            .whole(of_value::COLORSPACE, channels)
            .bytes(of_value::ENCODED, png);
        // No title and no caption: TensorBoard's own server shows none of an image in this form.
        self.push(at, [Message::default().text(of_value::TAG, tag).message(of_value::IMAGE, &image)].into_iter());
        Some(())
    }

    /// The settings of a trial that ran from one time to the other, in the form that the tab HPARAMS reads. No
    /// `_hparams_/experiment` beside them: TensorBoard would take the first it finds for all studies of a folder, while
    /// without one it gathers the settings and metrics of all their trials itself.
    pub fn push_settings(&mut self, settings: &BTreeMap<String, Json>, [begin, end]: [f64; 2]) {
        const HPARAMS: u64 = 1;
        const START_TIME: u64 = 5;
        const STATUS: u64 = 1;
        const END_TIME: u64 = 2;
        const SUCCESS: u64 = 1;
        let of_trial = settings.iter().filter_map(|(name, value)| {
            let value = setting(value)?;
            Some(Message::default().text(1, name).message(2, &value))
        });
        let started = of_trial.fold(Message::default(), |started, entry| started.message(HPARAMS, &entry));
        let ended = Message::default().whole(STATUS, SUCCESS).double(END_TIME, end);
        // Fields of the plugin's data.
        const START_INFO: u64 = 3;
        const END_INFO: u64 = 4;
        for (tag, wall_time, field, info) in [
            ("_hparams_/session_start_info", begin, START_INFO, started.double(START_TIME, begin)),
            ("_hparams_/session_end_info", end, END_INFO, ended),
        ] {
            let content = Message::default().message(field, &info);
            let plugin = Message::default().text(1, "hparams").bytes(2, content.as_bytes());
            let metadata = Message::default().message(of_value::PLUGIN, &plugin);
            // A tensor of no numbers: float32, of one side of length 0.
            let shape = Message::default().message(2, &Message::default().whole(1, 0));
            let tensor = Message::default().whole(1, 1).message(2, &shape);
            let of_tag = Message::default().text(of_value::TAG, tag);
            let at = At { wall_time, step: 0 };
            self.push(
                at,
                [of_tag.message(of_value::METADATA, &metadata).message(of_value::TENSOR, &tensor)].into_iter(),
            );
        }
    }
}

/// A `google.protobuf.Value`; `None` for what there is none of.
fn setting(value: &Json) -> Option<Message> {
    const NUMBER: u64 = 2;
    const TEXT: u64 = 3;
    const BOOL: u64 = 4;
    /// 2⁵³: whole numbers beyond have no double of their own.
    const EXACT: u64 = 1 << 53;
    Some(match value {
        Json::Null => return None,
        Json::Bool(is) => Message::default().whole(BOOL, (*is).into()),
        Json::Number(number) => match number.as_f64() {
            Some(double) if number.is_f64() || double.abs() <= EXACT as f64 => {
                Message::default().double(NUMBER, double)
            }
            _ => Message::default().text(TEXT, &number.to_string()),
        },
        Json::String(text) => Message::default().text(TEXT, text),
        list => Message::default().text(TEXT, &list.to_string()),
    })
}

/// What the first chunk of a PNG says.
struct Header {
    width: u32,
    height: u32,
    channels: u64,
}

impl Header {
    fn of(png: &[u8]) -> Option<Self> {
        let rest = png.strip_prefix(b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR")?;
        let (width, rest) = rest.split_first_chunk()?;
        let (height, rest) = rest.split_first_chunk()?;
        // Behind the bits of a number: gray, colours, a palette of colours, gray and colours with opacity.
        let channels = match rest.get(1)? {
            0 => 1,
            2 | 3 => 3,
            4 => 2,
            6 => 4,
            _ => return None,
        };
        Some(Self { width: u32::from_be_bytes(*width), height: u32::from_be_bytes(*height), channels })
    }
}

/// Whether hw1 wrote an event file, by its first record.
pub(super) fn is_own(file: &[u8]) -> bool {
    let sources = event_file::first(file).into_iter().flat_map(|head| bytes_of(head, of_event::SOURCE));
    sources.flat_map(|source| bytes_of(source, of_event::WRITER)).any(|writer| writer == WRITER.as_bytes())
}

/// Whether an event file is whole.
pub(super) fn is_whole(file: &[u8]) -> bool {
    event_file::records(file).1
}

/// The pictures of an event file by tag, in their order, as far as it is whole.
pub(super) fn images(file: &[u8]) -> Vec<(&str, &[u8])> {
    let values = event_file::records(file).0.into_iter().flat_map(|record| {
        bytes_of(record, of_event::SUMMARY).flat_map(|summary| bytes_of(summary, of_event::VALUE)).collect::<Vec<_>>()
    });
    let image = |value| {
        let tag = std::str::from_utf8(bytes_of(value, of_value::TAG).next()?).ok()?;
        let encoded = bytes_of(value, of_value::IMAGE).flat_map(|image| bytes_of(image, of_value::ENCODED)).next()?;
        Some((tag, encoded))
    };
    values.filter_map(image).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn png(color: u8) -> Vec<u8> {
        [b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\x01\0\0\0\0\x07\x08", &[color][..], b"the rest"].concat()
    }

    #[test]
    fn a_png_says_how_large_it_is() {
        for (color, channels) in [(0, Some(1)), (2, Some(3)), (3, Some(3)), (4, Some(2)), (6, Some(4)), (5, None)] {
            let header = Header::of(&png(color));
            assert_eq!(header.as_ref().map(|header| header.channels), channels, "{color}");
            assert!(header.is_none_or(|header| (header.width, header.height) == (256, 7)));
        }
        for end in 0..26 {
            assert!(Header::of(&png(6)[..end]).is_none(), "{end}");
        }
    }

    #[test]
    fn pictures_are_read_back_and_ones_own_files_known() {
        let mut events = Events::new(1.5);
        let at = At { wall_time: 2.5, step: 3 };
        events.push_numbers(at, [("loss", 0.5)].into_iter());
        events.push_image(at, "curves", &png(6)).unwrap();
        assert!(events.push_image(at, "none", b"no picture").is_none());
        events.push_image(at, "ratio", &png(2)).unwrap();
        let file = events.into_bytes();
        assert!(is_own(&file) && is_whole(&file));
        assert_eq!(images(&file), [("curves", &png(6)[..]), ("ratio", &png(2))]);
        // Cut off: what is before still counts.
        let cut = &file[..file.len() - 1];
        assert!(is_own(cut) && !is_whole(cut) && images(cut).len() == 1);
        // Another program's.
        let mut foreign = Vec::new();
        event_file::append(&mut foreign, Message::default().text(of_event::FILE_VERSION, "brain.Event:2").as_bytes());
        assert!(!is_own(&foreign) && is_whole(&foreign) && !is_own(b"") && !is_own(b"text"));
    }

    #[test]
    fn settings_are_numbers_texts_and_flags() {
        let number = |value: f64| Message::default().double(2, value);
        let text = |value: &str| Message::default().text(3, value);
        for (json, value) in [
            (json!(null), None),
            (json!(true), Some(Message::default().whole(4, 1))),
            (json!(60), Some(number(60.0))),
            (json!(1e-5), Some(number(1e-5))),
            (json!(1e300), Some(number(1e300))),
            (json!(u64::MAX), Some(text("18446744073709551615"))),
            (json!("adam"), Some(text("adam"))),
            (json!([-2.0, 2.0]), Some(text("[-2.0,2.0]"))),
        ] {
            assert_eq!(setting(&json).as_ref().map(Message::as_bytes), value.as_ref().map(Message::as_bytes), "{json}");
        }
    }
}
