"""Read-only views of Structs, dataclasses and any other objects."""

import copy
import dataclasses

import pytest

from stator.runtime.errors import StateMutationReentrant
from stator.runtime.read_only import read_only
from tests.fakes.sample_states import Account, Bag, Message, Pair, Point, Room, Settings, refused


def test_methods_that_only_read_work() -> None:
    view = read_only(Message("hi", ["a", "b"]))
    assert (view.shout(), view.first, view.limit(), view.empty()) == ("HI!!", "a", 80, Message(""))
    assert Message.shout(view) == "HI!!"


def test_methods_that_change_are_refused_where_they_do() -> None:
    message, account = Message("hi", ["a"]), Account(1)
    assert refused(lambda: read_only(message).add("x"))
    assert refused(lambda: read_only(message).rename("x"))
    assert refused(lambda: read_only(account).pay(1))
    assert (message, account) == (Message("hi", ["a"]), Account(1))


def test_a_way_around_assignment_leads_nowhere() -> None:
    account = Account(1)
    with pytest.raises((StateMutationReentrant, AttributeError)):
        read_only(account).bypass()
    assert account == Account(1)


@pytest.mark.parametrize(
    "statement",
    [
        "view.topic = 'x'",
        "view.topic += 'x'",
        "del view.topic",
        "view.messages.append(1)",
        "view.messages[0].text = 'x'",
        "view.messages[0].tags += ['x']",
        "view.by_name['a']['n'] += 1",
        "view.by_name.setdefault('a', {})",
        "view.messages = []",
        "setattr(view, 'topic', 1)",
        "view.new = 1",
    ],
)
def test_changing_a_record_is_refused_however_deep(statement: str) -> None:
    room = Room([Message("a")], {"a": {"n": 1}}, "t")
    before = copy.deepcopy(room)
    with pytest.raises(StateMutationReentrant):
        exec(statement, {"view": read_only(room)})
    assert room == before


def test_a_records_own_operators_run_with_the_view() -> None:
    account = Account(1, [1, 2])
    view = read_only(account)
    assert len(view) == 2
    with pytest.raises(StateMutationReentrant):
        view += 1
    assert account.balance == 1


def test_a_cached_property_is_computed_and_not_kept() -> None:
    account = Account(0, [1, 2])
    assert read_only(account).total == 3
    assert vars(account) == {"balance": 0, "history": [1, 2]}
    account.history.append(3)
    assert (account.total, read_only(account).total) == (6, 6)


def test_a_dataclass_is_still_one() -> None:
    view = read_only(Account(1, [2]))
    whole: Account = view
    assert dataclasses.is_dataclass(view)
    assert dataclasses.asdict(whole) == {"balance": 1, "history": [2]}
    assert [field.name for field in dataclasses.fields(view)] == ["balance", "history"]
    assert vars(view) == {"balance": 1, "history": [2]}
    assert refused(lambda: vars(view).update(balance=2))


def test_a_frozen_struct_can_be_a_key_and_sorted() -> None:
    one, two = read_only(Point(1, 2)), read_only(Point(2, 1))
    assert {one: "a"}[Point(1, 2)] == "a"
    assert one in {Point(1, 2)}
    assert sorted([two, one]) == [Point(1, 2), Point(2, 1)]
    assert one < Point(2, 1) <= two


def test_a_named_tuple_keeps_its_names_and_its_type() -> None:
    view = read_only(Pair([1], 2))
    assert (type(view), view.one, view._asdict()) == (Pair, [1], {"one": [1], "two": 2})
    assert refused(lambda: view.one.append(2))


def test_a_typed_dict_is_a_dict() -> None:
    state: Settings = {"theme": "dark", "sizes": [1]}
    view = read_only(state)
    assert view == {"theme": "dark", "sizes": [1]}
    assert refused(lambda: view["sizes"].append(2))


def test_any_other_object_is_read_and_not_changed() -> None:
    bag = Bag()
    view = read_only(bag)
    assert (view[0], view.slot, view.own["a"], view.other) == (1, [1], [1], "no other")
    for change in (
        lambda: view.__setitem__(0, 2),
        lambda: view.slot.append(2),
        lambda: view.own["a"].append(2),
        lambda: setattr(view, "own", 1),
        lambda: delattr(view, "own"),
        view,
    ):
        assert refused(change)
    assert (bag.slot, bag.own, "called" in vars(bag)) == ([1], {"a": [1]}, False)


def test_an_object_without_len_has_none() -> None:
    with pytest.raises(TypeError):
        len(read_only(Message("")))
    assert not hasattr(read_only(Message("")), "__iter__")


def test_methods_of_c_that_nobody_knows_are_refused() -> None:
    numbers = iter([1, 2])
    assert refused(lambda: next(read_only(numbers)))
    assert next(numbers) == 1


def test_deleting_a_view_deletes_nothing() -> None:
    deleted: list[int] = []

    class Resource:
        def __del__(self) -> None:
            deleted.append(1)

    resource = Resource()
    del_view = read_only(resource)
    del del_view
    assert deleted == []
