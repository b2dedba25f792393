"""A finished run that is trained on: as a new run, bit for bit a longer one, that names its parent."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from snnrun.cli import main
from snnrun.config.fingerprint import config_hash
from snnrun.run import browse, checkpoint
from snnrun.run.compare import compare
from snnrun.system import files, safe_read
from support.shell import Run, contents

QUIET = ["report.figures=false", "report.summary=false", "report.progress=false"]
#: 12 steps an epoch; draws for the order, the encoding and dropout.
WORDS = [*QUIET, "num_steps=4", "model.hidden=[6]", "model.dropout=0.2"]
Capture = pytest.CaptureFixture[str]


def make_run_in(folder: Path, *words: str) -> Path:
    """The run of a command, in ``folder/run``."""
    folder.mkdir(parents=True, exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("SNNRUN_DEBUG", raising=False)
        batches = [] if any(word.startswith("batch_size=") for word in words) else ["batch_size=110"]
        assert main([*WORDS, *batches, *words, "hydra.run.dir=run"]) == 0
    return folder / "run"


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two epochs."""
    return make_run_in(tmp_path_factory.mktemp("finished"), "epochs=2")


@pytest.fixture(scope="session")
def longer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four, from the start."""
    return make_run_in(tmp_path_factory.mktemp("longer"), "epochs=4")


@pytest.fixture
def run(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy, in the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SNNRUN_DEBUG", raising=False)
    return Path(shutil.copytree(source, tmp_path / "run"))


def new(kind: str = "resumed", root: str = "outputs") -> Path:
    """The one new folder."""
    (folder,) = [path for path in Path(root).glob("*/*") if f"-{kind}-" in path.name]
    return folder


def warnings(capture: Capture) -> list[str]:
    """What was said on stderr, but for advice to a network that learns little in so few epochs."""
    return [line for line in capture.readouterr().err.splitlines() if " Try: " not in line]


def config_of(folder: Path) -> dict[str, Any]:
    return safe_read.yaml_object(folder, "config.yaml")


# --- the core ------------------------------------------------------------------------------------------------------


def test_it_is_a_longer_run_bit_for_bit(run: Path, source: Path, longer: Path, capsys: Capture) -> None:
    assert main(["resume", "run", "epochs=4"]) == 0
    assert not warnings(capsys)
    verdict = compare(longer, new(), same_seed=True)
    assert verdict.exact, verdict.words()
    assert config_of(new()) == config_of(longer)
    for name in ("best", "last"):
        weights, expected = (checkpoint.load(each / f"checkpoints/{name}.safetensors") for each in (new(), longer))
        assert all(torch.equal(weights[key], expected[key]) for key in expected) and weights.keys() == expected.keys()
    assert contents(run) == contents(source), "the parent stays as it is"


def test_parameters_that_were_drawn_are_the_parents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["neuron.tau=uniform(5,25)", "threads=1"]
    parent, longer = make_run_in(tmp_path, *words, "epochs=1"), make_run_in(tmp_path / "longer", *words, "epochs=2")
    assert config_of(parent)["neuron"]["tau"] == "uniform(5,25)"
    beta = checkpoint.load(parent / "checkpoints/last.safetensors")["layers.hidden1.neuron.beta.raw"]
    tau = -1 / torch.log(beta)
    assert tau.unique().numel() == 6
    assert ((tau >= 5) & (tau <= 25)).all()
    monkeypatch.chdir(tmp_path)
    assert main(["resume", "run", "epochs=2"]) == 0
    verdict = compare(longer, new(), same_seed=True)
    assert verdict.exact, verdict.words()
    assert main(["evaluate", "run"]) == 0


def test_the_manifest_names_the_parent(run: Path, capsys: Capture) -> None:
    assert main(["resume", "run", "epochs=3"]) == 0
    manifest = Run(new()).manifest
    assert manifest["parent"] == {
        "name": "run",
        "folder": "../../../run",
        "config_sha256": config_hash(config_of(run)),
        "weights_sha256": Run(run).result["weights_sha256"],
        "epochs": 2,
        "step": Run(run).metrics("epoch")[-1]["step"],
    }
    assert (new() / manifest["parent"]["folder"]).resolve() == run.resolve()
    assert manifest["config_sha256"] == config_hash(config_of(new()))
    assert manifest["command"][1:] == ["resume", "run", "epochs=3"]
    assert [entry["changed"] for entry in manifest["resumed"]] == [{}]
    capsys.readouterr()
    assert main(["show", str(new())]) == 0
    assert ["trains", "on", "../../../run"] in [line.split() for line in capsys.readouterr().out.splitlines()]


@pytest.mark.parametrize("words", [[], ["name=longer"]])
def test_a_name_is_that_of_one_run(words: list[str], run: Path) -> None:
    config = config_of(run)
    (run / "config.yaml").write_text(yaml.safe_dump({**config, "name": "short"}, sort_keys=False))
    assert main(["resume", "run", "epochs=3", *words]) == 0
    name = "longer" if words else None
    assert config_of(new(name or "resumed"))["name"] == name


def test_the_way_to_a_parent_elsewhere_is_not_recorded(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert main(["resume", str(run), "epochs=3"]) == 0
    parent = Run(new()).manifest["parent"]
    assert (parent["name"], parent["folder"]) == ("run", None)
    assert str(tmp_path) not in json.dumps(parent)


def test_and_so_on(run: Path, longer: Path) -> None:
    """A run that was trained on is a finished run like any other."""
    assert main(["resume", "run", "epochs=3"]) == 0
    third = new().rename("third")
    assert main(["resume", "third", "epochs=4"]) == 0
    assert compare(longer, new(), same_seed=True).exact
    assert Run(new()).manifest["parent"]["weights_sha256"] == Run(third).result["weights_sha256"]


def test_it_is_reproduced_from_the_start(run: Path, capsys: Capture) -> None:
    assert main(["resume", "run", "epochs=3"]) == 0
    assert main(["reproduce", str(new())]) == 0
    assert "match: all " in capsys.readouterr().out
    assert json.loads((new("reproduced") / "reproduction.json").read_text())["exact"] is True


def test_stopped_it_goes_on_as_any_run(run: Path, longer: Path, capsys: Capture) -> None:
    assert main(["resume", "run", "epochs=4", "max_seconds=1e-9"]) == 143
    child = new()
    assert capsys.readouterr().err.splitlines()[-1] == f"snnrun resume {child}"
    assert browse.read(child).status == "interrupted"
    parent = Run(child).manifest["parent"]
    assert main(["resume", str(child), "max_seconds=null"]) == 0
    verdict = compare(longer, child, same_seed=True)
    assert verdict.exact, verdict.words()
    manifest = Run(child).manifest
    assert manifest["parent"] == parent and len(manifest["resumed"]) == 2


def test_killed_before_its_first_step_it_goes_on_too(run: Path, longer: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever it is killed while it is made: it is whole, or holds no config that could be resumed."""
    write = files.write_bytes
    for instant in range(9):
        count = 0

        def write_until_killed(path: Path, data: bytes) -> None:
            nonlocal count
            count += 1
            if count > instant:  # noqa: B023 (called here)
                raise OSError(5, "killed")
            write(path, data)

        with monkeypatch.context() as patch:
            patch.setattr(files, "write_bytes", write_until_killed)
            assert main(["resume", "run", "epochs=4"]) == 6
        child = new()
        if (child / "config.yaml").exists():
            break
        assert main(["resume", str(child)]) == 2
        shutil.rmtree(child)
    assert main(["resume", str(child)]) == 0
    assert compare(longer, child, same_seed=True).exact


def test_with_all_that_can_be_watched_changed(run: Path, longer: Path) -> None:
    words = ["report.figures=true", "report.summary=true", "checkpoint.every_steps=2", "tracker=csv", "threads=1"]
    assert main(["resume", "run", "epochs=4", "output_dir=mine", "device=cpu", *words]) == 0
    child = new(root="mine")
    assert Run(child).result["weights_sha256"] == Run(longer).result["weights_sha256"]
    assert (child / "figures" / "loss.png").exists() and (child / "summary.txt").exists()
    table = (child / "csv" / "epoch.csv").read_text().splitlines()
    assert len(table) == 5, "a head, and all four epochs"
    config = config_of(child)
    assert (config["checkpoint"]["every_steps"], config["threads"], config["output_dir"]) == (2, 1, "mine")


def test_more_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    """At the end of an epoch it is a longer run; in the middle of one it is not, and that is said."""
    for at, exact in ((24, True), (20, False)):
        folder = tmp_path / str(at)
        make_run_in(folder, "epochs=9", f"max_steps={at}")
        expected_run = make_run_in(folder / "wanted", "epochs=9", "max_steps=36")
        monkeypatch.chdir(folder)
        capsys.readouterr()
        assert main(["resume", "run", "max_steps=36"]) == 0
        texts = warnings(capsys)
        assert compare(expected_run, new(), same_seed=True).exact == exact
        assert (not texts) == exact
        if not exact:
            assert texts[0].startswith(f"warning: max_steps={at} has ended the last epoch")
            assert texts[0] in (new() / "run.log").read_text()


def test_a_single_epoch_that_may_have_been_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    make_run_in(tmp_path, "max_steps=5")
    monkeypatch.chdir(tmp_path)
    assert main(["resume", "run", "max_steps=null", "epochs=2"]) == 0
    assert "max_steps=5 has ended the last epoch" in capsys.readouterr().err
    assert Run(new()).result["epochs"] == 2


def test_a_schedule_over_the_epochs_stays_with_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    """The new run is the one of its own config, whose T_max is that of the parent."""
    run = make_run_in(tmp_path, "epochs=2", "scheduler=cosine")
    expected_run = make_run_in(tmp_path / "wanted", "epochs=4", "scheduler=cosine", "scheduler.T_max=2")
    other = make_run_in(tmp_path / "other", "epochs=4", "scheduler=cosine")
    assert config_of(run)["scheduler"]["T_max"] == 2
    monkeypatch.chdir(tmp_path)
    capsys.readouterr()
    assert main(["resume", "run", "epochs=4"]) == 0
    (warning,) = warnings(capsys)
    assert warning.startswith("warning: scheduler.T_max=2 ") and warning in (new() / "run.log").read_text()
    assert compare(expected_run, new(), same_seed=True).exact
    assert not compare(other, new(), same_seed=True).exact
    assert main(["reproduce", str(new())]) == 0


def test_a_schedule_per_step_stays_with_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    run = make_run_in(tmp_path, "epochs=2", "scheduler=linear", "scheduler.end_factor=0.5")
    assert config_of(run)["scheduler"]["total_steps"] is None
    steps = Run(run).metrics("epoch")[-1]["step"]
    words = ("scheduler=linear", "scheduler.end_factor=0.5", f"scheduler.total_steps={steps}")
    expected_run = make_run_in(tmp_path / "wanted", "epochs=3", *words)
    monkeypatch.chdir(tmp_path)
    capsys.readouterr()
    assert main(["resume", "run", "epochs=3"]) == 0
    (warning,) = warnings(capsys)
    assert warning.startswith("warning: scheduler.total_steps: ") and str(steps) in warning
    assert config_of(new())["scheduler"]["total_steps"] == steps
    assert compare(expected_run, new(), same_seed=True).exact
    assert Run(new()).metrics("step")[-1]["learning_rate"] == 0.5 * Run(run).metrics("step")[0]["learning_rate"]


@pytest.mark.parametrize("scheduler", [["scheduler=step", "scheduler.step_size=1"], ["scheduler=plateau"]])
def test_another_schedule_goes_on(
    scheduler: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    make_run_in(tmp_path, "epochs=2", *scheduler)
    expected_run = make_run_in(tmp_path / "wanted", "epochs=3", *scheduler)
    monkeypatch.chdir(tmp_path)
    capsys.readouterr()
    assert main(["resume", "run", "epochs=3"]) == 0
    assert not warnings(capsys)
    assert compare(expected_run, new(), same_seed=True).exact


@pytest.mark.parametrize("words", [[], ["task.validation=0"]])
def test_an_average_of_the_weights(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    """The test, the files of weights and a longer run have the average; so have `evaluate` and `reproduce`."""
    words = [*words, "ema=0.9", "accumulate=2", "loss=ce_membrane"]
    run = make_run_in(tmp_path, *words, "epochs=2")
    last = checkpoint.load(run / "checkpoints" / "last.safetensors")
    state = checkpoint.load_state(checkpoint.states(run / "checkpoints")[0])
    assert Run(run).result["weights_sha256"] == checkpoint.weights_sha256(last)
    assert last.keys() == state["average"].keys()
    assert all(torch.equal(value, state["average"][name]) for name, value in last.items())
    assert not all(torch.equal(value, state["model"][name]) for name, value in last.items())
    expected_run = make_run_in(tmp_path / "wanted", *words, "epochs=3")
    monkeypatch.chdir(tmp_path)
    assert main(["evaluate", "run"]) == 0
    assert main(["reproduce", "run"]) == 0
    capsys.readouterr()
    assert main(["resume", "run", "epochs=3"]) == 0
    assert compare(expected_run, new(), same_seed=True).exact
    parent = Run(new()).manifest["parent"]
    assert parent["weights_sha256"] == Run(run).result["weights_sha256"]


@pytest.mark.parametrize(
    ("words", "best"),
    [(["task=zeros", "task.steps_per_epoch=3", "batch_size=4"], True), (["task.validation=0"], False)],
)
def test_other_data(words: list[str], best: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A task that draws new samples in every epoch; and one without a validation set, where no epoch is the best."""
    run = make_run_in(tmp_path, *words, "epochs=1")
    assert (run / "checkpoints" / "best.safetensors").exists() == best
    expected_run = make_run_in(tmp_path / "wanted", *words, "epochs=3")
    monkeypatch.chdir(tmp_path)
    assert main(["resume", "run", "epochs=3"]) == 0
    verdict = compare(expected_run, new(), same_seed=True)
    assert verdict.exact, verdict.words()


def test_early_stopping(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    """A learning rate of zero makes no epoch better than the first."""
    run = make_run_in(tmp_path, "epochs=9", "early_stopping=1", "optimizer.lr=1e-30")
    assert Run(run).result["epochs"] == 2
    monkeypatch.chdir(tmp_path)
    capsys.readouterr()
    assert main(["resume", "run", "epochs=20"]) == 2
    assert capsys.readouterr().err.startswith("snnrun: early_stopping: the validation loss was lowest in epoch 1")
    assert main(["resume", "run", "early_stopping=null", "epochs=3"]) == 0
    assert Run(new()).result["epochs"] == 3


# --- what is refused -----------------------------------------------------------------------------------------------

REFUSALS = {
    "no longer": (["epochs=2"], ["epochs: ", "more than 2"]),
    "nothing that makes it longer": (["report.figures=true"], ["epochs: ", "more than 2"]),
    "fewer steps": (["epochs=3", "max_steps=3"], ["max_steps: ", "null", "more than 24"]),
    "another network": (
        ["epochs=3", "neuron=if", "neuron.threshold=2", "seed=1", "optimizer.lr=1"],
        ["neuron=if: would", "neuron.threshold=2: would", "seed=1: would", "optimizer.lr=1: would", "5 faults"][:4],
    ),
    "other batches": (["epochs=3", "batch_size=3"], ["batch_size=3: would"]),
    "typos": (["epoch=3", "report.figure=true"], ["did you mean epochs?", "did you mean report.figures?", "2 faults"]),
    "values": (["epochs=no", "report.log_every=0"], ["epochs: ", "report.log_every: ", "2 faults"]),
    "all at once": (["epochs=no", "neuron=if", "tracker=x"], ["epochs: ", "neuron=if: ", "tracker=x: ", "3 faults"]),
    "several": (["epochs=3,4"], ["epochs: ", "one value", "got 2"]),
    "twice": (["epochs=3", "epochs=4"], ["already set by epochs=3"]),
    "additions": (["+epochs=3"], ["without + and ~"]),
    "deletions": (["~epochs"], ["without + and ~"]),
    "Hydra": (["epochs=3", "hydra.run.dir=x"], ["hydra.run.dir=x: "]),
    "a reference": (["epochs=3", "data_dir='${seed}'"], ["data_dir", "no reference"]),
    "no key": (["epochs", "3"], ["write epochs=3"]),
    "two runs": (["epochs=3", "other"], ["one run"]),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_what_is_refused(case: str, run: Path, source: Path, capsys: Capture) -> None:
    words, parts = REFUSALS[case]
    assert main(["resume", "run", *words]) == 2
    err = capsys.readouterr().err
    assert all(part in err for part in parts), err
    assert "Traceback" not in err and not Path("outputs").exists()
    assert contents(run) == contents(source)


def test_a_typo_is_shown_before_torch_is_imported(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(command: str) -> None:
        raise AssertionError("torch is asked for")

    monkeypatch.setattr("snnrun.run.imports.load", refuse)
    assert main(["resume", "run", "epoch=3"]) == 2
    assert main(["evaluate", "run", "num_step=3"]) == 2


def test_the_run_may_stand_behind_the_overrides(run: Path) -> None:
    assert main(["resume", "epochs=3", "run"]) == 0
    assert Run(new()).result["epochs"] == 3


def test_a_run_of_another_config(run: Path, capsys: Capture) -> None:
    (run / "config.yaml").write_text(yaml.safe_dump({**config_of(run), "batch_size": 7}, sort_keys=False))
    assert main(["resume", "run", "epochs=3"]) == 2
    assert "config.yaml is another one" in capsys.readouterr().err
    assert not Path("outputs").exists()


# --- what the parent may lack --------------------------------------------------------------------------------------


def without_states(run: Path) -> None:
    for path in checkpoint.states(run / "checkpoints"):
        path.unlink()


def with_state(run: Path, **values: Any) -> None:
    path = checkpoint.states(run / "checkpoints")[0]
    state = {**checkpoint.load_state(path), **values}
    without_states(run)
    checkpoint.save_state(run / "checkpoints", 1, state)


def link(run: Path, name: str) -> None:
    (run / name).rename(run.parent / "elsewhere")
    (run / name).symlink_to(run.parent / "elsewhere")


def damage(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])


LACKS: dict[str, tuple[Callable[[Path], object], int, str]] = {
    "no states": (without_states, 2, "but there is none to go on from"),
    "no model": (lambda run: with_state(run, model=3), 3, "with the weights of the run"),
    "a model of text": (lambda run: with_state(run, model={"a": "b"}), 3, "with the weights of the run"),
    "no progress": (lambda run: with_state(run, progress={}), 3, "says where the run stood"),
    "negative progress": (lambda run: with_state(run, progress={"epoch": -1}), 3, "says where the run stood"),
    "no length of metrics": (lambda run: with_state(run, metrics=None), 3, "the length of metrics.jsonl"),
    "a huge length": (lambda run: with_state(run, metrics=1 << 60), 3, "metrics.jsonl: expected at least"),
    "metrics are shorter": (lambda run: os.truncate(run / "metrics.jsonl", 99), 3, "metrics.jsonl: expected at least"),
    "no metrics": (lambda run: (run / "metrics.jsonl").unlink(), 3, "metrics.jsonl: expected the records"),
    "metrics are a link": (lambda run: link(run, "metrics.jsonl"), 3, "metrics.jsonl: expected the records"),
    "last weights are missing": (lambda run: (run / "checkpoints/last.safetensors").unlink(), 3, "last.safetensors"),
    "best weights are damaged": (lambda run: damage(run / "checkpoints/best.safetensors"), 3, "best.safetensors"),
    "best weights are a link": (lambda run: link(run, "checkpoints/best.safetensors"), 3, "best.safetensors"),
}


@pytest.mark.parametrize("case", LACKS)
def test_what_the_parent_lacks_is_shown_before_a_folder_is_made(case: str, run: Path, capsys: Capture) -> None:
    harm, code, part = LACKS[case]
    harm(run)
    before = contents(run)
    assert main(["resume", "run", "epochs=3"]) == code
    err = capsys.readouterr().err
    assert part in err and "bug" not in err, err
    assert not Path("outputs").exists()
    assert contents(run) == before


@pytest.mark.parametrize("content", ["[1]", '{"packages": 3, "threads": "x", "parent": 5}', '{"cpu": "\\ud800"}', ""])
def test_a_damaged_manifest_of_the_parent(content: str, run: Path, longer: Path) -> None:
    (run / "manifest.json").write_text(content)
    assert main(["resume", "run", "epochs=4"]) == 0
    assert compare(longer, new(), same_seed=True).exact
    manifest = Run(new()).manifest
    assert manifest["parent"]["name"] == "run" and isinstance(manifest["packages"], dict)


def test_another_environment_is_a_warning(run: Path, capsys: Capture) -> None:
    manifest = Run(run).manifest
    manifest["packages"]["torch"] = "1.0.0"
    (run / "manifest.json").write_text(json.dumps(manifest))
    assert main(["resume", "run", "epochs=3"]) == 0
    assert "warning: packages.torch was 1.0.0 and is now" in capsys.readouterr().err
    assert Run(new()).manifest["resumed"][0]["changed"]["packages.torch"][0] == "1.0.0"


def test_it_computes_on_as_many_threads_as_its_parent(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("snnrun.system.machine.cores", lambda: 4)
    (run / "manifest.json").write_text(json.dumps({**Run(run).manifest, "threads": 3}))
    assert main(["resume", "run", "epochs=3"]) == 0
    manifest = Run(new()).manifest
    assert manifest["threads"] == 3 and "threads" not in manifest["resumed"][0]["changed"]


# --- a run that is not finished ------------------------------------------------------------------------------------


@pytest.fixture
def half_run(run: Path) -> Path:
    """After its first epoch."""
    checkpoint.states(run / "checkpoints")[0].unlink()
    (run / "result.json").unlink()
    return run


def test_an_unfinished_run_is_watched_otherwise_in_place(half_run: Path, source: Path) -> None:
    before = config_of(half_run)
    assert main(["resume", "run", "max_seconds=1e-9"]) == 143
    words = ["max_seconds=1000", "report.figures=true", "tracker=csv", "device=cpu", "checkpoint.every_steps=1"]
    assert main(["resume", "run", *words]) == 0
    assert compare(source, half_run, same_seed=True).exact
    assert config_of(half_run) == before, "the config is the one that it was started with"
    assert (half_run / "figures" / "loss.png").exists() and (half_run / "csv" / "epoch.csv").exists()
    assert Run(half_run).manifest["resumed"][-1]["command"][3:] == words
    assert not Path("outputs").exists()


@pytest.mark.parametrize(
    "word", ["epochs=4", "max_steps=90", "early_stopping=3", "output_dir=x", "seed=1", "task=zeros"]
)
def test_and_trained_longer_only_when_it_is_finished(word: str, half_run: Path, capsys: Capture) -> None:
    before = contents(half_run)
    assert main(["resume", "run", word]) == 2
    assert f"{word}: the run is not finished, so that only max_seconds, " in capsys.readouterr().err
    assert contents(half_run) == before
