"""The figure of the same model under the protocol `temporal`, from an evaluation of a bundle that was trained under it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from recsys.bundle_io import read_manifest
from recsys.errors import BundleError
from recsys.evaluation.report import Report
from recsys.metrics.ranking import Interval
from recsys.store import Store


@dataclass(frozen=True, slots=True)
class TemporalFigure:
    """The headline figures of the newest bundle that was measured under `temporal`."""

    users: int
    ndcg: Interval
    hit: Interval
    mrr: Interval
    coverage: float
    popular_share: float | None
    difference: Interval | None

    def columns(self) -> tuple[str, ...]:
        """As the columns of a report's table."""
        difference = "" if self.difference is None else str(self.difference)
        figures = (f"{self.hit.mean:.4f}", f"{self.mrr.mean:.4f}", f"{self.coverage:.3f}")
        share = "" if self.popular_share is None else f"{self.popular_share:.3f}"
        return str(self.ndcg), difference, *figures, share


def temporal_figure(store: Store, report: Report) -> TemporalFigure | None:
    """The figure of the part `report.headline` under `temporal`; None where no bundle of the store has one."""
    if report.protocol == "temporal":
        return None
    for record in reversed(store.bundles()):
        manifest = record.manifest
        if manifest["about"].get("protocol") != "temporal" or manifest["default"] != report.headline:
            continue
        try:
            figures = read_manifest(record.uri)["parts"][report.headline]["figures"].get("test")
        except BundleError:
            continue
        if figures and figures["protocol"] == "temporal":
            return _from_figures(figures)
    return None


def _from_figures(figures: Mapping[str, Any]) -> TemporalFigure:
    difference = figures["difference"]
    return TemporalFigure(
        users=figures["users"],
        ndcg=Interval(**figures["ndcg@10"]),
        hit=Interval(**figures["hit@10"]),
        mrr=Interval(**figures["mrr"]),
        coverage=figures["coverage@10"],
        popular_share=figures.get("popular_share@10"),
        difference=difference and Interval(*(difference[name] for name in ("mean", "low", "high"))),
    )
