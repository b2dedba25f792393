"""Writes the loop around a kernel whose neurons are followed by a maximum pool, as LLVM code.

A group is a row of windows of an image. The neurons below a strip of some windows run over all steps, and their output
lies in a buffer that never leaves the cache; then each window's maximum is written, and the place of it in the window,
a byte. Backwards the gradient of each window goes to that place in the buffer, and the kernel reads it there.
"""

from __future__ import annotations

from typing import NamedTuple

from snnrun.system.llvm.engine import has_wide_vectors
from snnrun.system.llvm.function import Function
from snnrun.system.llvm.row import Row, clear, signed_byte

#: Arguments of the function, with a letter for each: pointer or integer.
SIGNATURE = "pppppppiiiii"
#: Numbers of the registers for a part of the channels.
_PARTS = 128


class Windows(NamedTuple):
    """Images ``[H, W, C]`` below windows of ``size x size``, ``strip`` windows at a time.

    Neurons below no whole window, at the lower and right edge, run too.

    Attributes:
        channels, height, width: C, H, W.
        size: of a window.
        strip: windows in a strip.
        steps: T.
        array: the place of the redirected array among the arrays of the kernel.
        backwards: the direction.
        double: numbers of 64 bits instead of 32.
    """

    channels: int
    height: int
    width: int
    size: int
    strip: int
    steps: int
    array: int
    backwards: bool
    double: bool

    @property
    def across(self) -> int:
        """Windows in a row."""
        return self.width // self.size

    @property
    def groups(self) -> int:
        """Rows of windows, with the rest at the lower edge."""
        return -(-self.height // self.size)

    @property
    def room(self) -> int:
        """Neurons of a row of the longest strip: the last one has the rest at the right edge too."""
        whole = max(0, self.across // self.strip - 1)
        return max(self.strip * self.size, self.width - whole * self.strip * self.size) * self.channels

    @property
    def buffer(self) -> int:
        """Numbers of the buffer."""
        return self.size * self.steps * self.room


def code(of: Windows) -> str:
    """``void windows(now, strides, numbers, scratch, buffer, pooled, which, size, lanes, images, first, last)``.

    The groups from ``first`` to ``last`` of all images. ``pooled`` is ``[T, B, H / size, W / size, C]``, and so is
    ``which``, of bytes.
    """
    return "\n".join(_Code(of).text())


class _Code:
    def __init__(self, of: Windows) -> None:
        self.of, self.item = of, 8 if of.double else 4
        width = (16 if has_wide_vectors() else 8) // (2 if of.double else 1)
        pointers = ", ".join(
            f"ptr %{name}" for name in ("now", "strides", "numbers", "scratch", "buffer", "pooled", "which")
        )
        head = f"void @windows({pointers}, i64 %size, i64 %lanes, i64 %images, i64 %first, i64 %last)"
        self.w = Function(head, double=of.double, width=width)

    def text(self) -> list[str]:
        """The lines of the function, with its declarations."""
        of, w = self.of, self.w
        has_rest = of.height % of.size or of.width % of.size
        with w.loop("group", "%first", "%last") as group:
            image, y = (w.let(f"{how} i64 {group.index}, {of.groups}") for how in ("sdiv", "srem"))
            top = w.product(y, of.size)
            rows = w.smaller(w.difference(str(of.height), top), str(of.size))
            line = w.sum(w.product(image, of.height), top)
            whole = w.let(f"icmp eq i64 {rows}, {of.size}")
            strips = max(1, of.across // of.strip)
            with w.loop("strip", "0", str(strips)) as strip:
                left = w.product(strip.index, of.strip * of.size)
                is_last = w.let(f"icmp eq i64 {strip.index}, {strips - 1}")
                columns = w.let(
                    f"select i1 {is_last}, i64 {w.difference(str(of.width), left)}, i64 {of.strip * of.size}"
                )
                # Without a whole row of windows the pool has nothing to do.
                count = w.let(f"select i1 {whole}, i64 {w.let(f'sdiv i64 {columns}, {of.size}')}, i64 0")
                place = w.sum(w.product(image, of.height // of.size * of.across), w.product(y, of.across))
                window = w.sum(place, w.product(strip.index, of.strip))
                if of.backwards and has_rest:
                    clear(w, "%buffer", of.buffer * self.item)  # below no whole window the gradient is 0
                if of.backwards:
                    self.pool(window, count)
                with w.loop("row", "0", rows) as row:
                    at = w.sum(w.product(w.sum(line, row.index), of.width), left)
                    low = w.product(at, of.channels)
                    high = w.sum(low, w.product(columns, of.channels))
                    here = w.at("%buffer", w.difference(w.product(row.index, of.steps * of.room), low))
                    w.line(f"store ptr {here}, ptr {w.at('%now', str(of.array), 'ptr')}, align 8")
                    w.line(
                        "call void @kernel(ptr %now, ptr %strides, ptr %numbers, ptr %scratch, i64 %size, "
                        f"i64 {of.steps}, i64 %lanes, i64 {low}, i64 {high})"
                    )
                if not of.backwards:
                    self.pool(window, count)
        w.line("ret void")
        return [*sorted(w.declarations), w.text()]

    def pool(self, first: str, count: str) -> None:
        """The code for ``count`` windows from the ``first`` on, of all steps."""
        of, w = self.of, self.w
        step = w.product("%images", of.height // of.size * of.across * of.channels)
        with w.loop("t", "0", str(of.steps)) as t, w.loop("window", "0", count) as window:
            place = w.product(w.sum(first, window.index), of.channels)
            place = w.sum(w.product(t.index, step), place)
            pooled, which = w.at("%pooled", place), w.at("%which", place, "i8")
            column = w.product(window.index, of.size * of.channels)
            corner = w.at("%buffer", w.sum(w.product(t.index, of.room), column))
            for part in Row(w, 0, of.channels).parts(_PARTS):
                (self._spread if of.backwards else self._maximum)(part, pooled, which, corner)

    def _positions(self) -> list[tuple[int, int]]:
        """The positions in a window, each with its distance from the corner in the buffer."""
        of = self.of
        places = [(r, a) for r in range(of.size) for a in range(of.size)]
        return [(i, r * of.steps * of.room + a * of.channels) for i, (r, a) in enumerate(places)]

    def _maximum(self, part: Row, pooled: str, which: str, corner: str) -> None:
        places = [self.w.at(corner, str(distance)) for _, distance in self._positions()]
        part.store(part.first_one(places, which), pooled)

    def _spread(self, part: Row, pooled: str, which: str, corner: str) -> None:
        gradient = part.load(pooled)
        for i, distance in self._positions():
            part.store(part.where(which, str(signed_byte(i)), gradient), self.w.at(corner, str(distance)))
