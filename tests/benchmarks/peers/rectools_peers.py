"""Models of RecTools and, through it, of `implicit`: run by an environment of their own."""

import logging
import warnings
from typing import Any

import numpy as np
import pandas as pd
import torch
from implicit.als import AlternatingLeastSquares
from implicit.nearest_neighbours import CosineRecommender
from pytorch_lightning import Callback, LightningModule, Trainer, seed_everything
from rectools import Columns
from rectools.dataset import Dataset
from rectools.fast_transformers.unisrec.model import UniSRecModel
from rectools.models import (
    BERT4RecModel,
    EASEModel,
    HSTUModel,
    ImplicitALSWrapperModel,
    ImplicitItemKNNWrapperModel,
    SASRecModel,
)

from tests.benchmarks.peers.study import CUTOFF, Events, Ids, Model, Question, Settings, Watch, main

DAY = pd.Timedelta(days=1)
FIRST_DAY = pd.Timestamp("2000-01-01")


def data_set(events: Events, decay: float = 1.0) -> Dataset:
    """The events in RecTools' form: one day apart for the order, `decay` a later event for the weight."""
    age = events.age()
    frame = pd.DataFrame({Columns.User: events.user, Columns.Item: events.item})
    frame[Columns.Weight] = decay**age
    frame[Columns.Datetime] = FIRST_DAY + DAY * (age.max() - age)
    return Dataset.construct(frame)


def lists(model: Any, question: Question, data: Dataset) -> Ids:
    """The best items of each user; -1 fills up a list that is shorter."""
    recommended = model.recommend(
        users=question.users, dataset=data, k=CUTOFF, filter_viewed=not question.events.include_seen
    )
    out = np.full((len(question.users), CUTOFF), -1, dtype=np.int64)
    rows = np.searchsorted(question.users, recommended[Columns.User].to_numpy())
    out[rows, recommended[Columns.Rank].to_numpy() - 1] = recommended[Columns.Item].to_numpy()
    return out


def ease(settings: Settings, question: Question, watch: Watch, _: int) -> None:
    data = data_set(question.events, settings["decay"])
    watch(lists(EASEModel(regularization=settings["regularization"]).fit(data), question, data))


def als(settings: Settings, question: Question, watch: Watch, seed: int) -> None:
    data = data_set(question.events, settings["decay"])
    core = AlternatingLeastSquares(
        factors=settings["factors"],
        regularization=settings["regularization"],
        alpha=settings["alpha"],
        iterations=settings["iterations"],
        num_threads=1,
        random_state=seed,
    )
    watch(lists(ImplicitALSWrapperModel(core).fit(data), question, data))


def item_neighbours(settings: Settings, question: Question, watch: Watch, _: int) -> None:
    data = data_set(question.events, settings["decay"])
    model = ImplicitItemKNNWrapperModel(CosineRecommender(K=settings["neighbours"], num_threads=1))
    watch(lists(model.fit(data), question, data))


class ShowEpochs(Callback):  # type: ignore[misc]  # not installed where this is checked
    """Shows the lists after each epoch, as `recommend` gives them."""

    def __init__(self, question: Question, data: Dataset, watch: Watch) -> None:
        self.model: Any = None
        self.question, self.data, self.watch = question, data, watch

    def __deepcopy__(self, _: object) -> "ShowEpochs":
        return self  # RecTools copies its trainer before a fit

    def on_train_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        fitted, self.model.is_fitted = self.model.is_fitted, True
        best = lists(self.model, self.question, self.data)
        self.model.is_fitted = fitted
        module.train()
        trainer.should_stop = not self.watch(best)


def transformer(kind: Any) -> Any:
    """The peer of a RecTools transformer of the class `kind`."""

    def peer(settings: Settings, question: Question, watch: Watch, seed: int) -> None:
        seed_everything(seed, workers=True)
        data = data_set(question.events)
        shows = ShowEpochs(question, data, watch)
        epochs = {"epochs": watch.epochs}
        model = kind(get_trainer_func=trainer, get_trainer_func_kwargs=epochs, n_heads=2, **settings)
        shows.model = model
        model._trainer.callbacks.append(shows)  # its settings take names of functions alone
        model.fit(data)

    return peer


def trainer(epochs: int) -> Trainer:
    """RecTools' own trainer, kept to the CPU."""
    return Trainer(
        max_epochs=epochs,
        min_epochs=1,
        accelerator="cpu",
        devices=1,
        deterministic=True,
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
    )


class ShowText(Callback):  # type: ignore[misc]
    """Shows the lists of UniSRec after each epoch: it knows items that have events by the vectors of their texts."""

    def __init__(self, model: UniSRecModel, question: Question, watch: Watch) -> None:
        self.model, self.question, self.watch = model, question, watch

    def on_train_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        self.model._net = module.net
        best = text_lists(self.model, self.question)
        module.train()
        trainer.should_stop = not self.watch(best)


def text_lists(model: UniSRecModel, question: Question) -> Ids:
    events, width = question.events, model.session_max_len
    inputs = torch.zeros((len(question.users), width), dtype=torch.long)
    starts = np.searchsorted(events.user, question.users)
    ends = np.searchsorted(events.user, question.users, side="right")
    known = model.map_item_ids(torch.from_numpy(events.item + 1))
    for row, (start, end) in enumerate(zip(starts, ends, strict=True)):
        history = known[max(start, end - width) : end]
        inputs[row, width - len(history) :] = history
    net = model.net.eval()
    with torch.no_grad():
        embeddings = net.project_all()[1:]
        out = [net.encode_last(block) @ embeddings.T for block in torch.split(inputs, 256)]
    scores = np.full((len(question.users), events.items), -np.inf, dtype=np.float32)
    assert model.item_id_mapping is not None
    scores[:, model.item_id_mapping.numpy() - 1] = torch.cat(out).numpy()
    return question.best(scores)


def unisrec(settings: Settings, question: Question, watch: Watch, seed: int) -> None:
    seed_everything(seed, workers=True)
    events = question.events
    vectors = torch.cat([torch.zeros(1, events.vectors.shape[1]), torch.from_numpy(events.vectors)])
    model = UniSRecModel(vectors, epochs=watch.epochs, device="cpu", **settings)
    shows = ShowText(model, question, watch)
    epochs_trainer = trainer(watch.epochs)
    epochs_trainer.callbacks.append(shows)
    model._make_trainer = lambda *_: epochs_trainer  # its own shows nothing
    # the item of row 0 would be the padding: external ids are rows plus 1
    user, item, age = (torch.from_numpy(values) for values in (events.user, events.item + 1, events.age()))
    model.fit(user, item, -age)


DECAYS = (1.0, 0.98, 0.95, 0.9, 0.8, 0.6)
SEQUENCE = {
    "n_factors": (64, 128, 256),
    "n_blocks": (2, 1, 3),
    "session_max_len": (100, 50, 200),
    "dropout_rate": (0.2, 0.1, 0.3, 0.5),
    "lr": (1e-3, 5e-4, 2e-3, 4e-3),
    "batch_size": (32, 64, 128),
}
MODELS = {
    "ease": Model(ease, {"regularization": (500.0, 5.0, 20.0, 50.0, 100.0, 200.0, 1000.0), "decay": DECAYS}),
    "als": Model(
        als,
        {
            "factors": (64, 32, 128, 256),
            "regularization": (0.01, 0.1, 1.0, 10.0),
            "alpha": (1.0, 5.0, 20.0, 40.0),
            "iterations": (15, 30),
            "decay": DECAYS,
        },
    ),
    "item-neighbours": Model(item_neighbours, {"neighbours": (20, 50, 100, 200, 500), "decay": DECAYS}),
    "sasrec": Model(transformer(SASRecModel), SEQUENCE, epochs=100),
    "bert4rec": Model(transformer(BERT4RecModel), SEQUENCE | {"mask_prob": (0.15, 0.3, 0.5)}, epochs=200),
    "hstu": Model(transformer(HSTUModel), SEQUENCE, epochs=100),
    "unisrec": Model(
        unisrec,
        {
            "n_factors": (256, 128, 64),
            "session_max_len": (100, 50, 200),
            "dropout": (0.1, 0.3, 0.5),
            "lr": (3e-4, 1e-4, 1e-3),
            "batch_size": (32, 64, 128),
            "n_blocks": (2, 1),
            "n_heads": (1, 2),
        },
        epochs=100,
    ),
}

if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    torch.set_num_threads(1)
    main(MODELS)
