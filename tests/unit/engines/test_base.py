"""What an engine offers its tasks."""

from __future__ import annotations

from stoker.engines.base import Resources


def test_gpus_have_the_name_that_engines_use_and_others_their_own() -> None:
    held = Resources(host="h", named=(("fpga", 2), ("gpu", 1)))
    assert held.engine_resources == {"fpga": 2, "GPU": 1}
    assert Resources(host="h").engine_resources == {}
