"""How many cells a rollup may have."""

from tally.engine.storing.capacity import Room


def test_without_a_bound_there_is_room_for_all() -> None:
    """A rollup that is not told otherwise takes what comes."""
    room = Room()
    assert room.free == room.most > 2**60
    assert room.admits("a")
