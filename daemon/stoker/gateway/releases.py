"""What differs between Spark's releases on the wire: the serialVersionUIDs of the classes a master sends.

A client is recognised by the UIDs in its own messages. To add a release: ``serialver -classpath 'jars/*' CLASS`` for
each class below, with its ``jars`` folder; where nothing has changed but ``RpcEndpointRef`` or ``ResourceProfile``, one
line in ``RELEASES`` is all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stoker.gateway.java_stream import JavaClass, JavaEnum, JavaObject, Value

_PREFIX = "org.apache.spark.deploy.DeployMessages$"


class UnknownRelease(Exception):
    """A client of a Spark release that is not listed here; one line says so."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """UIDs that releases with the same Scala version share, by class name."""

    messages: dict[str, int]  # without the prefix
    others: dict[str, int]
    has_module_proxies: bool  # a Scala singleton is written as a proxy that names it


@dataclass(frozen=True, slots=True)
class Release:
    """``versions``: the Spark versions (MAJOR.MINOR) whose messages have the same UIDs, newest first. ``options``: for a
    version, a Java option that only this one of them gives to every executor (JavaModuleOptions of Spark's launcher)."""

    versions: tuple[str, ...]
    dialect: Dialect
    endpoint_ref: int  # UID of RpcEndpointRef
    resource_profile: int
    options: tuple[tuple[str, str], ...] = ()

    def version_by(self, java_options: Sequence[str]) -> str:
        """Return ``4.1``, or ``4.2|4.1`` when the options do not decide."""
        told = {version for version, option in self.options if option in java_options}
        return told.pop() if len(told) == 1 else self.name

    @property
    def name(self) -> str:
        return "|".join(self.versions)

    def message(self, name: str) -> tuple[str, int]:
        return _PREFIX + name, self.dialect.messages[name]

    def other(self, name: str) -> tuple[str, int]:
        return name, self.dialect.others[name]


_SCALA_2_12 = Dialect(
    messages={
        "RegisterApplication": -5495080032843259921,
        "RequestSubmitDriver": 2086705296795265444,
        "RequestKillDriver": 7763132472584695338,
        "RequestDriverStatus": -5846948205890614879,
        "RegisteredApplication": 5278639749174223007,
        "ExecutorAdded": -5916818324565015877,
        "ExecutorUpdated": -1971851081955655249,
        "MasterChanged": 3319114490576369105,
        "ApplicationRemoved": -2193879537607548452,
        "SubmitDriverResponse": -80670711167889761,
        "KillDriverResponse": -5685580032327227420,
        "DriverStatusResponse": -3465802222189996071,
    },
    others={
        "org.apache.spark.deploy.ExecutorState$": -5815532128903053669,
        "org.apache.spark.deploy.master.DriverState$": -9100895842830691601,
        "org.apache.spark.rpc.RpcEndpointAddress": 1385258399957075293,
        "org.apache.spark.rpc.RpcAddress": -1438326888747922488,
        "org.apache.spark.rpc.RpcTimeout": -5367083702551883755,
        "scala.concurrent.duration.FiniteDuration": -4594686286536372853,
        "scala.concurrent.duration.Duration": -7521802526148376080,
    },
    has_module_proxies=False,
)
_SCALA_2_13 = Dialect(
    messages={
        "RegisterApplication": 1314361325537467148,
        "RequestSubmitDriver": -4723813690162202536,
        "RequestKillDriver": -6009959939375207245,
        "RequestDriverStatus": -1863272440264723007,
        "RegisteredApplication": -6901749326309445091,
        "ExecutorAdded": -249263137093654894,
        "ExecutorUpdated": 7366624812085443383,
        "MasterChanged": 425198687439047197,
        "ApplicationRemoved": -551990914494718686,
        "SubmitDriverResponse": 1264692137852214334,
        "KillDriverResponse": 7353456796753276811,
        "DriverStatusResponse": -4025416254008241436,
    },
    others={
        "org.apache.spark.deploy.ExecutorState$": -8560923695513481875,
        "org.apache.spark.deploy.master.DriverState$": -1220316901146488549,
        "org.apache.spark.rpc.RpcEndpointAddress": -6990208951077329198,
        "org.apache.spark.rpc.RpcAddress": 3128407972965539268,
        "org.apache.spark.rpc.RpcTimeout": 1743659210666371498,
        "scala.concurrent.duration.FiniteDuration": -6513803676778706429,
        "scala.concurrent.duration.Duration": -3406587990610982771,
    },
    has_module_proxies=True,
)
RELEASES = (
    Release(("3.5",), _SCALA_2_12, -2184441956866814275, 6817910790482746242),
    Release(("4.0",), _SCALA_2_13, 3898290494905438830, -6369593179083993645),
    Release(
        ("4.2", "4.1"),
        _SCALA_2_13,
        -6062078299962416402,
        -2517983430696660228,
        (("4.1", "-Djdk.reflect.useDirectMethodHandle=false"), ("4.2", "--sun-misc-unsafe-memory-access=allow")),
    ),
    Release(("4.3",), _SCALA_2_13, -6062078299962416402, -1872747411836192885),
)
_REQUESTS = ("RegisterApplication", "RequestSubmitDriver", "RequestKillDriver", "RequestDriverStatus")


def message_name(value: Value) -> str:
    """Return ``RegisterApplication`` and the like; empty when it is not a message to a master."""
    name = value.name if isinstance(value, JavaObject) else ""
    return name.removeprefix(_PREFIX) if name.startswith(_PREFIX) else ""


def by_name(name: str) -> Release:
    """Return the release that a record names. Raises UnknownRelease."""
    for release in RELEASES:
        if name in (release.name, *release.versions):
            return release
    raise UnknownRelease(f"this master does not support Spark {name}")


def recognise(message: JavaObject) -> Release:
    """Return the release of the client that sent this; of several that fit, the newest. Raises UnknownRelease."""
    name = message_name(message)
    seen = _uids(message)
    fitting = [
        release
        for release in RELEASES
        if name not in _REQUESTS or release.dialect.messages[name] == message.cls.uid
        if seen.get("org.apache.spark.rpc.RpcEndpointRef", release.endpoint_ref) == release.endpoint_ref
        if seen.get("org.apache.spark.resource.ResourceProfile", release.resource_profile) == release.resource_profile
    ]
    if not fitting:
        known = ", ".join(version for release in RELEASES for version in sorted(release.versions))
        uids = ", ".join(f"{cls.rpartition('.')[2]} {uid}" for cls, uid in sorted({message.name: message.cls.uid, **{
            cls: seen[cls] for cls in _TELLING if cls in seen}}.items()))  # fmt: skip
        raise UnknownRelease(f"this master supports Spark {known}; the client is an unknown release ({uids})")
    return fitting[-1]


_TELLING = ("org.apache.spark.rpc.RpcEndpointRef", "org.apache.spark.resource.ResourceProfile")


def _uids(value: Value) -> dict[str, int]:
    """Return the UID of every class of the objects in a message."""
    classes: dict[int, JavaClass] = {}
    seen: set[int] = set()
    waiting: list[Value] = [value]
    while waiting:
        item = waiting.pop()
        if item is None or isinstance(item, (str, bytes, int, float)) or id(item) in seen:
            continue
        seen.add(id(item))
        if isinstance(item, list):
            waiting.extend(item)
        elif isinstance(item, JavaObject):
            classes[id(item.cls)] = item.cls
            waiting.extend(item.fields.values())
            waiting.extend(item.extra)
        else:
            cls = item.cls if isinstance(item, JavaEnum) else item
            assert isinstance(cls, JavaClass)
            classes[id(cls)] = cls
    return {above.name: above.uid for cls in classes.values() for above in cls.lineage}
