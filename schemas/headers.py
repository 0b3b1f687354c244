"""Headers of messages, of which those who write and those who read them must agree."""

from __future__ import annotations

ANSWER_TO = "Stigmergy-Answer-To"
"""With the inbox for the answer to a command. The reply subject is taken: JetStream acknowledges the command there."""

ENCODING = "Content-Encoding"
"""``zstd`` where the payload of a message is compressed."""

END, OK, ERROR = "Stig-End", "ok", "error"
"""Of the last message of an answer to a question, and what it says."""

SUBJECT, SEQUENCE, CODE, CONSUMER, REASON = (
    "Stigmergy-Subject",
    "Stigmergy-Sequence",
    "Stigmergy-Code",
    "Stigmergy-Consumer",
    "Stigmergy-Reason",
)
"""Of a dead letter: where it was, and why nobody could read it."""
