"""Changes to the frozen config of a run, as ``snnrun resume`` and ``evaluate`` take them: overrides on plain data.

The config may be a stranger's. So nothing of it is composed by Hydra, which would fill in its references; Hydra
composes the parts that the user names, and their references are filled in with the settings of the run.
"""

from __future__ import annotations

import copy
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from hydra.core.override_parser.types import OverrideType
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from snnrun.config.catalogue import Catalogue
from snnrun.errors import Fault
from snnrun.job import overrides, own_folder
from snnrun.job.arguments import Arguments
from snnrun.job.compose import ComposeError, Composer, composer
from snnrun.job.overrides import REFERENCE, Given
from snnrun.job.scope import Scope

MOST = 100  # configs of a grid


class Change(NamedTuple):
    """One of the configs that the overrides stand for.

    Attributes:
        words: the overrides of this one, by key.
        config: with them.
    """

    words: dict[str, str]
    config: dict[str, Any]


def changed(
    config: Mapping[str, Any], arguments: Arguments, catalogue: Catalogue, scope: Scope, faults: list[Fault | str]
) -> list[Change]:
    """``config`` with the overrides of the command, one for each combination of their values.

    What is wrong with the names and the grammar goes to ``faults``; such overrides are left out.
    """
    if catalogue.extra:
        faults += own_folder.faults(catalogue.extra)
    with composer(catalogue) as hydra:
        read = overrides.read(arguments.overrides, Arguments(multirun=True), catalogue, hydra, faults)
        given = [each for each in read if _allowed(each, scope, faults)]
        jobs = list(itertools.islice(itertools.product(*(each.words for each in given)), MOST + 1))
        if len(jobs) > MOST:
            faults.append(f"{arguments.command}: expected at most {MOST} combinations of values, got more")
            return []
        followers = [
            (group, key, setting)
            for group, setting in itertools.product(catalogue.groups, scope.followed)
            for key in referring(catalogue, group, config.get(group), setting)
            if config[group][key] == config.get(setting)
        ]
        return [_change(config, list(zip(given, job, strict=True)), hydra, followers, scope, faults) for job in jobs]


def referring(catalogue: Catalogue, group: str, part: Any, setting: str) -> Iterator[str]:
    """The keys of ``part``, the config of a part in ``group``, that its file sets to the top-level key ``setting``."""
    if not isinstance(part, Mapping) or not isinstance(target := part.get("_target_"), str):
        return
    reference = "${" + setting + "}"
    parts = [own for _, own in catalogue.options_of(group, target)]
    yield from sorted({key for own in parts for key, value in own.items() if value == reference and key in part})


def _allowed(given: Given, scope: Scope, faults: list[Fault | str]) -> bool:
    top, word = re.split(r"[./@]", given.key)[0], given.words[0]
    if given.override.type is not OverrideType.CHANGE:
        faults.append(f"{word}: expected key=value, without + and ~")
    elif "@" in word.partition("=")[0]:
        faults.append(f"{word}: expected key=value, without a package")
    elif top == "hydra":
        faults.append(f"{word}: a run that is there needs nothing of Hydra; output_dir says where a new folder goes")
    elif len(given.words) > 1 and not scope.tests:
        faults.append(f"{given.key}: expected one value, got {len(given.words)}; a run goes on in one way")
    else:
        return True
    return False


def _change(
    config: Mapping[str, Any],
    chosen: list[tuple[Given, str]],
    hydra: Composer,
    followers: Sequence[tuple[str, str, str]],
    scope: Scope,
    faults: list[Fault | str],
) -> Change:
    """``followers``: group, key in its part, and the setting that the key follows."""
    found = copy.deepcopy(dict(config))
    inner = [(given, word) for given, word in chosen if not given.group and "." in given.key]
    for given, word in chosen:
        if not given.group and "." not in given.key:
            _set(found, given, word, hydra, scope, faults)
    for group, key, setting in followers:
        found[group][key] = found.get(setting)
    for given, word in chosen:
        if given.group:
            if given.key not in scope.keys:
                faults.append(f"{word}: {scope.refusal(given.key)}")
                continue
            try:
                part = _part(given.key, word, hydra, found)
                found.update({given.key: part}) if part is not None else found.pop(given.key, None)
            except ComposeError as error:
                faults.append(f"{word}: {error}")
    for given, word in inner:
        _set(found, given, word, hydra, scope, faults)
    return Change({given.key: word.partition("=")[2] for given, word in chosen}, found)


def _set(
    config: dict[str, Any], given: Given, word: str, hydra: Composer, scope: Scope, faults: list[Fault | str]
) -> None:
    """Set the value, or note what is wrong with the key."""
    *above, last = given.key.split(".")
    if fault := overrides.key_fault(given, config):
        faults.append(fault)
    elif given.key.partition(".")[0] not in scope.keys:
        faults.append(f"{word}: {scope.refusal(given.key)}")
    else:
        node: Any = config
        for name in above:
            node = node[int(name)] if isinstance(node, list) else node[name]
        value = hydra.parser.parse_override(word).value()
        if "${" in str(value):
            faults.append(f"{word}: expected a value, and no reference")
        elif isinstance(node, list):
            node[int(last)] = value
        else:
            node[last] = value


def _part(group: str, word: str, hydra: Composer, config: Mapping[str, Any]) -> Any:
    """The part that the override chooses, its references filled in with the settings in ``config``."""
    composed = hydra.compose([word])
    try:
        raw = OmegaConf.to_container(composed, resolve=False)
        resolved = OmegaConf.to_container(composed, resolve=True)
    except OmegaConfBaseException as error:
        raise ComposeError(str(error).strip().partition("\n")[0]) from error
    assert isinstance(raw, dict) and isinstance(resolved, dict)  # the primary config is a mapping
    return _filled(raw.get(group), resolved.get(group), config)


def _filled(raw: Any, resolved: Any, config: Mapping[str, Any]) -> Any:
    if isinstance(raw, str) and (reference := REFERENCE.fullmatch(raw)) and "." not in reference[1]:
        known = config.get(reference[1])
        return copy.deepcopy(resolved if known is None or isinstance(known, Mapping) else known)
    if isinstance(raw, Mapping) and isinstance(resolved, Mapping):
        return {str(key): _filled(value, resolved[key], config) for key, value in raw.items()}
    return resolved
