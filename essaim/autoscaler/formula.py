"""`scalingModifiers.formula`: expr-lang as far as it is arithmetic, rewritten for `simpleeval`.

The grammar and the precedences are expr-lang's own (v1.17: `parser/parser.go`, `parser/operator/operator.go`).
Supported: numbers, trigger names, `nil`, `+ - * / ** ^`, comparisons, `and or not && || !`, `a ? b : c`, `??`,
and the functions below. Anything else is a `ScaledObjectError` that names it. What KEDA also refuses, and this does not:
a truth value where a number belongs, and the other way round.
"""

import ast
import math
import operator
import re
from collections.abc import Callable, Collection, Mapping
from functools import lru_cache
from typing import Any

import simpleeval  # type: ignore[import-untyped]  # it ships neither stubs nor py.typed

from essaim.autoscaler.errors import ScaledObjectError

_TOKEN = re.compile(
    r"\s*((?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|[A-Za-z_]\w*|\?\?|&&|\|\||\*\*|[<>=!]=|[-+*/^<>!?:(),])"
)
_BINARY = {
    "or": 10, "||": 10, "and": 15, "&&": 15, "==": 20, "!=": 20, "<": 20, ">": 20, ">=": 20, "<=": 20,
    "+": 30, "-": 30, "*": 60, "/": 60, "**": 100, "^": 100, "??": 500,
}  # fmt: skip
_UNARY = {"not": 50, "!": 50, "-": 90, "+": 90}
SHOWN = 60  # characters of a formula, or of a number in it, that is too long
_RIGHT = {"**", "^"}
_PYTHON = {"||": "or", "&&": "and", "^": "**", "!": "not"}
_COMPARISONS = {"==", "!=", "<", ">", ">=", "<="}


def _round(number: float) -> float:
    """Half away from zero, as Go does; Python rounds half to even."""
    return math.copysign(math.floor(abs(number) + 0.5), number)


def _shortened(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


def _coalesce(first: float | None, second: float | None) -> float | None:
    return second if first is None else first


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "max": lambda *numbers: max(numbers), "min": lambda *numbers: min(numbers),
    "abs": abs, "ceil": math.ceil, "floor": math.floor, "round": _round, "float": float,
}  # fmt: skip
_OPERATORS = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.Pow: simpleeval.safe_power, ast.USub: operator.neg, ast.UAdd: operator.pos, ast.Not: operator.not_,
    ast.Eq: operator.eq, ast.NotEq: operator.ne, ast.Lt: operator.lt, ast.Gt: operator.gt, ast.LtE: operator.le,
    ast.GtE: operator.ge,
}  # fmt: skip


class Formula:
    """One formula over the given trigger names. Raises `ScaledObjectError` for what KEDA or this module does not take."""

    def __init__(self, text: str, names: Collection[str]) -> None:
        self.text = text
        self._evaluator = simpleeval.SimpleEval(_OPERATORS, {**_FUNCTIONS, "coalesce": _coalesce}, {})
        # A queue shows few different depths, and a simulation asks millions of times.
        self._compute = lru_cache(maxsize=4096)(self._evaluate)
        try:
            rewriter = _Rewriter(text, names)
            self._python, self._names = rewriter.python(), tuple(sorted(rewriter.used))
            self._tree = simpleeval.SimpleEval.parse(self._python)
            self._evaluate(*[-1.0] * len(self._names))  # KEDA tries it on the same numbers
        except (ArithmeticError, ValueError):
            pass  # a matter of these numbers
        except (RecursionError, SyntaxError, MemoryError) as error:  # Python's parser has limits of its own
            raise ScaledObjectError(
                f"the formula {_shortened(text)!r} has too many operations or brackets inside each other: "
                "fewer than 200 are supported"
            ) from error
        except (TypeError, simpleeval.InvalidExpression) as error:
            raise ScaledObjectError(f"the formula {text!r} cannot be computed: {error}") from error

    def value(self, metrics: Mapping[str, float | None]) -> float | None:
        """The result; None for `nil`. An absent name is `nil`. Raises `ArithmeticError` where there is no number."""
        try:
            return self._compute(*[metrics.get(name) for name in self._names])
        except (TypeError, ValueError, simpleeval.InvalidExpression) as error:
            raise ArithmeticError(str(error)) from error

    def _evaluate(self, *values: float | None) -> float | None:
        self._evaluator.names = {f"n_{name}": value for name, value in zip(self._names, values, strict=True)}
        result = self._evaluator.eval(self._python, previously_parsed=self._tree)
        if isinstance(result, bool):
            raise TypeError("the result is a truth value, no number")
        if result is None:
            return None
        if isinstance(result, complex) or not math.isfinite(result):
            raise ArithmeticError(f"the result is {result}")
        return float(result)


class _Rewriter:
    """A Pratt parser that writes Python with every operation in parentheses, so that precedences cannot differ."""

    def __init__(self, text: str, names: Collection[str]) -> None:
        self._text = text
        self._names = names
        self._tokens = self._split()
        self.used: set[str] = set()

    def python(self) -> str:
        python = self._expression()
        if self._tokens:
            raise self._error(self._tokens[0])
        return python

    def _split(self) -> list[str]:
        tokens, at, text = [], 0, self._text.rstrip()
        while at < len(text):
            if not (found := _TOKEN.match(text, at)):
                raise self._error(text[at:].strip().split()[0])
            tokens.append(found[1])
            at = found.end()
        return tokens

    def _expression(self, precedence: int = 0) -> str:
        left, before = self._primary(), ""
        while (op := self._peek()) in _BINARY and _BINARY[op] >= precedence:
            if (before == "??" != op) or {before, op} <= _COMPARISONS:
                raise ScaledObjectError(f"the formula {self._text!r} needs parentheses before {op!r}")
            self._tokens.pop(0)
            right = self._expression(_BINARY[op] + (op not in _RIGHT))
            left = f"coalesce({left}, {right})" if op == "??" else f"({left} {_PYTHON.get(op, op)} {right})"
            before = op
        while precedence == 0 and self._peek() == "?":
            self._take("?")
            then = self._expression()
            self._take(":")
            left = f"({then} if {left} else {self._expression()})"
        return left

    def _primary(self) -> str:
        token = self._take()
        if token in _UNARY:
            return f"({_PYTHON.get(token, token)} {self._expression(_UNARY[token])})"
        if token == "(":  # noqa: S105 — a bracket, no password
            inside = self._expression()
            self._take(")")
            return f"({inside})"
        if token == "nil":  # noqa: S105 — a word, no password
            return "None"
        if token[0] in "0123456789.":
            return self._number(token)
        if self._peek() == "(" and token in _FUNCTIONS:
            return f"{token}({self._arguments()})"
        if token in self._names and self._peek() != "(":
            self.used.add(token)
            return f"n_{token}"  # a trigger may be named like a word of Python
        if token[0].isalpha():
            known = ", ".join([*self._names, *sorted(_FUNCTIONS)])
            raise ScaledObjectError(f"the formula {self._text!r} names {token!r}, which is none of {known}")
        raise self._error(token)

    def _number(self, token: str) -> str:
        """As expr-lang reads it: without a point or an exponent it is a whole number of 64 bits."""
        number = float(token)
        if not math.isfinite(number) or (token.isdigit() and number >= 2**63):
            raise ScaledObjectError(f"the formula has a number that is out of range: {_shortened(token)}")
        return token.lstrip("0") or "0" if token.isdigit() else token

    def _arguments(self) -> str:
        self._take("(")
        arguments = [self._expression()]
        while self._peek() == ",":
            self._take(",")
            arguments.append(self._expression())
        self._take(")")
        return ", ".join(arguments)

    def _peek(self) -> str:
        return self._tokens[0] if self._tokens else ""

    def _take(self, wanted: str = "") -> str:
        if not self._tokens or (wanted and self._tokens[0] != wanted):
            raise self._error(self._peek() or "its end")
        return self._tokens.pop(0)

    def _error(self, what: str) -> ScaledObjectError:
        return ScaledObjectError(
            f"the formula {self._text!r} cannot be read from {what!r} on, or it is not supported here"
        )
