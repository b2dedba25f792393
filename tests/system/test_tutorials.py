"""The tutorials work: what a reader is told to type is run, in order, and prints what the page says."""

from __future__ import annotations

from pathlib import Path

from support.shell import environment
from support.tutorials import EVERY, script


@EVERY
def test_a_page_does_what_it_says(path: Path, tmp_path: Path) -> None:
    page = path.read_text(encoding="utf-8")
    for block in script.run(page, tmp_path, environment()):
        line = block.shown and script.difference(block.shown, block.printed)
        assert not line, f"not printed: {line}\n$ {block.commands}{block.printed}"
    for source in filter(None, script.figures(page).values()):
        assert len(list(tmp_path.glob(source))) == 1, source
