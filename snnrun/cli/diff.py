"""``snnrun diff RUN RUN``: the differences of two runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from snnrun.cli.changes import config_of
from snnrun.system import safe_read
from snnrun.system.format import cut_end, cut_start, table
from snnrun.system.layout import columns
from snnrun.system.safe_read import Unreadable, flatten, number, printable, quote

MOST = 200
ABSENT = "-"
#: Different for any two runs.
NOT_ENVIRONMENT = ("command", "started", "seed", "config_sha256", "config_file")


def diff(first: Path, second: Path) -> str:
    """The page of the differences."""
    title = f"A  {printable(first)}\nB  {printable(second)}"
    sections = {
        "config": _section(_config(first, second), first, second),
        "environment": _section(_environment, first, second),
        "result": _section(_result, first, second),
    }
    return "\n\n".join([title, *(f"{name}{body}" for name, body in sections.items())])


def _config(*folders: Path) -> Callable[[Path], dict[str, Any]]:
    """The reader of the configs: with references, unless one of them exists only in resolved form."""
    try:
        for folder in folders:
            safe_read.yaml_object(folder, ".hydra/config.yaml")
    except Unreadable:
        return lambda folder: flatten(safe_read.yaml_object(folder, "config.yaml"))
    return config_of


def _environment(folder: Path) -> dict[str, Any]:
    manifest = safe_read.json_object(folder, "manifest.json")
    return flatten({key: value for key, value in manifest.items() if key not in NOT_ENVIRONMENT})


def _result(folder: Path) -> dict[str, Any]:
    """The result without the confusion matrix: if two differ, so does the accuracy of a class."""
    result = safe_read.json_object(folder, "result.json")
    return flatten({key: value for key, value in result.items() if key != "test_confusion"})


def _section(read: Callable[[Path], Mapping[str, Any]], first: Path, second: Path) -> str:
    values: list[Mapping[str, Any]] = []
    faults = []
    for letter, folder in (("A", first), ("B", second)):
        try:
            values.append(read(folder))
        except Unreadable as error:
            faults.append(f"\n  {letter} cannot be read: {error}")
    if faults:
        return "".join(faults)
    a, b = values
    keys = [key for key in {**a, **b} if key not in a or key not in b or not _equal(a[key], b[key])]
    if not keys:
        return ": no difference"
    rows = [(printable(key, 80), *(_value(side, key) for side in (a, b)), _change(a, b, key)) for key in keys[:MOST]]
    more = [f"  ... and {len(keys) - MOST:,} more"] if len(keys) > MOST else []
    cuts = {0: cut_start, 1: cut_end, 2: cut_end}
    return "\n" + "\n".join([table(("", "A", "B", ""), rows, indent="  ", shrink=cuts, width=columns()), *more])


def _value(side: Mapping[str, Any], key: str) -> str:
    return quote(side[key], 60) if key in side else ABSENT


def _change(a: Mapping[str, Any], b: Mapping[str, Any], key: str) -> str:
    one, other = number(a.get(key)), number(b.get(key))
    return "" if one is None or other is None else f"{other - one:+.4g}"


def _equal(one: Any, other: Any) -> bool:
    return type(one) is type(other) and bool(one == other)
