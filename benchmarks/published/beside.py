"""Trains snnrun's preset and the library's network beside each other: same weights, same batches, same input.

``python -m benchmarks.published.beside NAME --data DIR [--updates N] [--out FOLDER]``

What is drawn is drawn once, by snnrun, so that whatever differs after an update is what the neuron, its surrogate, its
reset, the loss or the optimizer does. The losses of the updates cannot agree for long: a membrane that rounding puts on
the other side of its threshold is another spike, and Adam takes a gradient of almost nothing, which is all rounding,
for a whole step. So the gradients are compared too, with the same weights on both sides: before the first update, and
again with snnrun's weights after the last.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks import published
from benchmarks.published.recipe import Recipe
from snnrun.config.catalogue import Catalogue
from snnrun.config.settings import Settings
from snnrun.job.compose import composer, plain
from snnrun.job.parts import Parts, parts_of
from snnrun.run.build import build_model, build_state, load_data
from snnrun.system.files import write_json
from snnrun.task import Batch, Data
from snnrun.training.loop import encode, fit, score
from snnrun.training.loop import run as run_model
from snnrun.training.records import StepRecord, of_kind
from snnrun.training.runtime import runtime
from snnrun.training.streams import Streams


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.published.beside", description=__doc__.splitlines()[0])
    parser.add_argument("name", choices=published.names())
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="the data_dir of snnrun")
    parser.add_argument("--seed", type=int, default=0, help="of snnrun's streams (default 0)")
    parser.add_argument("--updates", type=int, default=10, metavar="N", help="steps of the optimizer (default 10)")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="where the record goes")
    parser.add_argument("--threads", type=int, metavar="N", help="of the processor (default: snnrun's choice)")
    arguments = parser.parse_args(words)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the libraries, which are theirs to mend
        record = run(arguments)
    for step, (ours, theirs) in enumerate(zip(record["ours"], record["theirs"], strict=True), 1):
        print(f"{step:4d}  {ours:.9g}  {theirs:.9g}  {theirs / ours - 1:+.1e}")
    print(f"gradients apart: {', '.join(f'{each:.1e}' for each in record['gradients_apart'])}")
    if arguments.out:
        arguments.out.mkdir(parents=True, exist_ok=True)
        write_json(arguments.out / f"beside-{arguments.name}-s{arguments.seed}.json", record)
    return 0


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """The loss of every update, on either side."""
    kind = published.recipe(arguments.name)
    words = [f"experiment={kind.preset}", *kind.overrides, f"seed={arguments.seed}"]
    words += [f"threads={arguments.threads or 'auto'}", "report.log_every=1"]
    with composer(Catalogue()) as hydra:
        config = plain(hydra.compose([*words, "device=cpu", f"data_dir={arguments.data}"]))
    settings, parts = replace(Settings.from_config(config), max_steps=arguments.updates), parts_of(config)
    with runtime(settings):
        streams, device = Streams(settings.seed, torch.device("cpu")), torch.device("cpu")
        data = load_data(parts, settings, streams, device)
        model = build_model(parts, settings, streams)
        recipe, twin = kind(), kind()
        apart = [gradients_apart(recipe, model, data, parts, settings)]
        state = build_state(model, parts, settings, streams, data)
        steps = of_kind(fit(state, data, parts.encoder, parts.loss, settings), StepRecord)
        ours, times = [step.loss for step in steps], [step.time for step in steps]
        apart.append(gradients_apart(twin, model, data, parts, settings))

        again, theirs, ends = Streams(settings.seed, device), list[float](), list[float]()
        for batch in data.train.batches(recipe.batch_size, again.order):
            loss = recipe_loss(recipe, batch, encode(parts.encoder, batch, settings, again.encoding))
            recipe.optimizer.zero_grad()
            loss.backward()
            recipe.optimizer.step()
            theirs.append(loss.item())
            ends.append(time.perf_counter())
            if len(theirs) == len(ours):
                break
    return {
        "preset": kind.preset,
        "overrides": [*kind.overrides],
        "seed": settings.seed,
        "ours": ours,
        "theirs": theirs,
        "gradients_apart": apart,
        # The first update prepares what is prepared once.
        "seconds_per_update": [(each[-1] - each[0]) / max(1, len(each) - 1) for each in (times, ends)],
    }


def gradients_apart(recipe: Recipe, model: nn.Module, data: Data, parts: Parts, settings: Settings) -> float:
    """The distance of the two gradients, relative to their length, on a batch; the weights are snnrun's."""
    start(recipe, model)
    streams = Streams(settings.seed + 1, torch.device("cpu"))
    batch = next(data.train.batches(recipe.batch_size, streams.order))
    x = encode(parts.encoder, batch, settings, streams.encoding)
    model.train()
    loss, _ = score(run_model(model, x, settings, streams.dropout), batch, parts.loss)
    ours = torch.autograd.grad(loss, list(model.parameters()))
    theirs = torch.autograd.grad(recipe_loss(recipe, batch, x), list(recipe.network.parameters()))
    left, right = (torch.cat([gradient.flatten() for gradient in side]).double() for side in (ours, theirs))
    return float((left - right).norm() / left.norm())


def recipe_loss(recipe: Recipe, batch: Batch, x: Tensor) -> Tensor:
    """The library's loss for a batch whose input was encoded to ``x``."""
    assert batch.target is not None
    recipe.network.train()
    return recipe.loss(recipe.run(x), batch.target)


def start(recipe: Recipe, model: nn.Module) -> None:
    """Give the library's network the weights of snnrun's; both have them in the order of their layers."""
    ours, theirs = list(model.parameters()), list(recipe.network.parameters())
    if [p.shape for p in ours] != [p.shape for p in theirs]:
        shapes = [[tuple(p.shape) for p in parameters] for parameters in (ours, theirs)]
        raise SystemExit(f"expected the same layers, got {shapes[0]} in snnrun and {shapes[1]} in {recipe.package}")
    with torch.no_grad():
        for mine, other in zip(ours, theirs, strict=True):
            other.copy_(mine)


if __name__ == "__main__":
    sys.exit(main())
