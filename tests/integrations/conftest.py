"""Tests of a framework need the framework; where it is not installed they are not looked at."""

from importlib.util import find_spec

collect_ignore = [] if find_spec("django") else ["django"]
