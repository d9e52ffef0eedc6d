"""The command line. Heavy libraries are imported inside the commands, so that `recsys --help` answers at once."""

import typer

from recsys.cli import answers, batch, bundles, data, evaluation, lists, quickstart, serving, training
from recsys.cli.shared import Group

app = typer.Typer(
    name="recsys",
    cls=Group,
    help="Recommendations from sequence models over your own database.",
    no_args_is_help=True,
    rich_markup_mode="markdown",  # which joins the lines of a paragraph
    pretty_exceptions_enable=False,
)
app.command("quickstart")(quickstart.quickstart)
app.command("fetch-samples")(data.fetch_samples)
app.add_typer(data.db, name="db")
app.add_typer(data.imports, name="import")
app.command("train")(training.train)
app.command("evaluate")(evaluation.evaluate)
app.command("recommend")(answers.recommend)
app.command("similar")(answers.similar)
app.command("search")(answers.search)
app.command("continue")(lists.continue_list)
app.command("similar-lists")(lists.similar_lists)
app.command("batch")(batch.batch)
app.add_typer(bundles.bundles, name="bundles")
app.command("serve")(serving.serve)
app.command("doctor")(serving.doctor)
