"""What the program reads and refuses, on image files made for the purpose."""

# ruff: noqa: D103 - the name of a test says what it shows

import errno
import io
import os
import re
import signal
import struct
import sys
import time
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from unittest.mock import Mock

import cv2
import numpy as np
import PIL
import pytest
from PIL import Image, ImageCms, ImageOps, TiffImagePlugin, features
from PIL.ExifTags import Base

import main
from conftest import NOISE, PROJECT, SAMPLE, decibels, small_photo

pytestmark = pytest.mark.filterwarnings("error")  # no warning reaches a user
needs_profiles = pytest.mark.skipif(
    not features.check("littlecms2"), reason="this Pillow knows no profiles"
)
needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="limits memory")
needs_timer = pytest.mark.skipif(os.name == "nt", reason="Windows has no such timer")
RED = (200, 80, 40)
GREEN = (80, 200, 40)
PINK = (227, 127, 127)  # half a red over white
GREY = (174, 174, 174)  # what the profile of linear greys means by 100
DARK = (119, 119, 119)  # and that of inks
WHITE = (255, 255, 255)
INVALID = OSError(errno.EINVAL, "Invalid argument")
NO_IMAGE, RARE, TOO_LARGE = "is not an image", "of a rare kind that", "has over 220,0"


def encoded(form: str, picture: Image.Image | np.ndarray, **options: object) -> bytes:
    """Return a picture, or pixels, as a file's bytes."""
    if isinstance(picture, np.ndarray):
        picture = Image.fromarray(picture)
    try:
        return main.encode(picture, form, **options)
    except KeyError:
        pytest.skip(f"this Pillow does not write {form}")


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., np.ndarray]:
    """Read and resize a file with this content, and a name that says nothing."""

    def call(content: bytes, max_size: int = main.DEFAULT_SIZE) -> np.ndarray:
        (tmp_path / "picture").write_bytes(content)
        image, original = main.read_image(tmp_path / "picture", max_size)
        return main.resize_image(image, max_size, original)

    return call


def turned(orientation: int) -> Image.Exif:
    """Return EXIF data with this orientation; a picture of 6 was turned left."""
    exif = Image.Exif()
    exif[Base.Orientation] = orientation
    return exif


def assert_colour(pixels: np.ndarray, colour: Sequence[int], error: int = 2) -> None:
    """Check that every pixel has this colour, but for some rounding."""
    assert np.abs(pixels - np.array(colour)).max() <= error


def patched(content: bytes, place: int, new: bytes) -> bytes:
    """Overwrite some bytes of a file."""
    return content[:place] + new + content[place + len(new) :]


def chunk(name: bytes, content: bytes, spoil: bool = False) -> bytes:
    """Return a chunk of a PNG file, or one with a wrong checksum."""
    check = struct.pack(">I", zlib.crc32(name + content) ^ spoil)
    return struct.pack(">I", len(content)) + name + content + check


def with_chunk(png: bytes, added: bytes) -> bytes:
    """Put a chunk into a PNG, before its pixels."""
    return png[:33] + added + png[33:]


def png_that_claims(side: int) -> bytes:
    """Return a PNG of one pixel whose header claims that it is a large square."""
    content = encoded("PNG", Image.new("L", (1, 1)))
    head = chunk(b"IHDR", patched(content[16:29], 0, struct.pack(">II", side, side)))
    return patched(content, 8, head)


def deep_grey(value: int) -> bytes:
    """Return a 16-bit PNG of one pixel, in which the grey 256 is transparent."""
    content = encoded("PNG", np.array([[value]], np.uint16))
    return with_chunk(content, chunk(b"tRNS", struct.pack(">H", 256)))


def tiff(pixel: Sequence[int], meaning: int = 2, **more: object) -> bytes:
    """Return a TIFF of one pixel, RGB by default; keywords are named in ExifTags."""
    tags = {
        "ImageWidth": 1,
        "ImageLength": 1,
        "BitsPerSample": (8,) * len(pixel),
        "Compression": 1,
        "PhotometricInterpretation": meaning,
        "StripOffsets": 0,  # from the end of the directory
        "SamplesPerPixel": len(pixel),
        "StripByteCounts": len(pixel),
    }
    directory = TiffImagePlugin.ImageFileDirectory_v2()
    for name, value in (tags | more).items():
        directory[Base[name]] = value
    buffer = io.BytesIO()
    directory.save(buffer)
    return buffer.getvalue() + bytes(pixel)


def lossless_jpeg(side: int) -> bytes:
    """Return a grey JPEG of the lossless kind, all of whose pixels are 128."""
    frame = struct.pack(">BHHB3B", 8, side, side, 1, 1, 0x11, 0)
    table = bytes([0, 1, *[0] * 15, 0])  # one code, "0": no difference
    content = b"\xff\xd8"
    for marker, data in ((0xC3, frame), (0xC4, table), (0xDA, b"\1\1\0\1\0\0")):
        content += bytes([0xFF, marker]) + struct.pack(">H", len(data) + 2) + data
    return content + bytes(side * side // 8 + 1) + b"\xff\xd9"


def srgb_profile() -> bytes:
    """Return the profile that changes no colour."""
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def swapping_profile() -> bytes:
    """Return sRGB's profile with red and green exchanged, so that RED means GREEN."""
    swapped = srgb_profile().replace(b"rXYZ", b"?XYZ", 1).replace(b"gXYZ", b"rXYZ", 1)
    return swapped.replace(b"?XYZ", b"gXYZ", 1)


def grey_profile() -> bytes:
    """Return sRGB's profile made one of linear greys, whose exponent is 1, not 2.4."""
    grey = srgb_profile().replace(b"RGB ", b"GRAY", 1).replace(b"rTRC", b"kTRC", 1)
    return grey.replace(struct.pack(">I", 157_286), struct.pack(">I", 65_536), 1)


def ink_profile() -> bytes:
    """Return the profile of inks of which only the black one can be seen."""
    d50 = struct.pack(">3I", 63190, 65536, 54061)
    matrix = struct.pack(">9I", *np.eye(3, dtype=int).ravel() * 65536)
    straight = bytes(range(256))
    white, black = bytes((255, 128, 128)), bytes((0, 128, 128))
    table = struct.pack(">4s4xBBBx", b"mft1", 4, 3, 2) + matrix + straight * 4
    table += (white + black) * 8 + straight * 3
    tags = struct.pack(">I4sII", 1, b"A2B0", 144, len(table))
    numbers = 144 + len(table), 0x02400000
    names = b"prtr", b"CMYK", b"Lab ", b"acsp", d50
    return struct.pack(">I4xI4s4s4s12x4s28x12s48x", *numbers, *names) + tags + table


# What it reads

ANIMATED = ["GIF", "MPO", "PNG", "TIFF", "WEBP"]


@pytest.mark.parametrize("form", ["AVIF", "BMP", "JPEG", "PPM", *ANIMATED])
def test_it_reads_the_first_picture_of(read, form):
    photo, others = small_photo(), [Image.fromarray(255 - small_photo())]
    pages = {"save_all": True, "append_images": others} if form in ANIMATED else {}
    assert decibels(read(encoded(form, photo, **pages)), photo) > 24


@pytest.mark.parametrize("ending", [".png", ".tif"])
@pytest.mark.parametrize("grey", [True, False])
def test_it_scales_16_bits_to_8(read, ending, grey):
    photo = small_photo()[..., [1] if grey else [2, 1, 0]]
    _, content = cv2.imencode(ending, photo.astype(np.uint16) * 257)
    assert_colour(read(content.tobytes()), photo[..., ::-1], error=1)


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK", "LA"])
def test_it_reads_images_of_mode(read, mode):
    picture = Image.fromarray(small_photo()).convert(mode)
    shown = read(encoded("TIFF", picture))
    assert (shown == np.asarray(picture.convert("RGB"))).all()


@pytest.mark.parametrize(
    "size, max_size, wanted",
    [
        ((300, 400), 500, (300, 400)),
        ((501, 501), 500, (500, 500)),
        ((4000, 2250), 500, (500, 281)),
        ((2464, 3248), 500, (379, 500)),
        ((50, 20_000), 500, (1, 500)),
        ((501, 3), 500, (500, 3)),
        ((1801, 2400), 100, (75, 100)),
        ((1801, 2400), 499, (374, 499)),
        ((1801, 2400), 2400, (1801, 2400)),
        ((1801, 2400), 10_000, (1801, 2400)),
    ],
)
def test_the_proportions_are_those_of_the_original(read, size, max_size, wanted):
    picture, (width, height) = Image.new("L", size), wanted
    resized = main.resize_image(np.asarray(picture.convert("RGB")), max_size)
    assert resized.shape == (height, width, 3)
    assert read(encoded("PNG", picture), max_size).shape == (height, width, 3)
    on_its_side = encoded("JPEG", picture, exif=turned(6))
    assert read(on_its_side, max_size).shape == (width, height, 3)


@pytest.mark.parametrize("size", [(120, 90), (2400, 1800)], ids=["small", "large"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_turns_the_picture_upright(read, orientation, size):
    photo = Image.fromarray(small_photo()).resize(size)
    content = encoded("JPEG", photo, exif=turned(orientation), quality=95)
    upright = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(content))))
    assert decibels(read(content), main.resize_image(upright)) > 30


def test_exif_in_the_text_of_a_png_turns_it_upright(read):
    exif = turned(6).tobytes()  # as ImageMagick writes it
    text = f"Raw profile type exif\0\nexif\n{len(exif):8}\n{exif.hex()}\n".encode()
    shown = read(with_chunk(encoded("PNG", small_photo()), chunk(b"tEXt", text)))
    assert (shown == np.rot90(small_photo(), -1)).all()


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_xmp_does_not_turn_the_picture(read, form):
    xmp = b'<x xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/>'
    if form == "PNG":
        text = chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp)
        content = with_chunk(encoded("PNG", small_photo()), text)
    else:
        tags = {"tiffinfo": {Base.XMLPacket: xmp}} if form == "TIFF" else {"xmp": xmp}
        content = encoded(form, small_photo(), **tags)
    assert read(content).shape == (90, 120, 3)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_damaged_exif_does_not_spoil_the_picture(read, form):
    wrong = struct.pack("<HHI4s", Base.XResolution, 2, 4, b"abc")  # a text
    entries = struct.pack("<HHHII", 2, Base.Orientation, 3, 1, 6) + wrong + bytes(4)
    one_is_wrong = b"II*\0\x08\0\0\0" + entries
    photo, upright = small_photo(), np.rot90(small_photo(), -1)
    for exif, wanted in ((b"garbage", photo), (one_is_wrong, upright)):
        options = {"exif": b"Exif\0\0" + exif, "dpi": (72, 72), "quality": 95}
        assert decibels(read(encoded(form, photo, **options)), wanted) > 30


@pytest.mark.parametrize("form", ["JPEG", "PNG"])
def test_a_large_image_looks_like_its_full_resize(read, form):
    with Image.open(SAMPLE) as image:
        big = image.resize((3000, 2004), Image.Resampling.BICUBIC)
    content = encoded(form, big, quality=95, compress_level=1)
    assert decibels(read(content), main.resize_image(np.asarray(big))) > 40


@pytest.mark.parametrize("width", [2001, 8999, 9001])
def test_the_last_column_weighs_no_more_than_it_is_wide(read, width):
    pixels = np.zeros((40, width), np.uint8)
    pixels[:, -1] = 255
    assert read(encoded("PNG", pixels))[0, -1, 0] <= 255 * 500 / width + 1


@pytest.mark.parametrize("width", [1, 7, 59, 101])
def test_a_narrow_picture_keeps_its_columns(read, width):
    ramp = np.linspace(0, 255, width).astype(np.uint8)
    shown = read(encoded("PNG", np.repeat(ramp[None], 9000, axis=0)))
    assert abs(shown.mean() - ramp.mean()) < 1


@pytest.mark.parametrize("width", [4001, 4005, 8009, 8015])
def test_what_a_lossless_crop_hides_stays_hidden(read, width):
    picture = Image.new("RGB", ((width + 7) // 8 * 8, 800), (30, 120, 200))
    picture.paste((255, 0, 0), (width, 0, picture.width, 800))
    content = encoded("JPEG", picture, quality=95, subsampling=0)
    content = patched(content, content.index(b"\xff\xc0") + 7, struct.pack(">H", width))
    assert_colour(read(content), (30, 120, 200), error=4)


# What the colours mean

PLANES, EVEN_CHROMA = {"PlanarConfiguration": 2}, {"YCbCrSubSampling": (1, 1)}
DEEP_ALPHA = {"SamplesPerPixel": 4, "BitsPerSample": (16,) * 4, "ExtraSamples": 2}
ONE_PIXEL = {
    "half a red": (encoded("PNG", Image.new("RGBA", (1, 1), (200, 0, 0, 128))), PINK),
    "a hidden red": (encoded("PNG", Image.new("RGBA", (1, 1), (200, 0, 0, 0))), WHITE),
    "a hidden number": (encoded("PNG", Image.new("P", (1, 1)), transparency=0), WHITE),
    "a hidden deep grey": (deep_grey(256), WHITE),
    "another deep grey": (deep_grey(30_000), (117, 117, 117)),
    "TIFF: RGB": (tiff(RED), RED),
    "TIFF: 0 for white": (tiff([200], meaning=0), (55, 55, 55)),
    "TIFF: planes": (tiff([200], meaning=1, **PLANES), (200, 200, 200)),
    "TIFF: ink": (tiff([55, 155, 255, 0], meaning=5), (200, 100, 0)),
    "TIFF: alpha apart": (tiff([200, 0, 0, 128], ExtraSamples=2), PINK),
    "TIFF: alpha mixed in": (tiff([100, 0, 0, 128], ExtraSamples=1), PINK),
    "TIFF: deep alpha": (tiff([200] * 2 + [0] * 4 + [128] * 2, **DEEP_ALPHA), PINK),
    "TIFF: chroma": (tiff([100, 128, 200], meaning=6, **EVEN_CHROMA), (201, 49, 100)),
}


@pytest.mark.parametrize("name", ONE_PIXEL)
def test_it_shows_a_pixel_in_its_colour(read, name):
    content, wanted = ONE_PIXEL[name]
    if "chroma" in name and int(PIL.__version__.split(".")[0]) < 13:
        with pytest.raises(main.UnusableError, match=RARE):
            read(content)
        pytest.skip("Pillow before 13 takes it for RGB, so it is refused")
    assert_colour(read(content), wanted)


@needs_profiles
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize("megabytes", [0, 1.2], ids=["small", "as of a printer"])
def test_a_profile_says_what_the_colours_are(read, form, megabytes):
    profile = swapping_profile() + NOISE.tobytes() * int(38 * megabytes)
    profile = patched(profile, 0, struct.pack(">I", len(profile)))
    picture = Image.new("RGB", (2001, 20), RED)
    content = encoded(form, picture, icc_profile=profile, quality=95)
    assert_colour(read(content), GREEN, error=4)


@needs_profiles
@pytest.mark.parametrize(
    "mode, colour, profile, wanted",
    [
        ("P", 0, swapping_profile, GREEN),
        ("RGBA", (*RED, 128), swapping_profile, (167, 227, 147)),
        ("L", 100, grey_profile, GREY),
        ("LA", (100, 255), grey_profile, GREY),
        ("1", 1, grey_profile, WHITE),
        ("CMYK", (100, 120, 140, 128), ink_profile, DARK),
    ],
)
def test_a_profile_is_applied_in_mode(read, mode, colour, profile, wanted):
    picture = Image.new(mode, (9, 9), colour)
    if mode == "P":
        picture.putpalette(RED)
    form = "TIFF" if mode == "CMYK" else "PNG"
    assert_colour(read(encoded(form, picture, icc_profile=profile())), wanted)


@needs_profiles
def test_a_profile_is_applied_to_16_bits(read):
    cases = [(100, grey_profile(), GREY), (RED[::-1], swapping_profile(), GREEN)]
    for pixel, profile, wanted in cases:
        png = cv2.imencode(".png", np.uint16([[pixel]]) * 257)[1].tobytes()
        packed = chunk(b"iCCP", b"name\0\0" + zlib.compress(profile))
        assert_colour(read(with_chunk(png, packed)), wanted)


@needs_profiles
@pytest.mark.parametrize(
    "mode, profile",
    [
        ("RGB", srgb_profile),
        ("RGB", lambda: b""),
        ("RGB", lambda: b"not a profile"),
        ("RGB", lambda: swapping_profile()[:300]),
        ("RGB", grey_profile),
        ("L", swapping_profile),
        ("CMYK", swapping_profile),
    ],
    ids=["sRGB", "empty", "text", "cut", "grey for RGB", "RGB for grey", "RGB for ink"],
)
def test_srgb_and_profiles_that_cannot_be_meant_change_nothing(read, mode, profile):
    picture = Image.fromarray(small_photo()).convert(mode)
    shown = read(encoded("TIFF", picture, icc_profile=profile()))
    assert (shown == np.asarray(picture.convert("RGB"))).all()


def test_a_pillow_without_littlecms_leaves_profiles_aside(read, monkeypatch):
    content = encoded("PNG", Image.new("RGB", (9, 9), RED), icc_profile=b"profile")
    monkeypatch.setitem(sys.modules, "PIL.ImageCms", None)
    assert_colour(read(content), RED, error=0)


# Metadata never decides

PNG_METADATA = {
    "text with a wrong checksum": chunk(b"tEXt", b"Comment\0", spoil=True),
    "a profile with a wrong checksum": chunk(b"iCCP", b"n\0\0x", spoil=True),
    "a short resolution": chunk(b"pHYs", b"\0\0"),
    "megabytes of packed text": chunk(
        b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(bytes(2_000_000))
    ),
    "68 megabytes of text": chunk(b"tEXt", b"workflow\0" + b"x" * 68_000_000),
}


@pytest.mark.parametrize("name", PNG_METADATA)
def test_the_metadata_of_a_png_never_costs_the_picture(read, name):
    content = encoded("PNG", Image.new("RGB", (1, 1), RED))
    assert_colour(read(with_chunk(content, PNG_METADATA[name])), RED, error=0)


@pytest.mark.parametrize("form", ["AVIF", "BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP"])
def test_missing_pixels_cost_the_picture(read, form):
    content = encoded(form, NOISE)
    with pytest.raises(main.UnusableError, match=r"cannot be decoded|not an image"):
        read(content[: len(content) // 2])


# What it refuses

JPEG = encoded("JPEG", small_photo())
JPEG_OF_12_BITS = patched(JPEG, JPEG.index(b"\xff\xc0") + 4, b"\x0c")
SMALL_GIF = encoded("GIF", Image.new("L", (9, 9)), disposal=2)
SMALL_WEBP = encoded("WEBP", NOISE[:1, :1], lossless=True)
LARGE_SIZE_IN_WEBP = struct.pack("<I", 7499 | 7499 << 14)
FRAME, LARGE_FRAME = (struct.pack("<4H", 0, 0, n, n) for n in (9, 65_535))
UNCLEAR = f"{RARE}|{NO_IMAGE}"
REFUSED = {
    "nothing": (b"", NO_IMAGE),
    "noise": (NOISE.tobytes(), NO_IMAGE),
    "PDF": (b"%PDF-1.4\n%%EOF\n", NO_IMAGE),
    "HEIC": (b"\0\0\0\x18ftypheic" + bytes(99), "HEIC photo as JPEG"),
    "a cut head": (SMALL_GIF[:9], NO_IMAGE),
    "PNG of too many pixels": (png_that_claims(15_000), TOO_LARGE),
    "PNG within the limit": (png_that_claims(14_800), "cannot be decoded"),
    "GIF that grows": (SMALL_GIF.replace(FRAME, LARGE_FRAME), TOO_LARGE),
    "WebP of 34 bytes": (patched(SMALL_WEBP, 21, LARGE_SIZE_IN_WEBP), "much memory"),
    "BMP of run lengths": (patched(encoded("BMP", NOISE[..., 0]), 30, b"\1"), RARE),
    "JPEG of 12 bits": (JPEG_OF_12_BITS, "save it as PNG"),
    "PPM of Pillow's own": (b"PyRGBA 1 1 255\n" + bytes(4), RARE),
    "PPM of floats": (b"Pf\n1 1\n-1.0\n" + bytes(4), UNCLEAR),
}
UNCLEAR_TIFFS = {
    "deep 0 for white": tiff([0], meaning=0, BitsPerSample=16),
    "deep planes": tiff([0] * 3, BitsPerSample=(16,) * 3, **PLANES),
    "12 bits": tiff([0], meaning=1, BitsPerSample=12),
    "32 bits": tiff([0], meaning=1, BitsPerSample=32),
    "floats": tiff([0], meaning=1, BitsPerSample=32, SampleFormat=3),
    "signed": tiff([0], meaning=1, SampleFormat=2),
    "subsampled": tiff([0] * 3, meaning=6, YCbCrSubSampling=(2, 2)),
    "planes of chroma": tiff([0] * 3, meaning=6, **EVEN_CHROMA, **PLANES),
    "palette of bytes": tiff([0], meaning=3, ColorMap=(200,) * 768),
    "inks that are not CMYK": tiff([0] * 4, meaning=5, InkSet=2),
    "planes with alpha mixed in": tiff([0] * 4, ExtraSamples=1, **PLANES),
    "a thumbnail of what follows": tiff([0] * 3, NewSubfileType=1),
    "a thumbnail in old words": tiff([0] * 3, SubfileType=2),
    "the oldest JPEG, grey where cut": tiff([0] * 3, Compression=6),
}
REFUSED |= {name: (content, UNCLEAR) for name, content in UNCLEAR_TIFFS.items()}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_shown_right_is_refused_with_a_reason(read, name):
    content, reason = REFUSED[name]
    with pytest.raises(main.UnusableError, match=reason):
        read(content)


@pytest.mark.parametrize("form", ["DDS", "EPS", "JPEG2000", "PCX", "PDF", "SGI", "TGA"])
def test_other_formats_never_reach_a_decoder(read, form):
    with pytest.raises(main.UnusableError, match=NO_IMAGE):
        read(encoded(form, small_photo()))


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_deflate", "jpeg"])
def test_what_a_library_prints_about_damage_is_not_seen(read, capfd, compression):
    content = encoded("TIFF", NOISE, compression=compression)
    with suppress(main.UnusableError):  # libjpeg goes on after the gap
        read(patched(content, 1000, b"\xff" * 400))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    "name, error, reason",
    [
        ("to_srgb", MemoryError(), "needs more memory"),
        ("to_srgb", KeyError("x"), "cannot be decoded"),
        ("to_srgb", INVALID, "cannot be decoded"),
        ("hide_messages", OSError(errno.EMFILE, "Too many files"), "Too many files"),
    ],
)
def test_every_error_has_a_reason_in_words(monkeypatch, name, error, reason):
    monkeypatch.setattr(main, name, Mock(side_effect=error))
    with pytest.raises(main.UnusableError, match=reason):
        main.read_image(SAMPLE)


def test_what_opencv_lacks_is_called_what_it_is(monkeypatch, call):
    short = cv2.error("(-4:Insufficient memory) Failed to allocate 45000 bytes")
    monkeypatch.setattr(main.cv2, "resize", Mock(side_effect=short))
    failed = call("--path", SAMPLE, "--max-size", 20)
    assert failed.status == 1 and failed.err.endswith("lower --max-size\n")
    monkeypatch.delattr(main.cv2, "resize")  # as in the empty cv2 that pip may leave
    with pytest.raises(AttributeError, match="resize"):
        main.resize_image(NOISE, 20)


def test_a_lossless_jpeg_does_not_end_the_program(read):
    with suppress(main.UnusableError):  # not with this Pillow
        shown = read(lossless_jpeg(2048))
        assert shown.shape == (500, 500, 3) and (shown == 128).all()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the fuzzer forks")
def test_a_damaged_file_of_any_format_is_used_or_gets_one_line(run):
    fuzzer = [sys.executable, PROJECT / "tests" / "fuzz.py"]
    done = run("--files", 150, command=fuzzer)
    assert done.status == 0, done.out + done.err
    assert re.match("150 files: .*'refused'.*'used'.* 0 findings", done.out)


# The disk


def watch_reads(monkeypatch: pytest.MonkeyPatch, before: Callable) -> None:
    """Call `before` with the place in the file before each read of a picture."""
    usual = main.decode

    class Disk(io.BufferedReader):
        def read(self, size: int | None = -1, /) -> bytes:
            before(self.tell())
            return super().read(size)

    monkeypatch.setattr(main, "decode", lambda file, size: usual(Disk(file.raw), size))


def test_waiting_is_not_computing(monkeypatch):
    waits = []

    def wait(place: int) -> None:
        waits.append(place)
        time.sleep(0.02)

    watch_reads(monkeypatch, wait)
    monkeypatch.setattr(main, "MAX_SECONDS", 0.5)
    main.read_image(SAMPLE)
    assert 0.02 * len(waits) > 2 * main.MAX_SECONDS


@pytest.mark.parametrize("name", ["EIO", "ENOTCONN", "ESTALE", "ETIMEDOUT", "EDEADLK"])
def test_a_disk_that_fails_is_not_called_a_damaged_picture(monkeypatch, name):
    number = getattr(errno, name)

    def break_down(place: int) -> None:
        if place > 20_000:
            raise OSError(number, os.strerror(number))

    watch_reads(monkeypatch, break_down)
    with pytest.raises(main.UnusableError, match=re.escape(os.strerror(number))):
        main.read_image(SAMPLE)


# Limits, and systems that refuse them


@needs_timer
def test_what_takes_too_long_to_compute_is_refused(read, monkeypatch):
    monkeypatch.setattr(main, "MAX_SECONDS", 0.3)
    picture = Image.new("L", (3000, 3000))
    content = encoded("JPEG", picture, progressive=True, quality=95)
    last_scan = content[content.rindex(b"\xff\xda") : -2]
    content = content[:-2] + last_scan * 6000 + content[-2:]
    began = time.process_time()
    with pytest.raises(main.UnusableError, match="takes over"):
        read(content)
    assert time.process_time() - began < 1.5  # in larger blocks it was over 8


@needs_timer
def test_what_overlooks_the_alarm_is_refused_by_the_next(monkeypatch):
    began = time.process_time()

    def compute() -> None:
        while time.process_time() < began + 3:
            pass

    def overlook(*arguments: object) -> None:
        with suppress(main.UnusableError):  # as a decoder may take it for damage
            compute()
        compute()

    monkeypatch.setattr(main, "decode", overlook)
    monkeypatch.setattr(main, "MAX_SECONDS", 0.1)
    with pytest.raises(main.UnusableError, match="takes over"):
        main.read_image(SAMPLE)


def test_exif_data_cost_no_more_than_they_are_worth(read):
    entries = struct.pack("<HHII", Base.Orientation, 3, 1, 6)
    for number in range(1000):  # which all have the same 100 kB
        entries += struct.pack("<HHII", 1000 + number, 7, 100_000, 8)
    exif = b"II*\0" + struct.pack("<IH", 8, 1001) + entries + bytes(90_000)
    content = with_chunk(encoded("PNG", NOISE), chunk(b"eXIf", exif))
    began = time.process_time()
    assert (read(content) == np.rot90(NOISE, -1)).all()
    assert time.process_time() - began < 2  # in Pillow 10 to 12 it was 31


@needs_linux
def test_what_takes_too_much_memory_is_refused(read, monkeypatch):
    monkeypatch.setattr(main, "MAX_MEMORY", 50_000_000)
    with pytest.raises(main.UnusableError, match="needs more memory"):
        read(png_that_claims(14_000))


@needs_linux
@pytest.mark.parametrize(
    "mode, form, max_size, bytes_per_pixel",
    [
        ("RGB", "JPEG", 5000, 5),
        ("RGB", "PNG", 5000, 5),
        ("L", "PNG", 5000, 6),
        ("RGBA", "PNG", 5000, 15),
        ("L", "PNG", 500, 2),
        ("P", "PNG", 500, 8),
    ],
)
def test_a_large_picture_is_not_copied_without_need(
    read, monkeypatch, mode, form, max_size, bytes_per_pixel
):
    options = {"compress_level": 1} | ({"transparency": 0} if mode == "P" else {})
    content = encoded(form, Image.new(mode, (5000, 4000)), **options)
    monkeypatch.setattr(main, "MAX_MEMORY", bytes_per_pixel * 20_000_000 + 10_000_000)
    assert read(content, max_size).shape == (max_size * 4 // 5, max_size, 3)


@needs_timer
@pytest.mark.parametrize(
    "refuse",
    [
        lambda patch: patch.setattr("signal.setitimer", Mock(side_effect=INVALID)),
        lambda patch: patch.setattr("resource.setrlimit", Mock(side_effect=INVALID)),
        lambda patch: patch.setattr("resource.setrlimit", Mock(side_effect=ValueError)),
        lambda patch: patch.setitem(sys.modules, "resource", None),
    ],
    ids=["timer", "limit", "higher limit", "module"],
)
def test_a_system_that_refuses_a_limit_reads_pictures(monkeypatch, refuse):
    with monkeypatch.context() as patch:  # pytest sets such a timer, too
        refuse(patch)
        main.read_image(SAMPLE)


def test_pictures_can_be_read_in_a_thread():
    with ThreadPoolExecutor() as pool:
        pool.submit(main.read_image, SAMPLE).result()


@needs_timer
def test_the_timer_and_handler_of_a_profiler_are_put_back():
    tick = Mock()
    usual = signal.signal(signal.SIGPROF, tick)
    signal.setitimer(signal.ITIMER_PROF, 900, 60)
    try:
        main.read_image(SAMPLE)
        delay, interval = signal.getitimer(signal.ITIMER_PROF)
        assert interval == 60 and 800 < delay < 901
        assert signal.getsignal(signal.SIGPROF) is tick
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, usual)


@needs_timer
def test_a_handler_that_was_set_from_c_stays(monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(signal, "getsignal", lambda number: None)
        patch.setattr(signal, "signal", Mock(side_effect=TypeError))
        main.read_image(SAMPLE)
