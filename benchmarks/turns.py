"""Training steps of several networks in turn, so that all of them meet the same minutes of the machine."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping

from benchmarks import command
from benchmarks.device import synchronize


def take_turns(
    title: str, steps: Mapping[str, Callable[[], object]], rounds: int, device: str = "cpu"
) -> dict[str, list[float]]:
    """Seconds of each step in every round, with the device waited for; first ones are not counted.

    The medians are said.
    """
    for _ in range(1 if device == "cpu" else 3):
        for step in steps.values():
            step()  # compiles, and measures convolutions
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(rounds):
        for name, step in steps.items():
            synchronize(device)
            begin = time.perf_counter()
            step()
            synchronize(device)
            seconds[name].append(time.perf_counter() - begin)
    told = ", ".join(f"{name} {1000 * statistics.median(each):.1f} ms" for name, each in seconds.items())
    command.say(f"{title}: {told}")
    return seconds
