"""The kernels, spikes and gradients of the authors' code: DCLS, SNN-delays and DelRec, in float64."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from snnrun.delay import Delay, GaussianDelay, LinearDelay, TriangularDelay
from snnrun.model import Delays, Layer
from snnrun.neuron import LI, LIF
from snnrun.sequence import DelayedFeedback, run_resolved
from snnrun.surrogate import ATan
from support.references import assert_close_to_largest, entry, tensor

DOUBLE = torch.float64
#: What DCLS adds to a width.
LEAST = {"gauss": 0.27, "max": 1.0}


def double(values: Any) -> Tensor:
    return tensor(values, DOUBLE)


def kind_of(reference: dict[str, Any]) -> Delay:
    largest = reference["params"]["dilated_kernel_size"] - 1
    kinds = {"v0": LinearDelay, "v1": LinearDelay, "gauss": GaussianDelay, "max": TriangularDelay}
    return kinds[reference["params"]["version"]](maximum=largest)


@pytest.mark.parametrize(
    "identifier", ["delay.integer", "delay.linear.v0", "delay.linear.v1", "delay.gauss", "delay.triangular"]
)
def test_the_kernels_of_dcls(identifier: str) -> None:
    """Its kernel counts from the past on, and its output has more steps than the input."""
    reference = entry("sequences", identifier)
    kind, weights, grad = kind_of(reference), reference["weights"], reference["grad"]
    weight, delay = double(weights["weight"]).requires_grad_(), double(reference["delay"])[0].requires_grad_()
    sizes = double(weights["SIG"])[0].requires_grad_() if "SIG" in weights else None
    width = None if sizes is None else (sizes.abs() + LEAST[reference["params"]["version"]])[..., None]
    taps = kind.taps(delay, width)
    kernel = (weight[..., None] * taps).sum(2)
    assert_close_to_largest(kernel.detach().flip(-1), double(reference["kernel"]))

    # A layer's own convolution, for which each of several delays between two neurons is a part.
    x = double(reference["input"]).requires_grad_()
    longer = F.pad(x, (0, 0, 0, 0, 0, kind.maximum // 2))
    parts = Delays(kind, *weight.shape[:2]).double().train()
    parts.taps = lambda: kernel  # type: ignore[method-assign]
    output = parts(longer, torch.ones_like(weight[..., 0]))
    assert_close_to_largest(output.detach(), double(reference["output"]))
    loss = (double(grad["w"]) * output).sum()
    assert loss.item() == pytest.approx(grad["loss"], rel=2e-5)
    loss.backward()
    ours = {"weight": weight.grad, "SIG": None if sizes is None else sizes.grad}
    assert_close_to_largest(x.grad, double(grad["grad_input"]))  # type: ignore[arg-type]
    for name, value in grad["grad_params"].items():
        if name != "P":
            assert_close_to_largest(ours[name], double(value).view_as(weight))  # type: ignore[arg-type]
    if identifier != "delay.integer":  # a whole delay of DCLS has no gradient, and could not be learnt
        assert_close_to_largest(delay.grad, double(grad["grad_delay"])[0])  # type: ignore[arg-type]
    else:
        assert delay.grad is not None and bool(delay.grad.any())


def lif(tau: float, size: int) -> LIF:
    atan = ATan(alpha=5.0)
    return LIF(beta=1 - 1 / tau, fires_at=">=", reset="zero", detach_reset=True, surrogate=atan, shape=(size,))


def delayed_layer(weights: dict[str, Any], at: int, neuron: Any) -> tuple[Layer, Tensor]:
    """A layer of the authors' network, and its widths: one for each synapse, which ours need not have."""
    weight, positions = double(weights[f"{at}.weight"])[..., 0], double(weights[f"{at}.P"])[0, ..., 0]
    sizes = double(weights[f"{at}.SIG"])[0, ..., 0]
    delays = Delays(GaussianDelay(maximum=6), *weight.shape).double()
    delays.value = nn.Parameter(3 - positions)
    delays.width = (sizes.abs() + LEAST["gauss"])[..., None]
    synapse = nn.Linear(weight.shape[1], weight.shape[0], bias=False).double()
    synapse.weight = nn.Parameter(weight)
    return Layer(synapse, neuron.double(), delay=delays).train(), weight


def test_the_network_of_snn_delays() -> None:
    reference = entry("sequences", "delay.network")
    weights, grad = reference["weights"], reference["grad"]
    hidden, first = delayed_layer(weights, 0, lif(2.0, 6))
    readout, second = delayed_layer(weights, 1, LI(beta=0.5))
    x = double(reference["input"]).requires_grad_()
    trace = hidden(F.pad(x, (0, 0, 0, 0, 0, 3)))
    assert trace.spikes.tolist() == reference["spikes"]
    output = readout(F.pad(trace.spikes, (0, 0, 0, 0, 0, 3))).membrane
    assert_close_to_largest(output.detach(), double(reference["output"]))
    loss = F.cross_entropy(output.softmax(-1).sum(0), torch.tensor(reference["targets"]))
    assert loss.item() == pytest.approx(grad["loss"], rel=2e-5)
    loss.backward()
    assert_close_to_largest(x.grad, double(grad["grad_input"]))  # type: ignore[arg-type]
    for at, layer, shape in ((0, hidden, first.shape), (1, readout, second.shape)):
        assert layer.delay is not None
        pairs = {"weight": layer.synapse.weight.grad, "P": -layer.delay.value.grad}  # type: ignore[operator]
        for name, actual in pairs.items():
            assert_close_to_largest(actual, double(grad["grad_params"][f"{at}.{name}"]).view(shape))  # type: ignore[arg-type]


@pytest.mark.parametrize("identifier", ["delrec.axonal", "delrec.synaptic"])
def test_the_recurrent_delays_of_delrec(identifier: str) -> None:
    reference = entry("sequences", identifier)
    weights, params, grad = reference["weights"], reference["params"], reference["grad"]
    weight, delay = (double(weights[f"recurrent_{name}"]).requires_grad_() for name in ("weights", "delays"))
    maximum = math.ceil(delay.max().item() + params["sigma"]) + 1  # DelRec's has no limit
    if params["sigma"]:
        taps = TriangularDelay(maximum=maximum, scale="area").taps(delay, double(1 + params["sigma"]))
    else:
        taps = LinearDelay(maximum=maximum).taps(delay, None)
    x = double(reference["input"]).requires_grad_()
    neuron = lif(params["tau"], len(weight)).double()
    trace, _ = run_resolved("reference", neuron, x, feedback=DelayedFeedback(weight, taps))
    assert trace.spikes.tolist() == reference["spikes"]
    membrane = trace.membrane * (1 - trace.spikes.detach())
    assert_close_to_largest(membrane.detach(), double(reference["membrane"]))
    inputs = double(reference["states"]["surrogate_input"])
    assert_close_to_largest(trace.membrane.detach() - 1, inputs)
    loss = (double(grad["w"]) * trace.spikes).sum() + 0.1 * (double(grad["u"]) * membrane).sum()
    assert loss.item() == pytest.approx(grad["loss"], rel=2e-5)
    loss.backward()
    assert_close_to_largest(x.grad, double(grad["grad_input"]))  # type: ignore[arg-type]
    assert_close_to_largest(weight.grad, double(grad["grad_params"]["recurrent_weights"]))  # type: ignore[arg-type]
    assert_close_to_largest(delay.grad, double(grad["grad_params"]["recurrent_delays"]))  # type: ignore[arg-type]
