"""The errors that tally raises for mistakes of users and for unusable files. Bugs in tally are assertions.

TallyError
├── InvalidSample       a sample's name, value or timestamp       (also a ValueError)
├── InvalidSetting      a setting or option                       (also a ValueError)
├── InvalidDefinition   a property of an archive                  (also a ValueError)
├── InvalidQuestion     a parameter of a query                    (also a ValueError)
├── InvalidEvent        a field of an event                       (also a ValueError)
├── InvalidAlerts       a rule in alerts.toml                     (also a ValueError)
├── UnknownAggregate    not one of avg, min, max, sum, count      (also a LookupError)
├── UnknownArchive      no such file                              (also a LookupError)
├── ArchiveExists       the slug is taken
├── MergeRefused        a file of which cannot be told what it adds
├── KeyReused           an idempotency key that was used for other samples
├── NotAnArchive        another application's file, or a newer tally's
│   └── ArchiveDamaged  an archive whose content is damaged
├── ArchiveUnavailable  a file that cannot be read or written now
│   └── SpillUnusable   spilled samples that do not fit the archive, or an invalid spill file
├── QueryTimeout        a query that took too long
├── ClusterUnavailable  a cluster that cannot be reached or used now
├── ClusterRefused      a source that must not replicate into the cluster
├── PackageMissing      a package that an extra of tally installs
├── DeliveryFailed      a message that a receiver of alerts has not taken
├── AddressUnavailable  an address that cannot be used
├── WorkerDied          a collector process that ended unexpectedly
├── SamplesLost         samples that could be neither stored nor spilled at the end
└── OutOfMemory         a collector that ran out of memory
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path


class TallyError(Exception):
    """The base class; its text is one line for the user."""


class InvalidSample(TallyError, ValueError):
    """Raised when a sample breaks a rule of the wire format."""


class InvalidSetting(TallyError, ValueError):
    """Raised when the value of a setting or option is not valid."""


class InvalidDefinition(TallyError, ValueError):
    """Raised when a property of an archive is not valid."""


class InvalidQuestion(TallyError, ValueError):
    """Raised when a parameter is unknown or malformed, or does not apply to the query."""


class InvalidEvent(TallyError, ValueError):
    """Raised when a field of an event is unknown or not valid."""


class InvalidAlerts(TallyError, ValueError):
    """Raised when the file of alerts cannot be read, or a rule in it is not valid."""


class UnknownAggregate(TallyError, LookupError):
    """Raised when a query has an unknown aggregate."""


class UnknownArchive(TallyError, LookupError):
    """Raised when no archive has that slug or path."""


class ArchiveExists(TallyError):
    """Raised when a new archive has a slug that is taken."""


class MergeRefused(TallyError):
    """Raised when an archive cannot be merged, such as when it is unknown which of its samples were merged before."""


class KeyReused(TallyError):
    """Raised when an idempotency key was used for other samples before."""


class NotAnArchive(TallyError):
    """Raised when a file belongs to another application or a newer tally, or, as `ArchiveDamaged`, is damaged."""


class ArchiveDamaged(NotAnArchive):
    """Raised when the content of an archive is not as it was written."""

    def __init__(self, path: "Path", detail: str) -> None:
        super().__init__(path, detail)
        self.path = path
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.path}: is damaged: {self.detail}"


class ArchiveUnavailable(TallyError):
    """Raised when an archive cannot be read or written now, such as while it is locked or the disk is full."""


class SpillUnusable(ArchiveUnavailable):
    """Raised when spilled samples do not fit the archive, or the file is not a spill file."""


class QueryTimeout(TallyError):
    """Raised when a query takes longer than its limit."""


class ClusterUnavailable(TallyError):
    """Raised when the cluster cannot be reached, or does not answer as it should."""


class ClusterRefused(TallyError):
    """Raised when a data directory must not be replicated: its name is taken, or it is a copy of another one."""


class PackageMissing(TallyError):
    """Raised when something needs a package that is not installed; the text names the extra that installs it."""


class DeliveryFailed(TallyError):
    """Raised when a receiver of alerts has not taken a message, or may not have."""


class AddressUnavailable(TallyError):
    """Raised when an address is unknown or in use, or does not belong to this machine."""


class WorkerDied(TallyError):
    """Raised when one of several collector processes ended unexpectedly."""


class SamplesLost(TallyError):
    """Raised when a collector could neither store nor spill all samples at its end."""


class OutOfMemory(TallyError):
    """Raised when a collector ran out of memory, after it stored or spilled its samples."""
