"""The tenants of the examples: a database each, migrated, and a directory of them."""

from __future__ import annotations

import pytest

from examples.tenants import app
from examples.tenants.app import Directory, Tenant, Usage
from examples.tenants.schema import MIGRATIONS, Invoice
from stator import Actor, ActorError, Database, action, setup
from stator.client import Handle
from stator.testing import TestingClient, running

registry = app.registry


def tenant(client: TestingClient, name: str = "acme") -> Handle:
    return client.get_or_create(Tenant, [name])


async def usages(client: TestingClient) -> list[Usage]:
    return await client.get_or_create(Directory).call(Directory.get_usage)


async def test_a_new_tenant_has_its_first_customer() -> None:
    async with running(registry) as client:
        (first,) = await tenant(client).call(Tenant.get_customers)

    assert (first.id, first.name, first.open_cents) == (1, "Walk-in customers", 0)


async def test_a_wake_adds_no_second_first_customer() -> None:
    async with running(registry) as client:
        acme = tenant(client)
        await acme.call(Tenant.get_usage)
        await client.testing.sleep(acme)

        assert len(await acme.call(Tenant.get_customers)) == 1


async def test_an_invoice_is_written_and_paid() -> None:
    async with running(registry) as client:
        acme = tenant(client)
        ann = await acme.call(Tenant.add_customer, "Ann", 20_000)
        invoice = await acme.call(Tenant.write_invoice, ann, 15_000)
        owed = (await acme.call(Tenant.get_usage)).open_cents
        paid = [await acme.call(Tenant.pay_invoice, invoice.id) for _ in range(2)]

        assert invoice == Invoice(1, ann, "R-00001", 15_000, False)
        assert (owed, (await acme.call(Tenant.get_usage)).open_cents) == (15_000, 0)
        assert paid == [True, False]


@pytest.mark.parametrize(("customer", "code"), [(1, "no_credit"), (99, "no_customer")])
async def test_an_invoice_that_may_not_be_leaves_nothing(customer: int, code: str) -> None:
    async with running(registry) as client:
        acme = tenant(client)

        with pytest.raises(ActorError) as refused:
            await acme.call(Tenant.write_invoice, customer, 60_000)

        assert refused.value.code == code
        assert (await acme.call(Tenant.get_usage)).invoices == 0


async def test_tenants_see_nothing_of_one_another() -> None:
    async with running(registry) as client:
        await tenant(client, "acme").call(Tenant.add_customer, "Ann")
        others = await tenant(client, "umbrella").call(Tenant.get_customers)

    assert [each.name for each in others] == ["Walk-in customers"]


async def test_a_database_outlives_a_crash() -> None:
    async with running(registry) as client:
        await tenant(client).call(Tenant.add_customer, "Ann")
        await client.testing.crash()

        assert len(await tenant(client).call(Tenant.get_customers)) == 2


async def test_the_directory_knows_all_tenants_also_those_that_sleep() -> None:
    async with running(registry) as client:
        await tenant(client, "umbrella").call(Tenant.add_customer, "Ann")
        await tenant(client, "acme").call(Tenant.get_usage)
        await client.testing.sleep(tenant(client, "umbrella"))

        listed = await usages(client)

    schema = len(MIGRATIONS)
    assert listed == [Usage("acme", 1, 0, 0, schema), Usage("umbrella", 2, 0, 0, schema)]


async def test_a_closed_account_is_gone() -> None:
    async with running(registry) as client:
        await tenant(client).call(Tenant.add_customer, "Ann")
        await tenant(client).call(Tenant.close_account)
        await client.testing.settle()

        assert await usages(client) == []
        assert len(await tenant(client).call(Tenant.get_customers)) == 1


class OldTenant(Actor, rename="camel"):
    """The tenant of the release before invoices had numbers."""

    db = Database(migrations=MIGRATIONS[:2])

    @action
    async def write(self, cents: int) -> None:
        """Write an invoice to customer 1."""
        await self.db.execute("INSERT INTO customers VALUES (1, 'Bob', 1000)")
        await self.db.execute("INSERT INTO invoices (customer, cents) VALUES (1, ?)", cents)


async def test_a_new_release_gives_numbers_to_old_invoices() -> None:
    async with running(setup(use={"tenant": OldTenant})) as client:
        await client.get_or_create(OldTenant, ["acme"]).call(OldTenant.write, 500)
        await client.testing.reload(registry)

        usage = await tenant(client).call(Tenant.get_usage)
        await tenant(client).call(Tenant.add_customer, "Ann")
        invoice = await tenant(client).call(Tenant.write_invoice, 2, 100)

    assert (usage.invoices, usage.schema) == (1, 3)
    assert invoice.number == "R-00002"
