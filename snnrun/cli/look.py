"""``snnrun runs``, ``show`` and ``diff``: what the folders of runs say, as text; nothing is composed or run."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from snnrun import runs
from snnrun.cli import text
from snnrun.cli.arguments import Arguments
from snnrun.cli.diff import diff
from snnrun.cli.show import show
from snnrun.cli.words import PARTS, age, end, table
from snnrun.errors import ConfigError
from snnrun.layout import fit, page_width
from snnrun.runs import Run
from snnrun.untrusted import printable

OUTPUTS = Path("outputs")
EXPECTED = {"runs": (0, 1, "at most one folder"), "show": (1, 1, "one run"), "diff": (2, 2, "two runs")}
LOOKED_AT = {"simulate": ("neuron", "input"), "plot": ()}


def main(arguments: Arguments) -> int:
    """Answer the command; returns the exit code."""
    command, words = arguments.command, arguments.words
    if arguments.help:
        text.say(fit(text.LOOKING[command], page_width()))
        return 0
    text.check_words(arguments, *EXPECTED[command])
    if command == "runs":
        text.say(listing(words))
    elif command == "show":
        text.say(show(runs.named(words[0], OUTPUTS)))
    else:
        text.say(diff(*(runs.named(word, OUTPUTS) for word in words)))
    return 0


def listing(words: Sequence[str]) -> str:
    """The table of ``snnrun runs``."""
    root = Path(words[0]).expanduser() if words else OUTPUTS
    if not os.path.isdir(root):  # not Path.is_dir, which raises where a name is too long
        if words:
            raise ConfigError(f"runs: expected a folder that exists, got {printable(words[0])!r}")
        return f"no runs: there is no folder {OUTPUTS} here; `snnrun` makes one, `snnrun runs FOLDER` looks elsewhere"
    found = sorted(map(runs.read, runs.find(root)), key=lambda run: (-run.started, str(run.folder)))
    if not found:
        return f"no runs in {printable(root)}"
    rows = [
        (
            run.status + "+" * run.resumable,
            end(run),
            "" if run.seed is None else str(run.seed),
            _progress(run),
            age(run.started),
            parts(run),
            printable(run.folder.relative_to(root)),
        )
        for run in found
    ]
    count = Counter(run.status for run in found)
    total = f"{len(rows):,} run{'s' * (len(rows) != 1)}: " + ", ".join(f"{n:,} {s}" for s, n in count.most_common())
    more = ["+ can go on: `snnrun resume RUN`"] if any(run.resumable for run in found) else []
    head = ("status", "test", "seed", "epochs", "age", "parts", "folder")
    return "\n".join([table(head, rows, right=(1, 2, 3, 4)), "", total, *more])


def parts(run: Run) -> str:
    """The parts that matter most, by their names alone."""
    names = [run.choices[group] for group in LOOKED_AT.get(run.command, PARTS) if group in run.choices]
    return " ".join([run.command, *names] if run.command != "train" else names)


def _progress(run: Run) -> str:
    if run.epochs is None:
        return ""
    return str(run.epochs) if run.epochs_asked in (None, run.epochs) else f"{run.epochs}/{run.epochs_asked}"
