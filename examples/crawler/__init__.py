"""A crawler: many pages at the same time, each fetched once, as deep as one likes."""

from .app import Crawler

__all__ = ["Crawler"]
