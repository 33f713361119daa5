"""How sure a simulated share is."""

import math

BISECTIONS = 60


def upper_bound(events: int, runs: int, *, confidence: float = 0.95) -> float:
    """Return the exact one-sided upper bound of a probability of which ``events`` were seen in ``runs``.

    Clopper and Pearson 1934: the largest probability under which so few events have a chance of 1 - confidence.
    """
    if not 0 <= events <= runs or runs == 0:
        raise ValueError(f"there cannot be {events} events in {runs} runs")
    if events == runs:
        return 1.0
    low, high = events / runs, 1.0
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        if at_most(events, runs, middle) > 1 - confidence:
            low = middle
        else:
            high = middle
    return high


def at_most(events: int, runs: int, probability: float) -> float:
    """Return the binomial probability of at most so many events; the probability is in (0, 1)."""
    log_odds = math.log(probability) - math.log1p(-probability)
    log_term = runs * math.log1p(-probability)
    terms = [log_term]
    for count in range(events):
        log_term += math.log((runs - count) / (count + 1)) + log_odds
        terms.append(log_term)
    largest = max(terms)
    return min(1.0, math.exp(largest) * math.fsum(math.exp(term - largest) for term in terms))
