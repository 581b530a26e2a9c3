"""Inputs for specs/payload.md."""

from __future__ import annotations

from collections.abc import Iterator

from spec.notation import Tag, to_hex
from spec.payload import PREFIX_BYTES, pad, seal

from specs.generate.case import Case, labelled

SIZE_CLASSES = [256 << k for k in range(9)]


def cases() -> Iterator[Case]:
    yield from paddings()
    yield from padding_faults()
    yield from keys()
    yield from bodies()
    yield from body_faults()


# --- padding ---------------------------------------------------------------------------------------------------------


def paddings() -> Iterator[Case]:
    sizes = [str(size) for size in SIZE_CLASSES]
    for length in (0, 1, 110, 256 - PREFIX_BYTES, 257 - PREFIX_BYTES, 512 - PREFIX_BYTES, 1000):
        payload = labelled(f"payload/pad/{length}")(length)
        random = labelled("payload/pad/blinding")(16)
        given = {"payload": to_hex(payload), "size_classes": sizes, "random": to_hex(random)}
        title = f"a payload of {length} bytes"
        yield Case(operation="pad", title=title, requirements=("PAD-4", "PAD-5"), input=given, refused=False)
        plaintext = pad(payload, SIZE_CLASSES, labelled("payload/pad/blinding"))
        yield unpadding(title, ("PAD-1", "PAD-2", "PAD-3", "PAD-4"), plaintext, refused=False)
    only = pad(b"payload", [300], labelled("payload/pad/blinding"))
    yield unpadding("a network with one size class, 300", ("PAD-4",), only, sizes=[300], refused=False)


def padding_faults() -> Iterator[Case]:
    length = 110
    honest = pad(bytes(range(length)), SIZE_CLASSES, labelled("payload/unpad"))

    def announcing(size: int) -> bytes:
        return honest[:17] + size.to_bytes(4, "big") + honest[21:]

    room = len(honest) - PREFIX_BYTES
    for title, rule, plaintext in (
        ("no bytes", "PAD-1", b""),
        ("20 bytes: it ends within the length", "PAD-1", honest[:20]),
        ("version 0", "PAD-1", b"\0" + honest[1:]),
        ("version 2", "PAD-1", b"\2" + honest[1:]),
        ("one payload byte more announced than there are", "PAD-2", announcing(room + 1)),
        ("a payload of 2^32 - 1 bytes announced", "PAD-2", announcing((1 << 32) - 1)),
        ("the length is little-endian", "PAD-2", honest[:17] + length.to_bytes(4, "little") + honest[21:]),
        ("the last byte is 1", "PAD-3", honest[:-1] + b"\1"),
        ("the first byte after the payload is 1", "PAD-3", honest[:131] + b"\1" + honest[132:]),
        ("the length leaves out the payload's last byte", "PAD-3", announcing(length - 1)),
        ("the next size class but one would hold it", "PAD-4", honest + bytes(256)),
        ("no padding at all", "PAD-4", honest[:131]),
        ("a byte short of its size class", "PAD-4", honest[:-1]),
        ("a byte more than its size class", "PAD-4", honest + b"\0"),
    ):
        yield unpadding(title, (rule,), plaintext, refused=True)
    larger = pad(bytes(300), SIZE_CLASSES, labelled("payload/unpad"))
    yield unpadding("larger than the network's greatest size class", ("PAD-4",), larger, sizes=[256], refused=True)


def unpadding(
    title: str, rules: tuple[str, ...], plaintext: bytes, *, sizes: list[int] = SIZE_CLASSES, refused: bool
) -> Case:
    given = {"plaintext": to_hex(plaintext), "size_classes": [str(size) for size in sizes]}
    return Case(operation="unpad", title=title, requirements=rules, input=given, refused=refused)


# --- authenticated encryption ----------------------------------------------------------------------------------------


def keys() -> Iterator[Case]:
    for title, tag, secret, context in (
        ("no context", Tag.TDH2_KEM, b"secret", []),
        ("a context of two items", Tag.TDH2_KEM, b"secret", [b"ab", b"c"]),
        ("the same bytes, divided otherwise", Tag.TDH2_KEM, b"secret", [b"a", b"bc"]),
        ("a secret of 48 bytes", Tag.TDH2_KEM, labelled("payload/derive_key")(48), [bytes(32)]),
        ("a secret longer than a block of SHA-256", Tag.DKG_SHARE_KEY, labelled("payload/derive_key")(100), [b"x"]),
    ):
        given = {"tag": to_hex(tag), "secret": to_hex(secret), "context": [to_hex(item) for item in context]}
        yield Case(operation="derive_key", title=title, requirements=("AED-1",), input=given)


def bodies() -> Iterator[Case]:
    for size, aad_size in ((0, 0), (0, 20), (1, 0), (16, 16), (63, 32), (64, 32), (65, 32), (256, 32), (1024, 33)):
        random = labelled(f"payload/seal/{size}/{aad_size}")
        key, plaintext, aad = random(32), random(size), random(aad_size)
        title = f"{size} bytes with {aad_size} of associated data"
        given = {"key": to_hex(key), "plaintext": to_hex(plaintext), "aad": to_hex(aad)}
        yield Case(operation="seal", title=title, requirements=("AED-2",), input=given)
        yield opening(title, key, seal(key, plaintext, aad), aad, refused=False)


def body_faults() -> Iterator[Case]:
    random = labelled("payload/unseal")
    key, plaintext, aad = random(32), random(100), random(32)
    honest = seal(key, plaintext, aad)
    for title, body in (
        ("no bytes", b""),
        ("15 bytes: shorter than a tag", honest[-15:]),
        ("the tag alone", honest[-16:]),
        ("a bit of the first byte flipped", flipped(honest, 0)),
        ("a bit of the last byte before the tag flipped", flipped(honest, 99)),
        ("a bit of the tag's first byte flipped", flipped(honest, 100)),
        ("a bit of the tag's last byte flipped", flipped(honest, 115)),
        ("the last byte is missing", honest[:-1]),
        ("a trailing byte", honest + b"\0"),
        ("the tag before the ciphertext", honest[-16:] + honest[:-16]),
    ):
        yield opening(title, key, body, aad, refused=True)
    yield opening("a bit of the key flipped", flipped(key, 31), honest, aad, refused=True)
    yield opening("a bit of the associated data flipped", key, honest, flipped(aad, 0), refused=True)
    yield opening("no associated data", key, honest, b"", refused=True)
    yield opening("a zero byte more of associated data", key, honest, aad + b"\0", refused=True)


def opening(title: str, key: bytes, body: bytes, aad: bytes, *, refused: bool) -> Case:
    given = {"key": to_hex(key), "body": to_hex(body), "aad": to_hex(aad)}
    return Case(operation="unseal", title=title, requirements=("AED-2", "AED-3"), input=given, refused=refused)


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
