"""The page as people see it: in headless Chromium, from a file, without a network."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import reported_runs
import smiless_core as sc
from reported_runs import Rule
from smiless_core.report import write_report

MISSING = [
    f"{what} is not installed"
    for what, found in {"chromium": shutil.which("chromium"), "chromedriver": shutil.which("chromedriver")}.items()
    if not found
]
try:
    import plotly  # noqa: F401
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys
    from selenium.webdriver.support.ui import Select, WebDriverWait
except ImportError as error:
    MISSING.append(str(error))

if MISSING and os.environ.get("CI") != "true":
    pytest.skip("; ".join(MISSING), allow_module_level=True)

HOSTILE = "<script>document.title='taken'</script>&lt;b>%{x} $1$ </script>"
PHONE = 360


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    runs = [run for application in reported_runs.applications() for run in reported_runs.runs(application)]
    write_report(path, runs, command="smiless compare --seed 7 --trace arrivals.csv --report report.html")
    return path


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    assert not MISSING, "; ".join(MISSING)
    options = webdriver.ChromeOptions()
    options.binary_location = str(shutil.which("chromium"))
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(str(shutil.which("chromedriver"))))
    try:
        driver.execute_cdp_cmd("Network.enable", {})
        offline = {"offline": True, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0}
        driver.execute_cdp_cmd("Network.emulateNetworkConditions", offline)
        yield driver
    finally:
        driver.quit()


def sized(browser: Any, width: int, height: int = 900) -> None:
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


def preferred(browser: Any, scheme: str) -> None:
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def opened(browser: Any, path: Path, *, width: int = 1280) -> None:
    """Open the page anew, and forget what was logged before."""
    sized(browser, width)
    preferred(browser, "light")
    browser.get("about:blank")
    browser.get_log("browser")
    browser.get_log("performance")
    browser.get(path.as_uri())


def until(browser: Any, script: str, *arguments: Any) -> Any:
    return WebDriverWait(browser, 20).until(lambda driver: driver.execute_script(script, *arguments))


def seen(browser: Any, name: str) -> Any:
    """Bring a chart into view and return its element once it is drawn."""
    element = browser.find_element(By.ID, name)
    browser.execute_script("arguments[0].scrollIntoView()", element)
    until(browser, "return Boolean(arguments[0].data)", element)
    return element


def charts(browser: Any) -> list[str]:
    return browser.execute_script("return [...document.querySelectorAll('.plot')].map(each => each.id)")


def shown_text(browser: Any, element: Any) -> list[str]:
    return browser.execute_script(
        "return [...arguments[0].querySelectorAll('text')].map(each => each.textContent)", element
    )


def quiet(browser: Any) -> None:
    """No complaint in the console, and nothing asked of the network."""
    assert browser.get_log("browser") == []
    asked = []
    for entry in browser.get_log("performance"):
        message = json.loads(entry["message"])["message"]
        if message["method"] == "Network.requestWillBeSent":
            asked.append(message["params"]["request"]["url"].split("#")[0])
    own = browser.current_url.split("#")[0]
    assert [url for url in asked if url != own and not url.startswith("data:")] == []


def test_every_chart_has_its_data(browser: Any, report: Path) -> None:
    opened(browser, report)
    names = charts(browser)
    assert len(names) >= 3 * (4 + 4)
    for select in browser.find_elements(By.CSS_SELECTOR, "select"):
        for option in range(len(Select(select).options)):
            Select(select).select_by_index(option)
            view = browser.find_element(By.ID, Select(select).first_selected_option.get_attribute("value"))
            assert view.is_displayed()
            for plot in view.find_elements(By.CSS_SELECTOR, ".plot"):
                seen(browser, plot.get_attribute("id"))
    for name in names:
        if "timeline" not in name:
            seen(browser, name)
        drawn, given = browser.execute_script(
            """const plot = document.getElementById(arguments[0]);
            const given = JSON.parse(document.querySelector(`script[data-plot="${arguments[0]}"]`).textContent).data;
            return [plot.data.map(t => t.x.length), given.map(t => t.x.length)];""",
            name,
        )
        assert drawn == given
        assert sum(drawn) > 0
        marks = "return document.getElementById(arguments[0]).querySelectorAll('.point, .js-line').length"
        assert browser.execute_script(marks, name) > 0
    quiet(browser)


def test_names_are_shown_as_they_are_and_do_nothing(browser: Any, tmp_path: Path) -> None:
    application = reported_runs.applications()[2].replace(name=HOSTILE)
    rules = (Rule(HOSTILE, 30.0, reported_runs.CPU, foreseen=1.0, settings=HOSTILE),)
    rules += (Rule("plain", 5.0, reported_runs.CPU),)
    runs = [run.replace(trace=HOSTILE) for run in reported_runs.runs(application, count=60, rules=rules)]
    write_report(tmp_path / "hostile.html", runs, command=HOSTILE)
    opened(browser, tmp_path / "hostile.html")
    assert browser.title == f"2 policies on {HOSTILE}"
    assert browser.find_element(By.CSS_SELECTOR, "h1").text == browser.title
    for name in charts(browser):
        if "timeline" not in name:
            seen(browser, name)
    shown = shown_text(browser, browser.find_element(By.ID, "application-1-split-plot"))
    assert [text for text in shown if f"1 {HOSTILE}: $" in text]
    assert HOSTILE in shown_text(browser, browser.find_element(By.ID, "application-1-attainment-plot"))
    quiet(browser)


def test_colors_follow_the_system_and_the_button(browser: Any, report: Path) -> None:
    opened(browser, report)
    plot = seen(browser, "application-1-attainment-plot")
    toggle = browser.find_element(By.ID, "theme")
    colors = """const plot = arguments[0];
        return [getComputedStyle(document.body).backgroundColor, plot.layout.font.color, plot.data[0].marker.color,
        getComputedStyle(plot.querySelector('.xtick text')).fill]"""

    def now() -> list[str]:
        found: list[str] = browser.execute_script(colors, plot)
        return found

    light = now()
    preferred(browser, "dark")
    until(browser, "return document.getElementById('theme').textContent === 'Light colors'")
    dark = now()
    assert all(before != after for before, after in zip(light, dark, strict=True))
    toggle.click()
    assert now() == light
    toggle.click()
    assert now() == dark
    preferred(browser, "light")
    assert now() == dark  # what was asked for by hand stays
    opened(browser, report)
    preferred(browser, "dark")
    browser.refresh()
    assert browser.execute_script("return document.getElementById('theme').textContent") == "Light colors"
    quiet(browser)


def test_the_tab_key_reaches_every_control(browser: Any, report: Path) -> None:
    opened(browser, report)
    wanted = browser.execute_script(
        """const all = [...document.querySelectorAll('a[href], button, select, summary, [tabindex="0"]')]
            .filter(each => each.checkVisibility());
        all.forEach((each, at) => each.dataset.control = at);
        return all.length"""
    )
    reached = set()
    for _ in range(wanted + 3):
        browser.switch_to.active_element.send_keys(Keys.TAB)
        at = browser.execute_script("return document.activeElement.dataset.control")
        if at is not None:
            reached.add(int(at))
            ring = (
                "const style = getComputedStyle(document.activeElement); return style.outlineStyle + style.outlineWidth"
            )
            assert browser.execute_script(ring) == "solid3px"
    assert reached == set(range(wanted))
    assert wanted > 60


def test_the_skip_link_leads_to_the_content(browser: Any, report: Path) -> None:
    opened(browser, report)
    browser.switch_to.active_element.send_keys(Keys.TAB)
    link = browser.switch_to.active_element
    assert link.text == "Skip to the content"
    assert link.rect["x"] >= 0
    link.send_keys(Keys.ENTER)
    assert browser.execute_script("return document.activeElement.id") == "main"


def test_a_policy_can_be_hidden_by_keyboard(browser: Any, report: Path) -> None:
    opened(browser, report)
    plot = seen(browser, "application-1-responses-plot")
    button = browser.find_elements(By.CSS_SELECTOR, "#application-1-responses button.key")[1]
    button.send_keys(Keys.SPACE)
    assert button.get_attribute("aria-pressed") == "false"
    visible = "return arguments[0].data.map(trace => trace.visible)"
    assert browser.execute_script(visible, plot) == [True, False, True, True, True, True]
    button.send_keys(Keys.ENTER)
    assert browser.execute_script(visible, plot) == [True] * 6


def test_a_table_opens_and_scrolls_by_itself(browser: Any, report: Path) -> None:
    opened(browser, report, width=PHONE)
    summary = browser.find_element(By.CSS_SELECTOR, "#application-1-responses summary")
    summary.send_keys(Keys.ENTER)
    box = browser.find_element(By.CSS_SELECTOR, "#application-1-responses details .scroll")
    assert box.is_displayed()
    assert browser.execute_script("return arguments[0].scrollWidth > arguments[0].clientWidth", box)


def test_a_phone_needs_no_sideways_scrolling(browser: Any, report: Path) -> None:
    opened(browser, report, width=PHONE)
    for details in browser.find_elements(By.CSS_SELECTOR, "summary"):
        browser.execute_script("arguments[0].parentElement.open = true", details)
    for name in charts(browser):
        if browser.find_element(By.ID, name).is_displayed():
            element = seen(browser, name)
            assert browser.execute_script("return arguments[0]._fullLayout.width", element) <= PHONE
    assert browser.execute_script("return document.documentElement.scrollWidth") <= PHONE
    sized(browser, 1280)
    wide = "return document.getElementById('application-1-attainment-plot')._fullLayout.width > 800"
    assert until(browser, wide)
    quiet(browser)


@pytest.mark.parametrize("width", [PHONE, 768, 1280])
def test_labels_cover_neither_each_other_nor_marks(browser: Any, report: Path, width: int) -> None:
    opened(browser, report, width=width)
    for name in (f"application-{at}-attainment-plot" for at in (1, 2, 3)):
        plot = seen(browser, name)
        covered = browser.execute_script(
            """const box = each => each.getBoundingClientRect(), frame = box(arguments[0]);
            const boxes = selector => [...arguments[0].querySelectorAll(selector)].map(box);
            const labels = boxes('.annotation-text'), marks = boxes('.point');
            const meet = (a, b) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 2
                && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 2;
            const pairs = labels.flatMap((a, i) => labels.slice(i + 1).map(b => [a, b]))
                .concat(labels.flatMap(a => marks.map(b => [a, b])));
            return [labels.length, pairs.filter(([a, b]) => meet(a, b)).length,
                labels.filter(a => a.left < frame.left || a.right > frame.right).length];""",
            plot,
        )
        assert covered == [6, 0, 0]


def test_everything_is_drawn_for_paper(browser: Any, report: Path) -> None:
    opened(browser, report)
    browser.execute_script("document.getElementById('theme').click()")
    assert len(browser.print_page()) > 50_000
    undrawn = """return [...document.querySelectorAll('.plot')].filter(e => e.clientWidth && !e.data).map(e => e.id)"""
    assert browser.execute_script(undrawn) == []
    assert browser.execute_script("return document.documentElement.dataset.theme") == "dark"
    quiet(browser)


def test_the_page_of_a_backtest(browser: Any, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    traces = {f"f{k}": sc.Trace.from_seconds(np.cumsum(rng.exponential(20.0, 60)), name=f"f{k}") for k in range(3)}
    found = sc.backtest(traces, targets=sc.backtests.usual_targets())
    path = tmp_path / "backtest.html"
    sc.write_backtest(path, found, command=f"smiless backtest {HOSTILE}")
    for width in (1280, PHONE):
        opened(browser, path, width=width)
        names = charts(browser)
        assert names == ["frontier-plot", "frontier-mean-plot", "forecasts-1-plot", "forecasts-2-plot"]
        for name in names:
            seen(browser, name)
            drawn = browser.execute_script(
                "return document.getElementById(arguments[0]).data.map(each => each.x.length)", name
            )
            assert drawn
            assert all(drawn)
        assert browser.title == "5 methods on 3 functions"
        assert browser.execute_script("return document.documentElement.scrollWidth <= innerWidth")
        quiet(browser)
