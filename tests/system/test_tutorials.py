"""The tutorials work: what a reader is told to type is run, in order, and prints what the page says."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from support.paths import DOCS
from support.shell import environment

PAGES = sorted(path for path in (DOCS / "tutorials").glob("*.md") if path.name != "README.md")


def _script() -> ModuleType:
    """``docs/make_tutorials.py``, which runs the pages to draw their figures."""
    spec = importlib.util.spec_from_file_location("make_tutorials", DOCS / "make_tutorials.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


script = _script()
EVERY = pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)


@EVERY
def test_a_page_does_what_it_says(path: Path, tmp_path: Path) -> None:
    page = path.read_text(encoding="utf-8")
    for block in script.run(page, tmp_path, environment()):
        line = block.shown and script.difference(block.shown, block.printed)
        assert not line, f"not printed: {line}\n$ {block.commands}{block.printed}"
    for source in filter(None, script.figures(page).values()):
        assert len(list(tmp_path.glob(source))) == 1, source
