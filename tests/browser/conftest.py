"""A real browser before the service with a trained bundle."""

import os
import shutil
import threading
import time
from collections.abc import Iterator

import pytest
import uvicorn
from playwright.sync_api import Page, expect, sync_playwright

from api.app import create_app
from recsys.service import Recommender
from recsys.store import Store
from tests.worlds import Planted

Served = tuple[Recommender, Store, Planted]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
PATIENCE = 30_000
"""Milliseconds; a machine that runs other tests beside these draws slowly."""
FLAGS = ["--no-sandbox", "--disable-background-networking"]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if isinstance(item, pytest.Function) and "page" in item.fixturenames:
            item.add_marker("browser")


@pytest.fixture
def address(served: Served) -> Iterator[str]:
    """The service with a trained bundle on a free port."""
    server = uvicorn.Server(uvicorn.Config(create_app(served[0]), port=0, log_config=None))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join()


@pytest.fixture
def path() -> str:
    """Which page is tested."""
    return "/"


@pytest.fixture
def page(address: str, path: str) -> Iterator[Page]:
    """The page, loaded; a message on the browser's console that it did not expect fails the test."""
    if CHROMIUM is None and not os.environ.get("RECSYS_REQUIRE_BROWSER"):
        pytest.skip("no Chromium on this machine: install Debian's chromium to test the page")
    complaints: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page()
        page.set_default_timeout(PATIENCE)
        expect.set_options(timeout=PATIENCE)
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(address + path)
        yield page
        browser.close()
    assert not [text for text in complaints if "Failed to load resource" not in text]
