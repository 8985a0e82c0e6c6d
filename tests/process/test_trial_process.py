"""The process of a trial: what it says, with which code it ends, and that nothing holds it up."""

import os
import select
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest

from stator.runtime.boot import REPORT_BYTES, Boot
from stator.runtime.config import Application, Config, Workers
from stator.runtime.control import Role
from stator.runtime.exit_codes import ExitCode
from stator.supervisor.child_process import ChildProcess

pytestmark = pytest.mark.process

COMMAND = (sys.executable, "-m", "stator", "trial")
SOUND = """
from stator import Actor, setup
class Counter(Actor):
    state: int = 0
registry = setup(use={"counter": Counter})
"""
HANG = "import threading\nthreading.Event().wait()\n"


class Ending(NamedTuple):
    code: int
    report: bytes


class Trial:
    """A trial of the application ``app.py`` in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lifeline, self._supervisor_end = os.pipe()

    def start(self, text: str, start_timeout: float = 60.0) -> ChildProcess:
        """Start a trial of ``text``."""
        (self._folder / "app.py").write_text(text)
        boot = Boot(
            role=Role.WORKER,
            index=-1,
            slot=-1,
            generation=0,
            title="stator: trial",
            config=Config(
                application=Application("app:registry", str(self._folder)),
                workers=Workers(start_timeout=start_timeout),
            ),
            shards=(),
            total_shards=4,
            workers=(),
            data_directory="",
            run_directory="",
            control_fd=-1,
            lifeline_fd=self._lifeline,
            ready_fd=-1,
            stack_fd=-1,
            lock_fd=-1,
            listen_fds=(),
        )
        return ChildProcess(boot, COMMAND, os.environ)

    def run(self, text: str) -> Ending:
        """Try ``text`` and return how that ended."""
        with closing(self.start(text)) as process:
            return Ending(process.reap(), process.take_report())

    def end_supervisor(self) -> None:
        """Close what tells a child that its supervisor lives."""
        os.close(self._supervisor_end)
        self._supervisor_end = -1

    def close(self) -> None:
        """Close the lifeline."""
        for fd in (self._lifeline, self._supervisor_end):
            if fd >= 0:
                os.close(fd)


@pytest.fixture
def trial(tmp_path: Path) -> Iterator[Trial]:
    with closing(Trial(tmp_path)) as trial:
        yield trial


def test_a_sound_application_is_told_by_one_byte(trial: Trial) -> None:
    assert trial.run(SOUND) == (ExitCode.OK, b"\n")


def test_a_broken_one_is_told_with_its_problem(
    trial: Trial, capfd: pytest.CaptureFixture[str]
) -> None:
    code, report = trial.run("import nothing_of_this_name")
    assert code == ExitCode.APPLICATION
    assert report.startswith(b"cannot import the application's module 'app' from ")
    assert report.endswith(b"ModuleNotFoundError: No module named 'nothing_of_this_name'")
    assert "application unusable" in capfd.readouterr().out


def test_a_problem_without_end_is_cut(trial: Trial) -> None:
    code, report = trial.run("raise ValueError('x' * 1_000_000)")
    assert (code, len(report)) == (ExitCode.APPLICATION, REPORT_BYTES)


def test_the_configured_defaults_are_applied(trial: Trial) -> None:
    refuse = "from stator.runtime.registry import Registry\n" + (
        "from stator.runtime.declarations import DefinitionError\n"
        "class Strict(Registry):\n"
        "    def configure(self, configured):\n"
        "        raise DefinitionError('they do not fit')\n"
        "registry.__class__ = Strict\n"
    )
    code, report = trial.run(SOUND + refuse)
    assert (code, report) == (
        ExitCode.APPLICATION,
        b"the section [actors] does not fit: they do not fit",
    )


def test_a_thread_that_the_application_leaves_running_does_not_hold_it_up(trial: Trial) -> None:
    left = "import threading\nthreading.Thread(target=threading.Event().wait).start()\n"
    assert trial.run(SOUND + left) == (ExitCode.OK, b"\n")
    assert trial.run(left).code == ExitCode.APPLICATION


def test_it_writes_its_stacks_after_half_of_the_time_of_a_start(trial: Trial) -> None:
    with closing(trial.start(HANG, start_timeout=0.2)) as process:
        stacks = process.take_stacks()
        while "app.py" not in stacks:
            assert not select.select([process.pidfd], [], [], 0.01)[0]
            stacks += process.take_stacks()


def test_it_ends_with_its_supervisor(trial: Trial) -> None:
    with closing(trial.start(HANG)) as process:
        trial.end_supervisor()
        assert process.reap() == ExitCode.ORPHANED
