"""``snnrun simulate``: one neuron driven by one input, and the overlay of a sweep."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from snnrun import report
from snnrun.config.settings import SimulateSettings
from snnrun.neuron import Neuron
from snnrun.neuron.input import Input
from snnrun.report.neuron_traces import Traces, record, statistics
from snnrun.report.raster import thin
from snnrun.run.folder import RecordFolder
from snnrun.system.files import write_bytes
from snnrun.system.format import plural
from snnrun.system.storage import storing
from snnrun.training.records import Result
from snnrun.training.runtime import memory
from snnrun.training.stop import Stop
from snnrun.training.streams import Streams

ADVICE = "out of memory: fewer num_steps or num_neurons need less"
MOST_ROWS = 100_000  # of traces.csv; traces.npz holds everything


@dataclass(frozen=True, kw_only=True)
class SimulationResult(Result):
    """The result of a simulation; the file has each of the ``statistics`` as a field, see :func:`statistics`."""

    num_steps: int | None = None
    num_neurons: int | None = None
    dt: float | None = None
    statistics: Mapping[str, Any] | None = None
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """The content of the file, as strict JSON."""
        values = super().to_json()
        statistics, seconds = values.pop("statistics", {}), values.pop("seconds")
        return {**values, **statistics, "seconds": seconds}


class Simulation(NamedTuple):
    """The traces of a simulation, for the overlay of a sweep."""

    traces: Traces
    settings: SimulateSettings
    result: SimulationResult


def run(
    *,
    settings: SimulateSettings,
    neuron: Callable[..., Neuron],
    source: Input,
    config: Mapping[str, Any],
    folder: Path,
    command: Sequence[str],
) -> Simulation:
    """Simulate, and write the record in ``folder``.

    Raises:
        SnnrunError: for all that ends it early; ``result.json`` has it too.
    """
    begin, stop = time.perf_counter(), Stop()
    with report.Console(progress=False) as console, stop.handle_signals(mask=True):
        files = RecordFolder(folder, console)
        with files.record_end(stop, lambda: SimulationResult(seconds=time.perf_counter() - begin)), memory(ADVICE):
            files.write_config(config)
            streams = Streams(settings.seed, torch.device("cpu"))
            dt = dt_of(config)
            with streams.initialisation():
                layer = neuron(shape=(settings.num_neurons,))
            steps = settings.num_steps or source.steps(settings.num_neurons)
            x = source(steps, dt, settings.num_neurons, streams.data)
            traces = record(layer, x, dt)
            files.manifest(
                settings={"seed": settings.seed, "precision": "fp32", "deterministic": True},
                command=command,
                device="cpu",
                backend="reference",
                data_hashes={},
            )
            _save(traces, folder, console)
            title = f"{type(layer).__name__}, {type(source).__name__.lower()} input"
            report.traces_figure(traces, title, folder / "figures", settings.style)
            values = statistics(traces)
            result = SimulationResult(
                status="finished",
                num_steps=steps,
                num_neurons=settings.num_neurons,
                dt=dt,
                statistics=values,
                seconds=time.perf_counter() - begin,
            )
            stop.mask()
            files.result(result)
            for line in _lines(title, traces, values):
                console.line(line)
            console.line(f"{result.seconds:.1f} s  {folder}")
    return Simulation(traces, settings, result)


def overlay(simulations: Mapping[str, Simulation], folder: Path) -> None:
    """One figure of all simulations of a sweep, ``overlay`` in its folder."""
    if len(simulations) > 1:
        style = next(iter(simulations.values())).settings.style
        with storing(folder):
            paths = report.overlay_figure({label: each.traces for label, each in simulations.items()}, folder, style)
        with report.Console(progress=False) as console:
            console.line(f"overlay of {len(simulations)} simulations: {', '.join(str(path) for path in paths)}")


def dt_of(config: Mapping[str, Any]) -> float:
    """The length of a step: the neuron's ``dt`` if it has one, else 1."""
    value = (config.get("neuron") or {}).get("dt")
    return float(value) if isinstance(value, (int, float)) and value > 0 else 1.0


def _lines(title: str, traces: Traces, values: Mapping[str, Any]) -> Iterator[str]:
    steps, count = traces.input.shape
    dt = "" if traces.dt == 1 else f" of {traces.dt:g}"
    yield f"{title}: {plural(count, 'neuron')}, {plural(steps, 'step')}{dt}"
    if not values["spikes"]:
        highest = float(np.nanmax(np.where(np.isfinite(traces.membrane), traces.membrane, -np.inf)))
        if traces.threshold is None:
            yield f"no spikes: the neuron is a read-out, which never fires; its membrane reached {highest:.4g}"
        else:
            level = float(traces.threshold.min())
            yield f"no spikes: the membrane reached {highest:.4g}, the threshold is {level:.4g}; try input.amplitude"
        return
    words = [f"{plural(values['spikes'], 'spike')}", f"rate {values['rate']:.4g}"]
    if traces.dt != 1:
        words.append(f"({values['firing_rate']:.4g} per step)")
    words.append(f"first spike at {values['first_spike']:.4g}")
    if values["interval_mean"] is not None:
        words.append(f"interval {values['interval_mean']:.4g}")
    if values["interval_cv"] is not None:
        words.append(f"CV {values['interval_cv']:.3f}")
    if count > 1:
        words.append(f"{values['silent_neurons']} of {count} neurons silent")
    yield "  ".join(words)
    for name, gradient in traces.gradients.items():
        number = np.count_nonzero(gradient)
        yield f"{name.replace('_', ' ')}: {number} of {count} neurons have one, sum {gradient.sum():.4g}"


def _save(traces: Traces, folder: Path, console: report.Console) -> None:
    arrays = traces.arrays()
    buffer = io.BytesIO()
    # To compress many values takes seconds, and saves little if all differ.
    write = np.savez_compressed if traces.input.size <= 1_000_000 else np.savez
    write(buffer, **arrays)
    steps, count = traces.input.shape
    selection = thin(count, max(1, MOST_ROWS // steps))
    if len(selection) < count:
        console.line(f"traces.csv holds {len(selection)} of {count} neurons, traces.npz all")
    with storing(folder):
        write_bytes(folder / "traces.npz", buffer.getvalue())
        write_bytes(folder / "traces.csv", _csv(arrays, selection))


def _csv(arrays: Mapping[str, Any], neurons: Any) -> bytes:
    """A row for each step and neuron; nine digits are exact for a float32."""
    columns = {name: values[:, neurons] for name, values in arrays.items() if name != "time"}
    steps = len(arrays["time"])
    flat = [
        np.repeat(np.arange(steps), len(neurons)).tolist(),
        np.repeat(arrays["time"], len(neurons)).tolist(),
        np.tile(neurons, steps).tolist(),
        *(values.reshape(-1).tolist() for values in columns.values()),
    ]
    form = ",".join(["%d", "%.12g", "%d", *("%.9g" for _ in columns)])
    lines = [",".join(["step", "time", "neuron", *columns]), *(form % row for row in zip(*flat, strict=True))]
    return ("\n".join(lines) + "\n").encode()
