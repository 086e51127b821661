"""`lexidex serve` as a process: it starts, answers, refuses and stops as it says."""

import os
import re
import signal
import socket
import subprocess
import sys
from urllib.request import urlopen

import pytest

LEXIDEX = [sys.executable, "-m", "lexidex"]


def start(*arguments):
    return subprocess.Popen(
        [*LEXIDEX, "serve", *map(str, arguments)],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "COLUMNS": "200"},
    )


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_it_says_where_answers_and_stops(folder, stop):
    with start(folder, "--port", 0) as process:
        said = process.stderr.readline()
        found = re.search(r"Serving animals, points at (http://127\.0\.0\.1:\d+)/ui ", said)
        assert found, said + process.stderr.read()
        for path, shown in [("/ui", b"Lexidex"), ("/v1/collections", b"animals")]:
            with urlopen(found[1] + path, timeout=60) as response:
                assert shown in response.read()
        process.send_signal(stop)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (0, "", "")


def test_a_port_in_use_is_one_clear_line(folder):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = start(folder, "--port", port)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert out == ""
    assert err.count("\n") == 1
    assert f"cannot listen on 127.0.0.1:{port}: " in err


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org"])
def test_other_machines_are_not_let_in_by_default(folder, host):
    process = start(folder, "--host", host)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "--insecure" in err


def test_a_folder_of_other_files_is_not_found(tmp_path):
    (tmp_path / "notes.txt").write_text("not a collection")
    process = start(tmp_path, "--port", 0)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 3
    assert "no collection" in err
