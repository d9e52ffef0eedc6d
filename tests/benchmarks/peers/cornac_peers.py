"""Next-basket models of cornac: run by an environment of their own.

A session is a basket; the baskets before that of the target are the history. TIFUKNN of cornac 3.0.1 averages its
neighbours to one number, so that neighbours do not change its order: it is taken as the library has it.
"""

import numpy as np
from cornac.data import BasketDataset
from cornac.models import TIFUKNN, UPCF
from cornac.models.recommender import NextBasketRecommender

from tests.benchmarks.peers.study import Events, Ids, Model, Question, Settings, Watch, main

Baskets = dict[int, list[list[int]]]


def baskets(events: Events) -> Baskets:
    """The baskets of each user, oldest first."""
    out: Baskets = {}
    last = None
    for user, item, session in zip(events.user.tolist(), events.item.tolist(), events.session.tolist(), strict=True):
        rows = out.setdefault(user, [])
        if (user, session) != last:
            rows.append([])
        rows[-1].append(item)
        last = user, session
    return out


def training_set(events: Events) -> BasketDataset:
    """cornac's form of the events; all items of the catalogue keep their numbers."""
    rows = [
        (str(user), f"{user}-{number}", str(item))
        for user, of_user in baskets(events).items()
        for number, basket in enumerate(of_user)
        for item in dict.fromkeys(basket)
    ]
    items = {str(item): item for item in range(events.items)}
    return BasketDataset.build(rows, fmt="UBI", global_iid_map=items, seed=0)


def lists(model: NextBasketRecommender, question: Question) -> Ids:
    events, known = question.events, baskets(question.events)
    out = np.zeros((len(question.users), events.items), dtype=np.float32)
    open_sessions = dict(zip(question.users.tolist(), question.sessions, strict=True))
    last = dict(zip(events.user.tolist(), events.session.tolist(), strict=True))
    for row, user in enumerate(question.users.tolist()):
        history = known.get(user, [])
        closed = history[:-1] if last.get(user) == open_sessions[user] else history
        scores = np.asarray(model.score(user, closed), dtype=np.float32)
        out[row, : len(scores)] = scores
    return question.best(out)


def tifuknn(settings: Settings, question: Question, watch: Watch, _: int) -> None:
    watch(lists(TIFUKNN(**settings).fit(training_set(question.events)), question))


def upcf(settings: Settings, question: Question, watch: Watch, _: int) -> None:
    watch(lists(UPCF(**settings).fit(training_set(question.events)), question))


MODELS = {
    "tifuknn": Model(
        tifuknn,
        {
            "n_neighbors": (300,),
            "within_decay_rate": (0.9, 0.8, 0.95, 1.0),
            "group_decay_rate": (0.7, 0.5, 0.8, 0.9, 1.0),
            "alpha": (0.7,),
            "n_groups": (7, 3, 5, 15, 30),
        },
    ),
    "upcf": Model(
        upcf,
        {"recency": (1, 5, 10, 25, 0), "locality": (1, 5, 10, 25), "asymmetry": (0.25, 0.0, 0.5, 0.75)},
    ),
}

if __name__ == "__main__":
    main(MODELS)
