"""Finding a master that answers: the addresses of the list in turn, and the next one already while a slow one has not
answered (RFC 8305's way), so that a master that is switched off costs a quarter of a second, not a time-out."""

from __future__ import annotations

import random
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import zmq

from stoker.core.model.messages import ToClient
from stoker.core.model.states import Role
from stoker.errors import StokerError
from stoker.io.link import Closed, Link, Opened
from stoker.security.keys import Keys
from stoker.wire import codec

STAGGER = 0.25  # seconds until the next address is tried beside the one before
FIRST_PAUSE = 0.05  # seconds; the pause between two passes over the list doubles up to LONGEST_PAUSE
LONGEST_PAUSE = 0.5


@dataclass(frozen=True, slots=True)
class Complaint:
    """Why an address did not serve. ``denied``: trying again changes nothing."""

    reason: str
    denied: bool = False


class Dialer:
    """Makes open links, one at a time. ``complaints`` says by address what went wrong last."""

    def __init__(
        self,
        context: zmq.Context[Any],
        masters: Sequence[str],
        *,
        keys: Keys | None,
        role: Role,
        name: str,
        rng: random.Random,
    ) -> None:
        self.complaints: dict[str, Complaint] = {}
        self._context = context
        self._masters = tuple(masters)
        self._keys = keys
        self._role = role
        self._name = name
        self._rng = rng
        self._links: dict[str, Link[ToClient]] = {}
        self._untried: deque[str] = deque(masters)
        self._next_start = 0.0
        self._pause = 0.0

    @property
    def is_denied(self) -> bool:
        """Every master of the list refuses us for good."""
        return all((known := self.complaints.get(address)) is not None and known.denied for address in self._masters)

    def restart(self, *, first: str = "", last: str = "") -> None:
        """Begin a new pass, after a pause that grows until ``succeeded``: with ``first`` (a leader we were sent to, perhaps
        not of the list), and with ``last`` at the end."""
        rest = [address for address in self._masters if address not in (first, last)]
        self._untried = deque(([first] if first else []) + rest + ([last] if last and last != first else []))
        self._wait_before_next_pass()

    def succeeded(self) -> None:
        """The link has served a request: forget the past."""
        self._pause = 0.0
        self.complaints.clear()

    def dial(self, until: float) -> Link[ToClient] | None:
        """An open link; None when there is none at ``until`` (``time.monotonic()`` seconds) or ``is_denied``."""
        while True:
            self._start_next()
            link = self._take_opened()
            if link is not None:
                self.close()
                return link
            now = time.monotonic()
            if now >= until or self.is_denied:
                return None
            wake = min(until, self._next_start) if self._untried else until
            self._wait(max(0.0, wake - now))

    def close(self) -> None:
        """Give up what is under way."""
        for link in self._links.values():
            link.close()
        self._links.clear()

    def _start_next(self) -> None:
        if not self._untried and not self._links:
            self._untried.extend(self._masters)
            self._wait_before_next_pass()
        if not self._untried or time.monotonic() < self._next_start:
            return
        address = self._untried.popleft()
        self._next_start = time.monotonic() + STAGGER
        try:
            self._links[address] = Link(
                self._context,
                address=address,
                keys=self._keys,
                role=self._role,
                name=self._name,
                decoder=codec.to_client,
            )
        except StokerError as error:  # without a key for it, waiting does not help
            self._complain(address, Complaint(str(error), denied=True))

    def _take_opened(self) -> Link[ToClient] | None:
        for address, link in list(self._links.items()):
            for item in link.drain():
                if isinstance(item, Opened):
                    return self._links.pop(address)
                if isinstance(item, Closed):
                    link.close()
                    del self._links[address]
                    self._complain(address, Complaint(self._explained(item), item.denied))
        return None

    def _explained(self, closed: Closed) -> str:
        if not closed.denied or self._keys is None:
            return closed.reason
        return f"{closed.reason} (ours is in {self._keys.folder}/private/{self._role.value}.key)"

    def _complain(self, address: str, complaint: Complaint) -> None:
        self.complaints[address] = complaint
        if self._untried:
            self._next_start = time.monotonic()

    def _wait_before_next_pass(self) -> None:
        self._next_start = time.monotonic() + self._pause * self._rng.uniform(0.5, 1.5)
        self._pause = min(LONGEST_PAUSE, 2 * self._pause or FIRST_PAUSE)

    def _wait(self, seconds: float) -> None:
        poller = zmq.Poller()
        for link in self._links.values():
            for source in link.sources():
                poller.register(source, zmq.POLLIN)
        # A millisecond more than asked: waking early would spin. Without sockets poll() sleeps.
        poller.poll(int(min(seconds, 60.0) * 1000) + 1)
