"""A worker counts starts of actors, which a roll watches."""

import pytest

from stator import Actor, ActorError, action
from stator.runtime.control import Counter
from tests.fakes.engine_in_process import running_engine


class Plain(Actor):
    state: int = 0

    @action
    def get(self) -> int:
        return self.state


class Unstartable(Plain):
    async def on_wake(self) -> None:
        raise RuntimeError("no")


async def test_starts_that_go_well_and_starts_that_fail_are_counted_apart() -> None:
    async with running_engine(use={"plain": Plain, "unstartable": Unstartable}) as local:
        for key in "a", "b", "a":
            await local.call("plain", "get", key=key)
        for _ in range(3):  # the third is refused: it is too soon to try again
            with pytest.raises(ActorError):
                await local.call("unstartable", "get")
        assert local.counter(Counter.STARTS) == 2
        assert local.counter(Counter.START_FAILURES) == 2
