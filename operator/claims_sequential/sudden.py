"""A change that may come at any time: the same test, started anew with every batch."""

import math
from dataclasses import dataclass, replace
from typing import Any, Generic, Self, TypeVar

from claims_sequential.logs import log_add_exp
from claims_sequential.one_sample import OneSampleTest
from claims_sequential.two_sample import TwoSampleTest

Test = TypeVar("Test", TwoSampleTest, OneSampleTest)


@dataclass(frozen=True, slots=True, kw_only=True)
class SuddenChange(Generic[Test]):
    """Mixture of one exact test over the batches at which it may start.

    Paper: Shin, Ramdas, Rinaldo 2023, "E-detectors: a nonparametric framework for sequential change detection" (arXiv
    2203.03532), with weights that sum to 1 instead of alarms at a rate: the test that starts after batch t has the
    weight 1 / ((t + 1)(t + 2)). So a test that has long been fed with good news still finds a fault soon after it
    begins, for a factor of about t^2 in evidence.
    Assumptions and guarantee: those of the test itself. A mixture of e-processes that start at 1, with weights and
    times that are fixed in advance, is an e-process.
    """

    test: Test
    """Its log values are those of all starts together, each with its weight, per alternative."""
    batches: int = 0

    @classmethod
    def of(cls, test: Test) -> Self:
        """Start the mixture; ``test`` has seen nothing yet."""
        return cls(test=replace(test, log_values=(math.log(0.5),) * len(test.log_values)))

    def after(self, continued: Test) -> Self:
        """Return the mixture after one batch; ``continued`` is `test` after that batch."""
        number = self.batches + 1
        entering = -math.log((number + 1) * (number + 2))
        log_values = tuple([log_add_exp(value, entering) for value in continued.log_values])
        return type(self)(test=replace(continued, log_values=log_values), batches=number)

    @property
    def log_e_value(self) -> float:
        """Natural logarithm of the e-value; tests that have not started yet count as 1."""
        return log_add_exp(self.test.log_e_value, -math.log(self.batches + 2))

    def to_json(self) -> dict[str, Any]:
        """Return the whole state; its ``test`` is read by the test's own `from_json`."""
        return {"batches": self.batches, "test": self.test.to_json()}
