"""The data directory: one owner, one manifest, and records that are whole or absent."""

import os
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from stator.runtime.exit_codes import ExitCode
from stator.supervisor.data_directory import (
    Manifest,
    ServiceRecord,
    create_directory,
    lock_directory,
    open_manifest,
    read_service_record,
    remove_service_record,
    shards_for,
    write_service_record,
)
from stator.supervisor.failure import ServiceFailure

NOBODY = 4194304
"""Above the greatest process id of Linux."""


@pytest.fixture
def no_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.usefixtures("no_umask")
def test_a_new_directory_is_closed_to_others(tmp_path: Path) -> None:
    create_directory(tmp_path / "a" / "data")
    assert stat.S_IMODE((tmp_path / "a" / "data").stat().st_mode) == 0o700


def test_an_existing_directory_is_left_as_it_is(tmp_path: Path) -> None:
    tmp_path.chmod(0o750)
    create_directory(tmp_path)
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o750


def test_a_file_in_the_place_of_the_directory_is_a_storage_failure(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    with pytest.raises(ServiceFailure, match="cannot create the data directory") as failed:
        create_directory(tmp_path / "data")
    assert failed.value.exit_code is ExitCode.STORAGE


def test_the_lock_names_its_holder(tmp_path: Path) -> None:
    fd = lock_directory(tmp_path, 0)
    assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"
    assert not os.get_inheritable(fd)
    os.close(fd)


def test_a_living_holder_is_refused_at_once(tmp_path: Path) -> None:
    fd = _locked_by(tmp_path, os.getppid())
    naps: list[float] = []
    with pytest.raises(ServiceFailure, match=f"{tmp_path} .* process {os.getppid()}$") as failed:
        lock_directory(tmp_path, 3600, sleep=naps.append)
    assert failed.value.exit_code is ExitCode.LOCKED
    assert naps == []
    os.close(fd)


def test_a_zombie_is_not_a_living_holder(tmp_path: Path) -> None:
    zombie = subprocess.Popen(["true"])
    os.waitid(os.P_PID, zombie.pid, os.WEXITED | os.WNOWAIT)
    left_behind = _locked_by(tmp_path, zombie.pid)
    os.close(lock_directory(tmp_path, 3600, sleep=lambda _seconds: os.close(left_behind)))
    zombie.wait()


def test_a_holder_with_our_own_number_lives_in_another_container(tmp_path: Path) -> None:
    elsewhere = _locked_by(tmp_path, os.getpid())
    os.close(lock_directory(tmp_path, 3600, sleep=lambda _seconds: os.close(elsewhere)))


def test_children_of_a_dead_holder_are_waited_for(tmp_path: Path) -> None:
    left_behind = _locked_by(tmp_path, NOBODY)
    fd = lock_directory(tmp_path, 3600, sleep=lambda _seconds: os.close(left_behind))
    assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"
    os.close(fd)


def test_children_of_a_dead_holder_are_not_waited_for_longer_than_allowed(tmp_path: Path) -> None:
    left_behind = _locked_by(tmp_path, NOBODY)
    with pytest.raises(ServiceFailure, match="children of the dead service 4194304"):
        lock_directory(tmp_path, 0)
    os.close(left_behind)


def test_a_holder_without_a_name_is_refused_in_the_end(tmp_path: Path) -> None:
    left_behind = lock_directory(tmp_path, 0)
    (tmp_path / "lock").write_text("")
    with pytest.raises(ServiceFailure, match=r"in use by another service$"):
        lock_directory(tmp_path, 0)
    os.close(left_behind)


def test_a_lock_nobody_holds_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text("1 and more text than a process id\n")
    os.close(lock_directory(tmp_path, 0))
    assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"


def test_the_manifest_is_written_once_and_read_ever_after(tmp_path: Path) -> None:
    created = open_manifest(tmp_path, 8, cores=2)
    assert (created.format, created.shards, len(created.id)) == (1, 8, 32)
    assert open_manifest(tmp_path, 8, cores=2) == created
    assert [file.name for file in tmp_path.iterdir()] == ["manifest.json"]


def test_automatic_shards_depend_on_the_cores_at_creation_only(tmp_path: Path) -> None:
    assert open_manifest(tmp_path, "auto", cores=8).shards == 8
    assert open_manifest(tmp_path, "auto", cores=64).shards == 8
    assert shards_for(1) == 2


def test_another_number_of_shards_is_an_error_of_the_configuration(tmp_path: Path) -> None:
    open_manifest(tmp_path, 8, cores=2)
    with pytest.raises(ServiceFailure, match=r"set storage\.shards = 8$") as failed:
        open_manifest(tmp_path, 16, cores=2)
    assert failed.value.exit_code is ExitCode.CONFIG


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "damaged"),
        (b'{"format":1,"shards":8', "damaged"),
        (b'{"format":1}', "damaged"),
        (
            msgspec.json.encode(Manifest(format=2, shards=8, created_at=0, id="")),
            "has format 2, this version of stator reads format 1",
        ),
    ],
)
def test_a_manifest_that_cannot_be_understood_is_kept(
    tmp_path: Path, content: bytes, problem: str
) -> None:
    (tmp_path / "manifest.json").write_bytes(content)
    with pytest.raises(ServiceFailure, match=problem) as failed:
        open_manifest(tmp_path, 8, cores=2)
    assert failed.value.exit_code is ExitCode.STORAGE
    assert (tmp_path / "manifest.json").read_bytes() == content


def test_a_manifest_half_written_by_a_crash_is_written_again(tmp_path: Path) -> None:
    (tmp_path / "manifest.new").write_text('{"form')
    assert open_manifest(tmp_path, 8, cores=2).shards == 8


def test_the_service_record_comes_and_goes(tmp_path: Path) -> None:
    record = ServiceRecord(
        pid=1, control_fd=2, complaint_fd=3, run_directory="r", endpoint="e", started_at=4
    )
    assert read_service_record(tmp_path) is None
    write_service_record(tmp_path, record)
    assert read_service_record(tmp_path) == record
    remove_service_record(tmp_path)
    remove_service_record(tmp_path)
    assert read_service_record(tmp_path) is None


def test_a_damaged_service_record_is_none(tmp_path: Path) -> None:
    (tmp_path / "service.json").write_text('{"pid":')
    assert read_service_record(tmp_path) is None


def _locked_by(path: Path, pid: int) -> int:
    """Return a descriptor that holds the lock in the name of another process."""
    fd = lock_directory(path, 0)
    (path / "lock").write_text(f"{pid}\n")
    return fd
