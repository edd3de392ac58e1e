"""Time KMeans beside its alternatives, and the program beside Python's own start.

``python tests/benchmark.py [IMAGE ...]`` prints Markdown tables; it takes some three
minutes, and one or two more for each image. All competitors get the same photos, shrunk
as the program does, one random start for each of the 14 numbers of clusters of a
default run, and run in turn. ``--optima 30`` compares instead how good the optima are,
on these images and on drawn ones, beside the best of 30 fits.
"""

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import PIL
import sklearn
from PIL import Image
from sklearn.cluster import KMeans as ScikitKMeans

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import main
from conftest import METER, PROJECT, SAMPLE
from kmeans import KMeans, Points

Fit = Callable[[np.ndarray, list[int], int], list[np.ndarray]]


def ours(image: np.ndarray, ks: list[int], seed: int) -> list[np.ndarray]:
    """Fit as the program does: distinct colours with counts, prepared for all k."""
    colours, counts, _ = main.distinct_colours(image)
    points = Points(colours, counts)
    return [KMeans(k, seed=seed).fit(points).centroids for k in ks]


def ours_from_arrays(image: np.ndarray, ks: list[int], seed: int) -> list[np.ndarray]:
    """Fit the same colours and counts, given as arrays to each fit."""
    colours, counts, _ = main.distinct_colours(image)
    return [KMeans(k, seed=seed).fit(colours, counts).centroids for k in ks]


def scikit_fits(
    points: np.ndarray, ks: list[int], seed: int, counts: np.ndarray | None = None
) -> list[np.ndarray]:
    """Fit as float32, stopping when all centroids together move 0.001."""
    points = points.astype(np.float32)
    tol = 1e-6 / points.var(axis=0).mean()  # scikit-learn's is relative and squared
    options = {"n_init": 1, "max_iter": 500, "tol": tol, "random_state": seed}
    peers = [ScikitKMeans(k, **options) for k in ks]
    return [peer.fit(points, sample_weight=counts).cluster_centers_ for peer in peers]


def scikit(image: np.ndarray, ks: list[int], seed: int) -> list[np.ndarray]:
    """Fit all pixels, stopping when all centroids together move 0.001."""
    return scikit_fits(image.reshape(-1, 3), ks, seed)


def scikit_default(image: np.ndarray, ks: list[int], seed: int) -> list[np.ndarray]:
    """Fit all pixels as float32 with the default settings, a 100 times looser stop."""
    pixels = image.reshape(-1, 3).astype(np.float32)
    peers = [ScikitKMeans(k, n_init=1, random_state=seed) for k in ks]
    return [peer.fit(pixels).cluster_centers_ for peer in peers]


def scikit_weighted(image: np.ndarray, ks: list[int], seed: int) -> list[np.ndarray]:
    """Fit what `ours` gets: distinct colours with counts; stop as in `scikit`."""
    colours, counts, _ = main.distinct_colours(image)
    return scikit_fits(colours, ks, seed, counts)


def opencv(image: np.ndarray, ks: list[int], seed: int) -> list[np.ndarray]:
    """Fit all pixels as float32 with cv2.kmeans, k-means++, epsilon 0.001."""
    pixels = image.reshape(-1, 3).astype(np.float32)
    cv2.setRNGSeed(seed + 1)
    stop = cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 500, 0.001
    start = cv2.KMEANS_PP_CENTERS
    return [cv2.kmeans(pixels, k, None, stop, 1, start)[2] for k in ks]


def pillow(image: np.ndarray, ks: list[int], seed: int) -> list[np.ndarray]:
    """Quantize the image with median cut and k-means; it knows no seed."""
    picture = Image.fromarray(image)
    palettes = [picture.quantize(k, kmeans=1).getpalette() for k in ks]
    return [np.reshape(p[: 3 * k], (-1, 3)) for p, k in zip(palettes, ks, strict=True)]


COMPETITORS: dict[str, Fit] = {
    "this KMeans": ours,
    "this KMeans, from arrays": ours_from_arrays,
    "scikit-learn, same stop": scikit,
    "scikit-learn, default": scikit_default,
    "scikit-learn, weighted": scikit_weighted,
    "OpenCV": opencv,
    "Pillow": pillow,
}


def inertia(image: np.ndarray, centroids: np.ndarray) -> float:
    """Sum the squared distances of all pixels to the nearest centroid."""
    colours, counts, _ = main.distinct_colours(image)
    nearest = np.full(len(colours), np.inf)
    for centroid in np.asarray(centroids, float):
        distance = np.square(colours - centroid).sum(axis=1)
        np.minimum(nearest, distance, out=nearest)
    return float(counts @ nearest)


def default_photos() -> list[Path]:
    """Return the sample and scikit-learn's photos; its china.jpg is the sample."""
    bundled = Path(sklearn.__file__).parent / "datasets" / "images"
    photos = [SAMPLE, *bundled.glob("*.jpg")]
    return list({photo.read_bytes(): photo for photo in reversed(photos)}.values())


def save_patterns(folder: Path) -> list[Path]:
    """Draw pictures that are unlike photos, and return their files."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:500, :500]
    flat = np.array([(255, 255, 255), (200, 30, 40), (20, 180, 60), (30, 60, 220)])
    noise = rng.integers(0, 256, (500, 500, 3))
    patterns = {
        "one colour": np.full((500, 500, 3), 100),
        "flat art": flat[(x // 100 + y // 70) % 4],
        "greys": np.dstack([(x + y) // 4] * 3),
        "smooth": np.dstack([x // 2, y // 2, (x + y) // 4]),
        "busy": np.dstack([127 + 120 * np.sin(x * y / 900 + i) for i in range(3)]),
        "near-empty": np.where(rng.random((500, 500, 1)) < 0.02, noise, 250),
        "noise": noise,
    }
    files = [folder / f"{name}.png" for name in patterns]
    for file, pixels in zip(files, patterns.values(), strict=True):
        Image.fromarray(pixels.astype(np.uint8)).save(file)
    return files


def compare_fits(photos: list[Path], repeats: int) -> None:
    """Print each competitor's median seconds per photo and its mean excess."""
    seconds = {name: [] for name in COMPETITORS}
    excess = {name: [] for name in COMPETITORS}
    for photo in photos:
        print(f"fitting {photo.name} for a minute or two", file=sys.stderr)
        image = main.resize_image(main.read_image(photo)[0])
        times = {name: [] for name in COMPETITORS}
        found = {name: [] for name in COMPETITORS}
        for seed in range(repeats):
            for name, fit in COMPETITORS.items():
                began = time.perf_counter()
                centroids = fit(image, main.DEFAULT_KS, seed)
                times[name].append(time.perf_counter() - began)
                found[name].append([inertia(image, c) for c in centroids])
        best = np.min([rows for rows in found.values()], axis=(0, 1))
        for name in COMPETITORS:
            seconds[name].append(statistics.median(times[name]))
            excess[name].append(100 * (np.array(found[name]) / best - 1).mean())

    columns = [f"{photo.name}, s" for photo in photos]
    print_row("14 fits", *columns, "times as long", "inertia above best, %")
    print_row("---", *["---:"] * (len(photos) + 2))
    for name in COMPETITORS:
        ratios = np.divide(seconds[name], seconds["this KMeans"])
        print_row(
            name,
            *[f"{value:.2f}" for value in seconds[name]],
            f"{np.exp(np.log(ratios).mean()):.1f}",
            f"{np.mean(excess[name]):.2f}",
        )


def compare_optima(photos: list[Path], fits: int) -> None:
    """Print how far above the best known inertia the first three seeds end.

    The best known is that of so many seeds of this KMeans and of three of scikit-learn.
    """
    names = ["this KMeans", "scikit-learn, weighted"]
    excess = {name: [] for name in names}
    for photo in photos:
        print(f"searching the best for {photo.name}", file=sys.stderr)
        colours, counts, _ = main.distinct_colours(
            main.resize_image(main.read_image(photo)[0])
        )
        points = Points(colours, counts)
        for k in main.DEFAULT_KS:
            if k < len(colours):
                ours = [KMeans(k, seed=s).fit(points).inertia for s in range(fits)]
                peers = [ScikitKMeans(k, n_init=1, random_state=s) for s in range(3)]
                theirs = [peer.fit(colours, None, counts).inertia_ for peer in peers]
                best = min(ours + theirs)
                for name, found in zip(names, (ours[:3], theirs), strict=True):
                    excess[name] += [100 * (inertia / best - 1) for inertia in found]
    print_row(
        f"{len(photos)} pictures, best of {fits} fits", "mean, %", "95 %", "worst"
    )
    print_row("---", "---:", "---:", "---:")
    for name in names:
        found = np.array(excess[name])
        print_row(
            name,
            *(
                f"{x:.2f}"
                for x in (found.mean(), np.percentile(found, 95), found.max())
            ),
        )


def compare_runs(photos: list[Path], repeats: int) -> None:
    """Print how long a whole run takes beside starting Python with the libraries."""
    start = [sys.executable, "-c", "import numpy, cv2, PIL.Image"]
    program = [sys.executable, str(PROJECT / "main.py"), "--path"]
    print_row("whole run", "s", "starts of Python, numpy, cv2 and PIL", "peak MiB")
    print_row("---", "---:", "---:", "---:")
    for photo in photos:
        command = [*program, str(photo)]
        pairs = [(measure(start), measure(command)) for _ in range(repeats + 1)]
        pairs = pairs[1:]  # the first warms the disk's cache
        print_row(
            photo.name,
            f"{statistics.median(run[0] for _, run in pairs):.2f}",
            f"{statistics.median(run[0] / idle[0] for idle, run in pairs):.1f}",
            f"{max(run[1] for _, run in pairs):.0f}",
        )


def measure(command: list[str]) -> tuple[float, float]:
    """Run a command; return its seconds and its peak memory in MiB."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, "-c", METER, *command],
            cwd=folder,
            stdout=subprocess.PIPE,
            check=True,
        )
    seconds, peak = map(float, done.stdout.split())
    return seconds, peak


def show_growth() -> None:
    """Print time and memory as the points and the clusters grow, with exponents."""
    rng = np.random.default_rng(0)
    points = rng.normal(128, 50, (2_000_000, 3))
    sizes = [10_000, 50_000, 200_000, 1_000_000, 2_000_000]
    rows = [(n, 20, *cost_of_fit(points[:n], 20)) for n in sizes]
    print_growth("points", "clusters", rows)
    print()
    ks = [2, 5, 10, 20, 50, 100, 200]
    rows = [(k, 100_000, *cost_of_fit(points[:100_000], k)) for k in ks]
    print_growth("clusters", "points", rows)


def cost_of_fit(points: np.ndarray, k: int) -> tuple[float, float, int]:
    """Return the median seconds of three fits, peak bytes a point, and iterations."""
    times = []
    for seed in range(3):
        began = time.perf_counter()
        model = KMeans(k, seed=seed).fit(points)
        times.append(time.perf_counter() - began)
    tracemalloc.start()
    KMeans(k, seed=0).fit(points)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return statistics.median(times), peak / len(points), model.n_iter


def print_growth(growing: str, fixed: str, rows: list[tuple]) -> None:
    """Print one table of `show_growth` and the exponent of its growth."""
    print_row(growing, fixed, "s", "bytes a point", "iterations")
    print_row(*["---:"] * 5)
    for size, other, seconds, memory, iterations in rows:
        print_row(size, other, f"{seconds:.3f}", f"{memory:.0f}", iterations)
    sizes, _, seconds, *_ = zip(*rows, strict=True)
    exponent = np.polyfit(np.log(sizes), np.log(seconds), 1)[0]
    print(f"\nThe time grows as {growing} to the power of {exponent:.2f}.")


def print_row(*cells: object) -> None:
    """Print a row of a Markdown table."""
    print("|", " | ".join(map(str, cells)), "|", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("photos", nargs="*", type=Path, metavar="IMAGE")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument(
        "--optima",
        type=int,
        metavar="FITS",
        help="compare the inertia alone, with the best of so many fits",
    )
    options = parser.parse_args()
    photos = [*default_photos(), *(photo.resolve() for photo in options.photos)]
    if options.optima:
        with tempfile.TemporaryDirectory() as folder:
            pictures = [*photos, *save_patterns(Path(folder))]
            compare_optima(pictures, options.optima)
        sys.exit()

    print(
        f"{platform.machine()}, {os.cpu_count()} cores, Python "
        f"{platform.python_version()}, NumPy {np.__version__}, OpenCV "
        f"{cv2.__version__}, Pillow {PIL.__version__}, scikit-learn "
        f"{sklearn.__version__}; medians of {options.repeats} runs in turn.\n"
    )
    for name, fit in COMPETITORS.items():
        print(f"- {name}: {fit.__doc__}")
    print()
    compare_fits(photos, options.repeats)
    print()
    with tempfile.TemporaryDirectory() as folder:
        compare_runs([*photos, *save_patterns(Path(folder))], options.repeats)
    print()
    show_growth()
