"""The run directory: short enough for sockets, always the same place, and nobody else's."""

import os
from pathlib import Path

import pytest

from stator.runtime.exit_codes import ExitCode
from stator.supervisor.failure import ServiceFailure
from stator.supervisor.run_directory import (
    SOCKET_PATH_BYTES,
    choose_run_directory,
    open_run_directory,
    worker_socket,
)


def test_sockets_are_in_the_data_directory_if_they_fit() -> None:
    assert choose_run_directory(Path("/srv/app/data"), {}) == Path("/srv/app/data/run")


@pytest.mark.parametrize("length", range(80, 110))
def test_a_socket_path_always_fits(length: int) -> None:
    data = Path("/" + "d" * length)
    run = choose_run_directory(data, {"XDG_RUNTIME_DIR": "/run/user/1000"})
    assert len(os.fsencode(worker_socket(run, 4095))) <= SOCKET_PATH_BYTES
    assert run in (data / "run", Path("/run/user/1000") / run.name)


def test_without_a_runtime_directory_of_the_user_there_is_tmp() -> None:
    data = Path("/" + "d" * 200)
    assert choose_run_directory(data, {}).parent == Path("/tmp")
    assert choose_run_directory(data, {"XDG_RUNTIME_DIR": "relative"}).parent == Path("/tmp")
    assert choose_run_directory(data, {"XDG_RUNTIME_DIR": "/" + "x" * 99}).parent == Path("/tmp")


def test_the_place_depends_on_the_data_directory_alone() -> None:
    one, other = Path("/" + "d" * 200), Path("/" + "e" * 200)
    assert choose_run_directory(one, {}) == choose_run_directory(one, {})
    assert choose_run_directory(one, {}) != choose_run_directory(other, {})


def test_a_new_run_directory_is_closed_to_others(tmp_path: Path) -> None:
    open_run_directory(tmp_path / "run")
    assert (tmp_path / "run").stat().st_mode & 0o777 == 0o700


def test_sockets_of_a_dead_service_are_removed_and_nothing_else(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir(mode=0o700)
    (run / "worker-0.sock").touch()
    (run / "notes.txt").touch()
    open_run_directory(run)
    assert [file.name for file in run.iterdir()] == ["notes.txt"]


def test_a_directory_open_to_others_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run").chmod(0o755)
    _refused(tmp_path / "run", r"open to other users \(mode 0755\)")


def test_a_link_prepared_by_somebody_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    (tmp_path / "run").symlink_to(tmp_path / "elsewhere")
    _refused(tmp_path / "run", "is not a directory")


def test_a_file_in_its_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run").touch(0o600)
    _refused(tmp_path / "run", "cannot use the run directory .*: File exists")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
def test_a_directory_of_another_user_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir(mode=0o700)
    os.chown(tmp_path / "run", 12345, -1)
    _refused(tmp_path / "run", "belongs to user 12345")


def _refused(path: Path, problem: str) -> None:
    with pytest.raises(ServiceFailure, match=problem) as failed:
        open_run_directory(path)
    assert failed.value.exit_code is ExitCode.STORAGE
