"""Measures, and writes what was printed into docs/performance.md: `python -m bench [collect] [flush] …`, or everything.

The page's prose is written by hand; what stands between `<!-- collect -->` and `<!-- end -->` is what the last run of
`python -m bench.collect` printed, and nothing else.
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs/performance.md"
PARTS = (
    "collect",
    "drain",
    "lines",
    "flush",
    "ask",
    "small",
    "percentiles",
    "tags",
    "history",
    "ways",
    "grow",
    "start",
    "client",
    "middleware",
    "alerts",
    "dashboard",
)


def replaced(page: str, part: str, printed: str) -> str:
    """Return the page with what a part printed in its place.

    :raises ValueError: when the page has no such place.
    """
    begin, end = f"<!-- {part} -->\n", "<!-- end -->\n"
    before, found, rest = page.partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"the page has no place for {part!r}: {begin.strip()} and {end.strip()}")
    return f"{before}{begin}{printed.strip()}\n{end}{after}"


def measured(part: str) -> str:
    """Run one part, and return what it prints, under its command and the day."""
    command = [sys.executable, "-m", f"bench.{part}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        printed = []
        for line in process.stdout:
            print(line, end="", flush=True)
            printed.append(line)
    if process.returncode:
        raise SystemExit(f"bench.{part} ended with {process.returncode}; the page keeps its figures")
    return f"`python -m bench.{part}` on {time.strftime('%Y-%m-%d')}: {''.join(printed)}"


def main() -> None:
    """Run the parts that are named, or all."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure, and write docs/performance.md.")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"all by default: {', '.join(PARTS)}")
    chosen = parser.parse_args().parts or PARTS
    if unknown := set(chosen) - set(PARTS):
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    for part in chosen:
        PAGE.write_text(replaced(PAGE.read_text(), part, measured(part)))


if __name__ == "__main__":
    main()
