"""snnrun's side: the job as the command runs it, its parts composed from ``conf/`` and trained by ``fit``.

Nothing of a run is left out: the record in a folder, a line of metrics for every step, a progress bar on a terminal.
"""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.account import Account
from benchmarks.setting import Job, Weights
from snnrun.config.catalogue import Catalogue
from snnrun.config.settings import Settings
from snnrun.job.compose import composer, plain
from snnrun.job.parts import parts_of
from snnrun.report import Console
from snnrun.run.build import build_model, build_state
from snnrun.run.run_folder import RunFolder
from snnrun.system.machine import keep_freed_memory
from snnrun.task import Data, MNIST5k, Part
from snnrun.task.images import ImagePart
from snnrun.training.loop import evaluate, fit
from snnrun.training.records import EpochRecord, StepRecord
from snnrun.training.runtime import runtime
from snnrun.training.streams import Streams

# Nearly all of the 5,000 images are for training and test.
VALIDATION, TEST = 0.002, 0.1788
ENCODERS = {"constant": "direct", "rate": "rate"}


def configs(job: Job) -> dict[str, dict[str, Any]]:
    """The job's config as the command composes it, for each precision."""
    with composer(Catalogue()) as hydra:
        return {precision: plain(hydra.compose(overrides(job, precision))) for precision in ("fp32", "bf16")}


def overrides(job: Job, precision: str) -> list[str]:
    """The words after ``snnrun`` for the job, but for the seed."""
    return [
        "task=mnist5k",
        f"task.validation={VALIDATION}",
        f"task.test={TEST}",
        f"model.hidden=[{job.hidden}]",
        "convention=snntorch",
        f"neuron.beta={job.beta}",
        f"encoder={ENCODERS[job.input]}",
        "loss=ce_membrane",
        "loss.over_time=every_step",
        "optimizer=adam",
        f"optimizer.lr={job.lr}",
        f"num_steps={job.steps}",
        f"batch_size={job.batch}",
        f"epochs={job.epochs}",
        f"precision={precision}",
        f"device={job.device}",
    ]


class Screen(io.StringIO):
    """A terminal that nobody looks at, so that there is a progress bar."""

    def isatty(self) -> bool:
        return True


class Ours:
    """The job, trained epoch by epoch.

    Args:
        config: one of :func:`configs`.
        data: from :func:`load`; everyone may share it.
        folder: for the run's record; empty.
        account: split the time of each step into its parts.
    """

    def __init__(
        self, job: Job, config: dict[str, Any], seed: int, data: Data, folder: Path, *, account: bool = False
    ) -> None:
        keep_freed_memory()  # as the command does; the peers, in this process, have it as well
        config = {**config, "seed": seed}
        self.job, self.parts, self.settings = job, parts_of(config), Settings.from_config(config)
        self.streams, self.data = Streams(seed, torch.device(job.device)), data
        self.model = build_model(self.parts, self.settings, self.streams).to(job.device)
        parts, settings = self.parts, self.settings
        state = build_state(self.model, parts, settings, self.streams, data)
        self._account = Account(self.model, state.optimizer) if account else None
        train = self._account.watch(self.data) if self._account else self.data
        self._folder, self._config = folder, config
        self._records = fit(state, train, parts.encoder, parts.loss, settings)
        self.losses: list[float] = []

    def weights(self) -> Weights:
        """A copy of the weights, for the peers; the initial ones before the first epoch."""
        linear = [module for module in self.model.modules() if isinstance(module, nn.Linear)]
        return [(each.weight.detach().clone(), each.bias.detach().clone()) for each in linear]

    def epoch(self) -> float:
        """Train for an epoch; seconds, those for the record included, those for validation and checkpoints not."""
        seconds = 0.0
        # A console for each epoch: its progress bar must not run on while it is the peers' turn.
        with runtime(self.settings), Console(stream=Screen()) as console:
            record = RunFolder(self._folder, self._config, console)
            console.start(self.job.epochs, -(-len(self.data.train) // self.job.batch), len(self.losses))
            while True:
                begin = time.perf_counter()
                if self._account:
                    self._account.start()
                entry = next(self._records)
                record.add(entry, self.model)
                if isinstance(entry, EpochRecord):
                    return seconds
                if self._account:
                    self._account.mark("records")
                seconds += time.perf_counter() - begin
                if isinstance(entry, StepRecord):
                    self.losses.append(entry.loss)

    def accuracy(self) -> float | None:
        """On the test part."""
        with runtime(self.settings):
            scores = evaluate(
                self.model, self.data.test, self.parts.encoder, self.parts.loss, self.streams, self.settings
            )
        return scores.accuracy

    def account(self) -> dict[str, float]:
        """Share of each part in the time of the steps so far."""
        assert self._account is not None
        return self._account.shares()


def load(images: int, device: str = "cpu") -> Data:
    """The digits on ``device``, with exactly ``images`` of them to train on."""
    task = MNIST5k(validation=VALIDATION, test=TEST)
    data = task.load(Path("data"), 1, torch.device(device), torch.Generator())
    train = data.train
    assert isinstance(train, ImagePart)
    # Parts are in the order of the set, which goes class by class; a seeded choice keeps all classes.
    chosen = torch.randperm(len(train), generator=torch.Generator().manual_seed(0))[:images].to(train.indices.device)
    return data._replace(train=ImagePart(train.images, train.labels, train.indices[chosen], train.white))


def batches(part: Part, job: Job, order: torch.Generator | None = None) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches for a peer, ``x [B, 784]`` and ``target [B]``, in the order that snnrun's trainer has with ``order``."""
    for batch in part.batches(job.batch, order):
        assert batch.target is not None
        yield batch.x.squeeze(0).flatten(1), batch.target
