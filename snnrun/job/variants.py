"""Applies overrides to the recorded config of a run, for ``snnrun resume`` and ``evaluate``.

The config may be a stranger's, so Hydra, which would resolve its references, never composes it. Hydra composes only
the parts that the user chooses, and their references are resolved with the settings of the run.
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
from snnrun.job.overrides import REFERENCE, UserOverride
from snnrun.job.scope import Scope

MOST = 100  # configs of a grid


class Variant(NamedTuple):
    """One combination of the overrides.

    Attributes:
        words: its overrides, by key.
        config: the config with them.
    """

    words: dict[str, str]
    config: dict[str, Any]


def variants_of(
    config: Mapping[str, Any], arguments: Arguments, catalogue: Catalogue, scope: Scope, faults: list[Fault | str]
) -> list[Variant]:
    """``config`` with the overrides of the command, a variant for each combination of their values.

    Faults of names and grammar go to ``faults``; overrides with a fault are left out.
    """
    if catalogue.extra:
        faults += own_folder.faults(catalogue.extra)
    with composer(catalogue) as hydra:
        read = overrides.read(arguments.overrides, Arguments(multirun=True), catalogue, hydra, faults)
        entry = [each for each in read if _is_allowed(each, scope, faults)]
        jobs = list(itertools.islice(itertools.product(*(each.words for each in entry)), MOST + 1))
        if len(jobs) > MOST:
            faults.append(f"{arguments.command}: expected at most {MOST} combinations of values, got more")
            return []
        followers = [
            (group, key, setting)
            for group, setting in itertools.product(catalogue.groups, scope.followed)
            for key in referring(catalogue, group, config.get(group), setting)
            if config[group][key] == config.get(setting)
        ]
        return [_variant(config, list(zip(entry, job, strict=True)), hydra, followers, scope, faults) for job in jobs]


def referring(catalogue: Catalogue, group: str, part: Any, setting: str) -> Iterator[str]:
    """The keys of ``part``, a config from ``group``, whose file refers to the top-level key ``setting``."""
    if not isinstance(part, Mapping) or not isinstance(target := part.get("_target_"), str):
        return
    reference = "${" + setting + "}"
    parts = [own for _, own in catalogue.options_of(group, target)]
    yield from sorted({key for own in parts for key, value in own.items() if value == reference and key in part})


def _is_allowed(entry: UserOverride, scope: Scope, faults: list[Fault | str]) -> bool:
    top, word = re.split(r"[./@]", entry.key)[0], entry.words[0]
    if entry.override.type is not OverrideType.CHANGE:
        faults.append(f"{word}: expected key=value, without + and ~")
    elif "@" in word.partition("=")[0]:
        faults.append(f"{word}: expected key=value, without a package")
    elif top == "hydra":
        faults.append(f"{word}: a run that is there needs nothing of Hydra; output_dir says where a new folder goes")
    elif len(entry.words) > 1 and not scope.tests:
        faults.append(f"{entry.key}: expected one value, got {len(entry.words)}; a run goes on in one way")
    else:
        return True
    return False


def _variant(
    config: Mapping[str, Any],
    chosen: list[tuple[UserOverride, str]],
    hydra: Composer,
    followers: Sequence[tuple[str, str, str]],
    scope: Scope,
    faults: list[Fault | str],
) -> Variant:
    """Apply one combination. ``followers``: group, key in its part, and the setting that the key follows."""
    variant = copy.deepcopy(dict(config))
    inner = [(entry, word) for entry, word in chosen if not entry.group and "." in entry.key]
    for entry, word in chosen:
        if not entry.group and "." not in entry.key:
            _set(variant, entry, word, hydra, scope, faults)
    for group, key, setting in followers:
        variant[group][key] = variant.get(setting)
    for entry, word in chosen:
        if entry.group:
            if entry.key not in scope.keys:
                faults.append(f"{word}: {scope.refusal(entry.key)}")
                continue
            try:
                part = _part(entry.key, word, hydra, variant)
                variant.update({entry.key: part}) if part is not None else variant.pop(entry.key, None)
            except ComposeError as error:
                faults.append(f"{word}: {error}")
    for entry, word in inner:
        _set(variant, entry, word, hydra, scope, faults)
    return Variant({entry.key: word.partition("=")[2] for entry, word in chosen}, variant)


def _set(
    config: dict[str, Any], entry: UserOverride, word: str, hydra: Composer, scope: Scope, faults: list[Fault | str]
) -> None:
    """Set the value, or add the fault of the key."""
    *above, last = entry.key.split(".")
    if fault := overrides.key_fault(entry, config):
        faults.append(fault)
    elif entry.key.partition(".")[0] not in scope.keys:
        faults.append(f"{word}: {scope.refusal(entry.key)}")
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
    """The part that the override chooses, its references resolved with the settings in ``config``."""
    composed = hydra.compose([word])
    try:
        raw = OmegaConf.to_container(composed, resolve=False)
        resolved = OmegaConf.to_container(composed, resolve=True)
    except OmegaConfBaseException as error:
        raise ComposeError(str(error).strip().partition("\n")[0]) from error
    assert isinstance(raw, dict) and isinstance(resolved, dict)  # the primary config is a mapping
    return _fill(raw.get(group), resolved.get(group), config)


def _fill(raw: Any, resolved: Any, config: Mapping[str, Any]) -> Any:
    if isinstance(raw, str) and (reference := REFERENCE.fullmatch(raw)) and "." not in reference[1]:
        known = config.get(reference[1])
        return copy.deepcopy(resolved if known is None or isinstance(known, Mapping) else known)
    if isinstance(raw, Mapping) and isinstance(resolved, Mapping):
        return {str(key): _fill(value, resolved[key], config) for key, value in raw.items()}
    return resolved
