"""The users of the NATS server and what each may say and hear, derived from ``schemas/ownership.py``.

``python -m stigmergy.deploy.nats_permissions`` prints ``infra/nats/authorization.conf``; a test compares the two.

NATS checks the subject of a message, never the subject it asks to be answered on. A role could have the server's own
answer land where the role itself may not write. Most answers are wrapped in JSON of the server's and no event can be
made of them, but a *direct get* answers with the bare bytes of a stored message: with it a worker could publish
anything under any subject. So nobody but the operator may use it, and nobody but the roles that make the streams may
create or change one (a stream can republish). See docs/operations.md, "Permissions".
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from events.blobs.jetstream import BUCKET
from events.leadership.jetstream import STREAM as LEADERS
from schemas.backlog import BACKLOG
from schemas.leaders import BUCKET as BUCKET_OF_LEADERS
from schemas.ownership import Role, nouns_of
from schemas.peers import ANSWERS, PEERS
from schemas.replicas import replicas_subject
from schemas.signals import ACKNOWLEDGED, HEARTBEATS, ORDERS, POOLS, REFLEX
from schemas.subjects import COMMANDS, DEAD_LETTERS, EVENTS, noun_filter

BLOBS = f"OBJ_{BUCKET}"
STREAMS = (EVENTS, COMMANDS, DEAD_LETTERS, BLOBS)
OPERATOR = "operator"
COMMAND_CONSUMER = "orchestrator"
_INBOX = "_INBOX.>"
QUESTIONS = "ask.>"


@dataclass(frozen=True, slots=True)
class Grant:
    """One user of the server. ``publish`` and ``subscribe``: subjects, wildcards allowed; all others are refused."""

    user: str
    publish: tuple[str, ...]
    subscribe: tuple[str, ...]

    @property
    def password_variable(self) -> str:
        """The environment variable of the server that holds the password."""
        return f"NATS_{self.user.upper()}_PASSWORD"


def grants() -> tuple[Grant, ...]:
    """The users of the roles, in the order of the file. The operator is not among them: it may do everything."""
    return (
        Grant(
            "orchestrator",
            (
                *_writes(Role.ORCHESTRATOR),
                *_reads(),
                *_makes_streams(),
                *_takes_commands(),
                replicas_subject("orchestrator"),
                *_leads("orchestrator"),
            ),
            (_INBOX, replicas_subject("orchestrator")),
        ),
        Grant(
            "task_queue",
            (
                *_writes(Role.TASK_QUEUE_MANAGER),
                *_reads(),
                *_makes_streams(),
                replicas_subject("task-queue"),
                *_leads("task-queue"),
                *(REFLEX, ORDERS, _INBOX),  # answers go to inboxes
            ),
            (_INBOX, HEARTBEATS, REFLEX, f"ask.*.{BACKLOG}", replicas_subject("task-queue")),
        ),
        _worker(),
        # Read models write nothing to the log; they answer questions. A standby asks the process that writes.
        Grant("projections", (*_reads(), _INBOX, "ask.*.world.>"), (_INBOX, QUESTIONS)),
        # It asks what waits, calls pools, and stands for its seat.
        Grant(
            "scaler",
            (*_writes(Role.SCALER), *_reads(), f"ask.*.{BACKLOG}", POOLS, *_leads("scaler")),
            (_INBOX, HEARTBEATS),
        ),
        # The archive is the one read model that may drop what it has kept; it asks the others how far they are.
        Grant(
            "archive",
            (
                *(*_reads(), _INBOX, "ask.*.*.status"),
                f"$JS.API.CONSUMER.LIST.{EVENTS}",
                f"$JS.API.STREAM.PURGE.{EVENTS}",
            ),
            (_INBOX, QUESTIONS),
        ),
        _client(),
    )


def _worker() -> Grant:
    """Workers serve all tenants, so no subject can say in whose name one may ask; a worker answers no other way than to
    the asker's own subject of the same tenant."""
    return Grant(
        "worker",
        (*_writes(Role.WORKER), *_reads(), HEARTBEATS, ACKNOWLEDGED, PEERS, ANSWERS),
        (_INBOX, REFLEX, POOLS, ORDERS, PEERS, ANSWERS),
    )


def _client() -> Grant:
    """A client can cancel any mission by a command, so stopping one at once gives it nothing more."""
    return Grant(
        "client",
        (
            *_writes(Role.CLIENT),
            *_reads(),
            *("commands.>", QUESTIONS, REFLEX, POOLS),
            *_consumes(DEAD_LETTERS),
            *_consumes(LEADERS),
        ),
        (_INBOX, HEARTBEATS, ACKNOWLEDGED),
    )


def _writes(role: Role) -> list[str]:
    return [noun_filter(noun) for noun in nouns_of(role)]


def _reads() -> list[str]:
    """Read the log, look streams up, bury what cannot be read, exchange blobs."""
    return [
        "$JS.API.INFO",
        "$JS.API.STREAM.NAMES",  # a blob's consumer looks its stream up by subject
        *(f"$JS.API.STREAM.INFO.{stream}" for stream in STREAMS),
        *_consumes(EVENTS),
        "dead.reader.*",
        "$O.BLOBS.>",
        f"$JS.API.STREAM.MSG.GET.{BLOBS}",
        f"$JS.API.CONSUMER.CREATE.{BLOBS}",  # nats-py gives the consumers of objects no name
        f"$JS.API.CONSUMER.DELETE.{BLOBS}.*",
        f"$JS.FC.{BLOBS}.>",
    ]


def _consumes(stream: str) -> list[str]:
    return [
        *(f"$JS.API.CONSUMER.{verb}.{stream}.*" for verb in ("CREATE", "INFO", "DELETE", "MSG.NEXT")),
        *_acknowledges(f"{stream}.>"),
    ]


def _acknowledges(tail: str) -> list[str]:
    """Servers put domain and account in front of the stream when told to: both forms."""
    return [f"$JS.ACK.{tail}", f"$JS.ACK.*.*.{tail}"]


def _takes_commands() -> list[str]:
    name = f"{COMMANDS}.{COMMAND_CONSUMER}"
    return [
        f"$JS.API.CONSUMER.CREATE.{name}",
        f"$JS.API.CONSUMER.MSG.NEXT.{name}",
        *_acknowledges(f"{name}.>"),
        "dead.commands.*",
        _INBOX,  # answers go to the inbox that a command names in a header, long after the message was stored
    ]


def _leads(group: str) -> list[str]:
    """Take part in a group of leaders, and see who leads others."""
    return [
        f"$KV.{BUCKET_OF_LEADERS}.{group}.>",
        f"$JS.API.STREAM.CREATE.{LEADERS}",
        f"$JS.API.STREAM.MSG.GET.{LEADERS}",
        *_consumes(LEADERS),
    ]


def _makes_streams() -> list[str]:
    return [f"$JS.API.STREAM.{verb}.{stream}" for verb in ("CREATE", "UPDATE") for stream in STREAMS]


def render() -> str:
    """The configuration block, in the language of ``nats-server``. Passwords are read from its environment."""
    users = "".join(_user(grant) for grant in grants())
    return f"""\
# Made from schemas/ownership.py: python -m stigmergy.deploy.nats_permissions > infra/nats/authorization.conf
# The values of the variables need double quotes of their own ("…"), or NATS takes a password like 12e5 for a number.
authorization {{
  timeout: 2
  users: [
    {{ user: {OPERATOR}, password: $NATS_{OPERATOR.upper()}_PASSWORD }}
{users}  ]
}}
"""


def _user(grant: Grant) -> str:
    return f"""\
    {{
      user: {grant.user}, password: ${grant.password_variable}
      permissions: {{
        publish: {{ allow: {_subjects(grant.publish)} }}
        subscribe: {{ allow: {_subjects(grant.subscribe)} }}
      }}
    }}
"""


def _subjects(subjects: Sequence[str]) -> str:
    lines = "".join(f"          {json.dumps(subject)}\n" for subject in subjects)
    return f"[\n{lines}        ]"


if __name__ == "__main__":
    sys.stdout.write(render())
