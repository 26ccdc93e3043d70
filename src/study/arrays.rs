//! Arrays of numbers that a study leaves for other programs, beside its metrics. Knows no file format.

/// Named arrays that belong together, as one file of each format.
#[derive(Clone, Debug, PartialEq)]
pub struct Arrays {
    /// The files' stem in the study's folder.
    pub name: String,
    /// Each by its name, its shape, and its numbers row by row.
    pub all: Vec<(String, Vec<usize>, Vec<f64>)>,
}

impl Arrays {
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), all: Vec::new() }
    }

    /// With one more of these numbers, row by row.
    pub fn with(mut self, name: impl Into<String>, shape: Vec<usize>, numbers: Vec<f64>) -> Self {
        self.all.push((name.into(), shape, numbers));
        self
    }
}
