"""Inputs drive a neuron without a network: a current for every step, from a few numbers.

An input is called as ``input(num_steps, dt, num_neurons, generator)`` and returns ``[T, 1, N]``. Step t is at the time
``t dt``; onset, duration and every other time of an input are in the unit of dt: seconds if the neuron's dt is 0.001
seconds, steps if dt is 1. A time falls on the first step that is not before it.

``null`` for a time means a number of steps for any dt, so that every input has an effect on every neuron.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Generator, Tensor

from snnrun import check
from snnrun.errors import ArgumentError, DataError

STEPS = 100  # of a simulation, unless the input or the user sets them


@dataclass(frozen=True, kw_only=True)
class Input(ABC):
    """Base of all inputs: silence, then ``shape`` for a while, then silence.

    Args:
        amplitude: scale of the input, in the unit of the neuron's input.
        onset: when it begins; at least 0. Default 0.
        duration: how long it lasts, above 0. Default null: to the end.

    Raises:
        ValueError: for an argument out of range, naming it.
    """

    #: Steps of silence if onset is null; in a run shorter than ten times this, a tenth of the run.
    lead: ClassVar[int] = 0

    amplitude: float = 0.25
    onset: float | None = 0.0
    duration: float | None = None

    def __post_init__(self) -> None:
        check.number("amplitude", self.amplitude)
        if self.onset is not None:
            check.number("onset", self.onset, low=0)
        if self.duration is not None:
            check.number("duration", self.duration, above=0)

    @abstractmethod
    def shape(self, num_steps: int, dt: float, num_neurons: int, generator: Generator | None) -> Tensor:
        """The input from its onset on, ``[num_steps, N]`` in float64, without the amplitude."""

    def steps(self, num_neurons: int) -> int:
        """The default number of steps of a simulation."""
        return STEPS

    def __call__(
        self, num_steps: int, dt: float = 1.0, num_neurons: int = 1, generator: Generator | None = None
    ) -> Tensor:
        """The input of each step, ``[num_steps, 1, num_neurons]``, float32; random draws come from ``generator``."""
        begin = min(self.lead, num_steps // 10) if self.onset is None else _step(self.onset, dt)
        end = num_steps if self.duration is None else begin + _step(self.duration, dt)
        begin, end = min(begin, num_steps), min(end, num_steps)
        x = torch.zeros(num_steps, num_neurons, dtype=torch.float64)
        if end > begin:
            x[begin:end] = self.amplitude * self.shape(end - begin, dt, num_neurons, generator)
        return x.float().unsqueeze(1)


@dataclass(frozen=True, kw_only=True)
class Step(Input):
    """A constant current from the onset on, and with ``duration`` until its end.

    ``x(t) = amplitude`` from onset on. ``onset`` null (the default): after 10 steps, or a tenth of a shorter run.
    Source: the current-clamp experiment; snnTorch's tutorial 2.
    """

    lead = 10

    onset: float | None = None

    def shape(self, num_steps: int, dt: float, num_neurons: int, generator: Generator | None) -> Tensor:
        return torch.ones(num_steps, num_neurons, dtype=torch.float64)


@dataclass(frozen=True, kw_only=True)
class Pulses(Input):
    """Short pulses at even distances, the first at the onset.

    ``period`` null (the default): 10 steps; ``width`` null (the default): one step. Both are at least one step, and the
    width is at most the period.
    Source: snnTorch's tutorial 2.
    """

    amplitude: float = 1.0
    period: float | None = None
    width: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("period", "width"):
            if getattr(self, name) is not None:
                check.number(name, getattr(self, name), above=0)
        if self.period is not None and self.width is not None and self.width > self.period:
            raise ArgumentError("width", f"at most the period, {self.period:g}", self.width)

    def shape(self, num_steps: int, dt: float, num_neurons: int, generator: Generator | None) -> Tensor:
        time = torch.arange(num_steps, dtype=torch.float64)
        period = 10.0 if self.period is None else max(1.0, self.period / dt)
        width = 1.0 if self.width is None else max(1.0, self.width / dt)
        # Each pulse begins on the first step that is not before its time, so a period need not be whole steps.
        phase = time - torch.ceil(period * torch.floor(time / period + 1e-9) - 1e-9)
        return (phase < width - 1e-9).double()[:, None].expand(-1, num_neurons)


@dataclass(frozen=True, kw_only=True)
class Ramp(Input):
    """Rises evenly from ``start`` to ``stop``, over time or, with several neurons, from neuron to neuron.

    ``x = amplitude (start + (stop - start) k / n)`` for k = 0 ... n - 1: step k of n, or neuron k of n; ``stop`` itself
    is not reached. ``over`` (default auto): ``time``, ``neurons``, or ``auto``, neurons if there are several. Over
    neurons a simulation has one step unless ``num_steps`` is set: it shows which neurons fire, and the gradient.
    Source: the first demonstration of the integrate-and-fire blog series.
    """

    amplitude: float = 1.0
    start: float = 0.0
    stop: float = 1.0
    over: str = "auto"

    def __post_init__(self) -> None:
        super().__post_init__()
        check.number("start", self.start)
        check.number("stop", self.stop)
        check.choice("over", self.over, ("auto", "time", "neurons"))

    def steps(self, num_neurons: int) -> int:
        return 1 if self.over_neurons(num_neurons) else STEPS

    def over_neurons(self, num_neurons: int) -> bool:
        """True if the ramp runs from neuron to neuron."""
        return self.over == "neurons" or (self.over == "auto" and num_neurons > 1)

    def shape(self, num_steps: int, dt: float, num_neurons: int, generator: Generator | None) -> Tensor:
        across = self.over_neurons(num_neurons)
        count = num_neurons if across else num_steps
        rise = (self.stop - self.start) / count
        # Rounded like `torch.arange(start, stop, rise)` of the original demonstration; half a step short of the end, so
        # that the number of values is exact.
        values = torch.full((count,), self.start)
        if rise:
            values = torch.arange(self.start, self.start + rise * (count - 0.5), rise, dtype=torch.float32)
        values = values.double()
        return values.expand(num_steps, -1) if across else values[:, None].expand(-1, num_neurons)


@dataclass(frozen=True, kw_only=True)
class Sine(Input):
    """A sine wave about an offset, from the onset on.

    ``x(t) = amplitude (offset + sin(2π (t - onset) / period + phase))``. ``period`` null (the default): 50 steps;
    ``offset`` (default 1) is in amplitudes, so that 1 keeps the current positive; ``phase`` (default 0) in radians.
    Source: the frequency response of a neuron, Gerstner et al., Neuronal Dynamics, section 1.3.
    """

    amplitude: float = 0.1
    period: float | None = None
    phase: float = 0.0
    offset: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.period is not None:
            check.number("period", self.period, above=0)
        check.number("phase", self.phase)
        check.number("offset", self.offset)

    def shape(self, num_steps: int, dt: float, num_neurons: int, generator: Generator | None) -> Tensor:
        turns = torch.arange(num_steps, dtype=torch.float64) / (50 if self.period is None else self.period / dt)
        wave = self.offset + torch.sin(2 * math.pi * turns + self.phase)
        return wave[:, None].expand(-1, num_neurons)


@dataclass(frozen=True, kw_only=True)
class Noise(Input):
    """Ornstein-Uhlenbeck noise: a current that fluctuates about its mean; each neuron has its own noise.

    ``x[t+1] = mean + ρ (x[t] - mean) + σ sqrt(1 - ρ²) ξ``, in amplitudes, with ``ρ = exp(-dt/τ)`` and ξ standard
    normal: exact for every dt, and stationary from the start, with mean ``amplitude * mean`` and standard deviation
    ``amplitude * sd``. ``tau`` null (the default): 10 steps; ``mean`` (default 1), ``sd`` (default 1).
    Source: Uhlenbeck & Ornstein 1930, "On the theory of the Brownian motion".
    """

    amplitude: float = 0.1
    tau: float | None = None
    mean: float = 1.0
    sd: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.tau is not None:
            check.number("tau", self.tau, above=0)
        check.number("mean", self.mean)
        check.number("sd", self.sd, low=0)

    def shape(self, num_steps: int, dt: float, num_neurons: int, generator: Generator | None) -> Tensor:
        keep = math.exp(-1 / 10 if self.tau is None else -dt / self.tau)
        draws = torch.randn(num_steps, num_neurons, dtype=torch.float64, generator=generator)
        draws[1:] *= math.sqrt(1 - keep**2)
        for t in range(1, num_steps):
            draws[t] += keep * draws[t - 1]
        return self.mean + self.sd * draws


@dataclass(frozen=True, kw_only=True)
class Spikes(Input):
    """Poisson spikes: each adds the amplitude to its step; each neuron has its own spikes.

    The number of spikes in a step is Poisson distributed with mean ``rate * dt``. ``rate``: spikes per unit of dt; null
    (the default): one in 5 steps.
    """

    amplitude: float = 0.5
    rate: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rate is not None:
            check.number("rate", self.rate, low=0)

    def shape(self, num_steps: int, dt: float, num_neurons: int, generator: Generator | None) -> Tensor:
        mean = 0.2 if self.rate is None else self.rate * dt
        return torch.poisson(torch.full((num_steps, num_neurons), mean, dtype=torch.float64), generator=generator)


@dataclass(frozen=True, kw_only=True)
class File(Input):
    """Numbers from a file: CSV or NPY, a row for each step and a column for each neuron.

    A single column drives all neurons. After the last row there is silence; a simulation without ``num_steps`` has as
    many steps as rows. ``path`` ends in ``.csv`` (numbers separated by commas; a first line of names is skipped) or
    ``.npy`` (an array of numbers, [T] or [T, N]).

    Raises (when called): DataError, for a file that is missing, unreadable, not finite or too narrow.
    """

    amplitude: float = 1.0
    path: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.path, str) or not self.path.lower().endswith((".csv", ".npy")):
            raise ArgumentError("path", "a file that ends in .csv or .npy", self.path)

    def steps(self, num_neurons: int) -> int:
        return len(self._read())

    def shape(self, num_steps: int, dt: float, num_neurons: int, generator: Generator | None) -> Tensor:
        values = self._read()
        if values.shape[1] not in (1, num_neurons):
            raise DataError(
                f"{self.path}: expected 1 column, or one for each of the {num_neurons} neurons, got {values.shape[1]}; "
                f"set num_neurons={values.shape[1]}"
            )
        x = torch.zeros(num_steps, num_neurons, dtype=torch.float64)
        rows = torch.from_numpy(values[:num_steps])
        x[: len(rows)] = rows.expand(-1, num_neurons)
        return x

    def _read(self) -> np.ndarray:
        path = Path(str(self.path)).expanduser()
        try:
            values = np.load(path, allow_pickle=False) if path.suffix.lower() == ".npy" else _csv(path)
            values = np.asarray(values, dtype=np.float64)
        except OSError as error:
            raise DataError(f"{self.path}: cannot be read: {error.strerror or error}") from error
        except (ValueError, TypeError, EOFError) as error:
            raise DataError(f"{self.path}: expected numbers, a row for each step: {error}") from error
        values = values[:, None] if values.ndim == 1 else values
        if values.ndim != 2 or not values.size:
            raise DataError(f"{self.path}: expected an array [T] or [T, N], got shape {list(values.shape)}")
        if not np.isfinite(values).all():
            raise DataError(f"{self.path}: expected finite numbers, got {values[~np.isfinite(values)][0]}")
        return values


def _csv(path: Path) -> np.ndarray:
    lines = [line for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    if lines and any(character.isalpha() for character in lines[0].lower().replace("e", "").replace("nan", "")):
        lines = lines[1:]
    if not lines:
        raise ValueError("there is none")
    return np.loadtxt(lines, delimiter=",", ndmin=2, dtype=np.float64)


def _step(time: float, dt: float) -> int:
    """The first step that is not before ``time``; a tiny difference counts as rounding."""
    return math.ceil(time / dt - 1e-6)
