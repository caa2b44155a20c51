"""What anybody may read of an error: an archive is told by its slug, and no path of the server is."""

import re
from pathlib import Path

from tally.engine.definition import SLUG


def public(text: str, directory: Path) -> str:
    """Return the text of an error without the path of the data directory, or of the files in it.

    The log and the command line tell the paths: whoever reads those has the files too.
    """
    for each in dict.fromkeys((directory.resolve(), directory)):
        prefix = str(each / "x")[:-1]
        text = re.sub(rf"(?<![\w./-]){re.escape(prefix)}({SLUG.pattern})\.db(?![\w.-])", r"\1", text)
        if prefix:
            text = text.replace(prefix, "")
            text = re.sub(rf"{re.escape(str(each))}(?![\w.-])", "the data directory", text)
    return text
