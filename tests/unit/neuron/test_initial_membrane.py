"""Where the membrane starts: ``v_init``, for every neuron that integrates one."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
import torch

from snnrun.config.catalogue import Catalogue
from snnrun.neuron import IF, LIF, Alpha, Neuron
from snnrun.sequence import run
from support import references
from support.catalogued import part
from support.references import tensor

# These have a membrane that is a product with the inputs of all steps, gates that replace the reset, or no reset.
WITHOUT = {"psn", "masked_psn", "sliding_psn", "glif", "brf"}
NEURONS = [name for name in Catalogue().groups["neuron"] if name not in WITHOUT]

# SpikingJelly starts at v_reset.
STARTS: dict[str, Any] = {
    e["id"]: e
    for e in references.entries("neurons")
    if e["library"] == "spikingjelly" and e["id"].split(".")[1] == "if" and e["params"].get("v_reset")
}


def neuron_of(entry: dict[str, Any], **options: Any) -> IF:
    of = entry["conventions"]
    return IF(
        threshold=entry["params"]["v_threshold"],
        fires_at=of["fires_at"],
        reset=of["reset"],
        v_reset=of["v_reset"],
        **options,
    )


@pytest.mark.parametrize("backend", ["reference", "fused"])
@pytest.mark.parametrize("identifier", STARTS)
def test_spikes_of_spikingjelly_from_its_start(identifier: str, backend: str) -> None:
    entry = STARTS[identifier]
    x = tensor(entry["input"])[:, None]
    trace, _ = run(neuron_of(entry, v_init=entry["params"]["v_reset"]), x, backend=backend)
    assert trace.spikes[:, 0].tolist() == entry["spikes"]


@pytest.mark.parametrize("name", NEURONS)
def test_every_neuron_starts_at_v_init(name: str) -> None:
    options: dict[str, Any] = {"shape": (4, 3, 3) if name == "sconv2dlstm" else (4,), "v_init": 0.25}
    neuron = part("neuron", name)(**options)
    x = torch.zeros(2, *options["shape"])
    assert torch.equal(neuron.initial_state(x).membrane, torch.full_like(x, 0.25))
    trace, _ = run(neuron, torch.zeros(3, *x.shape))
    rest, _ = run(part("neuron", name)(shape=options["shape"]), torch.zeros(3, *x.shape))
    if name not in ("slstm", "sconv2dlstm"):  # whose gates may forget the membrane
        assert not torch.equal(trace.membrane[0], rest.membrane[0])


def test_by_default_the_membrane_starts_at_rest() -> None:
    assert LIF(0.5, v_rest=-0.5).initial_state(torch.ones(1, 2)).membrane.tolist() == [[-0.5, -0.5]]
    assert IF().initial_state(torch.ones(1, 2)).membrane.tolist() == [[0, 0]]


def test_the_alpha_neuron_starts_with_that_membrane() -> None:
    neuron = Alpha(0.9, 0.8, v_init=0.5)
    state = neuron.initial_state(torch.zeros(1, 1))
    assert (neuron.gain() * (state.excitation + state.inhibition)).item() == pytest.approx(0.5)


def test_the_start_is_a_number() -> None:
    with pytest.raises(ValueError, match="v_init"):
        IF(v_init="rest")  # type: ignore[arg-type]
    assert inspect.signature(Neuron).parameters["v_init"].default is None
