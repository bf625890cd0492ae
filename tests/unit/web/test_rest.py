"""Spark's REST submission protocol, request by request (spec 15.6)."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from flask.testing import FlaskClient

from stoker.core.model.principal import Asker
from stoker.core.model.states import DriverState, MasterState
from stoker.core.model.values import RELEASE_PROPERTY, DriverDescription
from stoker.core.model.views import AppView, DriverView
from stoker.errors import NotFound, Refused
from stoker.security.roles import AccessRole
from stoker.version import __version__
from stoker.web.access.policy import Access
from stoker.web.rest.app import make_rest_app
from tests.support.web import cluster_view, driver_view

BASE = "/v1/submissions"
SPARK_SUBMIT = "org.apache.spark.deploy.SparkSubmit"


class Control:
    def __init__(self) -> None:
        self.submitted: list[tuple[DriverDescription, Asker]] = []
        self.killed: list[tuple[str, Asker]] = []
        self.cleared = self.killed_all = 0
        self.refusal = ""
        self.driver = driver_view()

    def submit(self, driver: DriverDescription, by: Asker) -> str:
        if self.refusal:
            raise Refused(self.refusal)
        self.submitted.append((driver, by))
        return "driver-20260101000000-0000"

    def kill(self, job_id: str, by: Asker) -> str:
        if job_id != self.driver.id:
            raise NotFound("no")
        self.killed.append((job_id, by))
        return f"Kill request for {job_id} submitted"

    def kill_drivers(self, by: Asker) -> int:
        self.killed_all += 1
        return 7

    def clear_completed(self) -> None:
        self.cleared += 1

    def status(self, job_id: str) -> DriverView | AppView:
        if job_id != self.driver.id:
            raise NotFound("no")
        return self.driver


@pytest.fixture
def control() -> Control:
    return Control()


def client(control: Control, state: MasterState = MasterState.ALIVE, **options: Any) -> FlaskClient:
    role = options.pop("role", AccessRole.ADMIN)
    app = make_rest_app(
        lambda: cluster_view(state=state), control, access=Access(anonymous=role), environ={"REGION": "eu"}, **options
    )
    return app.test_client()


def jar(**changes: Any) -> dict[str, Any]:
    request = {
        "action": "CreateSubmissionRequest",
        "appArgs": ["a", "b c"],
        "appResource": "file:/srv/app.jar",
        "clientSparkVersion": "4.3.0",
        "environmentVariables": {"SPARK_X": "{{REGION}}", "SPARK_HOME": "/home/me/spark"},
        "mainClass": "org.example.Main",
        "sparkProperties": {
            "spark.app.name": "etl",
            "spark.jars": "file:/srv/app.jar,hdfs://nn/lib.jar",
            "spark.master": "spark://host0:6066",
            "spark.driver.memory": "2g",
            "spark.driver.cores": "3",
            "spark.driver.supervise": "true",
            "spark.driver.extraJavaOptions": "-Da='1 2'",
        },
    }
    request.update(changes)
    return {name: value for name, value in request.items() if value is not ...}


def create(control: Control, request: dict[str, Any], **options: Any) -> tuple[int, dict[str, Any]]:
    response = client(control, **options).post(f"{BASE}/create", json=request)
    return response.status_code, response.get_json()


# --- create ---


def test_a_jar(control: Control) -> None:
    status, answer = create(control, jar())
    assert status == 200
    assert answer["success"] is True
    assert answer["submissionId"] == "driver-20260101000000-0000"
    assert answer["message"] == "Driver successfully submitted as driver-20260101000000-0000"
    assert "unknownFields" not in answer
    [(driver, _)] = control.submitted
    assert (driver.kind, driver.main, driver.main_class, driver.args) == (
        "jar",
        "app.jar",
        "org.example.Main",
        ("a", "b c"),
    )
    assert {a.name: a.url for a in driver.artifacts} == {"app.jar": "file:/srv/app.jar", "lib.jar": "hdfs://nn/lib.jar"}
    assert driver.jars == ("lib.jar",)
    assert (driver.cores, driver.memory_mib, driver.supervise, driver.name) == (3, 2048, True, "etl")
    assert driver.java_options == ("-Da=1 2",)
    assert driver.env == {"SPARK_X": "eu"}
    assert driver.conf["spark.master"] == "spark://host0:7077", "the port of this interface is not the master's"


@pytest.mark.parametrize(
    ("resource", "args"),
    [("", ["/srv/job.py", "10"]), ("/srv/job.py", ["/srv/job.py", "10"]), ("file:/srv/job.py", [])],
)
def test_python(control: Control, resource: str, args: list[str]) -> None:
    properties = {"spark.app.name": "a b", "spark.submit.pyFiles": "/srv/lib.zip"}
    request = jar(mainClass=SPARK_SUBMIT, appResource=resource, appArgs=args, sparkProperties=properties)
    assert create(control, request)[1]["success"]
    [(driver, _)] = control.submitted
    assert (driver.kind, driver.main, driver.args) == ("python", "job.py", tuple(args[1:]))
    assert driver.py_files == ("lib.zip",)
    assert (driver.conf["spark.app.name"], driver.conf[RELEASE_PROPERTY]) == ("a b", "4.3.0")


def test_unknown_fields_are_named(control: Control) -> None:
    status, answer = create(control, jar(zeta=1, alpha=2))
    assert (status, answer["unknownFields"]) == (200, ["alpha", "zeta"])


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"action": ...}, "'action' is missing"),
        ({"action": "KillSubmissionRequest"}, "unexpected type KillSubmissionRequest"),
        ({"appResource": ...}, "Application jar is missing."),
        ({"mainClass": None}, "Main class is missing."),
        ({"clientSparkVersion": ...}, "'clientSparkVersion' is missing in message CreateSubmissionRequest."),
        ({"sparkProperties": ...}, "No Spark properties set!"),
        ({"message": {}}, "message must be a string, a number or a boolean, not an object"),
        ({"appArgs": "x"}, "appArgs must be an array"),
        ({"appArgs": [[1]]}, "appArgs[0] must be a string, a number or a boolean, not an array"),
        ({"appArgs": [1, None]}, "appArgs[1] must be a string, a number or a boolean, not null"),
        ({"environmentVariables": {"a": {}}}, 'environmentVariables["a"] must be a string, a number or a boolean, not'),
        ({"environmentVariables": []}, "environmentVariables must be an object"),
        ({"sparkProperties": {"spark.x": None}}, 'sparkProperties["spark.x"] must be a string, a number or a boolean, not'),
        ({"appArgs": ["\ud800"]}, "half of a surrogate pair"),
        ({"environmentVariables": {"a=b": "c"}}, "environment variable"),
        ({"appArgs": ["a\0b"]}, "NUL"),
        ({"appResource": "app.jar"}, "must be an absolute path or a URL of file, local"),
        ({"appResource": "gopher://x/app.jar"}, "must be an absolute path or a URL"),
        ({"appResource": "file:/srv/"}, "plain file name"),
        ({"appResource": "file:/srv/stdout"}, "output is written there"),
        ({"appResource": "http://[::1/app.jar"}, "is not a URL"),
        ({"mainClass": SPARK_SUBMIT, "appArgs": ["--conf", "x"]}, "must be the program, not '--conf'"),
        ({"mainClass": SPARK_SUBMIT, "appArgs": ["/srv/x.sh"]}, "is not a Python program"),
        ({"sparkProperties": {"spark.driver.supervise": "perhaps"}}, "property 'spark.driver.supervise'"),
        ({"sparkProperties": {"spark.driver.cores": "many"}}, "property 'spark.driver.cores'"),
        ({"sparkProperties": {"spark.cores.max": "1.5"}}, "property 'spark.cores.max'"),
        ({"sparkProperties": {"spark.driver.memory": "lots"}}, "property 'spark.driver.memory'"),
        ({"sparkProperties": {"spark.executor.memory": "1x"}}, "property 'spark.executor.memory'"),
        ({"sparkProperties": {"spark.driver.cores": "99999999999"}}, "property 'spark.driver.cores'"),
        ({"sparkProperties": {"spark.driver.extraJavaOptions": "'"}}, "Java options"),
        ({"sparkProperties": {"spark.jars": "/a/x.jar,/b/x.jar"}}, "have the same name"),
    ],
)  # fmt: skip
def test_malformed_requests_are_400_and_say_why(control: Control, change: dict[str, Any], text: str) -> None:
    status, answer = create(control, jar(**change))
    assert (status, answer["action"]) == (400, "ErrorResponse")
    assert text in answer["message"]
    assert control.submitted == []


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"\xff", b'{"action": 1}', b"[" * 10_000])
def test_what_is_no_request(control: Control, body: bytes) -> None:
    response = client(control).post(f"{BASE}/create", data=body, content_type="application/json")
    assert response.status_code == 400
    assert response.get_json()["action"] == "ErrorResponse"


def test_only_programs_from_allowed_places(control: Control) -> None:
    allowed = (re.compile("hdfs://apps/.*"),)
    status, answer = create(control, jar(), allowed=allowed)
    assert (status, answer["message"]) == (400, "Valid application jar path is required")
    python = jar(mainClass=SPARK_SUBMIT, appResource="hdfs://apps/x.py", appArgs=["/tmp/evil.py"])
    assert create(control, python, allowed=allowed)[0] == 400
    assert create(control, jar(appResource="hdfs://apps/x.jar", sparkProperties={}), allowed=allowed)[0] == 200


def test_what_the_master_refuses_is_no_success(control: Control) -> None:
    control.refusal = "the disk is full"
    status, answer = create(control, jar())
    assert (status, answer["success"], answer["message"]) == (200, False, "the disk is full")
    assert "submissionId" not in answer


# --- kill, status ---


def test_kill(control: Control) -> None:
    answer = client(control).post(f"{BASE}/kill/{control.driver.id}").get_json()
    assert answer["action"] == "KillSubmissionResponse"
    assert (answer["success"], answer["submissionId"]) == (True, control.driver.id)
    answer = client(control).post(f"{BASE}/kill/driver-1").get_json()
    assert (answer["success"], answer["message"]) == (False, "Driver driver-1 has already finished or does not exist")


def test_status(control: Control) -> None:
    answer = client(control).get(f"{BASE}/status/{control.driver.id}").get_json()
    assert answer["driverState"] == "RUNNING"
    assert answer["workerId"] == control.driver.worker_id
    assert answer["workerHostPort"].endswith(":7001")
    assert "message" not in answer
    assert client(control).get(f"{BASE}/status/driver-1").get_json()["success"] is False


def test_status_says_why_a_driver_failed(control: Control) -> None:
    control.driver = driver_view(state=DriverState.ERROR, worker_id="", reason="no such file")
    answer = client(control).get(f"{BASE}/status/{control.driver.id}").get_json()
    assert (answer["driverState"], answer["message"]) == ("ERROR", "no such file")
    assert "workerId" not in answer


def test_kill_all_and_clear(control: Control) -> None:
    assert client(control).post(f"{BASE}/killall").get_json()["action"] == "KillAllSubmissionResponse"
    assert client(control).post(f"{BASE}/clear").get_json()["action"] == "ClearResponse"
    assert (control.killed_all, control.cleared) == (1, 1)


# --- a master that does not lead ---


@pytest.mark.parametrize("state", [MasterState.STANDBY, MasterState.RECOVERING])
def test_clients_are_sent_to_the_next_master(control: Control, state: MasterState) -> None:
    browser = client(control, state)
    for method, path in [("POST", f"kill/{control.driver.id}"), ("GET", f"status/{control.driver.id}"),
                         ("POST", "killall"), ("POST", "clear")]:  # fmt: skip
        answer = browser.open(f"{BASE}/{path}", method=method).get_json()
        assert answer["success"] is False
        assert answer["message"].startswith(f"Current state is not alive: {state.value}.")
    assert create(control, jar(), state=state)[1]["message"].startswith("Current state is not alive")
    ready = browser.get(f"{BASE}/readyz")
    assert (ready.status_code, ready.get_json()["message"]) == (503, "Master is not ready.")
    assert not (control.submitted or control.killed or control.cleared or control.killed_all)


def test_ready(control: Control) -> None:
    response = client(control).get(f"{BASE}/readyz")
    assert (response.status_code, response.get_json()["action"]) == (200, "ReadyzResponse")


# --- wrong paths ---


@pytest.mark.parametrize(
    ("path", "status", "text"),
    [
        ("/", 400, "Missing protocol version."),
        ("/v1", 400, "Missing the /submissions prefix."),
        ("/v1/other", 400, "Missing the /submissions prefix."),
        (BASE, 400, "Missing an action: please specify one of /create, /kill, /killall, /clear, /status, or /readyz."),
        (f"{BASE}/dance", 400, "Missing an action"),
        (f"{BASE}/kill", 400, "Submission ID is missing in kill request."),
        (f"{BASE}/status", 400, "Submission ID is missing in status request."),
        ("/v2/submissions/create", 468, "Unknown protocol version 'v2'."),
        ("/../etc/passwd", 468, "Unknown protocol version"),
    ],
)
def test_wrong_paths(control: Control, path: str, status: int, text: str) -> None:
    response = client(control).get(path)
    assert response.status_code == status
    answer = response.get_json()
    assert answer["message"].startswith(text)
    assert answer.get("highestProtocolVersion") == ("v1" if status == 468 else None)


def test_answers_look_like_sparks(control: Control) -> None:
    text = client(control).get(f"{BASE}/status/{control.driver.id}").text
    names = list(json.loads(text))
    assert names == sorted(names)
    assert text.startswith('{\n  "action" : "SubmissionStatusResponse",\n  "driverState" : "')


def test_airflow_reads_the_state_of_a_driver(control: Control) -> None:
    """As SparkSubmitHook of its provider does, line by line, with what curl prints."""
    state = ""
    for line in client(control).get(f"{BASE}/status/{control.driver.id}").text.splitlines():
        if "driverState" in line:
            state = line.split(" : ")[1].replace(",", "").replace('"', "").strip()
    assert state == control.driver.state.value


def test_answers_are_what_spark_4_3_prints(control: Control) -> None:
    """Recorded from its server, but for the version and the ids."""
    control.cleared = 0
    browser = client(control)
    for method, path, expected in (
        ("get", "status/driver-1", ("SubmissionStatusResponse", {"submissionId": "driver-1", "success": False})),
        ("get", "readyz", ("ReadyzResponse", {"message": "", "success": True})),
        ("post", "clear", ("ClearResponse", {"message": "", "success": True})),
        (
            "post", "killall",
            ("KillAllSubmissionResponse", {"message": "Kill request for all drivers submitted", "success": True}),
        ),
        (
            "post", "kill/driver-9",
            ("KillSubmissionResponse", {
                "message": "Driver driver-9 has already finished or does not exist", "submissionId": "driver-9",
                "success": False,
            }),
        ),
    ):  # fmt: skip
        action, fields = expected
        whole = {"action": action, **fields, "serverSparkVersion": __version__}
        lines = ",\n".join(f'  "{name}" : {json.dumps(whole[name])}' for name in sorted(whole))
        assert getattr(browser, method)(f"{BASE}/{path}").text == f"{{\n{lines}\n}}"


def test_scalars_become_strings_as_jackson_makes_them(control: Control) -> None:
    """A number keeps the characters that it was written with; an environment variable that is null is not set."""
    text = json.dumps(jar(appArgs="ARGS", environmentVariables="ENV", clientSparkVersion="VERSION"))
    text = text.replace('"ARGS"', '["a", 10, true, 1.50, 1e3, -0, 123456789012345678901]')
    text = text.replace('"ENV"', '{"A": 1, "B": false, "C": null}').replace('"VERSION"', "4.3")
    text = text.replace('"spark.driver.supervise": "true"', '"spark.driver.supervise": true')
    text = text.replace('"spark.driver.cores": "3"', '"spark.driver.cores": 3, "spark.x": 1.50')
    answer = client(control).post(f"{BASE}/create", data=text.replace("{", '{"zork": 1, "alpha": [2], ', 1))
    assert answer.get_json()["success"], answer.text
    assert '"unknownFields" : [ "zork", "alpha" ]' in answer.text
    [(driver, _)] = control.submitted
    assert driver.args == ("a", "10", "true", "1.50", "1e3", "-0", "123456789012345678901")
    assert driver.env == {"A": "1", "B": "false"}
    assert (driver.supervise, driver.cores, driver.conf["spark.x"]) == (True, 3, "1.50")


@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "text/plain", "application/octet-stream", None])
def test_a_program_may_call_its_body_what_it_likes(control: Control, kind: str | None) -> None:
    """curl calls what it posts a form, and Spark's server does not look."""
    response = client(control).post(f"{BASE}/create", data=json.dumps(jar()), content_type=kind)
    assert response.get_json()["success"] and len(control.submitted) == 1


# --- who may ---


@pytest.mark.parametrize(
    ("path", "role"),
    [("create", AccessRole.VIEWER), ("kill/x", AccessRole.VIEWER), ("killall", AccessRole.OPERATOR),
     ("clear", AccessRole.OPERATOR)],
)  # fmt: skip
def test_roles(control: Control, path: str, role: AccessRole) -> None:
    response = client(control, role=role).post(f"{BASE}/{path}", json=jar())
    assert response.status_code == 401
    assert response.get_json()["action"] == "ErrorResponse"
    assert response.headers["WWW-Authenticate"].startswith("Bearer")
    assert not (control.submitted or control.killed or control.cleared or control.killed_all)


@pytest.mark.parametrize(
    "headers",
    [{"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"},
     {"Content-Type": "text/plain", "Origin": "null"}, {"Referer": "http://evil.example/"}],
)  # fmt: skip
def test_a_web_page_cannot_make_a_browser_submit(control: Control, headers: dict[str, str]) -> None:
    headers = {"Content-Type": "application/json", **headers}
    response = client(control).post(f"{BASE}/create", data=json.dumps(jar()), headers=headers)
    assert response.status_code == 403
    assert control.submitted == []


def test_other_host_names_are_refused(control: Control) -> None:
    response = client(control).post(f"{BASE}/create", json=jar(), headers={"Host": "evil.example:6066"})
    assert response.status_code == 400
    assert control.submitted == []
