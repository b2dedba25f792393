"""Values that belong to a checkpoint as JSON and tensors, and back: no pickle, so that reading one runs no code."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from torch import Tensor


class CannotSave(TypeError):
    """A value is of a kind that no checkpoint can hold; the message says where, and what."""


def split(value: Any, path: str, tensors: dict[str, Tensor]) -> Any:
    """``value`` as strict JSON; the tensors in it go to ``tensors``, under their path.

    Raises:
        CannotSave: for what is neither number, text, tensor, generator state, nor a list, tuple or mapping of these.
    """
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"float": str(value)}
    if isinstance(value, Tensor):
        # A copy of its own: safetensors refuses two tensors that share memory.
        name = path
        while name in tensors:  # keys may have dots, or be 1 and "1"
            name += "'"
        tensors[name] = value.detach().cpu().clone().contiguous()
        return {"tensor": name}
    if isinstance(value, (list, tuple)):
        items = [split(item, f"{path}.{i}", tensors) for i, item in enumerate(value)]
        return items if isinstance(value, list) else {"tuple": items}
    if isinstance(value, Mapping) and all(isinstance(key, (str, int)) for key in value):
        pairs = [[key, split(item, f"{path}.{key}", tensors)] for key, item in value.items()]
        return {"mapping": pairs}
    raise CannotSave(f"{path} is a {type(value).__name__}")


def join(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    """What ``split`` was given.

    Raises:
        KeyError, TypeError, ValueError, OverflowError, RecursionError: for what ``split`` did not make.
    """
    if isinstance(value, list):
        return [join(item, tensors) for item in value]
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == "float":
        return float(content)
    if kind == "tensor":
        return tensors[content]
    if kind == "tuple":
        return tuple(join(item, tensors) for item in content)
    if kind == "mapping":
        return {key: join(item, tensors) for key, item in content}
    raise ValueError(f"a {kind}")
