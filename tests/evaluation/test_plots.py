"""Plots of equal figures, and of sizes: measured ones alone, withheld ones hollow."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from recsys.evaluation.plots import draw_sizes, save_plots, save_probe_plot
from recsys.evaluation.probe_classifiers import Probed
from recsys.evaluation.report import Report, Row
from recsys.metrics.ranking import bootstrap, paired


def size(layers: int, dims: int, *, recall: float | None, withheld: str | None = None) -> dict[str, Any]:
    figures = {"recall@10": recall, "texts_per_second": 600 / layers}
    return {"layers": layers, "dims": dims, "bytes": 4 * dims, "figures": figures, "withheld": withheld}


def test_a_line_a_width_a_point_a_depth_withheld_ones_hollow() -> None:
    axes: Any = Figure().subplots()
    draw_sizes(
        axes,
        [
            size(3, 64, recall=0.2, withheld="below its bar"),
            size(6, 64, recall=0.3),
            size(3, 384, recall=0.25),
            size(6, 384, recall=None),
        ],
    )
    narrow, wide = axes.get_lines()
    assert (narrow.get_label(), wide.get_label()) == ("64 dims", "384 dims")
    assert [float(x) for x in narrow.get_xdata()] == [5, 10]  # milliseconds a text
    assert [float(y) for y in narrow.get_ydata()] == [0.2, 0.3]
    assert [float(y) for y in wide.get_ydata()] == [0.25]
    filled = [len(points.get_facecolors()) for points in axes.collections]
    assert filled == [0, 1, 1]
    assert [text.get_text() for text in axes.texts] == ["3 layers", "6 layers", "3 layers"]


def test_sizes_that_were_not_measured_give_an_empty_picture() -> None:
    axes: Any = Figure().subplots()
    draw_sizes(axes, [{"layers": 6, "dims": 384, "bytes": 1536, "figures": {}, "withheld": None}])
    assert not axes.get_lines()


@pytest.mark.parametrize("users", [3, 6, 7, 51])
def test_figures_that_are_equal_for_all_users_are_plotted(users: int, tmp_path: Path) -> None:
    second = np.full(users, 1 / np.log2(3))  # its mean is a bit above some of the resampled means
    equal = bootstrap(second)
    rows = tuple(
        Row(name, equal, equal, equal, 1.0, 0.5, paired(second, second * 0.1)) for name in ("blend", "popular")
    )
    report = Report(
        protocol="leave-one-out",
        users=users,
        cases=users,
        items=2,
        seed=0,
        bundle=None,
        reference="popular",
        headline="blend",
        rows=rows,
        groups=(),
    )
    assert all(path.stat().st_size for path in save_plots(report, tmp_path))

    probed = Probed(
        encoder="mean",
        probe="length",
        accuracy=equal,
        spread=0,
        chance=0.5,
        lists=users,
        by="nearest",
        logistic=None,
        layer=None,
    )
    assert save_probe_plot([probed], tmp_path).stat().st_size
