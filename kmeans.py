"""k-means clustering from scratch on NumPy: exact, weighted, reproducible and fast.

`KMeans` stands first. Below it, in the order in which `KMeans.fit` uses them, are the
few ideas that make it fast. Nothing here knows of images: a colour is a point, too.

Inside, points are stored as (d, n), one row per coordinate, because NumPy is at its
best along long rows.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

COARSE_CELLS = 4096  # enough to find good centroids on, few enough to be quick
COARSE_TOLERANCE = 0.005  # of the data's standard deviation
RELAXATION = 1.4
MOMENTUM = 0.75
LARGEST = 1e150  # the square of anything more has no room in a double
BLOCK_WORK = 2**18  # multiplications at a time: the results stay in the cache, and
# OpenBLAS does not split so small a product among threads, which would not pay
LIGHT = 1e-6  # of what a cluster has weighed: less would be lost in the rounding of it
ROUNDING = np.finfo(np.float32).eps
FARTHEST = np.finfo(np.float32).max.view(np.int32)


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
    The result is one of Lloyd's algorithm [1]_, whatever is done to get there sooner:
    one more plain iteration moves no centroid by more than `tol` (unless `max_iter`
    has been reached), every label is that of the nearest centroid, and no cluster is
    empty. Points that differ by less than double precision can tell, beside the spread
    of the data, count as equal.

    References
    ----------
    .. [1] S. P. Lloyd, "Least squares quantization in PCM", IEEE Transactions on
       Information Theory 28 (1982).

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
        whole = [("k", k, 1), ("max_iter", max_iter, 1)]
        if seed is not None:
            whole.append(("seed", seed, 0))
        for name, value, least in whole:
            if not isinstance(value, int | np.integer) or value < least:
                raise ValueError(
                    f"{name} must be a whole number, {least} or more: {value!r}"
                )
        if not 0 <= tol < np.inf:
            raise ValueError(f"tol must be a number, 0 or more: {tol!r}")
        self.k = k
        self.tol = tol
        self.max_iter = max_iter
        self.seed = seed

    def fit(
        self,
        data: ArrayLike,
        sample_weight: ArrayLike | None = None,
    ) -> KMeans:
        """Find the centroids of the data.

        Parameters
        ----------
        data : array-like of shape (n, d), real
            The points; they are left as they are.
        sample_weight : array-like of shape (n,), optional
            How often each point counts, 0 or more; once by default.

        Returns
        -------
        KMeans
            This object, with its attributes set.

        Raises
        ------
        ValueError
            If there are fewer points than k (not counting those of weight 0), the
            shapes do not match, a number is not finite or above 1e150, or the weights
            are negative or all 0.

        """
        data = real_array("data", data, ndim=2)
        weights = checked_weights(sample_weight, len(data))
        counted = weights > 0
        if not counted.all():
            self.fit(data[counted], weights[counted])
            self.labels = self._nearest(data)
            return self
        if data.shape[1] == 0:
            raise ValueError("points need at least one coordinate")
        if len(data) < self.k:
            raise ValueError(f"{len(data)} points cannot make {self.k} clusters")

        points = data.T.copy()
        self._set_units(points, weights)
        self._move_inside(points)
        rng = np.random.default_rng(self.seed)
        start = coarse_to_fine_start(points, weights, self.k, rng)
        tol = self.tol / self._scale
        partition, self.n_iter = lloyd(points, weights, start, tol, self.max_iter)
        self._centroids = partition.centroids
        self.centroids = partition.centroids * self._scale + self._origin
        self.labels = partition.labels
        self.inertia = partition.inertia() * self._scale**2
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
            If the shape does not match the fitted data, or a number is not finite.
        RuntimeError
            If nothing has been fitted yet.

        """
        if not hasattr(self, "centroids"):
            raise RuntimeError("call fit before predict")
        data = real_array("data", data)
        if data.ndim not in (1, 2) or data.shape[-1] != self.centroids.shape[1]:
            raise ValueError(
                f"data of shape {data.shape} does not match points of "
                f"{self.centroids.shape[1]} coordinates"
            )
        labels = self._nearest(data.reshape(-1, data.shape[-1]))
        return self.centroids[labels].reshape(data.shape)

    def _set_units(self, points: np.ndarray, weights: np.ndarray) -> None:
        """Choose the origin and the unit of length that are used inside.

        Centred and scaled, no square vanishes and single precision goes as far as it
        can. The unit is a power of two and the origin, near the mean, a multiple of
        an eighth of it, so that few numbers lose a digit.
        """
        low, high = points.min(axis=1), points.max(axis=1)
        mean = np.einsum("dn,n->d", points, weights / weights.sum())
        mean = np.clip(mean, low, high)  # the mean of equal numbers is that number
        exponent = np.frexp(np.maximum(mean - low, high - mean).max())[1]
        self._scale = 2.0 ** max(exponent, -1000)
        self._origin = mean - np.fmod(mean, self._scale / 8)

    def _move_inside(self, points: np.ndarray) -> None:
        """Centre and scale (d, n) points, as in `fit`, where they are."""
        points -= self._origin[:, None]
        points /= self._scale

    def _nearest(self, data: np.ndarray) -> np.ndarray:
        """Find the label of the nearest centroid for (n, d) data."""
        points = data.T.copy()
        self._move_inside(points)
        return nearest(points, self._centroids)


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
    # A NaN is not in between.
    if values.size and not -LARGEST <= values.min() <= values.max() <= LARGEST:
        raise ValueError(f"{name} must be finite, and at most {LARGEST:g} in size")
    return values


def checked_weights(weights: ArrayLike | None, n: int) -> np.ndarray:
    """Return (n,) float64 weights, 1 by default, or raise a ValueError."""
    if weights is None:
        return np.ones(n)
    weights = real_array("sample_weight", weights, ndim=1)
    if len(weights) != n:
        raise ValueError(f"{len(weights)} weights do not match {n} points")
    if n and (weights.min() < 0 or weights.max() == 0):
        raise ValueError("sample_weight must not be negative, nor 0 everywhere")
    return weights


def coarse_to_fine_start(
    points: np.ndarray, weights: np.ndarray, k: int, rng: np.random.Generator
) -> np.ndarray:
    """Find centroids close to the end of the search, on summaries of the data.

    On a summary of a few thousand points a good arrangement of the centroids is
    searched for, and on a finer one it is refined. Lloyd's algorithm on all the data
    then has little left to do.

    Parameters
    ----------
    points : ndarray of shape (d, n), float64
    weights : ndarray of shape (n,), float64
    k : int
    rng : Generator

    Returns
    -------
    ndarray of shape (k, d), float64
        Fewer rows only if there are fewer distinct points.

    """
    coarsest, *finer = summaries(points, weights, k, rng)
    if len(coarsest[1]) <= k:
        return coarsest[0].T.copy()
    spread = np.sqrt(np.average(np.square(coarsest[0]).sum(0), weights=coarsest[1]))
    tol = COARSE_TOLERANCE * spread
    centroids = k_means_plus_plus(*coarsest, k, rng)
    centroids = exchange(*coarsest, centroids, tol, rng)
    for summary in finer:
        centroids = lloyd(*summary, centroids, tol, max_iter=100)[0].centroids
    return centroids


def summaries(
    points: np.ndarray, weights: np.ndarray, k: int, rng: np.random.Generator
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Summarise the data by the means of grid cells, ever finer.

    Each is a weighted data set of its own, with far fewer points than the data, yet
    enough for k clusters. Where no grid gives such, as in many dimensions, a sample
    serves, or all the data if it repeats a few points; each distinct point once.

    Parameters
    ----------
    points : ndarray of shape (d, n), float64
    weights : ndarray of shape (n,), float64
    k : int
    rng : Generator

    Returns
    -------
    list of (points of shape (d, m), weights of shape (m,))

    """
    d, n = points.shape
    enough = 4 * k
    found = []
    summary = points, weights
    for bits in range(18 // d, 0, -1):
        summary = merge_cells(*summary, bits)
        if enough <= len(summary[1]) <= n // 2:
            found.insert(0, summary)
        if len(summary[1]) <= COARSE_CELLS:
            break
    if not found:
        sample = rng.permutation(n)[:COARSE_CELLS]
        found = [merge_copies(points[:, sample], weights[sample])]
        if len(found[0][1]) < enough:
            found = [merge_copies(points, weights)]
    return found


def merge_copies(
    points: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Merge equal points."""
    distinct, which = np.unique(points, axis=1, return_inverse=True)
    return distinct, np.bincount(which.ravel(), weights)


def merge_cells(
    points: np.ndarray, weights: np.ndarray, bits: int
) -> tuple[np.ndarray, np.ndarray]:
    """Merge the points in each cell of a grid with 2**bits cells along each axis."""
    low = points.min(axis=1)
    span = points.max(axis=1) - low
    cell = np.zeros(len(weights), np.intp)
    for row, start, length in zip(points, low, span, strict=True):
        cell <<= bits
        if length > 1e-9:  # else it is flat beside the others, of the size of 1
            cell |= ((row - start) * ((2**bits - 1e-6) / length)).astype(np.intp)
    masses = np.bincount(cell, weights)
    occupied = np.flatnonzero(masses > 0)
    masses = masses[occupied]
    sums = np.stack([np.bincount(cell, weights * row)[occupied] for row in points])
    return sums / masses, masses


def k_means_plus_plus(
    points: np.ndarray,
    weights: np.ndarray,
    count: int,
    rng: np.random.Generator,
    closest: np.ndarray | None = None,
) -> np.ndarray:
    """Choose points far from each other, and from earlier centroids, as new ones.

    Each is drawn with a chance proportional to its weighted squared distance from
    those before it, and is the best of a few such draws ("greedy": D. Arthur and S.
    Vassilvitskii, "k-means++: the advantages of careful seeding", 2007).

    Parameters
    ----------
    points : ndarray of shape (d, n), float64
        Distinct, and more than there will be centroids.
    weights : ndarray of shape (n,), float64
    count : int
        How many to choose.
    rng : Generator
    closest : ndarray of shape (n,), float64, optional
        The squared distance of each point to the nearest centroid that there is.

    Returns
    -------
    ndarray of shape (count, d), float64

    """
    draws = 2 + int(np.log(count))
    lifted = lift(points, np.float64)
    potential = weights if closest is None else closest * weights
    closest = np.inf if closest is None else closest
    chosen = []
    for _ in range(count):
        reached = np.cumsum(potential)
        drawn = reached.searchsorted(rng.random(draws) * reached[-1], side="right")
        drawn = np.minimum(drawn, len(weights) - 1)
        distances = product(distance_rows(points[:, drawn].T), lifted)
        np.minimum(distances, closest, out=distances)
        best = np.einsum("ij,j->i", distances, weights).argmin()
        chosen.append(drawn[best])
        # Rounding must neither hide a point that is still free nor free a chosen one.
        closest = np.maximum(distances[best], np.finfo(float).tiny)
        closest[chosen] = 0
        potential = closest * weights
    return points[:, chosen].T.copy()


def exchange(
    points: np.ndarray,
    weights: np.ndarray,
    centroids: np.ndarray,
    tol: float,
    rng: np.random.Generator,
) -> np.ndarray:
    """Move centroids from where they are least missed to where they are needed most.

    Lloyd's algorithm alone never takes a centroid from a place that has too many to
    one that has too few. Adding some and then dropping as many, those whose loss costs
    least, does; it is repeated with fewer and fewer for as long as it helps (B.
    Fritzke, "Breathing K-Means", 2020). That finds better optima than many starts do,
    in less time.

    Parameters
    ----------
    points : ndarray of shape (d, n), float64
    weights : ndarray of shape (n,), float64
    centroids : ndarray of shape (k, d), float64
        The start.
    tol : float
        As in `lloyd`.
    rng : Generator

    Returns
    -------
    ndarray of shape (k, d), float64

    """
    k = len(centroids)
    best = lloyd(points, weights, centroids, tol, max_iter=6)[0]
    count, failures = max(1, k // 3), 0
    while failures < 2 and k + count <= len(weights):
        closest = best.squared_distances()
        added = k_means_plus_plus(points, weights, count, rng, closest)
        centroids = np.vstack([best.centroids, added])
        grown = lloyd(points, weights, centroids, tol, max_iter=2)[0]
        kept = np.sort(grown.losses().argsort()[count:])
        rival = lloyd(points, weights, grown.centroids[kept], tol, max_iter=5)[0]
        if rival.inertia() < 0.999 * best.inertia():
            best, failures = rival, 0
        elif count > 1:
            count //= 2
        else:
            failures += 1
    return best.centroids


def lloyd(
    points: np.ndarray,
    weights: np.ndarray,
    centroids: np.ndarray,
    tol: float,
    max_iter: int,
) -> tuple[Partition, int]:
    """Iterate Lloyd's algorithm until no centroid moves further than tol.

    A step goes a little beyond the mean of the cluster and keeps some of the momentum
    of the step before, which takes less than half of the plain iterations (B. T.
    Polyak, "Some methods of speeding up the convergence of iteration methods", 1964).
    The momentum is dropped whenever it points uphill (B. O'Donoghue and E. Candes,
    "Adaptive restart for accelerated gradient schemes", 2015), and once a plain step
    would do, it is what is made.

    Parameters
    ----------
    points : ndarray of shape (d, n), float64
    weights : ndarray of shape (n,), float64
    centroids : ndarray of shape (k, d), float64
        The start.
    tol : float
    max_iter : int

    Returns
    -------
    partition : Partition
        With the last centroids.
    n_iter : int
        The number of iterations.

    """
    partition = Partition(points, weights)
    step = np.zeros_like(centroids)
    arrived = False
    for n_iter in range(1, max_iter + 1):
        partition.assign(centroids)
        if partition.centroids is not centroids:
            centroids = partition.centroids
            step = np.zeros_like(centroids)
        shift = partition.means() - centroids
        was_there, arrived = arrived, row_norms(shift).max() <= tol
        if arrived and was_there:
            break
        if arrived or n_iter == 1:
            step = shift
        elif (partition.totals[1] * (shift * step).sum(axis=1)).sum() < 0:
            step = RELAXATION * shift
        else:
            step = RELAXATION * shift + MOMENTUM * step
        centroids = centroids + step
    else:
        partition.assign(centroids)
    return partition, n_iter


class Partition:
    """The points split among centroids, kept up to date as the centroids move.

    Only a point that may have changed sides is looked at again: one whose *margin*,
    the distance to its second nearest centroid less that to its nearest, has been
    used up by the moves of the centroids since it was measured (G. Hamerly, "Making
    k-means even faster", 2010).

    Parameters
    ----------
    points : ndarray of shape (d, n), float64
    weights : ndarray of shape (n,), float64

    Attributes
    ----------
    centroids : ndarray of shape (k, d), float64
    labels : ndarray of shape (n,), int
        The nearest centroid of each point.
    totals : ndarray of shape (2 + d, k), float64
        For each cluster the number of its points, their weight, and the sum of each
        of their coordinates times their weights.

    """

    def __init__(self, points: np.ndarray, weights: np.ndarray) -> None:
        self.points = points
        self.weights = weights
        self.lifted = lift(points)
        self.radius = np.sqrt(self.lifted[-1].max())
        self.centroids = None

    def assign(self, centroids: np.ndarray) -> None:
        """Move to these centroids; one that no point is nearest to is relocated."""
        if self.centroids is None:
            self._assign_all(centroids)
        else:
            self._assign_stale(centroids)
        while not self.totals[0].all():
            self._assign_all(self._without_an_empty_cluster())

    def means(self) -> np.ndarray:
        """Return the weighted mean of each cluster, (k, d)."""
        return (self.totals[2:] / self.totals[1]).T

    def inertia(self) -> float:
        """Return the weighted sum of squared distances to the nearest centroid."""
        return float((self.weights * self.squared_distances()).sum())

    def losses(self) -> np.ndarray:
        """Return by how much the inertia would grow without each centroid, (k,).

        Every point would go to its second nearest, were the others to stay.
        """
        labels, margins = two_nearest(self.lifted, self.centroids)
        distances = np.sqrt(self.squared_distances())
        growth = self.weights * margins * (2 * distances + margins)
        return np.bincount(labels, growth, len(self.centroids))

    def squared_distances(self) -> np.ndarray:
        """Return the squared distance of each point to its centroid, (n,)."""
        difference = self.centroids.T.take(self.labels, axis=1)
        difference -= self.points
        return np.einsum("ij,ij->j", difference, difference)

    def _assign_all(self, centroids: np.ndarray) -> None:
        self.centroids = centroids
        self.labels, self.margins = self._nearest()
        self._sum_up()

    def _assign_stale(self, centroids: np.ndarray) -> None:
        moves = row_norms(centroids - self.centroids)
        self.centroids = centroids
        # The last term is for the rounding of the margins, which are below 2 radii.
        used = moves + largest_other(moves) + 4 * ROUNDING * self.radius
        self.margins -= used.astype(np.float32).take(self.labels)
        stale = np.flatnonzero(self.margins < 0)
        labels, self.margins[stale] = self._nearest(stale)

        changed = np.flatnonzero(labels != self.labels[stale])
        if len(changed):
            stale, labels = stale[changed], labels[changed]
            moved = self.points.take(stale, axis=1), self.weights[stale]
            self.totals -= totals(*moved, self.labels[stale], len(centroids))
            self.totals += totals(*moved, labels, len(centroids))
            self.labels[stale] = labels
            np.maximum(self.heaviest, self.totals[1], out=self.heaviest)
            if (self.totals[1] < LIGHT * self.heaviest).any():
                self._sum_up()

    def _sum_up(self) -> None:
        """Find the totals afresh, free of the rounding of what has come and gone."""
        k = len(self.centroids)
        self.totals = totals(self.points, self.weights, self.labels, k)
        self.heaviest = self.totals[1].copy()

    def _nearest(
        self, which: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the labels and margins of these points, or of all, with certainty."""
        lifted = self.lifted if which is None else self.lifted.take(which, axis=1)
        labels, margins = two_nearest(lifted, self.centroids)
        doubtful = np.flatnonzero(margins <= 0)
        if len(doubtful):
            points = self.points.take(
                doubtful if which is None else which[doubtful], axis=1
            )
            labels[doubtful] = nearest(points, self.centroids)
        return labels, margins

    def _without_an_empty_cluster(self) -> np.ndarray:
        """Return the centroids, an idle one put on the point that most needs one.

        Where the others leave nothing to be wished for, it is left out.
        """
        needs = self.weights * self.squared_distances()
        neediest = needs.argmax()
        idle = self.totals[0].argmin()
        centroids = np.delete(self.centroids, idle, axis=0)
        if needs[neediest] > 0:
            centroids = np.vstack([centroids, self.points[:, neediest]])
        return centroids


def totals(
    points: np.ndarray, weights: np.ndarray, labels: np.ndarray, k: int
) -> np.ndarray:
    """Count and sum up the points of each cluster, as in `Partition.totals`."""
    sums = [np.bincount(labels, weights * row, k) for row in points]
    return np.array(
        [np.bincount(labels, None, k), np.bincount(labels, weights, k), *sums]
    )


def row_norms(vectors: np.ndarray) -> np.ndarray:
    """Return the lengths of the rows, (k, d) -> (k,)."""
    return np.sqrt(np.einsum("ij,ij->i", vectors, vectors))


def largest_other(values: np.ndarray) -> np.ndarray:
    """Return for each value the largest among all others, itself if it is alone."""
    others = np.full(len(values), values.max())
    if len(values) > 1:
        others[values.argmax()] = np.partition(values, -2)[-2]
    return others


def lift(points: np.ndarray, dtype: type = np.float32) -> np.ndarray:
    """Append a row of ones and one of squared norms to the points, (d + 2, n)."""
    d, n = points.shape
    lifted = np.empty((d + 2, n), dtype)
    lifted[:d] = points
    lifted[d] = 1
    lifted[d + 1] = np.einsum("ij,ij->j", points, points)
    return lifted


def distance_rows(centroids: np.ndarray, dtype: type = np.float64) -> np.ndarray:
    """Make the rows whose product with lifted points are the squared distances.

    (-2 c, |c|^2, 1) times (x, 1, |x|^2) is |x - c|^2: one matrix product for all.
    """
    k, d = centroids.shape
    rows = np.empty((k, d + 2), dtype)
    rows[:, :d] = -2 * centroids
    rows[:, d] = np.einsum("ij,ij->i", centroids, centroids)
    rows[:, d + 1] = 1
    return rows


def product(a: np.ndarray, b: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
    """Multiply two finite matrices without a false alarm.

    OpenBLAS computes in lanes that it may fill with whatever lies in memory, and
    throws those away; NumPy then warns of an invalid value where there is none
    (github.com/numpy/numpy/issues/24067).
    """
    with np.errstate(all="ignore"):
        return np.matmul(a, b, out=out)


def two_nearest(
    lifted: np.ndarray, centroids: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Find the nearest centroid and how much further the second nearest is.

    It is done in single precision, whose error is taken off the margins: the label
    is certain where its margin is above 0 (a floating-point filter, as in J. R.
    Shewchuk, "Adaptive Precision Floating-Point Arithmetic and Fast Robust Geometric
    Predicates", 1997).

    Parameters
    ----------
    lifted : ndarray of shape (d + 2, n), float32
        The points, from `lift`.
    centroids : ndarray of shape (k, d), float64

    Returns
    -------
    labels : ndarray of shape (n,), int
    margins : ndarray of shape (n,), float32
        Never more than the true difference of the two distances; immense for k = 1.

    """
    (k, d), n = centroids.shape, lifted.shape[1]
    rows = distance_rows(centroids, np.float32)
    largest = rows[:, d].max() + lifted[-1].max(initial=0)
    error = np.float32(2 * (d + 4) * ROUNDING) * largest
    rows[:, d] += error  # so that none is negative

    # The order of positive floats is that of their bits. With the lowest few replaced
    # by the label, one minimum over integers finds the distance and the label.
    label_bits = (k - 1).bit_length()
    label_mask = np.int32((1 << label_bits) - 1)
    all_labels = np.arange(k, dtype=np.int32)[:, None]
    best = np.empty((2, n), np.int32)
    labels = np.empty(n, np.intp)
    block = min(n, max(256, BLOCK_WORK // rows.size))
    distances = np.empty((k, block), np.float32)
    columns = np.arange(block)
    for start in range(0, n, block or 1):
        part = slice(start, min(start + block, n))
        width = part.stop - start
        product(rows, lifted[:, part], out=distances[:, :width])
        coded = distances.view(np.int32)[:, :width]
        coded &= ~label_mask
        coded |= all_labels
        coded.min(axis=0, out=best[0, part])
        np.bitwise_and(best[0, part], label_mask, out=labels[part])
        coded[labels[part], columns[:width]] = FARTHEST
        coded.min(axis=0, out=best[1, part])

    best &= ~label_mask
    nearest_squared, second_squared = best.view(np.float32)
    # `error` is in both; a label takes up to 2**(label_bits - 23) of each distance.
    slack = 2 * error + second_squared * np.float32(2.0 ** (label_bits - 22))
    margins = np.sqrt(np.maximum(second_squared - slack, 0))
    margins -= np.sqrt(nearest_squared)
    return labels, margins


def nearest(points: np.ndarray, centroids: np.ndarray) -> np.ndarray:
    """Find the nearest centroid of each point in double precision.

    Parameters
    ----------
    points : ndarray of shape (d, n), float64
    centroids : ndarray of shape (k, d), float64

    Returns
    -------
    ndarray of shape (n,), int

    """
    labels = np.empty(points.shape[1], np.intp)
    block = max(256, BLOCK_WORK // centroids.size)
    for start in range(0, len(labels), block):
        part = slice(start, start + block)
        squared = 0
        for row, coordinates in zip(points[:, part], centroids.T, strict=True):
            squared = squared + np.square(row[:, None] - coordinates)
        labels[part] = squared.argmin(axis=1)
    return labels
