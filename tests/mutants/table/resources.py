"""Bugs in named resources, in limits and accounts of jobs, and in what a worker finds out about its host."""

from __future__ import annotations

from tests.mutants.plant import Mutant

_ACCOUNT = "daemon/stoker/worker/groups/account.py"
_CARDS = "daemon/stoker/worker/devices/cards.py"
_DISCOVERY = "daemon/stoker/worker/devices/discovery.py"
_ENVIRONMENT = "daemon/stoker/worker/devices/environment.py"
_GROUP = "daemon/stoker/worker/groups/group.py"
_HEALTH = "daemon/stoker/worker/health.py"
_LIMITS = "daemon/stoker/worker/jobs/limits.py"
_SCRIPT = "daemon/stoker/worker/script.py"
_TREE = "daemon/stoker/worker/groups/tree.py"
_DEVICES = ("tests/unit/worker/test_devices.py",)
_GROUPS = ("tests/unit/worker/groups",)
_HOST = ("tests/unit/worker/test_health.py",)
_KERNEL = ("tests/integration/test_control_groups.py",)
_OF_LIMITS = ("tests/unit/worker/jobs/test_limits.py",)

MUTANTS = (
    # --- control groups ---
    Mutant("what a job over its memory started lives on", _GROUP, 'write(f"{self.path}/memory.oom.group", "1")', "pass",
           _KERNEL),
    Mutant("a job has no limit of memory", _GROUP, 'write(f"{self.path}/memory.max", str(memory))', "pass", _KERNEL),
    Mutant("a job may start any number of processes", _GROUP, 'write(f"{self.path}/pids.max", str(processes))', "pass",
           _KERNEL),
    Mutant("a job of three cores weighs as much as one of one", _GROUP, "str(min(max(weight, 1), 10000))", '"100"', _KERNEL),
    Mutant("a killed keeper's group is in the way of its job", _GROUP,
           "            self.clear()\n            os.mkdir(self.path)", "            os.mkdir(self.path)", _GROUPS),
    Mutant("the groups that a job made in its own stay", _GROUP, "os.walk(self.path, topdown=False)", "[(self.path, 0, 0)]",
           _GROUPS),
    Mutant("a job whose descendants run counts as ended", _GROUP, '"populated") == 0', '"populated") >= 0', _GROUPS),
    Mutant("a job that somebody killed is out of memory", _GROUP, '"oom_kill") > 0', '"oom_kill") >= 0', _GROUPS),
    Mutant("a job that was short of memory for a moment is out of memory", _GROUP, '"oom_kill") > 0', '"oom") > 0', _GROUPS),
    Mutant("the last sample of memory is the peak", _GROUP, "max(self.peak, int(read(f\"{self.path}/memory.current\") or 0))",
           'int(read(f"{self.path}/memory.current") or 0)', _GROUPS),
    Mutant("the kernel's own peak is not read", _GROUP, 'int(read(f"{self.path}/memory.peak") or 0)', "0", _KERNEL),
    Mutant("CPU seconds are milliseconds", _GROUP, '"usage_usec") / 1e6', '"usage_usec") / 1e3', _GROUPS),
    Mutant("the keeper stays in the group of the job that it started", _ACCOUNT, "        group.leave()\n        if self",
           "        if self", _KERNEL),
    Mutant("a job that cannot be limited runs without limits", _ACCOUNT, 'if limits.get("enforce"):\n                raise',
           'if not limits:\n                raise', _KERNEL),
    Mutant("a job that is only measured needs a group", _ACCOUNT, 'if limits.get("enforce"):\n                raise',
           'if limits:\n                raise', _KERNEL),
    Mutant("a job whose limits cannot be set runs on without them", _ACCOUNT,
           "            if self.group is not None:\n                with contextlib.suppress(OSError):\n"
           "                    self.group.clear()\n            raise GroupFailed", "            raise GroupFailed", _KERNEL),
    Mutant("groups of ended jobs stay", _ACCOUNT, "self.group.remove()", "pass", _KERNEL),
    Mutant("the groups of a killed keeper stay", _ACCOUNT,
           "    for key in keys:\n        group = JobGroup(tree, key)\n",
           "    for key in ():\n        group = JobGroup(tree, key)\n",
           _KERNEL),
    Mutant("a service's own group gets limits, so that it cannot start again", _TREE,
           '    if tree.endswith(".service"):\n        return False\n', "", _KERNEL),
    Mutant("a group that systemd has not delegated is used", _TREE,
           "if tree == own and group != \"/\" and not _is_delegated(tree):",
           'if tree == own and group == "":', (*_GROUPS, *_KERNEL)),
    Mutant("a tree without a controller for memory is used", _TREE, 'CONTROLLERS = ("cpu", "memory", "pids")',
           'CONTROLLERS = ("cpu", "pids")', _GROUPS),
    Mutant("a JVM is killed for what it needs beside its heap", _LIMITS, "(job.memory_mib + overhead_mib(job)) * _MIB",
           "job.memory_mib * _MIB", _OF_LIMITS),
    Mutant("the cores of a job are always a hard limit", _LIMITS, "float(job.cores) if self._config.hard_cpu else 0.0",
           "float(job.cores)", _OF_LIMITS),
    Mutant("a worker that cannot enforce limits starts without", _LIMITS,
           "            if is_enforced:\n                raise",
           "            if not error:\n                raise", _OF_LIMITS),
    Mutant("a worker that only measures limits its jobs", _LIMITS, 'if self._config.mode == "account":',
           'if self._config.mode == "":', _OF_LIMITS),
    # --- discovery ---
    Mutant("a worker offers fewer addresses than its setting", _DISCOVERY, "if len(addresses) < wanted.amount:",
           "if not wanted.name:", _DEVICES),
    Mutant("a worker offers more addresses than its setting", _DISCOVERY, "return addresses[: wanted.amount]",
           "return addresses", _DEVICES),
    Mutant("a script that found another resource is believed", _DISCOVERY, 'or answer.get("name") != wanted.name:',
           "or False:",
           _DEVICES),
    Mutant("a script is run though the file has the addresses", _DISCOVERY, "if wanted.name not in found and (", "if (",
           _DEVICES),
    Mutant("addresses of a driver in Spark's file are a worker's", _DISCOVERY,
           'if identity.get("componentName") != COMPONENT:', 'if identity.get("componentName") == "":', _DEVICES),
    Mutant("deeply nested output of a script is a traceback", _DISCOVERY,
           "    except (ValueError, RecursionError):\n        raise ConfigError(f\"{where} printed",
           "    except ValueError:\n        raise ConfigError(f\"{where} printed", _DEVICES),
    Mutant("an address that is found twice is offered twice", "daemon/stoker/core/model/resources.py",
           "if len(set(addresses)) != len(addresses):", "if not addresses:", _DEVICES),
    Mutant("numbers in the message of a tool are cards", _CARDS, "if line.strip().isdecimal())", "if line.strip())",
           _DEVICES),
    Mutant("a job without a GPU sees those of others", _ENVIRONMENT, "if GPU in dict(held) or GPU in dict(offered):",
           "if GPU in dict(held):", _DEVICES),
    Mutant("what a killed script started lives on", _SCRIPT, "        kill_group(process)\n        process.wait()",
           "        process.kill()\n        process.wait()", (*_DEVICES, *_HOST)),
    Mutant("what has left a script's session lives on", _SCRIPT, '            _kill_marked(f"{MARK}={mark}".encode())',
           "            pass", _HOST),
    Mutant("a script that everybody may change is run", _SCRIPT, "            return program\n", "            return None\n",
           _DEVICES),
    Mutant("a script that everybody may replace is run", _SCRIPT,
           "return program.parent if folder & stat.S_IWOTH and not folder & stat.S_ISVTX else None", "return None", _DEVICES),
    Mutant("a script in a folder like /tmp is not run", _SCRIPT, " and not folder & stat.S_ISVTX", "", _DEVICES),
    Mutant("a script writes control characters to the terminal", _SCRIPT, '"".join(one if one.isprintable() else "?"',
           '"".join(one', (*_DEVICES, *_HOST)),
    # --- the host's health ---
    Mutant("a disk that was full counts as well with one byte more", _HEALTH, "1.0 if not was_short else _MORE_ROOM", "1.0",
           _HOST),
    Mutant("a large disk is full at 5 percent", _HEALTH, "factor * limit.size or percent", "factor * limit.size and percent",
           _HOST),
    Mutant("the time since when a host is unwell is that of the last measurement", _HEALTH,
           "self._since.setdefault(kind, time.time())", "time.time()", _HOST),
    Mutant("a health script that hangs counts as well", _HEALTH, "if ran.code == 0:", "if not ran.code:", _HOST),
    Mutant("a probe leaves its files", _HEALTH, "shutil.rmtree(trial, ignore_errors=True)", "pass", _HOST),
    Mutant("a worker registers before it has measured its host", _HEALTH, "return self.is_known or time.monotonic()",
           "return True or time.monotonic()", _HOST),
    Mutant("a host that is well again keeps its reason", _HEALTH,
           "            self._since.pop(kind, None)\n            return []", "            return []", _HOST),
)  # fmt: skip
