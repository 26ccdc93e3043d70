//! Losses, gradients and curvatures of [`super::under`] against plain double backward and explicit Jacobians in float64:
//! linear models, tanh, convolutions, attention on tokens, batches that are normalised; whole, by slices and in blocks.

use super::tests::{network, relative, rough_batch, step};
use super::{
    CrossEntropy, Loss, Matrix, MeanSquaredError, NoSecondDerivative, Objective, by_double_backward, over, under,
};
use crate::backend::cpu::pieces;
use crate::data::IGNORED;
use crate::data::{Samples, Target};
use crate::model::{Initial, Layout, Model, Pass, Weights};
use anyhow::Result;
use tch::{Device, Kind, Tensor};

const DOUBLE: (Kind, Device) = (Kind::Double, Device::Cpu);

/// A model that is a formula.
#[derive(Clone)]
struct Plain {
    layout: Layout,
    formula: fn(&[Tensor], &[Tensor], &Tensor) -> Tensor,
}

impl Model for Plain {
    fn layout(&self) -> Layout {
        self.layout.clone()
    }

    fn outputs(&self, slices: &[Tensor], buffers: &[Tensor], x: &Tensor, _: Pass) -> Result<Tensor> {
        Ok((self.formula)(slices, buffers, x))
    }
}

fn plain(shapes: &[&[i64]], formula: fn(&[Tensor], &[Tensor], &Tensor) -> Tensor) -> Plain {
    let mut layout = Layout::default();
    for (index, shape) in shapes.iter().enumerate() {
        layout.push(format!("slice{index}"), shape, Initial::Bell(0.6));
    }
    Plain { layout, formula }
}

fn linear(outputs: i64) -> Plain {
    plain(&[&[outputs, 3], &[outputs]], |p, _, x| x.linear(&p[0], Some(&p[1])))
}

fn tanh(outputs: i64) -> Plain {
    // The last slice has no part in anything.
    plain(&[&[4, 3], &[4], &[outputs, 4], &[2]], |p, _, x| {
        x.linear(&p[0], Some(&p[1])).tanh().linear::<Tensor>(&p[2], None)
    })
}

/// Logits [n, 3, 4, 4] of pictures [n, 1, 4, 4].
fn convolution() -> Plain {
    plain(&[&[2, 1, 3, 3], &[2], &[3, 2, 1, 1]], |p, _, x| {
        let hidden = x.conv2d(&p[0], Some(&p[1]), 1, 1, 1, 1).tanh();
        hidden.conv2d::<Tensor>(&p[2], None, 1, 0, 1, 1)
    })
}

const WORDS: i64 = 5;
const WIDE: i64 = 4;

/// A block of a transformer on tokens [n, 3]: logits [n, 3, words], each from those before it.
fn attention() -> Plain {
    let shapes: [&[i64]; 9] = [
        &[WORDS, WIDE],
        &[3, WIDE],
        &[WIDE],
        &[WIDE],
        &[3 * WIDE, WIDE],
        &[WIDE, WIDE],
        &[WIDE],
        &[6, WIDE],
        &[WIDE, 6],
    ];
    plain(&shapes, |p, _, x| {
        let h = Tensor::embedding(&p[0], x, -1, false, false) + &p[1];
        let normal = h.layer_norm([WIDE], Some(&p[2]), Some(&p[3]), 1e-5, false);
        let parts = normal.linear::<Tensor>(&p[4], None).chunk(3, -1);
        let later = Tensor::ones([3, 3], (Kind::Bool, Device::Cpu)).triu(1);
        let scores = parts[0].matmul(&parts[1].transpose(-2, -1)) / (WIDE as f64).sqrt();
        let attended = scores.masked_fill(&later, f64::NEG_INFINITY).softmax(-1, h.kind()).matmul(&parts[2]);
        let h = h + attended.linear(&p[5], Some(&p[6]));
        let h = &h + h.linear::<Tensor>(&p[7], None).gelu("none").linear::<Tensor>(&p[8], None);
        h.matmul(&p[0].tr())
    })
}

/// By running statistics: buffers.
fn normalised() -> Plain {
    let mut model = plain(&[&[4, 3], &[4], &[4], &[2, 4]], |p, buffers, x| {
        let h = x.linear::<Tensor>(&p[0], None);
        let [mean, variance] = [&buffers[0], &buffers[1]];
        let h = h.batch_norm(Some(&p[1]), Some(&p[2]), Some(mean), Some(variance), false, 0.1, 1e-5, false);
        h.tanh().linear::<Tensor>(&p[3], None)
    });
    model.layout.push_buffer("mean", &[4], 0.3);
    model.layout.push_buffer("variance", &[4], 1.7);
    model
}

/// By those of the batch.
fn normalised_by_batch() -> Plain {
    plain(&[&[4, 3], &[4], &[4], &[2, 4]], |p, _, x| {
        let h = x.linear::<Tensor>(&p[0], None);
        let h = h.batch_norm(Some(&p[1]), Some(&p[2]), None, None, true, 0.1, 1e-5, false);
        h.tanh().linear::<Tensor>(&p[3], None)
    })
}

struct Case {
    name: &'static str,
    model: Plain,
    samples: Samples,
    loss: Loss,
    /// [`Loss::mean`] in another way.
    formula: fn(&Tensor, &Tensor) -> Tensor,
    /// Of the blocks that are tried.
    blocks: &'static [i64],
}

fn numbers(shape: &[i64]) -> Tensor {
    let n: i64 = shape.iter().product();
    ((Tensor::arange(n, DOUBLE) * 2.9 + 1.0).sin() * 1.5).view(shape)
}

fn classes(values: &[i64], shape: &[i64]) -> Tensor {
    Tensor::from_slice(values).view(shape)
}

/// Logits [targets, C] and labels [targets].
fn cross_entropy(rows: &Tensor, labels: &Tensor) -> Tensor {
    let counts = labels.ne(IGNORED).to_kind(Kind::Double);
    let of_label = rows.gather(1, &labels.clamp_min(0).unsqueeze(1), false).squeeze_dim(1);
    ((rows.exp().sum_dim_intlist(1, false, Kind::Double).log() - of_label) * &counts).sum(Kind::Double)
        / counts.sum(Kind::Double)
}

fn by_rows(logits: &Tensor, labels: &Tensor) -> Tensor {
    let rows = if logits.dim() == 4 { logits.permute([0, 2, 3, 1]) } else { logits.shallow_clone() };
    cross_entropy(&rows.reshape([-1, *rows.size().last().unwrap()]), &labels.reshape([-1]))
}

fn binary(z: &Tensor, y: &Tensor) -> Tensor {
    let y = if y.dim() == z.dim() { y.shallow_clone() } else { y.one_hot(z.size()[1]).to_kind(Kind::Double) };
    let [p, q] = [z.sigmoid(), (-z).sigmoid()];
    (&y * p.log() + (y.ones_like() - &y) * q.log()).mean(Kind::Double) * -1.0
}

fn squared(z: &Tensor, y: &Tensor) -> Tensor {
    (z - y).square().sum(Kind::Double) / y.size()[0] as f64
}

fn cases() -> Vec<Case> {
    const I: i64 = IGNORED;
    let of = |x: Tensor, targets: Tensor| Samples::new(x, targets, Target::Classes(1));
    let five = || numbers(&[5, 3]);
    let case = |name, model, samples, loss, formula, blocks| Case { name, model, samples, loss, formula, blocks };
    let tokens = || (Tensor::arange(15, (Kind::Int64, Device::Cpu)) * 7).remainder(WORDS).view([5, 3]);
    let next = classes(&[1, 2, 3, I, 0, 4, I, I, I, 2, I, 1, 4, 0, I], &[5, 3]);
    let pixels = (Tensor::arange(48, (Kind::Int64, Device::Cpu)) * 5).remainder(4) - 1;
    let pixels = pixels.where_self(&pixels.ge(0), &Tensor::from(I)).view([3, 4, 4]);
    let labels = || classes(&[0, 2, I, 1, 0], &[5]);
    let binary_numbers = (numbers(&[5, 2]).gt(0)).to_kind(Kind::Double);
    let (entropy, bce, square) = (Loss::CrossEntropy, Loss::BinaryCrossEntropy, Loss::SquaredError);
    vec![
        case("linear", linear(3), of(five(), labels()), entropy, by_rows, &[1, 2, 5, 9]),
        case("tanh", tanh(3), of(five(), labels()), entropy, by_rows, &[1, 2, 5]),
        case("pixels", convolution(), of(numbers(&[3, 1, 4, 4]), pixels), entropy, by_rows, &[2, 3]),
        case("tokens", attention(), of(tokens(), next), entropy, by_rows, &[2, 5]),
        case("yes or no", tanh(2), of(five(), binary_numbers), bce, binary, &[2, 5]),
        case("one-hot", tanh(2), of(five(), classes(&[0, 1, 1, 0, 1], &[5])), bce, binary, &[2, 5]),
        case("values", tanh(2), of(five(), numbers(&[5, 2]).cos()), square, squared, &[2, 5]),
        case("a line", linear(2), of(five(), numbers(&[5, 2]).cos()), square, squared, &[3]),
        case("running", normalised(), of(five(), classes(&[0, 1, 1, 0, 1], &[5])), entropy, by_rows, &[2, 5]),
        case("batch", normalised_by_batch(), of(five(), classes(&[0, 1, 1, 0, 1], &[5])), entropy, by_rows, &[5]),
    ]
}

fn calm() -> Result<()> {
    Ok(())
}

impl Case {
    fn weights(&self, kind: Kind) -> Weights {
        Weights::initial(&self.model.layout, 3, "curvature", kind, Device::Cpu)
    }

    fn under(&self, kind: Kind, block: i64) -> Box<dyn Objective> {
        under(self.model.clone(), self.weights(kind), &self.samples, self.loss, block).unwrap()
    }

    fn outputs(&self, theta: &Tensor) -> Tensor {
        let Plain { layout, formula } = &self.model;
        let buffers = layout.buffer_views(&self.weights(Kind::Double).buffers);
        formula(&layout.views(theta), &buffers, &self.samples.inputs().unwrap())
    }

    fn mean(&self, theta: &Tensor) -> Tensor {
        (self.formula)(&self.outputs(theta), &self.samples.targets)
    }

    /// JᵀHJ with J and H row by row.
    fn gauss_newton(&self, theta: &Tensor) -> Tensor {
        let theta = theta.copy().set_requires_grad(true);
        let outputs = self.outputs(&theta);
        let (flat, shape) = (outputs.reshape([-1]), outputs.size());
        let row = |index| Tensor::run_backward(&[flat.get(index)], &[&theta], true, false).remove(0);
        let jacobian = Tensor::stack(&(0..flat.size()[0]).map(row).collect::<Vec<_>>(), 0);
        let by_outputs =
            by_double_backward(&flat.detach(), |z| (self.formula)(&z.view(&shape[..]), &self.samples.targets)).unwrap();
        jacobian.tr().matmul(&by_outputs).matmul(&jacobian)
    }
}

/// All of a matrix by its products with a basis, many at once.
fn whole(objective: &dyn Objective, matrix: Matrix, slots: Option<&[usize]>, length: i64) -> Tensor {
    objective.curvature(matrix, slots).unwrap().times(&Tensor::eye(length, DOUBLE), &mut calm).unwrap()
}

#[test]
fn matrices_of_every_kind_are_those_of_double_backward_and_of_jacobians_in_blocks_and_by_slices() {
    // As a trial's thread: with several of libtorch's threads sums have another order.
    crate::backend::device::set_up_thread();
    for case in cases() {
        let (theta, name) = (case.weights(Kind::Double).theta, case.name);
        let n = theta.size()[0];
        let [hessian, gauss_newton] =
            [by_double_backward(&theta, |theta| case.mean(theta)).unwrap(), case.gauss_newton(&theta)];
        for (matrix, expected) in [(Matrix::Hessian, &hessian), (Matrix::GaussNewton, &gauss_newton)] {
            let several = (Tensor::arange(3 * n, DOUBLE) * 0.37).cos().view([3, n]);
            let expected_products = several.matmul(expected);
            for &block in case.blocks {
                let objective = case.under(Kind::Double, block);
                let map = objective.curvature(matrix, None).unwrap();
                let found = map.times(&several, &mut calm).unwrap();
                let error = relative(&found, &expected_products);
                assert!(error < 1e-10, "{matrix:?} of {name} in blocks of {block}: {error}");
                // Of one vector alone, to the bit.
                assert_eq!(map.times(&several.get(1), &mut calm).unwrap(), found.get(1), "{matrix:?} of {name}");
                assert!(map.times(&several, &mut || anyhow::bail!("enough")).is_err());
                let _cores = [pieces::lend(), pieces::lend()];
                let again = map.times(&several, &mut calm).unwrap();
                assert_eq!(again, found, "{matrix:?} of {name} on several cores");
            }
            let found = whole(&*case.under(Kind::Double, 5), matrix, None, n);
            assert!(relative(&found, expected) < 1e-10, "{matrix:?} of {name}");
            // The diagonal blocks, in the order that is asked for.
            let slots = &case.model.layout.slots;
            let places = |index: usize| slots[index].offset..slots[index].offset + slots[index].len();
            let last = slots.len() - 1;
            for chosen in [vec![0], vec![last], vec![last, 0]] {
                let at: Vec<i64> = chosen.iter().flat_map(|&index| places(index)).collect();
                let index = Tensor::from_slice(&at);
                let objective = case.under(Kind::Double, case.blocks[0]);
                let found = whole(&*objective, matrix, Some(&chosen), at.len() as i64);
                let expected = expected.index_select(0, &index).index_select(1, &index);
                let error = (found - &expected).norm().double_value(&[]);
                assert!(error < 1e-10 * expected.norm().double_value(&[]).max(1.0), "{chosen:?} of {name}: {error}");
            }
        }
        let least = gauss_newton.linalg_eigvalsh("L").min().double_value(&[]);
        let found = whole(&*case.under(Kind::Double, 5), Matrix::GaussNewton, None, n);
        assert!(relative(&found.tr(), &found) < 1e-12, "{name} is symmetric");
        let least = ((&found + found.tr()) / 2.0).linalg_eigvalsh("L").min().double_value(&[]).min(least);
        assert!(least > -1e-12, "{name} is never negative: {least}");
        if matches!(name, "linear" | "a line") {
            assert!(relative(&found, &hessian) < 1e-12, "{name}: a linear model has no curvature of its own");
        } else {
            assert!(relative(&found, &hessian) > 1e-3, "{name}");
        }
    }
}

#[test]
fn losses_gradients_and_accuracies_do_not_depend_on_the_blocks() {
    for case in cases() {
        let (theta, name) = (case.weights(Kind::Double).theta, case.name);
        let leaf = theta.copy().set_requires_grad(true);
        let loss = case.mean(&leaf);
        let gradient = Tensor::run_backward(&[&loss], &[&leaf], false, false).remove(0);
        let loss = loss.double_value(&[]);
        let outputs = case.outputs(&theta);
        let sums = case.loss.sums(&outputs, &case.samples.targets).unwrap();
        let expected = sums.means().unwrap();
        for &block in case.blocks {
            for (kind, tolerance) in [(Kind::Double, 1e-13), (Kind::Float, 1e-5)] {
                let mut objective = case.under(kind, block);
                assert_eq!(objective.gradient().size(), theta.size());
                let mut looks = 0;
                let count = &mut || {
                    looks += 1;
                    Ok(())
                };
                let found = objective.gradient_and(count).unwrap().get().unwrap();
                assert_eq!(looks, (objective.samples() + block - 1) / block);
                assert!((found - loss).abs() < tolerance * loss.max(1.0), "{name} in {block}: {found} for {loss}");
                assert_eq!(objective.gradient().kind(), kind);
                let error = relative(objective.gradient(), &gradient);
                assert!(error < tolerance * 10.0, "{name} in {block}: {error}");
                assert_eq!(objective.loss_and_gradient().unwrap().get().unwrap(), found);
                let mut seen = Vec::new();
                let means = objective.evaluate_and(&mut |outputs| {
                    seen.push(outputs.copy());
                    Ok(())
                });
                let means = means.unwrap();
                assert!(relative(&Tensor::cat(&seen, 0), &outputs) < tolerance * 10.0, "{name}");
                assert!((means.loss - loss).abs() < tolerance * loss.max(1.0), "{name}: {means:?} for {loss}");
                assert_eq!(objective.loss().unwrap().get().unwrap(), means.loss);
                assert_eq!(means.counted, expected.counted);
                assert_eq!(means.accuracy.to_bits(), expected.accuracy.to_bits(), "{name}");
            }
        }
    }
}

#[test]
fn the_gradient_of_many_blocks_in_float32_loses_nothing() {
    let n = 4000;
    let targets = (Tensor::arange(n, (Kind::Int64, Device::Cpu)) * 7).remainder(3);
    let samples = Samples::new(numbers(&[n, 3]), targets, Target::Classes(3));
    let weights = |kind| Weights::initial(&tanh(3).layout, 3, "many", kind, Device::Cpu);
    let gradient = |kind, block| {
        let mut objective =
            under(tanh(3), weights(Kind::Float).each(|flat| flat.to_kind(kind)), &samples, Loss::CrossEntropy, block)
                .unwrap();
        objective.loss_and_gradient().unwrap();
        objective.gradient().to_kind(Kind::Double)
    };
    let error = relative(&gradient(Kind::Float, 1), &gradient(Kind::Double, n));
    assert!(error < 3e-7, "{error}");
}

#[test]
fn a_stop_between_blocks_ends_what_is_under_way() {
    let case = &cases()[1];
    let mut objective = case.under(Kind::Double, 2);
    let mut looks = 0;
    let stop = &mut || {
        looks += 1;
        anyhow::ensure!(looks < 2, "stopped");
        Ok(())
    };
    assert_eq!(objective.gradient_and(stop).unwrap_err().to_string(), "stopped");
    assert_eq!(looks, 2);
    let mut blocks = 0;
    let stopped = objective.evaluate_and(&mut |_| {
        blocks += 1;
        anyhow::bail!("stopped")
    });
    assert_eq!((stopped.unwrap_err().to_string().as_str(), blocks), ("stopped", 1));
}

#[test]
fn our_own_objectives_have_gauss_newton_and_slices_too() {
    // Of classes, with the kernels' network; of values, by a graph that is kept.
    let (model, samples) = (network("784-2-10"), rough_batch(250));
    let theta = model.layout().initial(4, "own", Kind::Double, Device::Cpu);
    let v = theta.cos();
    let mut own = CrossEntropy::new(&model, theta.copy(), &samples).unwrap();
    let mut general = under(model.clone(), theta.copy(), &samples, Loss::CrossEntropy, 70).unwrap();
    for matrix in [Matrix::Hessian, Matrix::GaussNewton] {
        let [own, general] = [&own as &dyn Objective, &*general]
            .map(|objective| objective.curvature(matrix, None).unwrap().times(&v, &mut calm).unwrap());
        assert!(relative(&own, &general) < 1e-12, "{matrix:?}");
    }
    let [found, expected] = [step(&mut own), step(&mut *general)];
    assert!(relative(&found.0, &expected.0) < 1e-12 && (found.1.loss - expected.1.loss).abs() < 1e-12);
    assert_eq!(own.evaluate().unwrap().accuracy, general.evaluate().unwrap().accuracy);
    let case = cases().into_iter().find(|case| case.name == "values").unwrap();
    let values = Samples::new(case.samples.inputs().unwrap(), case.samples.targets.copy(), Target::Values(2));
    let theta = case.weights(Kind::Double).theta;
    let (n, own) = (theta.size()[0], over(&case.model, theta.copy(), &values).unwrap());
    assert!(relative(&whole(&*own, Matrix::GaussNewton, None, n), &case.gauss_newton(&theta)) < 1e-10);
    let mlp = "2-3-1".parse::<crate::model::Mlp>().unwrap();
    let theta = mlp.layout().initial(4, "mlp", Kind::Double, Device::Cpu);
    let points = super::tests::columns(&numbers(&[2, 9]), &numbers(&[1, 9]).cos());
    let own = MeanSquaredError::new(&mlp.network(), theta.copy(), &points).unwrap();
    let all = whole(&own, Matrix::Hessian, None, 13);
    let part = whole(&own, Matrix::Hessian, Some(&[2]), 3);
    assert!(relative(&part, &all.narrow(0, 9, 3).narrow(1, 9, 3)) < 1e-12);
    // 2/n JᵀJ.
    let leaf = theta.copy().set_requires_grad(true);
    let outputs = mlp.forward(&leaf, &numbers(&[2, 9])).view(-1);
    let row = |index| Tensor::run_backward(&[outputs.get(index)], &[&leaf], true, false).remove(0);
    let jacobian = Tensor::stack(&(0..9).map(row).collect::<Vec<_>>(), 0);
    let expected = jacobian.tr().matmul(&jacobian) * (2.0 / 9.0);
    assert!(relative(&whole(&own, Matrix::GaussNewton, None, 13), &expected) < 1e-12);
}

#[test]
fn an_operator_without_second_derivative_is_named_and_the_rest_goes_on() {
    let fused = plain(&[&[3 * WIDE, WIDE]], |p, _, x| {
        let parts = x.linear::<Tensor>(&p[0], None).unsqueeze(1).chunk(3, -1);
        let [q, k, v] = [&parts[0], &parts[1], &parts[2]];
        Tensor::scaled_dot_product_attention::<Tensor>(q, k, v, None, 0.0, false, None, false).squeeze_dim(1)
    });
    let samples = Samples::new(numbers(&[4, 3, WIDE]), classes(&[0; 12], &[4, 3]), Target::Classes(WIDE));
    for kind in [Kind::Float, Kind::Double] {
        let weights = Weights::initial(&fused.layout, 3, "fused", kind, Device::Cpu);
        let mut objective = under(fused.clone(), weights, &samples, Loss::CrossEntropy, 2).unwrap();
        for matrix in [Matrix::Hessian, Matrix::GaussNewton] {
            let map = objective.curvature(matrix, None).unwrap();
            let error = map.times(&objective.theta().cos(), &mut calm).unwrap_err();
            let NoSecondDerivative(operator) = error.downcast_ref().unwrap();
            assert_eq!(operator, "_scaled_dot_product_flash_attention_for_cpu");
        }
        assert!(objective.loss_and_gradient().unwrap().get().unwrap() > 0.0);
        assert!(objective.evaluate().unwrap().accuracy >= 0.0);
    }
}

#[test]
fn what_cannot_be_measured_is_said() {
    let case = &cases()[0];
    let with = |targets: &[i64], block| {
        let samples = Samples::new(case.samples.inputs().unwrap(), classes(targets, &[5]), Target::Classes(3));
        under(case.model.clone(), case.weights(Kind::Double), &samples, Loss::CrossEntropy, block)
    };
    let said = |result: Result<Box<dyn Objective>>| result.err().unwrap().to_string();
    assert!(said(with(&[0; 5], 0)).contains("blocks of 0 samples"));
    assert!(said(with(&[IGNORED; 5], 2)).contains("none of them counts"));
    let weights = Weights::from(Tensor::zeros([7], DOUBLE));
    assert!(said(under(linear(3), weights, &case.samples, case.loss, 2)).contains("weights of shapes"));
    let mut wrong = with(&[0, 1, 2, 12, 0], 2).unwrap();
    let error = "label 12, and the model has 3 outputs";
    assert!(wrong.loss_and_gradient().unwrap_err().to_string().contains(error));
    assert!(wrong.evaluate().unwrap_err().to_string().contains(error));
    let objective = case.under(Kind::Double, 2);
    for (slots, what) in [(&[][..], "by no slice"), (&[0, 2], "slice 2 of θ, and the model has 2"), (&[1, 1], "twice")]
    {
        let error = objective.curvature(Matrix::Hessian, Some(slots)).err().unwrap().to_string();
        assert!(error.contains(what), "{error}");
    }
    let error = objective.hessian().unwrap().times(&Tensor::zeros([3], DOUBLE), &mut calm).unwrap_err().to_string();
    assert!(error.contains("a vector of shape [3] for a matrix of 12 columns"), "{error}");
    assert!(objective.gauss_newton().is_ok());
}
