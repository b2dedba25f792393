"""The contract of a task: four facts that are known before any data is read, and one method that reads it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from snnrun.errors import ArgumentError, DataError


class Batch(NamedTuple):
    """Samples that are run together."""

    # [T, B, *input_shape], or [1, B, *input_shape] for still input; float32, values in [0, 1], or numbers of events
    x: Tensor
    # [B] int64 class labels, or [B, num_outputs] values to regress; None where the target is silence
    target: Tensor | None


class Part(Protocol):
    """One part of the data: train, validation or test."""

    @property
    def stream(self) -> torch.Generator | None:
        """The generator from which shuffled passes draw numbers of their own, on top of the order; None: they do not.

        Noise, random changes and samples that are made as they are asked for are such numbers. A run that is resumed in
        the middle of an epoch puts the generator back to where it stood as the epoch began, and draws the epoch again;
        so whatever else a pass depends on must be the same in every pass. A part that draws from torch's global
        generator needs none: these numbers, too, are those of the run's seed and the epoch.
        """
        ...

    def __len__(self) -> int:
        """Number of samples in one pass."""
        ...

    def batches(self, batch_size: int, generator: torch.Generator | None = None) -> Iterator[Batch]:
        """One pass: every sample once, the last, smaller batch included.

        With a generator (on the CPU) the order is shuffled by it; without one it is fixed.
        """
        ...


class Data(NamedTuple):
    """The three parts, and what identifies the data they were cut from."""

    train: Part
    validation: Part
    test: Part
    hashes: dict[str, str]  # name -> sha256 of the data itself, for the manifest; empty where it is generated


def check_streams(data: Data) -> None:
    """Check that each part says what it draws from.

    Raises:
        DataError: for a part without ``stream``, or with one that is neither a generator nor None. A resumed run could
            not give it the numbers of an uninterrupted one.
    """
    for name, part in (("training", data.train), ("validation", data.validation), ("test", data.test)):
        stream = getattr(part, "stream", ...)  # a class of the user's, which no type checker has seen
        if stream is None or isinstance(stream, torch.Generator):
            continue
        kind, got = type(part), "no such attribute" if stream is ... else type(stream).__name__
        raise DataError(
            f"task: {kind.__module__}.{kind.__qualname__}, the {name} part: expected an attribute stream, the "
            f"torch.Generator that its batches are drawn from, got {got}; a resumed run sets it back. Write "
            "self.stream = generator where batches() draws numbers of its own, or stream = None where it does not"
        )


class Task(ABC):
    """Input and targets for a network. The attributes are set by the class or by ``__init__``, never by ``load``."""

    input_shape: tuple[int, ...]
    """``*N`` of the input, such as ``(300,)`` or ``(1, 28, 28)``."""
    num_outputs: int
    """Size of the output layer."""
    has_time: bool
    """True: the input has ``num_steps`` steps. False: it is still, a sequence of one step."""
    has_accuracy: bool
    """True: targets are class labels. False: there is only a loss."""
    has_values: bool = False
    """True: targets are numbers, [B, num_outputs], to regress; scored by R². Then there are no labels."""
    has_validation: bool = True
    """False: the validation part has no samples. Then no epoch is the best, and the last one's weights are tested."""
    classes: tuple[str, ...] = ()
    """Names of the classes, in the order of their labels, for figures and reports; empty: their numbers are names."""

    def class_names(self) -> tuple[str, ...]:
        """A name for each label: ``classes``, or the numbers from 0 on; none where targets are no class labels.

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

    @abstractmethod
    def load(self, data_dir: Path, num_steps: int, device: torch.device, generator: torch.Generator) -> Data:
        """Read, or prepare to generate, the data, and part it.

        Args:
            data_dir: folder in which files are looked for, and downloads kept.
            num_steps: length T of generated input; still input ignores it.
            device: where the batches are wanted.
            generator: on the CPU; seeds what a *generated* task draws, and the random changes to training images. The
                split of a set has a seed of its own, so that runs with several seeds share one test part.

        Each part says in ``stream`` which generator it draws from; see :class:`Part`.

        Raises:
            DataError: data is missing or damaged.
        """
