import pytest

from orders.inventory import Inventory, OutOfStock


@pytest.fixture
def inventory() -> Inventory:
    return Inventory({"BK-0001": 10, "TY-0001": 3})


def test_kept_pieces_are_not_available(inventory):
    inventory.keep("BK-0001", 4, "order-1")
    assert inventory.available("BK-0001") == 6


def test_cannot_keep_more_than_there_is(inventory):
    with pytest.raises(OutOfStock):
        inventory.keep("TY-0001", 4, "order-1")


def test_cannot_keep_what_is_not_known(inventory):
    with pytest.raises(KeyError):
        inventory.keep("XX-9999", 1, "order-1")


def test_released_pieces_are_available_again(inventory):
    inventory.keep("BK-0001", 4, "order-1")
    assert inventory.release("order-1") == 4
    assert inventory.available("BK-0001") == 10


def test_releases_many_orders(inventory):
    inventory.keep("BK-0001", 4, "order-1")
    inventory.keep("BK-0001", 1, "order-2")
    assert inventory.release_all(["order-1", "order-2", "order-3"]) == 5


def test_shipping_takes_pieces_out_of_stock(inventory):
    inventory.keep("BK-0001", 2, "order-1")
    inventory.keep("TY-0001", 1, "order-1")
    assert inventory.ship("order-1") == {"BK-0001": 2, "TY-0001": 1}
    assert inventory.available("BK-0001") == 8


def test_receives(inventory):
    inventory.receive("FD-0001", 6)
    assert inventory.available("FD-0001") == 6
    with pytest.raises(ValueError, match="received 0 pieces"):
        inventory.receive("FD-0001", 0)


def test_tells_what_runs_low(inventory):
    assert inventory.running_low() == ["TY-0001"]
    assert inventory.running_low(limit=11) == ["BK-0001", "TY-0001"]
