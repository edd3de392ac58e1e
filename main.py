"""Segment an image by colour with k-means and show how it comes back as k grows.

``python main.py --path image.jpg`` writes one frame for each number of clusters to
``images/segmented-images/`` and an animation of all frames to ``images/output.gif``.
`run` calls every step; the sections below it have the steps in the same order.
"""

import os
import signal
import sys

if sys.version_info < (3, 10):  # noqa: UP036 - else it ends in a TypeError below
    sys.exit("error: this program needs Python 3.10 or newer")
if __name__ == "__main__":
    # Matrix products as small as ours gain nothing from more threads.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    ctrl_c_raises = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if ctrl_c_raises:  # which would print a traceback while the libraries load
        signal.signal(signal.SIGINT, signal.SIG_DFL)
try:
    import argparse
    import errno
    import math
    import secrets
    import warnings
    from collections.abc import Callable, Iterable, Iterator
    from contextlib import ExitStack, contextmanager, redirect_stderr, suppress
    from importlib.util import find_spec
    from io import BufferedReader, BytesIO
    from pathlib import Path
    from time import perf_counter

    import cv2
    import numpy as np
    from PIL import Image, ImageDraw, ImageFile, ImageFont
    from PIL.ExifTags import Base
    from PIL.Image import Image as Picture

    from kmeans import KMeans, Points
finally:
    if __name__ == "__main__" and ctrl_c_raises:
        signal.signal(signal.SIGINT, signal.default_int_handler)

DEFAULT_KS = [1, 2, 3, 4, 5, 6, 8, 10, 14, 16, 20, 25, 40, 50]
LABEL_COLOURS = [(255, 255, 255), (0, 0, 0)]  # the letters and their edge
MAX_K = 256 - len(LABEL_COLOURS)  # a GIF palette has 256 places
DEFAULT_SIZE = 500  # pixels of the longest side of a frame
MAX_SIZE = 10_000
FRAME_MILLISECONDS = 750
JPEG_OPTIONS = {"quality": 95, "subsampling": 0}  # full colour, 4:4:4

Size = tuple[int, int]  # width and height in pixels
Label = tuple[Picture, Picture]  # two masks: the letters and their edge


def main() -> int:
    """Run the program and return its exit status."""
    # If stderr is closed, argparse and print would write to stdout instead.
    with redirect_stderr(sys.stderr or Path(os.devnull).open("w")):
        try:
            run(**vars(parse_arguments()))
            return 0
        except UnusableError as error:
            reason = str(error)
        except (MemoryError, cv2.error):  # which is OpenCV's name for it
            reason = "the frames need more memory than is available; lower --max-size"
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
    no_label: bool,
    png: bool,
    list_colours: bool,
) -> None:
    """Segment the image at `path` once per k and write the frames and their GIF."""
    start = perf_counter()
    folder, gif_path = output / "segmented-images", output / "output.gif"
    frame_paths = {k: folder / f"k_{k}.{'png' if png else 'jpg'}" for k in ks}
    refuse_to_replace(path, [gif_path, *frame_paths.values()])
    image, original = read_image(path, max_size)
    image = resize_image(image, max_size, original)
    height, width, _ = image.shape
    colours, counts, colour_of_pixel = distinct_colours(image)
    del image  # at full size, each array takes hundreds of megabytes
    points = Points(colours, sample_weight=counts)
    labels = {} if no_label else make_labels(ks, width, height)
    with errors_naming(folder):
        folder.mkdir(parents=True, exist_ok=True)
    if len(colours) < max(ks):
        n = len(colours)
        say(f"colours in all: {n}; from k={n} on, the frames are the image itself")
    written = []

    def make_frame(k: int) -> Picture:
        model = KMeans(k=min(k, len(colours)), seed=seed).fit(points)
        palette = np.rint(model.centroids).astype(np.uint8)
        frame = paint(palette, model.labels, colour_of_pixel.reshape(height, width))
        if labels:
            draw_label(frame, labels[k], first_colour=len(palette))
        if png:
            content = encode(frame, "PNG")
        else:
            content = encode(frame.convert("RGB"), "JPEG", **JPEG_OPTIONS)
        write_whole(frame_paths[k], content)
        written.append(frame_paths[k])
        decibels = psnr(colours, palette.take(model.labels, axis=0), counts)
        say(f"{written[-1].name:9} {model.n_iter:4d} iterations {decibels:6.2f} dB")
        if list_colours:
            shares = np.bincount(model.labels, weights=counts) / counts.sum()
            for share, colour in sorted(zip(-shares, palette.tolist(), strict=True)):
                say(f"  #{bytes(colour).hex()} {-100 * share:5.1f} %")
        return frame

    try:
        # Pillow takes each frame as it is made, so that no list of them is held.
        made = map(make_frame, ks)
        times = [FRAME_MILLISECONDS] * len(ks)  # Pillow 10 adds up only a list
        options = {"save_all": True, "duration": times, "loop": 0}
        gif = encode(next(made), "GIF", append_images=made, **options)
        write_whole(gif_path, gif)
    except (UnusableError, MemoryError):
        remove_files(written, kept=path)  # a part could be taken for the whole
        raise
    names = {f"k_{k}.{end}" for k in range(1, MAX_K + 1) for end in ("jpg", "png")}
    earlier = names - {path.name for path in written}
    remove_files((folder / name for name in earlier), kept=path)
    frames = "1 frame" if len(ks) == 1 else f"{len(ks)} frames"
    seconds = perf_counter() - start
    say(f"{gif_path}: {frames}, {len(gif) / 1000:.1f} kB, made in {seconds:.2f} s")


# The command line


def parse_arguments() -> argparse.Namespace:
    """Parse the command line; an invalid one ends the program with status 2."""
    parser = argparse.ArgumentParser(
        description="Segment an image by colour with k-means and show how it comes "
        "back as k grows. A run writes DIR/output.gif and, for each K, "
        "DIR/segmented-images/k_K.jpg; it removes earlier frames there.",
        epilog="example: python main.py --path photo.jpg --ks 2 4 8 --output results",
        allow_abbrev=False,
    )
    usage = "; give numbers as --ks 2 4 8, and the image, in quotes, as --path IMAGE"

    def add(option: str, meta: str, default: object, text: str, **more: object) -> None:
        shown = " ".join(map(str, DEFAULT_KS)) if default is DEFAULT_KS else default
        text += f" (default: {shown})"
        parser.add_argument(option, metavar=meta, default=default, help=text, **more)

    sample = Path("images", "input-image.jpg")
    add("--path", "IMAGE", sample, "the image to segment", type=file_path)
    text = f"numbers of colours, 1 to {MAX_K}, one frame each"
    add("--ks", "K", DEFAULT_KS, text, type=whole_number(1, MAX_K, usage), nargs="+")
    text = f"longest side of the frames in pixels, 1 to {MAX_SIZE}; nothing is enlarged"
    add("--max-size", "N", DEFAULT_SIZE, text, type=whole_number(1, MAX_SIZE))
    add("--seed", "N", 0, "seed of the random start", type=whole_number(0))
    text = "folder for the results, created if needed"
    add("--output", "DIR", Path("images"), text, type=folder_path)
    flag = parser.add_argument
    flag("--no-label", action="store_true", help="leave k=... off the frames")
    flag("--png", action="store_true", help="write lossless k_K.png, not k_K.jpg")
    text = "print each frame's colours and their shares"
    flag("--palette", dest="list_colours", action="store_true", help=text)
    arguments, strays = parser.parse_known_args()
    if strays:
        stray = printable(" ".join(strays), sys.stderr)
        parser.error(f"unrecognized arguments: {stray}{usage}")
    return arguments


def file_path(text: str) -> Path:
    """Parse ``--path``; an empty one, as from an unset variable, names no file."""
    if text:
        return Path(text)
    raise argparse.ArgumentTypeError("is empty")


def folder_path(text: str) -> Path:
    """Parse ``--output``; refuse a name that is probably meant for an image file."""
    folder = file_path(text)
    endings = ("jpg", "jpeg", "png", "gif", "webp", "bmp", "tif", "tiff", "avif")
    is_folder = os.path.isdir(folder)  # noqa: PTH112 - which takes any name
    if folder.suffix[1:].lower() in endings and not is_folder:
        raise argparse.ArgumentTypeError(
            f"{text!r} names an image; give a folder, in which output.gif is written"
        )
    return folder


def whole_number(least: int, most: float = math.inf, hint: str = "") -> Callable:
    """Return a parser of whole numbers; its error lines end with the hint."""
    limit = f"to {most}" if most < math.inf else "up"

    def parse(text: str) -> int:
        with suppress(ValueError):  # such as from 5,000 digits
            if text.isdecimal() and least <= int(text) <= most:
                return int(text)
        wanted = f"a whole number from {least} {limit}"
        raise argparse.ArgumentTypeError(f"{text!r} is not {wanted}{hint}")

    return parse


# Reading. Pillow decodes; this section chooses files, limits costs, converts colours.

# Only these: some of Pillow's forty other formats start programs or never end.
FORMATS = ["JPEG", "PNG", "GIF", "BMP", "PPM", "WEBP", "TIFF"]
if find_spec("PIL.AvifImagePlugin"):  # from Pillow 11.3 on
    FORMATS.append("AVIF")
# These limit reading only; the cost of the rest grows with the frames' pixels.
MAX_SECONDS = 8  # of computing
MAX_MEMORY = 930_000_000  # bytes; with the program's own 100 million, a GiB
MAX_PIXELS = 220_000_000  # 880 MB at 4 bytes each
MAX_WEBP_PIXELS = 55_000_000  # and of AVIF; 880 MB at 16 bytes each
DAMAGED = "cannot be decoded: it is damaged, incomplete, too large or of a rare kind"
NOT_AN_IMAGE = (
    "is not an image this program can read; save it as PNG, or a phone's HEIC photo as "
    f"JPEG (it reads {', '.join(FORMATS)})"
)


def read_image(path: Path, max_size: int = DEFAULT_SIZE) -> tuple[np.ndarray, Size]:
    """Read an image file of any supported format, whatever its name.

    Returns (height, width, 3) uint8 pixels, upright, sRGB and blended over white, with
    no more detail than `max_size` needs, and the original's (width, height). Raises
    UnusableError if the file cannot be read, is not an image, or exceeds a limit.
    """
    with errors_naming(path):
        if path.exists() and not path.is_file():  # a pipe or device may never end
            raise UnusableError("is a folder, a pipe or a device, not an image file")
        file = path.open("rb")
    with errors_naming(path, decoding=True), file, ExitStack() as cleanup:
        hide_messages(cleanup)
        set_switches(cleanup)
        limit_time(cleanup)
        limit_memory(cleanup)
        picture, size, orientation = decode(file, max_size)
    return turn_upright(np.asarray(picture), size, orientation)


def hide_messages(cleanup: ExitStack) -> None:
    """Let nothing reach stderr, neither warnings nor what C libraries print."""
    cleanup.enter_context(warnings.catch_warnings())
    warnings.simplefilter("ignore")
    with suppress(AttributeError, OSError):  # if it is closed, 2 may be the image
        stderr = os.dup(sys.__stderr__.fileno())
        cleanup.callback(os.close, stderr)
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        cleanup.callback(os.dup2, stderr, 2)


def limit_time(cleanup: ExitStack) -> None:
    """Raise UnusableError after MAX_SECONDS of computing; waiting does not count."""

    def give_up(number: int, frame: object) -> None:
        raise UnusableError(f"takes over {MAX_SECONDS} s to decode; save it again")

    # Windows, WSL 1 and Cygwin have no such timer, and threads receive no signals.
    with suppress(AttributeError, OSError, ValueError):
        handler = signal.getsignal(signal.SIGPROF)
        if handler is not None:  # a handler set from C cannot be restored
            timer = signal.setitimer(signal.ITIMER_PROF, 0)
            cleanup.callback(signal.setitimer, signal.ITIMER_PROF, *timer)
            signal.signal(signal.SIGPROF, give_up)
            cleanup.callback(signal.signal, signal.SIGPROF, handler)
            # Repeated, because Pillow may take the first error for damage and go on.
            signal.setitimer(signal.ITIMER_PROF, MAX_SECONDS, 1)
            cleanup.callback(signal.setitimer, signal.ITIMER_PROF, 0)


def limit_memory(cleanup: ExitStack) -> None:
    """Let the process take at most MAX_MEMORY more than now; only Linux can."""
    with suppress(ImportError, OSError, ValueError):
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
        *_, held, _ = Path("/proc/self/statm").read_text().split()  # in pages
        limit = int(held) * resource.getpagesize() + MAX_MEMORY
        if soft == resource.RLIM_INFINITY or limit < soft:
            resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))
            cleanup.callback(resource.setrlimit, resource.RLIMIT_DATA, (soft, hard))


def set_switches(cleanup: ExitStack) -> None:
    """Let Pillow read large metadata and small blocks, but no more than MAX_PIXELS."""
    from PIL import JpegImagePlugin, PngImagePlugin

    def open_lossless(picture: Picture, marker: int) -> None:
        JpegImagePlugin.SOF(picture, marker)
        picture.draft = lambda mode, size: None  # before Pillow 13, it would crash

    lossless = {0xFFC3: ("SOF3", "lossless", open_lossless)}
    for module, name, value in (
        (Image, "MAX_IMAGE_PIXELS", MAX_PIXELS // 2),  # Pillow refuses twice this
        (ImageFile, "LOAD_TRUNCATED_IMAGES", False),
        (ImageFile, "MAXBLOCK", 4096),  # the time limit acts between two blocks
        (JpegImagePlugin, "MARKER", JpegImagePlugin.MARKER | lossless),
        (PngImagePlugin, "MAX_TEXT_CHUNK", MAX_MEMORY // 8),
        (PngImagePlugin, "MAX_TEXT_MEMORY", MAX_MEMORY // 8),
    ):
        cleanup.callback(setattr, module, name, getattr(module, name))
        setattr(module, name, value)


def decode(file: BufferedReader, max_size: int) -> tuple[Picture, Size, object]:
    """Decode a picture to sRGB, reduced to no less than what `max_size` needs.

    Returns it with the size that it had before, and with its EXIF orientation.
    """
    ImageFile.LOAD_TRUNCATED_IMAGES = True  # damaged metadata does not matter,
    picture = Image.open(file, formats=FORMATS)
    ImageFile.LOAD_TRUNCATED_IMAGES = False  # but missing pixels do
    refuse_large_webp(picture, file)
    refuse_what_pillow_shows_wrong(picture)
    picture.info.pop("xmp", None)  # or it decides how `load` turns a TIFF
    size = picture.size
    drafted = picture.draft(None, size_needed(size, max_size))  # only a JPEG can be
    picture.load()
    info = picture.info
    if drafted:  # the last column and row may be part padding: they are left out
        _, (_, _, width, height) = drafted
        sound = int(width), int(height)
    else:
        sound = size = picture.size  # `load` has turned a TIFF upright
    # All steps use one name, so that a picture is freed when the next one exists.
    picture = to_plain_mode(picture)
    picture = average_blocks(picture, sound, max_size)
    picture = blend_over_white(picture, info.get("icc_profile"))
    return picture, size, read_orientation(info)


def refuse_large_webp(picture: Picture, file: BufferedReader) -> None:
    """Raise UnusableError if memory might end in a WebP or AVIF: old Pillows crash."""
    if picture.format in ("WEBP", "AVIF"):
        # Decoding takes 16 bytes for each pixel, plus twice the size of the file.
        memory = 16 * math.prod(picture.size) + 2 * os.fstat(file.fileno()).st_size
        if memory > 16 * MAX_WEBP_PIXELS:
            raise UnusableError("takes too much memory; save it smaller, or as JPEG")


def refuse_what_pillow_shows_wrong(picture: Picture) -> None:
    """Raise UnusableError for kinds that some Pillow from 10.1 to 13 shows wrongly."""
    if picture.format == "TIFF":
        tag, compression = picture.tag_v2.get, picture.info["compression"]
        meaning = tag(Base.PhotometricInterpretation, 0)
        bits, extra = set(tag(Base.BitsPerSample, (1,))), tag(Base.ExtraSamples, ())
        chroma = picture.mode, tag(Base.YCbCrSubSampling)
        right = (
            tag(Base.NewSubfileType, 0) in (0, 2)  # not a thumbnail of what follows
            and tag(Base.SubfileType, 1) != 2
            and compression != "tiff_jpeg"  # from before 1995: grey where it is cut
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
    elif picture.format == "BMP":
        right = picture.tile[0][0] != "bmp_rle"  # run lengths
    elif picture.format == "PPM":  # no floats, nor what only Pillow writes
        right = picture.mode in ("1", "L", "I", "I;16", "RGB")
    else:
        right = True
    if not right:
        raise UnusableError("is of a rare kind that may look wrong; save it as PNG")


def size_needed(size: Size, max_size: int) -> Size:
    """Return the size down to which detail may be skipped before the exact resizing.

    Twice the final size is enough. The shorter side keeps 100 pixels, so that leaving
    out a block that is not full loses less than a hundredth of the picture.
    """
    return tuple(max(100, 2 * max_size * side // max(size)) for side in size)


def to_plain_mode(picture: Picture) -> Picture:
    """Convert a loaded picture of any mode to "L", "LA", "RGB", "RGBA" or "CMYK"."""
    if picture.mode.startswith("I"):  # 16 bits of grey, of which the upper 8 are enough
        # Pillow 13 would clip it: https://github.com/python-pillow/Pillow/issues/3011
        deep, transparent = np.asarray(picture), picture.info.get("transparency")
        picture = Image.fromarray((deep >> 8).astype(np.uint8))
        if transparent is not None:
            picture.putalpha(Image.fromarray(deep != transparent))
    mode = "L" if picture.mode in ("1", "L", "LA", "La") else "RGB"
    if picture.has_transparency_data:
        mode += "A"
    return picture if picture.mode in (mode, "CMYK") else picture.convert(mode)


def average_blocks(picture: Picture, sound: Size, max_size: int) -> Picture:
    """Average blocks of the upper left part, `sound`, as far as `max_size` allows.

    A block at the edge that is not full would weigh as much as others: it is left out.
    """
    (width, height), needed = sound, size_needed(sound, max_size)
    across, down = max(1, width // needed[0]), max(1, height // needed[1])
    box = (0, 0, width - width % across, height - height % down)
    if (across, down) == (1, 1) and box[2:] == picture.size:
        return picture  # `reduce` would copy it
    return picture.reduce((across, down), box)


def blend_over_white(picture: Picture, profile: bytes | None) -> Picture:
    """Convert a picture to sRGB, and blend what is transparent over white.

    The profile describes the stored colours, so it is applied before blending.
    """
    if not picture.mode.endswith("A"):
        return to_srgb(picture, profile)
    colours = to_srgb(picture.convert(picture.mode.rstrip("A")), profile)
    white = Image.new("RGB", picture.size, "white")
    white.paste(colours, mask=picture.getchannel("A"))
    return white


def to_srgb(picture: Picture, profile: bytes | None) -> Picture:
    """Convert an opaque picture to sRGB by its embedded colour profile.

    A profile that is damaged, or for another mode than the picture's, is ignored.
    """
    if profile:
        try:
            from PIL import ImageCms  # here, because few files need it

            # Perceptual, the default intent, is what browsers use.
            source, srgb = BytesIO(profile), ImageCms.createProfile("sRGB")
            return ImageCms.profileToProfile(picture, source, srgb, outputMode="RGB")
        except (UnusableError, MemoryError):
            raise
        except Exception:  # also from a Pillow built without LittleCMS
            pass
    return picture if picture.mode == "RGB" else picture.convert("RGB")


def read_orientation(info: dict) -> object:
    """Return the EXIF orientation, 1 to 8; None if there is none or it is damaged."""
    carrier = Image.new("L", (1, 1))
    exif = ("exif", "Raw profile type exif")  # and no XMP, which may contradict it
    carrier.info = {name: info[name] for name in exif if name in info}
    with suppress(Exception):  # damaged data
        return carrier.getexif().get(Base.Orientation)
    return None


def turn_upright(image: np.ndarray, size: Size, orientation: object) -> tuple:
    """Turn pixels, and the (width, height) of the original, by an EXIF orientation."""
    if orientation in (5, 6, 7, 8):
        image, size = image.swapaxes(0, 1), size[::-1]
    if orientation in (3, 4, 7, 8):
        image = image[::-1]
    if orientation in (2, 3, 6, 7):
        image = image[:, ::-1]
    return np.ascontiguousarray(image), size


def resize_image(
    image: np.ndarray, max_size: int = DEFAULT_SIZE, original: Size | None = None
) -> np.ndarray:
    """Shrink an image, (height, width, 3) uint8, to at most `max_size` a side.

    The proportions are those of the `original`, (width, height), if the image has been
    reduced before. No side goes below 1 pixel, and nothing is enlarged.
    """
    width, height = original or image.shape[1::-1]
    ratio = max_size / max(width, height)
    if ratio >= 1:
        return image
    size = max(1, round(width * ratio)), max(1, round(height * ratio))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


# Segmenting


def distinct_colours(image: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find the colours of an image, so that equal pixels are clustered only once.

    With their counts as weights, the result is the same (M. E. Celebi, "Improving the
    Performance of K-Means for Color Quantization", 2011).

    The image is (height, width, 3) uint8. Returns the colours, (n, 3) uint8, how many
    pixels have each, (n,), and for each pixel, row by row, the index of its colour.
    """
    packed = image[..., 0].astype(np.uint32)  # red, green and blue in one number
    for channel in (1, 2):
        packed <<= 8
        packed |= image[..., channel]
    if packed.size < 2**20:  # so few are sorted just as fast, in less memory
        unique = np.unique(packed, return_inverse=True, return_counts=True)
    else:
        unique = unique_by_table(packed)
    found, colour_of_pixel, counts = unique
    colours = np.stack([found >> 16, found >> 8 & 255, found & 255], axis=1)
    return colours.astype(np.uint8), counts, colour_of_pixel.reshape(-1)


def unique_by_table(numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return what np.unique does with inverse and counts, for numbers below 2**24.

    A table of all numbers marks those that occur, and then holds their ranks. The
    inverse overwrites `numbers`, (height, width) uint32, row by row: NumPy copies
    indices to 8 bytes.
    """
    table = np.zeros(2**24, np.uint32)
    for row in numbers:
        table[row] = 1
    found = np.flatnonzero(table)
    table[found] = np.arange(len(found))
    counts = np.zeros(len(found), int)
    for row in numbers:
        row[:] = table[row]
        np.add.at(counts, row, 1)
    return found, numbers, counts


def paint(
    palette: np.ndarray, cluster_of_colour: np.ndarray, colour_of_pixel: np.ndarray
) -> Picture:
    """Make an indexed image of the clusters in the colours of `palette`, (k, 3) uint8.

    Its palette ends with the LABEL_COLOURS. `colour_of_pixel` is (height, width).
    """
    cluster_of_colour = cluster_of_colour.astype(np.uint8)
    cluster_of_pixel = np.empty(colour_of_pixel.shape, np.uint8)
    for first in range(0, len(colour_of_pixel), 64):  # NumPy copies indices to 8 bytes
        rows = slice(first, first + 64)
        cluster_of_pixel[rows] = cluster_of_colour.take(colour_of_pixel[rows])
    frame = Image.fromarray(cluster_of_pixel)
    frame.putpalette(np.vstack([palette, LABEL_COLOURS]).astype(np.uint8).tobytes())
    return frame


def psnr(colours: np.ndarray, painted: np.ndarray, counts: np.ndarray) -> float:
    """Return the PSNR in decibels of (n, 3) colours that were painted as others."""
    errors = np.subtract(colours, painted, dtype=np.float32)
    error = np.average(np.einsum("ij,ij->i", errors, errors), weights=counts) / 3
    return 10 * math.log10(255**2 / error) if error else math.inf


# The label. Its proportions were tried on frames of 20 to 10,000 pixels.

SMALLEST_FONT = 12  # pixels; anything smaller is unreadable
CLEAR_FONT = 20  # pixels; in a smaller one, an 8 looks like a 6


def make_labels(ks: list[int], width: int, height: int) -> dict[int, Label]:
    """Make the label of each k, in the largest font in which all fit on the frames.

    The font is a tenth of the shorter side or CLEAR_FONT, or smaller if that does not
    fit. If even the smallest does not, no frame has a label.
    """
    shorter = min(width, height)
    for font_size in range(max(CLEAR_FONT, shorter // 10), SMALLEST_FONT - 1, -1):
        labels = {k: make_label(f"k={k}", font_size, max(2, shorter // 40)) for k in ks}
        edges = [edge for _, edge in labels.values()]
        if all(edge.width <= width - 2 and edge.height <= height / 3 for edge in edges):
            return labels
    return {}


def make_label(text: str, font_size: int, margin: int) -> Label:
    """Make the letters of a label and their edge: two masks, with a margin at the top.

    A pixel is either on or off: in between, Pillow would mix the colours' numbers. The
    edge is not Pillow's stroke, because that differs from version to version.
    """
    # A twelfth of the font up to 4 pixels, then an eighteenth: a thin edge is hard to
    # see on small frames, and a thick one almost fills the holes of a large 8.
    thickness = max(min(font_size // 12, 4), font_size // 18)
    font = ImageFont.load_default(font_size)
    left, top, right, bottom = font.getbbox(text)
    x, y = thickness - left, thickness - top + margin
    letters = Image.new("L", (x + right + thickness, y + bottom + thickness))
    ImageDraw.Draw(letters).text((x, y), text, 255, font)
    is_on = np.asarray(letters) > 127
    around = np.ones((2 * thickness + 1, 2 * thickness + 1), np.uint8)
    edge = cv2.dilate(is_on.astype(np.uint8), around) > 0
    return Image.fromarray(is_on), Image.fromarray(edge)


def draw_label(frame: Picture, label: Label, first_colour: int) -> None:
    """Draw a label on an indexed frame, whose LABEL_COLOURS begin at `first_colour`."""
    letters, edge = label
    place = (frame.width - edge.width) // 2, 0
    frame.paste(first_colour + 1, place, edge)
    frame.paste(first_colour, place, letters)


# Writing


def encode(picture: Picture, form: str, **options: object) -> bytes:
    """Return the content of a file in this format."""
    buffer = BytesIO()
    try:
        picture.save(buffer, form, **options)
    except OSError as error:  # no disk is involved: the encoder lacks memory
        raise MemoryError from error
    return buffer.getvalue()


def refuse_to_replace(path: Path, results: list[Path]) -> None:
    """Raise UnusableError if a result would replace the input, also through a link."""
    for result in results:
        with suppress(OSError):  # one of them does not exist, or cannot be used anyway
            if os.path.samefile(os.path.realpath(result), path):  # noqa: PTH121
                reason = f"{result} would replace it; choose another --output"
                raise UnusableError(f"{path}: {reason}")


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that it is never seen half written: beside it, then renamed."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    with errors_naming(path), ExitStack() as cleanup:
        cleanup.callback(temporary.unlink, missing_ok=True)
        temporary.write_bytes(content)
        temporary.replace(path)


def remove_files(paths: Iterable[Path], kept: Path) -> None:
    """Remove those files that exist, but not the input, `kept`."""
    for path in paths:
        # It may be gone by now, as the input may: another run may have removed it.
        with errors_naming(path), suppress(FileNotFoundError):
            if path.is_file() and not (kept.exists() and path.samefile(kept)):
                path.unlink()


# Errors and messages


class UnusableError(Exception):
    """Names what cannot be used and says why: the text of the ``error:`` line."""


@contextmanager
def errors_naming(path: Path, decoding: bool = False) -> Iterator[None]:
    """Turn an error into a line for the user that names this path.

    While a picture is decoded, an error means damage unless it comes from the system.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, UnusableError):
            reason = str(error)
        elif isinstance(error, MemoryError):
            reason = "needs more memory than it may use; lower --max-size"
        elif isinstance(error, Image.UnidentifiedImageError):
            reason = NOT_AN_IMAGE
        elif isinstance(error, Image.DecompressionBombError):
            reason = f"has over {MAX_PIXELS:,} pixels; save it smaller"
        elif decoding and getattr(error, "errno", None) in (None, errno.EINVAL):
            reason = DAMAGED  # EINVAL: a damaged TIFF makes Pillow seek to below 0
        elif isinstance(error, OSError):
            reason = error.strerror or "the system gives no reason"
        else:
            raise
        raise UnusableError(f"{path}: {reason}") from error


def say(line: str) -> None:
    """Print a line at once; end quietly if nobody reads it, as after ``| head -1``."""
    try:
        print(printable(line, sys.stdout), flush=True)
    except OSError as error:
        # Otherwise Python would try again at exit, and print a warning.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if error.errno in (errno.EPIPE, errno.EINVAL):  # Windows knows no EPIPE
            sys.exit(141)
        raise UnusableError(f"standard output: {error.strerror}") from error


def printable(text: str, stream: object) -> str:
    """Escape what would break a line, and what the stream cannot show."""
    text = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
    encoding = getattr(stream, "encoding", None) or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


if __name__ == "__main__":
    sys.exit(main())
