"""``name=NAME``: what a run and its folder are called, and how they are found by it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from snnrun.config.fingerprint import config_hash
from snnrun.errors import ConfigError
from snnrun.run import browse
from snnrun.sweep import folders
from support.command import Command, Training
from support.made_up import make_run
from support.small import config_for


@pytest.mark.parametrize("name", ["baseline", "run 2.1_b+c", "学", "x" * 64, "12a", "0"])
def test_a_run_is_named(command: Command, training: Training, name: str) -> None:
    outcome = command(f"name='{name}'")
    assert outcome.code == 0, outcome.err
    (call,) = training.calls
    assert (call["settings"].name, call["config"]["name"]) == (name, name)
    assert call["folder"].name[9:-9] == name


def test_a_run_without_a_name_is_called_after_its_parts(command: Command, training: Training) -> None:
    assert command("neuron=if").code == 0
    assert training.calls[0]["folder"].name[9:-9] == "if-atan-digits"
    assert training.calls[0]["settings"].name is None


def test_the_folder_may_be_named_otherwise(command: Command, training: Training) -> None:
    assert command("name=a", "hydra.run.dir=here").code == 0
    assert (training.calls[0]["folder"].name, training.calls[0]["config"]["name"]) == ("here", "a")


def test_a_sweep_is_named(command: Command, training: Training) -> None:
    assert command("-m", "name=grid", "seed=0,1").code == 0
    assert {call["config"]["name"] for call in training.calls} == {"grid"}
    (sweep,) = {call["folder"].parent for call in training.calls}
    assert sweep.name[9:-9] == "grid"
    outcome = command("-m", "name=a,b")
    assert (outcome.code, "name=a: the name is that of the whole sweep" in outcome.err) == (2, True)


@pytest.mark.parametrize("line", [("simulate", "num_steps=5"), ("plot", "surrogate=atan")], ids=" ".join)
def test_pictures_are_named(command: Command, line: tuple[str, ...]) -> None:
    assert command(*line, "name=look").code == 0
    (folder,) = Path("outputs").glob("*/*")
    assert folder.name[9:-9] == "look"
    assert browse.read(folder).name == "look"


@pytest.mark.parametrize(
    "name",
    [
        "'a/b'",
        "'..'",
        "'.a'",
        "'-a'",
        "'a.'",
        "'a '",
        "''",
        "5",
        "true",
        "[a]",
        "x" * 65,
        "'a\\b'",
        "'a:b'",
        "'学'" * 65,
    ],
)
def test_what_no_folder_can_be_named(command: Command, training: Training, name: str) -> None:
    outcome = command(f"name={name}")
    assert (outcome.code, training.calls) == (2, [])
    assert "name" in outcome.err
    assert not Path("outputs").exists()


def test_a_name_does_not_count_for_what_a_run_is() -> None:
    config = config_for()
    assert config_hash(config) == config_hash({**config, "name": "other"})
    assert config_hash(config) == config_hash({key: value for key, value in config.items() if key != "name"})
    assert config_hash(config) != config_hash({**config, "seed": 1})


def start_on(day: int) -> dict[str, str]:
    return {"started": f"2026-03-{day:02}T12:00:00+00:00"}


@pytest.fixture
def outputs(command: Command) -> Path:
    root = Path("outputs")
    for day, name in ((1, "base"), (3, "base"), (2, "base"), (4, "base-2"), (5, "null"), (6, "lif")):
        make_run(root / f"d/{day}-lif-atan", changes={"name": name}, manifest=start_on(day))
    make_run(root / "d/none", changes={"name": None}, manifest=start_on(9))
    for day, name in ((1, "old"), (2, "grid")):
        for job in (0, 1):
            make_run(root / f"m/{name}{day}/{job}-x", changes={"name": "grid"}, manifest=start_on(day))
        (root / f"m/{name}{day}/sweep.json").write_text(json.dumps({"version": 1, "jobs": []}))
    make_run(root / "m/one/0-x", changes={"name": "one"})
    (root / "m/one/sweep.json").write_text("{}")
    return root


@pytest.mark.parametrize(
    ("word", "folder"),
    [
        ("base", "d/3-lif-atan"),
        ("base-2", "d/4-lif-atan"),
        ("null", "d/5-lif-atan"),
        ("lif", "d/6-lif-atan"),
        ("one", "m/one/0-x"),
    ],
)
def test_the_newest_of_a_name_is_found(outputs: Path, word: str, folder: str) -> None:
    assert browse.resolve(word) == outputs / folder
    Path(word).mkdir()
    assert browse.resolve(word) == outputs / folder, "a folder without runs is not meant"


def test_the_name_of_a_sweep(outputs: Path) -> None:
    assert folders.find("grid") == outputs / "m/grid2"
    assert folders.find("base") == outputs / "d/3-lif-atan"
    with pytest.raises(ConfigError, match="that is the name of a sweep"):
        browse.resolve("grid")


@pytest.mark.parametrize("name", ["\x1b[2J", "a\nb", "../x", "x" * 300])
def test_a_name_that_a_stranger_wrote(outputs: Path, name: str) -> None:
    folder = make_run(outputs / "d/evil", changes={"name": name})
    assert browse.read(folder).name is None


QUICK = ("epochs=2", "num_steps=3", "model.hidden=[8]", "report.figures=false", "threads=1")


def test_a_named_run_is_reproduced_and_goes_on(command: Command) -> None:
    assert command(*QUICK, "name=base").code == 0
    outcome = command("reproduce", "base")
    assert (outcome.code, "match: all" in outcome.out) == (0, True), outcome.err
    (copy,) = Path("outputs").glob("*/*-reproduced-*")
    assert yaml.safe_load((copy / "config.yaml").read_text())["name"] is None
    run = browse.resolve("base")
    assert run != copy
    config = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(config.replace("name: base", "name: other"))
    (run / "result.json").unlink()
    outcome = command("resume", "other")
    assert outcome.code == 0, outcome.err
