"""What a job uses, without a group of its own."""

from __future__ import annotations

import os
import resource

from stoker.worker.groups.usage import EVERY, ProcessUsage, Rhythm, resident


def rusage(user: float, system: float, peak_kib: int) -> resource.struct_rusage:
    return resource.struct_rusage((user, system, peak_kib, *([0] * 13)))


def test_the_peak_is_the_largest_sum_or_the_largest_process() -> None:
    usage = ProcessUsage()
    usage.sample([os.getpid(), os.getpid()])
    sampled = usage.peak
    assert sampled >= 2 * 5 * 2**20
    usage.sample([])
    usage.reaped(rusage(1.5, 0.25, 1))
    assert (usage.peak, usage.cpu) == (sampled, 1.75)
    usage.reaped(rusage(1.5, 0.25, sampled))
    assert usage.peak == sampled * 1024


def test_a_process_that_has_exited_uses_nothing() -> None:
    assert resident(2**22 + 1) == 0


def test_long_rounds_are_rare() -> None:
    rhythm = Rhythm()
    rhythm.took(10.0, 10.001)
    assert rhythm.due == 10.001 + EVERY
    rhythm.took(10.0, 12.0)
    assert rhythm.due == 12.0 + 40.0
