"""SQL expressions that format a float as the shortest decimal that reads back as the same double.

SQLite writes 17 digits if 15 are not enough, although 16 often are: 78.11538461538461 becomes 78.115384615384613. So
each float is formatted with 15 and with 16 digits and read back, to find how many it needs.

    0.25  78.11538461538461  0.30000000000000004        15, 16 and 17 digits
    1e-05  1e+22  5e-324                                formatted by Python

Within FEW_DIGITS no text has an exponent, and the nearest decimal of 16 digits is always the right one if any is.
Outside of it the function `shortest` calls Python.

The native core does all of this in one function, `tally_text`, and in `tally_texts` for all rows of a group.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

import apsw

from tally import native

# The placeholder of a float for SQLite's `format`, which takes the number of digits and the float.
FLOAT = "%!.*g"
FEW_DIGITS = (1e-4, 999_999_999_999_999.0)
# Below this, a number with at most six decimals has at most 15 digits. This usual case needs no text conversion.
SIX_DECIMALS_END = 1e9


IS_NATIVE = native.can_extend(apsw.Connection)


class Argument(NamedTuple):
    """An argument of a template: an expression, and whether it is a float, whose placeholder is FLOAT."""

    sql: str
    is_float: bool


def register(connection: apsw.Connection) -> None:
    """Register the functions that the expressions call with a connection."""
    if IS_NATIVE:
        native.register(connection)
        return
    connection.create_scalar_function("shortest", _shortest, 1, deterministic=True)


def _shortest(*number: Any) -> str:
    return repr(*number)


def text(arguments: Iterable[Argument]) -> str:
    """Return an expression that formats the bound `:template`, or `:plain` if Python formats the floats."""
    arguments = list(arguments)
    if IS_NATIVE:
        return f"tally_text(:template, {', '.join(sql for sql, _ in arguments)})"
    usual = " AND ".join(_is_usual(sql) for sql, is_float in arguments if is_float)
    places = ", ".join(f"{_digits(sql)}, {sql}" if is_float else sql for sql, is_float in arguments)
    if not usual:
        return f"format(:template, {places})"
    others = ", ".join(f"shortest({sql})" if is_float else sql for sql, is_float in arguments)
    return f"iif({usual}, format(:template, {places}), format(:plain, {others}))"


def texts(arguments: Iterable[Argument], order: str = "") -> str:
    """Return an expression that joins the texts of a group's rows by the bound `:separator`, in `order`."""
    if IS_NATIVE:
        return f"tally_texts(:separator, :template, {', '.join(sql for sql, _ in arguments)}{order})"
    return f"string_agg({text(arguments)}, :separator{order})"


def number(sql: str) -> str:
    """Return an expression of a float's text."""
    return f"tally_text('{FLOAT}', {sql})" if IS_NATIVE else f"shortest({sql})"


def plain(template: str) -> str:
    """Return a template that takes floats as texts."""
    return template.replace(FLOAT, "%s")


def whole(sql: str) -> str:
    """Return an expression that converts a whole number to an integer."""
    return f"iif({sql} = CAST({sql} AS INTEGER), CAST({sql} AS INTEGER), {sql})"


def count(sql: str) -> str:
    """Return an expression of a count's text. Counts are whole, except for samples with a rate."""
    if IS_NATIVE:
        return sql
    fraction = f"iif({_is_usual(sql)}, format('{FLOAT}', {_digits(sql)}, {sql}), shortest({sql}))"
    return f"iif({sql} = CAST({sql} AS INTEGER), CAST({sql} AS INTEGER), {fraction})"


def _is_usual(sql: str) -> str:
    low, high = FEW_DIGITS
    return f"(abs({sql}) BETWEEN {low} AND {high} OR {sql} = 0)"


def _digits(sql: str) -> str:
    """Return an expression of the number of digits that a float within FEW_DIGITS needs."""
    six_decimals = f"CAST({sql} * 1e6 + 0.5 AS INTEGER) / 1e6"
    return (
        f"CASE WHEN {sql} BETWEEN 0 AND {SIX_DECIMALS_END} AND {six_decimals} = {sql} THEN 15 "
        f"WHEN CAST(format('%!.16g', {sql}) AS REAL) <> {sql} THEN 17 "
        f"WHEN CAST(format('%!.15g', {sql}) AS REAL) = {sql} THEN 15 ELSE 16 END"
    )
