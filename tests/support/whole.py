"""Whether all that stands in a run's folder under a final name is whole."""

from __future__ import annotations

from pathlib import Path

import yaml

from snnrun.run import checkpoint
from support.shell import strict


def whole(run: Path) -> None:
    """All that stands under a final name is whole."""
    assert not list(run.rglob("*.tmp"))
    for path in run.rglob("*.json"):
        strict(path.read_text())
    for path in run.glob("config.yaml"):
        assert isinstance(yaml.safe_load(path.read_text()), dict)
    for path in run.rglob("*.safetensors"):
        (checkpoint.load_state if path.name.startswith("step-") else checkpoint.load)(path)
    metrics = run / "metrics.jsonl"
    content = metrics.read_bytes() if metrics.exists() else b""
    assert content.endswith(b"\n") or not content
    for line in content.splitlines():
        strict(line.decode())
