"""The users of the NATS server and what each may say and hear, derived from ``schemas/ownership.py``.

``python -m stigmergy.deploy.nats_permissions`` prints ``infra/nats/authorization.conf``; a test compares the two.

NATS checks the subject of a message, never the subject it asks to be answered on. A role could have the server's own
answer land where the role itself may not write. Most answers are wrapped in JSON of the server's and no event can be
made of them, but a *direct get* answers with the bare bytes of a stored message: with it a worker could publish
anything under any subject. So nobody but the operator may use it, and nobody but the roles that make the streams may
create or change one (a stream can republish). See docs/operations.md, "Permissions".
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from events.blobs.jetstream import STREAM as BLOBS
from events.leadership.jetstream import STREAM as LEADERS
from schemas.backlog import BACKLOG
from schemas.errors import InvalidInput, StigmergyError
from schemas.ids import token
from schemas.leaders import BUCKET as BUCKET_OF_LEADERS
from schemas.ownership import Role, nouns_of
from schemas.peers import ANSWERS, PEERS
from schemas.replicas import replicas_subject
from schemas.signals import ACKNOWLEDGED, HEARTBEATS, ORDERS, POOLS, REFLEX, pool_subject
from schemas.subjects import COMMANDS, DEAD_LETTERS, EVENTS, noun_filter

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
        return f"NATS_{re.sub(r'[^A-Z0-9]', '_', self.user.upper())}_PASSWORD"


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
        # The archive is the one read model that may drop what it has kept; it asks the others how far they are, and
        # looks whether commands and dead letters name blobs.
        Grant(
            "archive",
            (
                *(*_reads(), _INBOX, "ask.*.*.status"),
                f"$JS.API.CONSUMER.LIST.{EVENTS}",
                *(f"$JS.API.STREAM.PURGE.{stream}" for stream in (EVENTS, BLOBS)),
                *(f"$JS.API.STREAM.MSG.GET.{stream}" for stream in (COMMANDS, DEAD_LETTERS)),
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


def tenant_grant(tenant: str, *, blobs: bool = False) -> Grant:
    """The user ``client_<tenant>``: a client that sees and does nothing but what is of one tenant.

    It reads the log by consumers whose one filter is a subject of the tenant, for the server compares that with the
    subject of the request. Its inboxes are its own: who hears another's inbox reads what is delivered there.

    Args:
        blobs: whether it may use the blob store, where nothing belongs to a tenant: it could read all of it.

    Raises:
        InvalidIdentifier: the tenant cannot be one.
    """
    user = f"client_{token(tenant, 'tenant')}"
    return Grant(
        user,
        (
            *(noun_filter(noun, tenant=tenant) for noun in nouns_of(Role.CLIENT)),
            f"commands.{tenant}.>",
            *(f"ask.{tenant}.{service}" for service in (BACKLOG, "world.query", "analytics.query", "*.status")),
            f"reflex.{tenant}.*",
            pool_subject(tenant),
            "$JS.API.INFO",
            "$JS.API.STREAM.NAMES",
            *(f"$JS.API.STREAM.INFO.{stream}" for stream in STREAMS),
            f"$JS.API.CONSUMER.CREATE.{EVENTS}.*.events.{tenant}.>",
            # By its name, which is random: no consumer of ours on this stream has one that could be guessed.
            *(f"$JS.API.CONSUMER.{verb}.{EVENTS}.*" for verb in ("DELETE", "MSG.NEXT")),
            *(_exchanges_blobs() if blobs else ()),
        ),
        (f"_INBOX.{user}.>",),
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
        *_exchanges_blobs(),
    ]


def _exchanges_blobs() -> list[str]:
    return [
        "$O.BLOBS.>",
        f"$JS.API.STREAM.MSG.GET.{BLOBS}",
        f"$JS.API.CONSUMER.CREATE.{BLOBS}",  # nats-py gives the consumers of objects no name
        f"$JS.API.CONSUMER.DELETE.{BLOBS}.*",
        f"$JS.FC.{BLOBS}.>",
    ]


def _consumes(stream: str) -> list[str]:
    return [
        f"$JS.API.CONSUMER.CREATE.{stream}.>",  # with the one filter of a consumer behind its name, if it has one
        *(f"$JS.API.CONSUMER.{verb}.{stream}.*" for verb in ("INFO", "DELETE", "MSG.NEXT")),
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


def render(tenants: Sequence[str] = (), *, blobs: bool = False) -> str:
    """The configuration block, in the language of ``nats-server``. Passwords are read from its environment.

    Args:
        tenants: those whose clients have users of their own.
        blobs: whether these may use the blob store.

    Raises:
        InvalidIdentifier: one of them cannot be a tenant.
        InvalidInput: two of them would have the same variable for their password.
    """
    every = (*grants(), *(tenant_grant(tenant, blobs=blobs) for tenant in dict.fromkeys(tenants)))
    variables: dict[str, str] = {}
    for grant in every:
        variable = grant.password_variable
        if (other := variables.setdefault(variable, grant.user)) != grant.user:
            raise InvalidInput(f"{other} and {grant.user} would share {variable}", hint="rename a tenant")
    users = "".join(_user(grant) for grant in every)
    arguments = "".join(f" --tenant {tenant}" for tenant in dict.fromkeys(tenants)) + (" --blobs" if blobs else "")
    return f"""\
# Made from schemas/ownership.py: python -m stigmergy.deploy.nats_permissions{arguments} > infra/nats/authorization.conf
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
      user: {json.dumps(grant.user) if ":" in grant.user else grant.user}, password: ${grant.password_variable}
      permissions: {{
        publish: {{ allow: {_subjects(grant.publish)} }}
        subscribe: {{ allow: {_subjects(grant.subscribe)} }}
      }}
    }}
"""


def _subjects(subjects: Sequence[str]) -> str:
    lines = "".join(f"          {json.dumps(subject)}\n" for subject in subjects)
    return f"[\n{lines}        ]"


def main(arguments: Sequence[str]) -> int:
    """Print it; exit code 2 and a reason for tenants that cannot be."""
    parser = argparse.ArgumentParser(description="The users of the NATS server, and what each may say and hear.")
    parser.add_argument("--tenant", action="append", default=[], help="a tenant with a user of its own; repeat")
    parser.add_argument("--blobs", action="store_true", help="these may use the blob store, which tenants share")
    wish = parser.parse_args(arguments)
    try:
        sys.stdout.write(render(wish.tenant, blobs=wish.blobs))
    except StigmergyError as error:
        sys.stderr.write(f"{error.message}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
