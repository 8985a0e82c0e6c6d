"""The database of a tenant: its migrations, and its rows as types."""

from __future__ import annotations

from typing import Annotated

import msgspec

from stator.runtime.database import ActorDatabase

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=80)]
Cents = Annotated[int, msgspec.Meta(gt=0, le=100_000_000)]


class Customer(msgspec.Struct):
    """A customer, as a query returns it: one field for each column."""

    id: int
    name: str
    credit_cents: int
    """How much may be open at once."""
    open_cents: int


class Invoice(msgspec.Struct):
    """An invoice that was written."""

    id: int
    customer: int
    number: str
    cents: int
    is_paid: bool


async def number_invoices(db: ActorDatabase) -> None:
    """Give numbers to invoices from before they had any: a migration in Python."""
    await db.execute("ALTER TABLE invoices ADD COLUMN number TEXT NOT NULL DEFAULT ''")
    for row in await db.execute("SELECT id FROM invoices"):
        await db.execute("UPDATE invoices SET number = ? WHERE id = ?", number_of(row.id), row.id)


def number_of(invoice: int) -> str:
    """Return what is printed on an invoice."""
    return f"R-{invoice:05}"


MIGRATIONS = (
    """
    CREATE TABLE customers (
        id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, credit_cents INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE invoices (
        id INTEGER PRIMARY KEY,
        customer INTEGER NOT NULL REFERENCES customers,
        cents INTEGER NOT NULL CHECK (cents > 0),
        is_paid INTEGER NOT NULL DEFAULT 0
    ) STRICT;
    """,
    "CREATE INDEX open_invoices ON invoices (customer) WHERE NOT is_paid",
    number_invoices,
)
"""Run once each, in order. Only ever add to them: those above have run somewhere."""
