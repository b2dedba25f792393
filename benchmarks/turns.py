"""Training steps of several networks in turn, so that all of them meet the same minutes of the machine."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping

from benchmarks import command


def take_turns(title: str, steps: Mapping[str, Callable[[], None]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each step in every round; a first one is not counted. The medians are said."""
    for step in steps.values():
        step()  # compiles
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(rounds):
        for name, step in steps.items():
            begin = time.perf_counter()
            step()
            seconds[name].append(time.perf_counter() - begin)
    told = ", ".join(f"{name} {1000 * statistics.median(each):.1f} ms" for name, each in seconds.items())
    command.say(f"{title}: {told}")
    return seconds
