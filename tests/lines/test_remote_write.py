"""The messages of Prometheus remote write."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tally.errors import InvalidSample
from tally.lines.plain import Reason
from tally.lines.remote_write import ITEMS_MAX, KINDS, Identity, identify, is_counter, parse_request
from tests.lines.messages import described, field, series

T = 1_700_000_000_123


def name_of(labels: dict[str, str] | bytes) -> Identity | Reason:
    """Return the identity of a series with these labels."""
    return identify(parse_request(series(labels, [])).series[0].labels)


def test_a_message_has_series_and_kinds() -> None:
    """Values and times are those of the message; unknown fields, exemplars and units are left out."""
    message = series({"__name__": "up", "job": "a"}, [(1, T), (0.5, -T)], histograms=2) + described("up", 2)
    found = parse_request(message + field(9, "new") + described("odd", 99))
    assert {"up": "gauge"} == found.kinds
    ((labels, samples, histograms),) = found.series
    assert ([(1.0, T), (0.5, -T)], 2) == (samples, histograms)
    assert Identity("up", "up;job=a") == identify(labels)


@pytest.mark.parametrize(
    ("labels", "name"),
    [
        ({"__name__": "a", "b": "x y", "a": "1;2"}, "a;a=1_2;b=x_y"),
        ({"__name__": "a", "b": ""}, "a"),
        ({"b": "1"}, Reason.NAME),
        ({}, Reason.NAME),
        ({"__name__": "a" * 255}, "a" * 255),
        ({"__name__": "a" * 256}, Reason.NAME),
        ({"__name__": "a", "b": "c" * 3000}, Reason.NAME),
        (field(1, field(1, "__name__") + field(2, b"\xff")), Reason.ENCODING),
    ],
)
def test_labels_are_tags(labels: dict[str, str] | bytes, name: str | Reason) -> None:
    """They are sorted and cleaned; empty ones are none. A series without a valid name has a reason."""
    found = name_of(labels)
    assert name == (found if isinstance(found, Reason) else found.name)


@pytest.mark.parametrize(
    ("name", "kinds", "counts"),
    [
        ("a_total", {}, True),
        ("a_bucket", {}, True),
        ("a_count", {}, True),
        ("a_sum", {}, True),
        ("a", {}, False),
        ("totals", {}, False),
        ("a", {"a": "counter"}, True),
        ("a_total", {"a": "counter"}, True),
        ("a_total", {"a_total": "gauge"}, False),
        ("a_count", {"a": "summary"}, True),
        ("a_count", {"a": "gaugehistogram"}, False),
        ("a_count", {"a_count": "gauge"}, False),
        ("a", {"a": "summary"}, False),
        ("a", {"a": "info"}, False),
    ],
)
def test_counters_are_known_by_their_kind_and_else_by_their_name(
    name: str, kinds: dict[str, str], counts: bool
) -> None:
    """A quantile of a summary is no counter, though its count and sum are."""
    assert counts == is_counter(name, kinds)
    assert set(kinds.values()) <= {*KINDS}


def test_a_message_has_a_bounded_number_of_items() -> None:
    """Series and samples count."""
    one = series({"__name__": "a"}, [(1, T)])
    assert ITEMS_MAX // 2 == len(parse_request(one * (ITEMS_MAX // 2)).series)
    with pytest.raises(InvalidSample, match=f"more than {ITEMS_MAX}"):
        parse_request(one * (ITEMS_MAX // 2 + 1))


WHOLE = series({"__name__": "a", "b": "c"}, [(1, T)], histograms=1) + described("a", 1)


@given(st.integers(0, len(WHOLE) - 1), st.binary(max_size=4))
def test_a_damaged_message_is_an_error_or_another_message(at: int, put: bytes) -> None:
    """Nothing but the one error is raised, here or when the labels are read."""
    with suppress(InvalidSample):
        for each in parse_request(WHOLE[:at] + put + WHOLE[at + len(put) :]).series:
            identify(each.labels)


def test_a_series_with_very_many_labels_is_rejected() -> None:
    """They are not kept, but its samples are counted."""
    encoded = b"".join(field(1, b"") for _ in range(100_000))
    [found] = parse_request(series(encoded, [(1, T)])).series
    assert ([(1.0, T)], Reason.NAME) == (found.samples, identify(found.labels))
    assert len(found.labels) < 10_000
