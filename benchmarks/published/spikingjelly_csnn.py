"""SpikingJelly's convolutional example on Fashion-MNIST: two convolutions with batch norm, two full layers, IF neurons.

The source's 93.08 % is the highest accuracy on the test part in 64 epochs, with a batch of 256 and mixed precision, as
its log says; the command in its text has a batch of 128.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch.nn.functional as F
from spikingjelly.activation_based import functional, layer, neuron, surrogate
from torch import Tensor, nn
from torch.optim import SGD
from torch.optim.lr_scheduler import CosineAnnealingLR

from benchmarks.published.recipe import Recipe


class Published(Recipe):
    preset = "spikingjelly_csnn"
    package = "spikingjelly"
    source = "https://spikingjelly.readthedocs.io/zh-cn/latest/tutorials/en/conv_fashion_mnist.html"
    task = "fashion_mnist"
    batch_size, drop_last, epochs = 128, True, 64
    figures: ClassVar[Mapping[str, float]] = {"": 0.9308, "epochs=1": 0.8543}
    settings: ClassVar[Mapping[str, Any]] = {
        "channels": 128,
        "neuron": "IF",
        "surrogate": "ATan",
        "steps": 4,
        "optimizer": "SGD",
        "lr": 0.1,
        "momentum": 0.9,
        "scheduler": "cosine over 64 epochs",
    }

    def __init__(self) -> None:
        def fire() -> nn.Module:
            return neuron.IFNode(surrogate_function=surrogate.ATan())

        def block(before: int, after: int) -> list[nn.Module]:
            convolution = layer.Conv2d(before, after, kernel_size=3, padding=1, bias=False)
            return [convolution, layer.BatchNorm2d(after), fire(), layer.MaxPool2d(2, 2)]

        n = self.settings["channels"]
        full = [layer.Linear(n * 7 * 7, n * 4 * 4, bias=False), fire(), layer.Linear(n * 4 * 4, 10, bias=False), fire()]
        self.network = nn.Sequential(*block(1, n), *block(n, n), layer.Flatten(), *full)
        functional.set_step_mode(self.network, step_mode="m")
        self.optimizer = SGD(self.network.parameters(), lr=self.settings["lr"], momentum=self.settings["momentum"])
        self._scheduler = CosineAnnealingLR(self.optimizer, self.epochs)

    def run(self, x: Tensor) -> Tensor:
        """The firing rates ``[B, 10]``."""
        functional.reset_net(self.network)
        rates: Tensor = self.network(x).mean(0)
        return rates

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        return F.mse_loss(output, F.one_hot(target, 10).float())

    def predict(self, output: Tensor) -> Tensor:
        return output.argmax(1)

    def end_epoch(self) -> None:
        self._scheduler.step()
