"""Segment an image by colour with k-means and show how it comes back as k grows.

``python main.py --path image.jpg`` writes one frame per number of clusters to
``images/segmented-images/`` and all of them, animated, to ``images/output.gif``.
`run` is the whole way of the data; below it stand its stations: the command line,
reading, segmenting, the label, writing, the words for what goes wrong, and what only
damaged files need.
"""

import os
import signal
import sys

if sys.version_info < (3, 10):  # noqa: UP036 - else it ends in a TypeError below
    sys.exit("error: this program needs Python 3.10 or newer")
if __name__ == "__main__":
    if signal.getsignal(signal.SIGINT) != signal.SIG_IGN:
        # Until `main` runs, end at once: the libraries would mangle an exception.
        signal.signal(signal.SIGINT, lambda number, frame: os._exit(130))
    # Products as small as ours gain nothing from more threads.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import errno
import math
import re
import secrets
import struct
import time
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from io import BufferedReader, BytesIO, FileIO
from pathlib import Path
from typing import TextIO

import cv2
import numpy as np
from PIL import GifImagePlugin, Image, ImageDraw, ImageFont, ImageOps
from PIL.ExifTags import Base

from kmeans import KMeans, Points

DEFAULT_KS = [1, 2, 3, 4, 5, 6, 8, 10, 14, 16, 20, 25, 40, 50]
LABEL_COLOURS = [(255, 255, 255), (0, 0, 0)]  # the letters and their edge
MAX_K = 256 - len(LABEL_COLOURS)  # a GIF palette has 256 places
MAX_SIZE = 500  # pixels of the longest side that is segmented
FRAME_MILLISECONDS = 750
SMALLEST_FONT = 12  # pixels; anything smaller cannot be read
CLEAR_FONT = 20  # pixels; from here on an 8 is not taken for a 6


def main() -> int:
    """Run the program and return its exit status."""
    replace_closed_stderr()
    try:
        run(**vars(parse_arguments()))
    except UnusableError as error:
        print(printable(f"error: {error}", sys.stderr), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def run(path: Path, ks: list[int], seed: int, output: Path, show_palette: bool) -> None:
    """Segment the image at `path` once per k and write the frames and their GIF."""
    start = time.perf_counter()
    folder, gif = output / "segmented-images", output / "output.gif"
    refuse_to_replace(path, [gif, *(frame_path(folder, k) for k in ks)])
    image = read_image(path)
    colours, counts, colour_of_pixel = distinct_colours(image)
    points = Points(colours, sample_weight=counts)
    font = choose_font(image.shape[1::-1], [f"k={k}" for k in ks])
    make_folder(folder)
    if len(colours) < max(ks):
        say(
            f"{counted(len(colours), 'colour')} in all: from k={len(colours)} on, the "
            "frames are the image itself (shrunk, and on white where transparent)"
        )

    frames = []
    for k in ks:
        model = KMeans(k=min(k, len(colours)), seed=seed).fit(points)
        palette = np.rint(model.centroids).astype(np.uint8)
        labels = model.labels[colour_of_pixel].reshape(image.shape[:2])
        frame = paint(palette, labels)
        decibels = psnr(image, frame)
        if font:
            draw_label(frame, f"k={k}", font, first_colour=len(palette))
        file = frame_path(folder, k)
        write_whole(file, encode_jpeg(frame))
        say(f"{file.name:9} {model.n_iter:4d} iterations {decibels:6.2f} dB")
        if show_palette:
            for colour, share in zip(*rank_colours(palette, labels), strict=True):
                say(f"  #{colour.tobytes().hex()} {100 * share:5.1f} %")
        frames.append(frame)

    encoded = encode_gif(frames)
    write_whole(gif, encoded)
    remove_other_frames(folder, ks, kept=path)
    size = f"{counted(len(frames), 'frame')}, {len(encoded) / 1000:.1f} kB"
    say(f"{gif}: {size}, made in {time.perf_counter() - start:.2f} s")


# The command line


def parse_arguments() -> argparse.Namespace:
    """Parse the command line; a wrong one ends the program with status 2."""
    parser = argparse.ArgumentParser(
        usage="%(prog)s [--path IMAGE] [--ks K ...] [--seed N] [--output DIR] "
        "[--palette]",
        description="Segment an image by colour with k-means and show how it comes "
        f"back as k grows. It is shrunk to at most {MAX_SIZE} pixels a side.",
        epilog="example: python main.py --path photo.jpg --ks 2 4 8 --output results",
        allow_abbrev=False,
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
        help=f"numbers of clusters, 1 to {MAX_K} "
        f"(default: {len(DEFAULT_KS)} from {min(DEFAULT_KS)} to {max(DEFAULT_KS)})",
    )
    parser.add_argument(
        "--seed",
        type=seed_number,
        metavar="N",
        default=0,
        help="seed of the random start (default: %(default)s)",
    )
    parser.add_argument(
        "--output",
        type=folder_path,
        metavar="DIR",
        default=Path("images"),
        help="the folder for the results (default: %(default)s)",
    )
    parser.add_argument(
        "--palette",
        action="store_true",
        dest="show_palette",
        help="print each frame's colours and their shares",
    )
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
    if folder.suffix and folder.suffix.lower() in Image.registered_extensions():
        with suppress(OSError):  # no such name can be asked about, nor made
            if folder.is_dir():
                return folder
        raise argparse.ArgumentTypeError(
            f"{text!r} names a picture; give a folder, where output.gif is to be made"
        )
    return folder


def cluster_number(text: str) -> int:
    """Parse one of the ``--ks``."""
    with suppress(ValueError):  # as from a number of 5,000 digits
        if text.isdecimal() and 1 <= int(text) <= MAX_K:
            return int(text)
    raise argparse.ArgumentTypeError(
        f"{text!r} is not a number from 1 to {MAX_K} "
        "(several are given as --ks 2 4 8, the image as --path IMAGE)"
    )


def seed_number(text: str) -> int:
    """Parse ``--seed``."""
    with suppress(ValueError):
        if text.isdecimal():
            return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a whole number, 0 or more")


# Reading
#
# Pillow decodes: unlike OpenCV it raises an error on damaged data, and says how large
# a picture is before decoding it. What it leaves open is decided here: which files
# reach its decoders, what they may cost, and what their numbers mean.

# Only these: some of Pillow's forty other formats start programs or never end.
FORMATS = ["JPEG", "PNG", "GIF", "BMP", "DIB", "PPM", "WEBP", "TIFF"]
if find_spec("PIL.AvifImagePlugin"):  # from Pillow 11.3 on
    FORMATS.append("AVIF")
ENOUGH = 2 * MAX_SIZE  # pixels of the longest side: twice the working size is enough
MAX_PIXELS = 250_000_000  # more than any camera makes; a larger claim is a trap
MAX_MEMORY = 850 << 20  # bytes that decoding may take; the program needs 100 MiB more
MAX_LENGTH = 250_000_000  # bytes of a file that is read as a whole
# Bytes read of a TIFF before its pixels: Pillow 13 reads its tags twice, and may hold
# 9 for each of theirs. Layers of Photoshop are such a tag.
MAX_TAGS = 200_000_000
MAX_SECONDS = 6  # of reading; from then on no more of the file is given out
MAX_SCANS = 100  # of a JPEG: each takes time, however little it holds
MAX_COMMENTS = 1000  # of a PPM in plain text: Pillow 13 moves all the rest for each
SLOW_DECODERS = {"ppm", "ppm_plain", "bmp_rle"}  # Pillow's own that are not in C
SLOW_DECODERS_PIXELS = 4_000_000
WHOLE_DECODERS_BYTES = 16  # a pixel, of WebP and AVIF: they hold several copies
MODE_BYTES = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2}  # a pixel; else 4
PIECE = 100  # pixels of the reduced picture that are made at a time
TIFF_METADATA = {
    *(Base.XResolution, Base.YResolution, Base.ResolutionUnit, Base.XMLPacket),
    *(Base.IPTCNAA, Base.ImageResources, Base.ExifOffset, Base.GPSInfo),
}
CLEAR_TIFF_COMPRESSIONS = {
    *("raw", "packbits", "tiff_lzw", "tiff_adobe_deflate", "tiff_deflate", "lzma"),
    *("zstd", "tiff_ccitt", "group3", "group4", "jpeg", "tiff_jpeg"),
}
CLEAR_TIFF_BITS = {
    0: {1, 2, 4, 8},  # grey, 0 for white
    1: {1, 2, 4, 8, 16},  # grey
    2: {8, 16},  # RGB
    3: {1, 2, 4, 8},  # palette
    5: {8, 16},  # CMYK
    6: {8},  # luma and chroma
    8: {8},  # Lab
}
NOT_AN_IMAGE = (
    "is not an image this program can read; save it as JPEG or PNG, and export a "
    "phone's HEIC photo as JPEG (it also reads WebP, BMP, TIFF, GIF, AVIF and PPM)"
)


def read_image(path: Path) -> np.ndarray:
    """Read an image file of any kind and size.

    Parameters
    ----------
    path : Path
        The file; its content decides on the format, not its name.

    Returns
    -------
    ndarray of shape (height, width, 3), uint8
        sRGB, upright, transparent pixels blended over white, shrunk to MAX_SIZE.

    Raises
    ------
    UnusableError
        If the file cannot be read, is not an image, or is damaged or too large.

    """
    with blaming(path), open_file(path) as file, silence(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return decode_despite_metadata(file)


class GuardedFile(BufferedReader):
    """A file that refuses to be read for too long, or too far before its pixels.

    Pillow 13 reads metadata by loops in Python, some of them quadratic: 98 MB of EXIF
    in a small JPEG took 36 s, a tag of 800 MB in a small TIFF 2.3 GiB.
    """

    def __init__(self, raw: FileIO | BytesIO) -> None:
        super().__init__(raw)
        self.end = time.perf_counter() + MAX_SECONDS
        is_tiff = re.match(b"II|MM", self.peek(2))
        self.may_read = MAX_TAGS if is_tiff else math.inf  # bytes, before the pixels
        self.has_read = 0

    def read(self, size: int | None = -1, /) -> bytes:
        """Read as any file."""
        if self.has_read > self.may_read or time.perf_counter() > self.end:
            raise RefusedError("takes too much time or memory to read; save it anew")
        content = super().read(size)
        self.has_read += len(content)
        return content


def open_file(path: Path) -> GuardedFile:
    """Open a file, but nothing else: reading a pipe or a device may never end."""
    for noun, is_such in [
        ("folder", Path.is_dir),
        ("pipe", Path.is_fifo),
        ("socket", Path.is_socket),
        ("device", Path.is_char_device),
        ("device", Path.is_block_device),
    ]:
        if is_such(path):
            raise RefusedError(f"is a {noun}, not an image file")
    file = GuardedFile(FileIO(path))
    if not file.peek(1):
        file.close()
        raise RefusedError("is empty")
    return file


@contextmanager
def silence() -> Iterator[None]:
    """Keep stderr clean of what the decoders' C libraries print on broken files."""
    stderr = os.dup(2)
    try:
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)


def decode_despite_metadata(file: GuardedFile) -> np.ndarray:
    """Decode a picture; if that fails, once more without its metadata."""
    refuse_long(file)
    try:
        return decode(file)
    except DamagedError as error:
        reason = str(error)
    # Not before the error has gone: it holds on to the pixels.
    bare = without_metadata(file)
    if bare:
        return decode(bare)
    raise RefusedError(reason)


def decode(file: GuardedFile) -> np.ndarray:
    """Take an image file's bytes all the way to upright sRGB pixels of MAX_SIZE.

    Draft comes before load, as it tells the JPEG decoder what to skip. What is loaded
    is reduced before anything else makes a copy of it. The profile is for the colours
    as they are stored, so it comes before white is blended in. Turning costs least
    in the end, and changes nothing in what comes before.
    """
    Image.MAX_IMAGE_PIXELS = None  # `refuse_costly` knows better
    with naming_damage(), Image.open(file, formats=FORMATS) as image:
        file.may_read = math.inf
        refuse_unclear(image)
        refuse_costly(image, file)
        scale_transparent_colour(image)
        image.info.pop("xmp", None)  # else load lets it decide how to turn a TIFF
        size = image.size
        drafted = image.draft(None, enough(size))
        image.load()
        if drafted:  # the last block of a JPEG may be padding: only whole ones count
            width, height = map(int, drafted[1][2:])
        else:
            width, height = size = image.size  # load has turned a TIFF upright
        profile = image.info.get("icc_profile")
        picture = to_srgb(reduce(image, width, height), profile)
        pixels = resize_image(over_white(picture), MAX_SIZE, original=size)
        return turn_upright(pixels, image.info)


@contextmanager
def naming_damage() -> Iterator[None]:
    """Turn whatever a decoder stumbles on in damaged data into a DamagedError."""
    try:
        yield
    except (RefusedError, MemoryError):
        raise
    except Image.UnidentifiedImageError:
        raise DamagedError(NOT_AN_IMAGE) from None
    except Exception:
        reason = "cannot be decoded: it is damaged or not complete"
        raise DamagedError(reason) from None


def refuse_long(file: GuardedFile) -> None:
    """Raise RefusedError for a file that would fill the memory by its length alone."""
    length = os.fstat(file.fileno()).st_size
    in_pieces = re.match(b"II|MM|BM|P[4-6]", file.peek(2))
    limit = MAX_LENGTH * (4 if in_pieces else 1)
    if length > limit:
        raise RefusedError(f"is a file of over {limit // 1_000_000} MB")


def refuse_unclear(image: Image.Image) -> None:
    """Raise RefusedError for numbers that Pillow might show in wrong colours."""
    if image.format == "TIFF":
        page = image.tag_v2.get(Base.NewSubfileType, 0)
        one_of_many = 2  # the only kind of page that is a full picture, besides 0
        if page & ~one_of_many or image.tag_v2.get(Base.SubfileType) == 2:
            raise RefusedError("begins with a thumbnail; save its full picture alone")
        clear = is_clear_tiff(image)
    elif image.format == "PPM":  # not its floats, nor what only Pillow writes
        clear = image.mode in ("1", "L", "I", "I;16", "RGB")
    else:
        clear = True
    if not clear:
        raise RefusedError("has numbers of a kind not known here; save it as PNG")


def is_clear_tiff(image: Image.Image) -> bool:
    """Tell whether a TIFF is of a kind that Pillow 10.1 to 13 was seen to show right.

    Many others it shows wrongly without a word, or by decoders that nobody tests.
    """
    tags = image.tag_v2
    compression = image.info["compression"]
    meaning = tags.get(Base.PhotometricInterpretation, 0)
    bits = set(tags.get(Base.BitsPerSample, (1,)))
    clear_numbers = (
        len(bits) == 1
        and bits <= CLEAR_TIFF_BITS.get(meaning, set())
        and set(tags.get(Base.SampleFormat, (1,))) == {1}  # no signs, no floats
    )
    clear_planes = tags.get(Base.PlanarConfiguration, 1) != 2 or (
        bits == {8}
        and meaning in (1, 2, 3, 5)
        and set(tags.get(Base.ExtraSamples, ())) <= {2}
    )
    palette = tags.get(Base.ColorMap, (0,))
    # https://github.com/python-pillow/Pillow/issues/2157, in Pillow 13
    clear_palette = max(palette) > 255 or not any(palette)
    clear_inks = tags.get(Base.InkSet, 1) == 1  # cyan, magenta, yellow, black
    clear_chroma = compression in ("jpeg", "tiff_jpeg") or (
        tags.get(Base.YCbCrSubSampling) == (1, 1)
        # Pillow 12.3 takes it for RGB.
        and (compression != "raw" or image.mode == "YCbCr")
    )
    return (
        compression in CLEAR_TIFF_COMPRESSIONS
        and clear_numbers
        and clear_planes
        and clear_palette
        and clear_inks
        and (meaning != 6 or clear_chroma)
    )


def refuse_costly(image: Image.Image, file: GuardedFile) -> None:
    """Raise RefusedError for what would take over 1 GiB or 10 s, whatever it claims."""
    file.seek(0)
    decoder = image.tile[0][0] if image.tile else ""
    memory = MAX_MEMORY - 3 * file.has_read  # metadata is copied up to three times
    scans = count_scans(file.read()) if decoder == "jpeg" else 1
    if scans > MAX_SCANS:
        raise RefusedError(f"has over {MAX_SCANS} scans; save it anew")
    if decoder == "ppm_plain" and file.read().count(b"#") > MAX_COMMENTS:
        raise RefusedError(f"has over {MAX_COMMENTS} comments; save it anew")

    if decoder in SLOW_DECODERS:
        limit = SLOW_DECODERS_PIXELS
    elif decoder == "jpeg":  # one of several scans is held as a whole
        limit = memory / (2 * image.layers if scans > 1 else 1)
    elif image.format in ("WEBP", "AVIF"):
        limit = memory / WHOLE_DECODERS_BYTES
    elif image.format == "TIFF":
        limit = memory / tiff_bytes_per_pixel(image, decoder)
    else:
        limit = memory / MODE_BYTES.get(image.mode, 4)
    limit = max(0, min(limit, MAX_PIXELS))
    pixels = image.width * image.height
    if pixels > limit:
        has, may_have = (f"{number / 1e6:.1f}" for number in (pixels, limit))
        kind = f"a {image.format} of its kind"
        raise RefusedError(f"has {has} megapixels; {kind} may have {may_have}")


def count_scans(content: bytes) -> int:
    """Count the scans of a JPEG, but not those of what is attached or embedded."""
    markers = re.compile(b"\xff[\xc0-\xcf\xd9-\xfe]")
    scans = 0
    marker = markers.search(content, 2)
    while marker and marker[0] != b"\xff\xd9":  # the end
        scans += marker[0] == b"\xff\xda"
        length = int.from_bytes(content[marker.end() : marker.end() + 2], "big")
        marker = markers.search(content, marker.end() + length)
    return scans


def tiff_bytes_per_pixel(image: Image.Image, decoder: str) -> float:
    """Tell how much memory Pillow needs for a TIFF."""
    tags, needed = image.tag_v2, MODE_BYTES.get(image.mode, 4)
    if tags.get(Base.Orientation, 1) != 1:
        needed *= 2  # load makes a second, turned picture
    if decoder == "libtiff":  # it unpacks a whole strip or tile at a time
        rows = min(image.height, tags.get(Base.RowsPerStrip, image.height))
        tile = tags.get(Base.TileWidth, 0) * tags.get(Base.TileLength, 0)
        part = max(image.width * rows, tile) / (image.width * image.height)
        samples = tags.get(Base.SamplesPerPixel, 1)
        needed += part * samples * max(tags.get(Base.BitsPerSample, (1,))) / 8
    return needed


def scale_transparent_colour(image: Image.Image) -> None:
    """Bring the transparent colour of a PNG to 8 bits a channel, as its pixels are.

    Pillow 13 leaves it as deep as the file; no issue tells of it yet.
    """
    colour = image.info.get("transparency")
    stored_as = image.tile[0][3] if image.format == "PNG" else None
    if colour is not None and stored_as in ("L;2", "L;4"):
        image.info["transparency"] = colour * {"L;2": 85, "L;4": 17}[stored_as]
    elif colour is not None and stored_as == "RGB;16B":
        image.info["transparency"] = tuple(value >> 8 for value in colour)


def enough(size: tuple[int, int]) -> tuple[int, int]:
    """Tell from which size on detail may be skipped.

    Twice the working size is enough, and 100 pixels for the shorter side: what does
    not fill the last block is lost, and shall be less than a hundredth.
    """
    return tuple(max(100, ENOUGH * side // max(size)) for side in size)


def reduce(image: Image.Image, width: int, height: int) -> Image.Image:
    """Average whole blocks of a large picture, and turn it into a mode that is known.

    It is done piece by piece, so that the copies each step makes stay small.

    Parameters
    ----------
    image : Image
        Of any mode, loaded.
    width, height : int
        What of it counts, from the upper left.

    Returns
    -------
    Image
        Mode "L", "LA", "RGB", "RGBA" or "CMYK", at least as large as is enough.

    """
    across, down = (
        max(1, side // wanted)
        for side, wanted in zip((width, height), enough((width, height)), strict=True)
    )
    mode = to_known_mode(image.crop((0, 0, 1, 1))).mode
    reduced = Image.new(mode, (width // across, height // down))
    for left in range(0, reduced.width, PIECE):
        for top in range(0, reduced.height, PIECE):
            right = min(left + PIECE, reduced.width)
            bottom = min(top + PIECE, reduced.height)
            box = left * across, top * down, right * across, bottom * down
            piece = to_known_mode(image.crop(box)).reduce((across, down))
            reduced.paste(piece, (left, top))
    return reduced


def to_known_mode(image: Image.Image) -> Image.Image:
    """Turn a picture of any mode into "L", "LA", "RGB", "RGBA" or "CMYK"."""
    if image.mode.startswith("I"):
        return from_16_bit_grey(image)
    if image.mode == "CMYK":
        return image
    mode = "L" if image.mode in ("1", "L", "LA", "La") else "RGB"
    return image.convert(mode + "A" if image.has_transparency_data else mode)


def from_16_bit_grey(image: Image.Image) -> Image.Image:
    """Scale 16-bit grey to 8 bits, with its transparency.

    Pillow 13 would clip it: https://github.com/python-pillow/Pillow/issues/3011
    """
    deep = np.asarray(image)
    grey = Image.fromarray(np.clip(deep >> 8, 0, 255).astype(np.uint8))
    transparent = image.info.get("transparency")
    if transparent is not None:
        opaque = np.where(deep == transparent, 0, 255).astype(np.uint8)
        grey.putalpha(Image.fromarray(opaque))
    return grey


def to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Apply an embedded colour profile.

    Parameters
    ----------
    image : Image
        Mode "L", "LA", "RGB", "RGBA" or "CMYK".
    profile : bytes or None
        An ICC profile; one that is damaged or for another mode is left aside.

    Returns
    -------
    Image
        Mode "RGB", or "RGBA" if there was alpha.

    """
    has_alpha = image.mode.endswith("A")
    plain = image.convert("RGBA" if has_alpha else "RGB")
    if not profile:
        return plain
    try:
        from PIL import ImageCms  # here, as few files need it

        # Perceptual is what browsers use: a profile's tables for it are made for
        # photos. For profiles without tables, as cameras have, all intents agree.
        colours = ImageCms.profileToProfile(
            image.convert(image.mode[:-1]) if has_alpha else image,
            BytesIO(profile),
            ImageCms.createProfile("sRGB"),
            renderingIntent=ImageCms.Intent.PERCEPTUAL,
            outputMode="RGB",
        )
        if has_alpha:
            colours.putalpha(image.getchannel("A"))
        return colours
    except MemoryError:
        raise
    except Exception:  # also that of a Pillow without the library for profiles
        return plain


def over_white(image: Image.Image) -> np.ndarray:
    """Blend an RGB or RGBA picture over white and return its RGB pixels."""
    if image.mode == "RGBA":
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image).convert("RGB")
    return np.asarray(image)


def resize_image(
    image: np.ndarray,
    max_size: int = MAX_SIZE,
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
        The same proportions, no side below 1 pixel; a small image comes back as it
        is.

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


def rank_colours(
    palette: np.ndarray, labels: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Order the colours of a frame by how much of it they cover.

    Parameters
    ----------
    palette : ndarray of shape (k, 3), uint8
    labels : ndarray of shape (height, width), int

    Returns
    -------
    colours : ndarray of shape (k, 3), uint8
        The largest share first; of equal ones, the darker red, green or blue.
    shares : ndarray of shape (k,), float
        They add up to 1.

    """
    counts = np.bincount(labels.ravel(), minlength=len(palette))
    red, green, blue = palette.T
    order = np.lexsort((blue, green, red, -counts))
    return palette[order], counts[order] / labels.size


# The label


def choose_font(
    size: tuple[int, int], labels: list[str]
) -> ImageFont.FreeTypeFont | None:
    """Choose the largest font in which all labels of a run fit, so that all have one.

    Parameters
    ----------
    size : (width, height)
        Of the frames, in pixels.
    labels : list of str

    Returns
    -------
    FreeTypeFont or None
        None where no font that can be read is small enough.

    """
    for pixels in range(max(CLEAR_FONT, min(size) // 10), SMALLEST_FONT - 1, -1):
        font = ImageFont.load_default(pixels)
        if all(place_label(label, font, size)[1] for label in labels):
            return font
    return None


def place_label(
    text: str, font: ImageFont.FreeTypeFont, size: tuple[int, int]
) -> tuple[tuple[int, int], bool]:
    """Tell where to draw a label, centred at the top, and whether it fits there."""
    width, height = size
    left, top, right, bottom = font.getbbox(text, "1", stroke_width=edge_width(font))
    x = (width - (right - left)) // 2
    y = max(2, min(size) // 40)
    return (x - left, y - top), x >= 1 and y + bottom - top <= height / 3


def edge_width(font: ImageFont.FreeTypeFont) -> int:
    """Tell how wide the dark edge of the letters is, in pixels."""
    return max(1, font.size // 12)


def draw_label(
    frame: Image.Image, text: str, font: ImageFont.FreeTypeFont, first_colour: int
) -> None:
    """Draw a label on an indexed frame.

    Parameters
    ----------
    frame : Image
        Mode "P", drawn upon.
    text : str
    font : FreeTypeFont
    first_colour : int
        Where LABEL_COLOURS begin in the frame's palette.

    """
    place, _ = place_label(text, font, frame.size)
    draw = ImageDraw.Draw(frame)
    draw.fontmode = "1"  # no smoothing: it would need more colours
    draw.text(
        place,
        text,
        font=font,
        fill=first_colour,
        stroke_width=edge_width(font),
        stroke_fill=first_colour + 1,
    )


# Writing


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


def frame_path(folder: Path, k: int) -> Path:
    """Tell where the frame of k goes."""
    return folder / f"k_{k}.jpg"


def refuse_to_replace(path: Path, results: list[Path]) -> None:
    """Make sure that no result would take the place of the input, also by a link."""
    for result in results:
        replaces = False
        with suppress(OSError):  # one of them is not there, or cannot be used anyway
            replaces = result.samefile(path)
        if replaces:
            with blaming(path):
                raise RefusedError(
                    f"{result} would replace it; choose another --output"
                )


def make_folder(folder: Path) -> None:
    """Make sure that a folder exists."""
    with blaming(folder):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError):
            raise RefusedError("a file is in the place of this folder") from None


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
    """Remove the frames that only earlier runs have made, but not the input, `kept`."""
    for k in set(range(1, MAX_K + 1)) - set(ks):
        path = frame_path(folder, k)
        # One of them may have gone by now: another run's frame, or the input.
        with blaming(path), suppress(FileNotFoundError):
            if path.is_file() and not path.samefile(kept):
                path.unlink()


# Words


class RefusedError(Exception):
    """Something that cannot be used; its text says why, in words."""


class DamagedError(RefusedError):
    """A picture that cannot be decoded, if only for its metadata."""


class UnusableError(Exception):
    """The same with its name: the text is the user's ``error:`` line."""


@contextmanager
def blaming(path: Path | str) -> Iterator[None]:
    """Turn what goes wrong into the user's line about this path."""
    try:
        yield
    except RefusedError as error:
        raise UnusableError(f"{path}: {error}") from error
    except MemoryError as error:
        raise UnusableError(f"{path}: needs more memory than there is") from error
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
        with blaming("standard output"):
            raise


def printable(text: str, stream: TextIO | None) -> str:
    """Escape what would break a line or what the stream cannot show."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    text = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
    return text.encode(encoding, "backslashreplace").decode(encoding)


def counted(number: int, noun: str) -> str:
    """Put a number before its noun."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def replace_closed_stderr() -> None:
    """Open stderr if it is closed: argparse and print would turn to stdout instead."""
    if sys.stderr is None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        sys.stderr = os.fdopen(2, "w")


# Reading a file whose metadata is damaged, as `decode_despite_metadata` does


def without_metadata(file: GuardedFile) -> GuardedFile | None:
    """Return a file without what its picture does not need; None if all is needed.

    Pillow 13 refuses a picture for a wrong checksum in its comment, or a short
    resolution, or text of more than a mebibyte. Sound profiles and EXIF data stay.
    """
    file.seek(0)
    content = file.read(MAX_LENGTH)
    if content.startswith(b"\x89PNG"):
        parts = [content[:8], *filter(is_needed_by_png, png_chunks(content))]
    elif content.startswith(b"\xff\xd8"):
        parts = [content[:2], *filter(is_needed_by_jpeg, jpeg_segments(content))]
    elif content.startswith(b"RIFF"):
        chunks = b"".join(filter(is_needed_by_webp, webp_chunks(content)))
        parts = [b"RIFF", struct.pack("<I", len(chunks) + 4), b"WEBP", chunks]
    elif content.startswith((b"II*\0", b"MM\0*")):
        parts = [tiff_without_metadata(content)]
    elif content[4:8] == b"ftyp":
        parts = [content.replace(b"Exif", b"none", 1)]
    else:
        parts = []
    bare = b"".join(parts)
    return GuardedFile(BytesIO(bare)) if bare and bare != content else None


def png_chunks(content: bytes) -> Iterator[bytes]:
    """Yield the chunks of a PNG: length, name, content and checksum."""
    place = 8
    while place + 12 <= len(content):
        end = place + 12 + int.from_bytes(content[place : place + 4], "big")
        yield content[place:end]
        place = end


def is_needed_by_png(chunk: bytes) -> bool:
    """Tell whether a chunk decides on pixels or colours and can be trusted with it."""
    name, content, checksum = chunk[4:8], chunk[8:-4], chunk[-4:]
    if name == b"iCCP" and not is_sound_png_profile(content):
        return False
    if name in (b"iCCP", b"eXIf"):
        return zlib.crc32(name + content).to_bytes(4, "big") == checksum
    return name in (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")


def is_sound_png_profile(content: bytes) -> bool:
    """Tell whether Pillow would unpack this: a name, 0, 0, and up to a mebibyte."""
    packed = content.partition(b"\0")[2]
    with suppress(zlib.error):
        profile = zlib.decompressobj().decompress(packed[1:], 1 << 20)
        return packed[:1] == b"\0" and len(profile) < 1 << 20
    return False


def jpeg_segments(content: bytes) -> Iterator[bytes]:
    """Yield the segments of a JPEG up to its first scan, and then all the rest."""
    place = 2
    while content[place : place + 2] != b"\xff\xda" and place < len(content):
        end = place + 2 + int.from_bytes(content[place + 2 : place + 4], "big")
        yield content[place:end]
        place = end
    yield content[place:]


def is_needed_by_jpeg(segment: bytes) -> bool:
    """Tell whether a segment is no metadata, or profile, EXIF or Adobe's, and whole."""
    if re.match(b"\xff[\xe0-\xef\xfe]", segment):
        return bool(re.match(b"....(ICC_PROFILE\0..|Exif\0|Adobe.{7})", segment, re.S))
    return True


def webp_chunks(content: bytes) -> Iterator[bytes]:
    """Yield the chunks of a WebP: name, length and content."""
    place = 12
    while place < len(content):
        length = int.from_bytes(content[place + 4 : place + 8], "little")
        end = place + 8 + length + length % 2
        yield content[place:end]
        place = end


def is_needed_by_webp(chunk: bytes) -> bool:
    """Tell whether a chunk decides on pixels or colours."""
    return chunk[:4] in (b"VP8X", b"VP8 ", b"VP8L", b"ALPH", b"ANIM", b"ANMF", b"ICCP")


def tiff_without_metadata(content: bytes) -> bytes:
    """Return a TIFF whose first page has no tags for resolution, XMP, EXIF and such."""
    order = "little" if content.startswith(b"II") else "big"

    def number(place: int, length: int) -> int:
        return int.from_bytes(content[place : place + length], order)

    page = number(4, 4)
    tags = range(page + 2, page + 2 + 12 * number(page, 2), 12)
    kept = [place for place in tags if number(place, 2) not in TIFF_METADATA]
    bare = len(kept).to_bytes(2, order)
    bare += b"".join(content[place : place + 12] for place in kept)
    bare += bytes(4)  # no further page
    return content[:page] + bare + content[page + len(bare) :]


if __name__ == "__main__":
    if signal.getsignal(signal.SIGINT) != signal.SIG_IGN:
        # An exception again: no temporary file is left behind.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    status = main()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # all is done but Python's own end
    sys.exit(status)
