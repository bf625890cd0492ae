# Copyright: Stoker contributors. Apache License 2.0 (see LICENSE).
"""Fingerprints of what each kind of daemon reads at its start."""

from __future__ import annotations

DOCUMENTATION = r"""
name: stoker_deployments
short_description: Fingerprints of what each kind of daemon reads at its start
description:
  - Gives a dictionary with a fingerprint for C(master) and one for C(worker). It changes with the settings that this kind of
    daemon reads, and with everything else that both use.
options:
  _terms:
    description: The text of spark-env, the text of spark-defaults.conf, and more texts that both daemons use.
    required: true
author:
  - Stoker contributors
"""

EXAMPLES = r"""
- name: Show the fingerprints
  ansible.builtin.debug:
    msg: "{{ lookup('stoker.spark.stoker_deployments', 'SPARK_WORKER_CORES=2', 'spark.deploy.maxDrivers 5') }}"
"""

RETURN = r"""
_raw:
  description: The fingerprints by kind.
  type: dict
"""

import hashlib
import json
import tempfile
from pathlib import Path
from typing import Any

from ansible.plugins.lookup import LookupBase

from stoker.config.properties_file import parse_properties
from stoker.config.readers import read_settings
from stoker.config.sources import Daemon
from stoker.config.spark_env import parse_spark_env
from stoker.errors import ConfigError

LENGTH = 12  # characters of a fingerprint
KINDS: tuple[Daemon, ...] = ("master", "worker")


class LookupModule(LookupBase):
    def run(self, terms: list[Any], variables: dict[str, Any] | None = None, **kwargs: Any) -> list[dict[str, str]]:
        env, properties, *others = [str(term) for term in terms]
        try:
            settings = _variables(env), parse_properties(properties)
        except (ConfigError, ValueError):  # the preflight names it; here it only has to differ
            settings = {"spark-env": env}, {"spark-defaults": properties}
        found: dict[str, str] = {}
        for kind in KINDS:
            read = [read_settings(kind, values) for values in settings]
            text = json.dumps([read, others], sort_keys=True)
            found[kind] = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()[:LENGTH]
        return [found]


def _variables(text: str) -> dict[str, str]:
    with tempfile.NamedTemporaryFile("w", suffix="-spark-env") as file:
        file.write(text)
        file.flush()
        return dict(parse_spark_env(Path(file.name), {}).values)
