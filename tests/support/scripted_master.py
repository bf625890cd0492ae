"""A master that follows a test's script: the real server socket, keys and codec, and no books at all."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from stoker.core.model.messages import (
    Accepted,
    ApplicationRemoved,
    ExecutorAdded,
    ExecutorUpdated,
    Failed,
    GetStatus,
    LogData,
    Message,
    ReadLog,
    RegisterApplication,
    RegisteredApplication,
    UnregisterApplication,
)
from stoker.core.model.states import ApplicationState, ExecutorState, Role
from stoker.core.model.values import Exit
from stoker.io.loop import Loop
from stoker.io.sockets import Incoming, PeerGone, Server
from stoker.security.authorizer import Authorizer
from stoker.security.keys import Keys

APP_ID = "app-20260101000000-0001"

Script = Callable[["ScriptedMaster", bytes, Message], None]


class ScriptedMaster:
    """It runs in its own thread; ``script`` receives every message. ``seen`` and ``gone`` are what has arrived so far."""

    def __init__(self, folder: Path, script: Script, *, port: int = 0, roles: tuple[Role, ...] = tuple(Role)) -> None:
        self.keys = Keys.open(folder, create=roles)
        self.script = script
        self.seen: list[Message] = []
        self.gone: list[bytes] = []
        self.changed = threading.Condition()
        self.loop = Loop()
        self.server = Server(
            self.loop, host="127.0.0.1", port=port, keys=self.keys, authorizer=Authorizer(self.keys.folder)
        )
        self.address = f"127.0.0.1:{self.server.port}"
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def __enter__(self) -> ScriptedMaster:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        self.loop.stop()
        self.thread.join(10)

    def send(self, peer: bytes, *messages: Message) -> None:
        """For scripts, which run in the master's thread."""
        for message in messages:
            self.server.send(peer, message)

    def send_raw(self, peer: bytes, *frames: bytes) -> None:
        """Send frames that the codec would never write."""
        self.server._router.send_multipart([peer, *frames])

    def wait_for(self, condition: Callable[[], bool], timeout: float = 10.0) -> None:
        with self.changed:
            assert self.changed.wait_for(condition, timeout), f"in {timeout} s only {self.seen}, gone {self.gone}"

    def got(self, kind: type[Message]) -> list[Message]:
        return [message for message in self.seen if isinstance(message, kind)]

    def _run(self) -> None:
        try:
            self.loop.run(self._round)
        finally:
            self.server.close()
            self.loop.close()

    def _round(self) -> None:
        for event in self.server.drain():
            if isinstance(event, Incoming):
                self.seen.append(event.message)
                self.script(self, event.peer, event.message)
            elif isinstance(event, PeerGone):
                self.gone.append(event.peer)
        with self.changed:
            self.changed.notify_all()


def registered(message: RegisterApplication, *, epoch: int = 1, interval: float = 15.0) -> Message:
    return RegisteredApplication(
        request=message.request,
        app_id=message.app_id or APP_ID,
        master_url="spark://scripted:7077",
        epoch=epoch,
        heartbeat_interval=interval,
    )


def added(executor_id: int, app_id: str = APP_ID) -> Message:
    return ExecutorAdded(app_id=app_id, executor_id=executor_id, worker_id="w", host="node", cores=1, memory_mib=512)


def running(executor_id: int) -> Message:
    return ExecutorUpdated(app_id=APP_ID, executor_id=executor_id, state=ExecutorState.RUNNING)


def ended(executor_id: int, exit: Exit, state: ExecutorState = ExecutorState.EXITED) -> Message:
    return ExecutorUpdated(app_id=APP_ID, executor_id=executor_id, state=state, exit=exit)


def removed(state: ApplicationState = ApplicationState.FINISHED, reason: str = "") -> Message:
    return ApplicationRemoved(app_id=APP_ID, state=state, reason=reason)


def answer_log(message: ReadLog, texts: dict[tuple[int, str], bytes]) -> Message:
    """Answer from a complete file: ``texts`` by executor and stream."""
    text = texts.get((message.executor_id, message.stream), b"")
    piece = text[message.offset : message.offset + message.limit]
    return LogData(request=message.request, offset=message.offset, size=len(text), data=piece, ended=True)


def polite(
    master: ScriptedMaster, peer: bytes, message: Message, *, story: tuple[Message, ...] = (), texts: object = None
) -> None:
    """A script that registers the application, sends the story, and serves the logs."""
    if isinstance(message, RegisterApplication):
        master.send(peer, registered(message), *story)
    elif isinstance(message, ReadLog):
        assert texts is None or isinstance(texts, dict)
        master.send(peer, answer_log(message, texts or {}))
    elif isinstance(message, GetStatus):
        master.send(peer, Failed(request=message.request, reason="no books here"))
    elif isinstance(message, UnregisterApplication):
        master.send(peer, Accepted(request=message.request))
