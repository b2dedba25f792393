"""TensorBoard: event files beside the record."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from snnrun.system import files
from snnrun.tracker.base import Record, Tracker, curves, flat

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


class TensorBoard(Tracker):
    """Event files in ``tensorboard/`` of the run; ``tensorboard --logdir outputs`` shows all runs.

    Curves over training steps are ``step/loss``, ``epoch/validation_loss``, ``epoch/layers/hidden1/silent`` and so on;
    config, manifest, warnings and result are texts. A resumed run rewrites its file, so that no step is in it twice.
    """

    package: ClassVar[str | None] = "tensorboard"
    extra: ClassVar[str] = "tensorboard"

    def __init__(self) -> None:
        self._writer: SummaryWriter | None = None
        self._begin: float | None = None

    def begin(
        self, folder: Path, config: Mapping[str, Any], manifest: Mapping[str, Any], before: Sequence[Record]
    ) -> None:
        """Open a new event file, with the records of ``before``."""
        from torch.utils.tensorboard import SummaryWriter

        place = folder / "tensorboard"
        files.make_folder(place)  # not a link: TensorBoard would follow it
        for path in place.glob("events.out.tfevents.*"):
            path.unlink()
        self._begin = _seconds(manifest.get("started")) if before else None
        self._writer = SummaryWriter(str(place))
        self._text("config", config)
        self._text("manifest", {key: value for key, value in manifest.items() if key != "packages"})
        for record in before:
            self.record(record)

    def record(self, record: Record) -> None:
        """Add a point to each curve; on disk after every epoch, and every two minutes."""
        assert self._writer is not None
        if record["kind"] == "warning":
            self._writer.add_text("warning", record["message"], record["step"])
            return
        # A record from before a resumption keeps its time.
        at = None if self._begin is None or record.get("time") is None else self._begin + record["time"]
        for name, value in curves(record):
            self._writer.add_scalar(name, value, record["step"], at)
        if record["kind"] == "epoch":
            self._writer.flush()

    def end(self, result: Mapping[str, Any]) -> None:
        """Add the result, and close the file."""
        assert self._writer is not None
        self._text("result", result)
        for name, value in flat(result):
            if isinstance(value, (int, float)):
                self._writer.add_scalar(f"result/{name}", value)
        self._writer.close()

    def _text(self, name: str, values: Mapping[str, Any]) -> None:
        assert self._writer is not None
        self._writer.add_text(name, f"```json\n{json.dumps(values, indent=2, default=str)}\n```")


def _seconds(text: Any) -> float | None:
    try:
        return datetime.fromisoformat(text).timestamp()
    except (TypeError, ValueError):
        return None
