"""Ways through mazes, many small tasks and one actor that keeps the score, on Ray.

    stoker submit --wait --total-executor-cores 4 examples/ray-tasks/maze.py [MAZES]

Needs Ray on the driver's machine and the workers: pip install ray
"""

from __future__ import annotations

import random
import sys
from collections import deque

import stoker

SIDE = 41


def shortest_way(seed: int) -> int:
    """Steps from corner to corner through a maze of that number; -1 if there is no way."""
    dice = random.Random(seed)
    walls = {(x, y) for x in range(SIDE) for y in range(SIDE) if dice.random() < 0.3} - {(0, 0), (SIDE - 1, SIDE - 1)}
    steps, todo = {(0, 0): 0}, deque([(0, 0)])
    while todo:
        x, y = todo.popleft()
        for place in ((x + 1, y), (x - 1, y), (x, y + 1), (x, y - 1)):
            if place not in steps and place not in walls and 0 <= place[0] < SIDE and 0 <= place[1] < SIDE:
                steps[place] = steps[x, y] + 1
                todo.append(place)
    return steps.get((SIDE - 1, SIDE - 1), -1)


class Score:
    """The longest of the shortest ways."""

    def __init__(self) -> None:
        self.best = (-1, 0)

    def tell(self, steps: int, seed: int) -> None:
        self.best = max(self.best, (steps, seed))

    def read(self) -> tuple[int, int]:
        return self.best


def main() -> None:
    mazes = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    with stoker.connect(name="maze") as app:
        ray = app.ray()
        score = ray.remote(num_cpus=0.5)(Score).remote()
        task = ray.remote(num_cpus=0.5)(shortest_way)
        steps = ray.get([task.remote(seed) for seed in range(mazes)])
        ray.get([score.tell.remote(count, seed) for seed, count in enumerate(steps)])
        longest, seed = ray.get(score.read.remote())
    ways = sum(count >= 0 for count in steps)
    print(f"{ways} of {mazes} mazes have a way; the longest, of maze {seed}, is {longest} steps")


if __name__ == "__main__":
    main()
