"""``snnrun runs``, ``show`` and ``diff``: what they say of run folders, and that they read and never run."""

from __future__ import annotations

import json
import re
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from snnrun.system import format
from snnrun.system.lock import RunLock
from support.command import Command
from support.made_up import CHOICES, MANIFEST, RESULT, epoch, make_run, step


def ago(seconds: float) -> dict[str, str]:
    return {"started": time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(time.time() - seconds))}


def test_a_table_newest_first(command: Command) -> None:
    outputs = Path("outputs")
    early = {"epochs": 2, "test_accuracy": None, "test_loss": None}
    make_run(outputs / "d" / "old", manifest=ago(3 * 86_400 + 60))
    make_run(outputs / "d" / "loss", manifest=ago(5 * 3600 + 60), result={**RESULT, "test_accuracy": None})
    make_run(outputs / "d" / "dead", manifest=ago(20 * 60 + 5), result=None, metrics=(epoch(1), step(2, 4)))
    run = make_run(outputs / "d" / "stopped", manifest=ago(150), result={**early, "status": "interrupted"})
    (run / "checkpoints" / "step-10.ckpt").touch()
    live = make_run(outputs / "d" / "live", manifest=ago(130), result=None, choices={"neuron": "if"})
    with RunLock(live):
        code, out, err = command("runs")
    assert (code, err) == (0, "")
    assert out == (
        "status              test  epochs     age  not the default   folder\n"
        "running                        3   2 min  neuron=if seed=3  d/live\n"
        "interrupted+                 2/3   2 min  seed=3            d/stopped\n"
        "dead                         1/3  20 min  seed=3            d/dead\n"
        "finished      loss 0.125       3     5 h  seed=3            d/loss\n"
        "finished         97.50 %       3     3 d  seed=3            d/old\n"
        "\n"
        "5 runs: 2 finished, 1 running, 1 interrupted, 1 dead\n"
        "+ can go on: `snnrun resume RUN`\n"
    )


def test_where_there_are_no_runs(command: Command) -> None:
    assert command("runs") == (
        0,
        "no runs: there is no folder outputs here; `snnrun` makes one, `snnrun runs FOLDER` looks elsewhere\n",
        "",
    )
    Path("outputs").mkdir()
    assert command("runs") == (0, "no runs in outputs\n", "")
    outcome = command("runs", "nowhere")
    assert outcome.code == 2 and outcome.err.startswith("snnrun: runs: ") and "got 'nowhere'\n" in outcome.err


def test_another_folder(command: Command) -> None:
    make_run(Path("other") / "run=f(x)")
    assert "run=f(x)\n\n1 run: 1 finished\n" in command("runs", "other").out
    assert command("show", "other/run=f(x)").code == 0


@pytest.mark.parametrize(
    ("line", "facts"),
    [
        (("runs", "a", "b"), ["runs: ", "at most one folder", "got a b", "`snnrun runs --help`"]),
        (("show",), ["show: ", "one run or sweep", "got nothing"]),
        (("show", "a", "b"), ["show: ", "one run or sweep", "got a b"]),
        (("diff", "a"), ["diff: ", "two runs", "got a"]),
        (("show", "a", "-m"), ["show: ", "--help and --debug"]),
        (("runs", "--cfg", "job"), ["runs: ", "no flags"]),
        (("show", "a", "--json"), ["--json: ", "`snnrun runs` only"]),
        (("neuron=if", "--sort", "accuracy"), ["--sort: ", "`snnrun runs` only"]),
        (("runs", "--sort"), ["--sort: "]),
        (("show", "nothing"), ["nothing: ", "a sweep or a run", "no such folder"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_words_that_do_not_go(command: Command, line: tuple[str, ...], facts: list[str]) -> None:
    code, out, err = command(*line)
    assert (code, out) == (2, "")
    for fact in facts:
        assert fact in err


@pytest.mark.parametrize("name", ["runs", "show", "diff"])
def test_help(command: Command, name: str) -> None:
    code, out, err = command(name, "--help")
    assert (code, err) == (0, "")
    assert out.startswith(f"snnrun {name} ")
    assert f"usage: snnrun {name} " in out
    assert f"snnrun {name} " in command("--help").out


def test_a_page(command: Command) -> None:
    folder = make_run(
        Path("outputs/run"),
        changes={"epochs": 3, "seed": 3, "neuron.beta": 0.9, "model.hidden": [200, 100], "optimizer.lr": 0.001},
        log="epoch 1/3\nwarning: layer 'hidden1' is silent\nwarning: layer 'hidden1' is silent\nerror: none\n",
    )
    code, out, err = command("show", "run")
    assert (code, err) == (0, "")
    sections = {block.split("\n")[0]: block.split("\n")[1:] for block in out.rstrip("\n").split("\n\n")}
    assert list(sections) == [
        "outputs/run",
        "parts",
        "settings that are not the default",
        "result",
        "curves",
        "warnings",
        "environment",
        "files",
    ]
    assert sections["outputs/run"][0].startswith("finished, 3 of 3 epochs, took 12 s, started ")
    assert dict(line.split() for line in sections["parts"]) == CHOICES
    assert [line.split() for line in sections["settings that are not the default"]] == [
        ["seed=3", "default", "0"],
        ["epochs=3", "default", "20"],
        ["model.hidden=[200,", "100]", "default", "[100]"],
        ["neuron.beta=0.9", "default", "null"],
    ], "optimizer.lr is 1e-3 in its file"
    assert "  test_accuracy       0.975" in sections["result"]
    assert sections["curves"] == [
        "  epoch  train loss  validation loss  accuracy  learning rate  samples/s",
        "      1           1              1.5   50.00 %          0.001      1,000",
        "     2*         0.5             0.75   75.00 %          0.001      1,000",
        "      3      0.3333              0.5   83.33 %          0.001      1,000",
        "  * the best",
    ]
    assert sections["warnings"] == ["  warning: layer 'hidden1' is silent (2 times)", "  error: none"]
    assert "  command      snnrun neuron.beta=0.9" in sections["environment"]
    assert "  software     Python 3.11.7, snnrun 0.1.0, torch 2.10.0, numpy 2.0.0" in sections["environment"]
    assert "  git          0123abcd and changes" in sections["environment"]
    names = {line.split()[0] for line in sections["files"]}
    assert names == {"all", *(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())}


CLASSES = {"test_accuracy_by_class": {"cat": 0.5, "a.b": 1.0}, "test_confusion": [[2, 2], [0, 3]]}


def test_the_classes_of_a_run(command: Command) -> None:
    make_run(Path("outputs/run"), result={**RESULT, **CLASSES})
    sections = {block.split("\n")[0]: block.split("\n")[1:] for block in command("show", "run").out.split("\n\n")}
    assert sections["classes"] == [
        "  class  samples  accuracy  most often taken for",
        "  cat          4    50.0 %  a.b (2)",
        "  a.b          3   100.0 %",
    ]
    assert not [line for line in sections["result"] if "confusion" in line or "by_class" in line]


def test_of_many_classes_the_worst(command: Command) -> None:
    accuracy = {f"class{i}": i / 100 for i in range(100)}
    make_run(Path("outputs/run"), result={**RESULT, "test_accuracy_by_class": accuracy})
    lines = command("show", "run").out.partition("classes\n")[2].partition("\n\n")[0].splitlines()
    assert [line.split()[0] for line in lines[1:-1]] == [f"class{i}" for i in range(20)]
    assert "20 of 100" in lines[-1]


def test_a_diff_has_the_accuracy_of_each_class(command: Command) -> None:
    make_run(Path("outputs/one"), result={**RESULT, **CLASSES})
    other = {"test_accuracy_by_class": {"cat": 0.75, "a.b": 1.0}, "test_confusion": [[3, 1], [0, 3]]}
    make_run(Path("outputs/two"), result={**RESULT, **other})
    out = command("diff", "one", "two").out
    lines = [line.split() for line in out.partition("result\n")[2].splitlines()[1:]]
    assert lines == [["test_accuracy_by_class.cat", "0.5", "0.75", "+0.25"]]


def test_long_curves_are_thinned_and_keep_the_best(command: Command) -> None:
    make_run(Path("outputs/run"), metrics=tuple(epoch(n, best=n == 100) for n in range(1, 1001)))
    out = command("show", "run").out
    curve = out.partition("curves\n")[2].partition("\n  * the best")[0].splitlines()[1:]
    assert [line.split()[0] for line in curve][:3] == ["1", "92", "100*"]
    assert curve[-1].split()[0] == "1000"
    assert len(curve) == 13


def test_a_part_of_ones_own_and_what_the_command_line_set_of_it(command: Command) -> None:
    changes = {"neuron.a": 5}
    make_run(Path("outputs/run"), choices={"neuron": "mine"}, changes=changes, overrides=("neuron.a=5", "seed=3"))
    settings = command("show", "run").out.partition("default\n")[2].partition("\n\n")[0]
    assert "  neuron.a=5" in settings


def test_settings_from_the_resolved_config_alone(command: Command) -> None:
    folder = make_run(Path("outputs/run"), changes={"neuron.beta": 0.9, "neuron.reset": "subtract"})
    (folder / ".hydra" / "config.yaml").unlink()
    out = command("show", "run").out
    assert "neuron.beta=0.9" in out
    assert "neuron.reset" not in out, "a reference that stood for the default"


def test_a_run_that_has_barely_begun(command: Command) -> None:
    Path("outputs/run/.hydra").mkdir(parents=True)
    code, out, err = command("show", "run")
    assert (code, err) == (0, "")
    age = re.search(r"started ([\d.]+ \w+) ago", out)
    assert age is not None
    assert out == (
        f"outputs/run\ndead, started {age[1]} ago\n\n"
        "settings that are not the default\n  (config.yaml: missing)\n\n"
        "result\n  (missing)\n\n"
        "environment\n  (manifest.json: missing)\n"
    )
    words = command("runs").out.splitlines()[1].split()
    assert (words[0], words[-1], len(words)) == ("dead", "run", 4)


def test_who_writes_a_run(command: Command) -> None:
    folder = make_run(Path("outputs/run"), result=None)
    with RunLock(folder):
        out = command("show", "run").out
    assert "\nrunning, 3 of 3 epochs, started " in out
    assert "\nwritten by process " in out


def test_a_diff(command: Command) -> None:
    make_run(Path("outputs/one"), overrides=("a",))
    make_run(
        Path("outputs/two"),
        changes={"neuron.beta": 0.9, "seed": 4},
        choices={"surrogate": "sigmoid"},
        manifest={"packages": {**MANIFEST["packages"], "torch": "2.11.0", "new": "1"}, "threads": 4, "git": None},  # type: ignore[dict-item]
        result={**RESULT, "test_accuracy": 0.985},
    )
    code, out, err = command("diff", "one", "two")
    assert (code, err) == (0, "")
    lines = [line.split() for line in out.splitlines() if line]
    assert lines[:2] == [["A", "outputs/one"], ["B", "outputs/two"]]
    for line in (
        ["seed", "3", "4", "+1"],
        ["surrogate._target_", "snnrun.surrogate.ATan", "snnrun.surrogate.Sigmoid"],
        ["neuron.beta", "null", "0.9"],
        ["packages.torch", "2.10.0", "2.11.0"],
        ["packages.new", "-", "1"],
        ["threads", "2", "4", "+2"],
        ["git.commit", "0123abcd", "-"],
        ["test_accuracy", "0.975", "0.985", "+0.01"],
    ):
        assert line in lines
    assert not [line for line in lines if line[0] in ("epochs", "packages.numpy", "test_loss")]


def test_no_difference(command: Command) -> None:
    make_run(Path("outputs/one"))
    make_run(Path("outputs/two"), manifest={"started": "2026-03-02T12:00:00+00:00", "command": ["other"]})
    out = command("diff", "one", "two").out
    assert out.endswith("config: no difference\n\nenvironment: no difference\n\nresult: no difference\n")


def test_a_diff_with_a_run_that_has_not_ended(command: Command) -> None:
    make_run(Path("outputs/one"))
    make_run(Path("outputs/two"), result=None)
    out = command("diff", "one", "two").out
    assert out.endswith("result\n  B cannot be read: missing\n")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (9.94, "9.9 s"), (119, "119 s"), (120, "2 min"), (7200, "2 h"), (86_400 * 3, "3 d")],
)
def test_durations(seconds: float, text: str) -> None:
    assert format.duration(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (123_456, "123 kB"), (2 * 10**15, "2,000.0 TB")]
)
def test_sizes(count: int, text: str) -> None:
    assert format.size(count) == text


@pytest.mark.long
def test_thousands_of_runs(command: Command) -> None:
    first = make_run(Path("outputs/d/0"))
    for number in range(1, 300):
        folder = first.with_name(str(number))
        (folder / ".hydra").mkdir(parents=True)
        for name in (".hydra/hydra.yaml", "config.yaml", "manifest.json", "result.json"):
            (folder / name).hardlink_to(first / name)
    assert command("runs").out.endswith("\n300 runs: 300 finished\n")
    assert json.loads((first / "result.json").read_text()) == RESULT


def set_up(name: str, accuracy: float | None = None, **more: Any) -> Path:
    result = {**RESULT, "test_accuracy": accuracy, "test_loss": None if accuracy is None else 1 - accuracy}
    return make_run(Path("outputs") / name, result=result, **more)


def names(out: str) -> list[str]:
    return [line.split()[-1] for line in out.partition("\n\n")[0].splitlines()[1:]]


def test_what_is_not_the_default(command: Command) -> None:
    plain = {"seed": 0, "epochs": 20, "num_steps": 25}
    set_up("default", changes=plain)
    set_up("parts", changes={**plain, "model.hidden": [64]}, choices={"neuron": "if", "surrogate": "sigmoid"})
    set_up("own", changes={**plain, "neuron.a": 5}, choices={"neuron": "mine"}, overrides=("neuron.a=5",))
    set_up(
        "task", changes={"seed": 1, "epochs": 5}, choices={"task": "zeros", "loss": "mean_square", "encoder": "none"}
    )
    set_up("called", changes={**plain, "name": "called", "report.figures": False, "optimizer.lr": 0.001})
    changes_of = {
        each["folder"].rpartition("/")[2]: each["changes"] for each in json.loads(command("runs", "--json").out)
    }
    assert changes_of["default"] == {}
    assert changes_of["parts"] == {"neuron": "if", "surrogate": "sigmoid", "model.hidden": [64]}
    assert changes_of["own"] == {"neuron": "mine", "neuron.a": 5}
    assert changes_of["called"] == {"report.figures": False}
    # The loss and the encoder are those that the task chooses, and num_steps=25 is not what it sets.
    assert {key: changes_of["task"][key] for key in changes_of["task"] if "." not in key} == {
        "task": "zeros",
        "seed": 1,
        "num_steps": 25,
        "epochs": 5,
    }
    set_up("elsewhere", changes={**plain, "name": "called", "neuron.beta": 0.9}, choices={"neuron": "lif"})
    lines = {line.split()[-1]: line for line in command("runs").out.splitlines() if line}
    assert "  name=called neuron.beta=0.9 " in lines["elsewhere"]
    assert "  neuron=if surrogate=sigmoid model.hidden=[64]  parts" in lines["parts"]
    assert "  report.figures=false " in lines["called"], "the folder has the name already"


def test_several_parts_of_a_group(command: Command) -> None:
    parts = {
        "augmentation": {"flip": {"_target_": "snnrun.augmentation.Flip", "share": 0.5}},
        "validation": 0.1,
        "_target_": "snnrun.task.Digits",
    }
    parts["augmentation"] |= {"crop": {"_target_": "snnrun.augmentation.Crop", "padding": 2}}  # type: ignore[operator]
    set_up("run", changes={"task": parts})
    (row,) = json.loads(command("runs", "--json").out)
    assert row["changes"]["augmentation"] == ["flip", "crop"]
    assert row["changes"]["task.augmentation.crop.padding"] == 2
    assert "task.augmentation.flip.share" not in row["changes"]


def test_without_hydras_folder_parts_are_recognised(command: Command) -> None:
    folder = set_up("run", choices={"neuron": "synaptic", "optimizer": "sgd"})
    shutil.rmtree(folder / ".hydra")
    (row,) = json.loads(command("runs", "--json").out)
    assert (row["changes"]["neuron"], row["changes"]["optimizer"]) == ("synaptic", "sgd")


def test_a_list_of_objects(command: Command) -> None:
    set_up("run", 0.9, changes={"name": "base"}, manifest={"started": "2026-03-01T12:00:00+00:00"})
    make_run(Path("outputs/dead"), result=None, manifest={"started": "2026-03-02T12:00:00+01:00"})
    code, out, err = command("runs", "--json")
    assert (code, err) == (0, "")
    first, second = json.loads(out)
    fields = ["folder", "name", "status", "started", "accuracy", "loss", "epochs", "seconds", "changes"]
    assert list(first) == list(second) == fields
    assert [first[field] for field in fields[:-1]] == [
        *("outputs/dead", None, "dead", "2026-03-02T11:00:00+00:00", None, None, 3, None),
    ]
    assert [second[field] for field in fields[:-1]] == [
        *("outputs/run", "base", "finished", "2026-03-01T12:00:00+00:00", 0.9, pytest.approx(0.1), 3, 12.0),
    ]
    assert json.loads(command("runs", "--json", "nowhere-else").out or "null") is None
    shutil.rmtree("outputs")
    assert json.loads(command("runs", "--json").out) == []


def test_values_that_json_has_not(command: Command) -> None:
    folder = set_up("run")
    config = "seed: .nan\nepochs: 2026-01-01\nnum_steps: [1, .inf, {a: !!set {b}}]\nbig: " + "9" * 100 + "\nx: {1: 2}\n"
    (folder / ".hydra/config.yaml").write_text(config)
    code, out, _ = command("runs", "--json")
    assert code == 0

    def refuse(word: str) -> None:
        raise AssertionError(word)

    (row,) = json.loads(out, parse_constant=refuse)
    assert row["changes"]["epochs"] == "2026-01-01"
    assert command("runs", "--sort", "seed").code == 0


def test_a_start_that_no_calendar_has(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    set_up("run")
    monkeypatch.setattr("snnrun.run.browse._start_time", lambda *_: 1e18)  # the time of a file, on some file systems
    (row,) = json.loads(command("runs", "--json").out)
    assert row["started"] is None
    assert command("runs").code == 0


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("accuracy", "b c a d"),
        ("accuracy,asc", "a c b d"),
        ("loss", "b c a d"),
        ("time", "d c b a"),
        ("time,asc", "a b c d"),
        ("epochs", "c b a d"),
        ("seconds", "a b c d"),
        ("status", "d c b a"),
        ("name", "c a d b"),
        ("optimizer.lr", "b c d a"),
        ("optimizer.lr,desc", "a d c b"),
        ("neuron", "c d b a"),
        ("model.hidden", "d c b a"),
    ],
)
def test_sorting(command: Command, order: str, expected: str) -> None:
    def start_on(day: int) -> dict[str, str]:
        return {"started": f"2026-03-0{day}T12:00:00+00:00"}

    lif: dict[str, str] = {"neuron": "lif"}
    runs: dict[str, Any] = {
        "a": (0.5, 1, {"name": "y", "optimizer.lr": 0.1}, lif, {"epochs": 3, "seconds": 1.0}),
        "b": (0.9, 2, {"optimizer.lr": "1e-4"}, {"neuron": "lapicque"}, {"epochs": 4, "seconds": 2.0}),
        "c": (0.7, 3, {"name": "x"}, {"neuron": "if"}, {"epochs": 5, "seconds": 3.0}),
    }
    for name, (accuracy, day, changes, choices, more) in runs.items():
        result = {**RESULT, "test_accuracy": accuracy, "test_loss": 1 - accuracy, **more}
        make_run(Path("outputs") / name, changes=changes, choices=choices, manifest=start_on(day), result=result)
    failure: dict[str, Any] = {"status": "failed", "epochs": None, "seconds": None}
    last = {"name": "z", "optimizer.lr": 0.01}
    make_run(Path("outputs/d"), changes=last, choices={"neuron": "izhikevich"}, manifest=start_on(4), result=failure)
    code, out, err = command("runs", "--sort", order)
    assert (code, err) == (0, "")
    assert " ".join(names(out)) == expected
    assert command("runs", f"--sort={order}").out == out


@pytest.mark.parametrize(
    ("order", "facts"),
    [
        ("acuracy", ("acuracy", "did you mean accuracy?")),
        ("lr", ("no run has lr", "did you mean optimizer.lr?")),
        ("loss,up", ("loss,asc or loss,desc", "got 'loss,up'")),
        ("", ()),
    ],
)
def test_what_cannot_be_sorted_by(command: Command, order: str, facts: tuple[str, ...]) -> None:
    set_up("run")
    outcome = command("runs", f"--sort={order}")
    assert outcome.code == 2
    for fact in ("--sort: ", *facts):
        assert fact in outcome.err


@pytest.mark.parametrize("width", [60, 80])
def test_the_table_fits_the_terminal(command: Command, monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    for i in range(3):
        folder = Path(f"outputs/multirun/2026-03-01/12-00-00-a-name-that-is-rather-long-0a1b2c3d/{i}-lif-atan-s{i}")
        make_run(folder, changes={"name": "a name", "model.hidden": [200] * i}, choices={"surrogate": "triangular"})
    run = make_run(Path("outputs/d"), result={**RESULT, "status": "interrupted", "epochs": 1})
    (run / "checkpoints" / "step-10.ckpt").touch()
    out = command("runs").out
    assert max(map(len, out.splitlines())) <= width
    assert "name=a" in out
    assert "..." not in out
    for i in range(3):
        assert f"/{i}-lif-atan-s{i}" in out or f"f-atan-s{i}" in out, "the end of a folder's name is enough to name it"


@pytest.mark.parametrize("width", [60, 80])
def test_a_page_fits_the_terminal(command: Command, monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    layer = {"neurons": 100_000, "firing_rate": 0.00012345, "silent": 0.1234, "saturated": 1.0}
    summary = {"mean": 0.91234, "sd": 0.0123, "low": 0.8, "high": 0.95, "histogram": [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]}
    record = {
        **epoch(1),
        "learning_rate": 1.2345e-05,
        "samples_per_second": 1_234_567.0,
        "layers": {"convolution1": layer, "output": layer},
        "gradients": {"convolution1": {"norm": 1.234e-7, "zero": 0.5}},
        "neuron_parameters": {"convolution1": {"graded_spikes_factor": summary}},
    }
    sha = "0123456789abcdef" * 4
    folder = make_run(
        Path("outputs/2026-03-01/12-00-00-snntorch_tutorial_5-synaptic-triangular-mnist-0a1b2c3d"),
        changes={"model.hidden": list(range(100, 120)), "neuron.beta": 0.9, "name": "x" * 64},
        metrics=(record,),
        result={**RESULT, "weights_sha256": sha},
        manifest={"command": ["snnrun", *(f"optimizer.lr={i}" for i in range(10))], "data": {"digits": sha}},
        log="warning: " + "a layer is silent and what to do, " * 10 + "\n",
    )
    (folder / "figures" / ("a" * 70 + ".png")).touch()
    code, out, err = command("show", "0a1b2c3d")
    assert (code, err) == (0, "")
    assert max(map(len, out.splitlines())) <= width
    for text in (sha, "optimizer.lr=9", "convolution1" if width == 80 else "con..on1", "0.9123", "1,234,567", "x" * 64):
        assert text in out.replace("\n", "").replace(" ", "") or text in out


def test_a_page_in_a_pipe_has_whole_lines(command: Command) -> None:
    make_run(Path("outputs/run"), log="warning: " + "word " * 100 + "\n")
    assert max(map(len, command("show", "run").out.splitlines())) > 200
