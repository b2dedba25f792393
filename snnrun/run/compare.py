"""Compares a run with its repetition: records, weights and results."""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import islice, zip_longest
from pathlib import Path
from typing import Any

from snnrun.report.manifest import differences
from snnrun.run import browse
from snnrun.system import files, safe_read
from snnrun.system.format import plural
from snnrun.system.safe_read import Unreadable, printable, quote
from snnrun.training.records import TIMES

#: Fields that records of earlier versions lack.
NEW_FIELDS = ("gradients", "neuron_parameters")
#: Fields that results of earlier versions lack.
NEW_RESULTS = (
    *("test_accuracy_by_class", "test_confusion"),
    *("last_test_accuracy", "last_test_loss", "last_test_r2"),
)
#: Largest relative difference of losses between two environments: rounding, amplified by some steps of training.
TOLERANCE = 0.05
#: Largest difference of test accuracies between two environments.
ACCURACY = 0.02
NAME = "metrics.jsonl"
MOST_VALUES = 20  # in a message


@dataclass(frozen=True)
class Verdict:
    """The comparison of two runs of one config.

    Attributes:
        exact: both runs are whole, and all records (except times), the weights' hash and the result are the same, bit
            for bit.
        reproduced: exact; or in another environment, whole and within the tolerances; or with another seed, whole.
        records: number of equal records, to the first difference or the end of the shorter file.
        first: the first difference: the record's epoch and step, and the two values by key. Without any, None.
        environment: differences of the manifests: the two values by key, the first run's first.
        results: differences of ``result.json``, likewise.
        same_seed: True if the seeds are the same.
        gaps: the missing parts of either run, in words. Default: none.
    """

    exact: bool
    reproduced: bool
    records: int
    first: dict[str, Any] | None
    environment: dict[str, tuple[Any, Any]]
    results: dict[str, tuple[Any, Any]]
    same_seed: bool
    gaps: tuple[str, ...] = ()

    def words(self) -> str:
        """The verdict for people."""
        if self.exact:
            lines = [f"match: all {self.records} records, the weights and the result are the same, bit for bit"]
        elif not self.same_seed:
            lines = ["another seed, so the runs are compared by their results:"]
            lines += [] if self.reproduced else ["no match: there is no whole result to compare"]
        else:
            lines = ["match within the tolerance of another environment" if self.reproduced else "no match"]
            if self.first:
                lines += [f"the {plural(self.records, 'record')} before are the same; {_first_difference(self.first)}"]
            elif self.gaps:
                lines += [f"only {plural(self.records, 'record')} could be compared, and are the same"]
            else:
                lines += [f"all {plural(self.records, 'record')} are the same, the weights or the result are not"]
        lines += ["not all could be compared:", *(f"  {gap}" for gap in self.gaps)] if self.gaps else []
        lines += [f"  {key}: {quote(a)} there, {quote(b)} here" for key, (a, b) in self.results.items()]
        if self.environment and not self.exact:
            lines += ["the environments differ:"]
            lines += [
                f"  {printable(key, 80)}: {quote(a)} there, {quote(b)} here" for key, (a, b) in self.environment.items()
            ]
        elif not self.exact and self.same_seed and not self.gaps:
            lines += ["the environments are the same"]
        return "\n".join(lines)

    def save(self, folder: Path) -> None:
        """Write ``reproduction.json``."""
        files.write_json(folder / "reproduction.json", files.plain(asdict(self)))


def compare(before: Path, after: Path, *, same_seed: bool) -> Verdict:
    """Compare the run in ``before`` with its repetition in ``after``.

    Only whole runs can match: finished, with a record of every epoch in the result, undamaged lines, and the hash of
    the weights.
    """
    one, other = _Metrics(before), _Metrics(after)
    count, first, longer = 0, None, None
    for left, right in zip_longest(one, other):
        if left is None or right is None:
            longer = "here" if left is None else "there"
            break
        if values := _differences(left, right):
            first = {"kind": left.get("kind"), "epoch": left.get("epoch"), "step": left.get("step"), "values": values}
            break
        count += 1
    # A stranger's file may be endless. Two files of one config differ in length only by the digits of numbers.
    if one.size() > 2 * other.size() + (1 << 20):
        one.fault = one.fault or f"{NAME} has {one.size()} bytes, and that of the other run {other.size()}"
    for each in (one, other):
        each.read_rest()
    old, new = (browse.json_object(folder, "result.json") for folder in (before, after))
    gaps = [*_gaps("there", one, old), *_gaps("here", other, new)]
    if longer and not gaps:
        gaps.append(f"{NAME} has more records {longer}")
    results = {key: (old.get(key), new.get(key)) for key in new if key not in (*TIMES, "status")}
    results = {key: pair for key, pair in results.items() if key in old or key not in NEW_RESULTS}
    results = {key: pair for key, pair in results.items() if not _equal(*pair)}
    manifests = [browse.json_object(folder, "manifest.json") for folder in (before, after)]
    known = all("packages" in manifest for manifest in manifests)
    environment = differences(*manifests) if known else {}
    if not known and (first or results):
        gaps.append("manifest.json does not say in which environment the run was made")
    exact = same_seed and not (first or results or gaps)
    if same_seed:
        reproduced = exact or (bool(environment) and not gaps and _within_tolerances(old, new))
    else:
        reproduced = _finished(old) and _finished(new)
    return Verdict(exact, reproduced, count, first, environment, results, same_seed, tuple(gaps))


class _Metrics:
    """The records of a run, one by one to the first damaged line.

    Attributes:
        epochs: numbers of the epochs read so far.
        fault: the reason for an early end, in words, or None.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._records = self._read()
        self.epochs: list[Any] = []
        self.fault: str | None = None

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return self._records

    def read_rest(self) -> None:
        while self.fault is None and next(self._records, None) is not None:
            pass

    def size(self) -> int:
        """Bytes of the file."""
        try:
            return os.lstat(self._folder / NAME).st_size
        except OSError:
            return 0

    def _read(self) -> Iterator[dict[str, Any]]:
        number = 0
        try:
            for line in safe_read.lines(self._folder, NAME, sys.maxsize):
                number += 1
                record = safe_read.parse_json(line)
                if record.get("kind") == "epoch":
                    self.epochs.append(record.get("epoch"))
                yield record
        except Unreadable as error:
            self.fault = f"{NAME}, line {number}: {error}" if number else f"{NAME}: {error}"


def _gaps(where: str, metrics: _Metrics, result: Mapping[str, Any]) -> Iterator[str]:
    """The missing parts of a run, in words."""
    if not result:
        yield f"{where}: result.json is missing, or cannot be read"
    elif not _finished(result):
        yield f"{where}: the run is not finished: its status is {quote(result.get('status'))}"
    elif not isinstance(result.get("weights_sha256"), str):
        yield f"{where}: result.json has no weights_sha256"
    if metrics.fault is not None:
        yield f"{where}: {metrics.fault}"
    elif not metrics.epochs or metrics.epochs != list(range(1, len(metrics.epochs) + 1)):
        yield f"{where}: {NAME} does not have a record for each epoch"
    elif _finished(result) and result.get("epochs") != len(metrics.epochs):
        yield f"{where}: {NAME} has {len(metrics.epochs)} epochs, result.json {quote(result.get('epochs'))}"


def _finished(result: Mapping[str, Any]) -> bool:
    return result.get("status") == "finished"


def _within_tolerances(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    pairs = [(old.get(key), new.get(key)) for key in ("test_loss", "test_accuracy")]
    (loss, other_loss), (accuracy, other_accuracy) = pairs
    if not isinstance(loss, float) or not isinstance(other_loss, float):
        return False
    if not math.isclose(loss, other_loss, rel_tol=TOLERANCE, abs_tol=1e-6):
        return False
    if isinstance(accuracy, float) and isinstance(other_accuracy, float):
        return abs(accuracy - other_accuracy) <= ACCURACY
    return accuracy == other_accuracy


def _differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    keys = [key for key in {**one, **other} if key not in TIMES and (key in one or key not in NEW_FIELDS)]
    return {key: (one.get(key), other.get(key)) for key in keys if not _equal(one.get(key), other.get(key))}


def _equal(one: Any, other: Any) -> bool:
    """True if two values are the same in JSON: 1, 1.0 and true are not, nor are 0.0 and -0.0."""
    return bool(one == other) and json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def _first_difference(first: Mapping[str, Any]) -> str:
    pairs = islice(first["values"].items(), MOST_VALUES)
    values = [f"{printable(key, 80)}: {quote(a)} there, {quote(b)} here" for key, (a, b) in pairs]
    epoch = first["kind"] == "epoch"
    where = f"epoch {quote(first['epoch'])}" if epoch else f"step {quote(first['step'])}"
    return f"the first difference is in {where}: " + "; ".join(values)
