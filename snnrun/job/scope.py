"""The settings that ``snnrun resume`` and ``evaluate`` may change, without training another network."""

from __future__ import annotations

from typing import NamedTuple


class Scope(NamedTuple):
    """The changes to a run that a command allows.

    Attributes:
        keys: top-level keys and groups that may change.
        otherwise: text for any other key.
        followed: settings whose new value goes to the parts that refer to it.
        tests: weights are only tested. Several values of a key make a grid, and faults of training are ignored.
        unused: top-level keys and groups that the command does not use.
    """

    keys: tuple[str, ...]
    otherwise: str
    followed: tuple[str, ...] = ("data_dir",)
    tests: bool = False
    unused: tuple[str, ...] = ()

    def refusal(self, key: str) -> str:
        """The text for a dotted key that may not change."""
        if key.partition(".")[0] in self.unused:
            return f"a test makes no use of {key}; leave it out. In a test, {', '.join(self.keys)} can change"
        return self.otherwise


#: Monitoring of a run, and its machine.
WATCHING = ("max_seconds", "report", "checkpoint", "style", "tracker", "device", "threads", "execution", "data_dir")
#: Length of the training.
LENGTH = ("epochs", "max_steps", "early_stopping")

_NEW = "would train another network; start a new run for that"

UNFINISHED = Scope(
    WATCHING,
    f"the run is not finished, so that only {', '.join(WATCHING)} can change. Let `snnrun resume RUN` bring it to its "
    "end; then `snnrun resume RUN epochs=N` trains it on, as a new run",
)
FINISHED = Scope(
    (*LENGTH, *WATCHING, "output_dir", "name"),
    f"{_NEW}. To train a finished run on, {', '.join((*LENGTH, *WATCHING, 'output_dir', 'name'))} can change",
)
_TESTED = ("num_steps", "task", "encoder", "batch_size", "device", "threads", "data_dir", "output_dir", "style")
TESTED = Scope(
    _TESTED,
    f"the weights belong to the rest of the config; start a new run. In a test, {', '.join(_TESTED)} can change",
    followed=("num_steps", "batch_size", "data_dir"),
    tests=True,
    unused=tuple(key for key in (*WATCHING, *LENGTH, "name") if key not in _TESTED),
)
