"""The program as its user meets it: files in, pictures and messages out."""

# ruff: noqa: D103 - the name of a test says what it shows

import errno
import io
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path

import cv2
import numpy as np
import PIL
import pytest
from PIL import ExifTags, Image, ImageCms, JpegImagePlugin, features

import main

PROJECT = Path(__file__).resolve().parent.parent
SAMPLE = PROJECT / "images" / "input-image.jpg"
NOISE = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)


class Outcome:
    """A finished run: its exit status, what it printed and what it wrote."""

    def __init__(self, process: subprocess.CompletedProcess, output: Path) -> None:
        self.status = process.returncode
        self.out = process.stdout
        self.err = process.stderr
        self.output = output
        self.files = {
            path.relative_to(output).as_posix(): path.read_bytes()
            for path in sorted(output.rglob("*"))
            if path.is_file()
        }

    def jpeg(self, k: int) -> np.ndarray:
        """RGB pixels of k_<k>.jpg."""
        with Image.open(self.output / "segmented-images" / f"k_{k}.jpg") as image:
            return np.asarray(image.convert("RGB"))

    def gif(self) -> list[np.ndarray]:
        """RGB pixels of every frame of the animation."""
        with Image.open(self.output / "output.gif") as gif:
            frames = []
            for i in range(gif.n_frames):
                gif.seek(i)
                assert gif.info["duration"] == 750 and gif.info["loop"] == 0
                frames.append(np.asarray(gif.convert("RGB")))
        return frames


@pytest.fixture
def run(tmp_path):
    """Run main.py in an empty folder."""

    def call(*arguments, **options) -> Outcome:
        process = subprocess.run(
            [sys.executable, PROJECT / "main.py", *map(str, arguments)],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=60,
            **options,
        )
        return Outcome(process, tmp_path / "images")

    return call


@pytest.fixture
def start(tmp_path):
    """Start main.py on the sample in an empty folder, without waiting for it."""

    def call(*arguments) -> subprocess.Popen:
        return subprocess.Popen(
            [sys.executable, PROJECT / "main.py", "--path", SAMPLE, *arguments],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return call


def save(path: Path, pixels: np.ndarray, **options) -> Path:
    """Write pixels with Pillow and return the path."""
    Image.fromarray(pixels).save(path, **options)
    return path


def put_sample(folder: Path) -> None:
    """Put the sample where the program looks for it by default."""
    (folder / "images").mkdir()
    (folder / "images" / SAMPLE.name).write_bytes(SAMPLE.read_bytes())


def small_photo() -> np.ndarray:
    """Return the sample as (90, 120, 3) RGB."""
    with Image.open(SAMPLE) as image:
        return np.asarray(image.resize((120, 90), Image.Resampling.BOX))


def encoded(ending: str, picture: Image.Image | None = None, **options) -> bytes:
    """Return a picture, the sample if there is none, as a file's bytes."""
    buffer = io.BytesIO()
    picture = picture or Image.fromarray(small_photo())
    try:
        picture.save(buffer, ending, **options)
    except (KeyError, ValueError):
        pytest.skip(f"this Pillow does not write {ending}")
    return buffer.getvalue()


def read(content: bytes, folder: Path) -> np.ndarray:
    """Read a file of these bytes, in a name that says nothing."""
    (folder / "picture").write_bytes(content)
    return main.read_image(folder / "picture")


def png_chunk(name: bytes, content: bytes, spoil: bool = False) -> bytes:
    """Return a chunk of a PNG file, or one with a wrong checksum."""
    check = struct.pack(">I", zlib.crc32(name + content) ^ spoil)
    return struct.pack(">I", len(content)) + name + content + check


def png(
    width: int,
    height: int,
    depth: int,
    kind: int,
    pixels: bytes,
    before: bytes = b"",
    after: bytes = b"",
) -> bytes:
    """Return a PNG with further chunks before and after its pixels."""
    head = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)
    return b"".join(
        [
            b"\x89PNG\r\n\x1a\n",
            png_chunk(b"IHDR", head),
            before,
            png_chunk(b"IDAT", zlib.compress(pixels)),
            after,
            png_chunk(b"IEND", b""),
        ]
    )


def jpeg_segment(marker: int, content: bytes) -> bytes:
    """Return a segment of a JPEG file."""
    return struct.pack(">HH", 0xFF00 | marker, len(content) + 2) + content


def tiff(pixels: bytes, width: int = 1, height: int = 1, **more: list[int]) -> bytes:
    """Return an uncompressed RGB TIFF; keywords set its tags, as named in ExifTags."""
    tags = {
        "ImageWidth": [width],
        "ImageLength": [height],
        "BitsPerSample": [8, 8, 8],
        "Compression": [1],
        "PhotometricInterpretation": [2],
        "StripOffsets": [8],
        "RowsPerStrip": [height],
        "StripByteCounts": [len(pixels)],
    } | more
    tags.setdefault("SamplesPerPixel", [len(tags["BitsPerSample"])])
    entries, rest = b"", b""
    page = 8 + len(pixels)
    for name in sorted(tags, key=lambda name: ExifTags.Base[name]):
        values = struct.pack(f"<{len(tags[name])}H", *tags[name])
        if len(values) > 4:
            place = page + 2 + 12 * len(tags) + 4 + len(rest)
            rest += values
            values = struct.pack("<I", place)
        entry = struct.pack("<HHI", ExifTags.Base[name], 3, len(tags[name]))
        entries += entry + values.ljust(4, b"\0")
    number = struct.pack("<H", len(tags))
    head = b"II*\0" + struct.pack("<I", page)
    return head + pixels + number + entries + bytes(4) + rest


def icc_profile(space: bytes, connection: bytes, tag: str, content: bytes) -> bytes:
    """Return a small ICC profile of version 2, with one tag beside the white point."""
    d50 = struct.pack(">3I", 63190, 65536, 54061)
    table, body = struct.pack(">I", 2), b""
    for name, data in [("wtpt", b"XYZ \0\0\0\0" + d50), (tag, content)]:
        table += struct.pack(">4sII", name.encode(), 156 + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    size = 156 + len(body)
    head = struct.pack(
        ">I4xI4s4s4s12x4s28x12s48x",
        *(size, 0x02400000, b"prtr", space, connection, b"acsp", d50),
    )
    return head + table + body


def decibels(a: np.ndarray, b: np.ndarray) -> float:
    """Peak signal-to-noise ratio of two pictures."""
    error = np.square(a.astype(float) - b).mean()
    return 10 * np.log10(255**2 / error) if error else np.inf


def assert_one_error_line(outcome: Outcome, mention: object) -> None:
    """Exit status 1 and nothing on stderr but one line that names the culprit."""
    assert outcome.status == 1, outcome.err
    assert outcome.err.startswith("error: ") and outcome.err.count("\n") == 1
    assert str(mention) in outcome.err


def assert_only_whole_pictures(folder: Path) -> None:
    """Every file under the folder is a picture that decodes to its end."""
    for path in folder.rglob("*"):
        if path.is_file():
            assert re.fullmatch(r"k_\d+\.jpg|output\.gif", path.name), path
            with Image.open(path) as image:
                for i in range(getattr(image, "n_frames", 1)):
                    image.seek(i)
                    image.load()


# The command line


def test_the_default_run_makes_all_frames_and_prints_a_line_for_each(run, tmp_path):
    put_sample(tmp_path)
    done = run()
    assert (done.status, done.err) == (0, "")
    names = [f"k_{k}.jpg" for k in main.DEFAULT_KS]
    lines = done.out.splitlines()
    assert [line.split()[0] for line in lines[:-1]] == names
    assert "output.gif" in lines[-1] and "14 frames" in lines[-1]
    assert {f"segmented-images/{name}" for name in names} < set(done.files)
    assert max(done.gif()[0].shape) == 500


def test_frames_come_in_the_order_of_ks_and_in_the_folder_of_output(run, tmp_path):
    done = run("--path", SAMPLE, "--ks", 7, 2, 7, "--output", "a b/ç")
    assert done.status == 0 and not done.files
    elsewhere = Outcome(subprocess.CompletedProcess([], 0), tmp_path / "a b" / "ç")
    frames = elsewhere.gif()
    assert len(frames) == 3 and (frames[0] == frames[2]).all()
    assert [len(np.unique(f[200:].reshape(-1, 3), axis=0)) for f in frames] == [7, 2, 7]
    assert len(elsewhere.files) == 3


def test_the_same_seed_gives_the_same_bytes(run):
    one, same, other = (
        run("--path", SAMPLE, "--ks", 9, 30, "--seed", seed).files for seed in (5, 5, 6)
    )
    assert one == same and all(one[name] != other[name] for name in one)


@pytest.mark.parametrize(
    "arguments",
    [
        "--ks",
        "--ks 0",
        "--ks -3",
        "--ks 2.5",
        "--ks 255",
        "--seed -1",
        "--seed x",
        f"--seed {'9' * 5000}",
        "--path",
        "--path=",
        "--output=",
        "--nonsense",
    ],
)
def test_wrong_arguments_end_with_status_2_and_the_usage(run, arguments):
    failed = run(*arguments.split())
    assert failed.status == 2 and not failed.files
    assert failed.err.startswith("usage:") and "error:" in failed.err


def test_as_many_clusters_as_the_palette_holds_can_be_asked_for(run):
    done = run("--path", SAMPLE, "--ks", main.MAX_K)
    colours = np.unique(done.gif()[0].reshape(-1, 3), axis=0)
    assert main.MAX_K <= len(colours) <= 256


@pytest.mark.parametrize("arguments", [["--help"], ["--path", SAMPLE, "--ks", "2"]])
def test_it_runs_without_docstrings(tmp_path, arguments):
    command = [sys.executable, "-OO", PROJECT / "main.py", *arguments]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.skipif(os.name == "nt", reason="closes it with a shell")
@pytest.mark.parametrize("closed", ["2>&-", "0<&- 2>&-"])
@pytest.mark.parametrize("arguments", ["--path absent.jpg", "--ks 0"])
def test_an_error_never_goes_to_stdout(tmp_path, arguments, closed):
    line = f"'{sys.executable}' '{PROJECT / 'main.py'}' {arguments} {closed}"
    done = subprocess.run(line, shell=True, cwd=tmp_path, stdout=subprocess.PIPE)
    assert done.returncode in (1, 2) and done.stdout == b""


def test_importing_does_nothing(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", "import main"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(PROJECT), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert not list(tmp_path.iterdir())


def test_the_example_in_the_readme_repaints_its_image(tmp_path):
    readme = (PROJECT / "README.md").read_text(encoding="utf-8")
    example = re.search("```python\n(.*?)```", readme, re.DOTALL)[1]
    put_sample(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", example],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        capture_output=True,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    with Image.open(tmp_path / "painted.png") as painted:
        assert len(painted.getcolors()) == 8


# The pictures


def test_every_pixel_has_the_colour_of_its_nearest_centroid(run, tmp_path):
    photo = main.resize_image(main.read_image(SAMPLE))
    done = run("--path", save(tmp_path / "photo.png", photo))
    pixels = photo[100:].reshape(-1, 3).astype(float)
    for k, frame in zip(main.DEFAULT_KS, done.gif(), strict=True):
        shown = frame[100:].reshape(-1, 3)
        palette = np.unique(shown, axis=0)
        assert len(palette) <= k <= len(np.unique(frame.reshape(-1, 3), axis=0))
        chosen = np.linalg.norm(pixels - shown, axis=1)
        nearest = np.min([np.linalg.norm(pixels - c, axis=1) for c in palette], axis=0)
        assert (chosen <= nearest + np.sqrt(3)).all()  # a centroid's two roundings


def test_jpegs_are_close_to_their_frames_and_keep_full_colour(run):
    done = run("--path", SAMPLE, "--ks", 2, 8, 50)
    for k, frame in zip((2, 8, 50), done.gif(), strict=True):
        assert decibels(done.jpeg(k), frame) > 34
        with Image.open(done.output / "segmented-images" / f"k_{k}.jpg") as image:
            assert JpegImagePlugin.get_sampling(image) == 0  # 4:4:4


def test_an_image_of_few_colours_comes_back_as_it_is(run, tmp_path):
    flag = np.zeros((90, 120, 3), np.uint8)
    flag[:, :40], flag[:, 40:80], flag[:, 80:] = (200, 30, 40), (9, 180, 60), (3, 6, 22)
    done = run("--path", save(tmp_path / "flag.png", flag))
    for frame in done.gif()[2:]:
        assert (frame[45:] == flag[45:]).all()
    assert "inf dB" in done.out


def test_the_printed_decibels_are_those_of_the_frame(run, tmp_path):
    tiny = NOISE[:12, :12]  # too small for a label
    done = run("--path", save(tmp_path / "tiny.png", tiny), "--ks", 3, 40)
    printed = [float(line.split()[-2]) for line in done.out.splitlines()[:-1]]
    assert printed == [round(decibels(frame, tiny), 2) for frame in done.gif()]


def test_there_is_a_frame_per_k_even_where_they_are_equal(run, tmp_path):
    done = run("--path", save(tmp_path / "dot.png", NOISE[:1, :1]))
    assert len(done.gif()) == len(main.DEFAULT_KS)
    assert all((frame == NOISE[:1, :1]).all() for frame in done.gif())


@pytest.mark.parametrize("background", ["white", "black", "grey", "noise", "stripes"])
def test_the_label_can_be_read_on(run, tmp_path, background):
    height, width = 300, 400
    pixels = {
        "white": np.full((height, width, 3), 255),
        "black": np.zeros((height, width, 3)),
        "grey": np.full((height, width, 3), 127),
        "noise": np.random.default_rng(0).integers(0, 256, (height, width, 3)),
        "stripes": np.where(np.indices((height, width, 3))[0] % 8 < 4, 0, 255),
    }[background].astype(np.uint8)
    done = run("--path", save(tmp_path / "in.png", pixels), "--ks", 4, 5)
    four, five = (frame[:100].astype(int) for frame in done.gif())
    for top in (four, five, done.jpeg(4)[:100]):
        assert (top.min(axis=2) >= 235).sum() > 200, "no white letters"
        assert (top.max(axis=2) <= 20).sum() > 200, "no dark edge"
    assert (four != five).any(axis=2).sum() > 50, "4 and 5 look alike"


@pytest.mark.parametrize(
    "height, width", [(40, 40), (500, 60), (60, 500), (150, 200), (300, 400)]
)
def test_the_label_fits_and_is_centred(run, tmp_path, height, width):
    grey = np.full((height, width, 3), 127, np.uint8)
    done = run("--path", save(tmp_path / "in.png", grey), "--ks", 50, 254)
    for frame in done.gif():
        rows, columns = np.nonzero((frame != 127).any(axis=2))
        assert columns.min() > 0 and columns.max() < width - 1
        assert abs(columns.min() + columns.max() - (width - 1)) <= 3
        assert rows.min() > 0 and rows.max() < height / 2
        assert rows.max() - rows.min() >= min(14, min(height, width) // 5)


@pytest.mark.parametrize(
    "height, width, wanted",
    [
        (1000, 500, (500, 250)),
        (300, 400, (300, 400)),
        (501, 501, (500, 500)),
        (9000, 3, (500, 1)),
        (1, 1, (1, 1)),
    ],
)
def test_resizing_keeps_the_proportions_and_never_enlarges(height, width, wanted):
    image = np.zeros((height, width, 3), np.uint8)
    assert main.resize_image(image).shape == (*wanted, 3)


# What it reads


@pytest.mark.parametrize(
    "ending", ["jpg", "png", "webp", "bmp", "tif", "gif", "avif", "ppm"]
)
def test_it_reads(tmp_path, ending):
    photo = small_photo()
    try:
        path = save(tmp_path / f"photo.{ending}", photo)
    except (KeyError, ValueError):
        pytest.skip(f"this Pillow does not write {ending}")
    assert decibels(main.read_image(path), photo) > 24


@pytest.mark.parametrize("ending", ["png", "tif"])
@pytest.mark.parametrize("grey", [True, False])
def test_it_scales_16_bits_to_8(tmp_path, ending, grey):
    photo = small_photo()[..., 1 if grey else slice(None, None, -1)]
    path = tmp_path / f"deep.{ending}"
    cv2.imwrite(str(path), photo.astype(np.uint16) * 257)
    wanted = np.dstack([photo] * 3) if grey else photo[..., ::-1]
    assert np.abs(main.read_image(path) - wanted.astype(int)).max() <= 1


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK", "LA", "I;16"])
def test_it_reads_images_of_mode(tmp_path, mode):
    photo = Image.fromarray(small_photo())
    if mode == "I;16":
        image = Image.fromarray(np.asarray(photo.convert("L")).astype(np.uint16) * 256)
        wanted = photo.convert("L")
    else:
        image = photo.convert(mode)
        wanted = image.convert("RGB")
    image.save(tmp_path / "image.tif")
    shown = main.read_image(tmp_path / "image.tif")
    assert (shown == np.asarray(wanted.convert("RGB"))).all()


def test_transparent_pixels_are_blended_over_white(tmp_path):
    pixels = np.zeros((2, 2, 4), np.uint8)
    pixels[...] = [[(200, 0, 0, 255), (200, 0, 0, 128)], [(200, 0, 0, 0)] * 2]
    shown = main.read_image(save(tmp_path / "rgba.png", pixels)).astype(int)
    wanted = [[(200, 0, 0), (227, 127, 127)], [(255, 255, 255)] * 2]
    assert np.abs(shown - wanted).max() <= 1


def test_transparent_palette_colours_are_white(tmp_path):
    image = Image.fromarray(small_photo()).quantize(16)
    hidden = np.asarray(image) == 3
    image.save(tmp_path / "p.png", transparency=3)
    shown = main.read_image(tmp_path / "p.png")
    assert (shown[hidden] == 255).all() and hidden.any()
    assert (shown[~hidden] == np.asarray(image.convert("RGB"))[~hidden]).all()


@pytest.mark.parametrize(
    "depth, kind, transparent, row, wanted",
    [
        (16, 0, [256], struct.pack(">4H", 0, 256, 30_000, 65_535), [0, 255, 117]),
        (4, 0, [5], b"\x15\xf0", [17, 255, 255]),
        (2, 0, [1], b"\x98", [170, 255, 170]),
        (16, 2, [9, 9, 999], struct.pack(">6H", *[9, 9, 999] * 2), [255, 255]),
    ],
    ids=["16-bit grey", "4-bit grey", "2-bit grey", "16-bit colour"],
)
def test_the_transparent_colour_of_a_png_is_white(
    tmp_path, depth, kind, transparent, row, wanted
):
    width = len(row) * 8 // (depth * len(transparent))
    key = png_chunk(b"tRNS", struct.pack(f">{len(transparent)}H", *transparent))
    content = png(width, 1, depth, kind, b"\0" + row, before=key)
    shown = read(content, tmp_path)
    assert shown[0, : len(wanted), 0].tolist() == wanted


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_turns_the_picture_upright(tmp_path, orientation, large):
    photo = Image.fromarray(small_photo())
    photo = photo.resize((2400, 1800)) if large else photo
    stored = photo
    for flip in {2: [0], 3: [3], 4: [1], 5: [5], 6: [2], 7: [6], 8: [4]}.get(
        orientation, []
    ):
        stored = stored.transpose(Image.Transpose(flip))
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / "turned.jpg", exif=exif, quality=95)
    shown = main.resize_image(main.read_image(tmp_path / "turned.jpg"))
    wanted = main.resize_image(np.asarray(photo))
    assert decibels(shown, wanted) > 30


@pytest.mark.parametrize("ending", ["jpg", "png", "webp"])
@pytest.mark.parametrize(
    "entries, turned",
    [
        (b"garbage", False),
        (
            b"II*\0\x08\0\0\0\x02\0"
            + struct.pack("<HHII", 0x0112, 3, 1, 6)  # the orientation
            + struct.pack("<HHI4s", 0x011A, 2, 4, b"abc")  # text for a resolution
            + bytes(4),
            True,
        ),
    ],
    ids=["no entries", "a wrong entry"],
)
def test_damaged_exif_does_not_spoil_the_picture(tmp_path, ending, entries, turned):
    photo, path = small_photo(), tmp_path / f"photo.{ending}"
    save(path, photo, exif=b"Exif\0\0" + entries, dpi=(72, 72), quality=95)
    wanted = np.rot90(photo, -1) if turned else photo
    assert decibels(main.read_image(path), wanted) > 30


@pytest.mark.parametrize("ending", ["jpg", "png"])
def test_a_large_image_looks_like_its_full_resize(tmp_path, ending):
    with Image.open(SAMPLE) as image:
        big = image.resize((5000, 3340), Image.Resampling.BICUBIC)
    big.save(tmp_path / f"big.{ending}", quality=95, compress_level=1)
    shown = main.read_image(tmp_path / f"big.{ending}")
    assert max(shown.shape) <= 4 * main.MAX_SIZE
    wanted = main.resize_image(np.asarray(big))
    assert decibels(main.resize_image(shown), wanted) > 40


@pytest.mark.parametrize("ending", ["jpg", "png"])
@pytest.mark.parametrize(
    "size, wanted",
    [
        ((4000, 2250), (500, 281)),
        ((2464, 3248), (379, 500)),
        ((50, 20_000), (1, 500)),
        ((501, 3), (500, 3)),
    ],
)
def test_the_size_is_that_of_the_original(tmp_path, size, wanted, ending):
    Image.new("L", size).save(tmp_path / f"image.{ending}")
    assert main.read_image(tmp_path / f"image.{ending}").shape[1::-1] == wanted


@pytest.mark.parametrize("width", [2001, 8999, 9001])
def test_the_last_column_weighs_no_more_than_it_is_wide(tmp_path, width):
    pixels = np.zeros((40, width), np.uint8)
    pixels[:, -1] = 255
    shown = main.read_image(save(tmp_path / "edge.png", pixels))
    assert shown[0, -1, 0] <= 255 * 500 / width + 1


@pytest.mark.parametrize("width", [1, 7, 59, 101])
def test_a_narrow_picture_keeps_its_columns(tmp_path, width):
    ramp = np.linspace(0, 255, width).astype(np.uint8)
    pixels = np.repeat(ramp[None], 9000, axis=0)
    shown = main.read_image(save(tmp_path / "narrow.png", pixels))
    assert abs(shown.mean() - ramp.mean()) < 1


@pytest.mark.parametrize("width", [4001, 4005, 8009, 8015])
def test_what_a_lossless_crop_hides_stays_hidden(tmp_path, width):
    picture = Image.new("RGB", ((width + 7) // 8 * 8, 16), (30, 120, 200))
    picture.paste((255, 0, 0), (width, 0, picture.width, 16))
    content = bytearray(encoded("JPEG", picture, quality=95, subsampling=0))
    place = content.index(b"\xff\xc0") + 7
    content[place : place + 2] = struct.pack(">H", width)
    assert np.abs(read(content, tmp_path) - np.array([30, 120, 200])).max() <= 4


def test_an_animation_gives_its_first_frame(tmp_path):
    photo = small_photo()
    others = [Image.fromarray(255 - photo)]
    path = save(tmp_path / "a.gif", photo, save_all=True, append_images=others)
    assert decibels(main.read_image(path), photo) > 24


@pytest.mark.parametrize(
    "name", ["with space.png", "número-ß-图.png", "no-ending", "wrong.jpg", "-dash.png"]
)
def test_a_file_may_have_any_name(run, tmp_path, name):
    save(tmp_path / name, small_photo(), format="PNG")
    done = run(f"--path={name}", "--ks", 3)
    assert (done.status, done.err) == (0, "")


def test_output_names_that_the_console_cannot_show_are_escaped(run):
    ascii_only = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = run("--path", SAMPLE, "--ks", 2, "--output", "图\n", env=ascii_only)
    assert (done.status, done.err) == (0, "")
    assert r"\u56fe\n" in done.out.splitlines()[-1]


# What the colours mean

needs_profiles = pytest.mark.skipif(
    not features.check("littlecms2"), reason="this Pillow knows no profiles"
)
RED = (200, 80, 40)
GREEN = (80, 200, 40)


def swapping_profile() -> bytes:
    """Return sRGB's profile with red and green exchanged, so that RED means GREEN."""
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    swapped = srgb.replace(b"rXYZ", b"?XYZ", 1).replace(b"gXYZ", b"rXYZ", 1)
    return swapped.replace(b"?XYZ", b"gXYZ", 1)


def grey_profile() -> bytes:
    """Return the profile of a grey that is a power, 1.8, of its number."""
    curve = struct.pack(">4s4xIH", b"curv", 1, round(1.8 * 256))
    return icc_profile(b"GRAY", b"XYZ ", "kTRC", curve)


def ink_profile() -> bytes:
    """Return the profile of inks of which only the black one can be seen."""
    matrix = struct.pack(">9I", *np.eye(3, dtype=int).ravel() * 65536)
    straight = bytes(range(256))
    white, black = bytes((255, 128, 128)), bytes((0, 128, 128))
    head = struct.pack(">4s4xBBBx", b"mft1", 4, 3, 2)
    table = head + matrix + straight * 4 + (white + black) * 8 + straight * 3
    return icc_profile(b"CMYK", b"Lab ", "A2B0", table)


@needs_profiles
@pytest.mark.parametrize("ending", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize("size", [(16, 16), (3001, 2001)], ids=["small", "large"])
def test_a_profile_says_what_the_colours_are(tmp_path, ending, size):
    picture = Image.new("RGB", size, RED)
    content = encoded(ending, picture, icc_profile=swapping_profile(), quality=95)
    assert np.abs(read(content, tmp_path) - np.array(GREEN)).max() <= 4


@needs_profiles
@pytest.mark.parametrize(
    "mode, colour, profile, wanted",
    [
        ("P", 0, swapping_profile, GREEN),
        ("RGBA", (*RED, 128), swapping_profile, (167, 227, 147)),
        ("L", 100, grey_profile, (119, 119, 119)),
        ("LA", (100, 255), grey_profile, (119, 119, 119)),
        ("1", 1, grey_profile, (255, 255, 255)),
        ("CMYK", (100, 120, 140, 128), ink_profile, (119, 119, 119)),
    ],
)
def test_a_profile_is_applied_in_mode(tmp_path, mode, colour, profile, wanted):
    picture = Image.new(mode, (9, 9), colour)
    if mode == "P":
        picture.putpalette(RED)
    form = "TIFF" if mode == "CMYK" else "PNG"
    shown = read(encoded(form, picture, icc_profile=profile()), tmp_path)
    assert np.abs(shown - np.array(wanted)).max() <= 2


@needs_profiles
@pytest.mark.parametrize("kind, wanted", [(0, (119, 119, 119)), (2, GREEN)])
def test_a_profile_is_applied_to_16_bits(tmp_path, kind, wanted):
    profile, colour = [(grey_profile, [100]), None, (swapping_profile, RED)][kind]
    before = png_chunk(b"iCCP", b"name\0\0" + zlib.compress(profile()))
    row = b"\0" + struct.pack(f">{len(colour)}H", *(257 * c for c in colour))
    shown = read(png(1, 1, 16, kind, row, before), tmp_path)
    assert np.abs(shown - np.array(wanted)).max() <= 2


@needs_profiles
def test_srgb_changes_no_pixel(tmp_path):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    photo = small_photo()
    content = encoded("PNG", Image.fromarray(photo), icc_profile=profile)
    assert (read(content, tmp_path) == photo).all()


@needs_profiles
@pytest.mark.parametrize(
    "mode, profile",
    [
        ("RGB", lambda: b""),
        ("RGB", lambda: b"not a profile"),
        ("RGB", lambda: swapping_profile()[:300]),
        ("RGB", grey_profile),
        ("L", swapping_profile),
        ("CMYK", swapping_profile),
    ],
    ids=["empty", "text", "cut", "grey for RGB", "RGB for grey", "RGB for CMYK"],
)
def test_a_profile_that_cannot_be_meant_is_left_aside(tmp_path, mode, profile):
    picture = Image.fromarray(small_photo()).convert(mode)
    shown = read(encoded("TIFF", picture, icc_profile=profile()), tmp_path)
    assert (shown == np.asarray(picture.convert("RGB"))).all()


@needs_profiles
def test_a_pillow_without_littlecms_leaves_profiles_aside(tmp_path, monkeypatch):
    content = encoded("PNG", Image.new("RGB", (9, 9), RED), icc_profile=b"profile")
    monkeypatch.setitem(sys.modules, "PIL.ImageCms", None)
    assert (read(content, tmp_path) == RED).all()


# Metadata never decides

PNG_METADATA = {
    "text with a wrong checksum": png_chunk(b"tEXt", b"Comment\0", spoil=True),
    "a profile with a wrong checksum": png_chunk(b"iCCP", b"n\0\0x", spoil=True),
    "an empty profile": png_chunk(b"iCCP", b""),
    "a profile that unpacks to megabytes": png_chunk(
        b"iCCP", b"n\0\0" + zlib.compress(bytes(2_000_000))
    ),
    "a short resolution": png_chunk(b"pHYs", b"\0\0"),
    "text packed in an unknown way": png_chunk(b"zTXt", b"Comment\0\7x"),
    "megabytes of text": png_chunk(
        b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(bytes(2_000_000))
    ),
    "an animation of nothing": png_chunk(b"acTL", b""),
}


@pytest.mark.parametrize("place", ["before", "after"])
@pytest.mark.parametrize("name", PNG_METADATA)
def test_the_metadata_of_a_png_never_costs_the_picture(tmp_path, name, place):
    content = png(1, 1, 8, 2, bytes((0, *RED)), **{place: PNG_METADATA[name]})
    assert (read(content, tmp_path) == RED).all()


@needs_profiles
def test_damaged_metadata_does_not_cost_the_colours(tmp_path):
    profile = png_chunk(b"iCCP", b"name\0\0" + zlib.compress(swapping_profile()))
    damaged = PNG_METADATA["a short resolution"]
    content = png(1, 1, 8, 2, bytes((0, *RED)), before=damaged + profile)
    assert np.abs(read(content, tmp_path) - np.array(GREEN)).max() <= 1


@pytest.mark.parametrize(
    "marker, content",
    [
        (0xE0, b"JFIF\0"),
        (0xE2, b"ICC_PROFILE\0"),
        (0xEE, b"Adobe"),
        (0xE2, b"MPF\0II*\0\x08\0\0\0" + b"\xff" * 99),
    ],
    ids=["JFIF", "profile", "Adobe", "multi-picture"],
)
def test_the_metadata_of_a_jpeg_never_costs_the_picture(tmp_path, marker, content):
    whole = encoded("JPEG", quality=95)
    damaged = whole[:2] + jpeg_segment(marker, content) + whole[2:]
    assert decibels(read(damaged, tmp_path), small_photo()) > 30


@pytest.mark.parametrize("length", [0, 3, 99_999])
def test_the_metadata_of_a_webp_never_costs_the_picture(tmp_path, length):
    content = bytearray(encoded("WEBP", xmp=b"<x/>", quality=95))
    place = content.rindex(b"XMP ") + 4
    content[place : place + 4] = struct.pack("<I", length)
    assert decibels(read(content, tmp_path), small_photo()) > 30


def test_the_metadata_of_an_avif_never_costs_the_picture(tmp_path):
    exif = Image.Exif()
    exif[0x010E] = "description"
    content = bytearray(encoded("AVIF", exif=exif, quality=95))
    place = max(content.find(b"II*\0"), content.find(b"MM\0*"))
    content[place + 4 : place + 8] = b"\xff" * 4
    assert decibels(read(content, tmp_path), small_photo()) > 30


@pytest.mark.parametrize(
    "name, kind", [("XResolution", 2), ("XMLPacket", 3), ("ExifOffset", 16)]
)
def test_the_metadata_of_a_tiff_never_costs_the_picture(tmp_path, name, kind):
    more = {"XResolution": [72], "YResolution": [72], "ResolutionUnit": [3]}
    content = bytearray(tiff(bytes(RED), **{**more, name: [255]}))
    place = content.index(struct.pack("<HHI", ExifTags.Base[name], 3, 1))
    content[place + 2] = kind
    assert (read(content, tmp_path) == RED).all()


@pytest.mark.parametrize("form", ["AVIF", "BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP"])
def test_missing_pixels_cost_the_picture(tmp_path, form):
    content = encoded(form, Image.fromarray(NOISE))
    with pytest.raises(main.UnusableError, match=r"cannot be decoded|not an image"):
        read(content[: len(content) // 2], tmp_path)


# What it refuses


@pytest.mark.parametrize(
    "name, content, reason",
    [
        ("empty.jpg", b"", "is empty"),
        ("text.jpg", b"not an image\n", "not an image"),
        ("noise.jpg", NOISE.tobytes(), "not an image"),
        ("drawing.svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not an image"),
        ("page.pdf", b"%PDF-1.4\n%%EOF\n", "not an image"),
        ("cut.jpg", encoded("JPEG")[:2000], "cannot be decoded"),
        ("cut.png", encoded("PNG")[:2000], "cannot be decoded"),
        ("cut.gif", encoded("GIF")[:20], "not an image"),
        ("huge.png", png(100_000, 100_000, 8, 2, b""), "has 10000.0 megapixels"),
        ("photo.heic", b"\0\0\0\x18ftypheic" + bytes(99), "HEIC photo as JPEG"),
    ],
)
def test_a_file_that_is_no_image_gets_one_clear_line(
    run, tmp_path, name, content, reason
):
    (tmp_path / name).write_bytes(content)
    failed = run("--path", name)
    assert_one_error_line(failed, name)
    assert reason in failed.err and not failed.files and not failed.output.exists()


@pytest.mark.parametrize("path", ["absent.jpg", ".", os.devnull, "a\nb", "x" * 300])
def test_a_path_that_is_no_file_gets_one_clear_line(run, path):
    assert_one_error_line(run("--path", path), path.replace("\n", r"\n"))


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such files")
@pytest.mark.parametrize("kind", ["pipe", "socket"])
def test_what_may_never_end_is_called_what_it_is(run, tmp_path, kind):
    if kind == "pipe":
        os.mkfifo(tmp_path / "it")
    else:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(tmp_path / "it"))
    assert_one_error_line(run("--path", "it"), f"it: is a {kind}")


@pytest.mark.parametrize(
    "name, error, reason",
    [
        ("decode", MemoryError(), "needs more memory"),
        ("decode", KeyError("x"), "is damaged or not complete"),
        ("silence", OSError(errno.EMFILE, "Too many open files"), "Too many open"),
        ("open_file", OSError(), "no reason"),
    ],
)
def test_every_error_has_a_reason_in_words(monkeypatch, name, error, reason):
    def fail(*arguments: object) -> None:
        raise error

    monkeypatch.setattr(main, name, fail)
    with pytest.raises(main.UnusableError, match=reason):
        main.read_image(SAMPLE)


@pytest.mark.parametrize(
    "form", ["DDS", "EPS", "ICNS", "IM", "JPEG2000", "PCX", "PDF", "SGI", "TGA"]
)
def test_other_formats_never_reach_a_decoder(tmp_path, form):
    with pytest.raises(main.UnusableError, match="is not an image"):
        read(encoded(form), tmp_path)


@pytest.mark.skipif(os.name == "nt", reason="the stand-in is a shell script")
def test_no_file_starts_another_program(run, tmp_path):
    ghostscript = tmp_path / "gs"
    ghostscript.write_text("#!/bin/sh\ntouch started\n")
    ghostscript.chmod(0o755)
    (tmp_path / "photo.jpg").write_bytes(encoded("EPS"))
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    failed = run("--path", "photo.jpg", env={**os.environ, "PATH": path})
    assert_one_error_line(failed, "photo.jpg: is not an image")
    assert not (tmp_path / "started").exists() and failed.out == ""


def test_decoders_that_only_pillow_knows_are_not_reached(tmp_path):
    with pytest.raises(main.UnusableError, match="of a kind not known"):
        read(b"PyRGBA 1 1 255\n" + bytes(4), tmp_path)


def blank_png(side: int, depth: int, kind: int, before: bytes = b"") -> bytes:
    """Return a square PNG of zeros that takes no time to make."""
    samples = {0: 1, 3: 1, 4: 2, 6: 4}[kind]
    row = bytes(1 + (side * depth * samples + 7) // 8)
    deflate = zlib.compressobj(9)
    pixels = b"".join(deflate.compress(row) for _ in range(side)) + deflate.flush()
    whole = png(side, side, depth, kind, b"", before)
    return whole.replace(
        png_chunk(b"IDAT", zlib.compress(b"")), png_chunk(b"IDAT", pixels)
    )


def progressive_jpeg(scans: int) -> bytes:
    """Return a JPEG with its last scan repeated so many times."""
    content = encoded("JPEG", progressive=True)
    last = content.rindex(b"\xff\xda")
    return content[:last] + content[last:-2] * scans + b"\xff\xd9"


LARGE_CLAIMS = {
    "webp": b"RIFF\x1a\0\0\0WEBPVP8L\x0e\0\0\0/\xb7\xfdm\x0f\7\x10\x11\xfd\x0fDD\xff\3",
    "grey and alpha": png(15_000, 15_000, 8, 4, b""),
    "deep colour and alpha": png(15_000, 15_000, 16, 6, b""),
    "grey": png(16_000, 16_000, 8, 0, b""),
    "plain text": b"P3 3000 2000 255\n",
    "unusual range": b"P6 3000 2000 99\n",
    "tile": tiff(b"1", TileWidth=[60_000], TileLength=[60_000], Compression=[8]),
}


@pytest.mark.parametrize("name", LARGE_CLAIMS)
def test_what_would_cost_too_much_is_refused_with_the_size_that_it_may_have(
    tmp_path, name
):
    began = time.perf_counter()
    with pytest.raises(main.UnusableError, match=r"has .* may have \d+\.\d"):
        read(LARGE_CLAIMS[name], tmp_path)
    assert time.perf_counter() - began < 1


def test_what_follows_a_jpeg_is_not_counted_as_its_scans(tmp_path):
    motion_photo = encoded("JPEG", quality=95) + b"\xff\xda" * 200
    assert decibels(read(motion_photo, tmp_path), small_photo()) > 30


@pytest.mark.parametrize(
    "content, reason",
    [
        (progressive_jpeg(scans=200), "over 100 scans"),
        (b"P2 9 9 255\n" + b"#\n" * 2000 + b"1 " * 81, "over 1000 comments"),
    ],
)
def test_what_would_take_too_long_is_refused(tmp_path, content, reason):
    with pytest.raises(main.UnusableError, match=reason):
        read(content, tmp_path)


def test_a_file_too_long_to_be_read_as_a_whole_is_refused(tmp_path):
    with (tmp_path / "long.webp").open("wb") as file:
        file.write(encoded("WEBP"))
        file.truncate(300_000_000)  # a hole, which takes no place
    with pytest.raises(main.UnusableError, match="over 250 MB"):
        main.read_image(tmp_path / "long.webp")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such measure")
@pytest.mark.parametrize(
    "kind, before",
    [(0, b""), (3, png_chunk(b"PLTE", bytes(6)) + png_chunk(b"tRNS", b"\0"))],
    ids=["grey", "palette with alpha"],
)
def test_a_large_picture_is_reduced_before_it_is_converted(tmp_path, kind, before):
    side = 8000
    (tmp_path / "large.png").write_bytes(blank_png(side, 8, kind, before))
    measure = (
        "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True);"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    command = [sys.executable, PROJECT / "main.py", "--path", "large.png", "--ks", "1"]
    done = subprocess.run(
        [sys.executable, "-c", measure, *command],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    unit = 2**20 if sys.platform == "darwin" else 2**10
    assert int(done.stdout.split()[-1]) / unit < 100 + 2 * side**2 / 2**20


@pytest.mark.parametrize("dtype", [np.float32, np.int32])
def test_numbers_of_unknown_range_are_refused(run, tmp_path, dtype):
    path = save(tmp_path / "numbers.tif", NOISE[..., 0].astype(dtype))
    assert_one_error_line(run("--path", path), "of a kind not known")


UNCLEAR_TIFFS = {
    "deep grey with 0 for white": {
        "BitsPerSample": [16],
        "PhotometricInterpretation": [0],
    },
    "deep planes": {"BitsPerSample": [16] * 3, "PlanarConfiguration": [2]},
    "12 bits": {"BitsPerSample": [12], "PhotometricInterpretation": [1]},
    "signed grey": {
        "BitsPerSample": [8],
        "PhotometricInterpretation": [1],
        "SampleFormat": [2],
    },
    "subsampled luma and chroma": {
        "PhotometricInterpretation": [6],
        "YCbCrSubSampling": [2, 2],
    },
    "a palette of 8-bit entries": {
        "BitsPerSample": [8],
        "PhotometricInterpretation": [3],
        "ColorMap": [200] * 768,
    },
    "inks that are not CMYK": {
        "BitsPerSample": [8] * 4,
        "PhotometricInterpretation": [5],
        "InkSet": [2],
    },
}


@pytest.mark.parametrize("name", UNCLEAR_TIFFS)
def test_a_tiff_of_a_kind_not_known_to_be_shown_right_is_refused(tmp_path, name):
    with pytest.raises(main.UnusableError, match=r"of a kind not known|not an image"):
        read(tiff(bytes(99), **UNCLEAR_TIFFS[name]), tmp_path)


CLEAR_TIFFS = {
    "colour": ({}, [200, 80, 40], (200, 80, 40)),
    "grey with 0 for white": (
        {"BitsPerSample": [8], "PhotometricInterpretation": [0]},
        [200],
        (55, 55, 55),
    ),
    "luma and chroma": (
        {"PhotometricInterpretation": [6], "YCbCrSubSampling": [1, 1]},
        [100, 128, 200],
        (201, 49, 100),
    ),
    "ink": (
        {"BitsPerSample": [8] * 4, "PhotometricInterpretation": [5]},
        [55, 155, 255, 0],
        (200, 100, 0),
    ),
    "alpha apart": (
        {"BitsPerSample": [8] * 4, "ExtraSamples": [2]},
        [200, 0, 0, 128],
        (227, 127, 127),
    ),
    "alpha multiplied in": (
        {"BitsPerSample": [8] * 4, "ExtraSamples": [1]},
        [100, 0, 0, 128],
        (227, 127, 127),
    ),
    "deep alpha": (
        {"BitsPerSample": [16] * 4, "ExtraSamples": [2]},
        [200, 200, 0, 0, 0, 0, 128, 128],
        (227, 127, 127),
    ),
}


@pytest.mark.parametrize("name", CLEAR_TIFFS)
def test_it_reads_a_tiff_of(tmp_path, name):
    tags, pixels, wanted = CLEAR_TIFFS[name]
    content = tiff(bytes(pixels), **tags)
    if name == "luma and chroma" and int(PIL.__version__.split(".")[0]) < 13:
        with pytest.raises(main.UnusableError, match="of a kind not known"):
            read(content, tmp_path)
        pytest.skip("Pillow before 13 takes it for RGB, so it is refused")
    shown = read(content, tmp_path)
    assert np.abs(shown[0, 0].astype(int) - wanted).max() <= 2


@pytest.mark.parametrize("tags", [{"NewSubfileType": [1]}, {"SubfileType": [2]}])
def test_a_thumbnail_is_not_taken_for_the_picture(tmp_path, tags):
    with pytest.raises(main.UnusableError, match="begins with a thumbnail"):
        read(tiff(bytes(3), **tags), tmp_path)


def test_a_failed_run_leaves_everything_as_it_was(run, tmp_path):
    before = run("--path", SAMPLE, "--ks", 2, 3).files
    (tmp_path / "bad.png").write_bytes(encoded("PNG")[:-200])
    failed = run("--path", "bad.png")
    assert_one_error_line(failed, "bad.png")
    assert failed.files == before


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the fuzzer forks")
def test_a_damaged_file_of_any_format_is_used_or_gets_one_line():
    fuzzer = [sys.executable, PROJECT / "tests" / "fuzz.py", "--files", "300"]
    done = subprocess.run(fuzzer, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.match("300 files: .*'refused'.*'used'.* 0 findings", done.stdout)


# The files it leaves


def test_frames_of_earlier_runs_go_and_other_files_stay(run):
    first = run("--path", SAMPLE, "--ks", 2, 3)
    (first.output / "segmented-images" / "k_notes.jpg").write_text("mine")
    (first.output / "segmented-images" / "k_08.jpg").write_text("mine")
    (first.output / "segmented-images" / "k_9.jpg").mkdir()
    (first.output / "mine.txt").write_text("mine")
    done = run("--path", SAMPLE, "--ks", 4)
    kept = {"mine.txt", "output.gif"}
    kept |= {
        f"segmented-images/{name}" for name in ("k_4.jpg", "k_08.jpg", "k_notes.jpg")
    }
    assert set(done.files) == kept and (done.status, done.err) == (0, "")
    assert (first.output / "segmented-images" / "k_9.jpg").is_dir()


needs_links = pytest.mark.skipif(os.name == "nt", reason="Windows seldom allows links")


@needs_links
def test_an_earlier_frame_that_is_the_input_is_kept(run, tmp_path):
    first = run("--path", SAMPLE, "--ks", 3)
    (tmp_path / "link.jpg").symlink_to(first.output / "segmented-images" / "k_3.jpg")
    done = run("--path", "link.jpg", "--ks", 2)
    assert done.status == 0 and first.files.items() & done.files.items()


@needs_links
@pytest.mark.parametrize("result", ["segmented-images/k_2.jpg", "output.gif"])
@pytest.mark.parametrize("spelling", ["plain", "roundabout", "link", "hard link"])
def test_the_input_is_never_replaced(run, tmp_path, result, spelling):
    before = run("--path", SAMPLE, "--ks", 2).files
    path = tmp_path / "images" / result
    if spelling == "roundabout":
        path = tmp_path / "images" / ".." / "images" / result
    elif spelling == "link":
        path = tmp_path / "link"
        path.symlink_to(tmp_path / "images" / result)
    elif spelling == "hard link":
        path = tmp_path / "link"
        os.link(tmp_path / "images" / result, path)
    failed = run("--path", path, "--ks", 4, 2)
    assert_one_error_line(failed, path)
    assert "choose another --output" in failed.err and failed.files == before


@pytest.mark.parametrize("place", ["images", "images/segmented-images"])
def test_a_file_in_the_place_of_a_folder_is_left_alone(run, tmp_path, place):
    (tmp_path / place).parent.mkdir(exist_ok=True)
    (tmp_path / place).write_text("mine")
    assert_one_error_line(run("--path", SAMPLE), Path(place))
    assert (tmp_path / place).read_text() == "mine"


def test_a_folder_in_the_place_of_a_file_is_left_alone(run, tmp_path):
    (tmp_path / "images" / "output.gif").mkdir(parents=True)
    failed = run("--path", SAMPLE, "--ks", 2)
    assert_one_error_line(failed, "output.gif")
    assert_only_whole_pictures(failed.output)


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs a folder nobody can fill")
def test_an_output_folder_that_cannot_be_made_gets_one_clear_line(run):
    assert_one_error_line(run("--path", SAMPLE, "--output", "/proc/no"), "/proc/no")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_under_the_printed_lines_gets_one_clear_line(tmp_path):
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, PROJECT / "main.py", "--path", SAMPLE],
            cwd=tmp_path,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert done.returncode == 1 and done.stderr.startswith("error: standard output: ")
    assert done.stderr.count("\n") == 1


def test_a_full_disk_leaves_the_earlier_animation(run, tmp_path):
    images = tmp_path / "images"
    images.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", images]
    if sys.platform != "linux" or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("cannot mount a small disk here")
    try:
        before = run("--path", SAMPLE, "--ks", 2)
        failed = run("--path", SAMPLE)
        assert_one_error_line(failed, "images")
        assert failed.files["output.gif"] == before.files["output.gif"]
        assert_only_whole_pictures(images)
    finally:
        subprocess.run(["umount", images], check=True)


def test_killing_it_leaves_no_half_picture(start, tmp_path):
    began = time.perf_counter()
    start().communicate()
    took = time.perf_counter() - began
    for fraction in np.linspace(0.2, 1, 8):
        process = start()
        time.sleep(took * fraction)
        process.kill()
        process.communicate()
        for path in (tmp_path / "images").rglob(".*.tmp"):
            path.unlink()
        assert_only_whole_pictures(tmp_path / "images")


@pytest.mark.skipif(os.name == "nt", reason="Windows sends Ctrl-C to whole consoles")
def test_ctrl_c_ends_it_quietly(start, tmp_path):
    process = start()
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (130, "")
    assert_only_whole_pictures(tmp_path / "images")


@pytest.mark.skipif(os.name == "nt", reason="Windows sends Ctrl-C to whole consoles")
def test_ctrl_c_while_the_libraries_load_leaves_no_traceback(tmp_path):
    command = [sys.executable, "-X", "importtime", PROJECT / "main.py"]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    assert any("argparse" in line for line in process.stderr)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130 and "Traceback" not in err


def test_a_reader_that_goes_away_ends_it_quietly(start, tmp_path):
    process = start()
    assert process.stdout.readline().startswith("k_1.jpg")
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait() == 141
    assert_only_whole_pictures(tmp_path / "images")


def test_two_runs_into_one_folder_leave_whole_pictures(start, tmp_path):
    runs = [start("--seed", str(seed)) for seed in range(2)]
    assert [process.communicate()[1] for process in runs] == ["", ""]
    assert [process.returncode for process in runs] == [0, 0]
    assert_only_whole_pictures(tmp_path / "images")
