"""A planted world in a store, and a small bundle trained on it: what tests of the whole share."""

import json
import shutil
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from features.synthetic import World, planted
from recsys.store import Store
from recsys.store.records import EventDraft, ItemDraft
from recsys.store.sessions import upgrade
from recsys.training.job import Saved, TrainingRequest, train_from_store
from recsys.training.plan import Plan

EPOCHS = {"sasrec": {"loop": {"epochs": 12}}, "sasrec-hybrid": {"loop": {"epochs": 12}}}
NAMES = ("morning", "sunset", "workout", "kitchen")
"""What lists are called, by cluster."""

PLAN = Plan(text_encoder="hashed", include_seen=False, overrides=EPOCHS)


@dataclass(frozen=True)
class Planted:
    """A store file and an active bundle beside it."""

    folder: Path
    world: World
    bundle: str

    @property
    def url(self) -> str:
        return f"sqlite:///{self.folder}/recsys.db"

    def copy(self, folder: Path) -> "Planted":
        """The same store in another folder, to write into; the bundle stays where it is."""
        shutil.copy(self.folder / "recsys.db", folder / "recsys.db")
        return Planted(folder, self.world, self.bundle)


def fill(store: Store, world: World) -> None:
    """All items and events of the world."""
    items = world.items.collect().iter_rows(named=True)
    store.put_items(
        [
            ItemDraft(item_id=item["item"], title=item["title"], attributes=json.loads(item["attributes"]))
            for item in items
        ]
    )
    columns = ("user", "item", "at", "position")
    events = world.events.select(columns).collect().iter_rows()
    store.add_events(
        [EventDraft(user_id=user, item_id=item, at=at, position=place) for user, item, at, place in events]
    )
    lists = world.events.group_by("user", maintain_order=True).agg("item").sort("user").collect()
    for user, held in lists.iter_rows():  # what a user did, as a list called by the cluster of most of it
        cluster = Counter(world.cluster[item] for item in held).most_common(1)[0][0]
        store.put_playlist(user.replace("user", "list"), f"{NAMES[cluster]} mix", held)


def train_small(folder: Path) -> Planted:
    """A new store of 150 users and 40 items in `folder`, with a trained blend that is active and withholds events."""
    world = planted(users=150, items=40, length=10, clusters=4)
    url = f"sqlite:///{folder}/recsys.db"
    upgrade(url)
    store = Store.open(url)
    fill(store, world)
    facts = train_from_store(
        store,
        PLAN,
        TrainingRequest(model="blend", folder=str(folder / "bundles"), checkpoints=folder / "checkpoints", refit=False),
    )
    saved = [fact for fact in facts if isinstance(fact, Saved)][-1]
    store.activate_bundle(saved.uri)
    store.close()
    return Planted(folder, world, saved.uri)
