"""The command as the tests call it, and a stand-in for the training itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple


class Outcome(NamedTuple):
    code: int
    out: str
    err: str


Command = Callable[..., Outcome]
Folder = Callable[[], Path]
Stranger = Callable[[Mapping[str, str]], Path]


@dataclass(frozen=True)
class Parts:
    task: Any
    encoder: Any
    loss: Any
    neuron: Any
    model: Any
    optimizer: Any
    scheduler: Any
    readout: Any = None
    trackers: Any = None


@dataclass
class Training:
    """What the stand-in for ``snnrun.run.execute.run`` was called with, and what it shall do."""

    calls: list[dict[str, Any]] = field(default_factory=list)
    behaviour: Callable[[dict[str, Any]], None] = lambda call: None

    def run(self, **call: Any) -> dict[str, Any]:
        self.calls.append(call)
        self.behaviour(call)
        return {"status": "finished"}
