"""A model in KServe's own server, V2 over REST and gRPC: ``python served_model.py --http_port N --grpc_port N``."""

from kserve import InferOutput, InferRequest, InferResponse, Model, ModelServer  # type: ignore[import-untyped]
from kserve.errors import InvalidInput  # type: ignore[import-untyped]

HOST = "claim-risk-claims.claims.local"
REVISION = "abc12345"


class Doubled(Model):  # type: ignore[misc]
    """Doubles a number, says what it was told, and is behind a gateway that knows one host."""

    def predict(
        self, payload: InferRequest, headers: dict[str, str], response_headers: dict[str, str]
    ) -> InferResponse:
        """Answer one request."""
        amounts = payload.inputs[0].as_numpy()
        names = payload.inputs[1].as_numpy()
        if headers.get("host") not in {HOST, None}:
            raise InvalidInput(f"there is no route for {headers['host']}")
        if (amounts < 0).any():
            raise InvalidInput("an amount is below 0")
        response_headers["x-claims-variant"] = REVISION
        doubled = InferOutput("doubled", list(amounts.shape), "FP64")
        doubled.set_data_from_numpy(amounts * 2, binary_data=False)
        named = InferOutput("name", list(names.shape), "BYTES")
        named.set_data_from_numpy(names, binary_data=False)
        return InferResponse(payload.id, self.name, [doubled, named])


if __name__ == "__main__":
    model = Doubled("claim-risk", return_response_headers=True)
    model.ready = True
    ModelServer(workers=1, enable_docs_url=False).start([model])
