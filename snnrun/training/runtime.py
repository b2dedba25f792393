"""How torch computes during a run: device, threads, deterministic algorithms."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from snnrun.config.settings import Settings
from snnrun.errors import ArgumentError, ConfigError, Description, OutOfMemoryError
from snnrun.system import foreign, machine, threads
from snnrun.system.ranks import Ranks

#: Steps of a sample for the size of a training step, where the data alone knows them.
USUAL_STEPS = 100


def resolve_device(name: str, ranks: Ranks | None = None) -> torch.device:
    """The device for ``auto``, ``cpu``, ``mps``, ``cuda`` or ``cuda:N``.

    Each of several processes (``ranks``) has a GPU.

    ``auto`` is CUDA if there is a device, also of AMD, which torch calls by the same name; else MPS, Apple's, for one
    process; else the CPU.

    Raises:
        ConfigError: for a missing device, or one device for several processes.
    """
    several = ranks is not None and ranks.size > 1
    if several and (":" in name or name == "mps"):
        raise ConfigError.of(ArgumentError("device", "auto, cpu or cuda for several processes, with a GPU each", name))
    if name == "auto":
        alone = "mps" if torch.backends.mps.is_available() and not several else "cpu"
        name = "cuda" if torch.cuda.is_available() else alone
    if name == "mps" and not torch.backends.mps.is_available():
        got = Description("'mps', but there is none here")
        raise ConfigError.of(ArgumentError("device", "a device of this machine", got, advice="use device=cpu"))
    # Torch keeps a few bits of an index above 127, which may name a device of this machine.
    index = int(name.partition(":")[2] or 0)
    device = torch.device(name if index < 128 else "cuda")
    if several and ranks and device.type == "cuda":
        device = torch.device("cuda", ranks.local)
    if device.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if several and 0 < count <= (device.index or 0):
            raise ConfigError(
                f"device: expected a GPU for each process of this machine, and there are only {count}; start fewer "
                f"with --nproc-per-node {count}, or use device=cpu"
            )
        if max(index, device.index or 0) >= count:
            have = f"there are only {count}" if count else "there is no CUDA device here"
            got = Description(f"{name!r}, but {have}")
            raise ConfigError.of(ArgumentError("device", "a device of this machine", got, advice="use device=cpu"))
        return torch.device("cuda", device.index or 0)
    return device


@contextmanager
def runtime(settings: Settings, ranks: Ranks | None = None) -> Iterator[torch.device]:
    """Set torch up for a run, and back afterwards; a lack of memory becomes an error with advice."""
    device = resolve_device(settings.device, ranks)
    if device.type == "cuda" and ranks and ranks.size > 1:
        torch.cuda.set_device(device)  # the default of collectives
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    if settings.deterministic and device.type == "cuda":
        # cuBLAS is deterministic only with a fixed workspace, and reads this once, at its first use.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    before_threads = torch.get_num_threads()
    if isinstance(settings.threads, int):
        torch.set_num_threads(settings.threads)
    torch.use_deterministic_algorithms(settings.deterministic)
    # In this mode torch fills new memory with NaN, which takes a tenth of a step; here all memory is written before it
    # is read.
    fills = torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    try:
        with memory(
            f"out of memory on {device}: a smaller batch_size, num_steps or model.hidden needs less, and so does "
            "precision=bf16"
        ):
            yield device
    finally:
        torch.set_num_threads(before_threads)
        torch.utils.deterministic.fill_uninitialized_memory = fills  # type: ignore[attr-defined]
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])


def use_threads(
    settings: Settings, multiply_adds: int, team: Ranks | None = None, *, recorded: int | None = None
) -> None:
    """With ``threads=auto``, set the number of threads by the size of a training step on the CPU (in ``runtime``).

    It depends on the config and the cores alone, so that the same command has the same number, and the same bits.

    Args:
        multiply_adds: of the model, for one sample in one time step.
        team: the processes that share a batch.
        recorded: the number of threads of the run that is resumed, which is used if this process has as many cores, so
            that the bits agree. Default: a new run.
    """
    if settings.threads != "auto":
        return
    if recorded is not None and 0 < recorded <= machine.cores():
        torch.set_num_threads(recorded)
        return
    samples = settings.batch_size / (team.size if team else 1)
    steps = settings.num_steps if isinstance(settings.num_steps, int) else USUAL_STEPS
    step = samples * steps * multiply_adds
    torch.set_num_threads(threads.worth(step, torch.get_num_threads()))


@contextmanager
def memory(advice: str) -> Iterator[None]:
    """Within this context a lack of memory is an OutOfMemoryError with ``advice``."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        # On the CPU torch raises a plain RuntimeError, recognised by its message.
        if not (foreign.torch_lacks_memory(error) or isinstance(error, (MemoryError, torch.OutOfMemoryError))):
            raise
        first = str(error).splitlines()[0] if str(error) else "no more to allocate"
        raise OutOfMemoryError(f"{advice} ({first})") from error
