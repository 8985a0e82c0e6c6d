"""The Python client: the wire protocol over HTTP, so it also works against Rivet's own servers.

client          what applications use; ``sync`` is the same without ``await``
http_transport  a call from its arguments to its answer
endpoint        where the service is; ``service_lookup`` asks it where it wants to be reached
addressing      how a URL names an actor; ``control_api`` creates and finds actors
retries         which errors are worth a second request
"""

from .client import Client

__all__ = ["Client"]
