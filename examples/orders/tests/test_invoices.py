from datetime import date

from orders import Money
from orders.invoices import bill, next_number, reminders

DAY = date(2024, 3, 1)


def test_numbers_have_no_gaps():
    assert [next_number(1999) for _ in range(3)] == ["1999-0001", "1999-0002", "1999-0003"]


def test_each_year_starts_anew():
    next_number(2001)
    assert next_number(2002) == "2002-0001"


def test_bills_a_basket(catalog):
    invoice = bill(catalog, "Ada", {"TY-0001": 1, "BK-0001": 2}, DAY)
    assert [line.sku for line in invoice.lines] == ["BK-0001", "TY-0001"]
    assert invoice.amount() == Money(2 * 2400 + 3590)


def test_invoices_are_due_after_two_weeks(catalog):
    invoice = bill(catalog, "Ada", {"BK-0001": 1}, DAY)
    assert invoice.due == date(2024, 3, 15)
    assert not invoice.is_overdue(date(2024, 3, 15))
    assert invoice.is_overdue(date(2024, 3, 16))


def test_paid_invoices_are_never_overdue(catalog):
    invoice = bill(catalog, "Ada", {"BK-0001": 1}, DAY)
    invoice.paid = date(2024, 3, 20)
    assert not invoice.is_overdue(date(2025, 1, 1))


def test_reminders_add_up(catalog):
    invoices = [bill(catalog, name, {"FD-0001": 1}, DAY) for name in ("Ada", "Bo", "Ada")]
    assert reminders(invoices, date(2024, 4, 1)) == {"Ada": Money(1580), "Bo": Money(790)}
