"""``snnrun report`` and ``snnrun best``: the outcome of a sweep as a page, a table and an answer."""

from __future__ import annotations

import textwrap
from pathlib import Path

from snnrun.cli import show, usage
from snnrun.errors import ConfigError, StorageError
from snnrun.job.arguments import Arguments, check_words
from snnrun.run import browse
from snnrun.run.command_line import remark
from snnrun.sweep import folders
from snnrun.sweep.page import gather, words
from snnrun.sweep.page.ranking import Ranking, command, rank
from snnrun.sweep.page.results_csv import csv_text
from snnrun.sweep.page.run import run_page
from snnrun.sweep.page.sweep import sweep_page
from snnrun.system import files, say
from snnrun.system.format import table
from snnrun.system.layout import fit, page_width
from snnrun.system.safe_read import printable

OUTPUTS = Path("outputs")
EXPECTED = {"report": "one sweep or run", "best": "one sweep"}
MOST_FOLDERS = 20


def main(arguments: Arguments) -> int:
    """Run the command; returns the exit code."""
    name, words = arguments.command, arguments.words
    if arguments.help:
        say.say(fit(usage.REPORTING[name], page_width()))
        return 0
    check_words(arguments, 1, 1, EXPECTED[name])
    folder = folders.find(words[0], OUTPUTS)
    if name == "report":
        # The user's path may be a link; inside the folder no link is followed.
        for path in report(files.without_links(folder)):
            say.say(printable(path, 4000))
    else:
        if not folders.is_sweep(folder):
            raise ConfigError(f"{printable(folder)}: expected a sweep, got a single run; `snnrun show` tells about it")
        say.say(best(ranking_of(folder)))
    return 0


def report(folder: Path) -> list[Path]:
    """Write the page, and for a sweep the table. Returns the files.

    Raises:
        ConfigError: for a run without training.
        StorageError: if a file cannot be written.
    """
    if folders.is_sweep(folder):
        ranking = ranking_of(folder)
        contents = {"report.html": sweep_page(ranking), "results.csv": csv_text(ranking)}
    else:
        run = browse.read(folder)
        if run.command != "train":
            raise ConfigError(f"{printable(folder)}: expected a training run, got one of `snnrun {run.command}`")
        page = run_page(gather.job(folder), settings=show.settings(run), warnings=show.warnings(folder))
        contents = {"report.html": page}
    for name, content in contents.items():
        try:
            files.write_text(folder / name, content)
        except OSError as error:
            why = f"writing failed: {error.strerror or error}. Free some space or check the rights"
            raise StorageError(f"{printable(folder / name)}: {why}") from error
    return [folder / name for name in contents]


def ranking_of(folder: Path) -> Ranking:
    """The configurations of the sweep in ``folder``.

    Raises:
        ConfigError: for a sweep without training.
    """
    sweep = gather.sweep(folder)
    first = next((job.folder for job in sweep.jobs if job.status != gather.NOT_STARTED), None)
    command = browse.read(first).command if first is not None else "train"
    if command != "train":
        raise ConfigError(f"{printable(folder)}: expected a sweep of training runs, got one of `snnrun {command}`")
    return rank(sweep)


def best(ranking: Ranking) -> str:
    """The output of ``snnrun best``.

    Raises:
        ConfigError: if no job has a result yet.
    """
    winner, measure, sweep = ranking.winner, ranking.measure, ranking.sweep
    if winner is None or winner.validation is None:
        if any(job.test for job in sweep.jobs):
            raise ConfigError(f"{printable(sweep.folder)}: there is no best configuration: {words.NO_VALIDATION[:-1]}")
        raise ConfigError(
            f"{printable(sweep.folder)}: expected a finished job, got {words.counts(sweep.jobs) or 'no jobs'}; "
            "`snnrun report` shows the curves so far"
        )
    validation, verdict = winner.validation, words.verdict(ranking)
    interval = words.interval(validation.low, validation.high, measure)
    jobs = winner.finished_jobs
    rows = [
        (f"validation {measure.title}", words.spread(validation, measure) + f", {words.seeds(validation.n)}"),
        *([("95 % interval", interval)] if interval else []),
        *([(f"test {measure.title}", words.spread(winner.test, measure))] if winner.test else []),
        *(("folders" if i == 0 else "", printable(job.folder)) for i, job in enumerate(jobs[:MOST_FOLDERS])),
        *([("", f"and {len(jobs) - MOST_FOLDERS} more")] if len(jobs) > MOST_FOLDERS else []),
    ]
    count = len(ranking.configurations)
    of = "the only configuration" if count == 1 else f"best of {count} configurations"
    lines = [
        textwrap.fill(f"{of}, by the {words.CHOICE}", page_width()),
        "",
        f"  {words.assignment(winner)}",
        table((), rows, indent="  "),
        "",
        *(textwrap.fill(line, page_width()) for line in (f"{verdict.headline} {verdict.detail}", *ranking.cautions)),
        "",
        f"  {command(winner)}",
        *(["", textwrap.fill(line, page_width())] if (line := remark(ranking.command)) else []),
    ]
    return "\n".join(lines)
