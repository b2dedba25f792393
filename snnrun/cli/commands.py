"""The commands that compose a config, by name."""

from __future__ import annotations

from snnrun.job.command import Command


def command_of(name: str) -> Command:
    """The command ``train``, ``simulate`` or ``plot``; imported here, since each needs OmegaConf."""
    if name == "train":
        from snnrun.run import train

        return train
    if name == "simulate":
        from snnrun.cli import simulate

        return simulate
    from snnrun.cli import plot

    return plot
