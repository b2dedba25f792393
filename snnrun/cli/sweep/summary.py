"""What is said at the end of a sweep: its failures, and its results over seeds."""

from __future__ import annotations

import re
import statistics
from collections.abc import Sequence
from pathlib import Path

from snnrun import runs
from snnrun.cli import text
from snnrun.cli.sweep.book import Job
from snnrun.cli.sweep.outcome import Outcome, last_lines
from snnrun.cli.words import figure, table

MOST_FAILURES = 20  # that are told at length
MOST_ROWS = 30
SEED = re.compile(r"\+*seed=")


def failures(outcomes: Sequence[Outcome], total: int) -> None:
    """Every job that did not finish, with its last lines."""
    failed = [outcome for outcome in outcomes if not outcome.well]
    if not failed:
        return
    text.say(f"snnrun: {len(failed)} of {total} jobs failed:", error=True)
    for i, outcome in enumerate(failed):
        first = text.shorten(outcome.message.partition("\n")[0])
        lines = [f"  {outcome.task.name}", f"    {first}"]
        if i < MOST_FAILURES:
            said = [line for line in last_lines(outcome.task) if not first.endswith(line.removeprefix("error: "))]
            lines += [f"      {text.shorten(line)}" for line in said]
            if outcome.task.folder.is_dir():
                lines.append(f"    {outcome.task.folder}")
        text.say("\n".join(lines), error=True)


def over_seeds(jobs: Sequence[Job], sweep: Path) -> None:
    """Mean ± sd over seeds of what the test part said, for each configuration."""
    common = set(jobs[0].overrides).intersection(*(job.overrides for job in jobs[1:])) if jobs else set()
    groups: dict[tuple[str, ...], list[runs.Run]] = {}
    for job in jobs:
        own = tuple(word for word in job.overrides if word not in common and not SEED.match(word))
        run = runs.read(sweep / job.folder)
        groups.setdefault(own, [])
        if run.status == "finished":
            groups[own].append(run)
    found = [run for group in groups.values() for run in group]
    if len(found) < 2 or len(groups) > MOST_ROWS:
        return
    accuracy = all(run.accuracy is not None for run in found)
    rows = []
    for words, group in groups.items():
        values = [value for run in group if (value := run.accuracy if accuracy else run.loss) is not None]
        rows.append([" ".join(words) or "all", str(len(group)), _mean(values, percent=accuracy)])
    text.say("\n" + table(["configuration", "seeds", f"test {'accuracy' if accuracy else 'loss'}"], rows, right=(1,)))


def _mean(values: list[float], *, percent: bool) -> str:
    if not values:
        return "none finished"
    mean, sd = statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None
    if percent:
        return f"{100 * mean:.2f}" + (" %" if sd is None else f" ± {100 * sd:.2f} %")
    return figure(mean) + ("" if sd is None else f" ± {figure(sd)}")
