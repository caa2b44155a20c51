"""The tree of errors that tally raises for what users and files do wrong; bugs of tally's own are assertions.

TallyError
├── InvalidSample       a sample's name, value or timestamp       (also a ValueError)
├── InvalidSetting      a setting or option                       (also a ValueError)
├── InvalidDefinition   a property of an archive                  (also a ValueError)
├── InvalidQuestion     a parameter of a question                 (also a ValueError)
├── UnknownAggregate    not one of avg, min, max, sum, count      (also a LookupError)
├── UnknownArchive      no such file                              (also a LookupError)
├── ArchiveExists       the slug is taken
├── KeyReused           a delivery's key that came with other samples before
├── NotAnArchive        another application's file, or a newer tally's
│   └── ArchiveDamaged  an archive whose content is damaged
├── ArchiveUnavailable  a file that cannot be read or written now
│   └── SpillUnusable   spilled samples that do not fit the archive, or a file that is no spill file
├── QueryTimeout        a question that took longer than it may
├── AddressUnavailable  an address that cannot be listened on or sent to
├── WorkerDied          a collector process that ended unexpectedly
├── SamplesLost         samples that could be neither stored nor spilled at the end
└── OutOfMemory         a collector that ended as there was no memory left
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path


class TallyError(Exception):
    """The root of the tree; its text is one line for the user."""


class InvalidSample(TallyError, ValueError):
    """Raised when a sample breaks a rule of the wire format."""


class InvalidSetting(TallyError, ValueError):
    """Raised when a setting or a command's option has a value that it cannot have."""


class InvalidDefinition(TallyError, ValueError):
    """Raised when a property of an archive has a value that it cannot have."""


class InvalidQuestion(TallyError, ValueError):
    """Raised when a parameter is unknown, malformed or without meaning for its question."""


class UnknownAggregate(TallyError, LookupError):
    """Raised when an aggregate is asked for that is not kept."""


class UnknownArchive(TallyError, LookupError):
    """Raised when there is no archive of that slug or path."""


class ArchiveExists(TallyError):
    """Raised when an archive is created under a slug that is taken."""


class KeyReused(TallyError):
    """Raised when samples come under the key of a delivery that was another one."""


class NotAnArchive(TallyError):
    """Raised when a file is another application's or of a newer tally, or, as `ArchiveDamaged`, damaged."""


class ArchiveDamaged(NotAnArchive):
    """Raised when an archive's content is damaged: bytes or tables are not as they were written, or the file is cut."""

    def __init__(self, path: "Path", detail: str) -> None:
        super().__init__(path, detail)
        self.path = path
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.path}: is damaged: {self.detail}"


class ArchiveUnavailable(TallyError):
    """Raised when an archive cannot be read or written now: locked, read-only, the disk full, or the process forked."""


class SpillUnusable(ArchiveUnavailable):
    """Raised when spilled samples cannot be taken up as long as their file and the archive are what they are."""


class QueryTimeout(TallyError):
    """Raised when a question takes longer than its limit."""


class AddressUnavailable(TallyError):
    """Raised when an address cannot be listened on or sent to: unknown, in use, or not this machine's."""


class WorkerDied(TallyError):
    """Raised when one of several collector processes ended unexpectedly."""


class SamplesLost(TallyError):
    """Raised when a collector ends with samples that it could neither store nor spill."""


class OutOfMemory(TallyError):
    """Raised when a collector ended as there was no memory left, after it stored or spilled what it held."""
