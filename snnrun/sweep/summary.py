"""The summary at the end of a sweep: failures, best configurations, and further commands."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from snnrun.sweep.outcome import Outcome, last_lines
from snnrun.system import say
from snnrun.system.format import plural, short, table
from snnrun.system.layout import columns

MOST_FAILURES = 20  # with their last lines
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
            ends = [line for line in last_lines(outcome.task) if not first.endswith(line.removeprefix("error: "))]
            lines += [f"      {say.shorten(line)}" for line in ends]
            if outcome.task.folder.is_dir():
                lines.append(f"    {outcome.task.folder}")
        say.say("\n".join(lines), error=True)


def ranking(folder: Path) -> None:
    """The best configurations of the sweep in ``folder`` by validation, as ``snnrun best`` ranks them.

    Without a validation set they keep the order of the jobs, since the test set must not decide.
    """
    from snnrun.sweep.page import gather  # with scipy, which would delay the start of a run
    from snnrun.sweep.page.ranking import label, rank
    from snnrun.sweep.page.words import assignment, spread

    ranking = rank(gather.sweep(folder))
    if sum(job.finished for job in ranking.sweep.jobs) < 2:
        return
    measure, shown = ranking.measure, ranking.configurations[:MOST_ROWS]
    validated = any(each.validation for each in ranking.configurations)
    head = ["configuration", "seeds", *[f"validation {measure.title}"] * validated, f"test {measure.title}"]
    rows = []
    for each in shown:
        figures = [spread(each.validation, measure)] * validated + [spread(each.test, measure)]
        if not each.finished_jobs:
            figures[0] = "none finished"
        rows.append([assignment(each), str(len(each.finished_jobs)), *figures])
    width, page = columns(), table(head, rows, right=(1,))
    if width is not None and max(map(len, page.splitlines())) > width:
        labelled = [[label(each.values), *row[1:]] for each, row in zip(shown, rows, strict=True)]
        page = table(head, labelled, right=(1,), shrink=0, width=width)
    say.say(f"\n{page}")
    more = len(ranking.configurations) - len(shown)
    if more:
        say.say(f"and {plural(more, 'more configuration')}")


def ways_on(folder: Path) -> None:
    """Print the commands that look at the sweep in ``folder``."""
    say.say("\n" + ways(folder))


def ways(folder: Path) -> str:
    """The commands that look at the sweep in ``folder``, with explanations if the line is long enough."""
    name, width = shlex.quote(short(folder)), columns()
    lines = [
        ("snnrun report " + name, "tables and plots, as a page for the browser"),
        ("snnrun best " + name, "the best configuration, and the command that runs it again"),
    ]
    whole = [f"{line}    # {what}" for line, what in lines]
    fits = width is None or max(map(len, whole)) <= width
    return "\n".join(whole if fits else [line for line, _ in lines])
