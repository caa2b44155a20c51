"""Groups of names: `node:1` by a part between dots, `tag:env` by the value of a tag.

    name                             node:1     node:-1    node:0,1       tag:env    tag:name,env
    requests.get.index;env=prod      get        index      requests.get   prod       requests.get.index;prod
    requests                         (empty)    requests   requests.      (empty)    requests;

Parts are counted from 0, and from the end by negative numbers, before the tags. A part or tag that a name does not have
is empty, as for `tags`. So every name belongs to exactly one group, and two names to the same group only if all their
parts or values are equal: no part contains a dot, and no value a semicolon.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from tally.engine.asking.tags import find_value
from tally.errors import InvalidQuestion

PARTS_MAX = 20
_GROUP = re.compile(r"node:-?\d{1,3}(?:,-?\d{1,3})*|tag:[^,;!=\s]+(?:,[^,;!=\s]+)*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Group:
    """How names become groups: by `nodes`, or else by the values of `tags`."""

    nodes: tuple[int, ...] = ()
    tags: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return the text of the group."""
        return f"{'node' if self.nodes else 'tag'}:{','.join(map(str, self.nodes or self.tags))}"

    def label(self) -> Callable[[str], str]:
        """Return a function that returns the group of a name."""
        nodes, values = self.nodes, [find_value(key) for key in self.tags]

        def by_node(name: str) -> str:
            parts = name.partition(";")[0].split(".")
            return ".".join([parts[node] if -len(parts) <= node < len(parts) else "" for node in nodes])

        def by_tag(name: str) -> str:
            return ";".join([value(name) for value in values])

        return by_node if nodes else by_tag


def parse_group(text: str) -> Group:
    """Parse `node:1`, `node:0,-1`, `tag:env` or `tag:env,host`.

    :raises InvalidQuestion: when it is something else, or has more than PARTS_MAX parts.
    """
    kind, _, listed = text.partition(":")
    parts = listed.split(",")
    if not _GROUP.fullmatch(text) or len(parts) > PARTS_MAX:
        raise InvalidQuestion(
            f"group {text!r:.100} is not valid: use up to {PARTS_MAX} parts or tags, "
            "such as node:1, node:0,-1, tag:env or tag:env,host"
        )
    return Group(nodes=tuple(map(int, parts))) if kind == "node" else Group(tags=tuple(parts))
