"""Requests made up from the OpenAPI document by schemathesis: valid and broken ones, at every route."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, Verbosity, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.core.result import Err

IDS = ("item_id", "item_ids", "history", "exclude", "allow", "user_id", "playlist_id")
"""Where an id that the store holds is put now and then: made-up ones all end at the same check."""


@dataclass
class Fuzzed:
    """How often each route answered with each status, and what failed, with the request as a curl command."""

    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    @property
    def cases(self) -> int:
        return self.statuses.total()


def fuzz(app: FastAPI, *, each: int, known: Sequence[str], start: int = 0) -> Iterator[Fuzzed]:
    """Sends about `each` valid and `each` broken requests to every route and yields what came of it after each route.

    A 5xx is a failure, and so is an exception that leaves the app. The same `start` sends the same requests.
    """
    fuzzed = Fuzzed()
    schema = schemathesis.openapi.from_asgi("/openapi.json", app)
    for result in schema.get_all_operations():
        if isinstance(result, Err):
            raise result.err()
        operation = result.ok()
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            try:
                _send(operation, mode, each, known, start, fuzzed)
            except Unsatisfiable:  # nothing about it can be broken: it takes no values
                continue
        yield fuzzed


def _send(operation: Any, mode: GenerationMode, each: int, known: Sequence[str], start: int, fuzzed: Fuzzed) -> None:
    @seed(start)
    @settings(
        max_examples=each,
        deadline=None,
        database=None,
        derandomize=False,
        phases=[Phase.generate],
        verbosity=Verbosity.quiet,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode), known_id=st.sampled_from([None, *known]))
    def send(case: Any, known_id: str | None) -> None:
        if known_id is not None:
            case.path_parameters = _with_known(case.path_parameters, known_id)
            case.query = _with_known(case.query, known_id)
            case.body = _with_known(case.body, known_id)
        try:
            status = case.call().status_code
        except Exception as error:  # noqa: BLE001  (whatever it is, it left the app)
            fuzzed.failures.append(f"{error!r}: {case.as_curl_command()}")
            status = 500
        else:
            if status >= 500:
                fuzzed.failures.append(f"{status}: {case.as_curl_command()}")
        fuzzed.statuses[operation.label, status] += 1

    send()


def _with_known(value: Any, known_id: str) -> Any:
    """`value` with the id `one` wherever the name of a field says that there is one."""
    if isinstance(value, dict):
        return {name: _put(name, part, known_id) for name, part in value.items()}
    return [_with_known(part, known_id) for part in value] if isinstance(value, list) else value


def _put(name: str, value: Any, known_id: str) -> Any:
    if name in IDS and isinstance(value, str):
        return known_id
    if name in IDS and isinstance(value, list):
        return [known_id if isinstance(part, str) else part for part in value]
    return _with_known(value, known_id)
