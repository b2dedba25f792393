"""The other libraries, each in a file: the job's network and a single layer, as that library's users write them.

A file defines ``NAME``, ``PACKAGE`` and five functions. ``tuned``: false for the form of the library's own tutorials,
true for the fastest form that the library allows without being changed; ``None`` where that is the same::

    network(job, weights, tuned) -> Network | None
    layer(linear, beta, tuned) -> nn.Module | None       # x [T, B, n] -> spikes [T, B, n]
    recurrent(neuron, inputs, hidden, outputs) -> nn.Module | None    # x [T, B, inputs] -> spikes [T, B, outputs]
    convolutional(setting, tuned) -> nn.Module | None    # x [T, B, 1, 28, 28] -> spikes [T, B, 10]
    convolution(convolution, beta) -> nn.Module | None   # x [T, B, C, H, W] -> spikes [T, B, C, H, W]

A library with kernels for GPUs of its own also has ``in_torch(network) -> network``, which takes them away, and
``implementation(device)``, which names what it takes there and what is missing.
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Iterator
from types import ModuleType
from typing import Any, Protocol

from torch import nn

from benchmarks.peers.network import Network
from benchmarks.setting import Convolutional, Job, Weights

FILES = ("snntorch", "spikingjelly", "norse")


class Peer(Protocol):
    """A file of this folder."""

    NAME: str
    PACKAGE: str

    def network(self, job: Job, weights: Weights, tuned: bool) -> Network | None:
        """The job's network, with these initial weights."""

    def layer(self, linear: nn.Linear, beta: float, tuned: bool) -> nn.Module | None:
        """One layer of LIF neurons behind ``linear``."""

    def recurrent(self, neuron: str, inputs: int, hidden: int, outputs: int) -> nn.Module | None:
        """A recurrent layer of ``lif`` or ``synaptic`` neurons, and a read-out of LIF neurons; None if it has none."""

    def convolutional(self, setting: Convolutional, tuned: bool) -> nn.Module | None:
        """A convolutional network, its parameters in the order of its layers; None if it is not written here."""

    def convolution(self, convolution: nn.Conv2d, beta: float) -> nn.Module | None:
        """One layer of LIF neurons behind a ``convolution``; None if it is not written here."""


def installed() -> tuple[list[Peer], list[str]]:
    """The peers that can be imported, and what is to be said of the others."""
    found: list[Peer] = []
    missing: list[str] = []
    for name in FILES:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of their imports, which are theirs to mend
                found.append(importlib.import_module(f"{__name__}.{name}"))
        except ImportError as error:
            missing.append(f"{name}: left out, cannot be imported ({error})")
    return found, missing


def available(device: str) -> list[Peer]:
    """The peers of a benchmark on ``device``; beyond the CPU also SpikingJelly without its kernels."""
    found = installed()[0]
    return found if device == "cpu" else [*found, *(InTorch(peer) for peer in found if hasattr(peer, "in_torch"))]


class InTorch:
    """A peer that has kernels of its own, without them: in operations of torch."""

    def __init__(self, peer: Any) -> None:
        self.NAME, self.PACKAGE, self._peer = f"{peer.NAME}, torch", peer.PACKAGE, peer

    def network(self, job: Job, weights: Weights, tuned: bool) -> Network | None:
        return self._changed(self._peer.network(job, weights, tuned))

    def layer(self, linear: nn.Linear, beta: float, tuned: bool) -> nn.Module | None:
        return self._changed(self._peer.layer(linear, beta, tuned))

    def recurrent(self, neuron: str, inputs: int, hidden: int, outputs: int) -> nn.Module | None:
        return self._changed(self._peer.recurrent(neuron, inputs, hidden, outputs))

    def convolutional(self, setting: Convolutional, tuned: bool) -> nn.Module | None:
        return self._changed(self._peer.convolutional(setting, tuned))

    def convolution(self, convolution: nn.Conv2d, beta: float) -> nn.Module | None:
        return self._changed(self._peer.convolution(convolution, beta))

    def _changed(self, network: Any) -> Any:
        return None if network is None else self._peer.in_torch(network)


def implementations(device: str) -> dict[str, tuple[str, dict[str, str]]]:
    """By peer with kernels of its own: which it takes on ``device``, and why it takes none of the others."""
    return {
        peer.NAME: (found["implementation"], found["unavailable"])
        for peer in installed()[0]
        if isinstance(peer, ModuleType) and hasattr(peer, "implementation")
        for found in [peer.implementation(device)]
    }


def named(peers: list[Peer]) -> Iterator[tuple[str, Peer, bool]]:
    """Every peer as it is and tuned."""
    for peer in peers:
        for tuned in (False, True):
            yield f"{peer.NAME}, tuned" if tuned else peer.NAME, peer, tuned
