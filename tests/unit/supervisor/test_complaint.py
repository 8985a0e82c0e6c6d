"""Why a roll was stopped reaches a process that knows the supervisor's number and descriptor."""

import os
from collections.abc import Iterator

import pytest

from stator.supervisor.complaint import COMPLAINT_BYTES, Complaint, read_complaint


@pytest.fixture
def complaint() -> Iterator[Complaint]:
    complaint = Complaint()
    yield complaint
    complaint.close()


def _read(complaint: Complaint) -> str:
    return read_complaint(os.getpid(), complaint.fd)


def test_a_text_is_read_as_it_was_written_and_a_shorter_one_replaces_it(
    complaint: Complaint,
) -> None:
    texts = ["", "worker 1 ended with exit code 65", "nö"]
    for text in texts:
        complaint.write(text)
        assert _read(complaint) == text


def test_a_text_that_no_terminal_could_show_is_no_obstacle(complaint: Complaint) -> None:
    complaint.write("a \udcff lone surrogate" + "x" * 2 * COMPLAINT_BYTES)
    assert _read(complaint).startswith("a ? lone surrogate")


def test_a_supervisor_that_is_gone_says_nothing(complaint: Complaint) -> None:
    assert read_complaint(2**22 + 1, complaint.fd) == ""


def test_what_is_no_text_any_more_says_nothing() -> None:
    ends = os.pipe()
    assert read_complaint(os.getpid(), ends[0]) == ""
    for fd in ends:
        os.close(fd)
