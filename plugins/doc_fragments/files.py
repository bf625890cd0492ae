# Copyright: Stoker contributors. Apache License 2.0 (see LICENSE).
"""Documentation that modules share which write configuration files."""

from __future__ import annotations

_FILES = r"""
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Path of the file. A missing folder is made, with permissions like those of the file.
        type: path
        required: true
      content:
        description: The whole content. With O(files[].state=absent), how a file begins that may be removed.
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
        description: Program and arguments that exit with 0 if the file is valid; C(%s) is its path.
        type: list
        elements: str
        default: []
      state:
        description:
          - V(absent) removes the file, but only if it begins with the content, so that a file which somebody else has written
            stays.
        type: str
        choices: [present, absent]
        default: present
"""


class ModuleDocFragment:
    DOCUMENTATION = (
        r"""
options:
  files:
    description:
      - Wanted configuration files. Those that differ are checked by their own commands first; if one is rejected, none is
        replaced."""
        + _FILES
    )
    SECRETS = (
        r"""
options:
  secrets:
    description: Wanted files that are written like O(files); neither logs nor differences show what is in them."""
        + _FILES
    )
