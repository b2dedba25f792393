"""SpikingJelly's first example: one layer of ten LIF neurons on MNIST, Poisson coded.

The source's 92.9 % is the highest accuracy on the test part in 100 epochs, 92.94 %. It trains with mixed precision on a
GPU; here in float32.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from spikingjelly.activation_based import encoding, functional, layer, neuron, surrogate
from torch import Tensor, nn
from torch.optim import Adam

from benchmarks.published.recipe import Recipe


class Published(Recipe):
    preset = "spikingjelly_lif_fc"
    package = "spikingjelly"
    source = "https://spikingjelly.readthedocs.io/zh-cn/latest/tutorials/en/lif_fc_mnist.html"
    task = "mnist"
    batch_size, drop_last, epochs = 64, True, 100
    figures: ClassVar[Mapping[str, float]] = {"": 0.929, "epochs=1": 0.9112}
    settings: ClassVar[Mapping[str, Any]] = {
        "tau": 2.0,
        "surrogate": "ATan",
        "steps": 100,
        "encoder": "Poisson",
        "optimizer": "Adam",
        "lr": 1e-3,
    }

    def __init__(self) -> None:
        lif = neuron.LIFNode(tau=self.settings["tau"], surrogate_function=surrogate.ATan())
        self.network = nn.Sequential(layer.Flatten(), layer.Linear(784, 10, bias=False), lif)
        self.optimizer = Adam(self.network.parameters(), lr=self.settings["lr"])
        self._encoder = encoding.PoissonEncoder()

    def encode(self, x: Tensor) -> Tensor:
        return torch.stack([self._encoder(x) for _ in range(self.settings["steps"])])

    def run(self, x: Tensor) -> Tensor:
        """The firing rates ``[B, 10]``."""
        functional.reset_net(self.network)
        rates = torch.zeros(())
        for spikes in x:
            rates = rates + self.network(spikes)
        return rates / len(x)

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        return F.mse_loss(output, F.one_hot(target, 10).float())

    def predict(self, output: Tensor) -> Tensor:
        return output.argmax(1)
