"""What the tests share: the sample, ways to run the program, and its pictures."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import numpy as np
import pytest
from PIL import Image

import main

# A job in the background ignores Ctrl-C, and so would all that it starts.
signal.signal(signal.SIGINT, signal.default_int_handler)
PROJECT = Path(__file__).resolve().parent.parent
SAMPLE = PROJECT / "images" / "input-image.jpg"
PROGRAM = [sys.executable, PROJECT / "main.py"]
PEAK_UNIT = 2**20 if sys.platform == "darwin" else 2**10  # of `ru_maxrss`, in MiB
NOISE = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """End a test that hangs; all others take a few seconds at most."""
    for item in items:
        item.add_marker(pytest.mark.timeout(120))


@dataclass
class Outcome:
    """How a run ended: its exit status and what it printed."""

    status: int
    out: str
    err: str


@dataclass
class Pictures:
    """The pictures in an output folder, whoever made them."""

    folder: Path

    def files(self) -> dict[str, bytes]:
        """Content of every file, by its path within the folder."""
        return {
            path.relative_to(self.folder).as_posix(): path.read_bytes()
            for path in sorted(self.folder.rglob("*"))
            if path.is_file()
        }

    def frame_path(self, k: int, form: str = "jpg") -> Path:
        """Path of the frame of k."""
        return self.folder / "segmented-images" / f"k_{k}.{form}"

    def frame(self, k: int, form: str = "jpg") -> np.ndarray:
        """RGB pixels of the frame of k."""
        with Image.open(self.frame_path(k, form)) as image:
            return np.asarray(image.convert("RGB"))

    def gif(self, name: str = "output.gif") -> list[np.ndarray]:
        """RGB pixels of an endless animation, one frame for each 750 ms."""
        with Image.open(self.folder / name) as gif:
            frames = []
            for i in range(gif.n_frames):
                gif.seek(i)
                assert gif.n_frames == 1 or gif.info["loop"] == 0
                shown, rest = divmod(gif.info["duration"], main.FRAME_MILLISECONDS)
                assert shown and not rest
                frames += [np.asarray(gif.convert("RGB"))] * shown
        return frames


@pytest.fixture
def pictures(tmp_path: Path) -> Pictures:
    """Return what a run leaves in the default output folder."""
    return Pictures(tmp_path / "images")


@pytest.fixture
def call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> Callable[..., Outcome]:
    """Run the program inside this process, in an empty folder.

    This is much faster than `run`, which is for signals, streams and exit statuses.
    """

    def call(*arguments: object) -> Outcome:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["main.py", *map(str, arguments)])
        capsys.readouterr()
        try:
            status = main.main()
        except SystemExit as end:  # as from argparse
            status = end.code
        return Outcome(status, *capsys.readouterr())

    return call


@pytest.fixture
def make(call: Callable[..., Outcome]) -> Callable[..., list[str]]:
    """Make the pictures of an image, and return the lines that the program prints."""

    def make(*arguments: object, image: object = SAMPLE) -> list[str]:
        done = call("--path", image, *arguments)
        assert (done.status, done.err) == (0, "")
        return done.out.splitlines()

    return make


@pytest.fixture
def paint(
    make: Callable[..., list[str]], pictures: Pictures, tmp_path: Path
) -> Callable[..., tuple[list[np.ndarray], list[str]]]:
    """Make the pictures of these pixels; return the GIF's frames and the lines."""

    def paint(pixels: np.ndarray, *arguments: object) -> tuple:
        lines = make(*arguments, image=save(tmp_path / "in.png", pixels))
        return pictures.gif(), lines

    return paint


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen]]:
    """Start the program, or another command, in an empty folder, without waiting.

    Other keywords become variables of its environment. It is killed when the test ends,
    also by its time limit.
    """
    with ExitStack() as stack:

        def call(
            *arguments: object,
            command: Sequence = PROGRAM,
            stdout: int | TextIO = subprocess.PIPE,
            **variables: str,
        ) -> subprocess.Popen:
            process = subprocess.Popen(
                [*command, *map(str, arguments)],
                cwd=tmp_path,
                env=os.environ | {"PYTHONUNBUFFERED": ""} | variables,
                stdout=stdout,
                stderr=subprocess.PIPE,
                text=True,
                encoding="utf-8",
            )
            stack.enter_context(process)  # closes its pipes and waits for its end
            stack.callback(process.kill)
            return process

        yield call


@pytest.fixture
def run(start: Callable[..., subprocess.Popen]) -> Callable[..., Outcome]:
    """Start the program as `start` does and wait until it ends."""

    def call(*arguments: object, **options: object) -> Outcome:
        process = start(*arguments, **options)
        out, err = process.communicate()
        sys.stderr.write(err)  # pytest shows it where the test fails
        return Outcome(process.returncode, out, err)

    return call


def small_photo(width: int = 120, height: int = 90) -> np.ndarray:
    """Return the sample, made small, as RGB pixels."""
    with Image.open(SAMPLE) as image:
        return np.asarray(image.resize((width, height), Image.Resampling.BOX))


def save(path: Path, pixels: np.ndarray, **options: object) -> Path:
    """Write pixels with Pillow and return the path."""
    Image.fromarray(pixels).save(path, **options)
    return path


def decibels(a: np.ndarray, b: np.ndarray) -> float:
    """Return the peak signal-to-noise ratio of two pictures."""
    error = np.square(a.astype(float) - b).mean()
    return 10 * np.log10(255**2 / error) if error else np.inf


def assert_one_error_line(outcome: Outcome, mention: object) -> None:
    """Check for exit status 1 and one line on stderr that names the culprit."""
    assert outcome.status == 1, outcome.err
    assert outcome.err.startswith("error: ") and outcome.err.count("\n") == 1
    assert str(mention) in outcome.err
