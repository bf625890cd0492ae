"""The tasks of one array: what has become of each, as bytes by position, with counts that are kept as they change."""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable, Iterator

from stoker.core.model.arrays.indices import Indices
from stoker.core.model.records import TaskChunk
from stoker.core.model.states import DriverState

CHUNK = 1024  # tasks in one record
WAITING, HELD, ACTIVE, FINISHED, FAILED, KILLED, ERROR = range(7)
NAMES = ("WAITING", "HELD", "RUNNING", "FINISHED", "FAILED", "KILLED", "ERROR")
BYTE_OF = {
    DriverState.FINISHED: FINISHED,
    DriverState.FAILED: FAILED,
    DriverState.KILLED: KILLED,
    DriverState.ERROR: ERROR,
}
STATE_OF = {
    WAITING: DriverState.SUBMITTED,
    HELD: DriverState.SUBMITTED,
    ACTIVE: DriverState.RUNNING,
    **{byte: state for state, byte in BYTE_OF.items()},
}
_HIGHEST_STATUS = 255
_KILL = bytes(KILLED if byte in (WAITING, HELD) else byte for byte in range(256))


class Tasks:
    """ACTIVE is a task that has a driver which has not ended. 6 bytes a task."""

    def __init__(self, indices: Indices) -> None:
        self.indices = indices
        self.states = bytearray(len(indices))
        self.statuses = bytearray(len(indices))  # exit statuses of those that have ended
        self.counts = [len(indices), 0, 0, 0, 0, 0, 0]  # by state
        self.again: list[int] = []  # ACTIVE tasks that have to be placed again, in ascending order
        self.place: int | None = None  # in the queue
        self.watchers: dict[int, list[tuple[bytes, int]]] = {}  # of tasks without a driver
        self.changed: set[int] = set()  # chunks that are not on record as they are
        self._workers = memoryview(bytearray(4 * len(indices))).cast("I")  # of the latest attempt, by number
        self._names = [""]
        self._numbers = {"": 0}
        self._lowest = 0  # no task before it is WAITING
        self._highest_status = 0

    def __len__(self) -> int:
        return len(self.states)

    @property
    def room(self) -> int:
        """How many tasks may be placed now. One that is placed again has its place within the limit already."""
        waiting = self.counts[WAITING]
        if self.indices.limit:
            waiting = min(waiting, max(0, self.indices.limit - self.counts[ACTIVE]))
        return len(self.again) + waiting

    @property
    def left(self) -> int:
        """How many have not started."""
        return self.counts[WAITING] + self.counts[HELD]

    @property
    def is_over(self) -> bool:
        return not (self.left or self.counts[ACTIVE])

    @property
    def end(self) -> DriverState:
        """How the array ends when all tasks have."""
        return DriverState.FINISHED if self.counts[FINISHED] == len(self) else DriverState.FAILED

    def start_next(self) -> int:
        """Make the first WAITING task ACTIVE; return its position. There must be one."""
        position = self.states.index(WAITING, self._lowest)
        self._lowest = position
        self.set(position, ACTIVE)
        return position

    def set(self, position: int, state: int) -> None:
        before = self.states[position]
        self.counts[before] -= 1
        self.counts[state] += 1
        self.states[position] = state
        if state == WAITING:
            self._lowest = min(self._lowest, position)
        self.changed.add(position // CHUNK)

    def ended(self, position: int, state: DriverState, status: int | None, worker_id: str) -> None:
        """Note the end of an ACTIVE task, or its true end, which became known later."""
        self.set(position, BYTE_OF[state])
        shown = 0 if status is None else status if 0 <= status <= _HIGHEST_STATUS else _HIGHEST_STATUS
        self.statuses[position] = shown
        self._highest_status = max(self._highest_status, shown)
        self._workers[position] = self._number(worker_id)

    def place_again(self, position: int) -> None:
        if position not in self.again:
            insort(self.again, position)

    def discard_again(self, position: int) -> None:
        if position in self.again:
            self.again.remove(position)

    def kill_waiting(self, positions: range) -> int:
        """End those of the tasks that have not started; return how many."""
        before = self.states[positions.start : positions.stop]
        killed = before.count(WAITING) + before.count(HELD)
        if killed:
            self.states[positions.start : positions.stop] = before.translate(_KILL)
            self.counts[WAITING] -= before.count(WAITING)
            self.counts[HELD] -= before.count(HELD)
            self.counts[KILLED] += killed
            self.changed.update(range(positions.start // CHUNK, (positions.stop - 1) // CHUNK + 1))
        return killed

    def swap(self, positions: range, before: int, after: int) -> int:
        """Hold or release those of the tasks that have not started; return how many."""
        part = self.states[positions.start : positions.stop]
        count = part.count(before)
        if count:
            self.states[positions.start : positions.stop] = part.replace(bytes([before]), bytes([after]))
            self.counts[before] -= count
            self.counts[after] += count
            self._lowest = min(self._lowest, positions.start)
            self.changed.update(range(positions.start // CHUNK, (positions.stop - 1) // CHUNK + 1))
        return count

    def active(self, positions: range) -> Iterator[int]:
        """Yield the positions of ACTIVE tasks. They may change meanwhile."""
        at = positions.start
        while (at := self.states.find(ACTIVE, at, positions.stop)) >= 0:
            yield at
            at += 1

    def counted(self, positions: range) -> list[int]:
        """Return how many of the tasks are in each state."""
        if len(positions) == len(self):
            return list(self.counts)
        part = self.states[positions.start : positions.stop]
        return [part.count(state) for state in range(len(NAMES))]

    def runs(self, positions: range) -> Iterator[tuple[int, int, int]]:
        """Yield (start, stop, state) for each run of equal states."""
        at, stop = positions.start, positions.stop
        following = [self._find(state, at, stop) for state in range(len(NAMES))]  # where each state occurs next
        while at < stop:
            state = self.states[at]
            following[state] = stop
            end = min(following)
            yield at, end, state
            following[state] = self._find(state, end, stop)
            at = end

    def _find(self, state: int, start: int, stop: int) -> int:
        found = self.states.find(state, start, stop)
        return stop if found < 0 else found

    def status(self, positions: range) -> int:
        """Return the highest exit status; at least 1 if one has ended in another way than FINISHED."""
        if len(positions) == len(self):
            highest = self._highest_status
        else:
            highest = max(self.statuses[positions.start : positions.stop], default=0)
        return max(highest, 1) if any(self.counted(positions)[FAILED:]) else 0

    def worker_of(self, position: int) -> str:
        """Return the worker of the latest attempt of a task that has ended; "" if it never ran."""
        return self._names[self._workers[position]]

    # --- records ---

    def chunk(self, array_id: str, number: int) -> TaskChunk:
        here = slice(number * CHUNK, (number + 1) * CHUNK)
        have_run = bool(self._workers[here].tobytes().strip(b"\0"))
        numbers = self._workers[here].tolist() if have_run else []
        used = sorted(set(numbers) - {0})
        place = {each: place.to_bytes(2, "little") for place, each in enumerate([0, *used])}
        workers = b"".join(map(place.__getitem__, numbers))
        return TaskChunk(
            array_id=array_id,
            number=number,
            states=bytes(self.states[here]).rstrip(b"\0"),
            statuses=bytes(self.statuses[here]).rstrip(b"\0"),
            workers=workers,
            names=tuple(self._names[each] for each in used),
        )

    def load(self, chunks: int, records: Iterable[TaskChunk]) -> None:
        """Take over the records of an earlier master, of which there were ``chunks``. Tasks of a chunk that is missing may
        have run: they are ACTIVE, and so without a driver given up."""
        found = {record.number: record for record in records}
        for number in range(max(chunks, max(found, default=-1) + 1)):
            start = number * CHUNK
            size = max(0, min(CHUNK, len(self) - start))
            record = found.get(number)
            if record is None:
                self.states[start : start + size] = bytes([ACTIVE]) * size
                continue
            states = record.states[:size].translate(_KNOWN).ljust(size, b"\0")
            self.states[start : start + size] = states
            self.statuses[start : start + size] = record.statuses[:size].ljust(size, b"\0")
            numbers = [0, *map(self._number, record.names)]
            for position in range(min(size, len(record.workers) // 2)):
                place = int.from_bytes(record.workers[2 * position : 2 * position + 2], "little")
                self._workers[start + position] = numbers[place] if place < len(numbers) else 0
        self.counts = [self.states.count(state) for state in range(len(NAMES))]
        self._highest_status = max(self.statuses)
        self._lowest = 0

    def _number(self, worker_id: str) -> int:
        number = self._numbers.setdefault(worker_id, len(self._names))
        if number == len(self._names):
            self._names.append(worker_id)
        return number


_KNOWN = bytes(byte if byte < len(NAMES) else ERROR for byte in range(256))  # of a later release, or damaged
