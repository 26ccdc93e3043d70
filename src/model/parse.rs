//! Models as text: the grammar of architectures, and names for them.

use super::classifier::{CLASSES, SIDE};
use super::{Classifier, Cnn, Mlp};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Both ways between a type and its text, for serde.
macro_rules! as_text {
    ($($model:ty),*) => {$(
        impl TryFrom<String> for $model {
            type Error = String;

            fn try_from(text: String) -> Result<Self, String> {
                text.parse()
            }
        }

        impl From<$model> for String {
            fn from(model: $model) -> Self {
                model.to_string()
            }
        }
    )*};
}
pub(crate) use as_text;
as_text!(Mlp, Classifier);

/// More parameters than this are a typing error, not a network for this tool.
const MOST_PARAMETERS: i64 = 10_000_000;
/// And more layers.
const MOST_LAYERS: usize = 200;

impl FromStr for Mlp {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let explain = |what: &str| {
            format!("model '{}': {what}; write the widths from input to output, like 1-20-30-1", shorten(text))
        };
        let mut widths = Vec::new();
        for part in text.split('-') {
            let width: i64 = part
                .parse()
                .ok()
                .filter(|_| part.bytes().all(|b| b.is_ascii_digit()))
                .ok_or_else(|| explain(&format!("'{}' is not a width", shorten(part))))?;
            if width == 0 {
                return Err(explain("a width of 0"));
            }
            widths.push(width);
        }
        if widths.len() < 2 {
            return Err(explain("it needs an input and an output"));
        }
        if widths.len() - 1 > MOST_LAYERS {
            return Err(explain(&format!("more than {MOST_LAYERS} layers")));
        }
        let parameters = widths
            .windows(2)
            .try_fold(0i64, |sum, pair| pair[0].checked_add(1)?.checked_mul(pair[1])?.checked_add(sum));
        match parameters {
            Some(count) if count <= MOST_PARAMETERS => Ok(Self { widths }),
            _ => Err(explain("more than 10 million parameters")),
        }
    }
}

/// Names from the user appear in error messages: long ones are cut.
fn shorten(text: &str) -> String {
    const MOST: usize = 60;
    if text.chars().count() <= MOST { text.to_owned() } else { text.chars().take(MOST).chain(['…']).collect() }
}

impl fmt::Display for Mlp {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let words: Vec<String> = self.widths.iter().map(i64::to_string).collect();
        f.write_str(&words.join("-"))
    }
}

impl FromStr for Classifier {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let explain = |what: &str| {
            format!("model '{}': {what}; write it like 784-128-64-10 or conv16-conv32-128-10", shorten(text))
        };
        if !text.starts_with("conv") {
            let mlp: Mlp = text.parse()?;
            let (first, last) = (mlp.widths.first(), mlp.widths.last());
            if first != Some(&(SIDE * SIDE)) || last != Some(&CLASSES) {
                return Err(explain("a digit has 784 pixels and is one of 10 classes"));
            }
            return Ok(Self::Mlp(mlp));
        }
        let (mut channels, mut rest) = (Vec::new(), text);
        while let Some(after) = rest.strip_prefix("conv") {
            let (number, more) = after.split_once('-').ok_or_else(|| explain("it has no linear layer"))?;
            let count = number.parse().ok().filter(|count| (1..=4096).contains(count));
            channels.push(count.ok_or_else(|| explain("the channels of a convolution are from 1 to 4096"))?);
            rest = more;
        }
        // Each pooling halves the side: 28, 14, 7, 3, 1.
        if channels.len() > 4 {
            return Err(explain("after four poolings nothing is left of a digit"));
        }
        let side = SIDE >> channels.len();
        let pixels = side * side * channels.last().copied().unwrap_or(1);
        let head: Mlp = format!("{pixels}-{rest}").parse().map_err(|_| explain("its linear layers are not widths"))?;
        if head.widths.last() != Some(&CLASSES) {
            return Err(explain("a digit is one of 10 classes"));
        }
        // Each part of it is bounded already: nothing here overflows.
        let model = Self::Cnn(Cnn { channels, head });
        if model.layout().parameters() > MOST_PARAMETERS {
            return Err(explain("more than 10 million parameters"));
        }
        Ok(model)
    }
}

impl fmt::Display for Classifier {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Mlp(mlp) => mlp.fmt(f),
            Self::Cnn(cnn) => {
                for channels in &cnn.channels {
                    write!(f, "conv{channels}-")?;
                }
                let head: Vec<String> = cnn.head.widths[1..].iter().map(i64::to_string).collect();
                f.write_str(&head.join("-"))
            }
        }
    }
}

/// A model with a name to call it by, written `deep = 1-8-8-1`, or `1-8-8-1` to go by its widths.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String", bound = "M: Clone + FromStr<Err = String> + fmt::Display")]
pub struct Named<M> {
    name: Option<String>,
    pub model: M,
}

impl<M: FromStr<Err = String>> TryFrom<String> for Named<M> {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let Some((name, widths)) = text.split_once('=') else {
            return Ok(Self { name: None, model: text.trim().parse()? });
        };
        let name = name.trim();
        let allowed = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
        if name.is_empty() || name.len() > 40 || !name.chars().all(allowed) {
            return Err(format!("model name '{}': use 1 to 40 letters, digits, '_', '-' or '.'", shorten(name)));
        }
        Ok(Self { name: Some(name.to_owned()), model: widths.trim().parse()? })
    }
}

impl<M: fmt::Display> From<Named<M>> for String {
    fn from(named: Named<M>) -> Self {
        named.name.map_or_else(|| named.model.to_string(), |name| format!("{name} = {}", named.model))
    }
}

impl<M: fmt::Display + PartialEq> Named<M> {
    pub fn label(&self) -> String {
        self.name.clone().unwrap_or_else(|| self.model.to_string())
    }

    /// # Errors
    /// Where there is no model, or two have the same name or are the same.
    pub fn check(models: &[Self]) -> Result<(), String> {
        if models.is_empty() {
            return Err("models is empty: name at least one with --model".into());
        }
        for (index, named) in models.iter().enumerate() {
            let label = named.label();
            if models[..index].iter().any(|other| other.label() == label || other.model == named.model) {
                return Err(format!("model '{label}' is given twice: each needs its own name and widths"));
            }
        }
        Ok(())
    }

    /// What a model is called, and its index in the list.
    pub fn find(models: &[Self], model: &M) -> (String, usize) {
        let index = models.iter().position(|named| named.model == *model);
        index.map_or_else(|| (model.to_string(), 0), |index| (models[index].label(), index))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn architectures_parse_print_and_count() {
        let model = "1-20-30-1".parse::<Mlp>().unwrap();
        assert_eq!(model.widths(), [1, 20, 30, 1]);
        assert_eq!(model.to_string(), "1-20-30-1");
        assert_eq!(model.layout().parameters(), 701);
    }

    #[test]
    fn bad_architectures_are_refused_with_a_reason() {
        for (bad, reason) in [
            ("", "'' is not a width"),
            ("1", "input and an output"),
            ("1--1", "'' is not a width"),
            ("1-x-1", "'x' is not a width"),
            ("1-+5-1", "'+5' is not a width"),
            ("1-0-1", "width of 0"),
            ("1-99999999999-1", "10 million"),
            ("1-9223372036854775807-9223372036854775807", "10 million"),
            ("1-99999999999999999999-1", "is not a width"),
            ("1-4000000000-1", "10 million"),
            (&["1"; 202].join("-"), "200 layers"),
        ] {
            let error = bad.parse::<Mlp>().unwrap_err();
            assert!(error.contains(reason), "{bad}: {error}");
        }
        let long = "1-".repeat(5000);
        assert!(long.parse::<Mlp>().unwrap_err().len() < 300);
    }

    #[test]
    fn classifiers_parse_print_and_count() {
        for (text, parameters) in [
            ("conv5-conv15-128-10", 96_238),
            ("conv16-conv32-128-10", 206_922),
            ("conv32-conv64-256-128-10", 856_074),
            ("784-2-1-10", 1593),
            ("784-22-11-10", 17_643),
            ("784-128-64-10", 109_386),
            ("784-256-128-64-10", 242_762),
        ] {
            let model: Classifier = text.parse().unwrap();
            assert_eq!((model.to_string().as_str(), model.layout().parameters()), (text, parameters));
        }
        let layout = "conv8-conv16-10".parse::<Classifier>().unwrap().layout();
        let names: Vec<_> = layout.slots.iter().map(|s| (s.name.as_str(), s.shape.as_slice(), s.fan_in)).collect();
        assert_eq!(names[2], ("conv2.weight", &[16, 8, 3, 3][..], 72));
        assert_eq!(names[4], ("fc1.weight", &[10, 784][..], 784));
    }

    #[test]
    fn bad_classifiers_are_refused_with_a_reason() {
        for (bad, reason) in [
            ("1-20-1", "784 pixels"),
            ("784-20-9", "10 classes"),
            ("conv8", "no linear layer"),
            ("conv0-10", "from 1 to 4096"),
            ("conv8-conv-10", "from 1 to 4096"),
            ("conv8-x-10", "not widths"),
            ("conv8-20", "10 classes"),
            ("conv8-conv8-conv8-conv8-conv8-10", "four poolings"),
            ("conv4000000000-10", "from 1 to 4096"),
            ("conv4096-conv4096-10", "10 million"),
            ("conv8-4000000000-10", "not widths"),
        ] {
            let error = bad.parse::<Classifier>().unwrap_err();
            assert!(error.contains(reason), "{bad}: {error}");
        }
    }
}
