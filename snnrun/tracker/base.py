"""The contract of a tracker, and what they share."""

from __future__ import annotations

import importlib.util
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from snnrun.system.safe_read import dotted

Record = Mapping[str, Any]  # a line of metrics.jsonl, as JSON has it


class Tracker(ABC):
    """Hears of one run. Its methods are called in a thread of its own, in this order; each may fail (see ``Trackers``).

    The constructor keeps its arguments and does no more: it is called to check a config, too. What is heavy is imported
    in ``begin``.

    Attributes:
        package: that must be installed, or None.
        extra: of snnrun that installs it.
    """

    package: ClassVar[str | None] = None
    extra: ClassVar[str] = ""

    @abstractmethod
    def begin(
        self, folder: Path, config: Mapping[str, Any], manifest: Mapping[str, Any], before: Sequence[Record]
    ) -> None:
        """The run in ``folder`` begins, or goes on.

        Args:
            config: resolved, as in ``config.yaml``.
            manifest: as in ``manifest.json``.
            before: the records that ``metrics.jsonl`` has already; none, unless the run was resumed. What the tracker
                heard beyond them was lost with the process, and comes again.
        """

    @abstractmethod
    def record(self, record: Record) -> None:
        """A line of ``metrics.jsonl``: its ``kind`` is step, epoch or warning."""

    @abstractmethod
    def end(self, result: Mapping[str, Any]) -> None:
        """The run is over, and ``result`` in ``result.json``; its ``status`` says how it ended."""


def missing(tracker: Tracker) -> str | None:
    """What must be installed before ``tracker`` can work, or None."""
    if tracker.package is None or importlib.util.find_spec(tracker.package) is not None:
        return None
    return f"expected the package {tracker.package}, which is not installed: pip install 'snnrun[{tracker.extra}]'"


def flat(record: Record, prefix: str = "", dot: str = ".") -> Iterator[tuple[str, Any]]:
    """The values of a record, those of mappings in it under joined names: ``layers.hidden1.silent``."""
    return ((name, value) for name, value in dotted(record, prefix, dot=dot).items() if value != {})


def curves(record: Record) -> Iterator[tuple[str, float]]:
    """The numbers of a step or an epoch, as points of curves over steps: ``epoch/layers/hidden1/silent``.

    What is null, since it was not finite, is left out.
    """
    for name, value in flat(record, f"{record['kind']}/", "/"):
        if isinstance(value, (int, float)) and not isinstance(value, bool) and name.partition("/")[2] not in _AXES:
            yield name, float(value)


_AXES = ("epoch", "step")
