"""Segment an image by colour with k-means and show how it comes back as k grows.

``python main.py --path image.jpg`` writes one frame per number of clusters to
``images/segmented-images/`` and all of them, animated, to ``images/output.gif``.
`run` is the whole way of the data; below it stand its stations: the command line,
reading, segmenting, the label and writing, and last the words for what goes wrong.
"""

import os
import signal
import sys

if sys.version_info < (3, 10):  # noqa: UP036 - else it ends in a TypeError below
    sys.exit("error: this program needs Python 3.10 or newer")
if __name__ == "__main__":
    ctrl_c_handler = signal.getsignal(signal.SIGINT)
    if ctrl_c_handler is signal.default_int_handler:
        # Until `main` runs, end at once: the libraries would mangle an exception.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    # Matrix products as small as ours gain nothing from more threads.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import errno
import math
import secrets
import stat
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, suppress
from importlib.util import find_spec
from io import BufferedReader, BytesIO
from pathlib import Path
from time import perf_counter
from types import ModuleType
from typing import TextIO

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFile, ImageFont, ImageOps, PngImagePlugin
from PIL.ExifTags import Base

from kmeans import KMeans, Points

DEFAULT_KS = [1, 2, 3, 4, 5, 6, 8, 10, 14, 16, 20, 25, 40, 50]
LABEL_COLOURS = [(255, 255, 255), (0, 0, 0)]  # the letters and their edge
MAX_K = 256 - len(LABEL_COLOURS)  # a GIF palette has 256 places
DEFAULT_SIZE = 500  # pixels of the longest side of a frame
MAX_SIZE = 10_000
FRAME_MILLISECONDS = 750


def main() -> int:
    """Run the program and return its exit status."""
    # Where stderr is closed, argparse and print would turn to stdout instead.
    with redirect_stderr(sys.stderr or Path(os.devnull).open("w")):
        try:
            run(**vars(parse_arguments()))
            return 0
        except UnusableError as error:
            reason = str(error)
        except MemoryError:
            reason = "there is too little memory for such frames; lower --max-size"
        except KeyboardInterrupt:
            return 130
        print(printable(f"error: {reason}", sys.stderr), file=sys.stderr)
        return 1


def run(
    path: Path,
    ks: list[int],
    max_size: int,
    seed: int,
    output: Path,
    label: bool = True,
    palette: bool = False,
) -> None:
    """Segment the image at `path` once per k and write the frames and their GIF."""
    start = perf_counter()
    folder, gif = output / "segmented-images", output / "output.gif"
    frame_paths = {k: folder / f"k_{k}.jpg" for k in range(1, MAX_K + 1)}
    refuse_to_replace(path, [gif, *(frame_paths[k] for k in ks)])
    image = read_image(path, max_size)
    colours, counts, colour_of_pixel = distinct_colours(image)
    points = Points(colours, sample_weight=counts)
    labels = make_labels(ks, image.shape) if label else {}
    with errors_naming(folder):
        folder.mkdir(parents=True, exist_ok=True)
    if len(colours) < max(ks):
        say(
            f"{plural(len(colours), 'colour')} in all: from k={len(colours)} on, the "
            "frames are the image itself (shrunk, and on white where transparent)"
        )

    frames = []
    for k in ks:
        model = KMeans(k=min(k, len(colours)), seed=seed).fit(points)
        shown = np.rint(model.centroids).astype(np.uint8)
        cluster_of_pixel = model.labels.astype(np.uint8)[colour_of_pixel]
        frame = paint(shown, cluster_of_pixel.reshape(image.shape[:2]))
        decibels = psnr(image, frame)
        if labels:
            draw_label(frame, *labels[k], first_colour=len(shown))
        write_whole(frame_paths[k], encode_jpeg(frame))
        name = frame_paths[k].name
        say(f"{name:9} {model.n_iter:4d} iterations {decibels:6.2f} dB")
        if palette:
            shares = np.bincount(cluster_of_pixel) / cluster_of_pixel.size
            for share, colour in sorted(zip(-shares, shown.tolist(), strict=True)):
                say(f"  #{bytes(colour).hex()} {-100 * share:5.1f} %")
        frames.append(frame)

    encoded = encode_gif(frames)
    write_whole(gif, encoded)
    remove_frames([frame_paths[k] for k in frame_paths.keys() - set(ks)], kept=path)
    size = f"{plural(len(frames), 'frame')}, {len(encoded) / 1000:.1f} kB"
    say(f"{gif}: {size}, made in {perf_counter() - start:.2f} s")


# The command line


def parse_arguments() -> argparse.Namespace:
    """Parse the command line; a wrong one ends the program with status 2."""
    parser = argparse.ArgumentParser(
        description="Segment an image by colour with k-means and show how it comes "
        "back as k grows.",
        epilog="example: python main.py --path photo.jpg --ks 2 4 8 --output results",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        argument_default=argparse.SUPPRESS,  # so that no flag is "(default: True)"
        allow_abbrev=False,
    )
    several = "; several are given as --ks 2 4 8, the image as --path IMAGE"
    add = parser.add_argument
    add("--path", type=file_path, metavar="IMAGE", help="the image to segment")
    add(
        "--ks",
        type=whole_number(1, MAX_K, several),
        nargs="+",
        metavar="K",
        help=f"numbers of clusters from 1 to {MAX_K}, one frame each",
    )
    add(
        "--max-size",
        type=whole_number(1, MAX_SIZE),
        metavar="N",
        help="shrink the image to this many pixels, if its longest side has more",
    )
    add("--seed", type=whole_number(0), metavar="N", help="seed of the random start")
    add("--output", type=folder_path, metavar="DIR", help="the folder for the results")
    add(
        "--no-label",
        dest="label",
        action="store_false",
        help="leave k=... off the frames",
    )
    add("--palette", action="store_true", help="print each frame's colours and shares")
    parser.set_defaults(path=Path("images", "input-image.jpg"), output=Path("images"))
    parser.set_defaults(ks=DEFAULT_KS, max_size=DEFAULT_SIZE, seed=0)
    arguments, strays = parser.parse_known_args()
    if strays:
        parser.error(
            f"unrecognized arguments: {printable(' '.join(strays), sys.stderr)}; the "
            "image is given as --path IMAGE, in quotes if there are spaces in its name"
        )
    return arguments


def file_path(text: str) -> Path:
    """Parse ``--path``; an empty one, as of a variable that is not set, is no place."""
    if text:
        return Path(text)
    raise argparse.ArgumentTypeError("is empty")


def folder_path(text: str) -> Path:
    """Parse ``--output``, and tell who names the picture they expect there."""
    folder = file_path(text)
    if Image.registered_extensions().get(folder.suffix.lower()) in FORMATS:
        with suppress(OSError):  # no such name can be asked about, nor made
            if folder.is_dir():
                return folder
        raise argparse.ArgumentTypeError(
            f"{text!r} names a picture; give a folder, where output.gif is to be made"
        )
    return folder


def whole_number(
    least: int, most: float = math.inf, hint: str = ""
) -> Callable[[str], int]:
    """Make a parser of whole numbers; its error lines end with the hint."""
    wanted = f"from {least} to {most}" if most < math.inf else f"{least} or more"

    def parse(text: str) -> int:
        with suppress(ValueError):  # as from a number of 5,000 digits
            if text.isdecimal() and least <= int(text) <= most:
                return int(text)
        raise argparse.ArgumentTypeError(f"{text!r} is not a number {wanted}{hint}")

    return parse


# Reading
#
# Pillow decodes: unlike OpenCV it raises errors, and tells the size before the pixels.
# It leaves open which files reach it, what they may cost, and what their numbers mean.

# Only these: some of Pillow's forty other formats start programs or never end.
FORMATS = ["JPEG", "PNG", "GIF", "BMP", "PPM", "WEBP", "TIFF"]
if find_spec("PIL.AvifImagePlugin"):  # from Pillow 11.3 on
    FORMATS.append("AVIF")
MAX_SECONDS = 8  # of computing; the rest of a run takes at most 2
MAX_MEMORY = 930_000_000  # bytes; with the program's own 100 million, a GiB
MAX_PIXELS = 220_000_000  # 880 MB at 4 bytes each
MAX_WEBP_PIXELS = 55_000_000  # and of AVIF, which are decoded in one piece
TOO_LARGE = f"has over {MAX_PIXELS:,} pixels; save it smaller"
DAMAGED = "cannot be decoded: it is damaged, not complete, too large or of a rare kind"
NOT_AN_IMAGE = (
    "is not an image this program can read; save it as JPEG or PNG, and export a "
    f"phone's HEIC photo as JPEG (it also reads {', '.join(FORMATS[2:])})"
)


def read_image(path: Path, max_size: int = DEFAULT_SIZE) -> np.ndarray:
    """Read an image file within these limits, in the format that its content has.

    Parameters
    ----------
    path : Path
    max_size : int, default=500
        Pixels of the longest side that comes back, at most.

    Returns
    -------
    ndarray of shape (height, width, 3), uint8
        sRGB, upright, transparent pixels blended over white.

    Raises
    ------
    UnusableError
        If the file cannot be read, is not an image, or is damaged or too large.

    """
    with errors_naming(path), silence():
        with open_file(path) as file, bounded_cost(), explaining_errors():
            picture, size, info = decode(file, max_size)
        return turn_upright(resize_image(np.asarray(picture), max_size, size), info)


def open_file(path: Path) -> BufferedReader:
    """Open a file, but nothing else: reading a pipe or a device may never end."""
    if stat.S_ISREG(path.stat().st_mode):
        return path.open("rb")
    raise UnusableError("is a folder, a pipe or a device, not an image file")


@contextmanager
def silence() -> Iterator[None]:
    """Keep stderr clean of warnings, and of what the decoders' C libraries print."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            stderr = os.dup(2)
        except OSError:  # nothing is open there, as in IDLE on Windows
            yield
            return
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


@contextmanager
def bounded_cost() -> Iterator[None]:
    """Let decoding cost no more than MAX_MEMORY and MAX_SECONDS of computing.

    Waiting for a slow disk does not count. Only Linux limits memory, Windows not even
    time: there MAX_PIXELS alone protects. It works in the main thread only.
    """
    if os.name == "nt":
        yield
        return
    import resource

    def give_up(number: int, frame: object) -> None:
        raise UnusableError(f"takes over {MAX_SECONDS} s to decode; save it anew")

    limits = resource.getrlimit(resource.RLIMIT_DATA)
    handler = signal.signal(signal.SIGPROF, give_up)
    try:
        with suppress(OSError):  # only Linux tells how much is held, in pages
            held = int(Path("/proc/self/statm").read_text().split()[5])
            most = [held * resource.getpagesize() + MAX_MEMORY, *limits]
            most = min(bound for bound in most if bound != resource.RLIM_INFINITY)
            resource.setrlimit(resource.RLIMIT_DATA, (most, limits[1]))
        # Again every second, as Pillow may take the first for damage and go on.
        signal.setitimer(signal.ITIMER_PROF, MAX_SECONDS, 1)
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, handler)
        resource.setrlimit(resource.RLIMIT_DATA, limits)


@contextmanager
def explaining_errors() -> Iterator[None]:
    """Turn whatever a decoder stumbles on into words."""
    try:
        yield
    except (UnusableError, MemoryError):
        raise
    except Image.UnidentifiedImageError:
        raise UnusableError(NOT_AN_IMAGE) from None
    except Image.DecompressionBombError:
        raise UnusableError(TOO_LARGE) from None
    except Exception:
        raise UnusableError(DAMAGED) from None


@contextmanager
def switched(module: ModuleType, **values: object) -> Iterator[None]:
    """Set switches of a library, and put them back for whoever else uses it."""
    before = {name: getattr(module, name) for name in values}
    try:
        vars(module).update(values)
        yield
    finally:
        vars(module).update(before)


def decode(
    file: BufferedReader, max_size: int
) -> tuple[Image.Image, tuple[int, int], dict]:
    """Decode a picture into sRGB, reduced to no less than what `max_size` needs.

    Returns it with its original size, and with its info, which tells how to turn it.

    Draft comes before load, as it tells the JPEG decoder what to skip. The profile is
    for the colours as they are stored, so it comes before white is blended in.
    """
    text = {"MAX_TEXT_CHUNK": MAX_MEMORY // 8, "MAX_TEXT_MEMORY": MAX_MEMORY // 8}
    with (
        switched(PngImagePlugin, **text),
        switched(Image, MAX_IMAGE_PIXELS=MAX_PIXELS // 2),  # it refuses the double
        open_picture(file) as image,
    ):
        refuse_what_pillow_shows_wrong(image)
        image.info.pop("xmp", None)  # else load lets it decide how to turn a TIFF
        size = image.size
        drafted = image.draft(None, size_needed(size, max_size))
        image.load()
        if drafted:  # the last block of a JPEG may be padding: only whole ones count
            whole = tuple(map(int, drafted[1][2:]))
        else:
            whole = size = image.size  # load has turned a TIFF upright
        reduced = average_blocks(to_plain_mode(image), whole, max_size)
        return to_srgb(reduced, image.info.get("icc_profile")), size, image.info


def open_picture(file: BufferedReader) -> Image.Image:
    """Open a picture, whatever is wrong with its text, to be read in small blocks."""
    with switched(ImageFile, LOAD_TRUNCATED_IMAGES=True, MAXBLOCK=4096):
        image = Image.open(file, formats=FORMATS)
    if image.format in ("WEBP", "AVIF"):  # with too little memory, Pillow 10 crashes
        held = 2 * os.fstat(file.fileno()).st_size + 16 * math.prod(image.size)
        if held > 16 * MAX_WEBP_PIXELS:
            raise MemoryError
    return image


def refuse_what_pillow_shows_wrong(image: Image.Image) -> None:
    """Raise UnusableError for what was not seen to be right in Pillow 10.1 to 13."""
    if image.format == "TIFF":
        tag, compression = image.tag_v2.get, image.info["compression"]
        meaning = tag(Base.PhotometricInterpretation, 0)
        bits, extra = set(tag(Base.BitsPerSample, (1,))), tag(Base.ExtraSamples, ())
        chroma = image.mode, tag(Base.YCbCrSubSampling)
        right = (
            tag(Base.NewSubfileType, 0) in (0, 2)  # not a thumbnail of what follows
            and tag(Base.SubfileType, 1) != 2
            and compression != "tiff_jpeg"  # of before 1995: grey where it is cut
            and bits in ({1}, {2}, {4}, {8}, {16})
            and set(tag(Base.SampleFormat, (1,))) == {1}  # no signs, no floats
            and tag(Base.InkSet, 1) == 1  # cyan, magenta, yellow, black
            and (meaning != 0 or bits != {16})  # 0 for white
            and (meaning != 6 or compression == "jpeg" or chroma == ("YCbCr", (1, 1)))
            # https://github.com/python-pillow/Pillow/issues/2157: palettes of 8 bits
            and max(tag(Base.ColorMap, (256,))) > 255
            and (
                tag(Base.PlanarConfiguration, 1) == 1
                or (meaning in (1, 2, 3, 5) and bits == {8} and set(extra) <= {2})
            )
        )
    else:  # of PPM no floats, nor what only Pillow writes
        right = image.format != "PPM" or image.mode in ("1", "L", "I", "I;16", "RGB")
    if not right:
        raise UnusableError("has numbers of a kind not known here; save it as PNG")


def size_needed(size: tuple[int, int], max_size: int) -> tuple[int, int]:
    """Tell down to which size detail may be skipped before the exact resizing.

    Twice the final size is enough, and 100 pixels for the shorter side: what does not
    fill the last block is lost, and shall be less than a hundredth.
    """
    return tuple(max(100, 2 * max_size * side // max(size)) for side in size)


def to_plain_mode(image: Image.Image) -> Image.Image:
    """Turn a loaded picture of any mode into "L", "LA", "RGB", "RGBA" or "CMYK"."""
    if image.mode.startswith("I"):  # 16 bits of grey, of which the upper 8 are enough
        # Pillow 13 would clip it: https://github.com/python-pillow/Pillow/issues/3011
        deep, transparent = np.asarray(image), image.info.get("transparency")
        image = Image.fromarray((deep >> 8).astype(np.uint8))
        if transparent is not None:
            image.putalpha(Image.fromarray(deep != transparent))
    mode = "L" if image.mode in ("1", "L", "LA", "La") else "RGB"
    if image.has_transparency_data:
        mode += "A"
    return image if image.mode in (mode, "CMYK") else image.convert(mode)


def average_blocks(
    image: Image.Image, whole: tuple[int, int], max_size: int
) -> Image.Image:
    """Reduce the upper left part, `whole`, by blocks, as far as `max_size` allows.

    A block at the edge that is not full would weigh as much as others: it is left out.
    """
    (width, height), needed = whole, size_needed(whole, max_size)
    across, down = max(1, width // needed[0]), max(1, height // needed[1])
    box = (0, 0, width - width % across, height - height % down)
    return image.reduce((across, down), box)


def to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Apply an embedded colour profile, and blend what is transparent over white.

    A profile that is damaged, or for another mode than the picture's, is left aside.
    """
    alpha = image.getchannel("A") if image.mode.endswith("A") else None
    colours = image.convert(image.mode.rstrip("A"))
    if profile:
        try:
            from PIL import ImageCms  # here, as few files need it

            # Perceptual, the default intent, is what browsers use.
            srgb = ImageCms.createProfile("sRGB")
            colours = ImageCms.profileToProfile(
                colours, BytesIO(profile), srgb, outputMode="RGB"
            )
        except (UnusableError, MemoryError):
            raise
        except Exception:  # also that of a Pillow without the library for profiles
            pass
    white = Image.new("RGB", image.size, "white")
    white.paste(colours.convert("RGB"), mask=alpha)
    return white


def resize_image(
    image: np.ndarray,
    max_size: int = DEFAULT_SIZE,
    original: tuple[int, int] | None = None,
) -> np.ndarray:
    """Shrink an image so that its longest side is at most `max_size` pixels.

    Parameters
    ----------
    image : ndarray of shape (height, width, channels), uint8
    max_size : int, default=500
    original : (width, height), optional
        The sides that the new size is computed from, where an image has already been
        reduced; by default its own.

    Returns
    -------
    ndarray of shape (new height, new width, channels), uint8
        The same proportions, no side below 1 pixel; a small image comes back as it is.

    """
    width, height = original or image.shape[1::-1]
    ratio = max_size / max(width, height)
    if ratio >= 1:
        return image
    size = max(1, round(width * ratio)), max(1, round(height * ratio))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def turn_upright(pixels: np.ndarray, info: dict) -> np.ndarray:
    """Turn a picture as its EXIF data, if sound, say how the camera was held."""
    image = Image.fromarray(pixels)
    exif = ("exif", "Raw profile type exif")  # and no XMP, which may contradict it
    image.info = {name: info[name] for name in exif if name in info}
    with suppress(Exception):
        ImageOps.exif_transpose(image, in_place=True)
    return np.asarray(image)


# Segmenting


def distinct_colours(image: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find the colours of an image, so that equal pixels are clustered only once.

    Weighted by how often each occurs they pose the same k-means problem as the pixels,
    several times smaller (Celebi, "Improving the Performance of K-Means for Color
    Quantization", 2011).

    From (height, width, 3) uint8 it returns the colours, (n, 3) uint8, how many pixels
    have each, (n,), and for each pixel, row by row, the index of its colour.
    """
    red, green, blue = image.reshape(-1, 3).T.astype(np.int32)
    packed, colour_of_pixel, counts = np.unique(
        red << 16 | green << 8 | blue, return_inverse=True, return_counts=True
    )
    colours = np.stack([packed >> 16, packed >> 8 & 255, packed & 255], axis=1)
    return colours.astype(np.uint8), counts, colour_of_pixel


def paint(palette: np.ndarray, labels: np.ndarray) -> Image.Image:
    """Make an indexed image of a palette, (k, 3) uint8, and labels, (height, width).

    Its own palette has these k colours, and then LABEL_COLOURS.
    """
    frame = Image.fromarray(labels).convert("P")
    frame.putpalette(np.vstack([palette, LABEL_COLOURS]).astype(np.uint8).tobytes())
    return frame


def psnr(image: np.ndarray, frame: Image.Image) -> float:
    """Tell the decibels between the image and a frame that has no label yet, or inf."""
    painted = np.asarray(frame.convert("RGB"))
    return cv2.PSNR(image, painted) if (image != painted).any() else math.inf


# The label

SMALLEST_FONT = 12  # pixels; anything smaller cannot be read
CLEAR_FONT = 20  # pixels; from here on an 8 is not taken for a 6


def make_labels(
    ks: list[int], shape: tuple[int, ...]
) -> dict[int, tuple[Image.Image, Image.Image]]:
    """Make the label of each k, in the largest font in which all fit on the frames.

    `shape` is that of the frames, (height, width, ...). Where no font is small enough
    there are no labels: all frames have one or none has.
    """
    height, width = shape[:2]
    shorter = min(height, width)
    for size in range(max(CLEAR_FONT, shorter // 10), SMALLEST_FONT - 1, -1):
        labels = {k: make_label(f"k={k}", size, max(2, shorter // 40)) for k in ks}
        edges = [edge for _, edge in labels.values()]
        if all(edge.width <= width - 2 and edge.height <= height / 3 for edge in edges):
            return labels
    return {}


def make_label(text: str, size: int, above: int) -> tuple[Image.Image, Image.Image]:
    """Make the letters of a label and their edge: two masks, with some pixels above.

    They are either on or off: in between, Pillow would mix the numbers of the colours.
    The edge is not Pillow's own stroke, which differs from version to version.
    """
    font, thickness = ImageFont.load_default(size), size // SMALLEST_FONT
    left, top, right, bottom = font.getbbox(text)
    x, y = thickness - left, thickness - top + above
    letters = Image.new("L", (x + right + thickness, y + bottom + thickness))
    ImageDraw.Draw(letters).text((x, y), text, 255, font)
    is_on = np.asarray(letters) > 127
    around = np.ones((2 * thickness + 1, 2 * thickness + 1), np.uint8)
    edge = cv2.dilate(is_on.astype(np.uint8), around) > 0
    return Image.fromarray(is_on), Image.fromarray(edge)


def draw_label(
    frame: Image.Image, letters: Image.Image, edge: Image.Image, first_colour: int
) -> None:
    """Draw a label on an indexed frame, whose LABEL_COLOURS begin at `first_colour`."""
    place = (frame.width - edge.width) // 2, 0
    frame.paste(first_colour + 1, place, edge)
    frame.paste(first_colour, place, letters)


# Writing


def encode_jpeg(frame: Image.Image) -> bytes:
    """Encode a frame at high quality, its colours not subsampled (4:4:4)."""
    buffer = BytesIO()
    frame.convert("RGB").save(buffer, "JPEG", quality=95, subsampling=0)
    return buffer.getvalue()


def encode_gif(frames: list[Image.Image]) -> bytes:
    """Assemble indexed frames, each with its own palette, into an endless animation."""
    buffer = BytesIO()
    frames[0].save(
        buffer,
        "GIF",
        save_all=True,
        append_images=frames[1:],
        duration=FRAME_MILLISECONDS,
        loop=0,
    )
    return buffer.getvalue()


def refuse_to_replace(path: Path, results: list[Path]) -> None:
    """Make sure that no result would take the place of the input, also by a link."""
    for result in results:
        with suppress(OSError):  # one of them is not there, or cannot be used anyway
            if result.samefile(path):
                reason = f"{result} would replace it; choose another --output"
                raise UnusableError(f"{path}: {reason}")


def write_whole(path: Path, data: bytes) -> None:
    """Write a file so that it is never seen half written: beside it, then renamed."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with errors_naming(path):
            temporary.write_bytes(data)
            temporary.replace(path)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def remove_frames(frames: list[Path], kept: Path) -> None:
    """Remove the frames that only earlier runs have made, but not the input, `kept`."""
    for path in frames:
        # One of them may have gone by now: another run's frame, or the input.
        with errors_naming(path), suppress(FileNotFoundError):
            if path.is_file() and not path.samefile(kept):
                path.unlink()


# What goes wrong, and what is said


class UnusableError(Exception):
    """What cannot be used, and why: the text of the user's ``error:`` line."""


@contextmanager
def errors_naming(path: Path) -> Iterator[None]:
    """Turn what goes wrong into the user's line about this path."""
    try:
        yield
    except UnusableError as error:
        raise UnusableError(f"{path}: {error}") from error
    except MemoryError as error:
        raise UnusableError(f"{path}: needs more memory than it may have") from error
    except OSError as error:
        reason = error.strerror or "the system gives no reason"
        raise UnusableError(f"{path}: {reason}") from error


def say(line: str) -> None:
    """Print a line at once; end quietly when nobody reads on, as in ``| head -1``."""
    try:
        print(printable(line, sys.stdout), flush=True)
    except OSError as error:
        # Else Python would try to print the rest, and complain, once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if error.errno in (errno.EPIPE, errno.EINVAL):  # Windows knows no EPIPE
            sys.exit(141)
        with errors_naming(Path("standard output")):
            raise


def printable(text: str, stream: TextIO | None) -> str:
    """Escape what would break a line, and what the stream cannot show."""
    text = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
    encoding = getattr(stream, "encoding", None) or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


def plural(number: int, noun: str) -> str:
    """Put a number before its noun."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


if __name__ == "__main__":
    # An exception again, if it was one: no temporary file is left behind.
    signal.signal(signal.SIGINT, ctrl_c_handler)
    sys.exit(main())
