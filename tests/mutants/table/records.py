"""Bugs in the recovery engines and in the election."""

from __future__ import annotations

from tests.mutants.plant import Mutant

_FILESYSTEM = ("tests/unit/recovery/test_filesystem.py", "tests/contract/test_recovery.py")

_ZOOKEEPER = "daemon/stoker/recovery/zookeeper.py"
_LEADER = "daemon/stoker/leader/zookeeper.py"
_RECORDS = "tests/integration/test_zookeeper_records.py"
_ELECTION = "tests/integration/test_election.py"

MUTANTS = (
    Mutant("a torn record is taken for a good one", "daemon/stoker/recovery/seal.py",
           "return value if _crc(key, value) == sealed[_CRC] else None", "return value", _FILESYSTEM),
    Mutant("a record under another key is taken for a good one", "daemon/stoker/recovery/seal.py",
           "zlib.crc32(value, zlib.crc32(key))", "zlib.crc32(value)", _FILESYSTEM),
    Mutant("a commit is not durable", "daemon/stoker/recovery/filesystem.py",
           'connection.execute("PRAGMA synchronous = FULL")',
           'connection.execute("PRAGMA synchronous = OFF")', _FILESYSTEM),
    Mutant("two masters may hold one store", "daemon/stoker/recovery/filesystem.py",
           'connection.execute("PRAGMA locking_mode = EXCLUSIVE")',
           'connection.execute("PRAGMA locking_mode = NORMAL")',
           _FILESYSTEM),
    Mutant("a store of a newer version is opened", "daemon/stoker/recovery/filesystem.py",
           "if version not in (0, SCHEMA_VERSION):", "if version < 0:", _FILESYSTEM),
    Mutant("a damaged store is opened", "daemon/stoker/recovery/filesystem.py",
           'if verdict != "ok":', 'if verdict == "":', _FILESYSTEM),
    Mutant("a removed record stays", "daemon/stoker/recovery/filesystem.py",
           'connection.executemany("DELETE FROM records WHERE key = ?", drops)', "pass", _FILESYSTEM),
    Mutant("a record that cannot be read is deleted", "daemon/stoker/recovery/filesystem.py",
           'connection.execute("INSERT INTO quarantine VALUES (?, ?, ?, ?)", (key, value, reason, time.time()))', "pass",
           _FILESYSTEM),
    Mutant("a failed commit is reported as done", "daemon/stoker/recovery/filesystem.py",
           'raise StorageFailed(f"cannot write to {self._path}: {error}") from None\n            raise',
           "return\n            raise", (*_FILESYSTEM, "tests/chaos/test_full_disk.py")),
    # --- ZooKeeper ---
    Mutant("the head of a large batch does not count its other nodes", _ZOOKEEPER, "_Head(len(pieces) - 1, pieces[0])",
           "_Head(0, pieces[0])", (f"{_RECORDS}::test_a_batch_of_many_nodes_is_there_when_its_first_node_is",)),
    Mutant("a write whose answer was lost is written again", _ZOOKEEPER, "            self._settle_doubt()\n", "",
           (f"{_RECORDS}::test_a_write_whose_answer_was_lost_counts_once",)),
    Mutant("an older value is used for a damaged record", _ZOOKEEPER,
           '"it is torn, or not of this version", sealed))\n            found.records.pop(key, None)\n',
           '"it is torn, or not of this version", sealed))\n',
           (f"{_RECORDS}::test_a_damaged_record_is_put_aside_and_not_replaced_by_an_older_one",)),
    Mutant("a deposed leader writes on", "daemon/stoker/io/zookeeper.py",
           "transaction.check(fence.path, version=fence.version)", "pass",
           (f"{_ELECTION}::test_a_process_that_is_gone_is_not_waited_for_and_its_writes_are_refused",)),
    # --- the election ---
    Mutant("an epoch is the time, whatever the last one was", _LEADER, "epoch = max(last + 1, int(time.time() * 1000))",
           "epoch = int(time.time() * 1000)",
           (f"{_ELECTION}::test_an_epoch_is_higher_than_the_last_even_when_the_clock_was_set_back",)),
    Mutant("a master without a rival may repeat an epoch", "daemon/stoker/leader/alone.py",
           "epoch = max(_read(path) + 1, int(time.time() * 1000))", "epoch = max(_read(path), int(time.time() * 1000))",
           ("tests/unit/leader/test_alone.py",)),
    Mutant("a leader whose ZooKeeper came back stays frozen", _LEADER, "                self._frozen = True\n", "",
           (f"{_ELECTION}::test_a_lost_ensemble_freezes_the_leader_and_its_return_thaws_it",)),
    Mutant("a leader behind a firewall is deposed", "daemon/stoker/leader/watch.py",
           "if reached and not self._stopped.is_set():", "if not self._stopped.is_set():",
           ("tests/unit/leader/test_watch.py",)),
    Mutant("a record that this version cannot read is used or lost without a word",
           "daemon/stoker/recovery/records.py", "            engine.quarantine(key, str(error))\n",
           "            continue\n", ("tests/unit/recovery/test_records.py",)),
    Mutant("the name of a new store's folder is not flushed", "daemon/stoker/recovery/filesystem.py",
           "for folder in (directory, directory.parent):", "for folder in (directory,):", ("tests/unit/recovery",)),
    Mutant("a batch that failed stays open", "daemon/stoker/recovery/filesystem.py", 'connection.execute("ROLLBACK")',
           "pass", ("tests/unit/recovery", "tests/contract")),
    Mutant("who closes a store twice removes the next holder's name", "daemon/stoker/recovery/filesystem.py",
           "        if self._held_by_us():\n", "        if self._holder:\n",
           ("tests/unit/recovery", "tests/contract")),
)  # fmt: skip
