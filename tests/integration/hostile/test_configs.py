"""Configs from strangers: each ends in a message of a few lines, and what it would run does not run."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import yaml

from snnrun.config.build import PartError, build
from support.command import Command, Stranger
from support.shell import snnrun

LIF = yaml.safe_dump({"_target_": "snnrun.neuron.LIF", "_partial_": True, "surrogate": "${surrogate}"})
TOUCH = {"command": "touch canary"}
OTHERS = ["touch", "canary"]


def neuron(target: object, **more: object) -> str:
    return yaml.safe_dump({"_target_": target, **more})


def whole(**keys: object) -> str:
    return "# @package _global_\n" + yaml.safe_dump(keys)


#: Files of the folder, words of the command besides --config-dir, and what the message must say.
CASES: dict[str, tuple[dict[str, str], str, str]] = {
    # --- what is called -----------------------------------------------------------------------------------------
    "a shell command": ({"neuron/evil.yaml": neuron("os.system", **TOUCH)}, "neuron=evil", "os.system is no part"),
    "a program": (
        {"neuron/evil.yaml": neuron("subprocess.Popen", args=OTHERS)},
        "neuron=evil",
        "subprocess.Popen is no part",
    ),
    "code as text": (
        {"neuron/evil.yaml": neuron("builtins.exec", source="open('canary', 'w')")},
        "neuron=evil",
        "builtins.exec is no part",
    ),
    "a partial": (
        {"neuron/evil.yaml": neuron("os.system", _partial_=True, **TOUCH)},
        "neuron=evil",
        "neuron._target_: os.system is no part",
    ),
    "Hydra's other words": (
        {"neuron/evil.yaml": neuron("snnrun.neuron.LIF", _partial_=True, _args_=OTHERS, _convert_="all")},
        "neuron=evil",
        "neuron._args_",
    ),
    "a part in a part": (
        {"neuron/evil.yaml": LIF + "threshold: {_target_: os.system, command: touch canary}\n"},
        "neuron=evil",
        "neuron.threshold._target_: os.system",
    ),
    "a part in a list in a part": (
        {"model/evil.yaml": neuron("snnrun.model.MLP", _partial_=True, hidden=[{"_target_": "os.system", **TOUCH}])},
        "model=evil",
        "model.hidden[0]._target_: os.system",
    ),
    "a part that nothing builds": (
        {"experiment/evil.yaml": whole(report={"figures": {"_target_": "os.system", **TOUCH}})},
        "experiment=evil",
        "report.figures._target_: os.system",
    ),
    "a module of the folder": (
        {"neuron/evil.yaml": neuron("payload_of_tests.run")},
        "neuron=evil",
        "if you know payload_of_tests and want it to run, add trust=payload_of_tests to",
    ),
    "a function by its name": (
        {"surrogate/evil.yaml": neuron("snnrun.surrogate.Custom", function="payload_of_tests.run")},
        "surrogate=evil",
        "surrogate.function: payload_of_tests.run is code outside snnrun",
    ),
    "a function of a part by its name": (
        {"surrogate/evil.yaml": neuron("snnrun.surrogate.Custom", function="os.system")},
        "surrogate=evil",
        "surrogate.function: os.system is no part",
    ),
    "the second function by its name": (
        {
            "surrogate/evil.yaml": neuron(
                "snnrun.surrogate.Custom", function="snnrun.surrogate.user.example", integral="os.system"
            )
        },
        "surrogate=evil",
        "surrogate.integral: os.system is no part",
    ),
    "all at once": (
        {
            "experiment/evil.yaml": "# @package _global_\nseed: -1\n"
            + "".join(f"{group}: {{_target_: os.system}}\n" for group in ("neuron", "encoder", "loss", "task", "model"))
        },
        "experiment=evil",
        "6 faults",
    ),
    # --- by a way round -----------------------------------------------------------------------------------------
    "by a reference": (
        {"experiment/evil.yaml": whole(neuron={"_target_": "${loss.accuracy}"}, loss={"accuracy": "os.system"})},
        "experiment=evil",
        "os.system is no part",
    ),
    "in pieces": (
        {"experiment/evil.yaml": whole(neuron={"_target_": "${data_dir}.system"}, data_dir="os")},
        "experiment=evil",
        "neuron._target_: os.system is no part",
    ),
    "decoded": (
        {"neuron/evil.yaml": neuron('${oc.decode:"os.system"}', **TOUCH)},
        "neuron=evil",
        "neuron._target_: os.system is no part",
    ),
    "through a module of torch": (
        {"neuron/evil.yaml": neuron("torch.nn.modules.module.warnings.sys.exit")},
        "neuron=evil",
        "torch.nn.modules.module has no warnings.sys.exit",
    ),
    "through a module of ours": (
        {"neuron/evil.yaml": neuron("snnrun.task.download.os.system", **TOUCH)},
        "neuron=evil",
        "snnrun.task.download has no os.system",
    ),
    "through a function's globals": (
        {"neuron/evil.yaml": neuron("snnrun.task.idx.read_idx.__globals__.get")},
        "neuron=evil",
        "snnrun.task.idx has no read_idx.__globals__.get",
    ),
    "what a module of ours imported": (
        {"task/evil.yaml": neuron("snnrun.task.mnist5k.DataError")},
        "task=evil",
        "is defined in snnrun.errors: snnrun.errors.DataError is no part",
    ),
    "our own runner of programs": (
        {"neuron/evil.yaml": neuron("snnrun.report.manifest._output", **TOUCH)},
        "neuron=evil",
        "snnrun.report.manifest._output is no part",
    ),
    "our own writer of files": (
        {"neuron/evil.yaml": neuron("snnrun.system.files.write_text", path="canary", text="")},
        "neuron=evil",
        "snnrun.system.files.write_text is no part",
    ),
    "our own command": (
        {"neuron/evil.yaml": neuron("snnrun.cli.main", argv=["trust=payload_of_tests"])},
        "neuron=evil",
        "snnrun.cli.main is no part",
    ),
    "our own download": (
        {"task/evil.yaml": neuron("snnrun.task.download.download", source="MNIST", data_dir=".", names=[])},
        "task=evil",
        "expected a class, got snnrun.task.download.download",
    ),
    "what torch runs": (
        {"neuron/evil.yaml": neuron("torch.hub.load", repo_or_dir=".", model="evil", source="local")},
        "neuron=evil",
        "torch.hub.load is no part",
    ),
    "what torch unpickles": (
        {"task/evil.yaml": neuron("torch.load", f="evil.pt", weights_only=False)},
        "task=evil",
        "torch.load is no part",
    ),
    "a function of torch.nn": (
        {"loss/evil.yaml": neuron("torch.nn.utils.parametrize.register_parametrization")},
        "loss=evil",
        "expected a class, got torch.nn.utils.parametrize",
    ),
    "a class that torch.nn imported": (
        {"model/evil.yaml": neuron("torch.nn.modules.module.OrderedDict")},
        "model=evil",
        "is defined in collections",
    ),
    # --- a config that trusts itself ------------------------------------------------------------------------------
    "trust in a part": (
        {"neuron/evil.yaml": neuron("payload_of_tests.run", trust=["payload_of_tests"])},
        "neuron=evil",
        "payload_of_tests.run is code outside snnrun",
    ),
    "trust in a set-up": (
        {"experiment/evil.yaml": whole(trust=["payload_of_tests"], neuron={"_target_": "payload_of_tests.run"})},
        "experiment=evil",
        "trust: a config cannot trust itself",
    ),
    "trust as a key": ({}, "+trust=[payload_of_tests]", "trust: a config cannot trust itself"),
    "trust of what everyone has": (
        {"neuron/evil.yaml": neuron("os.system", **TOUCH)},
        "neuron=evil trust=[os]",
        "trust: os is not a package of parts",
    ),
    "trust of torch": ({}, "trust=torch", "trust: torch is not a package of parts"),
    "trust of no name": ({}, "trust=[../evil]", "trust: expected names of packages"),
    # --- Hydra's own settings -----------------------------------------------------------------------------------
    "a callback": (
        {"experiment/evil.yaml": whole(hydra={"callbacks": {"evil": {"_target_": "payload_of_tests.run"}}})},
        "experiment=evil",
        "experiment/evil.yaml sets the key hydra",
    ),
    "a callback in a file that is always read": (
        {"task/digits/mlp.yaml": whole(hydra={"callbacks": {"evil": {"_target_": "payload_of_tests.run"}}})},
        "",
        "task/digits/mlp.yaml sets the key hydra",
    ),
    "a callback by escapes": (
        {"experiment/evil.yaml": '# @package _global_\n"\\x68ydra": {callbacks: {evil: {_target_: os.system}}}\n'},
        "experiment=evil",
        "experiment/evil.yaml sets the key hydra",
    ),
    "a callback by a header": (
        {"lab/evil.yaml": "# @package hydra.callbacks.evil\n_target_: payload_of_tests.run\n"},
        "+lab=evil",
        "lab/evil.yaml has a header for Hydra's own config",
    ),
    "a callback by a header behind an odd line break": (
        {"lab/evil.yaml": "# @x y\u2028# @package hydra.callbacks.evil\n_target_: payload_of_tests.run\n"},
        "+lab=evil",
        "lab/evil.yaml has a header for Hydra's own config",
    ),
    "a callback by a list of defaults": (
        {
            "lab/evil.yaml": "_target_: payload_of_tests.run\n",
            "experiment/evil.yaml": whole(defaults=[{"/lab@hydra.callbacks.evil": "evil"}]),
        },
        "experiment=evil",
        "/lab@hydra.callbacks.evil leads to Hydra's own config",
    ),
    "a log handler": (
        {"experiment/evil.yaml": whole(hydra={"job_logging": {"root": {}, "handlers": {"evil": {"()": "os.system"}}}})},
        "experiment=evil",
        "sets the key hydra",
    ),
    "a log in Hydra's own folder": (
        {"hydra/job_logging/evil.yaml": "handlers: {evil: {(): payload_of_tests.run}}\n"},
        "hydra/job_logging=evil",
        "hydra/job_logging/evil.yaml is a config of Hydra",
    ),
    "a launcher": (
        {"hydra/launcher/evil.yaml": "_target_: payload_of_tests.run\n"},
        "-m hydra/launcher=evil",
        "hydra/launcher/evil.yaml is a config of Hydra",
    ),
    "a launcher chosen by a file": (
        {"experiment/evil.yaml": whole(defaults=[{"override /hydra/launcher": "evil"}])},
        "experiment=evil",
        "override /hydra/launcher leads to Hydra's own config",
    ),
    "the environment of programs": (
        {"experiment/evil.yaml": whole(hydra={"job": {"env_set": {"PATH": "."}}})},
        "experiment=evil",
        "sets the key hydra",
    ),
    "a file outside": (
        {"experiment/evil.yaml": whole(defaults=["/../elsewhere"])},
        "experiment=evil",
        "leads to Hydra's own config or out of the folder",
    ),
    "a file in a hidden folder": (
        {"experiment/evil.yaml": whole(defaults=["/.hidden/evil"]), ".hidden/evil.yaml": whole(hydra={})},
        "experiment=evil",
        "/.hidden/evil leads to",
    ),
    "a plug-in": (
        {"hydra_plugins/evil_of_tests.py": "open('canary', 'w')\n", "neuron/evil.yaml": neuron("os.system")},
        "neuron=evil",
        "os.system is no part",
    ),
    "one job of many": (
        {"neuron/evil.yaml": neuron("payload_of_tests.run")},
        "-m seed=range(0,30) neuron=lif,if,evil",
        "payload_of_tests.run is code outside snnrun",
    ),
    # --- what YAML and OmegaConf can do -------------------------------------------------------------------------
    "a YAML object": (
        {"neuron/evil.yaml": '!!python/object/apply:os.system ["touch canary"]\n'},
        "neuron=evil",
        "could not determine a constructor",
    ),
    "a YAML object in a value": (
        {"neuron/evil.yaml": LIF + 'threshold: !!python/object/apply:os.system ["touch canary"]\n'},
        "neuron=evil",
        "could not determine a constructor",
    ),
    "the environment": (
        {"experiment/evil.yaml": whole(data_dir="${oc.env:HOME}")},
        "experiment=evil",
        "a config may not read the environment",
    ),
    "the environment in two steps": (
        {"experiment/evil.yaml": whole(data_dir="${oc.decode:${output_dir}}", output_dir="\\${oc.env:HOME}")},
        "experiment=evil",
        "a config may not read the environment",
    ),
    # --- the other commands -------------------------------------------------------------------------------------
    "an input": (
        {"input/evil.yaml": neuron("payload_of_tests.run")},
        "simulate input=evil",
        "input._target_: payload_of_tests.run is code outside snnrun",
    ),
    "a neuron to look at": (
        {"neuron/evil.yaml": neuron("payload_of_tests.run")},
        "simulate neuron=evil",
        "neuron._target_: payload_of_tests.run is code outside snnrun",
    ),
    "a surrogate to look at": (
        {"surrogate/evil.yaml": neuron("payload_of_tests.run")},
        "plot surrogate=atan,evil",
        "surrogate._target_: payload_of_tests.run is code outside snnrun",
    ),
}


@pytest.mark.parametrize(
    ("files", "words", "message"),
    [
        pytest.param(*case, id=name, marks=() if i % 4 == 0 else (pytest.mark.long,))
        for i, (name, case) in enumerate(CASES.items())
    ],
)
def test_nothing_of_it_runs(
    files: dict[str, str], words: str, message: str, command: Command, stranger: Stranger
) -> None:
    first, *rest = words.split() or [""]
    folder = ("--config-dir", str(stranger(files)))
    outcome = command(
        *([first, *folder] if first in ("simulate", "plot") else [*folder, first] if first else folder), *rest
    )
    assert outcome.code == 2
    assert message in outcome.err
    assert "Traceback" not in outcome.err and len(outcome.err.splitlines()) <= 12


OVERRIDES = {
    "hydra.callbacks.x._target_=os.system": "could run any program",
    "+hydra.callbacks.x={_target_:os.system,command:ls}": "could run any program",
    "hydra.searchpath=[pkg://payload_of_tests]": "could run any program",
    "hydra.sweeper._target_=os.system": "could run any program",
    "hydra.launcher={_target_:os.system}": "could run any program",
    "hydra.run.dir={_target_:os.system}": "could run any program",
    "hydra.job_logging.root={}": "could run any program",
    "hydra/job_logging=default": "could run any program",
    "hydra.job.env_set.PATH=.": "could run any program",
    "+neuron@hydra.callbacks.x=lif": "could run any program",
    "neuron._target_=os.system": "os.system is no part",
    "+neuron.threshold._target_=os.system": "neuron.threshold",
}


@pytest.mark.parametrize(("word", "message"), OVERRIDES.items(), ids=OVERRIDES.keys())
def test_nor_what_somebody_was_talked_into_typing(word: str, message: str, command: Command) -> None:
    outcome = command(word)
    assert outcome.code == 2
    assert message in outcome.err
    assert len(outcome.err.splitlines()) <= 5


def test_what_may_be_typed_of_hydra(command: Command) -> None:
    outcome = command("--cfg", "job", "hydra.run.dir=here", "hydra.sweep.subdir=x", "hydra/launcher=basic")
    assert outcome.code == 0, outcome.err


def test_looking_runs_nothing(command: Command, stranger: Stranger) -> None:
    folder = str(stranger({"neuron/evil.yaml": neuron("payload_of_tests.run")}))
    for words in (["list"], ["list", "neuron", "evil"], ["--help"], ["--cfg", "job", "neuron=evil"]):
        outcome = command("--config-dir", folder, *words)
        assert outcome.code == 0
        assert "evil" in outcome.out or "payload_of_tests" in outcome.out


@pytest.mark.skipif(os.name != "posix", reason="links need rights elsewhere")
def test_a_link_to_what_is_hidden(command: Command, stranger: Stranger) -> None:
    folder = stranger({".hidden/evil.yaml": whole(hydra={"callbacks": {"x": {"_target_": "payload_of_tests.run"}}})})
    (folder / "experiment").symlink_to(".hidden", target_is_directory=True)
    (folder / ".hidden" / "circle").symlink_to("..", target_is_directory=True)
    outcome = command("--config-dir", str(folder), "experiment=evil")
    assert outcome.code == 2
    assert "experiment/evil.yaml sets the key hydra" in outcome.err


HONEST = """
import os
from os import system as run
from snnrun.neuron import IF

class Mine(IF):
    pass

def make(**options):
    return Mine(**options)
"""


@pytest.mark.parametrize("name", ["os.system", "run", "make.__globals__.get", "Mine.__class__", "Mine.__init__"])
def test_trust_in_a_module_is_none_in_what_it_imports(name: str, command: Command, stranger: Stranger) -> None:
    folder = stranger({"honest_of_tests.py": HONEST, "neuron/evil.yaml": neuron(f"honest_of_tests.{name}", **TOUCH)})
    outcome = command("--config-dir", str(folder), "neuron=evil", "trust=[honest_of_tests]")
    assert outcome.code == 2
    assert "honest_of_tests" in outcome.err


def test_trust_in_one_module_of_a_folder_is_none_in_the_others(command: Command, stranger: Stranger) -> None:
    files = {
        "honest_of_tests.py": "import payload_of_tests\n" + HONEST,
        "hydra_plugins/evil_of_tests.py": "open('canary', 'w')\n",
        "neuron/mine.yaml": neuron("honest_of_tests.Mine", _partial_=True),
    }
    outcome = command("--config-dir", str(stranger(files)), "neuron=mine", "trust=[honest_of_tests]")
    assert outcome.code == 2
    assert "importing honest_of_tests failed: No module named 'payload_of_tests'" in outcome.err


@pytest.mark.long
def test_a_plug_in_of_the_folder_is_not_looked_for(tmp_path: Path, stranger: Stranger) -> None:
    """In a process of its own, since Hydra looks for plug-ins once."""
    files = {
        "honest_of_tests.py": HONEST,
        "hydra_plugins/evil_of_tests.py": "open('canary', 'w')\n",
        "neuron/mine.yaml": neuron("honest_of_tests.Mine", _partial_=True),
    }
    words = ("--config-dir", str(stranger(files)), "neuron=mine", "trust=[honest_of_tests]", "epochs=0")
    result = snnrun(*words, cwd=tmp_path / "elsewhere")
    assert result.code == 2
    assert "1 fault in" in result.err, "only that of the epochs"
    assert list(result.cwd.iterdir()) == []


def test_trust_by_the_environment(command: Command, stranger: Stranger, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {"honest_of_tests.py": HONEST, "neuron/mine.yaml": neuron("honest_of_tests.Mine", _partial_=True)}
    words = ("--config-dir", str(stranger(files)), "neuron=mine", "epochs=0")
    monkeypatch.setenv("SNNRUN_TRUST", "other, honest_of_tests")
    assert "1 fault in" in command(*words).err, "only that of the epochs"
    monkeypatch.setenv("SNNRUN_TRUST", "os")
    assert "SNNRUN_TRUST: os is not a package of parts" in command(*words).err


def test_trust_by_an_installed_package(
    command: Command, stranger: Stranger, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    files = {"honest_of_tests.py": HONEST, "neuron/mine.yaml": neuron("honest_of_tests.Mine", _partial_=True)}
    points = "[snnrun.plugins]\nmine = honest_of_tests\n"
    folder = stranger({**files, "honest_of_tests-1.dist-info/entry_points.txt": points})
    words = ("--config-dir", str(folder), "neuron=mine", "epochs=0")
    assert "2 faults" in command(*words).err, "a folder of parts is not installed"
    monkeypatch.syspath_prepend(folder)
    assert "1 fault in" in command(*words).err


def test_a_file_of_numbers_is_not_unpickled(command: Command, tmp_path: Path) -> None:
    class Payload:
        def __reduce__(self) -> tuple[object, ...]:
            return open, ("canary", "w")

    np.save(tmp_path / "evil.npy", np.array([Payload()], dtype=object), allow_pickle=True)
    outcome = command("simulate", "input=file", f"input.path={tmp_path / 'evil.npy'}")
    assert outcome.code in (2, 3)
    assert "Object arrays cannot be loaded" in outcome.err


def test_a_frozen_config_is_not_trusted_either() -> None:
    """As a run's folder keeps it, and as it is built again without Hydra."""
    for target in ("os.system", "payload_of_tests.run", "snnrun.system.files.write_text"):
        with pytest.raises(PartError, match=r"is no part|is code outside snnrun"):
            build(json.loads(json.dumps({"_target_": target, **TOUCH})), "neuron")


def test_a_word_around_the_key_is_none(command: Command) -> None:
    assert command("--cfg", "job", "hydra.run.dir=zero_target_article").code == 0
