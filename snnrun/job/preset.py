"""Values of a named set-up (``conf/experiment``) for a part apply only to the part that the set-up chooses.

Hydra would merge them in any case: with ``neuron=if`` the IF neuron would get the β of the set-up's LIF neuron, and
SGD the learning rate of Adam. So the choices are composed first. A set-up with values for a part that the user
replaced is then replaced by a copy without them, in Hydra's ``ConfigStore`` while the config is composed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig, ListConfig, OmegaConf

GROUP = "experiment"
#: Suffix of the name of a copy.
COPY = ".fitting"
GLOBAL = re.compile(r"^\s*#\s*@package\s+_global_\s*$", re.M)

#: The set-ups in a config, by name, with the content of their files.
Setups = dict[str, DictConfig]


def fitting(top: str, files: Mapping[str, Path], choices: Mapping[str, Any], place: Callable[[str], str]) -> Setups:
    """Copies of the set-up ``top`` and of its bases; empty if all of their values fit the ``choices``.

    ``files``: all set-ups. ``place``: the dotted key of a group's values, ``model.delay`` for ``delay``.
    """
    setups = _chain(top, files)
    unfit = {name: _unfit(content, choices, place) for name, content in setups.items()}
    if not any(unfit.values()):
        return {}
    for name, content in setups.items():
        for key in sorted(unfit[name], reverse=True):  # model.delay before model
            above, _, last = key.rpartition(".")
            del (OmegaConf.select(content, above) if above else content)[last]
        for i, entry in enumerate(content.get("defaults") or []):
            if (base := _base(entry, name)) in setups:
                content["defaults"][i] = f"/{GROUP}/{base}{COPY}"
    return setups


def with_copies(overrides: Sequence[str], copies: Setups) -> list[str]:
    """The overrides with copies in place of set-ups."""
    top = next(iter(copies), None)
    if top is None:
        return list(overrides)
    word = f"{GROUP}={top}{COPY}"
    if not any(is_choice(each) for each in overrides):  # the file of another part chooses it
        return [*overrides, word]
    return [re.sub(r"(['\"]?)$", rf"{COPY}\1", each, count=1) if is_choice(each) else each for each in overrides]


def original(text: str) -> str:
    """The text without the suffix of a copy."""
    return text.replace(COPY, "")


@contextmanager
def store_copies(copies: Setups) -> Iterator[None]:
    """Within this context Hydra finds the copies, as set-ups with ``COPY`` behind their names."""
    store = ConfigStore.instance()
    places = {f"{GROUP}/{name}{COPY}".rpartition("/")[::2]: content for name, content in copies.items()}
    for (folder, name), content in places.items():
        store.store(group=folder, name=name, node=content, package="_global_", provider="snnrun")
    try:
        yield
    finally:
        for folder, name in places:  # a sweep over all set-ups must not find them
            node = store.repo
            for part in folder.split("/"):
                node = node[part]
            node.pop(f"{name}.yaml", None)


def is_choice(word: str) -> bool:
    """True if an override chooses a set-up."""
    return word.startswith(f"{GROUP}=")


def _chain(top: str, files: Mapping[str, Path]) -> Setups:
    """The set-up and all of its bases."""
    setups: Setups = {}
    names = [top]
    while names:
        name = names.pop()
        text = files[name].read_text(encoding="utf-8") if name in files and name not in setups else ""
        content = OmegaConf.create(text) if GLOBAL.search(text) else None
        if isinstance(content, DictConfig):
            setups[name] = content
            names += [base for entry in content.get("defaults") or [] if (base := _base(entry, name))]
    return setups


def _base(entry: Any, name: str) -> str | None:
    """The set-up that an entry in the defaults list of the set-up ``name`` may refer to."""
    if isinstance(entry, DictConfig):
        group, option = next(iter(entry.items()))
        entry = f"{str(group).removeprefix('optional ')}/{option}"
    path = str(entry).partition("@")[0]
    if not path.startswith("/"):
        path = f"/{GROUP}/{name}".rpartition("/")[0] + f"/{path}"
    return path.removeprefix(f"/{GROUP}/") if path.startswith(f"/{GROUP}/") else None


def _unfit(content: DictConfig, choices: Mapping[str, Any], place: Callable[[str], str]) -> list[str]:
    """The keys of values in a set-up for a part that the user replaced or left out."""
    entries: Sequence[Any] = content.get("defaults") or []
    pairs = [next(iter(entry.items())) for entry in entries if isinstance(entry, DictConfig)]
    parts = {str(key)[9:].strip().lstrip("/"): option for key, option in pairs if str(key).startswith("override ")}
    # A list of parts has the values of each by its name, and some of its parts may have stayed.
    replaced = [
        group for group, option in parts.items() if not isinstance(option, ListConfig) and choices.get(group) != option
    ]
    keys = [place(group) for group in replaced]
    return [key for key in keys if OmegaConf.select(content, key, throw_on_resolution_failure=False) is not None]
