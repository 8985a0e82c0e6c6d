"""The Python client: the wire protocol over HTTP, so it also works against Rivet's own servers.

client          what applications use; ``sync`` is the same without ``await``
handle          an actor by key or id: calls, connections, raw requests and WebSockets
http_transport  a call or a message for a queue, up to its answer
connection      a connection as applications see it, ``session`` what happens behind it
fetches         raw requests; ``raw_socket`` is a raw WebSocket
directory       where the actors are; ``service_lookup`` asks the service for its address
addressing      how a URL names an actor; ``control_api`` creates and finds actors
retries         which errors are worth a second request; ``reconnection`` which a second socket
workflow_command  ``stator workflow``; ``workflow_lines`` is what it prints
"""

from stator.runtime.publication import QueueOutcome

from .client import Client
from .connection import Connection
from .fetches import FetchResponse
from .handle import Handle
from .listeners import EventStream
from .raw_socket import RawSocket

__all__ = [
    "Client",
    "Connection",
    "EventStream",
    "FetchResponse",
    "Handle",
    "QueueOutcome",
    "RawSocket",
]
