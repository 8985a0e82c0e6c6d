"""Rows of a result: by index, by name and as attributes."""

import copy
import pickle

import pytest

from stator.runtime.database import Columns, Row
from stator.runtime.protocol.actions import decode_action_response, encode_action_response
from stator.runtime.protocol.encoding import Encoding

COLUMNS = Columns(("id", "name", "count"))
ROW = Row(COLUMNS, (1, "ada", 7))


def test_a_row_reads_by_index_name_and_attribute() -> None:
    assert (ROW[0], ROW["name"], ROW.count) == (1, "ada", 7)


def test_a_row_reads_from_its_end_and_by_slice() -> None:
    assert (ROW[-1], ROW[1:]) == (7, ("ada", 7))


def test_a_dict_can_be_made_of_a_row() -> None:
    assert dict(ROW) == {"id": 1, "name": "ada", "count": 7}


def test_a_row_iterates_over_its_values() -> None:
    number, *others = ROW
    assert (number, others, len(ROW), "ada" in ROW) == (1, ["ada", 7], 3, True)


def test_a_row_equals_another_of_the_same_names_and_values() -> None:
    assert Row(Columns(("id", "name", "count")), (1, "ada", 7)) == ROW


def test_a_row_does_not_equal_one_of_other_names() -> None:
    assert Row(Columns(("a", "b", "c")), (1, "ada", 7)) != ROW


def test_a_row_equals_the_tuple_of_its_values() -> None:
    assert ROW == (1, "ada", 7)
    assert hash(ROW) == hash((1, "ada", 7))


def test_a_row_does_not_equal_something_else() -> None:
    assert ROW != [1, "ada", 7]


def test_a_row_shows_its_names_and_values() -> None:
    assert repr(ROW) == "Row(id=1, name='ada', count=7)"


def test_a_column_that_is_not_there_is_said_so() -> None:
    with pytest.raises(AttributeError, match="no column 'age'"):
        _ = ROW.age
    with pytest.raises(KeyError):
        _ = ROW["age"]
    with pytest.raises(IndexError):
        _ = ROW[3]


def test_of_two_columns_with_one_name_the_last_is_read() -> None:
    row = Row(Columns(("id", "id")), (1, 2))
    assert (row.id, dict(row), list(row)) == (2, {"id": 2}, [1, 2])


def test_a_row_survives_copying_and_pickling() -> None:
    assert copy.deepcopy(ROW) == ROW
    assert pickle.loads(pickle.dumps(ROW)) == ROW


def test_a_row_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        setattr(ROW, "name", "bob")  # noqa: B010 - as user code may


@pytest.mark.parametrize("encoding", list(Encoding))
def test_actions_may_return_rows(encoding: Encoding) -> None:
    body = encode_action_response(encoding, 4, [ROW])
    assert decode_action_response(encoding, body) == [{"id": 1, "name": "ada", "count": 7}]
