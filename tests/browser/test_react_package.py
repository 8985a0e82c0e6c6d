"""Components over ``@rivetkit/react``, unmodified, in a browser."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest

from tests.browser.chromium import Page
from tests.browser.conftest import Visits
from tests.browser.examples_service import ExamplesService

pytestmark = pytest.mark.browser

COUNTS = "output"


@pytest.fixture
def page(visits: Visits, service: ExamplesService, react_page: str) -> Page:
    """Two components of the counter ``visits.room`` at 5, one of another at 0; all connected."""
    service.output("counter", "increment", 5, key=visits.room)
    query = {"service": service.endpoint, "mine": visits.room, "other": f"{visits.room}-2"}
    page = visits.open(f"{react_page}?{urlencode(query)}")
    page.wait_texts(COUNTS, ["5", "5", "0"])
    return page


def test_components_show_what_an_action_returned(page: Page) -> None:
    assert page.texts(COUNTS) == ["5", "5", "0"]


def test_components_of_one_actor_follow_its_events(
    page: Page, visits: Visits, service: ExamplesService
) -> None:
    service.output("counter", "increment", 2, key=visits.room)

    page.wait_texts(COUNTS, ["7", "7", "0"])


def test_a_component_calls_its_own_actor(page: Page) -> None:
    page.call("click", "#other button")
    page.wait_texts(COUNTS, ["5", "5", "1"])

    page.call("click", "#first button")

    page.wait_texts(COUNTS, ["6", "6", "1"])


def test_a_component_goes_on_when_another_of_its_actor_goes(page: Page) -> None:
    page.call("click", "#fewer")
    page.wait_texts(COUNTS, ["5", "0"])

    page.call("click", "#first button")

    page.wait_texts(COUNTS, ["6", "0"])


def test_components_go_on_when_the_worker_is_killed(
    page: Page, visits: Visits, service: ExamplesService
) -> None:
    service.kill_worker_of("counter", visits.room)
    page.call("click", "#first button")
    page.wait_texts(COUNTS, ["6", "6", "0"])
    service.output("counter", "increment", 1, key=visits.room)

    page.wait_texts(COUNTS, ["7", "7", "0"])
    assert page.is_the_same()


def test_components_reconnect_when_the_gateway_is_killed(
    page: Page, visits: Visits, service: ExamplesService
) -> None:
    service.kill_gateway()
    service.output("counter", "increment", 1, key=visits.room)

    page.wait_texts(COUNTS, ["6", "6", "0"])
    assert page.is_the_same()
