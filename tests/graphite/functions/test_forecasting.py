"""Holt-Winters and linear regression."""

import math
from pathlib import Path

import pytest

from tally.engine import Catalog
from tally.graphite.evaluation import evaluate
from tally.graphite.series import Series
from tally.graphite.source import Window
from tally.graphite.template import parse_target
from tests.graphite.made import START, catalog, source

WAVE = [10 + 5 * math.sin(index * math.pi / 6) for index in range(120)]
LATER = Window(START + 600, START + 1180, START + 1200)


@pytest.fixture
def made(tmp_path: Path) -> Catalog:
    """Return an archive with a line, a wave of two minutes, and a wave that jumps at its end."""
    values: dict[str, list[float | None]] = {
        "line": [float(index) for index in range(120)],
        "wave": [*WAVE],
        "jump": [*WAVE[:110], *[100.0] * 10],
        "one": [None] * 100 + [7.0],
    }
    return catalog(tmp_path, daily=values)


def found(made: Catalog, target: str) -> list[Series]:
    """Return the series of a target for the second half of the values."""
    return evaluate(parse_target(target), source(made), LATER)


def test_a_season_is_learned(made: Catalog) -> None:
    """The forecast of a wave comes closer to it with time, and begins with the range."""
    (forecast,) = found(made, "holtWintersForecast(daily.wave.sum,'10min','2min')")
    errors = [abs((value or 0) - WAVE[61 + index]) for index, value in enumerate(forecast.values)]
    assert (START + 610, 58) == (forecast.start, len(forecast.values))
    assert max(errors[-12:]) < max(errors[:12]) < 5


def test_bands_enclose_the_forecast(made: Catalog) -> None:
    """The lower band is below the forecast, the upper one above it by as much; the area has both."""
    (forecast,) = found(made, "holtWintersForecast(daily.wave.sum,'10min','2min')")
    lower, upper = found(made, "holtWintersConfidenceBands(daily.wave.sum,2,'10min','2min')")
    for low, value, high in zip(lower.values, forecast.values, upper.values, strict=True):
        assert (low or 0) <= (value or 0) <= (high or 0)
        assert math.isclose((value or 0) - (low or 0), (high or 0) - (value or 0))
    area = found(made, "holtWintersConfidenceArea(daily.wave.sum,2,'10min','2min')")
    assert [lower.values, upper.values] == [each.values for each in area]


def test_a_jump_is_an_aberration(made: Catalog) -> None:
    """A value far above the band stands out; the wave does not."""
    (aberration,) = found(made, "holtWintersAberration(daily.jump.sum,3,'10min','2min')")
    assert [0.0] * 20 == aberration.values[20:40]
    assert (aberration.values[49] or 0) > 50


@pytest.mark.parametrize("arguments", ["", ",'1699999999','1700000300'", ",1699999999", ",endSourceAt='1700000700'"])
def test_a_line_is_continued(arguments: str, made: Catalog) -> None:
    """The regression of a line is the line itself, whichever part it is learned from."""
    (line,) = found(made, f"linearRegression(daily.line.sum{arguments})")
    assert line.name.startswith("linearRegression(daily.line.sum, ")
    assert all(math.isclose(value or 0, 61 + index) for index, value in enumerate(line.values))
    assert not found(made, "linearRegression(daily.one.sum)")
