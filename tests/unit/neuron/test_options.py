"""What holds for every neuron of more state than a membrane: its YAML, conventions, dtypes, copies, bad arguments."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from snnrun.neuron import (
    ALIF,
    LI,
    LSNN,
    RLIF,
    SLSTM,
    AdEx,
    Alpha,
    CurrentLI,
    CurrentLIF,
    RefractoryAdEx,
    RefractoryLIF,
    RSynaptic,
    SConv2dLSTM,
    Synaptic,
)
from snnrun.sequence import run
from support.refusals import refuses

FIRING: dict[str, Any] = {
    "rlif": RLIF,
    "synaptic": Synaptic,
    "rsynaptic": RSynaptic,
    "alpha": Alpha,
    "lif_current": CurrentLIF,
    "lsnn": LSNN,
    "alif": ALIF,
    "adex": AdEx,
    "lif_refractory": RefractoryLIF,
    "adex_refractory": RefractoryAdEx,
    "slstm": SLSTM,
    "sconv2dlstm": SConv2dLSTM,
}
EVERY = {**FIRING, "li": LI, "li_current": CurrentLI}


@pytest.fixture(autouse=True)
def same_weights() -> Iterator[None]:
    """Recurrent weights are drawn from torch's generator."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def values(*shape: int, scale: float = 3.0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0)) * scale


# Not the refractory AdEx: through its refractoriness a surrogate's gradient flows even where nothing fires.
@pytest.mark.parametrize("name", [name for name in EVERY if name not in ("sconv2dlstm", "adex_refractory")])
def test_gradients_agree_with_difference_quotients(name: str) -> None:
    """Below the threshold, where nothing fires and the membrane is a smooth function of the input."""
    options: dict[str, Any] = {} if name in ("li", "li_current") else {"threshold": 0.99 if name == "slstm" else 1e6}
    if name == "adex":
        options |= {"v_T": 0.5, "threshold": 3.0}
    neuron = EVERY[name](shape=(2,), **options).double()
    x = values(4, 1, 2, scale=0.9).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: run(neuron, x)[0].membrane, (x,))


BAD: list[tuple[Any, dict[str, Any], tuple[Any, ...]]] = [
    (Synaptic, {"alpha": 1.5}, ("alpha", 1.5, "at least 0 and at most 1")),
    (Synaptic, {"alpha": 0.5, "tau_syn": 3.0}, ("alpha, tau_syn", (0.5, 3.0))),
    (Synaptic, {"beta": 0.5, "tau_mem": 3.0}, ("beta, tau_mem", (0.5, 3.0))),
    (Synaptic, {"tau_syn": 0.0}, ("tau_syn", 0.0, "above 0")),
    (CurrentLIF, {"tau_mem": 0.5}, ("tau_mem", 0.5, "at least 1", "integration=euler")),
    (CurrentLIF, {"dt": 0}, ("dt", 0, "above 0")),
    (CurrentLIF, {"integration": "rk4"}, ("integration", "rk4", "'exact' or 'euler'")),
    (CurrentLIF, {"decay_input": 1}, ("decay_input", 1, "true or false")),
    (Alpha, {"beta": 0.9}, ("beta", 0.9, "above 0 and below 0.9", "alpha")),
    (Alpha, {"alpha": 1.0}, ("alpha", 1.0, "above 0 and below 1")),
    (Alpha, {"alpha": [0.9, 0.8], "beta": [0.5]}, ("beta", 1, "alpha", "2")),
    (Alpha, {"published_reset": 1}, ("published_reset", 1, "true or false")),
    (RLIF, {}, ("shape", None, "recurrence=all_to_all")),
    (
        RLIF,
        {"recurrence": "some"},
        ("recurrence", "some", "'none' or 'all_to_all' or 'elementwise' or 'convolution'"),
    ),
    (RLIF, {"recurrence": "convolution", "shape": (3, 3)}, ("shape", [3, 3], "[n] or [C, H, W]")),
    (RLIF, {"recurrence": "convolution", "kernel_size": 4, "shape": (3,)}, ("kernel_size", 4, "odd")),
    (RLIF, {"recurrence": "elementwise", "autapses": False}, ("autapses", False, "recurrence=elementwise")),
    (
        RLIF,
        {"recurrence": "elementwise", "recurrent_bias": True},
        ("recurrent_bias", True, "recurrence=elementwise"),
    ),
    (RLIF, {"recurrence": "elementwise", "recurrent_weight": "x"}, ("recurrent_weight", "x")),
    (LSNN, {"tau_adapt": 0.5}, ("tau_adapt", 0.5, "at least 1", "integration=euler")),
    (LSNN, {"jump": None}, ("jump", None)),
    (ALIF, {"delay_input": 0}, ("delay_input", 0, "true or false")),
    (AdEx, {"delta_T": 0}, ("delta_T", 0, "above 0")),
    (AdEx, {"v_T": -20.0}, ("v_T", -20.0, "at least threshold - 20 delta_T = -9")),
    (RefractoryLIF, {"refractory": -1}, ("refractory", -1, "whole number of at least 0")),
    (RefractoryLIF, {"refractory": 2.0}, ("refractory", 2.0, "whole number of at least 0")),
    (SLSTM, {}, ("shape", None)),
    (SLSTM, {"threshold": 1.0, "shape": (3,)}, ("threshold", 1.0, "above 0 and below 1")),
    (SLSTM, {"input_size": 0, "shape": (3,)}, ("input_size", 0, "whole number of at least 1")),
    (SConv2dLSTM, {"kernel_size": 2, "shape": (3,)}, ("kernel_size", 2, "odd")),
    (LI, {"beta": 2.0}, ("beta", 2.0, "at least 0 and at most 1")),
]


@pytest.mark.parametrize(("kind", "options", "refusal"), BAD, ids=[f"{b[0].__name__}-{b[1]}" for b in BAD])
def test_bad_arguments_are_refused_by_name(kind: Any, options: dict[str, Any], refusal: tuple[Any, ...]) -> None:
    with refuses(*refusal) as error:
        kind(**options)
    assert error.value.argument in (options or {"shape"})


def test_learnable_decays_are_parameters_per_neuron() -> None:
    neuron = Synaptic(0.5, 0.9, learn_alpha=True, learn_beta=True, per_neuron=True, shape=(3,))
    assert {name: tuple(p.shape) for name, p in neuron.named_parameters()} == {"alpha.raw": (3,), "beta.raw": (3,)}
    v = RLIF(recurrence="elementwise", per_neuron=True, recurrent_weight=0.3, shape=(3,))
    assert {name: tuple(p.shape) for name, p in v.named_parameters()} == {"feedback.raw": (3,)}
    neurons = ALIF(tau_adapt=[10.0, 20.0, 40.0], jump=[0.1, 0.2, 0.3], shape=(3,))
    torch.testing.assert_close(neurons.rho(), torch.tensor([0.9, 0.95, 0.975]))
