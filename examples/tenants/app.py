"""Invoicing for many companies: each has an actor, and with it a database of its own.

No query can meet another tenant's rows, since they are in another file; a busy tenant does not
make the others slow; closing one account deletes one file.
"""

from __future__ import annotations

import asyncio

import msgspec

from stator import Actor, Database, Options, UserError, action, setup

from .schema import MIGRATIONS, Cents, Customer, Invoice, Name, number_of


class Usage(msgspec.Struct):
    """What a tenant has."""

    tenant: str
    customers: int
    invoices: int
    open_cents: int
    schema: int
    """How many migrations its database has seen."""


class Tenant(Actor, rename="camel"):
    """One company; its name is the key."""

    options = Options(name="Tenant", icon="building", sleep_timeout=10.0)
    db = Database(migrations=MIGRATIONS)

    async def on_migrate(self, is_new: bool) -> None:
        """Give a new tenant its first customer; after the migrations and atomic with them."""
        if is_new:
            await self.db.execute(
                "INSERT INTO customers (name, credit_cents) VALUES ('Walk-in customers', 50000)"
            )

    async def on_create(self, input: object) -> None:  # noqa: A002 - hook signature
        """Be known to the administrator."""
        await self.client.get_or_create(Directory).add(self.key[0])

    @action
    async def add_customer(self, name: Name, credit_cents: int = 100_000) -> int:
        """Add a customer and return the id."""
        (row,) = await self.db.execute(
            "INSERT INTO customers (name, credit_cents) VALUES (?, ?) "
            "ON CONFLICT (name) DO UPDATE SET credit_cents = excluded.credit_cents RETURNING id",
            name,
            credit_cents,
        )
        return int(row.id)

    @action
    async def get_customers(self) -> list[Customer]:
        """Return all customers by name, with what they owe."""
        rows = await self.db.execute(
            "SELECT id, name, credit_cents, (SELECT coalesce(sum(cents), 0) FROM invoices "
            "WHERE customer = customers.id AND NOT is_paid) AS open_cents "
            "FROM customers ORDER BY name"
        )
        return [msgspec.convert(dict(row), Customer) for row in rows]

    @action
    async def write_invoice(self, customer: int, cents: Cents) -> Invoice:
        """Write an invoice, unless the customer would owe too much."""
        async with self.db.transaction() as tx:  # nobody else comes between, and all or nothing
            found = await tx.execute(
                "SELECT credit_cents - (SELECT coalesce(sum(cents), 0) FROM invoices "
                "WHERE customer = :id AND NOT is_paid) AS free FROM customers WHERE id = :id",
                id=customer,
            )
            if not found:
                raise UserError("There is no such customer", code="no_customer")
            if (short := cents - found[0].free) > 0:
                raise UserError("Not enough credit", code="no_credit", metadata={"short": short})
            (row,) = await tx.execute(
                "INSERT INTO invoices (customer, cents) VALUES (?, ?) RETURNING id", customer, cents
            )
            number = number_of(row.id)
            await tx.execute("UPDATE invoices SET number = ? WHERE id = ?", number, row.id)
        return Invoice(row.id, customer, number, cents, is_paid=False)

    @action
    async def pay_invoice(self, invoice: int) -> bool:
        """Note that an invoice was paid; say whether it was open until now."""
        paid = await self.db.execute(
            "UPDATE invoices SET is_paid = 1 WHERE id = ? AND NOT is_paid RETURNING id", invoice
        )
        return bool(paid)

    @action
    async def get_usage(self) -> Usage:
        """Return the figures for the administrator."""
        (row,) = await self.db.execute(
            "SELECT (SELECT count(*) FROM customers) AS customers, count(*) AS invoices, "
            "coalesce(sum(cents) FILTER (WHERE NOT is_paid), 0) AS open_cents FROM invoices"
        )
        return Usage(self.key[0], **dict(row), schema=await self.db.version())

    @action
    async def close_account(self) -> None:
        """Delete this tenant and all its data, for good."""
        await self.client.get_or_create(Directory).remove(self.key[0])
        self.destroy()


class Directory(Actor, rename="camel"):
    """Which tenants there are: their databases are theirs, so somebody must know whom to ask."""

    options = Options(name="Tenant directory", icon="address-book")
    state = {"tenants": []}  # noqa: RUF012 - copied for each actor

    @action
    def add(self, tenant: str) -> None:
        """Note a tenant; twice is once, since creating one may be repeated."""
        if tenant not in self.state["tenants"]:
            self.state["tenants"].append(tenant)

    @action
    def remove(self, tenant: str) -> None:
        """Forget a tenant."""
        if tenant in self.state["tenants"]:
            self.state["tenants"].remove(tenant)

    @action
    async def get_usage(self) -> list[Usage]:
        """Ask all tenants at the same time; it wakes those that sleep, for a moment."""
        tenants = [self.client.get(Tenant, [name]) for name in sorted(self.state["tenants"])]
        return list(await asyncio.gather(*(each.call(Tenant.get_usage) for each in tenants)))


registry = setup(use={"tenant": Tenant, "directory": Directory})
