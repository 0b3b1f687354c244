"""Every error Stigmergy raises, in one tree.

::

    StigmergyError
    ├── InvalidInput                 the caller's fault: mend the input and try again
    │   ├── InvalidIdentifier        a name that cannot be a subject token
    │   ├── InvalidEvent             an event that does not fit its schema
    │   │   ├── UnknownType          a type this release has never heard of
    │   │   └── NewerVersion         a version written by a later release
    │   ├── InvalidCommand           a command that does not fit its schema
    │   ├── InvalidWorkflow          a template that is no task graph
    │   │   └── ReferenceMissing     ${…} to something that is not there (orchestrator.core.references)
    │   └── InvalidSource            a repository that cannot be worked on
    ├── Refused                      a well-formed wish that may not be granted now
    │   └── Busy                     too much waits already: later it may be granted
    ├── Conflict                     another writer was first: read again, decide again
    ├── Unavailable                  a server or tool that is not there: start it, or wait
    │   ├── LogUnavailable
    │   └── ToolMissing
    ├── LimitExceeded                time, memory, disk or size ran out
    │   ├── PayloadTooLarge
    │   ├── DiskFull
    │   └── TimedOut
    ├── AttemptFailed                an agent could not do its task
    │   ├── Retryable                another attempt may well succeed
    │   ├── PeerTrouble              another agent was asked, and no answer came of it
    │   │   ├── PeerBusy             all who could answer had their hands full until the deadline
    │   │   ├── PeerUnavailable      nobody answers that
    │   │   └── PeerFailed           the agent that answered failed at it
    │   └── Permanent                no attempt can succeed
    │       └── Forbidden            a safety constraint of the mission forbids it
    └── Cancelled                    somebody asked for the work to stop
        └── Stopped                  the reflex: the same work may go on once the stop is lifted
            └── NotBegun             given to a worker that did not begin: the next attempt is made at once

The class of an error chooses the next step: ``retryable`` says whether trying the same thing again may help, and
``hint`` says to a person what would mend it.
"""

from __future__ import annotations

from typing import ClassVar


class StigmergyError(Exception):
    """The root of all errors raised on purpose.

    Args:
        message: what went wrong, naming the thing at fault.
        hint: what would mend it, as an instruction to a person; may be empty.
    """

    code: ClassVar[str] = "error"
    retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __reduce__(self) -> tuple[object, ...]:
        # Errors cross process borders by pickle in worker pools; keyword-only arguments need their own way through.
        return (_rebuild, (type(self), self.message, self.hint))


def _rebuild(kind: type[StigmergyError], message: str, hint: str) -> StigmergyError:
    return kind(message, hint=hint)


class InvalidInput(StigmergyError):
    """The caller's fault: mend the input and try again."""

    code = "invalid_input"


class InvalidIdentifier(InvalidInput):
    """A name that cannot be a token of a subject: empty, too long, or with a dot, a space, ``*`` or ``>`` in it."""

    code = "invalid_identifier"


class InvalidEvent(InvalidInput):
    """Bytes that are no event of ours, or an event whose data does not fit its schema."""

    code = "invalid_event"


class UnknownType(InvalidEvent):
    """A type this release has never heard of."""

    code = "unknown_type"


class NewerVersion(InvalidEvent):
    """A version of a known type that a later release wrote."""

    code = "newer_version"


class InvalidCommand(InvalidInput):
    """A command that does not fit its schema."""

    code = "invalid_command"


class InvalidWorkflow(InvalidInput):
    """A template that is no task graph: a cycle, an unknown reference, a missing field."""

    code = "invalid_workflow"


class InvalidSource(InvalidInput):
    """A repository that is not there, cannot be fetched, or is not what the workflow works on."""

    code = "invalid_source"


class Refused(StigmergyError):
    """A well-formed command that may not be carried out in the present state."""

    code = "refused"


class Busy(Refused):
    """Too much waits already. The same wish may be granted once some of it is done."""

    code = "busy"
    retryable = True


class Conflict(StigmergyError):
    """Another writer was first. Nothing was written: read again and decide again."""

    code = "conflict"
    retryable = True


class Unavailable(StigmergyError):
    """A server or a tool that is not there."""

    code = "unavailable"
    retryable = True


class LogUnavailable(Unavailable):
    """The event log did not answer in time."""

    code = "log_unavailable"


class ToolMissing(Unavailable):
    """A program that this machine lacks."""

    code = "tool_missing"
    retryable = False


class LimitExceeded(StigmergyError):
    """Time, memory, disk or size ran out."""

    code = "limit_exceeded"


class PayloadTooLarge(LimitExceeded):
    """A payload over the size that the log and its blob store accept."""

    code = "payload_too_large"


class DiskFull(LimitExceeded):
    """No space is left where data has to be written."""

    code = "disk_full"
    retryable = True


class Overdrawn(LimitExceeded):
    """An attempt used more memory or processor time than its task allows; it was stopped."""

    retryable = True


class TimedOut(LimitExceeded):
    """Something did not end before its deadline."""

    code = "timed_out"
    retryable = True


class AttemptFailed(StigmergyError):
    """An agent could not do its task."""

    code = "attempt_failed"


class Retryable(AttemptFailed):
    """The attempt failed for a passing reason: another attempt may well succeed."""

    code = "retryable"
    retryable = True


class PeerTrouble(AttemptFailed):
    """Another agent was asked, and no answer came of it. Left to pass, it makes the attempt fail and be tried again."""

    code = "peer_trouble"
    retryable = True


class PeerBusy(PeerTrouble):
    """All who could answer had their hands full, or whoever had begun to did not end, until the deadline."""

    code = "peer_busy"


class PeerUnavailable(PeerTrouble):
    """No other worker answers that."""

    code = "peer_unavailable"


class PeerFailed(PeerTrouble):
    """Whoever was asked failed at it, or refused."""

    code = "peer_failed"


class Permanent(AttemptFailed):
    """No further attempt can succeed: the input or the intent is at fault."""

    code = "permanent"


class Forbidden(Permanent):
    """A safety constraint of the mission forbids what was about to be done. It was not done."""

    code = "forbidden"


class Cancelled(StigmergyError):
    """Somebody asked for the work to stop."""

    code = "cancelled"


class Stopped(Cancelled):
    """An emergency stop ended the attempt. It is not counted; the task goes on once the stop is lifted."""

    code = "stopped"
    retryable = True


class NotBegun(Stopped):
    """A worker was given the attempt and did not begin it. It is not counted."""

    code = "not_begun"


UNCOUNTED = frozenset({Stopped.code, NotBegun.code})
"""Codes of failures that say nothing about the task: the next attempt is made as if this one had not been."""
