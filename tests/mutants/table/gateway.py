"""Bugs in the gateway for unmodified Spark applications."""

from __future__ import annotations

from tests.mutants.plant import Mutant

_STREAM = "daemon/stoker/gateway/java_stream.py"
_SESSION = "daemon/stoker/gateway/session.py"
_STREAMS = ("tests/unit/gateway/test_java_stream.py",)
_SESSIONS = ("tests/unit/gateway/test_session.py",)
_AUTH = ("tests/unit/gateway/test_auth.py",)

MUTANTS = (
    Mutant("a frame may be of any length", "daemon/stoker/gateway/spark_rpc.py",
           "if not _LENGTH.size < length <= self.limit:", "if not _LENGTH.size < length:",
           ("tests/unit/gateway/test_spark_rpc.py",)),
    Mutant("objects are nested without a bound", _STREAM,
           "        if depth > MAX_DEPTH:\n            raise JavaStreamError(f\"obj",
           "        if depth < 0:\n            raise JavaStreamError(f\"obj", _STREAMS),
    Mutant("a stream holds any number of objects", _STREAM, "if self._steps_left < 0:", "if steps < 0:", _STREAMS),
    Mutant("a stream holds any number of classes", _STREAM, "if self._classes_left < 0:", "if depth < 0:", _STREAMS),
    Mutant("a class may be its own parent", _STREAM, "            if not cls.lineage:\n", "            if not cls:\n",
           _STREAMS),
    Mutant("one caller may use all the gateway's time", "daemon/stoker/gateway/budget.py",
           "+ seconds / SHARE", "+ 0 * seconds", ("tests/attack/test_gateway.py",)),
    Mutant("wrong secrets are not counted", "daemon/stoker/gateway/connection.py",
           "self._hub.throttle.failed(self.caller)", "self._hub.throttle.succeeded(self.caller)",
           ("tests/attack/test_gateway.py",)),
    Mutant("changed bytes of an encrypted message are accepted", "daemon/stoker/gateway/gcm.py",
           "        if header[0] != _HEADER:\n", "        if not header:\n", _AUTH),
    Mutant("an array is made before its elements are there", _STREAM,
           "if not 0 <= length <= len(self._data) - self.position:", "if length < 0:", _STREAMS),
    Mutant("a map of an unknown class is empty", "daemon/stoker/gateway/scala.py",
           '        raise _unknown("map", value)\n    return _nodes(tree)', "        return []\n    return _nodes(tree)",
           _STREAMS),
    Mutant("any secret is the right one, by SASL", "daemon/stoker/gateway/sasl.py",
           "if hmac.compare_digest(expected.encode(), given) and known", "if given and known", _AUTH),
    Mutant("a revoked Spark client keeps its connection", "daemon/stoker/gateway/server.py",
           "self._gateway.turn_out_revoked()", "pass", ("tests/attack/test_spark_secrets.py",)),
    Mutant("an executor gets the secret of another principal", "daemon/stoker/gateway/server.py",
           "known = self._terms.of(message.principal)", "known = self._terms.known[-1]",
           ("tests/attack/test_spark_secrets.py",)),
    Mutant("a driver is asked on the connection of another principal", "daemon/stoker/gateway/gateway.py",
           'and returning.principal in ("", connection.principal)', "", ("tests/attack/test_spark_secrets.py",)),
    Mutant("a file without names opens the gateway", "daemon/stoker/gateway/terms.py",
           "return bool(self.secret) or self.named is not None", "return bool(self.known)",
           ("tests/attack/test_spark_secrets.py",)),
    Mutant("a master that does not know the secret is believed", "daemon/stoker/gateway/sasl.py",
           'if not hmac.compare_digest(self._respond("").encode(), given.encode()):', "if not given:", _AUTH),
    Mutant("the versions of Spark's encryption are not told apart", "daemon/stoker/gateway/crypto.py",
           "if self._ctr(version).decrypt(first).startswith(PLAUSIBLE):", "if first:", _AUTH),
    Mutant("a driver is answered twice that it registered", _SESSION,
           "        if self._waits_for_id:\n            self._tell(", "        if self.app_id:\n            self._tell(",
           _SESSIONS),
    Mutant("anybody may take an application over", _SESSION,
           '        if self._returning is None:\n            raise ValueError("this connection\'s application was not asked'
           ' to follow this master")\n', "        if self._returning is None:\n            return\n", _SESSIONS),
    Mutant("what an older connection acknowledges counts", _SESSION,
           "        if self._is_superseded:\n            return\n        named", "        named", _SESSIONS),
    Mutant("a standby ends the applications that ask it", _SESSION, 'and message.code != "not-leader":', ":", _SESSIONS),
    Mutant("a Spark client has for ever to authenticate", "daemon/stoker/gateway/connection.py",
           "            self._restart_timer(_UNPROVEN, self.abort)\n", "            pass\n", ("tests/unit/gateway",)),
    Mutant("a Spark client that does not read is written to without a bound", "daemon/stoker/gateway/connection.py",
           "if self._transport.get_write_buffer_size() + len(data) > _MOST_UNREAD:", "if len(data) > _MOST_UNREAD:",
           ("tests/unit/gateway",)),
    Mutant("a Spark client that had to wait is never read again", "daemon/stoker/gateway/connection.py",
           "self._transport.resume_reading()", "pass", ("tests/unit/gateway",)),
    Mutant("a frame is taken before its last byte has come", "daemon/stoker/gateway/spark_rpc.py",
           "            if len(self._buffer) < length:\n", "            if len(self._buffer) < length - 1:\n",
           ("tests/unit/gateway",)),
    Mutant("both directions are encrypted with the other's start", "daemon/stoker/gateway/crypto.py",
           "if calls else (of_called, of_caller)", "if calls else (of_caller, of_called)", ("tests/unit/gateway",)),
)  # fmt: skip
