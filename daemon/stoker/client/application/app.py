"""An application of the cluster from Python: registered with the master, granted executors, kept alive by a thread.

    keys = Keys.open(keys_dir, create=None)
    command = Command(argv=("my-worker", "--id", "{{EXECUTOR_ID}}"))
    etl = ApplicationDescription(name="etl", command=command, max_cores=8)
    with Application("spark://h:7077", etl, keys=keys) as app:
        app.wait_for_executors(2, timeout=60)

One background thread owns the connection, so that the application answers while its own code computes. When the process
dies, for any reason, the closed connection ends its executors at once.
"""

from __future__ import annotations

import logging
import queue
import random
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from types import TracebackType

from stoker.client.session.asker import Exchange, Then
from stoker.config.types import parse_master_url
from stoker.core.application.events import ApplicationEffect, ApplicationEvent, Executor, Registered, Removed, Stopped
from stoker.core.application.machine import REGISTRATION_TIMEOUT, STOP_TIMEOUT, ApplicationCore
from stoker.core.model.messages import Failed, KillExecutors, Message, RequestExecutors, ToClient
from stoker.core.model.states import ApplicationState, ExecutorState, Role
from stoker.core.model.states import RegistrationPhase as Phase
from stoker.core.model.values import ApplicationDescription
from stoker.core.peer.events import Answered, Connect, Disconnect, GaveUp, Lost, Note, Send
from stoker.core.peer.masters import NEVER
from stoker.errors import NotAuthorized, Refused, StokerError, Unreachable
from stoker.io.loop import Loop
from stoker.io.master_links import MasterLinks
from stoker.security.keys import Keys
from stoker.wire import codec

log: logging.Logger = logging.getLogger(__name__)

ANSWER_WITHIN = 30.0  # seconds a question may take; it outlives a fail-over

_ERRORS: dict[str, type[StokerError]] = {
    "unreachable": Unreachable,
    "not-authorized": NotAuthorized,
    "refused": Refused,
}


class Application:
    """An application with executors of its own kind. All methods may be called from any thread.

    ``masters`` is a ``spark://`` URL or HOST:PORT addresses, ``keys`` are those of this machine (None: without
    authentication). ``on_event`` is called in the background thread and must not block. ``registration_timeout`` is how many
    seconds ``start`` waits for masters.

    As a context manager it starts, and ends as FINISHED, after an error as FAILED, after Ctrl-C as KILLED.
    """

    def __init__(
        self,
        masters: str | Sequence[str],
        description: ApplicationDescription,
        *,
        keys: Keys | None,
        on_event: Callable[[ApplicationEvent], None] | None = None,
        registration_timeout: float = REGISTRATION_TIMEOUT,
    ) -> None:
        self._masters = _addresses(masters)
        self._description = description
        self._keys = keys
        self._registration_timeout = registration_timeout
        self._listeners: list[Callable[[ApplicationEvent], None]] = [on_event] if on_event else []
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        # Written by the background thread under the condition, read by all threads:
        self._app_id = self._master_url = ""
        self._executors: tuple[Executor, ...] = ()
        self._removed: Removed | None = None
        self._error: StokerError | None = None
        self._over = False
        self._complaints = ""
        self._exchanges: dict[int, Exchange] = {}

    # --- life --------------------------------------------------------------------------------------------------------

    def start(self, *, wait: bool = True) -> None:
        """Register. With ``wait``, return when a master has accepted the application; raises Unreachable, NotAuthorized or
        Refused."""
        if self._thread is not None:
            raise RuntimeError("an application can be started once")
        self._loop = Loop()
        self._links: MasterLinks[ToClient] = MasterLinks(
            self._loop.context,
            self._loop,
            keys=self._keys,
            role=Role.CLIENT,
            name=self._description.user or "app",
            decoder=codec.to_client,
        )
        self._core = ApplicationCore(
            app=self._description,
            masters=self._masters,
            token=secrets.token_hex(16),
            rng=random.Random(),  # noqa: S311 - spreads reconnections, guards nothing
            now=time.monotonic(),
            registration_timeout=self._registration_timeout,
        )
        self._thread = threading.Thread(target=self._run, name="stoker-application", daemon=True)
        self._thread.start()
        if wait:
            self._wait(lambda: bool(self._app_id), None, "it to be registered")

    def stop(self, state: ApplicationState = ApplicationState.FINISHED, reason: str = "") -> None:
        """Unregister and close, within a few seconds even if no master answers. A second call does nothing."""
        thread = self._thread
        if thread is None:
            return
        self._in_loop(lambda: self._core.stop(state, reason, time.monotonic()))
        if thread is not threading.current_thread():
            thread.join(STOP_TIMEOUT + 5.0)

    def __enter__(self) -> Application:
        if self._thread is None:
            self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.stop()
        elif issubclass(kind, KeyboardInterrupt):
            self.stop(ApplicationState.KILLED, "interrupted")
        else:
            self.stop(ApplicationState.FAILED, f"{kind.__name__} in its program")

    # --- status -----------------------------------------------------------------------------------------------

    @property
    def app_id(self) -> str:
        """The application's id; "" until it is registered."""
        return self._app_id

    @property
    def master_url(self) -> str:
        """The leading master's own URL; "" until it is registered."""
        return self._master_url

    @property
    def executors(self) -> tuple[Executor, ...]:
        """The running executors and the latest ended ones, sorted by id."""
        return self._executors

    @property
    def removed(self) -> Removed | None:
        """How the master ended this application; None if it did not."""
        return self._removed

    @property
    def error(self) -> StokerError | None:
        """Why it could not be registered, or failed; else None."""
        return self._error

    @property
    def complaints(self) -> str:
        """Before it is registered: each master, and why it has not accepted the application."""
        return self._complaints

    def events(self) -> Iterator[ApplicationEvent]:
        """Yield what happens from now on, up to ``GaveUp`` or ``Stopped``."""
        incoming: queue.SimpleQueue[ApplicationEvent] = queue.SimpleQueue()
        with self._changed:
            self._listeners.append(incoming.put)
        return _until_over(incoming)

    def wait_for_executors(self, count: int, timeout: float | None = None) -> tuple[Executor, ...]:
        """Wait until ``count`` executors run; return them. ``timeout`` is in seconds (None: unlimited).

        Raises Unreachable when they do not start in time, and Refused when the application ends meanwhile.
        """

        def enough() -> bool:
            return not self._is_over() and len(self._running()) >= count

        self._wait(enough, timeout, f"{count} running executors")
        return self._running()

    def _running(self) -> tuple[Executor, ...]:
        return tuple(executor for executor in self._executors if executor.state is ExecutorState.RUNNING)

    def _wait(self, condition: Callable[[], bool], timeout: float | None, what: str) -> None:
        with self._changed:
            done = self._changed.wait_for(lambda: condition() or self._is_over(), timeout)
            if condition():
                return
            if self._error is not None:
                raise self._error
            if self._removed is not None:
                raise Refused(f"{self._app_id} is {self._removed.state.value}: {self._removed.reason or 'over'}")
            if self._over:
                raise Refused(f"{self._app_id or 'the application'} was stopped while waiting for {what}")
        if not done:
            raise Unreachable(f"{self._app_id}: waited {timeout:g} s for {what}, {len(self._running())} executors run")

    def _is_over(self) -> bool:
        return self._over or self._removed is not None or self._error is not None

    # --- questions to the master -------------------------------------------------------------------------------------

    def request_executors(self, limit: int) -> None:
        """Set how many executors are wanted in all (dynamic allocation, spec 10.4). A lower number kills no executor."""
        self.call(RequestExecutors(request=0, app_id=self._app_id, executor_limit=limit))

    def kill_executors(self, executor_ids: Iterable[int]) -> None:
        """Kill executors. The master replaces them unless ``request_executors`` lowered the number first."""
        self.call(KillExecutors(request=0, app_id=self._app_id, executor_ids=tuple(executor_ids)))

    def call(self, question: Message, timeout: float = ANSWER_WITHIN) -> Message:
        """Send a message of the protocol to the leading master, again after a fail-over; return the answer. Its ``request``
        number is filled in.

        Raises Refused or NotAuthorized with the master's reason, and Unreachable without an answer in ``timeout`` seconds.
        """
        answer: Future[Message] = Future()

        def then(message: Message) -> bool:
            answer.set_result(message)
            return True

        exchange = self.ask(question, then)
        try:
            message = answer.result(timeout)
        except FutureTimeout:
            self.forget(exchange)
            raise Unreachable(f"no answer of the master to {type(question).__name__} in {timeout:g} s") from None
        if isinstance(message, Failed):
            raise (NotAuthorized if message.code == "not-authorized" else Refused)(message.reason)
        return message

    def ask(
        self, question: Message, then: Then, *, on_lost: Callable[[], None] | None = None, prompt: bool = True
    ) -> Exchange:
        """Send a message without waiting: ``then`` is called with each answer in the background thread; it must not block,
        and returns whether that answer was the last. Raises Refused when the application is not running."""
        if self._thread is None or self._over:
            raise Refused("the application is not running")
        exchange = Exchange(question, then, on_lost, prompt)

        def begin() -> None:
            exchange.number = self._core.call(question, time.monotonic(), repeat=on_lost is None, prompt=prompt)
            self._exchanges[exchange.number] = exchange

        self._in_loop(begin)
        return exchange

    def forget(self, exchange: Exchange) -> None:
        """Ignore further answers to what ``ask`` sent."""
        self._in_loop(lambda: self._end_exchange(exchange.number))

    def _end_exchange(self, number: int) -> None:
        self._core.forget(number)
        self._exchanges.pop(number, None)

    # --- the background thread ---------------------------------------------------------------------------------------

    def _in_loop(self, fn: Callable[[], None]) -> None:
        # A closed loop takes no calls: the application has ended.
        with self._changed:
            if not self._over:
                self._loop.call_soon_threadsafe(fn)

    def _run(self) -> None:
        try:
            self._loop.run(self._round)
        except Exception as error:
            log.debug("the application's connection failed", exc_info=True)
            with self._changed:
                self._error = StokerError(f"internal error in the application's connection: {error!r}")
            self._tell(Stopped())
        finally:
            self._answer_the_rest()
            self._links.close()
            self._loop.close()

    def _answer_the_rest(self) -> None:
        with self._changed:
            self._over = True
            exchanges, self._exchanges = self._exchanges, {}
            self._changed.notify_all()
        for number, exchange in exchanges.items():
            exchange.then(Failed(request=number, reason="the application has ended"))

    def _round(self) -> float | None:
        now = time.monotonic()
        for event in self._links.drain():
            self._core.handle(event, now)
        self._core.tick(now)
        while effects := self._core.take_effects():
            self._publish()
            for effect in effects:
                self._perform(effect)
        if self._core.phase is Phase.OVER:
            self._loop.stop()
        deadline = now if self._links.has_news else self._core.next_deadline()
        return None if deadline == NEVER else deadline

    def _perform(self, effect: ApplicationEffect) -> None:
        if isinstance(effect, Send):
            self._links.send(effect.address, effect.message)
        elif isinstance(effect, Connect):
            self._links.connect(effect.address)
        elif isinstance(effect, Disconnect):
            self._links.disconnect(effect.address)
        elif isinstance(effect, Answered):
            self._pass_on(effect)
        elif isinstance(effect, Lost):
            exchange = self._exchanges.pop(effect.request, None)
            if exchange is not None and exchange.on_lost is not None:
                exchange.on_lost()
        elif isinstance(effect, Note):
            log.info("%s", effect.text)
        else:
            self._tell(effect)

    def _pass_on(self, effect: Answered) -> None:
        exchange = self._exchanges.get(effect.request)
        if exchange is None:
            return
        if exchange.then(effect.message):
            self._end_exchange(exchange.number)
        else:
            self._core.replace(exchange.number, exchange.message)

    def _publish(self) -> None:
        """Before the listeners: whoever asks because of an event must find its result."""
        with self._changed:
            self._executors = self._core.executors.all()
            self._complaints = self._core.why_not_registered

    def _tell(self, event: ApplicationEvent) -> None:
        with self._changed:
            if isinstance(event, Registered):
                self._app_id, self._master_url = event.app_id, event.master_url
            elif isinstance(event, Removed):
                self._app_id, self._removed = self._core.app_id, event
            elif isinstance(event, GaveUp):
                self._error = _ERRORS[event.kind](event.reason)
            self._changed.notify_all()
            listeners = tuple(self._listeners)
        for listener in listeners:
            try:
                listener(event)
            except Exception:
                log.exception("a listener of the application failed")


def _addresses(masters: str | Sequence[str]) -> tuple[str, ...]:
    if not isinstance(masters, str):
        return tuple(masters)
    return parse_master_url(masters)


def _until_over(incoming: queue.SimpleQueue[ApplicationEvent]) -> Iterator[ApplicationEvent]:
    while True:
        event = incoming.get()
        yield event
        if isinstance(event, (GaveUp, Stopped)):
            return
