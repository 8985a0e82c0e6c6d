"""The page of the approvals in a browser: the actor itself serves it."""

from __future__ import annotations

import json
import os
import subprocess
from urllib.parse import urlencode

import pytest

from tests.browser.chromium import Page
from tests.browser.conftest import Visits
from tests.browser.examples_service import ROOT, ExamplesService

pytestmark = pytest.mark.browser


def open_page(visits: Visits, service: ExamplesService) -> Page:
    """Return the page of the team that the test has for itself."""
    query = {"rvt-namespace": "default", "rvt-method": "getOrCreate", "rvt-runner": "default"}
    query["rvt-key"] = visits.room
    return visits.open(f"{service.endpoint}/gateway/approvals/request/?{urlencode(query)}")


def ask(visits: Visits, service: ExamplesService, title: str) -> None:
    """Send an expense."""
    body = json.dumps({"body": {"id": title, "title": title, "cents": 4200}})
    subprocess.run(
        [ROOT / "examples" / "post", "approvals", visits.room, "queue/expenses", body],
        env={**os.environ, "ENDPOINT": service.endpoint},
        check=True,
        timeout=60,
    )


def test_two_people_see_what_one_of_them_decides(visits: Visits, service: ExamplesService) -> None:
    ann, bob = open_page(visits, service), open_page(visits, service)
    ask(visits, service, "Chairs")
    for page in (ann, bob):
        page.wait_texts("#pending button", ["Approve", "Refuse"])

    ann.call("click", "text=Approve")

    for page in (ann, bob):
        page.wait_texts("#decided li", ["Chairs: approved by the page"])
        page.wait_texts("#pending button", [])


def test_a_page_goes_on_when_the_worker_dies(visits: Visits, service: ExamplesService) -> None:
    ann = open_page(visits, service)
    ask(visits, service, "Desks")
    ann.wait_texts("#pending button", ["Approve", "Refuse"])

    service.kill_worker_of("approvals", visits.room)
    ann.call("click", "text=Refuse")

    ann.wait_texts("#decided li", ["Desks: refused by the page"])
    assert ann.is_the_same()
