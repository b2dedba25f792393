"""The random streams of a run: one for each purpose, so that none can disturb another."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import Generator, Tensor

T = TypeVar("T")


class Streams:
    """Random streams derived from one seed.

    Attributes:
        order: the order of the training data; on the CPU.
        data: for tasks that generate their data; on the CPU.
        encoding: spikes drawn by the encoder in training; on the device.
        dropout: on the device.

    A new draw in one stream leaves the others as they are: a run with dropout sees the same batches and spike trains
    as one without.
    """

    def __init__(self, seed: int, device: torch.device) -> None:
        self._seed = seed
        self._device = device
        self.order = self._generator("order", torch.device("cpu"))
        self.data = self._generator("data", torch.device("cpu"))
        self.encoding = self._generator("encoding", device)
        self.dropout = self._generator("dropout", device)

    def evaluation(self) -> Generator:
        """A stream for encoding validation and test data: the same spikes each time, untouched by training."""
        return self._generator("evaluation", self._device)

    def state(self) -> dict[str, Tensor]:
        """The states of encoding, dropout and torch's global generators; ``Progress`` has order and data."""
        ambient = zip(self._global_names(), self._global_states(), strict=True)
        return {"encoding": self.encoding.get_state(), "dropout": self.dropout.get_state(), **dict(ambient)}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Put the streams back to ``state``."""
        self.encoding.set_state(state["encoding"])
        self.dropout.set_state(state["dropout"])
        self._set_global_states([state[name] for name in self._global_names()])

    @contextmanager
    def initialisation(self) -> Iterator[None]:
        """Within this context torch's global generator is the stream of initial weights; afterwards it is as before."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(_derive_seed(self._seed, "initialisation"))
            yield

    @contextmanager
    def global_stream(self, purpose: str) -> Iterator[None]:
        """Within this context torch's global generators are a separate stream; afterwards they are as before.

        For code that draws without a generator: random surrogates, and the user's own parts.
        """
        before = self._global_states()
        try:
            torch.manual_seed(_derive_seed(self._seed, f"ambient {purpose}"))
            yield
        finally:
            self._set_global_states(before)

    def isolate(self, make: Callable[[], Iterable[T]], purpose: str) -> Iterator[T]:
        """The items of ``make()``; during each ``next``, torch's global generators are a separate stream.

        The stream begins anew with every call, and goes on from item to item, whatever is drawn in between. Between
        two items the global generators are the caller's.
        """
        inner = [self._generator(f"ambient {purpose}", device).get_state() for device in self._global_devices()]
        items: Iterator[T] | None = None
        while True:
            outer = self._global_states()
            self._set_global_states(inner)
            try:
                items = iter(make()) if items is None else items
                item = next(items)
            except StopIteration:
                return
            finally:
                inner = self._global_states()
                self._set_global_states(outer)
            yield item

    def _global_devices(self) -> list[torch.device]:
        return [torch.device("cpu"), *([self._device] if self._device.type in ("cuda", "mps") else [])]

    def _global_names(self) -> list[str]:
        return ["ambient", *(f"ambient {device.type}" for device in self._global_devices()[1:])]

    def _global_states(self) -> list[Tensor]:
        states = [torch.get_rng_state()]
        if self._device.type == "cuda":
            states.append(torch.cuda.get_rng_state(self._device))
        elif self._device.type == "mps":
            states.append(torch.mps.get_rng_state())
        return states

    def _set_global_states(self, states: Sequence[Tensor]) -> None:
        torch.set_rng_state(states[0])
        if self._device.type == "cuda":
            torch.cuda.set_rng_state(states[1], self._device)
        elif self._device.type == "mps":
            torch.mps.set_rng_state(states[1])

    def _generator(self, purpose: str, device: torch.device) -> Generator:
        return Generator(device).manual_seed(_derive_seed(self._seed, purpose))


def _derive_seed(seed: int, purpose: str) -> int:
    # A hash, so that neighbouring seeds give unrelated streams and a new purpose changes no old one.
    return int.from_bytes(hashlib.sha256(f"{seed}/{purpose}".encode()).digest()[:8], "big") >> 1
