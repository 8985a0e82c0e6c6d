"""The version of stator; ``pyproject.toml`` says the same, a house test compares them."""

VERSION = "0.1.0"

PRODUCT = "stator"
"""How a service names itself in ``/metadata``, where our own client looks for it."""
