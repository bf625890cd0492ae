"""``python -m tests.mutants [--only TEXT]``: plant every bug of the table; exit code 1 if one is not found."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tests.mutants.plant import check_tests, copy_tree, is_found
from tests.mutants.table import MUTANTS


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("--only", default="", metavar="TEXT", help="mutants with this text in their name or file")
    args = parser.parse_args()
    chosen = [mutant for mutant in MUTANTS if args.only in mutant.name or args.only in mutant.file]
    survivors = []
    with tempfile.TemporaryDirectory(prefix="stoker-mutants-") as folder:
        tree = Path(folder)
        copy_tree(tree)
        check_tests(chosen, tree)
        for mutant in chosen:
            start = time.monotonic()
            found = is_found(mutant, tree)
            print(f"{'found   ' if found else 'SURVIVES'} {time.monotonic() - start:5.1f} s  {mutant.name}", flush=True)
            if not found:
                survivors.append(mutant.name)
    print(f"{len(chosen) - len(survivors)} of {len(chosen)} mutants found")
    return 1 if survivors or not chosen else 0


if __name__ == "__main__":
    sys.exit(main())
