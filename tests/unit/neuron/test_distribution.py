"""Parameters drawn for each neuron: their range, their distribution, their stream, and what is refused."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from snnrun.errors import ArgumentError
from snnrun.neuron import LI, LIF, PLIF, SLSTM, AdLIF, Alpha, Synaptic
from snnrun.neuron.distribution import Distribution
from snnrun.neuron.value import Value
from snnrun.sequence import run
from support.catalogued import neurons, options, raw
from support.refusals import refuses

MANY = (4000,)


@pytest.fixture(autouse=True)
def same_draws() -> Iterator[None]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def tau_of(neuron: Any) -> Tensor:
    return -1 / torch.log(neuron.beta())


@pytest.mark.parametrize("learn", [False, True])
def test_a_uniform_time_constant(learn: bool) -> None:
    tau = tau_of(LIF(tau="uniform(5,25)", learn_beta=learn, shape=MANY)).detach()
    assert tau.shape == MANY
    assert 5 <= tau.min() < 5.1
    assert 24.9 < tau.max() <= 25.01  # of a decay in single precision
    assert tau.mean().item() == pytest.approx(15, abs=4 * 20 / math.sqrt(12 * MANY[0]))


def test_a_normal_time_constant() -> None:
    tau = tau_of(LIF(tau="normal( 20, 5e-1 )", shape=MANY))
    assert tau.mean().item() == pytest.approx(20, abs=4 * 0.5 / math.sqrt(MANY[0]))
    assert tau.std().item() == pytest.approx(0.5, rel=0.05)


def test_a_time_constant_whose_logarithm_is_uniform() -> None:
    tau = tau_of(LIF(tau="log_uniform(1,100)", shape=MANY))
    assert 1 <= tau.min() < 1.02
    assert 98 < tau.max() <= 100.1  # of a decay in single precision
    assert tau.log().mean().item() == pytest.approx(math.log(10), abs=4 * math.log(100) / math.sqrt(12 * MANY[0]))


def test_draws_out_of_range_are_drawn_again() -> None:
    beta = LIF(beta="uniform(0.5,1.5)", shape=MANY).beta()
    assert isinstance(beta, Tensor)
    assert beta.max() <= 1
    # The rest keeps its shape: a distribution cut to the range, with nothing piled up at its end.
    assert beta.mean().item() == pytest.approx(0.75, abs=0.01)
    assert (beta == 1).sum() <= 1
    positive = LIF(threshold="normal(0,1)", shape=MANY).threshold()
    assert isinstance(positive, Tensor)
    assert positive.min() > 0
    assert positive.mean().item() == pytest.approx(math.sqrt(2 / math.pi), abs=0.05)  # of a half normal


def test_the_draws_are_from_torchs_generator() -> None:
    def draw() -> Tensor:
        return torch.as_tensor(LIF(tau="uniform(5,25)", shape=(3,)).beta())

    torch.manual_seed(3)
    first, other = draw(), draw()
    torch.manual_seed(3)
    assert torch.equal(draw(), first)
    assert not torch.equal(first, other)


def test_numbers_draw_nothing() -> None:
    before = torch.get_rng_state()
    LIF(tau=5.0, threshold=[1.0, 2.0], shape=(2,))
    assert torch.equal(torch.get_rng_state(), before)


def test_every_neuron_has_its_own_value_in_its_own_place() -> None:
    neuron = LIF(tau="uniform(2,30)", shape=(2, 3))
    x = torch.rand(6, 1, 2, 3)
    trace, _ = run(neuron, x, backend="reference")
    for place in ((0, 0), (1, 2)):
        one = LIF(float(torch.as_tensor(neuron.beta())[place]))
        alone, _ = run(one, x[..., place[0], place[1]][..., None])
        torch.testing.assert_close(alone.membrane[..., 0], trace.membrane[..., place[0], place[1]])


def test_a_checkpoint_holds_the_draws() -> None:
    neuron, other = (LIF(tau="uniform(5,25)", shape=(3,)) for _ in range(2))
    other.load_state_dict(neuron.state_dict())
    assert torch.equal(torch.as_tensor(neuron.beta()), torch.as_tensor(other.beta()))


def test_alpha_keeps_the_order_of_each_pair() -> None:
    neuron = Alpha("uniform(0.5,0.95)", "uniform(0.3,0.9)", shape=MANY)
    alpha, beta = torch.as_tensor(neuron.alpha()), torch.as_tensor(neuron.beta())
    assert (beta < alpha).all()
    assert beta.max() > alpha.min()  # each β is below the α of its own neuron
    assert torch.as_tensor(Alpha("uniform(0.5,0.95)", 0.6, shape=MANY).alpha()).min() > 0.6
    with refuses("beta", [0.2, 0.3], "distribution"):
        Alpha("uniform(0.5,0.95)", [0.2, 0.3], shape=(2,))


@pytest.mark.parametrize(
    ("make", "name", "value", "fact"),
    [
        (lambda **o: LIF(tau="uniform(5)", **o), "tau", "uniform(5)", "uniform(low,high)"),
        (lambda **o: LIF(tau="log_uniform(0,5)", **o), "tau", "log_uniform(0,5)", "0 < low < high"),
        (lambda **o: LIF(tau="log_uniform(5,1)", **o), "tau", "log_uniform(5,1)", "0 < low < high"),
        (lambda **o: LIF(tau="slow", **o), "tau", "slow", "above 0"),
        (lambda **o: LIF(beta="uniform(0.9,0.1)", **o), "beta", "uniform(0.9,0.1)", "low < high"),
        (lambda **o: LIF(beta="normal(0.9,0)", **o), "beta", "normal(0.9,0)", "sd above 0"),
        (lambda **o: LIF(beta="normal(1,2,3)", **o), "beta", "normal(1,2,3)", "normal(mean,sd)"),
        (lambda **o: LIF(beta="normal(x,1)", **o), "beta", "normal(x,1)", "uniform(low,high)"),
        (lambda **o: LIF(tau="uniform(nan,5)", **o), "tau", "uniform(nan,5)", "uniform(low,high)"),
        (lambda **o: LIF(tau="uniform(-5,-1)", **o), "tau", "uniform(-5,-1)", "above 0"),
        (lambda **o: Synaptic(tau_syn="normal(0,0.2)", integration="euler", **o), "tau_syn", "normal(0,0.2)", "1"),
        (lambda **o: PLIF(tau="uniform(0,1)", **o), "tau", "uniform(0,1)", "above 1"),
        (lambda **o: SLSTM(threshold="uniform(1,2)", **o), "threshold", "uniform(1,2)", "below 1"),
        (lambda **o: AdLIF(a="uniform(-2,-1)", **o), "a", "uniform(-2,-1)", "above 0"),
    ],
)
def test_what_cannot_be_drawn_is_refused(make: Any, name: str, value: str, fact: str) -> None:
    with refuses(name, value, fact):
        make(shape=(1,))


def test_infinite_bounds_are_refused() -> None:
    with pytest.raises(ArgumentError) as error:
        LIF(tau="uniform(1,inf)", shape=(2,))
    assert error.value.name == "tau"


@pytest.mark.parametrize("kind", [LIF, LI, PLIF])
def test_a_layer_without_a_shape_is_refused(kind: Any) -> None:
    with refuses("tau", "uniform(2,3)", "shape"):
        kind(tau="uniform(2,3)")


def test_a_rare_range_is_refused_whatever_the_draws() -> None:
    for seed in range(5):
        torch.manual_seed(seed)
        with refuses("beta", "uniform(0,500)", "1%"):
            LIF(beta="uniform(0,500)", shape=(1,))
        LIF(beta="uniform(0,20)", shape=(1,))


@pytest.mark.parametrize("option", options("neuron"))
def test_every_value_of_every_neuron_can_be_drawn(option: str) -> None:
    """Whatever the file gives as a number and the neuron keeps as a ``Value`` can be a distribution around it."""
    shape = (2, 4, 4) if option == "sconv2dlstm" else (3,)
    plain = neurons("neuron", option, shape, learn=False)
    values = [name for name, each in plain.named_children() if isinstance(each, Value)]
    for name in {*values} & {*raw("neuron", option)}:
        number = raw("neuron", option)[name]
        if not isinstance(number, float) or (option == "glif" and name == "threshold"):
            continue  # null where it is given by another key; the other values of a GLIF follow from its threshold
        text = f"uniform({0.9 * number - 1e-3},{number})"
        value = getattr(neurons("neuron", option, shape, learn=False, **{name: text}), name)()
        assert isinstance(value, Tensor)
        assert value.unique().numel() > 1


def test_the_text_of_an_error_is_the_users() -> None:
    assert Distribution.read("tau", " uniform(1, 2)").text == " uniform(1, 2)"
