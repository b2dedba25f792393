"""What is measured, the same for everyone: a job with its network and training, and convolutional networks."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

Weights = list[tuple[Tensor, Tensor]]  # per layer: weight [n_out, n_in] and bias [n_out]


@dataclass(frozen=True)
class Job:
    """A 784-hidden-10 MLP of LIF neurons on MNIST digits, trained by the cross-entropy of its membrane at every step.

    ``input``: ``constant``, the image at every step, or ``rate``, a Bernoulli train with the pixels as probabilities.
    ``device``: torch's name of it.
    """

    input: str
    steps: int = 25
    batch: int = 128
    hidden: int = 1000
    beta: float = 0.95
    lr: float = 5e-4
    images: int = 4096
    epochs: int = 5
    seeds: tuple[int, ...] = (0, 1, 2)
    device: str = "cpu"


@dataclass(frozen=True)
class Convolutional:
    """A convolutional network on images of 28x28 pixels, and its input.

    ``network``: ``snntorch_tutorial_6``, two 5x5 convolutions and a read-out of LIF neurons, or ``spikingjelly_csnn``,
    two 3x3 convolutions with batch norm, a full layer and a read-out of IF neurons, which are presets of snnrun; or
    ``residual``, a stem and two SEW blocks, the second with stride 2, of IF neurons and with batch norm.
    ``input``, ``device``: as of a :class:`Job`. ``precision``: ``fp32``, or ``bf16`` for torch's autocast.
    """

    network: str
    input: str
    precision: str = "fp32"
    channels: tuple[int, int] = (12, 64)
    steps: int = 25
    batch: int = 128
    device: str = "cpu"
