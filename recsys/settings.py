"""What the environment decides: where the data lies and how the service listens."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict


def _split(names: object) -> object:
    """Names between commas; what is no text goes on as it is."""
    return tuple(name.strip() for name in names.split(",") if name.strip()) if isinstance(names, str) else names


class Settings(BaseSettings):
    """Read from `RECSYS_*` variables, for example `RECSYS_DATABASE_URL`."""

    model_config = SettingsConfigDict(env_prefix="RECSYS_")

    database_url: Annotated[str, Field(description="sqlite:///FILE or postgresql://USER:PASSWORD@HOST/NAME")] = (
        "sqlite:///recsys.db"
    )
    bundles: Annotated[str, Field(description="Folder or fsspec URL under which bundles are written")] = (
        "artifacts/bundles"
    )
    checkpoints: Annotated[Path, Field(description="Folder for unfinished training runs")] = Path(
        "artifacts/checkpoints"
    )
    indexes: Annotated[Path, Field(description="Folder where text indexes that take long to build are kept")] = Path(
        "artifacts/indexes"
    )
    data: Annotated[Path, Field(description="Where `make setup` leaves the sample data")] = Path("artifacts/data")
    text_encoder: Annotated[
        str, Field(description="Folder or hub name of a sentence encoder; `auto`: the packaged one; `hashed`: none")
    ] = "auto"
    text_index: Annotated[
        Literal["auto", "exact", "funnel", "hnsw", "ivf-pq"],
        Field(description="How vectors of a trained text encoder are searched; `auto`: as suits their number"),
    ] = "auto"
    text_lag: Annotated[
        float, Field(ge=0, description="Seconds until texts that another process wrote count, once they are encoded")
    ] = 2.0
    impression_days: Annotated[
        int, Field(ge=1, le=36_500, description="Days after which impressions are deleted, in the background")
    ] = 90
    signals: Annotated[
        str,
        Field(
            description="What kinds of events count for, where it is not the default: `purchase=5,skip=0,neutral=3`, or a TOML "
            "file with these lines; `neutral` is the rating that says nothing: a number (2.5 of 5), `user-mean`, or `none`"
        ),
    ] = ""
    log_format: Annotated[Literal["text", "json"], Field(description="How log lines are written to standard error")] = (
        "text"
    )
    host: Annotated[str, Field(description="Address to listen on")] = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535, description="Port to listen on; 0 takes a free one")] = 8000
    allowed_hosts: Annotated[
        tuple[str, ...],
        NoDecode,
        BeforeValidator(_split),
        Field(
            description="Host names that requests may name, between commas; `*.example.com`: those below it, `*`: any. "
            "Empty: names of this machine's loopback where the service listens there alone, else any"
        ),
    ] = ()
    device: Annotated[str, Field(description="torch device; `auto` takes CUDA where there is one")] = "auto"
    threads: Annotated[int, Field(ge=1, description="torch threads; see DECISIONS before raising it")] = 1
