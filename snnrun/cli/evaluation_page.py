"""``snnrun show`` for a folder of ``snnrun evaluate``: the tested run, the settings, and the results."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from snnrun.system import safe_read
from snnrun.system.format import figure, table
from snnrun.system.layout import columns, fit, page_width
from snnrun.system.safe_read import Unreadable, number, printable, quote

NAME = "evaluation.json"
MOST_TESTS = 200  # in the table
LOSS = "test_loss"  # every test has it
FIGURES = {"test_accuracy": "accuracy", LOSS: "loss", "test_r2": "R²"}  # in result.json


def find(word: str, root: Path) -> Path | None:
    """The folder of an evaluation by its path, or by the end of its name in ``root``; else None."""
    with suppress(ValueError, OSError, RuntimeError):  # a NUL; a name that is too long; ~ of an unknown user
        path = Path(word).expanduser()
        if word and os.path.isfile(path / NAME):
            return path
    end = word.replace(os.sep, "/").strip("/")
    folders = [path.parent for path in root.glob(f"*/*/{NAME}") if end and path.parent.as_posix().endswith(end)]
    return folders[0] if len(folders) == 1 else None


def page(folder: Path) -> str:
    """The tests, and the recorded one."""
    try:
        content = safe_read.json_object(folder, NAME)
    except Unreadable as error:
        return f"{printable(folder)}\n  ({error})"
    of = content.get("run")
    run = printable(of.get("folder") or of.get("name") or "") if isinstance(of, Mapping) else ""
    tests = [test for test in _list(content.get("tests")) if isinstance(test, Mapping)]
    lines = [printable(folder), fit(f"tests of the weights of {run or 'a run'}; not the recorded test", page_width())]
    recorded = content.get("recorded")
    if tests:
        keys = [str(key) for key in tests[0] if key not in FIGURES]
        lines += ["", table_of(keys, tests[:MOST_TESTS], recorded if isinstance(recorded, Mapping) else {})]
    if len(tests) > MOST_TESTS:
        lines.append(f"and {len(tests) - MOST_TESTS:,} more")
    figures = sorted(path.name for path in folder.glob("*.*") if path.stem in ("accuracy", "loss"))
    return "\n".join([*lines, *(["", f"figures: {', '.join(map(printable, figures))}"] if figures else [])])


def table_of(keys: Sequence[str], tests: Sequence[Mapping[str, Any]], recorded: Mapping[str, Any]) -> str:
    """A row for each test: its values at ``keys``, and its results; ``recorded``: the run's own, or empty."""
    shown_keys = [key for key in FIGURES if key == LOSS or any(number(test.get(key)) is not None for test in tests)]

    def row(values: Mapping[str, Any], note: str) -> list[str]:
        cells = [quote(values.get(key)) for key in keys]
        return [*cells, *(_figure(key, values.get(key)) for key in shown_keys), note]

    rows = [row(test, "") for test in tests] + ([row(recorded, "recorded")] if recorded else [])
    head = [*(printable(key, 40) for key in keys), *(FIGURES[key] for key in shown_keys), ""]
    return table(head, rows, right=range(len(head) - 1), shrink=0 if keys else None, width=columns())


def _figure(key: str, value: Any) -> str:
    share = number(value)
    return "" if share is None else f"{100 * share:.2f} %" if key == "test_accuracy" else figure(share)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
