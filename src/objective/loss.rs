//! What outputs cost beside their targets: cross entropy of classes, binary cross entropy, squared error; with what counts
//! of the targets, and what is right. As PyTorch defines them (`torch.nn.functional`); shapes are worked out from the two
//! tensors. Knows no model and no data set.

use super::Sums;
use crate::data::IGNORED;
use anyhow::{Context as _, Result, bail, ensure};
use tch::{Kind, Reduction, Tensor};

/// What an output costs beside its target.
///
/// | loss | outputs | targets |
/// |---|---|---|
/// | cross entropy | logits [n, C], [n, t, C] or [n, C, h, w] | classes 0…C-1 in int64, [n], [n, t] or [n, h, w] |
/// | binary cross entropy | logits [n] or [n, m] | 0 or 1, of their shape; or classes [n] in int64, as one-hot [n, m] |
/// | squared error | [n, m] | numbers of the same shape |
///
/// Dimensions of 1 at the end make no difference to the binary one: [n, 1] is [n].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// -log softmax at the class, in nats, as a mean over all targets that count: all but [`IGNORED`].
    CrossEntropy,
    /// Of a logit z beside y: -y log σ(z) - (1 - y) log (1 - σ(z)), in nats, as a mean over all entries.
    BinaryCrossEntropy,
    /// The sum of squares over a sample's outputs, as a mean over the samples.
    SquaredError,
}

impl Loss {
    /// The mean over what counts in a block, a scalar of the outputs' kind that can be differentiated twice in them; 0
    /// where nothing counts.
    ///
    /// # Errors
    /// Where shapes do not fit, or a target is none: a class that is not there, a number that is not 0 or 1.
    pub fn mean(self, outputs: &Tensor, targets: &Tensor) -> Result<Tensor> {
        let counted = self.counted(outputs, targets)?;
        self.mean_of(outputs, targets, counted)
    }

    /// Over a block, in float64: of losses, of those that are right, and of those that count. Right is a class whose logit
    /// is the largest, and an entry of binary ones on its side of 0.
    ///
    /// # Errors
    /// As [`Self::mean`].
    pub fn sums(self, outputs: &Tensor, targets: &Tensor) -> Result<Sums> {
        let counted = self.counted(outputs, targets)?;
        self.sums_of(outputs, targets, counted)
    }

    /// How many targets the mean of a block is over: classes that count, entries, or samples. Looks at the targets.
    ///
    /// # Errors
    /// As [`Self::mean`].
    pub fn counted(self, outputs: &Tensor, targets: &Tensor) -> Result<i64> {
        match self {
            Self::CrossEntropy => {
                let (rows, labels) = class_rows(outputs, targets)?;
                check_labels(&labels, rows.size()[1])?;
                self.weight(&labels)
            }
            Self::BinaryCrossEntropy => {
                let wanted = entries(outputs, targets)?;
                let wrong = wanted.f_ne(0)?.f_logical_and(&wanted.f_ne(1)?)?;
                if let Some(wrong) = first(&wanted, &wrong)? {
                    bail!(
                        "a target of {}, and those of binary cross entropy are 0 or 1: take another loss",
                        wrong.f_double_value(&[])?
                    );
                }
                Ok(outputs.numel() as i64)
            }
            Self::SquaredError => {
                let (found, expected) = (outputs.size(), targets.size());
                ensure!(
                    found == expected,
                    "outputs of shape {found:?} beside targets of shape {expected:?}: squared error takes equal ones"
                );
                Ok(samples(targets))
            }
        }
    }

    /// How much a block's mean weighs in a mean over several: in the same ratio as [`Self::counted`], by targets alone.
    ///
    /// # Errors
    /// libtorch's.
    pub fn weight(self, targets: &Tensor) -> Result<i64> {
        Ok(match self {
            Self::CrossEntropy => targets.f_ne(IGNORED)?.f_sum(Kind::Int64)?.f_int64_value(&[])?,
            Self::BinaryCrossEntropy | Self::SquaredError => samples(targets),
        })
    }

    /// [`Self::mean`] of targets that have been looked at.
    pub(super) fn mean_of(self, outputs: &Tensor, targets: &Tensor, counted: i64) -> Result<Tensor> {
        Ok(match self {
            Self::CrossEntropy => {
                let (rows, labels) = class_rows(outputs, targets)?;
                let log_p = rows.f_log_softmax(-1, rows.kind())?;
                // A mean over none would be 0/0.
                let reduction = if counted == 0 { Reduction::Sum } else { Reduction::Mean };
                log_p.f_nll_loss::<Tensor>(&labels, None, reduction, IGNORED)?
            }
            Self::BinaryCrossEntropy => {
                let wanted = entries(outputs, targets)?;
                outputs.f_binary_cross_entropy_with_logits::<Tensor>(&wanted, None, None, Reduction::Mean)?
            }
            Self::SquaredError => {
                let squares = outputs.f_sub(targets)?.f_square()?.f_sum(outputs.kind())?;
                squares.f_div_scalar(counted as f64)?
            }
        })
    }

    /// [`Self::sums`] of targets that have been looked at.
    pub(super) fn sums_of(self, outputs: &Tensor, targets: &Tensor, counted: i64) -> Result<Sums> {
        let loss = match self {
            Self::CrossEntropy => {
                let (rows, labels) = class_rows(outputs, targets)?;
                let log_p = rows.f_log_softmax(-1, rows.kind())?;
                let losses =
                    |at: &Tensor| -> Result<Tensor> { Ok(log_p.f_gather(1, &at.f_unsqueeze(1)?, false)?.f_neg()?) };
                if counted == labels.numel() as i64 {
                    losses(&labels)?.f_sum(Kind::Double)?
                } else {
                    let ignored = labels.f_eq(IGNORED)?;
                    let losses = losses(&labels.f_masked_fill(&ignored, 0)?)?;
                    losses.f_masked_fill(&ignored.f_unsqueeze(1)?, 0)?.f_sum(Kind::Double)?
                }
            }
            Self::BinaryCrossEntropy => {
                let [z, wanted] = [outputs, &entries(outputs, targets)?].map(|tensor| tensor.f_to_kind(Kind::Double));
                z?.f_binary_cross_entropy_with_logits::<Tensor>(&wanted?, None, None, Reduction::Sum)?
            }
            Self::SquaredError => {
                let error = outputs.f_to_kind(Kind::Double)?.f_sub(&targets.f_to_kind(Kind::Double)?)?;
                error.f_square()?.f_sum(Kind::Double)?
            }
        };
        Ok(Sums { loss, correct: self.correct(outputs, targets)?, counted })
    }

    /// How many are right, in int64; `None` of squared error.
    pub(super) fn correct(self, outputs: &Tensor, targets: &Tensor) -> Result<Option<Tensor>> {
        let right = match self {
            // None of those that are left out: no class has their number.
            Self::CrossEntropy => {
                let (rows, labels) = class_rows(outputs, targets)?;
                rows.f_argmax(-1, false)?.f_eq_tensor(&labels)?
            }
            Self::BinaryCrossEntropy => outputs.f_gt(0)?.f_eq_tensor(&entries(outputs, targets)?.f_gt(0)?)?,
            Self::SquaredError => return Ok(None),
        };
        Ok(Some(right.f_sum(Kind::Int64)?))
    }
}

fn samples(targets: &Tensor) -> i64 {
    targets.size().first().copied().unwrap_or(0)
}

/// Logits as [targets, C], and their classes [targets].
fn class_rows(outputs: &Tensor, targets: &Tensor) -> Result<(Tensor, Tensor)> {
    let (found, labels) = (outputs.size(), targets.size());
    let is_whole = targets.kind() == Kind::Int64;
    Ok(match (&found[..], &labels[..]) {
        ([n, _], [m]) if n == m && is_whole => (outputs.shallow_clone(), targets.shallow_clone()),
        ([n, t, _], [m, u]) if (n, t) == (m, u) && is_whole => (outputs.f_flatten(0, 1)?, targets.f_flatten(0, 1)?),
        ([n, _, h, w], [m, i, j]) if (n, h, w) == (m, i, j) && is_whole => {
            (outputs.f_movedim_int(1, -1)?.f_flatten(0, 2)?, targets.f_flatten(0, 2)?)
        }
        _ => bail!(
            "outputs of shape {found:?} beside targets of shape {labels:?} in {:?}: cross entropy takes [n, C] beside [n], \
             [n, t, C] beside [n, t] or [n, C, h, w] beside [n, h, w], with targets in Int64",
            targets.kind()
        ),
    })
}

/// Of logits, what each should be, 0 or 1, in their shape and kind.
fn entries(outputs: &Tensor, targets: &Tensor) -> Result<Tensor> {
    fn cut(shape: &[i64]) -> &[i64] {
        match shape {
            [first @ .., 1] if !first.is_empty() => cut(first),
            _ => shape,
        }
    }
    let (found, wanted) = (outputs.size(), targets.size());
    match (cut(&found), cut(&wanted)) {
        (own, theirs) if own == theirs => Ok(targets.f_reshape(&found[..])?.f_to_kind(outputs.kind())?),
        ([n, m], [k]) if n == k && targets.kind() == Kind::Int64 => {
            let labels = targets.f_reshape([-1])?;
            check_labels(&labels, *m)?;
            ensure!(
                labels.f_ge(0)?.f_all()?.f_int64_value(&[])? == 1,
                "a target of {IGNORED}, and binary cross entropy leaves none out: take cross entropy"
            );
            Ok(Tensor::f_zeros(&found[..], (outputs.kind(), outputs.device()))?.f_scatter_value(
                1,
                &labels.f_unsqueeze(1)?,
                1,
            )?)
        }
        _ => bail!(
            "outputs of shape {found:?} beside targets of shape {wanted:?} in {:?}: binary cross entropy takes 0 and 1 in the \
             shape of the outputs, or beside outputs [n, m] classes [n] in Int64",
            targets.kind()
        ),
    }
}

/// That each of `labels` [n] is one of so many classes, or left out.
fn check_labels(labels: &Tensor, classes: i64) -> Result<()> {
    let is_class = labels.f_ge(0)?.f_logical_and(&labels.f_lt(classes)?)?;
    let wrong = is_class.f_logical_or(&labels.f_eq(IGNORED)?)?.f_logical_not()?;
    if let Some(wrong) = first(labels, &wrong)? {
        bail!(
            "label {}, and the model has {classes} outputs: labels are 0 to {}, or {IGNORED} where none counts",
            wrong.f_int64_value(&[])?,
            classes - 1
        );
    }
    Ok(())
}

/// The first number where `mask` holds.
fn first(of: &Tensor, mask: &Tensor) -> Result<Option<Tensor>> {
    if mask.f_any()?.f_int64_value(&[])? == 0 {
        return Ok(None);
    }
    Ok(Some(of.f_masked_select(mask)?.f_get(0).context("a mask that holds nowhere")?))
}

/// A loss, with what is known beforehand of all the targets it will meet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Criterion {
    pub loss: Loss,
    /// How many outputs the data needs, [n, so many], where all its targets count and need no look: a look makes a device
    /// wait.
    announced: Option<i64>,
}

impl Criterion {
    /// That looks at the targets of each block.
    pub fn looking(loss: Loss) -> Self {
        Self { loss, announced: None }
    }

    pub fn squared_error(outputs: i64) -> Self {
        Self { loss: Loss::SquaredError, announced: Some(outputs) }
    }

    /// Of so many classes, which looks once where each sample has one.
    pub fn of_classes(classes: i64, targets: &Tensor) -> Result<Self> {
        let loss = Loss::CrossEntropy;
        let all_count = targets.dim() == 1 && loss.weight(targets)? == samples(targets);
        Ok(Self { loss, announced: all_count.then_some(classes) })
    }

    /// Whether every sample is of one target that counts.
    pub fn is_plain(self) -> bool {
        self.announced.is_some()
    }

    /// How many of a block's targets count, and that they fit what broadcasting, or an index, would make something else of.
    pub fn counted(self, outputs: &Tensor, targets: &Tensor) -> Result<i64> {
        let Some(announced) = self.announced else { return self.loss.counted(outputs, targets) };
        let (found, n) = (outputs.size(), samples(targets));
        let expected = [n, announced];
        ensure!(found == expected, "the model gives outputs of shape {found:?}; the data needs {expected:?}");
        Ok(n)
    }

    /// As [`Loss::weight`].
    pub fn weight(self, targets: &Tensor) -> Result<i64> {
        if self.is_plain() { Ok(samples(targets)) } else { self.loss.weight(targets) }
    }

    /// As [`Loss::mean`].
    pub fn mean(self, outputs: &Tensor, targets: &Tensor) -> Result<Tensor> {
        let counted = self.counted(outputs, targets)?;
        self.loss.mean_of(outputs, targets, counted)
    }

    /// As [`Loss::sums`].
    pub fn sums(self, outputs: &Tensor, targets: &Tensor) -> Result<Sums> {
        let counted = self.counted(outputs, targets)?;
        self.loss.sums_of(outputs, targets, counted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Loss::{BinaryCrossEntropy, CrossEntropy, SquaredError};
    use tch::Device;

    /// 3 sin(1.7 i), differentiable.
    fn outputs(shape: &[i64]) -> Tensor {
        let n: i64 = shape.iter().product();
        ((Tensor::arange(n, (Kind::Double, Device::Cpu)) * 1.7).sin() * 3.0).view(shape)
    }

    fn of<T: tch::kind::Element>(values: &[T], shape: &[i64]) -> Tensor {
        Tensor::from_slice(values).view(shape)
    }

    const I: i64 = IGNORED;

    /// Loss, outputs, targets; PyTorch 2.11's loss, Σ |∂loss/∂outputs| and the second of these; how many count, how many
    /// are right.
    type Golden = (Loss, Tensor, Tensor, [f64; 3], i64, Option<i64>);

    fn goldens() -> Vec<Golden> {
        let by = |loss, shape: &[i64], targets, numbers, counted, right| {
            (loss, outputs(shape), targets, numbers, counted, right)
        };
        let pixels = [2, 0, I, 1, 1, 1, 0, 2];
        vec![
            by(
                CrossEntropy,
                &[4, 3],
                of(&[1, 0, I, 1], &[4]),
                [3.2842378556110314, 1.3676668630787079, -0.023187560119976542],
                3,
                Some(1),
            ),
            by(
                CrossEntropy,
                &[2, 4, 3],
                of(&[1, 0, I, 1, 2, I, I, 0], &[2, 4]),
                [4.303157393010846, 1.6182360158762277, -0.013912536071985927],
                5,
                Some(1),
            ),
            by(
                CrossEntropy,
                &[2, 3, 2, 2],
                of(&pixels, &[2, 2, 2]),
                [1.1746673449001226, 1.2294134766415705, -0.06018494843063975],
                7,
                Some(3),
            ),
            by(
                BinaryCrossEntropy,
                &[4],
                of(&[1.0, 0.0, 0.0, 1.0], &[4]),
                [1.734320189996821, 0.6775215739832925, 0.23785789708152089],
                4,
                Some(1),
            ),
            by(
                BinaryCrossEntropy,
                &[4, 1],
                of(&[1i64, 0, 0, 1], &[4]),
                [1.734320189996821, 0.6775215739832925, 0.23785789708152089],
                4,
                Some(1),
            ),
            by(
                BinaryCrossEntropy,
                &[4, 3],
                of(&[2i64, 0, 0, 1], &[4]),
                [1.8144736949180869, 0.7388840525991494, 0.07928596569384029],
                12,
                Some(3),
            ),
            (
                BinaryCrossEntropy,
                outputs(&[2, 2]) * 300.0,
                of(&[0.0, 1.0, 1.0, 0.0], &[2, 2]),
                [57.67003475117701, 0.375, 0.0],
                4,
                Some(3),
            ),
            (
                SquaredError,
                outputs(&[4, 3]),
                outputs(&[4, 3]).cos(),
                [14.234857722620735, 11.745857997148297, 1.9805745076387047],
                4,
                None,
            ),
        ]
    }

    #[test]
    fn losses_and_their_derivatives_are_pytorchs() {
        for (loss, outputs, targets, [expected, slope, second], counted, right) in goldens() {
            let case = format!("{loss:?} of {:?} beside {:?}", outputs.size(), targets.size());
            let outputs = outputs.set_requires_grad(true);
            let mean = loss.mean(&outputs, &targets).unwrap();
            let close = |found: f64, expected: f64| {
                assert!((found - expected).abs() <= 1e-14 * expected.abs().max(1.0), "{case}: {found} for {expected}");
            };
            close(mean.double_value(&[]), expected);
            let gradient = Tensor::run_backward(&[mean], &[&outputs], false, false).remove(0).reshape([-1]);
            close(gradient.abs().sum(Kind::Double).double_value(&[]), slope);
            close(gradient.double_value(&[1]), second);
            let sums = loss.sums(&outputs.detach(), &targets).unwrap();
            close(sums.loss.double_value(&[]), expected * counted as f64);
            assert_eq!((sums.loss.kind(), sums.counted), (Kind::Double, counted), "{case}");
            assert_eq!(sums.correct.as_ref().map(|right| right.int64_value(&[])), right, "{case}");
            let means = sums.means().unwrap();
            close(means.loss, expected);
            let accuracy = right.map_or(f64::NAN, |right| right as f64 / counted as f64);
            assert_eq!((means.accuracy.to_bits(), means.counted), (accuracy.to_bits(), counted), "{case}");
        }
    }

    #[test]
    fn a_block_where_nothing_counts_is_zero() {
        for (shape, targets) in [(&[2, 3][..], &[2][..]), (&[1, 2, 3], &[1, 2]), (&[1, 3, 2, 1], &[1, 2, 1])] {
            let (z, targets) = (outputs(shape).set_requires_grad(true), of(&[I, I], targets));
            let mean = CrossEntropy.mean(&z, &targets).unwrap();
            assert_eq!(mean.double_value(&[]), 0.0);
            let gradient = Tensor::run_backward(&[mean], &[&z], false, false).remove(0);
            assert_eq!(gradient.abs().sum(Kind::Double).double_value(&[]), 0.0);
            assert_eq!(CrossEntropy.weight(&targets).unwrap(), 0);
            let sums = CrossEntropy.sums(&z.detach(), &targets).unwrap();
            assert_eq!((sums.loss.double_value(&[]), sums.counted), (0.0, 0));
            assert!(sums.means().unwrap().loss.is_nan(), "a mean over nothing");
        }
        // What is left out adds nothing, whatever its logits are.
        let z = Tensor::from_slice(&[f64::INFINITY, 0.0, 1.0, 1.0]).view([2, 2]);
        let sums = CrossEntropy.sums(&z, &of(&[I, 0], &[2])).unwrap();
        assert!((sums.loss.double_value(&[]) - 2f64.ln()).abs() < 1e-15);
    }

    #[test]
    fn targets_and_shapes_that_do_not_fit_are_named() {
        let shapes = |loss, outputs: &[i64], targets: &[i64]| {
            let what = format!("outputs of shape {outputs:?} beside targets of shape {targets:?}");
            (loss, super::tests::outputs(outputs), Tensor::zeros(targets, (Kind::Int64, Device::Cpu)), what)
        };
        let said = |loss, shape: &[i64], targets, what: &str| (loss, outputs(shape), targets, what.to_owned());
        let twelve = "label 12, and the model has 10 outputs: labels are 0 to 9";
        for (loss, outputs, targets, what) in [
            shapes(CrossEntropy, &[4, 3], &[3]),
            shapes(CrossEntropy, &[4], &[4]),
            shapes(CrossEntropy, &[4, 3], &[4, 3]),
            shapes(CrossEntropy, &[2, 3, 4], &[2, 4]),
            shapes(CrossEntropy, &[2, 3, 4, 5], &[2, 4]),
            shapes(BinaryCrossEntropy, &[4, 3], &[4, 2]),
            shapes(BinaryCrossEntropy, &[4], &[3]),
            shapes(BinaryCrossEntropy, &[2, 3, 4], &[2]),
            shapes(SquaredError, &[4, 1], &[4]),
            shapes(SquaredError, &[4, 1], &[1, 4]),
            said(CrossEntropy, &[2, 3], of(&[0.0, 1.0], &[2]), "[2] in Double: cross entropy takes"),
            said(BinaryCrossEntropy, &[2, 3], of(&[0.0, 1.0], &[2]), "[2] in Double: binary cross entropy takes"),
            said(CrossEntropy, &[2, 10], of(&[3i64, 12], &[2]), twelve),
            said(CrossEntropy, &[1, 2, 10], of(&[I, 12], &[1, 2]), twelve),
            said(CrossEntropy, &[1, 10, 1, 2], of(&[9i64, 12], &[1, 1, 2]), twelve),
            said(CrossEntropy, &[2, 10], of(&[3i64, -1], &[2]), "label -1, and the model has 10 outputs"),
            said(CrossEntropy, &[2, 10], of(&[3i64, 10], &[2]), "label 10, and the model has 10 outputs"),
            said(BinaryCrossEntropy, &[2, 10], of(&[3i64, 12], &[2]), twelve),
            said(BinaryCrossEntropy, &[2, 10], of(&[3i64, I], &[2]), "leaves none out"),
            said(BinaryCrossEntropy, &[2], of(&[1.0, 0.5], &[2]), "a target of 0.5"),
            said(BinaryCrossEntropy, &[2, 1], of(&[1i64, -1], &[2]), "a target of -1"),
            said(BinaryCrossEntropy, &[2], of(&[f64::NAN, 1.0], &[2]), "a target of NaN"),
        ] {
            for error in [loss.mean(&outputs, &targets).map(drop), loss.sums(&outputs, &targets).map(drop)] {
                let error = error.unwrap_err().to_string();
                assert!(error.contains(&what) && error.lines().count() == 1, "{error} for {what}");
            }
        }
    }

    #[test]
    fn a_criterion_looks_only_where_it_must() {
        for (targets, shape, is_plain) in
            [(&[0, 1, 2][..], &[3][..], true), (&[0, I, 2], &[3], false), (&[0, 1], &[1, 2], false)]
        {
            assert_eq!(Criterion::of_classes(3, &of(targets, shape)).unwrap().is_plain(), is_plain, "{targets:?}");
        }
        let plain = Criterion::of_classes(3, &of(&[0i64, 1], &[2])).unwrap();
        let error = plain.mean(&outputs(&[2, 4]), &of(&[0i64, 1], &[2])).unwrap_err().to_string();
        assert!(error.contains("shape [2, 4]; the data needs [2, 3]"), "{error}");
    }
}
