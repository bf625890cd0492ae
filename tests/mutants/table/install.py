"""Bugs in the installation of a checkout, from a package index as pip is set up for it."""

from __future__ import annotations

from tests.mutants.plant import Mutant

MUTANTS = (
    Mutant("a program with another hash is run", "scripts/bootstrap.py",
           "if hashlib.sha256(data).hexdigest() in hashes:", "if hashes:",
           ("tests/install/test_bootstrap.py::test_a_file_with_another_hash_is_not_run",)),
    Mutant("an index's password is sent where it redirects to", "scripts/pip_index.py",
           "request.add_unredirected_header(", "request.add_header(",
           ("tests/install/test_bootstrap.py::test_a_password_is_not_sent_where_an_index_redirects_to",)),
    Mutant("certificates are checked for trusted hosts only", "scripts/pip_index.py", "if is_bare or host in [",
           "if is_bare or host not in [",
           ("tests/install/test_bootstrap.py::test_with_a_password_and_an_authority_of_ones_own",)),
    Mutant("the index's password is shown", "scripts/bootstrap.py", 'return re.sub(r"//[^/@]*@", "//", url)',
           "return url", ("tests/install/test_bootstrap.py::test_with_a_password_and_an_authority_of_ones_own",)),
    Mutant("pip's global settings are stronger than those of install", "scripts/pip_index.py",
           '        self.found.update(sections["global"])\n        self.found.update(sections["install"])\n',
           '        self.found.update(sections["install"])\n        self.found.update(sections["global"])\n',
           ("tests/install/test_bootstrap.py::test_settings_are_read_where_pip_reads_them",)),
)  # fmt: skip
