"""snnrun's search, where Hydra looks for plugins.

Hydra imports this file at every start; the work is in ``snnrun.cli.search``, imported when it is asked for.
"""

from __future__ import annotations

from typing import Any

from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class OptunaSweeper(Sweeper):
    """Optuna chooses the values. ``options`` are the keys of ``conf/hydra/sweeper/optuna.yaml``."""

    def __init__(self, **options: Any) -> None:
        self.options = options

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Hydra's word for what the sweeper is to work with."""
        from hydra.core.plugins import Plugins

        self.hydra_context, self.task_function, self.config = hydra_context, task_function, config
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> Any:
        """Search; ``arguments`` are the overrides of the command."""
        from snnrun.sweep.search.study import search

        return search(self, arguments)
