"""k-means clustering from scratch on NumPy: exact, weighted, reproducible and fast.

The steps of the textbook, and where each of them is taken:

- choose k centroids: `find_start`
- assign every point to its nearest centroid: `Clusters.assign` (plainly: `nearest`)
- update every centroid to the mean of its points: `Clusters.means`
- repeat until they stand still: `lloyd`

`KMeans` is what a caller sees and `lloyd` is the algorithm: whoever has read so far has
understood k-means and may stop. What follows does the same in less time, and from a
better start: how the points are kept assigned, how the nearest centroid is found, where
the search begins, and how points are prepared. Nothing here knows of images: a colour
is a point.
"""

from __future__ import annotations

import math
from functools import cached_property
from numbers import Integral, Real

import numpy as np
from numpy.typing import ArrayLike

EPSILON = np.finfo(np.float32).eps  # a float32 is rounded by half of it at most
TINY = np.finfo(np.float32).tiny  # and has fewer digits below this


class KMeans:
    """k-means clustering by Lloyd's algorithm.

    Parameters
    ----------
    k : int, default=2
        The number of clusters.
    tol : float, default=0.001
        Stop when no centroid would move further than this in one Lloyd iteration,
        in the units of the data.
    max_iter : int, default=500
        Stop after this many iterations over all the data in any case.
    seed : int, optional
        Seed of the random start: the same seed gives the same result. Without one
        every fit starts afresh.

    Attributes
    ----------
    centroids : ndarray of shape (k, d), float64
        The cluster centres; fewer than k only where there are fewer distinct points.
    labels : ndarray of shape (n,), int
        The index of the nearest centroid for each point that was fitted.
    inertia : float
        The sum of squared distances to the nearest centroid, times the weights.
    n_iter : int
        The number of iterations over all the data.

    Raises
    ------
    ValueError
        If a parameter is out of its range.

    Notes
    -----
    The result is a fixed point of Lloyd's algorithm (S. P. Lloyd, "Least squares
    quantization in PCM", 1982): one more plain iteration moves no centroid by more than
    `tol` (unless `max_iter` has been reached), every label is that of the nearest
    centroid, and no cluster is empty. All of it holds to the rounding of doubles of the
    size of the data's spread.

    Examples
    --------
    >>> points = [[0, 0], [0, 2], [9, 1]]
    >>> model = KMeans(k=2, seed=0).fit(points)
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
        self.k = k
        self.tol = tol
        self.max_iter = max_iter
        self.seed = seed

    def fit(
        self, data: ArrayLike | Points, sample_weight: ArrayLike | None = None
    ) -> KMeans:
        """Find the centroids of the data, and return this object.

        Parameters
        ----------
        data : array-like of shape (n, d), real, or Points
            The points; they are left as they are. `Points` are prepared once for any
            number of fits.
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
        n = len(points.weights)
        if n < self.k:
            raise ValueError(f"{n} points cannot make {self.k} clusters")
        start = find_start(points, self.k, np.random.default_rng(self.seed))
        tol = max(self.tol / points.unit, np.finfo(float).eps)  # less is rounding
        clusters, self.n_iter = lloyd(points, start, tol, self.max_iter)
        self.centroids = clusters.centroids * points.unit + points.origin
        self.labels = np.empty(len(points), np.intp)
        self.labels[points.counted] = clusters.labels
        self.labels[~points.counted] = nearest(points.weightless.T, self.centroids)
        self.inertia = clusters.inertia() * points.unit**2
        return self

    def predict(self, data: ArrayLike) -> np.ndarray:
        """Find the nearest centroid of each point.

        Parameters
        ----------
        data : array-like of shape (d,) or (n, d), real
            One point or many.

        Returns
        -------
        ndarray of the same shape, float64
            The centroids themselves.

        Raises
        ------
        ValueError
            If the data does not match that of `fit`, or a number is not finite.
        RuntimeError
            If nothing has been fitted yet.

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


# Lloyd's algorithm


def lloyd(
    points: Cloud, centroids: np.ndarray, tol: float, max_iter: int
) -> tuple[Clusters, int]:
    """Move every centroid to the mean of its points until they all stand still.

    Still means that none would move further than `tol`. The steps are accelerated but
    for the first, which is the roughest (beyond its means lie worse optima, by 0.05 %),
    and the last, so that the centroids end as means and not only close to them.

    Returns the clusters and the number of iterations.
    """
    clusters = Clusters(points, centroids)
    step, plain = np.zeros_like(centroids), False
    for n_iter in range(1, max_iter + 1):
        shift = clusters.means() - clusters.centroids
        still = lengths(shift).max() <= tol
        if still and plain:
            break
        plain = still or n_iter == 1
        step = shift if plain else accelerated(shift, step, clusters.weights)
        clusters.assign(clusters.centroids + step)
        if clusters.refill():
            step = np.zeros_like(clusters.centroids)  # others now: no momentum to keep
    return clusters, n_iter


def accelerated(
    shift: np.ndarray, last_step: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """Go beyond the means and keep some momentum: less than half of the iterations.

    A heavy ball (B. T. Polyak, "Some methods of speeding up the convergence of
    iteration methods", 1964), stopped where it would roll uphill (B. O'Donoghue and
    E. Candes, "Adaptive restart for accelerated gradient schemes", 2015). The factors
    decide on time alone, and little: any of 1.2 to 1.7 with any of 0.75 to 0.85 takes
    at most a tenth longer on photos.

    `shift` leads from the centroids to the means, (k, d); times the weights of the
    clusters, (k,), it is the direction in which the inertia falls most.
    """
    downhill = np.einsum("k,kd,kd->", weights, shift, last_step) > 0
    return 1.4 * shift + (0.8 if downhill else 0) * last_step


class Clusters:
    """Points split among centroids, kept assigned as the centroids move.

    Only a point that may have changed sides is looked at again: one whose *margin*, the
    distance to its second nearest centroid less that to its nearest, has been used up
    by the moves of the centroids since it was measured (G. Hamerly, "Making k-means
    even faster", 2010).

    Attributes
    ----------
    centroids : ndarray of shape (k, d), float64
    labels : ndarray of shape (n,), int
        The nearest centroid of each point.
    margins : ndarray of shape (n,), float32
        Never more than the true ones.

    """

    def __init__(self, points: Cloud, centroids: np.ndarray) -> None:
        self.points = points
        self._assign_all(centroids)
        self.refill()

    @property
    def weights(self) -> np.ndarray:
        """The weight of each cluster, (k,): exactly 0 where it is empty."""
        return self._totals[0]

    @property
    def sums(self) -> np.ndarray:
        """The sum of its points times their weights, (d, k)."""
        return self._totals[1:]

    def assign(self, centroids: np.ndarray) -> None:
        """Move to these centroids and give every point the nearest one's label."""
        moves = lengths(centroids - self.centroids)
        self.centroids = centroids
        # A margin shrinks by the moves of its own centroid and of one other at most. An
        # EPSILON covers their rounding and a margin's, which is never above the reach.
        reach = self.points.radius + lengths(centroids).max()
        used = (1 + EPSILON) * (moves + largest_other(moves)) + EPSILON * reach
        self.margins -= used.astype(np.float32).take(self.labels)
        stale = np.flatnonzero(self.margins < 0)
        lifted = self.points.lifted.take(stale, axis=1)
        labels, self.margins[stale] = self._nearest(stale, lifted)
        changed = labels != self.labels[stale]
        self._relabel(stale[changed], labels[changed])

    def means(self) -> np.ndarray:
        """Return the weighted mean of each cluster, (k, d)."""
        return (self.sums / self.weights).T

    def refill(self) -> bool:
        """Put each centroid that has no points where `choose` would put a new one.

        There are fewer centroids afterwards where that finds nothing left to choose.
        Returns whether any had no points.
        """
        refilled = False
        while not self.weights.all():
            kept = self.centroids[self.weights > 0]
            missing = len(self.centroids) - len(kept)
            rng = np.random.default_rng(missing)  # too seldom needed to ask for a seed
            added = choose(self.points, missing, rng, self.squared_errors())
            self._assign_all(np.vstack([kept, added]))
            refilled = True
        return refilled

    def squared_errors(self) -> np.ndarray:
        """Return the squared distance of each point to its centroid, (n,)."""
        errors = np.zeros(len(self.labels))
        for row, coordinates in zip(self.points.x, self.centroids.T, strict=True):
            errors += np.square(coordinates.take(self.labels) - row)
        return errors

    def inertia(self) -> float:
        """Return the weighted sum of squared distances to the nearest centroid."""
        return float((self.points.weights * self.squared_errors()).sum())

    def losses(self) -> np.ndarray:
        """Return by how much the inertia would grow without each centroid, (k,).

        Each of its points would go to the second nearest, were the others to stay.
        """
        _, margins = two_nearest(self.points.lifted, self.centroids)
        growth = margins * (2 * np.sqrt(self.squared_errors()) + margins)
        return np.bincount(self.labels, self.points.weights * growth)

    def _assign_all(self, centroids: np.ndarray) -> None:
        """Find all labels, margins and totals anew."""
        self.centroids = centroids
        all_points = np.arange(len(self.points.weights))
        self.labels, self.margins = self._nearest(all_points, self.points.lifted)
        self._sum_up()

    def _nearest(
        self, which: np.ndarray, lifted: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Find the labels and margins of these points, which come lifted.

        Where single precision cannot tell the nearest, double precision does.
        """
        labels, margins = two_nearest(lifted, self.centroids)
        doubtful = np.flatnonzero(margins <= 0)
        x = self.points.x.take(which[doubtful], axis=1)
        labels[doubtful] = nearest(x, self.centroids)
        return labels, margins

    def _relabel(self, which: np.ndarray, labels: np.ndarray) -> None:
        """Give these points new labels."""
        x, weights = self.points.x.take(which, axis=1), self.points.weights[which]
        self._totals -= totals(x, weights, self.labels[which], len(self.centroids))
        self._totals += totals(x, weights, labels, len(self.centroids))
        self.labels[which] = labels
        # So light a cluster has 10 of a double's 16 digits, after what has left it.
        if self.weights.min() < 1e-6 * self.weights.sum():
            self._sum_up()

    def _sum_up(self) -> None:
        """Find the totals afresh, free of the rounding of what has come and gone."""
        x, weights = self.points.x, self.points.weights
        self._totals = totals(x, weights, self.labels, len(self.centroids))


def totals(
    x: np.ndarray, weights: np.ndarray, labels: np.ndarray, k: int
) -> np.ndarray:
    """Sum up the weights and the weighted coordinates of (d, n) points by label.

    The result has shape (1 + d, k).
    """
    sums = [np.bincount(labels, weights * row, k) for row in x]
    return np.array([np.bincount(labels, weights, k), *sums])


def lengths(vectors: np.ndarray) -> np.ndarray:
    """Return the lengths of the rows, (k, d) -> (k,)."""
    return np.sqrt(np.einsum("kd,kd->k", vectors, vectors))


def largest_other(moves: np.ndarray) -> np.ndarray:
    """Return for each move the largest among all others, 0 if there is none."""
    second, first = np.sort(np.append(moves, 0))[-2:]
    return np.where(moves == first, second, first)


# The nearest centroid


def nearest(x: np.ndarray, centroids: np.ndarray) -> np.ndarray:
    """Find the nearest centroid of each (d, n) point in double precision, (n,)."""
    labels = np.empty(x.shape[1], np.intp)
    for part in blocks(len(labels), centroids.size):
        labels[part] = squared_distances(x[:, part], centroids).argmin(axis=0)
    return labels


def squared_distances(x: np.ndarray, centroids: np.ndarray) -> np.ndarray:
    """Return the squared distances of (d, n) points to (k, d) centroids, (k, n)."""
    return sum(
        np.square(row - coordinates[:, None])
        for row, coordinates in zip(x, centroids.T, strict=True)
    )


def blocks(n: int, work: int) -> list[slice]:
    """Split n points, each of which takes so many multiplications, into slices.

    Half a million of them at a time: what comes out stays in the cache, and OpenBLAS
    does not split so small a product among threads, which would not pay.
    """
    size = max(1, 2**19 // work)
    return [slice(start, start + size) for start in range(0, n, size)]


def two_nearest(
    lifted: np.ndarray, centroids: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Find the nearest centroid and how much further the second nearest is.

    With points *lifted* to (x, 1, |x|^2) and centroids to (-2 c, |c|^2, 1), all squared
    distances are one matrix product. It is done in single precision, whose error is
    taken off the margins: the label is certain where its margin is above 0 (a filter as
    in J. R. Shewchuk, "Adaptive Precision Floating-Point Arithmetic and Fast Robust
    Geometric Predicates", 1997).

    Returns the labels, (n,), and the margins, (n,) float32: never more than the true
    difference of the two distances, and infinite for k = 1.
    """
    (k, d), n = centroids.shape, lifted.shape[1]
    rows = np.empty((k, d + 2), np.float32)
    rows[:, :d] = -2 * centroids
    rows[:, d] = np.square(centroids).sum(axis=1)
    rows[:, d + 1] = 1
    # Both factors of each term are rounded when lifted, their product and the sum up to
    # d + 2 times; the terms add up to 2 (|c|^2 + |x|^2) at most. Doubled: this bound is
    # rounded, too.
    largest = rows[:, d].max() + lifted[-1].max(initial=0)
    error = 2 * (d + 4) * EPSILON * largest + TINY
    rows[:, d] += error  # so that no product is below the true square
    labels, margins = np.empty(n, np.intp), np.empty(n, np.float32)
    for part in blocks(n, rows.size):
        # BLAS raises false alarms: https://github.com/numpy/numpy/issues/24067
        with np.errstate(all="ignore"):
            squares = rows @ lifted[:, part]
        labels[part], first, second = smallest_two(squares)
        # What the first may have lost there, 2 k EPSILON of its square, is taken off
        # the second, and as much again for the rounding of these two lines.
        second = np.maximum(second * (1 - 4 * k * EPSILON) - 2 * error, 0)
        margins[part] = np.sqrt(second) - np.sqrt(first)
    return labels, margins


def smallest_two(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find each column's smallest value, its row, and the second smallest value.

    The order of positive floats is that of their bits. With the lowest few replaced by
    the number of the row, a minimum over integers finds both; NumPy is three times
    faster at that than at argmin.

    The values, (k, n) float32 and not below TINY, are overwritten. Row, smallest and
    second come as (n,) arrays. The two are too small by up to 2 k EPSILON of them, as
    the number of the row replaces their lowest bits; of values closer than that either
    may count as the smaller. Of a single row the second is infinite.
    """
    k, n = values.shape
    row_bits = np.int32(2 ** (k - 1).bit_length() - 1)
    coded = values.view(np.int32)
    coded &= ~row_bits
    coded |= np.arange(k, dtype=np.int32)[:, None]
    smallest = coded.min(axis=0)
    row = smallest & row_bits
    values[row, np.arange(n)] = np.inf
    second = coded.min(axis=0)
    return row, *(np.array([smallest, second]) & ~row_bits).view(np.float32)


# Where the search begins


def find_start(points: Cloud, k: int, rng: np.random.Generator) -> np.ndarray:
    """Find centroids close to the end of the search, on summaries of the points.

    On the coarsest one a good arrangement is searched for, and on finer ones it is
    refined. Lloyd's algorithm on all points then has little left to do. There are fewer
    than k centroids only where there are fewer distinct points.
    """
    coarsest, *finer = points.summaries(k)
    centroids = choose(coarsest, k, rng)
    if len(centroids) < k:  # a sample may miss rare points, if there are as many at all
        return choose(points, k, rng)
    # A thousandth of the spread: to be finer than the summary itself is no use.
    squares = np.square(coarsest.x).sum(axis=0)
    tol = 0.001 * math.sqrt(np.average(squares, weights=coarsest.weights))
    centroids = exchange(coarsest, centroids, tol, rng)
    for summary in finer:
        # 100 iterations are seldom needed; where they do not do, it is only a start.
        clusters, _ = lloyd(summary, centroids, tol, max_iter=100)
        centroids = clusters.centroids
    return centroids


def choose(
    points: Cloud,
    count: int,
    rng: np.random.Generator,
    closest: np.ndarray | float = 1e9,
) -> np.ndarray:
    """Choose points far from each other, and from earlier centroids, as new ones.

    This is k-means++: each is drawn with a chance proportional to its weighted squared
    distance from those before it, and is the best of a few such draws (D. Arthur and S.
    Vassilvitskii, "k-means++: the advantages of careful seeding", 2007; the number of
    draws is that of their own program). There are fewer than `count` where that leaves
    no point at a distance.

    `closest` are the squared distances to the nearest earlier centroid, (n,). By
    default there is none, and all points are equally far: farther than any from
    another, since no coordinate exceeds 1.
    """
    draws = 2 + int(math.log(count))
    chosen = []
    while len(chosen) < count:
        chances = np.cumsum(points.weights * closest)
        if chances[-1] == 0:
            break
        drawn = chances.searchsorted((1 - rng.random(draws)) * chances[-1])
        candidates = points.x[:, drawn].T
        distances = np.minimum(squared_distances(points.x, candidates), closest)
        best = np.einsum("dn,n->d", distances, points.weights).argmin()
        closest = distances[best]
        chosen.append(drawn[best])
    return points.x[:, chosen].T


def exchange(
    points: Cloud, centroids: np.ndarray, tol: float, rng: np.random.Generator
) -> np.ndarray:
    """Move centroids from where they are least missed to where they are needed most.

    Lloyd's algorithm alone never takes a centroid from a place that has too many to one
    that has too few. Adding some and then dropping as many, those whose loss costs
    least, does; it is repeated with fewer and fewer for as long as it helps
    (B. Fritzke, "Breathing K-Means", 2020). It finds better optima than many starts do.
    """
    k = len(centroids)
    best, _ = lloyd(points, centroids, tol, max_iter=3)
    added = k / 5  # a third or a tenth at first ends at worse optima, by 0.05 %
    while added > 1 / 4:  # so a single one is tried twice: much depends on the draw
        new = choose(points, math.ceil(added), rng, best.squared_errors())
        # After one iteration the new ones have not found their places: the wrong go.
        grown, _ = lloyd(points, np.vstack([best.centroids, new]), tol, max_iter=2)
        kept = grown.losses().argsort()[-k:]
        # Two more iterations would not tell a winner better than these three do.
        rival, _ = lloyd(points, grown.centroids[kept], tol, max_iter=3)
        # Smaller gains are not worth another round: they take a tenth of the time.
        if rival.inertia() < 0.999 * best.inertia():
            best = rival
        else:
            added /= 2
    return best.centroids


# Points and their summaries


class Cloud:
    """Weighted points, ready to be clustered, and their summaries, made once.

    Attributes
    ----------
    x : ndarray of shape (d, n), float64
        One row per coordinate, because NumPy is at its best along long rows; none is
        much above 1 in size.
    weights : ndarray of shape (n,), float64
        Above 0.

    """

    def __init__(self, x: np.ndarray, weights: np.ndarray) -> None:
        self.x = x
        self.weights = weights

    @cached_property
    def lifted(self) -> np.ndarray:
        """The points as `two_nearest` wants them, (d + 2, n), float32."""
        d, n = self.x.shape
        lifted = np.empty((d + 2, n), np.float32)
        lifted[:d] = self.x
        lifted[d] = 1
        lifted[d + 1] = np.einsum("dn,dn->n", self.x, self.x)
        return lifted

    @cached_property
    def radius(self) -> float:
        """The largest distance from the origin."""
        return math.sqrt(self.lifted[-1].max())

    def summaries(self, k: int) -> list[Cloud]:
        """Return summaries with enough points for k clusters, ever finer.

        They are the means of grid cells, 25 or more for each cluster (20 lead to worse
        optima, 30 take longer). Where no grid serves, as in many dimensions, a sample
        does; its points are no means, so that a few clusters want more of them.
        """
        enough = 25 * k
        grids = [grid for grid in self._grids if len(grid.weights) >= enough]
        return grids or [self._sample(max(enough, 4096))]

    @cached_property
    def _grids(self) -> list[Cloud]:
        """Ever finer grids, up to 2**18 cells: the totals of more leave the cache.

        One that does not at least halve the points would not save any time.
        """
        grids, grid = [], self
        for bits in range(18 // len(self.x), 0, -1):
            grid = grid._merged(bits)
            if len(grid.weights) <= len(self.weights) // 2:
                grids.insert(0, grid)
        return grids

    def _merged(self, bits: int) -> Cloud:
        """Merge the points in each cell of a grid of 2**bits cells along each axis."""
        low = self.x.min(axis=1)
        # Flatter than this, beside coordinates of about 1, is a single cell.
        span = np.maximum(self.x.max(axis=1) - low, 1e-9)
        cell = np.zeros(len(self.weights), np.intp)
        for row, start, length in zip(self.x, low, span, strict=True):
            cell <<= bits
            # A little less than all cells: the last one takes the largest, too.
            cell |= ((row - start) * ((2**bits - 1e-6) / length)).astype(np.intp)
        weights = np.bincount(cell, self.weights)
        filled = np.flatnonzero(weights)
        sums = [np.bincount(cell, self.weights * row)[filled] for row in self.x]
        return Cloud(np.array(sums) / weights[filled], weights[filled])

    def _sample(self, size: int) -> Cloud:
        """Take some of the points, the same ones for all seeds."""
        which = np.random.default_rng(0).permutation(len(self.weights))[:size]
        return Cloud(self.x[:, which], self.weights[which])


class Points(Cloud):
    """Weighted points, prepared once for any number of fits of any k and seed.

    Parameters
    ----------
    data : array-like of shape (n, d), real
        The points; they are copied.
    sample_weight : array-like of shape (n,), optional
        How often each point counts, 0 or more; once by default.

    Raises
    ------
    ValueError
        If there are no points, the shapes do not match, a number is not finite or above
        1e150, or the weights are negative or all 0.

    Attributes
    ----------
    counted : ndarray of shape (n,), bool
        Which points have a weight: those that are clustered.
    weightless : ndarray of shape (m, d), float64
        The others, as they came.
    origin, unit : ndarray of shape (d,), float64, and float
        The data that count are ``x.T * unit + origin``.

    Examples
    --------
    >>> points = Points([[0, 0], [0, 2], [9, 1]])
    >>> [KMeans(k, seed=0).fit(points).inertia for k in (2, 3)]
    [2.0, 0.0]

    """

    def __init__(self, data: ArrayLike, sample_weight: ArrayLike | None = None) -> None:
        data = real_array("data", data, ndim=2)
        if data.size == 0:
            n, d = data.shape
            raise ValueError(f"{n} points of {d} coordinates cannot be clustered")
        weights = checked_weights(sample_weight, len(data))
        self.counted = weights > 0
        self.weightless = data[~self.counted]
        x = data.T.compress(self.counted, axis=1)
        # Typical of all, if not of many more than 1000, and exact where all are equal.
        self.origin = np.median(x[:, :: 1 + x.shape[1] // 1000], axis=1)
        x -= self.origin[:, None]
        # A power of two costs no digit. Less than 2**-1000 cannot be divided by.
        exponent = np.frexp(np.abs(x).max())[1]
        self.unit = math.ldexp(1, max(int(exponent), -1000))
        x /= self.unit
        super().__init__(x, weights[self.counted])

    def __len__(self) -> int:
        """Return how many there are, with those of no weight."""
        return len(self.counted)


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
