"""The interface of a command: its keys, how its config is read and checked, and what it runs."""

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
    """One of several configs in one figure."""

    label: str  # its difference from the others
    config: dict[str, Any]  # resolved


class JobResult(NamedTuple):
    """The result of a successful job of a sweep."""

    label: str
    result: Any


class Command(Protocol):
    """A module of ``snnrun.cli``."""

    @property
    def KEYS(self) -> Sequence[str]:
        """The top-level keys of its config that are not parts."""

    @property
    def STRICT(self) -> bool:
        """True if an unknown key is a fault even if a part sets it."""

    @property
    def LIGHT(self) -> bool:
        """True if ``prepare`` builds nothing, so that settings can be read before torch is imported."""

    def prepare(self, config: DictConfig, trusted: Collection[str]) -> DictConfig:
        """The config as it runs."""

    def read(self, config: Mapping[str, Any]) -> tuple[Any | None, list[Fault]]:
        """The settings, or None and their faults."""

    def try_parts(self, trial: Trial, catalogue: Catalogue) -> list[Fault]:
        """All faults of the parts and of their combination."""

    def run(
        self,
        config: Mapping[str, Any],
        folder: Path,
        command: Sequence[str],
        curves: Sequence[Curve],
        trusted: Collection[str],
    ) -> Any:
        """Run the job, and write the record into ``folder``. Returns the result."""

    def finish(self, jobs: Sequence[JobResult], folder: Path) -> None:
        """Finish a sweep whose jobs ran one after another in this process."""
