"""The manifest, which serves to repeat a run elsewhere: command, versions, machine. Nothing identifies the user."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import subprocess
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snnrun.system import machine
from snnrun.system.safe_read import flatten

if TYPE_CHECKING:
    import torch

#: Keys of a manifest that differ between equal runs: the time, the command, the parent run.
_BESIDE = (
    *("command", "config_file", "config_sha256", "started", "directory", "git", "memory_bytes", "resumed", "seed"),
    *("wait_policy", "parent"),
)
#: Keys of a manifest that describe where and how a run computes.
ENVIRONMENT = (
    *("seed", "precision", "deterministic", "device", "backend", "product", "parallel", "threads", "wait_policy"),
    *("data", "git", "python", "platform", "cpu", "memory_bytes", "gpu", "packages"),
)
Differences = dict[str, tuple[Any, Any]]


def start(command: Sequence[str], *, started: datetime | None = None, record: Path | None = None) -> dict[str, Any]:
    """The part of ``manifest.json`` that is known at the start of a run; arguments as for :func:`manifest`."""
    return {
        "command": [str(word) for word in command],
        "started": (started or datetime.now(timezone.utc)).astimezone(timezone.utc).isoformat(timespec="seconds"),
        "directory": _above(Path.cwd(), record),
    }


def manifest(
    settings: Mapping[str, Any],
    command: Sequence[str],
    *,
    device: torch.device | str,
    backend: str,
    product: Mapping[str, Any] | None = None,
    world_size: int = 1,
    world_backend: str | None = None,
    init_from: Mapping[str, Any] | None = None,
    data_hashes: Mapping[str, str],
    data_place: str | None = None,
    threads: int | None = None,
    started: datetime | None = None,
    folder: Path | None = None,
    record: Path | None = None,
) -> dict[str, Any]:
    """The content of ``manifest.json``, strict JSON. A fact that cannot be determined is null, never an error.

    ``settings``: the checked top-level keys ("seed", "precision", "deterministic" are used). ``command``: the command
    line. ``device``, ``backend``: the actual ones, not "auto". ``product``: the method for large matrix products
    (:class:`snnrun.model.Product`), if there is a choice. ``world_size``: number of processes, joined through
    torch.distributed by ``world_backend``. ``data_hashes``: name to sha256. ``threads``: of torch, default the current
    number. ``started``: aware time, default now. ``folder``: in the git repository to record, default the working
    directory. ``record``: the run's folder; the working directory is recorded relative to it, if it lies above.
    ``data_place``: the device whose memory has the samples; None if all is on the CPU.
    ``init_from``: the tensors that began with other weights. ``wait_policy``: how OpenMP's threads wait, null if the
    runtime decides. Host name and whole paths are left out on purpose.
    """
    import torch

    device = torch.device(device)
    return {
        **start(command, started=started, record=record),
        "seed": settings.get("seed"),
        "precision": settings.get("precision"),
        "deterministic": settings.get("deterministic"),
        "device": str(device),
        "backend": backend,
        "product": None if product is None else dict(product),
        "parallel": {"world_size": world_size, "backend": world_backend},
        "threads": torch.get_num_threads() if threads is None else threads,
        "wait_policy": os.environ.get("OMP_WAIT_POLICY"),
        "data": dict(data_hashes),
        "git": git_state(folder or Path.cwd()),
        "python": {"version": platform.python_version(), "implementation": platform.python_implementation()},
        "platform": platform.platform(),
        "cpu": {"model": _cpu_model(), "count": machine.cores()},
        "memory_bytes": machine.memory(),
        "gpu": _gpu(device) if device.type == "cuda" else None,
        "packages": _packages(),
        **({} if data_place is None else {"data_place": data_place}),
        **({} if init_from is None else {"init_from": dict(init_from)}),
    }


def _above(folder: Path, record: Path | None) -> str | None:
    """The path from a record up to a folder, such as ``../../..``; None if it does not lie above."""
    try:
        way = os.path.relpath(folder.resolve(), record.resolve()) if record else ""
    except (OSError, ValueError):  # on another drive
        return None
    way = way.replace(os.sep, "/")
    return way if way and set(way.split("/")) <= {"..", "."} else None


def differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> Differences:
    """The differences of two manifests: dotted key to both values."""
    first, second = (flatten({key: value for key, value in m.items() if key not in _BESIDE}) for m in (one, other))
    for values in (first, second):
        values.pop("gpu.id", None)  # any GPU of this name
    names = [*first, *(name for name in second if name not in first)]
    return {name: (first.get(name), second.get(name)) for name in names if first.get(name) != second.get(name)}


def git_state(folder: Path) -> dict[str, Any] | None:
    """The commit, and whether there are changed and untracked files; None without a commit.

    Untracked files count apart, since a run's own output may be among them. A stranger's repository may name programs
    for git in its config. None of them is run; "dirty" and "untracked" are None if git would need one.
    """
    commit = _output([*_GIT, "rev-parse", "--verify", "HEAD"], folder)
    if commit is None:
        return None
    scopes = _output([*_GIT, "config", "--list", "--name-only", "--show-scope"], folder)
    # Other scopes are the user's own, where Git LFS has its filter.
    own = scopes is not None and not re.search(r"^(local|worktree)\s+filter\.", scopes, re.MULTILINE)
    status = _output([*_GIT, "status", "--porcelain", "--ignore-submodules=dirty"], folder) if own else None
    if status is None:
        return {"commit": commit, "dirty": None, "untracked": None}
    changes = status.splitlines()
    untracked = [line for line in changes if line.startswith("??")]
    return {"commit": commit, "dirty": len(changes) > len(untracked), "untracked": bool(untracked)}


# Without file watchers and hooks.
_GIT = ("git", "-c", "core.fsmonitor=false", "-c", f"core.hooksPath={os.devnull}")


def _output(command: list[str], folder: Path | None = None) -> str | None:
    """The output of a program; None if it is absent, fails or hangs. It may not prompt, and may not lock the index."""
    try:
        process = subprocess.run(
            command,
            cwd=folder,
            env={
                **os.environ,
                "GIT_OPTIONAL_LOCKS": "0",
                "GIT_TERMINAL_PROMPT": "0",
                "GIT_ALLOW_PROTOCOL": "none",
                "LC_ALL": "C",
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return process.stdout.decode(errors="replace").rstrip()


def _packages() -> dict[str, str]:
    versions: dict[str, str] = {}
    for distribution in importlib.metadata.distributions():
        # Only two lines of the text are needed; parsing it all takes 0.1 s for the packages of a small environment.
        texts = (distribution.read_text(name) for name in ("METADATA", "PKG-INFO", ""))
        try:
            headers = next(filter(None, texts), "").partition("\n\n")[0]
        except (OSError, ValueError):  # it cannot be read
            continue
        fields = {key: re.search(rf"^{key}:[ \t]*(\S.*)$", headers, re.M | re.I) for key in ("Name", "Version")}
        if fields["Name"] and fields["Version"]:  # a package that is half removed has neither
            versions.setdefault(fields["Name"][1].strip(), fields["Version"][1].strip())  # the first one is imported
    return dict(sorted(versions.items(), key=lambda item: item[0].lower()))


def _cpu_model() -> str | None:
    if platform.system() == "Darwin":
        return _output(["sysctl", "-n", "machdep.cpu.brand_string"])
    return machine.processor()


def _gpu_id(device: torch.device) -> str:
    """The name of a GPU for CUDA_VISIBLE_DEVICES. A job of a sweep sees one GPU, always as ``cuda:0``."""
    index = device.index or 0
    visible = [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
    return visible[index] if index < len(visible) else str(index)


def _gpu(device: torch.device) -> dict[str, Any] | None:
    import torch

    driver = _output(["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"])
    try:
        properties = torch.cuda.get_device_properties(device)
    except (RuntimeError, AssertionError):  # no such device, or torch without CUDA
        return None
    return {
        "id": _gpu_id(device),
        "name": properties.name,
        "memory_bytes": properties.total_memory,
        "compute_capability": f"{properties.major}.{properties.minor}",
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
        "driver": driver.splitlines()[0] if driver else None,
    }
