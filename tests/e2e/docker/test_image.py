"""The image carries what its roles and operators need, belongs to nobody's company and runs as nobody special."""

from __future__ import annotations

import docker
import pytest

pytestmark = pytest.mark.docker


def ran(engine: docker.DockerClient, image: str, *command: str) -> str:
    output = engine.containers.run(image, list(command), remove=True, network_mode="none", stderr=True)
    return output.decode().strip()


def test_it_runs_as_a_user_of_its_own(engine: docker.DockerClient, image: str) -> None:
    assert ran(engine, image, "id", "-u") == "10001"


@pytest.mark.parametrize(
    "program", ["redis-server", "prometheus", "promtool", "prometheus-alertmanager", "stress-ng", "curl", "tc"]
)
def test_what_roles_and_faults_call_is_there(engine: docker.DockerClient, image: str, *, program: str) -> None:
    assert ran(engine, image, "sh", "-c", f"command -v {program}").endswith(f"/{program}")


def test_prometheus_takes_rules_and_configuration(engine: docker.DockerClient, image: str) -> None:
    here = "/opt/mldrill/fixtures/pipeline"
    assert "SUCCESS" in ran(engine, image, "promtool", "check", "rules", f"{here}/rules.yaml")
    assert "SUCCESS" in ran(engine, image, "promtool", "check", "config", f"{here}/containers/prometheus.yaml")


def test_no_package_source_of_the_build_stays(engine: docker.DockerClient, image: str) -> None:
    assert (
        ran(engine, image, "sh", "-c", "ls /packages 2>/dev/null | wc -l; env | grep -c -i -E 'index|cert' || true")
        == "0\n0"
    )


def test_how_a_process_ended_is_told(engine: docker.DockerClient, image: str) -> None:
    script = "/opt/mldrill/fixtures/pipeline/containers/entry.sh sh -c 'exit 3'; echo $?; cat $EXITS_FILE"
    code, line = ran(engine, image, "sh", "-c", script).splitlines()
    assert code == "3"
    assert '"reason": "exit", "code": 3}' in line
