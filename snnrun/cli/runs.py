"""``snnrun runs``, ``show`` and ``diff``: the content of run folders as text; nothing is composed or run."""

from __future__ import annotations

import json
import math
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from snnrun.cli import evaluation_page, usage
from snnrun.cli.changes import Changes, config_of
from snnrun.cli.diff import diff
from snnrun.cli.show import show
from snnrun.errors import ConfigError
from snnrun.job.arguments import Arguments, check_words, nearest, shallowest
from snnrun.run import browse
from snnrun.run.browse import RunSummary, end
from snnrun.sweep import folders
from snnrun.system import say
from snnrun.system.format import age, cut_end, cut_start, plural, table
from snnrun.system.layout import columns, fit, page_width
from snnrun.system.safe_read import Unreadable, printable, quote

OUTPUTS = Path("outputs")
EXPECTED = {"runs": (0, 1, "at most one folder"), "show": (1, 1, "one run or sweep"), "diff": (2, 2, "two runs")}
NARROW = 70  # columns; a narrower table has no age
#: Orders of runs besides the keys of their configs; True: the largest comes first.
ORDERS = {
    "time": True,
    "accuracy": True,
    "loss": False,
    "epochs": True,
    "seconds": False,
    "status": False,
    "name": False,
}
DIRECTIONS = {"asc": False, "desc": True}


@dataclass(frozen=True)
class RunRow:
    """A run in the list."""

    run: RunSummary
    config: Mapping[str, Any]  # by dotted keys, and its choices by group; empty if it cannot be read
    changes: Mapping[str, Any]  # values other than the default


def main(arguments: Arguments, page: Callable[[Path], str]) -> int:
    """Run the command; returns the exit code. ``page``: gives the page of the sweep in a folder."""
    command, words = arguments.command, arguments.words
    if arguments.help:
        say.say(fit(usage.LOOKING[command], page_width()))
        return 0
    check_words(arguments, *EXPECTED[command])
    if command == "runs":
        say.say(listing(arguments))
    elif command == "show":
        try:
            folder = folders.find(words[0], OUTPUTS)
        except ConfigError:
            evaluation = evaluation_page.find(words[0], OUTPUTS)
            if evaluation is None:
                raise
            say.say(evaluation_page.page(evaluation))
            return 0
        if folders.has_job_list(folder):
            say.say(page(folder))
        else:
            say.say(show(folder if browse.is_run(folder) else browse.resolve(words[0], OUTPUTS)))
    else:
        say.say(diff(*(browse.resolve(word, OUTPUTS) for word in words)))
    return 0


def listing(arguments: Arguments) -> str:
    """The output of ``snnrun runs``: a table, or with ``--json`` a list of objects."""
    words = arguments.words
    root = Path(words[0]).expanduser() if words else OUTPUTS
    there = os.path.isdir(root)  # not Path.is_dir, which raises if a name is too long
    if words and not there:
        raise ConfigError(f"runs: expected a folder that exists, got {printable(words[0])!r}")
    changes = Changes()
    rows = sort_rows([_row(browse.read(folder), changes) for folder in browse.find(root)], arguments.sort)
    if arguments.json:
        return json.dumps([_object(each) for each in rows], indent=2)
    if not there:
        return f"no runs: there is no folder {OUTPUTS} here; `snnrun` makes one, `snnrun runs FOLDER` looks elsewhere"
    return _table(rows, root) if rows else f"no runs in {printable(root)}"


def sort_rows(rows: Sequence[RunRow], order: str | None) -> list[RunRow]:
    """The runs by ``order``, KEY or KEY,asc or KEY,desc; otherwise the newest first. None is last.

    Raises:
        ConfigError: for a key that no run has, and for another direction.
    """
    newest = sorted(rows, key=lambda each: (-each.run.started, str(each.run.folder)))
    if order is None:
        return newest
    key, _, direction = order.partition(",")
    if direction and direction not in DIRECTIONS:
        raise ConfigError(f"--sort: expected {key},asc or {key},desc, got {printable(order)!r}")
    known = list(dict.fromkeys(name for each in rows for name in each.config))
    if key not in ORDERS and key not in known and rows:
        elsewhere = [name for name in known if name.rpartition(".")[2] == key]
        hint = f", did you mean {shallowest(elsewhere)}?" if elsewhere else nearest(key, [*ORDERS, *known])
        raise ConfigError(
            f"--sort: no run has {printable(key) or repr(key)}{hint or ';'} there are {', '.join(ORDERS)}, and the "
            "keys of a config such as optimizer.lr"
        )
    values = [(each, _value(each, key)) for each in newest]
    present = [(each, value) for each, value in values if value is not None]
    down = DIRECTIONS.get(direction, ORDERS.get(key, False))
    present.sort(key=lambda pair: _rank(pair[1]), reverse=down)
    return [each for each, _ in present] + [each for each, value in values if value is None]


def _row(run: RunSummary, changes: Changes) -> RunRow:
    try:
        config = config_of(run.folder)
    except Unreadable:
        config = {}
    return RunRow(run, {**config, **changes.choices(run, config)}, changes.of(run, config))


def _value(each: RunRow, key: str) -> Any:
    run = each.run
    fixed = {
        "time": run.started,
        "accuracy": run.accuracy,
        "loss": run.loss,
        "epochs": run.epochs,
        "seconds": run.seconds,
        "status": run.status,
        "name": run.name,
    }
    return fixed[key] if key in fixed else each.config.get(key)


def _rank(value: Any) -> tuple[int, float, str]:
    """Numbers by size, before texts by their letters."""
    if isinstance(value, (int, float, str)) and not isinstance(value, bool):
        try:
            number = float(value)
        except (ValueError, OverflowError):  # 1e-3 is a text in YAML
            return 1, 0.0, quote(value)
        return (1, 0.0, "nan") if math.isnan(number) else (0, number, "")
    return 1, 0.0, quote(value)


def _object(each: RunRow) -> dict[str, Any]:
    run = each.run
    return {
        "folder": str(run.folder),
        "name": run.name,
        "status": run.status,
        "started": _date(run.started),
        "accuracy": run.accuracy,
        "loss": run.loss,
        "epochs": run.epochs,
        "seconds": run.seconds,
        "changes": {printable(key, 200): _plain(value) for key, value in each.changes.items()},
    }


def _date(seconds: float) -> str | None:
    try:
        return datetime.fromtimestamp(seconds, timezone.utc).isoformat(timespec="seconds")
    except (ValueError, OverflowError, OSError):  # a file may have any time
        return None


def _plain(value: Any) -> Any:
    """A value of YAML for JSON; other types as text."""
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {printable(key, 200): _plain(item) for key, item in value.items()}
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, (bool, str)):
        return value
    return value if isinstance(value, int) and value.bit_length() < 64 else quote(value)


def _table(rows: Sequence[RunRow], root: Path) -> str:
    width = columns()
    aged = width is None or width >= NARROW
    head = ["status", "test", "epochs", *["age"] * aged, "not the default", "folder"]
    cells = [
        [
            run.status + "+" * run.resumable,
            end(run),
            _progress(run),
            *[age(run.started)] * aged,
            _description(each),
            printable(run.folder.relative_to(root)),
        ]
        for each in rows
        for run in [each.run]
    ]
    last = len(head) - 1
    count = Counter(each.run.status for each in rows)
    total = f"{plural(len(rows), 'run')}: " + ", ".join(f"{n:,} {s}" for s, n in count.most_common())
    more = ["+ can go on: `snnrun resume RUN`"] if any(each.run.resumable for each in rows) else []
    shrink = {last: cut_start, last - 1: cut_end}
    return "\n".join([table(head, cells, right=range(1, last - 1), shrink=shrink, width=width), "", total, *more])


def _description(each: RunRow) -> str:
    """The values other than the default; and the name of a run, if its folder has another."""
    run = each.run
    words = [f"name={run.name}"] if run.name is not None and run.name not in str(run.folder) else []
    words += [run.command] if run.command != "train" else []
    changes = {key: value for key, value in each.changes.items() if key != "epochs"}  # epochs have a column
    return " ".join([*words, *(f"{printable(key, 60)}={_compact(value)}" for key, value in changes.items())])


def _compact(value: Any) -> str:
    return quote(value, 40).replace(", ", ",") if isinstance(value, list) else quote(value, 40)


def _progress(run: RunSummary) -> str:
    if run.epochs is None:
        return ""
    return str(run.epochs) if run.max_epochs in (None, run.epochs) else f"{run.epochs}/{run.max_epochs}"
