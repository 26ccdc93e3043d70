//! Against products by double backward over libtorch's graphs.

use super::*;
use crate::data::{IGNORED, Signature, Target};
use crate::model::{Model as _, Pass};
use crate::objective::block_curvature::BlockCurvature;
use crate::objective::loss::Criterion;
use crate::objective::tests::relative;

const DOUBLE: (Kind, Device) = (Kind::Double, Device::Cpu);

struct Case {
    model: &'static str,
    input: &'static [i64],
    outputs: i64,
    loss: Loss,
    samples: i64,
}

const fn case(model: &'static str, input: &'static [i64], outputs: i64, loss: Loss, samples: i64) -> Case {
    Case { model, input, outputs, loss, samples }
}

/// One layer and several, one sample and several tiles; of one input, of odd sides and of several channels.
const CASES: [Case; 11] = [
    case("1-7-5-1", &[1], 1, Loss::SquaredError, 300),
    case("1-1", &[1], 1, Loss::SquaredError, 2),
    case("1-30-20-2", &[1], 2, Loss::SquaredError, 2500),
    case("3-6-4-2", &[3], 2, Loss::SquaredError, 1),
    case("3-6-4-2", &[3], 2, Loss::SquaredError, 400),
    case("5-4", &[5], 4, Loss::CrossEntropy, 30),
    case("5-9-8-4", &[5], 4, Loss::CrossEntropy, 600),
    case("conv2-3", &[1, 4, 4], 3, Loss::CrossEntropy, 5),
    case("conv3-conv4-6-3", &[3, 9, 8], 3, Loss::CrossEntropy, 150),
    case("conv2-conv3-conv2-3", &[2, 8, 11], 3, Loss::CrossEntropy, 20),
    case("conv3-5-2", &[1, 6, 6], 2, Loss::SquaredError, 40),
];

struct Problem {
    network: Network,
    theta: Tensor,
    samples: Samples,
    criterion: Criterion,
}

fn problem(case: &Case) -> Problem {
    let &Case { model, input, outputs, loss, samples } = case;
    let classes = loss == Loss::CrossEntropy;
    let target = if classes { Target::Classes(outputs) } else { Target::Values(outputs) };
    let network = Network::parse(model, &Signature { input: input.to_vec(), tokens: None, target }).unwrap();
    let theta = network.layout().initial(3, "network curvature", Kind::Double, Device::Cpu);
    let numbers: i64 = input.iter().product::<i64>() * samples;
    // Without close neighbours: a kink between two ways of adding would be a difference.
    let x = (Tensor::arange(numbers, DOUBLE) * 12.9898).sin() * 43758.5453;
    let x = (&x - x.floor()) * 4.0 - 2.0;
    let x = x.view(&[&[samples], input].concat()[..]);
    let targets = if classes {
        let labels = Tensor::arange(samples, (Kind::Int64, Device::Cpu)).remainder(outputs);
        // Some are left out.
        let out = Tensor::arange(samples, (Kind::Int64, Device::Cpu)).remainder(7).eq(3);
        labels.masked_fill(&out, IGNORED)
    } else {
        (Tensor::arange(samples * outputs, DOUBLE) * 0.7).cos().view([samples, outputs])
    };
    Problem { network, theta, samples: Samples::new(x, targets, target), criterion: Criterion::looking(loss) }
}

fn by_hand(
    network: &Network,
    theta: &Tensor,
    samples: &Samples,
    criterion: Criterion,
    matrix: Matrix,
    slots: Option<&[usize]>,
) -> Result<Option<NetworkCurvature>> {
    let (layout, weights) = (network.layout(), theta.shallow_clone().into());
    let over = Over { model: network, layout: &layout, weights: &weights, samples, criterion, block: 100 };
    NetworkCurvature::new(&over, matrix, slots)
}

impl Problem {
    fn map(&self, kind: Kind, matrix: Matrix, slots: Option<&[usize]>) -> NetworkCurvature {
        let theta = self.theta.to_kind(kind);
        let samples = self.samples.of_kind(&theta);
        by_hand(&self.network, &theta, &samples, self.criterion, matrix, slots).unwrap().unwrap()
    }

    fn expected(&self, matrix: Matrix, slots: Option<&[usize]>, v: &Tensor) -> Tensor {
        let Self { network, theta, samples, criterion } = self;
        let (layout, weights) = (network.layout(), theta.shallow_clone().into());
        let model: &dyn crate::model::Model = network;
        let over = Over { model, layout: &layout, weights: &weights, samples, criterion: *criterion, block: 100 };
        BlockCurvature::new(&over, matrix, slots).unwrap().times(v, &mut || Ok(())).unwrap()
    }
}

fn vectors(rows: i64, length: i64) -> Tensor {
    (Tensor::arange(rows * length, DOUBLE) * 0.37).cos().view([rows, length])
}

#[test]
fn products_are_those_of_double_backward_for_any_slices_and_number_of_rows() {
    // As a trial's thread: with several of libtorch's threads sums have another order.
    crate::backend::device::set_up_thread();
    for case in &CASES {
        let problem = problem(case);
        let slots = problem.network.layout().slots.len();
        let last: Vec<usize> = vec![slots - 1, slots - 2];
        let odd: Vec<usize> = (0..slots).filter(|slot| slot % 3 == 1).collect();
        for matrix in [Matrix::Hessian, Matrix::GaussNewton] {
            for slots in [None, Some(&[0][..]), Some(&last), Some(&odd)] {
                let map = problem.map(Kind::Double, matrix, slots);
                for rows in [1, 3, 9] {
                    let v = vectors(rows, map.length);
                    let expected = problem.expected(matrix, slots, &v);
                    let what = format!("{} {matrix:?} {slots:?}, {rows} rows", case.model);
                    // Of some slices the block is nothing: of a piecewise linear model, those of one layer.
                    let error = (&map.times(&v, &mut || Ok(())).unwrap() - &expected).norm().double_value(&[]);
                    let size = expected.norm().double_value(&[]).max(1e-3);
                    assert!(error < 1e-12 * size, "{what}: {error} of {size}");
                    let again = map.times(&v, &mut || Ok(())).unwrap();
                    let _cores = [pieces::lend(), pieces::lend()];
                    assert_eq!(map.times(&v, &mut || Ok(())).unwrap(), again, "{what} on several cores");
                }
            }
        }
    }
}

#[test]
fn float32_is_near_and_a_map_stays_at_its_theta() {
    for case in &CASES {
        let problem = problem(case);
        let map = problem.map(Kind::Float, Matrix::Hessian, None);
        let v = vectors(2, map.length);
        let found = map.times(&v, &mut || Ok(())).unwrap();
        let error = relative(&found, &problem.expected(Matrix::Hessian, None, &v));
        assert!(found.kind() == Kind::Double && error < 2e-5, "{}: {error}", case.model);
        let double = problem.map(Kind::Double, Matrix::Hessian, None);
        let before = double.times(&v, &mut || Ok(())).unwrap();
        let _ = problem.theta.shallow_clone().zero_();
        assert_eq!(double.times(&v, &mut || Ok(())).unwrap(), before);
    }
}

#[test]
fn what_is_not_kept_is_computed_again() {
    let problem = problem(&CASES[8]);
    let (kept, mut again) =
        (problem.map(Kind::Double, Matrix::Hessian, None), problem.map(Kind::Double, Matrix::Hessian, None));
    assert!(kept.keep);
    again.keep = false;
    let v = vectors(2, kept.length);
    for _ in 0..2 {
        assert_eq!(kept.times(&v, &mut || Ok(())).unwrap(), again.times(&v, &mut || Ok(())).unwrap());
    }
}

#[test]
fn a_stop_ends_a_product_and_the_next_is_whole() {
    let problem = problem(&CASES[6]);
    let map = problem.map(Kind::Double, Matrix::Hessian, None);
    let v = vectors(1, map.length);
    assert!(map.times(&v, &mut || anyhow::bail!("enough")).is_err());
    assert!(relative(&map.times(&v, &mut || Ok(())).unwrap(), &problem.expected(Matrix::Hessian, None, &v)) < 1e-12);
}

#[test]
fn what_it_is_not_for_is_declined_and_what_is_wrong_is_said() {
    let Problem { network, theta, samples, .. } = problem(&CASES[6]);
    let of = |loss: Loss, samples: &Samples, slots: Option<&[usize]>| {
        by_hand(&network, &theta, samples, Criterion::looking(loss), Matrix::Hessian, slots)
    };
    assert!(of(Loss::BinaryCrossEntropy, &samples, None).unwrap().is_none());
    assert!(of(Loss::SquaredError, &samples, None).unwrap().is_none(), "classes are no values");
    for (slots, says) in [(&[][..], "no slice"), (&[0, 0], "twice"), (&[99], "slice 99 of θ")] {
        let error = of(Loss::CrossEntropy, &samples, Some(slots)).err().unwrap().to_string();
        assert!(error.contains(says), "{error}");
    }
    let none = Samples::new(samples.inputs().unwrap(), samples.targets.full_like(IGNORED), samples.target);
    assert!(of(Loss::CrossEntropy, &none, None).err().unwrap().to_string().contains("at least one sample"));
    let map = of(Loss::CrossEntropy, &samples, None).unwrap().unwrap();
    assert!(map.times(&vectors(1, 3), &mut || Ok(())).err().unwrap().to_string().contains("a vector of shape"));
}

#[test]
fn blocks_are_all_but_equal_and_cover_all() {
    for (n, size) in [(1, 128), (127, 128), (2000, 128), (300, 128), (192, 128), (193, 128), (5, 1)] {
        let found: Vec<(i64, i64)> = equal_blocks(n, size).collect();
        let sizes = || found.iter().map(|(_, size)| *size);
        assert_eq!(sizes().sum::<i64>(), n);
        assert!(
            sizes().max().unwrap() - sizes().min().unwrap() <= 1 && 2 * sizes().max().unwrap() <= 3 * size,
            "{found:?}"
        );
        assert!(found.windows(2).all(|pair| pair[0].0 + pair[0].1 == pair[1].0));
    }
    let problem = problem(&CASES[2]);
    let outputs = problem.network.outputs(
        &problem.network.layout().views(&problem.theta),
        &[],
        &problem.samples.inputs().unwrap(),
        Pass::Evaluate,
    );
    assert_eq!(outputs.unwrap().size(), [2500, 2]);
}
