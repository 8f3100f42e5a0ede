"""{{#expr: 2 * (3 + 4)}} -> 14, by the rules of MediaWiki's extension ParserFunctions.

    words ── operator precedence, with a stack of operators ──> stack of numbers ──> one number

All numbers are floats with 14 digits when shown. All binary operators bind to the left, also `^`.
"""

import math
import operator
import re
from collections.abc import Callable
from decimal import ROUND_HALF_UP, Decimal


class ExpressionError(Exception):
    """The expression is malformed or has no value."""


_TOKEN = re.compile(r"\s*(?:([\d.]+)|([a-z]+)|(<=|>=|<>|!=|[-+*/^()=<>]))")
_NUMBER = re.compile(r"\d*(?:\.\d*)?")
_PRECISION = 14


def _remainder(left: float, right: float) -> float:
    return math.fmod(math.trunc(left), math.trunc(right))


def _round(value: float, digits: float) -> float:
    """Round half away from zero, as PHP does."""
    if not math.isfinite(value):
        return value
    places = max(-310, min(int(digits), 310))
    decimal = Decimal(repr(value))
    exponent = decimal.as_tuple().exponent
    if isinstance(exponent, int) and exponent >= -places:
        return value
    return float(decimal.scaleb(places).to_integral_value(ROUND_HALF_UP).scaleb(-places))


_UNARY: dict[str, tuple[int, Callable[[float], float]]] = {
    "unary -": (10, operator.neg),
    "unary +": (10, float),
    "not": (9, operator.not_),
    **{
        name: (9, function)
        for name, function in {
            "sin": math.sin, "cos": math.cos, "tan": math.tan, "asin": math.asin, "acos": math.acos, "atan": math.atan,
            "exp": math.exp, "ln": math.log, "abs": abs, "trunc": math.trunc, "floor": math.floor, "ceil": math.ceil,
            "sqrt": math.sqrt,
        }.items()
    },
}  # fmt: skip
_BINARY: dict[str, tuple[int, Callable[[float, float], float]]] = {
    "e": (10, lambda left, right: left * math.pow(10, right)),
    "^": (8, math.pow),
    "*": (7, operator.mul),
    "/": (7, operator.truediv),
    "div": (7, operator.truediv),
    "mod": (7, _remainder),
    "fmod": (7, math.fmod),
    "+": (6, operator.add),
    "-": (6, operator.sub),
    "round": (5, _round),
    **dict.fromkeys(("<>", "!="), (4, operator.ne)),
    "=": (4, operator.eq),
    "<": (4, operator.lt),
    ">": (4, operator.gt),
    "<=": (4, operator.le),
    ">=": (4, operator.ge),
    "and": (3, lambda left, right: bool(left) and bool(right)),
    "or": (2, lambda left, right: bool(left) or bool(right)),
}
_CONSTANTS = {"pi": math.pi, "e": math.e}


def evaluate(expression: str) -> float | None:
    """Return the value of an expression, None if it is empty.

    Raises:
        ExpressionError: MediaWiki shows an error for it.
    """
    numbers: list[float] = []
    operators: list[str] = []
    expect_number = True
    for word in _split(expression):
        if word[0].isdigit() or word[0] == "." or (expect_number and word in _CONSTANTS):
            _require(expect_number)
            numbers.append(_CONSTANTS[word] if word in _CONSTANTS else _to_float(word))
            expect_number = False
        elif word == "(" or (expect_number and (word in _UNARY or word in "-+")):
            _require(expect_number)
            operators.append(f"unary {word}" if word in "-+" else word)
        elif word == ")":
            while operators and operators[-1] != "(":
                _apply(operators.pop(), numbers)
            _require(bool(operators) and not expect_number)
            operators.pop()
        else:
            _require(not expect_number and word in _BINARY)
            while operators and operators[-1] != "(" and _precedence(operators[-1]) >= _precedence(word):
                _apply(operators.pop(), numbers)
            operators.append(word)
            expect_number = True
    while operators:
        _apply(operators.pop(), numbers)
    _require(len(numbers) <= 1)
    return numbers[0] if numbers else None


def _split(expression: str) -> list[str]:
    expression = expression.lower().replace("−", "-").rstrip()
    words: list[str] = []
    position = 0
    while position < len(expression):
        match = _TOKEN.match(expression, position)
        if match is None:
            raise ExpressionError
        words.append(match[match.lastindex or 0])
        position = match.end()
    return words


def _to_float(word: str) -> float:
    """ "1.2.3" is 1.2, as in PHP."""
    number = _NUMBER.match(word)
    return float(f"0{number[0]}") if number else 0.0


def _require(condition: bool) -> None:
    if not condition:
        raise ExpressionError


def _precedence(name: str) -> int:
    return (_UNARY.get(name) or _BINARY[name])[0]


def _apply(name: str, numbers: list[float]) -> None:
    """Replace the operands at the end of `numbers` by the result."""
    try:
        if name in _UNARY:
            numbers.append(float(_UNARY[name][1](numbers.pop())))
        else:
            right, left = numbers.pop(), numbers.pop()
            numbers.append(float(_BINARY[name][1](left, right)))
    except OverflowError:
        numbers.append(math.inf)
    except (ArithmeticError, ValueError, IndexError, KeyError) as error:  # also an unclosed bracket: no operator "("
        raise ExpressionError from error


def format_value(value: float) -> str:
    """Show a number as PHP does: 14 digits, "1.0E+14" from 10^14 on."""
    if not math.isfinite(value):
        return "NAN" if math.isnan(value) else "INF" if value > 0 else "-INF"
    shown = f"{value:.{_PRECISION}G}"
    mantissa, exponent, power = shown.partition("E")
    return f"{mantissa if '.' in mantissa else f'{mantissa}.0'}E{int(power):+d}" if exponent else shown
