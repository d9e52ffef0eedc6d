"""The table of an evaluation as pictures."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from recsys.evaluation.metrics import Interval
from recsys.evaluation.report import Report


def save_plots(report: Report, folder: Path) -> tuple[Path, ...]:
    """Writes NDCG@10 of each part (`ndcg.png`), and how far each lies from the reference (`difference.png`), the best on
    top, with 95 % intervals. Gives the paths."""
    folder.mkdir(parents=True, exist_ok=True)
    about = f"{report.protocol}, {report.users:,} users, {report.items:,} items, 95 % intervals"
    figures = {row.name: row.ndcg for row in report.rows}
    differences = {row.name: row.difference for row in report.rows if row.difference is not None}
    return (
        _save(folder / "ndcg.png", figures, f"NDCG@10, {about}"),
        _save(
            folder / "difference.png", differences, f"NDCG@10 minus that of {report.reference}, paired by user, {about}"
        ),
    )


def _save(path: Path, figures: dict[str, Interval], label: str) -> Path:
    names: Sequence[str] = list(figures)[::-1]
    values = [figures[name] for name in names]
    means = [value.mean for value in values]
    errors = [[value.mean - value.low for value in values], [value.high - value.mean for value in values]]
    figure = Figure(figsize=(8, 1 + 0.35 * len(names)), layout="constrained")
    axes = figure.subplots()
    colours = ["tab:orange" if "blend" in name else "tab:blue" for name in names]
    axes.barh(names, means, xerr=errors, color=colours, error_kw={"elinewidth": 1, "capsize": 2})
    axes.set_xlabel(label, fontsize="small")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=120)
    return path
