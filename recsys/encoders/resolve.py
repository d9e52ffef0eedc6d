"""Loads the text encoder that a setting names."""

from pathlib import Path

from models.pretrained import mean_bert, packaged_folder
from recsys.encoders.base import TextEncoder
from recsys.encoders.catalogue import from_bundle
from recsys.encoders.hashed import HashedNgrams
from recsys.encoders.sentence import BertTextEncoder, SentenceTextEncoder
from recsys.manifest import MANIFEST


def text_encoder(name: str, *, device: str = "cpu") -> TextEncoder:
    """`auto`: the packaged encoder where it is installed, else `hashed`; a bundle by its URI; anything else by its name.

    Raises:
        ConfigError: the encoder cannot be loaded.
        BundleError: the bundle is damaged, or has no text encoder.
    """
    if "://" in name or (name.strip() and (Path(name).expanduser() / MANIFEST).is_file()):
        return from_bundle(name, device=device)
    if name == "auto":
        name = "packaged" if packaged_folder() else "hashed"
    if name == "hashed":
        return HashedNgrams()
    return BertTextEncoder(name, device=device) if mean_bert(name) else SentenceTextEncoder(name, device=device)
