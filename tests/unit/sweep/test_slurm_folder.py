"""submitit's files are pickles, named by the numbers of jobs: none that a stranger left in a sweep is opened."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import pytest

from snnrun.errors import StorageError
from snnrun.sweep.job import JobTask

submitit = pytest.importorskip("submitit")

pytestmark = pytest.mark.skipif(os.name != "posix", reason="links and modes")


class Payload:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def folder_of(sweep: Path) -> Path:
    """Where submitit would keep the files of a launch."""
    from snnrun.sweep.slurm import Slurm

    task = JobTask(0, "job 0", (), sweep, sweep / "0", (), (), None, False, sweep, 1, False, {})
    return Path(Slurm("local", {}).executor([task]).folder)


def result(folder: Path) -> None:
    """What submitit says of job 7 there; it waits for a file, if there is none."""
    job = submitit.local.local.LocalJob(folder=folder, job_id="7", tasks=[0])
    if job.paths.result_pickle.exists():
        job.result()


def test_what_was_planted_is_not_opened(tmp_path: Path) -> None:
    sweep, canary = tmp_path / "sweep", tmp_path / "canary"
    strangers_folder = sweep / "slurm"
    strangers_folder.mkdir(parents=True)
    (strangers_folder / "7_0_result.pkl").write_bytes(pickle.dumps(("success", Payload(canary))))
    first, second = folder_of(sweep), folder_of(sweep)
    assert first != second
    for folder in (first, second):
        assert folder.parent == strangers_folder
        assert folder.stat().st_mode & 0o077 == 0, "closed to others"
        result(folder)
    assert not canary.exists()
    result(strangers_folder)
    assert canary.exists(), "this is how the test knows that submitit opens such a file"


def test_its_folder_is_no_link(tmp_path: Path) -> None:
    sweep, elsewhere = tmp_path / "sweep", tmp_path / "elsewhere"
    for folder in (sweep, elsewhere):
        folder.mkdir()
    (sweep / "slurm").symlink_to(elsewhere)
    with pytest.raises(StorageError):
        folder_of(sweep)
    assert not list(elsewhere.iterdir())
