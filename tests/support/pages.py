"""README, CONTRIBUTING and docs as the tests read them: their blocks, their commands, and a folder to run these in."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import NamedTuple

import pytest

from snnrun.job.arguments import AGAIN, LOOKING
from support.made_up import make_run
from support.paths import ROOT

PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
README, CONTRIBUTING, RECORD, WORDS = (
    (ROOT / name).read_text(encoding="utf-8")
    for name in ("README.md", "CONTRIBUTING.md", "docs/record.md", "docs/command.md")
)


class Block(NamedTuple):
    language: str
    text: str


def blocks(page: str) -> list[Block]:
    return [Block(*match) for match in re.findall(r"^```(\w*)\n(.*?)^```$", page, re.M | re.S)]


def section(page: str, title: str) -> str:
    match = re.search(rf"^## {re.escape(title)}$(.*?)(?=^## |\Z)", page, re.M | re.S)
    assert match, f"there is no section {title!r}"
    return match[1]


def commands() -> list[tuple[str, ...]]:
    """The arguments of every ``snnrun …`` in a shell block, in their order and without repetition.

    Those of the tutorials belong together: ``test_tutorials.py`` runs them, page by page.
    """
    unique: dict[tuple[str, ...], None] = {}
    for page in (page for page in PAGES if page.parent.name != "tutorials"):
        lines = [line for block in blocks(page.read_text(encoding="utf-8")) for line in block.text.splitlines()]
        for line in lines:
            for command in line.split("&&"):
                words = shlex.split(command, comments=True) if command.strip().startswith("snnrun") else []
                if words[:1] == ["snnrun"]:
                    unique[tuple(words[1:])] = None
    return list(unique)


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


def make_clone(folder: Path) -> Path:
    """A folder with ``my_parts/`` as CONTRIBUTING has it, the class and the config of its first two such blocks, the
    runs and the sweep that README looks at, and an edited config."""
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
