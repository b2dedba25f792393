"""A training step as two CUDA graphs: ``execution.cuda_graph=true``.

A CUDA graph is a recording of all kernels that a function starts. A replay starts them with one call, so Python and
torch cost nothing between two kernels. The addresses stay the same: the inputs are copied to where they were, and the
results appear where they were.

====== ==================================================================================== =======================
graph  contents                                                                             afterwards
====== ==================================================================================== =======================
first  encoder, forward pass, loss, backward pass, norm of the gradient, counts of spikes   one reading, one wait
second clipping and the step of the optimizer                                               the next batch is prepared
====== ==================================================================================== =======================

Loss and norm are read between the two. So ``on_nonfinite=stop`` ends the training before the update, as without graphs.

The first ``WARM_UP`` steps are ordinary steps on the stream of the graphs, since the first calls compile kernels and
reserve memory. So is a batch of another shape, such as a smaller last one. Learning rate and other numbers of the
optimizer are a part of the second graph, which is recorded again when they change; with a schedule for each step at
every step.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol

import torch
from torch import Generator, Tensor, nn
from torch.optim import SGD, Optimizer

from snnrun.config.settings import Settings
from snnrun.encoder.value_check import ValueChecks
from snnrun.errors import ArgumentError, ConfigError, Description
from snnrun.task import Batch
from snnrun.training.metrics import Counts
from snnrun.training.state import TrainingState

KEY = "execution.cuda_graph"
WARM_UP = 3
ADVICE = f"use {KEY}=false"


class Passes(NamedTuple):
    """What the forward and backward pass of a step leave on the device, besides the gradients of the parameters.

    Attributes:
        loss, norm: ``[]``: of the batch, and of the gradients of all parameters together.
        outcome: of the batch; see :func:`snnrun.training.loop.score`.
        counts: how often the neurons fired, of each batch of the step.
        samples: number of them in the step.
        checks: of values, whose numbers are read with the loss.
    """

    loss: Tensor
    norm: Tensor
    outcome: Tensor | None
    counts: tuple[Counts, ...]
    samples: int
    checks: ValueChecks


class Recording(Protocol):
    """A graph of a function without arguments."""

    def replay(self) -> Any:
        """Start the kernels of the function; returns its results, always the same tensors."""


class Recorder(Protocol):
    """Records graphs; :class:`CudaRecorder` is the real one."""

    def warm_up(self, function: Callable[[], Any]) -> Any:
        """``function()``, on the stream of the graphs."""

    def record(self, function: Callable[[], Any]) -> Recording:
        """The graph of ``function``, which runs in Python once, but starts no kernel.

        Raises:
            RuntimeError: for a function that waits for the device.
        """


class PlainStep:
    """The step without graphs."""

    def passes(self, function: Callable[[Iterable[Batch]], Passes], window: Iterable[Batch]) -> Passes:
        """Forward and backward pass of the batches of a step, ``function(window)``."""
        return function(window)

    def update(self, function: Callable[[Tensor], None], norm: Tensor, *, broken: bool) -> None:
        """The update of the parameters, ``function(norm)``; ``broken``: loss or gradient are not finite."""
        function(norm)


class GraphStep(PlainStep):
    """The step as graphs, after some without.

    Args:
        optimizer: of the parameters.
        parameters: the trainable ones.
        recorder: records the graphs.
    """

    def __init__(self, optimizer: Optimizer, parameters: Sequence[nn.Parameter], recorder: Recorder) -> None:
        self._optimizer, self._parameters, self._recorder = optimizer, parameters, recorder
        self._steps: dict[Any, int] = {}  # without a graph, by the shape of the batch
        self._shape: Any = None  # of the graph
        self._input = Batch(torch.empty(0), None)
        self._first: Recording | None = None
        self._second: Recording | None = None
        self._numbers: Any = None  # of the optimizer, in the second graph
        self._gradients: list[Tensor | None] = []
        self._replayed = False

    def passes(self, function: Callable[[Iterable[Batch]], Passes], window: Iterable[Batch]) -> Passes:
        (batch,) = window
        shape = _shape(batch)
        steps = self._steps[shape] = self._steps.get(shape, 0) + 1
        if self._first is None and steps > WARM_UP:
            self._shape, target = shape, batch.target
            self._input = Batch(batch.x.clone(), None if target is None else target.clone())
            self._first = self._record(lambda: function([self._input]))
            self._gradients = [parameter.grad for parameter in self._parameters]
        self._replayed = self._first is not None and shape == self._shape
        if self._first is None or not self._replayed:
            result: Passes = self._recorder.warm_up(lambda: function([batch]))
            return result
        for place, values in zip(self._input, batch, strict=True):
            if place is not None and values is not None:
                place.copy_(values, non_blocking=True)
        result = self._first.replay()
        # A step without a graph has left other gradients.
        for parameter, gradient in zip(self._parameters, self._gradients, strict=True):
            parameter.grad = gradient
        return result

    def update(self, function: Callable[[Tensor], None], norm: Tensor, *, broken: bool) -> None:
        if broken or not self._replayed:
            with _quiet():
                self._recorder.warm_up(lambda: function(norm))
            return
        if self._second is None or self._numbers != _numbers(self._optimizer):
            self._second = None  # its memory is free for the next
            with _capturable(self._optimizer):
                self._second = self._record(lambda: function(norm))
            self._numbers = _numbers(self._optimizer)
        self._second.replay()

    def _record(self, function: Callable[[], Any]) -> Recording:
        try:
            return self._recorder.record(function)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            what = "a training step of this network cannot be recorded"
            raise ConfigError(f"{KEY}: {what} ({reason}); {ADVICE}") from error


class CudaRecorder:
    """Records CUDA graphs. All graphs of a recorder share memory, so they are replayed in the order of their recording.

    Args:
        device: a CUDA device.
        generators: of that device; the recorded functions draw from them, at each replay other numbers.
    """

    def __init__(self, device: torch.device, generators: Sequence[Generator]) -> None:
        self._device, self._generators = device, generators
        self._stream = torch.cuda.Stream(device)
        self._pool = torch.cuda.graph_pool_handle()

    def warm_up(self, function: Callable[[], Any]) -> Any:
        """``function()``, on the stream of the graphs."""
        with torch.cuda.device(self._device):
            current = torch.cuda.current_stream()
            self._stream.wait_stream(current)
            with torch.cuda.stream(self._stream):
                result = function()
            current.wait_stream(self._stream)
        return result

    def record(self, function: Callable[[], Any]) -> Recording:
        """The graph of ``function``."""
        graph = torch.cuda.CUDAGraph()
        for generator in self._generators:
            graph.register_generator_state(generator)
        with torch.cuda.device(self._device), torch.cuda.graph(graph, pool=self._pool, stream=self._stream):
            results = function()
        return CudaRecording(graph, results)


class CudaRecording(NamedTuple):
    """A CUDA graph, and the results of its function."""

    graph: torch.cuda.CUDAGraph
    results: Any

    def replay(self) -> Any:
        """See :class:`Recording`."""
        self.graph.replay()
        return self.results


def step_of(
    state: TrainingState, settings: Settings, parameters: Sequence[nn.Parameter], recorder: Recorder | None = None
) -> PlainStep:
    """The execution of a step that the settings ask for.

    ``recorder``: of the graphs. Default: of the device of the streams.

    Raises:
        ConfigError: for an optimizer whose step cannot be recorded, or another device than CUDA.
    """
    if not settings.execution.cuda_graph:
        return PlainStep()
    check_optimizer(state.optimizer)
    generators = (state.streams.encoding, state.streams.dropout)
    if recorder is None:
        check_settings(settings, generators[0].device)
        recorder = CudaRecorder(generators[0].device, generators)
    return GraphStep(state.optimizer, parameters, recorder)


def check_settings(settings: Settings, device: torch.device, processes: int = 1) -> None:
    """Check that the settings allow graphs, if they ask for them.

    Raises:
        ConfigError: for another device than CUDA, several processes, several batches in a step, or ``memory=low``.
    """
    if not settings.execution.cuda_graph:
        return
    if device.type != "cuda":
        expected, got = "false on a device other than cuda", Description(f"true on {device.type}")
        raise ConfigError.of(ArgumentError(KEY, expected, got, advice=ADVICE))
    if processes > 1:
        got = Description(f"true with {processes} processes")
        raise ConfigError.of(ArgumentError(KEY, "false where several processes share a batch", got, advice=ADVICE))
    if settings.accumulate > 1:
        got = Description(f"true with accumulate={settings.accumulate}")
        raise ConfigError.of(ArgumentError(KEY, "false where a step has several batches", got, advice=ADVICE))
    if settings.memory == "low":
        # Its backward pass sets the state of torch's generator, which is impossible within a graph.
        advice = f"use memory=full, or {KEY}=false"
        raise ConfigError.of(ArgumentError(KEY, "false with memory=low", True, advice=advice))


def check_optimizer(optimizer: Optimizer) -> None:
    """Check that the step of ``optimizer`` can be recorded: torch's SGD, and torch's with the option ``capturable``.

    Raises:
        ConfigError: for another one.
    """
    kind = type(optimizer)
    own = kind.__module__.startswith("torch.optim.")
    if own and (kind is SGD or all("capturable" in group for group in optimizer.param_groups)):
        return
    expected = "false with an optimizer that has no option capturable"
    got = Description(f"true with {kind.__name__}")
    raise ConfigError.of(ArgumentError(KEY, expected, got, advice=f"use optimizer=adam, or {KEY}=false"))


@contextmanager
def _capturable(optimizer: Optimizer) -> Iterator[None]:
    """Within this context the optimizer is to be recorded.

    For torch's fused steps nothing else differs: their state is on the device anyway.
    """
    before = [group.get("capturable") for group in optimizer.param_groups]
    for group in optimizer.param_groups:
        if "capturable" in group:
            group["capturable"] = True
    try:
        yield
    finally:
        for group, value in zip(optimizer.param_groups, before, strict=True):
            if "capturable" in group:
                group["capturable"] = value


@contextmanager
def _quiet() -> Iterator[None]:
    """Within this context torch does not warn of a capturable optimizer that steps outside of a graph."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        yield


def _shape(batch: Batch) -> Any:
    return tuple(None if each is None else (each.shape, each.stride(), each.dtype) for each in batch)


def _numbers(optimizer: Optimizer) -> Any:
    """The options of the optimizer, such as the learning rate."""
    return [{key: value for key, value in group.items() if key != "params"} for group in optimizer.param_groups]
