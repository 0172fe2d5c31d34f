"""The formula means here what expr-lang makes of it in KEDA, or it is refused."""

from contextlib import suppress

import pytest

from essaim.autoscaler.errors import ScaledObjectError
from essaim.autoscaler.formula import Formula

NAMES = ("a", "b", "is")


def value(text: str, **metrics: float | None) -> float | None:
    return Formula(text, NAMES).value(metrics)


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("1 + 2 * 3", 7),
        ("(1 + 2) * 3", 9),
        ("7 - 2 - 1", 4),
        ("-2 ** 2", -4),
        ("2 ^ 3 ^ 2", 512),
        ("1e1 / 4", 2.5),
        ("max(1, 3, 2) + min(4, 5)", 7),
        ("abs(-3)", 3),
        ("ceil(1.2) + floor(1.8)", 3),
        ("float(2)", 2),
        ("max(2)", 2),
        ("min(2)", 2),
        (".5 + 1. + .5e1", 6.5),
        ("010", 10),
    ],
)
def test_arithmetic_has_its_usual_meaning(text: str, result: float) -> None:
    assert value(text) == result


@pytest.mark.parametrize(("number", "rounded"), [("0.5", 1), ("2.5", 3), ("-2.5", -3), ("2.4", 2)])
def test_round_goes_away_from_zero_at_the_half_as_in_go(number: str, rounded: float) -> None:
    assert value(f"round({number})") == rounded


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("a > 3 ? 10 : 20", 10),
        ("a < 3 ? 10 : 20", 20),
        ("a > 3 ? b > 3 ? 1 : 2 : 3", 2),
        ("a == 5 && b != 5 ? 1 : 0", 1),
        ("a > 9 || b >= 2 ? 1 : 0", 1),
        ("not (a > 9) and b <= 2 ? 1 : 0", 1),
        ("!(a > 9) ? 1 : 0", 1),
    ],
)
def test_conditions_choose(text: str, result: float) -> None:
    assert value(text, a=5, b=2) == result


@pytest.mark.parametrize(
    ("text", "result"),
    [("a ?? 3", 3), ("b ?? 3", 2), ("a ?? is ?? 4", 4), ("1 + a ?? 2", 3), ("a == nil ? 7 : a", 7), ("a", None)],
)
def test_an_absent_number_is_nil(text: str, result: float | None) -> None:
    assert value(text, b=2) == result


def test_a_trigger_may_be_named_like_a_word_of_python() -> None:
    assert value("is * 2", **{"is": 4}) == 8


@pytest.mark.parametrize(
    "text", ["a + 1", "max(a, 1)", "1 / b", "(b - 1) ** 0.5", "(b + 9.5) ** 400 ** 2", "b < 0 ? 3 : b < 2"]
)
def test_no_number_is_an_arithmetic_error_never_a_guess(text: str) -> None:
    formula = Formula(text, NAMES)
    with pytest.raises(ArithmeticError):
        formula.value({"b": 0.0})


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("a + missing", "missing"),
        ("sum([a])", "sum"),
        ("a % 2", "%"),
        ("let x = 1; x", "="),
        ("a.b", ".b"),
        ("'a'", "'a'"),
        ("a +", "its end"),
        ("(a", "its end"),
        ("max()", ")"),
        ("a b", "b"),
        ("", "its end"),
        ("a ?? b + 1", "'+'"),
        ("a < b < 3", "'<'"),
        ("a == b == 3", "'=='"),
        ("a > 1", "no number"),
        ("__import__", "__import__"),
    ],
)
def test_what_is_not_supported_is_refused_by_name(text: str, named: str) -> None:
    with pytest.raises(ScaledObjectError) as refused:
        Formula(text, NAMES)
    assert named in str(refused.value)


@pytest.mark.parametrize("operation", ["+", "-", "*", "/", "**", "^", "<", "and", "or", "??"])
@pytest.mark.parametrize("terms", [190, 210, 1_000, 20_000])
def test_a_long_formula_is_computed_or_refused_in_one_sentence(operation: str, terms: int) -> None:
    with suppress(ScaledObjectError):
        Formula(f" {operation} ".join(["a"] * terms), ["a"])


@pytest.mark.parametrize("opening", ["(", "-", "!", "max(1, ", "a ? 1 : ", "a ?? (", "2 ** ("])
@pytest.mark.parametrize("depth", [150, 201, 1_000, 20_000])
def test_a_deep_formula_is_computed_or_refused_in_one_sentence(opening: str, depth: int) -> None:
    with suppress(ScaledObjectError):
        Formula(opening * depth + "a" + ")" * depth * opening.count("("), ["a"])


def test_a_formula_of_210_terms_says_what_is_supported() -> None:
    with pytest.raises(ScaledObjectError, match="fewer than 200 are supported"):
        Formula(" + ".join(["a"] * 210), ["a"])


@pytest.mark.parametrize("number", ["9223372036854775808", "1" * 5000, "1e400"])
def test_a_number_that_expr_lang_cannot_hold_is_refused_for_that_reason(number: str) -> None:
    with pytest.raises(ScaledObjectError, match="a number that is out of range"):
        Formula(f"b + {number}", NAMES)


def test_a_digit_of_another_script_is_refused_for_what_it_is() -> None:
    with pytest.raises(ScaledObjectError, match="cannot be read from '\u0665' on"):
        Formula("\u0665", NAMES)
