"""What anybody may read of an error: an archive is told by its slug, and no path of the server is."""

import re
from pathlib import Path

from tally.engine.definition import SLUG

# What can stand before a path, and not within one or within a word.
_BEFORE = r"(?<![\w./-])"


def public(text: str, directory: Path) -> str:
    """Return the text of an error without the path of the data directory, or of the files in it.

    The log and the command line tell the paths: whoever reads those has the files too.
    """
    for each in dict.fromkeys((directory.resolve(), directory)):
        prefix = str(each / "x")[:-1]
        path, name = _BEFORE + re.escape(prefix), _BEFORE + re.escape(str(each))
        text = re.sub(rf"{path}({SLUG.pattern})\.db(?![\w.-])", r"\1", text)
        if prefix:
            text = re.sub(path, "", text)
            # A relative path may be a word such as `data`, which is the directory only at the head of an error.
            text = re.sub(name + (r"(?![\w.-])" if each.is_absolute() else "(?=:|$)"), "the data directory", text)
    return text
