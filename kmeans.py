"""k-means clustering from scratch on NumPy: exact, weighted, reproducible and fast.

This is the whole algorithm, for `points` of shape (n, d) and given `k`, `tol`, `rng`::

    centroids = rng.choice(np.unique(points, axis=0), k, replace=False)  # choose
    while True:
        distances = np.linalg.norm(points[:, None] - centroids, axis=2)
        labels = distances.argmin(axis=1)  # assign
        means = np.array([points[labels == j].mean(axis=0) for j in range(k)])  # update
        if np.linalg.norm(means - centroids, axis=1).max() <= tol:  # stop
            break
        centroids = means  # repeat

Whoever came for k-means may stop here. The rest takes the same steps in a fraction of
the time, from a better start, and refills a cluster that has lost all its points:

- choose k centroids: `find_start`
- assign every point to its nearest centroid: `Clusters.assign` (in short: `nearest`)
- update: find the mean of each centroid's points: `Clusters.means`
- stop when no centroid would move further than `tol`, else repeat: `lloyd`

`KMeans` is what a caller sees. Nothing here knows of images: a colour is a point.
"""

from __future__ import annotations

import math
from functools import cached_property
from numbers import Integral, Real

import numpy as np
from numpy.typing import ArrayLike


class KMeans:
    """k-means clustering by Lloyd's algorithm; wrong parameters raise a ValueError.

    Parameters
    ----------
    k : int, default=2
        The number of clusters.
    tol : float, default=0.001
        Stop when no centroid would move further than this in one iteration, in the
        units of the data.
    max_iter : int, default=500
        Stop after this many iterations over all the data in any case.
    seed : int, optional
        Seed of the random start; without one every fit starts afresh.

    Attributes
    ----------
    centroids : ndarray of shape (k, d), float64
        The largest first, by weight; fewer than k if there are fewer distinct points.
    labels : ndarray of shape (n,), int
        The index of the nearest centroid for each point that was fitted.
    inertia : float
        The sum of squared distances to the nearest centroid, times the weights.
    n_iter : int
        The number of iterations over all the data.

    Notes
    -----
    The result is a fixed point of Lloyd's algorithm (S. P. Lloyd, "Least squares
    quantization in PCM", 1982), to the rounding of doubles of the size of the data: one
    more plain iteration moves no centroid by more than `tol` (unless `max_iter` has
    been reached), every label is that of the nearest centroid, and no cluster is empty.

    Examples
    --------
    >>> model = KMeans(k=2, seed=0).fit([[0, 0], [0, 2], [9, 1]])
    >>> model.predict([1, 1])
    array([0., 1.])

    """

    def __init__(
        self,
        k: int = 2,
        tol: float = 0.001,
        max_iter: int = 500,
        seed: int | None = None,
    ) -> None:
        check_whole("k", k, least=1)
        check_whole("max_iter", max_iter, least=1)
        if seed is not None:
            check_whole("seed", seed, least=0)
        if not isinstance(tol, Real) or not 0 <= tol < np.inf:
            raise ValueError(f"tol must be a number, 0 or more: {tol!r}")
        self.k, self.tol, self.max_iter, self.seed = k, tol, max_iter, seed

    def __repr__(self) -> str:
        """Show the parameters."""
        names = ("k", "tol", "max_iter", "seed")
        return f"KMeans({', '.join(f'{name}={getattr(self, name)}' for name in names)})"

    def fit(
        self, data: ArrayLike | Points, sample_weight: ArrayLike | None = None
    ) -> KMeans:
        """Find the centroids of the data, and return this object.

        Parameters
        ----------
        data : array-like of shape (n, d), real, or Points
            They are left unchanged; `Points` are prepared for any number of fits.
        sample_weight : array-like of shape (n,), optional
            How often each point counts, 0 or more; once by default.

        Raises
        ------
        ValueError
            If the data or the weights are wrong, as in `Points`, if `Points` come with
            weights, or if fewer than k points have a weight.

        """
        if isinstance(data, Points) and sample_weight is not None:
            raise ValueError("Points have their weights: give Points sample_weight")
        points = data if isinstance(data, Points) else Points(data, sample_weight)
        n = np.count_nonzero(points.weights)
        if n < self.k:
            raise ValueError(f"{n} points cannot make {self.k} clusters")
        start = find_start(points, self.k, np.random.default_rng(self.seed))
        tol = max(self.tol / points.unit, np.finfo(float).eps)  # less is rounding
        clusters, self.n_iter = lloyd(points, start, tol, self.max_iter)
        largest_first = np.argsort(-clusters.weights, kind="stable")
        centroids = clusters.centroids[largest_first]
        self.centroids = centroids * points.unit + points.origin
        self.labels = largest_first.argsort()[clusters.labels]
        weightless = np.flatnonzero(points.weights == 0)  # ties go as in `predict`
        self.labels[weightless] = nearest(points.x[:, weightless], centroids)
        self.inertia = clusters.inertia() * points.unit**2 * points.weight_unit
        return self

    def predict(self, data: ArrayLike) -> np.ndarray:
        """Find the nearest centroid of each point, (d,) or (n, d), real.

        Returns the centroids themselves, in an array of the same shape, float64. Raises
        a ValueError if the data does not match that of `fit` or a number is not finite,
        and a RuntimeError if nothing has been fitted yet.
        """
        if not hasattr(self, "centroids"):
            raise RuntimeError("call fit before predict")
        data = real_array("data", data)
        d = self.centroids.shape[1]
        if data.ndim not in (1, 2) or data.shape[-1] != d:
            raise ValueError(
                f"data of shape {data.shape} does not match points of {d} coordinates"
            )
        labels = nearest(data.reshape(-1, d).T, self.centroids)
        return self.centroids[labels].reshape(data.shape)


def lloyd(
    points: WeightedPoints, centroids: np.ndarray, tol: float, max_iter: int
) -> tuple[Clusters, int]:
    """Assign and update the chosen centroids, (k, d), until none moves beyond `tol`.

    Returns the clusters, fewer than k where points run out, and how often it repeated.
    """
    clusters = refilled(Clusters(points, centroids))  # assign
    step = np.zeros_like(clusters.centroids)
    at_means = False  # true after a plain step, which does not overshoot
    for n_iter in range(1, max_iter + 1):  # repeat
        shift = clusters.means() - clusters.centroids  # update
        is_still = lengths(shift).max() <= tol
        if is_still and at_means:
            break  # stop
        # The first step does not overshoot, because that leads to slightly worse
        # results; nor does the last before it stops, so that centroids are means.
        at_means = is_still or n_iter == 1
        step = shift if at_means else accelerated(shift, step, clusters.weights)
        clusters.assign(clusters.centroids + step)  # assign
        if not clusters.weights.all():
            clusters = refilled(clusters)
            step = np.zeros_like(clusters.centroids)  # others now: no momentum to keep
    return clusters, n_iter


def accelerated(shift: np.ndarray, last: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Go beyond the means and keep some momentum: less than half of the iterations.

    A heavy ball (B. T. Polyak, "Some methods of speeding up the convergence of
    iteration methods", 1964), stopped where it would roll uphill (B. O'Donoghue and E.
    Candes, "Adaptive restart for accelerated gradient schemes", 2015). Factors of 1.2
    to 1.7 and 0.75 to 0.85 take a tenth longer at most.

    `shift` leads from the centroids to the means, (k, d); times `weights`, (k,), it is
    the direction in which the inertia falls most. `last` is the step before.
    """
    is_downhill = np.einsum("k,kd,kd->", weights, shift, last) > 0
    return 1.4 * shift + (0.8 if is_downhill else 0) * last


# Points assigned to centroids

EPSILON = np.finfo(np.float32).eps  # a float32 is rounded by half of it at most
TINY = np.finfo(np.float32).tiny  # and has fewer digits below this


class Clusters:
    """Points assigned to their nearest centroids, and kept so as these move.

    Only a point that may have changed sides is looked at again: one whose *margin*, the
    distance to its second nearest centroid less that to its nearest, has been used up
    by the moves of the centroids since it was measured (G. Hamerly, "Making k-means
    even faster", 2010).

    There are `centroids`, (k, d), `weights`, (k,), exactly 0 where a cluster is empty,
    `sums` of the weighted points, (d, k), `labels`, (n,), and `margins`, (n,) float32,
    never more than the true ones.
    """

    def __init__(self, points: WeightedPoints, centroids: np.ndarray) -> None:
        self.points = points
        self.centroids = centroids
        everything = np.arange(len(points))
        self.labels, self.margins = self._nearest(everything, points.augmented)
        self._sum_up()

    def assign(self, centroids: np.ndarray) -> None:
        """Move to these centroids and give every point the nearest one's label."""
        moves = lengths(centroids - self.centroids)
        self.centroids = centroids
        # A margin shrinks by the moves of its own centroid and of one other at most. An
        # EPSILON covers their rounding and that of a margin, which is at most `reach`.
        reach = self.points.radius + lengths(centroids).max()
        used = (1 + EPSILON) * (moves + moves.max()) + EPSILON * reach
        self.margins -= used.astype(np.float32).take(self.labels)
        stale = np.flatnonzero(self.margins < 0)
        augmented = self.points.augmented.take(stale, axis=1)
        labels, self.margins[stale] = self._nearest(stale, augmented)
        changed = labels != self.labels[stale]
        self._relabel(stale[changed], labels[changed])

    def means(self) -> np.ndarray:
        """Return the weighted mean of each cluster, (k, d)."""
        return (self.sums / self.weights).T

    def squared_errors(self, labels: np.ndarray | None = None) -> np.ndarray:
        """Return each point's squared distance to its, or another, centroid, (n,)."""
        labels = self.labels if labels is None else labels
        errors = np.zeros(len(labels))
        for row, coordinates in zip(self.points.x, self.centroids.T, strict=True):
            errors += np.square(coordinates.take(labels) - row)
        return errors

    def inertia(self) -> float:
        """Return the weighted sum of squared distances to the nearest centroid."""
        return float((self.points.weights * self.squared_errors()).sum())

    def _nearest(
        self, which: np.ndarray, augmented: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Find labels and margins, (m,), of the points `which`, (m,), given augmented.

        Where single precision cannot tell the nearest, double precision does.
        """
        labels, margins = two_nearest(augmented, self.centroids)
        doubtful = np.flatnonzero(margins <= 0)
        x = self.points.x.take(which[doubtful], axis=1)
        labels[doubtful] = nearest(x, self.centroids)
        return labels, margins

    def _relabel(self, which: np.ndarray, labels: np.ndarray) -> None:
        """Give the points `which`, (m,), their new labels, (m,)."""
        x, weights = self.points.x.take(which, axis=1), self.points.weights[which]
        k = len(self.centroids)
        lost, lost_sums = totals(x, weights, self.labels[which], k)
        won, won_sums = totals(x, weights, labels, k)
        self.weights += won - lost
        self.sums += won_sums - lost_sums
        self.labels[which] = labels
        # What has left a lighter cluster may have left it fewer than 10 right digits.
        if self.weights.min() < 1e-6 * self.weights.sum():
            self._sum_up()

    def _sum_up(self) -> None:
        """Find weights and sums afresh, free of the rounding of what came and went."""
        points, k = self.points, len(self.centroids)
        self.weights, self.sums = totals(points.x, points.weights, self.labels, k)


def refilled(clusters: Clusters) -> Clusters:
    """Put each centroid that has no points where `choose` would put a new one.

    There are fewer centroids afterwards where that finds nothing left to choose.
    """
    while not clusters.weights.all():
        kept = clusters.centroids[clusters.weights > 0]
        missing = len(clusters.centroids) - len(kept)
        rng = np.random.default_rng(missing)  # too seldom needed to ask for a seed
        added = choose(clusters.points, missing, rng, clusters.squared_errors())
        clusters = Clusters(clusters.points, np.vstack([kept, added]))
    return clusters


def totals(
    x: np.ndarray, weights: np.ndarray, labels: np.ndarray, k: int
) -> tuple[np.ndarray, np.ndarray]:
    """Sum up the weights, (k,), and the weighted (d, n) points, (d, k), by label."""
    sums = np.array([np.bincount(labels, weights * row, k) for row in x])
    return np.bincount(labels, weights, k), sums


def lengths(vectors: np.ndarray) -> np.ndarray:
    """Return the lengths of the rows, (k, d) -> (k,)."""
    return np.sqrt(np.einsum("kd,kd->k", vectors, vectors))


# The nearest centroid


def nearest(x: np.ndarray, centroids: np.ndarray) -> np.ndarray:
    """Find the nearest centroid of each (d, n) point in double precision, (n,)."""
    labels = np.empty(x.shape[1], np.intp)
    for part in blocks(len(labels), max(centroids.shape)):
        block = np.ascontiguousarray(x[:, part])
        labels[part] = squared_distances(block, centroids).argmin(axis=0)
    return labels


def squared_distances(x: np.ndarray, centroids: np.ndarray) -> np.ndarray:
    """Return the squared distances of (d, n) points to (k, d) centroids, (k, n)."""
    squares = np.zeros((len(centroids), x.shape[1]), x.dtype)
    for row, coordinates in zip(x, centroids.T, strict=True):
        squares += np.square(row - coordinates[:, None])
    return squares


def blocks(n: int, work: int) -> list[slice]:
    """Split n points into slices, for `work` numbers or multiplications a point.

    Half a million fit the cache, and OpenBLAS does not share them out among threads.
    """
    size = max(1, 2**19 // work)
    return [slice(start, start + size) for start in range(0, n, size)]


def two_nearest(augmented: np.ndarray, centroids: np.ndarray) -> tuple[np.ndarray, ...]:
    """Find the nearest centroid and how much further the second nearest is.

    With points *augmented* to (x, 1, |x|^2) and centroids to (-2 c, |c|^2, 1), all
    squared distances are one matrix product. It is in single precision, whose error is
    taken off the margins: a label is certain where its margin is above 0 (a filter as
    in J. R. Shewchuk, "Adaptive Precision Floating-Point Arithmetic and Fast Robust
    Geometric Predicates", 1997).

    Returns the labels, (n,), and the margins, (n,) float32: never more than the true
    difference of the two distances, and infinite for k = 1.
    """
    (k, d), n = centroids.shape, augmented.shape[1]
    rows = np.ones((k, d + 2), np.float32)
    rows[:, :d] = -2 * centroids
    rows[:, d] = np.square(centroids).sum(axis=1)
    # Both factors of each term are rounded to float32, their product and the sum up to
    # d + 2 times; the terms add up to 2 (|c|^2 + |x|^2) at most. Doubled: this bound is
    # rounded, too.
    largest = rows[:, d].max() + augmented[-1].max(initial=0)
    error = 2 * (d + 4) * EPSILON * largest + TINY
    rows[:, d] += error  # so that no product is below the true square
    labels, margins = np.empty(n, np.intp), np.empty(n, np.float32)
    for part in blocks(n, rows.size):
        # BLAS raises false alarms: https://github.com/numpy/numpy/issues/24067
        with np.errstate(all="ignore"):
            squares = rows @ augmented[:, part]
        labels[part], _, first, second = smallest_two(squares)
        # What the first may have lost there, 2 k EPSILON of its square, is taken off
        # the second, and as much again for the rounding of these two lines.
        second = np.maximum(second * (1 - 4 * k * EPSILON) - 2 * error, 0)
        margins[part] = np.sqrt(second) - np.sqrt(first)
    return labels, margins


def smallest_two(values: np.ndarray) -> tuple[np.ndarray, ...]:
    """Find the two smallest values of each column, and their rows.

    The order of positive floats is that of their bits. With the lowest few replaced by
    the number of the row, a minimum over integers finds both; NumPy is three times
    faster at that than at argmin.

    The values, (k, n) float32 and not below TINY, are overwritten. Returns two arrays
    of rows and two of values, (n,) each, the smallest first. The values are too small
    by up to 2 k EPSILON of them, the bits replaced; of values closer than that either
    may count as the smaller. Of a single row the second value is infinite.
    """
    k, n = values.shape
    row_bits = np.int32(2 ** (k - 1).bit_length() - 1)
    coded = values.view(np.int32)
    coded &= ~row_bits
    coded |= np.arange(k, dtype=np.int32)[:, None]
    smallest = coded.min(axis=0)
    values[smallest & row_bits, np.arange(n)] = np.inf
    two = np.array([smallest, coded.min(axis=0)])
    return *(two & row_bits), *(two & ~row_bits).view(np.float32)


# Where the search begins


def find_start(points: WeightedPoints, k: int, rng: np.random.Generator) -> np.ndarray:
    """Choose k centroids, (k, d), from which `lloyd` has little left to do.

    A good arrangement is searched for on a coarse summary of the points, and refined on
    a fine one. There are fewer than k only where there are fewer distinct points.
    """
    coarse, *fine = points.summaries(k)
    centroids = choose(coarse, k, rng)
    if len(centroids) < k:  # a sample may miss rare points, if there are as many at all
        return choose(points, k, rng)
    # A thousandth of the spread: to be finer than the summary itself is no use.
    squares = np.square(coarse.x).sum(axis=0)
    tol = 0.001 * math.sqrt(np.average(squares, weights=coarse.weights))
    centroids = exchange(coarse, centroids, tol, rng)
    for summary in fine:
        # 100 iterations are seldom needed; where they do not do, it is only a start.
        clusters, _ = lloyd(summary, centroids, tol, max_iter=100)
        centroids = clusters.centroids
    return centroids


def choose(
    points: WeightedPoints,
    count: int,
    rng: np.random.Generator,
    closest: np.ndarray | float = 1e9,
) -> np.ndarray:
    """Choose points far from each other, and from earlier centroids, as new ones.

    This is k-means++: each is drawn with a chance proportional to its weighted squared
    distance from those before it, and is the best of a few such draws (D. Arthur and S.
    Vassilvitskii, "k-means++: the advantages of careful seeding", 2007). There are
    fewer than `count` where that leaves no point at a distance.

    `closest` are the squared distances to the nearest earlier centroid, (n,). By
    default there is none: 1e9 is more than any here, and infinity times 0 no number.
    """
    # The first part is the authors' number; to choose few leaves time for more draws.
    draws = 2 + int(math.log(count)) + 20 // count
    chosen = []
    while len(chosen) < count:
        chances = np.cumsum(points.weights * closest)
        if chances[-1] == 0:
            break
        drawn = chances.searchsorted((1 - rng.random(draws)) * chances[-1])
        distances = squared_distances(points.x, points.x[:, drawn].T)
        distances = np.minimum(distances, closest)
        best = (distances * points.weights).sum(axis=1).argmin()
        closest = distances[best]
        chosen.append(drawn[best])
    return points.x[:, chosen].T


def exchange(
    points: WeightedPoints, centroids: np.ndarray, tol: float, rng: np.random.Generator
) -> np.ndarray:
    """Move centroids from where they are least missed to where they are needed most.

    Lloyd's algorithm alone never takes a centroid from a place that has too many to one
    that has too few. Adding some and then dropping as many does; it is repeated with
    fewer and fewer for as long as it helps (B. Fritzke, "Breathing K-Means", 2020). It
    finds better optima than many starts do.
    """
    best, _ = lloyd(points, centroids, tol, max_iter=3)
    added = max(1, len(centroids) / 5)  # an eighth ends at worse optima, by 0.05 %
    while added > 1 / 4:  # so a single one is tried twice: much depends on the draw
        new = choose(points, math.ceil(added), rng, best.squared_errors())
        # After one iteration the new ones have not found their places: the wrong go.
        grown, _ = lloyd(points, np.vstack([best.centroids, new]), tol, max_iter=2)
        kept = np.delete(grown.centroids, least_missed(grown, len(new)), axis=0)
        # Two more iterations would not tell a winner better than these three do.
        rival, _ = lloyd(points, kept, tol, max_iter=3)
        # Smaller gains are not worth another round of this size.
        if rival.inertia() >= 0.998 * best.inertia():
            added /= 2
        best = min(best, rival, key=Clusters.inertia)
    return best.centroids


def least_missed(clusters: Clusters, count: int) -> list[int]:
    """Choose so many centroids without which the inertia would grow least.

    The points of a removed centroid go to their second nearest, the heir, which moves
    to its new mean. The main heir of one chosen earlier is passed over, because its own
    loss was reckoned with the other in place.
    """
    k, weights, labels = len(clusters.weights), clusters.points.weights, clusters.labels
    heirs = second_nearest(clusters)
    growth = clusters.squared_errors(heirs) - clusters.squared_errors()
    # What each heir inherits from each centroid, and what is saved as it moves there.
    pairs, pair_of_point = np.unique(labels * k + heirs, return_inverse=True)
    leaving, inheriting = np.divmod(pairs, k)
    inherited, sums = totals(clusters.points.x, weights, pair_of_point, len(pairs))
    pull = sums - inherited * clusters.centroids[inheriting].T
    saved = np.square(pull).sum(axis=0) / (inherited + clusters.weights[inheriting])
    losses = np.bincount(labels, weights * growth, k) - np.bincount(leaving, saved, k)
    main_heir = np.zeros(k, np.intp)
    lightest_first = inherited.argsort(kind="stable")
    main_heir[leaving[lightest_first]] = inheriting[lightest_first]  # the last stays
    chosen = []
    for j in losses.argsort(kind="stable"):
        if len(chosen) < count and j not in main_heir[chosen]:
            chosen.append(j)
    return chosen


def second_nearest(clusters: Clusters) -> np.ndarray:
    """Find the second nearest centroid of each point in single precision, (n,).

    A matrix product would do it faster, but processors round it differently.
    """
    x, centroids = clusters.points.augmented[:-2], clusters.centroids.astype(np.float32)
    first, second = np.empty((2, x.shape[1]), np.intp)
    for part in blocks(x.shape[1], max(centroids.shape)):
        squares = squared_distances(x[:, part], centroids)
        first[part], second[part], *_ = smallest_two(squares + TINY)
    return np.where(first == clusters.labels, second, first)


# Points and their summaries


class WeightedPoints:
    """Points, (d, n), ready to be clustered, with weights, (n,), both float64.

    There is one row per coordinate, because NumPy is at its best along long rows. What
    has a weight has coordinates of at most 2 in size. Summaries are made once.
    """

    def __init__(self, x: np.ndarray, weights: np.ndarray) -> None:
        self.x = x
        self.weights = weights

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.weights)

    @cached_property
    def augmented(self) -> np.ndarray:
        """The points as `two_nearest` wants them, (d + 2, n), float32."""
        d, n = self.x.shape
        augmented = np.ones((d + 2, n), np.float32)
        augmented[:d] = self.x
        augmented[d + 1] = np.einsum("dn,dn->n", self.x, self.x)
        return augmented

    @cached_property
    def radius(self) -> float:
        """The largest distance from the origin."""
        return math.sqrt(self.augmented[-1].max())

    def summaries(self, k: int) -> list[WeightedPoints]:
        """Return a coarse summary for k clusters, and the finest one if it is another.

        They are the means of grid cells. The coarse one has 40 or more for each cluster
        and 1024 in all: half of either leads to worse optima, twice takes longer. Where
        no grid serves, a larger sample does, or all points if they are few.
        """
        enough = max(40 * k, 1024)
        grids = [grid for grid in self._grids if len(grid) >= enough]
        return grids[:1] + grids[1:][-1:] or [self._sample(max(2 * enough, 4096))]

    @cached_property
    def _grids(self) -> list[WeightedPoints]:
        """Ever finer grids, while there are half as many cells as points, or fewer."""
        grid = counted = self._counted()
        grids, cells = [], 2 ** (18 / len(self.x))  # the totals of more leave the cache
        while cells >= 2:
            grid = grid._merged(int(cells))
            if len(grid) <= len(counted) // 2:
                grids.insert(0, grid)
            cells /= 1.25  # so that hardly more than enough are ever taken
        return grids

    def _merged(self, cells: int) -> WeightedPoints:
        """Merge the points in each cell of a grid, of so many cells along each axis."""
        low = self.x.min(axis=1)
        # Flatter than this, beside coordinates of about 1, is a single cell.
        span = np.maximum(self.x.max(axis=1) - low, 1e-9)
        cell = np.zeros(len(self), np.intp)
        for row, start, length in zip(self.x, low, span, strict=True):
            cell *= cells
            # A little less than all cells: the last one takes the largest, too.
            cell += ((row - start) * ((cells - 1e-6) / length)).astype(np.intp)
        weights = np.bincount(cell, self.weights)
        filled = np.flatnonzero(weights)
        sums = [np.bincount(cell, self.weights * row)[filled] for row in self.x]
        return WeightedPoints(np.array(sums) / weights[filled], weights[filled])

    def _sample(self, size: int) -> WeightedPoints:
        """Take some of the points, the same ones for all seeds."""
        counted = self._counted()
        which = np.random.default_rng(0).permutation(len(counted))[:size]
        return WeightedPoints(counted.x[:, which], counted.weights[which])

    def _counted(self) -> WeightedPoints:
        """Return the points that have a weight."""
        if self.weights.all():
            return self
        which = np.flatnonzero(self.weights)
        return WeightedPoints(self.x[:, which], self.weights[which])


class Points(WeightedPoints):
    """Weighted points, prepared once for any number of fits of any k and seed.

    Parameters
    ----------
    data : array-like of shape (n, d), real
        The points; they are copied.
    sample_weight : array-like of shape (n,), optional
        How often each point counts, once by default; with 0 it has a label but no say.

    Raises
    ------
    ValueError
        If there are no points, the shapes do not match, a number is not finite or above
        1e150, or the weights are negative or all 0.

    """

    def __init__(self, data: ArrayLike, sample_weight: ArrayLike | None = None) -> None:
        data = real_array("data", data, ndim=2)
        if data.size == 0:
            raise ValueError("{} points of {} coordinates are none".format(*data.shape))
        weights = checked_weights(sample_weight, len(data))
        self.weight_unit = power_of_two(weights.max())
        counted = np.flatnonzero(weights)  # the others have no say
        x = data.T.copy()
        # The median of some 1000 is near enough; where all are equal, it is exact.
        self.origin = np.median(x[:, counted[:: 1 + len(counted) // 1000]], axis=1)
        x -= self.origin[:, None]
        self.unit = power_of_two(np.abs(x).max(axis=0)[counted].max())
        x /= self.unit
        # From as far as that, doubles cannot tell which centroid is nearest. Only what
        # has no weight can be there; its square has room in a float32.
        np.clip(x, -(2.0**56), 2.0**56, out=x)
        super().__init__(x, weights / self.weight_unit)


def power_of_two(size: float) -> float:
    """Return the largest power of two up to a size: to divide by it costs no digit."""
    return math.ldexp(1, math.frexp(size)[1] - 1)


# Checks


def check_whole(name: str, value: int, least: int) -> None:
    """Raise a ValueError unless the value is a whole number of at least this size."""
    if not isinstance(value, Integral) or value < least:
        raise ValueError(f"{name} must be a whole number, {least} or more: {value!r}")


def real_array(name: str, values: ArrayLike, ndim: int | None = None) -> np.ndarray:
    """Return the values as a float64 array, or raise a ValueError that says why not."""
    try:
        values = np.asarray(values)
        if values.dtype.kind not in "biufO":
            raise TypeError
        values = values.astype(float, copy=False)
    except (TypeError, ValueError, OverflowError):
        kind = getattr(values, "dtype", "rows of different lengths")
        raise ValueError(f"{name} must be real numbers, not {kind}") from None
    if ndim is not None and values.ndim != ndim:
        raise ValueError(f"{name} must have {ndim} dimensions, not {values.ndim}")
    # The square of anything more has no room in a double. A NaN is not in between.
    if values.size and not -1e150 <= values.min() <= values.max() <= 1e150:
        raise ValueError(f"{name} must be finite, and at most 1e150 in size")
    return values


def checked_weights(weights: ArrayLike | None, n: int) -> np.ndarray:
    """Return (n,) float64 weights, 1 by default, or raise a ValueError."""
    if weights is None:
        return np.ones(n)
    weights = real_array("sample_weight", weights, ndim=1)
    if len(weights) != n:
        raise ValueError(f"{len(weights)} weights do not match {n} points")
    if weights.min() < 0 or weights.max() == 0:
        raise ValueError("sample_weight must not be negative, nor 0 everywhere")
    return weights
