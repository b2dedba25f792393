"""On what was measured: enough to judge the numbers by, nothing that tells whose machine it is."""

from __future__ import annotations

import os
import platform
from typing import Any

import torch

from benchmarks import peers
from snnrun.report import manifest

PACKAGES = ("torch", "numpy", "llvmlite", "snnrun")


def machine() -> dict[str, Any]:
    """Processor, cores, threads, memory, load, and versions."""
    facts = manifest({}, (), device="cpu", backend="", data_hashes={})
    versions = {name: facts["packages"].get(name) for name in PACKAGES}
    for module in peers.installed()[0]:
        versions[module.PACKAGE] = facts["packages"].get(module.PACKAGE)
    return {
        "processor": facts["cpu"]["model"],
        "cores": facts["cpu"]["count"],
        "threads": torch.get_num_threads(),
        "memory_bytes": facts["memory_bytes"],
        # Of the minute before: well above 0, something else was running.
        "load_before": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "system": f"{platform.system()} {platform.machine()}",
        "python": facts["python"]["version"],
        "packages": versions,
        "commit": (facts["git"] or {}).get("commit"),
    }
