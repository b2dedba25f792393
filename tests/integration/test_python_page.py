"""The code of docs/python.md, in its order, and of the notebook."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from support.paths import DOCS


def test_the_code_of_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    page = (DOCS / "python.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```$", page, re.M | re.S)
    assert len(blocks) >= 8
    names: dict[str, object] = {"__name__": "page"}
    for block in blocks:
        exec(compile(block, "docs/python.md", "exec"), names)
    assert names["verdict"].exact  # type: ignore[attr-defined]
    assert (tmp_path / "raster.png").stat().st_size > 1000
    assert names["trace"].spikes.shape == (25, 32, 64)  # type: ignore[attr-defined]


def test_the_notebook_has_run_from_top_to_bottom() -> None:
    cells = json.loads((DOCS / "notebooks" / "analyse_a_run.ipynb").read_text(encoding="utf-8"))["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    assert not [output for cell in code for output in cell["outputs"] if output["output_type"] == "error"]
