"""Reminders: once after a delay or at a time, and again and again by a cron expression."""

from .app import Reminders

__all__ = ["Reminders"]
