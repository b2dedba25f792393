"""What is said at the end of a sweep: its failures, the best configurations, and the commands that go on from there."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from snnrun.sweep.outcome import Outcome, last_lines
from snnrun.system import say
from snnrun.system.format import plural, short, table
from snnrun.system.layout import columns

MOST_FAILURES = 20  # that are told at length
MOST_ROWS = 10  # configurations in the table


def failures(outcomes: Sequence[Outcome], total: int) -> None:
    """Every job that did not finish, with its last lines."""
    failed = [outcome for outcome in outcomes if not outcome.well]
    if not failed:
        return
    say.say(f"snnrun: {len(failed)} of {total} jobs failed:", error=True)
    for i, outcome in enumerate(failed):
        first = say.shorten(outcome.message.partition("\n")[0])
        lines = [f"  {outcome.task.name}", f"    {first}"]
        if i < MOST_FAILURES:
            said = [line for line in last_lines(outcome.task) if not first.endswith(line.removeprefix("error: "))]
            lines += [f"      {say.shorten(line)}" for line in said]
            if outcome.task.folder.is_dir():
                lines.append(f"    {outcome.task.folder}")
        say.say("\n".join(lines), error=True)


def ranking(folder: Path) -> None:
    """The best configurations of the sweep in ``folder``, as ``snnrun best`` ranks them: by the validation part.

    Without a validation part they stand in the order of the jobs, since a choice by the test part is none.
    """
    from snnrun.sweep.page import gather  # with scipy, which no start of a run should wait for
    from snnrun.sweep.page.ranking import label, rank
    from snnrun.sweep.page.words import assignment, spread

    ranked = rank(gather.sweep(folder))
    if sum(job.finished for job in ranked.sweep.jobs) < 2:
        return
    measure, shown = ranked.measure, ranked.configurations[:MOST_ROWS]
    validated = any(each.validation for each in ranked.configurations)
    head = ["configuration", "seeds", *[f"validation {measure.title}"] * validated, f"test {measure.title}"]
    rows = []
    for each in shown:
        figures = [spread(each.validation, measure)] * validated + [spread(each.test, measure)]
        if not each.counted:
            figures[0] = "none finished"
        rows.append([assignment(each), str(len(each.counted)), *figures])
    width, page = columns(), table(head, rows, right=(1,))
    if width is not None and max(map(len, page.splitlines())) > width:
        named = [[label(each.values), *row[1:]] for each, row in zip(shown, rows, strict=True)]
        page = table(head, named, right=(1,), shrink=0, width=width)
    say.say(f"\n{page}")
    more = len(ranked.configurations) - len(shown)
    if more:
        say.say(f"and {plural(more, 'more configuration')}")


def ways_on(folder: Path) -> None:
    """Say which commands look at the sweep in ``folder``."""
    say.say("\n" + ways(folder))


def ways(folder: Path) -> str:
    """The commands that look at the sweep in ``folder``; what each does is left out where the line is too short."""
    name, width = shlex.quote(short(folder)), columns()
    lines = [
        ("snnrun report " + name, "tables and plots, as a page for the browser"),
        ("snnrun best " + name, "the best configuration, and the command that runs it again"),
    ]
    whole = [f"{line}    # {what}" for line, what in lines]
    fits = width is None or max(map(len, whole)) <= width
    return "\n".join(whole if fits else [line for line, _ in lines])
