"""Numbers in answers, as SQL: the shortest decimal that reads back as the same double.

SQLite writes 17 digits where 15 do not tell a double from its neighbours, though 16 often do: 78.115384615384613 is
78.11538461538461. So each float is written with 16 digits and with 15 and read back, to find how many it needs.

    0.25  78.11538461538461  0.30000000000000004        15, 16 and 17 digits
    1e-05  1e+22  5e-324                                written by Python

Within FEW_DIGITS no text has an exponent, and no double is so near a power of two that the nearest decimal of 16 digits
reads back as another double while one beside it does not. Outside of it `shortest` writes, which calls Python.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

import apsw

# The place of a float in a template for SQLite's `format`, which takes how many digits it has, and then the float.
FLOAT = "%!.*g"
FEW_DIGITS = (1e-4, 999_999_999_999_999.0)
# What has six decimals at most and is less than this has 15 digits at most: the usual case, found without any text.
SIX_DECIMALS_END = 1e9


class Argument(NamedTuple):
    """What a template is given: an expression, and whether it is a float, which has a place FLOAT."""

    sql: str
    is_float: bool


def register(connection: apsw.Connection) -> None:
    """Give a connection the function that the expressions call."""
    connection.create_scalar_function("shortest", _shortest, 1, deterministic=True)


def _shortest(*number: Any) -> str:
    return repr(*number)


def text(arguments: Iterable[Argument]) -> str:
    """Return the expression of a text that is made by the bound `:template`, or where Python writes by `:plain`."""
    arguments = list(arguments)
    usual = " AND ".join(_is_usual(sql) for sql, is_float in arguments if is_float)
    places = ", ".join(f"{_digits(sql)}, {sql}" if is_float else sql for sql, is_float in arguments)
    if not usual:
        return f"format(:template, {places})"
    others = ", ".join(f"shortest({sql})" if is_float else sql for sql, is_float in arguments)
    return f"iif({usual}, format(:template, {places}), format(:plain, {others}))"


def plain(template: str) -> str:
    """Return a template whose floats come as texts."""
    return template.replace(FLOAT, "%s")


def whole(sql: str) -> str:
    """Return the expression of a number that is an integer where it is whole."""
    return f"iif({sql} = CAST({sql} AS INTEGER), CAST({sql} AS INTEGER), {sql})"


def count(sql: str) -> str:
    """Return the expression of a count's text: it is whole unless samples with a rate stand for parts of others."""
    return f"iif({sql} = CAST({sql} AS INTEGER), CAST({sql} AS INTEGER), format('{FLOAT}', {_digits(sql)}, {sql}))"


def _is_usual(sql: str) -> str:
    low, high = FEW_DIGITS
    return f"(abs({sql}) BETWEEN {low} AND {high} OR {sql} = 0)"


def _digits(sql: str) -> str:
    """Return the expression of how many digits a float within FEW_DIGITS needs."""
    six_decimals = f"CAST({sql} * 1e6 + 0.5 AS INTEGER) / 1e6"
    return (
        f"CASE WHEN {sql} BETWEEN 0 AND {SIX_DECIMALS_END} AND {six_decimals} = {sql} THEN 15 "
        f"WHEN CAST(format('%!.16g', {sql}) AS REAL) <> {sql} THEN 17 "
        f"WHEN CAST(format('%!.15g', {sql}) AS REAL) = {sql} THEN 15 ELSE 16 END"
    )
