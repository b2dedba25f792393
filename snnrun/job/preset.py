"""What a named set-up (``conf/experiment``) says of a part is for the part that it names, and for no other.

Hydra merges a set-up's values whatever is chosen beside it: with ``neuron=if`` the IF neuron would be given the β of
the LIF neuron that the set-up is about, and SGD the learning rate of Adam.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import IConfigRepository
from hydra.core.default_element import GroupDefault, ResultDefault
from hydra.plugins.config_source import ConfigResult
from omegaconf import DictConfig

FOLDER = "experiment/"


@contextmanager
def fitted() -> Iterator[None]:
    """Within this context Hydra leaves out what a set-up says of a part for which another was chosen."""
    # Hydra has no hook between choosing and merging, and all of its ways to compose lead through here.
    original = ConfigLoaderImpl._compose_config_from_defaults_list

    def compose(self: ConfigLoaderImpl, defaults: list[ResultDefault], repo: IConfigRepository) -> DictConfig:
        paths = [default.config_path for default in defaults if default.config_path]
        chosen = {group: option for group, _, option in (path.partition("/") for path in paths)}
        fitting: Any = _Fitted(repo, chosen)
        return original(self, defaults, fitting)

    ConfigLoaderImpl._compose_config_from_defaults_list = compose  # type: ignore[method-assign]
    try:
        yield
    finally:
        ConfigLoaderImpl._compose_config_from_defaults_list = original  # type: ignore[method-assign]


class _Fitted:
    """Hydra's files, the set-ups without what they say of parts that are not ``chosen``."""

    def __init__(self, repository: IConfigRepository, chosen: Mapping[str, str]) -> None:
        self._repository, self._chosen = repository, chosen

    def __getattr__(self, name: str) -> Any:
        return getattr(self._repository, name)

    def load_config(self, config_path: str) -> ConfigResult | None:
        found = self._repository.load_config(config_path)
        if found is None or not config_path.startswith(FOLDER) or not isinstance(found.config, DictConfig):
            return found
        fitting = copy.copy(found)
        fitting.config = copy.deepcopy(found.config)
        for entry in found.defaults_list or []:
            if isinstance(entry, GroupDefault) and entry.override and entry.group:
                group = entry.group.lstrip("/")
                if self._chosen.get(group) != entry.value:
                    fitting.config.pop(group, None)
        return fitting
