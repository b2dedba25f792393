"""Runs that start at the same moment get a folder each."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from support.paths import TESTS
from support.shell import Run, environment

COUNT = 50
WORDS = [
    "epochs=1",
    "num_steps=2",
    "batch_size=512",
    "model.hidden=[5]",
    "report.figures=false",
    "report.summary=false",
]
PROGRAM = f"""
import sys
sys.path.insert(0, {str(TESTS)!r})
import json
from support import forked, killing
forked.warm()
children = [killing.start({WORDS!r}) for _ in range({COUNT})]
print(json.dumps([killing.wait_for(child) for child in children]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_fifty_starts_give_fifty_folders(tmp_path: Path) -> None:
    process = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=600
    )
    assert process.returncode == 0, process.stderr
    assert json.loads(process.stdout) == [0] * COUNT, (tmp_path / "terminal.txt").read_text()
    runs = [Run(path.parent) for path in (tmp_path / "outputs").rglob("manifest.json")]
    assert len(runs) == COUNT
    assert {run.result["status"] for run in runs} == {"finished"}
    # The same config, and nothing of one run in another's record.
    assert len({run.result["weights_sha256"] for run in runs}) == 1
    assert {len(run.metrics("epoch")) for run in runs} == {1}
