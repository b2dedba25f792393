"""Help and lists: complete, and without torch or Hydra."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from command import Command
from snnrun.catalogue import Catalogue
from snnrun.cli.text import faults


def test_help_lists_and_version_import_neither_torch_nor_hydra() -> None:
    script = (
        "import sys; from snnrun.cli import main\n"
        "for words in (['--help'], ['list'], ['list', 'neuron'], ['--version'], ['list', 'x']): main(words)\n"
        "print(sorted({name.partition('.')[0] for name in sys.modules} & {'torch', 'hydra', 'omegaconf', 'numpy'}))"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ended.stdout.splitlines()[-1] == "[]"


def test_help_names_every_key_flag_group_and_option(command: Command) -> None:
    for flag in ("--help", "-h"):
        code, text, err = command(flag)
        assert (code, err) == (0, "")
    catalogue = Catalogue()
    for key in catalogue.keys:
        (line,) = [line for line in text.splitlines() if line.startswith(f"  {key.name}={key.default} ")]
        assert line.endswith(key.comment) and key.comment
    words = text.replace(",", " ").replace("*", "").split()
    for group, options in catalogue.groups.items():
        assert {group, *options} <= set(words)
    assert "lif*" in text
    for flag in ("--multirun", "--cfg", "--config-dir", "--debug", "--version"):
        assert flag in text
    assert max(len(line) for line in text.splitlines()) <= 120


def test_a_list_says_what_each_part_is(command: Command) -> None:
    code, text, err = command("list")
    assert (code, err) == (0, "")
    lines = text.splitlines()
    for group, options in Catalogue().groups.items():
        start = lines.index(group) + 1
        for name, line in zip(options, lines[start:], strict=False):
            shown, _, described = line.strip().partition(" ")
            assert shown.rstrip("*") == name
            assert described.strip().endswith((".", "``.")), line
    assert [line for line in lines if "lif*" in line]


def test_a_list_of_one_group_with_parts_of_ones_own(command: Command, own: Path) -> None:
    code, text, _ = command("--config-dir", str(own), "list", "neuron")
    assert code == 0
    shown = dict(line.split(maxsplit=1) for line in text.splitlines() if line.startswith("  ") and " " in line.strip())
    assert shown["mine"] == "A neuron of my own."
    assert shown["broken"].startswith("(cannot be read: ")
    assert "broken.yaml, line 3" in shown["broken"]
    assert "optimizer" not in text
    assert "mine" in command("--config-dir", str(own), "--help").out


def test_a_list_of_no_group(command: Command) -> None:
    outcome = command("list", "nueron")
    assert (outcome.code, outcome.out) == (2, "")
    assert "there is no group 'nueron', did you mean neuron? there are convention" in outcome.err
    assert command("list", "neuron", "lif").code == 2
    assert command("--config-dir", "nowhere", "list").code == 2


def test_version(command: Command) -> None:
    assert command("--version") == (0, "snnrun 0.1.0\n", "")


def test_faults_are_told_once_and_cut_when_huge() -> None:
    text = faults(["a: b", "a: b", "x: " + "y" * 10_000])
    assert text.startswith("2 faults in the command")
    assert len(text) < 1000
