"""Figures of the model plane: private memory of serving by variant, cost of serving 50 requests a second, a retrain.

Prints, asserts no time. Run as a program: `python tests/bench/bench_model_plane.py`, or by pytest with `-m bench -s`.
The roles are forked from one process that has the libraries loaded, as the supervisor of an instance does.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import socket
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "fixtures"))

import psutil
import requests

from pipeline import registry, serving, trainer

LIMIT_S = 20.0
ROLES = {"registry": registry, "trainer": trainer, "serving": serving}
DATA = [3.8, 0.0, 0.0, 0.2, 0.0, 0.0, 0.1, 5.0]
ASK = {"inputs": [{"name": "features", "shape": [1, 8], "datatype": "FP64", "data": DATA}]}


def begin(role: str, environment: dict[str, str]) -> None:
    os.environ.update(environment)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    importlib.import_module(f"pipeline.{role}").main()


def start(folder: str) -> tuple[dict[str, multiprocessing.Process], dict[str, str]]:
    urls = {}
    for name in (*ROLES, "source", "ingest"):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            urls[name] = f"http://127.0.0.1:{free.getsockname()[1]}"
    peers = {f"{name.upper()}_URL": url for name, url in urls.items()}
    fork = multiprocessing.get_context("fork")
    processes = {}
    for name in ROLES:
        own = {"PORT": urls[name].rsplit(":", 1)[1], "SERVICE": name, "STATE_DIR": f"{folder}/{name}", "SEED": "7"}
        processes[name] = fork.Process(target=begin, args=(name, peers | own), daemon=True)
        processes[name].start()
    return processes, urls


def served(url: str, version: str) -> None:
    until = time.monotonic() + LIMIT_S
    while time.monotonic() < until:
        try:
            answer = requests.post(f"{url}/v2/models/risk/infer", json=ASK, timeout=LIMIT_S)
            if answer.json().get("model_version") == version:
                return
        except requests.RequestException:
            pass
        time.sleep(0.02)
    raise TimeoutError(f"version {version} isn't served")


def private_mb(process: multiprocessing.Process) -> float:
    return psutil.Process(process.pid).memory_full_info().uss / 1e6


def figures() -> None:
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        processes, urls = start(folder)
        try:
            served(urls["serving"], "1")
            print(f"cold to first champion served     {time.monotonic() - began:6.2f} s")
            for name, process in processes.items():
                full = psutil.Process(process.pid).memory_full_info()
                print(f"{name:<10} USS {full.uss / 1e6:6.1f} MB   PSS {full.pss / 1e6:6.1f} MB")
            print(f"serving the champion              {private_mb(processes['serving']):6.1f} MB private")
            variant = requests.post(f"{urls['trainer']}/ops/variant", json={"variant": "heavy"}, timeout=LIMIT_S).json()
            for call, version in (("promote", variant["version"]), ("rollback", "1")):
                body = {"version": version, "actor": "bench"}
                requests.post(f"{urls['registry']}/ops/{call}", json=body, timeout=LIMIT_S).raise_for_status()
                served(urls["serving"], version)
                print(f"serving after {call:<19} {private_mb(processes['serving']):6.1f} MB private")
                if call == "promote":
                    processes["serving"].kill()
                    processes["serving"].join()
                    own = {"PORT": urls["serving"].rsplit(":", 1)[1], "SERVICE": "serving", "SEED": "7"}
                    own |= {"STATE_DIR": f"{folder}/serving", "REGISTRY_URL": urls["registry"]}
                    fork = multiprocessing.get_context("fork")
                    processes["serving"] = fork.Process(target=begin, args=("serving", own), daemon=True)
                    processes["serving"].start()
                    served(urls["serving"], version)
                    print(f"serving the heavy one, fresh      {private_mb(processes['serving']):6.1f} MB private")
            busy(processes["serving"], urls["serving"])
        finally:
            for process in processes.values():
                process.kill()
                process.join()


def busy(process: multiprocessing.Process, url: str) -> None:
    """Processor time of serving at 50 requests a second, and of its polling alone."""
    watched, session = psutil.Process(process.pid), requests.Session()
    for name, rate in (("idle, polling the alias", 0), ("50 requests a second", 50)):
        before, began = watched.cpu_times(), time.monotonic()
        while (now := time.monotonic()) < began + 4.0:
            if rate:
                session.post(f"{url}/v2/models/risk/infer", json=ASK, timeout=LIMIT_S)
            time.sleep(max(1 / (rate or 50) - (time.monotonic() - now), 0.0))
        after = watched.cpu_times()
        used = (after.user + after.system - before.user - before.system) / (time.monotonic() - began)
        print(f"serving, {name:<24} {100 * used:6.1f} % of a core")


def test_figures() -> None:
    figures()


if __name__ == "__main__":
    figures()
