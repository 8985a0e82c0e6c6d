"""The registry of all examples: what ``scripts/run`` serves."""

from agent import Agent
from approval import Approvals
from chat import ChatRoom
from counter import Counter
from crawler import Crawler
from cursors import CursorRoom
from jobs import Batch, Worker
from orders import Inventory, Orders, Payments
from rate_limiter import Api, SlidingWindow, TokenBucket
from reminders import Reminders
from tenants import Directory, Tenant

from stator import setup

registry = setup(
    use={
        "agent": Agent,
        "api": Api,
        "approvals": Approvals,
        "batch": Batch,
        "chat": ChatRoom,
        "counter": Counter,
        "crawler": Crawler,
        "cursors": CursorRoom,
        "directory": Directory,
        "inventory": Inventory,
        "orders": Orders,
        "payments": Payments,
        "reminders": Reminders,
        "slidingWindow": SlidingWindow,
        "tenant": Tenant,
        "tokenBucket": TokenBucket,
        "worker": Worker,
    }
)
