"""The tutorial demonstrations and the blog's ramp, through the command: traces closely, spikes exactly."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from snnrun.config.catalogue import conf_folder
from support import references
from support.command import Command, Folder

ENTRIES = {entry["id"]: entry for entry in references.entries("simulate")}


def words(entry: dict[str, Any]) -> list[str]:
    """The command that makes an entry."""
    params = entry["params"]
    dt = params.get("time_step", 1)
    overrides = [
        "convention=snntorch",
        f"num_steps={entry['num_steps']}",
        f"neuron.threshold={params.get('threshold', 1.0)}",
    ]
    if params.get("reset_delay") is False:
        overrides.append("neuron.reset_timing=same")
    if "reset_mechanism" in params:
        overrides.append(f"neuron.reset={params['reset_mechanism']}")
    if entry["model"] == "Lapicque":
        # From β alone snnTorch takes R = 1 and C = dt / ln(1/β).
        circuit = (params["R"], params["C"]) if "R" in params else (1, dt / -math.log(params["beta"]))
        overrides += ["neuron=lapicque", f"neuron.R={circuit[0]}", f"neuron.C={circuit[1]}", f"neuron.dt={dt}"]
    elif entry["model"] == "Synaptic":
        overrides += ["neuron=synaptic", f"neuron.alpha={params['alpha']}", f"neuron.beta={params['beta']}"]
    else:
        overrides += ["neuron=lif", f"neuron.beta={params['beta']}"]
    current = np.array(entry["input"])
    on = np.flatnonzero(current)
    overrides.append(f"input.amplitude={current[on[0]] * params.get('w', 1)}")
    overrides.append(f"input.onset={on[0] * dt}")
    if (np.diff(on) == 1).all():
        return [*overrides, "input=step", f"input.duration={len(on) * dt}"]
    return [*overrides, "input=pulses", f"input.period={(on[1] - on[0]) * dt}"]


@pytest.mark.long
@pytest.mark.parametrize("identifier", ENTRIES)
def test_a_demonstration(identifier: str, command: Command, folder: Folder) -> None:
    entry = ENTRIES[identifier]
    if entry["model"] == "Synaptic" and not (conf_folder() / "neuron" / "synaptic.yaml").exists():
        pytest.skip("there is no neuron=synaptic yet")
    outcome = command("simulate", *words(entry), "style.format=png", "style.dpi=40")
    assert outcome.code == 0, outcome.err
    with np.load(folder() / "traces.npz") as arrays:
        traces = dict(arrays)
    late = entry["library"] == "notes"  # its function returns the spike of the step before
    spikes = np.append(0, traces["spikes"][:-1, 0]) if late else traces["spikes"][:, 0]
    assert np.flatnonzero(spikes).tolist() == entry["spike_steps"]
    np.testing.assert_allclose(traces["input"][:, 0], np.array(entry["input"]) * entry["params"].get("w", 1), atol=1e-7)
    if entry["params"].get("reset_delay") is not False:  # there it returns the membrane after the reset
        np.testing.assert_allclose(traces["membrane"][:, 0], entry["membrane"], rtol=0, atol=1e-5)
    if "synaptic_current" in entry:
        np.testing.assert_allclose(traces["current"][:, 0], entry["synaptic_current"], rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["article", "variant"])
def test_the_ramp_of_the_blog(name: str, command: Command, folder: Folder) -> None:
    entry = references.entry("blog", f"blog.ramp/{name}")
    params, count = entry["params"], len(entry["vt"])
    overrides = ["neuron=if", "surrogate=heaviside", "convention=blog", f"neuron.threshold={params['threshold']}"]
    outcome = command("simulate", *overrides, "input=ramp", f"input.stop={params['stop']}", f"num_neurons={count}")
    assert outcome.code == 0, outcome.err
    assert f"{sum(entry['spikes'])} spikes" in outcome.out
    assert (folder() / "figures" / "step.png").exists()
    with np.load(folder() / "traces.npz") as arrays:
        # The demonstration's own call of torch. How it rounds may depend on the processor: the file's to 1 ulp.
        step = params["stop"] / count
        assert arrays["input"].tolist() == [torch.arange(0, params["stop"], step).tolist()]
        np.testing.assert_allclose(arrays["input"][0], entry["vt"], rtol=1.2e-7, atol=0)
        assert arrays["spikes"].tolist() == [entry["spikes"]]
        assert arrays["input_gradient"].tolist() == [entry["vt_grad"]]
        assert arrays["membrane_gradient"].tolist() == [entry["v_previous_grad"]]
        assert arrays["spikes_gradient"].tolist() == [entry["s_previous_grad"]]
