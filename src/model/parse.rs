//! Models as text: the grammar of architectures, and names for them.

use super::{Mlp, Model as _, Network};
use crate::data::{Signature, Target};
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
as_text!(Mlp, Architecture);

/// A network as it is written, for whatever data set: fully connected, `12-64-64-3`, from the numbers of an input to the
/// outputs; or convolutional, `conv16-conv32-128-3`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Architecture {
    /// Output channels of each convolution, if any.
    convolutions: Vec<i64>,
    /// From the inputs to the outputs; behind convolutions from the first linear layer's outputs on.
    widths: Vec<i64>,
}

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

impl FromStr for Architecture {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let explain = |what: &str| explain(text, what);
        if !text.starts_with("conv") {
            return Ok(Self { convolutions: Vec::new(), widths: text.parse::<Mlp>()?.widths });
        }
        let (mut convolutions, mut rest) = (Vec::new(), text);
        while let Some(after) = rest.strip_prefix("conv") {
            let (number, more) = after.split_once('-').ok_or_else(|| explain("it has no linear layer"))?;
            let count = number.parse().ok().filter(|count| (1..=4096).contains(count));
            convolutions.push(count.ok_or_else(|| explain("the channels of a convolution are from 1 to 4096"))?);
            rest = more;
        }
        if convolutions.len() > MOST_LAYERS {
            return Err(explain(&format!("more than {MOST_LAYERS} layers")));
        }
        // One more in front, whatever the data.
        let head: Mlp = format!("1-{rest}").parse().map_err(|_| explain("its linear layers are not widths"))?;
        Ok(Self { convolutions, widths: head.widths[1..].to_vec() })
    }
}

fn explain(text: &str, what: &str) -> String {
    format!("model '{}': {what}; write it by its layers, like 64-32-10 or conv16-conv32-128-10", shorten(text))
}

impl Architecture {
    /// As it stands in a sentence: "a fully connected network".
    pub fn kind(&self) -> &'static str {
        if self.convolutions.is_empty() { "a fully connected network" } else { "a convolutional network" }
    }

    /// That of a network.
    pub(super) fn of(network: &Network) -> Self {
        let convolutions = network.convolutions().to_vec();
        let behind = usize::from(!convolutions.is_empty());
        Self { convolutions, widths: network.head().widths[behind..].to_vec() }
    }

    /// The network on such a data set.
    ///
    /// # Errors
    /// Where its inputs or outputs are not the data's, or it is too large.
    pub fn network(&self, data: &Signature) -> Result<Network, String> {
        let numbers = data.numbers();
        // Settings spell out these words by the data.
        let (last, first) = match data.target {
            Target::Classes(_) | Target::ClassesByPlace(_) => ("classes".to_owned(), "inputs".to_owned()),
            Target::Values(values) => (values.to_string(), numbers.to_string()),
        };
        let advice = if data.image().is_some() { format!(" or conv16-conv32-128-{last}") } else { String::new() };
        let explain = |what: &str| {
            format!("model '{}': {what}; write it like {first}-64-{last}{advice}", shorten(&self.to_string()))
        };
        let misfit = || {
            let shape: Vec<String> = data.input.iter().map(i64::to_string).collect();
            let shape = if shape.len() > 1 { format!("{} = ", shape.join("×")) } else { String::new() };
            let target = match data.target {
                Target::Classes(classes) => format!("is one of {classes} classes"),
                Target::Values(values) => format!("has {values} values to be learned"),
                Target::ClassesByPlace(classes) => format!("is one of {classes} classes at each place"),
            };
            explain(&format!("an input has {shape}{numbers} numbers and {target}"))
        };
        if data.tokens.is_some() {
            return Err(format!(
                "model '{self}' takes measured numbers, and the inputs are tokens: they need another kind"
            ));
        }
        if self.widths.last() != Some(&data.target.outputs()) {
            return Err(misfit());
        }
        let input = data.input.clone();
        if self.convolutions.is_empty() {
            let fits = self.widths[0] == data.numbers();
            let head = Mlp { widths: self.widths.clone() };
            return if fits { Ok(Network::new(input, Vec::new(), head)) } else { Err(misfit()) };
        }
        let [_, height, width] = input[..] else {
            return Err(explain("convolutions need images, and these inputs are none"));
        };
        // Each pooling halves the sides, and leaves out an odd place.
        let poolings = self.convolutions.len() as u32;
        let halved = |side: i64| side.checked_shr(poolings).unwrap_or(0);
        let places = halved(height) * halved(width);
        if places == 0 {
            return Err(explain(&format!("after {poolings} poolings nothing is left of {height}×{width}")));
        }
        let channels = self.convolutions.last().copied().unwrap_or(1);
        let head = Mlp { widths: [&[places * channels], &self.widths[..]].concat() };
        let network = Network::new(input, self.convolutions.clone(), head);
        // Each part of it is bounded already: nothing here overflows.
        if network.layout().parameters() > MOST_PARAMETERS {
            let sides: Vec<String> = data.input.iter().map(i64::to_string).collect();
            return Err(format!(
                "model '{}': more than 10 million parameters on inputs of {}; add convolutions, each of which halves the \
                 sides, or take smaller images (--set data.size=32x32)",
                shorten(&self.to_string()),
                sides.join("×")
            ));
        }
        Ok(network)
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        for channels in &self.convolutions {
            write!(f, "conv{channels}-")?;
        }
        Mlp { widths: self.widths.clone() }.fmt(f)
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
    use super::super::Initial;
    use super::*;
    use std::ops::Add as _;

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

    fn digits() -> Signature {
        Signature { input: vec![1, 28, 28], tokens: None, target: Target::Classes(10) }
    }

    #[test]
    fn networks_parse_print_and_count() {
        for (text, parameters) in [
            ("conv5-conv15-128-10", 96_238),
            ("conv16-conv32-128-10", 206_922),
            ("conv32-conv64-256-128-10", 856_074),
            ("784-2-1-10", 1593),
            ("784-22-11-10", 17_643),
            ("784-128-64-10", 109_386),
            ("784-256-128-64-10", 242_762),
        ] {
            let model: Architecture = text.parse().unwrap();
            let network = model.network(&digits()).unwrap();
            assert_eq!((model.to_string().as_str(), network.layout().parameters()), (text, parameters));
            assert_eq!(network.to_string(), text);
        }
        let layout = Network::parse("conv8-conv16-10", &digits()).unwrap().layout();
        let names: Vec<_> = layout.slots.iter().map(|s| (s.name.as_str(), s.shape.as_slice(), s.initial)).collect();
        assert_eq!(names[2], ("conv2.weight", &[16, 8, 3, 3][..], Initial::by_fan_in(72)));
        assert_eq!(names[4], ("fc1.weight", &[10, 784][..], Initial::by_fan_in(784)));
    }

    #[test]
    fn a_network_is_another_on_other_data() {
        let data = Signature { input: vec![3, 8, 12], tokens: None, target: Target::Classes(5) };
        let layout = Network::parse("conv4-6-5", &data).unwrap().layout();
        let shapes: Vec<_> = layout.slots.iter().step_by(2).map(|slot| slot.shape.clone()).collect();
        assert_eq!(shapes, [vec![4, 3, 3, 3], vec![6, 4 * 4 * 6], vec![5, 6]]);
        assert!(Network::parse("conv4-6-10", &data).unwrap_err().contains("one of 5 classes"));
        assert!(Network::parse("288-5", &data).is_ok() && Network::parse("784-5", &data).is_err());
        let features = Signature { input: vec![7], tokens: None, target: Target::Values(2) };
        assert!(Network::parse("7-3-2", &features).is_ok());
        assert!(
            Network::parse("7-3-1", &features)
                .unwrap_err()
                .contains("has 2 values to be learned; write it like 7-64-2")
        );
        assert!(Network::parse("conv4-2", &features).unwrap_err().contains("convolutions need images"));
        let tokens = Signature { tokens: Some(11), ..features };
        assert!(Network::parse("7-3-2", &tokens).unwrap_err().contains("tokens"));
    }

    #[test]
    fn bad_networks_are_refused_with_a_reason() {
        for (bad, reason) in [
            (
                "1-20-1",
                "1×28×28 = 784 numbers and is one of 10 classes; write it like inputs-64-classes or conv16-conv32-128-classes",
            ),
            ("784-20-9", "10 classes"),
            ("conv8", "no linear layer"),
            ("conv0-10", "from 1 to 4096"),
            ("conv8-conv-10", "from 1 to 4096"),
            ("conv8-x-10", "not widths"),
            ("conv8-20", "10 classes"),
            ("conv8-conv8-conv8-conv8-conv8-10", "after 5 poolings nothing is left of 28×28"),
            (&["conv1-"; 99].concat().add("10"), "after 99 poolings"),
            (&["conv1-"; 201].concat().add("10"), "200 layers"),
            ("conv4000000000-10", "from 1 to 4096"),
            ("conv4096-conv4096-10", "10 million"),
            ("conv8-4000000000-10", "not widths"),
        ] {
            let error = Network::parse(bad, &digits()).unwrap_err();
            assert!(error.contains(reason), "{bad}: {error}");
        }
    }
}
