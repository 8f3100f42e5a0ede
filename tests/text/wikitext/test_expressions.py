"""{{#expr}} gives what MediaWiki 1.39 gives; what is an error there is an error here."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlm.text.wikitext.expressions import ExpressionError, evaluate, format_value

VALUES = {
    "1+2*3": "7", "1/3": "0.33333333333333", "2/3": "0.66666666666667", "0.1+0.2": "0.3", "1e14": "1.0E+14",
    "1e-5": "1.0E-5", "0.0001": "0.0001", "123456789012345": "1.2345678901234E+14", "1.50": "1.5", "5.": "5",
    ".5+.5": "1", "1.2.3": "1.2", "2^10": "1024", "-2^2": "4", "2^-1": "0.5", "2^3^2": "64", "2 ^ 3 e 1": "1073741824",
    "7 mod 3": "1", "-7 mod 3": "-1", "7.5 mod 2": "1", "5.5 fmod 2": "1.5", "7 div 2": "3.5", "3 /2*2": "3",
    "3.14159 round 2": "3.14", "1234 round -2": "1200", "2.5 round 0": "3", "-2.5 round 0": "-3",
    "1 + 2 round 0 * 3": "3", "2 round 1 + 1": "2", "not 0": "1", "not 3": "0", "not 1 + 1": "1", "1 and 0 or 1": "1",
    "1 or 0 and 0": "1", "1 != 2": "1", "1 <> 1": "0", "1 <= 1": "1", "1 = 1 = 1": "1", "1<2<3": "1", "1 > 2": "0",
    "trunc -2.7": "-2", "floor -2.5": "-3", "ceil 2.1": "3", "abs -3 + 1": "4", "sqrt 16": "4", "cos pi": "-1",
    "ln 2": "0.69314718055995", "exp 1": "2.718281828459", "sin pi/2": "6.1232339957368E-17",
    "pi e 2": "314.15926535898", "- -4": "4", "+5": "5", "−5+2": "-3", "2*-3": "-6", "3 e 2 e 1": "3000",
    "1e400": "INF", "1000000/7": "142857.14285714", "-0": "-0", "(1+2)*(3-(4))": "-3", "5 > 3 and 2 > 1": "1",
    "acos 0.5": "1.0471975511966", "": "",
}  # fmt: skip
ERRORS = (
    "1/0", "7 mod 0", "7 fmod 0", "round 3", "1e", "1 2", "(1+2", "1+2)", "()", "abc", "1,000+1", "-3 abs", "sqrt -1",
    "ln 0", "asin 2", "0x10", "unary 1", "1 +", "* 2", "{", "2 (3)",
)  # fmt: skip


@pytest.mark.parametrize("expression", VALUES)
def test_values(expression: str) -> None:
    value = evaluate(expression)
    assert ("" if value is None else format_value(value)) == VALUES[expression]


@pytest.mark.parametrize("expression", ERRORS)
def test_errors(expression: str) -> None:
    with pytest.raises(ExpressionError):
        evaluate(expression)


@given(
    st.lists(st.sampled_from(["1", "2.5", "(", ")", "+", "-", "*", "/", "^", " e ", " mod ", " round ", " not ", "<"]))
)
def test_any_expression_has_a_value_or_is_an_error(words: list[str]) -> None:
    try:
        value = evaluate("".join(words))
    except ExpressionError:
        return
    assert value is None or isinstance(value, float)


def test_deep_brackets_do_not_exhaust_the_stack() -> None:
    assert evaluate("(" * 50_000 + "1" + ")" * 50_000) == 1
