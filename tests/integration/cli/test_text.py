"""Help and lists: complete, and without torch or Hydra."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from snnrun.cli.usage import LIST
from snnrun.config.catalogue import Catalogue
from snnrun.job.arguments import COMMANDS
from snnrun.system.safe_read import flatten
from snnrun.system.say import faults
from support.command import Command

#: Where parts stand that are parts of others, or several.
PARENTS = {
    "augmentation": "task.augmentation",
    "regulariser": "loss.regularisers",
    "tracker": "tracker",
}


def test_help_names_every_key_flag_group_and_option(command: Command) -> None:
    for flag in ("--help", "-h"):
        code, text, err = command(flag)
        assert (code, err) == (0, "")
    catalogue = Catalogue()
    for key in catalogue.keys:
        assert len([line for line in text.splitlines() if line.startswith(f"  {key.name}={key.default} ")]) == 1
        assert key.about and " ".join(key.about.split()) in " ".join(text.split())
    words = text.replace(",", " ").replace("*", "").split()
    for group, options in catalogue.groups.items():
        assert {group, *options} <= set(words)
    assert "lif*" in text
    for flag in ("--multirun", "--cfg", "--config-dir", "--debug", "--version"):
        assert flag in text


def test_a_list_shows_what_each_part_is(command: Command) -> None:
    code, text, err = command("list")
    assert (code, err) == (0, "")
    lines = text.splitlines()
    for group, options in Catalogue().groups.items():
        start = lines.index(group) + 1
        lines_of = dict[str, str]()
        for line in lines[start : lines.index("", start)]:
            if line[:3].strip():  # not what goes on below
                name, _, description = line.strip().partition(" ")
                lines_of[name.rstrip("*")] = description
            else:
                lines_of[name.rstrip("*")] += f" {line.strip()}"
        assert list(lines_of) == list(options)
        assert all(description.endswith(".") for description in lines_of.values())
    assert [line for line in lines if "lif*" in line]


@pytest.mark.parametrize("words", [["list", "--help"], ["list", "neuron", "--help"], ["--help", "list"]])
def test_the_list_has_a_help_of_its_own(words: list[str], command: Command) -> None:
    code, text, _ = command(*words)
    assert code == 0
    assert "usage: snnrun list [GROUP [NAME]]" in text and "exit codes" not in text
    assert max(map(len, text.splitlines())) <= 80
    assert len(text.splitlines()) == len(LIST.splitlines()), "no line had to be broken"


@pytest.mark.parametrize("width", [60, 80])
@pytest.mark.parametrize(
    "words",
    [["--help"], *([name, "--help"] for name in COMMANDS), ["list"], ["list", "neuron", "lif"]],
    ids=" ".join,
)
def test_lines_fit(words: list[str], width: int, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    code, text, _ = command(*words)
    assert code == 0
    long = [line for line in text.splitlines() if len(line) > width]
    assert not long or width < 80
    # A command to be copied is one line, on any screen.
    assert all(re.match(r" *(usage: |-m )?(snnrun|torchrun) ", line) or " " not in line.strip() for line in long), long


def test_a_list_of_one_group_with_parts_of_ones_own(command: Command, own: Path) -> None:
    code, text, _ = command("--config-dir", str(own), "list", "neuron")
    assert code == 0
    lines_of = dict(
        line.split(maxsplit=1) for line in text.splitlines() if line.startswith("  ") and " " in line.strip()
    )
    assert lines_of["mine"] == "A neuron of my own."
    assert lines_of["broken"].startswith("(cannot be read:")
    assert "broken.yaml, line 3" in lines_of["broken"]
    assert "optimizer" not in text
    assert "mine" in command("--config-dir", str(own), "--help").out


def test_a_list_of_no_group(command: Command) -> None:
    outcome = command("list", "nueron")
    assert (outcome.code, outcome.out) == (2, "")
    assert "'nueron', did you mean neuron? there are augmentation" in outcome.err
    assert "`snnrun list neuron lif` shows that neuron" in command("list", "lif").err
    assert command("list", "neuron", "lif", "if").code == 2
    assert command("--config-dir", "nowhere", "list").code == 2


def test_all_about_a_part(command: Command) -> None:
    code, text, err = command("list", "neuron", "lif")
    assert (code, err) == (0, "")
    lines = text.splitlines()
    assert lines[0] == "neuron=lif (the default)"
    assert "    u[t] = v_rest + β (v[t-1] - v_rest) + x[t]        integrate" in lines  # the equation as it is written
    assert "τ and dt share one unit of time" in text
    assert lines[lines.index("  neuron.dt=1.0") + 1] == "      length of a step, in the unit of τ. Default 1."
    assert "  neuron.beta=null" in lines
    # From the base class, where the default is that of another group.
    assert "  neuron.reset=subtract  (that of convention.reset)" in lines
    assert "  neuron.surrogate=atan  (that of surrogate)" in lines
    assert not [line for line in lines if line.startswith("  neuron.shape=")]  # the run hands it over
    assert [line for line in lines if line.startswith("source: Gerstner")]
    assert lines[-1] == "defined by snnrun.neuron.LIF"


def test_all_about_every_part_is_plain_text_with_every_key(command: Command) -> None:
    catalogue = Catalogue()
    for group, options in catalogue.groups.items():
        for name, path in options.items():
            code, text, _ = command("list", group, name)
            assert code == 0
            assert not [mark for mark in ("``", ":class:", "::") if mark in text], text
            config = yaml.safe_load(path.read_text(encoding="utf-8"))
            if group == "experiment":  # no part: it sets those of others
                assert all(f"  {key}=" in text for key in flatten(config) if key.partition(".")[0] != "defaults"), text
                continue
            for key in config.get(group, config) if "@package" in path.read_text() else config:
                place = f"{PARENTS[group]}.{name}" if group in PARENTS else catalogue.place(group)
                assert key.startswith("_") or key == "defaults" or f"  {place}.{key}=" in text, (group, name, key)


def test_what_a_task_sets_beside_itself(command: Command) -> None:
    lines = command("list", "task", "zeros").out.splitlines()
    for line in ("  task.batch_size=1  (that of batch_size)", "  num_steps=10", "  loss=mean_square"):
        assert line in lines
    assert "  model.hidden=[]  (with model=mlp)" in lines
    assert not [line for line in command("list", "task").out.splitlines() if "mlp" in line]  # a piece is no option


def test_all_about_what_is_no_part_or_not_ours(command: Command, own: Path) -> None:
    assert "  convention.reset_timing=delayed" in command("list", "convention", "snntorch").out
    text = command("list", "optimizer", "adam").out
    assert "Adam (Kingma and Ba, 2015)." in text
    assert "  optimizer.lr=1e-3\n      learning rate, above 0\n" in text
    text = command("--config-dir", str(own), "list", "neuron", "mine").out
    assert "A neuron of my own.\n\nIt multiplies nothing by its gain." in text
    assert "  neuron.gain=2.0\n" in text
    damage = command("--config-dir", str(own), "list", "neuron", "broken").out
    assert "broken.yaml, line 3" in " ".join(damage.split())  # the path may be long
    assert command("--config-dir", str(own), "list", "neuron", "empty").code == 0


def test_all_about_no_part(command: Command) -> None:
    outcome = command("list", "neuron", "liff")
    assert (outcome.code, outcome.out) == (2, "")
    assert "'liff', did you mean lif? there are " in outcome.err
    assert "there is no neuron 'xyz'; there are " in command("list", "neuron", "xyz").err


def test_version(command: Command) -> None:
    assert command("--version") == (0, "snnrun 0.1.0\n", "")


def test_faults_are_shown_once_and_cut_when_huge() -> None:
    text = faults(["a: b", "a: b", "x: " + "y" * 10_000])
    assert text.startswith("2 faults in the command")
    assert len(text) < 1000
