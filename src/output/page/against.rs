//! A run directory held against another's: the claims of both, the settings that differ, and figures of both.

use super::beside::beside;
use super::html::Image;
use super::words::plain;
use super::{Drawn, Format, Reference, explore, markdown, place, read_figure};
use crate::output::compare::{Answer, PairedClaim, paired_claims, setting_differences};
use crate::output::figures::published;
use crate::output::metrics::{Figure, Metrics};
use crate::output::study_folder::{StudyFolder, read_run_dir};
use crate::plot;
use crate::runner;
use crate::store::{BESIDE, RunDir};
use crate::terminal::counted;
use anyhow::Result;
use serde_json::Value;
use std::collections::BTreeSet;

/// A figure of two runs.
pub(super) struct OfBoth {
    pub study: String,
    pub figure: plot::Figure,
    /// `None` where it is too large to be drawn: it is left out, as one that cannot be read.
    pub svg: Option<String>,
}

pub(super) struct Against {
    /// "preset report", or the folder's name where both are of one preset.
    pub there: String,
    pub here: String,
    pub rows: Vec<PairedClaim>,
    /// Settings of studies that both have: the study, the name, there and here.
    pub settings: Vec<[String; 4]>,
    /// Each with its study.
    pub figures: Vec<(String, Drawn)>,
    pub of_both: Vec<OfBoth>,
    /// Studies of both that have no figure of both, as an older version drew one of them.
    pub without: Vec<String>,
    /// Figures that only one run has: "mnist-cnn: test-curves (preset report)".
    pub single: Vec<String>,
}

/// What a page shows of a figure whose numbers are there once more, in the figures of each run: seven digits, and of a mean
/// no seeds.
fn lighter(figure: &plot::Figure) -> plot::Figure {
    let mut figure = figure.clone();
    let seven = |value: &mut f64| {
        let rounded = f64::from(*value as f32);
        // As it is where that would be another number altogether.
        if rounded.is_finite() && (rounded != 0.0 || *value == 0.0) {
            *value = rounded;
        }
    };
    for panel in &mut figure.panels {
        let plot::Content::Plot(plot) = &mut panel.content else { continue };
        let right = plot.right.iter_mut().flat_map(|(_, series)| series);
        for series in plot.series.iter_mut().chain(right) {
            series.members.clear();
            series.points.iter_mut().for_each(|(x, y)| [x, y].into_iter().for_each(seven));
        }
    }
    figure
}

impl Against {
    /// `number` is that of its first figure.
    pub fn read(
        run_dir: &RunDir,
        other: &RunDir,
        references: &[Reference],
        number: usize,
        format: Format,
    ) -> Result<Self> {
        let (there, here) = (read_run_dir(other.root())?, read_run_dir(run_dir.root())?);
        let name = |run_dir: &RunDir, folders: &[StudyFolder]| {
            let presets = folders.iter().filter_map(|folder| folder.metrics()?.provenance.preset.as_deref());
            let presets: Vec<&str> = presets.collect::<BTreeSet<_>>().into_iter().collect();
            let folder = run_dir.root().file_name().map(|name| name.to_string_lossy().into_owned());
            (format!("preset {}", presets.join(", ")), folder.unwrap_or_default())
        };
        let (names_there, names_here) = (name(other, &there), name(run_dir, &here));
        let (name_there, name_here) = match (names_there, names_here) {
            ((there, _), (here, _)) if there != here => (there, here),
            ((_, there), (_, here)) if there != here => (there, here),
            _ => ("the other run".to_owned(), "this run".to_owned()),
        };
        let mut rows = paired_claims(&there, &here);
        let experiment = |study: &str| {
            let folder = here.iter().chain(&there).find(|folder| folder.name == study);
            folder.and_then(|folder| folder.metrics()).map_or("", |metrics| metrics.experiment.as_str())
        };
        let order = |study: &str| place(references, experiment(study), study);
        // Stable: within a study the claims stay in their order.
        rows.sort_by_cached_key(|claim| order(&claim.study));
        let mut shared: Vec<(&str, &Metrics, &Metrics)> = Vec::new();
        for folder in &here {
            let same = there.iter().find(|other| other.name == folder.name).and_then(StudyFolder::metrics);
            shared.extend(same.zip(folder.metrics()).map(|(a, b)| (folder.name.as_str(), a, b)));
        }
        shared.sort_by_cached_key(|(study, ..)| order(study));
        let mut settings = Vec::new();
        let (mut of_both, mut without, mut single) = (Vec::<OfBoth>::new(), Vec::new(), Vec::new());
        for (study, a, b) in shared {
            let text = |value: &Value| if value.is_null() { "none".to_owned() } else { plain(value) };
            settings.extend(
                setting_differences(a, b)
                    .into_iter()
                    .map(|differing| [study.to_owned(), differing.name, text(&differing.a), text(&differing.b)]),
            );
            let before = of_both.len();
            let [names_there, names] = [a, b].map(|of| of.figures.iter().flatten().map(|figure| figure.name.as_str()));
            let (names_there, names): (Vec<&str>, Vec<&str>) = (names_there.collect(), names.collect());
            for (run, its, others) in [(&name_there, &names_there, &names), (&name_here, &names, &names_there)] {
                let alone: Vec<&str> = its.iter().copied().filter(|name| !others.contains(name)).collect();
                // An older version did not say which it drew.
                if !alone.is_empty() && !names.is_empty() && !names_there.is_empty() {
                    single.push(format!("{study}: {} ({run})", alone.join(", ")));
                }
            }
            for name in &names {
                let read = |run_dir: &RunDir| read_figure(&run_dir.study(study), name);
                if let Some((a, b)) = read(other).zip(read(run_dir)) {
                    let figure = beside((&name_there, &a), (&name_here, &b));
                    of_both.push(OfBoth { study: study.to_owned(), figure, svg: None });
                }
            }
            if of_both.len() == before && !names.is_empty() {
                without.push(study.to_owned());
            }
        }
        runner::side_by_side(&mut of_both, 1, |of| {
            of.svg = of.figure.drawing().and_then(|drawing| published(&drawing)).ok();
        });
        let drawn = |(number, OfBoth { study, figure, svg }): (usize, &OfBoth)| {
            let is_html = format == Format::Html;
            let block = is_html.then(|| explore::block(&lighter(figure)).ok()).flatten();
            let drawn = Drawn {
                number,
                figure: Figure::from(figure),
                svg: svg.as_deref().filter(|_| is_html).and_then(Image::of),
                block,
                png: svg.is_some().then(|| format!("{BESIDE}/{}", markdown::link(study, &figure.name))),
            };
            (study.clone(), drawn)
        };
        let figures = (number..).zip(&of_both).map(drawn).collect();
        Ok(Self { there: name_there, here: name_here, rows, settings, figures, of_both, without, single })
    }

    fn count(&self, answer: Answer) -> usize {
        self.rows.iter().filter(|row| row.answer == answer).count()
    }

    /// Those that have figures of both, in the page's order.
    pub fn studies(&self) -> Vec<&str> {
        let mut studies: Vec<&str> = self.figures.iter().map(|(study, _)| study.as_str()).collect();
        studies.dedup();
        studies
    }

    /// "12 of 16 claims agree, 4 differ; 9 are only here, 1 is only there".
    pub fn tally(&self) -> String {
        let [agree, differ, there, here] =
            [Answer::Agree, Answer::Differ, Answer::OnlyInA, Answer::OnlyInB].map(|answer| self.count(answer));
        let both = counted(agree + differ, "claim", "claims");
        format!("Of {both} made in both, {agree} agree and {differ} differ; {here} only here, {there} only there")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plot::{Axis, Color, Content, Panel, Series};

    #[test]
    fn a_figure_of_both_has_seven_digits_and_no_seeds() {
        let points = vec![(0.1, 1.0 / 3.0), (1e300, -1e-300), (f64::NAN, 0.0)];
        let mut mean = Series::new("mean", Color::Ink, points.clone());
        mean.members = vec![Series::new("", Color::Ink, points)];
        let panel = Panel::plot("", Axis::linear("x"), Axis::linear("y"), vec![mean.clone()]);
        let figure =
            plot::Figure { panels: vec![panel.right(Axis::linear("r"), vec![mean])], ..plot::Figure::default() };
        let light = lighter(&figure);
        let Content::Plot(plot) = &light.panels[0].content else { panic!("no plot") };
        for series in plot.series.iter().chain(&plot.right.as_ref().unwrap().1) {
            let shown: Vec<[f64; 2]> = series.points.iter().map(|(x, y)| [*x, *y]).collect();
            assert_eq!(shown[0], [f64::from(0.1f32), f64::from(1.0f32 / 3.0)]);
            // What float32 cannot hold stays.
            assert_eq!(shown[1], [1e300, -1e-300]);
            assert!(shown[2][0].is_nan() && shown[2][1] == 0.0 && series.members.is_empty());
        }
    }
}
