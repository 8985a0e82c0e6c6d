"""The chat of the examples in a browser, also while the service's processes are killed."""

from __future__ import annotations

import pytest

from tests.browser.chromium import Page
from tests.browser.conftest import Visits
from tests.browser.examples_service import ExamplesService

pytestmark = pytest.mark.browser

TEXTS = "#messages .text"
PEOPLE = "#people .name"


def say(page: Page, text: str) -> None:
    """Write a message and send it."""
    page.call("fill", "#text", text)
    page.call("press", "#text", "Enter")


def connections(page: Page) -> list[str]:
    """Return the ids of the connections of those the page shows as present, in order."""
    found: list[str] = page.evaluate(
        "Array.from(document.querySelectorAll('#people li'), (item) => item.dataset.id).sort()"
    )
    return found


def meet(visits: Visits) -> tuple[Page, Page]:
    """Return the pages of Ann and Bob, who see one another."""
    ann = visits.visit("chat", "Ann")
    bob = visits.visit("chat", "Bob")
    for page in (ann, bob):
        page.wait_texts(PEOPLE, ["Ann", "Bob"])
    return ann, bob


def test_two_pages_see_each_others_messages(visits: Visits) -> None:
    ann, bob = meet(visits)

    say(ann, "Hello, Bob")
    bob.wait_texts(TEXTS, ["Hello, Bob"])
    say(bob, "<b>Hello</b>, Ann")

    ann.wait_texts(TEXTS, ["Hello, Bob", "<b>Hello</b>, Ann"])
    assert ann.texts("#messages .author") == ["Ann", "Bob"]
    assert len(ann.texts("#messages time")) == 2


def test_two_pages_see_each_other_type(visits: Visits) -> None:
    ann, bob = meet(visits)

    bob.call("fill", "#text", "Well,")
    ann.wait_texts("#typing", ["Bob is typing…"])
    bob.call("fill", "#text", "")

    ann.wait_texts("#typing", [""])
    assert bob.texts("#typing") == [""]


def test_who_closes_the_page_while_typing_is_gone_in_every_way(visits: Visits) -> None:
    ann, bob = meet(visits)
    bob.call("fill", "#text", "Well,")
    ann.wait_texts("#typing", ["Bob is typing…"])

    bob.close()

    ann.wait_texts(PEOPLE, ["Ann"])
    ann.wait_texts("#typing", [""])


def test_who_comes_later_sees_the_history(visits: Visits) -> None:
    ann = visits.visit("chat", "Ann")
    say(ann, "one")
    say(ann, "two")

    bob = visits.visit("chat", "Bob")

    bob.wait_texts(TEXTS, ["one", "two"])


def test_a_long_history_comes_in_parts(visits: Visits, service: ExamplesService) -> None:
    for number in range(60):
        service.output("chat", "sendMessage", "Ann", str(number), key=visits.room)

    bob = visits.visit("chat", "Bob")
    bob.wait_texts(TEXTS, [str(number) for number in range(10, 60)])
    bob.call("click", "#earlier")

    bob.wait_texts(TEXTS, [str(number) for number in range(60)])
    assert bob.evaluate("document.querySelector('#earlier').hidden")


def test_another_room_has_other_people_and_messages(visits: Visits) -> None:
    ann, bob = meet(visits)
    say(ann, "Hello, Bob")
    bob.wait_texts(TEXTS, ["Hello, Bob"])

    bob.call("fill", "#room-name", f"{visits.room}-2")
    bob.call("press", "#room-name", "Enter")

    bob.wait_texts(PEOPLE, ["Bob"])
    assert bob.texts(TEXTS) == []
    ann.wait_texts(PEOPLE, ["Ann"])


def test_who_gave_no_name_is_asked_for_one(visits: Visits) -> None:
    page = visits.open(visits.address("chat"))

    page.call("fill", "#name", "Cleo")
    page.call("press", "#name", "Enter")

    page.wait_texts(PEOPLE, ["Cleo"])


def test_who_is_refused_reads_why(visits: Visits) -> None:
    page = visits.open(visits.address("chat", "x" * 41))

    page.wait("document.querySelector('#connection').dataset.state === 'refused'")

    (state,) = page.texts("#connection")
    assert "name" in state


def test_pages_go_on_when_the_worker_is_killed(visits: Visits, service: ExamplesService) -> None:
    ann, bob = meet(visits)
    say(ann, "before")
    bob.wait_texts(TEXTS, ["before"])
    before = connections(ann)

    service.kill_worker_of("chat", visits.room)
    say(ann, "from Ann")
    bob.wait_texts(TEXTS, ["before", "from Ann"])
    say(bob, "from Bob")

    ann.wait_texts(TEXTS, ["before", "from Ann", "from Bob"])
    assert bob.texts(TEXTS) == ["before", "from Ann", "from Bob"]
    assert connections(ann) == connections(bob) == before
    assert ann.is_the_same()
    assert bob.is_the_same()


def test_presence_and_typing_go_on_when_the_worker_is_killed(
    visits: Visits, service: ExamplesService
) -> None:
    ann, bob = meet(visits)
    bob.call("fill", "#text", "Well,")
    ann.wait_texts("#typing", ["Bob is typing…"])

    service.kill_worker_of("chat", visits.room)
    ann.wait_texts("#typing", [""])
    cleo = visits.visit("chat", "Cleo")

    for page in (ann, bob, cleo):
        page.wait_texts(PEOPLE, ["Ann", "Bob", "Cleo"])
    bob.close()
    for page in (ann, cleo):
        page.wait_texts(PEOPLE, ["Ann", "Cleo"])


def test_pages_reconnect_when_the_gateway_is_killed(
    visits: Visits, service: ExamplesService
) -> None:
    ann, bob = meet(visits)
    say(ann, "before")
    bob.wait_texts(TEXTS, ["before"])
    before = connections(ann)

    service.kill_gateway()
    say(ann, "from Ann")
    bob.wait_texts(TEXTS, ["before", "from Ann"])
    say(bob, "from Bob")

    ann.wait_texts(TEXTS, ["before", "from Ann", "from Bob"])
    for page in (ann, bob):
        page.wait("document.querySelectorAll('#people li').length === 2")
    assert set(connections(ann)).isdisjoint(before)
    assert ann.is_the_same()
    assert bob.is_the_same()
