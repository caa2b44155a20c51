"""A process that commits to an archive, to be run beside others or killed.

    python -m tests.engine.writer PATH FIRST END STEP NAMES

Once a line comes on stdin it commits a sample of 0.5 for each of so many names, bucket by bucket, with a clock that
stands at the bucket; after each commit it writes the bucket to stdout.
"""

import sys

from tally.engine import Archive
from tally.engine.storing import expiry, sealing


def main(path: str, *numbers: str) -> None:
    """Commit until the end, with such small bounds that every commit seals a part of the names or expires something."""
    first, end, step, names = map(int, numbers)
    sealing.SEAL_ROWS, expiry.EXPIRE_ROWS = 2 * names, names // 2
    expiry.FEW_ROWS = 1
    sealing.SEAL_BUCKETS, sealing.STEP_ROWS, sealing.STEP_FACTOR = 4, 2 * names, 0
    archive = Archive(path)
    tell("ready")
    sys.stdin.readline()
    for bucket in range(first, end, step):
        archive.commit({bucket: {f"name{number}": (1, 0.5, 0.5, 0.5) for number in range(names)}}, now=bucket)
        tell(bucket)


def tell(what: object) -> None:
    """Write a line and flush it."""
    sys.stdout.write(f"{what}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
