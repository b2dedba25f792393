"""The commands of README and CONTRIBUTING in full, each as a shell would run it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import snnrun
from snnrun.config.catalogue import Catalogue, conf_folder
from support import forked
from support.pages import (
    CONTRIBUTING,
    commands,
    elsewhere,
    looks,
    make_clone,
    possible,
    trains,
)

_TASKS = (
    "mnist", "fashion_mnist", "kmnist", "cifar10", "nmnist", "dvs_gesture", "cifar10_dvs", "shd", "ssc", "ecg_qtdb",
    "sequential_mnist", "permuted_mnist",
    "fsdd", "ucr",
)  # fmt: skip
DOWNLOADS = {f"task={name}" for name in _TASKS}


def needs_download(words: tuple[str, ...]) -> bool:
    """Commands that need data which a clone does not have, and in part no download."""
    names = [word.partition("=")[2] for word in words if word.startswith("experiment=")]
    files = [Catalogue().groups["experiment"][name] for each in names for name in each.split(",")]
    tasks = {f"task={task}" for file in files for task in re.findall(r"override /task: (\w+)", file.read_text())}
    return bool(DOWNLOADS & {*words, *tasks})


COMMANDS = commands()
RUNNING = [words for words in COMMANDS if (trains(words) and not elsewhere(words)) or looks(words)]


@pytest.fixture(scope="session")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clone(tmp_path_factory.mktemp("clone"))


def snnrun_in(folder: Path, *words: str) -> str:
    """The real command, in a process of its own; returns what it printed."""
    # One thread: as fast for runs this small, and no fight for the cores of a busy machine.
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "snnrun", *words]
    process = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
    return process.stdout


SMALL = ("neuron=constant_leak", "task=digits", "epochs=1", "num_steps=5", "model.hidden=[20]")


def result(run: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((run / "result.json").read_text())
    return content


@pytest.mark.parametrize("words", [words for words in RUNNING if not needs_download(words)], ids=" ".join)
def test_a_command_in_full(words: tuple[str, ...], clone: Path) -> None:
    before = set(clone.rglob("result.json"))
    outcome = forked.snnrun(*possible(words), cwd=clone)
    assert outcome.code == 0, outcome.err
    new = set(clone.rglob("result.json")) - before
    assert new
    assert {json.loads(path.read_text())["status"] for path in new} == {"finished"}


def test_a_neuron_in_the_repository(clone: Path, tmp_path: Path) -> None:
    """The same two files, in a copy of the sources."""
    package = Path(snnrun.__file__).parent
    for source, target in ((package, tmp_path / "snnrun"), (conf_folder(), tmp_path / "conf")):
        for path in [*source.rglob("*.py"), *source.rglob("*.yaml")]:
            if source is not package or not path.is_relative_to(package / "conf"):
                copy = target / path.relative_to(source)
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.write_bytes(path.read_bytes())
    config = (clone / "my_parts" / "neuron" / "constant_leak.yaml").read_text(encoding="utf-8")
    match = re.search(r"`(snnrun\.neuron\.constant_leak\.\w+)`", CONTRIBUTING)
    assert match
    config = re.sub(r"^_target_: .*$", f"_target_: {match[1]}", config, flags=re.M)
    (tmp_path / "conf" / "neuron" / "constant_leak.yaml").write_text(config, encoding="utf-8")
    (tmp_path / "snnrun" / "neuron" / "constant_leak.py").write_bytes(
        (clone / "my_parts" / "constant_leak.py").read_bytes()
    )
    # The reference execution, since the copy has no compiled kernels yet.
    snnrun_in(tmp_path, *SMALL, "hydra.run.dir=run", "backend=reference", "report.figures=false")
    assert result(tmp_path / "run")["status"] == "finished"
    assert f"_target_: {match[1]}" in (tmp_path / "run" / "config.yaml").read_text()
    assert "constant_leak" in snnrun_in(tmp_path, "list", "neuron")
