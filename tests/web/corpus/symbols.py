"""Writes tests/web/symbols.json: symbols of every version and level by another encoder, for tests/web/qr.test.js."""

import json
import sys

import segno

TEXTS = {
    1: [("ABCD-EFGH-JKMN", "L"), ("7K3M-9QXT-0ABC", "M"), ("0123456789", "Q"), ("AC-42", "H")],
    2: [("https://tixgo.example/t/7K3M", "L"), ("TIKET 12/34: $5", "H")],
    3: [("Selamat datang – 欢迎 – ようこそ", "M"), ("7K3M-9QXT-0ABC", "H")],
    4: [("3141592653589793238462643383279502884197169399375105", "H"), ("a" * 60, "M")],
    5: [("https://tiket.example.org/gate?event=42&ticket=7K3M-9QXT-0ABC&sign=mZ81kQ", "L"), ("x" * 40, "H")],
    6: [("https://tiket.example.org/gate?event=42&ticket=7K3M-9QXT-0ABC", "Q")],
    7: [("Café " * 12, "Q"), ("0" * 200, "M")],
    8: [("ABC $%*+-./:" * 10, "Q"), ("b3" * 40, "H")],
    9: [("https://tiket.example.org/" + "abcdefghij" * 15, "M"), ("z" * 180, "L")],
    10: [("https://tiket.example.org/" + "klmnopqrst" * 18, "M"), ("9" * 250, "H"), ("TIXGO " * 33, "Q"), ("ü" * 130, "L")],
}


def main():
    symbols = []
    for version, texts in TEXTS.items():
        for number, (text, level) in enumerate(texts):
            mask = (version + 3 * number) % 8
            symbol = segno.make(text, version=version, error=level, mask=mask, boost_error=False, encoding="utf-8", eci=number == 3)
            rows = [format(int("".join(map(str, row)), 2), "x") for row in symbol.matrix]
            symbols.append({"text": text, "version": version, "level": level, "mask": mask, "rows": " ".join(rows)})
    json.dump(symbols, sys.stdout, indent=1)
    print()


main()
