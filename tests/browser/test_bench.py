"""The measurement of the first chart runs from end to end, with sizes too small to say anything."""

import re
import subprocess
import sys

import pytest


@pytest.mark.usefixtures("browser")
def test_the_first_chart_is_measured() -> None:
    """Each view has a row, with the time of the page, that of a bare fetch, their ratio, and the time of a zoom."""
    command = [sys.executable, "-m", "bench.dashboard", "--names", "3", "--buckets", "50", "--runs", "1"]
    printed = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout
    number = r"([0-9.,]+)"
    rows = re.findall(rf"^\| ([^|]+) \| {number} \| {number} \| {number} \| {number} \|$", printed, re.MULTILINE)
    assert ["as it opens", "all that is kept", "the top 8 names"] == [name for name, *_ in rows]
    for _, *figures in rows:
        page_ms, bare_ms, ratio, zoom_ms = (float(figure.replace(",", "")) for figure in figures)
        assert page_ms / bare_ms == pytest.approx(ratio, rel=0.02)
        assert 0 < zoom_ms < page_ms * 10
