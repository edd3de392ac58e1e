"""KMeans beside plain k-means and the best inertia that is known."""

# ruff: noqa: D103 - the name of a test says what it shows

import doctest
import inspect
import re
from functools import cache
from unittest.mock import Mock

import numpy as np
import pytest
from PIL import Image
from sklearn.cluster import KMeans as ScikitKMeans

import kmeans
import main
from conftest import SAMPLE
from kmeans import KMeans, Points, plain_k_means

pytestmark = pytest.mark.filterwarnings("error")  # a user would see them, too
PIXELS = main.resize_image(np.asarray(Image.open(SAMPLE))).reshape(-1, 3)
COLOURS, COUNTS = np.unique(PIXELS, axis=0, return_counts=True)
NORMAL = np.random.default_rng(0).normal(size=(3000, 3))
DATA = {
    "one dimension": NORMAL[:, :1],
    "many dimensions": np.random.default_rng(1).normal(size=(2000, 40)),
    "tiny": NORMAL * 1e-150,
    "huge": NORMAL * 1e149,
    "far away": NORMAL + 1e6,
    "an outlier": np.vstack([NORMAL, [[1e9, 0, 0]]]),
    "flat along two axes": NORMAL * [1, 0, 1e-310],
    "flat and far away along one": np.column_stack([NORMAL, np.full(3000, 1e149)]),
    "of all sizes": 10 ** (10 * NORMAL),
    "a lattice full of ties": np.indices((12, 12, 12)).reshape(3, -1).T,
    "mostly copies": np.repeat(NORMAL[:40], np.arange(40) * 9 + 1, axis=0),
    "two clumps": np.vstack([NORMAL * 1e-9, NORMAL * 1e-9 + 1]),
    "noise of bytes": np.random.default_rng(2).integers(0, 256, (30_000, 3)),
    "few and uneven": np.random.default_rng(8).exponential(size=(300, 2)) ** 3,
}


def plain_lloyd_step(data, centroids, weights):
    """Take one textbook step; return labels, distances and where centroids move."""
    nearest, labels = np.full(len(data), np.inf), np.zeros(len(data), int)
    for j, centroid in enumerate(centroids):
        distance = np.linalg.norm(data - centroid, axis=1)
        labels[distance < nearest] = j
        nearest = np.minimum(distance, nearest)
    mass = np.bincount(labels, weights, len(centroids))
    sums = [np.bincount(labels, weights * x, len(centroids)) for x in data.T]
    with np.errstate(invalid="ignore"):
        return labels, nearest, np.transpose(sums / mass)


def assert_fixed_point(model, data, weights=None, labels=None):
    """Check the promises of KMeans against a plain Lloyd iteration."""
    data = np.asarray(data, float)
    weights = np.ones(len(data)) if weights is None else np.asarray(weights, float)
    labels = model.labels if labels is None else labels
    size = np.abs(data).max()
    _, nearest, moved = plain_lloyd_step(data, model.centroids, weights)
    own = np.linalg.norm(data - model.centroids[labels], axis=1)
    assert (own <= nearest + 1e-12 * size).all(), "a label is not the nearest"
    sizes = np.bincount(labels, weights, len(model.centroids))
    assert sizes.all(), "an empty cluster"
    assert (np.diff(sizes) <= 1e-9 * sizes.sum()).all(), "the largest is not the first"
    if model.n_iter < model.max_iter:
        shift = np.linalg.norm(moved - model.centroids, axis=1).max()
        assert shift <= model.tol + 1e-12 * size, "a plain step still moves a centroid"
    inertia = weights @ nearest**2
    assert model.inertia == pytest.approx(inertia, rel=1e-9, abs=1e-20 * size**2)


def prepared(data, weights=None):
    """Make a cloud of exactly these coordinates, neither centred nor scaled."""
    weights = np.ones(len(data)) if weights is None else np.asarray(weights, float)
    return kmeans.Cloud(np.asarray(data, float).T.copy(), weights)


# Plain k-means


def test_the_file_begins_with_the_five_steps_of_k_means():
    assert re.search(r"\ndef (\w+)", inspect.getsource(kmeans))[1] == "plain_k_means"
    words = ["choose", "assign", "update", "stop", "repeat"]
    assert re.findall("# (.*)", inspect.getsource(plain_k_means)) == words
    again = re.findall(r"# (\w+)\n", inspect.getsource(kmeans.lloyd))
    assert again.count("assign") == 2 and set(words) == {"choose", *again}


@pytest.mark.parametrize("data", [NORMAL, NORMAL[:, :1], COLOURS[::40]], ids="abc")
def test_plain_k_means_leaves_the_result_as_it_is(data):
    for k in (1, 2, 9, 40):
        model = KMeans(k, seed=k).fit(data)
        rng = Mock()
        rng.choice.return_value = model.centroids
        centroids, labels = plain_k_means(data, k, model.tol + 1e-12, rng)
        assert (centroids == model.centroids).all() and (labels == model.labels).all()


def test_plain_k_means_finds_the_same_clusters_from_one_of_a_few_starts():
    points = NORMAL + np.repeat(np.eye(3) * 9, [1200, 1000, 800], axis=0)
    wanted = KMeans(3, tol=1e-9, seed=0).fit(points).centroids
    for rng in map(np.random.default_rng, range(9)):
        found, labels = plain_k_means(points, 3, 1e-9, rng)
        found = found[np.bincount(labels).argsort()[::-1]]  # the largest first
        if found == pytest.approx(wanted, abs=1e-6):
            break
    assert found == pytest.approx(wanted, abs=1e-6)


def test_plain_k_means_takes_bytes_whose_differences_would_overflow():
    pixels = PIXELS[::50]
    centroids, labels = plain_k_means(pixels, 9, np.inf, np.random.default_rng(0))
    pixels, centroids = pixels.astype(float), centroids.astype(float)
    nearest, *_ = plain_lloyd_step(pixels, centroids, np.ones(len(pixels)))
    assert (labels == nearest).all()


# The result


@pytest.fixture(scope="module")
def fits_of_the_sample():
    """Give five fits of the sample for each of four k."""
    points = Points(COLOURS, COUNTS)
    return {k: [KMeans(k, seed=s).fit(points) for s in range(5)] for k in BEST_KNOWN}


def test_a_plain_lloyd_step_changes_nothing_on_a_photo(fits_of_the_sample):
    for k, (model, *_) in fits_of_the_sample.items():
        assert model.centroids.shape == (k, 3) and model.n_iter < 500
        assert_fixed_point(model, COLOURS, COUNTS)


@pytest.mark.parametrize("name", DATA)
def test_a_plain_lloyd_step_changes_nothing_on_data(name):
    data = DATA[name]
    for k in (1, 2, 9, 40, 200):
        if k < 200 or len(data) < 2000:
            model = KMeans(k, tol=1e-6 * np.std(data[:1000]), seed=k).fit(data)
            assert model.centroids.shape == (k, data.shape[1])
            assert_fixed_point(model, data)


# The least inertia that 600 fits of the sample have found.
BEST_KNOWN = {4: 218_103_968, 10: 78_932_341, 25: 34_391_078, 50: 19_318_590}


def test_every_seed_comes_close_to_the_best_known_inertia(fits_of_the_sample):
    for k, models in fits_of_the_sample.items():
        found = [model.inertia / BEST_KNOWN[k] for model in models]
        assert min(found) > 0.999 and max(found) < 1.01


def test_momentum_halves_the_number_of_iterations(fits_of_the_sample):
    models = [model for models in fits_of_the_sample.values() for model in models]
    assert sum(model.n_iter for model in models) < 1000  # 704, and 1,369 without it


def test_a_hundred_clusters_of_all_sizes_are_found_exactly_from_every_seed():
    centres = 40 * np.indices((10, 10)).reshape(2, -1).T
    corners = np.array([[-1, -2], [-1, 2], [1, -2], [1, 2]])
    sizes = np.random.default_rng(0).integers(1, 20, 100).repeat(4)
    points = Points((centres[:, None] + corners).reshape(-1, 2).repeat(sizes, axis=0))
    for seed in range(9):
        model = KMeans(100, seed=seed).fit(points)
        assert sorted(model.centroids.round(9).tolist()) == centres.tolist()
        assert model.inertia == 5 * sizes.sum()


def test_the_last_step_is_a_plain_one_so_that_settled_clusters_have_their_means():
    apart = 1000 + NORMAL[:500, 1]
    data = np.concatenate([NORMAL[:, 0], apart])[:, None]
    start = np.array([[-2], [0.5], [1001]])  # the first two are still moving
    clusters, _ = kmeans.lloyd(prepared(data), start, 0.05, 500)
    assert clusters.centroids[2, 0] == pytest.approx(apart.mean(), rel=1e-12)


def test_the_first_step_goes_to_the_means_and_no_further():
    start = NORMAL[:9].copy()
    clusters, n_iter = kmeans.lloyd(prepared(NORMAL), start, 1e-9, 1)
    *_, means = plain_lloyd_step(NORMAL, start, np.ones(len(NORMAL)))
    assert n_iter == 1 and clusters.centroids == pytest.approx(means, rel=1e-12)


def test_data_moved_scaled_or_of_another_type_has_the_same_clusters():
    data = np.random.default_rng(9).integers(0, 256, (3000, 3))
    wanted = KMeans(9, seed=0).fit(data)
    for scale, offset in ((1, 2.0**40), (2.0**60, 0), (2.0**-60, 0)):
        moved = data * scale + offset  # no digit is lost
        model = KMeans(9, tol=0.001 * scale, seed=0).fit(moved)
        assert (model.labels == wanted.labels).all() and model.n_iter == wanted.n_iter
        assert model.inertia == pytest.approx(wanted.inertia * scale**2, rel=1e-9)
    for dtype in ("uint8", "float32", "object"):
        found = KMeans(9, seed=0).fit(data.astype(dtype)).centroids
        assert (found == wanted.centroids).all() and found.dtype == np.float64


def test_fewer_distinct_points_than_k_are_the_centroids():
    few = np.array([[1, 2, 3], [40, 200, 7], [250, 9, 9]])
    rare = np.vstack([[0] * 3, NORMAL[:50]])
    for distinct, copies in ((few, [50, 1, 9]), (rare, [20_000, *[1] * 50])):
        data = np.repeat(distinct, copies, axis=0)
        for k in (len(distinct), len(distinct) + 1, 60):
            model = KMeans(k, seed=0).fit(data)
            assert len(model.centroids) == len(distinct) and model.inertia == 0
            assert model.predict(data) == pytest.approx(data, abs=1e-12)


def test_predict_gives_the_nearest_centroid_itself():
    model = KMeans(6, seed=0).fit(NORMAL)
    found = model.predict(NORMAL)
    assert (found == model.centroids[model.labels]).all()
    assert (model.predict(NORMAL[7]) == found[7]).all()
    assert model.predict(NORMAL[7].tolist()).shape == (3,)


@pytest.mark.parametrize(
    "k, name", [(20, "tiny"), (20, "many dimensions"), (200, "few and uneven")]
)
def test_the_same_seed_gives_the_same_result_and_another_seed_another(k, name):
    points = Points(DATA[name])
    seeds = range(5)  # of 200 clusters a few run out of points
    first, second = ([KMeans(k, seed=s).fit(points) for s in seeds] for _ in range(2))
    for one, same in zip(first, second, strict=True):
        assert (one.centroids == same.centroids).all()
        assert_fixed_point(one, DATA[name])
    assert (first[0].centroids != first[1].centroids).any()


def test_without_a_seed_every_fit_is_a_fresh_one():
    assert len({KMeans(20).fit(NORMAL).inertia for _ in range(4)}) > 1


def test_max_iter_bounds_the_iterations():
    for max_iter in (1, 2, 5):
        model = KMeans(20, max_iter=max_iter, seed=0).fit(COLOURS, COUNTS)
        assert model.n_iter == max_iter
        assert_fixed_point(model, COLOURS, COUNTS)


def test_a_larger_tolerance_stops_sooner_and_none_at_all_still_stops():
    loose, exact = (KMeans(12, tol, seed=0).fit(COLOURS, COUNTS) for tol in (1, 0))
    assert loose.n_iter < exact.n_iter < 500
    *_, moved = plain_lloyd_step(COLOURS.astype(float), exact.centroids, COUNTS)
    assert moved == pytest.approx(exact.centroids, abs=1e-9)


def test_the_models_repr_shows_its_parameters():
    assert repr(KMeans(3, seed=7)) == "KMeans(k=3, tol=0.001, max_iter=500, seed=7)"


# Weights


def test_a_weight_counts_as_so_many_copies():
    weights = np.random.default_rng(3).integers(0, 5, len(NORMAL))
    model = KMeans(8, seed=0).fit(NORMAL, weights)
    assert len(model.labels) == len(NORMAL)
    copies = np.repeat(NORMAL, weights, axis=0)
    assert_fixed_point(model, copies, labels=np.repeat(model.labels, weights))


def test_weights_of_very_different_sizes_keep_the_promises():
    weights = 10 ** np.random.default_rng(4).uniform(-12, 12, len(NORMAL))
    for k in (2, 9, 40):
        model = KMeans(k, tol=1e-6, seed=0).fit(NORMAL, weights)
        assert_fixed_point(model, NORMAL, weights)


@pytest.mark.parametrize("size", [5e-324, 1e-310, 1e-200, 1e149])
def test_only_the_ratios_of_weights_count(size):
    weights = np.random.default_rng(7).integers(1, 9, len(NORMAL))
    wanted = KMeans(9, seed=0).fit(NORMAL, weights)
    found = KMeans(9, seed=0).fit(NORMAL, weights * size)
    assert found.centroids == pytest.approx(wanted.centroids, abs=1e-9)
    assert found.inertia == pytest.approx(wanted.inertia * size)


@pytest.mark.parametrize("far", [7, 1e9, 1e150])
def test_points_without_weight_get_labels_and_change_nothing(far):
    wanted = KMeans(12, seed=0).fit(NORMAL)
    data = np.vstack([NORMAL, NORMAL + 1, NORMAL * 3, [[far, 0, 0]]])
    found = KMeans(12, seed=0).fit(data, np.arange(len(data)) < 3000)
    assert (found.centroids == wanted.centroids).all()
    assert (found.labels[:3000] == wanted.labels).all()
    assert (found.centroids[found.labels] == found.predict(data)).all()


def test_what_heavy_points_leave_behind_is_not_lost_in_rounding():
    points = np.array([-1.4, -1, -0.1, 0, 0.2, 1, 1.4])[:, None]
    weights = [3e17, 1e17, 1, 1, 1, 1e17, 3e17]
    start = np.array([[-2.1], [0], [2.1]])
    clusters, _ = kmeans.lloyd(prepared(points, weights), start, 1e-9, 50)
    wanted = np.array([[-1.3], [0.1 / 3], [1.3]])
    assert clusters.centroids == pytest.approx(wanted, abs=1e-8)


# Points


def test_points_give_to_the_bit_what_arrays_give_in_fits_of_any_k_and_seed():
    points = Points(COLOURS[::9], COUNTS[::9])
    for k, seed in ((7, 0), (50, 1), (1, 0), (7, 2), (7, 0)):
        again = KMeans(k, seed=seed).fit(NORMAL).fit(points)
        alone = KMeans(k, seed=seed).fit(COLOURS[::9], COUNTS[::9])
        assert (again.centroids == alone.centroids).all()
        assert (again.labels == alone.labels).all()
        assert (again.inertia, again.n_iter) == (alone.inertia, alone.n_iter)


@pytest.mark.parametrize("order", ["C", "F"])
def test_points_are_copies_that_leave_the_arrays_alone(order):
    weights = np.arange(1.0, 3001)
    wanted = KMeans(9, seed=0).fit(NORMAL, weights).centroids.copy()
    data = np.array(NORMAL, order=order)
    data.flags.writeable = weights.flags.writeable = False
    points = Points(data, weights)
    data.flags.writeable = weights.flags.writeable = True
    data[:] = weights[:] = 0
    assert (KMeans(9, seed=0).fit(points).centroids == wanted).all()


# Summaries


@pytest.fixture(scope="module")
def night_sky():
    """Give the colours of a dark photo, (n, 3), and their counts: few weigh most."""
    rng, shape = np.random.default_rng(0), (400, 400, 3)
    stars = rng.exponential(0.4, (400, 400, 1)) ** 9 * rng.uniform(0.5, 1, shape)
    pixels = np.clip(rng.normal((9, 8, 12), 1.6, shape) + 200 * stars, 0, 255)
    return np.unique(pixels.astype(np.uint8).reshape(-1, 3), axis=0, return_counts=True)


@pytest.mark.parametrize("k", [8, 50, 100])
def test_the_optimum_holds_where_few_colours_weigh_most(night_sky, k):
    colours, counts = night_sky
    found = [KMeans(k, seed=s).fit(colours, counts).inertia for s in range(3)]
    peer = ScikitKMeans(k, n_init=2, random_state=0).fit(colours, None, counts)
    assert max(found) < 1.01 * min(*found, peer.inertia_)


@pytest.mark.parametrize("size", [900, 2000, 5000])
def test_boxes_have_the_weight_and_the_mean_of_all_points(size):
    cloud = Points(COLOURS[::2], COUNTS[::2]).cloud
    boxes = kmeans.means_of_boxes(cloud, size)
    assert len(boxes) == len(kmeans.summary(cloud, size)) == size
    assert boxes.weights.sum() == cloud.weights.sum()
    assert boxes.x @ boxes.weights == pytest.approx(cloud.x @ cloud.weights, rel=1e-12)


def test_a_sample_represents_all_points_and_has_the_important_ones():
    rng = np.random.default_rng(0)
    data, weights = rng.normal(size=(20_000, 2)), rng.pareto(0.7, 20_000) + 1
    sample = kmeans.sample(prepared(data, weights), 4000)
    assert 3990 <= len(sample) <= 4000 and len(np.unique(sample.x[0])) == len(sample)
    assert sample.weights.sum() == pytest.approx(weights.sum(), rel=1e-4)
    heavy = np.argsort(weights)[-300:]
    assert np.isin([data[heavy, 0], weights[heavy]], [*sample.x, sample.weights]).all()
    # Sums of shares are nearly halfway between whole numbers, or some get no share.
    for size, *kinds in (1100, 0.05, 5, 9.95 / 18_999), (1000, 1e-30, 1.27, 1e-30):
        weights = np.repeat(kinds, [1, 1000, 18_999])
        found = kmeans.sample(kmeans.Cloud(np.ones((1, 20_000)), weights), size)
        assert np.count_nonzero(found.weights == kinds[1]) == 1000


def test_rare_points_and_outliers_get_clusters_of_their_own():
    rng = np.random.default_rng(1)
    rare = rng.permutation(np.repeat(np.arange(10), [90_000] * 3 + [1] * 7))
    assert len(KMeans(10, seed=0).fit(rare[:, None] * [1, 2]).centroids) == 10
    data = rng.normal(size=(100_000, 3)) * np.repeat([1e4, 1], [5, 99_995])[:, None]
    assert np.ptp(KMeans(8, seed=0).fit(data).predict(data[:5]) - data[:5]) < 1


@pytest.mark.parametrize("n, k", [(1, 1), (5, 5), (12, 7), (70, 25), (300, 2)])
def test_greys_get_the_best_of_all_divisions(n, k):
    rng = np.random.default_rng(n + k)
    greys, weights = np.sort(rng.permutation(999)[:n]), rng.integers(1, 100, n)
    order = rng.permutation(n)
    points = np.stack([greys[order]] * 3, axis=1)
    found = KMeans(k, seed=0).fit(points, weights[order]).inertia

    @cache
    def inertia(i, j):
        x, w = greys[i:j], weights[i:j]
        return 3 * (w @ np.square(x - np.average(x, weights=w)))

    @cache
    def least(j, k):
        if k == 1:
            return inertia(0, j)
        return min(least(i, k - 1) + inertia(i, j) for i in range(k - 1, j))

    assert found == pytest.approx(least(n, k), abs=1e-6)


# What is inside

WANDERERS = np.array([[1, 8], [2, 8], [2, 0], [3, 0], [6, 2], [5, 6], [8, 2]])


@pytest.mark.parametrize(
    "points, start, k",
    [
        (NORMAL, np.vstack([NORMAL[:5], np.full((2, 3), 1e3)]), 7),
        (WANDERERS, np.array([[7.0, 7], [1, 2], [4, 1]]), 3),
        (np.array([[0, 0], [0, 0], [1, 1]]), np.array([[0, 0], [0.7, 1], [5, 5]]), 2),
    ],
    ids=["at the start", "on the way", "that nothing needs"],
)
def test_a_centroid_without_points_is_put_where_one_is_needed(points, start, k):
    clusters, n_iter = kmeans.lloyd(prepared(points), start, 1e-9, 500)
    assert clusters.centroids.shape == (k, points.shape[1]) and n_iter < 500
    assert clusters.weights.all() and len(np.unique(clusters.labels)) == k


def test_many_small_moves_leave_every_label_the_nearest():
    rng = np.random.default_rng(0)
    clusters = kmeans.Clusters(prepared(NORMAL), NORMAL[:30].copy())
    for _ in range(300):
        move = rng.normal(size=clusters.centroids.shape) * 1e-3
        clusters.assign(clusters.centroids + move)
    afresh = kmeans.Clusters(clusters.cloud, clusters.centroids)
    assert (clusters.labels == afresh.labels).all()
    assert clusters.weights == pytest.approx(afresh.weights, abs=1e-9)
    assert clusters.sums == pytest.approx(afresh.sums, abs=1e-9)


def test_the_least_missed_centroids_are_those_whose_loss_costs_least():
    weights = np.random.default_rng(5).random(len(NORMAL))
    clusters, _ = kmeans.lloyd(prepared(NORMAL, weights), NORMAL[:12], 1e-9, 500)
    inertia = []
    for j in range(12):  # without j, its points go to others, which move to their means
        others = np.delete(clusters.centroids, j, axis=0)
        labels, _, means = plain_lloyd_step(NORMAL, others, weights)
        inertia.append(weights @ np.square(NORMAL - means[labels]).sum(axis=1))
    first, *others = kmeans.least_missed(clusters, 4)
    assert first == np.argmin(inertia)
    assert len(others) == 3 and (np.diff([inertia[j] for j in others]) > 0).all()


def test_an_heir_moves_to_meet_its_new_points_and_is_not_removed_itself():
    points = np.array([0, 1.5, 100, 101.3])[:, None]
    clusters = kmeans.Clusters(prepared(points, [1, 100, 2, 2]), points)
    # The inertia grows by 1.69 without a point of weight 2, by 2.23 without the first.
    assert kmeans.least_missed(clusters, 1)[0] in (2, 3)
    pairs = np.array([0, 1, 100, 101, 200, 203])[:, None]  # each other's heirs
    clusters = kmeans.Clusters(prepared(np.repeat(pairs, 5, axis=0)), pairs * 1.0)
    assert sorted(j // 2 for j in kmeans.least_missed(clusters, 3)) == [0, 1, 2]


@pytest.mark.parametrize("k", [2, 50, 200])
@pytest.mark.parametrize("kind", ["near ties", "far away", "tiny"])
def test_labels_are_right_and_no_margin_exceeds_the_true_one(k, kind):
    rng = np.random.default_rng(k)
    centroids, points = rng.normal(size=(k, 3)), rng.normal(size=(6000, 3))
    if kind == "near ties":  # almost in the middle between two centroids
        points = points * 1e-6 + centroids[rng.integers(0, k, (2, 6000))].mean(axis=0)
    elif kind == "far away":  # from all centroids, which are close together
        centroids, points = 1 + 0.01 * centroids, -1 + 0.3 * points
    else:  # squares vanish in single precision
        centroids, points = 1e-22 * centroids, 1e-22 * points
    cloud, every = prepared(points), np.arange(6000)
    labels, margins = kmeans.nearest_and_margins(cloud, every, centroids)
    distances = np.linalg.norm(points[:, None] - centroids, axis=2)
    nearest, second = np.partition(distances, 1, axis=1)[:, :2].T
    assert (margins <= second - nearest).all()
    clear = second - nearest > 1e-15 * np.abs(points).max()
    assert (labels == distances.argmin(axis=1))[clear].all()
    if kind == "near ties":  # single precision decides some, but not all
        assert 0.01 < (margins > 0).mean() < 0.999


@pytest.mark.parametrize("k", [1, 2, 3, 64, 65, 300])
def test_the_smallest_two_of_a_column_are_found_to_a_few_bits(k):
    values = np.random.default_rng(k).random((k, 999), np.float32) ** 4
    row, _, smallest, second = kmeans.smallest_two(values.copy())
    ordered = np.vstack([np.sort(values, axis=0), np.full(999, np.inf)])
    most = 1 - 2 * k * np.finfo(np.float32).eps
    assert (smallest <= ordered[0]).all() and (smallest >= ordered[0] * most).all()
    assert (second <= ordered[1]).all() and (second >= ordered[1] * most).all()
    clear = ordered[1] * most > ordered[0]
    assert clear.mean() > 0.99 and (row == values.argmin(axis=0))[clear].all()


def test_alarms_of_the_linear_algebra_library_are_not_heard():
    cloud, centroids = prepared(NORMAL * 1e-30), NORMAL[:9] * 1e-15
    assert cloud.augmented.any()
    with np.errstate(all="raise"):  # their products have no room in single precision
        kmeans.nearest_and_margins(cloud, np.arange(3000), centroids)


# What it refuses


REFUSED = [  # after what the error says about them
    ("k must", lambda: KMeans(0), lambda: KMeans(2.5)),
    ("tol must", lambda: KMeans(tol=-1), lambda: KMeans(tol=np.nan)),
    ("tol must", lambda: KMeans(tol="a")),
    ("max_iter must", lambda: KMeans(max_iter=0)),
    ("seed must", lambda: KMeans(seed=-1)),
    ("3 points cannot make 5", lambda: KMeans(5).fit(np.eye(3))),
    ("2 points cannot make 3", lambda: KMeans(3).fit(np.eye(3), [1, 1, 0])),
    ("weights", lambda: KMeans(2).fit(Points(np.eye(3)), np.ones(3))),
    ("not be empty", lambda: Points(np.zeros((0, 3)))),
    ("not be empty", lambda: Points(np.zeros((5, 0)))),
    ("2 dimensions", lambda: Points(np.zeros(9))),
    ("finite", lambda: Points([[1, np.nan]]), lambda: Points([[1, -np.inf]])),
    ("at most 1e150", lambda: Points([[1e151]]), lambda: Points([[-1e151]])),
    ("complex", lambda: Points([[1j, 2], [3, 4]])),
    ("real numbers", lambda: Points([["1"], ["2"]]), lambda: Points([[1, 2], [3]])),
    ("real numbers", lambda: Points([[10**400], [2]])),
    ("4 weights", lambda: Points(np.eye(9), np.ones(4))),
    ("negative", lambda: Points(np.eye(9), -np.ones(9))),
    ("0 everywhere", lambda: Points(np.eye(9), np.zeros(9))),
    ("9 coordinates", lambda: KMeans(2).fit(np.eye(9)).predict(np.zeros(4))),
    ("shape", lambda: KMeans(2).fit(np.eye(9)).predict(np.zeros((2, 2, 9)))),
]


@pytest.mark.parametrize(
    "complaint, make", [(text, make) for text, *group in REFUSED for make in group]
)
def test_bad_input_is_a_value_error_that_says_why(complaint, make):
    with pytest.raises(ValueError, match=complaint):
        make()


@pytest.mark.parametrize(
    "weights, k", [([1, 1e-17, 1e-17, 1e-17], 4), ([1, 1e-90, 1e-290, 1], 3)]
)
def test_what_rounding_swallows_does_not_stop_it(weights, k):
    model = KMeans(k, seed=0).fit([[0], [1], [2], [3]], weights)
    assert model.centroids.shape == (k, 1) and np.isfinite(model.centroids).all()
    assert kmeans.means_of_boxes(prepared([[1e-9, 0], [-1, 0]], [1, 1e-26]), 2) is None


def test_many_copies_of_a_few_points_do_not_stop_it():
    rng = np.random.default_rng(6)
    points, chances = rng.random((899, 2)), np.ones(899)
    chances[:3] = 8990  # so that rounding errors of their sums pass for a spread
    copies = rng.choice(899, 2**16 - 899, p=chances / chances.sum())
    data = points[np.append(np.arange(899), copies)]
    assert_fixed_point(KMeans(3, seed=0).fit(data), data)


def test_predict_before_fit_says_so():
    with pytest.raises(RuntimeError, match="fit"):
        KMeans().predict([0])


def test_the_examples_in_the_documentation_hold():
    assert doctest.testmod(kmeans) == (0, 2)
