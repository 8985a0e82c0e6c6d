"""The boot record travels through a memfd and takes no descriptor further than one child."""

import os
from collections.abc import Iterator

import msgspec
import pytest

from stator.runtime.boot import Boot, read_boot, write_boot
from stator.runtime.config import Config, Storage
from stator.runtime.control import Role


@pytest.fixture
def fds() -> Iterator[list[int]]:
    fds = [os.memfd_create(str(number), 0) for number in range(7)]
    yield fds
    for fd in fds:
        os.close(fd)


def _boot(fds: list[int]) -> Boot:
    return Boot(
        role=Role.WORKER,
        index=1,
        slot=2,
        generation=3,
        title="stator: worker 1 (shards 4-7)",
        config=Config(storage=Storage(shards=16)),
        shards=(4, 5, 6, 7),
        total_shards=4,
        workers=("/run/worker-0.sock", "/run/worker-1.sock"),
        data_directory="/data",
        run_directory="/data/run",
        control_fd=fds[0],
        lifeline_fd=fds[1],
        ready_fd=fds[2],
        stack_fd=fds[3],
        lock_fd=fds[4],
        listen_fds=(fds[5], fds[6]),
    )


def test_a_boot_record_is_read_as_it_was_written(fds: list[int]) -> None:
    assert read_boot(write_boot(_boot(fds))) == _boot(fds)


def test_reading_the_record_closes_its_descriptor(fds: list[int]) -> None:
    fd = write_boot(_boot(fds))
    read_boot(fd)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)


def test_the_children_of_a_child_inherit_none_of_its_descriptors(fds: list[int]) -> None:
    for fd in fds:
        os.set_inheritable(fd, True)
    boot = read_boot(write_boot(_boot(fds)))
    assert set(boot.inherited_fds) == set(fds)
    assert not any(os.get_inheritable(fd) for fd in fds)


def test_a_descriptor_that_was_not_lent_is_not_inherited(fds: list[int]) -> None:
    boot = msgspec.structs.replace(_boot(fds), control_fd=-1, lock_fd=-1, listen_fds=())
    assert boot.inherited_fds == (fds[1], fds[2], fds[3])


def test_a_record_of_another_version_is_refused(fds: list[int]) -> None:
    fd = write_boot(_boot(fds))
    data = os.pread(fd, 1 << 16, 0).replace(b'"generation"', b'"incarnation"')
    os.ftruncate(fd, 0)
    os.pwrite(fd, data, 0)
    with pytest.raises(msgspec.ValidationError):
        read_boot(fd)
