"""``snnrun evaluate`` with overrides: the tested weights on another test than the recorded one."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from snnrun.cli import evaluation, main
from snnrun.config.fingerprint import config_hash
from snnrun.run import browse, checkpoint
from snnrun.system import safe_read
from support.command import Command, Outcome
from support.made_up import make_run
from support.shell import Run, contents
from support.small import write_mnist

QUIET = ["report.figures=false", "report.summary=false", "report.progress=false"]
WORDS = [*QUIET, "epochs=2", "num_steps=4", "model.hidden=[8]", "batch_size=32", "optimizer.lr=0.02"]


def make_run_in(folder: Path, *words: str) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main([*WORDS, *words, "hydra.run.dir=run"]) == 0
    return folder / "run"


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run_in(tmp_path_factory.mktemp("trained"))


@pytest.fixture
def run(source: Path, command: Command) -> Path:
    """A copy in the working directory, which ``command`` has made."""
    return Path(shutil.copytree(source, "run"))


def rows(outcome: Outcome) -> list[list[str]]:
    """The table that was printed, its head first."""
    lines = outcome.out.splitlines()
    begin = next(i for i, line in enumerate(lines) if "the recorded test" in line)
    return [line for line in map(str.split, lines[begin + 1 :]) if line[-1] in ("loss", "recorded") or "%" in line]


def record(outcome: Outcome) -> tuple[Path, dict[str, Any]]:
    """The folder that was named last, and its ``evaluation.json``."""
    folder = Path(outcome.out.splitlines()[-1])
    content: dict[str, Any] = json.loads((folder / "evaluation.json").read_text())
    return folder, content


# --- the core ------------------------------------------------------------------------------------------------------


def test_accuracy_against_the_number_of_steps(run: Path, source: Path, command: Command) -> None:
    outcome = command("evaluate", "run", "num_steps=2,4,8")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.startswith("with num_steps=2,4,8; the recorded test is that with num_steps=4")
    head, *cells = rows(outcome)
    assert head == ["num_steps", "accuracy", "loss"]
    assert [row[0] for row in cells] == ["2", "4", "8", "4"] and cells[-1][-1] == "recorded"
    assert cells[1][:4] == cells[3][:4], "that of the run's own T is the recorded test"

    folder, content = record(outcome)
    assert folder.parts[0] == "outputs" and "-evaluated-" in folder.name
    assert {path.name for path in folder.iterdir()} == {"evaluation.json", "evaluation.csv", "accuracy.png"}
    assert (folder / "accuracy.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    result = Run(source).result
    figures = {key: result[key] for key in ("test_accuracy", "test_loss")}
    assert content["recorded"] == {"num_steps": 4, **figures}
    assert content["tests"][1] == {"num_steps": 4, **figures}
    assert len({test["test_loss"] for test in content["tests"]}) == 3
    assert content["run"] == {
        "name": "run",
        "folder": "../../../run",
        "config_sha256": config_hash(safe_read.yaml_object(run, "config.yaml")),
        "weights_sha256": checkpoint.weights_sha256(checkpoint.load(run / "checkpoints" / "best.safetensors")),
    }
    assert content["command"][1:] == ["evaluate", "run", "num_steps=2,4,8"]
    table = list(csv.DictReader((folder / "evaluation.csv").read_text().splitlines()))
    assert [row["num_steps"] for row in table] == ["2", "4", "8"]
    assert [float(row["test_loss"]) for row in table] == [test["test_loss"] for test in content["tests"]]
    assert contents(run) == contents(source), "nothing is written into the run"
    assert not browse.is_run(folder) and command("runs").out.count("evaluated") == 0


def test_a_grid(run: Path, command: Command) -> None:
    outcome = command("evaluate", "run", "num_steps=2,3", "encoder=rate,direct", "output_dir=mine")
    assert outcome.code == 0, outcome.err
    head, *cells = rows(outcome)
    assert head[:2] == ["num_steps", "encoder"]
    assert [row[:2] for row in cells] == [["2", "rate"], ["2", "direct"], ["3", "rate"], ["3", "direct"], ["4", "rate"]]
    folder, content = record(outcome)
    assert folder.parts[0] == "mine" and (folder / "accuracy.png").exists()
    assert content["recorded"]["encoder"] == "rate"
    assert "output_dir" not in content["tests"][0]


def test_a_single_test_is_printed_and_leaves_nothing(run: Path, command: Command) -> None:
    outcome = command("evaluate", "run", "encoder.gain=0.5")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.startswith("not the recorded test")
    head, test, of_record = rows(outcome)
    assert (head[0], test[0], of_record[0]) == ("encoder.gain", "0.5", "1.0")
    assert test[1:4] != of_record[1:4]
    assert not Path("outputs").exists()


def test_a_grid_without_steps_has_no_figure(run: Path, command: Command) -> None:
    folder, content = record(command("evaluate", "run", "encoder.gain=0.5,1"))
    assert {path.name for path in folder.iterdir()} == {"evaluation.json", "evaluation.csv"}
    assert [test["encoder.gain"] for test in content["tests"]] == [0.5, 1]


def test_where_it_is_computed_makes_no_other_test(run: Path, command: Command) -> None:
    outcome = command("evaluate", "run", "device=cpu", "threads=1")
    assert outcome.code == 0
    assert outcome.out.startswith("the recorded test, computed otherwise: device=cpu threads=1\n")
    _, test, of_record = rows(outcome)
    assert test == of_record[:-1]


def test_without_overrides_it_is_the_recorded_test(run: Path, command: Command) -> None:
    lines = command("evaluate", "run").out.splitlines()
    assert all(line.endswith("(the same as recorded)") for line in lines[:2])
    assert lines[2] == "classes (the same as recorded)" and len(lines) > 3


# --- other data ----------------------------------------------------------------------------------------------------


def test_another_task(tmp_path: Path, command: Command) -> None:
    """Its settings, and data_dir, are those of the run unless the command says otherwise."""
    write_mnist(tmp_path / "data" / "mnist")
    write_mnist(tmp_path / "other" / "fashion_mnist", test=30)
    make_run_in(Path.cwd(), "task=mnist", f"data_dir={tmp_path / 'data'}")
    outcome = command("evaluate", "run", "task=fashion_mnist", f"data_dir={tmp_path / 'other'}")
    assert (outcome.code, outcome.err) == (0, "")
    head, test, of_record = rows(outcome)
    assert (head[0], test[0], of_record[0]) == ("task", "fashion_mnist", "mnist")
    assert test[1:] != of_record[1:-1]


def test_a_task_without_a_validation_part(run: Path, command: Command) -> None:
    """The weights are those that were tested, of the best epoch; what training follows does not count."""
    weights = run / "checkpoints" / "last.safetensors"
    weights.unlink()
    assert command("evaluate", "run", "task.validation=0").code == 0
    config = safe_read.yaml_object(run, "config.yaml")
    (run / "config.yaml").write_text(yaml.safe_dump({**config, "early_stopping": 3}))
    outcome = command("evaluate", "run", "task.validation=0")
    assert outcome.code == 0 and "config.yaml is another one" in outcome.err


@pytest.mark.parametrize("word", ["task.split_seed=1", "task.test=0.3", "task.validation=0.2"])
def test_data_that_are_split_anew_are_warned_of(word: str, run: Path, command: Command) -> None:
    outcome = command("evaluate", "run", word)
    assert outcome.code == 0
    assert "warning: the data are split anew, so that the test set may hold samples of the training" in outcome.err


def test_arrays_follow_the_number_of_steps_and_the_folder(tmp_path: Path, command: Command) -> None:
    """Parts that refer to a setting see its new value: here num_steps, in a run whose config has it written out."""
    import numpy as np

    generator = np.random.default_rng(0)
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        inputs = generator.random((60, 4, 3), dtype=np.float32)
        np.savez(tmp_path / name / "a.npz", inputs=inputs, targets=np.arange(60) % 2)
    words = ["task=arrays", "task.path=a.npz", "task.time=true", "encoder=none"]
    make_run_in(Path.cwd(), *words, f"data_dir={tmp_path / 'one'}")
    outcome = command("evaluate", "run", f"data_dir={tmp_path / 'two'}")
    assert outcome.code == 0, outcome.err
    outcome = command("evaluate", "run", "num_steps=7")  # sequences of 4 steps
    assert outcome.code in (2, 3) and "num_steps" in outcome.err and "Traceback" not in outcome.err


def test_an_unfinished_run_has_no_recorded_figures(run: Path, command: Command) -> None:
    (run / "result.json").unlink()
    outcome = command("evaluate", "run", "num_steps=2,3")
    assert outcome.code == 0
    assert "recorded" not in {row[-1] for row in rows(outcome)}
    assert record(outcome)[1]["recorded"] == {"num_steps": 4}


def test_values_instead_of_classes(tmp_path: Path, command: Command) -> None:
    """Without an accuracy, the figure is of the loss."""
    import numpy as np

    x = np.random.default_rng(0).random((60, 3), dtype=np.float32)
    np.savez(tmp_path / "a.npz", inputs=x, targets=x.sum(1, keepdims=True))
    words = ["task=arrays", f"task.path={tmp_path / 'a.npz'}", "task.regress=true", "loss=mse", "readout=li"]
    make_run_in(Path.cwd(), *words)
    outcome = command("evaluate", "run", "num_steps=2,6")
    assert outcome.code == 0, outcome.err
    folder, content = record(outcome)
    assert (folder / "loss.png").exists() and not (folder / "accuracy.png").exists()
    assert {"test_loss", "test_r2"} <= set(content["tests"][0])


# --- what does not fit ---------------------------------------------------------------------------------------------


def test_weights_that_depend_on_the_number_of_steps(command: Command) -> None:
    make_run_in(Path.cwd(), "neuron=psn")
    outcome = command("evaluate", "run", "num_steps=4,8")
    assert outcome.code == 2
    for fact in ("num_steps=8: ", "has shape [4, 4]", "need shape [8, 8]"):
        assert fact in outcome.err
    assert "num_steps=4:" not in outcome.err and not Path("outputs").exists()
    assert command("evaluate", "run", "num_steps=4").code == 0


REFUSALS = {
    "another network": (
        ["neuron.beta=0.5", "neuron=if", "seed=3"],
        ["neuron.beta=0.5: the weights belong", "3 faults"],
    ),
    "what no test uses": (
        ["report.sample=3", "checkpoint.every_steps=3", "tracker=csv", "epochs=3"],
        [f"a test makes no use of {key}; " for key in ("report.sample", "checkpoint.every_steps", "tracker", "epochs")],
    ),
    "data of another size": (["task=moving_bars", "encoder=none"], ["task=moving_bars encoder=none: the weights"]),
    "an encoder that does not take it": (["encoder=none"], ["encoder=none does not take the input of task=digits"]),
    "typos": (["num_step=3", "encodr=x"], ["did you mean num_steps?", "did you mean encoder?", "2 faults"]),
    "names": (["encoder=ratte", "task=dgits"], ["there is no encoder", "there is no task", "2 faults"]),
    "values": (
        ["num_steps=0,-1", "encoder.gain=x", "batch_size=no"],
        ["num_steps: ", "encoder.gain: ", "batch_size: "],
    ),
    "a key of another encoder": (["encoder=none", "encoder.gain=2"], ["encoder.gain"]),
    "too many": (["num_steps=range(1,200)"], ["at most 100"]),
    "an interval": (["num_steps=interval(1,5)"], ["list the values instead"]),
    "a reference": (["num_steps='${epochs}'"], ["no reference"]),
    "a package": (["task@here=digits"], ["without a package"]),
    "a number that is none": (["encoder.gain=inf"], ["encoder.gain: expected a finite number"]),
    "a secret": (["data_dir='${oc.env:HOME}'"], ["no reference"]),
    "additions": (["+encoder.x=1"], ["without + and ~"]),
    "a sweep": (["-m", "num_steps=2"], ["goes with no flags"]),
    "two runs": (["num_steps=2", "other"], ["expected one run"]),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_what_is_refused(case: str, run: Path, command: Command) -> None:
    words, parts = REFUSALS[case]
    outcome = command("evaluate", "run", *words)
    assert (outcome.code, outcome.out) == (2, "")
    assert all(part in outcome.err for part in parts), outcome.err
    assert not Path("outputs").exists()


def test_weights_that_are_missing_or_damaged(run: Path, command: Command) -> None:
    best = run / "checkpoints" / "best.safetensors"
    best.write_bytes(best.read_bytes()[:-9])
    assert command("evaluate", "run", "num_steps=2").code == 3
    best.unlink()
    best.symlink_to("last.safetensors")
    assert command("evaluate", "run", "num_steps=2").code == 3
    shutil.rmtree(best.parent)
    assert command("evaluate", "run", "num_steps=2").code == 3


# --- whose code runs -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["evaluate", "resume", "reproduce"])
def test_the_folder_of_the_recorded_command_is_named(name: str, run: Path, command: Command) -> None:
    config = safe_read.yaml_object(run, "config.yaml")
    (run / "config.yaml").write_text(yaml.safe_dump({**config, "neuron": {"_target_": "floor_lif_of_tests.Floor"}}))
    manifest = json.loads((run / "manifest.json").read_text())
    words = ["snnrun", "--config-dir", "my parts; rm x\x1b[31m", "trust=floor_lif_of_tests", "neuron=floor"]
    (run / "manifest.json").write_text(json.dumps({**manifest, "command": words}))
    (run / "result.json").unlink()  # a run that did not finish can be resumed
    for trust, fault in ([], "add trust=floor_lif_of_tests"), (["trust=floor_lif_of_tests"], "there is no module"):
        err = command(name, "run", *trust).err
        assert fault in err
        assert "'--config-dir=my parts; rm x" in err and "\x1b" not in err and "Add --config-dir if" in err
    outcome = command(name, "run", "--config-dir", ".", "trust=floor_lif_of_tests")
    assert outcome.code == 2 and "The recorded command" not in outcome.err
    for nothing in (["snnrun", "neuron=floor"], [3, None], "snnrun", None):
        (run / "manifest.json").write_text(json.dumps({**manifest, "command": nothing}))
        assert "The recorded command" not in command(name, "run").err


def test_parts_of_ones_own(run: Path, tmp_path: Path, command: Command) -> None:
    own = tmp_path / "mine"
    (own / "encoder").mkdir(parents=True)
    (own / "my_encoder_of_tests.py").write_text(
        "from dataclasses import dataclass\n"
        "from snnrun.encoder import Direct\n\n\n"
        "@dataclass(frozen=True)\nclass Mine(Direct):\n"
        '    """Mine."""\n'
    )
    (own / "encoder" / "mine.yaml").write_text("_target_: my_encoder_of_tests.Mine\n")
    words = ["--config-dir", str(own), "evaluate", "run", "encoder=mine"]
    without_trust = command(*words)
    assert without_trust.code == 2 and "add trust=my_encoder_of_tests" in without_trust.err
    outcome = command(*words, "trust=[my_encoder_of_tests]")
    assert outcome.code == 0, outcome.err
    assert rows(outcome)[1][0] == "mine"


def test_a_folder_of_parts_may_not_configure_hydra(run: Path, tmp_path: Path, command: Command) -> None:
    own = tmp_path / "mine"
    (own / "hydra").mkdir(parents=True)
    (own / "hydra" / "x.yaml").write_text("a: 1\n")
    outcome = command("--config-dir", str(own), "evaluate", "run", "encoder=direct")
    assert outcome.code == 2 and "hydra/x.yaml is a config of Hydra" in outcome.err


def test_a_strangers_config_is_data(run: Path, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """References in it are text, and what it names is judged by trust, whatever the command changes."""
    monkeypatch.setenv("SECRET_OF_TESTS", "hunter2")
    config = safe_read.yaml_object(run, "config.yaml")
    path = run / "config.yaml"
    path.write_text(yaml.safe_dump({**config, "data_dir": "${oc.env:SECRET_OF_TESTS}", "output_dir": "${oc.env:HOME}"}))
    outcome = command("evaluate", "run", "num_steps=2,3", "task=digits")
    assert outcome.code == 0 and "hunter2" not in outcome.out + outcome.err
    folder, content = record(outcome)
    assert folder.parts[0] == "${oc.env:HOME}" and "hunter2" not in json.dumps(content)
    path.write_text(yaml.safe_dump({**config, "loss": {"_target_": "os.system", "command": "touch owned"}}))
    assert command("evaluate", "run", "num_steps=2").code == 2
    assert command("resume", "run", "epochs=9").code == 2
    for value in (3, None, [1], "x"):
        path.write_text(yaml.safe_dump({**config, "task": value}))
        assert command("evaluate", "run", "num_steps=2").code == 2
        assert command("evaluate", "run", "task.validation=0").code == 2
    assert not Path("owned").exists()


def test_a_made_up_run(command: Command) -> None:
    """Of which nothing but its record is there."""
    make_run(Path("other"))
    outcome = command("evaluate", "other", "num_steps=2")
    assert outcome.code in (2, 3) and "bug" not in outcome.err


# --- what is left of it -------------------------------------------------------------------------------------------


def folder_of(outcome: Outcome) -> Path:
    return Path(outcome.out.splitlines()[-1])


@pytest.mark.parametrize("by", ["path", "token"])
def test_it_can_be_shown(by: str, run: Path, command: Command) -> None:
    folder = folder_of(command("evaluate", "run", "num_steps=2,3"))
    outcome = command("show", str(folder) if by == "path" else folder.name.rpartition("-")[2])
    assert (outcome.code, outcome.err) == (0, "")
    lines = [line.split() for line in outcome.out.splitlines()]
    assert [line[0] for line in lines if line and line[0] in ("2", "3")] == ["2", "3"]
    assert "not the recorded test" in outcome.out and "figures: accuracy.png" in outcome.out


@pytest.mark.parametrize(
    "content", ["[1]", "{", '{"tests": 3}', '{"tests": [{"num_steps": {"a": 1}}], "recorded": []}', ""]
)
def test_a_strangers_is_data(content: str, tmp_path: Path, command: Command) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "evaluation.json").write_text(content)
    outcome = command("show", str(tmp_path / "there"))
    assert (outcome.code, outcome.err) == (0, "")


def test_nothing_is_computed_where_nothing_can_be_written(
    run: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("file").touch()
    monkeypatch.setattr(evaluation, "evaluate_run", lambda *arguments: pytest.fail("it was computed"))
    assert command("evaluate", "run", "num_steps=2,3", "output_dir=file").code == 6


def test_what_ends_early_leaves_no_folder(run: Path, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(evaluation, "evaluate_run", stop)
    assert command("evaluate", "run", "num_steps=2,3").code == 130
    assert not [path for path in Path("outputs").rglob("*") if "evaluated" in path.name]
