"""Common entries and differences of the manifests of several runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from snnrun.sweep.page.gather import JobSummary
from snnrun.system.safe_read import printable, quote

# Different for every run, or shown elsewhere.
OWN = ("command", "started", "seed", "resumed")
TITLES = {
    "python.version": "Python",
    "packages.snnrun": "snnrun",
    "packages.torch": "torch",
    "packages.numpy": "numpy",
    "platform": "platform",
    "cpu.model": "processor",
    "cpu.count": "processors",
    "gpu.name": "GPU",
    "device": "device",
    "threads": "threads",
    "backend": "backend",
    "precision": "precision",
    "deterministic": "deterministic",
    "git.commit": "git commit",
    "git.dirty": "uncommitted changes",
}
MOST = 60  # rows
MOST_JOBS = 12  # numbers in a row


class ManifestDifference(NamedTuple):
    """A key of the manifest that differs between runs."""

    key: str
    values: tuple[tuple[str, str], ...]  # each value, and the numbers of the jobs with it


class Environment(NamedTuple):
    """Machines and versions of a sweep."""

    common: tuple[tuple[str, str], ...]
    differing: tuple[ManifestDifference, ...]
    runs: int  # number of runs with a manifest


def environment(jobs: Sequence[JobSummary]) -> Environment:
    """Compare the manifests; keys with the same value in all runs are shown if they matter."""
    runs = [job for job in jobs if job.manifest]
    keys = dict.fromkeys(key for job in runs for key in job.manifest if key.partition(".")[0] not in OWN)
    common: list[tuple[str, str]] = []
    differing = []
    for key in sorted(keys, key=lambda key: (list(TITLES).index(key) if key in TITLES else len(TITLES), key)):
        values: dict[str, list[int]] = {}
        for job in runs:
            value = quote(job.manifest[key]) if key in job.manifest else "(missing)"
            values.setdefault(value, []).append(job.number)
        title = TITLES.get(key) or printable(key, 60)
        if len(values) > 1:
            order = sorted(values.items(), key=lambda item: -len(item[1]))[:8]
            differing.append(ManifestDifference(title, tuple((value, _numbers(numbers)) for value, numbers in order)))
        elif (key in TITLES or key.startswith("data.")) and next(iter(values)) != "null":
            common.append((title, next(iter(values))))
    return Environment(tuple(common[:MOST]), tuple(differing[:MOST]), len(runs))


def _numbers(numbers: Sequence[int]) -> str:
    names = ", ".join(map(str, numbers[:MOST_JOBS]))
    jobs = "job" if len(numbers) == 1 else "jobs"
    return f"{jobs} {names}" + (f" and {len(numbers) - MOST_JOBS} more" if len(numbers) > MOST_JOBS else "")
