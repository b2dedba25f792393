"""Writes the products with spikes as LLVM code; see :mod:`snnrun.model.products.events` for what they compute.

A table, of ``W^T`` or of its gradient, is cut into stripes of ``WIDTH`` columns and blocks of ``BLOCK`` rows, each with
a row of zeros after it. A list has the rows of a block that a sample's spikes select, and is padded to an even length
with the row of zeros. Some blocks of a stripe fit the L2 cache, and one row of a stripe stays in vector registers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from snnrun.system.llvm.engine import has_wide_vectors
from snnrun.system.llvm.function import Function, Loop, join
from snnrun.system.llvm.row import Row, clear, signed_byte

#: Rows of a block: an index among them, and the row of zeros, fit a byte.
BLOCK = 128
#: Samples whose sums stay in the cache.
TILE = 256
#: Most terms of a sum before it is added to another.
LONGEST = 512
_LANES = 16  # floats of a vector; LLVM splits it for processors with shorter vectors
_VECTORS = 8 if has_wide_vectors() else 2  # all sums must fit the registers
#: Columns of a stripe.
WIDTH = _LANES * _VECTORS
#: Bytes for a list.
SLOTS = BLOCK + 2
_PAIR = 2  # spikes added at a time, each to its own sum, so that additions need not wait for each other
_SHORT = 32  # rows of a stripe that are written or read by columns at a time: they fit the L1 cache
_SIZE = (BLOCK + 1) * WIDTH  # numbers of a block with its row of zeros

#: The functions, with a letter per argument: pointer or integer.
SIGNATURES = {"find": "ppppiiii", "product": "ppppppp" + "i" * 8, "gradient": "ppppppp" + "i" * 8}


def code() -> str:
    """The code of all functions."""
    return join([], [_find(), _add_rows_of_lists(), _add_row_to_lists(), _product(), _gradient()])


def _function(head: str) -> Function:
    return Function(f"void @{head}", double=False, width=_LANES)


def _find() -> Function:
    """``void find(x, places, lengths, spikes, columns, rows, first, last)``: the lists of the samples ``first`` … .

    ``spikes``: the number of spikes of each sample; -1: its values are not spikes.
    """
    w = _function(
        "find(ptr %x, ptr %places, ptr %lengths, ptr %spikes, i64 %columns, i64 %rows, i64 %first, i64 %last)"
    )
    blocks = w.pieces("%columns", BLOCK)
    with w.loop("sample", "%first", "%last") as sample:
        x = w.at("%x", w.product(sample.index, "%columns"))
        with w.loop("block", "0", blocks, values=["0", "0"], kinds=["i64", "i64"]) as block:
            place = w.sum(w.product(block.index, "%rows"), sample.index)
            list_, begin = w.at("%places", w.product(place, SLOTS), "i8"), w.product(block.index, BLOCK)
            length = w.smaller(w.difference("%columns", begin), str(BLOCK))
            row = w.at(x, begin)
            count, others, done = "0", block.values[1], "0"
            for lanes in (64, _LANES, 1):
                kinds = ["i64", "i64"]
                with w.loop(f"of{lanes}", done, length, by=lanes, values=[count, others], kinds=kinds) as piece:
                    ones, some = Row(w, 0, lanes).ones(w.at(row, piece.index))
                    with w.ones(f"ones{lanes}", ones, 64, piece.values[0]) as (one, number):
                        column = w.let(f"trunc i64 {w.sum(piece.index, one)} to i8")
                        w.line(f"store i8 {column}, ptr {w.at(list_, number, 'i8')}")
                    piece.values = [number, w.let(f"or i64 {piece.values[1]}, {some}")]
                (count, others), done = piece.values, piece.index
            w.line(f"store i8 {signed_byte(BLOCK)}, ptr {w.at(list_, count, 'i8')}")
            even = w.let(f"trunc i64 {w.sum(count, w.let(f'and i64 {count}, 1'))} to i8")
            w.line(f"store i8 {even}, ptr {w.at('%lengths', place, 'i8')}")
            block.values = [w.sum(block.values[0], count), others]
        total, others = block.values
        result = w.let(f"select i1 {w.let(f'icmp ne i64 {others}, 0')}, i64 -1, i64 {total}")
        w.line(f"store i64 {result}, ptr {w.at('%spikes', sample.index, 'i64')}")
    w.line("ret void")
    return w


#: Arguments of the functions for a sample: the first list, its length, and the distances to the next block.
_LISTS = "ptr %list, ptr %length, i64 %list_step, i64 %length_step, i64 %blocks"


@contextmanager
def _lists(w: Function, values: list[str]) -> Iterator[tuple[Loop, str, Callable[[str], str]]]:
    """A loop over the pairs of the lists of some blocks; gives the table's block and the address of a selected row."""
    with w.loop("block", "0", "%blocks", values=values) as block:
        list_ = w.at("%list", w.product(block.index, "%list_step"), "i8")
        count = _byte(w, w.at("%length", w.product(block.index, "%length_step"), "i8"))
        table = w.at("%table", w.product(block.index, _SIZE))
        with w.loop("pair", "0", count, by=_PAIR, values=block.values) as pair:

            def row(i: str) -> str:
                return w.at(table, w.product(_byte(w, w.at(list_, i, "i8")), WIDTH))

            yield pair, pair.index, row
        block.values = pair.values
    values[:] = block.values


def _byte(w: Function, address: str) -> str:
    return w.let(f"zext i8 {w.let(f'load i8, ptr {address}')} to i64")


def _add_rows_of_lists() -> Function:
    """``void add_rows_of_lists(end, begin, table, …)``: ``end = begin + Σ table[k]`` over the k of some lists."""
    w = _function(f"add_rows_of_lists(ptr %end, ptr %begin, ptr %table, {_LISTS})")
    sums = ["zeroinitializer"] * (_PAIR * _VECTORS)
    with _lists(w, sums) as (pair, i, row):
        for step in range(_PAIR):
            selected = row(w.sum(i, step))
            for v in range(_VECTORS):
                at = step * _VECTORS + v
                pair.values[at] = w.arithmetic("fadd", pair.values[at], w.load(selected, str(v * _LANES)))
    for v in range(_VECTORS):
        value = w.arithmetic("fadd", sums[v], sums[_VECTORS + v])
        w.store(w.arithmetic("fadd", w.load("%begin", str(v * _LANES)), value), "%end", str(v * _LANES))
    w.line("ret void")
    return w


def _add_row_to_lists() -> Function:
    """``void add_row_to_lists(row, table, …)``: ``table[k] += row`` for the k of some lists."""
    w = _function(f"add_row_to_lists(ptr %row, ptr %table, {_LISTS})")
    values = [w.load("%row", str(v * _LANES)) for v in range(_VECTORS)]
    with _lists(w, []) as (_, i, row):
        for step in range(_PAIR):
            selected = row(w.sum(i, step))
            for v, value in enumerate(values):
                place = str(v * _LANES)
                w.store(w.arithmetic("fadd", w.load(selected, place), value), selected, place)
    w.line("ret void")
    return w


_TASK = (
    "ptr %places, ptr %lengths, ptr %matrix, ptr %other, ptr %out, ptr %table, ptr %sums, "
    "i64 %rows, i64 %terms, i64 %outputs, i64 %stripe, i64 %begin, i64 %end"
)


def _product() -> Function:
    """``void product(places, lengths, W, start, out, table, sums, M, K, N, stripe, begin, end, group, blocks)``.

    The columns of the product from ``stripe`` on, for the samples from ``begin`` to ``end``, ``group`` blocks at once.
    """
    w = _function(f"product({_TASK}, i64 %group, i64 %blocks)")
    width = w.smaller(w.difference("%outputs", "%stripe"), str(WIDTH))
    whole = w.let(f"icmp eq i64 {width}, {WIDTH}")
    clear(w, "%table", w.product("%blocks", 4 * _SIZE))
    _fill(w, width)
    start = w.at("%other", "%stripe")
    with w.loop("tile", "0", w.pieces(w.difference("%end", "%begin"), TILE)) as tile:
        first = w.sum("%begin", w.product(tile.index, TILE))
        last = w.smaller(w.sum(first, TILE), "%end")
        with w.loop("groups", "0", w.pieces("%blocks", "%group")) as group:
            block = w.product(group.index, "%group")
            rest = w.difference("%blocks", block)
            many = w.smaller(rest, "%group")
            ends = w.let(f"and i1 {whole}, {w.let(f'icmp sle i64 {rest}, %group')}")
            begins = w.let(f"icmp eq i64 {block}, 0")
            table = w.at("%table", w.product(block, _SIZE))
            with w.loop("sample", first, last) as sample:
                here = w.at("%sums", w.product(w.difference(sample.index, first), WIDTH))
                out = w.at("%out", w.sum(w.product(sample.index, "%outputs"), "%stripe"))
                end = w.let(f"select i1 {ends}, ptr {out}, ptr {here}")
                begin = w.let(f"select i1 {begins}, ptr {start}, ptr {here}")
                _call(w, "add_rows_of_lists", f"ptr {end}, ptr {begin}, ptr {table}", block, sample.index, many)
        with w.loop("rest", first, w.let(f"select i1 {whole}, i64 {first}, i64 {last}")) as sample:
            here = w.at("%sums", w.product(w.difference(sample.index, first), WIDTH))
            out = w.at("%out", w.sum(w.product(sample.index, "%outputs"), "%stripe"))
            _copy(w, "of_rest", here, out, width)
    w.line("ret void")
    return w


def _gradient() -> Function:
    """``void gradient(places, lengths, g, row, out, table, sums, M, K, N, stripe, begin, end, first, last)``.

    The gradient of the weights from output ``stripe`` on, for the blocks from ``first`` to ``last``, summed over the
    samples from ``begin`` to ``end``. ``row``, ``table`` and ``sums`` are scratch memory.
    """
    w = _function(f"gradient({_TASK}, i64 %first, i64 %last)")
    width = w.smaller(w.difference("%outputs", "%stripe"), str(WIDTH))
    whole = w.let(f"icmp eq i64 {width}, {WIDTH}")
    many = w.difference("%last", "%first")
    numbers, samples = w.product(many, _SIZE), w.difference("%end", "%begin")
    one = w.let(f"icmp sle i64 {samples}, {LONGEST}")
    for scratch in ("%table", "%sums"):
        clear(w, scratch, w.product(numbers, 4))
    with w.loop("piece", "0", w.pieces(samples, LONGEST)) as piece:
        begin = w.sum("%begin", w.product(piece.index, LONGEST))
        end = w.smaller(w.sum(begin, LONGEST), "%end")
        with w.loop("sample", begin, end) as sample:
            source = w.at("%matrix", w.sum(w.product(sample.index, "%outputs"), "%stripe"))
            _copy(w, "of_row", source, "%other", w.let(f"select i1 {whole}, i64 0, i64 {width}"))
            row = w.let(f"select i1 {whole}, ptr {source}, ptr %other")
            _call(w, "add_row_to_lists", f"ptr {row}, ptr %table", "%first", sample.index, many)
        with w.loop("add", "0", w.let(f"select i1 {one}, i64 0, i64 {numbers}"), by=_LANES) as add:
            w.store(w.arithmetic("fadd", w.load("%sums", add.index), w.load("%table", add.index)), "%sums", add.index)
            w.store(w.every(0.0), "%table", add.index)
    total = w.let(f"select i1 {one}, ptr %table, ptr %sums")
    end = w.smaller(w.product("%last", BLOCK), "%terms")
    _empty(w, w.product("%first", BLOCK), end, width, total)
    w.line("ret void")
    return w


def _call(w: Function, name: str, pointers: str, block: str, sample: str, many: str) -> None:
    """Call a function with the lists of a sample, from ``block`` on."""
    place = w.sum(w.product(block, "%rows"), sample)
    list_, length = w.at("%places", w.product(place, SLOTS), "i8"), w.at("%lengths", place, "i8")
    step = w.product("%rows", SLOTS)
    w.line(f"call void @{name}({pointers}, ptr {list_}, ptr {length}, i64 {step}, i64 %rows, i64 {many})")


def _fill(w: Function, width: str) -> None:
    """Copy a stripe of the weights, rows of ``matrix`` from ``stripe`` on, to the columns of the table."""
    with w.loop("short", "0", w.pieces("%terms", _SHORT)) as short:
        first = w.product(short.index, _SHORT)
        end = w.smaller(w.sum(first, _SHORT), "%terms")
        with w.loop("row", first, end) as row:
            table, source = _row_of_table(w, "%table", row.index), w.at("%matrix", w.product("%stripe", "%terms"))
            source = w.at(source, row.index)
            with w.loop("columns", "0", width, by=_LANES) as columns:
                for i in range(_LANES):
                    place = w.sum(columns.index, i)
                    _move(w, w.at(source, w.product(place, "%terms")), w.at(table, place))
            with w.loop("column", columns.index, width) as column:
                _move(w, w.at(source, w.product(column.index, "%terms")), w.at(table, column.index))


def _empty(w: Function, first: str, end: str, width: str, table: str) -> None:
    """Copy the rows from ``first`` to ``end`` of a table, which begins with the first, to the columns of ``out``."""
    skipped = w.product(w.let(f"sdiv i64 {first}, {BLOCK}"), _SIZE)
    with w.loop("short", first, end, by=_SHORT) as short, w.loop("column", "0", width) as column:
        source = w.at(_row_of_table(w, table, short.index, skipped), column.index)
        target = w.at("%out", w.sum(w.product(w.sum("%stripe", column.index), "%terms"), short.index))
        for i in range(_SHORT):
            _move(w, w.at(source, str(i * WIDTH)), w.at(target, str(i)))
    with w.loop("rest_row", short.index, end) as row, w.loop("rest_column", "0", width) as column:
        source = w.at(_row_of_table(w, table, row.index, skipped), column.index)
        _move(w, source, w.at("%out", w.sum(w.product(w.sum("%stripe", column.index), "%terms"), row.index)))


def _row_of_table(w: Function, table: str, row: str, skipped: str = "0") -> str:
    """The address of a row of a table, which begins after ``skipped`` numbers."""
    block, in_block = w.let(f"sdiv i64 {row}, {BLOCK}"), w.let(f"srem i64 {row}, {BLOCK}")
    return w.at(table, w.difference(w.sum(w.product(block, _SIZE), w.product(in_block, WIDTH)), skipped))


def _move(w: Function, source: str, target: str) -> None:
    w.line(f"store float {w.let(f'load float, ptr {source}, align 4')}, ptr {target}, align 4")


def _copy(w: Function, name: str, source: str, target: str, count: str) -> None:
    """Copy ``count`` numbers."""
    with w.loop(name, "0", count) as each:
        _move(w, w.at(source, each.index), w.at(target, each.index))
