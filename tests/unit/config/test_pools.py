"""pools.yml is read strictly: each fault is one line that names the fix, and nothing of a wrong file is used."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import pytest

from stoker.config.check import check_file
from stoker.config.pools import parse_pools, read_pools
from stoker.core.model.pools import Pool, Quota
from stoker.errors import ConfigError

WHOLE = """
pools:
  etl:
    weight: 3
    min_share: {cores: 16, memory: 64g}
    max: {cores: 64, memory: 256g, drivers: 20}
    max_per_user: {cores: 16, drivers: 5, queued: 1000}
    max_driver_share: 0.5
    policy: fifo
    priority: {default: 1, max: 10}
    time_limit: {default: 8h, max: 2d}
    max_disk: {default: 20g, max: 200g}
    users: [ada, "team-*"]
    operators: [grace]
  default:
scheduler: {half_life: 12h}
"""


def test_a_whole_file() -> None:
    pools, faults = parse_pools(WHOLE, "pools.yml")
    assert faults == [] and pools is not None
    assert (list(pools.pools), pools.half_life, pools.is_configured) == (["etl", "default"], 43200.0, True)
    assert pools.of("default") == Pool(name="default")
    assert pools.of("etl") == Pool(
        name="etl",
        weight=3,
        min_share=Quota(cores=16, memory_mib=65536),
        most=Quota(cores=64, memory_mib=262144, drivers=20),
        most_per_user=Quota(cores=16, drivers=5, queued=1000),
        max_driver_share=0.5,
        policy="fifo",
        default_priority=1,
        max_priority=10,
        users=("ada", "team-*"),
        operators=("grace",),
        default_time_limit=8 * 3600.0,
        max_time_limit=2 * 86400.0,
        default_disk_mib=20 * 1024,
        max_disk_mib=200 * 1024,
    )


@pytest.mark.parametrize(
    ("pool", "fault"),
    [
        ("{wieght: 3}", "p: unknown setting 'wieght': did you mean weight?"),
        ("{weight: 0}", "p: weight: 0 is not a whole number from 1 to 1000000"),
        ("{weight: true}", "p: weight: True is not a whole number"),
        ("{max: {cores: 4}, min_share: {cores: 8}}", "max: cores is less than min_share: cores: raise max"),
        ("{max: {memory: 1g}, min_share: {memory: 2g}}", "max: memory is less than min_share: memory"),
        ("{max: {core: 4}}", "p: max: unknown setting 'core': did you mean cores?"),
        ("{time_limit: 8h}", "time_limit: '8h' is not a list of settings: write 'time_limit: {default: 4}'"),
        ("{time_limit: {max: 0}}", "p: time_limit: max: '0' is not a time limit: write a duration above 0"),
        ("{time_limit: {default: 3d, max: 2d}}", "p: time_limit: default is 3 d, longer than max, which is 2 d"),
        ("{max: {core: 3}}", "p: max: unknown setting 'core': did you mean cores?"),
        ("{max: {gpus: 3}}", "p: max: unknown setting 'gpus': did you mean gpu?"),
        ("{max: {a b: 3}}", "p: max: unknown setting 'a b': 'a b' is not the name of a resource"),
        ("{min_share: {drivers: 3}}", "p: min_share: unknown setting 'drivers': use one of cores, memory, or the name"),
        ("{max: {gpu: few}}", "p: max: gpu: 'few' is not a whole number of at least 0"),
        ("{max: {gpu: -1}}", "p: max: gpu: -1 is not a whole number of at least 0"),
        ("{max: {gpu: 0.5}}", "p: max: gpu: 0.5 is not a whole number of at least 0"),
        ("{min_share: {gpu: 3}, max: {gpu: 2}}", "p: max: gpu is less than min_share: gpu: raise max"),
        ("{max_disk: 20g}", "max_disk: '20g' is not a list of settings: write 'max_disk: {default: 4}'"),
        ("{max_disk: {max: 0}}", "p: max_disk: max: '0' is not a disk limit: write a size of at least 1m"),
        ("{max_disk: {default: much}}", "p: max_disk: default: 'much' is not a size: write it like 512m or 20g"),
        ("{max_disk: {default: [1g]}}", "p: max_disk: default: ['1g'] is not a disk limit"),
        ("{max_disk: {default: 2t, max: 1t}}", "p: max_disk: default is 2048 GiB, more than max, which is 1024 GiB"),
        ("{time_limit: {default: [1h]}}", "p: time_limit: default: ['1h'] is not a time limit"),
        ("{max: 4}", "max: 4 is not a list of settings: write 'max: {cores: 4}'"),
        ("{max: {cores: -1}}", "cores: -1 is not a whole number of at least 0"),
        ("{max: {memory: much}}", "memory: 'much' is not an amount of memory"),
        ("{max_driver_share: 0}", "max_driver_share: 0 is not a share"),
        ("{policy: lifo}", "policy: 'lifo' is not one of 'fair', 'fifo'"),
        ("{priority: {default: 5, max: 1}}", "priority: default is 5, more than max, which is 1"),
        ("{users: ada}", "users: 'ada' is not a list of names"),
        ("3", "3 is not a list of settings: write 'p: {weight: 2}'"),
    ],
)
def test_each_fault_names_its_place_and_the_fix(pool: str, fault: str) -> None:
    pools, faults = parse_pools(f"pools:\n  p: {pool}\n", "pools.yml")
    assert pools is None
    assert len(faults) == 1 and faults[0].startswith("pools.yml: ") and fault in faults[0]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "it names no pools"),
        ("pools: {}", "it names no pools"),
        ("[1]", "it names no pools"),
        ("pools: {a b: {}}", "'a b' is not a name"),
        ("pools: {a: {}, a: {}}", "pools.yml:1: a is given twice"),
        ("pools: [", "pools.yml:1: "),
        ("pools: {a: {}}\nscheduler: {half_life: 1s}", "half_life: '1s' is too short: it must be at least 1m"),
        ("pools: {a: {}}\nscheduler: {reserve_after: soon}", "reserve_after: 'soon' is not a duration"),
        ("pools: {a: {}}\nscheduler: {shadow: 3}", "shadow: 3 is not the name of a file, for example new.yml"),
        ("pools: {a: {}}\nscheduler: {reserved_share: 0}", "reserved_share: 0 is not a share"),
        ("pools: {a: {}}\nscheduler: {half_live: 1d}", "did you mean half_life?"),
        ("pools: {a: {}}\nscheduler: 5", "5 is not a list of settings"),
        ("pools: {a: {}}\npool: {}", "unknown setting 'pool': did you mean pools?"),
        ("pools: {a: !!python/object/apply:os.system [id]}", "could not determine a constructor"),
    ],
)
def test_a_file_that_is_no_pools_file(text: str, fault: str) -> None:
    pools, faults = parse_pools(text, "pools.yml")
    assert pools is None and fault in faults[0]


def test_all_faults_are_listed_and_the_first_is_raised(tmp_path: Path) -> None:
    path = tmp_path / "pools.yml"
    path.write_text("pools: {a: {weight: 0, polizy: fair}}\n")
    assert len(check_file(path, "pools")) == 2
    with pytest.raises(ConfigError, match="and 1 more: 'stoker config check"):
        read_pools(path)
    assert check_file(tmp_path / "none.yml", "pools") == [f"cannot read {tmp_path}/none.yml: No such file or directory"]


def test_users_and_operators() -> None:
    pool = Pool(name="p", users=("ada", "team-*"), operators=("grace",))
    assert [pool.admits(name) for name in ("ada", "team-x", "adam", "team", "grace", "")] == [
        *(True, True, False, False, True, False)
    ]
    assert pool.is_operator("grace") and not pool.is_operator("ada") and not Pool(name="q").is_operator("")
    assert Pool(name="q").admits("")


def test_the_longest_time_limit_is_the_usual_one_too() -> None:
    pools, faults = parse_pools("pools: {p: {time_limit: {max: 2h}}}", "pools.yml")
    assert faults == [] and pools is not None
    assert (pools.of("p").default_time_limit, pools.of("p").max_time_limit) == (7200.0, 7200.0)


def test_resources_of_workers_are_limited_by_their_names() -> None:
    text = "pools: {p: {min_share: {gpu: 1}, max: {cores: 4, fpga: 0, gpu: 8}, max_per_user: {gpu: 2}}}"
    pools, faults = parse_pools(text, "pools.yml")
    assert pools is not None and not faults
    pool = pools.of("p")
    assert (pool.min_share.resources, pool.most_per_user.resources) == ((("gpu", 1),), (("gpu", 2),))
    assert pool.most == Quota(cores=4, resources=(("fpga", 0), ("gpu", 8)))


def test_deep_nesting_is_one_fault() -> None:
    """PyYAML would need a time that grows with the square of the depth."""
    pools, faults = parse_pools("pools: " + "[" * 100_000, "p.yml")
    assert pools is None and faults == ["p.yml:1: nested over 50 deep"]


def test_the_files_that_the_documentation_shows_are_valid() -> None:
    page = (Path(__file__).parents[3] / "docs" / "scheduling.md").read_text()
    blocks = re.findall(r"(?:^    .*\n)+", page, re.MULTILINE)
    files = [textwrap.dedent(block) for block in blocks if block.startswith("    pools:\n")]
    assert len(files) >= 4
    for text in files:
        assert parse_pools(text, "pools.yml")[1] == []
