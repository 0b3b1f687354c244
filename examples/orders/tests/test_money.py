import pytest

from orders.money import CurrencyMismatch, Money, parse, total


def test_adds_and_subtracts():
    assert Money(150) + Money(275) - Money(25) == Money(400)


def test_refuses_to_mix_currencies():
    with pytest.raises(CurrencyMismatch, match="USD is not EUR"):
        Money(1) + Money(1, "USD")


@pytest.mark.parametrize(("cents", "text"), [(0, "0.00 EUR"), (5, "0.05 EUR"), (123456, "1234.56 EUR"), (-250, "-2.50 EUR")])
def test_prints_two_digits(cents, text):
    assert str(Money(cents)) == text


@pytest.mark.parametrize("text", ["12.50", "12.5", "12.50 EUR", " 12.50 "])
def test_parses(text):
    assert parse(text) == Money(1250)


def test_parses_negative_amounts_and_currencies():
    assert parse("-0.75 CHF") == Money(-75, "CHF")
    assert parse("3", "CHF") == Money(300, "CHF")


def test_rounds_half_up():
    assert Money(5).times(0.5) == Money(3)
    assert Money(-5).times(0.5) == Money(-3)


def test_total_of_nothing_is_zero():
    assert total([]) == Money(0)
