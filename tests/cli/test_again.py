"""Where a run that is looked at again finds its data, from wherever it is looked at."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from snnrun.cli.again import _seen


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "home" / "outputs" / "run"
    folder.mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    return folder


def seen(folder: Path, way: Any, data_dir: Any = "data", **task: Any) -> tuple[Any, Any]:
    (folder / "manifest.json").write_text(json.dumps({"directory": way}))
    config = {"data_dir": data_dir, "task": task}
    found = _seen(config, folder)
    assert config == {"data_dir": data_dir, "task": task}, "the config that is recorded stays as it was"
    return found["data_dir"], found["task"].get("data_dir")


def test_a_relative_data_dir_is_where_the_run_was_started(run: Path) -> None:
    assert seen(run, "../..") == ("../home/data", None)
    assert seen(run, "../..", data_dir=".") == ("../home", None)


def test_that_of_the_task_is_the_same_unless_it_was_set(run: Path) -> None:
    for own, expected in (("data", "../home/data"), ("mine", "mine")):
        (run / "manifest.json").write_text('{"directory": "../.."}')
        found = _seen({"data_dir": "data", "task": {"data_dir": own}}, run)
        assert (found["data_dir"], found["task"]["data_dir"]) == ("../home/data", expected)


def test_in_the_same_directory_nothing_changes(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(run.parents[1])
    assert seen(run, "../..") == ("data", None)


@pytest.mark.parametrize("data_dir", ["/data", "~/data", 3])
def test_what_is_not_relative_stays(run: Path, data_dir: Any) -> None:
    assert seen(run, "../..", data_dir) == (data_dir, None)


@pytest.mark.parametrize("way", [None, 3, "", "/etc", "../../etc", "x/..", "~"])
def test_a_way_that_leads_anywhere_but_up_is_not_gone(run: Path, way: Any) -> None:
    assert seen(run, way) == ("data", None)


def test_without_a_manifest_nothing_changes(run: Path) -> None:
    config = {"data_dir": "data", "task": None}
    assert _seen(config, run) == config
