"""The inventory: what a warehouse has, and what of it is reserved or on its way."""

from __future__ import annotations

import msgspec

from stator import Actor, Options, UserError, action

OPENING_STOCK = {"tea": 10, "cake": 3}


class Reservation(msgspec.Struct):
    """Items that nobody else can have."""

    item: str
    count: int
    is_shipped: bool = False


class Warehouse(msgspec.Struct):
    """What is there. Every item is in stock or in a reservation."""

    stock: dict[str, int]
    reservations: dict[str, Reservation] = {}


class Inventory(Actor, rename="camel"):
    """One warehouse.

    Whoever calls chooses the id of a reservation, and calls again with it when no answer came:
    twice is once. So is taking back what was never reserved.
    """

    options = Options(name="Inventory", icon="boxes-stacked")
    state: Warehouse

    def create_state(self, input: object) -> Warehouse:  # noqa: A002 - hook signature
        """Open the warehouse."""
        return Warehouse(stock=dict(OPENING_STOCK))

    @action
    def reserve(self, reservation: str, item: str, count: int) -> None:
        """Put items aside."""
        if reservation in self.state.reservations:
            return
        left = self.state.stock.get(item, 0)
        if count > left:
            raise UserError(f"There is no more {item}", code="sold_out", metadata={"left": left})
        self.state.stock[item] = left - count
        self.state.reservations[reservation] = Reservation(item, count)

    @action
    def release(self, reservation: str) -> None:
        """Put what was reserved back on the shelf."""
        released = self.state.reservations.pop(reservation, None)
        if released is not None:
            self.state.stock[released.item] += released.count

    @action
    def ship(self, reservation: str, address: str) -> None:
        """Send what was reserved."""
        if "nowhere" in address:
            raise UserError(f"Nobody delivers to {address}", code="undeliverable")
        self.state.reservations[reservation].is_shipped = True

    @action
    def get_stock(self) -> dict[str, int]:
        """Return what can be ordered."""
        return self.state.stock
