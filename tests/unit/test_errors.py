"""Errors carry facts: their fields, what is made of these, and that nobody reads their text."""

from __future__ import annotations

import ast
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import snnrun
from snnrun import check, errors
from snnrun.cli import usage
from snnrun.config.build import PartError, build
from snnrun.config.catalogue import Catalogue
from snnrun.errors import EXIT_CODES, ArgumentError, ConfigError, Description, Fault, NoSuchRun, SnnrunError, as_yaml
from snnrun.system import foreign
from snnrun.training import stop

SOURCE = Path(snnrun.__file__).parent


def test_the_message_is_made_of_the_fields() -> None:
    error = ArgumentError("layers[2]", "a layer", "x", advice="write fc10")
    assert (error.name, error.argument, error.expected, error.got) == ("layers[2]", "layers", "a layer", "x")
    assert (error.advice, error.others) == ("write fc10", ())
    assert str(error) == "layers[2]: expected a layer, got 'x'; write fc10"
    assert str(ArgumentError("x", "a tensor", Description("shape [3]"))) == "x: expected a tensor, got shape [3]"


def test_arguments_that_do_not_go_together() -> None:
    error = ArgumentError("beta", "one of them", (0.9, None), others=["tau"])
    assert str(error) == "beta, tau: expected one of them, got beta=0.9 and tau=None"
    fault = Fault.of(error, "neuron.beta")
    assert fault == ("neuron.beta", "together with tau: expected one of them, got beta=0.9 and tau=null", True, False)


@pytest.mark.parametrize(
    "error",
    [
        ArgumentError("beta", "one of them", (0.9, 2.0), advice="set the other to null", others=["tau"]),
        ArgumentError("x", "a tensor", Description("shape [3]")),
        ConfigError.of(ArgumentError("device", "a device of this machine", "cuda:9")),
        NoSuchRun("5d3a", "outputs"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_crosses_processes_with_its_fields(error: Exception) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert (str(again), vars(again)) == (str(error), vars(error))


def test_a_value_that_cannot_cross_is_described() -> None:
    error = ArgumentError("function", "a text", lambda: 1)
    again = pickle.loads(pickle.dumps(error))
    assert str(again) == str(error)
    assert isinstance(again.got, Description)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (False, "false"),
        ("None", "'None'"),
        ("got None", "'got None'"),
        (1.5, "1.5"),
        ([None, [True], "a"], "[null, [true], 'a']"),
        ({"a": None}, "{'a': null}"),
        (Description("a list of None"), "a list of None"),
    ],
)
def test_a_message_of_the_command_writes_values_as_yaml_does(value: object, text: str) -> None:
    assert as_yaml(value) == text
    assert Fault.of(ArgumentError("a", "b", value)).message == f"expected b, got {text}"


@pytest.mark.parametrize(
    ("run_check", "expected", "got"),
    [
        (lambda: check.number("a", "x", low=0, below=1), "a number at least 0 and below 1", "x"),
        (lambda: check.number("a", 2, below=1, condition="with b"), "a number below 1 with b", 2),
        (lambda: check.number("a", None), "a number", None),
        (lambda: check.integer("a", True, low=1), "a whole number of at least 1", True),
        (lambda: check.integer("a", 5, high=4), "a whole number of at most 4", 5),
        (lambda: check.flag("a", 1), "true or false", 1),
        (lambda: check.choice("a", "z", ("x", "y")), "'x' or 'y'", "z"),
        (lambda: check.integers("a", 5, low=1), "a list of whole numbers such as [100, 50]", 5),
    ],
)
def test_checks_raise_the_facts(run_check: Any, expected: str, got: object) -> None:
    with pytest.raises(ArgumentError) as error:
        run_check()
    assert (error.value.name, error.value.expected, error.value.got) == ("a", expected, got)


def test_an_item_of_a_list_is_named() -> None:
    with pytest.raises(ArgumentError) as error:
        check.integers("hidden", [3, 0], low=1)
    assert (error.value.name, error.value.argument, error.value.got) == ("hidden[1]", "hidden", 0)


def test_a_part_that_refuses_an_argument_gives_its_key_and_facts() -> None:
    with pytest.raises(PartError) as error:
        build({"_target_": "snnrun.encoder.Rate", "gain": None}, "encoder")
    assert (error.value.path, error.value.cause) == ("encoder.gain", None)
    assert error.value.fault == Fault("encoder.gain", str(error.value), refused=True)
    assert str(error.value).endswith("got null")


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (ValueError("leak: expected a number, got None"), Fault("leak", "expected a number, got null", True)),
        (ValueError("a: expected b, got True; use c"), Fault("a", "expected b, got true; use c", True)),
        (ValueError("a[1] (with b): expected c, got 'x'"), Fault("a[1]", "expected c, got 'x'", True)),
        (ValueError("a, b: expected one of them"), Fault("a", "together with b: expected one of them")),
        (TypeError("leak: too small"), Fault("leak", "too small")),
        (ValueError("Invalid learning rate: -1"), None),
        (KeyError("leak: x"), None),
    ],
)
def test_a_plain_error_of_a_users_class_is_understood(error: Exception, fault: Fault | None) -> None:
    assert foreign.fault_of(error) == fault


def test_an_error_of_another_library_is_put_down_to_the_argument_that_it_is_about() -> None:
    config, base = {"_target_": "torch.optim.SGD", "lr": -1.0, "momentum": 0.0}, {"lr": 0.1, "momentum": 0.0}
    fault = foreign.guess(ValueError("Invalid learning rate: -1.0"), config, base, "optimizer=sgd")
    assert fault == Fault(
        "lr", "expected a value that optimizer=sgd takes, got -1.0 (Invalid learning rate: -1.0)", True
    )
    assert foreign.guess(ValueError("no"), {"a": 1, "b": 2}, {"a": 0, "b": 0}, "x").path == ""


def test_the_tree_and_the_table_name_every_error_and_every_exit_code() -> None:
    assert errors.__doc__ is not None
    kinds = [each for each in _below(SnnrunError) if each.__module__ in (errors.__name__, stop.__name__)]
    assert len(kinds) >= 10
    codes = {each.code for each in EXIT_CODES}
    assert len(codes) == len(EXIT_CODES)
    for kind in kinds:
        (line,) = [line for line in errors.__doc__.splitlines() if f"─ {kind.__name__} " in line]
        code = vars(kind).get("exit_code")
        assert code is None or code in codes
        assert isinstance(code, int) == (f"  {code}  " in line), line
    help_text = usage.help_text(Catalogue())
    for each in EXIT_CODES:
        assert f"{each.code:>5}  {each.meaning}" in help_text.splitlines()


def _below(kind: type[Exception]) -> Iterator[type[Exception]]:
    for each in kind.__subclasses__():
        yield each
        yield from _below(each)


# To tidy a text up is not to take it apart: its first line, its words with single spaces, without a file's name in it.
TIDY = {("partition", "'\\n'"), ("partition", "chr(10)"), ("splitlines", ""), ("split", ""), ("strip", "")}
PARSERS = (
    *("partition", "rpartition", "split", "rsplit", "splitlines", "startswith", "endswith", "removeprefix"),
    *("removesuffix", "find", "index", "count", "replace"),
)


def parsed_texts(source: str) -> list[int]:
    """The lines that take the text of an exception apart, or compare it: in ``except … as error``, or of ``error``."""
    lines = []
    for scope in ast.walk(ast.parse(source)):
        if isinstance(scope, ast.ExceptHandler) and scope.name:
            names, body = {scope.name}, scope.body
        elif isinstance(scope, (ast.FunctionDef, ast.AsyncFunctionDef)):
            arguments = [*scope.args.posonlyargs, *scope.args.args, *scope.args.kwonlyargs]
            names = {a.arg for a in arguments if a.annotation and "Error" in ast.unparse(a.annotation)}
            names |= {a.arg for a in arguments if a.annotation and "Exception" in ast.unparse(a.annotation)}
            body = scope.body
        else:
            continue
        nodes = [node for statement in body for node in ast.walk(statement)]
        texts = {f"str({name})" for name in names} | {f"{name}.args[0]" for name in names}
        # A variable that holds the text is the text.
        texts |= {
            target.id
            for node in nodes
            if isinstance(node, ast.Assign) and ast.unparse(node.value) in texts
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        lines += [node.lineno for node in nodes if isinstance(node, (ast.Call, ast.Compare)) and _parses(node, texts)]
    return sorted(set(lines))


def _parses(node: ast.Call | ast.Compare, texts: set[str]) -> bool:
    if isinstance(node, ast.Compare):
        return any(ast.unparse(each) in texts for each in (node.left, *node.comparators))
    if not isinstance(node.func, ast.Attribute):
        return False
    arguments = [ast.unparse(each) for each in node.args]
    if (isinstance(node.func.value, ast.Name) and node.func.value.id == "re") or node.func.attr in ("search", "match"):
        return any(each in texts for each in arguments)
    tidy = (node.func.attr, arguments[0] if arguments else "") in TIDY
    return node.func.attr in PARSERS and ast.unparse(node.func.value) in texts and not tidy


@pytest.mark.parametrize(
    "expression",
    [
        "str(error).partition(': ')[2]",
        "re.match('a', str(error))",
        "PATTERN.search(str(error))",
        "'missing' in str(error)",
        "str(error) == 'missing'",
        "str(error).startswith('a')",
    ],
)
def test_a_text_that_is_taken_apart_is_found(expression: str) -> None:
    assert parsed_texts(f"try:\n    pass\nexcept ValueError as error:\n    x = {expression}\n") == [4]
    assert parsed_texts(f"def f(error: ValueError) -> None:\n    return {expression}\n") == [2]
    by_name = expression.replace("str(error)", "text")
    with_name = f"try:\n    pass\nexcept ValueError as error:\n    text = str(error)\n    x = {by_name}\n"
    assert parsed_texts(with_name) == [5]


@pytest.mark.parametrize("expression", ["str(error).partition('\\n')[0]", "' '.join(str(error).split())", "f'{error}'"])
def test_a_text_that_is_tidied_up_is_no_fault(expression: str) -> None:
    assert parsed_texts(f"try:\n    pass\nexcept ValueError as error:\n    x = {expression}\n") == []


def test_only_one_module_takes_the_text_of_an_error_apart() -> None:
    places = {
        f"{path.relative_to(SOURCE)}:{line}"
        for path in sorted(SOURCE.rglob("*.py"))
        if path != Path(foreign.__file__)
        for line in parsed_texts(path.read_text(encoding="utf-8"))
    }
    assert not places
    assert parsed_texts(Path(foreign.__file__).read_text(encoding="utf-8")), "it does"
