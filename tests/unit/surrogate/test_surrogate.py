"""What every surrogate in conf/ must obey: mathematics, finiteness, values, styles, randomness."""

from __future__ import annotations

import copy
import importlib
import inspect
import math
import pickle
import pkgutil
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import Tensor

import snnrun.surrogate
from snnrun import surrogate
from snnrun.config.build import PartError, build
from snnrun.config.catalogue import conf_folder
from snnrun.errors import Fault
from snnrun.neuron import LIF
from snnrun.sequence import run
from snnrun.surrogate import Surrogate
from snnrun.surrogate.stochastic import BernoulliSurrogate, RandomSurrogate
from support import references
from support.refusals import refuses

CONFIGS = {
    path.stem: yaml.safe_load(path.read_text(encoding="utf-8"))
    for path in sorted((conf_folder() / "surrogate").glob("*.yaml"))
}
EVERY: dict[str, Surrogate] = {name: build(config, "surrogate") for name, config in CONFIGS.items()}
ALIASES = {"deterministic_pass"}  # a second name of another file's surrogate

# Besides the defaults, shapes that are narrow, wide or degenerate.
SHAPES: dict[str, Surrogate] = EVERY | {
    "sigmoid 25": surrogate.Sigmoid(25.0),
    "atan 0.4": surrogate.ATan(0.4),
    "soft_sign 30": surrogate.SoftSign(30.0),
    "q_pseudo_spike 1.2": surrogate.QPseudoSpike(1.2),
    "q_pseudo_spike 7": surrogate.QPseudoSpike(7.0),
    "circ 0.3": surrogate.Circ(0.3),
    "tanh 8": surrogate.Tanh(8.0),
    "erf 7": surrogate.Erf(7.0),
    "fake_numerical_gradient 1.1": surrogate.FakeNumericalGradient(1.1),
    "piecewise_leaky_relu 0.3": surrogate.PiecewiseLeakyReLU(0.3, 0.0),
    "leaky_k_relu": surrogate.LeakyKReLU(0.2, 1.9),
    "log_tailed_relu 0.3": surrogate.LogTailedReLU(0.3),
    "s2nn": surrogate.S2NN(8.0, 0.3),
    "squarewave_fourier_series 5": surrogate.SquarewaveFourierSeries(5, 3.0),
    "multi_level_spike_count window": surrogate.MultiLevelSpikeCount(6, (-0.5, 6.5)),
    "custom with an integral": surrogate.Custom(torch.cos, torch.sin),
    "multi_gaussian": surrogate.MultiGaussian(0.3, 0.5, 3.0, 1.0),
    "multi_gaussian at one place": surrogate.MultiGaussian(shift=0.0),
}


SMOOTH = [name for name, spike in SHAPES.items() if spike.has_primitive]
EXTREME = torch.tensor([-1e30, -1e15, -100, -5, -1, -0.5, -1e-7, -0.0, 0.0, 1e-7, 0.5, 1, 5, 100, 1e15, 1e30])


def gradient(spike: Surrogate, x: Tensor, **options: Any) -> tuple[Tensor, Tensor]:
    x = x.clone().requires_grad_()
    spikes = spike(x, **options)
    return spikes, torch.autograd.grad(spikes.sum(), x)[0]


def generator_of(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# conf/surrogate


def test_every_surrogate_has_a_file() -> None:
    kinds = set()
    for module in pkgutil.iter_modules(snnrun.surrogate.__path__):
        members = vars(importlib.import_module(f"snnrun.surrogate.{module.name}")).values()
        kinds |= {kind for kind in members if inspect.isclass(kind) and issubclass(kind, Surrogate)}
    usable = {kind for kind in kinds if not inspect.isabstract(kind)}
    assert {type(spike) for spike in EVERY.values()} == usable
    assert {kind.__name__ for kind in kinds} <= set(snnrun.surrogate.__all__)
    assert len({repr(spike) for spike in EVERY.values()}) == len(EVERY) - len(ALIASES)


# mathematics


@pytest.mark.parametrize("name", SMOOTH)
def test_the_derivative_is_that_of_the_primitive(name: str) -> None:
    x = torch.linspace(-4.973, 4.987, 101, dtype=torch.float64, requires_grad=True)  # no point on a kink
    assert torch.autograd.gradcheck(lambda x: SHAPES[name](x, spiking=False), x)


@pytest.mark.parametrize("name", SMOOTH)
def test_the_primitive_is_continuous(name: str) -> None:
    grid = torch.linspace(-5, 5, 41, dtype=torch.float64)  # where pieces may meet
    below, above = (SHAPES[name].primitive(grid + step) for step in (-1e-9, 1e-9))
    torch.testing.assert_close(below, above, rtol=0, atol=1e-7)


BELLS = [
    "atan",
    "circ",
    "erf",
    "erfc",
    "fast_sigmoid",
    "gaussian",
    "multi_gaussian",
    "piecewise_exp",
    "piecewise_quadratic",
    "q_pseudo_spike",
    "rectangular",
    "sigmoid",
    "soft_sign",
    "sparse_fast_sigmoid",
    "spike_rate_escape",
    "super_spike",
    "tanh",
    "triangular",
]


@pytest.mark.parametrize("name", BELLS)
def test_a_bell_is_even_and_its_primitive_bounded(name: str) -> None:
    spike = EVERY[name]
    x = torch.linspace(0, 6, 61, dtype=torch.float64)
    assert torch.equal(spike.derivative(x), spike.derivative(-x))
    assert spike.derivative(x).argmax() == 0
    middle, far = spike.primitive(x[:1]), torch.tensor([1e15], dtype=torch.float64)
    torch.testing.assert_close(spike.primitive(x) + spike.primitive(-x), 2 * middle.expand(61))
    assert spike.primitive(far) - spike.primitive(-far) < 1e3


@pytest.mark.parametrize(
    ("name", "area"),
    {
        "atan": 1,
        "erf": 1,
        "gaussian": 1,
        "multi_gaussian": 0.5 * (1 - 0.15),
        "piecewise_exp": 1,
        "piecewise_quadratic": 1,
        "q_pseudo_spike": 1,
        "rectangular": 1,
        "sigmoid": 1,
        "soft_sign": 1,
        "triangular": 1,
        "tanh": 2,  # the four below have a height for a parameter instead
        "erfc": 2,
        "circ": 2,
        "super_spike": 2,
        "fast_sigmoid": 2 / 25,
        "spike_rate_escape": 50,
    }.items(),
)
def test_the_area_under_a_derivative(name: str, area: float) -> None:
    far = torch.tensor([-1e12, 1e12], dtype=torch.float64)
    low, high = EVERY[name].primitive(far).tolist()
    assert high - low == pytest.approx(area, rel=1e-9)
    # and the numerical integral of the derivative, over a range that holds nearly all of it, agrees
    x = torch.linspace(-400, 400, 400_001, dtype=torch.float64)
    assert torch.trapezoid(EVERY[name].derivative(x), x).item() == pytest.approx(area, rel=0.01)


def test_the_normal_distributions_of_the_gaussians() -> None:
    x = torch.linspace(-3, 3, 31, dtype=torch.float64)

    def density(mean: float, deviation: float) -> Tensor:
        return torch.distributions.Normal(mean, deviation, validate_args=False).log_prob(x).exp()

    torch.testing.assert_close(surrogate.Gaussian(0.7).derivative(x), density(0, 0.7))
    expected = 0.5 * (1.15 * density(0, 0.5) - 0.15 * density(0.5, 3) - 0.15 * density(-0.5, 3))
    torch.testing.assert_close(surrogate.MultiGaussian().derivative(x), expected)
    assert surrogate.MultiGaussian().derivative(torch.tensor([2.0])) < 0
    together = 0.5 * (1.15 * density(0, 0.5) - 2 * 0.15 * density(0, 3))
    torch.testing.assert_close(surrogate.MultiGaussian(shift=0.0).derivative(x), together)


def test_surrogates_that_agree_where_they_should() -> None:
    x = torch.linspace(-3.1, 3.1, 62, dtype=torch.float64)
    for one, other in [
        (surrogate.Gaussian(0.5), surrogate.Erf(2**0.5)),
        (surrogate.PiecewiseQuadratic(1.0), surrogate.Triangular(1.0)),
        (surrogate.PiecewiseLeakyReLU(0.25, 0.0), surrogate.Rectangular(2.0)),
        (surrogate.SuperSpike(1.0), surrogate.FastSigmoid(1.0)),
        (surrogate.SparseFastSigmoid(25.0, 10.0), surrogate.FastSigmoid(25.0)),
        (surrogate.SpikeRateEscape(2.0, 1.0), surrogate.PiecewiseExp(2.0)),
        (surrogate.QPseudoSpike(2.0), surrogate.SoftSign(2.0)),
        (surrogate.LeakyKReLU(0.0, 1.0), surrogate.Heaviside()),
        (surrogate.LeakySpikeOperator(1.0), surrogate.StraightThrough()),
        (surrogate.StochasticSpikeOperator(0.5, 0.2), surrogate.LeakySpikeOperator(0.1)),
        (surrogate.MultiGaussian(0.5, 0.0, 6.0, 1.0), surrogate.Gaussian(0.5)),
    ]:
        torch.testing.assert_close(one.derivative(x), other.derivative(x))


# spikes and gradients


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_spikes_are_0_or_1_and_gradients_finite_in_every_dtype(name: str, dtype: torch.dtype) -> None:
    spike, x = SHAPES[name], EXTREME.to(dtype)
    spikes, grad = gradient(spike, x, generator=generator_of())
    assert spikes.dtype == grad.dtype == dtype
    assert spikes.shape == grad.shape == x.shape
    assert grad.isfinite().all()
    if isinstance(spike, surrogate.MultiLevelSpikeCount):
        assert spikes.tolist() == [0] * 11 + [1] + [min(5, spike.max_spike_count)] + [spike.max_spike_count] * 3
    elif isinstance(spike, BernoulliSurrogate):
        assert set(spikes.tolist()) == {0, 1}
        assert not spikes[:2].any() and spikes[-2:].all()  # certain
    else:
        assert spikes.tolist() == [0] * 9 + [1] * 7
        assert gradient(spike, x, inclusive=True)[0].tolist() == [0] * 7 + [1] * 9
    if spike.has_primitive:
        value, grad = gradient(spike, x, spiking=False)
        assert value.dtype == grad.dtype == dtype
        assert value.isfinite().all() and grad.isfinite().all()
        if dtype == torch.float64:
            assert value.equal(spike.primitive(x))


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("spiking", [True, False])
def test_a_spike_function_can_be_differentiated_twice(name: str, spiking: bool) -> None:
    spike = SHAPES[name]
    if not (spiking or spike.has_primitive):
        return
    x = EXTREME.clone().requires_grad_()
    (grad,) = torch.autograd.grad(spike(x, spiking=spiking).sum(), x, create_graph=True)
    if grad.requires_grad:  # else it is constant in x
        assert torch.autograd.grad(grad.sum(), x)[0].isfinite().all()
    if spiking and not isinstance(spike, RandomSurrogate):
        x = torch.linspace(-2.973, 2.987, 41, dtype=torch.float64, requires_grad=True)
        (grad,) = torch.autograd.grad(spike(x).sum(), x, create_graph=True)
        second = torch.autograd.grad(grad.sum(), x)[0] if grad.requires_grad else torch.zeros_like(x)
        step = 1e-6
        with torch.no_grad():
            expected = (spike.derivative(x + step) - spike.derivative(x - step)) / (2 * step)
        torch.testing.assert_close(second, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", [name for name, spike in EVERY.items() if not isinstance(spike, RandomSurrogate)])
def test_a_spike_function_can_be_vmapped(name: str) -> None:
    spike, x = EVERY[name], torch.randn(7, 3, generator=generator_of())
    for spiking in (True, False) if spike.has_primitive else (True,):
        per_row = torch.func.vmap(torch.func.grad(lambda row, spiking=spiking: spike(row, spiking=spiking).sum()))(x)
        torch.testing.assert_close(per_row, spike.derivative(x))


def test_spiking_false_runs_the_primitive_of_those_that_have_one() -> None:
    without = {name for name, spike in EVERY.items() if not spike.has_primitive}
    assert without == {"custom", "stochastic_spike_operator"}
    for name in without:
        with refuses("surrogate", f"surrogate={name}, which has no primitive", "spiking=false", "atan, circ,"):
            EVERY[name](torch.zeros(1), spiking=False)


def test_the_gradient_of_the_primitive_ignores_the_window_of_the_counts() -> None:
    x = torch.tensor([-0.3, 0.3, 6.3])
    spike = surrogate.MultiLevelSpikeCount(6, (-0.5, 6.5))
    assert gradient(spike, x)[1].tolist() == [1, 1, 1]
    assert gradient(spike, x, spiking=False)[1].tolist() == [0, 1, 0]


def test_counts_round_halves_to_even() -> None:
    x = torch.tensor([0.5, 1.5, 2.5, 3.49, 9.0])
    assert surrogate.MultiLevelSpikeCount(3)(x).tolist() == [0, 2, 2, 3, 3]


# values


@pytest.mark.parametrize("name", EVERY)
def test_a_surrogate_is_a_value(name: str) -> None:
    spike, again = EVERY[name], build(CONFIGS[name], "surrogate")
    assert again == spike and hash(again) == hash(spike)
    assert copy.deepcopy(spike) == spike == pickle.loads(pickle.dumps(spike))
    with pytest.raises(AttributeError):
        spike.anything = 1  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("name", "parameter"), [(name, field.name) for name, spike in EVERY.items() for field in fields(spike)]
)
@pytest.mark.parametrize("value", [math.nan, "1", True], ids=repr)
def test_what_is_no_number_is_refused(name: str, parameter: str, value: Any) -> None:
    arguments = {field.name: getattr(EVERY[name], field.name) for field in fields(EVERY[name])}
    with pytest.raises(ValueError, match=rf"{parameter}.*: expected"):
        type(EVERY[name])(**arguments | {parameter: value})


@pytest.mark.parametrize(
    ("kind", "arguments", "refusal"),
    [
        (surrogate.ATan, {"alpha": -1}, ("alpha", -1, "above 0")),
        (surrogate.LeakyKReLU, {"leak": -0.1}, ("leak", -0.1, "at least 0")),
        (surrogate.LeakyKReLU, {"k": 0}, ("k", 0, "above 0")),
        (surrogate.QPseudoSpike, {"alpha": 1}, ("alpha", 1, "above 1")),
        (surrogate.StochasticSpikeOperator, {"variance": -1}, ("variance", -1, "at least 0")),
        (surrogate.SquarewaveFourierSeries, {"n": 1}, ("n", 1, "whole number of at least 2")),
        (surrogate.SquarewaveFourierSeries, {"T_period": 0}, ("T_period", 0, "above 0")),
        (
            surrogate.MultiLevelSpikeCount,
            {"max_spike_count": 0},
            ("max_spike_count", 0, "whole number of at least 1"),
        ),
        (surrogate.MultiLevelSpikeCount, {"grad_window": [1]}, ("grad_window", [1], "two numbers")),
        (surrogate.MultiLevelSpikeCount, {"grad_window": [2, 1]}, ("grad_window[1]", 1, "at least 2")),
        (surrogate.Custom, {"function": 3}, ("function", 3)),
        (surrogate.Custom, {"function": torch.cos, "integral": 3}, ("integral", 3)),
    ],
)
def test_refusals(kind: Any, arguments: dict[str, Any], refusal: tuple[Any, ...]) -> None:
    with refuses(*refusal) as direct:
        kind(**arguments)
    assert direct.value.argument in arguments
    target = f"snnrun.surrogate.{kind.__name__}"
    with pytest.raises(PartError) as of_part:
        build({"_target_": target, **arguments}, "surrogate")
    assert of_part.value.fault == Fault.of(direct.value, f"surrogate.{direct.value.name}")


def test_a_mean_may_be_negative_and_a_window_a_list() -> None:
    x = torch.tensor([-1.0])
    assert surrogate.StochasticSpikeOperator(-1.0, 0.5).derivative(x).item() == -0.5
    assert surrogate.MultiLevelSpikeCount(4, [0, 3]) == surrogate.MultiLevelSpikeCount(4, (0.0, 3.0))  # type: ignore[arg-type]


def test_the_function_of_a_custom_surrogate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "waves_of_tests.py").write_text("def cos(x):\n    return x.cos()\n\ndef sin(x):\n    return x.sin()\n")
    monkeypatch.syspath_prepend(tmp_path)
    names = {"function": "waves_of_tests.cos", "integral": "waves_of_tests.sin"}
    config = {"_target_": "snnrun.surrogate.Custom", **names}
    with pytest.raises(PartError, match=r"waves_of_tests\.cos is code outside snnrun") as error:
        build(config, "surrogate")
    assert error.value.path == "surrogate.function"
    spike = build(config, "surrogate", trusted=["waves_of_tests"])
    x = torch.linspace(-1, 1, 9)
    torch.testing.assert_close(gradient(EVERY["custom"], x)[1], surrogate.FastSigmoid(25.0).derivative(x))
    torch.testing.assert_close(spike(x, spiking=False), x.sin())
    with refuses("function", [], "[9]"):
        gradient(surrogate.Custom(torch.sum), x)
    with refuses("function", 1):
        surrogate.Custom(lambda x: 1).derivative(x)  # type: ignore[arg-type, return-value]


@pytest.mark.parametrize("name", [name for name in EVERY if name not in ALIASES])
def test_module_style_and_function_style_agree(name: str) -> None:
    spike, style = EVERY[name], getattr(surrogate, name)
    parameters = [getattr(spike, field.name) for field in fields(spike)]
    x = torch.linspace(-1, 1, 21)
    spikes, grad = gradient(spike, x, generator=generator_of())
    x.requires_grad_()
    again = style(x, *parameters, generator=generator_of())
    assert torch.equal(again, spikes)
    assert torch.equal(torch.autograd.grad(again.sum(), x)[0], grad)
    options = dict(zip((field.name for field in fields(spike)), parameters, strict=True))
    assert torch.equal(style(x, generator=generator_of(), **options), spikes)
    if not isinstance(spike, BernoulliSurrogate | surrogate.MultiLevelSpikeCount):
        assert style(torch.zeros(1), *parameters, inclusive=True).item() == 1


# randomness

RANDOM = [name for name, spike in EVERY.items() if isinstance(spike, RandomSurrogate)]


@pytest.mark.parametrize("name", RANDOM)
def test_random_surrogates_draw_from_the_generator_alone(name: str) -> None:
    spike, x = EVERY[name], torch.linspace(-2, 2, 100)
    before = torch.get_rng_state()
    first = torch.stack(gradient(spike, x, generator=generator_of(1)))
    assert torch.equal(torch.stack(gradient(spike, x, generator=generator_of(1))), first)
    assert not torch.equal(torch.stack(gradient(spike, x, generator=generator_of(2))), first)
    assert torch.equal(torch.get_rng_state(), before)
    # no generator: torch's own
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        assert torch.equal(torch.stack(gradient(spike, x)), first)


def test_the_others_draw_nothing() -> None:
    before = torch.get_rng_state()
    generator = generator_of()
    for name in EVERY.keys() - set(RANDOM):
        gradient(EVERY[name], EXTREME, generator=generator)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(generator.get_state(), generator_of().get_state())


def test_a_random_gradient_is_drawn_forwards() -> None:
    x = torch.full((50,), -1.0, requires_grad=True)
    spikes = surrogate.StochasticSpikeOperator()(x, generator=generator_of())
    first, second = (torch.autograd.grad(spikes.sum(), x, retain_graph=True)[0] for _ in range(2))
    assert torch.equal(first, second)
    assert first.unique().numel() > 40


def test_small_probabilities_survive_low_precision() -> None:
    x = torch.full((200_000,), 2.0**-12, dtype=torch.bfloat16)
    rate = surrogate.PoissonPass()(x, generator=generator_of()).float().mean().item()
    assert rate == pytest.approx(2.0**-12, rel=0.6)  # 49 spikes expected, standard deviation 7


# in a neuron


def test_which_surrogates_a_fused_execution_supports() -> None:
    assert {name for name, spike in EVERY.items() if not spike.is_step} == {*RANDOM, "multi_level_spike_count"}

    @dataclass(frozen=True)
    class Own(surrogate.ATan):
        def __call__(self, x: Tensor, **options: Any) -> Tensor:
            return super().__call__(x - 1, **options)

    assert not Own().is_step


def test_a_neuron_resets_by_its_number_of_spikes() -> None:
    neuron = LIF(1.0, surrogate=surrogate.MultiLevelSpikeCount(4))
    trace, _ = run(neuron, torch.tensor([3.2, 0.0, 0.0]).view(3, 1, 1), backend="reference")
    # u = 3.2: x = u - θ = 2.2, two spikes; then u = 1.2, x = 0.2, none
    assert trace.spikes.flatten().tolist() == [2, 0, 0]
    torch.testing.assert_close(trace.membrane.flatten(), references.tensor([3.2, 1.2, 1.2]))
