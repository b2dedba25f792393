"""What holds for every task in conf/task, before any data is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from snnrun.task import CIFAR100, EMNIST, SHD, Digits, FashionMNIST, MovingBars, SpokenTones, Task
from support.catalogued import part
from support.paths import CONF
from support.refusals import refuses

FILES = sorted((CONF / "task").glob("*.yaml"))


def build(file: Path) -> Task:
    task = part("task", file.stem)
    assert isinstance(task, Task)
    return task


def test_the_tasks_are_found() -> None:
    assert {file.stem for file in FILES} >= {"zeros", "digits", "mnist5k", "mnist", "fashion_mnist", "kmnist"}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_task_states_its_facts_before_it_loads(file: Path) -> None:
    task = build(file)
    assert task.input_shape and all(isinstance(n, int) and n > 0 for n in task.input_shape)
    assert task.num_outputs > 0
    assert isinstance(task.has_time, bool) and isinstance(task.has_accuracy, bool)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_label_has_a_name(file: Path) -> None:
    task = build(file)
    names = task.class_names()
    assert len(names) == len(set(names)) == (task.num_outputs if task.has_accuracy else 0)
    assert all(isinstance(name, str) and name.strip() == name != "" for name in names)


@pytest.mark.parametrize(
    ("task", "some_names"),
    [
        (Digits(), {0: "0", 9: "9"}),
        (FashionMNIST(), {0: "T-shirt/top", 9: "ankle boot"}),
        (EMNIST(split="letters"), {0: "A", 25: "Z"}),
        (EMNIST(split="balanced"), {9: "9", 10: "A", 36: "a", 38: "d", 46: "t"}),
        (EMNIST(split="byclass"), {35: "Z", 36: "a", 61: "z"}),
        (EMNIST(split="mnist"), {3: "3"}),
        (CIFAR100(), {0: "apple", 99: "worm"}),
        (CIFAR100(labels="coarse"), {0: "aquatic_mammals", 19: "vehicles_2"}),
        (MovingBars(), {0: "right", 1: "down", 2: "left", 3: "up"}),
        (MovingBars(directions=8), {0: "right", 1: "right down", 4: "left", 7: "right up"}),
        (SpokenTones(), {0: "word 0", 10: "word 0 backwards"}),
        (SHD(), {0: "zero", 10: "null", 19: "neun"}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_names_of_classes(task: Task, some_names: dict[int, str]) -> None:
    names = task.class_names()
    assert {label: names[label] for label in some_names} == some_names


@pytest.mark.parametrize("classes", [("a",), ("a", "b", "b"), ("a", "b", "c", "d"), (1, 2, 3), "abcd"])
def test_names_that_are_not_those_of_the_labels(classes: Any) -> None:
    task = MovingBars()
    task.num_outputs, task.classes = 3, classes
    with refuses("classes", tuple(classes), "3 different names"):
        task.class_names()


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_config_shows_every_option_at_its_default(file: Path) -> None:
    task = build(file)
    # Zeros has the run's own size of a batch, which is not that of its class.
    shown, plain = ({**vars(each), "batch_size": 1} for each in (task, type(task)()))
    arrays = [key for key, value in plain.items() if isinstance(value, np.ndarray)]
    assert all(np.array_equal(shown.pop(key), plain.pop(key)) for key in arrays)
    assert shown == plain


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_config_begins_with_what_the_task_is(file: Path) -> None:
    lines = [line for line in file.read_text().splitlines() if not line.startswith("# @package")]
    assert lines[0].startswith("# ") and lines[0].endswith(".")
