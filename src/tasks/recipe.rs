//! A training recipe: what tells one training of a classifier from another, in a few words. `32 adam 1e-3` is batch
//! size, optimizer and learning rate; behind them, where they are not the study's, the network, and `random-labels`:
//! `32 adam 1e-3 conv8-64-10 random-labels`.

use super::classifier::{ClassifierTraining, MiniBatch};
use crate::model::{Architecture, as_text};
use crate::train::OptimizerName;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// One entry of the setting `trainings`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Recipe {
    pub batch_size: u32,
    pub optimizer: OptimizerName,
    pub learning_rate: f64,
    /// The study's where it names none.
    pub model: Option<Architecture>,
    /// All training labels are drawn anew.
    pub random_labels: bool,
}

const RANDOM_LABELS: &str = "random-labels";

impl FromStr for Recipe {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let explain = |what: &str| {
            format!(
                "trainings: '{text:.60}': {what}; write batch size, optimizer and learning rate, like 32 adam 1e-3; \
                 behind them a network and {RANDOM_LABELS}, where wanted"
            )
        };
        let mut words: Vec<&str> = text.split_whitespace().collect();
        let random_labels = words.len() > 3 && words.last() == Some(&RANDOM_LABELS);
        words.truncate(words.len() - usize::from(random_labels));
        let (batch_size, optimizer, learning_rate, model) = match words[..] {
            [batch_size, optimizer, learning_rate] => (batch_size, optimizer, learning_rate, None),
            [batch_size, optimizer, learning_rate, model] => (batch_size, optimizer, learning_rate, Some(model)),
            _ => return Err(explain(&format!("{} words, not 3 to 5", words.len()))),
        };
        Ok(Self {
            batch_size: batch_size.parse().map_err(|_| explain(&format!("'{batch_size:.20}' is not a batch size")))?,
            optimizer: OptimizerName::named(optimizer)
                .ok_or_else(|| explain(&format!("'{optimizer:.20}' is not an optimizer: use adam or sgd")))?,
            learning_rate: (learning_rate.parse())
                .map_err(|_| explain(&format!("'{learning_rate:.20}' is not a learning rate")))?,
            model: model.map(|model| model.parse().map_err(|what: String| explain(&what))).transpose()?,
            random_labels,
        })
    }
}

impl fmt::Display for Recipe {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{} {}", self.batch_size, self.optimization())?;
        if let Some(model) = &self.model {
            write!(f, " {model}")?;
        }
        if self.random_labels { write!(f, " {RANDOM_LABELS}") } else { Ok(()) }
    }
}

as_text!(Recipe);

impl Recipe {
    /// Optimizer and learning rate: "adam 1e-3".
    pub fn optimization(&self) -> String {
        format!("{} {:e}", self.optimizer.name(), self.learning_rate)
    }

    /// Whether its steps are the other's: they are taken in float32.
    pub fn trains_as(&self, other: &Self) -> bool {
        let learning_rate = other.learning_rate;
        self.learning_rate as f32 == learning_rate as f32 && Self { learning_rate, ..self.clone() } == *other
    }

    /// The network it trains, where the study's is `model`.
    pub fn network<'a>(&'a self, model: &'a Architecture) -> &'a Architecture {
        self.model.as_ref().unwrap_or(model)
    }

    /// The training by it, where the study's network is `model`.
    pub fn training(&self, model: &Architecture, shuffle: bool, epochs: u64, seed: u64) -> ClassifierTraining {
        let Self { batch_size, optimizer, learning_rate, .. } = *self;
        MiniBatch { optimizer, learning_rate, batch_size, shuffle, epochs }.of(self.network(model), seed)
    }

    /// Whether this is a training by it, whatever the labels, where the study's network is `model`.
    pub fn is_of(&self, training: &ClassifierTraining, model: &Architecture) -> bool {
        let MiniBatch { batch_size, optimizer, learning_rate, .. } = training.fit;
        (self.batch_size, self.optimizer, self.learning_rate) == (batch_size, optimizer, learning_rate)
            && *self.network(model) == training.model
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recipes_are_read_as_they_are_written() {
        for text in [
            "32 adam 1e-3",
            "64 sgd 1e-1 784-64-10",
            "64 sgd 1e-1 random-labels",
            "64 sgd 1e-1 conv8-conv16-128-10 random-labels",
        ] {
            assert_eq!(text.parse::<Recipe>().unwrap().to_string(), text);
        }
        for (text, word) in [
            ("32 adam", "2 words"),
            ("32 adam random-labels", "'random-labels' is not a learning rate"),
            ("32 adam 1e-3 random-labels 784-10", "5 words"),
            ("32 adam 1e-3 784", "an input and an output"),
            ("x adam 1e-3", "'x' is not a batch size"),
        ] {
            let error = text.parse::<Recipe>().unwrap_err();
            assert!(error.contains(word), "{error}");
        }
    }

    #[test]
    fn a_training_is_by_its_own_recipe_only() {
        let texts = ["32 adam 1e-3", "64 adam 1e-3", "32 sgd 1e-3", "32 adam 1e-2", "32 adam 1e-3 784-7-10"];
        let recipes = texts.map(|text| text.parse::<Recipe>().unwrap());
        let model = "784-10".parse().unwrap();
        for (place, recipe) in recipes.iter().enumerate() {
            let training = recipe.training(&model, true, 3, 0);
            assert_eq!(recipes.iter().position(|other| other.is_of(&training, &model)), Some(place));
        }
        let named: Recipe = "32 adam 1e-3 784-10 random-labels".parse().unwrap();
        assert!(named.is_of(&recipes[0].training(&model, true, 3, 0), &model), "the same network, whatever the labels");
    }
}
