"""Reading images and labels: what is read, and what every kind of bad file is answered with."""

from __future__ import annotations

import re

import cv2
import numpy as np
import pytest

from src.base.errors import DataError
from src.data import image_files
from src.data.image_files import read_image, read_label, read_png_header
from tests.dataset_helpers import png_bytes


def file_with(tmp_path, content, name="file.png"):
    path = tmp_path / name
    path.write_bytes(content)
    return str(path)


def test_images_are_rgb(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    path = file_with(tmp_path, png_bytes(pixels, color_type=2), "köln 中 1.png")
    np.testing.assert_array_equal(read_image(path), pixels)


def test_grey_alpha_palette_and_jpeg_images_become_rgb(tmp_path):
    rng = np.random.default_rng(0)
    grey, rgba = rng.integers(0, 256, (4, 6), np.uint8), rng.integers(0, 256, (4, 6, 4), np.uint8)
    palette, index = rng.integers(0, 256, (9, 3), np.uint8), rng.integers(0, 9, (4, 6), np.uint8)
    read = [
        read_image(file_with(tmp_path, png_bytes(grey, color_type=0), "grey.png")),
        read_image(file_with(tmp_path, png_bytes(rgba, color_type=6), "rgba.png")),
        read_image(file_with(tmp_path, png_bytes(index, color_type=3, palette=palette), "palette.png")),
    ]
    np.testing.assert_array_equal(read[0], np.stack([grey] * 3, axis=2))
    np.testing.assert_array_equal(read[1], rgba[..., :3])
    np.testing.assert_array_equal(read[2], palette[index])
    orange = np.full((16, 16, 3), (250, 120, 10), np.uint8)
    jpeg = cv2.imencode(".jpg", orange[..., ::-1])[1].tobytes()
    assert np.abs(read_image(file_with(tmp_path, jpeg, "x.jpg")).astype(int) - orange).max() <= 3  # lossy


def test_labels_are_read_as_they_are(tmp_path):
    label = np.arange(256, dtype=np.uint8).reshape(8, 32)
    path = file_with(tmp_path, png_bytes(label, color_type=0), "läbel 1.png")
    np.testing.assert_array_equal(read_label(path), label)
    assert read_png_header(path) == (8, 32, 8, 0)


def test_bytes_behind_the_end_of_a_png_are_harmless(tmp_path):
    label = np.arange(12, dtype=np.uint8).reshape(3, 4)
    path = file_with(tmp_path, png_bytes(label, color_type=0) + b"made with love")
    np.testing.assert_array_equal(read_label(path), label)
    assert read_png_header(path).size == (3, 4)


GREY = np.arange(64, dtype=np.uint8).reshape(8, 8)
RGB = np.stack([GREY] * 3, axis=2)
BAD_LABELS = {
    "palette": (
        png_bytes(GREY % 4, color_type=3, palette=RGB[0, :4]),
        r"palette \(indexed\) PNG, .* save the ids as greyscale",
    ),
    "rgb": (png_bytes(RGB, color_type=2), r"3-channel \(RGB\) PNG; a label needs one channel that holds the class ids"),
    "rgba": (png_bytes(np.dstack([RGB, GREY]), color_type=6), "4-channel PNG; a label needs one channel"),
    "alpha": (png_bytes(np.dstack([GREY, GREY]), color_type=4), r"2-channel \(alpha\) PNG"),
    "16 bit": (
        png_bytes(GREY.astype(np.uint16), color_type=0, depth=16),
        "16-bit greyscale PNG; save .* 8 bits a pixel",
    ),
    "1 bit": (png_bytes(GREY, color_type=0, depth=1), "1-bit greyscale PNG; save the label ids with 8 bits"),
    "jpeg": (cv2.imencode(".jpg", GREY)[1].tobytes(), "is a JPEG, not a PNG; labels must be 8-bit greyscale PNG"),
    "text": (b"hello, I am no image at all, really not", "is text, not a PNG"),
    "empty": (b"", "the file is empty"),
}


@pytest.mark.parametrize("kind", BAD_LABELS)
def test_labels_of_another_kind_are_explained(tmp_path, kind):
    content, message = BAD_LABELS[kind]
    path = file_with(tmp_path, content, "the label.png")
    with pytest.raises(DataError, match=f"the label.png: {message}"):
        read_label(path)


def noise_png():
    return png_bytes(np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8), color_type=2)


@pytest.mark.parametrize("kept", [1.0 / 3, 0.9, -12, -1, 40])
def test_truncated_pngs_are_refused(tmp_path, kept):
    content = noise_png()
    cut = content[: int(len(content) * kept) if isinstance(kept, float) else kept]
    path = file_with(tmp_path, cut, "cut.png")
    with pytest.raises(DataError, match=r"cut.png: the file is incomplete \(truncated\)"):
        read_image(path)
    with pytest.raises(DataError, match=r"cut.png: the file is incomplete \(truncated\)"):
        read_png_header(path)


def test_truncated_pngs_do_not_depend_on_the_decoder(tmp_path, monkeypatch):
    """Some versions of OpenCV only warn, and return a picture that is partly grey."""
    monkeypatch.setattr(image_files.cv2, "imdecode", lambda data, flags: np.zeros((32, 32, 3), np.uint8))
    with pytest.raises(DataError, match="incomplete"):
        read_image(file_with(tmp_path, noise_png()[:-100]))


def test_damaged_images_are_refused(tmp_path, capfd):
    content = bytearray(noise_png())
    content[len(content) // 2] ^= 0xFF
    with pytest.raises(DataError, match="bad.png: damaged, or not an image"):
        read_image(file_with(tmp_path, bytes(content), "bad.png"))
    with pytest.raises(DataError, match="text.png: is text, not an image that OpenCV"):
        read_image(file_with(tmp_path, b"some text, not a picture", "text.png"))
    with pytest.raises(DataError, match="empty.png: the file is empty"):
        read_image(file_with(tmp_path, b"", "empty.png"))
    jpeg = cv2.imencode(".jpg", np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))[1].tobytes()
    with pytest.raises(DataError, match="cut.jpg: the file is incomplete"):
        read_image(file_with(tmp_path, jpeg[: len(jpeg) // 2], "cut.jpg"))
    capfd.readouterr()  # libpng complains on standard error


def test_16_bit_images_are_refused(tmp_path):
    path = file_with(tmp_path, png_bytes(RGB.astype(np.uint16) * 256, color_type=2, depth=16), "deep.png")
    with pytest.raises(DataError, match="deep.png: 16-bit image; save it with 8 bits a channel"):
        read_image(path)
    tiff = cv2.imencode(".tif", RGB.astype(np.uint16) * 256)[1].tobytes()
    with pytest.raises(DataError, match="deep.tif: 16-bit image; save it with 8 bits a channel"):
        read_image(file_with(tmp_path, tiff, "deep.tif"))


def test_missing_and_unreadable_files(tmp_path):
    for read in (read_image, read_label, read_png_header):
        with pytest.raises(DataError, match=f"^{re.escape(str(tmp_path))}/gone.png: no such file$"):
            read(str(tmp_path / "gone.png"))
        with pytest.raises(DataError, match=f"^{re.escape(str(tmp_path))}: Is a directory$"):
            read(str(tmp_path))
