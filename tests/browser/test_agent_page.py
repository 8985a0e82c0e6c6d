"""The agent of the examples in a browser, also while the worker it lives in is killed."""

from __future__ import annotations

import pytest

from tests.browser.chromium import Page
from tests.browser.conftest import Visits
from tests.browser.examples_service import ExamplesService

pytestmark = pytest.mark.browser

PROMPTS = ".turn .prompt"
ANSWERS = ".turn .answer:not(.speaking)"
SPEAKING = "document.querySelector('.speaking')?.textContent.split(' ').length > 3"


def ask(page: Page, text: str) -> None:
    """Write a prompt and send it."""
    page.call("fill", "#text", text)
    page.call("press", "#text", "Enter")


def answer_to(prompt: str, number: int = 1) -> str:
    """Return what the stand-in says."""
    return (
        f"You said: {prompt} That is message {number} I can see of this conversation. "
        "I am only a stand-in for a model, but every word came over its real interface."
    )


def test_an_answer_comes_word_by_word_to_all_pages(visits: Visits) -> None:
    ann, bob = visits.visit("agent", "Ann"), visits.visit("agent", "Bob")

    ask(ann, "<b>Hello</b>.")
    for page in (ann, bob):
        page.wait(SPEAKING)

    for page in (ann, bob):
        page.wait_texts(ANSWERS, [answer_to("<b>Hello</b>.")])
        assert page.texts(PROMPTS) == ["<b>Hello</b>."]
        assert page.texts(".speaking") == []


def test_prompts_wait_for_their_turn(visits: Visits) -> None:
    page = visits.visit("agent", "Ann")

    ask(page, "First.")
    ask(page, "Second.")

    page.wait_texts(ANSWERS, [answer_to("First."), answer_to("Second.", 2)])
    assert page.texts(PROMPTS) == ["First.", "Second."]


def test_the_use_of_a_tool_is_shown(visits: Visits) -> None:
    page = visits.visit("agent", "Ann")

    ask(page, "What is 12 * 7?")

    page.wait_texts(ANSWERS, ["The answer is 84."])
    assert page.texts(".tool") == ['calculate({"expression": "12 * 7"}) → 84']


def test_who_comes_in_the_middle_misses_no_word(visits: Visits) -> None:
    ann = visits.visit("agent", "Ann")
    ask(ann, "Hello.")
    ann.wait(SPEAKING)

    bob = visits.visit("agent", "Bob")

    bob.wait_texts(ANSWERS, [answer_to("Hello.")])


def test_who_comes_later_reads_the_conversation(visits: Visits) -> None:
    ann = visits.visit("agent", "Ann")
    ask(ann, "What is 12 * 7?")
    ann.wait_texts(ANSWERS, ["The answer is 84."])

    bob = visits.visit("agent", "Bob")

    bob.wait_texts(ANSWERS, ["The answer is 84."])
    assert bob.texts(".tool") == ann.texts(".tool")


def test_an_answer_can_be_stopped(visits: Visits) -> None:
    page = visits.visit("agent", "Ann")
    ask(page, "Hello.")
    page.wait(SPEAKING)

    page.call("click", "#stop")

    page.wait_texts(".turn .note", ["stopped"])
    (said,) = page.texts(ANSWERS)
    assert answer_to("Hello.").startswith(said)
    assert page.evaluate("document.querySelector('#stop').hidden")


def test_an_answer_is_completed_after_a_crash(visits: Visits, service: ExamplesService) -> None:
    page = visits.visit("agent", "Ann")
    ask(page, "Hello.")
    page.wait(SPEAKING)

    service.kill_worker_of("agent", visits.room)

    page.wait_texts(ANSWERS, [answer_to("Hello.")])
    assert page.texts(PROMPTS) == ["Hello."]
    assert page.is_the_same()
