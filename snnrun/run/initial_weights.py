"""``init_from``: a training that starts from the weights of another run, taken by name and shape."""

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
    """Which tensors of a file of weights a model has taken.

    Attributes:
        sha256: of the weights in the file.
        taken: names that both have, in one shape.
        reshaped: names that both have in different shapes, with the shape in the file and in the model.
        missing: names that only the model has.
        unused: names that only the file has.
    """

    sha256: str
    taken: tuple[str, ...]
    reshaped: Mapping[str, tuple[tuple[int, ...], tuple[int, ...]]]
    missing: tuple[str, ...]
    unused: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """What ``manifest.json`` has of it."""
        return {
            "weights_sha256": self.sha256,
            "taken": list(self.taken),
            "other_shape": {name: [list(shape) for shape in shapes] for name, shapes in self.reshaped.items()},
            "not_in_file": list(self.missing),
            "not_in_model": list(self.unused),
        }

    def warnings(self) -> list[str]:
        """A line for each kind of tensor that did not fit."""
        found = []
        if self.reshaped:
            shapes = [
                f"{printable(n, 80)} {list(there)}, here {list(here)}" for n, (there, here) in self.reshaped.items()
            ]
            found.append(f"init_from: tensors of another shape keep their initial values: {_several(shapes)}")
        if self.missing:
            found.append(f"init_from: tensors that the file lacks keep their initial values: {_several(self.missing)}")
        if self.unused:
            found.append(f"init_from: tensors that the model lacks are not used: {_several(self.unused)}")
        return found


def weights_file(init_from: str) -> Path:
    """The file that ``init_from`` means: itself, or the tested weights of the run of that folder, name or piece of it.

    Raises:
        ConfigError: if there is no such file or run.
    """
    path = Path(init_from).expanduser()
    if path.suffix == SUFFIX:
        if not path.is_file():
            raise ConfigError.of(ArgumentError("init_from", "a run, or a file of weights that exists", init_from))
        return path
    folder = files.without_links(browse.named(init_from))
    return checkpoint.tested_weights(folder)


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


def _several(names: Collection[str]) -> str:
    shown = [printable(name, 160) for name in list(names)[:MOST]]
    more = len(names) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")
