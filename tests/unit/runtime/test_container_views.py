"""Read-only views of dicts, lists, sets, deques and byte arrays, method by method."""

import copy
import json
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from stator.runtime.errors import StateMutationReentrant
from stator.runtime.protocol.kinds import kind_of
from stator.runtime.read_only import read_only
from tests.fakes.sample_states import CHANGES, Message, refused

FULL: dict[type[Any], Any] = {
    dict: {1: [2]},
    list: [1, 2],
    deque: deque([1, 2]),
    set: {1, 2},
    bytearray: bytearray(b"ab"),
}


KNOWN: dict[type[Any], str] = {
    dict: "__setitem__ __delitem__ __ior__ pop popitem setdefault update clear",
    list: "append extend insert pop remove sort reverse __iadd__ __imul__ __setitem__",
    deque: "appendleft popleft rotate extendleft append clear __delitem__",
    set: "add discard remove pop update __ior__ __iand__ __isub__ __ixor__",
    bytearray: "append extend __setitem__ __iadd__ clear",
}


@pytest.mark.parametrize("kind", KNOWN)
def test_the_changes_that_everybody_knows_are_among_those_tried(kind: type[Any]) -> None:
    assert set(KNOWN[kind].split()) <= set(CHANGES[kind])


@pytest.mark.parametrize(
    ("kind", "name"), [(kind, name) for kind, names in CHANGES.items() for name in names]
)
def test_a_method_that_changes_is_refused(kind: type[Any], name: str) -> None:
    value = copy.deepcopy(FULL[kind])
    view = read_only(value)
    assert refused(lambda: getattr(view, name)())
    assert refused(lambda: getattr(view, name)(1))
    assert refused(lambda: getattr(view, name)(0, 1))
    assert value == FULL[kind]


@pytest.mark.parametrize("kind", FULL)
def test_making_a_container_again_is_refused(kind: type[Any]) -> None:
    view = read_only(copy.deepcopy(FULL[kind]))
    assert refused(lambda: view.__init__(FULL[kind]))


@pytest.mark.parametrize(
    "statement",
    [
        "view[0] = 1",
        "view[0:1] = [1]",
        "del view[0]",
        "del view[:]",
        "view += [1]",
        "view *= 2",
        "view[2] += 1",
        "view[0].append(1)",
        "view[1]['a'] = 1",
        "view[1]['b'] |= {1}",
        "view[1] |= {}",
        "view[1:][0].clear()",
        "view.copy()[0].clear()",
        "for item in view: item.clear()",
        "list(view)[0].clear()",
        "sorted(view[:2], key=str)[0].clear()",
        "[*view][0].clear()",
        "first, *rest = view; first.append(1)",
        "(view + [])[0].clear()",
        "([] + view)[0].clear()",
        "(view * 2)[0].clear()",
        "next(iter(view)).clear()",
        "next(reversed(view[:2])).clear()",
        "dict(view[1])['b'].add(1)",
        "{**view[1]}['b'].add(1)",
        "view[1].copy()['b'].add(1)",
        "(view[1] | {})['b'].add(1)",
        "({} | view[1])['b'].add(1)",
        "view[1].get('b').add(1)",
        "list(view[1].values())[0].add(1)",
        "list(view[1].items())[0][1].add(1)",
        "next(reversed(view[1].values())).add(1)",
        "__import__('random').shuffle(view)",
        "__import__('bisect').insort(view[0], 1)",
        "__import__('operator').setitem(view, 0, 1)",
        "view.extra = 1",
        "view.__class__ = list",
    ],
)
def test_a_statement_that_changes_is_refused(statement: str) -> None:
    value: list[Any] = [[3], {"b": {1}}, 5]
    before = copy.deepcopy(value)
    with pytest.raises(StateMutationReentrant):
        exec(statement, {"view": read_only(value)})
    assert value == before


@pytest.mark.parametrize(
    "expression",
    [
        "sorted(v['list'])",
        "sorted(v['list'], reverse=True)",
        "v['list'][1:]",
        "v['list'][-1]",
        "v['list'].index(2)",
        "v['list'].index(1, 1)",
        "v['list'].count(1)",
        "2 in v['list']",
        "7 in v['list']",
        "max(v['list']), sum(v['list']), len(v['list'])",
        "list(reversed(v['list']))",
        "v['list'] + [4]",
        "[0] + v['list']",
        "v['list'] * 2, 2 * v['list']",
        "v['list'] < [9], v['list'] >= [0], [9] > v['list']",
        "v['list'] == [3, 1, 2, 1]",
        "[*v['list'], 5]",
        "list(zip(v['list'], v['list'], strict=True))",
        "dict(v)",
        "{**v}",
        "list(v)",
        "list(v.keys()), list(v.values()), list(v.items())",
        "list(reversed(v)), list(reversed(v.items())), list(reversed(v.keys()))",
        "v.get('list'), v.get('no'), v.get('no', 3)",
        "v.keys() & {'list', 'x'}",
        "('list', [3, 1, 2, 1]) in v.items()",
        "repr(v.keys()), repr(v.items()), repr(v.values())",
        "v | {'a': 1}, {'a': 1} | v",
        "'list' in v, 'no' in v",
        "len(v), bool(v), bool(v['empty'])",
        "dict.fromkeys(v), v.fromkeys([1])",
        "v.copy()",
        "f'{v}', '%s' % v, '%(text)s' % v, '{text}'.format_map(v)",
        "f(**v['deep']['options'])",
        "f(*v['list'][:2])",
        "v['set'] | {9}, {9} | v['set'], v['set'] & {1}, {1} & v['set'], v['set'] - {1}",
        "{9, 1} - v['set'], v['set'] ^ {9}, {9} ^ v['set']",
        "v['set'] <= {1, 2, 3}, v['set'] < {1}, v['set'] == {1, 2}, {1} <= v['set']",
        "v['set'].union([5]), v['set'].issubset([1, 2, 3]), v['set'].isdisjoint({4})",
        "v['set'].intersection(v['set']), v['set'].difference([1]), sorted(v['set'].copy())",
        "v['frozen'] | {9}, v['frozen'] == {1}",
        "v['tuple'][0], v['tuple'] + (1,), len(v['tuple']), hash(v['tuple'][1])",
        "bytes(v['bytes']), b'x' + v['bytes'], v['bytes'].hex(), v['bytes'][0], v['bytes'].copy()",
        "b''.join([v['bytes']]), v['bytes'].decode(), v['bytes'][1:], memoryview(v['bytes'])[0]",
        "v['deque'][0], len(v['deque']), v['deque'].maxlen, v['deque'].copy(), list(v['deque'])",
        "v['deque'] + deque([1])",
        "isinstance(v, dict), isinstance(v, Mapping), isinstance(v['list'], Sequence)",
        "isinstance(v['list'], list), isinstance(v, list), type(v['text'])",
        "json.dumps(copy.deepcopy(v['deep']))",
        "copy.copy(v['list']), copy.copy(v['set']), copy.copy(v['deep'])",
        "v['deep']['options']['sep']",
        "[k for k, i in v.items() if i]",
        "any(v['list']), all(v['list']), min(v['list'], default=0)",
        "list(map(str, v['list'])), list(enumerate(v['list']))",
    ],
)
def test_what_an_expression_reads_is_as_without_a_view(expression: str) -> None:
    names = {"deque": deque, "Mapping": Mapping, "Sequence": Sequence, "json": json, "copy": copy}
    plain = example()
    got = eval(expression, {**names, "v": read_only(plain), "f": given})
    assert got == eval(expression, {**names, "v": plain, "f": given})


def given(*arguments: Any, **keywords: Any) -> Any:
    """Return what it was called with."""
    return arguments, keywords


def example() -> dict[str, Any]:
    """Return a state with something of everything."""
    return {
        "list": [3, 1, 2, 1],
        "text": "abc",
        "empty": [],
        "deep": {"options": {"sep": ","}, "rows": [{"a": [1]}]},
        "set": {1, 2},
        "frozen": frozenset({1}),
        "tuple": ([1], 2),
        "bytes": bytearray(b"ab"),
        "deque": deque([1, 2], maxlen=3),
    }


@pytest.mark.parametrize("expression", ["v['no']", "v['list'][9]", "v['list'].index(9)", "v.no"])
def test_what_cannot_be_read_raises_as_without_a_view(expression: str) -> None:
    with pytest.raises(Exception) as plain:
        eval(expression, {"v": example()})
    with pytest.raises(type(plain.value)) as seen:
        eval(expression, {"v": read_only(example())})
    assert str(seen.value) == str(plain.value)


def test_a_view_of_a_view_is_itself() -> None:
    view = read_only([1])
    assert read_only(view) is view


def test_a_default_belongs_to_who_gave_it() -> None:
    default: list[int] = []
    read_only({}).get("x", default).append(1)
    assert default == [1]


def test_what_a_view_makes_belongs_to_who_asked() -> None:
    view = read_only({"list": [2, 1]})
    names = view["list"].copy()
    names.sort()
    more = dict(view)
    more["new"] = 1
    assert (names, list(more)) == ([1, 2], ["list", "new"])


def test_a_type_of_view_makes_plain_values() -> None:
    examples: list[Any] = [{1: 2}, [1], {1}, deque([1]), bytearray(b"a")]
    for value in examples:
        make = kind_of(read_only(value))
        made = make(value)
        assert kind_of(made) is kind_of(value)
        assert made == value


def test_a_view_sees_what_is_changed_behind_it() -> None:
    value = [[1]]
    inner = read_only(value)[0]
    value[0].append(2)
    assert inner == [1, 2]


def test_a_pattern_matches_a_view() -> None:
    match read_only({"a": [1, {"b": Message("x")}]}):
        case {"a": [int() as one, {"b": Message(text=text)}]}:
            assert (one, text) == (1, "x")
        case other:
            raise AssertionError(other)


def test_reading_a_missing_key_of_a_defaultdict_is_a_change() -> None:
    counts: defaultdict[str, list[int]] = defaultdict(list, a=[1])
    view = read_only(counts)
    assert view["a"] == [1]
    assert view.get("x") is None
    assert refused(lambda: view["x"])
    assert list(counts) == ["a"]


def test_a_counter_counts_nothing_for_a_missing_key() -> None:
    view = read_only(Counter("aab"))
    assert (view["a"], view["z"], view.most_common(1)) == (2, 0, [("a", 2)])
    assert refused(lambda: view.subtract("a"))
    assert refused(lambda: view.update("a"))


def test_an_ordered_dict_keeps_its_order() -> None:
    view = read_only(OrderedDict(a=1, b=2))
    assert refused(lambda: view.move_to_end("a"))
    assert refused(lambda: view.popitem())
    assert list(view) == ["a", "b"]
