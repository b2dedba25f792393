"""The whole job: training a network, snnrun and its peers epoch by epoch in turn, and whether all learn equally well.

``python -m benchmarks.job [--quick] [--epochs N] [--seeds N] [--output FILE]``
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Protocol

import torch

from benchmarks import command, peers
from benchmarks.device import synchronize
from benchmarks.ours import Ours, batches, configs, load
from benchmarks.peers.network import Network
from benchmarks.products import Products
from benchmarks.setting import Job
from snnrun.task import Data
from snnrun.training.streams import Streams

OURS, OURS_BF16 = "snnrun", "snnrun, bf16"
FLOOR, FLOOR_BF16 = "matrix products", "matrix products, bf16"
INPUTS = ("constant", "rate")
QUICK = {"hidden": 16, "images": 64, "batch": 32, "epochs": 1, "seeds": (0,), "steps": 4}

Configs = dict[str, dict[str, Any]]  # by precision


class Contender(Protocol):
    """Someone who can do the job's work of an epoch."""

    def epoch(self) -> float:
        """Seconds."""


class Trained:
    """A peer's network, trained as its users do: loss, gradient, optimizer, and the loss noted."""

    def __init__(self, network: Network, data: Data, seed: int) -> None:
        self.network, self.data = network, data
        self._optimizer = network.optimizer()
        self._order = Streams(seed, torch.device("cpu")).order  # the order that snnrun's trainer draws
        self.losses: list[float] = []

    def epoch(self) -> float:
        synchronize(self.network.job.device)
        begin = time.perf_counter()
        for x, target in batches(self.data.train, self.network.job, self._order):
            loss = self.network.loss(self.network(x), target)
            self._optimizer.zero_grad()
            loss.backward()
            self._optimizer.step()
            self.losses.append(loss.item())  # waits for the device, too
        return time.perf_counter() - begin

    def accuracy(self) -> float:
        """Share of the test part that is right."""
        part = self.data.test
        right = sum(int(torch.eq(self.network.predict(x), y).sum()) for x, y in batches(part, self.network.job))
        return right / len(part)


def measure(job: Job, data: Data, folder: Path) -> dict[str, Any]:
    """Seconds of every epoch, test accuracy of every seed, and the first loss, of every contender."""
    composed, found = configs(job), dict[str, dict[str, Any]]()
    for number, seed in enumerate(job.seeds):
        contenders = assemble(job, composed, seed, data, folder)
        if number == 0:
            for contender in contenders.values():  # compiles, and warms up
                contender.epoch()
            contenders = assemble(job, composed, seed, data, folder)
        seconds: dict[str, list[float]] = {name: [] for name in contenders}
        for _ in range(job.epochs):
            for name, contender in contenders.items():
                seconds[name].append(contender.epoch())
        for name, contender in contenders.items():
            entry = found.setdefault(name, {"seconds": [], "accuracy": [], "first_loss": None, "last_loss": None})
            entry["seconds"] += seconds[name]
            if isinstance(contender, (Ours, Trained)):
                entry["accuracy"].append(contender.accuracy())
                entry["first_loss"], entry["last_loss"] = contender.losses[0], contender.losses[-1]
        command.say(
            f"job, {job.input} input, seed {seed}: "
            + ", ".join(f"{name} {job.images / min(times):,.0f}/s" for name, times in seconds.items())
        )
    return {"job": asdict(job), "contenders": found, "account": account(job, composed, data, folder)}


def assemble(job: Job, composed: Configs, seed: int, data: Data, folder: Path) -> dict[str, Contender]:
    """Everyone at the start, with the same weights and data."""
    ours = Ours(job, composed["fp32"], seed, data, _new(folder))
    contenders: dict[str, Contender] = {OURS: ours, OURS_BF16: Ours(job, composed["bf16"], seed, data, _new(folder))}
    for name, peer, tuned in peers.named(peers.available(job.device)):
        torch.manual_seed(seed)
        network = peer.network(job, ours.weights(), tuned)
        if network is not None:
            contenders[name] = Trained(network.to(job.device), data, seed)
    return {**contenders, FLOOR: Products(job, torch.float32), FLOOR_BF16: Products(job, torch.bfloat16)}


def account(job: Job, composed: Configs, data: Data, folder: Path) -> dict[str, dict[str, float]]:
    """The share of each part in the time of snnrun's step."""
    shares: dict[str, dict[str, float]] = {}
    if job.device != "cpu":  # where the parts of a step overlap
        return shares
    for name, precision in ((OURS, "fp32"), (OURS_BF16, "bf16")):
        for _ in range(2):  # the first time warms up
            ours = Ours(replace(job, epochs=1), composed[precision], 0, data, _new(folder), account=True)
            ours.epoch()
        shares[name] = ours.account()
    return shares


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """The part ``job`` of the output: one entry for each kind of input."""
    jobs = [Job(kind, **QUICK) if arguments.quick else Job(kind) for kind in INPUTS]  # type: ignore[arg-type]
    jobs = [replace(job, device=arguments.device or "cpu") for job in jobs]
    if arguments.epochs is not None:
        jobs = [replace(job, epochs=arguments.epochs) for job in jobs]
    if arguments.seeds is not None:
        jobs = [replace(job, seeds=tuple(range(arguments.seeds))) for job in jobs]
    with tempfile.TemporaryDirectory() as folder:
        data = load(jobs[0].images, jobs[0].device)
        return {"job": [measure(job, data, Path(folder)) for job in jobs]}


def _new(folder: Path) -> Path:
    return Path(tempfile.mkdtemp(dir=folder))


if __name__ == "__main__":
    sys.exit(command.main(__doc__, run))
