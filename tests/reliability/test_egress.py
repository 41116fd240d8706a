"""The service contacts whom its settings name, and repeats no caller's words elsewhere."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.reliability.egress.__main__ import Outcome, addresses, run

TRACE = """\
71 connect(5, {sa_family=AF_UNIX, sun_path="/var/run/nscd/socket"}, 110) = -1 ENOENT
71 connect(5, {sa_family=AF_INET, sin_port=htons(53), sin_addr=inet_addr("10.0.0.2")}, 16) = 0
72 sendto(7, ""..., 41, 0, {sa_family=AF_INET6, sin6_port=htons(443), sin6_flowinfo=htonl(0), \
inet_pton(AF_INET6, "2600::1", &sin6_addr), sin6_scope_id=0}, 28) = 41
72 sendto(7, ""..., 41, 0, NULL, 0) = 41
"""


def test_every_address_of_a_trace_is_read() -> None:
    assert addresses(TRACE) == {("10.0.0.2", 53), ("2600::1", 443)}


def test_strangers_leaks_and_a_run_that_contacted_no_one_are_problems() -> None:
    outcome = Outcome({("1.2.3.4", 443)}, {("127.0.0.1", 80)}, {"the log": "x canaryquestion y"})
    assert outcome.problems() == [
        "contacted 1.2.3.4:443",
        "canaryquestion appears in the log",
        "never contacted 127.0.0.1:80",
    ]


def test_only_what_a_setting_names_is_contacted_and_no_canary_leaks(
    tmp_path: Path, model: Path
) -> None:
    if shutil.which("strace") is None:
        sentence = "not installed: strace (on Debian: apt-get install strace)"
        pytest.fail(sentence) if os.environ.get("CI") else pytest.skip(sentence)
    outcome = run(tmp_path, model=str(model))
    assert outcome.problems() == []
    assert outcome.requests >= 12
