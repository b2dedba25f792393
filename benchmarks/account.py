"""Where the time of a training step goes, by the hooks that torch offers; the trainer is left as it is."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from torch import Generator, Tensor, nn
from torch.optim import Optimizer

from snnrun.task import Batch, Data

PARTS = ("data", "encode", "forward", "loss", "backward", "norm", "optimizer", "records")


class Account:
    """Adds up the seconds between the marks of a step; each mark ends the part that it names.

    ``data``: the batch is there. ``encode``: the model is called. ``forward``: its traces are there. ``loss``: the
    gradient reaches the read-out's membrane. ``backward``: the last parameter has its gradient. ``norm``: the optimizer
    is called (gradient norm, check that it is finite). ``optimizer``: done. ``records``: sums, metrics, console.
    """

    def __init__(self, model: nn.Module, optimizer: Optimizer) -> None:
        self.seconds = dict.fromkeys(PARTS, 0.0)
        self._last = time.perf_counter()
        model.register_forward_pre_hook(lambda module, arguments: self._in(module, "encode"))
        model.register_forward_hook(self._forward)
        for parameter in model.parameters():
            parameter.register_post_accumulate_grad_hook(lambda parameter: self.mark("backward"))
        optimizer.register_step_pre_hook(lambda *arguments: self.mark("norm"))
        optimizer.register_step_post_hook(lambda *arguments: self.mark("optimizer"))

    def start(self) -> None:
        """A step begins."""
        self._last = time.perf_counter()

    def mark(self, part: str) -> None:
        """What ran since the last mark was ``part``."""
        now = time.perf_counter()
        self.seconds[part] += now - self._last
        self._last = now

    def shares(self) -> dict[str, float]:
        """Each part's share of all."""
        total = sum(self.seconds.values())
        return {part: seconds / total for part, seconds in self.seconds.items()}

    def watch(self, data: Data) -> Data:
        """The same data; handing out a batch ends ``data``."""
        return data._replace(train=_Watched(data.train, self))

    def _in(self, module: nn.Module, part: str) -> None:
        if module.training:  # validation is no part of a step
            self.mark(part)

    def _forward(self, module: nn.Module, arguments: Any, traces: dict[str, Any]) -> None:
        self._in(module, "forward")
        membrane: Tensor = list(traces.values())[-1].membrane
        if module.training and membrane.requires_grad:
            membrane.register_hook(lambda gradient: self.mark("loss"))


class _Watched:
    def __init__(self, part: Any, account: Account) -> None:
        self._part, self._account = part, account
        self.stream: Generator | None = part.stream

    def __len__(self) -> int:
        return len(self._part)

    def batches(self, batch_size: int, generator: Generator | None = None) -> Iterator[Batch]:
        for batch in self._part.batches(batch_size, generator):
            self._account.mark("data")
            yield batch
