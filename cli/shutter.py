"""`shutter`: messages and keys of the Shutter network, in its own bytes."""

from __future__ import annotations

import click

from cli.application import Group, settings
from cli.io import STDIN, facts, hex_bytes, hexed, print_json, print_object, print_rich, read_object
from threshold.curve import G2_BYTES, load_backend

EON_KEY = click.option("--eon-key", metavar="HEX", required=True, help="The keypers' public key, 96 bytes.")
IDENTITY = click.option("--identity", metavar="HEX", required=True, help="The identity's preimage: prefix and sender.")
KEY = click.option("--key", metavar="FILE|-", required=True, help="The identity's decryption key, 48 bytes.")


@click.group(cls=Group)
def shutter() -> None:
    """Speak the Shutter network's format, message version 3.

    Files hold 0x-hex or binary. Nothing here needs a network in the home.

    \b
    Example:
      encmempool shutter decrypt --key key.hex --ciphertext ciphertext.hex
    """


@shutter.command()
@EON_KEY
@IDENTITY
@click.option("--sigma", metavar="FILE|-", help="32 secret random bytes, never used before.  [default: drawn]")
@click.option("--message", metavar="FILE|-", required=True, help="What to encrypt, as 0x-hex or binary.")
def encrypt(eon_key: str, identity: str, sigma: str | None, message: str) -> None:
    """Encrypt a message to an identity and print the ciphertext.

    \b
    Example:
      encmempool shutter encrypt --eon-key 0x8b… --identity 0xb4… --message tx.hex > ciphertext.hex
    """
    from threshold import entropy
    from threshold.schemes.shutter import BLOCK_BYTES, encrypt

    _refuse_two_readers(sigma=sigma, message=message)
    public = hex_bytes(eon_key, "an eon key", size=G2_BYTES)
    preimage = hex_bytes(identity, "an identity's preimage")
    drawn = entropy.system(BLOCK_BYTES) if sigma is None else read_object(sigma, "sigma")
    data = encrypt(load_backend(settings().backend), public, preimage, read_object(message, "a message"), drawn)
    print_object(data, "shutter-encrypt", {"ciphertext": hexed(data), "size_bytes": len(data)})


@shutter.command()
@KEY
@click.option("--ciphertext", metavar="FILE|-", required=True, help="What `shutter encrypt` or a wallet made.")
@click.option("--lax-padding", is_flag=True, help="Leave padding unchecked that the original does not check.")
def decrypt(key: str, ciphertext: str, lax_padding: bool) -> None:
    """Open a ciphertext and print the message.

    Exit code 1 if it does not open: the key is of another identity, or something was changed.

    \b
    Example:
      encmempool shutter decrypt --key key.hex --ciphertext ciphertext.hex
    """
    from threshold.schemes.shutter import decrypt

    _refuse_two_readers(key=key, ciphertext=ciphertext)
    secret, data = read_object(key, "a decryption key"), read_object(ciphertext, "a Shutter message")
    message = decrypt(load_backend(settings().backend), secret, data, lax_padding=lax_padding)
    print_object(message, "shutter-decrypt", {"message": hexed(message), "size_bytes": len(message)})


@shutter.command("verify-key")
@EON_KEY
@IDENTITY
@KEY
def verify_key(eon_key: str, identity: str, key: str) -> None:
    """Check that a decryption key is the one of an identity. Exit code 1 if it is not.

    \b
    Example:
      encmempool shutter verify-key --eon-key 0x8b… --identity 0xb4… --key key.hex
    """
    from threshold.schemes.shutter import verify_key

    public = hex_bytes(eon_key, "an eon key", size=G2_BYTES)
    preimage = hex_bytes(identity, "an identity's preimage")
    verify_key(load_backend(settings().backend), public, preimage, read_object(key, "a decryption key"))
    if not print_json("shutter-verify-key", {"valid": True}):
        print_rich(facts([("verdict", "[bold green]valid[/]")]))


def _refuse_two_readers(**files: str | None) -> None:
    """Standard input can be read once."""
    if list(files.values()).count(STDIN) > 1:
        names = " and ".join(f"--{name}" for name in files)
        raise click.UsageError(f"only one of {names} can be `-`", click.get_current_context())
