r"""Parses frames of Carbon's pickle protocol into lines, and executes nothing.

    00 00 01 9c | (lp0\n(S'page.load'\np1\n(I1700000001\nF0.25\ntp2\ntp3\na.
    ^length       ^a pickle of [(name, (timestamp, value)), ...]

A pickle is a program for a stack machine. This one knows only the instructions that make lists, tuples, texts, numbers
and None, of the protocols 0 to 5. Instructions that import, call or build anything else make a frame invalid. Texts
stay bytes, as they are in lines.

Pure. The reference is https://graphite.readthedocs.io/en/latest/feeding-carbon.html and Python's `pickletools`.
"""

import codecs
import struct
from collections.abc import Callable
from typing import Any, NamedTuple

from tally.lines.plain import NAME_MAX_BYTES, Reason

# As in Carbon.
FRAME_MAX_BYTES = 2**20
SAMPLES_MAX = 100_000
# Longer numbers are not converted. None is in their place, which is no value.
NUMBER_MAX_BYTES = 64
_LONG_MAX_BYTES = 32
_WHITE_SPACE = bytes(range(0x21))
_MARK = object()


class Frame(NamedTuple):
    """The lines of a frame, and the items that are no samples, with reasons."""

    lines: list[bytes]
    rejected: list[tuple[bytes, Reason]]


class _InvalidPickle(ValueError):
    """Raised when a pickle is truncated, malformed, or not of the data that is expected."""


def parse_frame(pickle: bytes) -> Frame:
    """Parse a frame without its length. One that is not a pickle of a list or tuple has the one reason PICKLE."""
    try:
        items = _load(pickle)
    except (_InvalidPickle, ValueError, LookupError, TypeError, struct.error):
        return Frame([], [(pickle[:NUMBER_MAX_BYTES], Reason.PICKLE)])
    if len(items) > SAMPLES_MAX:
        return Frame([], [(pickle[:NUMBER_MAX_BYTES], Reason.LENGTH)])
    frame = Frame([], [])
    for item in items:
        line = _line(item)
        if isinstance(line, bytes):
            frame.lines.append(line)
        else:
            frame.rejected.append((_name(item), line))
    return frame


def _line(item: Any) -> bytes | Reason:
    """Return the line of an item, which may still be rejected for its name or a number."""
    try:
        name, (timestamp, value) = item
    except (TypeError, ValueError):
        return Reason.FIELDS
    if not isinstance(name, bytes):
        return Reason.FIELDS
    if not 0 < len(name) <= NAME_MAX_BYTES or len(name.translate(None, _WHITE_SPACE)) < len(name):
        return Reason.NAME
    number = _number(value)
    if number is None:
        return Reason.VALUE
    time = _number(timestamp)
    return Reason.TIMESTAMP if time is None else b"%b %b %b" % (name, number, time)


def _number(value: Any) -> bytes | None:
    """Return the text of a number, or a text, which may be one."""
    if type(value) in (float, int):
        return repr(value).encode()
    if isinstance(value, bytes) and 0 < len(value) <= NUMBER_MAX_BYTES and not value.translate(_IS_BLANK).count(b" "):
        return value
    return None


_IS_BLANK = bytes(ord(" ") if byte <= 0x20 else 0x2E for byte in range(256))


def _name(item: Any) -> bytes:
    """Return the name of an item for the log, as far as it has one."""
    first = item[0] if isinstance(item, list | tuple) and item else b""
    return first[:NAME_MAX_BYTES] if isinstance(first, bytes) else b""


def _load(pickle: bytes) -> list[Any] | tuple[Any, ...]:
    """Return the list or tuple that a pickle describes."""
    machine = _Machine(pickle)
    made = machine.run()
    if not isinstance(made, list | tuple):
        raise _InvalidPickle("it is not a list")
    return made


class _Machine:
    """The stack machine of a pickle."""

    def __init__(self, pickle: bytes) -> None:
        self.pickle = pickle
        self.at = 0
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def run(self) -> Any:
        """Return what is on the stack at the end."""
        pickle, stack, memo = self.pickle, self.stack, self.memo
        while True:
            code = pickle[self.at]
            self.at += 1
            if code == 0x94:  # MEMOIZE, the most frequent instruction
                memo[len(memo)] = stack[-1]
            elif code == 0x2E:  # STOP
                return stack[-1]
            else:
                _INSTRUCTIONS[code](self)

    def take(self, size: int) -> bytes:
        """Return the next bytes."""
        self.at += size
        if self.at > len(self.pickle):
            raise _InvalidPickle("it is truncated")
        return self.pickle[self.at - size : self.at]

    def read_line(self) -> bytes:
        """Return the next bytes up to a line feed."""
        end = self.pickle.index(b"\n", self.at)
        line = self.pickle[self.at : end]
        self.at = end + 1
        return line

    def pop_to_mark(self) -> list[Any]:
        """Remove and return what is above the last mark, and the mark."""
        at = len(self.stack) - 1
        while self.stack[at] is not _MARK:
            at -= 1
            if at < 0:
                raise _InvalidPickle("there is no mark")
        found = self.stack[at + 1 :]
        del self.stack[at:]
        return found


_Instruction = Callable[[_Machine], None]


def _push(value: Any) -> _Instruction:
    return lambda machine: machine.stack.append(value)


def _number_of(form: str) -> _Instruction:
    packed = struct.Struct(form)
    size, unpack = packed.size, packed.unpack

    def instruction(machine: _Machine) -> None:
        machine.stack.append(unpack(machine.take(size))[0])

    return instruction


def _text_of(form: str) -> _Instruction:
    packed = struct.Struct(form)
    size, unpack = packed.size, packed.unpack

    def instruction(machine: _Machine) -> None:
        machine.stack.append(machine.take(unpack(machine.take(size))[0]))

    return instruction


def _tuple_of(count: int) -> _Instruction:
    def instruction(machine: _Machine) -> None:
        if len(machine.stack) < count:
            raise _InvalidPickle("the stack is too short")
        machine.stack[-count:] = [tuple(machine.stack[-count:])]

    return instruction


def _put(read: Callable[[_Machine], int]) -> _Instruction:
    def instruction(machine: _Machine) -> None:
        machine.memo[read(machine)] = machine.stack[-1]

    return instruction


def _get(read: Callable[[_Machine], int]) -> _Instruction:
    return lambda machine: machine.stack.append(machine.memo[read(machine)])


def _read_byte(machine: _Machine) -> int:
    return machine.take(1)[0]


def _read_four(machine: _Machine) -> int:
    return int.from_bytes(machine.take(4), "little")


def _read_decimal(machine: _Machine) -> int:
    line = machine.read_line()
    if len(line) > NUMBER_MAX_BYTES:
        raise _InvalidPickle("a number is too long")
    return int(line)


def _make_list(machine: _Machine) -> None:
    machine.stack.append(machine.pop_to_mark())


def _make_tuple(machine: _Machine) -> None:
    machine.stack.append(tuple(machine.pop_to_mark()))


def _append(machine: _Machine) -> None:
    value = machine.stack.pop()
    _last_list(machine).append(value)


def _append_all(machine: _Machine) -> None:
    values = machine.pop_to_mark()
    _last_list(machine).extend(values)


def _last_list(machine: _Machine) -> list[Any]:
    found = machine.stack[-1]
    if not isinstance(found, list):
        raise _InvalidPickle("it appends to what is no list")
    return found


def _push_empty_list(machine: _Machine) -> None:
    machine.stack.append([])


def _push_decimal(machine: _Machine) -> None:
    line = machine.read_line().removesuffix(b"L")
    machine.stack.append(int(line) if len(line) <= NUMBER_MAX_BYTES else None)


def _push_decimal_float(machine: _Machine) -> None:
    machine.stack.append(float(machine.read_line()))


def _push_long(machine: _Machine) -> None:
    found = machine.take(_read_byte(machine))
    machine.stack.append(int.from_bytes(found, "little", signed=True) if len(found) <= _LONG_MAX_BYTES else None)


def _push_quoted(machine: _Machine) -> None:
    line = machine.read_line()
    if len(line) < 2 or line[:1] not in (b"'", b'"') or line[-1:] != line[:1]:
        raise _InvalidPickle("a text has no quotes")
    # As Python's own `pickle` decodes it.
    machine.stack.append(codecs.escape_decode(line[1:-1])[0])


def _push_escaped(machine: _Machine) -> None:
    machine.stack.append(machine.read_line().decode("raw-unicode-escape").encode())


def _skip(size: int) -> _Instruction:
    def instruction(machine: _Machine) -> None:
        machine.take(size)

    return instruction


def _pop(machine: _Machine) -> None:
    machine.stack.pop()


# By code, in the order and with the names of `pickletools`.
_INSTRUCTIONS: dict[int, _Instruction] = {
    ord("I"): _push_decimal,  # INT; 00 and 01 are False and True
    ord("J"): _number_of("<i"),  # BININT
    ord("K"): _number_of("<B"),  # BININT1
    ord("M"): _number_of("<H"),  # BININT2
    ord("L"): _push_decimal,  # LONG
    0x8A: _push_long,  # LONG1
    ord("S"): _push_quoted,  # STRING
    ord("T"): _text_of("<I"),  # BINSTRING
    ord("U"): _text_of("<B"),  # SHORT_BINSTRING
    ord("B"): _text_of("<I"),  # BINBYTES
    ord("C"): _text_of("<B"),  # SHORT_BINBYTES
    0x8E: _text_of("<Q"),  # BINBYTES8
    ord("N"): _push(None),  # NONE
    0x88: _push(1),  # NEWTRUE
    0x89: _push(0),  # NEWFALSE
    ord("V"): _push_escaped,  # UNICODE
    0x8C: _text_of("<B"),  # SHORT_BINUNICODE
    ord("X"): _text_of("<I"),  # BINUNICODE
    0x8D: _text_of("<Q"),  # BINUNICODE8
    ord("F"): _push_decimal_float,  # FLOAT
    ord("G"): _number_of(">d"),  # BINFLOAT
    ord("]"): _push_empty_list,  # EMPTY_LIST
    ord("a"): _append,  # APPEND
    ord("e"): _append_all,  # APPENDS
    ord("l"): _make_list,  # LIST
    ord(")"): _push(()),  # EMPTY_TUPLE
    ord("t"): _make_tuple,  # TUPLE
    0x85: _tuple_of(1),  # TUPLE1
    0x86: _tuple_of(2),  # TUPLE2
    0x87: _tuple_of(3),  # TUPLE3
    ord("0"): _pop,  # POP
    ord("("): _push(_MARK),  # MARK
    ord("g"): _get(_read_decimal),  # GET
    ord("h"): _get(_read_byte),  # BINGET
    ord("j"): _get(_read_four),  # LONG_BINGET
    ord("p"): _put(_read_decimal),  # PUT
    ord("q"): _put(_read_byte),  # BINPUT
    ord("r"): _put(_read_four),  # LONG_BINPUT
    0x80: _skip(1),  # PROTO
    0x95: _skip(8),  # FRAME
}
