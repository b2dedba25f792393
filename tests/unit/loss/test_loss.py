"""Losses and accuracies: snnTorch's and SpikingJelly's numbers, and hand-made cases."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from snnrun.loss import (
    MSE,
    TET,
    CECount,
    CEMaxMembrane,
    CEMembrane,
    CERate,
    CETemporal,
    MeanSquare,
    MSECount,
    MSEMembrane,
    MSERate,
    MSETemporal,
    RateBounds,
    SampleLoss,
    Sparsity,
    SpikeSimilarity,
    VanRossum,
    accuracy_by_count,
    accuracy_by_first_spike,
    accuracy_by_membrane,
    count_ties,
    first_spike_index,
    first_spike_time,
    outcome,
    pool,
    predict_by_count,
    predict_by_first_spike,
    r2_score,
    spike_times,
    van_rossum_distance,
    vote,
)
from snnrun.loss.target import RateTarget, one_hot
from snnrun.training.metrics import Totals
from support import references
from support.references import tensor
from support.refusals import refuses

LOSSES: dict[str, type[SampleLoss]] = {
    "ce_rate_loss": CERate,
    "ce_count_loss": CECount,
    "ce_max_membrane_loss": CEMaxMembrane,
    "ce_temporal_loss": CETemporal,
    "mse_count_loss": MSECount,
    "mse_membrane_loss": MSEMembrane,
    "mse_temporal_loss": MSETemporal,
    "temporal_efficient_training_cross_entropy": TET,
    "examples.memopt.loss.TETLoss": TET,
}
SAMPLE_LOSSES = {e["id"]: e for e in references.entries("losses") if e["name"] in LOSSES}
SIMILARITIES = {e["id"]: e for e in references.entries("losses") if e["name"] == "spike_similar_loss"}
SPARSITIES = {e["id"]: e for e in references.entries("losses") if e["name"] == "l1_rate_sparsity"}
NAMES = {
    "inverse": "inverse",
    "correct_rate": "correct_rate",
    "incorrect_rate": "incorrect_rate",
    "tolerance": "tolerance",
    "weight": "class_weights",
    "mean": "level",
    "tet_lambda": "pull",
}


def sample_loss(entry: dict[str, Any]) -> SampleLoss:
    params, name = entry["params"], entry["name"]
    options = {NAMES[key]: value for key, value in params.items() if key in NAMES}
    if params.get("reduction") == "sum":
        options["reduction"] = "sum"
    if "population_code" in params:
        options["population"] = len(entry["input"][0][0]) // params["num_classes"]
    for key in ("on", "off"):
        if f"{key}_target" in params:
            options[f"{key}_{'time' if name == 'mse_temporal_loss' else 'target'}"] = params[f"{key}_target"]
    if name.startswith("temporal"):
        options["pull"] = 0.0
    # snnTorch divides by the weights in the loss of times alone.
    return LOSSES[name](normalize_weights=name == "ce_temporal_loss", **options)


def check(value: Tensor, x: Tensor, entry: dict[str, Any]) -> None:
    """Value and gradient of sum(value) are those of the entry; where the peer is wrong, those that are right."""
    (grad,) = torch.autograd.grad(value.sum(), x)
    expected = tensor(entry.get("intended_value", entry.get("value")))
    torch.testing.assert_close(value, expected, rtol=1e-5, atol=1e-7)
    gradient = tensor(entry.get("intended_gradient", entry.get("gradient")))
    torch.testing.assert_close(grad, gradient, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("identifier", SAMPLE_LOSSES)
def test_a_peers_numbers_hold(identifier: str) -> None:
    """Of snnTorch's defects:

    weights with reduction sum leave the loss unreduced, and raise in, or garble, the squared errors; population codes
    of ce_rate_loss raise or are never pooled; a negative off_target is lost; targets that change with time raise; by
    default every target time is 0; of several spikes the later ones are lost.
    """
    entry = SAMPLE_LOSSES[identifier]
    loss, x = sample_loss(entry), tensor(entry["input"]).requires_grad_()
    target = torch.tensor(entry["targets"])
    before = target.clone()
    # A loss reads spikes or membranes; what it does not read must not matter.
    other = torch.full_like(x, torch.nan)
    record = (x, other) if entry["input_is"] == "spikes" else (other, x)
    value = loss.sample_losses(*record, target) if entry["params"].get("reduction") == "none" else loss(*record, target)
    check(value, x, entry)
    assert torch.equal(target, before)  # snnTorch overwrites negative times


@pytest.mark.parametrize("identifier", SIMILARITIES)
def test_spike_similarity(identifier: str) -> None:
    entry = SIMILARITIES[identifier]
    kernel, arguments = entry["params"]["kernel_type"], entry["params"]["args"]
    names = {"linear": [], "sigmoid": ["alpha"], "gaussian": ["sigma"]}[kernel]
    options: dict[str, Any] = dict(zip(names, arguments, strict=True))
    loss = SpikeSimilarity(kernel=kernel, distance=entry["params"]["loss_type"], **options)
    x = tensor(entry["input"]).requires_grad_()
    check(loss(x.transpose(0, 1), x, tensor(entry["targets"])), x, entry)


@pytest.mark.parametrize("distance", ["mse", "l1", "bce"])
@pytest.mark.parametrize("kernel", ["linear", "sigmoid", "gaussian"])
def test_spike_similarity_of_silent_samples(kernel: str, distance: str) -> None:
    """SpikingJelly's gradient is of the order of 1e8 there."""
    spikes = torch.zeros(10, 4, 3)
    spikes[::2, :2] = 1
    x = spikes.requires_grad_()
    value = SpikeSimilarity(kernel=kernel, distance=distance)(x, x, torch.tensor([0, 1, 0, 1]))
    (grad,) = torch.autograd.grad(value, x)
    assert value.isfinite()
    assert grad.isfinite().all()
    if distance != "bce":
        assert grad.abs().max() < 1


def test_spike_similarity_by_hand() -> None:
    spikes = torch.zeros(4, 3, 2)
    spikes[:2, 0, 0] = spikes[1:3, 1, 0] = spikes[:, 2, 1] = 1
    cosine = torch.tensor([[1.0, 0.5, 0.0], [0.5, 1.0, 0.0], [0.0, 0.0, 1.0]])
    torch.testing.assert_close(SpikeSimilarity().similarity(spikes), cosine)
    value = SpikeSimilarity()(spikes, spikes, torch.tensor([1, 1, 0]))
    torch.testing.assert_close(value.item(), 2 * 0.25 / 9)
    several = torch.tensor([[1, 0, 1], [0, 0, 1], [0, 1, 0]])
    torch.testing.assert_close(SpikeSimilarity()(spikes, spikes, several), value)
    assert SpikeSimilarity(kernel="polynomial").similarity(spikes)[0, 1] == 1
    with refuses("distance", "bce", "'mse' or 'l1'"):
        SpikeSimilarity(kernel="polynomial", distance="bce")


@pytest.mark.parametrize("identifier", SPARSITIES)
def test_sparsity(identifier: str) -> None:
    entry = SPARSITIES[identifier]
    x = tensor(entry["input"]).requires_grad_()
    weight = entry["params"].get("Lambda", 1e-5)
    check(Sparsity(weight=weight, reduction="sum")({"output": x}), x, entry)
    rate = Sparsity(weight=2.0, layers="hidden")({"a": x, "b": x[:, :, :1], "output": x})
    torch.testing.assert_close(rate, 2 * (x.mean() + x[:, :, :1].mean()))


def test_rate_bounds() -> None:
    spikes = torch.zeros(10, 2, 3)  # rates of the neurons: 0, 0.3, 1; in the samples: 0 0, 0.6 0, 1 1
    spikes[:6, 0, 1] = spikes[:, :, 2] = 1
    x = spikes.requires_grad_()
    bounds: dict[str, Any] = {"lower": 0.1, "upper": 0.4, "power": 1}
    by_neuron = RateBounds(**bounds, weight=3.0)({"output": x})
    torch.testing.assert_close(by_neuron.item(), 3 * (0.1 + 0.6) / 3)
    grad = torch.autograd.grad(by_neuron, x)[0]
    assert grad[0, 0].sign().tolist() == [-1, 0, 1]  # too rare, free, too often
    by_sample = RateBounds(**bounds, of="sample")({"output": x})
    torch.testing.assert_close(by_sample.item(), (0.1 + 0.1 + 0.2 + 0.1 + 0.6 + 0.6) / 6)
    assert RateBounds(**{**bounds, "upper": 0.5}, of="layer")({"output": x}) == 0
    by_square = RateBounds(lower=0.1, upper=0.4)({"output": x})
    torch.testing.assert_close(by_square.item(), (0.01 + 0.36) / 3)
    assert RateBounds(layers="hidden")({"output": x}) == 0


def test_a_loss_sums_its_regularisers() -> None:
    x = torch.ones(4, 2, 3)
    loss = CECount(regularisers={"a": Sparsity(weight=2.0), "b": RateBounds(upper=0.5, power=1)})
    penalty = loss.penalty({"hidden": x, "output": 0 * x})
    torch.testing.assert_close(penalty, torch.tensor(2 + 0.5 + 0.01))
    assert CECount().penalty({"output": x}) == 0
    wrong: Any = {"a": 1}
    with refuses("regularisers", {"a": 1}):
        CECount(regularisers=wrong)


def test_the_first_spikes() -> None:
    entry = references.entry("losses", "spikingjelly.first_spike_index/spikes")
    x = tensor(entry["input"])
    index = first_spike_index(x)
    assert torch.equal(index, torch.tensor(entry["output"], dtype=torch.bool))
    silent = x.sum(0) == 0
    assert torch.equal(first_spike_time(x), torch.where(silent, len(x) - 1, index.to(torch.uint8).argmax(0)).float())
    several = references.entry("losses", "snntorch.mse_temporal_loss/multi_spike")
    assert spike_times(tensor(several["input"]), 2).tolist() == several["spike_times"]


def test_the_gradient_of_a_spike_time_is_minus_one_there() -> None:
    x = torch.tensor([0.0, 1.0, 0.0, 1.0, 0.0, 0.0]).view(6, 1, 1).requires_grad_()
    times = spike_times(x, 4)
    assert times.flatten().tolist() == [1, 3, 5, 5]  # those that never come count as the last step
    (grad,) = torch.autograd.grad((times * torch.tensor([1.0, 2.0, 4.0, 8.0]).view(4, 1, 1)).sum(), x)
    assert grad.flatten().tolist() == [0, -1, 0, -2, 0, -12]


def test_pools() -> None:
    entry = references.entry("losses", "spikingjelly.VotingLayer/mean")
    x = tensor(entry["input"])
    torch.testing.assert_close(vote(x, entry["params"]["voting_size"]), tensor(entry["output"]), rtol=0, atol=1e-6)
    torch.testing.assert_close(pool(x[None], 3, mean=True)[0], vote(x, 3))
    torch.testing.assert_close(pool(x[None], 3)[0], 3 * vote(x, 3))
    entry = references.entry("losses", "spikingjelly.redundant_one_hot/labels")
    params = entry["params"]
    hot = one_hot(torch.tensor(entry["input"]), params["num_classes"], population=params["n"])
    assert hot.tolist() == entry["output"]
    with refuses("population", 5, "divisor of the 12 read-out neurons"):
        pool(x[None], 5)
    with refuses("size", 5, "divisor of the 12 neurons"):
        vote(x, 5)


def test_every_entry_is_used() -> None:
    ids = {*SAMPLE_LOSSES, *SIMILARITIES, *SPARSITIES, *ACCURACIES}
    ids |= {f"spikingjelly.{n}" for n in ("first_spike_index/spikes", "VotingLayer/mean", "redundant_one_hot/labels")}
    assert ids == {e["id"] for e in references.entries("losses")}


ACCURACIES = {e["id"]: e for e in references.entries("losses") if e["name"].startswith("accuracy")}


@pytest.mark.parametrize("identifier", ACCURACIES)
def test_accuracy_by_count_and_by_first_spike(identifier: str) -> None:
    entry = ACCURACIES[identifier]
    spikes, target = tensor(entry["input"]), torch.tensor(entry["targets"])
    population = spikes.shape[2] // entry["params"].get("num_classes", spikes.shape[2])
    by_count = entry["name"] == "accuracy_rate"
    accuracy = accuracy_by_count if by_count else accuracy_by_first_spike
    assert accuracy(spikes, target, population).item() == entry["value"]
    loss = CECount(accuracy="count" if by_count else "first_spike", population=population)
    result = outcome(loss.predict(spikes, spikes), target)
    assert result.item() == round(entry["value"] * len(target))


def test_among_equals_the_lowest_index_wins() -> None:
    spikes = torch.zeros(4, 3, 1000)
    spikes[:2, 1, 500:] = 1
    spikes[0, 2, 7] = spikes[3, 2, 3] = 1
    assert predict_by_count(spikes).tolist() == [0, 500, 3]
    assert predict_by_first_spike(spikes).tolist() == [0, 500, 7]


def test_accuracy_by_membrane() -> None:
    membrane = torch.tensor([[[0.0, 3.0], [1.0, 0.0]], [[2.0, 0.0], [1.0, -5.0]]])  # sums [2, 3] and [2, -5]
    assert accuracy_by_membrane(membrane, torch.tensor([1, 1])).item() == 0.5
    loss = CEMembrane()
    assert loss.predict(torch.zeros_like(membrane), membrane).tolist() == [1, 0]
    assert CEMaxMembrane().predict(torch.zeros_like(membrane), membrane).tolist() == [1, 0]
    assert CEMembrane(accuracy="count").predict(torch.zeros_like(membrane), membrane).tolist() == [0, 0]


def test_ce_membrane_summed_over_time_or_at_every_step() -> None:
    u = torch.randn(5, 3, 4, generator=torch.Generator().manual_seed(0))
    target = torch.tensor([0, 3, 1])
    of_sum = F.cross_entropy(u.sum(0), target)
    every = torch.stack([F.cross_entropy(step, target) for step in u]).sum()
    torch.testing.assert_close(CEMembrane()(u, u, target), of_sum)
    torch.testing.assert_close(CEMembrane(over_time="every_step")(u, u, target), every)
    torch.testing.assert_close(CEMembrane(over_time="mean")(u, u, target), F.cross_entropy(u.mean(0), target))
    torch.testing.assert_close(CEMembrane(over_time="last")(u, u, target), F.cross_entropy(u[-1], target))
    assert CEMembrane(accuracy="last_membrane").predict(u, u).tolist() == u[-1].argmax(1).tolist()
    assert (of_sum - every).abs() > 0.1


def test_mean_square_needs_no_labels_and_ends_at_silence() -> None:
    spikes = torch.tensor([[[1.0, 0.0], [1.0, 1.0]]], requires_grad=True)
    value = MeanSquare()(spikes, spikes, None)
    assert value.item() == 0.75**2
    assert torch.autograd.grad(value, spikes)[0].unique().tolist() == [2 * 0.75 / 4]
    assert not MeanSquare.needs_labels
    assert CECount.needs_labels


@pytest.mark.parametrize(
    ("target", "got"),
    [(None, None), (torch.zeros(2), torch.float32), (torch.zeros(2, dtype=torch.int32), torch.int32)],
)
def test_labels_are_required(target: Tensor | None, got: torch.dtype | None) -> None:
    with refuses("target", got, "[B]", "int64"):
        CECount()(torch.zeros(3, 2, 5), torch.zeros(3, 2, 5), target)


def test_class_weights() -> None:
    generator = torch.Generator().manual_seed(0)
    x, target = torch.rand(5, 4, 3, generator=generator), torch.tensor([0, 2, 2, 1])
    weights = [0.5, 1.0, 3.0]
    # torch's mean with weights is ours; the other option is snnTorch's, above
    expected = F.cross_entropy(x.sum(0), target, weight=torch.tensor(weights))
    torch.testing.assert_close(CECount(class_weights=weights)(x, x, target), expected)
    errors = (x - one_hot(target, 3)) ** 2
    expected = (errors.mean((0, 2)) * torch.tensor(weights)[target]).sum() / torch.tensor(weights)[target].sum()
    torch.testing.assert_close(MSEMembrane(class_weights=weights)(x, x, target), expected)
    for loss in (CECount, MSEMembrane, MSETemporal, VanRossum):
        plain = loss()(x, x, target)
        torch.testing.assert_close(loss(class_weights=[2.0] * 3)(x, x, target), plain)
        torch.testing.assert_close(loss(class_weights=[2.0] * 3, normalize_weights=False)(x, x, target), 2 * plain)
    refusal = ("class_weights", 2, "3 classes")
    with refuses(*refusal):
        CECount(class_weights=[1, 2])(x, x, target)
    with refuses(*refusal):
        CECount(class_weights=[1, 2]).num_outputs(3)


def test_a_population_needs_more_outputs() -> None:
    assert CECount(population=4).num_outputs(10) == 40
    assert MSE().num_outputs(3) == 3
    spikes = torch.zeros(6, 1, 4)
    spikes[4, 0, 1] = spikes[2, 0, 3] = 1
    x, target = spikes.requires_grad_(), torch.tensor([0])
    value = CETemporal(population=2)(x, x, target)  # a class fires with the first of its neurons
    torch.testing.assert_close(value, F.cross_entropy(torch.tensor([[-4.0, -2.0]]), target))
    (grad,) = torch.autograd.grad(value, x)
    assert grad.nonzero().tolist() == [[2, 0, 2], [2, 0, 3], [4, 0, 0], [4, 0, 1]]
    assert grad[4, 0, 0] == grad[4, 0, 1] < 0 < grad[2, 0, 2] == grad[2, 0, 3]


def test_van_rossum_distance() -> None:
    tau, steps = 4.0, 400
    alone = 1 / (tau * (1 - math.exp(-2 / tau)))
    one, other = torch.zeros(steps, dtype=torch.float64), torch.zeros(steps, dtype=torch.float64)
    one[10] = 1
    assert van_rossum_distance(one, other, tau).item() == pytest.approx(alone)
    for delay in (0, 1, 5, 200):
        other.zero_()[10 + delay] = 1
        distance = van_rossum_distance(one, other, tau).item()
        assert distance == pytest.approx(2 * alone * (1 - math.exp(-delay / tau)))
    assert 1 / (1000 * (1 - math.exp(-2 / 1000))) == pytest.approx(0.5, rel=2e-3)  # van Rossum's own normalisation


def test_van_rossum_loss_is_zero_at_its_target_only() -> None:
    target = torch.tensor([0, 2, 1])
    loss = VanRossum(encoding=RateTarget(correct_rate=0.4))
    train = RateTarget(correct_rate=0.4)(target, 3, 20)
    assert loss(train, train, target) == 0
    late_train = train.roll(1, 0)
    assert 0 < loss(late_train, train, target) < loss(1 - train, train, target)
    torch.testing.assert_close(loss(late_train, train, train), loss(late_train, train, target))
    assert torch.equal(CECount().predict(train, train), target)
    with refuses("target", [3, 3], "[20, 3, 3]"):
        loss(train, train, train[0])


def test_membranes_may_have_targets_that_change_with_time() -> None:
    labels, encoding = (
        torch.tensor([1, 0]),
        RateTarget(correct_rate=0.25, on_target=1.2, off_target=0.5, interpolate=True),
    )
    trace = encoding(labels, 3, 9)
    loss = MSEMembrane(encoding=encoding)
    assert loss(trace, trace, labels) == 0
    torch.testing.assert_close(loss(trace, trace + 0.5, labels).item(), 0.25)
    torch.testing.assert_close(MSEMembrane()(trace, trace, trace[0]), ((trace - trace[0]) ** 2).mean())
    with refuses("target", [4, 2, 3], "[B, C] or [T, B, C]"):
        MSEMembrane()(trace, trace, trace[:4])


def test_regression() -> None:
    generator = torch.Generator().manual_seed(0)
    spikes = (torch.rand(6, 5, 2, generator=generator) > 0.5).float()
    membrane, target = torch.randn(6, 5, 2, generator=generator), torch.randn(5, 2, generator=generator)
    reads = {"mean": membrane.mean(0), "last": membrane[-1], "max": membrane.amax(0), "rate": spikes.mean(0)}
    for readout, prediction in reads.items():
        loss = MSE(readout=readout)
        assert torch.equal(loss.predict(spikes, membrane), prediction)
        torch.testing.assert_close(loss(spikes, membrane, target), F.mse_loss(prediction, target))
    every = MSE(readout="every_step")
    torch.testing.assert_close(every(spikes, membrane, target), ((membrane - target) ** 2).mean())
    assert every(spikes, membrane, membrane) == 0
    one = MSE()(spikes[:, :, :1], membrane[:, :, :1], target[:, 0])
    torch.testing.assert_close(one, F.mse_loss(membrane.mean(0)[:, :1], target[:, :1]))
    for wrong, got in ((None, None), (torch.zeros(5, dtype=torch.int64), torch.int64)):
        with refuses("target", got, "[B, C]"):
            MSE()(spikes, membrane, wrong)
    with refuses("target", [2, 5], "[5, 2]"):
        MSE()(spikes, membrane, target.T)


def test_r2() -> None:
    y = torch.tensor([[1.0, 5.0], [2.0, 5.0], [3.0, 5.0], [6.0, 5.0]])
    assert r2_score(y, y) == 1
    y_hat = y + torch.tensor([[1.0, 0.0], [-1.0, 0.0], [1.0, 0.0], [0.0, 0.0]])
    torch.testing.assert_close(r2_score(y_hat, y).item(), (1 - 3 / 14 + 1) / 2)
    assert r2_score(y.mean(0).expand(4, 2)[:, :1], y[:, :1]).item() == 0
    assert r2_score(y + 1, y)[None].tolist() == [pytest.approx((1 - 4 / 14 + 0) / 2)]  # a constant that is missed
    # An epoch's score is that of all its samples at once, not the mean over its batches.
    totals = Totals()
    for part in (slice(0, 1), slice(1, 4)):
        totals.add(2.0, outcome(y_hat[part], y[part]), len(y[part]))
    scores = totals.scores()
    assert scores.accuracy is None
    assert scores.r2 == pytest.approx(r2_score(y_hat, y).item())
    assert scores.loss == 2.0


def test_bad_arguments_are_refused_by_name() -> None:
    bad: Any = "spikes"
    with refuses(
        "accuracy", "spikes", "'count' or 'membrane' or 'max_membrane' or 'last_membrane' or 'softmax' or 'first_spike'"
    ):
        CERate(accuracy=bad)
    with refuses("correct_rate", 2, "at least 0 and at most 1"):
        MSECount(correct_rate=2)
    with refuses("over_time", "spikes", "'sum' or 'mean' or 'last' or 'every_step'"):
        CEMembrane(over_time=bad)
    for make, refusal in (
        (lambda: CECount(population=0), ("population", 0, "whole number of at least 1")),
        (lambda: CECount(class_weights=bad), ("class_weights", "spikes", "null")),
        (lambda: CECount(class_weights=[1, -1]), ("class_weights[1]", -1, "at least 0")),
        (lambda: CECount(reduction="none"), ("reduction", "none", "'mean' or 'sum'")),
        (lambda: CETemporal(inverse=bad), ("inverse", "spikes", "'negate' or 'reciprocal'")),
        (lambda: MSETemporal(on_time=[1, 2]), ("off_time", 1, "on_time", "2")),
        (lambda: MSETemporal(on_time=[], off_time=[]), ("on_time", [])),
        (lambda: MSETemporal(off_time=bad), ("off_time", "spikes", "whole number")),
        (lambda: VanRossum(tau=0), ("tau", 0, "above 0")),
        (lambda: VanRossum(encoding=bad), ("encoding", "spikes")),
        (lambda: VanRossum(encoding=RateTarget(pattern="poisson")), ("encoding", "a random one")),
        (lambda: RateBounds(lower=0.5), ("upper", 0.2, "at least 0.5")),
        (lambda: Sparsity(layers=bad), ("layers", "spikes", "'all' or 'hidden' or 'output'")),
        (lambda: MSE(readout=bad), ("readout", "spikes", "'mean' or 'last'")),
    ):
        with refuses(*refusal):
            make()


def test_mse_rate_is_the_mean_squared_error_of_the_firing_rate() -> None:
    generator = torch.Generator().manual_seed(0)
    spikes = torch.randint(0, 2, (4, 5, 3), generator=generator).double()
    labels = torch.tensor([0, 2, 1, 1, 0])
    # SpikingJelly's tutorials: F.mse_loss(out_fr, label_onehot)
    error = F.mse_loss(spikes.mean(0), F.one_hot(labels, 3).double())
    torch.testing.assert_close(MSERate()(spikes, spikes, labels), error)
    torch.testing.assert_close(MSECount()(spikes, spikes, labels), 4 * error)
    twice = spikes.repeat_interleave(2, 2)
    torch.testing.assert_close(MSERate(population=2)(twice, twice, labels), error)
    half = F.mse_loss(spikes.mean(0), 0.5 * F.one_hot(labels, 3).double() + 0.25)
    torch.testing.assert_close(MSERate(correct_rate=0.75, incorrect_rate=0.25)(spikes, spikes, labels), half)


@pytest.mark.parametrize(
    ("accuracy", "expected"),
    [("count", [3, 2]), ("first_spike", [2, 1]), ("membrane", [1, 2]), ("last_membrane", [2, 1])],
)
def test_classes_that_share_the_largest_score(accuracy: str, expected: list[int]) -> None:
    spikes = torch.tensor([[[1.0, 1, 0], [0, 1, 0]], [[0, 0, 1], [0, 0, 1]]])  # [2, 2, 3]
    membrane = torch.tensor([[[0.0, 1, 0], [2, 0, 0]], [[1, 1, 0], [0, 2, 0]]])
    loss = CECount(accuracy=accuracy)
    scores = loss.scores(spikes, membrane)
    assert count_ties(scores).tolist() == expected
    assert loss.predict(spikes, membrane).tolist() == scores.argmax(1).tolist()


def test_no_class_shares_what_is_not_a_number() -> None:
    assert count_ties(torch.tensor([[torch.nan, 0.0], [0.0, 0.0]])).tolist() == [1, 2]
