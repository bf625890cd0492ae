"""``python -m tests.mutants [--only TEXT]``: plant every bug of the table, or those with TEXT in name or file.

The exit code is 1 if a bug is not found, or if its tests did not run.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.mutants.plant import Field, Verdict
from tests.mutants.table import MUTANTS


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("--only", default="", metavar="TEXT", help="mutants with this text in their name or file")
    args = parser.parse_args()
    chosen = [mutant for mutant in MUTANTS if args.only in mutant.name or args.only in mutant.file]
    counts: Counter[Verdict] = Counter()
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="stoker-mutants-") as folder:
        field = Field(Path(folder))
        for mutant in chosen:
            start = time.monotonic()
            result = field.judge(mutant)
            counts[result.verdict] += 1
            line = f"{result.verdict.value:10} {time.monotonic() - start:5.1f} s  {mutant.name}"
            print(f"{line}: {result.detail}" if result.detail else line, flush=True)
    print(
        f"{len(chosen)} bugs in {(time.monotonic() - begin) / 60:.0f} min: {counts[Verdict.FOUND]} found, "
        f"{counts[Verdict.SURVIVES]} survive, {counts[Verdict.NONE]} without a verdict"
    )
    return 0 if chosen and counts[Verdict.FOUND] == len(chosen) else 1


if __name__ == "__main__":
    sys.exit(main())
