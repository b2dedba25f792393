"""A device that is not there: torch's ``meta``, on which every operation has a shape and no values."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from snnrun.sequence.kernel import triton

META = torch.device("meta")


class Wait(AssertionError):
    """An operation for which a program waits for its GPU."""


class _NoReading(TorchDispatchMode):
    """Refuses operations whose result depends on values of a device, and copies between devices.

    ``uploads``: copies from the CPU are allowed.
    """

    def __init__(self, uploads: bool) -> None:
        super().__init__()
        self.uploads = uploads

    NAMES = ("local_scalar_dense", "nonzero", "equal", "is_nonzero", "masked_select", "bincount", "item")

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        tensors = [each for each in tree_leaves((args, kwargs)) if isinstance(each, Tensor)]
        name = function.overloadpacket.__name__.strip("_")
        if name in self.NAMES and any(tensor.device == META for tensor in tensors):
            raise Wait(str(function))
        masks = [tensor for tensor in tensors[1:] if tensor.device == META and tensor.dtype == torch.bool]
        if name == "index" and masks:
            raise Wait(f"{function} with a mask")
        result = function(*args, **(kwargs or {}))
        # A number as a tensor [] becomes an argument of the kernel.
        devices = {tensor.device.type for tensor in tensors if tensor.dim()}
        devices |= {each.device.type for each in tree_leaves(result) if isinstance(each, Tensor) and each.dim()}
        if len(devices) > 1 and not (self.uploads and name in ("to_copy", "copy")):
            raise Wait(f"{function} between {' and '.join(sorted(devices))}")
        return result


class _NoLists(TorchFunctionMode):
    """Refuses tensors on the device from numbers of Python, which are a copy, and the reading of a tensor."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        name = getattr(function, "__name__", "")
        if name in ("tensor", "as_tensor", "new_tensor", "from_numpy") and isinstance(result, Tensor):
            source = args[-1] if args else None
            if result.device == META and not isinstance(source, Tensor):
                raise Wait(f"{name} of numbers")
        return result


@contextmanager
def no_waiting(*, uploads: bool = False) -> Iterator[None]:
    """Within this context an operation that waits for the device raises :class:`Wait`, or torch's own error.

    ``uploads``: copies of whole tensors to the device are allowed, as from pinned memory.
    """
    with _NoLists(), _NoReading(uploads):
        yield


def no_kernels(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Let fused executions take the GPU's path on the device; the list gets the kernels that a GPU would run."""
    kernels: list[Any] = []
    monkeypatch.setattr(triton, "supports", lambda x: x.device == META and x.dtype in triton.DTYPES)
    monkeypatch.setattr(triton, "call", lambda kernel, *arguments: kernels.append(kernel))
    return kernels


class Tape:
    """Stands in for a recorder of CUDA graphs, on the CPU: records torch's operations, and runs them again.

    As with a CUDA graph, Python runs once, nothing changes while it records, operations read and write the same memory
    at each replay, and random numbers come anew from the generators.
    """

    def __init__(self) -> None:
        self.replays = 0
        self.recordings = 0

    def warm_up(self, function: Callable[[], Any]) -> Any:
        """``function()``."""
        return function()

    def record(self, function: Callable[[], Any]) -> TapeRecording:
        """The operations of ``function``."""
        self.recordings += 1
        recording = _Recording()
        with recording:
            results = function()
        recording.undo()
        return TapeRecording(self, recording.calls, results)


class TapeRecording:
    """The operations of a function, and its results."""

    def __init__(self, tape: Tape, calls: list[tuple[Any, Any, Mapping[str, Any], Any]], results: Any) -> None:
        self.tape, self.calls, self.results = tape, calls, results

    @torch.no_grad()
    def replay(self) -> Any:
        """Run them again, into the same memory."""
        self.tape.replays += 1
        for function, args, kwargs, outputs in self.calls:
            again = function(*args, **kwargs)
            inputs = {_place(each) for each in tree_leaves((args, kwargs)) if isinstance(each, Tensor)}
            for new, old in zip(tree_leaves(again), tree_leaves(outputs), strict=True):
                if isinstance(old, Tensor) and _place(old) not in inputs:
                    old.copy_(new)
        return self.results


class _Recording(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Any, Any, Mapping[str, Any], Any]] = []
        self._own: set[int] = set()
        self._before: dict[int, tuple[Tensor, Tensor]] = {}  # of the memory that is written
        self._generators: dict[int, tuple[torch.Generator, Tensor]] = {}
        self._ambient = torch.get_rng_state()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if "_local_scalar_dense" in str(function) or "nonzero" in str(function):
            raise RuntimeError(f"{function} waits for the device")
        schema = function._schema.arguments
        named = itertools.chain(
            zip(schema, args, strict=False), ((a, kwargs[a.name]) for a in schema if a.name in kwargs)
        )
        for argument, value in named:
            if argument.alias_info is not None and argument.alias_info.is_write:
                for tensor in tree_leaves(value):
                    if isinstance(tensor, Tensor) and _place(tensor) not in self._own:
                        self._before.setdefault(_place(tensor), (tensor, tensor.detach().clone()))
        for generator in [each for each in tree_leaves((args, kwargs)) if isinstance(each, torch.Generator)]:
            self._generators.setdefault(id(generator), (generator, generator.get_state()))
        outputs = function(*args, **kwargs)
        inputs = {_place(each) for each in tree_leaves((args, kwargs)) if isinstance(each, Tensor)}
        self._own |= {_place(each) for each in tree_leaves(outputs) if isinstance(each, Tensor)} - inputs
        self.calls.append((function, args, kwargs, outputs))
        return outputs

    def undo(self) -> None:
        """Put everything back that was there before."""
        with torch.no_grad():
            for tensor, values in self._before.values():
                tensor.copy_(values)
        for generator, state in self._generators.values():
            generator.set_state(state)
        torch.set_rng_state(self._ambient)


def _place(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()
