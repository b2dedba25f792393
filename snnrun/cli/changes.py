"""The differences of a run from the defaults: chosen parts and changed values."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from snnrun.config import defaults
from snnrun.config.catalogue import Catalogue
from snnrun.config.defaults import Defaults
from snnrun.run.browse import RunSummary
from snnrun.system import safe_read
from snnrun.system.format import PARTS
from snnrun.system.safe_read import Unreadable, flatten

#: Settings of output and machine, which come last.
LAST = ("device", "threads", "execution", "data_dir", "output_dir", "checkpoint", "report", "style")
UNKNOWN: Any = object()  # the default of a user's own part


class Change(NamedTuple):
    """A value other than the default."""

    key: str
    value: Any
    default: Any  # or UNKNOWN


class Changes:
    """Compares runs with the files of ``conf/``, with a cache of these."""

    def __init__(self) -> None:
        self._catalogues: dict[str, Catalogue] = {}
        self._cache: dict[tuple[str, ...], Defaults] = {}
        self._options: dict[tuple[str, str], str | None] = {}

    def of(self, run: RunSummary, config: Mapping[str, Any]) -> dict[str, Any]:
        """All differences from the default by group or dotted key, without the name. ``config``: by dotted keys."""
        values = {change.key: change.value for change in self.values(run, config) if change.key != "name"}
        late = {key: value for key, value in values.items() if key.partition(".")[0] in LAST}
        seed = {key: values[key] for key in ("seed",) if key in values}  # in many lists the only difference
        early = {key: value for key, value in values.items() if key not in late | seed}
        parts: dict[str, Any] = {
            group: option[1:-1].split(",") if option.startswith("[") else option
            for group, option in self.parts(run, config).items()
        }
        return {**parts, **seed, **dict(sorted(early.items(), key=lambda pair: "." not in pair[0])), **late}

    def parts(self, run: RunSummary, config: Mapping[str, Any]) -> dict[str, str]:
        """The groups whose option is neither the default nor the choice of the task or the set-up."""
        catalogue, chosen = self._catalogue(run), self.choices(run, config)
        defaults: dict[str, Any] = dict(catalogue.defaults)
        for group in ("task", "experiment"):
            defaults |= catalogue.choices_of(group, chosen.get(group, ""))
        order = sorted(chosen, key=lambda group: PARTS.index(group) if group in PARTS else len(PARTS))
        return {group: chosen[group] for group in order if "@" not in group and chosen[group] != defaults.get(group)}

    def values(self, run: RunSummary, config: Mapping[str, Any]) -> list[Change]:
        """Keys with another value than in the parts' files; for a user's own parts the keys of the command."""
        chosen, typed = self.choices(run, config), _command_keys(run.folder)
        known = self._defaults(run, chosen)
        changes = []
        for key, value in config.items():
            group = key.partition(".")[0]
            if key.rpartition(".")[2].startswith("_"):
                continue
            if key in known.values:
                default = known.values[key]
                # In a resolved config a reference cannot be compared with its target.
                refers = isinstance(default, str) and "${" in default
                resolved = refers and not (isinstance(value, str) and "${" in value)
                if not defaults.same(value, default) and (not resolved or key in typed):
                    changes.append(Change(key, value, default))
            elif key in typed or not (group in known.unknown or group in run.choices or not run.choices):
                changes.append(Change(key, value, UNKNOWN))
        return changes

    def choices(self, run: RunSummary, config: Mapping[str, Any]) -> dict[str, str]:
        """Group -> option, as far as the choices and the config of the run show them.

        Hydra does not record which of several parts were chosen, and without ``.hydra/`` there are only their classes.
        """
        catalogue, changes = self._catalogue(run), dict(run.choices)
        for group in catalogue.defaults:
            options, place = catalogue.groups.get(group, {}), catalogue.place(group)
            if catalogue.several(group):
                pieces = (key[len(place) + 1 :] for key in config if key.startswith(f"{place}."))
                names = list(dict.fromkeys(name for piece in pieces if (name := piece.partition(".")[0]) in options))
                if len(names) > 1 or (names and group not in changes):
                    changes[group] = names[0] if len(names) == 1 else f"[{','.join(names)}]"
            elif changes.get(group) not in options and any(key.startswith(f"{group}.") for key in config):
                option = self._recognise(group, config, catalogue)
                changes |= {} if option is None else {group: option}
        return changes

    def _recognise(self, group: str, config: Mapping[str, Any], catalogue: Catalogue) -> str | None:
        part = {key[len(group) + 1 :]: value for key, value in config.items() if key.startswith(f"{group}.")}
        target = part.get("_target_")
        if not isinstance(target, str):  # a convention has none, and is recognised by its values
            return catalogue.recognise(group, part) if target is None else None
        if (group, target) not in self._options:
            self._options[group, target] = catalogue.recognise(group, part)
        return self._options[group, target]

    def _catalogue(self, run: RunSummary) -> Catalogue:
        primary = "config" if run.command == "train" else run.command
        return self._catalogues.setdefault(primary, Catalogue(primary=primary))

    def _defaults(self, run: RunSummary, chosen: Mapping[str, str]) -> Defaults:
        primary = "config" if run.command == "train" else run.command
        key = (primary, *(f"{group}={option}" for group, option in chosen.items()))
        if key not in self._cache:
            self._cache[key] = defaults.defaults(chosen, primary)
        return self._cache[key]


def config_of(folder: Path) -> dict[str, Any]:
    """The config by dotted keys, if possible with references, so that each value occurs once.

    Raises:
        Unreadable: if neither form can be read.
    """
    try:
        return flatten(safe_read.yaml_object(folder, ".hydra/config.yaml"))
    except Unreadable:
        return flatten(safe_read.yaml_object(folder, "config.yaml"))


def _command_keys(folder: Path) -> set[str]:
    """The keys in the command line."""
    try:
        text = safe_read.head(folder, ".hydra/overrides.yaml")
    except Unreadable:
        return set()
    words = [line[2:].strip("'\"") for line in text.splitlines() if line.startswith("- ")]
    return {word.partition("=")[0].lstrip("+~") for word in words}
