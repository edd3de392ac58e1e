"""Measure what the README shows, and print it as Markdown tables.

``python tests/benchmark.py [IMAGE ...]`` compares the 14 fits of a default run with
other libraries, in processor time with one thread each, then measures whole runs, full
size, and how the time grows. ``--optima FITS`` measures instead how far the inertia is
above the best of so many fits; with ``--max-size 10000`` at full size. The pictures are
the sample, scikit-learn's flower, drawn ones for whole runs and optima, and IMAGE.
"""

import argparse
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import PIL
import sklearn
from PIL import Image
from sklearn.cluster import KMeans as ScikitKMeans
from sklearn.metrics import pairwise_distances_argmin_min
from threadpoolctl import threadpool_limits

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import main
from conftest import PEAK_UNIT, PROGRAM, SAMPLE
from kmeans import KMeans, Points

KS = main.DEFAULT_KS
# Runs a command and prints its processor seconds and peak MiB. It is a small process,
# because the peak of a child is never less than that of the process that started it.
METER = f"""if True:
    import os, subprocess, sys
    process = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    print(usage.ru_utime + usage.ru_stime, usage.ru_maxrss / {PEAK_UNIT})
    sys.exit(os.waitstatus_to_exitcode(status))
"""
Picture = tuple[np.ndarray, np.ndarray, np.ndarray]  # pixels, colours, their counts


def load(path: Path, max_size: int) -> Picture:
    """Read a picture as the program does; the pixels are (height, width, 3)."""
    pixels = main.resize_image(main.read_image(path, main.MAX_SIZE)[0], max_size)
    return pixels, *main.distinct_colours(pixels)[:2]


def ours(picture: Picture, seed: int) -> list[np.ndarray]:
    """Fit the distinct colours with their counts, prepared once for all k."""
    points = Points(*picture[1:])
    return [KMeans(k, seed=seed).fit(points).centroids for k in KS]


def scikit(
    points: np.ndarray, seed: int, counts: np.ndarray | None = None, loose: bool = False
) -> list[np.ndarray]:
    """Fit as float32 until all centroids together move 0.001, or by default settings.

    The default stop is a hundred times looser.
    """
    points = points.reshape(-1, 3).astype(np.float32)
    tol = 1e-4 if loose else 1e-6 / points.var(axis=0).mean()  # relative and squared
    peers = [ScikitKMeans(k, max_iter=500, tol=tol, random_state=seed) for k in KS]
    return [peer.fit(points, sample_weight=counts).cluster_centers_ for peer in peers]


def opencv(picture: Picture, seed: int) -> list[np.ndarray]:
    """Fit all pixels with cv2.kmeans, k-means++, epsilon 0.001."""
    pixels = picture[0].reshape(-1, 3).astype(np.float32)
    cv2.setRNGSeed(seed + 1)
    stop = cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 500, 0.001
    start = cv2.KMEANS_PP_CENTERS
    return [cv2.kmeans(pixels, k, None, stop, 1, start)[2] for k in KS]


def pillow(picture: Picture, seed: int) -> list[np.ndarray]:
    """Quantize the picture with median cut and k-means; there is no seed."""
    image = Image.fromarray(picture[0])
    palettes = [image.quantize(k, kmeans=1).getpalette() for k in KS]
    return [np.reshape(p[: 3 * k], (-1, 3)) for p, k in zip(palettes, KS, strict=True)]


COMPETITORS: dict[str, Callable[[Picture, int], list[np.ndarray]]] = {
    "this KMeans": ours,
    "scikit-learn, same stop, weighted colours": lambda p, s: scikit(p[1], s, p[2]),
    "scikit-learn, same stop": lambda p, s: scikit(p[0], s),
    "scikit-learn": lambda p, s: scikit(p[0], s, loose=True),
    "OpenCV": opencv,
    "Pillow": pillow,
}


def inertia(picture: Picture, centroids: np.ndarray) -> float:
    """Sum the squared distances of all pixels to the nearest centroid."""
    _, colours, counts = picture
    _, distances = pairwise_distances_argmin_min(colours.astype(float), centroids)
    return float(counts @ distances**2)


def save_patterns(folder: Path) -> list[Path]:
    """Draw pictures that are unlike photos by day, and return their files."""
    rng, (y, x) = np.random.default_rng(0), np.mgrid[:500, :500]
    stars = np.where(rng.random((500, 500, 1)) < 0.002, 180, 9)
    patterns = {
        "flat art": rng.integers(0, 256, (4, 3))[(x // 100 + y // 70) % 4],
        "greys": np.dstack([(x + y) // 4] * 3),
        "night": np.maximum(stars + rng.normal(0, 3, (500, 500, 3)), 0),
        "noise": rng.integers(0, 256, (500, 500, 3)),
    }
    for name, pixels in patterns.items():
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{name}.png")
    return [folder / f"{name}.png" for name in patterns]


def save_phone_photo(path: Path, width: int, height: int) -> None:
    """Enlarge the sample to a phone's size, with a sensor's grain."""
    grain = np.random.default_rng(0).normal(0, 3, (1000, width, 3)).astype(np.float32)
    large = cv2.resize(cv2.imread(str(SAMPLE)), (width, height), None, 0, 0, 2)
    for top in range(0, height, 1000):
        part = large[top : top + 1000]
        part[:] = np.clip(part + grain[: len(part)], 0, 255)
    cv2.imwrite(str(path), large, [cv2.IMWRITE_JPEG_QUALITY, 90])


def compare_fits(photos: list[Path], repeats: int) -> None:
    """Print each competitor's processor seconds and how good its optima are."""
    names = [f"{photo.name}, s" for photo in photos]
    duration = f"14 fits, about {20 * repeats * len(photos)} s in all"
    print_head(duration, *names, "times as long", "inertia above the best of 20, %")
    pictures = [load(photo, 500) for photo in photos]
    seeds = range(20)
    best = [
        np.min([[inertia(p, c) for c in ours(p, s)] for s in seeds], axis=0)
        for p in pictures
    ]
    first = None
    for name, fit in COMPETITORS.items():
        seconds, excess = [], []
        for picture, lowest in zip(pictures, best, strict=True):
            times = []
            for seed in range(repeats):
                began = time.process_time()
                found = fit(picture, seed)
                times.append(time.process_time() - began)
                excess.append([inertia(picture, c) for c in found] / lowest - 1)
            seconds.append(statistics.median(times))
        first = first or seconds
        ratio = statistics.geometric_mean(np.divide(seconds, first))
        print_row(name, *seconds, ratio, 100 * np.mean(excess))


def compare_optima(photos: list[Path], fits: int, max_size: int) -> None:
    """Print how far above the best known inertia the first three seeds end.

    The best known is that of so many seeds of this KMeans and of three of scikit-learn.
    """
    measures = ["mean", "95th percentile", "worst"]
    theirs = [f"scikit-learn's {measure}" for measure in measures]
    duration = f"% above the best of {fits} fits, some {fits} s a picture"
    print_head(duration, *measures, *theirs)
    everything = []
    for photo in photos:
        _, colours, counts = load(photo, max_size)
        points, first = Points(colours, counts), len(everything)
        for k in (k for k in [*KS, 100, 200] if k < len(colours)):
            found = [KMeans(k, seed=s).fit(points).inertia for s in range(fits)]
            peers = [ScikitKMeans(k, random_state=s) for s in range(min(3, fits))]
            theirs = [peer.fit(colours, None, counts).inertia_ for peer in peers]
            excess = np.array([found[:3], theirs]) / min(found + theirs) - 1
            everything.append(100 * excess)
        parts = {photo.name: everything[first:], "all so far": everything}
        for name, part in parts.items():
            if part:
                both = np.hstack(part)
                middle, high = both.mean(axis=1), np.percentile(both, 95, axis=1)
                print_row(name, *np.ravel([middle, high, both.max(axis=1)], "F"))


def measure_runs(photos: list[Path], repeats: int) -> None:
    """Print the cost of whole runs beside that of starting Python and its packages."""
    head = f"whole run, about {3 * repeats * len(photos)} s in all"
    print_head(head, "s", "starts of Python, numpy, cv2 and PIL", "peak MiB")
    start = [sys.executable, "-c", "import numpy, cv2, PIL.Image"]
    for photo in photos:
        command = [*PROGRAM, "--path", photo]
        pairs = [(measure(start), measure(command)) for _ in range(repeats + 1)]
        pairs = pairs[1:]  # the first warms the disk's cache
        seconds = statistics.median(run[0] for _, run in pairs)
        starts = statistics.median(run[0] / idle[0] for idle, run in pairs)
        print_row(photo.name, seconds, starts, max(run[1] for _, run in pairs))


def measure_full_size(folder: Path) -> None:
    """Print what a poster in 8 colours costs."""
    print_head("full size, k = 8, about 20 s in all", "s", "peak MiB")
    options = ["--max-size", "10000", "--ks", "8", "--no-label"]
    for megapixels, size in ((12, (4032, 3024)), (48, (8064, 6048))):
        save_phone_photo(folder / "phone.jpg", *size)
        costs = measure([*PROGRAM, "--path", folder / "phone.jpg", *options])
        print_row(f"{megapixels} megapixels", *costs)


def measure(command: list) -> tuple[float, float]:
    """Run a command; return its processor seconds and its peak memory in MiB."""
    with tempfile.TemporaryDirectory() as folder:
        meter = [sys.executable, "-c", METER, *command]
        done = subprocess.run(meter, cwd=folder, stdout=subprocess.PIPE, check=True)
    return tuple(map(float, done.stdout.split()))


def measure_growth() -> None:
    """Print the processor time of a fit as points and clusters grow."""
    points = np.random.default_rng(0).normal(128, 50, (2_000_000, 3))
    by_points = [(n, 20) for n in (10_000, 50_000, 200_000, 1_000_000, 2_000_000)]
    by_clusters = [(100_000, k) for k in (2, 5, 10, 20, 50, 100, 200)]
    for sizes in (by_points, by_clusters):
        print_head("points", "clusters", "s, about 30 in all", "iterations")
        for n, k in sizes:
            began = time.process_time()
            models = [KMeans(k, seed=seed).fit(points[:n]) for seed in range(3)]
            seconds = (time.process_time() - began) / 3
            print_row(n, k, seconds, statistics.mean(m.n_iter for m in models))


def print_head(*cells: str) -> None:
    """Begin a Markdown table; all but its first column are numbers."""
    print()
    print_row(*cells)
    print_row("---", *["---:"] * (len(cells) - 1))


def print_row(*cells: object) -> None:
    """Print a row of a Markdown table."""
    cells = [f"{cell:.2f}" if isinstance(cell, float) else str(cell) for cell in cells]
    print("|", " | ".join(cells), "|", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("images", nargs="*", type=Path, metavar="IMAGE")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--optima", type=int, metavar="FITS")
    parser.add_argument("--max-size", type=int, default=500, help="for --optima")
    options = parser.parse_args()
    flower = Path(sklearn.__file__).parent / "datasets" / "images" / "flower.jpg"
    photos = [SAMPLE, flower, *(image.resolve() for image in options.images)]
    packages = [np, cv2, PIL, sklearn]
    versions = [f"{package.__name__} {package.__version__}" for package in packages]
    print(f"{platform.machine()}, Python {platform.python_version()}", *versions)
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as folder, threadpool_limits(1):
        pictures = [*photos, *save_patterns(Path(folder))]
        if options.optima:
            compare_optima(pictures, options.optima, options.max_size)
        else:
            compare_fits(photos, options.repeats)
            measure_runs(pictures, options.repeats)
            measure_full_size(Path(folder))
            measure_growth()
