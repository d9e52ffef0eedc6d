"""All types of part: one row a type, with its settings, how it is restored from a bundle, and what it can do.

How each is trained stands under the same key in `recsys.training.recipes`. The order of the rows is that of a blend.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import nan
from typing import Any, cast

from recsys.bundle import Part
from recsys.encoders.catalogue_parts import KIND as ITEM_TEXT
from recsys.errors import BundleError
from recsys.retrieval import ease, factors, imputed, lexical, markov, neighbours, popular, text
from recsys.retrieval.item_item import ItemItemSource
from recsys.retrieval.item_text import without_items
from recsys.retrieval.lists.attributes import ListAttributes, ListAttributesConfig
from recsys.retrieval.lists.encoder import ListEncoder
from recsys.retrieval.lists.entity_names import EntityNameConfig, EntityNameSource
from recsys.retrieval.lists.factors import restore_exact_als
from recsys.retrieval.lists.mean import MeanConfig, MeanEncoder
from recsys.retrieval.lists.name_blend import NameBlend, NameBlendConfig
from recsys.retrieval.lists.name_neighbours import NameNeighbours, NameNeighboursConfig
from recsys.retrieval.lists.neighbours import ListNeighbours, ListNeighboursConfig
from recsys.retrieval.lists.seq2seq import Seq2seqListEncoder
from recsys.retrieval.lists.sets import SetListEncoder
from recsys.retrieval.personal import PersonalConfig, PersonalSource
from recsys.retrieval.search_space import Catalogue, SearchSpace
from recsys.retrieval.sequence import SequenceSource
from recsys.retrieval.source import Capabilities, StoredSource
from recsys.retrieval.stored_settings import check_settings

Restored = StoredSource | ListEncoder
RestoredParts = Mapping[str, Restored]
"""Parts of the same bundle that were restored before, by kind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PartType:
    """`config` is the dataclass of its settings, None where these stand with its recipe; `restore` reads a stored part back.

    `search_space` gives the settings that are tried on validation; without one the defaults are taken.
    """

    capabilities: Capabilities
    restore: Callable[[Part, RestoredParts], Restored]
    config: type[Any] | None = None
    search_space: Callable[[Catalogue], SearchSpace] | None = None

    def space(self, catalogue: Catalogue) -> SearchSpace:
        """The settings to try over `catalogue`."""
        assert self.config is not None
        return self.search_space(catalogue) if self.search_space else SearchSpace(self.config())


def _from_part(restore: Callable[[Part], Restored]) -> Callable[[Part, RestoredParts], Restored]:
    return lambda part, _: restore(part)


def _baseline(**can: Any) -> Capabilities:
    return Capabilities(baseline=True, default_blend=True, **can)


def _list_blend(**can: Any) -> Capabilities:
    return Capabilities(answers="lists", default_blend=True, **can)


def _sequence(*, default_blend: bool, cold_score: float | None) -> PartType:
    capabilities = Capabilities(order=True, default_blend=default_blend, cold_score=cold_score)
    return PartType(capabilities=capabilities, restore=_from_part(SequenceSource.from_part))


_ITEM_ITEM = _from_part(ItemItemSource.from_part)
_POPULAR = _from_part(popular.PopularSource.from_part)

_NAMES = _list_blend(items=False, names=True, explains="nothing")
_LIST_MEAN = PartType(
    config=MeanConfig, restore=_from_part(MeanEncoder.from_part), capabilities=_list_blend(encodes_lists=True)
)

TYPES: dict[str, PartType] = {
    "popular": PartType(
        config=popular.PopularConfig,
        restore=_POPULAR,
        capabilities=_baseline(explains="nothing", cold_score=0.0),
    ),
    "recent": PartType(
        config=popular.PopularConfig,
        restore=_POPULAR,
        search_space=popular.recent_search_space,
        capabilities=_baseline(explains="nothing", cold_score=0.0),
    ),
    "markov": PartType(
        config=markov.MarkovConfig,
        restore=_ITEM_ITEM,
        search_space=markov.search_space,
        capabilities=_baseline(order=True, explains="terms"),
    ),
    "item-neighbours": PartType(
        config=neighbours.NeighboursConfig,
        restore=_ITEM_ITEM,
        search_space=neighbours.search_space,
        capabilities=_baseline(order=True, explains="terms"),
    ),
    "ease": PartType(
        config=ease.EaseConfig,
        restore=_ITEM_ITEM,
        search_space=ease.search_space,
        capabilities=_baseline(order=True, explains="terms"),
    ),
    "personal": PartType(
        config=PersonalConfig,
        restore=_from_part(PersonalSource.from_part),
        capabilities=_baseline(order=True, only_repeats=True, explains="itself"),
    ),
    "als": PartType(
        config=factors.AlsConfig,
        restore=_from_part(factors.AlsSource.from_part),
        search_space=factors.als_search_space,
        capabilities=_baseline(order=True),
    ),
    "bpr": PartType(
        config=factors.BprConfig,
        restore=_from_part(factors.BprSource.from_part),
        search_space=factors.bpr_search_space,
        capabilities=Capabilities(baseline=True, order=True),
    ),
    "text": PartType(
        config=text.TextConfig,
        restore=_from_part(text.TextSource.from_part),
        search_space=text.search_space,
        capabilities=_baseline(order=True, cold_score=None, text_only=True, answers_texts=True, explains="nearest"),
    ),
    "lexical": PartType(
        config=lexical.LexicalConfig,
        restore=_from_part(lexical.LexicalSource.from_part),
        search_space=lexical.search_space,
        capabilities=_baseline(order=True, cold_score=None, text_only=True, explains="nearest"),
    ),
    "imputed": PartType(
        config=imputed.ImputedConfig,
        restore=_from_part(imputed.ImputedSource.from_part),
        search_space=imputed.search_space,
        capabilities=Capabilities(baseline=True, order=True, cold_score=None),
    ),
    "sasrec": _sequence(default_blend=True, cold_score=nan),
    "sasrec-text": _sequence(default_blend=False, cold_score=None),
    "sasrec-hybrid": _sequence(default_blend=True, cold_score=None),
    ITEM_TEXT: PartType(
        restore=_from_part(without_items),
        capabilities=Capabilities(
            order=True, cold_score=None, text_only=True, answers_texts=True, truncates=True, explains="nearest"
        ),
    ),
    "list-popular": PartType(
        config=popular.PopularConfig,
        restore=_POPULAR,
        capabilities=_list_blend(items=False, explains="nothing", cold_score=0.0),
    ),
    "list-neighbours": PartType(
        config=ListNeighboursConfig, restore=_from_part(ListNeighbours.from_part), capabilities=_list_blend()
    ),
    "list-markov": PartType(
        config=markov.MarkovConfig, restore=_ITEM_ITEM, capabilities=_list_blend(order=True, explains="terms")
    ),
    "list-beside": PartType(config=markov.MarkovConfig, restore=_ITEM_ITEM, capabilities=_list_blend(explains="terms")),
    "list-item-neighbours": PartType(
        config=neighbours.NeighboursConfig,
        restore=_ITEM_ITEM,
        capabilities=_list_blend(explains="terms"),
    ),
    "list-als": PartType(config=factors.AlsConfig, restore=_from_part(restore_exact_als), capabilities=_list_blend()),
    "list-attributes": PartType(
        config=ListAttributesConfig,
        restore=_from_part(ListAttributes.from_part),
        capabilities=_list_blend(groups_items=True),
    ),
    "list-names": PartType(
        config=NameNeighboursConfig, restore=_from_part(NameNeighbours.from_part), capabilities=_NAMES
    ),
    "list-spelt": PartType(
        config=EntityNameConfig, restore=_from_part(EntityNameSource.from_part), capabilities=_NAMES
    ),
    "list-named": PartType(
        config=NameBlendConfig,
        restore=NameBlend.from_parts,
        capabilities=_list_blend(items=False, names=True, explains="nothing", needs=("list-names", "list-spelt")),
    ),
    "list-mean": _LIST_MEAN,
    "list-weighted": _LIST_MEAN,
    "playlist-seq2seq": PartType(
        restore=_from_part(Seq2seqListEncoder.from_part),
        capabilities=Capabilities(answers="lists", encodes_lists=True, decodes_lists=True, order=True),
    ),
    "set": PartType(
        restore=_from_part(SetListEncoder.from_part),
        capabilities=Capabilities(answers="lists", encodes_lists=True, decodes_lists=True),
    ),
}


def capabilities(kind: str) -> Capabilities:
    """What parts of `kind` can do.

    Raises:
        BundleError: this version does not know such a kind.
    """
    if kind not in TYPES:
        raise BundleError(f"parts of kind {kind!r} are unknown to this version: upgrade or train again")
    return TYPES[kind].capabilities


def restore(part: Part, restored: RestoredParts | None = None) -> Restored:
    """The source or list encoder that was stored as `part`; `restored` holds those that its type needs.

    Raises:
        BundleError: its kind is unknown here, its arrays do not fit its settings, or what it needs is missing.
    """
    if part.kind not in TYPES:
        raise BundleError(
            f"part {part.name!r} is of kind {part.kind!r}, unknown to this version: upgrade or train again"
        )
    row, restored = TYPES[part.kind], restored or {}
    if missing := [kind for kind in row.capabilities.needs if kind not in restored]:
        raise BundleError(f"part {part.name!r} needs parts of kind {', '.join(missing)} beside it; train again")
    try:
        if row.config is not None:
            check_settings(part, row.config)
        return row.restore(part, restored)
    except (ArithmeticError, AttributeError, LookupError, MemoryError, RuntimeError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise BundleError(f"part {part.name!r} does not fit its settings ({reason}); train it again") from error


def restore_source(part: Part, restored: RestoredParts | None = None) -> StoredSource:
    """As `restore`, for a type that answers questions about items or continues lists."""
    return cast(StoredSource, restore(part, restored))


def restore_encoder(part: Part) -> ListEncoder:
    """As `restore`, for a type that encodes lists."""
    return cast(ListEncoder, restore(part))


def kinds(holds: Callable[[Capabilities], bool]) -> list[str]:
    """The keys of the types whose capabilities fulfil `holds`, in the order of the registry."""
    return [kind for kind, row in TYPES.items() if holds(row.capabilities)]
