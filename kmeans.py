"""k-means clustering from scratch on NumPy: exact, weighted, reproducible and fast.

`plain_k_means`, the first function, is the whole algorithm. If you came for k-means,
you can stop there. The rest takes the same five steps in a fraction of the time:

- choose k centroids: `choose_centroids`
- assign every point to its nearest centroid: `Clusters.assign`
- update every centroid to the mean of its points, or beyond: `lloyd`
- stop when no centroid would move farther than `tol`, or else repeat: `lloyd`

`KMeans` is what a caller uses. Nothing here depends on images: a colour is a point.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import cached_property
from itertools import chain
from numbers import Integral, Real

import numpy as np
from numpy.typing import ArrayLike


def plain_k_means(
    points: np.ndarray, k: int, tol: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Cluster points, (n, d), as a textbook does: slow, and no cluster may get empty.

    Returns the centroids, (k, d), and the label of each point, (n,).
    """
    distinct = np.unique(points, axis=0).astype(float)
    centroids = rng.choice(distinct, k, replace=False)  # choose
    while True:
        distances = np.linalg.norm(points[:, None] - centroids, axis=2)
        labels = distances.argmin(axis=1)  # assign
        means = np.array([points[labels == j].mean(axis=0) for j in range(k)])  # update
        if np.linalg.norm(means - centroids, axis=1).max() <= tol:  # stop
            return centroids, labels
        centroids = means  # repeat


class KMeans:
    """k-means clustering by Lloyd's algorithm; bad parameters raise a ValueError.

    The result is a fixed point of that algorithm (S. P. Lloyd, "Least squares
    quantization in PCM", 1982), within rounding errors of the data: every label is that
    of the nearest centroid, no cluster is empty, and one more plain iteration moves no
    centroid by more than `tol`, unless `max_iter` was reached.

    >>> model = KMeans(k=2, seed=0).fit([[0, 0], [0, 2], [9, 1]])
    >>> model.predict([1, 1])
    array([0., 1.])

    Parameters
    ----------
    k : int, default=2
        The number of clusters.
    tol : float, default=0.001
        Stop when no centroid would move farther than this, in the units of the data.
    max_iter : int, default=500
        Stop after this many iterations over all the data, converged or not.
    seed : int, optional
        Seed of the random start; without one, every fit starts differently.

    Attributes
    ----------
    centroids : ndarray of shape (k, d), float64
        Largest cluster, by weight, first; fewer if there are fewer distinct points.
    labels : ndarray of shape (n,), int
        The index of the nearest centroid for each point that was fitted.
    inertia : float
        The sum of squared distances to the nearest centroid, times the weights.
    n_iter : int
        The number of iterations over all the data.

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

        The data, (n, d) and real, are left unchanged. `sample_weight`, (n,), is how
        often each point counts, once by default. Raises a ValueError for what `Points`
        refuses, `Points` with weights, and fewer than k points that have a weight.
        """
        if isinstance(data, Points) and sample_weight is not None:
            raise ValueError("Points have weights already: pass them to Points")
        points = data if isinstance(data, Points) else Points(data, sample_weight)
        cloud = points.cloud
        if len(cloud) < self.k:
            raise ValueError(f"{len(cloud)} points cannot make {self.k} clusters")
        # The coordinates of a cloud are about 1, so eps is their rounding error.
        tol = max(self.tol / points.unit, np.finfo(float).eps)
        rng = np.random.default_rng(self.seed)
        centroids = choose_centroids(cloud, self.k, rng)  # choose
        clusters, self.n_iter = lloyd(cloud, centroids, tol, self.max_iter)
        order = np.argsort(-clusters.weights, kind="stable")  # the largest first
        self.centroids = clusters.centroids[order] * points.unit + points.origin
        ranks = np.argsort(order)  # of the clusters in that order
        self.labels = np.empty(len(points), np.intp)
        self.labels[points.has_weight] = ranks[clusters.labels]
        self.labels[~points.has_weight] = nearest(points.weightless.T, self.centroids)
        self.inertia = clusters.inertia() * points.unit**2 * points.weight_unit
        return self

    def predict(self, data: ArrayLike) -> np.ndarray:
        """Find the nearest centroid of each point, (d,) or (n, d), real.

        Returns the centroids themselves, float64, in the same shape. Raises ValueError
        for data that do not match those of `fit`, and RuntimeError before any fit.
        """
        if not hasattr(self, "centroids"):
            raise RuntimeError("call fit before predict")
        data = real_array("data", data)
        d = self.centroids.shape[1]
        if data.ndim not in (1, 2) or data.shape[-1] != d:
            raise ValueError(f"data must have {d} coordinates, not shape {data.shape}")
        labels = nearest(data.reshape(-1, d).T, self.centroids)
        return self.centroids[labels].reshape(data.shape)


def lloyd(
    cloud: Cloud, centroids: np.ndarray, tol: float, max_iter: int
) -> tuple[Clusters, int]:
    """Assign and update from these centroids, (k, d), until none moves beyond `tol`.

    Returns the clusters, fewer than k if there are fewer distinct points, and the
    number of iterations.
    """
    clusters = refilled(Clusters(cloud, centroids))  # assign
    step, step_is_plain = np.zeros_like(clusters.centroids), False
    for n_iter in range(1, max_iter + 1):  # repeat
        shift = clusters.means() - clusters.centroids  # update
        is_still = np.linalg.norm(shift, axis=1).max() <= tol
        if is_still and step_is_plain:
            break  # stop
        # A plain step goes to the means. The last step is plain, as in `plain_k_means`,
        # and the first, because results are slightly better.
        step_is_plain = is_still or n_iter == 1
        step = shift if step_is_plain else accelerated(shift, step, clusters.weights)
        clusters.assign(clusters.centroids + step)  # assign
        if not clusters.weights.all():
            clusters = refilled(clusters)
            step = np.zeros_like(clusters.centroids)  # a new centroid has no momentum
    return clusters, n_iter


def accelerated(shift: np.ndarray, last: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Step beyond the means, with momentum: it takes less than half the iterations.

    A heavy ball (B. T. Polyak, "Some methods of speeding up the convergence of
    iteration methods", 1964) that stops where it would roll uphill (B. O'Donoghue and
    E. Candes, "Adaptive restart for accelerated gradient schemes", 2015). `shift` leads
    to the means, (k, d); times `weights`, (k,), it is the direction in which the
    inertia falls most. `last` is the step before.
    """
    # Factors of 1.2 to 1.7 and 0.75 to 0.85 cost at most a tenth more iterations.
    is_downhill = np.einsum("k,kd,kd->", weights, shift, last) > 0
    return 1.4 * shift + (0.8 if is_downhill else 0) * last


# Points


class Points:
    """Weighted points, prepared once for any number of fits of any k and seed.

    The data, (n, d) and real, are copied. `sample_weight`, (n,), is how often each
    point counts, once by default. With 0, or less than 1e-100 of the largest weight, a
    point gets a label, but has no influence. Raises a ValueError if there are no
    points, the shapes do not match, a number is not finite or above 1e150, or the
    weights are negative or all 0.
    """

    def __init__(self, data: ArrayLike, sample_weight: ArrayLike | None = None) -> None:
        data = real_array("data", data, ndim=2)
        if data.size == 0:
            raise ValueError(f"data must not be empty: its shape is {data.shape}")
        weights = checked_weights(sample_weight, len(data))
        self.has_weight = weights > 1e-100 * weights.max()
        self.weightless = data[~self.has_weight]
        self.weight_unit = power_of_two(weights.max())
        x = np.stack([row[self.has_weight] for row in data.T])
        # The median of 500 to 1000 is near enough; if all are equal, it is exact.
        # np.median would import numpy.ma, which takes longer than many a fit.
        ascending = np.sort(x[:, :: 1 + x.shape[1] // 1000], axis=1)
        self.origin = ascending[:, ascending.shape[1] // 2]
        x -= self.origin[:, None]
        self.unit = power_of_two(max(x.max(), -x.min()))
        x /= self.unit
        self.cloud = Cloud(x, weights[self.has_weight] / self.weight_unit)

    def __len__(self) -> int:
        """Return the number of points, including those of weight 0."""
        return len(self.has_weight)


def power_of_two(size: float) -> float:
    """Return the largest power of two up to a size: dividing by it rounds nothing."""
    return math.ldexp(1, math.frexp(size)[1] - 1)


class Cloud:
    """Points `x`, (d, n) of about 1 in size, with `weights`, (n,) above 0, float64.

    Each row holds one coordinate of all points: NumPy is fastest along long rows.
    """

    def __init__(self, x: np.ndarray, weights: np.ndarray) -> None:
        self.x = x
        self.weights = weights
        self.boxes: dict[int, Cloud | None] = {}  # by size, None if few points differ

    def __len__(self) -> int:
        """Return the number of points."""
        return len(self.weights)

    @cached_property
    def augmented(self) -> np.ndarray:
        """The points as `nearest_and_margins` needs them: (x, 1, |x|^2) in float32."""
        d, n = self.x.shape
        augmented = np.ones((d + 2, n), np.float32)
        augmented[:d] = self.x
        augmented[d + 1] = np.einsum("dn,dn->n", self.x, self.x)
        return augmented

    @cached_property
    def radius(self) -> float:
        """The largest distance from the origin."""
        return math.sqrt(self.augmented[-1].max())

    @cached_property
    def eighth(self) -> Cloud:
        """A sample of an eighth of the points."""
        return sample(self, len(self) // 8)


# Points assigned to their nearest centroids

EPSILON = np.finfo(np.float32).eps  # rounding to float32 changes a number by half of it
TINY = np.finfo(np.float32).tiny  # or, if the number is below this, by more


class Clusters:
    """The points of a cloud, each assigned to its nearest centroid as these move.

    The *margin* of a point is the distance to its second nearest centroid minus that to
    its nearest, infinite for k = 1. Only points whose margin has been used up by moves
    of centroids are checked again (G. Hamerly, "Making k-means even faster", 2010).

    Attributes: `centroids`, (k, d); `weights`, (k,), exactly 0 for an empty cluster;
    `sums` of the weighted points, (d, k); `labels`, (n,); and `margins`, (n,) float32,
    never more than the true ones.
    """

    def __init__(self, cloud: Cloud, centroids: np.ndarray) -> None:
        self.cloud = cloud
        self.centroids = centroids
        everything = np.arange(len(cloud))
        self.labels, self.margins = nearest_and_margins(cloud, everything, centroids)
        self._sum_up()

    def assign(self, centroids: np.ndarray) -> None:
        """Move to these centroids and give every point the label of the nearest one."""
        moves = np.linalg.norm(centroids - self.centroids, axis=1)
        self.centroids = centroids
        # A margin shrinks at most by the move of its own centroid and the largest move.
        # EPSILON covers the rounding of both, and of margins, which `reach` limits.
        reach = self.cloud.radius + np.linalg.norm(centroids, axis=1).max()
        used = (1 + EPSILON) * (moves + moves.max()) + EPSILON * reach
        self.margins -= used.astype(np.float32).take(self.labels)
        stale = np.flatnonzero(self.margins < 0)
        labels, margins = nearest_and_margins(self.cloud, stale, centroids)
        self.margins[stale] = margins
        changed = labels != self.labels[stale]
        self._relabel(stale[changed], labels[changed])

    def means(self) -> np.ndarray:
        """Return the weighted mean of each cluster, (k, d)."""
        return (self.sums / self.weights).T

    def squared_errors(self, labels: np.ndarray | None = None) -> np.ndarray:
        """Return squared distances to the centroids, or those of `labels`, (n,)."""
        labels = self.labels if labels is None else labels
        errors = np.zeros(len(labels))
        for row, coordinates in zip(self.cloud.x, self.centroids.T, strict=True):
            errors += np.square(coordinates.take(labels) - row)
        return errors

    def inertia(self) -> float:
        """Return the weighted sum of squared distances to the nearest centroid."""
        return float((self.cloud.weights * self.squared_errors()).sum())

    def _relabel(self, which: np.ndarray, labels: np.ndarray) -> None:
        """Give the points `which`, (m,), their new labels, (m,)."""
        x, weights = self.cloud.x.take(which, axis=1), self.cloud.weights[which]
        k = len(self.centroids)
        lost, lost_sums = totals(x, weights, self.labels[which], k)
        won, won_sums = totals(x, weights, labels, k)
        self.weights += won - lost
        self.sums += won_sums - lost_sums
        self.labels[which] = labels
        # Heavy points leaving a light cluster leave rounding errors behind: of the 16
        # digits of its sums, fewer than 10 may be right.
        if self.weights.min() < 1e-6 * self.weights.sum():
            self._sum_up()

    def _sum_up(self) -> None:
        """Compute weights and sums afresh, without the rounding errors of changes."""
        x, weights, k = self.cloud.x, self.cloud.weights, len(self.centroids)
        self.weights, self.sums = totals(x, weights, self.labels, k)


def refilled(clusters: Clusters) -> Clusters:
    """Replace centroids without points by new ones from k-means++, if there are any."""
    while not clusters.weights.all():
        kept = clusters.centroids[clusters.weights > 0]
        missing = len(clusters.centroids) - len(kept)
        rng = np.random.default_rng(missing)  # too rare to depend on the user's seed
        errors = clusters.squared_errors()
        added = k_means_plus_plus(clusters.cloud, missing, rng, errors)
        clusters = Clusters(clusters.cloud, np.vstack([kept, added]))
    return clusters


def totals(
    x: Iterable[np.ndarray], weights: np.ndarray, labels: np.ndarray, k: int
) -> tuple[np.ndarray, np.ndarray]:
    """Sum the weights, (k,), and the weighted (d, n) points, (d, k), by label."""
    sums = np.array([np.bincount(labels, weights * row, k) for row in x])
    return np.bincount(labels, weights, k), sums


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
    """Split n points into slices of half a million numbers, `work` for each point."""
    size = max(1, 2**19 // work)  # fits the cache, and OpenBLAS does not use threads
    return [slice(start, start + size) for start in range(0, n, size)]


def nearest_and_margins(
    cloud: Cloud, which: np.ndarray, centroids: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Find the nearest centroids and the margins of the points `which`, (m,).

    With points augmented to (x, 1, |x|^2) and centroids to (-2 c, |c|^2, 1), one matrix
    product in single precision gives all squared distances. The bound of its error is
    subtracted from the margins, (m,) float32. Where one is then not above 0, the label
    is found in double precision (a filter, as in J. R. Shewchuk, "Adaptive Precision
    Floating-Point Arithmetic and Fast Robust Geometric Predicates", 1997).
    """
    k, d = centroids.shape
    rows = np.ones((k, d + 2), np.float32)
    rows[:, :d] = -2 * centroids
    rows[:, d] = np.square(centroids).sum(axis=1)
    # Both factors of each term are rounded to float32, their product and the sum up to
    # d + 2 times. The terms add up to 2 (|c|^2 + |x|^2) at most. All is doubled because
    # the bound is rounded, too.
    bound = 2 * (d + 4) * EPSILON * (rows[:, d].max() + cloud.radius**2) + TINY
    rows[:, d] += bound  # so that no product is below the true square
    labels, margins = np.empty(len(which), np.intp), np.empty(len(which), np.float32)
    for part in blocks(len(which), rows.size):
        # BLAS raises false alarms: https://github.com/numpy/numpy/issues/24067
        with np.errstate(all="ignore"):
            squares = rows @ cloud.augmented.take(which[part], axis=1)
        labels[part], _, first, second = smallest_two(squares)
        # `smallest_two` may lower the first by 2 k EPSILON of it. Twice that is taken
        # from the second, to cover the rounding of these lines, too.
        second = np.maximum(second * (1 - 4 * k * EPSILON) - 2 * bound, 0)
        margins[part] = np.sqrt(second) - np.sqrt(first)
    doubtful = np.flatnonzero(margins <= 0)
    labels[doubtful] = nearest(cloud.x.take(which[doubtful], axis=1), centroids)
    return labels, margins


def smallest_two(values: np.ndarray) -> tuple[np.ndarray, ...]:
    """Find the two smallest values of each column, and their rows.

    Positive floats sort like their bits. With the lowest bits replaced by the number of
    the row, a minimum over integers finds both, three times as fast as argmin. So
    values may be too small by 2 k EPSILON of them, and of two that are closer than
    that, either may count as the smaller.

    The values, (k, n) float32 and not below TINY, are overwritten. Returns two arrays
    of rows and two of values, (n,) each. A single row has an infinite second value.
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


# The choice of the first centroids


def choose_centroids(cloud: Cloud, k: int, rng: np.random.Generator) -> np.ndarray:
    """Choose k centroids, (k, d), from which `lloyd` has little left to do.

    A good arrangement is searched for on a summary of the cloud, and refined on a
    sample if there are many points. Returns fewer than k only if fewer points differ.
    """
    # Half as many points give worse optima; twice as many take longer.
    small = summary(cloud, max(800, min(32 * k, 8192), 2 * k))
    if small is cloud and (best := best_on_a_line(cloud, k)) is not None:
        return best
    # A thousandth of the spread: a summary is hardly more precise than that.
    squares = np.square(small.x).sum(axis=0)
    tol = 0.001 * math.sqrt(np.average(squares, weights=small.weights))
    centroids = k_means_plus_plus(small, k, rng)
    centroids = exchange(small, centroids, tol, rng)
    # More than 100 iterations are seldom needed, and this is only a start.
    centroids = lloyd(small, centroids, tol, max_iter=100)[0].centroids
    if len(cloud) < 2**18:  # then the rest would cost more time than it saves
        return centroids
    # With a quarter of the points instead, fits took longer.
    refined = lloyd(cloud.eighth, centroids, tol, max_iter=100)[0].centroids
    # If few points are distinct, an eighth may have fewer of these than clusters.
    return refined if len(refined) == len(centroids) else centroids


def k_means_plus_plus(
    cloud: Cloud,
    count: int,
    rng: np.random.Generator,
    squares: np.ndarray | float = 1e9,  # farther than any here
) -> np.ndarray:
    """Add `count` centroids, (count, d), far from each other and from earlier ones.

    Each is the best of a few points drawn with a probability proportional to their
    weighted squared distance from the nearest centroid: `squares`, (n,), the same for
    all if there is none (D. Arthur and S. Vassilvitskii, "k-means++: the advantages of
    careful seeding", 2007). Returns fewer if every point is at a centroid already.
    """
    # The authors draw 2 + log(count). If few are added, there is time to draw more.
    draws = 2 + int(math.log(count)) + 20 // count
    added = []
    while len(added) < count:
        chances = np.cumsum(cloud.weights * squares)
        if chances[-1] == 0:
            break
        # 1 - random() is never 0, so that no point of chance 0 is drawn.
        drawn = chances.searchsorted((1 - rng.random(draws)) * chances[-1])
        tried = squared_distances(cloud.x, cloud.x[:, drawn].T)
        tried = np.minimum(tried, squares)
        best = (tried * cloud.weights).sum(axis=1).argmin()
        squares = tried[best]
        added.append(drawn[best])
    return cloud.x[:, added].T


def exchange(
    cloud: Cloud, centroids: np.ndarray, tol: float, rng: np.random.Generator
) -> np.ndarray:
    """Move centroids from where they are least missed to where they are needed most.

    Lloyd's algorithm alone never does. Adding some and removing as many does; this is
    repeated with fewer and fewer (B. Fritzke, "Breathing K-Means", 2020).
    """
    k = len(centroids)
    best, _ = lloyd(cloud, centroids, tol, max_iter=3)
    errors = best.squared_errors()
    inertia = (cloud.weights * errors).sum()
    excess = min(k - 1, max(4, k / 5))  # none for k = 1
    while excess > 1 / 2:  # single ones are tried more than once
        added = k_means_plus_plus(cloud, math.ceil(excess), rng, errors)
        # With fewer than two iterations, the new centroids have not settled.
        grown, _ = lloyd(cloud, np.vstack([best.centroids, added]), tol, max_iter=2)
        removed = least_missed(grown, len(grown.centroids) - k)
        kept = np.delete(grown.centroids, removed, axis=0)
        # Three iterations show whether this is better as well as five do.
        rival, _ = lloyd(cloud, kept, tol, max_iter=3)
        rival_errors = rival.squared_errors()
        rival_inertia = (cloud.weights * rival_errors).sum()
        # A smaller gain is not worth another round with as many.
        if rival_inertia >= 0.998 * inertia:
            excess /= 1.7
        if rival_inertia < inertia:
            best, errors, inertia = rival, rival_errors, rival_inertia
    return best.centroids


def least_missed(clusters: Clusters, count: int) -> list[int]:
    """Choose the `count` centroids whose removal raises the inertia least.

    The points of a removed centroid go to their second nearest, which moves to its new
    mean. The heir of most of them is not removed afterwards, because the rise of the
    inertia was computed with it in place.
    """
    cloud, k = clusters.cloud, len(clusters.centroids)
    second = second_nearest(clusters)
    errors = clusters.squared_errors(second) - clusters.squared_errors()
    rise = np.bincount(clusters.labels, cloud.weights * errors, k)
    # For each pair of nearest and second nearest, the latter's move lowers the rise.
    pairs, pair = np.unique(clusters.labels * k + second, return_inverse=True)
    nearest_of, second_of = np.divmod(pairs, k)
    weights, sums = totals(cloud.x, cloud.weights, pair, len(pairs))
    offsets = sums - weights * clusters.centroids[second_of].T
    saved = np.square(offsets).sum(axis=0) / (weights + clusters.weights[second_of])
    rise -= np.bincount(nearest_of, saved, k)
    heir = np.zeros(k, np.intp)
    lightest_first = weights.argsort(kind="stable")
    heir[nearest_of[lightest_first]] = second_of[lightest_first]  # the heaviest is last
    removed = []
    for j in rise.argsort(kind="stable"):
        if len(removed) < count and j not in heir[removed]:
            removed.append(j)
    return removed


def second_nearest(clusters: Clusters) -> np.ndarray:
    """Find the second nearest centroid of each point in single precision, (n,)."""
    # A matrix product would be faster, but not the same on all processors.
    x, centroids = clusters.cloud.augmented[:-2], clusters.centroids.astype(np.float32)
    labels = np.empty(x.shape[1], np.intp)
    for part in blocks(len(labels), max(centroids.shape)):
        squares = squared_distances(x[:, part], centroids)
        first, second, *_ = smallest_two(squares + TINY)
        labels[part] = np.where(first == clusters.labels[part], second, first)
    return labels


def best_on_a_line(cloud: Cloud, k: int) -> np.ndarray | None:
    """Find the k centroids of least inertia, (k, d), of few points on a line, as greys.

    There, clusters are intervals. The best k of the first j points are the best k - 1
    of the first i and one from i to j, for the best i (H. Wang and M. Song,
    "Ckmeans.1d.dp: Optimal k-means Clustering in One Dimension", 2011).
    """
    if len(cloud) > 512 or (cloud.x != cloud.x[0]).any():
        return None
    order = cloud.x[0].argsort(kind="stable")
    x, weights = cloud.x[0, order], cloud.weights[order]
    sums = np.cumsum([weights, weights * x, weights * x**2], axis=1)
    sums = np.pad(sums, ((0, 0), (1, 0)))
    weight, moment, square = sums[:, None, 1:] - sums[:, :-1, None]  # by i and j
    with np.errstate(all="ignore"):
        costs = np.where(weight > 0, square - moment**2 / weight, np.inf)
    cost, starts = costs[0], []  # of the last intervals, by j
    for _ in range(k - 1):
        tried = np.append(np.inf, cost[:-1])[:, None] + costs
        starts.append(tried.argmin(axis=0))
        cost = tried.min(axis=0)
    if not np.isfinite(cost[-1]):
        return None  # rounding has swallowed the weight of a point
    ends = [len(order)]
    for start in reversed(starts):
        ends.insert(0, start[ends[0] - 1])
    weight, moment, _ = np.diff(sums[:, [0, *ends]])
    return np.repeat((moment / weight)[:, None], len(cloud.x), axis=1)


# Summaries: few points that stand for many


def summary(cloud: Cloud, size: int) -> Cloud:
    """Return `size` points that represent a cloud, or itself if few points differ."""
    if len(cloud) < 2 * size:
        return cloud
    if size not in cloud.boxes:
        # With 16 points a box, optima are slightly worse.
        cloud.boxes[size] = means_of_boxes(sample(cloud, 32 * size), size)
    return cloud.boxes[size] or cloud


def sample(cloud: Cloud, size: int) -> Cloud:
    """Take about `size` points: all important ones, and some to represent the rest.

    Half of the importance of a point is its part of the weight, the other half its part
    of the squared distances from the origin, so that no outlier is missed (O. Bachem,
    M. Lucic and A. Krause, "Scalable k-means clustering via lightweight coresets",
    2018).
    """
    if len(cloud) <= size:
        return cloud
    squares = np.einsum("dn,dn->n", cloud.x, cloud.x)
    spread = np.average(squares, weights=cloud.weights) + TINY  # above 0
    importance = cloud.weights * (squares + spread)
    # The share of a point is the importance of the rest, divided by the number of
    # points left for the rest. It is least if the rest are exactly those below it.
    rest = np.cumsum(np.sort(importance))[-size:]
    share = (rest / np.arange(1, size + 1)).min()
    # Of the rest, one is taken wherever the sum of importances passes another share.
    shares = np.cumsum(np.minimum(importance, share)) / share
    is_taken = np.diff(np.floor(shares + 0.5), prepend=0) > 0
    is_taken |= importance > share
    factors = np.maximum(1, share / importance[is_taken])
    return Cloud(cloud.x.compress(is_taken, axis=1), cloud.weights[is_taken] * factors)


def means_of_boxes(cloud: Cloud, size: int) -> Cloud | None:
    """Divide a cloud into `size` boxes, and return their means and weights.

    Boxes of large error are halved until there are so many. The error is the weighted
    sum of squared distances to the mean. A box is halved at its mean, along the axis
    with most of its error (T. Su and J. G. Dy, "In search of deterministic methods for
    initializing K-means and Gaussian mixture clustering", 2007). So boxes become small
    where most of the weight is. Returns None if too few points differ.
    """
    d, n = cloud.x.shape
    box = grid_cells(cloud, size)
    count = box.max() + 1
    while True:
        rows = chain(cloud.x, map(np.square, cloud.x))
        weights, sums = totals(rows, cloud.weights, box, count)
        if not weights.all():  # a mean was rounded to the outermost point of a box
            return None
        means = sums[:d] / weights
        if count == size:
            return Cloud(means, weights)
        errors = sums[d:] - sums[:d] * means  # along each coordinate
        # Less may be nothing but rounding; halving that would leave an empty box.
        errors[errors < 1e-10 * sums[d:]] = 0
        error = errors.sum(axis=0)
        # Boxes of small error stay whole. A higher bound would take more rounds.
        largest = np.argsort(-error, kind="stable")[: size - count]
        halved = largest[error[largest] > 0.25 * error.mean()]
        if not len(halved):
            return None
        upper_half = np.zeros(count, np.intp)  # the number of that box, or 0
        upper_half[halved] = count + np.arange(len(halved))
        axis = errors.argmax(axis=0)
        cut = means[axis, np.arange(count)]
        is_upper = cloud.x[axis.take(box), np.arange(n)] > cut.take(box)
        moved = np.flatnonzero(is_upper & (upper_half > 0).take(box))
        box[moved] = upper_half.take(box[moved])
        count += len(halved)


def grid_cells(cloud: Cloud, most: int) -> np.ndarray:
    """Return the number of each point's cell, (n,), in a grid of up to `most` cells."""
    cells = int(most ** (1 / len(cloud.x)))  # along each axis
    cell = np.zeros(len(cloud), np.intp)
    for row in cloud.x:  # slightly less than all cells, to put the largest in the last
        low, span = row.min(), max(np.ptp(row), 1e-9)
        cell = cell * cells + ((row - low) * ((cells - 1e-6) / span)).astype(np.intp)
    has_points = np.bincount(cell) > 0
    return (np.cumsum(has_points) - 1).take(cell)


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
    # The square of anything larger would overflow. NaN fails this test, too.
    if values.size and not -1e150 <= values.min() <= values.max() <= 1e150:
        raise ValueError(f"{name} must be finite, and at most 1e150 in size")
    return values


def checked_weights(weights: ArrayLike | None, n: int) -> np.ndarray:
    """Return (n,) float64 weights, 1 by default, or raise a ValueError."""
    weights = np.ones(n) if weights is None else weights
    weights = real_array("sample_weight", weights, ndim=1)
    if len(weights) != n:
        raise ValueError(f"{len(weights)} weights do not match {n} points")
    if weights.min() < 0 or weights.max() == 0:
        raise ValueError("sample_weight must not be negative, nor 0 everywhere")
    return weights
