//! A figure as JSON: what it shows, for programs and for the page. The types are those of `figure`; here is how numbers that
//! are not finite, null in JSON, and bytes come back.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize as _, Serializer};

use super::figure::Figure;

/// NaN where there is null.
fn number(value: Option<f64>) -> f64 {
    value.unwrap_or(f64::NAN)
}

pub(super) fn numbers<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<f64>, D::Error> {
    let values = Vec::<Option<f64>>::deserialize(deserializer)?;
    Ok(values.into_iter().map(number).collect())
}

pub(super) fn pairs<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<(f64, f64)>, D::Error> {
    let pairs = Vec::<(Option<f64>, Option<f64>)>::deserialize(deserializer)?;
    Ok(pairs.into_iter().map(|(x, y)| (number(x), number(y))).collect())
}

type Triple = (Option<f64>, Option<f64>, Option<f64>);

fn of_numbers((x, y, z): Triple) -> (f64, f64, f64) {
    (number(x), number(y), number(z))
}

pub(super) fn triples<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<(f64, f64, f64)>, D::Error> {
    Ok(Vec::<Triple>::deserialize(deserializer)?.into_iter().map(of_numbers).collect())
}

pub(super) fn triple<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<(f64, f64, f64)>, D::Error> {
    Ok(Option::<Triple>::deserialize(deserializer)?.map(of_numbers))
}

pub(super) fn labelled<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<(f64, String)>, D::Error> {
    let values = Vec::<(Option<f64>, String)>::deserialize(deserializer)?;
    Ok(values.into_iter().map(|(value, label)| (number(value), label)).collect())
}

/// Captions with bytes, in base64.
pub(super) mod bytes {
    use super::*;

    pub fn serialize<S: Serializer>(images: &[(String, Vec<u8>)], serializer: S) -> Result<S::Ok, S::Error> {
        let encoded: Vec<(&str, String)> =
            images.iter().map(|(caption, bytes)| (caption.as_str(), STANDARD.encode(bytes))).collect();
        encoded.serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<(String, Vec<u8>)>, D::Error> {
        let encoded = Vec::<(String, String)>::deserialize(deserializer)?;
        let decoded = encoded.into_iter().map(|(caption, text)| Ok((caption, STANDARD.decode(text)?)));
        decoded.collect::<Result<_, base64::DecodeError>>().map_err(D::Error::custom)
    }
}

impl Figure {
    /// All that it shows, as JSON in one line; a number that is not finite is null.
    ///
    /// # Errors
    /// None that is known: there is nothing here that JSON does not have.
    pub fn to_json(&self) -> Result<Vec<u8>, serde_json::Error> {
        let mut bytes = serde_json::to_vec(self)?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// The figure that [`Figure::to_json`] wrote.
    ///
    /// # Errors
    /// Where it is no such JSON, or its parts do not fit together.
    pub fn from_json(bytes: &[u8]) -> anyhow::Result<Self> {
        let figure: Self = serde_json::from_slice(bytes)?;
        figure.panels.iter().try_for_each(super::figure::Panel::check)?;
        Ok(figure)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::*;

    fn everything() -> Figure {
        let points = vec![(0.0, 1e-7), (1.0, f64::NAN), (f64::INFINITY, 2.0), (3.0, 1.0 / 3.0)];
        let member = Series::new("", Color::Ink, points.clone()).named("seed 0");
        let series = MARKS.map(|mark| Series::new("</script>", Color::Cycle(7), points.clone()).mark(mark).left_out(3));
        let mut series = series.to_vec();
        series.push(Series::new("mean", Color::Ink, points).of(vec![member]));
        let at = vec![0.0, 1.0];
        let z = vec![1.0, f64::NAN, 2.0, 4.0];
        let contours = Contours { x: at.clone(), y: at.clone(), z, levels: vec![(1.5, "1.5".into())] };
        let curves = plot(series.clone())
            .right(Axis::symlog("right", -3), series)
            .rules(vec![(0.5, String::new())])
            .contours(contours);
        let mut solid = surface(evenly(3), Axis::log("z"), |x, y| if x > y { f64::NAN } else { x });
        (solid.path, solid.point) = (vec![(0.0, f64::NAN, 1.0)], Some((0.0, 1.0, 2.0)));
        let panels = vec![
            curves,
            panel(Content::HeatMap(confusion(3))),
            panel(Content::Images(images(2, 2))),
            Panel::surface("", solid),
            plot(vec![]),
        ];
        grid(2, panels)
    }

    #[test]
    fn a_figure_comes_back_as_it_was() {
        let figure = everything();
        let json = figure.to_json().unwrap();
        let back = Figure::from_json(&json).unwrap();
        // Not finite is not finite; all else is equal, to the bit.
        let shown = |figure: &Figure| format!("{figure:?}").replace("inf", "NaN");
        assert_eq!(shown(&back), shown(&figure));
        assert_eq!(back.to_json().unwrap(), json);
        assert_eq!(back.svg().unwrap(), figure.svg().unwrap());
    }

    #[test]
    fn what_does_not_fit_together_is_refused() {
        let json = String::from_utf8(everything().to_json().unwrap()).unwrap();
        for (from, to) in [
            ("\"z\":[1.0,null,2.0,4.0]", "\"z\":[1.0]"),
            ("\"columns\":[\"0\",\"1\",\"2\"]", "\"columns\":[]"),
            ("\"plot\"", "\"plan\""),
            ("\"scale\":\"log\"", "\"scale\":\"cube\""),
        ] {
            assert!(json.contains(from), "{from} in {json}");
            assert!(Figure::from_json(json.replacen(from, to, 1).as_bytes()).is_err(), "{from}");
        }
        assert!(Figure::from_json(&json.as_bytes()[..json.len() / 2]).is_err());
    }
}
