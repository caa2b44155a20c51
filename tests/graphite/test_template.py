"""Templates in targets."""

import pytest

from tally.errors import InvalidQuestion
from tally.graphite.target import parse
from tally.graphite.template import PATH_MAX, parse_target


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("template(web.$host.cpu, host='a')", "web.a.cpu"),
        ("template(web.$1.$2, 'a', 7)", "web.a.7"),
        ("template(web.$1.$host, 'a', host='b')", "web.a.b"),
        ("template(scale(web.$host, $by), host='a', by='2')", "scale(web.a, 2.0)"),
        ("template(scale(web.$host, $by), host='a', by=-2)", "scale(web.a, -2)"),
        ("template(alias(web.$host, $name), host='a', name='it')", "alias(web.a, 'it')"),
        ("template(web.$host.$hostname, host='a', hostname='b')", "web.a.b"),
        ("template(web.$other, host='a')", "web.$other"),
        ("web.$host", "web.$host"),
    ],
)
def test_templates_are_filled(text: str, filled: str) -> None:
    """Values stand in place of their names."""
    assert parse(filled) == parse_target(text)


def test_a_request_goes_first() -> None:
    """A value given beside the target replaces the one in it, and adds others."""
    found = parse_target("template(web.$host.$of, host='a')", {"host": "b", "of": "cpu"})
    assert parse("web.b.cpu") == found
    assert parse("web.$host") == parse_target("web.$host", {"host": "b"})


@pytest.mark.parametrize(
    "text",
    ["template()", "template('a')", "template(a.$1, b)", "template(a.$x, x=true)", "template($x, x='1')",
     f"template({'$1' * 2000}, '{'x' * (PATH_MAX // 2000)}y')"],
)  # fmt: skip
def test_malformed_templates(text: str) -> None:
    """A template is a target with texts and numbers, and of bounded length."""
    with pytest.raises(InvalidQuestion, match="template"):
        parse_target(text)
