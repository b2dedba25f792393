"""Where the repository's folders are."""

from __future__ import annotations

from pathlib import Path

TESTS = Path(__file__).parents[1]
ROOT = TESTS.parent
CONF = ROOT / "conf"
DOCS = ROOT / "docs"
SUPPORT = TESTS / "support"
