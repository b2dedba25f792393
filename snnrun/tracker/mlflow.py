"""MLflow, with a store on this machine."""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from snnrun.errors import ArgumentError, Description
from snnrun.system.database import tables
from snnrun.tracker.base import Record, Tracker, curves, flat

T = TypeVar("T")

MOST_POINTS, MOST_PARAMETERS, LONGEST = 1000, 100, 6000  # of one call, and of a value: MLflow's own limits
MOST_LETTERS = 200  # of a name without our prefix; MLflow's limit is 250
UNNAMEABLE = re.compile(r"[^\w. -]")  # forbidden in names of MLflow; and the slash, which makes folders
FOLDER = "snnrun.folder"  # the tag that identifies a resumed run
STATUS = {"finished": "FINISHED", "interrupted": "KILLED"}


class MLflow(Tracker):
    """A run in a local MLflow store; ``mlflow ui --backend-store-uri sqlite:///outputs/mlflow.db`` shows it.

    Parameters are the keys of the config, metrics the curves over training steps (``step/loss``,
    ``epoch/validation_loss``, ``epoch/layers/hidden1/silent``), and at the end ``result/test_loss`` and so on. The
    store is written after every epoch. It keeps all points: a resumed run does not repeat them. MLflow's own telemetry
    is off.

    Args:
        store: SQLite file, created if missing. None, the default: ``mlflow.db`` in ``output_dir``.
        experiment: of MLflow, created if missing. Default snnrun.

    Raises:
        ValueError: for a store or an experiment without a name.
    """

    package: ClassVar[str | None] = "mlflow"
    extra: ClassVar[str] = "mlflow"

    def __init__(self, *, store: str | None = None, experiment: str = "snnrun") -> None:
        if store is not None and (not isinstance(store, str) or not store.strip() or "://" in store):
            raise ArgumentError("store", "the path of a file, or null", store)
        if not isinstance(experiment, str) or not experiment.strip():
            raise ArgumentError("experiment", "a name", experiment)
        self.store, self.experiment = store, experiment
        self._client: Any = None
        self._run = ""
        self._waiting: list[Any] = []
        self._points: set[tuple[str, int]] = set()

    def begin(
        self, folder: Path, config: Mapping[str, Any], manifest: Mapping[str, Any], before: Sequence[Record]
    ) -> None:
        """Open the run, or create one; add the missing points of ``before``."""
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        from mlflow import MlflowClient
        from mlflow.entities import Param, RunTag

        for name in ("mlflow", "alembic"):  # they log every step of creating a store
            logging.getLogger(name).setLevel(logging.ERROR)
        path = Path(self.store or Path(str(config["output_dir"]), "mlflow.db")).expanduser().absolute()
        # A stranger's config may name any database of the user, to which MLflow would add its tables.
        known = tables(path)
        if known and "experiments" not in known:  # MLflow creates this table first: another run may be doing so
            raise ArgumentError(
                "store", "a file of MLflow, or none", Description(f"{path}, a database of something else")
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        self._client = MlflowClient(tracking_uri=f"sqlite:///{path}")
        match = self._client.get_experiment_by_name(self.experiment)
        place = path.with_suffix("") / "artifacts"
        experiment = match.experiment_id if match else self._client.create_experiment(self.experiment, place.as_uri())
        home = str(folder.resolve())
        if not (before and self._resume(experiment, home)):
            tags = {FOLDER: home, "mlflow.runName": folder.name, "mlflow.source.name": "snnrun"}
            self._run = self._client.create_run(experiment, tags=tags, run_name=folder.name).info.run_id
            parameters = [Param(name, str(value)[:LONGEST]) for name, value in flat(config)]
            for some in _pieces(parameters, MOST_PARAMETERS):
                self._client.log_batch(self._run, params=some)
            facts = [(key, value) for key, value in flat(manifest) if not key.startswith("packages.")]
            for chosen in _pieces(facts, MOST_PARAMETERS):
                self._client.log_batch(self._run, tags=[RunTag(f"snnrun.{k}", str(v)[:LONGEST]) for k, v in chosen])
        for record in before:
            self._add(record)
        self._send()

    def record(self, record: Record) -> None:
        """Collect the points of a step; store them with the epoch's points."""
        self._add(record)
        if record["kind"] == "epoch" or len(self._waiting) >= MOST_POINTS:
            self._send()

    def end(self, result: Mapping[str, Any]) -> None:
        """Store the rest, the result and the status."""
        self._send()
        from mlflow.entities import Metric

        now, metrics = int(1000 * time.time()), []
        for name, value in flat(result):
            key = UNNAMEABLE.sub("_", name)[:MOST_LETTERS]  # a class may have any name
            if isinstance(value, (int, float)):
                metrics.append(Metric(f"result/{key}", float(value), now, 0))
            else:
                self._client.set_tag(self._run, f"snnrun.result.{key}", str(value)[:LONGEST])
        for some in _pieces(metrics, MOST_POINTS):
            self._client.log_batch(self._run, metrics=some)
        self._client.set_terminated(self._run, STATUS.get(str(result.get("status")), "FAILED"))

    def _resume(self, experiment: str, home: str) -> bool:
        """Continue the newest run of this folder, and read which points it has. Returns False if there is none."""
        quoted = home.replace("'", "''")
        runs = self._client.search_runs([experiment], f"tags.`{FOLDER}` = '{quoted}'", max_results=1)
        if not runs:
            return False
        self._run = runs[0].info.run_id
        self._client.update_run(self._run, status="RUNNING")
        for name in runs[0].data.metrics:
            self._points |= {(name, point.step) for point in self._client.get_metric_history(self._run, name)}
        return True

    def _add(self, record: Record) -> None:
        from mlflow.entities import Metric

        if record["kind"] == "warning":
            self._client.set_tag(self._run, f"snnrun.warning.{record['step']}", record["message"][:LONGEST])
            return
        now, step = int(1000 * time.time()), record["step"]
        points = [(name, value) for name, value in curves(record) if (name, step) not in self._points]
        self._waiting += [Metric(name, value, now, step) for name, value in points]

    def _send(self) -> None:
        for some in _pieces(self._waiting, MOST_POINTS):
            self._client.log_batch(self._run, metrics=some)
        self._waiting = []


def _pieces(values: Sequence[T], size: int) -> Iterator[list[T]]:
    rest = iter(values)
    while some := list(islice(rest, size)):
        yield some
