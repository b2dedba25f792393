"""The tutorials work: what a reader is told to type is run, in order, and prints what the page says.

The first page is run by the installed command, the others by forks.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from support import forked
from support.shell import environment
from support.tutorials import EVERY, script


@EVERY
def test_a_page_has_the_output_that_it_shows(
    path: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    page = path.read_text(encoding="utf-8")
    program = None if path.stem == "first_run" else forked.script(tmp_path_factory.mktemp("program"))
    left_out: list[str] = []
    for block in script.run(page, tmp_path, environment(), program):
        left_out += block.left_out
        line = block.shown and script.difference(block.shown, block.printed)
        assert not line, f"not printed: {line}\n$ {block.commands}{block.printed}"
    for source in filter(None, script.figures(page).values()):
        assert len(list(tmp_path.glob(source))) == script.drawn(source, left_out), source
