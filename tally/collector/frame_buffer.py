"""Splits a stream of bytes into frames of Carbon's pickle protocol, and these into lines."""

import struct

from tally.lines.pickled import FRAME_MAX_BYTES, parse_frame
from tally.lines.plain import Reason

_LENGTH = struct.Struct(">I")


class FrameBuffer:
    """Keeps an unfinished frame of at most FRAME_MAX_BYTES; `rejected` has what was rejected, with reasons.

    After a frame that is too long it `is_broken`: nothing after it can be read.
    """

    def __init__(self) -> None:
        self.begun = bytearray()
        self.rejected: list[tuple[bytes, Reason]] = []
        self.is_broken = False

    def put(self, piece: bytes) -> bytes:
        """Return the lines of the frames that are now complete, joined by LF."""
        self.begun += piece
        lines: list[bytes] = []
        at = 0
        while (end := self._find_end(at)) is not None:
            frame = parse_frame(bytes(self.begun[at + _LENGTH.size : end]))
            lines += frame.lines
            self.rejected += frame.rejected
            at = end
        del self.begun[:at]
        if self.is_broken:
            self.rejected.append((bytes(self.begun), Reason.LENGTH))
            self.begun.clear()
        return b"\n".join(lines)

    def _find_end(self, at: int) -> int | None:
        """Return the end of the frame at a position, or None if it is not complete."""
        if len(self.begun) < at + _LENGTH.size:
            return None
        (length,) = _LENGTH.unpack_from(self.begun, at)
        self.is_broken = length > FRAME_MAX_BYTES
        end = at + _LENGTH.size + length
        return end if not self.is_broken and end <= len(self.begun) else None
