"""What holds for every task in conf/task, before any data is read."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from catalogued import part
from snnrun.task import Task

CONF = Path(__file__).parents[2] / "conf" / "task"
FILES = sorted(CONF.glob("*.yaml"))


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
def test_a_config_shows_every_option_at_its_default(file: Path) -> None:
    task = build(file)
    # Zeros has the run's own size of a batch, which is not that of its class.
    assert {**vars(task), "batch_size": 1} == {**vars(type(task)()), "batch_size": 1}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_config_begins_with_what_the_task_is(file: Path) -> None:
    lines = [line for line in file.read_text().splitlines() if not line.startswith("# @package")]
    assert lines[0].startswith("# ") and lines[0].endswith(".")


def test_importing_the_tasks_imports_none_of_the_data_packages() -> None:
    script = "import sys, snnrun.task; print({'sklearn', 'mlxtend', 'torchvision', 'pandas'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
