"""What of two manifests matters for the results: versions, processor, threads, device, backend, data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from snnrun.system.safe_read import dotted

#: Keys of a manifest that say when, by what command and after which run, and no more.
_BESIDE = (
    *("command", "config_file", "config_sha256", "started", "directory", "git", "memory_bytes", "resumed", "seed"),
    *("wait_policy", "parent"),
)
#: Keys of a manifest that say where and how a run computes.
ENVIRONMENT = (
    *("seed", "precision", "deterministic", "device", "backend", "product", "parallel", "threads", "wait_policy"),
    *("data", "git", "python", "platform", "cpu", "memory_bytes", "gpu", "packages"),
)
Differences = dict[str, tuple[Any, Any]]


def differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> Differences:
    """Everything that differs between two manifests, by its dotted key: the value there, and the value here."""
    first, second = (dotted({key: value for key, value in m.items() if key not in _BESIDE}) for m in (one, other))
    names = [*first, *(name for name in second if name not in first)]
    return {name: (first.get(name), second.get(name)) for name in names if first.get(name) != second.get(name)}
