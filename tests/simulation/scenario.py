"""A cluster and its work, drawn from a seed."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from functools import partial
from typing import get_args

import msgspec

from stoker.core.model.changes import JobChange
from stoker.core.model.policy import Policy
from stoker.core.model.pools import Pool, Pools, Quota
from stoker.core.model.profiles import Profile
from stoker.core.model.resources import Addresses, Amounts
from stoker.core.model.values import AfterEnd, ApplicationDescription, Artifact, Command, DriverDescription
from tests.simulation.application import Application
from tests.simulation.checks import SETTLE, Checks
from tests.simulation.client import Client
from tests.simulation.hostile import HOSTILE, HostileWorker
from tests.simulation.master import Disk, Master
from tests.simulation.network import Network
from tests.simulation.operator import Operator
from tests.simulation.skew import Skew
from tests.simulation.storage import Ensemble, Store
from tests.simulation.worker import Worker
from tests.simulation.world import Host, World

MODES = ("NONE", "FILESYSTEM", "FILESYSTEM", "ZOOKEEPER", "ZOOKEEPER", "ZOOKEEPER")
FOR_EVER = 1e6  # seconds


@dataclass
class Cluster:
    world: World
    mode: str
    policy: Policy
    network: Network
    checks: Checks
    store: Store
    ensemble: Ensemble | None
    skew: Skew
    disk: Disk
    lots: random.Random  # draws of later features, so that the seeds' other choices stay what they were
    chaos: float  # seconds during which there is new work and there are faults
    devices: random.Random | None  # draws named resources; None: there are none
    pools: Pools
    sharing: random.Random = field(default_factory=lambda: random.Random(0))  # draws the pools of jobs
    arrays: random.Random = field(default_factory=lambda: random.Random(0))  # draws which drivers are arrays
    parents: random.Random = field(default_factory=lambda: random.Random(0))  # draws which drivers start after which
    gangs: random.Random = field(default_factory=lambda: random.Random(0))  # draws which applications are gangs
    masters: list[Master] = field(default_factory=list)
    workers: list[Worker] = field(default_factory=list)
    applications: list[Application] = field(default_factory=list)
    clients: list[Client] = field(default_factory=list)
    hostile: HostileWorker | None = None
    operator: Operator = field(init=False)

    @property
    def hosts(self) -> list[Host]:
        nodes = (*self.masters, *self.workers, *self.applications, *self.clients)
        return [node.host for node in nodes] + ([self.ensemble.host] if self.ensemble else [])


def build(world: World) -> Cluster:
    rng = world.rng
    mode = rng.choice(MODES)
    policy = Policy(
        spread_out_apps=rng.random() < 0.5,
        spread_out_drivers=rng.random() < 0.5,
        default_cores=rng.choice((4, 2**31 - 1)),
        max_drivers=rng.choice((3, 2**31 - 1, 2**31 - 1)),
        max_executor_retries=rng.choice((3, 10)),
        retained_apps=rng.choice((2, 200)),
        retained_drivers=rng.choice((3, 200, 200)),
        worker_timeout=rng.choice((12.0, 60.0)),
        recovery_timeout=rng.choice((20.0, 60.0)),
        reconnect_timeout=rng.choice((4.0, 10.0)),
    )
    skew = Skew()
    checks = Checks(world, is_durable=mode != "NONE", old=skew.old)
    network = Network(world, policy.worker_timeout, skew.rewrite)
    ensemble = Ensemble(world, network, rng.choice((2.0, 6.0))) if mode == "ZOOKEEPER" else None
    store = checks.store = Store(checks.stored)
    devices = random.Random(world.seed + 0.5)  # its own: clusters without named resources are as they were
    cluster = Cluster(
        world, mode, policy, network, checks, store, ensemble, skew, Disk(), chaos=rng.choice((40.0, 90.0, 150.0)),
        devices=devices if devices.random() < 0.5 else None, lots=random.Random(world.seed),
        pools=_pools(random.Random(world.seed + 0.25)),
    )  # fmt: skip
    cluster.sharing.seed(world.seed)
    cluster.parents.seed(world.seed + 0.375)
    cluster.arrays.seed(world.seed + 0.625)
    cluster.gangs.seed(world.seed + 0.4375)
    _add_masters(cluster)
    _add_workers(cluster)
    _add_applications(cluster)
    for number in range(rng.randint(1, 2)):
        host = _host(cluster, f"client{number}")
        cluster.clients.append(Client(world, network, host, masters=_addresses(cluster), checks=checks))
    _skew(cluster)
    cluster.operator = Operator(cluster)
    _start(cluster)
    cluster.operator.plan()
    return cluster


def _host(cluster: Cluster, name: str) -> Host:
    rng = cluster.world.rng
    settles = SETTLE + 2 * cluster.policy.worker_timeout
    return Host(cluster.world, name, uptime=rng.random() * 1e5, wall_error=rng.random() * 0.2, settles=settles)


def _addresses(cluster: Cluster) -> tuple[str, ...]:
    addresses = [master.address for master in cluster.masters]
    cluster.world.rng.shuffle(addresses)
    return tuple(addresses)


def _add_masters(cluster: Cluster) -> None:
    count = cluster.world.rng.randint(2, 3) if cluster.mode == "ZOOKEEPER" else 1
    for number in range(count):
        master = Master(
            cluster.world,
            cluster.network,
            _host(cluster, f"m{number}"),
            policy=cluster.policy,
            pools=cluster.pools,
            store=cluster.store,
            ensemble=cluster.ensemble,
            durable=cluster.mode != "NONE",
            checks=cluster.checks,
            disk=cluster.disk,
        )
        cluster.masters.append(master)


def _add_workers(cluster: Cluster) -> None:
    rng = cluster.world.rng
    grace = rng.choice((2.0, 10.0))
    for number in range(rng.randint(1, 4)):
        worker = Worker(
            cluster.world,
            cluster.network,
            _host(cluster, f"w{number}"),
            masters=_addresses(cluster),
            cores=rng.randint(1, 6),
            memory_mib=rng.choice((2048, 8192)),
            resources=_offered(cluster),
            reconnect_timeout=cluster.policy.reconnect_timeout,
            worker_timeout=cluster.policy.worker_timeout,
            grace=grace,
            checks=cluster.checks,
        )
        cluster.workers.append(worker)


def _add_applications(cluster: Cluster) -> None:
    rng = cluster.world.rng
    for number in range(rng.randint(0, 3)):
        finite = rng.random() < 0.4
        seconds = rng.choice((2.0, 15.0)) if finite else rng.choice((3.0, FOR_EVER, FOR_EVER))
        description = ApplicationDescription(
            name=f"app{number}",
            command=Command(argv=_script(cluster, seconds)),
            max_cores=rng.choice((None, 1, 3, 8)),
            cores_per_executor=rng.choice((None, 1, 2)),
            memory_mib=rng.choice((256, 1024)),
            executor_limit=rng.choice((2, 2**31 - 1)),
            finite=finite,
            resources=_wanted(cluster),
            time_limit=cluster.lots.choice((0.0, 0.0, 0.0, 30.0)),
            pool=_pool(cluster),
        )
        description = _gang(cluster, description)
        cluster.applications.append(
            Application(
                cluster.world,
                cluster.network,
                _host(cluster, f"app{number}"),
                masters=_addresses(cluster),
                description=description,
                lives=rng.random() * 2 * cluster.chaos,
                checks=cluster.checks,
            )
        )


def _script(cluster: Cluster, seconds: float) -> tuple[str, ...]:
    rng = cluster.world.rng
    kind = rng.choices(("job", "broken", "missing"), (20, 1, 1))[0]
    return (kind, f"{seconds:.3f}", rng.choice(("0", "0", "0", "1")))


def driver(cluster: Cluster) -> DriverDescription:
    rng = cluster.world.rng
    return DriverDescription(
        kind="program",
        main="job",
        artifacts=(Artifact(name="job", url="file:/bin/true"),),
        args=_script(cluster, rng.choice((0.2, 3.0, 20.0, FOR_EVER))),
        cores=rng.choice((0, 1, 1, 2, 4)),
        memory_mib=rng.choice((0, 256, 1024)),
        supervise=rng.random() < 0.5,
        max_restarts=rng.randint(0, 3),
        resources=_wanted(cluster),
        time_limit=cluster.lots.choice((0.0, 0.0, 0.0, 1.0, 8.0)),
        pool=_pool(cluster),
        priority=cluster.sharing.choice((None, 0, 2)) if cluster.pools.is_configured else None,
    )


def _gang(cluster: Cluster, app: ApplicationDescription) -> ApplicationDescription:
    """Make a gang of some applications: of as many executors at once as they may have, or fewer."""
    most = min(cluster.policy.default_cores if app.max_cores is None else app.max_cores, 8)
    count = most // app.cores_per_executor if app.cores_per_executor else 0
    if count < 2 or cluster.gangs.random() < 0.4:
        return app
    return msgspec.structs.replace(app, min_executors=cluster.gangs.randint(2, count))


def _pools(draw: random.Random) -> Pools:
    """Return the pools that all masters have; in every second seed there are none."""
    if draw.random() < 0.5:
        return Pools()
    pools = [_drawn_pool(draw, name) for name in ("default", "a", "b")]
    lots = random.Random()
    lots.setstate(draw.getstate())  # GPUs change nothing else of a seed
    return Pools(
        pools={pool.name: _with_gpus(lots, pool) for pool in pools},
        half_life=draw.choice((60.0, 86400.0)),
        is_configured=True,
        reserve_after=draw.choice((0.0, 1.0, 10.0, 60.0, -1.0)),
        reserved_share=draw.choice((0.05, 0.25, 1.0)),
    )


def _drawn_pool(draw: random.Random, name: str) -> Pool:
    return Pool(
        name=name,
        weight=draw.choice((1, 1, 3)),
        min_share=Quota(cores=draw.choice((None, None, 2))),
        most=Quota(cores=draw.choice((None, 2, 5)), drivers=draw.choice((None, None, 2))),
        most_per_user=Quota(memory_mib=draw.choice((None, None, 2048)), drivers=draw.choice((None, None, 1))),
        max_driver_share=draw.choice((None, None, 0.5)),
        policy=draw.choice(("fair", "fifo")),
        max_priority=2,
    )


def _with_gpus(draw: random.Random, pool: Pool) -> Pool:
    """Return the pool with a share and limits of GPUs, in some seeds."""
    amounts = [(("gpu", amount),) if amount is not None else () for amount in draw.choices((None, None, 0, 1, 2), k=3)]
    quotas = zip((pool.min_share, pool.most, pool.most_per_user), amounts, strict=True)
    least, most, per_user = (msgspec.structs.replace(quota, resources=amount) for quota, amount in quotas)
    return msgspec.structs.replace(pool, min_share=least, most=most, most_per_user=per_user)


def _pool(cluster: Cluster) -> str:
    return cluster.sharing.choice(("", "a", "b")) if cluster.pools.is_configured else ""


def _offered(cluster: Cluster) -> Addresses:
    if cluster.devices is None:
        return ()
    addresses = tuple(str(number) for number in range(cluster.devices.choice((0, 1, 2, 2, 4))))
    disks = (("disk", ("a",)),) if cluster.devices.random() < 0.2 else ()
    return disks + ((("gpu", addresses),) if addresses else ())


def _wanted(cluster: Cluster) -> Amounts:
    if cluster.devices is None:
        return ()
    choices: tuple[Amounts, ...] = ((), (("gpu", 1),), (("gpu", 1),), (("gpu", 2),), (("disk", 1), ("gpu", 1)))
    return cluster.devices.choice(choices)


def hostile_worker(cluster: Cluster) -> HostileWorker:
    """Return the cluster's hostile worker; it is made when it is first wanted."""
    if cluster.hostile is None:
        cluster.hostile = HostileWorker(cluster, _host(cluster, HOSTILE))
    return cluster.hostile


def _skew(cluster: Cluster) -> None:
    rng = cluster.world.rng
    for node in (*cluster.masters, *cluster.workers, *cluster.clients):
        draw = rng.random()
        if draw < 0.1:
            cluster.skew.old.add(node.name)
            if isinstance(node, Worker):
                node.machine.is_old = True
        elif draw < 0.2:
            cluster.skew.new.add(node.name)


def _start(cluster: Cluster) -> None:
    """All processes start within a few seconds. Work arrives as long as there are faults."""
    world, rng = cluster.world, cluster.world.rng
    for node in (*cluster.masters, *cluster.workers, *cluster.clients):
        world.after(3 * rng.random(), node.start)
    for application in cluster.applications:
        world.after(rng.random() * cluster.chaos, application.start)
    for _ in range(rng.randint(2, 14)):
        client, description = rng.choice(cluster.clients), driver(cluster)
        world.after(rng.random() * cluster.chaos, partial(_submit, cluster, client, description))
    for _ in range(rng.randint(0, 4)):
        world.after(rng.random() * cluster.chaos, lambda: _kill_something(cluster))
    for _ in range(rng.randint(0, 3)):
        world.after(rng.random() * cluster.chaos, lambda: _use_an_application(cluster))
    holding = random.Random(world.seed + 0.125)  # its own: seeds without holds are as they were
    for _ in range(holding.choice((0, 0, 2, 6))):
        world.after(holding.random() * cluster.chaos, partial(_hold_something, cluster, holding))


def _submit(cluster: Cluster, client: Client, description: DriverDescription) -> None:
    """Submit it; some start after drivers that were submitted before."""
    if not client.is_alive:
        return
    draw, ids = cluster.parents, [driver_id for known in cluster.clients for driver_id in known.submitted]
    if ids and draw.random() < 0.3:
        parents = tuple(dict.fromkeys(draw.choice(ids) for _ in range(draw.randint(1, 3))))
        after_end = draw.choice(get_args(AfterEnd))
        description = msgspec.structs.replace(description, after=parents, after_end=after_end)
    draw = cluster.arrays
    if draw.random() < 0.25:
        array = draw.choice(("1-3", "0-7%2", "5-9:2%1", "1,4-6"))
        args = (description.args[0], draw.choice(("0.2", "3.000")), description.args[2])
        description = msgspec.structs.replace(description, array=array, args=args)
    client.submit(description)


def _kill_something(cluster: Cluster) -> None:
    rng = cluster.world.rng
    client = rng.choice(cluster.clients)
    ids = _known_ids(cluster)
    if ids and client.is_alive:
        client.kill(rng.choice(ids))
    if client.submitted and client.is_alive:
        client.watch(rng.choice(client.submitted))


def _hold_something(cluster: Cluster, draw: random.Random) -> None:
    """Hold a job, release one, or change one; most of the held ones stay held."""
    client = draw.choice(cluster.clients)
    ids = _known_ids(cluster)
    if not ids or not client.is_alive:
        return
    job_id = draw.choice(ids)
    if draw.random() < 0.7:
        client.hold(job_id, hold=draw.random() < 0.6)
    else:
        priority, pool = draw.choice((None, -1, 0)), _pool(cluster)
        client.update(job_id, JobChange(pool=pool, priority=priority, time_limit=draw.choice((None, 5.0))))


def _known_ids(cluster: Cluster) -> list[str]:
    ids = [driver_id for known in cluster.clients for driver_id in known.submitted]
    return ids + [app.core.app_id for app in cluster.applications if app.core is not None and app.core.app_id]


def _profiles(cluster: Cluster) -> tuple[Profile, ...]:
    lots = cluster.lots
    return tuple(
        Profile(
            id=number,
            executor_limit=lots.randint(0, 2),
            memory_mib=lots.choice((128, 700)),
            cores_per_executor=lots.choice((None, 1, 2)),
            resources=_wanted(cluster),
        )
        for number in lots.choice(((), (), (1,), (1, 4)))
    )


def _use_an_application(cluster: Cluster) -> None:
    rng = cluster.world.rng
    if cluster.applications:
        application = rng.choice(cluster.applications)
        if rng.random() < 0.5:
            application.want(rng.randint(0, 5), _profiles(cluster) if not application.description.finite else ())
        else:
            application.kill_one()
