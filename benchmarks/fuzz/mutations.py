"""Seeded damage to the bytes of a file."""

import random
from collections.abc import Callable

__all__ = ["MUTATIONS", "mutate", "mutate_table"]

HEADER = 64
"""Bytes at the start of a file, where formats keep sizes and types: half of all damage is there."""

EXTREMES = (b"\x00", b"\xff", b"\x7f\xff\xff\xff", b"\xff\xff\xff\xff", b"\x00\x00\x30\x00")
"""Values that sizes and offsets often break at; the last is 12288 in 32 bits."""

CELLS = (
    "", " ", ".", "..", "nan", "inf", "-inf", "1e999", "0x10", "-1", "true", "../0.png", "/0.png",
    "C:/0.png", "0.PNG", "x" * 5000, "\u202e.png", "0.png\t", '"', "=1+1", "a,b", "\r",
)  # fmt: skip
"""Cells that a table of labels might hold by mistake or malice."""

COUNTS = (1, 1, 1, 2, 3, 6)
"""How often a file is damaged, each as likely: one small fault reaches further than many."""


def mutate(content: bytes, rng: random.Random) -> bytes:
    """Damage a file in one to six ways.

    Args:
        content: The whole file.
        rng: Decides everything.

    Returns:
        The damaged file; it may be empty.
    """
    data = bytearray(content)
    for _ in range(rng.choice(COUNTS)):
        rng.choice(MUTATIONS)(data, rng)
    return bytes(data)


def mutate_table(content: bytes, rng: random.Random) -> bytes:
    """Damage a csv in one to six ways that leave it text, four times in five.

    Args:
        content: The whole file, in UTF-8.
        rng: Decides everything.

    Returns:
        The damaged file.
    """
    if rng.random() < 0.2:
        return mutate(content, rng)
    rows = [line.split(",") for line in content.decode().splitlines()]
    for _ in range(rng.choice(COUNTS)):
        row = rng.choice(rows)
        match rng.randrange(5):
            case 0 | 1:
                row[rng.randrange(len(row))] = rng.choice(CELLS)
            case 2:
                row.insert(rng.randrange(len(row) + 1), rng.choice(CELLS))
            case 3 if len(row) > 1:
                del row[rng.randrange(len(row))]
            case _:
                rows.insert(rng.randrange(len(rows) + 1), list(row))
    return "\n".join(",".join(row) for row in rows).encode()


def _position(data: bytearray, rng: random.Random) -> int:
    near = rng.random() < 0.5
    return rng.randrange(max(1, min(len(data), HEADER) if near else len(data)))


def _flip(data: bytearray, rng: random.Random) -> None:
    """Flip single bits."""
    for _ in range(rng.randint(1, 8) if data else 0):
        data[_position(data, rng)] ^= 1 << rng.randrange(8)


def _overwrite(data: bytearray, rng: random.Random) -> None:
    """Random bytes over a short run."""
    start = _position(data, rng)
    length = min(rng.randint(1, 16), len(data) - start)
    data[start : start + length] = rng.randbytes(max(0, length))


def _extreme(data: bytearray, rng: random.Random) -> None:
    """A size or an offset that nobody has."""
    start, value = _position(data, rng), rng.choice(EXTREMES)
    data[start : start + len(value)] = value


def _truncate(data: bytearray, rng: random.Random) -> None:
    """Lose the end."""
    del data[_position(data, rng) :]


def _delete(data: bytearray, rng: random.Random) -> None:
    """Lose a piece in the middle."""
    start = _position(data, rng)
    del data[start : start + rng.randint(1, 64)]


def _repeat(data: bytearray, rng: random.Random) -> None:
    """Repeat a piece."""
    start = _position(data, rng)
    piece = bytes(data[start : start + rng.randint(1, 256)])
    data[start:start] = piece * rng.randint(1, 4)


def _append(data: bytearray, rng: random.Random) -> None:
    """Rubbish after the end."""
    data += rng.randbytes(rng.randint(1, 512))


MUTATIONS: tuple[Callable[[bytearray, random.Random], None], ...] = (
    _flip, _overwrite, _extreme, _truncate, _delete, _repeat, _append,
)  # fmt: skip
