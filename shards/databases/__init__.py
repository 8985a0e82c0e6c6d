"""The databases of actors: one SQLite file each, SQL in threads (docs/reference/database.md)."""

from .cell_database import CellDatabase
from .worker_databases import Databases

__all__ = ["CellDatabase", "Databases"]
