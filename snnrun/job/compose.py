"""Composes configs with Hydra's Compose API, in which nothing runs and no folder is made."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import yaml
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from snnrun.config.catalogue import Catalogue, conf_folder
from snnrun.job.preset import fitted

VERSION_BASE = "1.3"


class ComposeError(ValueError):
    """A config that Hydra cannot compose, said in one line."""


class Composer:
    """Composes a primary config with overrides; made by ``composer``."""

    def __init__(self, extra: Path | None, primary: str = "config") -> None:
        self._primary = primary
        quoted = str(extra).replace("\\", "\\\\").replace('"', '\\"')
        self._search_path = [f'hydra.searchpath=["file://{quoted}"]'] if extra else []
        # Composing takes 0.1 s, and the jobs of a sweep have much in common.
        self._composed: dict[tuple[str, ...], DictConfig] = {}
        self.parser = OverridesParser.create(config_loader=GlobalHydra.instance().config_loader())

    def compose(self, overrides: Sequence[str]) -> DictConfig:
        """The composed config, its references not yet filled in.

        Raises:
            ComposeError: when it cannot be composed.
        """
        known = tuple(overrides)
        try:
            if known not in self._composed:
                self._composed[known] = compose(self._primary, [*self._search_path, *overrides])
            return self._composed[known]
        except yaml.YAMLError as error:
            raise ComposeError(f"{yaml_fault(error)}; mend the file") from error
        except (HydraException, OmegaConfBaseException, ValueError, TypeError, OSError) as error:
            # Hydra's own message may be empty, and that of its cause tell all.
            cause = error.__cause__ or error.__context__
            texts = [" ".join(str(each).partition("Config search path")[0].split()) for each in (error, cause) if each]
            reason = next(filter(None, texts), type(error).__name__)
            raise ComposeError(reason if texts[0] else f"{reason}; check what stands there") from error


@contextmanager
def composer(catalogue: Catalogue) -> Iterator[Composer]:
    """Hydra, set up for composing only, and put back afterwards, so that ``hydra.main`` starts afresh."""
    register_resolvers()
    with fitted(), initialize_config_dir(str(conf_folder()), job_name="snnrun", version_base=VERSION_BASE):
        yield Composer(catalogue.extra, catalogue.primary)


def with_value(config: DictConfig, key: str, value: object) -> DictConfig:
    """A copy of ``config`` with another value at a top-level key, which references to it see."""
    changed = config.copy()
    OmegaConf.set_readonly(changed, False)
    OmegaConf.update(changed, key, value)
    return changed


def register_resolvers() -> None:
    """What the primary configs name run folders with.

    ``${snnrun.token:}``: hex digits that no other run has; the same wherever one config asks for them.
    ``${snnrun.home:PATH}``: the path with ``~`` filled in.
    ``${snnrun.named:NAME}``: the name of a set-up with a dash behind it, or nothing where there is none.
    ``${snnrun.title:NAME,OTHER}``: the name that the user gave, or where there is none the other.
    ``${oc.env:NAME}`` of OmegaConf is refused.
    """
    OmegaConf.register_new_resolver("snnrun.token", lambda: secrets.token_hex(4), use_cache=True, replace=True)
    OmegaConf.register_new_resolver("snnrun.home", lambda path: os.path.expanduser(str(path)), replace=True)
    OmegaConf.register_new_resolver("snnrun.named", _named, replace=True)
    OmegaConf.register_new_resolver(
        "snnrun.title", lambda name, other: str(other if name is None else name), replace=True
    )
    OmegaConf.register_new_resolver("oc.env", _no_environment, replace=True)


def _named(name: object) -> str:
    return "" if name is None else str(name).replace("/", "_") + "-"


def _no_environment(*arguments: object) -> NoReturn:
    # A record is shown to others, and a stranger's config could write passwords and keys into it.
    raise ValueError("a config may not read the environment: write the value, or let the shell fill it in")


def yaml_fault(error: yaml.YAMLError, path: Path | None = None) -> str:
    """What is wrong with a YAML file, with its name and line."""
    mark = getattr(error, "problem_mark", None)
    name = str(path) if path else getattr(mark, "name", "a YAML file")
    line = f", line {mark.line + 1}" if mark else ""
    return f"{name}{line}: {getattr(error, 'problem', None) or 'not YAML'}"
