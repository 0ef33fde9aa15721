"""Inputs that are nearly right: valid messages with one thing wrong, aimed at a place of the message.

Only ``random`` decides, so a seed gives the same inputs again.
"""

import random
from collections.abc import Callable

from material import Material, Template

_TELLING = b"\x00\xff\x0f\xf0\x7f\x80\x81\x82\x9f\x1f 0189ADFB=;?%^+-_\xf0\xf9\x40\xc1\xad\xa0\xb2"


class Messages:
    """Mutated messages of one dialect. ``corpus`` are messages that were found by coverage."""

    def __init__(self, material: Material, rng: random.Random, corpus: list[bytes]) -> None:
        self._material = material
        self._rng = rng
        self._corpus = corpus
        self._kinds: list[Callable[[Template], bytes]] = [
            kind
            for kind, times in (
                (self._valid, 28),
                (self._byte_of_a_segment, 20),
                (self._other_bytes, 6),
                (self._cut_or_longer_segment, 8),
                (self._length_prefix, 8),
                (self._bit, 8),
                (self._bytes_anywhere, 8),
                (self._cut_short, 6),
                (self._goes_on, 3),
                (self._swapped, 3),
                (self._mti, 3),
                (self._garbage_elements, 3),
                (self._garbage, 2),
                (self._found_by_coverage, 8 if corpus else 0),
            )
            for _ in range(times)
        ]

    def next(self) -> bytes:
        """One input: header and message."""
        rng, material = self._rng, self._material
        chance = rng.random()
        if chance < 0.85:
            template = material.templates[int(rng.random() * len(material.templates))]
        else:
            numbers = rng.sample(material.numbers, 1 + int(rng.random() * min(20, len(material.numbers))))
            template = material.template(rng.choice(material.mtis), numbers)
        return self._kinds[int(rng.random() * len(self._kinds))](template)

    def _parts(self, template: Template) -> list[bytes]:
        random_, segments = self._rng.random, self._material.segments
        return [(own := segments[number])[int(random_() * len(own))] for number in template.numbers]

    def _joined(self, template: Template, parts: list[bytes]) -> bytes:
        return self._material.finished(template.mti + template.bitmaps + b"".join(parts))

    def _valid(self, template: Template) -> bytes:
        return self._joined(template, self._parts(template))

    def _byte_of_a_segment(self, template: Template) -> bytes:
        parts = self._parts(template)
        index = int(self._rng.random() * len(parts))
        parts[index] = changed(parts[index], self._rng)
        return self._joined(template, parts)

    def _other_bytes(self, template: Template) -> bytes:
        parts = self._parts(template)
        index = int(self._rng.random() * len(parts))
        prefix = self._material.prefixes[template.numbers[index]]
        parts[index] = parts[index][:prefix] + self._rng.randbytes(len(parts[index]) - prefix)
        return self._joined(template, parts)

    def _cut_or_longer_segment(self, template: Template) -> bytes:
        parts, rng = self._parts(template), self._rng
        index = int(rng.random() * len(parts))
        at = int(rng.random() * (len(parts[index]) + 1))
        choice = rng.random()
        if choice < 0.4:
            parts[index] = parts[index][:at]
        elif choice < 0.8:
            parts[index] = parts[index][:at] + rng.randbytes(1 + int(rng.random() * 4)) + parts[index][at:]
        else:
            parts[index] *= 2
        return self._joined(template, parts)

    def _length_prefix(self, template: Template) -> bytes:
        parts, prefixes, rng = self._parts(template), self._material.prefixes, self._rng
        variable = [index for index, number in enumerate(template.numbers) if prefixes[number]]
        if variable:
            index = variable[int(rng.random() * len(variable))]
            prefix = prefixes[template.numbers[index]]
            parts[index] = changed(parts[index][:prefix], rng) + parts[index][prefix:]
        return self._joined(template, parts)

    def _bit(self, template: Template) -> bytes:
        """A bit more or less, with what it announces or without."""
        bitmaps = bytearray(template.bitmaps)
        bit = int(self._rng.random() * 8 * len(bitmaps))
        bitmaps[bit // 8] ^= 1 << (bit % 8)
        parts = b"".join(self._parts(template))
        return self._material.finished(template.mti + bytes(bitmaps) + parts)

    def _bytes_anywhere(self, template: Template) -> bytes:
        data = self._valid(template)
        for _ in range(1 + int(self._rng.random() * 3)):
            data = changed(data, self._rng)
        return data

    def _cut_short(self, template: Template) -> bytes:
        body = self._valid(template)[len(self._material.header) :]
        return self._material.finished(body[: int(self._rng.random() * len(body))])

    def _goes_on(self, template: Template) -> bytes:
        tail = self._rng.randbytes(1 + int(self._rng.random() * 8))
        return self._joined(template, [*self._parts(template), tail])

    def _swapped(self, template: Template) -> bytes:
        parts = self._parts(template)
        self._rng.shuffle(parts)
        return self._joined(template, parts)

    def _mti(self, template: Template) -> bytes:
        mti = (
            changed(template.mti, self._rng)
            if self._rng.random() < 0.5
            else self._rng.choice(self._material.mtis)
        )
        return self._material.finished(mti + template.bitmaps + b"".join(self._parts(template)))

    def _garbage_elements(self, template: Template) -> bytes:
        return self._joined(template, [self._rng.randbytes(int(self._rng.random() * 300))])

    def _garbage(self, _template: Template) -> bytes:
        return self._rng.randbytes(int(self._rng.random() * 200))

    def _found_by_coverage(self, _template: Template) -> bytes:
        data = self._corpus[int(self._rng.random() * len(self._corpus))]
        return changed(data, self._rng) if self._rng.random() < 0.8 else data


class Bytes:
    """Mutated byte strings: several small changes to one of ``seeds``, or two of them joined."""

    def __init__(self, seeds: list[bytes], rng: random.Random) -> None:
        assert seeds
        self._seeds = seeds
        self._rng = rng

    def next(self) -> bytes:
        """One input."""
        rng, seeds = self._rng, self._seeds
        data = seeds[int(rng.random() * len(seeds))]
        chance = rng.random()
        if chance < 0.05:
            return rng.randbytes(int(rng.random() * 120))
        if chance < 0.15:
            other = seeds[int(rng.random() * len(seeds))]
            data = data[: int(rng.random() * (len(data) + 1))] + other[int(rng.random() * (len(other) + 1)) :]
        for _ in range(int(rng.random() * 4)):
            data = changed(data, rng)
        return data


def changed(data: bytes, rng: random.Random) -> bytes:
    """One byte flipped, replaced, taken away or put in, or a piece doubled."""
    if not data:
        return _TELLING[:1]
    at = int(rng.random() * len(data))
    choice = rng.random()
    if choice < 0.3:
        return data[:at] + bytes((data[at] ^ (1 << int(rng.random() * 8)),)) + data[at + 1 :]
    telling = _TELLING[int(rng.random() * len(_TELLING))]
    if choice < 0.7:
        return data[:at] + bytes((telling,)) + data[at + 1 :]
    if choice < 0.8:
        return data[:at] + data[at + 1 :]
    if choice < 0.9:
        return data[:at] + bytes((telling,)) + data[at:]
    end = at + int(rng.random() * 8)
    return data[:end] + data[at:]
