"""The blog's zero-target experiment for the tests: its inputs, and the spikes of each of its iterations."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from snnrun.task import Batch


def load(synapse: Any, entry: dict[str, Any], generator: torch.Generator) -> None:
    """Put the entry's first weights and biases into ``synapse``, drawn from ``generator`` before any input."""
    weight = torch.rand(synapse.weight.shape, generator=generator) * 2 - 1
    bias = torch.rand(synapse.bias.shape, generator=generator)
    synapse.load_state_dict({"weight": weight / math.sqrt(entry["params"]["size_input"]), "bias": bias})


class InputsOfArticle:
    """The article's inputs: one after the other from the generator that drew the weights; all of them in one pass."""

    def __init__(
        self, entry: dict[str, Any], generator: torch.Generator, dtype: torch.dtype, iterations: int | None = None
    ) -> None:
        self.params, self.dtype = entry["params"], dtype
        self.iterations = int(self.params["iterations"]) if iterations is None else iterations
        self.stream, self.ones = generator, list[list[int]]()

    def __len__(self) -> int:
        return self.iterations

    def batches(self, batch_size: int, generator: torch.Generator | None = None) -> Iterator[Batch]:
        for _ in range(len(self)):
            bits = torch.randint(0, 2, (self.params["n_time"], self.params["size_input"]), generator=self.stream)
            self.ones.append(bits.sum(1).tolist())
            yield Batch(bits[:, None].to(self.dtype), None)


class ZeroInputs:
    """No validation: one batch of zeros, so that no number is drawn."""

    stream = None

    def __init__(self, entry: dict[str, Any], dtype: torch.dtype) -> None:
        self.x = torch.zeros(entry["params"]["n_time"], 1, entry["params"]["size_input"], dtype=dtype)

    def __len__(self) -> int:
        return 1

    def batches(self, batch_size: int, generator: torch.Generator | None = None) -> Iterator[Batch]:
        yield Batch(self.x, None)


class ModelWithSpikes(nn.Module):
    """The model, keeping the spikes of each training step."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.spikes: list[Tensor] = []

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> Any:
        traces = self.model(x, generator)
        if self.training:
            self.spikes.append(traces["output"].spikes.detach()[:, 0])
        return traces
