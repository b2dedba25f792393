"""README, CONTRIBUTING and docs say what is so: their commands work, their links lead somewhere, their tables hold."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import snnrun
from snnrun.cli import main, usage
from snnrun.config.catalogue import Catalogue, conf_folder
from snnrun.errors import EXIT_CODES
from snnrun.job.arguments import AGAIN, LOOKING
from snnrun.job.job import Job
from support.made_up import make_run
from support.paths import ROOT

PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
README, CONTRIBUTING, RECORD, WORDS = (
    (ROOT / name).read_text(encoding="utf-8")
    for name in ("README.md", "CONTRIBUTING.md", "docs/record.md", "docs/command.md")
)
_FETCHED = ("mnist", "fashion_mnist", "kmnist", "cifar10", "nmnist", "dvs_gesture", "cifar10_dvs", "shd", "ssc")
DOWNLOADED = {f"task={name}" for name in _FETCHED}


class Block(NamedTuple):
    language: str
    text: str


def blocks(page: str) -> list[Block]:
    return [Block(*match) for match in re.findall(r"^```(\w*)\n(.*?)^```$", page, re.M | re.S)]


def section(page: str, title: str) -> str:
    found = re.search(rf"^## {re.escape(title)}$(.*?)(?=^## |\Z)", page, re.M | re.S)
    assert found, f"there is no section {title!r}"
    return found[1]


def commands() -> list[tuple[str, ...]]:
    """The arguments of every ``snnrun …`` in a shell block, in their order and without repetition.

    Those of the tutorials belong together: ``test_tutorials.py`` runs them, page by page.
    """
    found: dict[tuple[str, ...], None] = {}
    for page in (page for page in PAGES if page.parent.name != "tutorials"):
        lines = [line for block in blocks(page.read_text(encoding="utf-8")) for line in block.text.splitlines()]
        for line in lines:
            for command in line.split("&&"):
                words = shlex.split(command, comments=True) if command.strip().startswith("snnrun") else []
                if words[:1] == ["snnrun"]:
                    found[tuple(words[1:])] = None
    return list(found)


def downloaded(words: tuple[str, ...]) -> bool:
    """Commands that need data which a clone does not have."""
    names = [word.partition("=")[2] for word in words if word.startswith("experiment=")]
    files = [Catalogue().groups["experiment"][name] for each in names for name in each.split(",")]
    chosen = {f"task={task}" for file in files for task in re.findall(r"override /task: (\w+)", file.read_text())}
    return bool(DOWNLOADED & {*words, *chosen})


def trains(words: tuple[str, ...]) -> bool:
    return not {"list", "--help", "--version", "--cfg", "--dry-run", *LOOKING, *AGAIN} & set(words) and not looks(words)


def looks(words: tuple[str, ...]) -> bool:
    """Commands without training, which take seconds: they are run in full, behind the marker."""
    return words[:1] in (("simulate",), ("plot",))


def elsewhere(words: tuple[str, ...]) -> bool:
    """Sweeps that need a cluster, processes of their own, or a sweep that was begun: only listed here."""
    return any(word.startswith(("hydra/launcher=", "--resume")) for word in words)


def possible(words: tuple[str, ...]) -> tuple[str, ...]:
    """The command with a search of two trials; a skip where it needs an extra that the tests do without."""
    if "tracker=mlflow" in words:
        pytest.importorskip("mlflow")
    return tuple(re.sub(r"(n_trials)=\d+$", r"\1=2", word) for word in words)


# What the table on quoting says to write: words as the shell takes them.
ROWS = "".join(re.findall(r"^\|.*$", section(WORDS, "Quoting"), re.M))
QUOTED = [tuple(shlex.split(word)) for word in re.findall(r"`([^`]+=[^`]+)`", ROWS)]
COMMANDS = commands()
RUNNING = [words for words in COMMANDS if (trains(words) and not elsewhere(words)) or looks(words)]


@pytest.fixture(scope="session")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``my_parts/`` as CONTRIBUTING has it, the class and the config of its first two such blocks, the
    runs and the sweep that README looks at, and an edited config."""
    folder = tmp_path_factory.mktemp("clone")
    code, config = (next(b.text for b in blocks(CONTRIBUTING) if b.language == name) for name in ("python", "yaml"))
    (folder / "my_parts" / "neuron").mkdir(parents=True)
    (folder / "my_parts" / "constant_leak.py").write_text(code, encoding="utf-8")
    (folder / "my_parts" / "neuron" / "constant_leak.yaml").write_text(config, encoding="utf-8")
    for name in ("12-00-00-lif-atan-digits-5d3a9e01", "13-00-00-if-atan-digits-c07b44f2"):
        make_run(folder / "outputs" / "2026-03-01" / name, changes={"name": "baseline" if "lif" in name else None})
    sweep = folder / "outputs" / "multirun" / "2026-03-01" / "14-00-00-0e9b2c55"
    make_run(sweep / "0-lif-atan-s0")
    (sweep / "multirun.yaml").write_text("{}\n", encoding="utf-8")
    (folder / "mine.yaml").write_text("neuron:\n  threshold: 0.5\nepochs: 2\n", encoding="utf-8")
    return folder


def snnrun_in(folder: Path, *words: str) -> str:
    """The real command, in a process of its own; returns what it printed."""
    # One thread: as fast for runs this small, and no fight for the cores of a busy machine.
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "snnrun", *words]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


SMALL = ("neuron=constant_leak", "task=digits", "epochs=1", "num_steps=5", "model.hidden=[20]")


@pytest.fixture(scope="session")
def run(clone: Path) -> Path:
    """The folder of a real run of the contributed neuron."""
    snnrun_in(clone, "--config-dir", "my_parts", *SMALL, "hydra.run.dir=run", "trust=[constant_leak]")
    return clone / "run"


def result(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "result.json").read_text())
    return found


def test_the_quick_start_has_two_commands() -> None:
    found = blocks(section(README, "Quick start"))
    assert found == [
        ("sh", "pip install . && snnrun\n"),
        ("sh", 'pip install -c constraints.txt ".[test]" && pytest -q\n'),
    ]


@pytest.mark.parametrize("words", [*(words for words in COMMANDS if not looks(words)), *QUOTED], ids=" ".join)
def test_a_command_is_valid(
    words: tuple[str, ...], clone: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """All of the command but the training itself; it checks names, types, ranges and combinations."""
    words = possible(words)
    if elsewhere(words):
        words = (*(word for word in words if not word.startswith("--resume")), "--dry-run")
    calls: list[Job] = []
    monkeypatch.setattr("snnrun.run.execute.execute", lambda job, **_: calls.append(job))
    for name in AGAIN:  # of the made-up runs, which hold no weights
        monkeypatch.setattr(f"snnrun.cli.rerun._{name}", lambda *_: None)
    monkeypatch.delenv("SNNRUN_DEBUG", raising=False)
    monkeypatch.chdir(clone)
    code = main(words)
    assert (code, capsys.readouterr().err) == (0, "")
    assert bool(calls) == trains(words)


@pytest.mark.long
@pytest.mark.parametrize("words", [words for words in RUNNING if not downloaded(words)], ids=" ".join)
def test_a_command_in_full(words: tuple[str, ...], clone: Path) -> None:
    before = set(clone.rglob("result.json"))
    snnrun_in(clone, *possible(words))
    new = set(clone.rglob("result.json")) - before
    assert new
    assert {json.loads(path.read_text())["status"] for path in new} == {"finished"}


def test_a_neuron_of_ones_own(clone: Path, run: Path) -> None:
    assert result(run)["status"] == "finished"
    assert "_target_: constant_leak.ConstantLeak" in (run / "config.yaml").read_text()
    assert json.loads((run / "manifest.json").read_text())["backend"] == "fused"
    listed = snnrun_in(clone, "--config-dir", "my_parts", "list", "neuron")
    assert re.search(r"^  constant_leak +Integrate-and-fire with a constant leak\.$", listed, re.M)


@pytest.mark.long
def test_a_neuron_in_the_repository(clone: Path, tmp_path: Path) -> None:
    """The same two files, in a copy of the sources."""
    package = Path(snnrun.__file__).parent
    for source, target in ((package, tmp_path / "snnrun"), (conf_folder(), tmp_path / "conf")):
        for path in [*source.rglob("*.py"), *source.rglob("*.yaml")]:
            if source is not package or not path.is_relative_to(package / "conf"):
                copy = target / path.relative_to(source)
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.write_bytes(path.read_bytes())
    config = (clone / "my_parts" / "neuron" / "constant_leak.yaml").read_text(encoding="utf-8")
    named = re.search(r"`(snnrun\.neuron\.constant_leak\.\w+)`", CONTRIBUTING)
    assert named
    config = re.sub(r"^_target_: .*$", f"_target_: {named[1]}", config, flags=re.M)
    (tmp_path / "conf" / "neuron" / "constant_leak.yaml").write_text(config, encoding="utf-8")
    (tmp_path / "snnrun" / "neuron" / "constant_leak.py").write_bytes(
        (clone / "my_parts" / "constant_leak.py").read_bytes()
    )
    # The reference execution, since the copy has no compiled kernels yet.
    snnrun_in(tmp_path, *SMALL, "hydra.run.dir=run", "backend=reference", "report.figures=false")
    assert result(tmp_path / "run")["status"] == "finished"
    assert f"_target_: {named[1]}" in (tmp_path / "run" / "config.yaml").read_text()
    assert "constant_leak" in snnrun_in(tmp_path, "list", "neuron")


def table(page: str, head: str) -> list[str]:
    """The first column of the table whose first heading is ``head``."""
    found = re.search(rf"^\| {re.escape(head)} \|.*\n\|[ -|]+\|\n((?:\|.*\n)+)", page, re.M)
    assert found, f"there is no table of {head!r}"
    return [row.split("|")[1].strip() for row in found[1].splitlines()]


def names(column: list[str]) -> set[str]:
    return {name for cell in column for name in re.findall(r"`([^`]+)`", cell)}


def test_the_record_is_as_described(run: Path) -> None:
    described = {name.rstrip("/") for name in names(table(RECORD, "file"))}
    assert described == {path.name for path in run.iterdir()}
    inside = set(re.findall(r"`(\w+\.(?:png|npz|safetensors))`", RECORD))
    found = {path.name for folder in ("figures", "checkpoints") for path in (run / folder).iterdir()}
    assert inside == {name for name in found if not name.startswith("step-")}
    assert inside != found, "the states, whose names have a number"


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
    described = {name: dict(zip(keys, values, strict=True)) for name, *values in rows}
    files = Catalogue().groups["convention"]
    assert described.keys() == files.keys()
    for name, path in files.items():
        settings = dict(re.findall(r'^(\w+): "?([^"\n]+)"?$', path.read_text(encoding="utf-8"), re.M))
        assert described[name] == settings


def test_the_tree_is_that_of_the_repository() -> None:
    (tree,) = [block.text for block in blocks(CONTRIBUTING) if block.language == "text"]
    package = Path(snnrun.__file__).parent
    shown = {line.split()[0] for line in tree.splitlines() if line.startswith("  ")}
    assert all((package / name).is_dir() == name.endswith("/") and (package / name).exists() for name in shown)
    folders = {f"{path.name}/" for path in package.iterdir() if (path / "__init__.py").is_file()}
    assert folders <= shown


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
