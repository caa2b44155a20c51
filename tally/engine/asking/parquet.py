"""Writes the rows of an answer as Parquet, in row groups, with the package pyarrow.

    time: timestamp[s, UTC]   name: dictionary of strings   count, sum, avg, min, max: double

A question for one aggregate has that column alone, and one by time or by name only that key. A row group is written as
soon as it has ROWS rows, so memory does not depend on the length of the answer.
"""

from collections.abc import Iterable, Iterator, Sequence
from importlib import import_module
from itertools import islice
from typing import Any

from tally.errors import InvalidQuestion, PackageMissing

MEDIA_TYPE = "application/vnd.apache.parquet"
ROWS = 65_536
COMPRESSION = "zstd"


class _Sink:
    """A file whose content can be taken while it is written."""

    closed = False

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, data: Any) -> int:
        """Keep the data until `take`."""
        self._parts.append(bytes(data))
        return len(self._parts[-1])

    def flush(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing: the last part is taken after the writer is closed."""

    def take(self) -> bytes:
        """Return what was written since the last call."""
        taken = b"".join(self._parts)
        self._parts = []
        return taken


class ParquetWriter:
    """Writes rows with these columns, which are `time`, `name` and aggregates.

    :raises PackageMissing: when the package pyarrow is not installed.
    """

    def __init__(self, columns: Sequence[str]) -> None:
        try:
            self._arrow = import_module("pyarrow")
            self._parquet = import_module("pyarrow.parquet")
        except ImportError:
            raise PackageMissing("Parquet is written by the package pyarrow: pip install 'tally[parquet]'") from None
        types = {
            "time": self._arrow.timestamp("s", tz="UTC"),
            "name": self._arrow.dictionary(self._arrow.int32(), self._arrow.string()),
        }
        self._schema = self._arrow.schema([(column, types.get(column, self._arrow.float64())) for column in columns])

    def chunks(self, rows: Iterable[Sequence[Any]]) -> Iterator[bytes]:
        """Yield the file of these rows in chunks.

        :raises InvalidQuestion: when a time is beyond the range of Parquet's timestamps.
        """
        rows = iter(rows)
        sink = _Sink()
        options = {"compression": COMPRESSION, "write_statistics": True}
        writer = self._parquet.ParquetWriter(self._arrow.PythonFile(sink, mode="w"), self._schema, **options)
        while group := list(islice(rows, ROWS)):
            try:
                writer.write_table(self._table(group))
            except self._arrow.ArrowInvalid as error:
                raise InvalidQuestion(f"format 'parquet' cannot hold these rows: {error}") from None
            if chunk := sink.take():
                yield chunk
        writer.close()
        yield sink.take()

    def _table(self, rows: list[Sequence[Any]]) -> Any:
        columns = zip(*rows, strict=True)
        arrays = [self._array(field, values) for field, values in zip(self._schema, columns, strict=True)]
        return self._arrow.Table.from_arrays(arrays, schema=self._schema)

    def _array(self, field: Any, values: Sequence[Any]) -> Any:
        if field.name == "name":
            return self._arrow.array(values, self._arrow.string()).dictionary_encode()
        return self._arrow.array(values, field.type)
