"""Writes convolutions of spikes, with a maximum pool after them, as LLVM code.

An image ``[H, W, C]`` has its channels last. Its events are the spikes of each row of pixels in order, as the place
``x C + c`` in the row; ``rows`` has the first event of each row of pixels, ``starts`` the first event of each pixel of
a row, counted from the row's first.

The spikes below one row of a kernel are then a range of events, whatever the stride and the padding, and the sum of a
position is a sum of rows of the weights, ``[KH, KW C, N]``.

If a row of the kernel covers few numbers, as with the single channel of a grey image, there are few patterns of spikes
below it. Then the rows of pixels are kept as bits, and the weights are the sums of all patterns,
``[KH, 2^(KW C), N]``: a position adds one of them for each row of the kernel, without a loop over spikes.

A pool is computed position by position: only its maximum and the position of it, a byte, are written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from snnrun.system.llvm.engine import has_wide_vectors
from snnrun.system.llvm.function import Function, join
from snnrun.system.llvm.row import Row, clear

#: The functions, with a letter per argument: pointer or integer.
SIGNATURES = {"find": "pppppii", "forward": "pppppppii", "weight_gradient": "ppppppii", "input_gradient": "ppppppppii"}


class Geometry(NamedTuple):
    """A convolution of images ``[H, W, C]`` to N channels, and the maximum pool of ``pool x pool`` after it."""

    channels: int
    height: int
    width: int
    outputs: int
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    pool: int  # 1: none
    double: bool = False

    @property
    def out(self) -> tuple[int, int]:
        """Height and width of the output, after the pool."""
        sizes = zip((self.height, self.width), self.kernel, self.stride, self.padding, strict=True)
        height, width = ((size + 2 * p - k) // s + 1 for size, k, s, p in sizes)
        return height // self.pool, width // self.pool

    @property
    def padded(self) -> tuple[int, int]:
        """Height and width of the input with its padding."""
        return self.height + 2 * self.padding[0], self.width + 2 * self.padding[1]

    @property
    def row(self) -> int:
        """Numbers of the input below one row of the kernel."""
        return self.kernel[1] * self.channels

    @property
    def has_patterns(self) -> bool:
        """True if there are few patterns of spikes below one row of the kernel: then each has its own sum."""
        return self.row <= 8

    @property
    def patterns(self) -> int:
        """The number of them."""
        return 1 << self.row

    @property
    def bytes(self) -> int:
        """Bytes for a row of pixels with its padding as bits; one more, since 16 bits are read at a time."""
        return -(-self.padded[1] * self.channels // 8) + 1

    @property
    def positions(self) -> int:
        """Positions of a window of the pool."""
        return self.pool * self.pool


def code(geometry: Geometry) -> str:
    """The code of all functions."""
    g = geometry
    find: type[_Code] = _FindBits if g.has_patterns else _FindEvents
    functions = [find(g).function(), _Forward(g).function(), _WeightGradient(g).function()]
    return join([], [*functions, _InputGradient(g).function()])


class _Code:
    """Common parts of the functions."""

    def __init__(self, geometry: Geometry) -> None:
        self.g = geometry
        self.width = (16 if has_wide_vectors() else 8) // (2 if geometry.double else 1)
        self.registers = 24 if has_wide_vectors() else 8

    def function(self) -> Function:
        """The function."""
        raise NotImplementedError

    def start(self, name: str, arguments: str) -> Function:
        """A new function; all end with the first image and the one after the last."""
        head = f"void @{name}({arguments}, i64 %first, i64 %last)"
        return Function(head, double=self.g.double, width=self.width)

    def blocks(self, w: Function, size: int, body: Callable[[str, Row, str], None]) -> None:
        """Write ``body`` for a row of ``size`` numbers, in blocks that fit the registers.

        It gets a name for its loops, the row of a block, and the place of the block.
        """
        block = self.registers * self.width
        whole, rest = divmod(size, block)
        if whole:
            with w.loop("block", "0", str(whole)) as each:
                body("b", Row(w, 0, block), w.product(each.index, block))
        if rest:
            body("r", Row(w, 0, rest), str(whole * block))

    @contextmanager
    def positions(self, w: Function, name: str, image: str) -> Iterator[tuple[str, str, str, str, str]]:
        """Loops over the positions of an image's output.

        They give the place of the window among all, its place and the position in the window, and the first row and
        column of the input, with its padding, below the kernel.
        """
        (height, width), pool, (down, right) = self.g.out, self.g.pool, self.g.stride
        with w.loop(f"{name}_y", "0", str(height)) as y, w.loop(f"{name}_x", "0", str(width)) as x:
            window = w.let(f"add i64 {w.product(y.index, width)}, {x.index}")
            place = w.let(f"add i64 {w.product(image, height * width)}, {window}")
            with w.loop(f"{name}_b", "0", str(pool)) as b, w.loop(f"{name}_a", "0", str(pool)) as a:
                position = w.let(f"add i64 {w.product(b.index, pool)}, {a.index}")
                top = w.product(w.let(f"add i64 {w.product(y.index, pool)}, {b.index}"), down)
                left = w.product(w.let(f"add i64 {w.product(x.index, pool)}, {a.index}"), right)
                yield place, window, position, top, left

    def write_count(self, w: Function, image: str, count: str, others: str) -> None:
        """Write the number of an image's spikes, or -1 if ``others`` is not 0."""
        result = w.let(f"select i1 {w.let(f'icmp ne i64 {others}, 0')}, i64 -1, i64 {count}")
        w.line(f"store i64 {result}, ptr {w.at('%counts', image, 'i64')}")

    @contextmanager
    def terms(
        self,
        w: Function,
        name: str,
        image: str,
        position: Sequence[str],
        sums: Sequence[str] = (),
        row: Row | None = None,
    ) -> Iterator[tuple[str, list[str]]]:
        """Loops over the rows of the weights that belong to the spikes below the kernel, at ``position``.

        They give the place of the row in the weights, in numbers, and the sums of the round before, a list that the
        body replaces; afterwards it has the last ones.
        """
        (top, left), given = position, list(sums)
        terms = self._patterns if self.g.has_patterns else self._events
        with terms(w, name, image, top, left, given, row.kinds if row else ()) as place:
            yield place, given

    @contextmanager
    def _patterns(
        self, w: Function, name: str, image: str, top: str, left: str, given: list[str], kinds: Sequence[str]
    ) -> Iterator[str]:
        g = self.g
        begin = w.product(left, g.channels)
        byte, shift = w.let(f"lshr i64 {begin}, 3"), w.let(f"and i64 {begin}, 7")
        first = w.let(f"add i64 {w.product(image, g.padded[0])}, {top}")
        bits = w.at("%events", w.let(f"add i64 {w.product(first, g.bytes)}, {byte}"), "i8")
        with w.loop(f"{name}_k", "0", str(g.kernel[0]), values=list(given), kinds=kinds) as rows:
            at = w.at(bits, w.product(rows.index, g.bytes), "i8")
            word = w.let(f"zext i16 {w.let(f'load i16, ptr {at}, align 1')} to i64")
            pattern = w.let(f"and i64 {w.let(f'lshr i64 {word}, {shift}')}, {g.patterns - 1}")
            given[:] = rows.values
            yield w.product(w.let(f"add i64 {w.product(rows.index, g.patterns)}, {pattern}"), g.outputs)
            rows.values = list(given)
        given[:] = rows.values

    @contextmanager
    def _events(
        self, w: Function, name: str, image: str, top: str, left: str, given: list[str], kinds: Sequence[str]
    ) -> Iterator[str]:
        g = self.g
        y0 = w.let(f"sub i64 {top}, {g.padding[0]}")
        x0 = w.let(f"sub i64 {left}, {g.padding[1]}")
        low = self.limit(w, "smax", x0, "0")
        high = self.limit(w, "smin", w.let(f"add i64 {x0}, {g.kernel[1]}"), str(g.width))
        begin = self.limit(w, "smax", w.let(f"sub i64 0, {y0}"), "0")
        end = self.limit(w, "smin", w.let(f"sub i64 {g.height}, {y0}"), str(g.kernel[0]))
        events = w.at("%events", w.product(image, g.height * g.width * g.channels), "i16")
        skipped = w.product(x0, g.channels)
        with w.loop(f"{name}_k", begin, end, values=list(given), kinds=kinds) as rows:
            line = w.let(f"add i64 {w.product(image, g.height)}, {w.let(f'add i64 {y0}, {rows.index}')}")
            of_row = self.unsigned(w, "%rows", line, "i32")
            starts = w.at("%starts", w.product(line, g.width + 1), "i16")
            range_ = [w.let(f"add i64 {of_row}, {self.unsigned(w, starts, x, 'i16')}") for x in (low, high)]
            shift = w.let(f"sub i64 {w.product(rows.index, g.row)}, {skipped}")
            with w.loop(f"{name}_e", *range_, values=rows.values, kinds=kinds) as each:
                event = self.unsigned(w, events, each.index, "i16")
                given[:] = each.values
                yield w.product(w.let(f"add i64 {event}, {shift}"), g.outputs)
                each.values = list(given)
            rows.values = each.values
        given[:] = rows.values

    def limit(self, w: Function, how: str, a: str, b: str) -> str:
        w.declarations.add(f"declare i64 @llvm.{how}.i64(i64, i64)")
        return w.let(f"call i64 @llvm.{how}.i64(i64 {a}, i64 {b})")

    def unsigned(self, w: Function, pointer: str, index: str, kind: str) -> str:
        """A whole number in memory."""
        return w.let(f"zext {kind} {w.let(f'load {kind}, ptr {w.at(pointer, index, kind)}')} to i64")


class _FindEvents(_Code):
    """``void find(x, events, rows, starts, counts, …)``: the events; ``counts``: of each image, -1: not spikes."""

    def function(self) -> Function:
        g, kinds = self.g, ["i64", "i64"]
        w = self.start("find", "ptr %x, ptr %events, ptr %rows, ptr %starts, ptr %counts")
        with w.loop("image", "%first", "%last") as image:
            events = w.at("%events", w.product(image.index, g.height * g.width * g.channels), "i16")
            with w.loop("row", "0", str(g.height), values=["0", "0"], kinds=kinds) as row:
                line, before = w.let(f"add i64 {w.product(image.index, g.height)}, {row.index}"), row.values[0]
                w.line(f"store i32 {w.let(f'trunc i64 {before} to i32')}, ptr {w.at('%rows', line, 'i32')}")
                x = w.at("%x", w.product(line, g.width * g.channels))
                starts = w.at("%starts", w.product(line, g.width + 1), "i16")
                with w.loop("pixel", "0", str(g.width), values=row.values, kinds=kinds) as pixel:
                    found, others = pixel.values
                    self._mark(w, starts, pixel.index, found, before)
                    begin = w.product(pixel.index, g.channels)
                    for i, part in enumerate(Row(w, 0, g.channels).parts(64)):
                        ones, wrong = part.ones(w.at(x, begin))
                        others = w.let(f"or i64 {others}, {wrong}")
                        found = self._list(w, f"part{i}", ones, w.let(f"add i64 {begin}, {part.first}"), events, found)
                    pixel.values = [found, others]
                self._mark(w, starts, str(g.width), pixel.values[0], before)
                row.values = pixel.values
            self.write_count(w, image.index, *row.values)
        w.line("ret void")
        return w

    def _list(self, w: Function, name: str, ones: str, begin: str, events: str, found: str) -> str:
        """Append the places of the bits of ``ones``, counted from ``begin``; the number of events after it."""
        with w.ones(name, ones, 64, found) as (place, count):
            short = w.let(f"trunc i64 {w.let(f'add i64 {begin}, {place}')} to i16")
            w.line(f"store i16 {short}, ptr {w.at(events, count, 'i16')}")
        return count

    def _mark(self, w: Function, starts: str, pixel: str, found: str, before: str) -> None:
        start = w.let(f"trunc i64 {w.let(f'sub i64 {found}, {before}')} to i16")
        w.line(f"store i16 {start}, ptr {w.at(starts, pixel, 'i16')}")


class _FindBits(_Code):
    """``void find(x, bits, -, -, counts, …)``: the rows of pixels, with their padding, as bits."""

    def function(self) -> Function:
        g, kinds = self.g, ["i64", "i64"]
        w = self.start("find", "ptr %x, ptr %events, ptr %rows, ptr %starts, ptr %counts")
        w.declarations.add("declare i64 @llvm.ctpop.i64(i64)")
        size, skipped = g.width * g.channels, g.padding[1] * g.channels
        rest = Row(w, size // 8 * 8, size % 8)

        def put(row: Row, x: str, at: str, values: list[str]) -> list[str]:
            ones, wrong = row.ones(x)
            short = w.let(f"trunc i64 {w.let(f'shl i64 {ones}, {skipped % 8}')} to i16")
            before = w.let(f"load i16, ptr {at}, align 1")
            w.line(f"store i16 {w.let(f'or i16 {before}, {short}')}, ptr {at}, align 1")
            count = w.let(f"call i64 @llvm.ctpop.i64(i64 {ones})")
            return [w.let(f"add i64 {values[0]}, {count}"), w.let(f"or i64 {values[1]}, {wrong}")]

        with w.loop("image", "%first", "%last") as image:
            clear(w, w.at("%events", w.product(image.index, g.padded[0] * g.bytes), "i8"), g.padded[0] * g.bytes)
            with w.loop("row", "0", str(g.height), values=["0", "0"], kinds=kinds) as row:
                line = w.let(f"add i64 {w.product(image.index, g.height)}, {row.index}")
                x = w.at("%x", w.product(line, size))
                line = w.let(f"add i64 {w.product(image.index, g.padded[0])}, {row.index}")
                to = w.product(w.let(f"add i64 {line}, {g.padding[0]}"), g.bytes)
                bits = w.at("%events", w.let(f"add i64 {to}, {skipped // 8}"), "i8")
                with w.loop("eight", "0", str(size // 8), values=row.values, kinds=kinds) as eight:
                    numbers = w.at(x, w.product(eight.index, 8))
                    eight.values = put(Row(w, 0, 8), numbers, w.at(bits, eight.index, "i8"), eight.values)
                row.values = eight.values
                if rest.pieces:
                    row.values = put(rest, x, w.at(bits, str(size // 8), "i8"), row.values)
            self.write_count(w, image.index, *row.values)
        w.line("ret void")
        return w


class _Forward(_Code):
    def function(self) -> Function:
        """``void forward(events, rows, starts, weights, bias, y, which, …)``: the convolution, and its pool."""
        g = self.g
        arguments = "ptr %events, ptr %rows, ptr %starts, ptr %weights, ptr %bias, ptr %y, ptr %which"
        w = self.start("forward", arguments)
        with w.loop("image", "%first", "%last") as image:

            def block(name: str, row: Row, begin: str) -> None:
                bias, rows = row.load(w.at("%bias", begin)), w.at("%weights", begin)
                with self.positions(w, name, image.index) as (place, _, position, top, left):
                    with self.terms(w, name, image.index, (top, left), bias, row) as (weights, sums):
                        sums[:] = row.add(sums, row.load(w.at(rows, weights)))
                    at = w.let(f"add i64 {w.product(place, g.outputs)}, {begin}")
                    y = w.at("%y", at)
                    if g.pool > 1:
                        now, first = w.let(f"trunc i64 {position} to i8"), w.let(f"icmp eq i64 {position}, 0")
                        sums = row.maximum(row.load(y), sums, w.at("%which", at, "i8"), now, first)
                    row.store(sums, y)

            self.blocks(w, g.outputs, block)
        w.line("ret void")
        return w


class _WeightGradient(_Code):
    def function(self) -> Function:
        """``void weight_gradient(events, rows, starts, grad, which, sums, …)``: adds to the gradient of the weights."""
        g = self.g
        w = self.start("weight_gradient", "ptr %events, ptr %rows, ptr %starts, ptr %grad, ptr %which, ptr %sums")
        with w.loop("image", "%first", "%last") as image:

            def block(name: str, row: Row, begin: str) -> None:
                of_block = w.at("%sums", begin)
                with self.positions(w, name, image.index) as (place, _, position, top, left):
                    at = w.let(f"add i64 {w.product(place, g.outputs)}, {begin}")
                    grad = row.load(w.at("%grad", at))
                    if g.pool > 1:
                        grad = row.where(w.at("%which", at, "i8"), w.let(f"trunc i64 {position} to i8"), grad)
                    with self.terms(w, name, image.index, (top, left)) as (weights, _):
                        sums = w.at(of_block, weights)
                        row.store(row.add(row.load(sums), grad), sums)

            self.blocks(w, g.outputs, block)
        w.line("ret void")
        return w


class _InputGradient(_Code):
    """For a convolution with a pool, whose gradient is 0 in all positions of a window but one."""

    def function(self) -> Function:
        """``void input_gradient(grad, which, weights, result, padded, numbers, channels, counts, …)``.

        ``weights`` are ``[KH, N, KW C]`` here. The rest is scratch memory: an image with its padding; for each position
        of its output the gradients that are not 0, with their channels, and the number of them.
        """
        g = self.g
        names = ("grad", "which", "weights", "result", "padded", "numbers", "channels", "counts")
        w = self.start("input_gradient", ", ".join(f"ptr %{name}" for name in names))
        (height, width), size = g.padded, 8 if g.double else 4
        with w.loop("image", "%first", "%last") as image:
            clear(w, "%padded", height * width * g.channels * size)
            clear(w, "%counts", g.out[0] * g.out[1] * g.positions * 4)
            self._sort(w, image.index)
            with (
                w.loop("k", "0", str(g.kernel[0])) as k,
                self.positions(w, "p", "0") as (_, window, position, top, left),
            ):
                place = w.let(f"add i64 {w.product(window, g.positions)}, {position}")
                count, begin = self.unsigned(w, "%counts", place, "i32"), w.product(place, g.outputs)
                line = w.product(w.let(f"add i64 {top}, {k.index}"), width)
                at = w.at("%padded", w.product(w.let(f"add i64 {line}, {left}"), g.channels))
                numbers, channels = w.at("%numbers", begin), w.at("%channels", begin, "i32")
                weights = w.at("%weights", w.product(k.index, g.outputs * g.row))

                def block(name: str, row: Row, begin: str) -> None:
                    to, of_block = w.at(at, begin), w.at(weights, begin)
                    with w.loop(f"{name}_n", "0", count, values=row.load(to), kinds=row.kinds) as each:
                        number = w.let(f"load {w.scalar}, ptr {w.at(numbers, each.index)}")
                        channel = self.unsigned(w, channels, each.index, "i32")
                        of_channel = w.at(of_block, w.product(channel, g.row))
                        each.values = row.multiply_add(number, row.load(of_channel), each.values)
                    row.store(each.values, to)

                self.blocks(w, g.row, block)
            self._copy(w, image.index)
        w.line("ret void")
        return w

    def _sort(self, w: Function, image: str) -> None:
        """Put each gradient that is not 0 into the list of its position."""
        g = self.g
        windows = g.out[0] * g.out[1]
        with w.loop("window", "0", str(windows)) as window, w.loop("channel", "0", str(g.outputs)) as channel:
            line = w.let(f"add i64 {w.product(image, windows)}, {window.index}")
            at = w.let(f"add i64 {w.product(line, g.outputs)}, {channel.index}")
            number = w.let(f"load {w.scalar}, ptr {w.at('%grad', at)}")
            position = self.unsigned(w, "%which", at, "i8")
            place = w.let(f"add i64 {w.product(window.index, g.positions)}, {position}")
            count = self.unsigned(w, "%counts", place, "i32")
            to = w.let(f"add i64 {w.product(place, g.outputs)}, {count}")
            w.line(f"store {w.scalar} {number}, ptr {w.at('%numbers', to)}")
            short = w.let(f"trunc i64 {channel.index} to i32")
            w.line(f"store i32 {short}, ptr {w.at('%channels', to, 'i32')}")
            some = w.let(f"fcmp une {w.scalar} {number}, {w.constant(0.0)}")
            more = w.let(f"add i64 {count}, {w.let(f'zext i1 {some} to i64')}")
            w.line(f"store i32 {w.let(f'trunc i64 {more} to i32')}, ptr {w.at('%counts', place, 'i32')}")

    def _copy(self, w: Function, image: str) -> None:
        """Copy the image without its padding."""
        g, size = self.g, 8 if self.g.double else 4
        w.declarations.add("declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)")
        with w.loop("line", "0", str(g.height)) as line:
            above = w.let(f"add i64 {line.index}, {g.padding[0]}")
            from_ = w.let(f"add i64 {w.product(above, g.padded[1])}, {g.padding[1]}")
            to = w.let(f"add i64 {w.product(image, g.height)}, {line.index}")
            pointers = (
                w.at("%result", w.product(to, g.width * g.channels)),
                w.at("%padded", w.product(from_, g.channels)),
            )
            bytes_ = g.width * g.channels * size
            w.line(f"call void @llvm.memcpy.p0.p0.i64(ptr {pointers[0]}, ptr {pointers[1]}, i64 {bytes_}, i1 false)")
