//! Directions through a solution: random ones, normalised, or the leading eigenvectors of the Hessian; and their place on
//! disk, so that others can look along them too.

use super::measure::Start;
use super::{Along, Analysis, extremes, most_steps};
use crate::analysis::curvature::Wanted;
use crate::analysis::surface::Normalise;
use crate::data::Samples;
use crate::model::{Layout, Weights};
use crate::objective::Matrix;
use crate::rng::{Purpose, Rng};
use crate::study::{Context, Measurements, flag};
use crate::tasks::products::{BLOCK, Phase, Products};
use anyhow::{Result, ensure};
use tch::{Kind, Tensor};

/// Directions through a solution, and how well their eigenproblem was solved, where they are eigenvectors.
pub(super) struct Found {
    pub directions: Vec<Tensor>,
    pub solved: Measurements,
}

impl Start {
    /// With the directions' own numbers beside the solution: its buffers stay.
    pub fn beside(&self, directions: &[Tensor]) -> Vec<Weights> {
        let still =
            |theta: &Tensor| Weights { theta: theta.shallow_clone(), buffers: self.weights.buffers.zeros_like() };
        std::iter::once(self.weights.share()).chain(directions.iter().map(still)).collect()
    }

    /// Directions of a solution, so many, from that of this number on, published; leading eigenvectors are of length 1.
    pub fn directions(
        &self,
        analysis: &Analysis,
        along: &Along,
        (samples, name): (&Samples, &str),
        (first, count): (u64, u64),
        cx: &mut Context,
    ) -> Result<Found> {
        let found = match along {
            Along::Random { normalise } => {
                let key = |index| (analysis.seed, name, index);
                let random = |index| normalise.random(&self.layout, &self.weights.theta, key(index));
                let directions = (first..first + count).map(random).collect::<Result<_>>()?;
                Found { directions, solved: Measurements::new(self.layout.parameters(), [], []) }
            }
            Along::Hessian { tolerance } => self.eigenvectors(analysis, samples, (count as usize, *tolerance), cx)?,
        };
        for direction in &found.directions {
            let length = direction.f_to_kind(Kind::Double)?.f_norm()?.f_double_value(&[])?;
            ensure!(
                length > 0.0 && length.is_finite(),
                "a direction of length {length}: {}",
                match along {
                    Along::Random { normalise: Normalise::None } =>
                        "the model has no tensor of two or more dimensions to move",
                    Along::Random { .. } =>
                        "normalised, it is as long as the weights of two or more dimensions, and the model has none but zeros: \
                         choose --normalise none",
                    Along::Hessian { .. } => "the Hessian is 0 at these weights",
                }
            );
        }
        self.publish(&found.directions, cx)?;
        Ok(found)
    }

    fn eigenvectors(
        &self,
        analysis: &Analysis,
        samples: &Samples,
        (count, tolerance): (usize, f64),
        cx: &Context,
    ) -> Result<Found> {
        let (n, objective) = (self.layout.parameters(), self.objective(analysis, samples)?);
        ensure!(n >= count as i64, "{count} eigenvectors of a Hessian of {n} parameters: ask for fewer directions");
        let map = objective.curvature(Matrix::Hessian, None)?;
        let phase = Phase { name: "leading eigenvectors", ..Phase::eigenvalues(most_steps(count) + count) };
        let mut products = Products::new(&*map, vec![phase], cx);
        let wanted = Wanted { top: count, bottom: 0, tolerance, steps: most_steps(count), block: BLOCK, sweeps: 1 };
        let mut rng = Rng::keyed(analysis.seed, "directions", Purpose::CurvatureProbe, 0);
        let found = extremes(n, wanted, self.kind(), &mut rng, (&mut products, cx))?;
        ensure!(found.top.len() == count, "Lanczos found {} of {count} eigenvectors", found.top.len());
        let of = |vector: &Tensor| -> Result<Tensor> { Ok(vector.f_to_device(cx.device)?.f_to_kind(self.kind())?) };
        let directions = found.top.iter().map(|ritz| of(&ritz.vector)).collect::<Result<_>>()?;
        let series = [
            ("eigenvalues", found.top.iter().map(|ritz| ritz.value).collect()),
            ("residuals", found.top.iter().map(|ritz| ritz.residual).collect()),
        ];
        let solved = Measurements::new(n, [("converged", flag(found.converged))], series);
        Ok(Found { directions, solved })
    }

    /// Publishes directions as `direction_1.<parameter>` and so on.
    pub fn publish(&self, directions: &[Tensor], cx: &mut Context) -> Result<()> {
        for (direction, number) in directions.iter().zip(1..) {
            self.publish_as(&format!("direction_{number}"), direction, cx)?;
        }
        Ok(())
    }

    /// Publishes a θ as `<name>.<parameter>`, without buffers.
    pub fn publish_as(&self, name: &str, theta: &Tensor, cx: &mut Context) -> Result<()> {
        let layout = Layout { buffers: Vec::new(), ..self.layout.clone() };
        cx.save_weights(name, &layout, &theta.shallow_clone().into())
    }
}
