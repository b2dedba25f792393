"""The command as the tests call it, and a stand-in for the training itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, NamedTuple

from snnrun.job.job import Job


class Outcome(NamedTuple):
    code: int
    out: str
    err: str


Command = Callable[..., Outcome]
Folder = Callable[[], Path]
Stranger = Callable[[Mapping[str, str]], Path]


@dataclass
class Training:
    """What the stand-in for ``snnrun.run.execute.execute`` was called with, and what it shall do."""

    calls: list[dict[str, Any]] = field(default_factory=list)
    behaviour: Callable[[dict[str, Any]], None] = lambda call: None

    def execute(self, job: Job, *, watch: Callable[[Any], None] = lambda record: None) -> dict[str, Any]:
        call = {each.name: getattr(job, each.name) for each in fields(job)} | {"watch": watch}
        self.calls.append(call)
        self.behaviour(call)
        return {"status": "finished"}
