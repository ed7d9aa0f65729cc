"""A camera that shows what a test holds in front of it.

Chromium plays a file instead of a camera, and reads it again for every frame. So a file of one frame that is written
over while it plays is a camera whose picture changes when the test wants it to.
"""

import functools
import os

import numpy
import segno
from PIL import Image, ImageFilter

WIDTH, HEIGHT = 640, 480
MARKER = 16
"""Side in pixels of the square in the upper left corner, whose brightness tells one picture from the one before."""
SHADES = (40, 120, 200)


class Camera:
    """Shows one picture after the other; `shade` is that of the marker in the picture it shows now."""

    def __init__(self, path, frames_per_second=30):
        self.path = path
        self._count = 0
        self._head = f"YUV4MPEG2 W{WIDTH} H{HEIGHT} F{frames_per_second}:1 Ip A1:1 C420jpeg\nFRAME\n".encode()
        path.write_bytes(self._head + self._marked(_frame(None, 0)))
        self._file = os.open(path, os.O_WRONLY)

    @property
    def shade(self):
        return SHADES[self._count % len(SHADES)]

    def show(self, text, turned=8):
        """Shows the QR code of `text` on a telephone that is held `turned` degrees askew."""
        self._put(_frame(text, turned))

    def blank(self):
        """Shows the table and no code."""
        self._put(_frame(None, 0))

    def _put(self, frame):
        self._count += 1
        os.pwrite(self._file, self._marked(frame), len(self._head))

    def _marked(self, frame):
        luma, colour = numpy.split(numpy.frombuffer(frame, numpy.uint8).copy(), [WIDTH * HEIGHT])
        luma.reshape(HEIGHT, WIDTH)[:MARKER, :MARKER] = self.shade
        colour.reshape(2, HEIGHT // 2, WIDTH // 2)[:, : MARKER // 2, : MARKER // 2] = 128
        return luma.tobytes() + colour.tobytes()

    def close(self):
        os.close(self._file)


@functools.lru_cache(maxsize=512)
def _frame(text, turned):
    picture = _table().copy()
    if text is not None:
        phone = Image.new("RGB", (270, 400), "#15181c")
        phone.paste("#f4f4f2", (10, 24, 260, 376))
        code = Image.frombytes("L", *_modules(text)).resize((210, 210), Image.Resampling.NEAREST)
        phone.paste(code.convert("RGB"), (30, 90))
        phone = phone.convert("RGBA").rotate(turned, Image.Resampling.BICUBIC, expand=True)
        picture.paste(phone, ((WIDTH - phone.width) // 2, (HEIGHT - phone.height) // 2), phone)
        picture = picture.filter(ImageFilter.GaussianBlur(0.7))
    luma, blue, red = picture.convert("YCbCr").split()
    half = (WIDTH // 2, HEIGHT // 2)
    return luma.tobytes() + blue.resize(half).tobytes() + red.resize(half).tobytes()


def _modules(text):
    rows = list(segno.make(text, error="m", micro=False).matrix_iter(border=3))
    return (len(rows[0]), len(rows)), bytes(0 if dark else 255 for row in rows for dark in row)


@functools.cache
def _table():
    """Wood in the light of a lamp from the left, with the noise of a cheap camera."""
    random = numpy.random.default_rng(1)
    y, x = numpy.mgrid[0:HEIGHT, 0:WIDTH]
    light = 150 - 0.12 * x + 12 * numpy.sin(y / 23 + numpy.sin(x / 90)) + random.normal(0, 4, (HEIGHT, WIDTH))
    shade = numpy.stack([light, light * 0.78, light * 0.6], axis=-1)
    return Image.fromarray(shade.clip(0, 255).astype(numpy.uint8), "RGB")
