"""Predict against KServe's own server, REST and gRPC."""

import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from unit.kubectl_predict.served_model import HOST, REVISION

from kubectl_claims import predicting
from kubectl_claims.errors import Trouble

ROOT = Path(__file__).parents[3]
START_SECONDS = 60.0
MODEL = {"metadata": {"name": "claim-risk"}, "status": {"url": f"http://{HOST}"}}


def request(*amounts: float) -> dict[str, Any]:
    rows = len(amounts)
    return {
        "id": "one",
        "inputs": [
            {"name": "amount", "shape": [rows], "datatype": "FP64", "data": list(amounts)},
            {"name": "claim_id", "shape": [rows], "datatype": "BYTES", "data": [f"ä-{row}" for row in range(rows)]},
        ],
    }


@pytest.fixture(scope="module")
def ports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, int]]:
    """Ports of REST and gRPC."""
    with socket.socket() as one, socket.socket() as two:
        for each in (one, two):
            each.bind(("127.0.0.1", 0))
        rest, grpc = one.getsockname()[1], two.getsockname()[1]
    log = tmp_path_factory.mktemp("server") / "log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, Path(__file__).with_name("served_model.py"), f"--http_port={rest}", f"--grpc_port={grpc}"],
            stdout=file, stderr=file,
        )  # fmt: skip
    try:
        deadline = time.monotonic() + START_SECONDS
        while not is_ready(rest):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.2)
        yield rest, grpc
    finally:
        process.kill()
        process.wait()


def is_ready(port: int) -> bool:
    with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/v2/models/claim-risk/ready") as answer:
        return bool(answer.status == 200)
    return False


@pytest.mark.parametrize("grpc", [False, True], ids=["rest", "grpc"])
async def test_the_answer_comes_as_v2_has_it(ports: tuple[int, int], grpc: bool) -> None:
    answer = await predicting.predict(MODEL, request(1.5, 2), gateway=f"http://127.0.0.1:{ports[grpc]}", grpc=grpc)

    assert answer.response == {
        "id": "one",
        "model_name": "claim-risk",
        "outputs": [
            {"name": "doubled", "shape": [2], "datatype": "FP64", "data": [3.0, 4.0]},
            {"name": "name", "shape": [2], "datatype": "BYTES", "data": ["ä-0", "ä-1"]},
        ],
    }
    assert answer.variant == (None if grpc else REVISION)
    assert predicting.rows(answer.response) == (["doubled", "name"], [["3.0", "ä-0"], ["4.0", "ä-1"]])


@pytest.mark.parametrize("grpc", [False, True], ids=["rest", "grpc"])
async def test_a_refusal_is_told_in_the_models_words(ports: tuple[int, int], grpc: bool) -> None:
    with pytest.raises(Trouble, match="an amount is below 0"):
        await predicting.predict(MODEL, request(-1), gateway=f"http://127.0.0.1:{ports[grpc]}", grpc=grpc)


async def test_the_request_names_the_routes_host(ports: tuple[int, int]) -> None:
    elsewhere = {**MODEL, "status": {"url": "http://other.claims.local"}}

    with pytest.raises(Trouble, match=r"there is no route for other\.claims\.local"):
        await predicting.predict(elsewhere, request(1), gateway=f"http://127.0.0.1:{ports[0]}", grpc=False)


@pytest.mark.parametrize("grpc", [False, True], ids=["rest", "grpc"])
async def test_a_gateway_that_is_not_there_is_one_sentence(grpc: bool) -> None:
    with pytest.raises(Trouble, match=r"does not answer \(|answered UNAVAILABLE"):
        await predicting.predict(MODEL, request(1), gateway="http://127.0.0.1:9", grpc=grpc)


def test_without_a_route_nothing_is_sent() -> None:
    with pytest.raises(Trouble, match="claim-risk has no route yet"):
        predicting.find_host({**MODEL, "status": {}})


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        pytest.param("{", "the request is no JSON: ", id="no-json"),
        pytest.param("{}", 'the request is no V2 request: write {"inputs": [{"name"', id="no-inputs"),
        pytest.param(
            '{"inputs": [{"name": "a", "data": [1]}]}',
            "inputs[0] of the request has no shape and no datatype",
            id="half-a-tensor",
        ),
        pytest.param('{"inputs": [5]}', "inputs[0] of the request has no name and no shape", id="no-tensor"),
    ],
)
def test_what_is_no_v2_request_is_refused(text: str, sentence: str) -> None:
    with pytest.raises(Trouble) as trouble:
        predicting.read_request(text)

    assert trouble.value.message.startswith(sentence)


def test_importing_kserve_does_not_read_the_commands_arguments() -> None:
    code = (
        "import sys; sys.argv = ['kubectl-claims', 'predict', '--grpc']\n"
        "from kubectl_claims import predicting; predicting._import_kserve(); print(sys.argv[2])"
    )
    path = f"{ROOT / 'operator'}:{ROOT / 'runtimes/contract'}"
    answer = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": path}, capture_output=True, text=True, check=True
    )

    assert answer.stdout == "--grpc\n"
