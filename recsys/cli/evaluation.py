"""The command that evaluates a bundle, and the tables of its figures."""

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.status import Status

from recsys.cli.evaluation_tables import print_report
from recsys.cli.options import Bundle, Seed
from recsys.cli.progress import ProgressLines
from recsys.cli.shared import console, device, fail, open_store, prepare, print_figures
from recsys.private_files import FOLDER, open_private
from recsys.settings import Settings

if TYPE_CHECKING:
    from recsys.evaluation.continuation_protocol import ContinuationRow
    from recsys.evaluation.probe_classifiers import Probed
    from recsys.evaluation.ranking_eval import PartMetrics
    from recsys.evaluation.report import Report
    from recsys.store import Store
    from recsys.training.plan import Progress


def evaluate(
    bundle: Bundle = None,
    out: Annotated[Path, typer.Option(help="Folder for report.json and the plot.")] = Path("artifacts/evaluation"),
    seed: Seed = 0,
    protocol: Annotated[
        Literal["next-item", "playlist-probes", "playlist-continuation", "search"],
        typer.Option(
            help="What is measured: the next item, what vectors of lists have kept, the continuation of lists, or the search."
        ),
    ] = "next-item",
    as_of: Annotated[
        str | None,
        typer.Option(
            help="Measure the bundle that is served, on events that came after it: until a time, an event number, or `now`."
        ),
    ] = None,
    category: Annotated[
        str | None, typer.Option(help="For playlist-probes: the attribute that says what a list is of.")
    ] = None,
) -> None:
    """Measure every part and every baseline on what was withheld: table, JSON and plot.

    The store may go on: events that come later change no figure. A bundle that has learned all events is measured by its
    evaluation bundle; with --as-of it is measured itself, on the events that came after it.
    """
    settings = Settings()
    prepare(settings, seed=seed)
    if category and protocol != "playlist-probes":
        fail(f"--category {category} goes with --protocol playlist-probes")
    if as_of and protocol != "next-item":
        fail(f"--as-of {as_of} goes with --protocol next-item")
    with open_store(settings) as store:
        match protocol:
            case "playlist-probes":
                run_probes(store, bundle=bundle, out=out, category=category)
            case "playlist-continuation":
                run_continuation(store, bundle=bundle, out=out)
            case "search":
                run_search(store, bundle=bundle, out=out, seed=seed, device=device(settings))
            case "next-item":
                run_evaluation(store, bundle=bundle, out=out, seed=seed, device=device(settings), as_of=as_of)


def run_continuation(store: "Store", *, bundle: str | None, out: Path) -> None:
    """Measures the continuation of lists, prints the rows and writes them to `continuation.json`."""
    from recsys.evaluation.continuation_protocol import evaluate_continuations

    with console.status("continuing the lists held out"):
        rows = list(evaluate_continuations(store, uri=bundle))
    _print_continuations(rows)
    out.mkdir(mode=FOLDER, parents=True, exist_ok=True)
    path = out / "continuation.json"
    with open_private(path, encoding="utf-8") as file:
        json.dump([asdict(row) for row in rows], file, indent=1)
    console.print(f"written: {path}", soft_wrap=True)


def _print_continuations(rows: "Iterable[ContinuationRow]") -> None:
    cells = list[tuple[str, ...]]()
    for row in rows:
        by_item = ("" if interval is None else f"{interval.mean:.4f}" for interval in (row.trained, row.cold))
        figures = (str(row.r_precision), str(row.ndcg), f"{row.clicks.mean:.2f}", *by_item)
        cells.append((row.part, str(row.seeds), row.order, str(row.lists), *figures))
    columns = ("part", "seeds", "order", "lists", "R-precision", "NDCG@500", "clicks", "of trained items", "cold found")
    print_figures(columns, cells, keys=4)


def run_search(store: "Store", *, bundle: str | None, out: Path, seed: int, device: str) -> None:
    """Measures the search for items by their own words, prints the rows and writes them to `search.json`."""
    from recsys.evaluation.search_protocol import evaluate_search

    with console.status("searching for items by their own words"):
        rows = list(evaluate_search(store, uri=bundle, seed=seed, device=device))
    columns = ("part", "query", "length", "queries", "found first", "MRR@10")
    cells = [(row.part, row.kind, row.length, f"{row.queries:,}", str(row.first), str(row.mrr)) for row in rows]
    print_figures(columns, cells, keys=3)
    console.print("95 % bootstrap intervals over queries; found is any item of the title that the query was made from")
    out.mkdir(mode=FOLDER, parents=True, exist_ok=True)
    path = out / "search.json"
    with open_private(path, encoding="utf-8") as file:
        json.dump([asdict(row) for row in rows], file, indent=1)
    console.print(f"written: {path}", soft_wrap=True)


def run_evaluation(
    store: "Store", *, bundle: str | None, out: Path, seed: int, device: str, as_of: str | None = None
) -> "Report":
    """Measures, prints, and notes the figures in the bundle and in those that it measures."""
    from recsys.evaluation.plots import save_plots
    from recsys.evaluation.run import evaluate as measure
    from recsys.evaluation.temporal import temporal_figure

    with ProgressLines() as lines:
        lines.add("evaluation", "reading the store and the bundle")
        report = _follow_evaluation(measure(store, uri=bundle, seed=seed, device=device, as_of=as_of), lines)
    assert report.bundle is not None
    _note_figures(store, report, report.bundle)
    print_report(report, temporal=None if as_of else temporal_figure(store, report))
    files = (report.save(out), *save_plots(report, out))
    console.print(f"written: {', '.join(map(str, files))}", soft_wrap=True)
    return report


def _note_figures(store: "Store", report: "Report", measured: str) -> None:
    """Adds the figures to the manifest of the bundle `measured`, and of the deployed bundles that name it."""
    from recsys.bundle import evaluation_uri
    from recsys.bundle_io import add_figures
    from recsys.errors import BundleError
    from recsys.evaluation.as_of import NEWER

    key = "newer" if report.protocol == NEWER else "test"
    figures = {name: {key: part} for name, part in report.figures().items()}
    add_figures(measured, figures)
    deployed = [record.uri for record in store.bundles() if evaluation_uri(record.manifest["about"]) == measured]
    for uri in deployed:
        try:
            add_figures(uri, figures)
        except BundleError as error:
            console.print(f"not noted in {uri}: {error}", soft_wrap=True)


def _follow_evaluation(facts: "Iterable[Progress | PartMetrics | Report]", lines: ProgressLines) -> "Report":
    """Prints each fact of an evaluation and returns the report at its end."""
    from recsys.evaluation.ranking_eval import PartMetrics
    from recsys.evaluation.report import Report
    from recsys.training.plan import Progress

    report: Report | None = None
    for fact in facts:
        match fact:
            case Progress():
                lines.add(fact.part, fact.fact)
            case PartMetrics():
                lines.add(fact.name, "measured")
            case Report():
                report = fact
    assert report is not None
    return report


def run_probes(store: "Store", *, bundle: str | None, out: Path, category: str | None) -> "list[Probed]":
    """Probes the list encoders, prints the rows and writes them."""
    from recsys.evaluation.plots import save_probe_plot
    from recsys.evaluation.probe_classifiers import save_probes
    from recsys.evaluation.probe_protocol import probe_bundle

    with console.status("probing") as status:
        rows = _follow_probes(probe_bundle(store, uri=bundle, category=category), status)
    _print_probes(rows)
    console.print(
        "95 % bootstrap intervals over lists; the classifier that is better where it is tuned speaks, 5 seeds; "
        "recommendation: the share of the 1 to 100 nearest lists that are of a list's class"
    )
    console.print(f"written: {save_probes(rows, out)}, {save_probe_plot(rows, out)}", soft_wrap=True)
    return rows


def _follow_probes(facts: "Iterable[str | Probed]", status: Status) -> "list[Probed]":
    """Prints the remarks among `facts` and returns the rows."""
    rows = []
    for fact in facts:
        if isinstance(fact, str):
            console.print(fact, soft_wrap=True)
        else:
            rows.append(fact)
            status.update(f"{fact.encoder}: {fact.probe}")
    return rows


def _print_probes(rows: "Iterable[Probed]") -> None:
    cells = list[tuple[str, ...]]()
    for row in rows:
        by_classifier = ("" if accuracy is None else f"{accuracy:.4f}" for accuracy in (row.logistic, row.layer))
        figures = (f"{row.spread:.4f}", f"{row.chance:.3f}", *by_classifier, f"{row.lists:,}")
        cells.append((row.probe, row.encoder, str(row.accuracy), *figures))
    columns = ("question", "encoder", "right", "sd of seeds", "chance", "logistic", "one layer", "lists")
    print_figures(columns, cells, keys=2)
