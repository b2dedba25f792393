"""A working directory in which nothing may be written, and runs that go elsewhere."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="rights of folders, and how root gives his up")

QUICK = ("epochs=1", "num_steps=3", "model.hidden=[8]", "threads=1", "report.figures=false")
PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH = 24, 1, 2

Snnrun = Callable[..., "subprocess.CompletedProcess[str]"]


def obey_rights() -> None:
    """In a new process: root gives up what lets him write anywhere, so that he is asked as any user is."""
    libc = ctypes.CDLL(None)
    for capability in (CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH) if os.geteuid() == 0 else ():
        if libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0):
            os._exit(99)


@pytest.fixture
def snnrun(tmp_path: Path) -> Iterator[Snnrun]:
    """The command in a folder that is not writable."""
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o555)

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "snnrun", *words]
        return subprocess.run(command, cwd=folder, preexec_fn=obey_rights, capture_output=True, text=True)

    attempt = subprocess.run(["touch", "file"], cwd=folder, preexec_fn=obey_rights, capture_output=True)
    if attempt.returncode in (0, 99):
        pytest.skip("this user may write anywhere")
    yield run
    assert list(folder.iterdir()) == []
    folder.chmod(0o755)


@pytest.mark.parametrize(
    ("words", "results"),
    [
        ((*QUICK, "hydra.run.dir={}/run"), ["run/result.json"]),
        ((*QUICK, "output_dir={}/outputs"), ["outputs/*/*/result.json"]),
        (("-m", *QUICK, "seed=0,1", "hydra.sweep.dir={}/sweep"), ["sweep/0-*/result.json", "sweep/1-*/result.json"]),
        (("-m", *QUICK, "seed=0,1", "output_dir={}/outputs"), ["outputs/multirun/*/*/1-*/result.json"]),
        (("simulate", "num_steps=5", "hydra.run.dir={}/run"), ["run/result.json"]),
    ],
    ids=lambda value: "",
)
def test_a_run_that_goes_elsewhere(snnrun: Snnrun, tmp_path: Path, words: tuple[str, ...], results: list[str]) -> None:
    process = snnrun(*(word.format(tmp_path) for word in words))
    assert process.returncode == 0, process.stderr
    for pattern in results:
        assert len(list(tmp_path.glob(pattern))) == 1


def test_jobs_are_listed(snnrun: Snnrun) -> None:
    assert snnrun("-m", *QUICK, "seed=0,1", "--dry-run").returncode == 0


def test_a_run_that_would_go_there(snnrun: Snnrun, tmp_path: Path) -> None:
    for words in (QUICK, ("-m", *QUICK, "seed=0,1"), (*QUICK, f"hydra.sweep.dir={tmp_path}/sweep")):
        process = snnrun(*words)
        assert process.returncode == 2
        assert "output_dir: " in process.stderr and "got 'outputs'" in process.stderr
        assert "write output_dir=FOLDER" in process.stderr
