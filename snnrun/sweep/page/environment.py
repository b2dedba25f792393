"""What the manifests of several runs have in common, and in what they differ."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from snnrun.sweep.page.gather import Job
from snnrun.system.safe_read import printable, shown

# Of each run its own, or told elsewhere.
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
MOST_JOBS = 12  # named in a row


class Differing(NamedTuple):
    """One key of the manifest that is not the same in all runs."""

    key: str
    values: tuple[tuple[str, str], ...]  # the value, and the numbers of the jobs that have it


class Environment(NamedTuple):
    """What to tell of the machines and versions."""

    common: tuple[tuple[str, str], ...]
    differing: tuple[Differing, ...]
    told: int  # runs that have a manifest


def environment(jobs: Sequence[Job]) -> Environment:
    """Compare the manifests; keys of which all runs have the same value are told where they matter."""
    told = [job for job in jobs if job.manifest]
    keys = dict.fromkeys(key for job in told for key in job.manifest if key.partition(".")[0] not in OWN)
    common: list[tuple[str, str]] = []
    differing = []
    for key in sorted(keys, key=lambda key: (list(TITLES).index(key) if key in TITLES else len(TITLES), key)):
        values: dict[str, list[int]] = {}
        for job in told:
            value = shown(job.manifest[key]) if key in job.manifest else "(missing)"
            values.setdefault(value, []).append(job.number)
        title = TITLES.get(key) or printable(key, 60)
        if len(values) > 1:
            order = sorted(values.items(), key=lambda item: -len(item[1]))[:8]
            differing.append(Differing(title, tuple((value, _numbers(numbers)) for value, numbers in order)))
        elif (key in TITLES or key.startswith("data.")) and next(iter(values)) != "null":
            common.append((title, next(iter(values))))
    return Environment(tuple(common[:MOST]), tuple(differing[:MOST]), len(told))


def _numbers(numbers: Sequence[int]) -> str:
    named = ", ".join(map(str, numbers[:MOST_JOBS]))
    jobs = "job" if len(numbers) == 1 else "jobs"
    return f"{jobs} {named}" + (f" and {len(numbers) - MOST_JOBS} more" if len(numbers) > MOST_JOBS else "")
