"""What every surrogate, encoder, loss and regulariser in ``conf/`` promises, each by itself."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
import torch
from torch import Generator, Tensor

from snnrun.loss import Loss, Regulariser
from snnrun.sequence import run
from snnrun.surrogate import Surrogate
from support.catalogued import each_option, neurons, options, part

DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64], ids=str)
STEPS = 12


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=Generator().manual_seed(seed))


@pytest.mark.parametrize(("group", "option"), each_option("surrogate", "encoder", "loss", "regulariser", "optimizer"))
def test_a_part_is_a_value(group: str, option: str) -> None:
    original = part(group, option)
    for twin in (part(group, option), copy.deepcopy(original), pickle.loads(pickle.dumps(original))):
        assert type(twin) is type(original)
        if group != "optimizer":  # a partial, which compares by identity
            assert twin == original
            assert repr(twin) == repr(original)


# surrogates; their mathematics is tested in tests/surrogate


@pytest.mark.parametrize("option", options("surrogate"))
@DTYPES
def test_a_neuron_with_every_surrogate(option: str, dtype: torch.dtype) -> None:
    """Spikes, gradients, silence, and that a loop of steps is the whole, whatever the execution."""
    neuron, spike = neurons("neuron", "lif", surrogate=option).to(dtype), part("surrogate", option)
    x = (6 * random(STEPS, 3, 3) - 1).to(dtype).requires_grad_()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        trace, _ = run(neuron, x)
        torch.manual_seed(0)
        loop, _ = run(neuron, x, backend="reference")
        silent, _ = run(neurons("neuron", "lif", surrogate=option), torch.zeros(STEPS, 3, 3))
    assert trace.spikes.dtype == trace.membrane.dtype == dtype
    assert set(trace.spikes.unique().tolist()) <= set(range(getattr(spike, "max_spike_count", 1) + 1))
    assert trace.spikes.any()
    assert not silent.spikes.any() or fires_at_rest(spike)
    parameters = [x, *neuron.parameters()]
    gradients = [torch.autograd.grad(one.spikes.sum() + one.membrane.sum(), parameters) for one in (trace, loop)]
    for gradient, expected in zip(*gradients, strict=True):
        assert gradient.isfinite().all()
        assert gradient.any()
        if dtype is torch.float64:
            torch.testing.assert_close(gradient, expected)
    if dtype is torch.float64:
        assert torch.equal(trace.spikes, loop.spikes)


def fires_at_rest(spike: Surrogate) -> bool:
    """Whether spikes are drawn with a probability that is above 0 one threshold below the threshold."""
    probability = getattr(spike, "probability", None)
    return probability is not None and bool(probability(torch.tensor(-1.0)) > 0)


# encoders


@pytest.mark.parametrize("option", options("encoder"))
@DTYPES
def test_an_encoder_keeps_nothing_and_draws_from_its_generator_alone(option: str, dtype: torch.dtype) -> None:
    encoder = part("encoder", option)
    assert encoder.takes_still or encoder.takes_sequence
    for accepts, steps in ((encoder.takes_still, 1), (encoder.takes_sequence, STEPS)):
        if not accepts:
            continue
        x = random(steps, 5, 3, 2).to(dtype)
        x = x if encoder.takes_still else (x > 0.6).to(dtype)  # a spike train
        before, ambient = x.clone(), torch.get_rng_state()

        def encode(x: Tensor, seed: int = 1) -> Tensor:
            code: Tensor = encoder(x, STEPS, Generator().manual_seed(seed))
            return code

        y = encode(x)
        assert y.dtype == dtype
        assert y.shape == (STEPS, 5, *encoder.output_shape((3, 2)))
        current = bool((y == y[0]).all())  # what does not change is no code of spikes, but a current
        assert current or set(y.unique().tolist()) == {0.0, 1.0}
        encode(x[:, :2], 2)  # another batch, of another size
        assert torch.equal(encode(x), y)
        assert torch.equal(x, before)
        assert torch.equal(torch.get_rng_state(), ambient)
        if torch.equal(encode(x, 3), y):  # nothing is drawn
            assert torch.equal(encode(x[:, 3:4]), y[:, 3:4]), "a sample's code is its own"
        # To receptive fields a zero is a value like any other, and latency without `clip` fires last of all.
        fires_on_zeros = hasattr(encoder, "neurons") or not getattr(encoder, "clip", True)
        assert bool(encode(torch.zeros_like(x)).any()) == fires_on_zeros


# losses and regularisers


@pytest.mark.parametrize("option", options("loss"))
@pytest.mark.parametrize("activity", ["some", "silent", "saturated"])
@DTYPES
def test_a_loss_is_finite_and_has_a_gradient(option: str, activity: str, dtype: torch.dtype) -> None:
    loss: Loss = part("loss", option)
    share = {"some": 0.3, "silent": 0.0, "saturated": 1.0}[activity]
    spikes = (random(9, 4, 3) < share).to(dtype).requires_grad_()
    membrane = (2 * random(9, 4, 3, seed=1) - 1).to(dtype).requires_grad_()
    labels = torch.tensor([0, 2, 1, 1])
    shape: tuple[int, ...] = (4, 9) if loss.needs_steps else (4,)
    labels = labels[:, None].expand(shape) if loss.needs_steps else labels
    target: Any = random(*shape, 3).to(dtype) if loss.needs_values else labels if loss.needs_labels else None
    value = loss(spikes, membrane, target)
    assert value.shape == ()
    assert value.dtype == dtype
    assert value.isfinite()
    by_input = torch.autograd.grad(value, (spikes, membrane), allow_unused=True)
    gradients = [gradient for gradient in by_input if gradient is not None]
    assert all(bool(gradient.isfinite().all()) for gradient in gradients)
    # Where silence is the target there is nothing left to learn; a loss that compares samples cannot tell equals apart.
    at_optimum = activity == "silent" and not (loss.needs_labels or loss.needs_values)
    at_optimum |= activity != "some" and hasattr(loss, "kernel")
    assert any(bool(gradient.any()) for gradient in gradients) != at_optimum
    prediction = loss.predict(spikes.detach(), membrane.detach())
    assert prediction.shape == ((*shape, 3) if loss.needs_values else shape)
    assert prediction.dtype == (dtype if loss.needs_values else torch.int64)
    # A batch of one sample, and after it the same again: nothing is kept.
    loss(spikes[:, :1], membrane[:, :1], None if target is None else target[:1])
    assert torch.equal(loss(spikes, membrane, target), value)


@pytest.mark.parametrize("option", options("regulariser"))
@DTYPES
def test_a_regulariser_is_zero_somewhere_and_has_a_gradient_elsewhere(option: str, dtype: torch.dtype) -> None:
    regulariser: Regulariser = part("regulariser", option)
    trains = [(random(9, 4, 3, 2) < share).to(dtype).requires_grad_() for share in (0.6, 0.9)]
    value = regulariser({"hidden1": trains[0], "output": trains[1]})
    assert value.shape == ()
    assert value.dtype == dtype
    assert value > 0
    for gradient in torch.autograd.grad(value, trains):
        assert gradient.isfinite().all()
        assert gradient.any()
    costs = [regulariser({"output": torch.full((9, 4, 3), rate, dtype=dtype)}) for rate in (0.0, 0.1, 1.0)]
    assert min(costs) == 0
    assert max(costs) > 0
