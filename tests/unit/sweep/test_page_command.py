"""The command that a report offers: whole where it is safe, and nothing in it but overrides."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from snnrun.cli.report import best, ranking_of, report
from snnrun.run.command_line import command_of, is_override, remark
from support.swept import make_job, make_sweep

OVERRIDES = [
    "neuron=if",
    "+neuron.x=1",
    "++a=",
    "~tracker",
    "~tracker=csv",
    "model.hidden=[3, 4]",
    "a@b.c=d",
    "a.b/c=1",
]
OTHERS = [
    *("trust=[evil]", "+trust=[evil]", "--config-dir", "--config-dir=/evil", "-m", "/evil", "on_error=stop", "resume"),
    *(
        "hydra.run.dir=/home",
        "++hydra.run.dir=/home",
        "hydra/launcher=evil",
        "hydra=evil",
        "~hydra.run.dir",
        "",
        "\n=",
        "$(rm)=1",
    ),
]


@pytest.mark.parametrize("word", OVERRIDES)
def test_an_override_is_part_of_the_command(word: str) -> None:
    assert is_override(word)
    assert shlex.split(command_of([word])) == ["snnrun", word]


@pytest.mark.parametrize("word", OTHERS)
def test_what_runs_code_or_writes_elsewhere_is_not(word: str) -> None:
    assert command_of(["neuron=if", word, "seed=1"]) == "snnrun neuron=if seed=1"


def test_what_must_be_added_is_named() -> None:
    assert remark(["snnrun", "-m", "neuron=if"]) == ""
    sentence = remark(["snnrun", "-m", "--config-dir", "my parts", "trust=[mine]", "trust=[mine]", "neuron=mine"])
    assert "'--config-dir=my parts' 'trust=[mine]'." in sentence
    assert "--config-dir=x" in remark(["snnrun", "--config-dir=x"])
    assert remark(["snnrun", "--config-dir"]).count("--config-dir=") == 1
    assert remark(["trust=a\x1b[2Jb"]).isprintable()


def sweep_of(folder: Path, command: list[str], more: list[str]) -> Path:
    make_sweep(folder, {"neuron": ["if", "mine"]}, seeds=2)
    book = json.loads((folder / "sweep.json").read_text())
    book["command"] = command
    for job in book["jobs"]:
        job["overrides"] += more
    (folder / "sweep.json").write_text(json.dumps(book))
    return folder


def test_best_and_the_page_show_what_to_add(tmp_path: Path) -> None:
    folder = sweep_of(tmp_path / "s", ["snnrun", "-m", "--config-dir", "parts", "trust=[mine]"], ["trust=[evil]"])
    lines = best(ranking_of(folder)).splitlines()
    (line,) = [line for line in lines if line.startswith("  snnrun ")]
    assert line == "  snnrun -m neuron=mine epochs=3 seed=0,1"
    after = " ".join(lines[lines.index(line) + 1 :])
    assert "--config-dir=parts" in after and "trust=[mine]" in after.replace("'", "") and "evil" not in after
    report(folder)
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert (
        "--config-dir=parts" in page
        and '<code id="command" tabindex="0">snnrun -m neuron=mine epochs=3 seed=0,1<' in page
    )


def test_there_is_no_remark_where_the_command_is_whole(tmp_path: Path) -> None:
    folder = sweep_of(tmp_path / "s", ["snnrun", "-m", "neuron=if,mine"], [])
    assert best(ranking_of(folder)).splitlines()[-1] == "  snnrun -m neuron=mine epochs=3 seed=0,1"


def test_a_run_has_the_remark_too(tmp_path: Path) -> None:
    manifest = {"command": ["snnrun", "trust=[mine]", "neuron=mine"]}
    folder = make_job(tmp_path / "r", ["neuron=mine"], 0.9, manifest=manifest)
    report(folder)
    assert "trust=[mine]" in (folder / "report.html").read_text(encoding="utf-8")
