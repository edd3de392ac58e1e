"""k-means clustering from scratch on NumPy: exact, weighted, reproducible and fast.

The steps of the textbook, and where each of them is taken:

- choose k centroids: `find_start`
- assign every point to its nearest centroid: `Clusters.assign`
- update every centroid to the mean of its points: `Clusters.means`
- repeat until they stand still: `lloyd`

`KMeans` is what a caller sees and `lloyd` is the algorithm: whoever has read so far has
understood k-means and may stop. All that follows is there to do the same in less time:
how points are kept assigned, how the nearest centroid is found, where the search
begins, and how points are prepared. Nothing here knows of images: a colour is a point.

Inside, points are stored as (d, n), one row per coordinate, because NumPy is at its
best along long rows, and centroids as (k, d).
"""

from __future__ import annotations

import math
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

EPSILON = np.finfo(np.float32).eps  # a float32 is rounded by half of it at most


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
    The result is one of Lloyd's algorithm (S. P. Lloyd, "Least squares quantization in
    PCM", 1982), whatever is done to get there sooner: one more plain iteration moves no
    centroid by more than `tol` (unless `max_iter` has been reached), every label is
    that of the nearest centroid, and no cluster is empty. Points that differ by less
    than double precision can tell, beside the spread of the data, count as equal.

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
        check_whole("seed", 0 if seed is None else seed, least=0)
        if not 0 <= tol < np.inf:
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
            weights, or if there are fewer points than k (of weight 0: none).

        """
        if isinstance(data, Points) and sample_weight is not None:
            raise ValueError("Points have their weights: give Points sample_weight")
        points = data if isinstance(data, Points) else Points(data, sample_weight)
        counted = len(points.weights)
        if counted < self.k:
            raise ValueError(f"{counted} points cannot make {self.k} clusters")
        start = find_start(points, self.k, np.random.default_rng(self.seed))
        tol = self.tol / points.unit
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
    points: Points, centroids: np.ndarray, tol: float, max_iter: int
) -> tuple[Clusters, int]:
    """Move every centroid to the mean of its points until they all stand still.

    They do when none would move further than `tol`. Until then the steps are
    accelerated; the last one is plain, so that centroids that have settled are the
    means of their points and not only close to them.

    Returns the clusters and the number of iterations.
    """
    clusters = Clusters(points, centroids)
    step = clusters.means() - clusters.centroids
    plain = True  # whether the step leads to the means, and no further
    for n_iter in range(1, max_iter + 1):
        clusters.assign(clusters.centroids + step)
        if not clusters.weights.all():
            clusters.refill()
            step = np.zeros_like(clusters.centroids)
        shift = clusters.means() - clusters.centroids
        settled = lengths(shift).max() <= tol
        if settled and plain:
            return clusters, n_iter
        plain = settled
        step = shift if plain else accelerated(shift, step, clusters.weights)
    return clusters, max_iter


def accelerated(
    shift: np.ndarray, last_step: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """Go beyond the means and keep some momentum: less than half of the iterations.

    A heavy ball (B. T. Polyak, "Some methods of speeding up the convergence of
    iteration methods", 1964), stopped where it would roll uphill (B. O'Donoghue and
    E. Candes, "Adaptive restart for accelerated gradient schemes", 2015). The factors
    decide on time alone, and little: with 1.2 to 1.7 and 0.75 to 0.85 photos take up to
    a tenth longer.

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

    def __init__(self, points: Points, centroids: np.ndarray) -> None:
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
        # A margin shrinks at most by the moves of its own centroid and of another. None
        # is longer than the reach; an EPSILON of either covers the rounding.
        reach = self.points.radius + lengths(centroids).max()
        used = (1 + EPSILON) * (moves + largest_other(moves)) + EPSILON * reach
        self.margins -= used.astype(np.float32).take(self.labels)
        stale = np.flatnonzero(self.margins < 0)
        lifted = self.points.lifted.take(stale, axis=1)
        labels, self.margins[stale] = self._nearest(stale, lifted)
        changed = labels != self.labels[stale]
        self._hand_over(stale[changed], labels[changed])

    def means(self) -> np.ndarray:
        """Return the weighted mean of each cluster, (k, d)."""
        return (self.sums / self.weights).T

    def refill(self) -> None:
        """Put each centroid that has no points where `choose` would put a new one.

        There are fewer centroids afterwards where it finds nothing left to choose.
        """
        while not self.weights.all():
            kept = self.centroids[self.weights > 0]
            missing = len(self.centroids) - len(kept)
            rng = np.random.default_rng(0)
            added = choose(self.points, missing, rng, self.squared_distances())
            self._assign_all(np.vstack([kept, added]))

    def squared_distances(self) -> np.ndarray:
        """Return the squared distance of each point to its centroid, (n,)."""
        difference = self.centroids.T.take(self.labels, axis=1)
        difference -= self.points.x
        return np.einsum("dn,dn->n", difference, difference)

    def inertia(self) -> float:
        """Return the weighted sum of squared distances to the nearest centroid."""
        return float((self.points.weights * self.squared_distances()).sum())

    def losses(self) -> np.ndarray:
        """Return by how much the inertia would grow without each centroid, (k,).

        Each of its points would go to the second nearest, were the others to stay.
        """
        labels, margins = two_nearest(self.points.lifted, self.centroids)
        growth = margins * (2 * np.sqrt(self.squared_distances()) + margins)
        return np.bincount(labels, self.points.weights * growth, len(self.centroids))

    def _assign_all(self, centroids: np.ndarray) -> None:
        """Find all labels, margins and totals anew."""
        self.centroids = centroids
        everything = np.arange(len(self.points.weights))
        self.labels, self.margins = self._nearest(everything, self.points.lifted)
        self._sum_up()

    def _nearest(
        self, which: np.ndarray, lifted: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Find the labels and margins of these points, in double precision if need be.

        Where single precision cannot tell the nearest, the margin is not above 0.
        """
        labels, margins = two_nearest(lifted, self.centroids)
        doubtful = np.flatnonzero(margins <= 0)
        x = self.points.x.take(which[doubtful], axis=1)
        labels[doubtful] = nearest(x, self.centroids)
        return labels, margins

    def _hand_over(self, which: np.ndarray, labels: np.ndarray) -> None:
        """Give these points new labels."""
        x, weights = self.points.x.take(which, axis=1), self.points.weights[which]
        self._totals -= totals(x, weights, self.labels[which], len(self.centroids))
        self._totals += totals(x, weights, labels, len(self.centroids))
        self.labels[which] = labels
        # In less than a millionth the rounding of what has left would begin to show.
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
    rows = [weights, *(weights * x)]
    return np.array([np.bincount(labels, row, k) for row in rows])


def lengths(vectors: np.ndarray) -> np.ndarray:
    """Return the lengths of the rows, (k, d) -> (k,)."""
    return np.sqrt(np.einsum("kd,kd->k", vectors, vectors))


def largest_other(values: np.ndarray) -> np.ndarray:
    """Return for each value the largest among all others, itself if it is alone."""
    others = np.full(len(values), values.max())
    if len(values) > 1:
        others[values.argmax()] = np.partition(values, -2)[-2]
    return others


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
    size = max(256, 2**19 // work)
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
    # The terms of a product add up to 2 (|c|^2 + |x|^2) at most, and each is rounded
    # twice when lifted and up to d + 2 times when summed. It is doubled, since the
    # bound is rounded, too.
    error = 2 * (d + 4) * EPSILON * (rows[:, d].max() + lifted[-1].max(initial=0))
    rows[:, d] += error  # so that no product is below the true square
    labels = np.empty(n, np.intp)
    first, second = np.empty((2, n), np.float32)
    for part in blocks(n, rows.size):
        # OpenBLAS raises false alarms: github.com/numpy/numpy/issues/24067
        with np.errstate(invalid="ignore"):
            squares = rows @ lifted[:, part]
        labels[part], first[part], second[part] = smallest_two(squares)
    # Up to 2 k EPSILON of either square is lost in `smallest_two`; the rest is for the
    # rounding of these two lines.
    second = np.maximum(second * (1 - 4 * k * EPSILON) - 2 * error, 0)
    return labels, np.sqrt(second) - np.sqrt(first)


def smallest_two(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find each column's smallest value, its row, and the second smallest value.

    The order of positive floats is that of their bits. With the lowest few replaced by
    the number of the row, a minimum over integers finds both; NumPy is three times
    faster at that than at argmin.

    The values, (k, n) float32 and not negative, are overwritten. Row, smallest and
    second come as (n,) arrays. The two are too small by up to 2 k EPSILON of them, for
    the bits they lend; of values closer than that either may count as the smaller. Of
    a single row the second is infinite.
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


def find_start(points: Points, k: int, rng: np.random.Generator) -> np.ndarray:
    """Find centroids close to the end of the search, on summaries of the points.

    On the coarsest one a good arrangement is searched for, and on finer ones it is
    refined. Lloyd's algorithm on all points then has little left to do.

    There are fewer than k only where there are fewer distinct points.
    """
    coarsest, *finer = points.summaries(k)
    centroids = choose(coarsest, k, rng)
    if len(centroids) < k:  # a sample may miss rare points
        return choose(points, k, rng)
    # A thousandth of the spread: to be more exact than the summaries are is no use.
    squares = np.square(coarsest.x).sum(axis=0)
    tol = 0.001 * math.sqrt(np.average(squares, weights=coarsest.weights))
    centroids = exchange(coarsest, centroids, tol, rng)
    for summary in finer:
        # 100 iterations are seldom needed; where they do not do, it is only a start.
        centroids = lloyd(summary, centroids, tol, max_iter=100)[0].centroids
    return centroids


def choose(
    points: Points,
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
        reached = np.cumsum(points.weights * closest)
        if reached[-1] == 0:
            break
        drawn = reached.searchsorted((1 - rng.random(draws)) * reached[-1])
        candidates = points.x[:, drawn].T
        distances = np.minimum(squared_distances(points.x, candidates), closest)
        best = np.einsum("dn,n->d", distances, points.weights).argmin()
        closest = distances[best]
        chosen.append(drawn[best])
    return points.x[:, chosen].T


def exchange(
    points: Points, centroids: np.ndarray, tol: float, rng: np.random.Generator
) -> np.ndarray:
    """Move centroids from where they are least missed to where they are needed most.

    Lloyd's algorithm alone never takes a centroid from a place that has too many to one
    that has too few. Adding some and then dropping as many, those whose loss costs
    least, does; it is repeated with fewer and fewer for as long as it helps
    (B. Fritzke, "Breathing K-Means", 2020). It finds better optima than many starts do.
    """
    k = len(centroids)
    best, _ = lloyd(points, centroids, tol, max_iter=3)
    count = k / 5  # a third or a tenth at first ends at worse optima, by 0.05 %
    while count > 1 / 4:  # so one at a time is tried twice: it depends on the draw
        added = choose(points, math.ceil(count), rng, best.squared_distances())
        # After one iteration the added ones have not found their places: the wrong go.
        grown, _ = lloyd(points, np.vstack([best.centroids, added]), tol, max_iter=2)
        kept = grown.losses().argsort()[-k:]
        # Five iterations would tell a winner no better than three do.
        rival, _ = lloyd(points, grown.centroids[kept], tol, max_iter=3)
        # Smaller gains are not worth another round: they take a tenth of the time.
        if rival.inertia() < 0.999 * best.inertia():
            best = rival
        else:
            count /= 2
    return best.centroids


# Points and their summaries


class Points:
    """Weighted points, prepared once for any number of fits of any k and seed.

    Parameters
    ----------
    data : array-like of shape (n, d), real
        The points; they are copied.
    sample_weight : array-like of shape (n,), optional
        How often each point counts, 0 or more; once by default.

    Attributes
    ----------
    counted : ndarray of shape (n,), bool
        Whether a point has any weight; of the n points, m do.
    x : ndarray of shape (d, m), float64
        Those, centred and scaled, so that no coordinate exceeds 1, no square vanishes
        and single precision goes as far as it can.
    weights : ndarray of shape (m,), float64
    weightless : ndarray of shape (n - m, d), float64
        The others, as they came.
    origin, unit : ndarray of shape (d,), float64, and float
        The data that count are ``x.T * unit + origin``.

    Raises
    ------
    ValueError
        If there are no points, the shapes do not match, a number is not finite or above
        1e150, or the weights are negative or all 0.

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
        self.weights = weights[self.counted]
        self.x = data.T.compress(self.counted, axis=1)
        # Typical of all, from some thousand of them, and exact where all are equal.
        self.origin = np.median(self.x[:, :: 1 + len(self.weights) // 1000], axis=1)
        self.x -= self.origin[:, None]
        # A power of two costs no digit; nothing is divided by 0 or less than a number.
        exponent = np.frexp(np.abs(self.x).max())[1]
        self.unit = math.ldexp(1, max(int(exponent), -1000))
        self.x /= self.unit

    @classmethod
    def _summary(cls, x: np.ndarray, weights: np.ndarray) -> Points:
        """Make points of what has been checked, centred and scaled already."""
        points = cls.__new__(cls)
        points.x = x
        points.weights = weights
        points.counted = weights > 0
        return points

    def __len__(self) -> int:
        """Return how many there are, with those of no weight."""
        return len(self.counted)

    @cached_property
    def lifted(self) -> np.ndarray:
        """The points as `two_nearest` wants them, (d + 2, m), float32."""
        d, m = self.x.shape
        lifted = np.empty((d + 2, m), np.float32)
        lifted[:d] = self.x
        lifted[d] = 1
        lifted[d + 1] = np.einsum("dn,dn->n", self.x, self.x)
        return lifted

    @cached_property
    def radius(self) -> float:
        """The largest distance from the origin."""
        return math.sqrt(self.lifted[-1].max())

    def summaries(self, k: int) -> list[Points]:
        """Return summaries with enough points for k clusters, ever finer.

        They are the means of grid cells, 25 or more for each cluster (20 lead to worse
        optima, 30 take longer). Where no grid serves, as in many dimensions, a sample
        does.
        """
        grids = [grid for grid in self._grids if len(grid) >= 25 * k]
        return grids or [self._sample]

    @cached_property
    def _grids(self) -> list[Points]:
        """Ever finer grids, up to 2**18 cells: the totals of more leave the cache.

        One that does not at least halve the points would not save any time.
        """
        grids, grid = [], self
        for bits in range(18 // len(self.x), 0, -1):
            grid = grid._merged(bits)
            if len(grid) <= len(self) // 2:
                grids.insert(0, grid)
        return grids

    @cached_property
    def _sample(self) -> Points:
        """As many points as grids usually have that are searched with k = 100."""
        which = np.random.default_rng(0).permutation(len(self.weights))[:4096]
        return self._summary(self.x[:, which], self.weights[which])

    def _merged(self, bits: int) -> Points:
        """Merge the points in each cell of a grid of 2**bits cells along each axis."""
        low = self.x.min(axis=1)
        span = np.maximum(self.x.max(axis=1) - low, 1e-9)  # less is flat, beside the 1
        cell = np.zeros(len(self.weights), np.intp)
        for row, start, length in zip(self.x, low, span, strict=True):
            cell <<= bits
            # A little less than all cells: the last one takes the largest, too.
            cell |= ((row - start) * ((2**bits - 1e-6) / length)).astype(np.intp)
        weights = np.bincount(cell, self.weights)
        filled = np.flatnonzero(weights)
        sums = [np.bincount(cell, self.weights * row)[filled] for row in self.x]
        return self._summary(np.array(sums) / weights[filled], weights[filled])


# Checks


def check_whole(name: str, value: int, least: int) -> None:
    """Raise a ValueError unless the value is a whole number of at least this size."""
    if not isinstance(value, int | np.integer) or value < least:
        raise ValueError(f"{name} must be a whole number, {least} or more: {value!r}")


def real_array(name: str, values: ArrayLike, ndim: int | None = None) -> np.ndarray:
    """Return the values as a float64 array, or raise a ValueError that says why not."""
    values = np.asarray(values)
    if np.iscomplexobj(values):
        raise ValueError(f"{name} must be real numbers, not complex ones")
    try:
        values = values.astype(float, copy=False)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"{name} must be numbers, not {values.dtype}") from None
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
