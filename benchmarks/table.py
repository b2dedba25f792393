"""Tables of Markdown, and numbers in them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from benchmarks.statistic import Summary


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Markdown; all columns but the first to the right."""
    return [f"| {' | '.join(cells)} |" for cells in _with_rule(head, rows)]


def _with_rule(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[Sequence[str]]:
    yield head
    yield ["---", *["---:"] * (len(head) - 1)]
    yield from rows


def spread(values: Summary, form: str) -> str:
    median, low, high = (form.format(value) for value in values)
    return median if low == high else f"{median} ({_bare(low)} to {_bare(high)})"


def _bare(text: str) -> str:
    """A number without its unit of time."""
    return text.removesuffix(" ms").removesuffix(" s")


def memory(size: int | None) -> str:
    """Bytes as MB; nothing where they were not measured."""
    return "" if size is None else f"{size / 1e6:,.0f} MB"
