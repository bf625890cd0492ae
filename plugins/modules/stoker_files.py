#!/usr/bin/python
# Copyright: Stoker contributors. Apache License 2.0 (see LICENSE).
"""Write several configuration files, all or none."""

from __future__ import annotations

DOCUMENTATION = r"""
module: stoker_files
short_description: Write several configuration files, all or none
description:
  - Writes the files that differ from the wanted ones. Each is checked by its own command first; if one is rejected, none is
    replaced.
  - One task for all of a host's files, because a task costs a round trip.
extends_documentation_fragment:
  - stoker.spark.files
  - stoker.spark.files.secrets
author:
  - Stoker contributors
"""

EXAMPLES = r"""
- name: Write spark-env
  stoker.spark.stoker_files:
    files:
      - path: /etc/stoker/spark-env
        content: |
          SPARK_WORKER_CORES=4
        validate: [stoker, config, check, --as, spark-env, "%s"]
"""

RETURN = r"""
changed_files:
  description: Paths of the files that were (or would be) written.
  type: list
  returned: always
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.stoker.spark.plugins.module_utils import files


def main() -> None:
    module = AnsibleModule(argument_spec={"files": files.SPEC, "secrets": files.SECRETS}, supports_check_mode=True)
    module.exit_json(**files.write_files(module))


if __name__ == "__main__":
    main()
