"""The table of an evaluation with intervals, as JSON and as figures for the bundle's manifest."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from recsys.evaluation.ranking_eval import PartMetrics
from recsys.metrics.ranking import Interval, bootstrap, paired
from recsys.private_files import FOLDER, open_private


@dataclass(frozen=True, slots=True)
class Row:
    """One part: means over users with 95 % intervals; `difference` is its NDCG@10 minus the reference's, user by user."""

    name: str
    ndcg: Interval
    hit: Interval
    mrr: Interval
    coverage: float
    difference: Interval | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """`reference` names the row that the others are compared with; rows come best first."""

    protocol: str
    users: int
    items: int
    seed: int
    bundle: str | None
    reference: str
    rows: tuple[Row, ...]

    def figures(self) -> dict[str, dict[str, Any]]:
        """The figures of each part in `GET /v1/models`."""
        return {
            row.name: {
                "protocol": self.protocol,
                "users": self.users,
                "ndcg@10": asdict(row.ndcg),
                "hit@10": asdict(row.hit),
                "mrr": asdict(row.mrr),
                "coverage@10": row.coverage,
                "difference": None if row.difference is None else asdict(row.difference) | {"to": self.reference},
            }
            for row in self.rows
        }

    def save(self, folder: Path) -> Path:
        """Writes `report.json` and returns its path."""
        folder.mkdir(mode=FOLDER, parents=True, exist_ok=True)
        path = folder / "report.json"
        with open_private(path, encoding="utf-8") as file:
            json.dump(asdict(self), file, indent=1)
        return path


def report(
    measured: Sequence[PartMetrics], *, reference: str, protocol: str, items: int, seed: int, bundle: str | None
) -> Report:
    """The table of `measured`, best NDCG@10 first."""
    base = next((part for part in measured if part.name == reference), None)
    rows = [
        Row(
            name=part.name,
            ndcg=bootstrap(part.ndcg, seed=seed),
            hit=bootstrap(part.hit, seed=seed),
            mrr=bootstrap(part.mrr, seed=seed),
            coverage=part.coverage,
            difference=None if base is None or base is part else paired(part.ndcg, base.ndcg, seed=seed),
        )
        for part in measured
    ]
    rows.sort(key=lambda row: -row.ndcg.mean)
    users = len(measured[0].ndcg) if measured else 0
    return Report(
        protocol=protocol, users=users, items=items, seed=seed, bundle=bundle, reference=reference, rows=tuple(rows)
    )
