"""All kinds of list encoder: how each is read back from a bundle."""

from recsys.bundle import Bundle, Part
from recsys.errors import BundleError
from recsys.retrieval.lists.encoder import ListEncoder
from recsys.retrieval.lists.mean import MeanEncoder
from recsys.retrieval.lists.seq2seq import Seq2seqLists
from recsys.retrieval.lists.sets import SetLists

PREFIX = "lists/"
"""Before the names of all parts of a bundle that questions about lists are answered with."""


def is_encoder(part: Part) -> bool:
    """Is it a list encoder?"""
    return part.kind in ("list-mean", "list-weighted", "list-seq2seq", "list-set")


def list_parts(bundle: Bundle) -> dict[str, Part]:
    """The parts for lists, by their names without the prefix."""
    return {name.removeprefix(PREFIX): part for name, part in bundle.parts.items() if name.startswith(PREFIX)}


def restore_encoder(part: Part) -> ListEncoder:
    """The list encoder that was stored as `part`.

    Raises:
        BundleError: its kind is unknown here, or its arrays do not fit its settings.
    """
    try:
        match part.kind:
            case "list-mean" | "list-weighted":
                return MeanEncoder.from_part(part)
            case "list-seq2seq":
                return Seq2seqLists.from_part(part)
            case "list-set":
                return SetLists.from_part(part)
    except (KeyError, TypeError, ValueError, IndexError, RuntimeError) as error:
        raise BundleError(f"part {part.name!r} does not fit its settings ({error}); train it again") from error
    raise BundleError(f"part {part.name!r} is of kind {part.kind!r}, unknown to this version: upgrade or train again")
