"""``kubectl claims predict``: one V2 request through the route, by KServe's own clients, REST or gRPC.

The kserve package is imported when it is needed: it is large, and no other command uses it.
"""

import json
import logging
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from claims_contract import headers
from kubectl_claims.errors import Trouble
from kubectl_claims.objects import Object, name_of, status_of

TIMEOUT_SECONDS: Final = 30.0


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What came back."""

    response: Mapping[str, Any]
    """The V2 response."""
    variant: str | None
    """Revision that answered; gRPC clients of KServe do not show it."""


def read_request(text: str) -> dict[str, Any]:
    """Read a V2 request; raise Trouble that says what is missing."""
    try:
        request = json.loads(text)
    except ValueError as error:
        raise Trouble(f"the request is no JSON: {error}") from error
    if not isinstance(request, dict) or not isinstance(request.get("inputs"), list) or not request["inputs"]:
        raise Trouble('the request is no V2 request: write {"inputs": [{"name", "shape", "datatype", "data"}, ...]}')
    for number, tensor in enumerate(request["inputs"]):
        given = tensor if isinstance(tensor, dict) else {}
        missing = [key for key in ("name", "shape", "datatype", "data") if key not in given]
        if missing:
            raise Trouble(f"inputs[{number}] of the request has no {' and no '.join(missing)}")
    return request


def find_host(model: Object) -> str:
    """Return the host that the route listens for; raise Trouble while there is no route."""
    url = status_of(model).get("url")
    if not url:
        raise Trouble(f"{name_of(model)} has no route yet; `kubectl claims explain {name_of(model)}` says why")
    return str(urlsplit(str(url)).netloc)


async def predict(model: Object, request: Mapping[str, Any], *, gateway: str | None, grpc: bool) -> Answer:
    """Send a request through the route.

    ``gateway``: base URL of the gateway where its host does not resolve from here; else the route's own host.

    Raises:
        Trouble: kserve is not installed, nothing answers, or the answer is an error.
    """
    host, name = find_host(model), name_of(model)
    kserve = _import_kserve()
    logging.getLogger("kserve.trace").setLevel(logging.CRITICAL)  # It would tell of each error a second time.
    address = gateway or f"http://{host}"
    body = kserve.InferRequest(
        name,
        [
            kserve.InferInput(
                tensor["name"], tensor["shape"], tensor["datatype"], tensor["data"], tensor.get("parameters")
            )
            for tensor in request["inputs"]
        ],
        request.get("id"),
        parameters=request.get("parameters"),
    )
    if grpc:
        return await _ask_grpc(kserve, body, address, host)
    return await _ask_rest(kserve, body, name, address, host)


def _import_kserve() -> Any:
    # As it is imported, it takes the arguments of whatever runs for those of its own server.
    arguments, sys.argv = sys.argv, sys.argv[:1]
    try:
        import kserve  # type: ignore[import-untyped,import-not-found,unused-ignore]
    except ImportError as error:
        raise Trouble("predict needs the kserve package: install claims-operator[cli,predict]") from error
    finally:
        sys.argv = arguments
    return kserve


async def _ask_rest(kserve: Any, body: Any, name: str, address: str, host: str) -> Answer:
    import httpx
    from kserve.inference_client import RESTConfig  # type: ignore[import-untyped,import-not-found,unused-ignore]

    config = RESTConfig(protocol="v2", timeout=TIMEOUT_SECONDS, transport=httpx.AsyncHTTPTransport(retries=0))
    received: dict[str, str] = {}
    try:
        async with kserve.InferenceRESTClient(config) as client:
            response = await client.infer(
                address, body, model_name=name, headers={"host": host}, response_headers=received
            )
    except httpx.HTTPStatusError as error:
        said = error.response.text.strip()[:500]
        raise Trouble(f"{host} answered {error.response.status_code}: {said or 'nothing more'}") from error
    except httpx.HTTPError as error:
        why = str(error) or type(error).__name__
        raise Trouble(f"{address} does not answer ({why}); where is the gateway? --gateway URL") from error
    return Answer(response=_response(response), variant=received.get(headers.VARIANT))


async def _ask_grpc(kserve: Any, body: Any, address: str, host: str) -> Answer:
    import grpc as grpc_library  # type: ignore[import-untyped,import-not-found,unused-ignore]

    parts = urlsplit(address)
    is_secure = parts.scheme == "https"
    target = parts.netloc if parts.port else f"{parts.netloc}:{443 if is_secure else 80}"
    options = [("grpc.default_authority", host), ("grpc.enable_retries", 0)]
    try:
        async with kserve.InferenceGRPCClient(
            target, channel_args=options, timeout=TIMEOUT_SECONDS, retries=0, use_ssl=is_secure
        ) as client:
            response = await client.infer(body)
    except grpc_library.RpcError as error:
        raise Trouble(f"{target} answered {error.code().name}: {error.details()}") from error
    return Answer(response=_response(response), variant=None)


def _response(response: Any) -> dict[str, Any]:
    """Return the response as V2 has it in JSON, of whatever form the tensors came in."""
    outputs = [
        {
            "name": output.name,
            "shape": list(output.shape),
            "datatype": output.datatype,
            "data": [_plain(value) for value in output.as_numpy().ravel().tolist()],
        }
        for output in response.outputs
    ]
    return {"id": response.id, "model_name": response.model_name, "outputs": outputs}


def _plain(value: object) -> object:
    return value.decode(errors="replace") if isinstance(value, bytes) else value


def rows(response: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Return the outputs as a table: their names, and one row per claim."""
    outputs = response["outputs"]
    columns = [[str(value) for value in output["data"]] for output in outputs]
    return [str(output["name"]) for output in outputs], [list(row) for row in zip(*columns, strict=False)]
