"""What whole graphs say about their layers, where only whole graphs can be measured.

Layers timed alone find their data in other layouts and caches than inside a graph, so their cost
surfaces T are wrong by factors 1 + g, which change from one kind of layer to another and with the
widths. Of a whole graph only the sum is seen:

    us_i = sum over nodes n of T_n(p_ni) (1 + g_n(p_ni)) + b,        p: input and output channels

With g a Gaussian process over the kinds and their widths, sums of it are Gaussian as well, so
latencies of whole graphs decide it like any other measurement (Rasmussen and Williams, Gaussian
Processes for Machine Learning, 2006, section 9.4 on linear functionals of a process):

    r_i = us_i / total_i - 1,     w_ni = T_n(p_ni) / total_i,     K_ij = sum w_ni w_mj c(p_ni, p_mj)
    g(p) = sum over i and n of c(p, p_ni) w_ni a_i,               a = (K + N)^-1 r

where c is 0 between different kinds, and within one kind a constant plus the covariance of cost
surfaces (`decig.device.cost.surface`). A plan still costs the sum of its nodes.
"""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from decig.device.cost.surface import Places

_FACTOR = 0.2  # standard deviation of a kind's factor
_AMPLITUDE = 0.3  # standard deviation of how the factor changes with the widths
_NOISE = 0.02  # standard deviation of a whole: graphs that differ in one channel may be
# compiled differently
_LEAST = 0.2  # no layer costs less than this share of its time alone


@dataclass(frozen=True)
class KindInPlans:
    """All nodes of one kind in several plans; every array is [plans, nodes].

    Attributes:
        x: input channels.
        y: output channels.
        us: microseconds by the surface of the kind.
    """

    x: np.ndarray
    y: np.ndarray
    us: np.ndarray


class WholeGraphCorrection:
    """Corrects the cost of every kind of node so that whole graphs take what was measured."""

    def __init__(
        self, parts: list[KindInPlans], between: float, us: np.ndarray, error_us: np.ndarray
    ) -> None:
        """Fit.

        Args:
            parts: the nodes of each kind in the measured plans.
            between: microseconds of every plan that belong to no node.
            us: measured latencies, [plans].
            error_us: their standard errors, [plans].
        """
        self._between = between
        total = self._total(parts)
        self._kinds = [_Kind(part, total) for part in parts]
        noise = _NOISE**2 + (error_us / total) ** 2
        covariance = np.diag(noise) + sum(kind.covariance() for kind in self._kinds)
        self._factor = cho_factor(covariance)
        self._weights = cho_solve(self._factor, us / total - 1.0)

    def factor(self, kind: int, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Factor for the surface of a kind at `x` input and `y` output channels, [points]."""
        change = self._kinds[kind].to_plans(x, y) @ self._weights
        found: np.ndarray = np.maximum(1.0 + change, _LEAST)
        return found

    def doubt(self, parts: list[KindInPlans]) -> np.ndarray:
        """Standard deviation of the latency of plans as a share of it, [plans].

        Args:
            parts: the nodes of each kind in the plans.
        """
        total = self._total(parts)
        prior, near = np.zeros(len(total)), 0.0
        for kind, part in zip(self._kinds, parts, strict=True):
            share = part.us / total[:, None]
            to_plans = kind.to_plans(part.x.ravel(), part.y.ravel())
            near = near + np.einsum("pn,pni->pi", share, to_plans.reshape(*share.shape, -1))
            prior += [
                weights @ _covariance(Places(x, y), Places(x, y)) @ weights
                for weights, x, y in zip(share, part.x, part.y, strict=True)
            ]
        known = np.einsum("pi,ip->p", near, cho_solve(self._factor, np.transpose(near)))
        result: np.ndarray = np.sqrt(np.maximum(prior - known, 0.0))
        return result

    def _total(self, parts: list[KindInPlans]) -> np.ndarray:
        total: np.ndarray = self._between + np.sum([part.us.sum(axis=1) for part in parts], axis=0)
        return total


class _Kind:
    """At which widths the nodes of one kind were seen, and with which weight in which plan."""

    def __init__(self, part: KindInPlans, total: np.ndarray) -> None:
        places, back = np.unique(
            np.stack([part.x.ravel(), part.y.ravel()]), axis=1, return_inverse=True
        )
        self._places = Places(*places)
        self._weights = np.zeros((len(total), places.shape[1]))  # [plans, places]
        plan = np.repeat(np.arange(len(total)), part.x.shape[1])
        np.add.at(self._weights, (plan, back.ravel()), (part.us / total[:, None]).ravel())

    def covariance(self) -> np.ndarray:
        """Covariance of the measured plans, as far as this kind causes it, [plans, plans]."""
        among = _covariance(self._places, self._places)
        result: np.ndarray = self._weights @ among @ self._weights.T
        return result

    def to_plans(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Covariance of g at `x` and `y` channels with the measured plans, [points, plans]."""
        result: np.ndarray = _covariance(Places(x, y), self._places) @ self._weights.T
        return result


def _covariance(one: Places, other: Places) -> np.ndarray:
    found: np.ndarray = _FACTOR**2 + _AMPLITUDE**2 * one.likeness(other)
    return found
