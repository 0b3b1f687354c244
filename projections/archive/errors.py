"""What can go wrong with an archive, in the words of our error tree."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from schemas.errors import DiskFull, StigmergyError, Unavailable

_NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class ArchiveDamaged(StigmergyError):
    """A file of the archive is missing, or is not what its commit says."""

    code = "archive_damaged"


class ArchiveUnavailable(Unavailable):
    """The place where the archive is kept does not answer, or does not let us in."""

    code = "archive_unavailable"


@contextmanager
def explained(what: str) -> Iterator[None]:
    """Turn what the system says into errors of ours; ``FileNotFoundError`` passes, for its meaning depends.

    Raises:
        DiskFull: no space, no quota, or a limit on the size of files.
        ArchiveUnavailable: anything else that a disk or an object store answers.
    """
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        said = error.strerror or str(error) or type(error).__name__
        if error.errno in _NO_SPACE:
            raise DiskFull(f"the archive cannot {what}: {said}", hint="free some space where the archive is") from error
        raise ArchiveUnavailable(
            f"the archive cannot {what}: {said}", hint="check STIGMERGY_ARCHIVE_URL and the rights on that place"
        ) from error
