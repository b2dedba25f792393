"""The interface of trackers, and common functions."""

from __future__ import annotations

import importlib.util
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from snnrun.system.safe_read import flatten

Record = Mapping[str, Any]  # a line of metrics.jsonl as JSON


class Tracker(ABC):
    """Receives the records of one run. Its methods are called in their own thread, in this order; each may fail.

    The constructor only stores its arguments, since it is also called to check a config. Heavy imports belong in
    ``begin``.

    Attributes:
        package: the package that it needs, or None.
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
            before: the records in ``metrics.jsonl``; empty unless the run is resumed. Later records that the tracker
                received before were lost with the process, and come again.
        """

    @abstractmethod
    def record(self, record: Record) -> None:
        """A line of ``metrics.jsonl``: its ``kind`` is step, epoch or warning."""

    @abstractmethod
    def end(self, result: Mapping[str, Any]) -> None:
        """The run has ended with ``result``, as in ``result.json``."""


def missing(tracker: Tracker) -> str | None:
    """The missing package that ``tracker`` needs, as text for an error, or None."""
    if tracker.package is None or importlib.util.find_spec(tracker.package) is not None:
        return None
    return f"expected the package {tracker.package}, which is not installed: pip install 'snnrun[{tracker.extra}]'"


def flat(record: Record, prefix: str = "", dot: str = ".") -> Iterator[tuple[str, Any]]:
    """The values of a record; values in mappings have joined names: ``layers.hidden1.silent``."""
    return ((name, value) for name, value in flatten(record, prefix, dot=dot).items() if value != {})


def curves(record: Record) -> Iterator[tuple[str, float]]:
    """The numbers of a step or an epoch, as points of curves over steps: ``epoch/layers/hidden1/silent``.

    Null values, which were not finite, are left out.
    """
    for name, value in flat(record, f"{record['kind']}/", "/"):
        if isinstance(value, (int, float)) and not isinstance(value, bool) and name.partition("/")[2] not in _AXES:
            yield name, float(value)


_AXES = ("epoch", "step")
