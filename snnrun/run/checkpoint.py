"""Checkpoints on disk: safetensors, written whole or not at all, with a checksum that is verified when they are read.

``save`` and ``load`` are for weights alone. ``save_state`` and ``load_state`` are for all that training needs to go on:
tensors, and everything else as JSON beside them. No pickle is read or written.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load as from_bytes
from safetensors.torch import save as to_bytes
from torch import Tensor

from snnrun.config.fingerprint import config_hash
from snnrun.errors import ConfigError, DataError
from snnrun.system import files
from snnrun.system.safe_read import printable

State = dict[str, Any]  # all that training needs to go on

_CHECKSUM, _STATE = "weights_sha256", "state"
_STEPS = "step-*.safetensors"
#: Errors of safetensors and torch for a foreign file: unknown types, absurd sizes.
_UNREADABLE = (OSError, SafetensorError, ValueError, TypeError, KeyError, AttributeError, RuntimeError, MemoryError)
MOST_HEADER = 1 << 24  # bytes; includes a state's JSON, some ten thousand
MOST_TENSORS = 20_000  # an optimizer has a few for each tensor of a network
STATES = 2  # files of a run: the last, and the one before in case the last is damaged


class CannotSave(TypeError):
    """A checkpoint cannot hold a value; the message has its path and type."""


def weights_sha256(state: Mapping[str, Tensor]) -> str:
    """A hash of names, dtypes, shapes and values, independent of order, device and file format."""
    digest = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def save(path: Path, weights: Mapping[str, Tensor]) -> None:
    """Write weights, by their names, to ``path``, atomically."""
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}
    files.write_bytes(path, to_bytes(state, metadata={_CHECKSUM: weights_sha256(state)}))


def load(path: Path, like: Mapping[str, Tensor] | None = None) -> dict[str, Tensor]:
    """The weights at ``path``, on the CPU.

    Args:
        like: tensors with the names and shapes that the weights must have; checked before any is read. Default: any.

    Raises:
        DataError: if the file is missing, damaged, not from snnrun, or has other tensors than ``like``.
    """
    return _read(path, like)[0]


def save_state(folder: Path, step: int, state: Mapping[str, Any]) -> Path:
    """Write the state of a run after ``step`` steps into ``folder``, atomically, and remove all but the last two.

    Raises:
        CannotSave: for a value that is no number, text, tensor, list or mapping.
    """
    tensors: dict[str, Tensor] = {}
    text = json.dumps(flatten(dict(state), _STATE, tensors), allow_nan=False)
    tensors.setdefault("none", torch.zeros(0))  # a file needs a tensor
    path = folder / f"step-{step:010d}.safetensors"
    files.write_bytes(path, to_bytes(tensors, metadata={_CHECKSUM: _checksum(tensors, text), _STATE: text}))
    for old in states(folder)[STATES:]:
        if old != path:
            old.unlink(missing_ok=True)
    return path


def states(folder: Path) -> list[Path]:
    """The states in ``folder``, the latest first."""
    return sorted((path for path in folder.glob(_STEPS) if path.is_file()), reverse=True)


def load_state(path: Path) -> dict[str, Any]:
    """The state at ``path``; tensors are on the CPU.

    Raises:
        DataError: if the file is missing, damaged, or not from snnrun.
    """
    tensors, text = _read(path)
    try:
        state = unflatten(json.loads(text), tensors)
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise DataError(
            f"{path}: expected the state of a run, but it holds something else ({printable(error, 80)})"
        ) from error
    if not isinstance(state, dict):
        raise DataError(f"{path}: expected the state of a run, got {type(state).__name__}")
    return state


def latest(folder: Path, config: Mapping[str, Any], warn: Callable[[str], None]) -> State | None:
    """Returns the newest undamaged state in ``folder``, or None. Calls ``warn`` for each damaged one.

    Raises:
        ConfigError: if the state is of another config.
    """
    for path in states(folder):
        try:
            state = load_state(path)
        except DataError as error:
            warn(f"{error}; trying the one before")
            continue
        if state.get("config") != config_hash(config):
            raise ConfigError(
                f"{path}: expected the state of this config, but config.yaml is another one than it was; "
                "put it back, or start a new run"
            )
        return state
    return None


def pack(state: Mapping[str, Any]) -> bytes:
    """A state, as ``save_state`` takes it, as a message to another process."""
    tensors: dict[str, Tensor] = {}
    text = json.dumps(flatten(dict(state), _STATE, tensors)).encode()
    return len(text).to_bytes(8, "big") + text + to_bytes(tensors)


def unpack(message: bytes) -> Any:
    """The inverse of ``pack``; tensors are on the CPU."""
    end = 8 + int.from_bytes(message[:8], "big")
    return unflatten(json.loads(message[8:end]), from_bytes(message[end:]))


def flatten(value: Any, path: str, tensors: dict[str, Tensor]) -> Any:
    """``value`` as strict JSON; its tensors are added to ``tensors``, under their path.

    Raises:
        CannotSave: for a value other than a number, text, tensor, or a list, tuple or mapping of these.
    """
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"float": str(value)}
    if isinstance(value, Tensor):
        # A copy, since safetensors refuses two tensors that share memory.
        name = path
        while name in tensors:  # keys may have dots, or be 1 and "1"
            name += "'"
        tensors[name] = value.detach().cpu().clone().contiguous()
        return {"tensor": name}
    if isinstance(value, (list, tuple)):
        items = [flatten(item, f"{path}.{i}", tensors) for i, item in enumerate(value)]
        return items if isinstance(value, list) else {"tuple": items}
    if isinstance(value, Mapping) and all(isinstance(key, (str, int)) for key in value):
        pairs = [[key, flatten(item, f"{path}.{key}", tensors)] for key, item in value.items()]
        return {"mapping": pairs}
    raise CannotSave(f"{path} is a {type(value).__name__}")


def unflatten(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    """The inverse of ``flatten``.

    Raises:
        KeyError, TypeError, ValueError, OverflowError, RecursionError: for a value that is not from ``flatten``.
    """
    if isinstance(value, list):
        return [unflatten(item, tensors) for item in value]
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == "float":
        return float(content)
    if kind == "tensor":
        return tensors[content]
    if kind == "tuple":
        return tuple(unflatten(item, tensors) for item in content)
    if kind == "mapping":
        return {key: unflatten(item, tensors) for key, item in content}
    raise ValueError(f"a {kind}")


def _read(path: Path, like: Mapping[str, Tensor] | None = None) -> tuple[dict[str, Tensor], str]:
    try:
        if not stat.S_ISREG(path.lstat().st_mode):  # a link, or a pipe without a writer
            raise DataError(f"{path}: expected a file with weights, got a link or no file at all")
        _check_header(path)
        with safe_open(path, framework="pt") as file:
            if like is not None:
                _check_like(path, {name: file.get_slice(name).get_shape() for name in file.keys()}, like)  # noqa: SIM118
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
        checksum = _checksum(tensors, metadata.get(_STATE, ""))
    except _UNREADABLE as error:
        reason = printable(error) or type(error).__name__
        raise DataError(f"{path}: expected weights in safetensors format, but reading them failed: {reason}") from error
    expected, text = metadata.get(_CHECKSUM), metadata.get(_STATE, "")
    if expected is None:
        raise DataError(f"{path}: expected a checksum beside the weights; this file was not written by snnrun")
    if checksum != expected:
        raise DataError(f"{path}: the weights do not match their checksum; the file is damaged, use another checkpoint")
    return tensors, text


def _check_header(path: Path) -> None:
    """Check the size of a file's header before its tensors are read.

    Raises:
        DataError: for a header that is too long, or names too many tensors.
    """
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    with os.fdopen(descriptor, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > MOST_HEADER:
            raise DataError(f"{path}: expected a header of at most {MOST_HEADER >> 20} MiB, got {length:,} bytes")
        header = file.read(length)
    # Each tensor has a "dtype"; in names and in the state, which are quoted text, the quotes are escaped.
    if (count := header.count(b'"dtype"')) > MOST_TENSORS:
        raise DataError(f"{path}: expected at most {MOST_TENSORS:,} tensors, got {count:,}")


def _check_like(path: Path, shapes: Mapping[str, list[int]], like: Mapping[str, Tensor]) -> None:
    expected = {name: list(tensor.shape) for name, tensor in like.items()}
    for name in [*expected, *shapes]:
        if shapes.get(name) != expected.get(name):
            there, here = (f"shape {each[name]}" if name in each else "none" for each in (shapes, expected))
            raise DataError(
                f"{path}: expected the weights of this config's model, whose {printable(name, 80)} has {here}; "
                f"got {printable(there, 80)}"
            )


def _checksum(tensors: Mapping[str, Tensor], text: str) -> str:
    """The checksum of the weights alone, or of tensors and text."""
    weights = weights_sha256(tensors)
    return hashlib.sha256(f"{weights} {text}".encode()).hexdigest() if text else weights


def tested_weights(folder: Path) -> Path:
    """The file of the weights that the run in ``folder`` tested: of its best epoch, or without one of its last."""
    best = folder / "checkpoints" / "best.safetensors"
    return best if os.path.lexists(best) else best.with_name("last.safetensors")
