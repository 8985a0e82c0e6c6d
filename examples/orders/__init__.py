"""Orders: a checkout that reserves stock and charges a card, or does neither."""

from .app import Orders
from .inventory import Inventory
from .payments import Payments

__all__ = ["Inventory", "Orders", "Payments"]
