"""The contract of a task: four facts that are known before any data is read, and one method that reads it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from snnrun.errors import ArgumentError


class Batch(NamedTuple):
    """Samples that are run together."""

    # [T, B, *input_shape], or [1, B, *input_shape] for still input; float32, values in [0, 1], or numbers of events
    x: Tensor
    # [B] int64 class labels, or [B, num_outputs] values to regress; None where the target is silence
    target: Tensor | None


class Part(Protocol):
    """One part of the data: train, validation or test."""

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

        Raises:
            DataError: data is missing or damaged.
        """
