"""Commands that train and measure."""

import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.text import Text

from recsys.cli.shared import console, device, fail, open_store, prepare
from recsys.settings import Settings

if TYPE_CHECKING:
    from recsys.bundle import Part
    from recsys.evaluation.probe_classifiers import Probed
    from recsys.evaluation.report import Report
    from recsys.store import Store
    from recsys.training.job import Saved
    from recsys.training.recipes import Plan

Seed = Annotated[int, typer.Option(min=0, help="All randomness of the run comes from it.")]
Bundle = Annotated[str | None, typer.Option(help="URI of a bundle; by default the active one.")]


def train(
    model: Annotated[str, typer.Argument(help="`blend`, or one part such as `sasrec-hybrid`, `ease`, `markov`.")],
    config: Annotated[Path | None, typer.Option(help="TOML with one table of settings per part.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where an interrupted run stopped.")] = False,
    seed: Seed = 0,
    out: Annotated[str | None, typer.Option(help="Where the bundle is written; must not exist.")] = None,
    with_: Annotated[list[str], typer.Option("--with", help="One-part bundles to blend; may be repeated.")] = [],  # noqa: B006
    add_domain: Annotated[
        str | None, typer.Option(help="For item-text: give the encoder of --with an expert for this domain, no more.")
    ] = None,
    protocol: Annotated[Literal["leave-one-out", "temporal"], typer.Option(help="What is withheld.")] = "leave-one-out",
    deploy: Annotated[bool, typer.Option("--deploy", help="Withhold nothing at the end; cannot be evaluated.")] = False,
    activate: Annotated[bool | None, typer.Option(help="Serve the bundle; by default only a `blend`.")] = None,
) -> None:
    """Train a part, or the whole blend; print the validation figures and write a bundle."""
    from recsys.training.recipes import Plan

    settings = Settings()
    prepare(settings, seed=seed)
    plan = Plan(
        text_encoder=settings.text_encoder,
        include_seen=False,
        seed=seed,
        device=device(settings),
        protocol=protocol,
        deploy=deploy,
        overrides=read_config(config) if config else {},
    )
    with open_store(settings) as store:
        saved = run_training(store, plan, settings, model=model, out=out, given=with_, domain=add_domain, resume=resume)
        if activate if activate is not None else model == "blend":
            store.activate_bundle(saved.uri)
            console.print("it is the active bundle now; a running server takes it up when it is restarted")
        else:
            console.print(f"staged: `recsys bundles activate {saved.uri}` serves it", soft_wrap=True)


def read_config(path: Path) -> dict[str, Any]:
    """The settings in a TOML file, one table per part."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        fail(f"{path} cannot be read: {error}")
        raise AssertionError from error


def run_training(
    store: "Store",
    plan: "Plan",
    settings: Settings,
    *,
    model: str,
    out: str | None = None,
    given: Iterable[str] = (),
    domain: str | None = None,
    resume: bool = False,
) -> "Saved":
    """Trains with one line per fact, then a table of the validation figures."""
    from recsys.training.job import Saved, train_from_store
    from recsys.training.recipes import Progress

    folder, _, name = (out or "").rstrip("/").rpartition("/")
    facts = train_from_store(
        store,
        plan,
        model=model,
        folder=(folder or ".") if out else settings.bundles,
        name=name or None,
        given=tuple(given),
        domain=domain,
        checkpoints=settings.checkpoints,
        resume=resume,
    )
    saved: Saved | None = None
    for fact in facts:
        match fact:
            case Progress():
                console.print(Text.assemble((fact.part, "bold"), " ", fact.fact), soft_wrap=True)
            case Saved():
                saved = fact
    assert saved is not None
    _validation_table(saved)
    return saved


def evaluate(
    bundle: Bundle = None,
    out: Annotated[Path, typer.Option(help="Folder for report.json and the plot.")] = Path("artifacts/evaluation"),
    seed: Seed = 0,
    protocol: Annotated[
        Literal["next-item", "playlist-probes", "playlist-continuation"],
        typer.Option(
            help="What is asked: what comes next, what the vectors of lists have kept, or what continues a list."
        ),
    ] = "next-item",
    category: Annotated[
        str | None, typer.Option(help="For playlist-probes: the attribute that says what a list is of.")
    ] = None,
) -> None:
    """Measure every part and every baseline on what was withheld: table, JSON and plot."""
    settings = Settings()
    prepare(settings, seed=seed)
    if category and protocol != "playlist-probes":
        fail(f"--category {category} goes with --protocol playlist-probes")
    with open_store(settings) as store:
        if protocol == "playlist-probes":
            run_probes(store, bundle=bundle, out=out, category=category)
            return
        if protocol == "playlist-continuation":
            run_continuation(store, bundle=bundle, out=out)
            return
        run_evaluation(store, bundle=bundle, out=out, seed=seed, device=device(settings))


def run_continuation(store: "Store", *, bundle: str | None, out: Path) -> None:
    """Measures what continues lists, prints, and writes the rows."""
    import json
    from dataclasses import asdict

    from rich.table import Table

    from recsys.evaluation.continuation_protocol import continued

    rows = []
    table = Table(
        "part", "seeds", "order", "lists", "R-precision", "NDCG@500", "clicks", "of trained items", "cold found"
    )
    with console.status("continuing the lists held out"):
        for row in continued(store, uri=bundle):
            rows.append(row)
            apart = ("" if one is None else f"{one.mean:.4f}" for one in (row.trained, row.cold))
            told = (str(row.r_precision), str(row.ndcg), f"{row.clicks.mean:.2f}", *apart)
            table.add_row(row.part, str(row.seeds), row.order, str(row.lists), *told)
    console.print(table)
    out.mkdir(parents=True, exist_ok=True)
    path = out / "continuation.json"
    path.write_text(json.dumps([asdict(row) for row in rows], indent=1), encoding="utf-8")
    console.print(f"written: {path}", soft_wrap=True)


def run_evaluation(store: "Store", *, bundle: str | None, out: Path, seed: int, device: str) -> "Report":
    """Measures, prints, and notes the figures in the bundle."""
    from recsys.bundle_io import add_figures
    from recsys.evaluation.plots import save_plots
    from recsys.evaluation.ranking_eval import PartMetrics
    from recsys.evaluation.report import Report
    from recsys.evaluation.run import evaluate as measure
    from recsys.training.recipes import Progress

    report: Report | None = None
    with console.status("evaluating") as status:
        for fact in measure(store, uri=bundle, seed=seed, device=device):
            match fact:
                case Progress():
                    status.update(Text(f"{fact.part} {fact.fact}"))
                case PartMetrics():
                    status.update(f"evaluated {fact.name}")
                case Report():
                    report = fact
    assert report is not None
    assert report.bundle is not None
    add_figures(report.bundle, {name: {"test": figures} for name, figures in report.figures().items()})
    _report_table(report)
    written = (report.save(out), *save_plots(report, out))
    console.print(f"written: {', '.join(map(str, written))}", soft_wrap=True)
    return report


def run_probes(store: "Store", *, bundle: str | None, out: Path, category: str | None) -> "list[Probed]":
    """Asks, prints, and writes what the list encoders have kept."""
    from rich.table import Table

    from recsys.evaluation.plots import save_probe_plot
    from recsys.evaluation.probe_classifiers import Probed, save_probes
    from recsys.evaluation.probe_protocol import probe_bundle

    rows: list[Probed] = []
    table = Table("question", "encoder", "right", "sd of seeds", "chance", "logistic", "one layer", "lists")
    with console.status("probing") as status:
        for fact in probe_bundle(store, uri=bundle, category=category):
            match fact:
                case str():
                    console.print(fact, soft_wrap=True)
                case Probed():
                    rows.append(fact)
                    status.update(f"{fact.encoder}: {fact.probe}")
                    by = ("" if one is None else f"{one:.4f}" for one in (fact.logistic, fact.layer))
                    figures = (f"{fact.spread:.4f}", f"{fact.chance:.3f}", *by, f"{fact.lists:,}")
                    table.add_row(fact.probe, fact.encoder, str(fact.accuracy), *figures)
    console.print(table)
    console.print(
        "95 % bootstrap intervals over lists; the classifier that is better where it is tuned speaks, 5 seeds; "
        "recommendation: the share of the 1 to 100 nearest lists that are of a list's class"
    )
    console.print(f"written: {save_probes(rows, out)}, {save_probe_plot(rows, out)}", soft_wrap=True)
    return rows


def _validation_table(saved: "Saved") -> None:
    from rich.table import Table

    from recsys.encoders.catalogue import find_text_encoder

    if saved.bundle.default == "item-text" and (encoder := find_text_encoder(saved.bundle)) is not None:
        for added in (None, *encoder.figures.get("added", {})):
            _sizes_table(encoder, added, title=f"{saved.uri}, {added} added" if added else saved.uri)
        console.print("recall@10: macro mean over domains; 95 % bootstrap intervals over queries")
        return
    table = Table("part", "validation NDCG@10", "blended", title=saved.uri)
    blended = saved.bundle.parts["blend"].config["sources"] if "blend" in saved.bundle.parts else []
    for name, part in saved.bundle.parts.items():
        figure = part.figures.get("validation_ndcg@10")
        apart = part.kind == "fusion" or name.startswith("lists/")
        mark = "yes" if name in blended else "" if apart or not blended else "left out"
        table.add_row(name, "" if figure is None else f"{figure:.4f}", mark)
    console.print(table)
    for name, why in saved.bundle.about.get("left_out", {}).items():
        reason = f"it lowered the blend by {-why:.4f}" if isinstance(why, float) else why
        console.print(f"{name} is left out of the blend: {reason}", soft_wrap=True)


def _sizes_table(encoder: "Part", added: str | None, *, title: str) -> None:
    from rich.table import Table

    from recsys.retrieval.truncation import truncations_of

    table = Table("layers", "dims", "recall@10 of items held out", "queries", "texts/s", "withheld", title=title)
    for one in truncations_of(encoder, added=added).settings:
        recall, (low, high) = one.figures.get("recall@10"), one.figures.get("interval") or (0, 0)
        shown = "" if recall is None else f"{recall:.4f} [{low:.4f}, {high:.4f}]"
        about = (str(one.figures.get(name, "")) for name in ("queries", "texts_per_second"))
        table.add_row(str(one.size.layers), str(one.size.dims), shown, *about, one.withheld or "")
    console.print(table)


def _report_table(report: "Report") -> None:
    from rich.table import Table

    about = f"{report.protocol}, {report.users:,} users, {report.items:,} items, seed {report.seed}"
    table = Table("part", "NDCG@10", "hit@10", "MRR", "coverage", f"minus {report.reference}", title=about)
    for row in report.rows:
        difference = "" if row.difference is None else str(row.difference)
        table.add_row(
            row.name, str(row.ndcg), f"{row.hit.mean:.4f}", f"{row.mrr.mean:.4f}", f"{row.coverage:.3f}", difference
        )
    console.print(table)
    console.print("95 % bootstrap intervals over users; the difference is of NDCG@10, paired by user")
