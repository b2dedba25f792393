"""The interface of a task: facts known before any data is read, and a method that reads it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from snnrun.errors import ArgumentError, DataError
from snnrun.system.device import upload

#: The label of a step without one: it counts in no loss and no score.
NO_LABEL = -1


class Batch(NamedTuple):
    """Samples that run together."""

    # [T, B, *input_shape], or [1, B, *input_shape] for still input; float32, values in [0, 1], or numbers of events
    x: Tensor
    # [B] int64 class labels, or [B, num_outputs] values to regress; None if the target is silence. With a target for
    # each step, [B, T] labels, NO_LABEL where a step has none, or [B, T, num_outputs] values, NaN where it has none
    target: Tensor | None
    # [B] int64 on the CPU: the steps of each sample, 1 to T, if they differ. Afterwards the input is 0, and a target
    # for each step NO_LABEL or NaN
    lengths: Tensor | None = None


def steps_within(lengths: Tensor, steps: int, device: torch.device) -> Tensor:
    """True at the steps of each sample before its end, ``[T, B]``."""
    return torch.arange(steps, device=device)[:, None] < upload(lengths, device)


class Part(Protocol):
    """One part of the data: train, validation or test."""

    @property
    def stream(self) -> torch.Generator | None:
        """The generator for random numbers of shuffled passes besides the order, or None.

        Examples are noise, random changes and generated samples. A run that is resumed in the middle of an epoch resets
        the generator to the begin of the epoch, and draws the epoch again; so everything else that a pass depends on
        must be the same in every pass. A part that draws from torch's global generator needs none: its numbers depend
        on the run's seed and the epoch.
        """
        ...

    def __len__(self) -> int:
        """Number of samples in one pass."""
        ...

    def batches(self, batch_size: int, generator: torch.Generator | None = None) -> Iterator[Batch]:
        """One pass: every sample once, including a smaller last batch.

        A generator (on the CPU) shuffles the order; without one it is fixed.
        """
        ...


class Data(NamedTuple):
    """The three parts, and the identity of the whole data."""

    train: Part
    validation: Part
    test: Part
    hashes: dict[str, str]  # name -> sha256 of the data itself, for the manifest; empty for generated data
    # the device whose memory has the samples, such as "cuda:0"; "cpu": batches are copied from there; None: unknown
    place: str | None = None
    # the steps of the shortest sample, if samples differ in length
    shortest: int | None = None


def check_streams(data: Data) -> None:
    """Check that each part has a valid ``stream``.

    Raises:
        DataError: for a part without ``stream``, or with one that is neither a generator nor None. A resumed run could
            not reproduce its random numbers.
    """
    for name, part in (("training", data.train), ("validation", data.validation), ("test", data.test)):
        stream = getattr(part, "stream", ...)  # a user's class may lack it
        if stream is None or isinstance(stream, torch.Generator):
            continue
        kind, got = type(part), "no such attribute" if stream is ... else type(stream).__name__
        raise DataError(
            f"task: {kind.__module__}.{kind.__qualname__}, the {name} part: expected an attribute stream, the "
            f"torch.Generator that its batches are drawn from, got {got}; a resumed run sets it back. Write "
            "self.stream = generator where batches() draws numbers of its own, or stream = None where it does not"
        )


class Task(ABC):
    """Input and targets for a network. The class or ``__init__`` sets the attributes, never ``load``."""

    input_shape: tuple[int, ...]
    """``*N`` of the input, such as ``(300,)`` or ``(1, 28, 28)``."""
    num_outputs: int
    """Size of the output layer."""
    has_time: bool
    """True: the input has ``num_steps`` steps. False: it is still, a sequence of one step."""
    has_accuracy: bool
    """True: targets are class labels. False: the only measure is the loss."""
    has_values: bool = False
    """True: targets are numbers, [B, num_outputs], to regress; scored by R². Then there are no labels."""
    has_steps: bool = False
    """True: there is a target for each step, of which some may be missing."""
    has_lengths: bool = False
    """True: batches have ``lengths``, and ``num_steps`` may be ``max``, each batch as long as its longest sample."""
    has_validation: bool = True
    """False: there are no validation samples. Then no epoch is the best, and the weights of the last one are tested."""
    length: int | None = None
    """The number of steps of every sample, if the task fixes it: the run's ``num_steps`` must be this number."""
    classes: tuple[str, ...] = ()
    """Names of the classes, in the order of their labels, for figures and reports; empty: use their numbers."""

    def class_names(self) -> tuple[str, ...]:
        """A name for each label: ``classes``, or the numbers from 0 on; empty if targets are not class labels.

        Raises:
            ValueError: if ``classes`` are not ``num_outputs`` different texts.
        """
        if not self.has_accuracy:
            return ()
        if not self.classes:
            return tuple(map(str, range(self.num_outputs)))
        names, distinct = tuple(self.classes), set(self.classes)
        if not all(isinstance(name, str) for name in names) or not len(names) == len(distinct) == self.num_outputs:
            raise ArgumentError("classes", f"{self.num_outputs} different names, one for each label", names)
        return names

    def check_length(self, num_steps: int) -> None:
        """Raise ArgumentError if the task has another ``length`` than ``num_steps``."""
        if self.length is not None and num_steps != self.length:
            expected = f"{self.length}, the steps of a sample of this task"
            raise ArgumentError("num_steps", expected, num_steps, advice=f"set num_steps={self.length}")

    @abstractmethod
    def load(self, data_dir: Path, num_steps: int, device: torch.device, generator: torch.Generator) -> Data:
        """Read the data, or prepare to generate it, and split it.

        Args:
            data_dir: folder of files and downloads.
            num_steps: length T of generated input; still input ignores it. A task with ``has_lengths`` cuts longer
                samples to it, and gets the text ``max`` where the run cuts none.
            device: of the batches.
            generator: on the CPU; seeds the draws of a *generated* task, and the random changes to training images. The
                split of a set has its own seed, so that runs with several seeds share one test set.

        The ``stream`` of each part is the generator that it draws from; see :class:`Part`.

        Raises:
            DataError: data is missing or damaged.
        """
