"""What a named set-up (``conf/experiment``) says of a part is for the part that it names, and for no other.

Hydra merges a set-up's values whatever is chosen beside it: with ``neuron=if`` the IF neuron would be given the β of
the LIF neuron that the set-up is about, and SGD the learning rate of Adam. So the choices are composed first; a set-up
that speaks of a part for which another was chosen is then replaced by a copy without those words, which lies in
Hydra's ``ConfigStore`` while the config is composed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig, OmegaConf

GROUP = "experiment"
#: Behind the name of a copy.
COPY = ".fitting"
GLOBAL = re.compile(r"^\s*#\s*@package\s+_global_\s*$", re.M)

#: The set-ups that take part in a config, by name, as their files have them.
Setups = dict[str, DictConfig]


def fitting(top: str, files: Mapping[str, Path], choices: Mapping[str, Any]) -> Setups:
    """Copies of the set-up ``top``, and of those that it builds on; none if all of their words fit the ``choices``.

    ``files``: the set-ups that there are.
    """
    setups = _chain(top, files)
    unfit = {name: _unfit(content, choices) for name, content in setups.items()}
    if not any(unfit.values()):
        return {}
    for name, content in setups.items():
        for group in unfit[name]:
            del content[group]
        for i, entry in enumerate(content.get("defaults") or []):
            if (base := _base(entry, name)) in setups:
                content["defaults"][i] = f"/{GROUP}/{base}{COPY}"
    return setups


def chosen(overrides: Sequence[str], copies: Setups) -> list[str]:
    """The overrides, with the copy of a set-up chosen in its place."""
    top = next(iter(copies), None)
    if top is None:
        return list(overrides)
    word = f"{GROUP}={top}{COPY}"
    if not any(is_choice(each) for each in overrides):  # the file of another part chose it
        return [*overrides, word]
    return [re.sub(r"(['\"]?)$", rf"{COPY}\1", each, count=1) if is_choice(each) else each for each in overrides]


def original(text: str) -> str:
    """The text without what marks a copy."""
    return text.replace(COPY, "")


@contextmanager
def stored(copies: Setups) -> Iterator[None]:
    """Within this context Hydra finds the copies, each as the set-up of its name with ``COPY`` behind it."""
    store = ConfigStore.instance()
    places = {f"{GROUP}/{name}{COPY}".rpartition("/")[::2]: content for name, content in copies.items()}
    for (folder, name), content in places.items():
        store.store(group=folder, name=name, node=content, package="_global_", provider="snnrun")
    try:
        yield
    finally:
        for folder, name in places:  # a sweep over all set-ups is not to find them
            node = store.repo
            for part in folder.split("/"):
                node = node[part]
            node.pop(f"{name}.yaml", None)


def is_choice(word: str) -> bool:
    """Whether an override chooses a set-up."""
    return word.startswith(f"{GROUP}=")


def _chain(top: str, files: Mapping[str, Path]) -> Setups:
    """The set-up and those that its list of defaults names, and theirs."""
    found: Setups = {}
    names = [top]
    while names:
        name = names.pop()
        text = files[name].read_text(encoding="utf-8") if name in files and name not in found else ""
        content = OmegaConf.create(text) if GLOBAL.search(text) else None
        if isinstance(content, DictConfig):
            found[name] = content
            names += [base for entry in content.get("defaults") or [] if (base := _base(entry, name))]
    return found


def _base(entry: Any, name: str) -> str | None:
    """The set-up that an entry in the list of defaults of the set-up ``name`` takes in, if it may be one."""
    if isinstance(entry, DictConfig):
        group, option = next(iter(entry.items()))
        entry = f"{str(group).removeprefix('optional ')}/{option}"
    path = str(entry).partition("@")[0]
    if not path.startswith("/"):
        path = f"/{GROUP}/{name}".rpartition("/")[0] + f"/{path}"
    return path.removeprefix(f"/{GROUP}/") if path.startswith(f"/{GROUP}/") else None


def _unfit(content: DictConfig, choices: Mapping[str, Any]) -> list[str]:
    """The groups of which a set-up speaks though another part was chosen than the one that it names."""
    entries: Sequence[Any] = content.get("defaults") or []
    pairs = [next(iter(entry.items())) for entry in entries if isinstance(entry, DictConfig)]
    named = {str(key)[9:].strip().lstrip("/"): option for key, option in pairs if str(key).startswith("override ")}
    return [group for group, option in named.items() if group in content and choices.get(group) != option]
