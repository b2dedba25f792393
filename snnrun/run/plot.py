"""``snnrun plot``: draws surrogates, encoders or neurons, several in one figure, and saves the numbers."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from snnrun import report
from snnrun.config.settings import PlotSettings
from snnrun.encoder import Encoder
from snnrun.errors import ConfigError, DataError
from snnrun.neuron import Neuron
from snnrun.report.neuron_traces import drive
from snnrun.report.views import Encoded, RateCurve, SurrogateCurve
from snnrun.run.folder import RecordFolder
from snnrun.run.simulate import ADVICE, dt_of
from snnrun.surrogate import Surrogate
from snnrun.system.files import write_bytes
from snnrun.system.storage import storing
from snnrun.task import Task
from snnrun.training.metrics import SampleSearch
from snnrun.training.records import Result
from snnrun.training.runtime import memory
from snnrun.training.stop import Stop
from snnrun.training.streams import Streams

POINTS = 401  # of a surrogate's grid: odd, so that the threshold is one of them
CURRENTS = 200  # of an f-I curve
EXPONENTS = range(-13, 14)  # of the currents in the search for the first that makes a neuron fire, powers of two

Arrays = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class PlotResult(Result):
    """The result of a plot.

    Attributes:
        subject: surrogate, encoder or neuron.
        curves: their labels.
        figures: paths in the run's folder.
    """

    subject: str | None = None
    curves: tuple[str, ...] | None = None
    figures: tuple[str, ...] | None = None
    seconds: float


def run(
    *,
    settings: PlotSettings,
    parts: Mapping[str, Mapping[str, Any]],
    configs: Mapping[str, Mapping[str, Any]],
    folder: Path,
    command: Sequence[str],
) -> PlotResult:
    """Draw the curves ``parts`` (by label; "" for a single one), and write the record in ``folder``.

    Raises:
        SnnrunError: for all that ends it early; ``result.json`` has it too.
    """
    begin, stop = time.perf_counter(), Stop()
    with report.Console(progress=False) as console, stop.handle_signals(mask=True):
        files = RecordFolder(folder, console)
        with files.record_end(stop, lambda: PlotResult(seconds=time.perf_counter() - begin)), memory(ADVICE):
            for number, config in enumerate(configs.values(), start=1):
                files.write_config(config, "config.yaml" if number == 1 else f"config-{number}.yaml")
            hashes: dict[str, str] = {}
            if settings.subject == "surrogate":
                arrays, figures = _surrogates(settings, parts, folder / "figures")
            elif settings.subject == "neuron":
                arrays, figures = _rates(settings, parts, configs, folder / "figures", console)
            else:
                arrays, figures = _encoders(settings, parts, folder / "figures", hashes, console)
            files.manifest(
                settings={"seed": settings.seed, "precision": "fp32", "deterministic": True},
                command=command,
                device="cpu",
                backend="reference",
                data_hashes=hashes,
            )
            buffer = io.BytesIO()
            np.savez_compressed(buffer, **arrays)
            with storing(folder):
                write_bytes(folder / "curves.npz", buffer.getvalue())
            result = PlotResult(
                status="finished",
                subject=settings.subject,
                curves=tuple(parts),
                figures=tuple(str(path.relative_to(folder)) for path in figures),
                seconds=time.perf_counter() - begin,
            )
            stop.mask()
            files.result(result)
            console.line(f"{', '.join(path.name for path in figures)}  {result.seconds:.1f} s  {folder}")
    return result


def _surrogates(
    settings: PlotSettings, parts: Mapping[str, Mapping[str, Any]], folder: Path
) -> tuple[Arrays, list[Path]]:
    limit = settings.limit or 2.0
    x = torch.linspace(-limit, limit, POINTS, dtype=torch.float64)
    x[POINTS // 2] = 0.0
    curves = {}
    for label, part in parts.items():
        surrogate: Surrogate = part["surrogate"]
        primitive = surrogate.primitive(x) if surrogate.has_primitive else torch.full_like(x, torch.nan)
        values = (x, surrogate(x), primitive, surrogate.derivative(x))
        name = label or type(surrogate).__name__
        curves[name] = SurrogateCurve(*(each.detach().numpy() for each in values))
    return _arrays(curves), report.surrogate_figure(curves, folder, settings.style)


def _rates(
    settings: PlotSettings,
    parts: Mapping[str, Mapping[str, Any]],
    configs: Mapping[str, Mapping[str, Any]],
    folder: Path,
    console: report.Console,
) -> tuple[Arrays, list[Path]]:
    steps = settings.num_steps or 1000
    neurons = {label: _build(part["neuron"], settings.seed) for label, part in parts.items()}
    rheobases = [rheobase(neuron, steps) for neuron in neurons.values()]
    curves = {}
    # One axis for all: it ends well above the first spike of the neuron that needs the largest current.
    limit = settings.limit or 4 * max((each for each in rheobases if each is not None), default=0.25)
    current = torch.linspace(0, limit, CURRENTS)
    for label, neuron in neurons.items():
        name = label or type(neuron).__name__
        rate = rates(neuron, current, steps)
        curves[name] = RateCurve(current.numpy(), rate.numpy(), dt_of(configs[label]), neuron.units)
        first = current[rate > 0]
        console.line(
            f"{name}: fires from a current of {first[0]:.3g} on, at most {rate.max():.3g} spikes per step"
            if len(first)
            else f"{name}: does not fire for a constant current up to {limit:.3g}"
        )
    return _arrays(curves), report.rate_figure(curves, folder, settings.style)


def _build(maker: Callable[..., Neuron], seed: int) -> Neuron:
    with Streams(seed, torch.device("cpu")).initialisation():
        return maker(shape=(1,))


def rates(neuron: Neuron, current: torch.Tensor, num_steps: int) -> torch.Tensor:
    """Spikes per step for constant currents ``[n]``, over ``num_steps`` steps, the first tenth left out; ``[n]``.

    The currents are a batch, not a layer, so that neurons with recurrent weights do not mix.
    """
    with torch.no_grad():
        x = current[None, :, None].expand(num_steps, -1, -1)
        spikes = drive(neuron, x).spikes
    return (spikes[num_steps // 10 :] != 0).float().mean(dim=0)[:, 0]


def rheobase(neuron: Neuron, num_steps: int) -> float | None:
    """The least constant current that makes the neuron fire, to a few per cent; None if none up to 8192 does."""
    coarse = torch.tensor([2.0**exponent for exponent in EXPONENTS])
    for grid in range(2):
        fires = rates(neuron, coarse, num_steps) > 0
        if not fires.any():
            return None
        first = int(fires.int().argmax())
        if grid == 0:
            high = coarse[first].item()
            coarse = torch.linspace(high / 2, high, 17)
    return float(coarse[first])


def _encoders(
    settings: PlotSettings,
    parts: Mapping[str, Mapping[str, Any]],
    folder: Path,
    hashes: dict[str, str],
    console: report.Console,
) -> tuple[Arrays, list[Path]]:
    encoded, name = {}, ""
    for label, part in parts.items():
        task: Task = part["task"]
        encoder: Encoder = part["encoder"]
        streams = Streams(settings.seed, torch.device("cpu"))
        steps = settings.num_steps or 25
        data = task.load(Path(settings.data_dir).expanduser(), steps, torch.device("cpu"), streams.data)
        hashes.update(data.hashes)
        sample, target = _sample(data.test, settings.sample)
        try:
            train = encoder(sample, steps, streams.evaluation())
        except ValueError as error:  # such as a latency beyond the last step
            raise ConfigError(f"encoder: {error}") from error
        name = f"{type(task).__name__.lower()}, test sample {settings.sample}"
        name += f", class {target}" if target is not None else ""
        title = label or type(encoder).__name__
        encoded[title] = Encoded(sample[:, 0].numpy(), train[:, 0].contiguous().numpy())
        value = float(encoded[title].train.mean())
        console.line(f"{title}: {steps} steps of {train[0].numel():,} values, mean {value:.4g}")
    figures = report.encoder_figure(encoded, name, folder, settings.style)
    if settings.format == "gif":
        for number, each in enumerate(encoded.values()):
            place = folder if len(encoded) == 1 else folder / str(number)
            place.mkdir(exist_ok=True)
            figures.append(report.encoder_animation(each, name, place, settings.style))
    return _arrays(encoded), figures


def _sample(part: Any, index: int) -> tuple[torch.Tensor, int | None]:
    if index >= len(part):
        raise DataError(f"sample: expected at most {len(part) - 1}, the last of the test set, got {index}")
    search = SampleSearch(index)
    for batch in part.batches(1000):
        search.add(batch)
        if (sample := search.sample) is not None:
            has_label = sample.target is not None and sample.target.dim() == 1
            return sample.x, int(sample.target) if has_label else None  # type: ignore[arg-type]
    raise DataError(f"sample: the test set ended after {search.count} samples, expected {len(part)}")


def _arrays(curves: Mapping[str, Any]) -> Arrays:
    """The arrays of ``curves.npz``, by ``<label>.<quantity>``."""
    return {
        f"{label.replace('/', '-')}.{name}": values
        for label, curve in curves.items()
        for name, values in curve._asdict().items()
        if isinstance(values, np.ndarray)
    }
