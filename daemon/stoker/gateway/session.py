"""One connection of a Spark client, as a state machine: turns its frames into messages to the master, and the answers back.

One connected SparkContext is one application, registered by the same core messages as any other. As on Spark's master, the
answers go back on the connection of the request; so the master need not reach the driver. No I/O here: the shell is
``gateway.connection``.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

from stoker.core.model import messages as m
from stoker.core.model.addresses import address_of, bracketed
from stoker.core.model.states import ApplicationState, DriverState, ExecutorState
from stoker.core.model.values import NO_SHUFFLE_SERVICE, ApplicationDescription
from stoker.gateway import replies, requests
from stoker.gateway.java_stream import JavaObject, JavaStreamError, parse
from stoker.gateway.primitives import Method
from stoker.gateway.releases import Release, UnknownRelease, by_name, message_name, recognise
from stoker.gateway.replies import Replies
from stoker.gateway.spark_rpc import (
    Address,
    Envelope,
    Frame,
    Kind,
    RpcError,
    failure,
    frame,
    open_envelope,
    seal_envelope,
)

_MOST_ASKED = 1000  # requests of one connection that wait for an answer


@dataclass(frozen=True, slots=True)
class Returning:
    """An application of an earlier master. Its driver is asked on this connection to follow this master."""

    app_id: str
    app: ApplicationDescription
    principal: str = ""  # whose it is; "": nobody's, or unknown


class PeerSession:
    """``send`` takes bytes for the client, ``post`` a message for the master, ``log`` the kind of a warning and its text;
    ``close`` closes the connection.

    ``token`` identifies the application before it has an id, so that a repeated registration makes no second one.
    """

    def __init__(
        self,
        *,
        token: str,
        master: Address,
        send: Callable[[bytes], None],
        post: Callable[[m.Message], None],
        log: Callable[[str, str], object],
        close: Callable[[], None],
    ) -> None:
        self.app_id = ""
        self.auth: Method = ""  # how the client authenticated (``Guard.method``)
        self.has_own_secret = False  # it proved one with a name, which its jobs get with the order to start
        self._token = token
        self._master = master  # as this client names it
        self._send, self._post, self._log, self._close = send, post, log, close
        self._returning: Returning | None = None  # the application that this client was asked to go on as
        self._release: Release | None = None
        self._refusal = ""  # of a client whose messages cannot be answered
        self._barred = ""  # why a client that can be answered is rejected
        self._is_leaving = False
        self._is_superseded = False
        self._registration: m.RegisterApplication | None = None  # the last one
        self._waits_for_id = False  # it registered, and has no answer yet
        self._numbers = itertools.count(1)
        self._asked: dict[int, tuple[int, str]] = {}  # our request -> (the client's, what it asked)
        self._host_of: dict[int, str] = {}  # executor -> its worker's host

    def bar(self, reason: str) -> None:
        """Reject whatever this client asks for. A driver that registers receives the reason, and stops."""
        self._barred = reason

    # --- from the client ---

    def received(self, incoming: Frame) -> None:
        """Handle a frame. Raises RpcError when the connection must be closed."""
        if incoming.kind in (Kind.RPC_RESPONSE, Kind.RPC_FAILURE):
            return  # this side asks nothing
        envelope = open_envelope(incoming.body)
        if envelope.receiver is not None:
            self._master = envelope.receiver
        try:
            message = parse(envelope.payload)
        except JavaStreamError as error:
            raise RpcError(f"a message is malformed: {error}") from None
        if not isinstance(message, JavaObject):
            raise RpcError("a message is not an object")
        try:
            self._handle(incoming, envelope.endpoint, message)
        except (JavaStreamError, ValueError) as error:
            name = message_name(message) or message.name[:80]
            self._log(f"rejected {name}", f"rejected {name}: {error}")
            self._reject(incoming, message, str(error))
        except UnknownRelease as error:
            self._refusal = str(error)  # sent again when it verifies this endpoint: that reaches its log
            self._log("release", self._refusal)
            if incoming.kind is Kind.RPC_REQUEST:
                self._send(failure(incoming.request, self._refusal))

    def _reject(self, incoming: Frame, message: JavaObject, reason: str) -> None:
        """Answer a request that is not granted. Spark's old client only logs a failure, and waits; a negative response ends
        it."""
        name = message_name(message)
        if incoming.kind is not Kind.RPC_REQUEST:
            if name == "RegisterApplication":
                self._remove(reason)
        elif self._release is not None and name == "RequestSubmitDriver":
            self._answer(incoming.request, self._replies.submit_driver_response("", reason))
        elif self._release is not None and name == "RequestKillDriver":
            driver_id = str(message.fields.get("driverId"))[:80]
            self._answer(incoming.request, self._replies.kill_driver_response(driver_id, False, reason))
        else:
            self._send(failure(incoming.request, reason))

    def _handle(self, incoming: Frame, endpoint: str, message: JavaObject) -> None:
        if endpoint == "endpoint-verifier":
            self._verify(incoming, message)
            return
        if endpoint != "Master":
            raise ValueError(f"unknown endpoint {endpoint[:80]!r}")
        name = message_name(message)
        handler = _HANDLERS.get(name)
        if handler is None:
            raise ValueError(f"this master does not support {name or message.name[:80]!r}")
        if self._barred:
            self._release = recognise(message)
            raise ValueError(self._barred)
        handler(self, incoming, message)

    def _verify(self, incoming: Frame, message: JavaObject) -> None:
        if self._refusal:
            self._send(failure(incoming.request, self._refusal))
        else:
            self._answer(incoming.request, replies.boolean(message.fields.get("name") == "Master"))

    def _register(self, incoming: Frame, message: JavaObject) -> None:
        self._release = recognise(message)
        app = requests.application(message, self._release, auth=self.auth)
        self._registration = m.RegisterApplication(request=next(self._numbers), token=self._token, app=app)
        self._waits_for_id = True
        if self._returning is not None:
            self._go_on(self._returning)
        else:
            self._post(self._registration)

    def _came_back(self, incoming: Frame, message: JavaObject) -> None:
        """Accept that the driver follows this master. Only the application that was asked to on this connection may."""
        if self._returning is None:
            raise ValueError("this connection's application was not asked to follow this master")
        if self._is_superseded:
            return
        named = message.fields.get("appId")
        if named is None and self._registration is None:
            return  # its registration was never answered: it registers again, and is asked on that connection
        if named is None or requests.app_id(message) == self._returning.app_id:
            self._go_on(self._returning)
        else:
            self._disown(self._returning, requests.app_id(message))

    def _go_on(self, returning: Returning) -> None:
        number = next(self._numbers)
        self._post(m.RegisterApplication(request=number, token=self._token, app=returning.app, app_id=returning.app_id))

    def _disown(self, returning: Returning, other: str) -> None:
        """End the recorded application: the driver at its address belongs to another one, and recovery must not wait."""
        self._is_superseded = True
        self._go_on(returning)
        reason = f"its driver's address belongs to {other[:80]}"
        number = next(self._numbers)
        end = m.UnregisterApplication(
            request=number, app_id=returning.app_id, state=ApplicationState.FAILED, reason=reason
        )
        self._post(end)

    def _unregister(self, incoming: Frame, message: JavaObject) -> None:
        self._is_leaving = True  # its endpoint is closed: further messages would only fill its log with errors
        self._post(m.UnregisterApplication(request=next(self._numbers), app_id=requests.app_id(message)))

    def _request_executors(self, incoming: Frame, message: JavaObject) -> None:
        app_id = requests.app_id(message)
        app = self._application()
        if app is None:
            raise ValueError(f"{app_id[:80]!r} is not registered on this connection")
        try:
            wanted, profiles = requests.executors_wanted(message, app)
        except requests.CannotRun as error:
            self._answer(incoming.request, replies.boolean(False))
            self._give_up(app_id, str(error))
            return
        number = self._ask(incoming, "executors")
        self._post(m.RequestExecutors(request=number, app_id=app_id, executor_limit=wanted, profiles=profiles))

    def _application(self) -> ApplicationDescription | None:
        if self._registration is not None:
            return self._registration.app
        return self._returning.app if self._returning is not None else None

    def _give_up(self, app_id: str, reason: str) -> None:
        """End an application that cannot go on; its driver receives the reason, and stops."""
        if app_id == self.app_id:
            number = next(self._numbers)
            end = m.UnregisterApplication(request=number, app_id=app_id, state=ApplicationState.FAILED, reason=reason)
            self._post(end)
            self._remove(reason)

    def _kill_executors(self, incoming: Frame, message: JavaObject) -> None:
        ids, app_id = requests.executor_ids(message), requests.app_id(message)
        self._post(m.KillExecutors(request=self._ask(incoming, "executors"), app_id=app_id, executor_ids=ids))

    def _submit(self, incoming: Frame, message: JavaObject) -> None:
        self._release = recognise(message)
        driver = requests.driver(message, self._release)
        if self.has_own_secret:
            driver = requests.without_secret(driver)
        number = self._ask(incoming, "submit")
        self._post(m.SubmitDriver(request=number, token=f"{self._token}/{incoming.request}", driver=driver))

    def _kill_driver(self, incoming: Frame, message: JavaObject) -> None:
        self._release = recognise(message)
        driver_id = requests.driver_id(message)
        self._post(m.KillJob(request=self._ask(incoming, f"kill {driver_id}"), id=driver_id))

    def _driver_status(self, incoming: Frame, message: JavaObject) -> None:
        self._release = self._release or recognise(message)
        self._post(m.GetStatus(request=self._ask(incoming, "status"), id=requests.driver_id(message)))

    def _ask(self, incoming: Frame, what: str) -> int:
        if len(self._asked) >= _MOST_ASKED:
            raise ValueError(f"more than {_MOST_ASKED} requests wait for an answer")
        number = next(self._numbers)
        self._asked[number] = (incoming.request, what)
        return number

    # --- from the master ---

    def deliver(self, message: m.Message) -> None:
        """Send a message of the master to this client."""
        if self._is_superseded and isinstance(message, (m.RegisteredApplication, m.ApplicationRemoved)):
            return
        if isinstance(message, m.RegisteredApplication):
            self._registered(message)
        elif isinstance(message, m.ExecutorAdded):
            self._executor_added(message)
        elif isinstance(message, m.ExecutorUpdated):
            self._executor_updated(message)
        elif isinstance(message, m.Reconnect):  # this master was a standby, and leads now
            if self._registration is not None and self._waits_for_id and self._returning is None:
                self._post(self._registration)
        elif isinstance(message, m.ApplicationRemoved):
            self._remove(message.reason or f"the application is {message.state.value}")
        else:
            self._answered(message)

    def is_driver_of(self, app: ApplicationDescription) -> bool:
        """Return whether this client registered that application, with any master."""
        return self._registration is not None and self._registration.app.has_driver_of(app)

    def invite(self, returning: Returning, webui_url: str) -> None:
        """Notify the driver of that application that this master leads now. Raises UnknownRelease."""
        assert returning.app.spark is not None
        self._release = self._release or by_name(returning.app.spark.release)
        if self._registration is not None and self._returning == returning:
            return
        self._returning = returning
        self._tell(self._replies.master_changed(webui_url))

    def supersede(self, app_id: str) -> None:
        """Ignore answers for that application: its driver is asked on another connection."""
        self._is_superseded = self._returning is not None and self._returning.app_id == app_id

    def _registered(self, message: m.RegisteredApplication) -> None:
        self.app_id = message.app_id
        if self._waits_for_id:
            self._tell(self._replies.registered_application(message.app_id))
        self._waits_for_id = False

    def _executor_added(self, message: m.ExecutorAdded) -> None:
        self._host_of[message.executor_id] = bracketed(message.host)
        host_port = address_of(message.host, message.worker_id.rpartition("-")[2])
        self._tell(
            self._replies.executor_added(
                message.executor_id, message.worker_id, host_port, message.cores, message.memory_mib
            )
        )

    def _executor_updated(self, message: m.ExecutorUpdated) -> None:
        host = self._host_of.get(message.executor_id, "") if message.worker_lost else ""
        status = message.exit.status
        self._tell(
            self._replies.executor_updated(
                message.executor_id, ExecutorState(message.state), message.exit.reason, status, host
            )
        )
        if message.state.is_final:
            self._host_of.pop(message.executor_id, None)
        if message.exit.reason == NO_SHUFFLE_SERVICE:  # these executors run too long to count as a crash loop
            self._give_up(message.app_id, message.exit.reason)

    def _remove(self, reason: str) -> None:
        if self._release is not None:
            self._tell(self._replies.application_removed(reason))
        self.app_id = ""
        self._close()

    def _answered(self, message: m.Message) -> None:
        request, what = self._asked.pop(getattr(message, "request", 0), (0, ""))
        if what == "executors":
            self._answer(request, replies.boolean(isinstance(message, m.Accepted)))
        elif what == "submit":
            self._submitted(request, message)
        elif what == "status":
            self._status(request, message)
        elif what:
            driver_id = what.partition(" ")[2]
            text = message.reason if isinstance(message, m.Failed) else getattr(message, "text", "")
            done = isinstance(message, m.Accepted)
            self._answer(request, self._replies.kill_driver_response(driver_id, done, text))
        elif isinstance(message, m.Failed) and message.code != "not-leader":  # a standby does not answer, as in Spark
            self._remove(message.reason)

    def _submitted(self, request: int, message: m.Message) -> None:
        if isinstance(message, m.Submitted):
            self._answer(request, self._replies.submit_driver_response(message.driver_id, message.text))
        else:
            reason = message.reason if isinstance(message, m.Failed) else "the master rejected the driver"
            self._answer(request, self._replies.submit_driver_response("", reason))

    def _status(self, request: int, message: m.Message) -> None:
        driver = message.driver if isinstance(message, m.Status) else None
        state = None if driver is None else DriverState(driver.state)
        worker = "" if driver is None else driver.worker_id
        host_port = address_of(driver.worker_host, worker.rpartition("-")[2]) if driver is not None and worker else ""
        self._answer(request, self._replies.driver_status_response(state, worker, host_port))

    # --- bytes ---

    @property
    def _replies(self) -> Replies:
        assert self._release is not None, "an answer to a client that sent no request"
        return Replies(self._release, self._master)

    def _answer(self, request: int, payload: bytes) -> None:
        self._send(frame(Kind.RPC_RESPONSE, payload, request))

    def _tell(self, payload: bytes) -> None:
        """Send to the application's endpoint, one way."""
        if not self._is_leaving:
            self._send(frame(Kind.ONE_WAY, seal_envelope(Envelope(self._master, None, "AppClient", payload))))


_HANDLERS: dict[str, Callable[[PeerSession, Frame, JavaObject], None]] = {
    "RegisterApplication": PeerSession._register,
    "MasterChangeAcknowledged": PeerSession._came_back,
    "UnregisterApplication": PeerSession._unregister,
    "RequestExecutors": PeerSession._request_executors,
    "KillExecutors": PeerSession._kill_executors,
    "RequestSubmitDriver": PeerSession._submit,
    "RequestKillDriver": PeerSession._kill_driver,
    "RequestDriverStatus": PeerSession._driver_status,
}
