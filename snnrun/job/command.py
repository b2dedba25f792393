"""What belongs to one command alone: which keys it has, how its config is read and tried, and what it runs."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from snnrun.config.catalogue import Catalogue
    from snnrun.errors import Fault
    from snnrun.job.parts import Trial


class Curve(NamedTuple):
    """One of several configs that are drawn in one figure."""

    label: str  # what sets it apart from the others
    config: dict[str, Any]  # resolved


class Finished(NamedTuple):
    """A job of a sweep that ended well."""

    label: str
    result: Any


class Command(Protocol):
    """A module of ``snnrun.cli``."""

    @property
    def KEYS(self) -> Sequence[str]:
        """The top-level keys of its config that are no parts."""

    @property
    def STRICT(self) -> bool:
        """Whether a key that the command does not know is a fault even if a part set it."""

    @property
    def LIGHT(self) -> bool:
        """Whether ``prepare`` builds nothing, so that settings can be read before torch is imported."""

    def prepare(self, config: DictConfig, trusted: Collection[str]) -> DictConfig:
        """The config as it is run."""

    def read(self, config: Mapping[str, Any]) -> tuple[Any | None, list[Fault]]:
        """The settings, or None and what is wrong with them."""

    def try_parts(self, trial: Trial, catalogue: Catalogue) -> list[Fault]:
        """All faults of the parts, and of how they go together."""

    def run(
        self,
        config: Mapping[str, Any],
        folder: Path,
        command: Sequence[str],
        curves: Sequence[Curve],
        trusted: Collection[str],
    ) -> Any:
        """Run the job, and leave the record in ``folder``; returns the result."""

    def finish(self, jobs: Sequence[Finished], folder: Path) -> None:
        """The end of a sweep whose jobs ran one after another in this process."""
