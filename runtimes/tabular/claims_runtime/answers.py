"""From risk scores to the tensors of an answer."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from mlserver.types import Datatype, InferenceRequest, Parameters, ResponseOutput, TensorData

from claims_contract import tensors
from claims_runtime.errors import InvalidPackage, InvalidRequest, InvalidScore, Problem
from claims_runtime.schema import Schema

OUTPUTS: Final = (tensors.RISK_SCORE, tensors.RISK_LEVEL, tensors.DECISION, tensors.CONFIDENCE)

SCORE_TOLERANCE: Final = 1e-6
"""How far a score may be from the one that the package's samples hold."""


@dataclass(frozen=True, kw_only=True)
class Answers:
    """What the model says about each row; all of them have shape (rows,)."""

    scores: npt.NDArray[np.float64]
    """Probability of the positive class, in [0, 1]."""

    levels: tuple[str, ...]
    decisions: tuple[str, ...]
    confidences: npt.NDArray[np.float64]
    """Probability of the decision, in [0, 1]."""


def judge(scores: npt.NDArray[np.float64], schema: Schema) -> Answers:
    """Turn scores, shape (rows,), into levels and decisions; raise `InvalidScore` where one is no probability."""
    # The negation also finds NaN.
    wrong = np.flatnonzero(~((scores >= 0) & (scores <= 1)))
    if wrong.size:
        raise InvalidScore(int(wrong[0]), float(scores[wrong[0]]))
    refers = scores >= schema.decision_threshold
    levels = np.where(scores >= schema.high_level, "high", np.where(scores >= schema.medium_level, "medium", "low"))
    return Answers(
        scores=scores,
        levels=tuple(levels.tolist()),
        decisions=tuple(tensors.REFER if refer else tensors.SETTLE for refer in refers),
        confidences=np.where(refers, scores, 1.0 - scores),
    )


def check_outputs(request: InferenceRequest) -> None:
    """Raise `InvalidRequest` where the request asks for a tensor that no answer has."""
    problems = [
        Problem(message=f"is not an output of this model; its outputs are {', '.join(OUTPUTS)}", column=wanted.name)
        for wanted in request.outputs or ()
        if wanted.name not in OUTPUTS
    ]
    if problems:
        raise InvalidRequest(problems)


def encode(answers: Answers, request: InferenceRequest) -> list[ResponseOutput]:
    """Return the tensors that the request asks for; all of them where it names none."""
    wanted = {output.name for output in request.outputs or ()} or set(OUTPUTS)
    outputs = (
        _numbers(tensors.RISK_SCORE, answers.scores),
        _texts(tensors.RISK_LEVEL, answers.levels),
        _texts(tensors.DECISION, answers.decisions),
        _numbers(tensors.CONFIDENCE, answers.confidences),
    )
    return [output for output in outputs if output.name in wanted]


def check_samples(answered: Iterable[ResponseOutput], expected: Iterable[ResponseOutput]) -> None:
    """Raise `InvalidPackage` where the model answers its own samples otherwise than where it was trained."""
    answers = {output.name: output for output in answered}
    for output in expected:
        answer = answers.get(output.name)
        if answer is None:
            raise InvalidPackage(f"{tensors.SAMPLES_FILE} expects an output {output.name!r}, which no model has")
        _check_sample(output.name, _plain(answer), _plain(output))


def _check_sample(name: str, answered: Sequence[float | str], expected: Sequence[float | str]) -> None:
    if len(answered) != len(expected):
        raise InvalidPackage(f"{tensors.SAMPLES_FILE} expects {len(expected)} values of {name}, not {len(answered)}")
    for row, (value, wanted) in enumerate(zip(answered, expected, strict=True)):
        if isinstance(value, str) or isinstance(wanted, str):
            same = value == wanted
        else:
            same = abs(value - wanted) <= SCORE_TOLERANCE
        if not same:
            raise InvalidPackage(
                f"the model does not answer as it did when it was trained: {name} of sample row {row} is {value!r}, "
                f"{tensors.SAMPLES_FILE} says {wanted!r}; train and package it again with this runtime's versions"
            )


def _plain(output: ResponseOutput) -> list[float | str]:
    return [value.decode() if isinstance(value, bytes) else value for value in output.data.root]


def _numbers(name: str, values: npt.NDArray[np.float64]) -> ResponseOutput:
    return ResponseOutput(name=name, shape=[len(values)], datatype=Datatype.FP64, data=TensorData(values.tolist()))


def _texts(name: str, values: Sequence[str]) -> ResponseOutput:
    # Bytes, since gRPC carries nothing else; MLServer writes them as strings into JSON.
    data = TensorData([value.encode() for value in values])
    text = Parameters(content_type="str")
    return ResponseOutput(name=name, shape=[len(values)], datatype=Datatype.BYTES, data=data, parameters=text)
