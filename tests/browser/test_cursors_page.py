"""The shared cursors of the examples in a browser, also while processes are killed."""

from __future__ import annotations

import pytest

from tests.browser.chromium import Page
from tests.browser.conftest import Visits
from tests.browser.examples_service import ExamplesService

pytestmark = pytest.mark.browser

OTHERS = "Array.from(document.querySelectorAll('.cursor:not(.own)'))"


def meet(visits: Visits) -> tuple[Page, Page]:
    """Return the pages of Ann and Bob, who see one another."""
    ann = visits.visit("cursors", "Ann")
    bob = visits.visit("cursors", "Bob")
    ann.wait_texts("#people li", ["Ann (you)", "Bob"])
    bob.wait_texts("#people li", ["Ann", "Bob (you)"])
    return ann, bob


def point(page: Page, x: float, y: float) -> None:
    """Move the mouse to a place on the board, in fractions of its size."""
    box = page.evaluate("document.querySelector('#board').getBoundingClientRect().toJSON()")
    page.call("mouse.move", box["x"] + x * box["width"], box["y"] + y * box["height"])


def wait_other(page: Page, name: str, x: float, y: float) -> None:
    """Return once the page shows somebody's cursor at a place."""
    near = " && ".join(
        f"Math.abs(parseFloat(cursor.style.{side}) - {value * 100}) < 0.2"
        for side, value in (("left", x), ("top", y))
    )
    page.wait(
        f"{OTHERS}.some((cursor) => cursor.textContent === '{name}' && !cursor.hidden && {near})"
    )


def test_two_pages_see_each_others_cursors(visits: Visits) -> None:
    ann, bob = meet(visits)

    point(ann, 0.3, 0.4)
    wait_other(bob, "Ann", 0.3, 0.4)
    point(bob, 0.7, 0.2)

    wait_other(ann, "Bob", 0.7, 0.2)


def test_the_last_of_many_moves_arrives(visits: Visits) -> None:
    ann, bob = meet(visits)

    for step in range(40):
        point(ann, 0.1 + step / 100, 0.5)

    wait_other(bob, "Ann", 0.49, 0.5)


def test_who_comes_later_sees_where_the_cursors_are(visits: Visits) -> None:
    ann, bob = meet(visits)
    point(ann, 0.3, 0.4)
    wait_other(bob, "Ann", 0.3, 0.4)

    cleo = visits.visit("cursors", "Cleo")

    wait_other(cleo, "Ann", 0.3, 0.4)


def test_connections_have_colours_of_their_own(visits: Visits) -> None:
    ann, _ = meet(visits)

    colours = ann.evaluate(
        "Array.from(document.querySelectorAll('#people li'), "
        "(item) => item.style.getPropertyValue('--colour'))"
    )

    assert len(set(colours)) == 2


def test_a_cursor_vanishes_with_its_page(visits: Visits) -> None:
    ann, bob = meet(visits)
    point(bob, 0.7, 0.2)
    wait_other(ann, "Bob", 0.7, 0.2)

    bob.close()

    ann.wait(f"{OTHERS}.length === 0")
    assert ann.texts("#people li") == ["Ann (you)"]


def test_the_arrow_keys_move_the_cursor(visits: Visits) -> None:
    ann, bob = meet(visits)

    ann.call("press", "#board", "ArrowRight")

    wait_other(bob, "Ann", 0.52, 0.5)


def test_cursors_go_on_when_the_worker_is_killed(visits: Visits, service: ExamplesService) -> None:
    ann, bob = meet(visits)
    point(ann, 0.3, 0.4)
    wait_other(bob, "Ann", 0.3, 0.4)

    service.kill_worker_of("cursors", visits.room)
    point(ann, 0.6, 0.7)
    wait_other(bob, "Ann", 0.6, 0.7)
    point(bob, 0.2, 0.1)

    wait_other(ann, "Bob", 0.2, 0.1)
    assert ann.is_the_same()
    assert bob.is_the_same()


def test_cursors_go_on_when_the_gateway_is_killed(visits: Visits, service: ExamplesService) -> None:
    ann, bob = meet(visits)

    service.kill_gateway()
    point(ann, 0.6, 0.7)

    wait_other(bob, "Ann", 0.6, 0.7)
    for page in (ann, bob):
        page.wait("document.querySelectorAll('#people li').length === 2")
        assert page.is_the_same()
