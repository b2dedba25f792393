"""What a published experiment is: a network, how it is trained, and the facts of its source."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor, nn
from torch.optim import Optimizer


class Recipe(ABC):
    """One network of a library, ready to be trained; its initial weights are those of torch's global generator.

    A subclass sets the class's facts, and in ``__init__`` the network and its optimizer.
    """

    preset: ClassVar[str]
    """The preset of snnrun that repeats it, in ``conf/experiment``."""
    overrides: ClassVar[tuple[str, ...]] = ()
    """What is to be said after the preset's name to have this one, such as ``loss.population=1``."""
    package: ClassVar[str]
    """The library, by the name of its package."""
    source: ClassVar[str]
    """Where it was published."""
    task: ClassVar[str]
    """The data: mnist or fashion_mnist."""
    batch_size: ClassVar[int]
    drop_last: ClassVar[bool]
    """Whether the last batch of an epoch is left out where it is smaller than the others."""
    epochs: ClassVar[int]
    """Of the published figure."""
    updates: ClassVar[int | None] = None
    """Steps of the optimizer after which the published figure was taken; None: all of the epochs."""
    figures: ClassVar[Mapping[str, float]]
    """The published accuracies: of the whole under "", of less under what snnrun is told for that: ``epochs=1``."""
    settings: ClassVar[Mapping[str, Any]]
    """What else the source sets, for the record; among it ``steps``, T."""

    network: nn.Module
    optimizer: Optimizer

    def encode(self, x: Tensor) -> Tensor:
        """The input ``[T, B, 1, 28, 28]`` for images ``[B, 1, 28, 28]`` in [0, 1]. Default: the image at every step."""
        return x.expand(self.settings["steps"], *x.shape)

    @abstractmethod
    def run(self, x: Tensor) -> Tensor:
        """What loss and prediction are computed from, from rest, for the encoded input ``[T, B, 1, 28, 28]``."""

    @abstractmethod
    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        """The scalar to be minimised, for labels ``[B]``."""

    @abstractmethod
    def predict(self, output: Tensor) -> Tensor:
        """Labels ``[B]``."""

    def end_epoch(self) -> None:  # noqa: B027  (most need nothing)
        """What follows an epoch, such as a step of the learning rate. Default: nothing."""
