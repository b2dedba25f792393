"""The manifest, inside a git repository and outside, and on a machine that tells nothing."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import subprocess
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from snnrun.report import manifest
from snnrun.report.manifest import differences, git_state


@pytest.fixture(autouse=True)
def own_git(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No repository and no configuration but the test's own (a commit hook sets GIT_DIR)."""
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)


def make(**changes: Any) -> dict[str, Any]:
    options: dict[str, Any] = {"device": "cpu", "backend": "fused", "data_hashes": {"digits": "ab12"}, **changes}
    settings = {"seed": 3, "precision": "bf16", "deterministic": True, "epochs": 9}
    return manifest(settings, ["snnrun", "seed=3"], **options)


def repository(folder: Path) -> str:
    def git(*words: str) -> str:
        identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        process = subprocess.run(["git", *identity, *words], cwd=folder, capture_output=True, text=True, check=True)
        return process.stdout.strip()

    git("init", "-q")
    (folder / "file").write_text("1")
    git("add", "file")
    git("commit", "-q", "-m", "first")
    return git("rev-parse", "HEAD")


def test_it_is_strict_json_and_holds_what_a_repetition_needs(tmp_path: Path) -> None:
    start = datetime(2024, 1, 2, 3, 4, 5, tzinfo=timezone(timedelta(hours=2)))
    manifest = make(started=start, threads=7, folder=tmp_path)
    assert json.loads(json.dumps(manifest, allow_nan=False)) == manifest
    assert manifest["command"] == ["snnrun", "seed=3"]
    assert manifest["started"] == "2024-01-02T01:04:05+00:00"
    assert (manifest["seed"], manifest["precision"], manifest["deterministic"]) == (3, "bf16", True)
    assert (manifest["device"], manifest["backend"], manifest["threads"]) == ("cpu", "fused", 7)
    assert manifest["data"] == {"digits": "ab12"}
    assert manifest["packages"]["torch"] == torch.__version__.partition("+")[0] or "+" in manifest["packages"]["torch"]
    assert list(manifest["packages"]) == sorted(manifest["packages"], key=str.lower)
    names = {each.metadata["Name"]: each.version for each in reversed(list(importlib.metadata.distributions()))}
    assert manifest["packages"] == {name: version for name, version in names.items() if name}
    assert manifest["python"]["version"] == platform.python_version()
    assert manifest["cpu"]["count"] >= 1 and manifest["cpu"]["model"]
    assert manifest["gpu"] is None


def test_the_way_to_the_working_directory_is_noted_if_it_lies_above(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = tmp_path / "home" / "outputs" / "run"
    record.mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "home")
    assert make(record=record)["directory"] == "../.."
    assert make(record=Path("outputs"))["directory"] == ".."
    assert make(record=Path("."))["directory"] == "."
    # Elsewhere it would say where on the machine things are.
    (tmp_path / "linked").symlink_to(record)
    assert make(record=tmp_path / "linked")["directory"] == "../.."
    assert make(record=tmp_path)["directory"] is None
    assert make()["directory"] is None


def test_defaults_are_now_and_as_set() -> None:
    before = datetime.now(timezone.utc).replace(microsecond=0)
    manifest = make()
    assert before <= datetime.fromisoformat(manifest["started"]) <= datetime.now(timezone.utc)
    assert manifest["threads"] == torch.get_num_threads()


def test_git_commit_and_whether_dirty(tmp_path: Path) -> None:
    commit = repository(tmp_path)
    assert git_state(tmp_path) == {"commit": commit, "dirty": False, "untracked": False}
    (tmp_path / "outputs").write_text("of a run")
    assert git_state(tmp_path) == {"commit": commit, "dirty": False, "untracked": True}
    (tmp_path / "file").write_text("2")
    assert git_state(tmp_path) == {"commit": commit, "dirty": True, "untracked": True}


def test_without_a_repository_a_commit_or_git_it_is_null(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert make(folder=tmp_path)["git"] is None
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    assert make(folder=tmp_path)["git"] is None
    repository(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert make(folder=tmp_path)["git"] is None
    assert make(folder=tmp_path / "absent")["git"] is None
    assert capfd.readouterr() == ("", "")


def test_a_git_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def hang(command: list[str], **options: Any) -> None:
        raise subprocess.TimeoutExpired(command, options["timeout"])

    monkeypatch.setattr(subprocess, "run", hang)
    assert make(folder=tmp_path)["git"] is None


def test_a_machine_without_facts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(*_: Any, **__: Any) -> str:
        raise OSError

    monkeypatch.setattr(Path, "read_text", refuse)
    monkeypatch.setattr(os, "sysconf", refuse)
    monkeypatch.setattr(platform, "processor", lambda: "")
    monkeypatch.setattr(platform, "machine", lambda: "")
    monkeypatch.setattr(platform, "system", lambda: "")
    manifest = make(folder=tmp_path)
    assert manifest["memory_bytes"] is None and manifest["cpu"]["model"] is None


def test_a_gpu_that_is_not_there_is_null(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def absent(device: torch.device) -> None:
        raise AssertionError("Torch not compiled with CUDA enabled")

    monkeypatch.setattr(torch.cuda, "get_device_properties", absent)
    assert make(device="cuda", folder=tmp_path)["gpu"] is None


@pytest.mark.parametrize(
    ("visible", "device", "expected"),
    [
        (None, "cuda:1", "1"),
        ("", "cuda", "0"),
        ("5", "cuda:0", "5"),
        ("2, GPU-7", "cuda:1", "GPU-7"),
        ("2", "cuda:1", "1"),
    ],
)
def test_a_gpu_has_its_name_in_the_environment(
    visible: str | None, device: str, expected: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if visible is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    properties = SimpleNamespace(name="a GPU", total_memory=1, major=9, minor=0)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: properties)
    one = make(device=device, folder=tmp_path, data_place="cuda:0")
    assert one["gpu"]["id"] == expected
    assert one["data_place"] == "cuda:0"
    assert "data_place" not in make(folder=tmp_path)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "9,9")
    assert "gpu.id" not in differences(one, make(device=device, folder=tmp_path))


def test_the_host_name_is_not_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = platform.uname()
    monkeypatch.setattr(platform, "uname", lambda: real._replace(node="secret-host-name"))
    assert "secret-host-name" not in json.dumps(make(folder=tmp_path))
