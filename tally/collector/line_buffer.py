"""Whole lines out of what comes by a stream, piece by piece."""

from tally.lines.plain import DATAGRAM_MAX_BYTES

LINE_MAX_BYTES = DATAGRAM_MAX_BYTES
# More is not put in at once, so that only the first line of what was put in can be too long.
PIECE_MAX_BYTES = LINE_MAX_BYTES


class LineBuffer:
    """Keeps the begun line, of at most LINE_MAX_BYTES; `too_long` has the beginnings of those that were longer."""

    def __init__(self) -> None:
        self.begun = b""
        self.too_long: list[bytes] = []
        self._is_skipping = False

    def put(self, piece: bytes) -> bytes:
        """Return the lines that are whole now, without the last one's LF; of a line that is too long nothing."""
        if self._is_skipping:
            _, line_end, piece = piece.partition(b"\n")
            self._is_skipping = not line_end
            if self._is_skipping:
                return b""
        whole, _, self.begun = (self.begun + piece).rpartition(b"\n")
        if len(self.begun) > LINE_MAX_BYTES:
            self.too_long.append(self.begun)
            self.begun, self._is_skipping = b"", True
        first, _, others = whole.partition(b"\n")
        if len(first) <= LINE_MAX_BYTES:
            return whole
        self.too_long.append(first)
        return others
