"""Functions of LLVM code, with loops."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from snnrun.system.llvm.writer import Writer


def join(parts: Sequence[str], functions: Sequence[Function]) -> str:
    """The code of ``parts`` and functions as one module."""
    lines = [line for text in (*parts, *(each.text() for each in functions)) for line in text.splitlines()]
    # What is declared twice is refused.
    declared = {line for line in lines if line.startswith("declare")}
    declared |= {line for each in functions for line in each.declarations}
    return "\n".join([*sorted(declared), *(line for line in lines if not line.startswith("declare"))])


class Loop:
    """A loop while it is written: its index, and the values that go from one round to the next.

    The body sets ``values`` to the new ones; after the loop they are the last.
    """

    def __init__(self, index: str, values: list[str]) -> None:
        self.index, self.values = index, values


class Function(Writer):
    """A function while it is written."""

    def __init__(self, head: str, *, double: bool, width: int) -> None:
        super().__init__(double=double, width=width)
        self._head = head
        self.label("entry")

    def text(self) -> str:
        """The whole function."""
        return "\n".join([f"define {self._head} {{", *self.lines, "}"])

    @contextmanager
    def loop(
        self, name: str, first: str, last: str, *, by: int = 1, values: Sequence[str] = (), kinds: Sequence[str] = ()
    ) -> Iterator[Loop]:
        """A loop from ``first`` on, while a whole step of ``by`` fits before ``last``.

        ``values``: what the first round gets; vectors, if ``kinds`` names no others.
        """
        self.line(f"br label %{name}_enter")
        self.label(f"{name}_enter")
        self.line(f"br label %{name}")
        self.label(name)
        before = [f"%{name}_value{j}" for j in range(len(values))]
        loop = Loop(f"%{name}_i", list(before))
        self.line(f"{loop.index} = phi i64 [ {first}, %{name}_enter ], [ %{name}_next, %{name}_after ]")
        top = len(self.lines)
        self.line(f"%{name}_next = add i64 {loop.index}, {by}")
        self.line(f"%{name}_more = icmp sle i64 %{name}_next, {last}")
        self.line(f"br i1 %{name}_more, label %{name}_body, label %{name}_end")
        self.label(f"{name}_body")
        yield loop
        self.line(f"br label %{name}_after")
        self.label(f"{name}_after")
        self.line(f"br label %{name}")
        self.label(f"{name}_end")
        self.lines[top:top] = [
            f"  {value} = phi {kind} [ {start}, %{name}_enter ], [ {new}, %{name}_after ]"
            for value, start, new, kind in zip(
                before, values, loop.values, kinds or [self.vector] * len(before), strict=True
            )
        ]
        loop.values = before

    @contextmanager
    def ones(self, name: str, word: str, bits: int, count: str) -> Iterator[tuple[str, str]]:
        """A loop over the ones among the bits of ``word``: the place of each, and its number, from ``count`` on.

        After the loop that number is ``%<name>_count``.
        """
        kind = f"i{bits}"
        self.declarations.add(f"declare {kind} @llvm.cttz.{kind}({kind}, i1)")
        self.line(f"br label %{name}_enter")
        self.label(f"{name}_enter")
        self.line(f"br label %{name}")
        self.label(name)
        self.line(f"%{name}_left = phi {kind} [ {word}, %{name}_enter ], [ %{name}_fewer, %{name}_take ]")
        self.line(f"%{name}_count = phi i64 [ {count}, %{name}_enter ], [ %{name}_more, %{name}_take ]")
        self.line(f"%{name}_none = icmp eq {kind} %{name}_left, 0")
        self.line(f"br i1 %{name}_none, label %{name}_end, label %{name}_take")
        self.label(f"{name}_take")
        place = self.let(f"call {kind} @llvm.cttz.{kind}({kind} %{name}_left, i1 true)")
        yield (place if bits == 64 else self.let(f"zext {kind} {place} to i64")), f"%{name}_count"
        self.line(f"%{name}_more = add i64 %{name}_count, 1")
        self.line(f"%{name}_fewer = and {kind} %{name}_left, {self.let(f'sub {kind} %{name}_left, 1')}")
        self.line(f"br label %{name}")
        self.label(f"{name}_end")

    def number(self, pointer: str, index: str) -> str:
        """A whole number in memory."""
        return self.let(f"load i64, ptr {self.at(pointer, index, 'i64')}, align 8")

    def product(self, a: str, b: int | str) -> str:
        """The product of two whole numbers."""
        return self.let(f"mul i64 {a}, {b}")

    def sum(self, a: str, b: int | str) -> str:
        """The sum of two whole numbers."""
        return self.let(f"add i64 {a}, {b}")

    def difference(self, a: str, b: int | str) -> str:
        """The difference of two whole numbers."""
        return self.let(f"sub i64 {a}, {b}")

    def smaller(self, a: str, b: str) -> str:
        """The smaller one of two whole numbers."""
        self.declarations.add("declare i64 @llvm.smin.i64(i64, i64)")
        return self.let(f"call i64 @llvm.smin.i64(i64 {a}, i64 {b})")

    def pieces(self, length: str, size: int | str) -> str:
        """The number of pieces of ``size`` that cover ``length``."""
        return self.let(f"sdiv i64 {self.sum(length, self.difference(str(size), 1))}, {size}")

    def call(self, name: str, *pointers: str, last: str = "") -> None:
        """Call a function of ours with pointers, and a whole number."""
        arguments = [*(f"ptr {pointer}" for pointer in pointers), *([f"i64 {last}"] if last else [])]
        self.line(f"call void @{name}({', '.join(arguments)})")
