"""The payments: a bank in one actor, with the manners of a real one.

It may be asked twice for one payment, since who asks cannot know whether an answer got lost; the
idempotency key tells it that both are the same one.
"""

from __future__ import annotations

import msgspec

from stator import Actor, Options, UserError, action

OPENING_CENTS = 10_000


class Payment(msgspec.Struct):
    """Money that was taken from a card."""

    card: str
    cents: int
    is_refunded: bool = False


class Bank(msgspec.Struct):
    """Cards and payments."""

    balances: dict[str, int] = {}
    """Cents, by card; a card that nobody has seen has ``OPENING_CENTS``."""
    payments: dict[str, Payment] = {}
    """By idempotency key."""


class Payments(Actor, rename="camel"):
    """One bank."""

    options = Options(name="Payments", icon="credit-card")
    state: Bank

    @action
    def charge(self, idempotency_key: str, card: str, cents: int) -> str:
        """Take money from a card, once for each key; return the id of the payment."""
        if idempotency_key not in self.state.payments:
            balance = self.get_balance(card)
            if cents > balance:
                raise UserError("The card was declined", code="declined")
            self.state.balances[card] = balance - cents
            self.state.payments[idempotency_key] = Payment(card, cents)
        return idempotency_key

    @action
    def refund(self, payment: str) -> None:
        """Give the money back, once."""
        made = self.state.payments[payment]
        if not made.is_refunded:
            made.is_refunded = True
            self.state.balances[made.card] += made.cents

    @action
    def get_balance(self, card: str) -> int:
        """Return how many cents a card has."""
        return self.state.balances.get(card, OPENING_CENTS)
