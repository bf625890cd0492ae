"""Bugs in the dashboards: their server, streams and pages; log-ins and roles are in ``access``."""

from __future__ import annotations

from tests.mutants.plant import Mutant

_SERVER = "tests/integration/test_web_server.py"

MUTANTS = (
    Mutant("a page's body is kept while nothing changes", "daemon/stoker/web/live.py",
           "if kept is not None and now - kept[0] < BODY_AGE:", "if kept is not None:",
           ("tests/unit/web/test_live.py",)),
    Mutant("a visitor is sent the page of another", "daemon/stoker/web/live.py",
           "-{hashlib.sha256(visitor.encode()).hexdigest()[:12]}", "",
           ("tests/unit/web/test_access.py",)),
    Mutant("browsers that are closed slow the others down", "daemon/stoker/web/live.py", "< now - SEEN_FOR:",
           "< now - SEEN_FOR * 1000:", ("tests/unit/web/test_live.py",)),
    Mutant("a stream's reader that reads nothing is written to without a bound", "daemon/stoker/web/channel.py",
           "if self.total_outbufs_len > MAX_BEHIND:", "if self.total_outbufs_len < 0:",
           ("tests/integration/test_web_events.py",)),
    Mutant("the newest connection makes room", "daemon/stoker/web/http.py", "min(waiting, key=lambda",
           "max(waiting, key=lambda", (f"{_SERVER}::test_when_the_house_is_full_newcomers_are_let_in",)),
    Mutant("a client without a token is not told how to authenticate", "daemon/stoker/web/rest/app.py",
           'if header in {"Retry-After", "WWW-Authenticate"}:', 'if header in {"Retry-After"}:',
           ("tests/unit/web/test_rest.py",)),
)  # fmt: skip
