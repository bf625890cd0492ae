"""Small pieces of HTML. They are functions because a page has thousands of them, and calling a Jinja macro costs ten times as
much."""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import cache, lru_cache
from urllib.parse import quote

from markupsafe import Markup, escape

from stoker.core.model.values import Exit, Order
from stoker.core.model.views import WorkerView
from stoker.web.show import show_duration, show_exit, show_iso, show_time


@cache
def state(value: str) -> Markup:
    """A state's name, coloured. There are few states, so all results are kept."""
    return Markup('<span class="state {}">{}</span>').format(value.lower(), value)


@lru_cache(4096)
def at(seconds: float) -> Markup:
    """A point in time, for people and for machines; nothing for "not yet"."""
    if not seconds:
        return Markup("")
    return Markup(f'<time datetime="{show_iso(seconds)}">{show_time(seconds)}</time>')  # noqa: S704 - digits only


def ordered(order: Order | None, verb: str, ended: float = 0.0) -> Markup:
    """Who gave an order and when. For one whose job has ``ended``, only when: the reason of the end says who."""
    if order is None:
        return Markup("")
    if ended:
        return Markup(", {}").format(at(order.at))
    return Markup(" <small>{}, {}</small>").format(order.words(verb), at(order.at))


def lasting(start: float, end: float) -> Markup:
    """A duration. Scripts keep counting while it has not ended (``end`` 0)."""
    if not start:
        return Markup("")
    if end:
        return Markup(show_duration(end - start))  # noqa: S704 - digits and a unit
    since = show_duration(time.time() - start)
    return Markup(f'<time data-since="{start}">{since}</time>')  # noqa: S704 - digits and a unit


def ended(exit: Exit) -> Markup:
    why = Markup(" <small>{}</small>").format(exit.reason) if exit.reason else ""
    return escape(show_exit(exit)) + why


def use(used: int, total: int) -> Markup:
    """A usage bar, hidden from screen readers: the numbers beside it say the same."""
    full = ' class="full"' if total and used >= total else ""
    return Markup(f'<progress value="{int(used)}" max="{int(total) or 1}" aria-hidden="true"{full}></progress>')  # noqa: S704


def job(job_id: str, kind: str) -> Markup:
    """A link to the page of a driver ("driver") or an application ("app")."""
    shown = escape(job_id)
    return Markup(f'<a class="id" href="/{kind}/?{kind}Id={shown}">{shown}</a>')  # noqa: S704 - escaped


def worker(worker_id: str, known: Mapping[str, WorkerView]) -> Markup:
    """A link to a worker's page, by its address; the bare id of a worker that is no longer listed."""
    view = known.get(worker_id)
    if view is None:
        return Markup('<span class="id">{}</span>').format(worker_id) if worker_id else Markup("None")
    where = escape(view.address)
    return Markup(f'<a href="/worker/?workerId={quote(worker_id)}" title="{escape(worker_id)}">{where}</a>')  # noqa: S704


def kill(job_id: str, kind: str, text: str = "kill") -> Markup:
    """A button of the form ``kill-KIND`` of the same page."""
    shown = escape(job_id)
    return Markup(  # noqa: S704 - escaped
        f' <button class="kill" form="kill-{kind}" name="id" value="{shown}" aria-label="Kill {shown}">{text}</button>'
    )


CELLS = {
    "state": state,
    "at": at,
    "ordered": ordered,
    "lasting": lasting,
    "ended": ended,
    "use": use,
    "job": job,
    "worker_link": worker,
    "kill": kill,
}
