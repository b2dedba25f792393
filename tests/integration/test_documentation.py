"""README, CONTRIBUTING and docs say what is so: their commands work, their links lead somewhere, their tables hold."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

import snnrun
from snnrun.cli import main, usage
from snnrun.config.catalogue import Catalogue
from snnrun.errors import EXIT_CODES
from snnrun.job.job import Job
from snnrun.run.compare import Verdict
from support.pages import (
    CONTRIBUTING,
    PAGES,
    README,
    RECORD,
    WORDS,
    blocks,
    commands,
    elsewhere,
    looks,
    make_clone,
    possible,
    section,
    trains,
)
from support.paths import ROOT

# What the table on quoting says to write: words as the shell takes them.
ROWS = "".join(re.findall(r"^\|.*$", section(WORDS, "Quoting"), re.M))
WORDS_OF_ROWS = [tuple(shlex.split(word)) for word in re.findall(r"`([^`]+=[^`]+)`", ROWS)]
COMMANDS = commands()


@pytest.fixture(scope="session")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clone(tmp_path_factory.mktemp("clone"))


def snnrun_in(folder: Path, *words: str) -> str:
    """The command in this process; returns what it printed."""
    out, before = io.StringIO(), Path.cwd()
    os.chdir(folder)
    try:
        with contextlib.redirect_stdout(out):
            assert main(words) == 0
    finally:
        os.chdir(before)
    return out.getvalue()


SMALL = ("neuron=constant_leak", "task=digits", "epochs=1", "num_steps=5", "model.hidden=[20]")


@pytest.fixture(scope="session")
def run(clone: Path) -> Path:
    """The folder of a real run of the contributed neuron."""
    snnrun_in(clone, "--config-dir", "my_parts", *SMALL, "hydra.run.dir=run", "trust=[constant_leak]")
    return clone / "run"


def result(run: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((run / "result.json").read_text())
    return content


def test_the_quick_start_has_two_commands() -> None:
    start = blocks(section(README, "Quick start"))
    assert start == [
        ("sh", "pip install . && snnrun\n"),
        ("sh", 'pip install -c constraints.txt ".[test]" && pytest -q\n'),
    ]


@pytest.mark.long
@pytest.mark.parametrize("words", [*(words for words in COMMANDS if not looks(words)), *WORDS_OF_ROWS], ids=" ".join)
def test_a_command_is_valid(
    words: tuple[str, ...], clone: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """All of the command but the training itself; it checks names, types, ranges and combinations."""
    words = possible(words)
    if elsewhere(words):
        words = (*(word for word in words if not word.startswith("--resume")), "--dry-run")
    calls: list[Job] = []
    monkeypatch.setattr("snnrun.run.execute.execute", lambda job, **_: calls.append(job))
    # The made-up runs hold no weights.
    same = Verdict(True, True, 0, None, {}, {}, True, ())
    monkeypatch.setattr("snnrun.cli.rerun._evaluate", lambda *_: None)
    monkeypatch.setattr("snnrun.run.rerun.resume", lambda *_: None)
    monkeypatch.setattr("snnrun.run.rerun.reproduce", lambda *_: (Path(), same))
    monkeypatch.delenv("SNNRUN_DEBUG", raising=False)
    monkeypatch.chdir(clone)
    code = main(words)
    assert (code, capsys.readouterr().err) == (0, "")
    assert bool(calls) == trains(words)


def test_a_neuron_of_ones_own(clone: Path, run: Path) -> None:
    assert result(run)["status"] == "finished"
    assert "_target_: constant_leak.ConstantLeak" in (run / "config.yaml").read_text()
    assert json.loads((run / "manifest.json").read_text())["backend"] == "fused"
    output = snnrun_in(clone, "--config-dir", "my_parts", "list", "neuron")
    assert re.search(r"^  constant_leak +Integrate-and-fire with a constant leak\.$", output, re.M)


def table(page: str, head: str) -> list[str]:
    """The first column of the table whose first heading is ``head``."""
    match = re.search(rf"^\| {re.escape(head)} \|.*\n\|[ -|]+\|\n((?:\|.*\n)+)", page, re.M)
    assert match, f"there is no table of {head!r}"
    return [row.split("|")[1].strip() for row in match[1].splitlines()]


def names(column: list[str]) -> set[str]:
    return {name for cell in column for name in re.findall(r"`([^`]+)`", cell)}


def test_the_record_is_as_described(run: Path) -> None:
    documentation = {name.rstrip("/") for name in names(table(RECORD, "file"))}
    assert documentation == {path.name for path in run.iterdir()}
    inside = set(re.findall(r"`(\w+\.(?:png|npz|safetensors))`", RECORD))
    files = {path.name for folder in ("figures", "checkpoints") for path in (run / folder).iterdir()}
    assert inside == {name for name in files if not name.startswith("step-")}
    assert inside != files, "the states, whose names have a number"


def test_the_fields_are_as_described(run: Path) -> None:
    assert names(table(RECORD, "field")) == set(result(run))
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    for kind in ("step", "epoch"):
        record = next(record for record in records if record["kind"] == kind)
        fields = names(table(RECORD, f"field of {'a' if kind == 'step' else 'an'} `{kind}`"))
        assert fields == set(record)
    (cell,) = re.findall(r"^\| `layers` \|(.*)\|$", RECORD, re.M)
    assert set(re.findall(r"`(\w+)`", cell)) == set(records[-1]["layers"]["output"])


def test_the_exit_codes_are_those_of_the_help() -> None:
    assert table(RECORD, "exit code") == [str(each.code) for each in EXIT_CODES]
    assert re.findall(r"(?:^|  )(\d+) ", usage.EXITS, re.M) == table(RECORD, "exit code")


def test_the_conventions_are_as_described() -> None:
    rows = re.findall(r"^\| `(\w+)` \| `(>=?)` \| (\w+) \| (\w+) \| (\w+) \|$", WORDS, re.M)
    keys = ("fires_at", "reset", "reset_timing", "detach_reset")
    documentation = {name: dict(zip(keys, values, strict=True)) for name, *values in rows}
    files = Catalogue().groups["convention"]
    assert documentation.keys() == files.keys()
    for name, path in files.items():
        settings = dict(re.findall(r'^(\w+): "?([^"\n]+)"?$', path.read_text(encoding="utf-8"), re.M))
        assert documentation[name] == settings


def test_the_tree_is_that_of_the_repository() -> None:
    (tree,) = [block.text for block in blocks(CONTRIBUTING) if block.language == "text"]
    package = Path(snnrun.__file__).parent
    documentation, above = set(), ""
    for line in (line for line in tree.splitlines() if line.startswith("  ")):
        name = line.split()[0]
        above, name = (above, above + name) if line.startswith("    ") else (name, name)
        documentation.add(name)
    assert all((package / name).is_dir() == name.endswith("/") and (package / name).exists() for name in documentation)
    folders = {f"{path.name}/" for path in package.iterdir() if (path / "__init__.py").is_file()}
    assert folders <= documentation


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)[^)]*\)", page.read_text(encoding="utf-8")):
        if link.startswith(("http:", "https:")):
            continue
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        assert target.is_file(), link
        headings = re.findall(r"^#+ (.+)$", target.read_text(encoding="utf-8"), re.M) if anchor else []
        assert not anchor or anchor in {re.sub(r"[^\w -]", "", h).lower().replace(" ", "-") for h in headings}, link
