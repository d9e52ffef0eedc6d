"""The table of an evaluation as a picture."""

from pathlib import Path

from matplotlib.figure import Figure

from recsys.evaluation.report import Report


def save_plot(report: Report, folder: Path) -> Path:
    """Writes `ndcg.png`: NDCG@10 of each part with its 95 % interval, the best on top. Gives the path."""
    rows = report.rows[::-1]
    figure = Figure(figsize=(7, 1 + 0.35 * len(rows)), layout="constrained")
    axes = figure.subplots()
    means = [row.ndcg.mean for row in rows]
    errors = [[row.ndcg.mean - row.ndcg.low for row in rows], [row.ndcg.high - row.ndcg.mean for row in rows]]
    colours = ["tab:orange" if "blend" in row.name else "tab:blue" for row in rows]
    axes.barh([row.name for row in rows], means, xerr=errors, color=colours, error_kw={"elinewidth": 1, "capsize": 2})
    axes.set_xlabel(f"NDCG@10, {report.protocol}, {report.users:,} users, {report.items:,} items, 95 % intervals")
    axes.spines[["top", "right"]].set_visible(False)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "ndcg.png"
    figure.savefig(path, dpi=120)
    return path
