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
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
import PIL
import pytest
from PIL import ExifTags, Image, ImageCms, features

import main
from conftest import (
    METER,
    NOISE,
    PROGRAM,
    PROJECT,
    SAMPLE,
    assert_one_error_line,
    decibels,
    save,
    small_photo,
)

needs_profiles = pytest.mark.skipif(
    not features.check("littlecms2"), reason="this Pillow knows no profiles"
)
RED = (200, 80, 40)
GREEN = (80, 200, 40)
PINK = (227, 127, 127)  # half a red over white
# The orientation that EXIF has for a picture which was stored turned like this.
ORIENTATIONS = {
    None: 1,
    Image.Transpose.FLIP_LEFT_RIGHT: 2,
    Image.Transpose.ROTATE_180: 3,
    Image.Transpose.FLIP_TOP_BOTTOM: 4,
    Image.Transpose.TRANSPOSE: 5,
    Image.Transpose.ROTATE_90: 6,
    Image.Transpose.TRANSVERSE: 7,
    Image.Transpose.ROTATE_270: 8,
}
TURNED_LEFT = ORIENTATIONS[Image.Transpose.ROTATE_90]


def encoded(form: str, picture: Image.Image | None = None, **options: object) -> bytes:
    """Return a picture, the sample if there is none, as a file's bytes."""
    buffer = io.BytesIO()
    picture = picture or Image.fromarray(small_photo())
    try:
        picture.save(buffer, form, **options)
    except KeyError:
        pytest.skip(f"this Pillow does not write {form}")
    return buffer.getvalue()


def read_file(path: Path, max_size: int = main.DEFAULT_SIZE) -> np.ndarray:
    """Read a file and resize it, as the program does."""
    image, original = main.read_image(path, max_size)
    return main.resize_image(image, max_size, original)


def read(content: bytes, folder: Path, max_size: int = main.DEFAULT_SIZE) -> np.ndarray:
    """Read a file with this content and a name that says nothing."""
    (folder / "picture").write_bytes(content)
    return read_file(folder / "picture", max_size)


def png_chunk(name: bytes, content: bytes, spoil: bool = False) -> bytes:
    """Return a chunk of a PNG file, or one with a wrong checksum."""
    check = struct.pack(">I", zlib.crc32(name + content) ^ spoil)
    return struct.pack(">I", len(content)) + name + content + check


def png(
    width: int, height: int, depth: int, kind: int, pixels: bytes, before: bytes = b""
) -> bytes:
    """Return a PNG with further chunks before its pixels."""
    head = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)
    start = b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", head) + before
    pixels = zlib.compress(pixels, 1)
    return start + png_chunk(b"IDAT", pixels) + png_chunk(b"IEND", b"")


def tiff(
    pixels: bytes,
    width: int = 1,
    height: int = 1,
    bits: Sequence[int] = (8, 8, 8),
    meaning: int = 2,
    **more: list[int],
) -> bytes:
    """Return an uncompressed TIFF, RGB by default; keywords are named in ExifTags."""
    tags = {
        "ImageWidth": [width],
        "ImageLength": [height],
        "BitsPerSample": bits,
        "Compression": [1],
        "PhotometricInterpretation": [meaning],
        "StripOffsets": [8],
        "RowsPerStrip": [height],
        "StripByteCounts": [len(pixels)],
    } | more
    tags.setdefault("SamplesPerPixel", [len(bits)])
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


def one_colour_webp(side: int) -> bytes:
    """Return a lossless WebP of 34 bytes, whatever its size."""
    size = struct.pack("<I", (side - 1) | (side - 1) << 14)
    return b"RIFF\x1a\0\0\0WEBPVP8L\x0e\0\0\0/" + size + b"\7\x10\x11\xfd\x0fDD\xff\3"


def many_scans(side: int, count: int) -> bytes:
    """Return a progressive JPEG with its last scan repeated so many times."""
    picture = Image.new("L", (side, side))
    content = encoded("JPEG", picture, progressive=True, quality=95)
    last = content.rindex(b"\xff\xda")
    return content[:last] + content[last:-2] * count + b"\xff\xd9"


def large_gif_frame() -> bytes:
    """Return a GIF of 43 bytes whose frame wants a canvas of 65535 x 65535."""
    head = struct.pack("<6sHH3B6x", b"GIF89a", 10, 10, 0x80, 0, 0)
    control = b"\x21\xf9\x04\x08" + bytes(4)
    return (
        head
        + control
        + struct.pack("<c4H6B", b",", 0, 0, *[65535] * 2, 0, 2, 2, 76, 1, 0)
        + b";"
    )


def old_jpeg_tiff() -> bytes:
    """Return a TIFF with a whole JPEG in it, as before 1995: compression 6."""
    picture = encoded("JPEG", Image.fromarray(NOISE), subsampling=0)
    return tiff(
        picture,
        *NOISE.shape[1::-1],
        meaning=6,
        Compression=[6],
        JPEGProc=[1],
        JpegIFOffset=[8],
        JpegIFByteCount=[len(picture)],
        YCbCrSubSampling=[1, 1],
    )


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


def exif_of_many_entries(count: int, size: int) -> bytes:
    """Return EXIF data of `count` entries that all have the same `size` bytes."""
    entries = struct.pack("<HHII", ExifTags.Base.Orientation, 3, 1, TURNED_LEFT)
    for number in range(count):
        entries += struct.pack("<HHII", 1000 + number, 7, size, 8)
    head = b"II*\0" + struct.pack("<IH", 8, count + 1)
    return (head + entries + bytes(4)).ljust(size + 8, b"\0")


def lossless_jpeg(side: int) -> bytes:
    """Return a grey JPEG of the lossless kind, all of whose pixels are 128."""
    frame = struct.pack(">BHHB3B", 8, side, side, 1, 1, 0x11, 0)
    table = bytes([0, 1, *[0] * 15, 0])  # one code, "0": no difference
    scan = bytes([1, 1, 0, 1, 0, 0])
    segments = {0xC3: frame, 0xC4: table, 0xDA: scan}
    content = b"\xff\xd8"
    for marker, data in segments.items():
        content += bytes([0xFF, marker]) + struct.pack(">H", len(data) + 2) + data
    return content + bytes(side * side // 8 + 1) + b"\xff\xd9"


def run_length_bmp() -> bytes:
    """Return a BMP of 4 x 1 pixels that is compressed by run lengths."""
    pixels = bytes([4, 1, 0, 1])
    palette = bytes([0, 0, 0, 0, 40, 80, 200, 0])
    place = 54 + len(palette)
    head = struct.pack("<2sIII", b"BM", place + len(pixels), 0, place)
    info = struct.pack("<IiiHHIIiiII", 40, 4, 1, 1, 8, 1, len(pixels), 0, 0, 2, 0)
    return head + info + palette + pixels


# What it reads


RESIZED = {(1000, 500): (500, 250), (300, 400): (300, 400), (9000, 3): (500, 1)}


@pytest.mark.parametrize("size, wanted", [*RESIZED.items(), ((501, 501), (500, 500))])
def test_resizing_keeps_the_proportions_and_never_enlarges(size, wanted):
    image = np.zeros((*size, 3), np.uint8)
    assert main.resize_image(image).shape == (*wanted, 3)


@pytest.mark.parametrize(
    "form", ["JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "AVIF", "PPM"]
)
def test_it_reads(tmp_path, form):
    assert decibels(read(encoded(form), tmp_path), small_photo()) > 24


@pytest.mark.parametrize("ending", ["png", "tif"])
@pytest.mark.parametrize("grey", [True, False])
def test_it_scales_16_bits_to_8(tmp_path, ending, grey):
    photo = small_photo()[..., 1 if grey else slice(None, None, -1)]
    path = tmp_path / f"deep.{ending}"
    cv2.imwrite(str(path), photo.astype(np.uint16) * 257)
    wanted = np.dstack([photo] * 3) if grey else photo[..., ::-1]
    assert np.abs(read_file(path) - wanted.astype(int)).max() <= 1


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
    shown = read_file(tmp_path / "image.tif")
    assert (shown == np.asarray(wanted.convert("RGB"))).all()


def test_transparent_pixels_are_blended_over_white(tmp_path):
    pixels = np.zeros((2, 2, 4), np.uint8)
    pixels[...] = [[(200, 0, 0, 255), (200, 0, 0, 128)], [(200, 0, 0, 0)] * 2]
    shown = read_file(save(tmp_path / "rgba.png", pixels)).astype(int)
    wanted = [[(200, 0, 0), (227, 127, 127)], [(255, 255, 255)] * 2]
    assert np.abs(shown - wanted).max() <= 1


def test_transparent_palette_colours_are_white(tmp_path):
    image = Image.fromarray(small_photo()).quantize(16)
    hidden = np.asarray(image) == 3
    image.save(tmp_path / "p.png", transparency=3)
    shown = read_file(tmp_path / "p.png")
    assert (shown[hidden] == 255).all() and hidden.any()
    assert (shown[~hidden] == np.asarray(image.convert("RGB"))[~hidden]).all()


def test_the_transparent_grey_of_a_16_bit_png_is_white(tmp_path):
    key = png_chunk(b"tRNS", struct.pack(">H", 256))
    row = b"\0" + struct.pack(">4H", 0, 256, 30_000, 65_535)
    shown = read(png(4, 1, 16, 0, row, before=key), tmp_path)
    assert shown[0, :, 0].tolist() == [0, 255, 117, 255]


@pytest.mark.parametrize("size", [(120, 90), (2400, 1800)], ids=["small", "large"])
@pytest.mark.parametrize("turn", ORIENTATIONS)
def test_exif_turns_the_picture_upright(tmp_path, turn, size):
    photo = Image.fromarray(small_photo()).resize(size)
    stored = photo if turn is None else photo.transpose(turn)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = ORIENTATIONS[turn]
    shown = read(encoded("JPEG", stored, exif=exif, quality=95), tmp_path)
    assert decibels(shown, main.resize_image(np.asarray(photo))) > 30


def test_exif_in_the_text_of_a_png_turns_it_upright(tmp_path):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = TURNED_LEFT
    text = f"\nexif\n{len(exif.tobytes()):8}\n{exif.tobytes().hex()}\n".encode()
    content = encoded("PNG")  # as ImageMagick writes it
    chunk = png_chunk(b"tEXt", b"Raw profile type exif\0" + text)
    shown = read(content[:33] + chunk + content[33:], tmp_path)
    assert (shown == np.rot90(small_photo(), -1)).all()


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_xmp_does_not_turn_the_picture(tmp_path, form):
    xmp = b'<x xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/>'
    content = encoded(form, xmp=xmp) if form in ("JPEG", "WEBP") else encoded(form)
    if form == "PNG":
        text = png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp)
        content = content[:33] + text + content[33:]
    elif form == "TIFF":
        content = encoded(form, tiffinfo={ExifTags.Base.XMLPacket: xmp})
    assert read(content, tmp_path).shape == (90, 120, 3)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize(
    "entries, turned",
    [
        (b"garbage", False),
        (
            b"II*\0\x08\0\0\0\x02\0"
            + struct.pack("<HHII", ExifTags.Base.Orientation, 3, 1, TURNED_LEFT)
            + struct.pack("<HHI4s", ExifTags.Base.XResolution, 2, 4, b"abc")  # text
            + bytes(4),
            True,
        ),
    ],
    ids=["no entries", "a wrong entry"],
)
def test_damaged_exif_does_not_spoil_the_picture(tmp_path, form, entries, turned):
    content = encoded(form, exif=b"Exif\0\0" + entries, dpi=(72, 72), quality=95)
    wanted = np.rot90(small_photo(), -1) if turned else small_photo()
    assert decibels(read(content, tmp_path), wanted) > 30


@pytest.mark.parametrize("form", ["JPEG", "PNG"])
def test_a_large_image_looks_like_its_full_resize(tmp_path, form):
    with Image.open(SAMPLE) as image:
        big = image.resize((3000, 2004), Image.Resampling.BICUBIC)
    content = encoded(form, big, quality=95, compress_level=1)
    shown = read(content, tmp_path)
    assert decibels(shown, main.resize_image(np.asarray(big))) > 40


@pytest.mark.parametrize("form", ["JPEG", "PNG"])
@pytest.mark.parametrize(
    "size, wanted",
    [
        ((4000, 2250), (500, 281)),
        ((2464, 3248), (379, 500)),
        ((50, 20_000), (1, 500)),
        ((501, 3), (500, 3)),
    ],
)
def test_the_size_is_that_of_the_original(tmp_path, size, wanted, form):
    content = encoded(form, Image.new("L", size))
    assert read(content, tmp_path).shape[1::-1] == wanted


@pytest.mark.parametrize("width", [2001, 8999, 9001])
def test_the_last_column_weighs_no_more_than_it_is_wide(tmp_path, width):
    pixels = np.zeros((40, width), np.uint8)
    pixels[:, -1] = 255
    shown = read_file(save(tmp_path / "edge.png", pixels))
    assert shown[0, -1, 0] <= 255 * 500 / width + 1


@pytest.mark.parametrize("width", [1, 7, 59, 101])
def test_a_narrow_picture_keeps_its_columns(tmp_path, width):
    ramp = np.linspace(0, 255, width).astype(np.uint8)
    pixels = np.repeat(ramp[None], 9000, axis=0)
    shown = read_file(save(tmp_path / "narrow.png", pixels))
    assert abs(shown.mean() - ramp.mean()) < 1


@pytest.mark.parametrize("width", [4001, 4005, 8009, 8015])
def test_what_a_lossless_crop_hides_stays_hidden(tmp_path, width):
    picture = Image.new("RGB", ((width + 7) // 8 * 8, 800), (30, 120, 200))
    picture.paste((255, 0, 0), (width, 0, picture.width, 800))
    content = bytearray(encoded("JPEG", picture, quality=95, subsampling=0))
    place = content.index(b"\xff\xc0") + 7
    content[place : place + 2] = struct.pack(">H", width)
    assert np.abs(read(content, tmp_path) - np.array([30, 120, 200])).max() <= 4


def test_an_animation_gives_its_first_frame(tmp_path):
    photo = small_photo()
    others = [Image.fromarray(255 - photo)]
    path = save(tmp_path / "a.gif", photo, save_all=True, append_images=others)
    assert decibels(read_file(path), photo) > 24


# What the colours mean


@needs_profiles
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize("size", [(16, 16), (3001, 2001)], ids=["small", "large"])
def test_a_profile_says_what_the_colours_are(tmp_path, form, size):
    picture = Image.new("RGB", size, RED)
    content = encoded(form, picture, icc_profile=swapping_profile(), quality=95)
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
    "a short resolution": png_chunk(b"pHYs", b"\0\0"),
    "megabytes of packed text": png_chunk(
        b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(bytes(2_000_000))
    ),
    "68 megabytes of text": png_chunk(b"tEXt", b"workflow\0" + b"x" * 68_000_000),
}


@pytest.mark.parametrize("name", PNG_METADATA)
def test_the_metadata_of_a_png_never_costs_the_picture(tmp_path, name):
    content = png(1, 1, 8, 2, bytes((0, *RED)), before=PNG_METADATA[name])
    assert (read(content, tmp_path) == RED).all()


@needs_profiles
@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_a_profile_may_be_as_large_as_a_printers(tmp_path, form):
    profile = swapping_profile()
    size = len(profile) + 1_200_000
    padded = struct.pack(">I", size) + profile[4:] + NOISE.tobytes() * 38
    picture = Image.new("RGB", (9, 9), RED)
    content = encoded(form, picture, icc_profile=padded[:size], quality=100)
    assert np.abs(read(content, tmp_path) - np.array(GREEN)).max() <= 4


@pytest.mark.parametrize("form", ["AVIF", "BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP"])
def test_missing_pixels_cost_the_picture(tmp_path, form):
    content = encoded(form, Image.fromarray(NOISE))
    with pytest.raises(main.UnusableError, match=r"cannot be decoded|not an image"):
        read(content[: len(content) // 2], tmp_path)


# What it refuses


@pytest.mark.parametrize(
    "content, reason",
    [
        (b"", "is not an image"),
        (NOISE.tobytes(), "is not an image"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "is not an image"),
        (b"%PDF-1.4\n%%EOF\n", "is not an image"),
        (b"\0\0\0\x18ftypheic" + bytes(99), "HEIC photo as JPEG"),
        (encoded("GIF")[:20], "is not an image"),
        (png(100_000, 100_000, 8, 2, b""), "has over 220,000,000 pixels"),
    ],
    ids=["empty", "noise", "SVG", "PDF", "HEIC", "a cut head", "huge"],
)
def test_a_file_that_is_no_image_is_called_what_it_is(tmp_path, content, reason):
    with pytest.raises(main.UnusableError, match=reason):
        read(content, tmp_path)


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_deflate", "jpeg"])
def test_what_a_library_prints_about_damage_is_not_seen(tmp_path, capfd, compression):
    picture = Image.fromarray(NOISE)
    content = bytearray(encoded("TIFF", picture, compression=compression))
    content[1000:1400] = b"\xff" * 400
    with suppress(main.UnusableError):  # libjpeg goes on after the gap
        read(content, tmp_path)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    "name, error, reason",
    [
        ("to_srgb", MemoryError(), "needs more memory"),
        ("to_srgb", KeyError("x"), "cannot be decoded: it is damaged"),
        ("to_srgb", OSError(errno.EINVAL, "Invalid argument"), "cannot be decoded"),
        ("to_srgb", OSError(errno.EIO, "Input/output error"), "Input/output error"),
        (
            "hide_messages",
            OSError(errno.EMFILE, "Too many open files"),
            "Too many open",
        ),
    ],
)
def test_every_error_has_a_reason_in_words(monkeypatch, name, error, reason):
    def fail(*arguments: object) -> None:
        raise error

    monkeypatch.setattr(main, name, fail)
    with pytest.raises(main.UnusableError, match=reason):
        read_file(SAMPLE)


@pytest.mark.filterwarnings("ignore:IM image format is deprecated")
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
    failed = run("--path", "photo.jpg", PATH=path)
    assert_one_error_line(failed, "photo.jpg: is not an image")
    assert not (tmp_path / "started").exists() and failed.out == ""


def test_decoders_that_only_pillow_knows_are_not_reached(tmp_path):
    with pytest.raises(main.UnusableError, match="of a rare kind"):
        read(b"PyRGBA 1 1 255\n" + bytes(4), tmp_path)
    with pytest.raises(main.UnusableError, match=r"of a rare kind|not an image"):
        read(b"Pf\n1 1\n-1.0\n" + bytes(4), tmp_path)


def test_what_breaks_in_the_program_is_not_called_damage(monkeypatch):
    monkeypatch.delattr(main.cv2, "resize")  # as in the empty cv2 that pip may leave
    with pytest.raises(AttributeError, match="resize"):
        read_file(SAMPLE)


TOO_LARGE = {
    "PNG": (png(15_000, 15_000, 8, 0, b""), "has over 220,000,000 pixels"),
    "GIF frame": (large_gif_frame(), "has over 220,000,000 pixels"),
    "WebP": (one_colour_webp(7500), "takes too much memory"),
    "PNG within the limit": (png(14_800, 14_800, 8, 0, b""), "cannot be decoded"),
}


@pytest.mark.parametrize("name", TOO_LARGE)
def test_too_many_pixels_are_refused_whatever_they_hold(tmp_path, name):
    content, reason = TOO_LARGE[name]
    with pytest.raises(main.UnusableError, match=reason):
        read(content, tmp_path)


def test_what_takes_too_long_to_compute_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(main, "MAX_SECONDS", 0.3)
    content = many_scans(5000, count=600)
    began = time.process_time()
    with pytest.raises(main.UnusableError, match="takes over"):
        read(content, tmp_path)
    assert time.process_time() - began < 3  # in larger blocks it was over 8


def test_what_overlooks_the_alarm_is_refused_by_the_next(monkeypatch):
    began = time.process_time()

    def overlook(*arguments: object) -> None:
        with suppress(main.UnusableError):  # as a decoder may take it for damage
            while time.process_time() < began + 3:
                pass
        while time.process_time() < began + 3:
            pass

    monkeypatch.setattr(main, "decode", overlook)
    monkeypatch.setattr(main, "MAX_SECONDS", 0.1)
    with pytest.raises(main.UnusableError, match="takes over"):
        main.read_image(SAMPLE)


def replace_file(monkeypatch: pytest.MonkeyPatch, file: io.BufferedReader) -> None:
    """Let the sample be read from this file object."""
    usual = Path.open

    def opened(path: Path, *arguments: str, **options: object) -> object:
        return file if path == SAMPLE else usual(path, *arguments, **options)

    monkeypatch.setattr(Path, "open", opened)


class SlowFile(io.BufferedReader):
    """A file on a disk that lets its readers wait."""

    waited = 0.0

    def read(self, size: int | None = -1, /) -> bytes:
        """Read as any file, a little later."""
        time.sleep(0.05)
        self.waited += 0.05
        return super().read(size)


def test_waiting_is_not_computing(monkeypatch):
    file = SlowFile(io.FileIO(SAMPLE))
    replace_file(monkeypatch, file)
    monkeypatch.setattr(main, "MAX_SECONDS", 0.5)
    assert read_file(SAMPLE).shape == (334, 500, 3)
    assert file.waited > 2 * main.MAX_SECONDS


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits the memory")
def test_what_takes_too_much_memory_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(main, "MAX_MEMORY", 50_000_000)
    with pytest.raises(main.UnusableError, match="needs more memory"):
        read(png(5000, 5000, 8, 6, bytes(20_001 * 5000)), tmp_path)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such measure")
@pytest.mark.parametrize(
    "kind, before",
    [(0, b""), (3, png_chunk(b"PLTE", bytes(6)) + png_chunk(b"tRNS", b"\0"))],
    ids=["grey", "palette with alpha"],
)
def test_an_honest_large_picture_stays_far_below(run, tmp_path, kind, before):
    content = png(6900, 6900, 8, kind, bytes(6901 * 6900), before)
    (tmp_path / "large.png").write_bytes(content)
    metered = [sys.executable, "-c", METER, *PROGRAM]
    done = run("--path", "large.png", "--ks", 1, command=metered)
    assert done.status == 0 and float(done.out.split()[1]) < (600 if kind else 250)


UNCLEAR_TIFFS = {
    "deep grey with 0 for white": {"bits": [16], "meaning": 0},
    "deep planes": {"bits": [16] * 3, "PlanarConfiguration": [2]},
    "12 bits": {"bits": [12], "meaning": 1},
    "32 bits": {"bits": [32], "meaning": 1},
    "floats": {"bits": [32], "meaning": 1, "SampleFormat": [3]},
    "signed grey": {"bits": [8], "meaning": 1, "SampleFormat": [2]},
    "subsampled luma and chroma": {"meaning": 6, "YCbCrSubSampling": [2, 2]},
    "a palette of 8-bit entries": {"bits": [8], "meaning": 3, "ColorMap": [200] * 768},
    "inks that are not CMYK": {"bits": [8] * 4, "meaning": 5, "InkSet": [2]},
    "planes with alpha mixed in": {
        "bits": [8] * 4,
        "ExtraSamples": [1],
        "PlanarConfiguration": [2],
    },
    "planes of luma and chroma": {
        "meaning": 6,
        "YCbCrSubSampling": [1, 1],
        "PlanarConfiguration": [2],
    },
    "a thumbnail of what follows": {"NewSubfileType": [1]},
    "a thumbnail in old words": {"SubfileType": [2]},
}


@pytest.mark.parametrize("name", UNCLEAR_TIFFS)
def test_a_tiff_of_a_kind_not_known_to_be_shown_right_is_refused(tmp_path, name):
    with pytest.raises(main.UnusableError, match=r"of a rare kind|not an image"):
        read(tiff(bytes(99), **UNCLEAR_TIFFS[name]), tmp_path)


DEEP_ALPHA = [200, 200, 0, 0, 0, 0, 128, 128]
CLEAR_TIFFS = {
    "colour": ({}, [200, 80, 40], (200, 80, 40)),
    "grey with 0 for white": ({"bits": [8], "meaning": 0}, [200], (55, 55, 55)),
    "grey in planes": (
        {"bits": [8], "meaning": 1, "PlanarConfiguration": [2]},
        [200],
        (200, 200, 200),
    ),
    "luma and chroma": (
        {"meaning": 6, "YCbCrSubSampling": [1, 1]},
        [100, 128, 200],
        (201, 49, 100),
    ),
    "ink": ({"bits": [8] * 4, "meaning": 5}, [55, 155, 255, 0], (200, 100, 0)),
    "alpha apart": ({"bits": [8] * 4, "ExtraSamples": [2]}, [200, 0, 0, 128], PINK),
    "alpha mixed in": ({"bits": [8] * 4, "ExtraSamples": [1]}, [100, 0, 0, 128], PINK),
    "deep alpha": ({"bits": [16] * 4, "ExtraSamples": [2]}, DEEP_ALPHA, PINK),
}


@pytest.mark.parametrize("name", CLEAR_TIFFS)
def test_it_reads_a_tiff_of(tmp_path, name):
    tags, pixels, wanted = CLEAR_TIFFS[name]
    content = tiff(bytes(pixels), **tags)
    if name == "luma and chroma" and int(PIL.__version__.split(".")[0]) < 13:
        with pytest.raises(main.UnusableError, match="of a rare kind"):
            read(content, tmp_path)
        pytest.skip("Pillow before 13 takes it for RGB, so it is refused")
    shown = read(content, tmp_path)
    assert np.abs(shown[0, 0].astype(int) - wanted).max() <= 2


def test_a_tiff_of_the_oldest_jpeg_is_refused_as_a_cut_one_would_be_grey(tmp_path):
    with pytest.raises(main.UnusableError, match="of a rare kind"):
        read(old_jpeg_tiff(), tmp_path)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the fuzzer forks")
def test_a_damaged_file_of_any_format_is_used_or_gets_one_line(run):
    fuzzer = [sys.executable, PROJECT / "tests" / "fuzz.py"]
    done = run("--files", 300, command=fuzzer)
    assert done.status == 0, done.out + done.err
    assert re.match("300 files: .*'refused'.*'used'.* 0 findings", done.out)


# Full size


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits the memory")
@pytest.mark.parametrize(
    "mode, form, bytes_per_pixel",
    [("RGB", "JPEG", 5), ("RGB", "PNG", 5), ("L", "PNG", 6), ("RGBA", "PNG", 15)],
)
def test_no_copy_is_made_of_a_picture_that_needs_no_change(
    tmp_path, monkeypatch, mode, form, bytes_per_pixel
):
    picture = Image.new(mode, (5000, 4000))
    content = encoded(form, picture)
    monkeypatch.setattr(main, "MAX_MEMORY", bytes_per_pixel * 20_000_000 + 10_000_000)
    assert read(content, tmp_path, max_size=5000).shape == (4000, 5000, 3)


@pytest.mark.parametrize("max_size", [100, 499, 2400, 10_000])
def test_the_original_size_is_that_of_the_upright_picture(tmp_path, max_size):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = TURNED_LEFT
    path = tmp_path / "turned.jpg"
    path.write_bytes(encoded("JPEG", Image.new("L", (2400, 1801)), exif=exif))
    image, original = main.read_image(path, max_size)
    assert original == (1801, 2400)
    assert image.shape[0] >= min(2400, max_size)
    height = min(2400, max_size)
    shape = (height, round(1801 * height / 2400), 3)
    assert main.resize_image(image, max_size, original).shape == shape


def test_a_lack_of_memory_in_opencv_is_one_of_memory(monkeypatch):
    def fail(*arguments: object, **options: object) -> None:
        raise cv2.error("(-4:Insufficient memory) Failed to allocate 45000 bytes")

    monkeypatch.setattr(main.cv2, "resize", fail)
    with pytest.raises(MemoryError):
        main.resize_image(NOISE, 20)


# Limits, and systems that refuse them


def test_exif_data_cost_no_more_than_they_are_worth(tmp_path):
    exif = png_chunk(b"eXIf", exif_of_many_entries(1000, 100_000))
    rows = b"".join(b"\0" + row.tobytes() for row in NOISE)
    began = time.process_time()
    shown = read(png(120, 90, 8, 2, rows, exif), tmp_path)
    assert time.process_time() - began < 2  # in Pillow 10 to 12 it was 31
    assert (shown == np.rot90(NOISE, -1)).all()


def refuse(error: Exception) -> object:
    """Return a function that raises this error."""

    def fail(*arguments: object) -> None:
        raise error

    return fail


@pytest.mark.skipif(os.name == "nt", reason="Windows has none of these limits")
@pytest.mark.parametrize(
    "name, error",
    [
        ("signal.setitimer", OSError(errno.EINVAL, "Invalid argument")),
        ("signal.signal", ValueError("signal only works in main thread")),
        ("resource.setrlimit", ValueError("not allowed to raise maximum limit")),
        ("resource.setrlimit", OSError(errno.EINVAL, "Invalid argument")),
    ],
)
def test_a_limit_that_the_system_refuses_costs_no_picture(monkeypatch, name, error):
    monkeypatch.setattr(name, refuse(error))
    assert read_file(SAMPLE).shape == (334, 500, 3)


def test_a_python_without_limits_of_memory_reads_pictures(monkeypatch):
    monkeypatch.setitem(sys.modules, "resource", None)
    assert read_file(SAMPLE).shape == (334, 500, 3)


def test_pictures_can_be_read_in_a_thread():
    with ThreadPoolExecutor() as pool:
        assert pool.submit(read_file, SAMPLE).result().shape == (334, 500, 3)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such timer")
def test_the_timer_and_handler_of_a_profiler_are_put_back():
    def tick(number: int, frame: object) -> None:
        pass

    usual = signal.signal(signal.SIGPROF, tick)
    signal.setitimer(signal.ITIMER_PROF, 900, 60)
    try:
        read_file(SAMPLE)
        delay, interval = signal.getitimer(signal.ITIMER_PROF)
        assert interval == 60 and 800 < delay < 901
        assert signal.getsignal(signal.SIGPROF) is tick
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, usual)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such timer")
def test_a_handler_that_was_set_from_c_stays(monkeypatch):
    monkeypatch.setattr(signal, "getsignal", lambda number: None)
    monkeypatch.setattr(signal, "signal", refuse(TypeError("would replace it")))
    assert read_file(SAMPLE).shape == (334, 500, 3)


# What the system says


class FailingFile(io.BufferedReader):
    """A file on a disk that fails after some kilobytes."""

    reason: int

    def read(self, size: int | None = -1, /) -> bytes:
        """Read as any file, but not to the end."""
        if self.tell() > 20_000:
            raise OSError(self.reason, os.strerror(self.reason))
        return super().read(size)


@pytest.mark.parametrize("name", ["EIO", "ENOTCONN", "ESTALE", "ETIMEDOUT", "EDEADLK"])
def test_a_disk_that_fails_is_not_called_a_damaged_picture(monkeypatch, name):
    file = FailingFile(io.FileIO(SAMPLE))
    file.reason = getattr(errno, name)
    replace_file(monkeypatch, file)
    with pytest.raises(main.UnusableError, match=re.escape(os.strerror(file.reason))):
        main.read_image(SAMPLE)


def test_a_tiff_that_points_to_before_its_beginning_is_damaged(tmp_path):
    content = tiff(bytes(3), StripOffsets=[8]).replace(
        struct.pack("<HHII", ExifTags.Base.StripOffsets, 3, 1, 8),
        struct.pack("<HHIi", ExifTags.Base.StripOffsets, 9, 1, -8),
    )
    with pytest.raises(main.UnusableError, match="cannot be decoded"):
        read(content, tmp_path)


# Rare kinds


def test_a_bmp_of_run_lengths_is_refused(tmp_path):
    with pytest.raises(main.UnusableError, match="of a rare kind"):
        read(run_length_bmp(), tmp_path)


def test_a_lossless_jpeg_does_not_end_the_program(tmp_path):
    try:
        shown = read(lossless_jpeg(2048), tmp_path)
    except main.UnusableError:
        return  # not with this Pillow
    assert shown.shape == (500, 500, 3) and (shown == 128).all()


def test_a_jpeg_of_12_bits_is_not_told_to_become_a_jpeg(tmp_path):
    content = bytearray(encoded("JPEG"))
    content[content.index(b"\xff\xc0") + 4] = 12
    with pytest.raises(main.UnusableError, match="save it as PNG"):
        read(bytes(content), tmp_path)
