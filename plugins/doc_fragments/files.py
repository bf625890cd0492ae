# Copyright: Stoker contributors. Apache License 2.0 (see LICENSE).
"""What modules that write configuration files document alike."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  files:
    description:
      - Configuration files that are wanted. Those that differ are checked by their own commands first; if one is refused,
        none is replaced.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Where it goes. Its folder is made, as closed as the file, where it is missing.
        type: path
        required: true
      content:
        description: All of it.
        type: str
        required: true
      mode:
        description: Its permissions, in octal.
        type: str
        default: "0644"
      owner:
        description: Its owner, if not the connecting user.
        type: str
        default: ""
      validate:
        description: Program and arguments that end with 0 if the file is good; C(%s) is its path.
        type: list
        elements: str
        default: []
"""
