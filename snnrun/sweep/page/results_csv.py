"""``results.csv``: a row for each job of a sweep."""

from __future__ import annotations

import csv
import io
import re

from snnrun.sweep.page.gather import JobSummary
from snnrun.sweep.page.ranking import SEED, Ranking

FIRST = ("number", "folder", "status")
LAST = (
    *("test_accuracy", "test_r2", "test_loss", "validation_accuracy", "validation_r2", "validation_loss"),
    *("best_epoch", "epochs", "spikes_per_inference", "parameters", "seconds", "weights_sha256", "failure"),
)
NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")


def csv_text(ranking: Ranking) -> str:
    """The table, with a head; an unknown value is empty, numbers have all digits.

    A text that a spreadsheet would take for a formula gets an apostrophe in front, since folders may be a stranger's.
    A swept key with the name of another column gets the prefix ``config.``.
    """
    file = io.StringIO(newline="")
    writer = csv.writer(file, lineterminator="\n")
    own = {*FIRST, SEED, *LAST}
    keys = [f"config.{key}" if key in own else key for key in ranking.keys]
    writer.writerow([*FIRST, *map(harmless, keys), SEED, *LAST])
    for job in ranking.sweep.jobs:
        overrides = job.overrides
        writer.writerow(
            [
                job.number,
                harmless(job.name),
                job.status,
                *(harmless(overrides.get(key, "")) for key in ranking.keys),
                "" if job.seed is None else job.seed,
                *("" if value is None else value for value in _figures(job)),
                job.weights_sha256,
                harmless(job.failure),
            ]
        )
    return file.getvalue()


def harmless(text: str) -> str:
    """The text, with an apostrophe in front if a spreadsheet would calculate it."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@") and not NUMBER.fullmatch(text) else text


def _figures(job: JobSummary) -> list[float | int | None]:
    parts = (job.test, job.validation)
    return [
        *(part.get(measure) for part in parts for measure in ("accuracy", "r2", "loss")),
        *(job.best_epoch, job.epochs, job.spikes, job.parameters, job.seconds),
    ]
