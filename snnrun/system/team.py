"""Several processes that train one model, each with some samples of every batch, through ``torch.distributed``.

The result equals the result of one process. Each process makes all random draws of the whole batch, and keeps its own
samples' draws (``own``), so that a draw depends on the sample's place in the batch. The read-outs of all are gathered
(``whole``), and every process computes the loss of the whole batch; backwards each uses the gradient of its own
samples. The gradients of the parameters are then a plain sum (``add_gradients``). torch's DistributedDataParallel
averages the gradients of separate losses instead, which is right only for a loss that is a mean over samples, and for
equal shares.

A ``Team`` is a single process; ``Processes`` are several.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed import PrefixStore, Store  # type: ignore[attr-defined]

from snnrun.errors import Elsewhere, ProcessLost, SnnrunError
from snnrun.system.ranks import Ranks

#: The time after which a silent process counts as lost.
PATIENCE = timedelta(minutes=10)
#: Seconds for the remaining processes to report after a broken connection; torchrun kills them after 30.
ROLL_CALL = 5.0
#: Seconds that a process stays after the end, so that its launcher does not kill rank 0 while it writes.
FAREWELL = 20.0

_KINDS = (torch.int64, torch.float32, torch.float64)
Score = tuple[Tensor, Tensor | None]


class Broken(Exception):
    """A message between processes failed. ``Processes.diagnose`` finds the process that caused it."""


class Team:
    """One process.

    Attributes:
        ranks: its number, and the number of processes.
        backend: of torch.distributed; None for one process.
        samples: number of samples of the current batch.
        own_count: number of them that belong to this process.
    """

    ranks = Ranks()
    backend: str | None = None
    samples = own_count = 0

    @property
    def rank(self) -> int:
        return self.ranks.rank

    @property
    def size(self) -> int:
        return self.ranks.size

    @property
    def leads(self) -> bool:
        """True if this process writes and prints."""
        return self.rank == 0

    def split(self, samples: int) -> None:
        """Begin a batch of ``samples`` samples."""
        self.samples = self.own_count = samples

    def own(self, x: Tensor, axis: int = 1) -> Tensor:
        """This process's samples of the whole batch ``x``; if it has none, one that does not count."""
        return x

    def whole(self, x: Tensor, axis: int = 1) -> Tensor:
        """The whole batch, gathered from every process's samples ``x``; backwards the gradient of its own samples."""
        return x

    def total(self, x: Tensor) -> Tensor:
        """The sum of all processes' ``x``; backwards the sum of all their gradients."""
        return x

    def add_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Make every gradient the sum of all processes' gradients."""

    def reduce_max(self, *values: int) -> list[int]:
        """The maximum of each value over all processes (an all-reduce)."""
        return list(values)

    def gather_scores(self, batches: Sequence[Score | None]) -> list[Score]:
        """Loss and outcome of every batch, gathered from all processes; None marks a batch of another process."""
        return [batch for batch in batches if batch is not None]

    def reduce_sum(self, counts: Tensor) -> Tensor:
        """The sum of all processes' counts, int64, at rank 0; zeros on other ranks."""
        return counts

    def broadcast(self, data: bytes | None) -> bytes | None:
        """Returns ``data`` of rank 0 on every rank (a broadcast)."""
        return data

    def check_same(self, digest: str) -> None:
        """Raise ProcessLost unless all processes have the same hexadecimal digest."""

    @contextmanager
    def diagnose(self) -> Iterator[None]:
        """Within this context a broken connection becomes an error that names the process at fault."""
        yield


class Processes(Team):
    """One of several processes, created by ``lead`` and ``join``.

    Every method except ``split`` and ``own`` waits for the others, so all must call the same ones in the same order.
    """

    def __init__(self, ranks: Ranks, board: Store, backend: str) -> None:
        self.ranks, self.backend = ranks, backend
        self._board, self._has_left = board, False
        self.split(0)

    def split(self, samples: int) -> None:
        self.samples = samples
        share, more = divmod(samples, self.size)
        self._counts = [share + (rank < more) for rank in range(self.size)]
        self.own_count = self._counts[self.rank]
        self._begin = sum(self._counts[: self.rank])

    def own(self, x: Tensor, axis: int = 1) -> Tensor:
        # Without own samples it uses another one and drops the results: all layers need a batch.
        begin = self._begin if self.own_count else 0
        part = x.narrow(axis, begin, self.own_count or 1)
        # Keep an input that is stored once for all steps (see snnrun.model.structure.is_constant).
        return part if x.shape[0] > 1 and x.stride(0) == 0 else part.contiguous()

    def whole(self, x: Tensor, axis: int = 1) -> Tensor:
        gathered: Tensor = _Whole.apply(x, self, axis)
        return gathered

    def gather(self, x: Tensor, axis: int) -> Tensor:
        """``whole`` without a gradient."""
        mine = x.detach().narrow(axis, 0, self.own_count).movedim(axis, 0)
        # All send the size of the largest share.
        padded = mine.new_zeros((self._counts[0], *mine.shape[1:]))
        padded[: self.own_count] = mine
        parts = [torch.empty_like(padded) for _ in range(self.size)]
        with _talking():
            dist.all_gather(parts, padded)
        rows = torch.cat([part[:count] for part, count in zip(parts, self._counts, strict=True)])
        return rows.movedim(0, axis).contiguous()

    def own_gradient(self, gradient: Tensor, axis: int) -> Tensor:
        """The gradient of this process's samples; zero if it has none."""
        if self.own_count:
            return gradient.narrow(axis, self._begin, self.own_count)
        return torch.zeros_like(gradient.narrow(axis, 0, 1))

    def total(self, x: Tensor) -> Tensor:
        total: Tensor = _Total.apply(x, self)
        return total

    def add(self, x: Tensor) -> Tensor:
        """The sum of all processes' ``x``, without a gradient."""
        total = x.detach().clone(memory_format=torch.contiguous_format)
        with _talking():
            dist.all_reduce(total)
        return total

    def add_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        for dtype in dict.fromkeys(gradient.dtype for gradient in gradients):
            same_dtype = [gradient for gradient in gradients if gradient.dtype == dtype]
            # One message for all, since each message is expensive.
            total = self.add(torch.cat([gradient.reshape(-1) for gradient in same_dtype]))
            for gradient, part in zip(same_dtype, total.split([g.numel() for g in same_dtype]), strict=True):
                gradient.copy_(part.view(gradient.shape))

    def reduce_max(self, *values: int) -> list[int]:
        agreed = torch.tensor(values)
        with _talking():
            dist.all_reduce(agreed, dist.ReduceOp.MAX)
        return agreed.tolist()

    def gather_scores(self, batches: Sequence[Score | None]) -> list[Score]:
        outcomes = [batch[1] for batch in batches if batch is not None and batch[1] is not None]
        kind = (outcomes[0].numel(), outcomes[0].dim(), _KINDS.index(outcomes[0].dtype)) if outcomes else (0, 0, 0)
        size, dim, dtype = self.reduce_max(*kind)  # a process may have no batch
        device = next((batch[0].device for batch in batches if batch is not None), torch.device("cpu"))
        # Exact, since all but one process add zeros.
        table = torch.zeros((len(batches), 1 + size), dtype=torch.float64)
        for row, batch in zip(table, batches, strict=True):
            if batch is not None:
                row[0] = batch[0].detach()
                if batch[1] is not None:
                    row[1:] = batch[1].reshape(-1)
        table = self.add(table).to(device)
        shape = ((), (-1,), (4, -1))[dim]
        return [(row[0], row[1:].to(_KINDS[dtype]).reshape(shape) if size else None) for row in table]

    def reduce_sum(self, counts: Tensor) -> Tensor:
        (size,) = self.reduce_max(counts.numel())
        # A process that has just loaded a checkpoint has no counts yet.
        total = self.add(counts if counts.numel() == size else counts.new_zeros(size))
        return total if self.leads else torch.zeros_like(total)

    def broadcast(self, data: bytes | None) -> bytes | None:
        (size,) = self.reduce_max(-1 if data is None or not self.leads else len(data))
        if size < 0:
            return None
        message = torch.empty(size, dtype=torch.uint8)
        if self.leads and data is not None:
            message = torch.frombuffer(bytearray(data), dtype=torch.uint8) if data else message
        with _talking():
            dist.broadcast(message, 0)
        return message.numpy().tobytes()

    def check_same(self, digest: str) -> None:
        mine = torch.tensor([int(digest[:15], 16)])
        digests = [torch.empty_like(mine) for _ in range(self.size)]
        with _talking():
            dist.all_gather(digests, mine)
        others = [str(rank) for rank, other in enumerate(digests) if other.item() != digests[0].item()]
        if others:
            raise ProcessLost(
                f"the weights of rank {', '.join(others)} are not those of rank 0; are the processors or the versions "
                "of torch others? Use machines of one kind"
            )

    @contextmanager
    def diagnose(self) -> Iterator[None]:
        try:
            yield
        except Broken as error:
            self.leave(error)
            raise self._cause(error) from error
        except BaseException as error:
            self.leave(error)
            raise

    def leave(self, error: BaseException | None) -> None:
        """Publish why this process leaves, and close its connections, so that nobody waits for it; only once."""
        if self._has_left:
            return
        self._has_left = True
        if error is not None:
            known = isinstance(error, SnnrunError)
            interrupted = "interrupted" if isinstance(error, KeyboardInterrupt) else None
            word = {
                "fault": None if isinstance(error, Broken) else interrupted or _words(error, known),
                "code": getattr(error, "exit_code", 1),
            }
            with suppress(RuntimeError):
                self._board.set(f"left/{self.rank}", json.dumps(word))
        with suppress(RuntimeError, ValueError, AssertionError):
            dist.destroy_process_group()

    def _cause(self, error: Broken) -> SnnrunError:
        """The error of the process that ended the run: one with a published reason, else a silent one."""
        words: dict[int, Mapping[str, Any]] = {}
        until = time.monotonic() + ROLL_CALL
        while len(words) < self.size and time.monotonic() < until:
            for rank in range(self.size):
                if rank not in words and (word := _read(self._board, f"left/{rank}")):
                    words[rank] = word
            time.sleep(0.05)
        for rank in sorted(words):
            if words[rank].get("fault"):
                return Elsewhere(f"rank {rank} of {self.size}: {words[rank]['fault']}", int(words[rank]["code"]))
        lost = [str(rank) for rank in range(self.size) if rank not in words]
        advice = "; `snnrun resume` goes on from the last checkpoint, with any number of processes"
        if lost:
            what = "was lost: it was killed, or does not answer" if len(lost) == 1 else "were lost"
            loss = ProcessLost(f"rank {', '.join(lost)} of {self.size} processes {what}{advice}")
            loss.first_rank = min(words, default=self.rank)
            return loss
        return ProcessLost(f"the processes lost their connection ({error}){advice}")


class _Whole(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, team: Processes, axis: int) -> Tensor:
        ctx.team, ctx.axis = team, axis
        return team.gather(x, axis)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        # Every process has the loss of the whole batch, so the gradient of its own samples is complete.
        return ctx.team.own_gradient(gradient, ctx.axis), None, None


class _Total(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, team: Processes) -> Tensor:
        ctx.team = team
        return team.add(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return ctx.team.add(gradient), None


def connect(ranks: Ranks) -> Store:
    """The store for messages between processes, hosted by rank 0 or its launcher.

    Raises:
        ProcessLost: if there is none.
    """
    from torch.distributed.rendezvous import rendezvous

    try:
        store, _, _ = next(iter(rendezvous("env://", ranks.rank, ranks.size, timeout=PATIENCE)))
    except (RuntimeError, ValueError, OSError) as error:
        raise ProcessLost(
            f"rank {ranks.rank} of {ranks.size} cannot reach MASTER_ADDR:MASTER_PORT: {_first(error)}; start all "
            "processes with torchrun"
        ) from error
    return PrefixStore("snnrun", store)


@contextmanager
def lead(ranks: Ranks, job: Mapping[str, Any], device: str) -> Iterator[Team]:
    """Within this context rank 0 works with the processes that ``take`` its job, or alone if there are none.

    ``job``: the job for the others, fit for JSON. ``device``: the kind, ``cpu`` or ``cuda``.
    """
    if ranks.size == 1:
        yield Team()
        return
    board = connect(ranks)
    board.set("job", json.dumps({**job, "device": device}))
    with join(ranks, board, device) as team:
        yield team


@contextmanager
def join(ranks: Ranks, board: Store, device: str) -> Iterator[Processes]:
    """Within this context this process is one of the team."""
    backend = "gloo" if device == "cpu" else "cpu:gloo,cuda:nccl"
    try:
        group = PrefixStore("group", board)
        dist.init_process_group(backend, store=group, rank=ranks.rank, world_size=ranks.size, timeout=PATIENCE)
    except (RuntimeError, ValueError) as error:
        raise ProcessLost(
            f"rank {ranks.rank} of {ranks.size} could not connect to the others: {_first(error)}; did all start? If "
            "they are on several machines, GLOO_SOCKET_IFNAME names the network between them"
        ) from error
    team = Processes(ranks, board, "gloo" if device == "cpu" else "nccl")
    try:
        yield team
    except BaseException as error:
        team.leave(error)
        raise
    team.leave(None)


def take(board: Store) -> Mapping[str, Any] | int:
    """The job from rank 0 for the others, or the exit code of a command without one."""
    while True:
        for key in ("job", "done"):
            if word := _read(board, key):
                return int(word["code"]) if key == "done" else word
        time.sleep(0.1)


def done(board: Store, code: int) -> None:
    """Announce that rank 0 has finished writing."""
    with suppress(RuntimeError):
        board.set("done", json.dumps({"code": code}))


def farewell(board: Store) -> None:
    """Wait for ``done``: a launcher may end all processes as soon as one has failed."""
    until = time.monotonic() + FAREWELL
    with suppress(RuntimeError):
        while not board.check(["done"]) and time.monotonic() < until:
            time.sleep(0.1)


def _read(board: Store, key: str) -> Mapping[str, Any] | None:
    try:
        word: Mapping[str, Any] | None = json.loads(board.get(key)) if board.check([key]) else None
    except RuntimeError:  # the host of the store is gone
        if key in ("job", "done"):
            raise ProcessLost("rank 0 was lost before the run began") from None
        return None
    return word


@contextmanager
def _talking() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        raise Broken(_first(error)) from error


def _first(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def _words(error: BaseException, known: bool) -> str:
    return str(error) if known else f"{type(error).__name__}: {error}"
