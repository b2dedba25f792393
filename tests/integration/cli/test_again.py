"""A run again: where it finds its data, from wherever it is looked at; and one that an earlier version made."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from snnrun.config.fingerprint import KEY, config_hash
from snnrun.run.recorded import _local
from support.command import Command


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "home" / "outputs" / "run"
    folder.mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    return folder


def data_dirs(folder: Path, way: Any, data_dir: Any = "data", **task: Any) -> tuple[Any, Any]:
    (folder / "manifest.json").write_text(json.dumps({"directory": way}))
    config = {"data_dir": data_dir, "task": task}
    local = _local(config, folder)
    assert config == {"data_dir": data_dir, "task": task}, "the config that is recorded stays as it was"
    return local["data_dir"], local["task"].get("data_dir")


def test_a_relative_data_dir_is_where_the_run_was_started(run: Path) -> None:
    assert data_dirs(run, "../..") == ("../home/data", None)
    assert data_dirs(run, "../..", data_dir=".") == ("../home", None)


def test_that_of_the_task_is_the_same_unless_it_was_set(run: Path) -> None:
    for own, expected in (("data", "../home/data"), ("mine", "mine")):
        (run / "manifest.json").write_text('{"directory": "../.."}')
        local = _local({"data_dir": "data", "task": {"data_dir": own}}, run)
        assert (local["data_dir"], local["task"]["data_dir"]) == ("../home/data", expected)


def test_in_the_same_directory_nothing_changes(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(run.parents[1])
    assert data_dirs(run, "../..") == ("data", None)


@pytest.mark.parametrize("data_dir", ["/data", "~/data", 3])
def test_what_is_not_relative_stays(run: Path, data_dir: Any) -> None:
    assert data_dirs(run, "../..", data_dir) == (data_dir, None)


@pytest.mark.parametrize("way", [None, 3, "", "/etc", "../../etc", "x/..", "~"])
def test_a_way_that_leads_anywhere_but_up_is_not_gone(run: Path, way: Any) -> None:
    assert data_dirs(run, way) == ("data", None)


def test_without_a_manifest_nothing_changes(run: Path) -> None:
    config = {"data_dir": "data", "task": None}
    assert _local(config, run) == config


def test_a_run_of_an_earlier_version_is_tested_and_reproduced(command: Command) -> None:
    """Its config lacks keys of later versions, and its result what is said of each class."""
    words = ("epochs=1", "num_steps=5", "threads=1", "report.figures=false", "report.summary=false")
    assert command(*words, "hydra.run.dir=run").code == 0
    run = Path("run")
    config = yaml.safe_load((run / "config.yaml").read_text())
    del config["style"], config["report"]["sample"]
    (run / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    manifest, result = (json.loads((run / name).read_text()) for name in ("manifest.json", "result.json"))
    (run / "manifest.json").write_text(json.dumps({**manifest, KEY: config_hash(config)}))
    earlier = {key: value for key, value in result.items() if key not in ("test_accuracy_by_class", "test_confusion")}
    (run / "result.json").write_text(json.dumps(earlier))
    code, out, err = command("evaluate", "run")
    assert (code, err) == (0, "")
    assert "classes (not recorded)\n  class  samples  accuracy" in out
    code, out, err = command("reproduce", "run")
    assert (code, "match: all " in out) == (0, True), err
    assert "classes" not in command("show", "run").out.split()


def test_evaluate_shows_whether_the_classes_are_those_recorded(command: Command) -> None:
    words = ("epochs=1", "num_steps=5", "threads=1", "report.figures=false", "report.summary=false")
    assert command(*words, "hydra.run.dir=run").code == 0
    assert "classes (the same as recorded)\n" in command("evaluate", "run").out
    path = Path("run/result.json")
    result = json.loads(path.read_text())
    result["test_confusion"][0][0] += 1
    path.write_text(json.dumps(result))
    assert "classes (recorded otherwise)\n" in command("evaluate", "run").out
