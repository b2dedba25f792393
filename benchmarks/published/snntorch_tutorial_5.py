"""snnTorch, tutorial 5: a fully connected network on MNIST, the loss on the membrane of every step.

The source adds up the test accuracy over all 10,000 test images, by the count of spikes, after one epoch whose last,
smaller batch is left out: 468 updates.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import snntorch
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Adam

from benchmarks.published.recipe import Recipe


class Net(nn.Module):
    """784-1000-10, ``Leaky`` as it is by default: atan surrogate, reset by subtraction one step late, detached."""

    def __init__(self, hidden: int, beta: float) -> None:
        super().__init__()
        self.linear1, self.leaky1 = nn.Linear(784, hidden), snntorch.Leaky(beta=beta)
        self.linear2, self.leaky2 = nn.Linear(hidden, 10), snntorch.Leaky(beta=beta)

    def forward(self, x: Tensor) -> Tensor:
        """Spikes and membranes ``[2, T, B, 10]`` for input ``[T, B, 784]``."""
        membrane1, membrane2 = self.leaky1.reset_mem(), self.leaky2.reset_mem()
        spikes, membranes = [], []
        for image in x:
            spike1, membrane1 = self.leaky1(self.linear1(image), membrane1)
            spike2, membrane2 = self.leaky2(self.linear2(spike1), membrane2)
            spikes.append(spike2)
            membranes.append(membrane2)
        return torch.stack([torch.stack(spikes), torch.stack(membranes)])


class Published(Recipe):
    preset = "snntorch_tutorial_5"
    package = "snntorch"
    source = "https://snntorch.readthedocs.io/en/latest/tutorials/tutorial_5.html"
    task = "mnist"
    batch_size, drop_last, epochs = 128, True, 1
    figures: ClassVar[Mapping[str, float]] = {"": 0.9387}
    settings: ClassVar[Mapping[str, Any]] = {"hidden": 1000, "beta": 0.95, "steps": 25, "optimizer": "Adam", "lr": 5e-4}

    def __init__(self) -> None:
        self.network = Net(self.settings["hidden"], self.settings["beta"])
        self.optimizer = Adam(self.network.parameters(), lr=self.settings["lr"], betas=(0.9, 0.999))

    def run(self, x: Tensor) -> Tensor:
        output: Tensor = self.network(x.flatten(2))
        return output

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        loss = torch.zeros(1)
        for membrane in output[1]:
            loss = loss + F.cross_entropy(membrane, target)
        return loss

    def predict(self, output: Tensor) -> Tensor:
        return output[0].sum(0).argmax(1)
