"""Texts of ``stoker help TOPIC``: what concerns several commands."""

from __future__ import annotations

TOPICS: dict[str, tuple[str, str]] = {
    "masters": (
        "how a command finds its cluster",
        """\
A command asks the leading master of its cluster. The first of these that is set names the masters:

  --master URL          spark://HOST:PORT, or spark://HOST:PORT,HOST:PORT for a cluster with standby masters
  MASTER                the same, as an environment variable
  spark.master          in spark-defaults.conf, or by --conf
  SPARK_MASTER_HOST     and SPARK_MASTER_PORT, in the environment or in spark-env
  client                the file of that name in the configuration folder, which the playbooks write

The port is 7077 unless the URL has another. A standby names the leader, so any master of the list will do.""",
    ),
    "files": (
        "where settings, keys and state are",
        """\
  configuration folder  $SPARK_CONF_DIR, else /etc/stoker if it exists, else $XDG_CONFIG_HOME/stoker or ~/.config/stoker
    spark-env           variables of the daemons and commands (spark-env.sh as well)
    spark-defaults.conf properties, one NAME VALUE a line
    client              the URL of the masters, for commands
  keys folder           $STOKER_KEYS_DIR, else keys/ in the configuration folder
  state folder          $STOKER_STATE_DIR, else spark.stoker.state.dir, else $XDG_STATE_HOME/stoker or ~/.local/state/stoker

The command line is stronger than the environment, the environment than spark-env, and spark-env than spark-defaults.conf.
'stoker config check' checks the files.""",
    ),
    "environment": (
        "variables that every command uses",
        """\
  MASTER                the masters' URL, if --master is not given
  SPARK_CONF_DIR        the configuration folder
  STOKER_KEYS_DIR       the keys folder
  STOKER_STATE_DIR      the state folder of daemons
  HOME                  where the folders above are by default
  NO_COLOR              print no colours
  STOKER_DEBUG=1        print a traceback for an internal error

SPARK_* variables of the submitter go with a submitted program, except those that describe the submitter's machine.""",
    ),
    "exit-codes": (
        "what the exit code of a command means",
        """\
  0        done
  1        it failed, or the cluster refused it; one line on standard error says why
  2        wrong usage: an unknown option, a malformed value, a setting that cannot be read
  130      interrupted by Ctrl-C (128 + the number of the signal, also for other signals)

'submit --wait' and 'run' exit with the program's own exit code, or 128 + n if signal n ended it.""",
    ),
    "ids": (
        "how drivers, applications, executors and workers are named",
        """\
  driver-20260131120000-0000                a submitted program
  app-20260131120000-0000                   an application, which has executors
  app-20260131120000-0000/3                 its executor number 3 (for 'stoker logs')
  worker-20260131120000-HOST-PORT           a worker; 'drain', 'undrain' and 'forget' take HOST or HOST:PORT as well

'stoker status ID' shows one of them, 'stoker status' shows all.""",
    ),
}
