"""Conditional logit: among the candidates of a case the target should score highest, by a linear score of their features.

The loss of weights w is the mean over cases of `-sum_j s_j log p_j` plus `sum_f l2_f (w_f - start_f)^2`. Within a case,
p = softmax(x w) over its candidates, and s_j is the share of the target that candidate j is.

Source: McFadden, Conditional logit analysis of qualitative choice behavior (1974).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.sparse import csr_array

ROWS_PER_BLOCK = 4096
"""Candidates computed on at once: their features fit a processor's cache, also as float64."""
GRADIENT_TOLERANCE = 1e-4
MAX_STEPS = 50


@dataclass(frozen=True, slots=True, eq=False)
class LogitExamples:
    """Case i has the candidates `offsets[i]:offsets[i + 1]`, at least one, of `features` (rows, F).

    `shares` (rows,) are those of the target: they sum to 1 over each case.
    """

    features: NDArray[np.float32]
    shares: NDArray[np.float32]
    offsets: NDArray[np.int64]

    def __len__(self) -> int:
        """The number of cases."""
        return len(self.offsets) - 1

    def blocks(self) -> Iterator["LogitExamples"]:
        """Groups of whole cases, in order, of about `ROWS_PER_BLOCK` rows; a longer case is a group of its own."""
        first = 0
        while first < len(self):
            end = self.offsets[first] + ROWS_PER_BLOCK
            last = max(first + 1, int(np.searchsorted(self.offsets, end, side="right")) - 1)
            rows = slice(self.offsets[first], self.offsets[last])
            offsets = self.offsets[first : last + 1] - self.offsets[first]
            yield LogitExamples(self.features[rows], self.shares[rows], offsets)
            first = last


class Derivatives(NamedTuple):
    """Of the loss at some weights: its value, gradient (F,) and Hessian (F, F)."""

    loss: float
    gradient: NDArray[np.float64]
    hessian: NDArray[np.float64]


def fit_conditional_logit(
    examples: LogitExamples, *, start: NDArray[np.float64], l2: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The weights (F,) of least loss; `start` where there are no examples.

    Every `l2` is above 0, which makes the loss strictly convex.
    """
    if not len(examples):
        return start

    @lru_cache(maxsize=1)  # the method needs all three at every point, and one pass over the features gives them
    def at(weights: bytes) -> Derivatives:
        return derivatives(examples, np.frombuffer(weights), start=start, l2=l2)

    result = minimize(
        lambda weights: at(weights.tobytes()).loss,
        start,
        jac=lambda weights: at(weights.tobytes()).gradient,
        hess=lambda weights: at(weights.tobytes()).hessian,
        method="trust-exact",
        options={"gtol": GRADIENT_TOLERANCE, "maxiter": MAX_STEPS},
    )
    weights: NDArray[np.float64] = result.x
    return weights


def derivatives(
    examples: LogitExamples, weights: NDArray[np.float64], *, start: NDArray[np.float64], l2: NDArray[np.float64]
) -> Derivatives:
    """The loss of `weights` (F,) with its derivatives, in one pass over the features.

    The Hessian is the mean over cases of the features' covariance under p, plus `2 * l2` on the diagonal. Its products are
    float32: it only shapes the steps, while the gradient says where they end.
    """
    loss, gradient, second_moments = 0.0, np.zeros_like(weights), np.zeros((len(weights), len(weights)))
    probabilities = list[NDArray[np.float32]]()
    for block in examples.blocks():
        x = block.features.astype(np.float64)
        logits = x @ weights
        p, log_totals = _softmax(logits, block.offsets)
        loss += log_totals.sum() - block.shares @ logits
        gradient += (p - block.shares) @ x
        probabilities.append(p.astype(np.float32))
        scaled = block.features * np.sqrt(probabilities[-1])[:, None]
        second_moments += scaled.T @ scaled
    means = _means(examples, np.concatenate(probabilities))
    cases, distance = len(examples), weights - start
    return Derivatives(
        float(loss / cases + l2 @ distance**2),
        gradient / cases + 2 * l2 * distance,
        (second_moments - means.T @ means) / cases + np.diag(2 * l2),
    )


def _means(examples: LogitExamples, p: NDArray[np.float32]) -> NDArray[np.float32]:
    """(cases, F): the mean features of each case under its probabilities `p` (rows,)."""
    return csr_array((p, np.arange(len(p)), examples.offsets)) @ examples.features


def _softmax(
    logits: NDArray[np.float64], offsets: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(p (rows,), logarithm of the sum of exp(logits) (cases,)) by case."""
    starts, lengths = offsets[:-1], np.diff(offsets)
    largest = np.maximum.reduceat(logits, starts)
    exponentials = np.exp(logits - np.repeat(largest, lengths))
    totals = np.add.reduceat(exponentials, starts)
    return exponentials / np.repeat(totals, lengths), np.log(totals) + largest
