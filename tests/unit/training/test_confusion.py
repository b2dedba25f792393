"""Confusion matrices: counted by hand, in batches and over processes."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from snnrun.loss import metric
from snnrun.system.ranks import Ranks
from snnrun.system.team import Team
from snnrun.training.confusion import MOST_CLASSES, Confusion, Predictions
from snnrun.training.loop import evaluate
from support.small import training


class Half(Team):
    """Rank 0 or 1 of two, of which the other has counted ``others``."""

    def __init__(self, rank: int, others: Tensor | None = None) -> None:
        self.ranks, self.others = Ranks(rank, 2), others

    def reduce_sum(self, counts: Tensor) -> Tensor:
        self.counts = counts
        return counts if self.others is None else counts + self.others if self.leads else torch.zeros_like(counts)


def collect(classes: str, *batches: tuple[list[int], list[int]]) -> Predictions:
    predictions_of = Predictions(tuple(classes))
    for labels, predictions in batches:
        predictions_of.add(torch.tensor(predictions), torch.tensor(labels))
    return predictions_of


def test_rows_are_classes_and_columns_predictions() -> None:
    confusion = collect("abc", ([0, 0, 1], [0, 2, 1]), ([1, 1], [1, 0])).confusion(Team())
    assert confusion == Confusion(("a", "b", "c"), ((1, 0, 1), (1, 2, 0), (0, 0, 0)), (2, 3, 0))
    assert confusion.accuracy_by_class() == {"a": 0.5, "b": 2 / 3, "c": None}


def test_what_is_no_class_is_wrong_and_in_no_column() -> None:
    confusion = collect("ab", ([0, 0, 0, 1, 7], [0, 2, -1, 1, 0])).confusion(Team())
    assert confusion == Confusion(("a", "b"), ((1, 0), (0, 1)), (3, 1))
    assert confusion.accuracy_by_class() == {"a": 1 / 3, "b": 1.0}


def test_counts_are_summed_over_processes_at_rank_0() -> None:
    other = Half(1)
    assert collect("ab", ([1, 1], [0, 1])).confusion(other) is None
    confusion = collect("ab", ([0], [0])).confusion(Half(0, other.counts))
    assert confusion == Confusion(("a", "b"), ((1, 0), (1, 1)), (1, 2))
    assert collect("ab").confusion(Half(0, other.counts)) == Confusion(("a", "b"), ((0, 0), (1, 1)), (0, 2))


def test_where_there_are_no_classes_none_is_counted() -> None:
    values = Predictions(("a", "b"))
    values.add(torch.zeros(3, 2), torch.zeros(3, 2))
    too_many = Predictions(tuple(map(str, range(MOST_CLASSES + 1))))
    too_many.add(torch.tensor([0]), torch.tensor([0]))
    for none in (values, too_many, Predictions(), collect("ab")):
        assert none.confusion(Team()) is None


@pytest.mark.parametrize("words", [(), ("loss.accuracy=membrane", "loss.population=3")])
def test_the_test_part_is_counted_and_all_else_is_as_without(words: tuple[str, ...]) -> None:
    trainer = training("model.hidden=[20]", "batch_size=50", *words, batches=3)
    parts, model = trainer.parts, trainer.model
    arguments = (trainer.data.test, parts.encoder, parts.loss, trainer.streams, trainer.settings)
    plain = evaluate(model, *arguments)
    scores = evaluate(model, *arguments, classes=parts.task.class_names())
    assert plain.confusion is None
    assert plain == scores._replace(confusion=None)
    confusion = scores.confusion
    assert confusion is not None
    assert confusion.classes == tuple("0123456789")
    labels = torch.cat([batch.target for batch in trainer.data.test.batches(50) if batch.target is not None])
    assert confusion.samples == tuple(labels.bincount(minlength=10).tolist())
    assert sum(confusion.samples) == 150
    assert tuple(map(sum, confusion.counts)) == confusion.samples
    right = sum(row[i] for i, row in enumerate(confusion.counts))
    assert right / 150 == scores.accuracy
    assert metric.outcome(labels, labels) == 150
