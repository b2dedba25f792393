"""Checks the words of a search before anything starts."""

from __future__ import annotations

from typing import Any

import yaml
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException

from snnrun.config.catalogue import conf_folder
from snnrun.job.arguments import Arguments
from snnrun.job.compose import Composer
from snnrun.job.search import options as search_options
from snnrun.job.search.space import Space, SpaceError, space_of

PREFIX = "hydra.sweeper."


def search_faults(arguments: Arguments, composer: Composer) -> list[str]:
    """A line for each fault of a command with ``hydra/sweeper=optuna``."""
    if not search_options.is_installed():
        return [f"hydra/sweeper=optuna: {search_options.LACKING}"]
    faults = []
    if not arguments.multirun:
        faults.append("hydra/sweeper=optuna: a search needs -m")
    if arguments.command != "train":
        faults.append("hydra/sweeper=optuna: expected a training run; others have nothing to search for")
    overrides = [override for word in arguments.overrides if (override := _parse(word, composer))]
    path = conf_folder() / "hydra" / "sweeper" / "optuna.yaml"
    keys: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    for each in overrides:
        if each.key_or_group.startswith(PREFIX) and not each.is_sweep_override():
            keys[each.key_or_group.removeprefix(PREFIX)] = each.value()
    options, wrong = search_options.read(keys)
    faults += [f"{PREFIX}{fault}" for fault in wrong]
    space: Space = {}
    try:
        space = space_of([each for each in overrides if not each.is_hydra_override()])
    except SpaceError as error:
        faults += error.faults
    else:
        if not space:
            faults.append("hydra/sweeper=optuna: expected a key with several values, or an interval, to search in")
    words = {each.key_or_group: str(each.input_line) for each in overrides}
    if any(each.key_or_group == "seed" and each.is_sweep_override() for each in overrides):
        faults.append(
            f"{words['seed']}: a search would choose the luckiest seed; hydra.sweeper.seeds=[0,1,2] runs each trial "
            "with all of them, and their mean counts"
        )
    elif options and options.seeds and "seed" in words:
        faults.append(f"{words['seed']}: expected no seed beside hydra.sweeper.seeds; drop one of them")
    if options is None:
        return faults
    for build in (
        lambda: search_options.sampler_of(options, space),
        lambda: search_options.pruner_of(options.pruner, options.pruner_options),
    ):
        try:
            build()
        except ValueError as error:
            faults.append(str(error))
    return faults


def _parse(word: str, composer: Composer) -> Override | None:
    try:
        return composer.parser.parse_override(word)
    except (HydraException, RecursionError):  # reported elsewhere
        return None
