"""The default config for a choice of parts, from the files of ``conf/`` and without Hydra.

References such as ``${surrogate}`` are not resolved.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from snnrun.config.catalogue import Catalogue, conf_folder, header
from snnrun.system.safe_read import flatten

PIECE = "task@_global_"  # settings of a task for a model
SETUP = "experiment"


class Defaults(NamedTuple):
    """Values by dotted key, and the groups without known defaults: a user's own parts."""

    values: dict[str, Any]
    unknown: set[str]


def defaults(choices: Mapping[str, str], primary: str = "config") -> Defaults:
    """The defaults of the command that starts from ``conf/<primary>.yaml`` with these parts."""
    catalogue = Catalogue(primary=primary)
    values = {key: value for key, value in _read(catalogue, conf_folder() / f"{primary}.yaml").items() if _own(key)}
    unknown: set[str] = set()
    for group in [*catalogue.defaults, *(group for group in choices if group not in catalogue.defaults)]:
        option = choices.get(group)
        names = (option or "").strip("[]").split(",")  # of several trackers and the like
        known = catalogue.groups.get(group, {})
        paths = [_piece(option)] if group == PIECE else [known.get(name) for name in names]
        for path in paths:
            if path is None:
                continue
            place = _place(path, group)
            # Values of a set-up for a part do not count if another part was chosen.
            setup = catalogue.choices_of(group, option or "") if group == SETUP else {}
            others = {other for other, part in setup.items() if choices.get(other, "null") != part}
            values |= {
                f"{place}{key}": value
                for key, value in _read(catalogue, path).items()
                if _own(key) and key.partition(".")[0] not in others
            }
        if option is not None and group != PIECE and None in paths:
            unknown.add(group)
    return Defaults(values, unknown)


def same(value: Any, default: Any) -> bool:
    """True if a value of a config is a default; YAML's 1e-3 is a text for some readers and a number for others."""
    if value == default:
        return True
    try:
        return float(str(value)) == float(str(default))
    except (ValueError, OverflowError):
        return False


def _read(catalogue: Catalogue, path: Path) -> dict[str, Any]:
    content = catalogue.content(path)
    return flatten(content if isinstance(content, dict) else {})


def _own(key: str) -> bool:
    return key.partition(".")[0] not in ("defaults", "hydra")


def _place(path: Path, group: str) -> str:
    place = header(path) or group.partition("@")[2] or group
    return "" if place == "_global_" else f"{place}."


def _piece(option: str | None) -> Path | None:
    if option is None or not re.fullmatch(r"\w+/\w+", option):
        return None
    path = conf_folder() / "task" / f"{option}.yaml"
    return path if path.is_file() else None
