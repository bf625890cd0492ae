"""``spark.deploy.recoveryMode ZOOKEEPER``: the election among any number of masters (ADR 11, spec 13.2).

Below ``spark.deploy.zookeeper.dir``:

    epoch        persistent: the highest epoch of all leaders, a number that only grows
    leader       ephemeral: who leads; a master leads only while the session that created this node lives
    masters/A    ephemeral: one for each master that stands for election

Taking the lead is ONE transaction: create ``leader`` and set ``epoch``, provided that ``epoch`` still has the version that
was read. So of many masters that try, one succeeds, and from then on every transaction that checks ``epoch`` at an older
version fails. That is the fence of ``recovery.zookeeper``; it relies neither on clocks nor on the old leader's behaviour.

A leader whose process died holds ``leader`` until its session times out. A standby that has noticed the end of the process
(``leader.watch``) does not wait for that: it deletes the node in the same transaction.

One thread makes all calls to ZooKeeper, one after the other; kazoo's threads and the shell only put tasks into its queue.
"""

from __future__ import annotations

import logging
import os
import queue
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import msgspec
from kazoo.exceptions import AuthFailedError, BadVersionError, NodeExistsError, NoNodeError

from stoker.errors import StokerError
from stoker.io.zookeeper import Fence, SessionState, ZooKeeper, ZooKeeperFailure, ZooKeeperSettings, explain
from stoker.leader.base import (
    Candidate,
    Elected,
    Follow,
    Frozen,
    Leadership,
    LeadershipEvent,
    Revoked,
    Roster,
    Thawed,
    parse_epoch,
)
from stoker.leader.watch import LeaderWatch

LOG = logging.getLogger("stoker.leader")
TRY_AGAIN = 1.0  # seconds to wait after a failed call
LOOK_EVERY = 10.0  # seconds


class _Node(msgspec.Struct, frozen=True, kw_only=True):
    """The content of ``leader`` and ``masters/A``, as JSON; only ``leader`` has an ``epoch``."""

    address: str
    webui_url: str = ""
    process: int = 0
    host: str = ""
    epoch: int = 0


class ZooKeeperLeadership(Leadership):
    """The election by ZooKeeper. ``fence`` is set before ``Elected`` is reported; every later transaction must include it."""

    def __init__(self, settings: ZooKeeperSettings, me: Candidate) -> None:
        self.fence = Fence("", -1)
        self.zookeeper: ZooKeeper = ZooKeeper(settings, self._session_changed)
        self._me = me
        self._on_event: Callable[[LeadershipEvent], None] = lambda _: None
        self._tasks: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="election", daemon=True)
        self._epoch = 0  # under which this master leads
        self._frozen = False
        self._over = False  # revoked, or released
        self._following: Follow | None = None
        self._roster = Roster(())
        self._watch: LeaderWatch | None = None
        self._complaint = ""

    # --- from outside ---

    def start(self, on_event: Callable[[LeadershipEvent], None]) -> None:
        self._on_event = on_event
        self._thread.start()
        self.zookeeper.start()
        self._follow(None, f"connecting to ZooKeeper at {self.zookeeper.hosts}")

    def release(self) -> None:
        if not self._thread.is_alive():
            return
        self._over = True
        self._tasks.put(None)
        self._thread.join(self.zookeeper.timeout)
        self._stop_watch()
        self.zookeeper.stop()

    def _session_changed(self, state: SessionState) -> None:
        """Freeze a leader at once, on kazoo's thread: the queue may be busy."""
        if state is SessionState.SUSPENDED and self._epoch and not self._over:
            self._tell(Frozen(f"ZooKeeper at {self.zookeeper.hosts} does not answer"))
        self._tasks.put(lambda: self._session_is(state))

    # --- the thread ---

    def _work(self) -> None:
        while (task := self._next_task()) is not None:
            try:
                task()
            except ZooKeeperFailure as error:
                if self.zookeeper.is_connected:  # else the lost connection is reported anyway
                    self._failed(error)
                self._later()
            except StokerError as error:
                self._complain(str(error))
                self._later()

    def _next_task(self) -> Callable[[], None] | None:
        """Return the next task, or a look now and then, in case a watch was missed."""
        try:
            return self._tasks.get(timeout=LOOK_EVERY)
        except queue.Empty:
            return self._look

    def _failed(self, error: Exception) -> None:
        if isinstance(error, AuthFailedError):
            self._complain("ZooKeeper does not accept the identity in spark.stoker.zookeeper.authFile")
        else:
            self._complain(f"ZooKeeper at {self.zookeeper.hosts} refuses a call: {explain(error)}")

    def _complain(self, text: str) -> None:
        if text != self._complaint:
            LOG.error("%s", text)
        self._complaint = text
        if not self._epoch:
            self._follow(None, text)

    def _later(self) -> None:
        timer = threading.Timer(TRY_AGAIN, self._look_soon)
        timer.daemon = True
        timer.start()

    def _look_soon(self, _: object = None) -> None:
        """Queue a look, after a watch fired or a pause ended."""
        self._tasks.put(self._look)

    def _session_is(self, state: SessionState) -> None:
        if state is SessionState.LOST and self._epoch:
            self._revoke("its ZooKeeper session has ended")
        elif state is not SessionState.CONNECTED:
            silent = f"ZooKeeper at {self.zookeeper.hosts} does not answer"
            self._follow(None, silent)
            if self._epoch:
                self._frozen = True
                self._tell(Frozen(silent))  # again: the first may have come before ``Elected``, or before ``Thawed``
        else:
            self._look()

    def _look(self) -> None:
        """Read who leads, and act on it. Repeatable: it is called after every possible change."""
        if self._over or not self.zookeeper.is_connected:
            return
        self._announce()
        leader, owner = self._read_leader()
        if self._epoch:
            self._check(leader, owner)
        elif leader is None:
            self._take(None)
        elif owner == self.zookeeper.session_id:
            self._lead(leader.epoch)  # this master's transaction had succeeded, but its answer was lost
        elif leader.address == self._me.address and leader.host == socket.gethostname():
            self._take(leader)  # an earlier process of this master: no other can listen at its address
        else:
            self._follow(Candidate(leader.address, leader.webui_url))
        self._read_roster()
        self._complaint = ""

    def _announce(self) -> None:
        """List this master among the masters, by this session."""
        for names in ((), ("masters",), ("epoch",)):
            self.zookeeper.ensure(*names)
        path = self.zookeeper.path("masters", self._me.address)
        found = self.zookeeper.exists(path)
        if found is not None and found.ephemeralOwner == self.zookeeper.session_id:
            return
        if found is not None:  # by an earlier session, or an earlier process, of this master
            self.zookeeper.delete(path)
        self.zookeeper.create_ephemeral(path, _encode(self._me, 0))

    def _read_leader(self) -> tuple[_Node | None, int]:
        """Return who leads, and by which session; set a watch."""
        path = self.zookeeper.path("leader")
        if self.zookeeper.exists(path, watch=self._look_soon) is None:
            return None, 0
        try:
            data, found = self.zookeeper.get(path, watch=self._look_soon)
        except NoNodeError:
            return None, 0
        return _decode(data), found.ephemeralOwner

    def _read_roster(self) -> None:
        names = self.zookeeper.children(self.zookeeper.path("masters"), watch=self._look_soon)
        roster = Roster(tuple(sorted(names)), tuple(filter(None, map(self._dashboard_of, sorted(names)))))
        if roster != self._roster:
            self._roster = roster
            self._tell(roster)

    def _dashboard_of(self, address: str) -> str:
        """Return the URL of that master's dashboard, "" if it is unknown: the master may withdraw at any time."""
        try:
            data, _ = self.zookeeper.get(self.zookeeper.path("masters", address))
            return _decode(data).webui_url
        except (NoNodeError, StokerError):
            return ""

    # --- taking the lead ---

    def _take(self, gone: _Node | None) -> None:
        """Try to lead; another master may be faster. ``gone`` is a leader whose process is known to have exited."""
        path = self.zookeeper.path("epoch")
        data, found = self.zookeeper.get(path)
        last = _read_epoch(path, data)
        if gone is not None and gone.epoch != last:
            self._look()  # another master leads by now
            return
        # Higher than the clock, so that workers that obeyed a master without ZooKeeper obey this one.
        epoch = max(last + 1, int(time.time() * 1000))
        transaction = self.zookeeper.transaction()
        if gone is not None:
            transaction.delete(self.zookeeper.path("leader"))
        transaction.create(self.zookeeper.path("leader"), _encode(self._me, epoch), ephemeral=True)
        transaction.set_data(path, b"%d" % epoch, version=found.version)
        try:
            self.zookeeper.commit(transaction)
        except (BadVersionError, NodeExistsError, NoNodeError):
            self._look_soon()
            return
        if gone is not None:
            LOG.warning("the leader %s has exited: taking over", gone.address)
        self._lead(epoch)
        self._read_leader()  # sets a watch on this master's own node

    def _lead(self, epoch: int) -> None:
        path = self.zookeeper.path("epoch")
        data, found = self.zookeeper.get(path)
        if _read_epoch(path, data) != epoch:
            return  # this master led only for a moment; the watch on ``leader`` leads to the next look
        self._stop_watch()
        self.fence = Fence(path, found.version)
        self._epoch, self._following = epoch, None
        self._tell(Elected(epoch))

    def _check(self, leader: _Node | None, owner: int) -> None:
        """Check that this master still leads; revoke it if not."""
        if leader is None or owner != self.zookeeper.session_id or leader.epoch != self._epoch:
            self._revoke(f"{leader.address} leads" if leader is not None else "its node in ZooKeeper was removed")
        elif self._frozen:
            self._frozen = False
            self._tell(Thawed())

    def _revoke(self, reason: str) -> None:
        self._over = True
        self._stop_watch()
        self._on_event(Revoked(reason))

    # --- following ---

    def _follow(self, leader: Candidate | None, reason: str = "") -> None:
        if self._epoch:
            return
        if self._watch is not None and (leader is None or leader.address != self._watch.address):
            self._stop_watch()
        if leader is not None and self._watch is None:
            watch = self._watch = LeaderWatch(leader.address, lambda: self._leader_gone(watch))
            watch.start()
        following = Follow(leader, reason)
        if following != self._following:
            self._following = following
            self._tell(following)

    def _stop_watch(self) -> None:
        if self._watch is not None:
            self._watch.stop()
            self._watch = None

    def _leader_gone(self, watch: LeaderWatch) -> None:
        """Queue taking over, on the watch's thread: no process listens at the leader's address."""
        self._tasks.put(lambda: self._usurp(watch))

    def _usurp(self, watch: LeaderWatch) -> None:
        if watch is not self._watch:  # meanwhile this master follows another leader, about which this says nothing
            return
        if self._over or self._epoch or not self.zookeeper.is_connected:
            return
        gone = watch.address
        self._stop_watch()
        leader, _ = self._read_leader()
        if leader is not None and leader.address == gone:
            self._take(leader)
        else:
            self._look()

    def _tell(self, event: LeadershipEvent) -> None:
        if not self._over:
            self._on_event(event)


def _encode(candidate: Candidate, epoch: int) -> bytes:
    node = _Node(
        address=candidate.address,
        webui_url=candidate.webui_url,
        process=os.getpid(),
        host=socket.gethostname(),
        epoch=epoch,
    )
    return msgspec.json.encode(node)


def _decode(data: bytes) -> _Node:
    try:
        return msgspec.json.decode(data, type=_Node)
    except (msgspec.DecodeError, ValueError):
        raise StokerError(
            "`leader` in spark.deploy.zookeeper.dir was not written by a Stoker master: give this cluster its own"
            " directory"
        ) from None


def _read_epoch(path: str, data: Any) -> int:
    text = bytes(data or b"0").decode(errors="replace")
    epoch = parse_epoch(text)
    if epoch is None:
        raise StokerError(
            f"{path} in ZooKeeper is not an epoch ({text[:40]!r}): no master can lead until it is corrected"
        )
    return epoch
