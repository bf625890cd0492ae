"""A real HDFS on loopback, one NameNode and one DataNode. No package index has Hadoop; Spark 2.4 shipped all of it."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import pytest
import requests

from tests.support.cluster import free_port
from tests.support.wait import wait_until

PYSPARK = "2.4.8"  # the last release whose jars include the servers of HDFS (2.7.3)
JARS = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "stoker" / f"hadoop-of-pyspark-{PYSPARK}"
DEBIAN_JARS = [
    Path("/usr/share/java") / f"{name}.jar"
    for name in ("jersey1-core", "jersey1-server", "jersey1-servlet", "jsr311-api")
]
# The versions that its setup.py of 2021 needs.
_BUILT_WITH = "pypandoc<1.8\nsetuptools<81\n"
_NOT_NEEDED = (
    "spark-",
    "scala-",
    "hive-",
    "jersey-",
    "javax.ws.rs",
    "breeze",
    "kubernetes",
    "parquet",
    "orc-",
    "calcite",
)
_JAVA = [
    "java", "-Xmx256m", "-XX:+UseSerialGC",
    "--add-opens=java.base/java.lang=ALL-UNNAMED",
    "--add-exports=java.security.jgss/sun.security.krb5=ALL-UNNAMED",
    "--add-opens=java.security.jgss/sun.security.krb5=ALL-UNNAMED",
]  # fmt: skip


def need_hadoop() -> None:
    """Put Hadoop's jars in ``JARS``; the first time 220 MB are downloaded. Skip the test if that is not possible."""
    if shutil.which("java") is None or not all(jar.exists() for jar in DEBIAN_JARS):
        pytest.skip("needs: apt-get install openjdk-17-jre-headless libjersey1-servlet-java libjsr311-api-java")
    if JARS.is_dir():
        return
    JARS.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=JARS.parent) as name:
        folder = Path(name)
        constraints = folder / "constraints"
        constraints.write_text(_BUILT_WITH)
        words = ["download", "--quiet", "--no-deps", "--no-binary", "pyspark", "--dest", name, f"pyspark=={PYSPARK}"]
        # pip before 25.3 reads the first variable, later releases the second.
        environment = {**os.environ, "PIP_CONSTRAINT": str(constraints), "PIP_BUILD_CONSTRAINT": str(constraints)}
        done = subprocess.run(
            [sys.executable, "-m", "pip", *words], check=False, env=environment, capture_output=True, text=True
        )
        if done.returncode:
            pytest.skip(f"needs the source of pyspark {PYSPARK} from a package index: {done.stderr[-2000:]}")
        (folder / "jars").mkdir()
        with tarfile.open(folder / f"pyspark-{PYSPARK}.tar.gz") as archive:
            for member in archive:
                jar = Path(member.name)
                if jar.parent.name == "jars" and jar.suffix == ".jar" and not jar.name.startswith(_NOT_NEEDED):
                    source = archive.extractfile(member)
                    assert source is not None
                    with source, (folder / "jars" / jar.name).open("wb") as file:
                        shutil.copyfileobj(source, file)
        if not JARS.is_dir():  # unless another process was faster
            (folder / "jars").rename(JARS)


class Hdfs:
    """``with Hdfs(folder) as hdfs``: the servers are at ``hdfs.url`` and, by HTTP, at ``hdfs.web_url``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._processes: list[subprocess.Popen[bytes]] = []
        port, self._web_port = free_port(), free_port()
        self.url, self.web_url = f"hdfs://127.0.0.1:{port}", f"webhdfs://127.0.0.1:{self._web_port}"
        conf = folder / "conf"
        for name in ("conf", "webapps/hdfs", "webapps/datanode"):
            (folder / name).mkdir(parents=True)
        (conf / "core-site.xml").write_text(
            _settings({"fs.defaultFS": self.url, "hadoop.tmp.dir": str(folder / "data")})
        )
        anywhere = "127.0.0.1:0"
        own = {
            "dfs.namenode.http-address": f"127.0.0.1:{self._web_port}",
            "dfs.datanode.address": anywhere,
            "dfs.datanode.http.address": anywhere,
            "dfs.datanode.ipc.address": anywhere,
            "dfs.datanode.hostname": "127.0.0.1",
            "dfs.replication": "1",
        }
        (conf / "hdfs-site.xml").write_text(_settings(own))
        jars = [f"{JARS}/*", *map(str, DEBIAN_JARS)]
        self._java = [*_JAVA, "-cp", os.pathsep.join([str(conf), str(folder), *jars])]

    def __enter__(self) -> Hdfs:
        try:
            self._start("namenode.NameNode", "-format", "-nonInteractive").wait(60)
            self._start("namenode.NameNode")
            wait_until(self._answers, within=60, what="the NameNode answers")
            self._start("datanode.DataNode")
            wait_until(self._has_a_datanode, within=60, what="the DataNode is registered")
        except BaseException:
            self.__exit__()
            print((self._folder / "log").read_text()[-6000:])
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            process.kill()
            process.wait(20)

    def _start(self, main: str, *words: str) -> subprocess.Popen[bytes]:
        command = [*self._java, f"org.apache.hadoop.hdfs.server.{main}", *words]
        with (self._folder / "log").open("ab") as log:
            self._processes.append(subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log))
        return self._processes[-1]

    def _answers(self) -> bool:
        try:
            return self._ask("GET", "/", "LISTSTATUS").ok
        except requests.ConnectionError:
            return False

    def _has_a_datanode(self) -> bool:
        query = {"qry": "Hadoop:service=NameNode,name=FSNamesystemState"}
        answer = requests.get(f"http://127.0.0.1:{self._web_port}/jmx", params=query, timeout=20)
        return bool(answer.json()["beans"][0]["NumLiveDataNodes"] == 1)

    def write(self, path: str, content: bytes, *, owner: str) -> None:
        """Write a file that only its owner may read, as HDFS's superuser: the user that runs HDFS."""
        at = self._ask("PUT", path, "CREATE", allow_redirects=False).headers["Location"]
        requests.put(at, data=content, timeout=20).raise_for_status()
        self._ask("PUT", path, "SETPERMISSION", permission="400").raise_for_status()
        self._ask("PUT", path, "SETOWNER", owner=owner).raise_for_status()

    def _ask(self, method: str, path: str, op: str, *, allow_redirects: bool = True, **query: str) -> requests.Response:
        parameters = {"op": op, "user.name": _whoami(), **query}
        url = f"http://127.0.0.1:{self._web_port}/webhdfs/v1{path}"
        return requests.request(method, url, params=parameters, allow_redirects=allow_redirects, timeout=20)


def _whoami() -> str:
    return pwd.getpwuid(os.getuid()).pw_name


def _settings(settings: dict[str, str]) -> str:
    lines = (f"<property><name>{name}</name><value>{value}</value></property>" for name, value in settings.items())
    return f"<configuration>{''.join(lines)}</configuration>"
