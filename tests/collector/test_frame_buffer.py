"""Frames of pickles out of pieces."""

import pickle
import struct

import pytest

from tally.collector.frame_buffer import FrameBuffer
from tally.lines.pickled import FRAME_MAX_BYTES
from tally.lines.plain import Reason


def frame(body: bytes) -> bytes:
    """Return a body with its length before it."""
    return struct.pack(">I", len(body)) + body


ONE, TWO = frame(pickle.dumps([("a", (5, 1))], 2)), frame(pickle.dumps([("b", (5, 2)), ("c", (5, 3))], 2))


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_frames_become_lines_when_they_are_whole(size: int) -> None:
    """However they are split, and around one that is no pickle."""
    data = ONE + frame(b"nothing") + frame(b"") + TWO + TWO[:-1]
    buffer = FrameBuffer()
    found = [buffer.put(data[at : at + size]) for at in range(0, len(data), size)]
    assert b"a 1 5\nb 2 5\nc 3 5" == b"\n".join(filter(None, found))
    assert [Reason.PICKLE, Reason.PICKLE] == [reason for _, reason in buffer.rejected]
    assert (TWO[:-1], False) == (bytes(buffer.begun), buffer.is_broken)


@pytest.mark.parametrize("more", [0, 1])
def test_a_frame_has_a_bound(more: int) -> None:
    """After the length of one that is too long nothing can be read; its bytes are not kept."""
    buffer = FrameBuffer()
    lines = buffer.put(ONE + struct.pack(">I", FRAME_MAX_BYTES + more) + b"x" * 50)
    assert (b"a 1 5", bool(more)) == (lines, buffer.is_broken)
    assert [Reason.LENGTH] * more == [reason for _, reason in buffer.rejected]
    assert (0 if more else 54) == len(buffer.begun)
