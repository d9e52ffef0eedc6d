"""The command that trains, and the tables of its validation figures."""

import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.table import Table

from recsys.cli.options import Seed
from recsys.cli.progress import ProgressLines
from recsys.cli.shared import console, device, fail, open_store, prepare, signal_table
from recsys.settings import Settings

if TYPE_CHECKING:
    from recsys.bundle import Bundle, Part
    from recsys.store import Store
    from recsys.training.job import Saved
    from recsys.training.plan import Plan, Progress

Protocol = Literal["leave-one-out", "temporal"]


def train(
    model: Annotated[str, typer.Argument(help="`blend`, or one part such as `sasrec-hybrid`, `ease`, `markov`.")],
    config: Annotated[Path | None, typer.Option(help="TOML with one table of settings per part.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where an interrupted run stopped.")] = False,
    seed: Seed = 0,
    out: Annotated[str | None, typer.Option(help="Where the bundle that is served is written; must not exist.")] = None,
    with_: Annotated[list[str], typer.Option("--with", help="One-part bundles to blend; may be repeated.")] = [],  # noqa: B006
    add_domain: Annotated[
        str | None, typer.Option(help="For item-text: give the encoder of --with an expert for this domain, no more.")
    ] = None,
    protocol: Annotated[Protocol, typer.Option(help="What is withheld.")] = "leave-one-out",
    refit: Annotated[
        bool, typer.Option(help="After the evaluation bundle, fit everything again on all events: the deployed bundle.")
    ] = True,
    include_seen: Annotated[
        bool | None,
        typer.Option(help="May items of the history come back? By default what does better on validation."),
    ] = None,
    activate: Annotated[bool | None, typer.Option(help="Serve the bundle; by default only a `blend`.")] = None,
) -> None:
    """Train a part, or the whole blend; print the validation figures and write two bundles.

    The evaluation bundle withholds events and is measured; the deployed bundle has the same settings, is refitted on all
    events and is served. --out names the deployed one, and the other is called the same with -evaluation at its end. With
    --no-refit there is one bundle, which withholds events.
    """
    settings = Settings()
    prepare(settings, seed=seed)
    overrides = read_config(config) if config else {}
    plan = make_plan(settings, seed=seed, protocol=protocol, overrides=overrides)
    with open_store(settings) as store:
        saved = run_training(
            store,
            plan,
            settings,
            model=model,
            out=out,
            bundles=with_,
            domain=add_domain,
            include_seen=include_seen,
            refit=refit,
            resume=resume,
        )
        if activate if activate is not None else model == "blend":
            store.activate_bundle(saved.uri)
            console.print("it is the active bundle now; running servers take it up within seconds")
        else:
            console.print(f"staged: `recsys bundles activate {saved.uri}` serves it", soft_wrap=True)


def read_config(path: Path) -> dict[str, Any]:
    """The settings in a TOML file, one table per part."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        fail(f"{path} cannot be read: {error}")
        raise AssertionError from error


def make_plan(
    settings: Settings,
    *,
    seed: int,
    protocol: Protocol = "leave-one-out",
    overrides: dict[str, Any] | None = None,
) -> "Plan":
    """The plan of a training on the device and with the text encoder of the settings."""
    from recsys.data.feedback import Signals
    from recsys.training.plan import Plan

    return Plan(
        text_encoder=settings.text_encoder,
        include_seen=False,
        signals=Signals(table=signal_table(settings)),
        seed=seed,
        device=device(settings),
        protocol=protocol,
        overrides=overrides or {},
    )


def run_training(
    store: "Store",
    plan: "Plan",
    settings: Settings,
    *,
    model: str,
    out: str | None = None,
    bundles: Iterable[str] = (),
    domain: str | None = None,
    include_seen: bool | None = None,
    refit: bool = True,
    resume: bool = False,
) -> "Saved":
    """Trains with one line per fact, then prints a table of the validation figures."""
    from recsys.training.job import TrainingRequest, train_from_store

    folder, _, name = (out or "").rstrip("/").rpartition("/")
    request = TrainingRequest(
        model=model,
        folder=(folder or ".") if out else settings.bundles,
        name=name or None,
        include=tuple(bundles),
        domain=domain,
        include_seen=include_seen,
        refit=refit,
        checkpoints=settings.checkpoints,
    )
    saved = _print_progress(train_from_store(store, plan, request, resume=resume))
    _print_validation(saved)
    if evaluation := saved.bundle.evaluation_uri:
        console.print(f"{saved.uri} has learned all events; {evaluation} measures it", soft_wrap=True)
    return saved


def _print_progress(facts: "Iterable[Progress | Saved]") -> "Saved":
    """Prints the facts of a training line by line and returns the bundle that it saves at the end."""
    from recsys.training.plan import Progress

    saved: Saved | None = None
    with ProgressLines() as lines:
        for fact in facts:
            if isinstance(fact, Progress):
                lines.add(fact.part, fact.fact)
            else:
                saved = fact
    assert saved is not None
    return saved


def _print_validation(saved: "Saved") -> None:
    from recsys.encoders.catalogue_parts import find_text_encoder

    encoder = find_text_encoder(saved.bundle) if saved.bundle.default == "item-text" else None
    if encoder is not None:
        _print_text_encoder(encoder, saved.uri)
        return
    console.print(saved.uri, soft_wrap=True)
    console.print(_parts_table(saved.bundle))
    for name, why in saved.bundle.about.get("left_out", {}).items():
        reason = f"it lowered the blend by {-why:.4f}" if isinstance(why, float) else why
        console.print(f"{name} is left out of the blend: {reason}", soft_wrap=True)


def _parts_table(bundle: "Bundle") -> Table:
    table = Table("part", "validation NDCG@10", "blended")
    blended = bundle.parts["blend"].config["sources"] if "blend" in bundle.parts else []
    for name, part in bundle.parts.items():
        figure = part.figures.get("validation_ndcg@10")
        is_candidate = blended and part.kind != "fusion" and not name.startswith("lists/")
        mark = "yes" if name in blended else "left out" if is_candidate else ""
        table.add_row(name, "" if figure is None else f"{figure:.4f}", mark)
    return table


def _print_text_encoder(encoder: "Part", uri: str) -> None:
    """Prints a table of the recall at each truncation, and one for each domain that was added later."""
    console.print(_truncations_table(encoder, None, title=uri))
    for domain in encoder.figures.get("added", {}):
        console.print(_truncations_table(encoder, domain, title=f"{uri}, {domain} added"))
    console.print("recall@10: macro mean over domains; 95 % bootstrap intervals over queries")


def _truncations_table(encoder: "Part", domain: str | None, *, title: str) -> Table:
    from recsys.retrieval.truncation import truncations_of

    table = Table("layers", "dims", "recall@10 of items held out", "queries", "texts/s", "withheld", title=title)
    for row in truncations_of(encoder, added=domain).measured:
        recall, (low, high) = row.figures.get("recall@10"), row.figures.get("interval") or (0, 0)
        interval = "" if recall is None else f"{recall:.4f} [{low:.4f}, {high:.4f}]"
        figures = (str(row.figures.get(name, "")) for name in ("queries", "texts_per_second"))
        table.add_row(str(row.at.layers), str(row.at.dims), interval, *figures, row.withheld or "")
    return table
