"""``--info`` and completion in a shell, which only the private class of Hydra's own command offers.

Hydra's public ``GlobalHydra`` holds an object of that class (of ``hydra._internal``) while configs are composed. Its
methods may change. No other file uses a private name of Hydra.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException

from snnrun.config.catalogue import Catalogue
from snnrun.errors import ConfigError
from snnrun.job import grid, own_folder
from snnrun.job.arguments import IS_OVERRIDE, PRIMARY, Arguments, parse
from snnrun.job.compose import ComposeError, Composer, composer
from snnrun.job.search.space import ends
from snnrun.job.validate import Plan
from snnrun.system import say

if TYPE_CHECKING:
    from hydra._internal.hydra import Hydra

#: Words with ``=`` that are not keys of a config.
NO_KEYS = ("trust=", "on_error=")


def show_info(arguments: Arguments, plan: Plan, hydra: Composer) -> None:
    """``snnrun --info``: Hydra's information about the config, its search path and its plug-ins."""
    log = logging.getLogger()
    level, handlers = log.level, list(log.handlers)
    try:
        with hydra.words(plan.words) as words:
            _command().show_info(str(arguments.info), PRIMARY[arguments.command], words)
    finally:  # Hydra adds a handler to the root logger, and does not remove it
        log.setLevel(level)
        log.handlers[:] = handlers


def complete(arguments: Arguments) -> None:
    """``snnrun -sc install=bash`` prints the shell's rule for completion; ``query`` answers it, for ``COMP_LINE``.

    Raises:
        ConfigError: with all faults of the command.
    """
    action = str(arguments.completion)
    if arguments.faults:
        raise ConfigError(say.faults(arguments.faults))
    if not action.startswith("query"):
        with composer(Catalogue()):
            _command().shell_completion(None, [action])
        return
    line = os.environ.get("COMP_LINE", "")
    typed = line.split()[1:]
    last = "" if line.endswith(" ") or not typed else typed.pop()
    known = parse(typed)
    if known.command not in PRIMARY or known.list_words is not None or last.startswith("-"):
        return  # Hydra does not complete runs and flags
    catalogue = Catalogue(known.config_dir, PRIMARY[known.command])
    if catalogue.extra and own_folder.faults(catalogue.extra):
        return
    before = [word for word in typed if IS_OVERRIDE.match(word) and not word.startswith(("-", *NO_KEYS))]
    try:
        with (
            composer(catalogue) as hydra,
            hydra.words([_first(word, hydra) for word in before]) as words,
            _line([*words, last]),
        ):
            _command().shell_completion(catalogue.primary, [action])
    except (ComposeError, HydraException):  # the words so far give no config
        return


def _first(word: str, hydra: Composer) -> str:
    """The word with only the first of its values."""
    override = hydra.parser.parse_override(word)
    return next(iter(ends(override) if override.is_interval_sweep() else grid.words(override)))


@contextmanager
def _line(words: Sequence[str]) -> Iterator[None]:
    """Within this context Hydra reads a command line without the words for snnrun only."""
    before = os.environ["COMP_LINE"]
    os.environ["COMP_LINE"] = " ".join(["snnrun", *words])
    try:
        yield
    finally:
        os.environ["COMP_LINE"] = before


def _command() -> Hydra:
    hydra = GlobalHydra.instance().hydra
    assert hydra is not None  # within `composer`
    return hydra
