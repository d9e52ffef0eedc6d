"""Plots of an evaluation's table, of probe results, and of quality against cost over a text encoder's truncations."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from recsys.evaluation.probe_classifiers import Probed
from recsys.evaluation.report import Report
from recsys.metrics.ranking import Interval
from recsys.private_files import FOLDER, open_private


def save_plots(report: Report, folder: Path) -> tuple[Path, ...]:
    """Plots NDCG@10 of each part (`ndcg.png`) and its difference from the reference (`difference.png`), the best on top,
    with 95 % intervals. Returns the paths."""
    folder.mkdir(mode=FOLDER, parents=True, exist_ok=True)
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
    figure = Figure(figsize=(8, 1 + 0.35 * len(names)), layout="constrained")
    axes = figure.subplots()
    colours = ["tab:orange" if "blend" in name else "tab:blue" for name in names]
    axes.barh(names, means, xerr=_errors(values), color=colours, error_kw={"elinewidth": 1, "capsize": 2})
    axes.set_xlabel(label, fontsize="small")
    axes.spines[["top", "right"]].set_visible(False)
    with open_private(path, "wb") as file:
        figure.savefig(file, dpi=120)
    return path


def _errors(intervals: Sequence[Interval]) -> list[list[float]]:
    """How far each interval reaches below its mean, and above it."""
    return [[value.mean - value.low for value in intervals], [value.high - value.mean for value in intervals]]


def save_probe_plot(rows: Sequence[Probed], folder: Path) -> Path:
    """Plots each question's share of right answers by encoder (`probes.png`), with 95 % intervals and chance."""
    folder.mkdir(mode=FOLDER, parents=True, exist_ok=True)
    questions = list(dict.fromkeys(row.probe for row in rows))
    encoders = list(dict.fromkeys(row.encoder for row in rows))
    figure = Figure(figsize=(9, 1.5 + 0.28 * len(rows)), layout="constrained")
    axes = figure.subplots()
    height = 0.8 / max(1, len(encoders))
    for number, name in enumerate(encoders):
        results = {row.probe: row for row in rows if row.encoder == name}
        bars = [(y + number * height, results[question]) for y, question in enumerate(questions) if question in results]
        accuracies = [row.accuracy for _, row in bars]
        means = [accuracy.mean for accuracy in accuracies]
        error_bars = {"elinewidth": 1, "capsize": 2}
        axes.barh([y for y, _ in bars], means, height, xerr=_errors(accuracies), label=name, error_kw=error_bars)
    for y, question in enumerate(questions):
        chance = next(row.chance for row in rows if row.probe == question)
        axes.vlines(chance, y - height / 2, y + 0.8 - height / 2, colors="black", linestyles="dotted")
    axes.set_yticks([y + 0.4 - height / 2 for y in range(len(questions))], questions)
    axes.invert_yaxis()
    axes.set_xlabel(
        "right answers, or nearest lists alike, for lists that were not learned; 95 % intervals; dotted: chance",
        fontsize="small",
    )
    axes.legend(fontsize="small")
    axes.spines[["top", "right"]].set_visible(False)
    path = folder / "probes.png"
    with open_private(path, "wb") as file:
        figure.savefig(file, dpi=120)
    return path


def draw_sizes(axes: Axes, sizes: Sequence[Mapping[str, Any]]) -> None:
    """Plots quality against cost: a line for each width (dims), a point for each depth (layers) of `sizes`.

    `sizes` come from `Recommender.models`. Sizes without figures are left out, withheld ones are hollow.
    """
    measured = [size for size in sizes if size["figures"].get("recall@10") is not None]
    for dims in sorted({size["dims"] for size in measured}):
        depths = [size for size in measured if size["dims"] == dims]
        cost = [1000 / size["figures"]["texts_per_second"] for size in depths]
        quality = [size["figures"]["recall@10"] for size in depths]
        (line,) = axes.plot(cost, quality, label=f"{dims} dims")
        for x, y, size in zip(cost, quality, depths, strict=True):
            face = "none" if size["withheld"] else line.get_color()
            axes.scatter([x], [y], facecolors=face, edgecolors=line.get_color())
            axes.annotate(
                f"{size['layers']} layers", (x, y), textcoords="offset points", xytext=(4, 4), fontsize="small"
            )
    axes.set(xlabel="milliseconds a text", ylabel="Recall@10 of held-out items")
    axes.spines[["top", "right"]].set_visible(False)
    if measured:
        axes.legend()
