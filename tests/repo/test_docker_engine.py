"""The script that sees to a Docker engine in CI starts one only where none answers, and stops only what it started.

The engine here is a stand-in: programs called docker, dockerd and ip that agree by files, so no test touches a real one, or this
machine's network.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / ".ci" / "docker-engine"
RUN_S_MAX, GONE_S_MAX = 30, 10

DOCKER = """#!/bin/sh
[ -e "$STAND_IN/answers" ] || exit 1
[ "$1" != version ] || echo 1.2.3
"""
DOCKERD = """#!/bin/sh
echo "$*" >>"$STAND_IN/starts"
touch "$STAND_IN/docker0"
[ ! -e "$STAND_IN/broken" ] || { echo "no such luck"; exit 1; }
trap 'rm "$STAND_IN/answers"; exit 0' TERM
touch "$STAND_IN/answers"
while :; do sleep 0.05; done
"""
IP = """#!/bin/sh
case "$*" in
  "-o link") [ ! -e "$STAND_IN/docker0" ] || echo "3: docker0: <UP>" ;;
  "link delete docker0") rm "$STAND_IN/docker0" ;;
esac
"""


class Engine:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        programs = folder / "bin"
        programs.mkdir()
        quiet = dict.fromkeys(("iptables", "iptables-save", "docker-compose", "apt-get"), "#!/bin/sh\n")
        telling = {"docker": DOCKER, "dockerd": DOCKERD, "ip": IP, "id": "#!/bin/sh\necho 0\n"}
        for name, text in (quiet | telling).items():
            (programs / name).write_text(text)
            (programs / name).chmod(0o755)
        self._environment = {
            "PATH": f"{programs}:{os.environ['PATH']}",
            "STAND_IN": str(folder),
            "MLDRILL_ENGINE_DIR": str(folder / "state"),
        }

    def __call__(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(SCRIPT), *words],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=RUN_S_MAX,
            check=False,
        )

    @property
    def answers(self) -> bool:
        return (self.folder / "answers").exists()

    @property
    def starts(self) -> int:
        return len((self.folder / "starts").read_text().splitlines()) if (self.folder / "starts").exists() else 0


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = Engine(tmp_path)
    yield engine
    engine("stop")
    engine("stop", "--private", str(tmp_path / "mine"))


def test_it_is_started_once_and_stopped(engine: Engine) -> None:
    assert engine("start").returncode == 0
    assert (engine.answers, engine.starts) == (True, 1)
    assert engine("start").returncode == 0
    assert engine.starts == 1
    assert engine("stop").returncode == 0
    assert not engine.answers
    assert not (engine.folder / "docker0").exists()


def test_the_bridge_of_another_engine_stays(engine: Engine) -> None:
    (engine.folder / "docker0").touch()
    assert engine("start").returncode == 0
    assert engine("stop").returncode == 0
    assert (engine.folder / "docker0").exists()


def test_a_private_one_keeps_to_its_folder(engine: Engine) -> None:
    folder = engine.folder / "mine"
    assert f"DOCKER_HOST=unix://{folder}/docker.sock" in engine("start", "--private", str(folder)).stdout
    (started,) = (engine.folder / "starts").read_text().splitlines()
    for option in ("--data-root", "--exec-root", "--pidfile"):
        assert f"{option} {folder}/" in started
    assert "--iptables=false" in started
    assert engine("stop").returncode == 0
    assert engine.answers
    assert engine("stop", "--private", str(folder)).returncode == 0
    assert not engine.answers


def test_one_that_was_there_stays(engine: Engine) -> None:
    (engine.folder / "answers").touch()
    assert "1.2.3" in engine("start").stdout
    assert engine("stop").returncode == 0
    assert (engine.answers, engine.starts) == (True, 0)


def test_one_that_does_not_come_up_is_told_with_its_log(engine: Engine) -> None:
    (engine.folder / "broken").touch()
    done = engine("start")
    assert done.returncode == 1
    assert "exit code 1" in done.stderr
    assert "no such luck" in done.stderr


def test_a_stranger_with_its_number_is_left_alone(engine: Engine) -> None:
    stranger = subprocess.Popen(["sleep", "60"])
    try:
        (engine.folder / "state").mkdir()
        (engine.folder / "state" / "started").write_text(f"{stranger.pid} 1\n")
        assert engine("stop").returncode == 0
        deadline = time.monotonic() + 0.5
        while time.monotonic() < deadline and stranger.poll() is None:
            time.sleep(0.05)
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait(GONE_S_MAX)


def test_it_says_how_it_is_used(engine: Engine) -> None:
    assert engine("restart").returncode == 2
    assert engine("start", "--private").returncode == 2
