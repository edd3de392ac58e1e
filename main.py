"""Segment an image by colour with k-means and show how it comes back as k grows.

``python main.py --path image.jpg`` writes one frame per number of clusters to
``images/segmented-images/`` and all of them, animated, to ``images/output.gif``.
The functions stand in the order in which the data passes through them.
"""

import os
import signal
import sys
from collections.abc import Callable, Iterator

if __name__ == "__main__":

    def end_on_signals(end: Callable[[int], object]) -> None:
        """Let Ctrl-C or a kill end the run quietly, with the usual status."""
        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, lambda number, frame: end(128 + number))

    # At once: an exception would be mangled by the libraries that load below.
    end_on_signals(os._exit)
    # Products as small as ours gain nothing from more threads.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import errno
import math
import re
import secrets
import time
import warnings
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np
from PIL import (
    GifImagePlugin,
    Image,
    ImageDraw,
    ImageFont,
    ImageOps,
    TiffImagePlugin,
)

from kmeans import KMeans, Points

DEFAULT_KS = [1, 2, 3, 4, 5, 6, 8, 10, 14, 16, 20, 25, 40, 50]
LABEL_COLOURS = [(255, 255, 255), (0, 0, 0)]  # the letters and their edge
MAX_K = 256 - len(LABEL_COLOURS)  # a GIF palette has 256 places
MAX_SIZE = 500  # pixels of the longest side that is segmented
MAX_PIXELS = 250_000_000  # more than any camera makes; a larger claim is a trap
FRAME_MILLISECONDS = 750
SMALLEST_FONT = 12  # pixels; anything smaller cannot be read
CLEAR_FONT = 20  # pixels; from here on an 8 is not taken for a 6


class UnusableError(Exception):
    """A file or folder that cannot be used; its text is the user's ``error:`` line."""

    def __init__(self, path: Path | str, reason: str) -> None:
        super().__init__(printable(f"{path}: {reason}"))


@contextmanager
def blaming(path: Path | str) -> Iterator[None]:
    """Turn an error of the operating system into the user's line about this path."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or "the system gives no reason"
        raise UnusableError(path, reason) from error


def main() -> int:
    """Run the program and return its exit status."""
    if sys.stderr is None:  # closed; argparse and print would turn to stdout
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        sys.stderr = os.fdopen(2, "w")
    arguments = parse_arguments()
    try:
        run(arguments.path, arguments.ks, arguments.seed, arguments.output)
    except UnusableError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def run(path: Path, ks: list[int], seed: int, output: Path) -> None:
    """Segment the image at `path` once per k and write the frames and their GIF."""
    start = time.perf_counter()
    folder, gif = output / "segmented-images", output / "output.gif"
    refuse_to_replace(path, [gif, *(folder / f"k_{k}.jpg" for k in ks)])
    image = resize_image(read_image(path), MAX_SIZE)
    colours, counts, colour_of_pixel = distinct_colours(image)
    points = Points(colours, sample_weight=counts)
    make_folder(folder)

    frames = []
    for k in ks:
        model = KMeans(k=min(k, len(points)), seed=seed).fit(points)
        palette = np.rint(model.centroids).astype(np.uint8)
        frame = paint(palette, model.labels[colour_of_pixel].reshape(image.shape[:2]))
        decibels = psnr(image, frame)
        draw_label(frame, f"k={k}", first_colour=len(palette))
        write_whole(folder / f"k_{k}.jpg", encode_jpeg(frame))
        say(f"k_{k}.jpg".ljust(9), f"{model.n_iter:4d} iterations {decibels:6.2f} dB")
        frames.append(frame)

    encoded = encode_gif(frames)
    write_whole(gif, encoded)
    remove_other_frames(folder, ks, kept=path)
    seconds = time.perf_counter() - start
    noun = "frame" if len(frames) == 1 else "frames"
    size = f"{len(frames)} {noun}, {len(encoded) / 1000:.1f} kB"
    say(f"{gif}: {size}, made in {seconds:.2f} s")


def parse_arguments() -> argparse.Namespace:
    """Parse the command line; a wrong one ends the program with status 2."""
    parser = argparse.ArgumentParser(
        description="Segment an image by colour with k-means and show how it comes "
        "back as k grows."
    )
    parser.add_argument(
        "--path",
        type=file_path,
        metavar="IMAGE",
        default=Path("images", "input-image.jpg"),
        help="the image to segment (default: %(default)s)",
    )
    parser.add_argument(
        "--ks",
        type=cluster_number,
        nargs="+",
        metavar="K",
        default=DEFAULT_KS,
        help=f"numbers of clusters, one frame each, 1 to {MAX_K} "
        f"(default: {' '.join(map(str, DEFAULT_KS))})",
    )
    parser.add_argument(
        "--seed",
        type=seed_number,
        metavar="N",
        default=0,
        help="seed of the random start: same seed, same pictures (default: 0)",
    )
    parser.add_argument(
        "--output",
        type=file_path,
        metavar="DIR",
        default=Path("images"),
        help="folder for segmented-images/ and output.gif (default: %(default)s)",
    )
    return parser.parse_args()


def file_path(text: str) -> Path:
    """Parse ``--path`` or ``--output``; empty, as an unset variable is, is no place."""
    if text:
        return Path(text)
    raise argparse.ArgumentTypeError("is empty")


def cluster_number(text: str) -> int:
    """Parse one of the ``--ks``."""
    if text.isdecimal() and 1 <= int(text) <= MAX_K:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to {MAX_K}")


def seed_number(text: str) -> int:
    """Parse ``--seed``."""
    if text.isdecimal():
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a whole number, 0 or more")


def read_image(path: Path) -> np.ndarray:
    """Read an image file of any format, kind and size.

    Pillow decodes it: unlike OpenCV it raises an error on damaged data, and says how
    large a picture is before decoding it.

    Parameters
    ----------
    path : Path
        The file; its content decides on the format, not its name.

    Returns
    -------
    ndarray of shape (height, width, 3), uint8
        RGB, upright, transparent pixels blended over white; a large image already
        reduced, but not below twice MAX_SIZE.

    Raises
    ------
    UnusableError
        If the file cannot be read, is not an image, or is damaged or too large.

    """
    Image.MAX_IMAGE_PIXELS = MAX_PIXELS
    with open_regular_file(path) as file, silence(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            with Image.open(file) as image:
                refuse_unclear_numbers(image)
                shrink_on_load(image)
                scale_transparent_colour(image)
                image.load()
                with suppress(Exception):  # damaged EXIF does not spoil the pixels
                    ImageOps.exif_transpose(image, in_place=True)
                return flatten(image)
        except Image.UnidentifiedImageError:
            raise UnusableError(
                path,
                "is not an image this program can read; save it as JPEG or PNG "
                "(it also reads WebP, BMP, TIFF, GIF, AVIF and PPM)",
            ) from None
        except (Image.DecompressionBombWarning, Image.DecompressionBombError):
            megapixels = MAX_PIXELS // 1_000_000
            raise UnusableError(path, f"has over {megapixels} megapixels") from None
        except Exception as error:  # whatever a decoder stumbles on in damaged data
            raise UnusableError(path, f"cannot be decoded: {error}") from error


def open_regular_file(path: Path) -> BinaryIO:
    """Open a file, but no folder and no device: reading a device may never end."""
    try:
        if path.exists() and not path.is_file():
            raise UnusableError(path, "is a folder or a device, not an image file")
        return path.open("rb")
    except OSError as error:
        raise UnusableError(path, error.strerror) from error


@contextmanager
def silence() -> Iterator[None]:
    """Keep stderr clean of what the decoders' C libraries print on broken files."""
    if sys.stderr is None:  # closed: its number may belong to another file by now
        yield
        return
    stderr = os.dup(2)
    try:
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)


def refuse_unclear_numbers(image: Image.Image) -> None:
    """Raise a ValueError for a picture that Pillow would show in wrong colours.

    Its numbers have no set range, as those of floats, or it is a deep TIFF that Pillow
    decodes wrongly without a word: in separate planes, of 12 bits, or with 0 for white.
    """
    unclear = image.mode == "F"
    if image.format == "TIFF":
        tags = image.tag_v2
        bits = max(tags.get(TiffImagePlugin.BITSPERSAMPLE, [1]))
        in_planes = tags.get(TiffImagePlugin.PLANAR_CONFIGURATION) == 2
        zero_is_white = tags.get(TiffImagePlugin.PHOTOMETRIC_INTERPRETATION) == 0
        unsigned_16 = bits == 16 and image.mode != "I"
        unclear = bits > 8 and (not unsigned_16 or in_planes or zero_is_white)
    if unclear:
        raise ValueError("its numbers are of a kind not known here; save it as PNG")


def shrink_on_load(image: Image.Image) -> None:
    """Let the JPEG decoder skip detail that `resize_image` would average away.

    It can decode at a half, a quarter or an eighth; twice the working size remains.
    Other formats are left as they are.
    """
    longest = max(image.size)
    image.draft(None, [max(1, 2 * MAX_SIZE * side // longest) for side in image.size])


def scale_transparent_colour(image: Image.Image) -> None:
    """Bring the transparent colour of a PNG to 8 bits a channel, as its pixels are.

    Pillow leaves it as deep as the file.
    """
    colour = image.info.get("transparency")
    stored_as = image.tile[0][3] if image.format == "PNG" else None
    if colour is not None and stored_as in ("L;2", "L;4"):
        image.info["transparency"] = colour * {"L;2": 85, "L;4": 17}[stored_as]
    elif colour is not None and stored_as == "RGB;16B":
        image.info["transparency"] = tuple(value >> 8 for value in colour)


def flatten(image: Image.Image) -> np.ndarray:
    """Turn a picture of any mode into RGB pixels, put on white and reduced if large."""
    if image.mode.startswith("I"):
        image = from_16_bit_grey(image)
    mode = "RGBA" if image.has_transparency_data else "RGB"
    if image.mode != mode:
        image = image.convert(mode)
    image = image.reduce(max(1, max(image.size) // (2 * MAX_SIZE)))
    if image.mode == "RGBA":
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image).convert("RGB")
    return np.asarray(image)


def from_16_bit_grey(image: Image.Image) -> Image.Image:
    """Scale 16-bit grey to 8 bits, which Pillow would clip, with its transparency."""
    deep = np.asarray(image)
    grey = Image.fromarray(np.clip(deep >> 8, 0, 255).astype(np.uint8))
    transparent = image.info.get("transparency")
    if transparent is not None:
        opaque = np.where(deep == transparent, 0, 255).astype(np.uint8)
        grey.putalpha(Image.fromarray(opaque))
    return grey


def resize_image(image: np.ndarray, max_size: int = MAX_SIZE) -> np.ndarray:
    """Shrink an image so that its longest side is at most `max_size` pixels.

    Parameters
    ----------
    image : ndarray of shape (height, width, channels), uint8
    max_size : int, default=500

    Returns
    -------
    ndarray of shape (new height, new width, channels), uint8
        The same proportions, no side below 1 pixel; a small image comes back as it
        is.

    """
    height, width = image.shape[:2]
    ratio = max_size / max(height, width)
    if ratio >= 1:
        return image
    size = max(1, round(width * ratio)), max(1, round(height * ratio))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def distinct_colours(image: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find the colours of an image, so that equal pixels are clustered only once.

    Weighted by how often each occurs they pose the same k-means problem as the
    pixels, several times smaller (Celebi, "Improving the Performance of K-Means for
    Color Quantization", 2011).

    Parameters
    ----------
    image : ndarray of shape (height, width, 3), uint8

    Returns
    -------
    colours : ndarray of shape (n, 3), uint8
    counts : ndarray of shape (n,), int
        How many pixels have each colour.
    colour_of_pixel : ndarray of shape (height * width,), int
        For each pixel, row by row, the index of its colour.

    """
    red, green, blue = image.reshape(-1, 3).T.astype(np.int32)
    packed, colour_of_pixel, counts = np.unique(
        red << 16 | green << 8 | blue, return_inverse=True, return_counts=True
    )
    colours = np.stack([packed >> 16, packed >> 8 & 255, packed & 255], axis=1)
    return colours.astype(np.uint8), counts, colour_of_pixel


def paint(palette: np.ndarray, labels: np.ndarray) -> Image.Image:
    """Make the indexed image whose pixels have the palette colours of their labels.

    Parameters
    ----------
    palette : ndarray of shape (k, 3), uint8
    labels : ndarray of shape (height, width), int

    Returns
    -------
    Image
        Mode "P": the k colours of the palette, then LABEL_COLOURS.

    """
    frame = Image.fromarray(labels.astype(np.uint8)).convert("P")
    frame.putpalette(np.vstack([palette, LABEL_COLOURS]).astype(np.uint8).tobytes())
    return frame


def psnr(image: np.ndarray, frame: Image.Image) -> float:
    """Tell how close a frame, not yet labelled, is to the image.

    Parameters
    ----------
    image : ndarray of shape (height, width, 3), uint8
    frame : Image
        Mode "P", of the same size.

    Returns
    -------
    float
        Peak signal-to-noise ratio in dB, infinite where there is no difference.

    """
    painted = np.asarray(frame.convert("RGB"))
    error = cv2.norm(image, painted, cv2.NORM_L2SQR) / image.size
    return 10 * math.log10(255**2 / error) if error else math.inf


def draw_label(frame: Image.Image, text: str, first_colour: int) -> None:
    """Draw the text at the top of an indexed frame, unless it cannot be read there.

    Parameters
    ----------
    frame : Image
        Mode "P", drawn upon.
    text : str
    first_colour : int
        Where LABEL_COLOURS begin in the frame's palette.

    """
    shortest = min(frame.size)
    size = max(SMALLEST_FONT, min(CLEAR_FONT, shortest * 3 // 10), shortest // 10)
    font = ImageFont.load_default(size)
    edge = max(1, size // 12)
    draw = ImageDraw.Draw(frame)
    draw.fontmode = "1"  # no smoothing: it would need more colours
    left, top, right, bottom = draw.textbbox((0, 0), text, font, stroke_width=edge)
    x = (frame.width - (right - left)) // 2
    y = max(2, shortest // 40)
    if x >= 1 and y + bottom - top <= frame.height // 2:
        draw.text(
            (x - left, y - top),
            text,
            font=font,
            fill=first_colour,
            stroke_width=edge,
            stroke_fill=first_colour + 1,
        )


def encode_jpeg(frame: Image.Image) -> bytes:
    """Encode a frame at high quality, its colours not subsampled (4:4:4)."""
    buffer = BytesIO()
    frame.convert("RGB").save(buffer, "JPEG", quality=95, subsampling=0)
    return buffer.getvalue()


def encode_gif(frames: list[Image.Image]) -> bytes:
    """Assemble indexed frames, exactly as they are, into an endless animation.

    Each becomes a block of its own with its own palette. ``Image.save`` would merge
    two equal frames into one.
    """
    blocks, _ = GifImagePlugin.getheader(frames[0], info={"loop": 0})
    for frame in frames:
        blocks += GifImagePlugin.getdata(
            frame, duration=FRAME_MILLISECONDS, include_color_table=True
        )
    return b"".join(blocks) + b";"


def refuse_to_replace(path: Path, results: list[Path]) -> None:
    """Make sure that no result would take the place of the input, also by a link."""
    for result in results:
        with suppress(OSError):  # one of them is not there, or cannot be used anyway
            if result.samefile(path):
                reason = f"is where the result {result} goes; choose another --output"
                raise UnusableError(path, reason)


def make_folder(folder: Path) -> None:
    """Make sure that a folder exists."""
    with blaming(folder):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError):
            reason = "a file is in the place of this folder"
            raise UnusableError(folder, reason) from None


def write_whole(path: Path, data: bytes) -> None:
    """Write a file so that it is never seen half written: beside it, then renamed."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with blaming(path):
            temporary.write_bytes(data)
            temporary.replace(path)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def remove_other_frames(folder: Path, ks: list[int], kept: Path) -> None:
    """Remove the frames of earlier runs: each ``k_<number>.jpg`` not of these ks.

    A frame that is the file `kept`, the input, stays.
    """
    written = {f"k_{k}.jpg" for k in ks}
    for path in folder.glob("k_*.jpg"):
        earlier = re.fullmatch(r"k_[1-9][0-9]*\.jpg", path.name) and path.is_file()
        if earlier and path.name not in written:
            with blaming(path):
                if not path.samefile(kept):
                    path.unlink(missing_ok=True)


def say(*words: str) -> None:
    """Print a line at once; end quietly when nobody reads on, as in ``| head -1``."""
    try:
        print(printable(" ".join(words)), flush=True)
    except OSError as error:
        # Else Python would try to print the rest, and complain, once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if error.errno in (errno.EPIPE, errno.EINVAL):  # Windows knows no EPIPE
            sys.exit(141)
        with blaming("standard output"):
            raise


def printable(text: str) -> str:
    """Escape what would break a line or what the console cannot show."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    text = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
    return text.encode(encoding, "backslashreplace").decode(encoding)


if __name__ == "__main__":
    end_on_signals(sys.exit)  # an exception, so that a temporary file is cleared away
    try:
        status = main()
    finally:
        end_on_signals(os._exit)  # an exception is noisy while Python shuts down
    sys.exit(status)
