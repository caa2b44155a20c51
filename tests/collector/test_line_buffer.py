"""Lines out of pieces."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tally.collector import line_buffer as module
from tally.collector.line_buffer import LINE_MAX_BYTES, PIECE_MAX_BYTES, LineBuffer


def put(*pieces: bytes) -> tuple[list[bytes], bytes, list[bytes]]:
    """Return the whole lines out of some pieces, what is begun at the end, and what was too long."""
    buffer = LineBuffer()
    whole = [lines for piece in pieces if (lines := buffer.put(piece))]
    return whole, buffer.begun, [line for line, _ in buffer.rejected]


def test_lines_are_handed_on_when_they_are_whole() -> None:
    """Pieces of a line are joined, and several lines are returned at once."""
    assert ([b"a 1", b"b 2\r\nc 3"], b"d", []) == put(b"a", b" 1\n", b"b 2\r\nc 3\nd")
    assert ([], b"a 1", []) == put(b"a 1")


@pytest.mark.parametrize("size", [1, 100, PIECE_MAX_BYTES])
def test_a_line_has_a_bound(size: int) -> None:
    """A line with one byte more than the limit is too long, however it is split. The lines around it are accepted."""
    for length, expected in ((LINE_MAX_BYTES, 0), (LINE_MAX_BYTES + 1, 1), (3 * LINE_MAX_BYTES, 1)):
        data = b"a 1\n" + b"x" * length + b"\nb 2\n"
        whole, begun, too_long = put(*(data[start : start + size] for start in range(0, len(data), size)))
        lines = b"\n".join(whole).split(b"\n")
        assert [b"a 1", b"b 2"] == [line for line in lines if len(line) < LINE_MAX_BYTES]
        assert (b"", expected) == (begun, len(too_long))
        assert len(lines) == 3 - expected


def test_memory_is_bounded() -> None:
    """No more than the limit is kept of an endless line."""
    buffer = LineBuffer()
    for _ in range(100):
        assert b"" == buffer.put(b"x" * PIECE_MAX_BYTES)
        assert len(buffer.begun) <= LINE_MAX_BYTES
    assert 1 == len(buffer.rejected)


@given(st.lists(st.text("ab", max_size=12), max_size=8), st.integers(1, 9))
def test_any_pieces(texts: list[str], size: int) -> None:
    """However a stream is split, each line is returned unchanged, or as too long."""
    data = "".join(f"{text}\n" for text in texts).encode()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "LINE_MAX_BYTES", 9)
        buffer = LineBuffer()
        whole = [buffer.put(data[start : start + size]) for start in range(0, len(data), size)]
    found = [line for lines in whole for line in lines.split(b"\n") if line]
    assert [text.encode() for text in texts if 1 <= len(text) <= 9] == found
    assert sum(len(text) > 9 for text in texts) == len(buffer.rejected)
