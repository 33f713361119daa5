"""Sequential tests for rates of bad events: valid however often one looks. Pure, standard library only.

Read `counts`, then `two_sample` (candidate against stable), `one_sample` (candidate against a fixed limit), `sudden`
(the same for a fault that may begin at any time) and `confidence` (the same where counts come in bursts, and the
interval that is shown). `pairs` is for two models that answer the same claims, `cohorts` for outcomes that belong
together, `sample_ratio` for the question whether the requests were split as intended.

An e-process starts at 1 and, under its null hypothesis, is at or above 1/alpha at any time with a probability of at
most alpha (Ville's inequality); so a test rejects when ``log_e_value >= log(1 / alpha)``, and e-values of several tests
may be averaged whatever their dependence.
"""

from claims_sequential.cohorts import CohortComparison, CohortSums
from claims_sequential.confidence import ConfidenceSequence
from claims_sequential.counts import Counts, Pair, RateHistory, clip_rate
from claims_sequential.dispersion import Dispersion
from claims_sequential.logs import log_mean_exp, log_sum_exp
from claims_sequential.one_sample import OneSampleTest
from claims_sequential.pairs import PairCounts, PairedTest
from claims_sequential.sample_ratio import SampleRatioTest
from claims_sequential.sudden import SuddenChange
from claims_sequential.two_sample import TwoSampleTest, project

__all__ = [
    "CohortComparison",
    "CohortSums",
    "ConfidenceSequence",
    "Counts",
    "Dispersion",
    "OneSampleTest",
    "Pair",
    "PairCounts",
    "PairedTest",
    "RateHistory",
    "SampleRatioTest",
    "SuddenChange",
    "TwoSampleTest",
    "clip_rate",
    "log_mean_exp",
    "log_sum_exp",
    "project",
]
