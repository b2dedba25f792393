"""LIF with spikes of another size: the layer's output and its feedback are scaled, reset and state are not."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from snnrun.neuron import ILIF, KLIF, LIAF, LIF, RLIF, Neuron
from snnrun.sequence import run

MAKERS = [LIF, ILIF, KLIF]


@pytest.mark.parametrize("maker", MAKERS)
@pytest.mark.parametrize("backend", ["reference", "fused"])
def test_the_output_is_scaled_and_nothing_else(maker: Any, backend: str) -> None:
    x = torch.rand(9, 3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    plain, last = run(maker(beta=0.7), x, backend=backend)
    half, half_last = run(maker(beta=0.7, graded_spikes_factor=0.5), x, backend=backend)
    assert plain.spikes.any()
    assert torch.equal(half.spikes, 0.5 * plain.spikes)
    assert torch.equal(half.membrane, plain.membrane)
    assert all(map(torch.equal, last, half_last))


@pytest.mark.parametrize("backend", ["reference", "fused"])
def test_a_factor_for_each_neuron_is_learnt(backend: str) -> None:
    x = torch.rand(9, 3, 2, generator=torch.Generator().manual_seed(1))
    neuron = LIF(0.7, graded_spikes_factor=[0.5, 2.0], learn_graded_spikes_factor=True, shape=(2,))
    trace, _ = run(neuron, x, backend=backend)
    trace.spikes.sum().backward()
    count = (trace.spikes != 0).sum(dim=(0, 1)).float()
    assert neuron.graded_spikes_factor.raw.grad is not None
    assert torch.equal(neuron.graded_spikes_factor.raw.grad, count)


def test_feedback_is_of_graded_spikes() -> None:
    neuron = RLIF(beta=0.5, recurrence="elementwise", recurrent_weight=1.0, graded_spikes_factor=0.25)
    state: Any = neuron.initial_state(torch.zeros(1, 1))
    _, state = neuron.step(torch.full((1, 1), 1.5), state)
    _, state = neuron.step(torch.zeros(1, 1), state)
    assert state.membrane.item() == 0.5 * (1.5 - 1) + 0.25


def test_an_output_that_is_no_spike_has_no_size_of_a_spike() -> None:
    with pytest.raises(TypeError, match="graded_spikes_factor"):
        LIAF(graded_spikes_factor=0.5)  # type: ignore[call-arg]
    assert isinstance(LIAF(), Neuron)
