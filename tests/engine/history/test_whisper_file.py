"""Whisper files: made by the package whisper itself, and compared with what it answers."""

import math
import random
import sys
from itertools import pairwise
from pathlib import Path
from unittest.mock import patch

import pytest
import whisper
from hypothesis import given, settings
from hypothesis import strategies as st

from tally.engine import Catalog
from tally.engine.history import whisper_file
from tally.engine.history.reading import Account
from tally.engine.history.staging import staged
from tally.engine.history.whisper_file import POINT, find_files, parse_name, read_whisper
from tally.engine.storing.commit import Rules
from tally.errors import PackageMissing

NOW = 1_700_000_040
RINGS = [(10, 12), (60, 10), (300, 8)]
FIRST = NOW // 300 * 300 + 300 - 300 * 8

Values = dict[str, dict[int, float]]


def write(path: Path, values: dict[int, float], *, method: str = "average", rings: object = RINGS) -> Path:
    """Write a whisper file that has got these values in order, each at its time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    whisper.create(str(path), rings, 0.0, method)
    for time, value in values.items():
        with patch("time.time", lambda now=time: float(now)):
            whisper.update(str(path), value, time)
    return path


def imported(directory: Path, path: Path) -> tuple[Values, Account, list[str]]:
    """Import a file or directory; return its values by name and time, the account and the reports."""
    archive = Catalog(directory).create("daily", resolution=1, retention=0)
    reports: list[str] = []
    account = Account(NOW + 86_400, reports.append)
    with staged(directory, latest=NOW + 86_400) as staging:
        for _ in read_whisper(path, staging, account):
            pass
        staging.finish()
        archive.load(staging.path, Rules(NOW))
    for each in archive.values().values():
        assert all(cell["count"] == 1 and cell["min"] == cell["sum"] == cell["max"] for cell in each.values())
    return archive.values("sum"), account, reports


def test_every_time_is_read_from_the_finest_ring(tmp_path: Path) -> None:
    """A minute that the finest ring has only in part is read from the next one."""
    values = {time: float(time % 1000) for time in range(NOW - 3000, NOW + 1, 10)}
    found, account, _ = imported(tmp_path, write(tmp_path / "w" / "a.wsp", values))
    times = list(found["a"])
    assert [300] * 6 + [60] * 8 + [10] * 6 == [later - time for time, later in pairwise(times)]
    assert NOW == times[-1]
    assert all(values[time] == found["a"][time] for time in times[-7:])
    assert sum(values[times[-8] + n] for n in range(0, 60, 10)) / 6 == found["a"][times[-8]]
    assert 0 == account.empty


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 240), max_size=40), st.sampled_from(["average", "sum", "min", "max", "last"]))
def test_no_value_is_read_twice_and_none_is_left_out(
    tmp_path_factory: pytest.TempPathFactory, offsets: list[int], method: str
) -> None:
    """Values at any times: of sums, the total is that of all values that the file still covers."""
    times = sorted({NOW - 10 * offset for offset in offsets})
    values = {time: float(2**n) for n, time in enumerate(times)}
    directory = tmp_path_factory.mktemp("w")
    found, _, reports = imported(directory, write(directory / "a.wsp", values, method=method))
    points = found.get("a", {})
    assert [] == reports
    if method == "sum" and times:
        covered = max(times) // 300 * 300 + 300 - 300 * 8
        assert sum(value for time, value in values.items() if time >= covered) == sum(points.values())
    newest = max(times, default=0)
    for time, value in points.items():
        # What whisper itself answers about the ring that the point must be from.
        answers = [
            whisper.fetch(str(directory / "a.wsp"), time - 1, time, newest, archiveToSelect=step)[1][0]
            for step, points_ in RINGS
            if time % step == 0 and time > newest - step * points_
        ]
        assert value in answers


def test_an_old_file_is_read_like_a_new_one(tmp_path: Path) -> None:
    """Its newest point counts as now, so nothing is lost because nobody has written it for years."""
    values = {time - 10**8: 1.0 for time in range(NOW - 50, NOW + 1, 10)}
    found, _, _ = imported(tmp_path, write(tmp_path / "w" / "a.wsp", values))
    assert values == found["a"]


def test_points_without_a_value_are_empty(tmp_path: Path) -> None:
    """NaN, slots of an earlier round and slots that were never written."""
    values = {NOW: 1.0, NOW - 50: math.nan, NOW - 10 * (12 * 50 + 3): 5.0}
    found, account, _ = imported(tmp_path, write(tmp_path / "a.wsp", values, rings=[(10, 12)]))
    assert ({NOW: 1.0}, 11) == (found["a"], account.empty)


def test_paths_become_names(tmp_path: Path) -> None:
    """As graphite-web reads them, tagged series too; what has only a hash of its name is told."""
    root = tmp_path / "whisper"
    for path in ("requests/get/index.wsp", "carbon.wsp", "_tagged/4f2/0a9/disk_DOT_used;host=a_DOT_b;dc=1.wsp"):
        write(root / path, {NOW: 1.0})
    write(root / "_tagged" / "4f2" / "0a9" / ("4f20a9" * 10 + "aaaa.wsp"), {NOW: 1.0})
    (root / "requests" / "other.txt").write_text("nothing of carbon's")
    found, account, reports = imported(tmp_path, root)
    assert ["carbon", "disk.used;dc=1;host=a.b", "requests.get.index"] == list(found)
    assert {"file": 1} == account.rejected
    assert "its name is a hash" in reports[0]
    assert "index" == parse_name(Path("index.wsp"))
    assert [root / "carbon.wsp"] == list(find_files(root / "carbon.wsp"))


def test_bad_files_and_points_are_told_and_the_others_read(tmp_path: Path) -> None:
    """Files that are empty, cut short or of another format, names that tally does not take, infinity, the future."""
    root = tmp_path / "whisper"
    good = write(root / "good.wsp", {NOW: 1.0, NOW - 10: math.inf})
    (root / "empty.wsp").write_bytes(b"")
    (root / "short.wsp").write_bytes(good.read_bytes()[:-1])
    (root / "other.wsp").write_bytes(random.Random(1).randbytes(1000))
    write(root / "some name.wsp", {NOW: 1.0})
    ahead = write(root / "ahead.wsp", {NOW: 2.0})
    with ahead.open("r+b") as file:
        file.seek(16 + 12 * len(RINGS) + 12)
        file.write(POINT.pack(NOW + 10**6, 7.0))
    found, account, reports = imported(tmp_path, root)
    assert {"good": {NOW: 1.0}, "ahead": {NOW: 2.0}} == found
    assert account.rejected.total() == len(reports)
    assert {"file": 3, "name": 1, "value": 1, "future": 1} == account.rejected


def test_without_the_package_the_extra_is_named(tmp_path: Path) -> None:
    """The error says how to install it."""
    with patch.dict(sys.modules, whisper=None), pytest.raises(PackageMissing, match=r"pip install 'tally\[whisper\]'"):
        imported(tmp_path, tmp_path)
    assert whisper_file.SUFFIX == ".wsp"
