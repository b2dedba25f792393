"""Trainings by one process and by several, side by side; a program for torchrun, so that many share one start.

Arguments: a file with the jobs, as JSON, and one for what came of them. Rank 0 trains each job alone as well.
"""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # where the package `support` is

import torch

from snnrun.errors import SnnrunError
from snnrun.model import ExecutionPlan, Norm, plan_of, set_plan
from snnrun.system import team as teams
from snnrun.system.ranks import Ranks
from snnrun.system.team import Processes, Team
from snnrun.training.loop import evaluate
from support.small import Few, Training, training_of


def training(job: dict[str, Any]) -> Training:
    """A training, with three batches, a number that two processes cannot halve, to validate and test."""
    trainer = training_of(job["config"], batches=job["batches"], data_dir=Path(job["data_dir"]))
    data = trainer.data
    return replace(trainer, data=data._replace(validation=Few(data.validation, 3), test=Few(data.test, 3)))


def train(job: dict[str, Any], team: Team) -> list[dict[str, Any]]:
    """The records of a training; with the scores of its test set in the last."""
    trainer = training(job)
    state = trainer.state()
    set_plan(trainer.model, plan_of(trainer.settings, spikes=trainer.parts.loss.regularises, team=team))
    return [record.to_json() for record in trainer.fit(state, team=team)]


def scores(job: dict[str, Any], team: Team) -> list[Any]:
    """The scores of the weights that a training begins with: they are the same for any number of processes."""
    trainer = training(job)
    parts, classes = trainer.parts, trainer.parts.task.class_names()
    arguments = (trainer.data.test, parts.encoder, parts.loss, trainer.streams, trainer.settings)
    loss, accuracy, r2, confusion = evaluate(trainer.model, *arguments, classes=classes, team=team)
    return [loss, accuracy, r2, confusion and [confusion.counts, confusion.samples]]


def norm_values(samples: int, team: Team) -> list[float]:
    """What a norm makes of a batch, its gradients and running means, in one list; in double precision."""
    generator = torch.Generator().manual_seed(samples)
    whole, pull = (torch.rand((3, samples, 2, 2, 2), generator=generator, dtype=torch.float64) for _ in range(2))
    norm = Norm(2, scale=0.7).double()
    norm.set_plan(ExecutionPlan(team=team if team.size > 1 else None))
    team.split(samples)
    values: list[float] = []
    for x in (whole, whole[:1].expand(whole.shape)):
        own = team.own(x)
        own = own.detach().requires_grad_()
        norm.zero_grad()
        y = team.whole(norm(own), 1)
        (y * pull).sum().backward()
        team.add_gradients(norm.parameters())
        assert own.grad is not None
        gradients = team.whole(own.grad, 1)
        tensors = [y, gradients, norm.running_mean, norm.running_var, *(p.grad for p in norm.parameters())]
        values += [value for tensor in tensors if tensor is not None for value in tensor.detach().flatten().tolist()]
    return values


def silent(ranks: Ranks, team: Processes, board: Any) -> str:
    """What rank 0 says of the last rank, which does not answer."""
    if ranks.rank == ranks.size - 1:
        while not board.check(["over"]):
            time.sleep(0.05)
        return ""
    try:
        with team.diagnose():
            team.reduce_max(1)
    except SnnrunError as error:
        board.set("over", "yes")
        return str(error)
    return ""


def main() -> None:
    jobs, ranks = json.loads(Path(sys.argv[1]).read_text()), Ranks.of(os.environ)
    torch.set_num_threads(1)
    teams.PATIENCE = timedelta(seconds=jobs.get("patience", 300))
    board = teams.connect(ranks)
    results: dict[str, Any] = {"trained": {}, "norm": {}}
    with teams.join(ranks, board, "cpu") as team:
        for name, job in jobs.get("train", {}).items():
            alone = (train(job, Team()), scores(job, Team())) if team.leads else None
            results["trained"][name] = [alone, (train(job, team), scores(job, team))]
        for samples in jobs.get("norm", []):
            results["norm"][samples] = [norm_values(samples, Team()), norm_values(samples, team)]
        if jobs.get("silent"):
            results["silent"] = silent(ranks, team, board)
    if team.leads:
        Path(sys.argv[2]).write_text(json.dumps(results))


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    os._exit(0)  # as the command does: torch.distributed's threads may abort an interpreter that is taken down
