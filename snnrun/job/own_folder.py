"""Checks a user's folder of parts. It may not configure Hydra, which could create any class or log handler."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf

from snnrun.job.compose import yaml_fault
from snnrun.job.config_file import duplicate_keys
from snnrun.system.safe_read import Heavy, weigh

ADVICE = "Hydra could run any program; what it shall do differently belongs on the command line"
# Only files that match are parsed; a key may be written with escapes, which need a backslash.
SUSPECT = re.compile(r"hydra|defaults|@|\\")


def faults(folder: Path) -> list[str]:
    """A line for every file in ``folder`` that would configure Hydra, or leads out of the folder.

    Hydra places the content of a file by its folder, by a header ``# @package NAME`` and by ``@NAME`` in a list of
    defaults. All three are checked in every file, since one file may choose another.
    """
    faults = []
    for path in _files(folder):
        name = path.relative_to(folder).as_posix()
        if "hydra" in re.split(r"[/.]", name.lower()):
            faults.append(f"--config-dir: {name} is a config of Hydra; {ADVICE}")
            continue
        try:
            text = path.read_text(encoding="utf-8")
            weigh(text)
            faults += [
                f"--config-dir: {name}: {fault}" for fault in duplicate_keys(yaml.compose(text, yaml.SafeLoader))
            ]
            content: Any = OmegaConf.to_container(OmegaConf.load(path)) if SUSPECT.search(text) else None
        except Heavy as error:  # Hydra would need for ever to compose it
            faults.append(f"--config-dir: {yaml_fault(error, Path(name))}; mend the file")
            continue
        except Exception:  # Hydra cannot read it either, and reports it if the file is chosen
            continue
        # splitlines, as in Hydra: it splits at more than line feeds.
        headers = [line for line in text.splitlines() if re.match(r"\s*#\s*@", line)]
        if any("hydra" in line.lower() or "$" in line for line in headers):
            faults.append(f"--config-dir: {name} has a header for Hydra's own config; {ADVICE}")
        elif isinstance(content, dict) and "hydra" in content:
            faults.append(f"--config-dir: {name} sets the key hydra; {ADVICE}")
        elif isinstance(content, dict) and (entry := _bad_default(content.get("defaults"))):
            faults.append(
                f"--config-dir: {name}, defaults: {entry} leads to Hydra's own config or out of the folder; "
                "expected the name of a part"
            )
    return faults


def _bad_default(entries: Any) -> str | None:
    for text in _texts(entries):
        where, _, package = text.partition("@")
        hidden = any(piece.startswith(".") for piece in re.split(r"[/\\\s]", where))
        if "hydra" in text.lower() or hidden or "//" in text or "\\" in text or "$" in package:
            return text
    return None


def _texts(entries: Any) -> Iterator[str]:
    """Every string in a defaults list, keys and values alike."""
    if isinstance(entries, str):
        yield entries
    elif isinstance(entries, dict):
        for key, value in entries.items():
            yield from _texts(key)
            yield from _texts(value)
    elif isinstance(entries, list):
        for entry in entries:
            yield from _texts(entry)


def _files(folder: Path) -> Iterator[Path]:
    """The YAML files below ``folder``, through links too; not those in hidden folders, such as the records of runs."""
    seen = set()
    for here, folders, names in os.walk(folder, followlinks=True):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        real = os.path.realpath(here)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        yield from (Path(here, name) for name in sorted(names) if name.lower().endswith(".yaml"))
