"""Fault points: off they do nothing, armed they do what a test says."""

import errno
import signal
import subprocess
import sys

import pytest

from stator.runtime import faults


def test_a_point_that_nobody_armed_is_passed() -> None:
    faults.point("commit.before_fsync")


def test_an_armed_point_does_what_it_was_told_until_it_is_disarmed() -> None:
    passed: list[str] = []
    faults.arm("one", lambda: passed.append("one"))
    try:
        faults.point("one")
        faults.point("other")
        faults.point("one")
    finally:
        faults.disarm("one")
    faults.point("one")
    faults.disarm("one")
    assert passed == ["one", "one"]


def test_a_disk_can_be_full_by_order_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(faults.ENVIRONMENT_VARIABLE, "a=full,,b=full")
    faults.arm_from_environment()
    try:
        for name in ("a", "b"):
            with pytest.raises(OSError, match="No space") as caught:
                faults.point(name)
            assert caught.value.errno == errno.ENOSPC
    finally:
        faults.disarm("a")
        faults.disarm("b")


def test_an_unknown_fault_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(faults.ENVIRONMENT_VARIABLE, "a=explode")
    with pytest.raises(KeyError, match="explode"):
        faults.arm_from_environment()


def test_a_process_can_be_killed_at_a_point() -> None:
    script = (
        "from stator.runtime import faults\n"
        "faults.arm_from_environment()\n"
        "faults.point('there')\nprint('passed', flush=True)\nfaults.point('here')\nprint('alive')"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={faults.ENVIRONMENT_VARIABLE: "here=kill"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (-signal.SIGKILL, "passed\n")
