"""A stranger's folder of parts, and the command run in this process where a payload would leave a canary."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from support.command import Command, Stranger

#: What a stranger's module does as soon as it is imported.
PAYLOAD = """
open("canary", "w").close()

def run(*arguments, **options):
    return 0
"""


@pytest.fixture
def stranger(tmp_path: Path) -> Iterator[Stranger]:
    """``stranger({"neuron/evil.yaml": text})``: a folder with these files beside a module ``payload_of_tests``."""

    def make(files: Mapping[str, str]) -> Path:
        folder = tmp_path / "stranger"
        for name, text in {"payload_of_tests.py": PAYLOAD, **files}.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return folder

    before = set(sys.modules)
    yield make
    for name in set(sys.modules) - before:
        if "_of_tests" in name:
            del sys.modules[name]


@pytest.fixture(autouse=True)
def no_canary(command: Command) -> Iterator[None]:
    """After each test: the payload has not run, and nothing else was left either."""
    yield
    assert list(Path.cwd().iterdir()) == []
