"""The line that goes on with a run which was stopped: it works as it is pasted, and stands only where it can."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from snnrun.cli.offer import command as offer_of
from snnrun.job.arguments import Arguments
from snnrun.run import browse
from snnrun.training.stop import Interrupted
from support.command import Command

SMALL = [
    *("report.figures=false", "report.summary=false", "report.progress=false"),
    *("task=zeros", "task.steps_per_epoch=2", "batch_size=4", "num_steps=3", "model.hidden=[4]", "epochs=2"),
]
#: The clock wants the run to stop after its first step, whatever machine this is.
TIME_LIMIT = [*SMALL, "max_seconds=1e-9"]


def test_the_last_line_is_the_command_that_goes_on(command: Command) -> None:
    code, _, err = command(*TIME_LIMIT, "hydra.run.dir=run")
    assert code == 143
    assert err.splitlines()[-1] == "snnrun resume run"
    assert command("resume", "run").err.splitlines()[-1] == "snnrun resume run", "it was stopped once more"


@pytest.mark.parametrize("name", ["a run", "it's $HOME", "-run", "~run", "epochs=2", "trust=x/run", "with;semicolon"])
def test_it_is_quoted_for_a_shell(name: str, command: Command) -> None:
    code, _, err = command(*TIME_LIMIT, f'hydra.run.dir="./{name}"')
    assert code == 143
    words = shlex.split(err.splitlines()[-1])
    assert words[:2] == ["snnrun", "resume"] and Path(words[2]).resolve() == Path(name).resolve()
    code, out, err = command(*words[1:])
    assert code == 143 and "resumed after 1 steps" in out, err


def test_it_has_what_the_run_needed_of_the_users_code(command: Command, own: Path) -> None:
    code_of_ones_own = ["--config-dir", str(own), "trust=[my_neuron_of_tests]"]
    code, _, err = command(*code_of_ones_own, *TIME_LIMIT, "neuron=mine", "hydra.run.dir=run")
    assert code == 143
    line = err.splitlines()[-1]
    assert shlex.split(line) == ["snnrun", "resume", "run", *code_of_ones_own]
    code, out, err = command(*shlex.split(line)[1:])
    assert code == 143 and "resumed after 1 steps" in out, err
    assert err.splitlines()[-1] == line
    assert command("resume", "run").code == 2, "without it, the run cannot go on"


def test_and_nothing_of_it_where_the_run_did_without(command: Command, own: Path) -> None:
    code, _, err = command("--config-dir", str(own), "trust=[my_neuron_of_tests]", *TIME_LIMIT, "hydra.run.dir=run")
    assert (code, err.splitlines()[-1]) == (143, "snnrun resume run")


def test_trust_of_the_environment_is_written_out(command: Command, own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The line may be pasted elsewhere, where the variable is not set."""
    monkeypatch.setenv("SNNRUN_TRUST", "my_neuron_of_tests")
    code, _, err = command("--config-dir", str(own), *TIME_LIMIT, "neuron=mine", "hydra.run.dir=run")
    assert code == 143
    monkeypatch.delenv("SNNRUN_TRUST")
    assert command(*shlex.split(err.splitlines()[-1])[1:]).code == 143


def test_a_folder_elsewhere_is_named_by_its_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert offer_of(Path("/elsewhere/run=1"), Arguments()) == "snnrun resume /elsewhere/run=1"
    assert offer_of(tmp_path / "outputs" / "run", Arguments()) == "snnrun resume outputs/run"


def test_nothing_is_offered_where_nothing_was_saved(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise Interrupted(2)

    with monkeypatch.context() as patch:
        patch.setattr("snnrun.run.execute._build", interrupt)
        code, _, err = command(*SMALL, "hydra.run.dir=run")
    assert (code, err) == (130, "snnrun: interrupted\n")
    assert browse.read(Path("run")).status == "interrupted"


def test_nor_after_a_sweep_which_names_its_own_way_on(command: Command) -> None:
    code, _, err = command("-m", *TIME_LIMIT, "seed=0,1", "hydra.sweep.dir=sweep")
    assert code == 7 and "max_seconds=1e-09 are over" in err
    assert "snnrun resume " not in err.replace("`snnrun resume`", "")


def test_help_names_what_is_done_with_a_run(command: Command) -> None:
    usage = command("--help").out.partition("\nexamples:")[0]
    for name in ("resume", "evaluate", "reproduce"):
        assert sum(line.strip().startswith(f"snnrun {name} RUN ") for line in usage.splitlines()) == 1
