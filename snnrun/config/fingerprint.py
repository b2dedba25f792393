"""The hash of a run's config, in its manifest and its saved states."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from snnrun.errors import ConfigError
from snnrun.system import safe_read
from snnrun.system.safe_read import Unreadable

KEY = "config_sha256"  # in manifest.json


def config_hash(config: Mapping[str, Any]) -> str:
    """SHA-256 of a resolved config, in hexadecimal, without the run's name and the order of keys."""
    content = {key: value for key, value in config.items() if key != "name"}
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()


def recorded_hash(folder: Path) -> str | None:
    """The hash in the manifest in ``folder``; None if it has no valid one."""
    try:
        value = safe_read.json_object(folder, "manifest.json").get(KEY)
    except Unreadable:
        return None
    return value if isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value) else None


def check(folder: Path, config: Mapping[str, Any]) -> bool:
    """True if the manifest in ``folder`` has the hash of ``config``; False if it has no hash.

    Raises:
        ConfigError: if it has the hash of another config.
    """
    expected = recorded_hash(folder)
    if expected is not None and expected != config_hash(config):
        raise ConfigError(
            f"{folder}: expected the config that the run was started with, but config.yaml is another one than it was; "
            "put it back, or start a new run"
        )
    return expected is not None
