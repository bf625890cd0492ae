"""Bugs in the Ansible plugins and modules."""

from __future__ import annotations

from tests.mutants.plant import Mutant

_TRUST = "plugins/lookup/stoker_trust.py"
_BACKGROUND = "plugins/module_utils/background.py"

MUTANTS = (
    Mutant("a removed host's key stays authorized", _TRUST,
           'if name not in peers and (name in inventory or name.startswith("controller:")):', "if name not in peers:",
           ("tests/unit/plugins/test_trust.py",)),
    Mutant("a host's former key stays beside its new one", _TRUST,
           'if name not in peers and (name in inventory or name.startswith("controller:")):',
           'if name in inventory or name.startswith("controller:"):', ("tests/unit/plugins/test_trust.py",)),
    Mutant("a run of one host takes the other hosts' keys away", _TRUST,
           'if name not in peers and (name in inventory or name.startswith("controller:")):',
           'if name not in peers and name.startswith("controller:"):', ("tests/unit/plugins/test_trust.py",)),
    Mutant("a master's former key is trusted beside its new one", _TRUST,
           "if len(words) == 2 and words[0] in masters and words[0] not in seen:",
           "if len(words) == 2 and words[0] in masters:\n            seen.setdefault(words[0], []).append(words[1])",
           ("tests/unit/plugins/test_trust.py",)),
    Mutant("a removed master's key stays", _TRUST,
           "if len(words) == 2 and words[0] in masters and words[0] not in seen:",
           "if len(words) == 2 and words[0] not in seen:\n            masters = sorted({*masters, words[0]})",
           ("tests/unit/plugins/test_trust.py",)),
    Mutant("groups are stronger than the host", "plugins/lookup/stoker_layers.py", "for entity in (*groups, host):",
           "for entity in (host, *groups):",
           ("tests/ansible/test_inventories.py::test_a_host_wins_over_its_groups_and_they_over_the_cluster",)),
    Mutant("a null setting is kept", "plugins/lookup/stoker_layers.py",
           "for setting, value in result.items() if value is not None}", "for setting, value in result.items()}",
           ("tests/ansible/test_inventories.py::test_a_host_wins_over_its_groups_and_they_over_the_cluster",)),
    Mutant("another program that has the pid of a daemon is the daemon", _BACKGROUND,
           "bool(started) and start_time(int(pid)) == started", "bool(started) and bool(start_time(int(pid)))",
           ("tests/unit/plugins/test_background.py",)),
    Mutant("a daemon that ignores TERM is left running", _BACKGROUND, "os.kill(pid, signal.SIGKILL)", "pass",
           ("tests/unit/plugins/test_background.py",)),
    Mutant("a release that does not start gets its name", "plugins/modules/stoker_host.py",
           "            self._try(part)\n            shutil", "            shutil", ("tests/unit/plugins/test_host.py",)),
    Mutant("the release to go back to is removed", "plugins/modules/stoker_host.py",
           "not in (self.release, self.previous)]", "not in (self.release,)]", ("tests/unit/plugins/test_host.py",)),
    Mutant("a release in use is removed", "plugins/modules/stoker_host.py", "            if not _in_use(path):\n",
           "            if path:\n", ("tests/unit/plugins/test_host.py",)),
)  # fmt: skip
