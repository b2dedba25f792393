"""``--dry-run``: the jobs of a sweep as a table; nothing is written."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from snnrun.cli import text
from snnrun.cli.arguments import Arguments
from snnrun.cli.sweep.book import Job
from snnrun.cli.sweep.orders import Orders
from snnrun.cli.words import table


def show(jobs: Sequence[tuple[Job, dict[str, Any]]], sweep: Path, orders: Orders) -> None:
    """Say what would be run: number, overrides, trainable parameters, folder."""
    counts: dict[str, str] = {}
    rows = []
    for job, config in jobs:
        # Building a network takes longer than all the rest, and seeds do not change its size.
        key = json.dumps({**config, "seed": 0}, sort_keys=True, default=str)
        if key not in counts:
            counts[key] = f"{_parameters(config, orders.arguments):,}"
        rows.append([str(job.number + 1), orders.typed(job.overrides), counts[key], job.folder])
    text.say(table(["job", "overrides", "parameters", "folder"], rows, right=(0, 2)))
    # The name of a new sweep holds the time at which it starts.
    text.say(f"{len(jobs)} jobs, in {sweep if orders.arguments.resume else sweep.parent}; nothing was started")


def _parameters(config: dict[str, Any], arguments: Arguments) -> int:
    import torch

    from snnrun import experiment
    from snnrun.cli.parts import parts_of
    from snnrun.settings import Settings
    from snnrun.streams import Streams

    settings = Settings.from_config(config)
    streams = Streams(settings.seed, torch.device("cpu"))
    return experiment.count_parameters(experiment.build_model(parts_of(config, arguments.trusted), settings, streams))
