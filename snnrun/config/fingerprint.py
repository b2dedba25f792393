"""The hash of a config, by which the manifest and the states of a run know what it was started with."""

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
    """SHA-256 of a resolved config, in hexadecimal; the order of its keys does not count, nor does the run's name."""
    named = {key: value for key, value in config.items() if key != "name"}
    return hashlib.sha256(json.dumps(named, sort_keys=True, default=str).encode()).hexdigest()


def recorded(folder: Path) -> str | None:
    """The hash that the manifest in ``folder`` has; None if it has none that is one."""
    try:
        value = safe_read.json_object(folder, "manifest.json").get(KEY)
    except Unreadable:
        return None
    return value if isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value) else None


def check(folder: Path, config: Mapping[str, Any]) -> bool:
    """Whether the manifest in ``folder`` says that the run was started with ``config``; False where it says nothing.

    Raises:
        ConfigError: if the run was started with another config.
    """
    known = recorded(folder)
    if known is not None and known != config_hash(config):
        raise ConfigError(
            f"{folder}: expected the config that the run was started with, but config.yaml is another one than it was; "
            "put it back, or start a new run"
        )
    return known is not None
