"""The version of stator; ``pyproject.toml`` says the same, a house test compares them."""

VERSION = "0.1.0"
