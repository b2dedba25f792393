"""``--dry-run``: the jobs of a sweep as a table; nothing is written."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snnrun.job.arguments import Arguments
from snnrun.sweep.job_list import JobEntry
from snnrun.system import say
from snnrun.system.format import table

if TYPE_CHECKING:
    from snnrun.sweep.sweep import Sweep


def show(jobs: Sequence[tuple[JobEntry, dict[str, Any]]], folder: Path, sweep: Sweep) -> None:
    """Print the jobs: number, overrides, trainable parameters, folder."""
    counts: dict[str, str] = {}
    rows = []
    for job, config in jobs:
        # Building a network is the slowest step, and the seed does not change its size.
        key = json.dumps({**config, "seed": 0}, sort_keys=True, default=str)
        if key not in counts:
            counts[key] = f"{_parameters(config, sweep.arguments):,}"
        rows.append([str(job.number + 1), sweep.own_overrides(job.overrides), counts[key], job.folder])
    say.say(table(["job", "overrides", "parameters", "folder"], rows, right=(0, 2)))
    # The name of a new sweep has the time of its start, so only its parent is known.
    say.say(f"{len(jobs)} jobs, in {folder if sweep.arguments.resume else folder.parent}; nothing was started")


def _parameters(config: dict[str, Any], arguments: Arguments) -> int:
    import torch

    from snnrun.config.settings import Settings
    from snnrun.job.parts import parts_of
    from snnrun.run import build
    from snnrun.training.streams import Streams

    settings = Settings.from_config(config)
    streams = Streams(settings.seed, torch.device("cpu"))
    return build.count_parameters(build.build_model(parts_of(config, arguments.trusted), settings, streams))
