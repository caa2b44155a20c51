"""The identity of a data directory: one for ever, and none for a copy."""

import shutil
from pathlib import Path

import pytest

from tally.cluster.identity import FILE, Identity, accept_move
from tally.errors import ArchiveUnavailable, ClusterRefused


def test_a_directory_keeps_its_identity(tmp_path: Path) -> None:
    """It is made once, and two directories differ."""
    (tmp_path / "other").mkdir()
    with Identity(tmp_path) as first, Identity(tmp_path / "other") as other:
        assert first.text != other.text
        with pytest.raises(ArchiveUnavailable, match="another process replicates it already"):
            Identity(tmp_path).__enter__()
    with Identity(tmp_path) as again:
        assert again.text == first.text


def test_a_copy_is_refused_until_it_is_accepted(tmp_path: Path) -> None:
    """It has the same identity, and must not replicate beside the original."""
    with Identity(tmp_path) as first:
        pass
    copy = tmp_path / "copy"
    copy.mkdir()
    shutil.copy2(tmp_path / FILE, copy / FILE)
    with pytest.raises(ClusterRefused, match="is a copy of a directory that is replicated"):
        Identity(copy).__enter__()
    accept_move(copy)
    with Identity(copy) as found:
        assert found.text == first.text
    (copy / FILE).write_text("{")
    with pytest.raises(ClusterRefused, match="is damaged"):
        Identity(copy).__enter__()
    (copy / FILE).unlink()
    with pytest.raises(ArchiveUnavailable, match="cannot be used now"):
        accept_move(copy)
