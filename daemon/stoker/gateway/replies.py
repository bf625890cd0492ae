"""A master's messages to a Spark client, as Java streams (spec/spark-rpc "Messages", "Out")."""

from __future__ import annotations

from stoker.core.model.addresses import address_of
from stoker.core.model.states import DriverState, ExecutorState
from stoker.gateway.java_writer import ClassOf, ClassSpec, Constant, New, Writable, write
from stoker.gateway.releases import RELEASES, Release
from stoker.gateway.spark_rpc import Address

_STRING, _OPTION = "Ljava/lang/String;", "Lscala/Option;"
_REF = "Lorg/apache/spark/rpc/RpcEndpointRef;"
_VALUE = "Lscala/Enumeration$Value;"

_OPTION_CLASS = ClassSpec("scala.Option", -114498752079829388)
_SOME = ClassSpec("scala.Some", 1234815782226070388, (("Ljava/lang/Object;", "value"),), _OPTION_CLASS)
_NONE = ClassSpec("scala.None$", 5066590221178148012, (), _OPTION_CLASS)
_MODULE_PROXY = ClassSpec("scala.runtime.ModuleSerializationProxy", 1, (("Ljava/lang/Class;", "moduleClass"),))
_NUMBER = ClassSpec("java.lang.Number", -8742448824652078965)
_INTEGER = ClassSpec("java.lang.Integer", 1360826667806852920, (("I", "value"),), _NUMBER)
_BOOLEAN = ClassSpec("java.lang.Boolean", -3665804199014368530, (("Z", "value"),))
_ENUMERATION = ClassSpec("scala.Enumeration", 8476000850333817230)
_ENUM_VALUE = ClassSpec("scala.Enumeration$Value", 7091335633555234129, (
    ("Lscala/Enumeration;", "$outer"), ("Lscala/Enumeration;", "scala$Enumeration$$outerEnum"),
))  # fmt: skip
_ENUM_VAL = ClassSpec("scala.Enumeration$Val", -3501153230598116017, (("I", "i"), (_STRING, "name")), _ENUM_VALUE)

# The order in which Spark declares them, which numbers them.
_EXECUTOR_STATES = ("LAUNCHING", "RUNNING", "KILLED", "FAILED", "LOST", "EXITED", "DECOMMISSIONED")
_DRIVER_STATES = ("SUBMITTED", "RUNNING", "FINISHED", "RELAUNCHING", "UNKNOWN", "KILLED", "FAILED", "ERROR")


def boolean(value: bool) -> bytes:
    """Return the answer True or False, which is the same in all releases."""
    return write(New(_BOOLEAN, {"value": value}))


def removals(reason: str) -> list[bytes]:
    """Return ``ApplicationRemoved`` for a driver of unknown release, as each release writes it, the newest first. A driver
    logs an error for one that is another release's."""
    nowhere = Address("", 0)  # the message names no master
    return list(dict.fromkeys(Replies(each, nowhere).application_removed(reason) for each in reversed(RELEASES)))


class Replies:
    """The messages for clients of one release. ``master``: this master's address, as the client names it."""

    def __init__(self, release: Release, master: Address) -> None:
        self._release = release
        self._master = master

    def registered_application(self, app_id: str) -> bytes:
        fields = ((_STRING, "appId"), (_REF, "master"))
        return self._message("RegisteredApplication", fields, {"appId": app_id, "master": self._master_ref()})

    def master_changed(self, webui_url: str) -> bytes:
        fields = ((_REF, "master"), (_STRING, "masterWebUiUrl"))
        return self._message("MasterChanged", fields, {"master": self._master_ref(), "masterWebUiUrl": webui_url})

    def application_removed(self, message: str) -> bytes:
        return self._message("ApplicationRemoved", ((_STRING, "message"),), {"message": message})

    def executor_added(self, number: int, worker_id: str, host_port: str, cores: int, memory_mib: int) -> bytes:
        fields = (("I", "cores"), ("I", "id"), ("I", "memory"), (_STRING, "hostPort"), (_STRING, "workerId"))
        values: dict[str, Writable] = {
            "cores": cores, "id": number, "memory": memory_mib, "hostPort": host_port, "workerId": worker_id,
        }  # fmt: skip
        return self._message("ExecutorAdded", fields, values)

    def executor_updated(
        self, number: int, state: ExecutorState, message: str, status: int | None, worker_host: str
    ) -> bytes:
        fields = (
            ("I", "id"), (_OPTION, "exitStatus"), (_OPTION, "message"), (_VALUE, "state"), (_OPTION, "workerHost"),
        )  # fmt: skip
        values: dict[str, Writable] = {
            "id": number,
            "exitStatus": self._option(None if status is None else New(_INTEGER, {"value": status})),
            "message": self._option(message or None),
            "state": self._enum("org.apache.spark.deploy.ExecutorState$", _EXECUTOR_STATES, state.value),
            "workerHost": self._option(worker_host or None),
        }
        return self._message("ExecutorUpdated", fields, values)

    def submit_driver_response(self, driver_id: str, message: str) -> bytes:
        """``driver_id``: empty when the driver was rejected."""
        fields = (("Z", "success"), (_OPTION, "driverId"), (_REF, "master"), (_STRING, "message"))
        values: dict[str, Writable] = {
            "success": bool(driver_id),
            "driverId": self._option(driver_id or None),
            "master": self._master_ref(),
            "message": message,
        }
        return self._message("SubmitDriverResponse", fields, values)

    def kill_driver_response(self, driver_id: str, success: bool, message: str) -> bytes:
        fields = (("Z", "success"), (_STRING, "driverId"), (_REF, "master"), (_STRING, "message"))
        values: dict[str, Writable] = {
            "success": success, "driverId": driver_id, "master": self._master_ref(), "message": message,
        }  # fmt: skip
        return self._message("KillDriverResponse", fields, values)

    def driver_status_response(self, state: DriverState | None, worker_id: str, worker_host_port: str) -> bytes:
        """``state`` None: the driver is unknown."""
        fields = (
            ("Z", "found"), (_OPTION, "exception"), (_OPTION, "state"), (_OPTION, "workerHostPort"), (_OPTION, "workerId"),
        )  # fmt: skip
        name = "org.apache.spark.deploy.master.DriverState$"
        values: dict[str, Writable] = {
            "found": state is not None,
            "exception": self._option(None),
            "state": self._option(None if state is None else self._enum(name, _DRIVER_STATES, state.value)),
            "workerHostPort": self._option(worker_host_port or None),
            "workerId": self._option(worker_id or None),
        }
        return self._message("DriverStatusResponse", fields, values)

    def _message(self, name: str, fields: tuple[tuple[str, str], ...], values: dict[str, Writable]) -> bytes:
        return write(New(ClassSpec(*self._release.message(name), fields), values))

    def _enum(self, name: str, order: tuple[str, ...], state: str) -> New:
        # A Scala singleton: it has no fields, and its readResolve finds the real one.
        outer = New(ClassSpec(*self._release.other(name), (), _ENUMERATION), {})
        values: dict[str, Writable] = {
            "i": order.index(state), "name": None, "$outer": outer, "scala$Enumeration$$outerEnum": outer,
        }  # fmt: skip
        return New(_ENUM_VAL, values)

    def _option(self, value: Writable) -> New:
        if value is not None:
            return New(_SOME, {"value": value})
        if self._release.dialect.has_module_proxies:
            return New(_MODULE_PROXY, {"moduleClass": ClassOf(_NONE)})
        return New(_NONE, {})

    def _master_ref(self) -> New:
        """Return a ``NettyRpcEndpointRef`` to this master's endpoint, with Spark's default time-out for asking."""
        spec, host, port = self._release.other, self._master.host, self._master.port
        duration = ClassSpec(*spec("scala.concurrent.duration.Duration"))
        finite = ClassSpec(
            *spec("scala.concurrent.duration.FiniteDuration"),
            (("J", "length"), ("Ljava/util/concurrent/TimeUnit;", "unit")),
            duration,
        )
        timeout = ClassSpec(
            *spec("org.apache.spark.rpc.RpcTimeout"),
            (("Lscala/concurrent/duration/FiniteDuration;", "duration"), (_STRING, "timeoutProp")),
        )
        rpc_address = ClassSpec(*spec("org.apache.spark.rpc.RpcAddress"), (("I", "port"), (_STRING, "host")))
        endpoint_address = ClassSpec(
            *spec("org.apache.spark.rpc.RpcEndpointAddress"),
            ((_STRING, "name"), ("Lorg/apache/spark/rpc/RpcAddress;", "rpcAddress"), (_STRING, "toString")),
        )
        ref = ClassSpec(
            "org.apache.spark.rpc.RpcEndpointRef",
            self._release.endpoint_ref,
            (("Lorg/apache/spark/rpc/RpcTimeout;", "defaultAskTimeout"),),
        )
        netty_ref = ClassSpec(
            "org.apache.spark.rpc.netty.NettyRpcEndpointRef",
            -6548222484686823432,
            (("Lorg/apache/spark/rpc/RpcEndpointAddress;", "endpointAddress"),),
            ref,
            writes=True,
        )
        seconds = New(finite, {"length": 120, "unit": Constant("java.util.concurrent.TimeUnit", "SECONDS")})
        where: dict[str, Writable] = {
            "name": "Master",
            "rpcAddress": New(rpc_address, {"port": port, "host": host}),
            "toString": f"spark://Master@{address_of(host, port)}",
        }
        values: dict[str, Writable] = {
            "defaultAskTimeout": New(timeout, {"duration": seconds, "timeoutProp": "spark.rpc.askTimeout"}),
            "endpointAddress": New(endpoint_address, where),
        }
        return New(netty_ref, values)
