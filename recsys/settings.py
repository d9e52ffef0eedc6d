"""What the environment decides: where the data lies and how the service listens."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Read from `RECSYS_*` variables, for example `RECSYS_DATABASE_URL`."""

    model_config = SettingsConfigDict(env_prefix="RECSYS_")

    database_url: str = Field(
        "sqlite:///recsys.db", description="SQLAlchemy URL; PostgreSQL as postgresql+psycopg://..."
    )
    bundles: str = Field("artifacts/bundles", description="Folder or fsspec URL under which bundles are written")
    data: Path = Field(Path("artifacts/data"), description="Where `make setup` leaves the sample data")
    text_encoder: str = Field(
        "auto", description="Folder or hub name of a sentence encoder; `auto`: the packaged one; `hashed`"
    )
    host: str = "127.0.0.1"
    port: int = Field(8000, ge=0, le=65535)
    device: str = Field("auto", description="torch device; `auto` takes CUDA where there is one")
