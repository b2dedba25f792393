"""``init_from``: training starts from the weights of another run, matched by name and shape."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from snnrun.errors import ArgumentError, ConfigError
from snnrun.run import browse, checkpoint
from snnrun.system import files
from snnrun.system.safe_read import printable

SUFFIX = ".safetensors"
MOST = 8  # names in a message


@dataclass(frozen=True)
class Fit:
    """The match between the tensors of a file of weights and of a model.

    Attributes:
        sha256: of the weights in the file.
        taken: names in both, in one shape.
        reshaped: names in both in different shapes, with the shape in the file and in the model.
        missing: names in the model alone.
        unused: names in the file alone.
    """

    sha256: str
    taken: tuple[str, ...]
    reshaped: Mapping[str, tuple[tuple[int, ...], tuple[int, ...]]]
    missing: tuple[str, ...]
    unused: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """The entry of ``manifest.json``."""
        return {
            "weights_sha256": self.sha256,
            "taken": list(self.taken),
            "other_shape": {name: [list(shape) for shape in shapes] for name, shapes in self.reshaped.items()},
            "not_in_file": list(self.missing),
            "not_in_model": list(self.unused),
        }

    def warnings(self) -> list[str]:
        """A line for each kind of tensor that did not fit."""
        lines = []
        if self.reshaped:
            shapes = [
                f"{printable(n, 80)} {list(there)}, here {list(here)}" for n, (there, here) in self.reshaped.items()
            ]
            lines.append(f"init_from: tensors of another shape keep their initial values: {_list(shapes)}")
        if self.missing:
            lines.append(f"init_from: tensors that the file lacks keep their initial values: {_list(self.missing)}")
        if self.unused:
            lines.append(f"init_from: tensors that the model lacks are not used: {_list(self.unused)}")
        return lines


def weights_file(init_from: str) -> Path:
    """The file that ``init_from`` means: itself, or the tested weights of a run (see :func:`browse.resolve`).

    Raises:
        ConfigError: if there is no such file or run.
    """
    path = Path(init_from).expanduser()
    if path.suffix == SUFFIX:
        if not path.is_file():
            raise ConfigError.of(ArgumentError("init_from", "a run, or a file of weights that exists", init_from))
        return path
    return checkpoint.tested_weights(files.without_links(browse.resolve(init_from)))


def start_from(model: nn.Module, path: Path) -> Fit:
    """Give the model the weights in ``path`` that fit it by name and shape.

    Raises:
        DataError: if the file is missing or damaged.
        ConfigError: if no tensor fits.
    """
    weights, state = checkpoint.load(path), model.state_dict()
    both = [name for name in state if name in weights]
    taken = tuple(name for name in both if weights[name].shape == state[name].shape)
    fit = Fit(
        sha256=checkpoint.weights_sha256(weights),
        taken=taken,
        reshaped={n: (tuple(weights[n].shape), tuple(state[n].shape)) for n in both if n not in taken},
        missing=tuple(name for name in state if name not in weights),
        unused=tuple(name for name in weights if name not in state),
    )
    if not taken:
        raise ConfigError("\n".join([f"init_from: {path} has no tensor that fits this model", *fit.warnings()]))
    model.load_state_dict({**state, **{name: weights[name] for name in taken}})
    return fit


def _list(names: Collection[str]) -> str:
    shown = [printable(name, 160) for name in list(names)[:MOST]]
    more = len(names) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")
