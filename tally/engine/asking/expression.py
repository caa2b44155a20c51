"""Compiles regular expressions of clients with RE2.

RE2 takes time linear in the length of the text, while Python's `re` can take exponential time. RE2 has no look-around
and no back-references, and its `\\w` and `\\d` match ASCII only.
"""

from typing import Any

from tally.errors import InvalidQuestion

EXPRESSION_MAX = 1024
MEMORY_MAX_BYTES = 2**20


def compile_expression(text: str) -> Any:
    """Return the compiled regular expression, which has the methods of one of Python's `re`.

    :raises InvalidQuestion: when it is malformed, is longer than EXPRESSION_MAX, or needs too much memory.
    """
    import re2  # type: ignore[import-untyped]

    if len(text) > EXPRESSION_MAX:
        raise InvalidQuestion(f"the regular expression {text!r:.100} is longer than {EXPRESSION_MAX} characters")
    options = re2.Options()
    options.log_errors = False
    options.max_mem = MEMORY_MAX_BYTES
    try:
        return re2.compile(text, options)
    except re2.error as error:
        reason = error.args[0].decode("utf-8", "replace") if isinstance(error.args[0], bytes) else error
        raise InvalidQuestion(f"{text!r:.100} is not a regular expression for RE2: {reason}") from None
