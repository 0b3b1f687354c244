"""A message that cannot be acknowledged does not take a place for ever: a pool of such places would stand still."""

from __future__ import annotations

from collections import OrderedDict
from types import SimpleNamespace
from typing import Any, cast

import pytest

from workers.transport import Channel, QoS


class Away(QoS):
    """A count of what is in hand, of which Redis hears nothing."""

    def _remove_from_indices(self, delivery_tag: Any, pipe: Any = None) -> Any:
        raise ConnectionError("Redis is away")


def test_what_cannot_be_acknowledged_is_let_go() -> None:
    qos = Away(cast("Any", SimpleNamespace(_cancelled=None, do_restore=False)), prefetch_count=1)
    qos._delivered = OrderedDict(tag=object())
    qos._delivered.restored = False
    assert not qos.can_consume()
    with pytest.raises(ConnectionError):
        qos.ack("tag")
    qos._flush()
    assert qos.can_consume()
    assert Channel.QoS is QoS
