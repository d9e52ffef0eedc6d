"""Figures as pictures: the table of an evaluation, and what the sizes of a text encoder give and cost."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from recsys.evaluation.probe_classifiers import Probed
from recsys.evaluation.report import Report
from recsys.metrics.ranking import Interval


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


def save_probe_plot(rows: Sequence[Probed], folder: Path) -> Path:
    """Writes `probes.png`: for each question the share of right answers by encoder, with 95 % intervals and chance."""
    folder.mkdir(parents=True, exist_ok=True)
    questions = list(dict.fromkeys(row.probe for row in rows))
    encoders = list(dict.fromkeys(row.encoder for row in rows))
    figure = Figure(figsize=(9, 1.5 + 0.28 * len(rows)), layout="constrained")
    axes = figure.subplots()
    height = 0.8 / max(1, len(encoders))
    for number, name in enumerate(encoders):
        own = {row.probe: row for row in rows if row.encoder == name}
        at = [place + number * height for place, question in enumerate(questions) if question in own]
        shown = [own[question] for question in questions if question in own]
        means = [row.accuracy.mean for row in shown]
        errors = [
            [max(0.0, row.accuracy.mean - row.accuracy.low) for row in shown],
            [max(0.0, row.accuracy.high - row.accuracy.mean) for row in shown],
        ]
        axes.barh(at, means, height, xerr=errors, label=name, error_kw={"elinewidth": 1, "capsize": 2})
    for place, question in enumerate(questions):
        chance = next(row.chance for row in rows if row.probe == question)
        axes.vlines(chance, place - height / 2, place + 0.8 - height / 2, colors="black", linestyles="dotted")
    axes.set_yticks([place + 0.4 - height / 2 for place in range(len(questions))], questions)
    axes.invert_yaxis()
    axes.set_xlabel(
        "right answers, or nearest lists alike, for lists that were not learned; 95 % intervals; dotted: chance",
        fontsize="small",
    )
    axes.legend(fontsize="small")
    axes.spines[["top", "right"]].set_visible(False)
    path = folder / "probes.png"
    figure.savefig(path, dpi=120)
    return path


def draw_sizes(axes: Axes, sizes: Sequence[Mapping[str, Any]]) -> None:
    """Quality against cost over the (layers, dims) grid: a line a width, a point a depth, as `Recommender.models` lists them.

    Sizes that were not measured are left out; withheld ones are hollow.
    """
    measured = [size for size in sizes if size["figures"].get("recall@10") is not None]
    for dims in sorted({size["dims"] for size in measured}):
        line = [size for size in measured if size["dims"] == dims]
        cost = [1000 / size["figures"]["texts_per_second"] for size in line]
        quality = [size["figures"]["recall@10"] for size in line]
        (drawn,) = axes.plot(cost, quality, label=f"{dims} dims")
        for x, y, size in zip(cost, quality, line, strict=True):
            face = "none" if size["withheld"] else drawn.get_color()
            axes.scatter([x], [y], facecolors=face, edgecolors=drawn.get_color())
            axes.annotate(
                f"{size['layers']} layers", (x, y), textcoords="offset points", xytext=(4, 4), fontsize="small"
            )
    axes.set(xlabel="milliseconds a text", ylabel="Recall@10 of held-out items")
    axes.spines[["top", "right"]].set_visible(False)
    if measured:
        axes.legend()
