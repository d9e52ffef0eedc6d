"""The tables of an evaluation of what comes next."""

from typing import TYPE_CHECKING

from recsys.cli.shared import console, print_figures

if TYPE_CHECKING:
    from recsys.evaluation.report import Report
    from recsys.evaluation.temporal import TemporalFigure
    from recsys.metrics.ranking import Interval


def print_report(report: "Report", *, temporal: "TemporalFigure | None") -> None:
    """Prints the table of all parts, that of the groups of cases, and what the figures do not rest on."""
    _print_parts(report, temporal)
    console.print("95 % bootstrap intervals over users; the difference is of NDCG@10, paired by user")
    _print_groups(report)
    console.print(f"{report.repeat_share:.1%} of the targets are repeats; 95 % bootstrap intervals over cases")
    if few := ", ".join(report.few):
        console.print(f"fewer than 100 cases, which say little: {few}", soft_wrap=True)
    for note in report.notes:
        console.print(note, soft_wrap=True)
    if temporal is None and report.protocol == "leave-one-out":
        console.print(
            "no figure under `temporal` yet: `recsys train blend --protocol temporal --no-refit --no-activate`, then "
            "`recsys evaluate --bundle URI` of that bundle puts it beside these",
            soft_wrap=True,
        )


def _print_parts(report: "Report", temporal: "TemporalFigure | None") -> None:
    rows = list[tuple[str, ...]]()
    for row in report.rows:
        difference = "" if row.difference is None else str(row.difference)
        figures = (f"{row.hit.mean:.4f}", f"{row.mrr.mean:.4f}", f"{row.coverage:.3f}", f"{row.popular_share:.3f}")
        rows.append((row.name, str(row.ndcg), difference, *figures))
        if temporal is not None and row.name == report.headline:
            rows.append((f"temporal, {temporal.users:,} users", *temporal.columns()))
    columns = ("part", "NDCG@10", f"minus {report.reference}", "hit@10", "MRR", "coverage", "popular 1 %")
    about = f"{report.protocol}, {report.users:,} users, {report.cases:,} cases, {report.items:,} items"
    print_figures(columns, rows, keys=1, title=f"{about}, seed {report.seed}")


def _print_groups(report: "Report") -> None:
    rows = [(row.by, row.group, f"{row.cases:,}", _text(row.ndcg), _text(row.reference)) for row in report.groups]
    columns = ("by", "group", "cases", f"NDCG@10 of {report.headline}", f"of {report.reference}")
    print_figures(columns, rows, keys=2)


def _text(interval: "Interval | None") -> str:
    return "" if interval is None else str(interval)
