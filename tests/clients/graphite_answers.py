"""Answers of graphite-web's functions in one process: `python graphite_answers.py DIRECTORY START END < targets`.

Run by a Python that has graphite-web. The directory has `series.json`, as for `graphite_web.py`. Each line of the input
is a target as JSON; each line of the output is its series as pairs of name and points, or the text of an error.
"""

import json
import logging
import sys
from datetime import datetime
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any


def answer(target: str, start: int, end: int) -> Any:
    """Return the series of a target, or the text of an error."""
    evaluator, utc = import_module("graphite.render.evaluator"), import_module("pytz").utc
    context = {
        "startTime": datetime.fromtimestamp(start, utc),
        "endTime": datetime.fromtimestamp(end, utc),
        "now": datetime.fromtimestamp(end + 30, utc),
        "tzinfo": utc,
        "localOnly": True,
        "template": {},
        "data": [],
        "prefetched": {},
    }
    try:
        return [(series.name, series.datapoints()) for series in evaluator.evaluateTarget(context, target)]
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def main(root: Path, start: int, end: int) -> None:
    """Answer all targets."""
    web = import_module("graphite_web")
    web.store(root)
    web.set_up(root)
    import_module("django").setup()
    import_module("django.core.management").call_command("migrate", run_syncdb=True, verbosity=0)
    logging.disable(logging.CRITICAL)
    # Parsing takes most of the time, and is done twice for each target.
    grammar = import_module("graphite.render.grammar").grammar
    grammar.parseString = lru_cache(10)(grammar.parseString)
    for line in sys.stdin:
        sys.stdout.write(json.dumps(answer(json.loads(line), start, end)) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
