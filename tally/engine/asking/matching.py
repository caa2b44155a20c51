"""Conditions on names: the globs of `q`, the tag expressions of `where`, and the SQL functions for tags and groups."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache

import apsw

from tally.engine import glob
from tally.engine.asking.grouping import Group
from tally.engine.asking.tags import NAME, TagExpression, matcher
from tally.errors import InvalidQuestion

GLOBS_MAX = 100
LABELS_CACHED = 10_000
# The SQL expression of a name's group.
GROUP = "group_of(name)"

Texts = Mapping[str, str]


def matching(q: tuple[str, ...], where: tuple[TagExpression, ...] = ()) -> tuple[str, Texts]:
    """Return the condition that `name` matches any glob of `q` and all of `where`, and its bindings; "" for all names.

    With `where` it needs the functions of `register`.

    :raises InvalidQuestion: when there are more than GLOBS_MAX of either.
    """
    for name, given in (("q", q), ("where", where)):
        if len(given) > GLOBS_MAX:
            raise InvalidQuestion(f"{name} is given {len(given)} times: give it up to {GLOBS_MAX} times")
    globs = {} if "*" in q else {f"q{i}": each for i, each in enumerate(q)}
    # SQLite looks a name up faster than it prepares a statement again for the prefix of a glob.
    tests = [f"name {'=' if glob.is_name(each) else 'GLOB'} :{key}" for key, each in globs.items()]
    conditions = [f"({' OR '.join(tests)})"] if tests else []
    bindings = dict(globs)
    for i, (condition, value) in enumerate(_prefilters(where)):
        conditions.append(condition.format(key=f":w{i}"))
        bindings[f"w{i}"] = value
    conditions += ["has_tags(name)"] if where else []
    return " AND ".join(conditions), bindings


def _prefilters(where: Iterable[TagExpression]) -> Iterator[tuple[str, str]]:
    """Yield conditions that SQLite checks faster than `has_tags`, and that hold for every name that it accepts."""
    for expression in where:
        start, is_tag = expression.start(), expression.key != NAME
        if expression.test()(""):
            continue  # Names without the tag match.
        if is_tag:
            yield "instr(name, {key})", f";{expression.key}={start}"
        elif start:
            yield "name GLOB {key}", f"{glob.escape(start)}*"


def register(
    connection: apsw.Connection,
    where: tuple[TagExpression, ...],
    *,
    check: Callable[[], None],
    group: Group | None = None,
) -> None:
    """Register the functions `has_tags`, for `where`, and `group_of`; `check` may raise an error to stop a query."""
    if where:
        matches: Callable[..., bool] = matcher(where, check)
        connection.create_scalar_function("has_tags", matches, 1, deterministic=True)
    if group is not None:
        label: Callable[..., str] = lru_cache(LABELS_CACHED)(group.label())
        connection.create_scalar_function("group_of", label, 1, deterministic=True)
