"""The drain of a worker from its page: reason and deadline, what is rejected, and that it works without scripts."""

from __future__ import annotations

import pytest

from tests.support.web import Control, cluster_view, worker_view
from tests.unit.web.dashboard import browser, look

PAGE = f"/worker/?workerId={worker_view().id}"


def ask(control: Control, fields: dict[str, str], *, draining: bool = False) -> tuple[int, str]:
    client = browser(cluster_view(workers=(worker_view(1, draining=draining),)), control)
    action, given = look(client, PAGE).press("false" if draining else "true")
    response = client.post(action, data={**given, **fields})
    return response.status_code, response.text


def test_reason_and_deadline_are_part_of_the_form() -> None:
    control = Control()
    assert ask(control, {"reason": " new disk ", "deadline": "2h"})[0] == 303
    assert ask(control, {"reason": "", "deadline": ""})[0] == 303
    assert control.terms == [("new disk", 7200.0), ("", 0.0)]


def test_undraining_ignores_what_was_typed_before() -> None:
    control = Control()
    assert ask(control, {"reason": "old", "deadline": "2h"}, draining=True)[0] == 303
    assert (control.drained, control.terms) == ([(worker_view().id, False)], [("", 0.0)])


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"deadline": "soon"}, "is not a duration"),
        ({"deadline": "0s"}, "is not a time limit"),
        ({"deadline": "9999d"}, "must be between"),
        ({"reason": "x" * 201}, "at most 200 characters"),
        ({"reason": "two\nlines"}, "must be one line"),
    ],
)
def test_what_is_invalid_drains_nothing_and_says_why(fields: dict[str, str], says: str) -> None:
    control = Control()
    code, text = ask(control, fields)
    assert (code, control.drained) == (400, []) and says in text
