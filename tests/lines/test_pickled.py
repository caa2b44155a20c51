"""Carbon's pickle protocol, read without executing anything."""

import io
import os
import pickle
import pickletools
from collections import OrderedDict
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tally.lines import pickled
from tally.lines.pickled import _INSTRUCTIONS, SAMPLES_MAX, parse_frame
from tally.lines.plain import Reason

PROTOCOLS = range(6)
T = 1_700_000_000
names = st.text(st.characters(min_codepoint=0x21, exclude_categories=["Cs"]), min_size=1, max_size=60)
samples = st.tuples(names, st.tuples(st.integers(0, 2**40) | st.floats(0, 1e12), st.integers() | st.floats()))


@given(st.lists(samples, max_size=30), st.sampled_from(PROTOCOLS), st.booleans())
def test_every_protocol_gives_the_same_lines(items: list[Any], protocol: int, as_tuple: bool) -> None:
    """A list or a tuple of samples becomes lines, as `pickle` would read it, by either of Python's picklers."""
    expected = [f"{name} {value!r} {time!r}".encode() for name, (time, value) in items]
    whole = tuple(items) if as_tuple else items
    slow = io.BytesIO()
    pickle._Pickler(slow, protocol).dump(whole)
    for found in (pickle.dumps(whole, protocol), slow.getvalue()):
        frame = parse_frame(found)
        limit = 10**60  # Longer numbers are no values of samples anyway.
        if all(abs(value) < limit for _, (_, value) in items if isinstance(value, int)):
            assert (expected, []) == frame


def test_repeated_texts_and_samples_are_memoized() -> None:
    """More than 256 entries of the memo have longer instructions."""
    name = "page.load"
    sample = (name, (T, 1))
    items = [*[sample] * 300, *[(name, (T, value)) for value in range(300)], *[(f"a{n}", (T, n)) for n in range(300)]]
    for protocol in PROTOCOLS:
        assert 900 == len(parse_frame(pickle.dumps(items, protocol)).lines)


@pytest.mark.parametrize(
    ("item", "found"),
    [
        (("a", (T, "1.5")), b"a 1.5 1700000000"),
        (("a", (str(T), 2)), b"a 2 1700000000"),
        (["a", [T, 2]], b"a 2 1700000000"),
        (("a", (T, True)), b"a 1 1700000000"),
        (("a", (T, float("nan"))), b"a nan 1700000000"),
        (("a'\\\"", (T, 2)), b"a'\\\" 2 1700000000"),
        (("é", (T, 2)), "é 2 1700000000".encode()),
        (("a", (T, None)), Reason.VALUE),
        (("a", (None, 1)), Reason.TIMESTAMP),
        (("a", (T, "1 2")), Reason.VALUE),
        (("a", (T, "1" * 65)), Reason.VALUE),
        (("a b", (T, 1)), Reason.NAME),
        (("a\nb 1", (T, 1)), Reason.NAME),
        (("", (T, 1)), Reason.NAME),
        (("a" * 256, (T, 1)), Reason.NAME),
        ((5, (T, 1)), Reason.FIELDS),
        (("a", T), Reason.FIELDS),
        (("a", (T, 1, 2)), Reason.FIELDS),
        (("a", (T, 1), "more"), Reason.FIELDS),
        (5, Reason.FIELDS),
        (None, Reason.FIELDS),
    ],
)
def test_what_is_no_sample_is_rejected_alone(item: Any, found: bytes | Reason) -> None:
    """The others of its frame become lines. A name cannot bring a line of its own."""
    for protocol in PROTOCOLS:
        lines, rejected = parse_frame(pickle.dumps([("b", (T, 1)), item], protocol))
        expected = [b"b 1 1700000000", *([found] if isinstance(found, bytes) else [])]
        assert (expected, [] if isinstance(found, bytes) else [found]) == (lines, [reason for _, reason in rejected])


class Attack:
    """An object whose pickle runs a command."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.path}",)


def test_nothing_is_executed(tmp_path: Any) -> None:
    """A frame that imports or calls something is rejected."""
    path = tmp_path / "ran"
    for made in (Attack(str(path)), [("a", (T, Attack(str(path))))], Decimal(1), OrderedDict(), {"a": 1}, {1}, T):
        for protocol in PROTOCOLS:
            frame = parse_frame(pickle.dumps(made, protocol))
            assert ([], [Reason.PICKLE]) == (frame.lines, [reason for _, reason in frame.rejected])
    assert not path.exists()


def test_only_instructions_that_make_data_are_known() -> None:
    """They have the meaning of pickletools, in which each of those that are left out imports, calls, builds or sets."""
    known = {opcode.name for opcode in pickletools.opcodes if ord(opcode.code) in _INSTRUCTIONS}
    left_out = {opcode.name for opcode in pickletools.opcodes} - known - {"STOP", "MEMOIZE"}
    assert len(known) == len(_INSTRUCTIONS)
    assert left_out == {
        "GLOBAL", "STACK_GLOBAL", "REDUCE", "BUILD", "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "PERSID", "BINPERSID",
        "EXT1", "EXT2", "EXT4", "DICT", "EMPTY_DICT", "SETITEM", "SETITEMS", "EMPTY_SET", "ADDITEMS", "FROZENSET",
        "BYTEARRAY8", "NEXT_BUFFER", "READONLY_BUFFER", "LONG4", "DUP", "POP_MARK",
    }  # fmt: skip


WHOLE = [pickle.dumps([("a.b", (T, 1.5)), ("c", (T, -2))] * 3, protocol) for protocol in PROTOCOLS]


@given(st.binary(max_size=80) | st.tuples(st.sampled_from(WHOLE), st.integers(0, 120), st.binary(max_size=4)).map(
    lambda edit: edit[0][: edit[1]] + edit[2] + edit[0][edit[1] + len(edit[2]) :]
))  # fmt: skip
def test_any_bytes_are_lines_or_rejected(data: bytes) -> None:
    """Nothing is raised, and a line is one line."""
    lines, rejected = parse_frame(data)
    assert all(line.count(b"\n") == 0 and line.count(b" ") == 2 for line in lines)
    assert all(len(line) <= 255 + 2 + 2 * 70 for line in lines)
    assert all(isinstance(reason, Reason) for _, reason in rejected)


@pytest.mark.parametrize(
    "text",
    [
        b"'\\n'," + b"-" * 100_000 + b"1'",
        b"'\\n'" + b"+''" * 100_000,
        b"'\\n'" + b"[" * 100_000 + b"'",
        b"'\\x1'",
        b"'",
        b"'a\"",
        b"a",
    ],
)
def test_a_quoted_text_is_decoded_and_not_compiled(text: bytes) -> None:
    """What only a compiler could read is rejected, or is a text, however deep it is."""
    frame = parse_frame(b"((S" + text + b"\n(J\x01\x00\x00\x00K\x01ttl.")
    assert not frame.lines
    assert 1 == len(frame.rejected)


@pytest.mark.parametrize(("text", "name"), [(b"'a'", b"a"), (b'"a\'"', b"a'"), (b"'\\xc3\\xa9\\\\'", "é\\".encode())])
def test_a_quoted_text_has_escapes(text: bytes, name: bytes) -> None:
    """Python 2 writes its texts so."""
    frame = parse_frame(b"((S" + text + b"\n(J\x01\x00\x00\x00K\x01ttl.")
    assert [name + b" 1 1"] == frame.lines


def test_a_small_frame_cannot_become_large() -> None:
    """A sample that is repeated by two bytes still counts, and so do long names and numbers."""
    sample = b"\x8c\x01a\x94J\x00\x00\x00\x00K\x01\x86\x86\x94"
    body = b"\x80\x04](" + sample + b"h\x01" * (SAMPLES_MAX - 1) + b"e."
    assert SAMPLES_MAX == len(parse_frame(body).lines)
    more = b"\x80\x04](" + sample + b"h\x01" * SAMPLES_MAX + b"e."
    assert ([], [Reason.LENGTH]) == (parse_frame(more).lines, [reason for _, reason in parse_frame(more).rejected])
    long = pickle.dumps([("a", (T, 10**5000))])
    assert [Reason.PICKLE] == [reason for _, reason in parse_frame(long).rejected]
    assert pickled.FRAME_MAX_BYTES == 2**20


@pytest.mark.parametrize("protocol", range(6))
def test_a_number_that_is_too_long_is_rejected_alone(protocol: int) -> None:
    """The other samples of its frame are kept."""
    frame = parse_frame(pickle.dumps([("a", (T, 10**400)), ("b", (T, 1)), ("c", (10**400, 1))], protocol))
    assert [b"b 1 %d" % T] == frame.lines
    assert [(b"a", Reason.VALUE), (b"c", Reason.TIMESTAMP)] == frame.rejected
