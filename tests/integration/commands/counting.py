"""A program whose output can be followed, and what it prints."""

from __future__ import annotations

# Prints its arguments' number of lines, slowly enough to be followed.
COUNT = (
    "import sys, time\nfor i in range(int(sys.argv[1])):\n    print(i, flush=True)\n    time.sleep(0.1)\nsys.exit(7)\n"
)


def lines(count: int) -> str:
    return "".join(f"{number}\n" for number in range(count))
