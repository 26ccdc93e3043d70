//! Every rule of [`super`] on small tables, and properties over any text.

use super::super::{files, parse};
use super::*;
use flate2::{Compression, write::GzEncoder};
use proptest::prelude::*;
use std::fs;
use std::io::Write as _;
use std::path::Path;

const MOST: u64 = 1 << 20;

fn with(train: &[u8], test: Option<&[u8]>, options: &Options, most_bytes: u64) -> Result<Raw> {
    parse(train, test, &mut Reading { options, most_bytes, progress: &mut |_, _| Ok(()) })
}

fn one(text: &str, label: &str) -> Result<Raw> {
    let label = (!label.is_empty()).then(|| label.to_string());
    with(text.as_bytes(), None, &Options { label, ..Options::default() }, MOST)
}

fn two(train: &str, test: &str) -> Result<Raw> {
    with(train.as_bytes(), Some(test.as_bytes()), &Options::default(), MOST)
}

fn floats(part: &Part) -> &[f32] {
    match &part.inputs {
        Numbers::Floats(floats) => floats,
        other => panic!("{other:?}"),
    }
}

fn words(words: &[&str]) -> Targets {
    Targets::Words(words.iter().map(|word| (*word).to_string()).collect())
}

fn refused(result: Result<Raw>, expected: &str) {
    let error = format!("{:#}", result.expect_err(expected));
    assert!(error.contains(expected) && !error.contains('\n'), "{error}\nlacks\n{expected}");
}

#[test]
fn tables_of_all_writers() {
    let expected = [0.5, 2.0, -1.0, 4.0];
    for (text, label) in [
        ("a,b,label\n0.5,2,1\n-1,4,0\n", ""),
        ("a,Label ,b\n0.5,1,2\n-1,0,4\n", ""),
        ("Y,a,b\n1,0.5,2\n0,-1,4\n", ""),
        ("a,b,Target\r\n0.5,2,1\r\n-1,4,0", ""),
        ("a,b,CLASS\r0.5,2,1\r-1,4,0\r", ""),
        (",a,b,label\n0,0.5,2,1\n1,-1,4,0\n", ""),
        ("Unnamed: 0.1,Unnamed: 0,a,b,label\n0,0,0.5,2,1\n1,1,-1,4,0\n", ""),
        ("\"\",\"a\",\"b\",\"label\"\n\"r1\",0.5,2,1\n\"r2\",-1,4,0\n", ""),
        ("\"a\" \"b\" \"label\"\n\"1\" 0.5 2 1\n\"2\" -1 4 0\n", ""),
        ("sep=;\r\na;b;label\r\n0,5;2;1\r\n-1;4;0\r\n", ""),
        ("\u{feff}a;b;label\n0,5;2,0;1\n-1;4;0,0\n;;\n", ""),
        ("a\tb\tlabel\n0.5\t2\t1\n-1\t4\t0\n\n\n", ""),
        ("a,b,label,\n0.5,2,1,\n-1,4,0,\n", ""),
        ("0.5,2,1\n-1,4,0\n", "-1"),
        ("0.5,1,2\n-1,0,4\n", "1"),
        ("a,b,0\n0.5,2,1\n-1,4,0\n", "0"),
        ("a,b,c\n0.5,2,1\n-1,4,0\n", "c"),
        ("5.000000000000000000e-01 2.0e+00 1.0e+00\n-1.0e+00 4.0e+00 0.0e+00\n", "2"),
        ("# a b label\n0.5 2 1\n-1 4 0\n", ""),
        (" 0.5 ,+2, 1\n-1 ,\"4\",\"0\"\n", "-1"),
    ] {
        let raw = one(text, label).unwrap_or_else(|error| panic!("{text:?}: {error}"));
        assert_eq!(floats(&raw.train), expected, "{text:?}");
        assert_eq!(raw.train.targets, Targets::Numbers(vec![1, 0]), "{text:?}");
        assert_eq!((raw.kind, &raw.shape[..], raw.divisor), (Kind::Features, &[2][..], 1.0));
        assert!(raw.test.is_none() && raw.class_names.is_none());
    }
    let utf16: Vec<_> = "\u{feff}a\tlabel\r\n1,5\tü\r\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let raw = with(&utf16, None, &Options::default(), MOST).unwrap();
    assert_eq!((floats(&raw.train), &raw.train.targets), (&[1.5][..], &words(&["ü"])));
}

#[test]
fn labels() {
    for (labels, expected) in [
        (["3.0", "+7"], Targets::Numbers(vec![3, 7])),
        (["-1", "1e2"], Targets::Numbers(vec![-1, 100])),
        (["0.5", "1"], Targets::Values { width: 1, values: vec![0.5, 1.0] }),
        (["1e20", "1"], Targets::Values { width: 1, values: vec![1e20, 1.0] }),
        (["01", " cat "], words(&["01", "cat"])),
        (["0.5", "cat"], words(&["0.5", "cat"])),
        (["1e99", "cat"], words(&["1e99", "cat"])),
        (["True", "False"], words(&["True", "False"])),
        (["\"a, \"\"b\"\"\"", "#c"], words(&["a, \"b\"", "#c"])),
    ] {
        let text = format!("x,label\n1,{}\n2,{}\n", labels[0], labels[1]);
        assert_eq!(one(&text, "").unwrap().train.targets, expected, "{text:?}");
    }
    let raw = two("x,y\n1,1\n2,2\n", "x,y\n1,0.5\n2,2\n").unwrap();
    assert_eq!(raw.train.targets, Targets::Values { width: 1, values: vec![1.0, 2.0] });
    let raw = two("x,y\n1,1\n2,2\n", "x,y\n1,a\n2,2\n").unwrap();
    assert_eq!(raw.train.targets, words(&["1", "2"]));
}

#[test]
fn truth_values_are_numbers_in_features() {
    assert_eq!(floats(&one("a,label\nTrue,True\nFALSE,no\n", "").unwrap().train), [1.0, 0.0]);
}

#[test]
fn refusals() {
    for (text, label, expected) in [
        ("", "", "train.csv is empty"),
        ("a,label\n", "", "train.csv is empty"),
        ("label\n1\n", "", "the label as its only column"),
        (
            "1,2\n3,4\n",
            "",
            "no header and 2 columns, and which one is the label is not said: add --set data.label=NAME",
        ),
        ("a,b\n1,2\n", "", "has the columns \"a\", \"b\", and which"),
        ("a,b,c,d,e,f,g,h,i,j,k\n1,2,3,4,5,6,7,8,9,10,11\n", "", "\"j\", … (11 in all)"),
        ("a,y,Class\n1,2,3\n", "", "both column \"y\" and column \"Class\""),
        ("a,b\n1,2\n", "c", "has no column \"c\", but the columns \"a\", \"b\""),
        ("a,b\n1,2\n", "2", "has 2 columns, and data.label=2 is none"),
        ("a,b\n1,2\n", "-3", "data.label=-3 is none"),
        ("a,b,b\n1,2,3\n", "b", "several columns \"b\""),
        ("a,label\n1,1\n,1\n", "", "train.csv, line 3, column \"a\": a number is missing"),
        ("a,label\n1,1\nred,1\n", "", "train.csv, line 3, column \"a\": \"red\" is no number: encode"),
        ("a,label\n1,1\n1,\n", "", "train.csv, line 3, column \"label\": the label is missing (found \"\")"),
        ("a,label\n1,1\n1,NA\n", "", "line 3, column \"label\": the label is missing (found \"NA\")"),
        ("a,label\n1,1\n-inf,1\n", "", "line 3, column \"a\": \"-inf\" is beyond an f32"),
        ("a,label\n1,1\n1,1e39\n", "", "line 3: the label \"1e39\" is beyond an f32"),
        ("a,label\n1,1\n1,1,1\n", "", "line 3: 2 cells expected as in the first row, 3 found"),
        ("a,label,\n1,1,\n1,1,7\n", "", "line 3: column 2 (from 0) has no name, and holds \"7\""),
    ] {
        refused(one(text, label), expected);
    }
    refused(with(b"a,label\n1,\xff\n", None, &Options::default(), MOST), "is no UTF-8");
    let open = [b"a,label\n1,\"".as_slice(), &vec![b'x'; 70 << 20]].concat();
    refused(with(&open, None, &Options::default(), MOST), "from line 2 (a row of more than 64 MiB");
}

#[test]
fn memory_is_bounded() {
    let text = "1,2,3\n".repeat(100);
    let options = Options { label: Some("0".to_string()), ..Options::default() };
    assert!(with(text.as_bytes(), None, &options, 100 * 41).is_ok());
    refused(with(text.as_bytes(), None, &options, 100 * 41 - 1), "more memory than data may");
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    (0..1000).for_each(|_| gzip.write_all(text.as_bytes()).unwrap());
    refused(with(&gzip.finish().unwrap(), None, &options, MOST), "more memory than data may");
}

#[test]
fn images() {
    let shaped = |text: &str, test: Option<&str>, shape| {
        let options = Options { shape: Some(shape), ..Options::default() };
        with(text.as_bytes(), test.map(str::as_bytes), &options, MOST)
    };
    let raw = shaped("label,0,1\n7,0,255\n8,1,2.0\n", None, [1, 1, 2]).unwrap();
    assert_eq!((raw.kind, &raw.shape[..], raw.divisor), (Kind::Images, &[1, 1, 2][..], 255.0));
    assert_eq!(raw.train.inputs, Numbers::Bytes(vec![0, 255, 1, 2]));
    for other in ["256", "-1", "0.5"] {
        let raw = shaped(&format!("label,0,1\n7,0,255\n8,1,{other}\n"), None, [2, 1, 1]).unwrap();
        assert_eq!((floats(&raw.train), raw.divisor), (&[0.0, 255.0, 1.0, other.parse().unwrap()][..], 1.0));
        let (bytes, more) = ("label,0\n7,0\n", format!("label,0\n7,{other}\n"));
        for (train, test) in [(bytes, &more[..]), (&more, bytes)] {
            let raw = shaped(train, Some(test), [1, 1, 1]).unwrap();
            assert!(matches!((&raw.train.inputs, raw.divisor), (Numbers::Floats(_), 1.0)));
            assert!(matches!(raw.test.unwrap().inputs, Numbers::Floats(_)));
        }
    }
    refused(shaped("label,0\n1,1\n", None, [1, 2, 2]), "1 columns beside the label, and data.shape=1x2x2 needs 4");
    refused(shaped("label,0\n1,1\n", None, [usize::MAX, 2, 2]), "more than there can be");
    refused(shaped("label,0\n1,1\n", None, [0, 2, 2]), "no side of an image is 0");
}

#[test]
fn kinds() {
    for (kind, shape, fine) in [
        ("features", None, true),
        ("images", None, false),
        ("tokens", None, false),
        ("images", Some([1, 1, 1]), true),
        ("channels-first", Some([1, 1, 1]), true),
        ("channels-last", Some([1, 1, 1]), false),
        ("features", Some([1, 1, 1]), false),
    ] {
        let options = Options { kind: Some(kind.to_string()), shape, ..Options::default() };
        let result = with(b"label,0\n1,1\n", None, &options, MOST);
        assert_eq!(result.is_ok(), fine, "{kind} {result:?}");
    }
}

#[test]
fn train_and_test_agree() {
    let train = "a,b,label\n1,2,0\n";
    let raw = two(train, "label,b,a\n5,6,7\n").unwrap();
    let test = raw.test.unwrap();
    assert_eq!((floats(&test), &test.targets), (&[7.0, 6.0][..], &Targets::Numbers(vec![5])));
    assert!(raw.notes[0].contains("another order"), "{:?}", raw.notes);
    let raw = two(train, ",a,b,label\n0,1,2,3\n").unwrap();
    assert_eq!(floats(&raw.test.unwrap()), [1.0, 2.0]);
    assert_eq!(floats(&two(train, "1,2,3\n").unwrap().test.unwrap()), [1.0, 2.0]);
    for (test, expected) in [
        ("a,b\n1,2\n", "test.csv lacks the column \"label\" of train.csv: give both"),
        ("a,c,label\n1,2,3\n", "test.csv lacks the column \"b\""),
        ("a,b,c,label\n1,2,3,4\n", "test.csv has a column \"c\" that train.csv lacks"),
        ("1,2\n", "test.csv has 2 columns, and train.csv 3"),
        ("a,b,label\n", "test.csv is empty"),
        ("a,b,label\n1,2,\n", "test.csv, line 2, column \"label\""),
    ] {
        refused(two(train, test), expected);
    }
    refused(
        two("a,a,b,label\n1,1,2,0\n", "a,b,a,label\n1,1,2,0\n"),
        "has as column 1 (from 0) \"b\", and train.csv \"a\"",
    );
}

#[test]
fn files_of_a_path() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let write = |name: &str, bytes: &[u8]| fs::write(at(name), bytes).unwrap();
    assert_eq!(files(folder.path()).unwrap(), None);
    assert_eq!(files(Path::new("/nowhere.csv")).unwrap(), None);
    write("test.csv", b"a,label\n3,4\n");
    assert_eq!(files(folder.path()).unwrap(), None);
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(b"a,label\n1,2\n").unwrap();
    write("Train.CSV.gz", &gzip.finish().unwrap());
    assert_eq!(files(folder.path()).unwrap(), Some(vec![at("Train.CSV.gz"), at("test.csv")]));
    let options = Options::default();
    let mut calls = Vec::new();
    let mut note = |done, total| {
        calls.push((done, total));
        Ok(())
    };
    let mut reading = Reading { options: &options, most_bytes: MOST, progress: &mut note };
    let raw = super::super::read(folder.path(), &mut reading).unwrap();
    assert_eq!((floats(&raw.train), floats(&raw.test.unwrap())), (&[1.0][..], &[3.0][..]));
    assert!(calls.last().is_some_and(|(done, total)| done == total && *total > 0));
    write("train.csv", b"");
    assert_eq!(files(folder.path()).unwrap(), Some(vec![at("train.csv"), at("test.csv")]));
    write("train.tsv", b"");
    assert!(files(folder.path()).unwrap_err().to_string().contains("both"));
    for (name, known) in [("a.csv", true), ("a.TSV", true), ("a.txt.gz", true), ("a.gz", false), ("a.npz", false)] {
        write(name, b"");
        assert_eq!(files(&at(name)).unwrap().is_some(), known, "{name}");
    }
}

const SEEDS: [&str; 4] = [
    "a,b,label\n0.5,2,1\n-1,4,0\n",
    "sep=;\r\n;a;b;label\r\n0;0,5;2;cat\r\n1;-1;4;\"d;o\"\"g\"\r\n",
    "\u{feff}# a b label\n0.5   2 1\n-1 4 0\n",
    "label\tx\tz\n1\tTrue\t1e5\n",
];

proptest! {
    #[test]
    fn any_bytes_are_refused_or_samples(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = with(&bytes, Some(&bytes), &Options { label: Some("0".to_string()), ..Options::default() }, MOST);
    }

    #[test]
    fn any_text_is_refused_or_samples(text in "[abel0-9.,; \t\n\r\"#+-]{0,200}", label in "-?[0-3]") {
        if let Ok(raw) = one(&text, &label) {
            let count = match &raw.train.targets {
                Targets::Numbers(all) => all.len(),
                Targets::Words(all) => all.len(),
                Targets::Values { values, .. } => values.len(),
                Targets::ByPlace { .. } => panic!("a table has no places"),
            };
            prop_assert_eq!(raw.train.inputs.len(), count * raw.shape[0]);
        }
    }

    #[test]
    fn mutations_are_refused_or_samples(seed in 0..4_usize, cut in 0..60_usize, at in 0..60_usize, byte in any::<u8>()) {
        let mut bytes = SEEDS[seed].as_bytes().to_vec();
        prop_assert!(with(&bytes, None, &Options::default(), MOST).is_ok());
        let at = at % bytes.len();
        bytes[at] = byte;
        let _ = with(&bytes, Some(SEEDS[seed].as_bytes()), &Options::default(), MOST);
        bytes.truncate(cut);
        let _ = with(&bytes, None, &Options::default(), MOST);
    }

    #[test]
    fn tables_come_back(
        rows in prop::collection::vec((prop::collection::vec(-1e30_f32..1e30, 3), "[a-z ,;\"\n]{0,6}z"), 1..20),
        delimiter in prop::sample::select(vec![b',', b';', b'\t', b' ']),
        quotes in any::<bool>(), header in any::<bool>(), crlf in any::<bool>(), comma in any::<bool>(),
    ) {
        let mut writer = csv::WriterBuilder::new();
        writer.delimiter(delimiter);
        writer.quote_style(if quotes { csv::QuoteStyle::Always } else { csv::QuoteStyle::Necessary });
        writer.terminator(if crlf { csv::Terminator::CRLF } else { csv::Terminator::Any(b'\n') });
        let mut writer = writer.from_writer(Vec::new());
        if header {
            writer.write_record(["label", "a", "b", "c"]).unwrap();
        }
        let number = |number: &f32| {
            let number = number.to_string();
            if comma && matches!(delimiter, b';' | b'\t') { number.replace('.', ",") } else { number }
        };
        for (numbers, label) in &rows {
            writer.write_record([label.clone()].into_iter().chain(numbers.iter().map(number))).unwrap();
        }
        let text = String::from_utf8(writer.into_inner().unwrap()).unwrap();
        let raw = one(&text, "0").unwrap_or_else(|error| panic!("{error}: {text:?}"));
        let (numbers, labels): (Vec<_>, Vec<_>) = rows.into_iter().unzip();
        prop_assert_eq!(floats(&raw.train), numbers.concat());
        prop_assert_eq!(raw.train.targets, Targets::Words(labels.iter().map(|label| label.trim().to_string()).collect()));
    }
}
