"""The matrix product of a linear layer, with the fastest method for its input on this processor.

==================== ================================================================================================
few spikes           events (:mod:`snnrun.model.products.events`): on the CPU, for float32, forwards and for the
                     gradient of the weights
other inputs         ``default``, torch's own product, or ``onednn``, oneDNN's kernel for float32, which is twice as
                     fast on some processors
==================== ================================================================================================

All of them are float32 products with float32 sums; they differ in the order of the terms, hence in the last bits.
"""

from __future__ import annotations

import hashlib
import json
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from snnrun.errors import ConfigError
from snnrun.model.products import events
from snnrun.system import files, machine, safe_read
from snnrun.system.cache import cache_dir

#: Multiplications below which a product is always torch's own: other methods gain nothing.
SMALL = 10_000_000
#: Outputs below which events are not faster: a spike is added to ``events.WIDTH`` sums at a time.
FEW = 64
#: Inputs below which oneDNN copies more than it computes.
NARROW = 8


@dataclass(frozen=True)
class Product:
    """The method for large products on the CPU.

    Args:
        dense: ``default`` or ``onednn``.
        events_below: share of spikes below which a product uses events; 0: never.
    """

    dense: str = "default"
    events_below: float = 0.0


TORCHS_OWN = Product()


class Linear(nn.Linear):
    """``torch.nn.Linear`` with a method, ``product``, from the execution plan; torch's own by default.

    With another :class:`Product` it can be differentiated once. Spikes are detected by their values, so any input is
    allowed.
    """

    product = TORCHS_OWN

    def forward(self, x: Tensor) -> Tensor:
        """``x W^T + b`` ``[*, N]`` for ``x`` ``[*, K]``."""
        if self.product == TORCHS_OWN or not self._applies(x):
            return super().forward(x)
        rows = x.reshape(-1, x.shape[-1])
        spikes = events.find(rows, self.product.events_below) if self._may_be_events() else None
        if spikes is not None:
            y = _Events.apply(rows, self.weight, self.bias, spikes, self.product.dense)
        elif self.product.dense == "onednn" and self.in_features >= NARROW:
            y = _OneDNN.apply(rows, self.weight, self.bias)
        else:
            return super().forward(x)
        return y.view(*x.shape[:-1], self.out_features)

    def _applies(self, x: Tensor) -> bool:
        return (
            x.numel() > 0
            and x.numel() * self.out_features >= SMALL
            and not torch.is_autocast_enabled("cpu")
            and all(each.device.type == "cpu" and each.dtype == torch.float32 for each in (x, self.weight))
        )

    def _may_be_events(self) -> bool:
        return self.product.events_below > 0 and self.out_features >= FEW


class _Events(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, spikes: events.Events, dense: str) -> Tensor:
        # Only the places of spikes are saved, a quarter of their size.
        ctx.save_for_backward(weight, spikes.places, spikes.lengths)
        ctx.sizes, ctx.dense = (spikes.columns, spikes.spikes), dense
        return events.product(spikes, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        weight, places, lengths = ctx.saved_tensors
        for_x, for_weight, for_bias = ctx.needs_input_grad[:3]
        return (
            DENSE[ctx.dense](grad, weight.t(), None) if for_x else None,
            events.weight_gradient(events.Events(places, lengths, *ctx.sizes), grad) if for_weight else None,
            grad.sum(0) if for_bias else None,
            None,
            None,
        )


class _OneDNN(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return _onednn(x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        for_x, for_weight, for_bias = ctx.needs_input_grad
        return (
            _onednn(grad, weight.t(), None) if for_x else None,
            _onednn(grad.t(), x.t(), None) if for_weight else None,
            grad.sum(0) if for_bias else None,
        )


def _onednn(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")


#: ``x W^T + b`` for ``x`` ``[M, K]`` and ``W`` ``[N, K]``, by the name of the method.
DENSE: dict[str, Callable[[Tensor, Tensor, Tensor | None], Tensor]] = {
    "default": nn.functional.linear,
    "onednn": _onednn,
}


def choose(matmul: str, events_below: str | float) -> Product:
    """The product for the settings ``matmul`` and ``events_below`` on this machine.

    ``matmul=auto`` is ``default``, unless a measurement, once per processor and version of torch, finds ``onednn``
    clearly faster. The user's cache stores the result, so that runs on one machine choose alike; without a cache
    nothing is measured. ``events_below=auto`` is 0.3 on x86-64, where events then cost less than a dense product in
    float32, and 0 elsewhere: some processors have units for dense products only.

    Raises:
        ConfigError: for ``onednn`` if torch lacks it.
    """
    if matmul == "onednn" and not _has_onednn():
        raise ConfigError(
            "matmul: expected a product that this torch has, got onednn, which it lacks; use matmul=default"
        )
    if events_below == "auto":
        events_below = 0.3 if platform.machine().lower() in ("x86_64", "amd64") else 0.0
    return Product(_measured_choice() if matmul == "auto" else matmul, float(events_below))


def _has_onednn() -> bool:
    return torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")


def _measured_choice() -> str:
    folder = cache_dir() if _has_onednn() else None
    if folder is None:
        return "default"
    facts = {"processor": machine.processor(), "torch": torch.__version__}
    name = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]
    path = folder / f"matmul-{name}.json"
    choice = _stored_choice(path)
    if choice is None:
        seconds = measure()
        # Clearly, so that noise does not decide.
        choice = "onednn" if seconds["onednn"] < 0.8 * seconds["default"] else "default"
        try:
            files.write_json(path, {"choice": choice, "seconds": seconds, **facts})
        except OSError:  # a full disk: the next run would measure again, and might choose differently
            return "default"
    return choice


def _stored_choice(path: Path) -> str | None:
    try:
        choice = safe_read.json_object(path.parent, path.name).get("choice")
    except safe_read.Unreadable:
        return None
    return choice if isinstance(choice, str) and choice in DENSE else None


def measure() -> dict[str, float]:
    """Seconds of each dense product ``[1024, 784] x [784, 1000]``: the least of several measurements, in turn.

    It is the CPU time of one thread, so that other work on the machine does not count.
    """
    generator = torch.Generator().manual_seed(0)
    x, weight = torch.rand(1024, 784, generator=generator), torch.rand(1000, 784, generator=generator)
    best = dict.fromkeys(DENSE, float("inf"))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.no_grad():
            for _ in range(6):
                for name, product in DENSE.items():
                    begin = time.thread_time()
                    product(x, weight, None)
                    best[name] = min(best[name], time.thread_time() - begin)
    finally:
        torch.set_num_threads(threads)
    return best
