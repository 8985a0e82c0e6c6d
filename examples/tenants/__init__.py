"""Tenants: each with a SQLite database of its own, and a directory of them."""

from .app import Directory, Tenant

__all__ = ["Directory", "Tenant"]
