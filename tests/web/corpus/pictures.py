"""Makes pictures of QR codes as a phone at a door sees them, and says what zxing-cpp reads in each.

Writes to standard output, for each picture, one line of JSON (width, height, kind, text, zxing) and the picture's
pixels, one byte each. The same seed makes the same pictures.
"""

import json
import random
import sys

import numpy
import segno
import zxingcpp
from PIL import Image, ImageDraw, ImageFilter

SIZES = [(320, 240), (640, 480), (1280, 720), (320, 240), (640, 480)]
CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
# What a picture suffers from, beside any rotation, uneven light and a little blur and noise. "all" is several at once.
KINDS = [
    "plain", "perspective", "blur", "motion", "noise", "shadow", "contrast", "mirrored", "inverted", "damaged", "all", "none",
]


def payload(rng):
    kind = rng.choice(["ticket", "ticket", "ticket", "url", "number", "bytes", "accents"])
    if kind == "ticket":
        return "-".join("".join(rng.choices(CROCKFORD, k=4)) for _ in range(3))
    if kind == "url":
        path = "".join(rng.choices("abcdefghijklmnopqrstuvwxyz0123456789-/", k=rng.randint(35, 75)))
        return "https://tiket.example.org/" + path
    if kind == "number":
        return "".join(rng.choices("0123456789", k=rng.randint(6, 100)))
    if kind == "accents":
        return "Panitia Nyepi – " + "".join(rng.choices("éüñ字ば— abc", k=rng.randint(3, 20)))
    return "".join(chr(rng.randint(33, 126)) for _ in range(rng.randint(60, 200)))


def code(rng):
    """A symbol of versions 1 to 10 as an array of modules, 0 for dark and 255 for light, with its text."""
    while True:
        text = payload(rng)
        level = rng.choice("LMQH")
        try:
            least = segno.make(text, error=level, micro=False, boost_error=False).version
            if least > 10:
                continue
            version = min(10, least + rng.choice([0, 0, 0, 1, 2, 4]))
            symbol = segno.make(text, error=level, version=version, boost_error=False)
        except segno.DataOverflowError:
            continue
        modules = 255 - 255 * numpy.array(list(symbol.matrix), dtype=numpy.uint8)
        return text, modules


def homography(source, target):
    """The eight coefficients by which Pillow finds for each point of the target its point in the source."""
    rows = []
    for (sx, sy), (tx, ty) in zip(source, target):
        rows.append([tx, ty, 1, 0, 0, 0, -sx * tx, -sx * ty])
        rows.append([0, 0, 0, tx, ty, 1, -sy * tx, -sy * ty])
    return numpy.linalg.solve(numpy.array(rows, float), numpy.array(source, float).reshape(8))


def corners(rng, width, height, side, tilt, angle):
    """Where a square of a side, turned by an angle and tilted towards any direction, is seen."""
    turn = numpy.array([[numpy.cos(angle), -numpy.sin(angle)], [numpy.sin(angle), numpy.cos(angle)]])
    points = numpy.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * side / 2 @ turn.T
    towards = rng.uniform(0, 2 * numpy.pi)
    axis = numpy.array([numpy.cos(towards), numpy.sin(towards)])
    along = points @ axis
    depth = 1 + along * numpy.sin(tilt) / (2.2 * side)
    points = points + numpy.outer(along * (numpy.cos(tilt) - 1), axis)
    points = points / depth[:, None]
    low, high = points.min(axis=0), points.max(axis=0)
    room = numpy.array([width, height]) - (high - low)
    place = numpy.array([rng.uniform(0, 1), rng.uniform(0, 1)]) * numpy.maximum(room, 0) + numpy.minimum(room, 0) / 2
    return points - low + place


def clutter(rng, width, height, grain):
    """A surface with things and words on it, and no code."""
    base = rng.randint(20, 235)
    image = Image.new("L", (width, height), base)
    draw = ImageDraw.Draw(image)
    for _ in range(rng.choice([0, 5, 30, 80])):
        x, y = rng.randint(0, width), rng.randint(0, height)
        w, h = rng.randint(3, width // 4), rng.randint(3, height // 4)
        shade = rng.randint(0, 255)
        shape = rng.choice([draw.rectangle, draw.ellipse, lambda box, fill: draw.line(box, fill, rng.randint(1, 9))])
        shape((x, y, x + w, y + h), shade)
    for _ in range(rng.choice([0, 4, 15])):
        words = " ".join("".join(rng.choices("abcdefghijkmnoprstuMWE", k=rng.randint(2, 9))) for _ in range(8))
        draw.text((rng.randint(-50, width), rng.randint(0, height)), words, rng.randint(0, 255), font_size=rng.randint(9, 30))
    if rng.random() < 0.3:
        coarse = grain.uniform(-40, 40, (height // 6 + 1, width // 6 + 1))
        field = numpy.asarray(Image.fromarray(coarse.astype(numpy.float32)).resize((width, height), Image.BILINEAR))
        image = Image.fromarray(numpy.clip(numpy.asarray(image) + field, 0, 255).astype(numpy.uint8))
    return image


def paste(rng, image, modules, kind):
    """Puts the code on its paper into the picture, with smooth edges, and says how many pixels a module is wide."""
    width, height = image.size
    quiet = rng.choice([4, 4, 4, 2])
    count = modules.shape[0] + 2 * quiet
    harder = 1 if kind == "all" else 0
    least = rng.uniform(2.0, 3.0) + (0.6 if kind in ("blur", "motion", "noise") else 0)
    module = max(least, rng.uniform(0.3, 0.95) * height / count)
    dark, light = rng.randint(0, 50), rng.randint(190, 255)
    if kind == "contrast" or (harder and rng.random() < 0.3):
        dark = rng.randint(30, 140)
        light = dark + rng.randint(25, 70)
    paper = numpy.full((count, count), 255, numpy.uint8)
    paper[quiet : count - quiet, quiet : count - quiet] = modules
    if kind == "inverted":
        paper = 255 - paper
    if kind == "mirrored" or (harder and rng.random() < 0.2):
        paper = paper[:, ::-1]
    scale = max(2, round(2 * module))
    source = Image.fromarray(paper).resize((count * scale, count * scale), Image.NEAREST)
    if kind == "damaged":
        draw = ImageDraw.Draw(source)
        for _ in range(rng.randint(1, 4)):
            x, y = rng.randint(8, count - 8) * scale, rng.randint(8, count - 8) * scale
            size = rng.uniform(1, 3.5) * scale
            draw.ellipse((x - size, y - size, x + size, y + size), rng.choice([0, 128, 255]))
    tilt = 0.0
    if kind == "perspective" or harder:
        tilt = rng.uniform(0.2, 0.85)
    elif rng.random() < 0.5:
        tilt = rng.uniform(0, 0.35)
    place = corners(rng, width, height, module * count, tilt, rng.uniform(0, 2 * numpy.pi))
    left, top = numpy.maximum(numpy.floor(place.min(axis=0)), 0).astype(int)
    right, bottom = numpy.minimum(numpy.ceil(place.max(axis=0)), [width, height]).astype(int)
    box = (2 * (right - left), 2 * (bottom - top))
    side = count * scale
    matrix = homography([(0, 0), (side, 0), (side, side), (0, side)], (place - [left, top]) * 2)
    seen = source.transform(box, Image.PERSPECTIVE, matrix, Image.BILINEAR).reduce(2)
    whole = Image.new("L", source.size, 255).transform(box, Image.PERSPECTIVE, matrix, Image.BILINEAR).reduce(2)
    seen = seen.point([round(dark + (light - dark) * value / 255) for value in range(256)])
    image.paste(seen, (int(left), int(top)), whole)
    return module


def light(rng, grain, pixels, kind):
    """Uneven light, and for some kinds the edge of a shadow."""
    height, width = pixels.shape
    coarse = grain.uniform(0.75, 1.0, (3, 4)).astype(numpy.float32)
    field = numpy.asarray(Image.fromarray(coarse).resize((width, height), Image.BICUBIC))
    if kind == "shadow" or (kind == "all" and rng.random() < 0.5):
        shade = Image.new("L", (width, height), 255)
        x, y = rng.uniform(0.2, 0.8) * width, rng.uniform(0.2, 0.8) * height
        angle = rng.uniform(0, 2 * numpy.pi)
        far = 3 * width
        across = numpy.array([numpy.cos(angle), numpy.sin(angle)]) * far
        along = numpy.array([-across[1], across[0]])
        edge = numpy.array([x, y])
        area = [edge - along, edge + along, edge + along + across, edge - along + across]
        ImageDraw.Draw(shade).polygon([tuple(point) for point in area], fill=rng.randint(70, 170))
        shade = shade.resize((width // 4, height // 4)).filter(ImageFilter.GaussianBlur(rng.uniform(0.5, 12)))
        field = field * numpy.asarray(shade.resize((width, height), Image.BILINEAR)) / 255
    return pixels * field


def degrade(rng, grain, image, module, kind):
    blur = rng.uniform(0, 0.25) * module
    if kind == "blur" or (kind == "all" and rng.random() < 0.5):
        blur = rng.uniform(0.3, 0.75) * module
    pixels = numpy.asarray(image.filter(ImageFilter.GaussianBlur(min(blur, 8)))).astype(numpy.float32)
    if kind == "motion":
        steps = max(2, round(rng.uniform(0.5, 1.6) * module))
        angle = rng.uniform(0, numpy.pi)
        moved = [
            numpy.roll(pixels, (round(i * numpy.sin(angle)), round(i * numpy.cos(angle))), (0, 1)) for i in range(steps)
        ]
        pixels = sum(moved) / steps
    pixels = light(rng, grain, pixels, kind)
    noise = rng.uniform(0, 6)
    if kind == "noise" or (kind == "all" and rng.random() < 0.5):
        noise = rng.uniform(10, 45)
    pixels = pixels + noise * grain.standard_normal(pixels.shape, numpy.float32)
    return numpy.clip(pixels, 0, 255).astype(numpy.uint8)


def without_code(rng, grain, width, height):
    """Pictures that hold no code, some of them made to look like one."""
    kind = rng.choice(["clutter", "noise", "checks", "finders", "part"])
    image = clutter(rng, width, height, grain)
    if kind == "noise":
        return grain.integers(0, 256, (height, width), numpy.uint8)
    if kind == "checks":
        cell = rng.randint(2, 12)
        modules = grain.integers(0, 2, (height // cell + 1, width // cell + 1), numpy.uint8) * 255
        return numpy.kron(modules, numpy.ones((cell, cell), numpy.uint8))[:height, :width]
    if kind in ("finders", "part"):
        _, modules = code(rng)
        size = modules.shape[0]
        modules = modules.copy()
        if kind == "finders":
            scrambled = grain.integers(0, 2, modules.shape, numpy.uint8) * 255
            scrambled[:8, :8], scrambled[:8, -8:], scrambled[-8:, :8] = modules[:8, :8], modules[:8, -8:], modules[-8:, :8]
            scrambled[6, 8:-8], scrambled[8:-8, 6] = modules[6, 8:-8], modules[8:-8, 6]
            modules = scrambled
        else:
            modules[-(size * 2 // 3) :, size // 3 :] = 255
        paste(rng, image, modules, "plain")
    return degrade(rng, grain, image, 3, "plain")


def picture(seed, number):
    rng = random.Random(f"{seed}/{number}")
    grain = numpy.random.default_rng([seed, number])
    kind = KINDS[number % len(KINDS)]
    width, height = SIZES[number // len(KINDS) % len(SIZES)]
    if kind == "none":
        return kind, None, without_code(rng, grain, width, height)
    text, modules = code(rng)
    image = clutter(rng, width, height, grain)
    module = paste(rng, image, modules, kind)
    return kind, text, degrade(rng, grain, image, module, kind)


def main():
    seed, count = int(sys.argv[1]), int(sys.argv[2])
    for number in range(count):
        kind, text, pixels = picture(seed, number)
        read = zxingcpp.read_barcodes(pixels, formats=zxingcpp.BarcodeFormat.QRCode)
        zxing = [barcode.text for barcode in read if barcode.valid]
        height, width = pixels.shape
        head = {"number": number, "width": width, "height": height, "kind": kind, "text": text, "zxing": zxing}
        sys.stdout.buffer.write(json.dumps(head).encode() + b"\n")
        sys.stdout.buffer.write(numpy.ascontiguousarray(pixels).tobytes())


main()
