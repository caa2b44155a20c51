"""docs/sealing.md against the code: its numbers are those that commits go by."""

from tally.engine.storing.expiry import EXPIRE_ROWS, FEW_ROWS
from tally.engine.storing.sealing import FULL_BUCKETS, SEAL_BUCKETS, SEAL_ROWS, STEP_FACTOR, STEP_ROWS
from tally.engine.storing.watermarks import FIRST
from tests.docs.story import ROOT

PAGE = " ".join((ROOT / "docs" / "sealing.md").read_text(encoding="utf-8").split())


def test_numbers() -> None:
    """Sealing and expiry begin and end where the page says, and a block is as long."""
    assert f"at least {SEAL_BUCKETS} buckets, and contain at least {SEAL_ROWS:,} unsealed rows" in PAGE
    assert STEP_FACTOR == 2
    assert f"seals about {STEP_ROWS:,} rows, or twice as many as it writes" in PAGE
    assert f"at least {FULL_BUCKETS} buckets, however few rows" in PAGE
    assert f"each name over {FIRST['block_buckets']} buckets" in PAGE
    assert f"removes at most {EXPIRE_ROWS:,} expired rows" in PAGE
    assert f"at least {FEW_ROWS} rows is therefore hidden" in PAGE
    assert f"hidden buckets span {FIRST['block_buckets']} buckets" in PAGE
    assert f"deletes about {STEP_ROWS:,} rows, or twice as many as it writes" in PAGE
