"""Small trainings for the tests: composed configs, a few batches of a task, and sets in MNIST's file format."""

from __future__ import annotations

import copy
import functools
import gzip
import itertools
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf
from torch import Generator, Tensor, nn

from snnrun.config.catalogue import Catalogue
from snnrun.config.settings import Settings
from snnrun.job.compose import composer
from snnrun.job.parts import Parts, parts_of
from snnrun.run.build import build_model, build_state, load_data
from snnrun.task import Batch, Data, Part
from snnrun.training.loop import fit
from snnrun.training.records import LogRecord
from snnrun.training.state import TrainingState
from snnrun.training.streams import Streams

CPU = torch.device("cpu")


@functools.cache
def _hydra_config(overrides: tuple[str, ...]) -> DictConfig:
    with composer(Catalogue()) as hydra:
        return hydra.compose(overrides)


@functools.cache
def _plain(overrides: tuple[str, ...], resolve: bool) -> Any:
    return OmegaConf.to_container(_hydra_config(overrides), resolve=resolve)


def config_for(*overrides: str, resolve: bool = True) -> dict[str, Any]:
    """The composed config as plain data, to be changed at will."""
    return copy.deepcopy(_plain(overrides, resolve))


@dataclass(frozen=True)
class Few:
    """The first ``count`` batches of each pass over a part."""

    part: Part
    count: int

    @property
    def stream(self) -> Generator | None:
        return self.part.stream

    def __len__(self) -> int:
        return len(self.part)

    def batches(self, batch_size: int, generator: Generator | None = None) -> Iterator[Batch]:
        yield from itertools.islice(self.part.batches(batch_size, generator), self.count)


@dataclass(frozen=True)
class BatchList:
    """A part that hands out these batches, in this order."""

    items: list[Batch]
    stream: None = None

    def __len__(self) -> int:
        return sum(batch.x.shape[1] for batch in self.items)

    def batches(self, batch_size: int, generator: Generator | None = None) -> Iterator[Batch]:
        yield from self.items


def images(*sizes: int, seed: int = 0) -> BatchList:
    """Batches of random images of digits' shape, of these sizes."""
    generator = torch.Generator().manual_seed(seed)
    return BatchList(
        [
            Batch(torch.rand(1, size, 1, 8, 8, generator=generator), torch.randint(0, 4, (size,), generator=generator))
            for size in sizes
        ]
    )


def few(data: Data, count: int) -> Data:
    """The same data with passes of at most ``count`` batches."""
    train, validation, test = (Few(part, count) for part in (data.train, data.validation, data.test))
    return Data(train, validation, test, data.hashes)


@dataclass(frozen=True)
class Training:
    """All that ``fit`` takes, made from a config as a run makes it."""

    settings: Settings
    parts: Parts
    streams: Streams
    data: Data
    model: nn.Module

    def state(self) -> TrainingState:
        """The model and the streams as they are, with an optimizer and a scheduler that are new."""
        return build_state(self.model, self.parts, self.settings, self.streams, self.data)

    def fit(self, state: TrainingState | None = None, **options: Any) -> list[LogRecord]:
        """The records of a training, from ``state`` on; default: a new one."""
        return list(self.records(self.state() if state is None else state, **options))

    def records(self, state: TrainingState, **options: Any) -> Iterator[LogRecord]:
        """The same one by one; ``options`` as ``snnrun.training.loop.fit`` takes them."""
        return fit(state, self.data, self.parts.encoder, self.parts.loss, self.settings, **options)


def training(*overrides: str, batches: int = 2, data_dir: Path = Path("nowhere")) -> Training:
    """A training of ``batches`` batches an epoch."""
    return training_of(config_for(*overrides), batches=batches, data_dir=data_dir)


def training_of(config: Mapping[str, Any], *, batches: int = 2, data_dir: Path = Path("nowhere")) -> Training:
    """The same from a resolved config."""
    settings, parts = Settings.from_config(config), parts_of(config)
    streams = Streams(settings.seed, CPU)
    data = few(load_data(parts, replace(settings, data_dir=str(data_dir)), streams, CPU), batches)
    return Training(settings, parts, streams, data, build_model(parts, settings, streams))


def weights(model: nn.Module) -> dict[str, Tensor]:
    """A copy of the model's state."""
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    """Whether two states agree bit for bit."""
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def write_mnist(folder: Path, suffix: str = "", train: int = 200, test: int = 50) -> None:
    """Four IDX files with images of 28x28 pixels in which a bright block tells the class; ``suffix`` may be ``.gz``."""
    folder.mkdir(parents=True, exist_ok=True)
    generator = torch.Generator().manual_seed(0)
    for part, count in (("train", train), ("t10k", test)):
        labels = (torch.arange(count) % 10).to(torch.uint8)
        images = torch.randint(0, 40, (count, 28, 28), generator=generator, dtype=torch.uint8)
        for image, label in zip(images, labels.tolist(), strict=True):
            row, column = 14 * (label // 5), 5 * (label % 5)
            image[row : row + 12, column : column + 5] = 255
        for kind, array in (("images-idx3", images), ("labels-idx1", labels)):
            header = bytes([0, 0, 8, array.dim()]) + struct.pack(f">{array.dim()}I", *array.shape)
            content = header + array.numpy().tobytes()
            path = folder / f"{part}-{kind}-ubyte{suffix}"
            path.write_bytes(gzip.compress(content) if suffix == ".gz" else content)
