"""Approval: a workflow that waits for a person, and for how long it likes to."""

from .app import Approvals

__all__ = ["Approvals"]
