"""Where the databases of actors are on disk, and how their files are deleted; everything blocks.

A file is ``<data>/shard-0003-databases/<actor id>.sqlite``. Shards have fixed numbers, so the place
of a file does not depend on how many workers there are.

Both who opens shards (``store/database.py``) and who opens databases (``databases/``) need this.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from stator.runtime.ids import shard_of_actor_id

SUFFIX = ".sqlite"
_COMPANIONS = ("-wal", "-shm", "-journal")


def folder_of(directory: Path, shard_number: int) -> Path:
    """Return the folder of the databases of a shard's actors; it may not exist."""
    return directory / f"shard-{shard_number:04d}-databases"


def path_of(directory: Path, shard_number: int, actor_id: str) -> Path:
    """Return where the file of an actor is, or would be. Raises ``ValueError`` for a bad id."""
    if shard_of_actor_id(actor_id) is None:
        raise ValueError(f"{actor_id!r} is not an actor id")
    return folder_of(directory, shard_number) / f"{actor_id}{SUFFIX}"


def stored_ids(directory: Path, shard_number: int) -> list[str]:
    """Return the ids of a shard's actors that have a file; other files in the folder are not
    ours."""
    found = folder_of(directory, shard_number).glob(f"*{SUFFIX}")
    ids = (path.name.removesuffix(SUFFIX) for path in found)
    return sorted(each for each in ids if shard_of_actor_id(each) is not None)


def delete_file(path: Path) -> None:
    """Delete a file, if it is there, and what SQLite keeps beside it."""
    # The log first: it would be taken for that of another file.
    for suffix in _COMPANIONS:
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    path.unlink(missing_ok=True)


def delete_files(directory: Path, shard_number: int, actor_ids: Iterable[str]) -> None:
    """Delete the files of actors that are no more, as far as they have any."""
    folder = folder_of(directory, shard_number)
    if not folder.is_dir():
        return
    for actor_id in actor_ids:
        delete_file(folder / f"{actor_id}{SUFFIX}")
