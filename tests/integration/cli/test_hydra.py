"""What Hydra does for the command: its grammar, ``--info``, completion in a shell, and plug-ins of others."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import hydra
import pytest
import yaml
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException

from snnrun.config.catalogue import Catalogue
from snnrun.job import compose
from snnrun.job.compose import composer
from snnrun.job.grid import grid
from support.command import Command, Training

SWEEPS = [
    ["seed=0,1", "neuron=if,lif"],
    ["neuron=if,lif", "seed=0,1", "epochs=3"],
    ["neuron=choice(lif,if)", "seed=range(0,3)", "num_steps=range(10,4,-3)"],
    ["seed=sort(3,1,2)", "optimizer.lr=sort(1e-2,0.1,reverse=true)"],
    ["neuron=glob(l*,exclude=[li*])", "surrogate=glob([a*,sig*])"],
    ["seed=tag(mine,choice(1,2))", "epochs=int(choice(1.5,2.5))"],
    ["model.hidden=[100],[50,50]", "++neuron={a: 1},{a: 2}"],
    ["name='a b'", 'model.bias_init="uniform(0,1)"', "optimizer.betas=[0.9, 0.99]"],
    ["~regulariser", "~tracker=csv", "+neuron.x=1", "seed=0,1"],
    ["task@other=digits,zeros", "seed=0"],
    ["seed=0,1", "epochs=2", "seed=5,6,7"],
    ["epochs=1"],
    [],
]


@pytest.mark.parametrize("words", SWEEPS, ids=" ".join)
def test_the_jobs_are_those_of_hydras_own_sweeper(words: list[str]) -> None:
    with composer(Catalogue()) as composition:
        overrides = composition.parser.parse_overrides(words)
        (expected,) = BasicSweeper.split_arguments(overrides, None)
        assert [list(job) for job in grid(overrides)] == expected


def test_a_shuffled_sweep_has_the_same_jobs_and_an_interval_has_none() -> None:
    with composer(Catalogue()) as composition:
        (shuffle, interval) = composition.parser.parse_overrides(["seed=shuffle(range(0,6))", "seed=interval(0,6)"])
        assert sorted(grid([shuffle])) == [(f"seed={i}",) for i in range(6)]
        with pytest.raises(HydraException):
            grid([interval])


@pytest.mark.parametrize("words", [("seed=3", "neuron=if"), ("-m", "seed=0,1", "neuron=if")], ids=" ".join)
def test_the_config_that_was_checked_is_run(
    words: tuple[str, ...], command: Command, training: Training, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[str, ...]] = []

    def count(primary: str, overrides: list[str], return_hydra_config: bool) -> object:
        calls.append(tuple(overrides))
        return hydra.compose(primary, overrides, return_hydra_config)

    monkeypatch.setattr(compose, "compose", count)
    assert command(*words).code == 0
    assert len(calls) == 1, calls  # the parts; the values of each job are set beside


def test_nothing_is_left_of_hydra(command: Command, training: Training) -> None:
    assert command("-m", "seed=0,1", "hydra.sweep.dir=sweep").code == 0
    assert not HydraConfig.initialized()
    marks = [yaml.safe_load(path.read_text()) for path in sorted(Path("sweep").glob("*/.hydra/hydra.yaml"))]
    nodes = [mark["hydra"] for mark in marks]
    assert [(node["mode"], node["job"]["num"], node["job"]["id"]) for node in nodes] == [
        ("MULTIRUN", 0, "0"),
        ("MULTIRUN", 1, "1"),
    ]
    outputs = [node["runtime"]["output_dir"] for node in nodes]
    assert outputs == [str(call["folder"]) for call in training.calls]
    assert nodes[0]["overrides"] == {
        "hydra": ["hydra.sweep.dir=sweep", "hydra.mode=MULTIRUN"],
        "task": ["seed=0"],
    }


def test_all_jobs_of_a_sweep_lie_in_one_new_folder(command: Command, training: Training) -> None:
    assert command("-m", "seed=0,1").code == 0
    (folder,) = {call["folder"].parent for call in training.calls}
    for call in training.calls:
        mark = yaml.safe_load((call["folder"] / ".hydra" / "hydra.yaml").read_text())
        assert mark["hydra"]["runtime"]["output_dir"] == str(call["folder"])
    assert folder.is_relative_to(Path.cwd() / "outputs" / "multirun")


INFO = {
    "all": ("Hydra 1.", "Installed Hydra Plugins", "Config search path", "Defaults Tree"),
    "config": ("Defaults List", "threshold: 0.5"),
    "defaults": ("Defaults List", "| neuron/if "),
    "defaults-tree": ("<root>:", "    neuron: if"),
    "plugins": ("BashCompletion", "BasicLauncher"),
    "searchpath": ("| Provider", "structured://"),
}


@pytest.mark.parametrize(("what", "texts"), INFO.items(), ids=INFO.keys())
def test_info(what: str, texts: tuple[str, ...], command: Command, training: Training) -> None:
    before = logging.getLogger().level, list(logging.getLogger().handlers)
    outcome = command("--info", what, "neuron=if", "neuron.threshold=0.5")
    assert (outcome.code, outcome.err) == (0, "")
    assert all(text in outcome.out for text in texts), outcome.out
    assert (logging.getLogger().level, list(logging.getLogger().handlers)) == before
    assert not training.calls and not list(Path.cwd().iterdir())


def test_info_of_a_set_up_whose_neuron_was_replaced(command: Command) -> None:
    config = command("--info", "config", "experiment=snntorch_tutorial_5", "neuron=if").out
    assert "beta: 0.95" not in config and "snnrun.neuron.IF" in config


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--info", "nothing"), "--info: expected all, config, defaults, defaults-tree, plugins or searchpath"),
        (("--info", "-m"), "--info: shows one config and starts nothing; drop -m"),
        (("runs", "--info"), "runs: goes with no flags but"),
        (("--info", "neuron=fi"), "there is no neuron of that name"),
        (("-sc", "install=tcsh"), "-sc: expected install, uninstall or query of bash, fish or zsh"),
        (("--shell-completion",), "write -sc install=bash"),
    ],
)
def test_what_is_no_such_flag(words: tuple[str, ...], message: str, command: Command) -> None:
    outcome = command(*words)
    assert (outcome.code, outcome.out) == (2, "")
    assert message in outcome.err


@pytest.mark.parametrize(
    ("shell", "rule"), [("bash", "hydra_bash_completion"), ("zsh", "hydra_bash_completion"), ("fish", "complete -c")]
)
def test_completion_is_installed(shell: str, rule: str, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["/usr/bin/snnrun"])
    outcome = command("-sc", f"install={shell}")
    assert outcome.code == 0 and rule in outcome.out and "snnrun" in outcome.out
    assert command("--shell-completion", f"uninstall={shell}").code == 0


LINES = {
    "snnrun surrogate=sig": ["surrogate=sigmoid"],
    "snnrun neur": ["neuron.", "neuron="],
    "snnrun neuron=klif neuron.thr": ["neuron.threshold="],
    "snnrun batch_s": ["batch_size="],
    "snnrun batch_size=": ["batch_size=128"],
    "snnrun simulate inp": ["input.", "input="],
    "snnrun simulate input=si": ["input=sine"],
    "snnrun -m --debug seed=0,1 trust=[x] on_error=stop neuron=if,lif optimizer=sgd optimizer.mom": [
        "optimizer.momentum="
    ],
    "snnrun -m seed=interval(0,9) batch_s": ["batch_size="],
    "snnrun experiment=snntorch_tutorial_5 neuron=if neuron.be": [],
    "snnrun experiment=snntorch_tutorial_5 neuron.be": ["neuron.beta="],
    "snnrun hydra/launcher=local": ["hydra/launcher=local_parallel"],
    "snnrun hydra/sweeper=op": ["hydra/sweeper=optuna"],
    "snnrun show ": [],
    "snnrun list neu": [],
    "snnrun --conf": [],
    "snnrun neuron=((( batch_s": [],
    "snnrun neuron=nothing batch_s": [],
}


@pytest.mark.parametrize(("line", "expected"), LINES.items(), ids=LINES.keys())
def test_completion(line: str, expected: list[str], command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMP_LINE", line)
    outcome = command("-sc", "query=bash")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.split() == expected


def test_completion_of_ones_own_parts(own: Path, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Path("parts")
    own.rename(folder)
    monkeypatch.setenv("COMP_LINE", f"snnrun --config-dir {folder} neuron=mi")
    assert command("-sc", "query=fish").out.split() == ["neuron=mine"]
    monkeypatch.setenv("COMP_LINE", f"snnrun --config-dir {folder} neuron=mine neuron.g")
    assert command("-sc", "query=fish").out.split() == ["neuron.gain="]
    (folder / "hydra").mkdir()
    (folder / "hydra" / "x.yaml").write_text("a: 1\n")
    assert command("-sc", "query=fish").out.split() == []


@pytest.fixture
def plugins() -> Iterator[None]:
    """What hydra-joblib-launcher and hydra-ax-sweeper leave where they are installed: an option of Hydra's groups."""
    store = ConfigStore.instance()
    names = {"joblib": "hydra/launcher", "ax": "hydra/sweeper"}
    for name, group in names.items():
        store.store(group=group, name=name, node={"_target_": f"hydra_plugins.{name}.Plugin"}, provider=name)
    yield
    for name, group in names.items():
        del store.repo["hydra"][group.partition("/")[2]][f"{name}.yaml"]


@pytest.mark.parametrize(
    ("words", "messages"),
    [
        (
            ("seed=0,1", "hydra/launcher=joblib"),
            ("joblib is a plug-in of Hydra", "write hydra/launcher=local_parallel", "there are local_parallel, ray"),
        ),
        (("simulate", "neuron=if,lif", "hydra/launcher=joblib"), ("joblib is a plug-in of Hydra",)),
        (
            ("seed=0,1", "hydra/sweeper=ax"),
            ("ax is a plug-in of Hydra", "hydra/sweeper=optuna for a search", "there are grid, optuna"),
        ),
        (("seed=0,1", "hydra/sweeper=axe"), ("there is no sweeper of that name for sweeps; there are grid, optuna",)),
    ],
)
def test_plugins_of_hydra_are_refused(
    words: tuple[str, ...], messages: tuple[str, ...], command: Command, training: Training, plugins: None
) -> None:
    outcome = command("-m", *words)
    assert outcome.code == 2
    assert all(message in outcome.err for message in messages), outcome.err
    assert not training.calls and not list(Path.cwd().iterdir())


def test_hydras_own_sweeper_is_the_grid(command: Command, training: Training) -> None:
    assert command("-m", "seed=1,0", "hydra/sweeper=basic").code == 0
    assert [call["settings"].seed for call in training.calls] == [1, 0]


@pytest.mark.parametrize("word", ["+hydra.launcher.no_such=1", "hydra.launcher.no_such=1"])
def test_an_option_that_the_launcher_does_not_have(word: str, command: Command, training: Training) -> None:
    outcome = command("-m", "seed=0,1", "hydra/launcher=local_parallel", word)
    assert outcome.code == 2 and "hydra.launcher.no_such" in outcome.err
    assert not training.calls
