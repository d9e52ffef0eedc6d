"""The table of an evaluation with intervals, as JSON and as figures for the bundle's manifest."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from recsys.evaluation.case_groups import FEW_CASES, REPEAT, Groups
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
    popular_share: float
    difference: Interval | None


@dataclass(frozen=True, slots=True)
class GroupRow:
    """NDCG@10 of the headline part, and of the reference, over the cases of a group, None without a case; `by` says what they
    are grouped by."""

    by: str
    group: str
    cases: int
    ndcg: Interval | None
    reference: Interval | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """`reference` names the row that the others are compared with; rows come best first.

    `groups` split the cases of the part `headline`; `notes` say what the figures do not rest on.
    """

    protocol: str
    users: int
    cases: int
    items: int
    seed: int
    bundle: str | None
    reference: str
    headline: str
    rows: tuple[Row, ...]
    groups: tuple[GroupRow, ...]
    notes: tuple[str, ...] = ()

    @property
    def repeat_share(self) -> float:
        """Share of the cases whose target the user had before."""
        return sum(row.cases for row in self.groups if row.group == REPEAT) / max(1, self.cases)

    @property
    def few(self) -> list[str]:
        """The groups with too few cases to conclude anything from, with how many each has."""
        few = [f"{row.by} {row.group} ({row.cases})" for row in self.groups if 0 < row.cases < FEW_CASES]
        return ([f"all ({self.cases})"] if self.cases < FEW_CASES else []) + few

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
                "popular_share@10": row.popular_share,
                "cases": self.cases,
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
    measured: Sequence[PartMetrics],
    *,
    reference: str,
    headline: str,
    protocol: str,
    items: int,
    seed: int,
    bundle: str | None,
    groups: Groups = (),
    notes: Sequence[str] = (),
) -> Report:
    """The table of `measured`, best NDCG@10 first, and that of `headline` by `groups`."""
    base = next((part for part in measured if part.name == reference), None)
    rows = [
        Row(
            name=part.name,
            ndcg=bootstrap(part.ndcg, seed=seed),
            hit=bootstrap(part.hit, seed=seed),
            mrr=bootstrap(part.mrr, seed=seed),
            coverage=part.coverage,
            popular_share=part.popular_share,
            difference=None if base is None or base is part else paired(part.ndcg, base.ndcg, seed=seed),
        )
        for part in measured
    ]
    rows.sort(key=lambda row: -row.ndcg.mean)
    main = next((part for part in measured if part.name == headline), None)
    return Report(
        protocol=protocol,
        users=len(measured[0].ndcg) if measured else 0,
        cases=len(measured[0].case_ndcg) if measured else 0,
        items=items,
        seed=seed,
        bundle=bundle,
        reference=reference,
        headline=headline,
        rows=tuple(rows),
        groups=() if main is None else tuple(_group_rows(main, base, groups, seed=seed)),
        notes=tuple(notes),
    )


def _group_rows(main: PartMetrics, base: PartMetrics | None, groups: Groups, *, seed: int) -> Iterator[GroupRow]:
    for by, group, cases in groups:
        means = [bootstrap(part.case_ndcg[cases], seed=seed) if part and cases.any() else None for part in (main, base)]
        yield GroupRow(by, group, int(cases.sum()), *means)
