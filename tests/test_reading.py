"""What the program reads and refuses, on image files made for the purpose."""

# ruff: noqa: D103 - the name of a test says what it shows

import errno
import io
import os
import re
import struct
import sys
import zlib
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
import PIL
import pytest
from PIL import ExifTags, Image, ImageCms, features

import main
from conftest import (
    NOISE,
    PROGRAM,
    PROJECT,
    SAMPLE,
    assert_one_error_line,
    decibels,
    save,
)

needs_profiles = pytest.mark.skipif(
    not features.check("littlecms2"), reason="this Pillow knows no profiles"
)
RED = (200, 80, 40)
GREEN = (80, 200, 40)
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


def small_photo() -> np.ndarray:
    """Return the sample as (90, 120, 3) RGB."""
    with Image.open(SAMPLE) as image:
        return np.asarray(image.resize((120, 90), Image.Resampling.BOX))


def encoded(form: str, picture: Image.Image | None = None, **options: object) -> bytes:
    """Return a picture, the sample if there is none, as a file's bytes."""
    buffer = io.BytesIO()
    picture = picture or Image.fromarray(small_photo())
    try:
        picture.save(buffer, form, **options)
    except KeyError:
        pytest.skip(f"this Pillow does not write {form}")
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


def app_segment(number: int, content: bytes) -> bytes:
    """Return one of the segments of a JPEG file that hold metadata, APP0 to APP15."""
    return struct.pack(">HH", 0xFFE0 + number, len(content) + 2) + content


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


def one_colour_webp(side: int) -> bytes:
    """Return a lossless WebP of 34 bytes, whatever its size."""
    size = struct.pack("<I", (side - 1) | (side - 1) << 14)
    return b"RIFF\x1a\0\0\0WEBPVP8L\x0e\0\0\0/" + size + b"\7\x10\x11\xfd\x0fDD\xff\3"


def large_progressive_jpeg(side: int) -> bytes:
    """Return a JPEG that claims a size far beyond its pixels."""
    content = bytearray(encoded("JPEG", progressive=True))
    place = content.index(b"\xff\xc2") + 5
    content[place : place + 4] = struct.pack(">2H", side, side)
    return bytes(content)


def long_metadata(kind: str) -> list[bytes | int]:
    """Return a small picture in parts; a number is a hole of so many bytes."""
    if kind == "segments":
        picture = encoded("JPEG")
        return [picture[:2], b"\xff\xef\0\2" * 1_000_000, picture[2:]]
    if kind == "comment":
        return [b"P6\n#", 20_000_000, b"\n9 9\n255\n" + bytes(243)]
    if kind == "lines":
        head = struct.pack(
            "<2s3I3I2H6I", b"BM", 0, 0, 1078, 40, 4, 4, 1, 8, 1, *[0] * 5
        )
        return [head, 20_000_000]
    tag = struct.pack("<2HII", 700, 1, 210_000_000, 8)  # XMP
    head = struct.pack("<2sHI", b"II", 42, 210_000_008)
    return [head, 210_000_000, struct.pack("<H", 1) + tag + bytes(4)]


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


# What it reads


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


@pytest.mark.parametrize("size", [(120, 90), (2400, 1800)], ids=["small", "large"])
@pytest.mark.parametrize("turn", ORIENTATIONS)
def test_exif_turns_the_picture_upright(tmp_path, turn, size):
    photo = Image.fromarray(small_photo()).resize(size)
    stored = photo if turn is None else photo.transpose(turn)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = ORIENTATIONS[turn]
    shown = read(encoded("JPEG", stored, exif=exif, quality=95), tmp_path)
    assert decibels(shown, main.resize_image(np.asarray(photo))) > 30


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
    "number, content",
    [
        (0, b"JFIF\0"),
        (2, b"ICC_PROFILE\0"),
        (14, b"Adobe"),
        (2, b"MPF\0II*\0\x08\0\0\0" + b"\xff" * 99),
    ],
    ids=["JFIF", "profile", "Adobe", "multi-picture"],
)
def test_the_metadata_of_a_jpeg_never_costs_the_picture(tmp_path, number, content):
    whole = encoded("JPEG", quality=95)
    damaged = whole[:2] + app_segment(number, content) + whole[2:]
    assert decibels(read(damaged, tmp_path), small_photo()) > 30


@pytest.mark.parametrize("length", [0, 3, 99_999])
def test_the_metadata_of_a_webp_never_costs_the_picture(tmp_path, length):
    content = bytearray(encoded("WEBP", xmp=b"<x/>", quality=95))
    place = content.rindex(b"XMP ") + 4
    content[place : place + 4] = struct.pack("<I", length)
    assert decibels(read(content, tmp_path), small_photo()) > 30


def test_the_metadata_of_an_avif_never_costs_the_picture(tmp_path):
    exif = Image.Exif()
    exif[ExifTags.Base.ImageDescription] = "description"
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
    "content, reason",
    [
        (b"", "is empty"),
        (NOISE.tobytes(), "is not an image"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "is not an image"),
        (b"%PDF-1.4\n%%EOF\n", "is not an image"),
        (b"\0\0\0\x18ftypheic" + bytes(99), "HEIC photo as JPEG"),
        (encoded("GIF")[:20], "is not an image"),
        (png(100_000, 100_000, 8, 2, b""), "has 10000.0 megapixels"),
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
        ("to_srgb", KeyError("x"), "is damaged or not complete"),
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
    with pytest.raises(main.UnusableError, match="of a kind not known"):
        read(b"PyRGBA 1 1 255\n" + bytes(4), tmp_path)


LARGE_CLAIMS = {
    "webp": one_colour_webp(7800),
    "progressive": large_progressive_jpeg(14_000),
    "turned": tiff(b"123", 12_000, 12_000, Orientation=[6]),
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
    with pytest.raises(main.UnusableError, match=r"has .* may have \d+\.\d"):
        read(LARGE_CLAIMS[name], tmp_path)


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


@pytest.mark.parametrize("kind", ["segments", "comment", "lines", "tag"])
def test_metadata_that_would_take_too_long_is_refused(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(main, "MAX_SECONDS", 0.2)
    with (tmp_path / "long").open("wb") as file:
        for part in long_metadata(kind):
            if isinstance(part, int):
                file.truncate(file.tell() + part)
                file.seek(0, os.SEEK_END)
            else:
                file.write(part)
    with pytest.raises(main.UnusableError, match="too much time or memory"):
        main.read_image(tmp_path / "long")


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
def test_a_large_picture_is_reduced_before_it_is_converted(run, tmp_path, kind, before):
    side = 8000
    (tmp_path / "large.png").write_bytes(blank_png(side, 8, kind, before))
    measure = (
        "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True);"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    measured = [sys.executable, "-c", measure, *PROGRAM]
    done = run("--path", "large.png", "--ks", 1, command=measured)
    assert done.status == 0, done.err
    unit = 2**20 if sys.platform == "darwin" else 2**10
    assert int(done.out.split()[-1]) / unit < 100 + 2 * side**2 / 2**20


UNCLEAR_TIFFS = {
    "deep grey with 0 for white": {
        "BitsPerSample": [16],
        "PhotometricInterpretation": [0],
    },
    "deep planes": {"BitsPerSample": [16] * 3, "PlanarConfiguration": [2]},
    "12 bits": {"BitsPerSample": [12], "PhotometricInterpretation": [1]},
    "32 bits": {"BitsPerSample": [32], "PhotometricInterpretation": [1]},
    "floats": {
        "BitsPerSample": [32],
        "PhotometricInterpretation": [1],
        "SampleFormat": [3],
    },
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


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the fuzzer forks")
def test_a_damaged_file_of_any_format_is_used_or_gets_one_line(run):
    fuzzer = [sys.executable, PROJECT / "tests" / "fuzz.py"]
    done = run("--files", 300, command=fuzzer)
    assert done.status == 0, done.out + done.err
    assert re.match("300 files: .*'refused'.*'used'.* 0 findings", done.out)
