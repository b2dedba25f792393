"""docs/internals.md shows what is so: its code runs, block by block, and prints what the page says."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[3] / "docs" / "internals.md"
#: A block of code, and the block of its output, which follows at once.
BLOCKS = re.compile(r"^```python\n(.*?)^```\n\n```text\n(.*?)^```$", re.M | re.S)


def outputs(page: str) -> list[tuple[str, str]]:
    """What each block is said to print, and what it prints."""
    found, names = [], dict[str, Any]()
    for source, said in BLOCKS.findall(page):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(source, str(PAGE), "exec"), names)
        found.append((said, printed.getvalue()))
    return found


def test_the_page_says_what_its_code_prints() -> None:
    page = PAGE.read_text(encoding="utf-8")
    blocks = outputs(page)
    assert len(blocks) == page.count("```python\n") > 0, "every block is followed by its output"
    for said, printed in blocks:
        assert printed == said
