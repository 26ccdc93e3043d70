//! Trainings that a CUDA card runs by itself ([`crate::backend::cuda`]): what is asked of one, in tensors.

use super::Evaluation;
use crate::backend::cpu::adam::Step;
use crate::backend::cuda::full_batch::{Ending, Epochs, Problem, Rule, Run, Terms};
use crate::backend::cuda::{adam, mini_batch};
use crate::data::Samples;
use crate::model::{Mlp, Network};
use anyhow::Result;
use tch::{Device, Kind, Tensor};

/// A full-batch training as a card is asked for it: from here on.
#[derive(Clone, Copy)]
pub struct FullBatchRequest<'a> {
    pub terms: Terms,
    /// The optimizer's state, like θ: means of the gradient and of its squares, or the velocity in the first.
    pub state: [&'a Tensor; 2],
    /// Other points, a loss on which is measured.
    pub validation: Option<&'a Samples>,
}

/// A full-batch training on a card.
pub struct FullBatchRun {
    run: Run,
    /// What its addresses are of.
    _tensors: Vec<Tensor>,
}

impl FullBatchRun {
    /// Runs some epochs, as many as one likes to wait for. θ and the optimizer's state are then where they end.
    ///
    /// # Errors
    /// The card's; θ is then anything.
    pub fn some_epochs(&mut self) -> Result<(Epochs, Ending)> {
        self.run.some_epochs()
    }

    /// `None` where the network or what it is asked for is nothing for the card.
    pub(super) fn new(
        mlp: &Mlp,
        theta: &Tensor,
        samples: &Samples,
        request: &FullBatchRequest,
    ) -> Result<Option<Self>> {
        let Some(card) = card_of(theta) else { return Ok(None) };
        let mut tensors = Vec::new();
        let mut address = |tensor: &Tensor| -> Result<u64> {
            let there = tensor.f_to_device(theta.device())?.f_to_kind(Kind::Float)?.f_contiguous()?;
            let address = there.data_ptr() as u64;
            tensors.push(there);
            Ok(address)
        };
        let widths = mlp.widths();
        let [inputs, outputs] = [widths.first(), widths.last()].map(|width| width.map_or(0, |&width| width));
        let mut fit = theta.numel() as i64 == mlp.layout().parameters();
        let mut points = |samples: &Samples| -> Result<(usize, u64, u64)> {
            let (x, y) = (samples.inputs()?, &samples.targets);
            fit &= [x.numel() as i64, y.numel() as i64] == [inputs, outputs].map(|width| width * samples.len());
            Ok((usize::try_from(samples.len())?, address(&x)?, address(y)?))
        };
        let (count, x, y) = points(samples)?;
        let validation = request.validation.map(&mut points).transpose()?;
        if !fit {
            // libtorch says what does not fit.
            return Ok(None);
        }
        let problem = Problem {
            widths: widths.iter().map(|&width| width as usize).collect(),
            points: count,
            theta: address(theta)?,
            first: address(request.state[0])?,
            second: address(request.state[1])?,
            x,
            y,
            validation,
            terms: request.terms,
        };
        // SAFETY: the addresses are of tensors of these sizes, which the run keeps.
        let run = unsafe { Run::new(&card, problem) }?;
        Ok(run.map(|run| Self { run, _tensors: tensors }))
    }
}

/// A training in mini-batches as a card is asked for it: from here on.
#[derive(Clone, Copy)]
pub struct MiniBatchRequest<'a> {
    pub batch_size: i64,
    pub rule: Rule,
    pub learning_rate: f64,
    pub weight_decay: f64,
    /// As of [`FullBatchRequest`].
    pub state: [&'a Tensor; 2],
    /// Taken so far.
    pub steps: u64,
}

/// A training in mini-batches on a card.
pub struct MiniBatchRun {
    run: mini_batch::Run,
    samples: i64,
    /// What its addresses are of.
    _tensors: Vec<Tensor>,
}

/// Bytes of inputs that are made of stored bytes for a card at most.
const MOST_BYTES: i64 = 1 << 30;

impl MiniBatchRun {
    /// Runs an epoch over all samples in this order: means over them while training, and the steps taken since the start. θ
    /// and the optimizer's state are then where it ends.
    ///
    /// # Errors
    /// The card's; θ is then anything.
    pub fn epoch(&mut self, order: &[i64]) -> Result<(Evaluation, u64)> {
        let mini_batch::Epoch { loss, correct, steps } = self.run.epoch(order)?;
        let n = self.samples as f64;
        Ok((Evaluation { loss: loss / n, accuracy: correct as f64 / n, counted: self.samples }, steps))
    }

    /// `None` where the network or what it is asked for is nothing for the card.
    pub(super) fn new(
        network: &Network,
        theta: &Tensor,
        samples: &Samples,
        request: &MiniBatchRequest,
    ) -> Result<Option<Self>> {
        let Some(card) = card_of(theta) else { return Ok(None) };
        let widths: Vec<usize> = network.head().widths().iter().map(|&width| width as usize).collect();
        let numbers = samples.len() * widths.first().map_or(0, |&width| width as i64);
        if !network.convolutions().is_empty() || samples.is_empty() || 4 * numbers > MOST_BYTES {
            return Ok(None);
        }
        let flat = |tensor: &Tensor, kind: Kind| -> Result<Tensor> {
            Ok(tensor.f_to_device(theta.device())?.f_to_kind(kind)?.f_contiguous()?)
        };
        // Of stored bytes a copy, for which there may be no memory; libtorch makes one of each batch.
        let Ok(inputs) = samples.inputs().and_then(|inputs| flat(&inputs, Kind::Float)) else { return Ok(None) };
        let classes = widths.last().map(|&width| width as i64);
        let is_all = inputs.numel() as i64 == numbers
            && samples.targets.size() == [samples.len()]
            && classes == Some(samples.target.outputs())
            && theta.numel() as i64 == network.head().layout().parameters();
        if !is_all {
            // libtorch says what does not fit.
            return Ok(None);
        }
        // The kernel copies four numbers at a time.
        let inputs = if (inputs.data_ptr() as u64).is_multiple_of(16) { inputs } else { inputs.copy() };
        let labels = flat(&samples.targets, Kind::Int)?;
        let problem = mini_batch::Problem {
            widths,
            batch_size: usize::try_from(request.batch_size.min(samples.len()))?,
            samples: usize::try_from(samples.len())?,
            theta: theta.data_ptr() as u64,
            first: request.state[0].data_ptr() as u64,
            second: request.state[1].data_ptr() as u64,
            inputs: inputs.data_ptr() as u64,
            labels: labels.data_ptr() as u64,
            rule: request.rule,
            learning_rate: request.learning_rate,
            weight_decay: request.weight_decay,
            steps: request.steps,
        };
        let tensors = vec![
            inputs,
            labels,
            theta.shallow_clone(),
            request.state[0].shallow_clone(),
            request.state[1].shallow_clone(),
        ];
        // SAFETY: the addresses are of tensors of these sizes, which the run keeps.
        let run = unsafe { mini_batch::Run::new(&card, problem) }?;
        Ok(run.map(|run| Self { run, samples: samples.len(), _tensors: tensors }))
    }
}

type Card = std::sync::Arc<dyn crate::backend::cuda::Card>;

/// Whether there is a card that may train what is at such a θ.
pub fn has_card(theta: &Tensor) -> bool {
    card_of(theta).is_some()
}

/// A step of Adam in one launch, behind what libtorch has under way; false where that is not for a card.
pub fn adam_on_card(step: &Step, theta: &Tensor, gradient: &Tensor, mean: &Tensor, mean_of_squares: &Tensor) -> bool {
    let Some(card) = card_of(theta) else { return false };
    let all = [theta, gradient, mean, mean_of_squares];
    let is_like_theta = |tensor: &&Tensor| {
        tensor.device() == theta.device()
            && tensor.kind() == Kind::Float
            && tensor.numel() == theta.numel()
            && tensor.is_contiguous()
    };
    // SAFETY: these tensors' memory, which libtorch gives to nobody else before what is under way has ended.
    all.iter().all(is_like_theta)
        && unsafe { adam::step(&card, all.map(|tensor| tensor.data_ptr() as u64), theta.numel(), step) }.is_ok()
}

/// The card that such a tensor is on, where the engine is there for it and wanted.
fn card_of(theta: &Tensor) -> Option<Card> {
    if theta.kind() != Kind::Float || !crate::backend::cpu::wanted() {
        return None;
    }
    #[cfg(any(test, feature = "emulated-card"))]
    if let (Device::Cpu, Some(card)) = (theta.device(), crate::backend::cuda::emulated::on_this_thread()) {
        return Some(card);
    }
    let Device::Cuda(index) = theta.device() else { return None };
    crate::backend::cuda::card(index).ok()
}
