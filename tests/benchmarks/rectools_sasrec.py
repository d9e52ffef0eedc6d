"""RecTools' SASRec on the same events: run by RecTools' own Python, never by ours.

Usage: python rectools_sasrec.py EVENTS OUT SEED. EVENTS is a CSV file (user_id, item_id, position, fold: 2 is the event
to be predicted); OUT gets one row per user with the NDCG@10 of that event, over all items that the user has not seen.
"""

import sys

import numpy as np
import pandas as pd
import torch
from pytorch_lightning import Trainer, seed_everything
from rectools import Columns
from rectools.dataset import Dataset
from rectools.models import SASRecModel

EPOCHS = 20


def main(events_path: str, out: str, seed: int) -> None:
    seed_everything(seed, workers=True)
    torch.set_num_threads(1)
    events = pd.read_csv(events_path, dtype={"user_id": str, "item_id": str}).sort_values(
        ["user_id", "position"], kind="stable"
    )
    test = events[events["fold"] == 2]
    train = events[events["fold"] < 2].rename(columns={"user_id": Columns.User, "item_id": Columns.Item})
    # RecTools orders a history by its dates: one day per position
    train[Columns.Datetime] = pd.Timestamp("2020-01-01") + pd.to_timedelta(train["position"], unit="D")
    train[Columns.Weight] = 1.0
    dataset = Dataset.construct(train[[Columns.User, Columns.Item, Columns.Weight, Columns.Datetime]])
    model = SASRecModel(n_factors=64, n_blocks=2, session_max_len=50, loss="softmax", get_trainer_func=trainer)
    model.fit(dataset)
    users = test["user_id"].to_numpy()
    found = model.recommend(users=users, dataset=dataset, k=10, filter_viewed=True)
    ranks = found.set_index([Columns.User, Columns.Item])[Columns.Rank]
    pairs = pd.MultiIndex.from_frame(test[["user_id", "item_id"]])
    rank = ranks.reindex(pairs).to_numpy(dtype=float)
    ndcg = np.where(np.isnan(rank), 0.0, 1 / np.log2(rank + 1))
    pd.DataFrame({"user_id": users, "ndcg": ndcg}).to_csv(out, index=False)


def trainer() -> Trainer:
    """RecTools' own trainer with its `deterministic` on, kept to the CPU."""
    return Trainer(
        max_epochs=EPOCHS,
        min_epochs=EPOCHS,
        accelerator="cpu",
        devices=1,
        deterministic=True,
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
    )


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
