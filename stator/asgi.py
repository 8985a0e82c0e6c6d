"""ASGI applications in actors: ``on_request = AsgiApp(app)`` (python-api, section 4)."""

from stator.runtime.asgi import AsgiApp

__all__ = ["AsgiApp"]
