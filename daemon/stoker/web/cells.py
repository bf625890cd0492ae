"""Small pieces of HTML. They are functions because a page has thousands of them, and calling a Jinja macro costs ten times as
much."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from functools import cache, lru_cache
from urllib.parse import quote

from markupsafe import Markup, escape

from stoker.core.master.scheduling.explain import Waiting
from stoker.core.model.limits import disk, with_rest
from stoker.core.model.pools import DEFAULT_POOL
from stoker.core.model.resources import Addresses, Amounts, address_words, words
from stoker.core.model.values import Exit, Order
from stoker.core.model.views import AppView, DriverView, WorkerView
from stoker.web.show import show_duration, show_exit, show_iso

_UTC = re.compile(r"(\d{4}-\d\d-\d\d) (\d\d:\d\d) UTC")


@cache
def state(value: str) -> Markup:
    """A state's name, coloured. There are few states, so all results are kept."""
    return Markup('<span class="state {}">{}</span>').format(value.lower(), value)


@lru_cache(4096)
def at(seconds: float) -> Markup:
    """A point in time in UTC, which scripts turn into the viewer's zone (``clock.js``); nothing for "not yet"."""
    if not seconds:
        return Markup("")
    iso = show_iso(seconds)
    return Markup(f'<time datetime="{iso}">{iso[:10]} {iso[11:19]} UTC</time>')  # noqa: S704 - digits only


def ordered(order: Order | None, verb: str, ended: float = 0.0) -> Markup:
    """Who gave an order and when. For one whose job has ``ended``, only when: the reason of the end says who."""
    if order is None:
        return Markup("")
    if ended:
        return Markup(", {}").format(at(order.at))
    return Markup(" <small>{}, {}</small>").format(order.words(verb), at(order.at))


def clocked(text: str) -> Markup:
    """A text of the cluster, whose times in UTC scripts turn into the viewer's zone."""
    return Markup(_UTC.sub(r'<time datetime="\1T\2:00Z">\1 \2 UTC</time>', str(escape(text))))  # noqa: S704 - escaped


def lasting(start: float, end: float) -> Markup:
    """A duration. Scripts keep counting while it has not ended (``end`` 0)."""
    if not start:
        return Markup("")
    if end:
        return Markup(show_duration(end - start))  # noqa: S704 - digits and a unit
    since = show_duration(time.time() - start)
    return Markup(f'<time data-since="{start}">{since}</time>')  # noqa: S704 - digits and a unit


def started(driver: DriverView) -> Markup | str:
    """When its latest attempt started. Tasks of an array start one by one."""
    if driver.attempts:
        return at(driver.attempts[-1].started)
    if driver.array is not None and (driver.ended or driver.array.not_started < driver.array.tasks):
        return ""
    return "never" if driver.ended else "not yet"


def ran(driver: DriverView) -> Markup:
    """How long its latest attempt has run; an array, since it was submitted; or how long it has waited."""
    if driver.attempts:
        return lasting(driver.attempts[-1].started, driver.attempts[-1].ended)
    since = lasting(driver.submitted, driver.ended)
    if driver.array is not None and (driver.ended or driver.array.not_started < driver.array.tasks):
        return since
    return (Markup("waited {}") if driver.ended else Markup("waits {}")).format(since)


def limit(job: DriverView | AppView) -> str:
    """Its time limit, and what is left of it."""
    return with_rest(job.time_limit, job.running_since, time.time())


def ended(exit: Exit) -> Markup:
    """How a process ended, why, and the last line of its stderr if it failed."""
    return escape(show_exit(exit)) + why(exit.reason) + error_line(exit)


def consumed(exit: Exit) -> Markup:
    """What an ended process used, on a line of its own."""
    return Markup(' <small class="why" title="used at most">{}</small>').format(exit.used) if exit.used else Markup("")


def name(text: str) -> Markup:
    """A name that people chose, in its own direction; a long one is cut, and whole when one points at it."""
    return Markup('<bdi class="name" title="{0}">{0}</bdi>').format(text)


def why(reason: str) -> Markup:
    """A reason on lines of its own; a long one is cut, and whole when one points at it."""
    return (
        Markup('<small class="why" title="{}"><bdi>{}</bdi></small>').format(reason, clocked(reason))
        if reason
        else Markup("")
    )


def waits(job: DriverView | AppView, waiting: Waiting) -> Markup:
    """Why a job waits, and what would help; of one that does not wait, the reason of its state."""
    reason = waiting.why(job)
    return why(reason or job.reason) + help_line(job, waiting) if reason else why(job.reason)


def help_line(job: DriverView | AppView, waiting: Waiting) -> Markup:
    """What would let a waiting job start, each by itself; nothing if nothing is known."""
    helps = " or ".join(waiting.helps(job))
    return Markup('<small class="why help"><bdi>would help: {}</bdi></small>').format(helps) if helps else Markup("")


def pool(job: DriverView | AppView) -> Markup:
    """The job's pool, and its priority if that is not the usual one."""
    shown = escape(job.pool or DEFAULT_POOL)
    return shown + Markup(' <small class="why">priority {}</small>').format(job.priority) if job.priority else shown


def part(share: float) -> Markup:
    """A part of the cluster, as a bar and in per cent."""
    return use(round(1000 * share), 1000) + Markup("{}&nbsp;%").format(round(100 * share))


def error_line(exit: Exit) -> Markup:
    """The last line that a failed process wrote to stderr."""
    if not exit.last_error_line:
        return Markup("")
    return Markup('<small class="why err" title="Last line of stderr: {0}"><bdi>{0}</bdi></small>').format(
        exit.last_error_line
    )


def amounts(wanted: Amounts) -> str:
    """What a job asks for of named resources."""
    return words(wanted)


def holds(resources: Addresses, used: Addresses | None = None) -> Markup:
    """Addresses of named resources on a line of their own; of a worker also which of them are ``used``."""
    if not resources:
        return Markup("")
    in_use = f" ({address_words(used)} Used)" if used else ""
    return Markup(' <small class="why">{}</small>').format(address_words(resources) + in_use)


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


def kill(job: DriverView | AppView, kind: str, text: str = "kill") -> Markup:
    """A button of the form ``kill-KIND`` of the same page. It carries what the question about it names."""
    return Markup(
        ' <button class="kill" form="kill-{kind}" name="id" value="{id}" aria-label="Kill {id} ({name})" data-name="{name}"'
        ' data-user="{user}" data-since="{since}">{text}</button>'
    ).format(kind=kind, id=job.id, name=job.name, user=job.who, since=job.submitted, text=text)


def hold(job: DriverView | AppView, kind: str) -> Markup:
    """A button that holds the job, or releases it."""
    action, text = ("hold", "Hold") if job.hold is None else ("release", "Release")
    return Markup(
        ' <button class="hold" form="{action}-{kind}" name="id" value="{id}" aria-label="{text} {id} ({name})">'
        "{text}</button>"
    ).format(action=action, kind=kind, id=job.id, name=job.name, text=text)


CELLS = {
    "state": state,
    "at": at,
    "ordered": ordered,
    "clocked": clocked,
    "lasting": lasting,
    "started": started,
    "ran": ran,
    "limit": limit,
    "disk": disk,
    "ended": ended,
    "consumed": consumed,
    "name": name,
    "why": why,
    "waits": waits,
    "help_line": help_line,
    "pool": pool,
    "part": part,
    "error_line": error_line,
    "use": use,
    "amounts": amounts,
    "holds": holds,
    "job": job,
    "worker_link": worker,
    "kill": kill,
    "hold": hold,
}
