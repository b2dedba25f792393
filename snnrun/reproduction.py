"""Whether a run came out again: its records and weights beside those of another run of the same config."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

from snnrun import files, untrusted
from snnrun.environment import differences
from snnrun.untrusted import Unreadable, printable, shown

#: What depends on the clock.
TIMES = ("time", "seconds", "samples_per_second")
#: Fields that records of earlier versions lack.
LATER = ("gradients", "neuron_parameters")
#: How far losses may lie apart between two environments: rounding that training has had some steps to amplify.
TOLERANCE = 0.05
#: Likewise of the accuracy on the test part.
ACCURACY = 0.02
MOST = 1 << 28  # bytes of metrics that are compared


@dataclass(frozen=True)
class Verdict:
    """How two runs of one config compare.

    Attributes:
        exact: all records (times aside) and the weights are the same, bit for bit.
        reproduced: they need no more: exact; or in another environment, within the tolerances; or with another seed,
            where there is nothing to compare.
        records: compared, to the first difference or the end of the shorter.
        first: where they first differ: the record's epoch and step, and per key the two values. None if nowhere.
        environment: what differs between the manifests, by key, that of the first run first.
        results: of ``result.json``, likewise.
        same_seed: whether the seeds are the same.
    """

    exact: bool
    reproduced: bool
    records: int
    first: dict[str, Any] | None
    environment: dict[str, tuple[Any, Any]]
    results: dict[str, tuple[Any, Any]]
    same_seed: bool

    def words(self) -> str:
        """The verdict for people."""
        if not self.same_seed:
            lines = ["another seed, so the runs are compared by their results:"]
        elif self.exact:
            lines = [f"match: all {self.records} records and the weights are the same, bit for bit"]
        else:
            lines = [
                "match within the tolerance of another environment" if self.reproduced else "no match",
                *([_first(self.first)] if self.first else ["the records are the same, the weights are not"]),
            ]
        lines += [f"  {key}: {shown(a)} there, {shown(b)} here" for key, (a, b) in self.results.items()]
        if self.environment and not self.exact:
            lines += ["the environments differ:"]
            lines += [
                f"  {printable(key, 80)}: {shown(a)} there, {shown(b)} here" for key, (a, b) in self.environment.items()
            ]
        elif not self.exact and self.same_seed:
            lines += ["the environments are the same"]
        return "\n".join(lines)

    def save(self, folder: Path) -> None:
        """Write ``reproduction.json``."""
        files.write_json(folder / "reproduction.json", _plain(asdict(self)))


def compare(before: Path, after: Path, *, same_seed: bool) -> Verdict:
    """Compare the run in ``before`` with its repetition in ``after``."""
    count, first = 0, None
    ended = _json(before, "result.json").get("status") == "finished"
    for one, other in zip_longest(_records(before), _records(after)):
        if one is None and not ended:  # it was interrupted: there is no more to compare
            break
        found = _different(one or {}, other or {})
        if found:
            where = one or other or {}
            first = {"kind": where.get("kind"), "epoch": where.get("epoch"), "step": where.get("step"), "values": found}
            break
        count += 1
    old, new = _json(before, "result.json"), _json(after, "result.json")
    environment = differences(_json(before, "manifest.json"), _json(after, "manifest.json"))
    keys = [key for key in new if key not in (*TIMES, "status")]
    results = {key: (old.get(key), new.get(key)) for key in keys if ended and old.get(key) != new.get(key)}
    exact = same_seed and first is None and not results
    close = bool(environment) and _close(old, new)
    return Verdict(exact, exact or close or not same_seed, count, first, environment, results, same_seed)


def _close(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    pairs = [(old.get(key), new.get(key)) for key in ("test_loss", "test_accuracy")]
    (loss, other_loss), (accuracy, other_accuracy) = pairs
    if not isinstance(loss, float) or not isinstance(other_loss, float):
        return False
    if not math.isclose(loss, other_loss, rel_tol=TOLERANCE, abs_tol=1e-6):
        return False
    if isinstance(accuracy, float) and isinstance(other_accuracy, float):
        return abs(accuracy - other_accuracy) <= ACCURACY
    return accuracy == other_accuracy


def _different(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    keys = [key for key in {**one, **other} if key not in TIMES and (key in one or key not in LATER)]
    return {key: (one.get(key), other.get(key)) for key in keys if one.get(key) != other.get(key)}


def _records(folder: Path) -> Iterator[dict[str, Any]]:
    try:
        for line in untrusted.lines(folder, "metrics.jsonl", MOST):
            yield untrusted.parsed(line)
    except Unreadable:
        return


def _json(folder: Path, name: str) -> dict[str, Any]:
    try:
        return untrusted.json_object(folder, name)
    except Unreadable:
        return {}


def _first(first: Mapping[str, Any]) -> str:
    values = [f"{printable(key, 80)}: {shown(a)} there, {shown(b)} here" for key, (a, b) in first["values"].items()]
    where = f"epoch {first['epoch']}" if first["kind"] == "epoch" else f"step {first['step']}"
    return f"the first difference is in {where}: " + "; ".join(values)


def _plain(value: Any) -> Any:
    """As strict JSON has it: no NaN, and lists for tuples."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value
