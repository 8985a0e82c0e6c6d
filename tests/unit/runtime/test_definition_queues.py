"""What a class says of its queues and events is checked where it is registered."""

from collections.abc import Callable

import pytest

from stator import Actor, Conn, Event, Queue, setup
from stator.runtime.declarations import DefinitionError


class OddQueue(Actor):
    jobs = Queue[Callable[[], int], int]()


class OddReply(Actor):
    jobs = Queue[int, Callable[[], int]]()


class OddEvent(Actor):
    told = Event[Callable[[], int]]()


@pytest.mark.parametrize(
    ("actor", "what"), [(OddQueue, "jobs"), (OddReply, "jobs"), (OddEvent, "told")]
)
def test_a_type_that_nothing_can_be_checked_against_is_refused(
    actor: type[Actor], what: str
) -> None:
    with pytest.raises(DefinitionError, match=what):
        setup(use={"odd": actor})


class Gated(Actor):
    jobs = Queue[str]()

    @jobs.can_publish
    def check(self, conn: Conn) -> bool:
        return True


def test_the_gate_of_a_queue_wants_to_see_requests() -> None:
    (definition,) = setup(use={"gated": Gated})
    assert definition.wants_requests
