"""Weights on disk: safetensors, written whole or not at all, with a checksum that is verified when they are read."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor, nn

from snnrun import files
from snnrun.errors import DataError

_CHECKSUM = "weights_sha256"


def weights_sha256(state: Mapping[str, Tensor]) -> str:
    """A hash of names, dtypes, shapes and values, independent of order, device and file format."""
    digest = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def save(path: Path, model: nn.Module) -> None:
    """Write the model's weights to ``path``, atomically."""
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    files.write_bytes(path, to_bytes(state, metadata={_CHECKSUM: weights_sha256(state)}))


def load(path: Path) -> dict[str, Tensor]:
    """The weights at ``path``, on the CPU.

    Raises:
        DataError: if the file is missing, damaged, or not one of ours.
    """
    try:
        with safe_open(path, framework="pt") as file:
            expected = (file.metadata() or {}).get(_CHECKSUM)
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except (OSError, SafetensorError) as error:
        raise DataError(f"{path}: expected weights in safetensors format, but reading them failed: {error}") from error
    if expected is None:
        raise DataError(f"{path}: expected a checksum beside the weights; this file was not written by snnrun")
    if weights_sha256(state) != expected:
        raise DataError(f"{path}: the weights do not match their checksum; the file is damaged, use another checkpoint")
    return state
