"""Bugs in io: the loop, links, the master's server, and which connection a peer lives on; and in ssh (via)."""

from __future__ import annotations

from tests.mutants.plant import Mutant

_PRESENCE = "daemon/stoker/io/presence.py"
_SERVER = "daemon/stoker/io/server.py"
_LOOP = "daemon/stoker/io/loop.py"
_SOCKETS = "tests/integration/test_sockets.py"
_GONE = "tests/integration/test_peers_gone.py"

MUTANTS = (
    Mutant("a peer that has moved is given up with its old connection", _PRESENCE,
           "                    if self._peers.get(peer) == (fd, serial):\n", "                    if peer in self._peers:\n",
           ("tests/unit/io/test_presence.py",)),
    Mutant("the loser of a hand-over stays", _PRESENCE, "        self.closed(fd)  #", "        #",
           ("tests/unit/io/test_presence.py",)),
    Mutant("a closed connection keeps its peer", _PRESENCE, "row.first = number + 1", "row.first = number",
           ("tests/unit/io/test_presence.py",)),
    Mutant("a peer that was given up is heard on the same connection", _PRESENCE,
           "if row is None or any(serial == known.serial for known in row.heard):", "if row is None:",
           ("tests/unit/io/test_presence.py",)),
    Mutant("a peer has the role that it claims", _SERVER, "if known[0] is not role:", "if known[0] is None:",
           (f"{_SOCKETS}::test_a_key_decides_the_role_not_the_claim",)),
    Mutant("a peer has the name that it claims", _SERVER, "name = principal = known[1]", "principal = known[1]",
           (f"{_SOCKETS}::test_a_peer_has_the_name_of_its_key_not_the_one_it_claims",)),
    Mutant("any role may send any message", _SERVER, '"" if role in roles_allowed(type(message)) else', '"" if role else',
           (f"{_SOCKETS}::test_a_role_may_only_send_its_own_messages",)),
    Mutant("a routing id taken by another key is the same peer", _SERVER, "if self._key_of.get(peer, key) != key:",
           "if not peer:", (f"{_SOCKETS}::test_a_routing_id_taken_by_another_key_is_another_peer",)),
    Mutant("what a full queue cannot take is dropped without a word", _SERVER, "self._router.set(zmq.ROUTER_MANDATORY, 1)",
           "self._router.set(zmq.ROUTER_MANDATORY, 0)", (f"{_SOCKETS}::test_a_peer_that_does_not_read_is_given_up",)),
    Mutant("a peer that does not read stays", _SERVER,
           'its messages: disconnected")\n            self._drop(peer)\n', 'its messages: disconnected")\n',
           (f"{_SOCKETS}::test_a_peer_that_does_not_read_is_given_up",)),
    Mutant("a message of any size is read", "daemon/stoker/io/transport.py", "sock.set(zmq.MAXMSGSIZE, MAX_FRAME)", "pass",
           (f"{_SOCKETS}::test_a_huge_message_ends_its_connection",)),
    Mutant("a silent host stays connected", "daemon/stoker/io/transport.py", "sock.set(zmq.HEARTBEAT_TIMEOUT, timeout_ms)",
           "sock.set(zmq.HEARTBEAT_TIMEOUT, 3_600_000)",
           (f"{_GONE}::test_a_silent_peer_is_disconnected_by_the_heartbeat",)),
    Mutant("the rest of what a lost master sent is dropped", "daemon/stoker/io/link.py",
           "limit if self._end is None else None", "limit", (f"{_GONE}::test_a_link_that_ends_is_read_to_its_end",)),
    Mutant("the loop spins before a deadline", _LOOP, "max(0, math.ceil(", "max(0, math.floor(",
           ("tests/integration/test_loop.py::test_a_deadline_is_kept_without_spinning",)),
    Mutant("calls that make calls keep the loop from its sources", _LOOP, "for _ in range(len(self._calls)):",
           "while self._calls:", ("tests/integration/test_loop.py::test_a_call_handed_in_by_a_call_runs_in_the_next_round",)),
    Mutant("a reader that was removed is called", _LOOP,
           "                for source, _ in self._poller.poll(_poll_ms(deadline)):\n"
           "                    callback = self._readers.get(source)\n",
           "                ready = self._poller.poll(_poll_ms(deadline))\n"
           "                for callback in [self._readers.get(source) for source, _ in ready]:\n",
           ("tests/integration/test_loop.py::test_a_reader_removed_by_another_of_the_same_round_is_not_called",)),
    Mutant("an unknown host key is accepted", "daemon/stoker/via/ssh.py", "set_missing_host_key_policy(RejectPolicy())",
           "set_missing_host_key_policy(__import__('paramiko').AutoAddPolicy())",
           ("tests/integration/test_via.py::test_no_way_in_is_one_line",)),
    Mutant("only the first megabyte of a file is hashed", "daemon/stoker/io/disk.py",
           "while data := file.read(1 << 20):\n            digest.update(data)", "digest.update(file.read(1 << 20))",
           ("tests/unit/io/test_disk.py",)),
    Mutant("a durable write is not flushed", "daemon/stoker/io/disk.py",
           "            os.fsync(file.fileno())\n        temporary", "        temporary",
           ("tests/unit/io/test_disk.py",)),
    Mutant("a failed durable write leaves a file", "daemon/stoker/io/disk.py",
           "        temporary.unlink(missing_ok=True)\n        raise", "        raise",
           ("tests/unit/io/test_disk.py",)),
    Mutant("a peer that was logged too often is never logged again", "daemon/stoker/io/peer_log.py",
           "found.begun, found.lines = now, 0", "found.begun = now", ("tests/unit/io/test_peer_log.py",)),
    Mutant("many peers fill the log", "daemon/stoker/io/peer_log.py",
           "if own.lines >= OF_ONE or everybody.lines >= OF_ALL:", "if own.lines >= OF_ONE:",
           ("tests/unit/io/test_peer_log.py",)),
    Mutant("a connection that nobody holds is root's", "daemon/stoker/io/peer_user.py",
           "return int(user) if inode else None", "return int(user)", ("tests/integration/test_peer_user.py",)),
    Mutant("lost notifications are not noticed", "daemon/stoker/io/inotify.py",
           "lost = lost or bool(what & _Q_OVERFLOW)", "lost = lost and bool(what)",
           ("tests/unit/worker/test_logs.py",)),
)  # fmt: skip
