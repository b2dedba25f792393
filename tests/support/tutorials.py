"""The pages of tutorials, and the script that runs them."""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType

import pytest

from support.paths import DOCS

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
