"""Splits a stream of bytes into lines."""

from tally.lines.plain import DATAGRAM_MAX_BYTES, Reason

LINE_MAX_BYTES = DATAGRAM_MAX_BYTES
# A piece is no longer than a line may be, so that only its first line can be too long.
PIECE_MAX_BYTES = LINE_MAX_BYTES


class LineBuffer:
    """Keeps an unfinished line of at most LINE_MAX_BYTES; `rejected` has the beginnings of longer ones."""

    is_broken = False

    def __init__(self) -> None:
        self.begun = b""
        self.rejected: list[tuple[bytes, Reason]] = []
        self._is_skipping = False

    def put(self, piece: bytes) -> bytes:
        """Return the lines that are now complete, without the last LF and without lines that are too long."""
        if self._is_skipping:
            _, line_end, piece = piece.partition(b"\n")
            self._is_skipping = not line_end
            if self._is_skipping:
                return b""
        whole, _, self.begun = (self.begun + piece).rpartition(b"\n")
        if len(self.begun) > LINE_MAX_BYTES:
            self.rejected.append((self.begun, Reason.LENGTH))
            self.begun, self._is_skipping = b"", True
        first, _, others = whole.partition(b"\n")
        if len(first) <= LINE_MAX_BYTES:
            return whole
        self.rejected.append((first, Reason.LENGTH))
        return others
