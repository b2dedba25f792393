"""Trains a published experiment and tests it: the loop that its source has, without what it prints."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from benchmarks.published.recipe import Recipe
from snnrun.task.images import ImagePart
from snnrun.task.mnist import MNIST, FashionMNIST, IdxTask

TASKS: dict[str, type[IdxTask]] = {task.name: task for task in (MNIST, FashionMNIST)}
TEST_BATCH = 128


class Images(NamedTuple):
    """A whole set: all 60,000 images to train on, as the sources do, and 10,000 to test."""

    train: Tensor  # [n] int64: indices into `part`'s images
    test: Tensor
    part: ImagePart
    hashes: dict[str, str]  # as in a run's manifest

    def batch(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """``x [B, 1, 28, 28]`` in [0, 1] and labels ``[B]``: the values that torchvision's ToTensor gives."""
        return self.part.images[indices].float().div_(self.part.white), self.part.labels[indices]


def load(task: str, data_dir: Path) -> Images:
    """The set as snnrun reads it."""
    data = TASKS[task]().load(data_dir, 1, torch.device("cpu"), torch.Generator())
    train, rest, test = data.train, data.validation, data.test
    assert isinstance(train, ImagePart) and isinstance(rest, ImagePart) and isinstance(test, ImagePart)
    return Images(torch.cat([train.indices, rest.indices]), test.indices, train, data.hashes)


def train(recipe: Recipe, images: Images, epochs: int, updates: int | None) -> dict[str, Any]:
    """Train for so many epochs, or until so many updates were made; tested after every epoch and at the end.

    Returns:
        ``accuracy`` and ``loss`` of the test part at the end, ``updates``, ``seconds_training`` (tests left out), and
        ``curve``: the same after every epoch.
    """
    done, seconds, curve = 0, 0.0, list[dict[str, Any]]()
    while len(curve) < epochs and done != updates:
        begin = time.perf_counter()
        recipe.network.train()
        losses = []
        for indices in _order(images.train, recipe):
            x, target = images.batch(indices)
            loss = recipe.loss(recipe.run(recipe.encode(x)), target)
            recipe.optimizer.zero_grad()
            loss.backward()
            recipe.optimizer.step()
            losses.append(loss.item())
            done += 1
            if done == updates:
                break
        recipe.end_epoch()
        seconds += time.perf_counter() - begin
        accuracy, test_loss = test(recipe, images)
        curve.append(
            {
                "updates": done,
                "train_loss": sum(losses) / len(losses),
                "accuracy": accuracy,
                "loss": test_loss,
                "seconds_training": seconds,
            }
        )
    return {**{key: curve[-1][key] for key in ("accuracy", "loss", "updates", "seconds_training")}, "curve": curve}


@torch.no_grad()
def test(recipe: Recipe, images: Images) -> tuple[float, float]:
    """Share of the test part that is right, and the mean of its loss."""
    recipe.network.eval()
    right, loss = 0, 0.0
    for indices in torch.split(images.test, TEST_BATCH):
        x, target = images.batch(indices)
        output = recipe.run(recipe.encode(x))
        right += int((recipe.predict(output) == target).sum())
        loss += len(indices) * float(recipe.loss(output, target))
    return right / len(images.test), loss / len(images.test)


def _order(indices: Tensor, recipe: Recipe) -> Iterator[Tensor]:
    """The batches of an epoch in an order drawn anew."""
    for batch in torch.split(indices[torch.randperm(len(indices))], recipe.batch_size):
        if len(batch) == recipe.batch_size or not recipe.drop_last:
            yield batch
