"""The steps of a layer whose output returns as its input: between two steps the feedback is computed.

Forwards, ``f[t] = W s[t-1] + b`` comes before step t. Backwards, the gradient of the output of step t is what comes in,
plus ``W^T g[t+1]``, with ``g`` the gradient of the feedback. :func:`run` is the definition, for every device, with
torch's products. ``llvm.call_by_step`` runs the same on the CPU, with events in place of the forward product, and
:func:`run_at_once` on a GPU, in one call.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from torch import Tensor

from snnrun.sequence.kernel.kernel import FEEDBACK_BIAS, FEEDBACK_WEIGHTS, Kernel, Key


class Rows(NamedTuple):
    """Which row of a tensor belongs to each step, in the order in which steps are executed.

    Attributes:
        tensor: the rows, ``[R, B, *N]``.
        first: the row of the first step.
        onwards: rows from a step to the next: 1, -1 or 0.
        takes_turns: steps use the two rows in turn.
    """

    tensor: Tensor
    first: int = 0
    onwards: int = 0
    takes_turns: bool = False

    def row(self, step: int) -> Tensor:
        """The row of a step."""
        return self.tensor[(self.first + step) % 2 if self.takes_turns else self.first + step * self.onwards]

    def over_time(self, steps: int) -> Tensor:
        """The rows of all steps, in the order of time, ``[T, B, *N]``."""
        return self.tensor[min(self.first, self.first + (steps - 1) * self.onwards) :][:steps]

    @property
    def distance(self) -> int:
        """Distance, in numbers, between the rows of a step and the next."""
        return self.onwards * self.tensor.stride(0)


class Forward(NamedTuple):
    """The feedback ``W s + b`` before each step: ``s``, its result, ``weight`` ``[n, n]``, ``bias`` ``[n]`` or None."""

    s: Rows
    result: Rows
    weight: Tensor
    bias: Tensor | None

    def before(self, step: int) -> None:
        """Compute it."""
        s, result = self.s.row(step), self.result.row(step)
        product = s.flatten(1) @ self.weight.t()
        result.copy_((product if self.bias is None else product + self.bias).view_as(result))

    def after(self, step: int) -> None:
        """Nothing."""

    def arrays(self, steps: int) -> dict[Key, Tensor]:
        """The arrays of the product within a kernel, see ``FeedbackProduct``: ``W^T`` and the bias of each sample."""
        like = self.s.row(0)
        arrays = {FEEDBACK_WEIGHTS.key: self.weight.t().contiguous()}
        if self.bias is not None:
            arrays[FEEDBACK_BIAS.key] = self.bias.view(like.shape[1:]).expand_as(like).contiguous()
        return arrays

    def after_all(self, steps: int) -> None:
        """Nothing."""


class Backward(NamedTuple):
    """The gradients between steps: ``result = incoming + W^T later`` before each, and ``dW += own^T s`` after it.

    Attributes:
        incoming: the gradient of the step's output from outside.
        later: the gradient of the next step's feedback.
        result: the gradient of the step's output.
        own: the gradient of this step's feedback.
        s: the output of the step before.
        weight: ``[n, n]``.
        grad_weight: ``[n, n]``, zeros at first; None if it is not needed.
        grad_bias: ``[n]``, zeros at first; None if it is not needed.
    """

    incoming: Rows
    later: Rows
    result: Rows
    own: Rows
    s: Rows
    weight: Tensor
    grad_weight: Tensor | None
    grad_bias: Tensor | None

    def before(self, step: int) -> None:
        """The gradient of the step's output."""
        result, later = self.result.row(step), self.later.row(step)
        result.copy_(self.incoming.row(step) + (later.flatten(1) @ self.weight).view_as(result))

    def after(self, step: int) -> None:
        """The step's contribution to the gradients of weight and bias."""
        self._add(self.own.row(step).flatten(1), self.s.row(step).flatten(1))

    def arrays(self, steps: int) -> dict[Key, Tensor]:
        """The arrays of the product within a kernel, see ``FeedbackProduct``: ``W`` and the gradient from outside."""
        return {FEEDBACK_WEIGHTS.key: self.weight.contiguous(), Key("grad_output"): self.incoming.over_time(steps)}

    def after_all(self, steps: int) -> None:
        """The contribution of all steps to the gradients of weight and bias."""
        own, s = (rows.over_time(steps).flatten(2).flatten(0, 1) for rows in (self.own, self.s))
        self._add(own, s)

    def _add(self, own: Tensor, s: Tensor) -> None:
        if self.grad_weight is not None:
            self.grad_weight.addmm_(own.t(), s)
        if self.grad_bias is not None:
            self.grad_bias.add_(own.sum(0))


def run(
    kernel: Kernel,
    step_kernel: Callable[[dict[Key, Tensor]], None],
    arrays: Mapping[Key, Rows],
    feedback: Forward | Backward,
    steps: int,
) -> None:
    """Run ``kernel.by_step()`` over ``steps`` steps; ``step_kernel`` runs it for the arrays of one step."""
    kinds = {array.key: array.kind for array in kernel.arrays()}
    for step in range(steps):
        feedback.before(step)
        tensors = {key: arrays[key].row(step) for key in kinds}
        tensors = {key: row if kinds[key] == "lane" else row[None] for key, row in tensors.items()}
        step_kernel(tensors)
        feedback.after(step)


def run_at_once(
    kernel: Kernel,
    call: Callable[[dict[Key, Tensor]], None],
    arrays: Mapping[Key, Rows],
    feedback: Forward | Backward,
    steps: int,
) -> None:
    """Run ``kernel.with_feedback()`` over ``steps`` steps; ``call`` runs it for the arrays of all of them."""
    last = {array.key for _, array in kernel.last}
    tensors = feedback.arrays(steps)
    for key, kind in kernel.arrays():
        if key not in tensors:
            rows = arrays[key]
            tensors[key] = rows.row(steps - 1 if key in last else 0) if kind == "lane" else rows.over_time(steps)
    call(tensors)
    feedback.after_all(steps)
