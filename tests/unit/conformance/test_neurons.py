"""What every neuron and read-out in ``conf/`` promises, one layer at a time."""

from __future__ import annotations

import copy
import itertools
import pickle
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call

from snnrun.model import Layer
from snnrun.neuron import LinearNeuron, Neuron, SequenceNeuron
from snnrun.sequence import run
from support.catalogued import EVERY as EVERY_OPTION
from support.catalogued import each_option, neurons, options, part, raw

EVERY = pytest.mark.parametrize(("group", "option"), each_option("neuron", "readout"))
POINTS = {"reset": ("subtract", "zero", "none"), "reset_timing": ("same", "delayed"), "detach_reset": (True, False)}
DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64], ids=str)


def conventions() -> list[Any]:
    """Every neuron with every way to reset, as far as it has the choice."""
    parameters = []
    for group, option in (pair for pair in EVERY_OPTION if pair[0] in ("neuron", "readout")):
        free_points = {point: choices for point, choices in POINTS.items() if point in raw(group, option)}
        every = list(itertools.product(*free_points.values()))
        for i, choice in enumerate(every):
            convention: dict[str, Any] = dict(zip(free_points, choice, strict=True))
            convention["fires_at"] = ">" if convention.get("detach_reset", True) else ">="
            name = f"{option} {' '.join(f'{key}={value}' for key, value in convention.items())}"
            marks = () if i in (0, len(every) // 2, len(every) - 1) else (pytest.mark.long,)
            parameters.append(pytest.param(group, option, convention, id=name, marks=marks))
    return parameters


IN_EVERY_CONVENTION = pytest.mark.parametrize(("group", "option", "convention"), conventions())


@pytest.fixture(autouse=True)
def same_weights() -> Iterator[None]:
    """Some weights are drawn from torch's generator."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def values(*shape: int, low: float = -2.0, high: float = 8.0) -> Tensor:
    """Input that makes every neuron fire now and then."""
    return low + (high - low) * torch.rand(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def levels(neuron: Neuron) -> set[float] | None:
    """The spikes that there may be: 0 and 1, several at once for a graded neuron, None for any number."""
    if hasattr(neuron, "activation"):
        return None  # it passes its membrane on
    return set(range(getattr(neuron, "max_spikes", 1) + 1)) if neuron.spiking else {0.0}


def check_spikes(neuron: Neuron, spikes: Tensor, state: Any) -> None:
    allowed_values = levels(neuron)
    assert allowed_values is None or set(spikes.unique().tolist()) <= allowed_values
    assert set(state.spikes.unique().tolist()) <= (allowed_values or {0.0, 1.0})


def scalar(trace: Sequence[Tensor]) -> Tensor:
    """A loss that looks at every spike and every membrane."""
    return sum((torch.cos(torch.arange(t.numel(), device=t.device).to(t.dtype)).view_as(t) * t).sum() for t in trace)  # type: ignore[return-value]


def gradients(neuron: nn.Module, x: Tensor, trace: Sequence[Tensor]) -> dict[str, Tensor]:
    parameters = dict(neuron.named_parameters())
    tensors = torch.autograd.grad(scalar(trace), [x, *parameters.values()], materialize_grads=True)
    return dict(zip(["x", *parameters], tensors, strict=True))


def by_step(neuron: Neuron, x: Tensor) -> tuple[Tensor, Tensor]:
    """The definition: a loop of ``step`` from the initial state."""
    state = neuron.initial_state(x[0])
    spikes, membranes = [], []
    for x_t in x:
        s, state = neuron.step(x_t, state)
        spikes.append(s)
        membranes.append(state.membrane)
    return torch.stack(spikes), torch.stack(membranes)


@EVERY
@DTYPES
def test_forwards_and_backwards_in_every_dtype(group: str, option: str, dtype: torch.dtype) -> None:
    active = False
    for shape in ((5,), (2, 3, 3)):
        neuron = neurons(group, option, shape).to(dtype)
        x = values(8, 2, *shape).to(dtype).requires_grad_()
        trace, state = run(neuron, x)
        assert trace.spikes.shape == trace.membrane.shape == x.shape
        assert state.membrane.shape == state.spikes.shape == x.shape[1:]
        assert {t.dtype for t in (*trace[:2], *state) if t.dim()} == {dtype}
        check_spikes(neuron, trace.spikes, state)
        active |= bool(trace.spikes.any())
        for name, gradient in gradients(neuron, x, trace[:2]).items():
            assert gradient.dtype == dtype, name
            assert bool(gradient.isfinite().all()), name
            assert bool(gradient.any()), name
    assert active == neuron.spiking


@IN_EVERY_CONVENTION
def test_input_far_beyond_the_threshold_keeps_all_finite(group: str, option: str, convention: dict[str, Any]) -> None:
    """An upstroke, or a membrane that no spike brings down, could overflow."""
    neuron = neurons(group, option, **convention)
    ranges = ((-300.0, 300.0), (0.0, 300.0), (-300.0, 0.0))
    x = torch.cat([values(8, 2, 3, low=low, high=high) for low, high in ranges], 1).float().requires_grad_()
    trace, _ = run(neuron, x)
    assert bool(trace.spikes.isfinite().all() and trace.membrane.isfinite().all())
    assert all(bool(gradient.isfinite().all()) for gradient in gradients(neuron, x, trace[:2]).values())


@IN_EVERY_CONVENTION
def test_silent_input_stays_silent(group: str, option: str, convention: dict[str, Any]) -> None:
    # An analogue neuron passes on f(u), which is silent where f(0) = 0: not with its sigmoid.
    neuron = neurons(group, option, learn=False, activation="relu", **convention)
    trace, _ = run(neuron, torch.zeros(8, 2, 3))
    assert not trace.spikes.any()
    # An exponential upstroke and a constant leak are at work at rest already.
    assert bool(trace.membrane.any()) == any(hasattr(neuron, name) for name in ("delta_T", "linear_decay"))


@IN_EVERY_CONVENTION
def test_a_loop_of_steps_is_the_whole_sequence(group: str, option: str, convention: dict[str, Any]) -> None:
    """By whatever execution ``auto`` means, in values and gradients; so is a sequence run in parts."""
    neuron = neurons(group, option, **convention).double()
    x = values(8, 2, 3).requires_grad_()
    whole, end = run(neuron, x)
    expected = gradients(neuron, x, whole[:2])
    if neuron.needs_all_steps:
        assert isinstance(neuron, SequenceNeuron)
        with pytest.raises(ValueError, match="expected the whole sequence"):
            neuron.step(x[0], neuron.initial_state(x[0]))
        return
    loop = by_step(neuron, x)
    first, state = run(neuron, x[:3])
    second, last = run(neuron, x[3:], state)
    parts = [torch.cat(pair) for pair in zip(first[:2], second[:2], strict=True)]
    for spikes, membrane in (loop, parts):
        assert torch.equal(spikes, whole.spikes) or levels(neuron) is None
        torch.testing.assert_close(spikes, whole.spikes)
        torch.testing.assert_close(membrane, whole.membrane)
        for name, gradient in gradients(neuron, x, (spikes, membrane)).items():
            torch.testing.assert_close(gradient, expected[name], msg=name)
    for one, other in zip(end, last, strict=True):
        torch.testing.assert_close(one, other)


@EVERY
def test_graded_and_random_spikes(group: str, option: str) -> None:
    """With the surrogates that are no plain step, the spikes are those they make, and a reset happens once."""
    others = [name for name in options("surrogate") if not part("surrogate", name).is_step]
    multi_spike = [name for name in others if hasattr(part("surrogate", name), "max_spike_count")]
    assert multi_spike
    for surrogate, convention in (
        *zip(others, itertools.cycle(options("convention")), strict=False),
        *itertools.product(multi_spike, options("convention")),
    ):
        spike = part("surrogate", surrogate)
        neuron = neurons(group, option, convention=convention, surrogate=surrogate)
        x = values(8, 2, 3).requires_grad_()
        trace, _ = run(neuron.double(), x)
        allowed_values, count = levels(neuron), getattr(spike, "max_spike_count", 1)
        assert allowed_values is None or set(trace.spikes.unique().tolist()) <= set(
            range(int(max(allowed_values)) * count + 1)
        )
        assert all(bool(gradient.isfinite().all()) for gradient in gradients(neuron, x, trace[:2]).values())
        reset_to_zero = trace.spikes[:-1] > 0  # by a reset to zero, from which a single input leads on
        if allowed_values and neuron.reset == "zero" and type(neuron).step is LinearNeuron.step and not neuron.delayed:
            torch.testing.assert_close(trace.membrane[1:][reset_to_zero], neuron.integrate(0 * x, x)[1:][reset_to_zero])


@EVERY
def test_a_neuron_is_a_value_without_hidden_state(group: str, option: str) -> None:
    neuron, x = neurons(group, option), values(8, 4, 3).float()
    expected, _ = run(neuron, x)
    alone, _ = run(neuron, x[:, 1:2])  # another batch size, and then back, without a reset
    torch.testing.assert_close(alone.membrane, expected.membrane[:, 1:2])
    fresh = neurons(group, option)  # with weights of its own, if it draws any
    fresh.load_state_dict(neuron.state_dict())
    for other in (neuron, copy.deepcopy(neuron), pickle.loads(pickle.dumps(neuron)), fresh):
        assert [name for name, _ in other.named_parameters()] == [name for name, _ in neuron.named_parameters()]
        again, _ = run(other, x)
        assert torch.equal(again.spikes, expected.spikes)
        assert torch.equal(again.membrane, expected.membrane)


@EVERY
def test_one_module_is_used_twice_in_one_graph(group: str, option: str) -> None:
    """Twice with its own parameters, and once more with others in their place, as ``torch.func`` does."""
    layer, x = Layer(nn.Identity(), neurons(group, option).double()), values(8, 2, 3).requires_grad_()
    one, other = (gradients(layer, x, layer(gain * x)[:2]) for gain in (1.0, 0.7))
    both = gradients(layer, x, (*layer(x)[:2], *layer(0.7 * x)[:2]))
    for name, gradient in both.items():
        torch.testing.assert_close(gradient, one[name] + other[name], msg=name)

    other_layer = copy.deepcopy(layer)
    with torch.no_grad():
        for parameter in other_layer.parameters():
            parameter.mul_(0.9)
    leaves = {name: value.detach().clone().requires_grad_() for name, value in other_layer.named_parameters()}
    own, with_leaves, expected = layer(x), functional_call(layer, leaves, (x,)), other_layer(x)
    assert torch.equal(with_leaves.spikes, expected.spikes)
    assert torch.equal(with_leaves.membrane, expected.membrane)
    if leaves:
        pairs = torch.autograd.grad(scalar(own[:2]) + scalar(with_leaves[:2]), [*leaves.values(), *layer.parameters()])
        alone = [*gradients(other_layer, x, expected[:2]).values()][1:] + [*one.values()][1:]
        for gradient, of_one in zip(pairs, alone, strict=True):
            torch.testing.assert_close(gradient, of_one)
