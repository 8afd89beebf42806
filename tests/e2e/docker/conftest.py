"""Tests on a Docker engine. They are asked for: MLDRILL_DOCKER=1 runs them where an engine answers and has the image, and skips
them otherwise; MLDRILL_DOCKER=required, as in CI, makes what is missing an error. Unset, they are skipped at once."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator

import docker
import pytest
import requests
from docker.errors import DockerException, ImageNotFound

from tests.e2e.docker import pipeline_project
from tests.e2e.docker.pipeline_project import Project

IMAGE = os.environ.get("MLDRILL_IMAGE", "mldrill/pipeline:dev")
ENGINE_S_MAX = 30


def _missing(what: str) -> None:
    if os.environ.get("MLDRILL_DOCKER") == "required":
        pytest.fail(what, pytrace=False)
    pytest.skip(what)


@pytest.fixture(scope="session")
def engine() -> Iterator[docker.DockerClient]:
    if not os.environ.get("MLDRILL_DOCKER"):
        pytest.skip("tests on containers are asked for with MLDRILL_DOCKER=1")
    try:
        client = docker.from_env(timeout=ENGINE_S_MAX)
        client.ping()
    except (DockerException, requests.RequestException) as error:
        _missing(f"no Docker engine answers: {error}")
    yield client
    client.close()


@pytest.fixture(scope="session")
def image(engine: docker.DockerClient) -> str:
    try:
        engine.images.get(IMAGE)
    except ImageNotFound:
        _missing(f"the engine has no image {IMAGE}; docs/containers.md tells how to build it")
    return IMAGE


@pytest.fixture(scope="module")
def project(engine: docker.DockerClient, image: str) -> Iterator[Project]:
    name = f"mldrill-test-{secrets.token_hex(3)}"
    with pipeline_project.running(name, engine, image) as running:
        yield running
    assert pipeline_project.left_of(name, engine) == []
