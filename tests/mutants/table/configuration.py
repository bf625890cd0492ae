"""Bugs in how settings are read."""

from __future__ import annotations

from tests.mutants.plant import Mutant

_WORDS = "daemon/stoker/config/shell_words.py"
_SOURCES = "daemon/stoker/config/sources.py"
_SHELL = ("tests/unit/config/test_shell_words.py",)

MUTANTS = (
    Mutant("a default that is not used sets variables", _WORDS, "            self._assign = _ignore\n", "            pass\n",
           _SHELL),
    Mutant("+= replaces", _WORDS, 'value, own = (self._known(match[1]) or "") + value, True', "own = True", _SHELL),
    Mutant("an empty variable has no value without the colon", _WORDS,
           "(known != \"\" or operator[0][0] != \":\")", "known != \"\"", _SHELL),
    Mutant("~ is a name like any other", _WORDS, '        if self._peek() != "~":', '        if self._peek() != "~" or True:',
           _SHELL),
    Mutant("a command in a value is text", _WORDS, 'if self._peek() == "`" or following == "(":', 'if following == "(":',
           _SHELL),
    Mutant("spark-env is stronger than the environment", _SOURCES, "environ={**from_file, **environ, **extended}",
           "environ={**environ, **from_file, **extended}", ("tests/unit/config/test_sources.py",)),
    Mutant("options of spark-env are stronger than those of the environment", _SOURCES,
           'apply_options(settings, variable, environ.get(variable, ""))',
           'apply_options(settings, variable, environ.get(variable, "") and "")', ("tests/unit/config/test_sources.py",)),
    Mutant("a misspelt name passes a strict check", "daemon/stoker/config/check.py",
           "bool(problems or (args.strict and doubts))", "bool(problems)",
           ("tests/unit/test_cli.py::test_config_check_warns_of_a_misspelt_name_as_daemons_do",)),
    Mutant("jobs get all of the daemon's environment", "daemon/stoker/config/worker.py",
           "return name in _INHERITED or name.startswith(_INHERITED_PREFIXES)", "return True",
           ("tests/unit/config/test_config.py",)),
    Mutant("submissions read all of the master's environment", "daemon/stoker/config/master.py",
           "environ=settings.exported", "environ=settings.environ",
           ("tests/unit/config/test_config.py",)),
)  # fmt: skip
