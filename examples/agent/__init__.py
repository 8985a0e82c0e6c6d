"""An AI agent for each conversation: prompts in by a queue, words out as events."""

from .app import Agent

__all__ = ["Agent"]
