"""The report in a real browser, without a network: Debian's chromium, where it is installed."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from decig.report import page
from tests.report.runs import write_run, write_several

selenium = pytest.importorskip("selenium", reason="needs selenium: pip install 'decig[dev]'")

from selenium.webdriver import ActionChains, Chrome  # noqa: E402
from selenium.webdriver.chrome.options import Options  # noqa: E402
from selenium.webdriver.chrome.service import Service  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402
from selenium.webdriver.support.ui import Select, WebDriverWait  # noqa: E402

BROWSER, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(
    not (BROWSER and DRIVER), reason="needs chromium: apt-get install chromium chromium-driver"
)

PHONE, DESK = (390, 844), (1200, 900)
_FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    options = Options()
    options.binary_location = str(BROWSER)
    for flag in (*_FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    found = Chrome(options=options, service=Service(str(DRIVER)))
    yield found
    found.quit()


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = write_run(tmp_path_factory.mktemp("runs") / "run")
    page.write(folder, folder / page.FILE)
    return (folder / page.FILE).as_uri()


def show(browser: Chrome, url: str, theme: str = "light", size: tuple[int, int] = DESK) -> None:
    features = [
        {"name": "prefers-color-scheme", "value": theme},
        {"name": "prefers-reduced-motion", "value": "reduce"},  # scrolls at once
    ]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    metrics = {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": size == PHONE}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    browser.get(url)


def edge(browser: Chrome) -> str:
    """Where the two pictures meet."""
    found: str = browser.execute_script(
        "return document.getElementById('stage').style.getPropertyValue('--at')"
    )
    return found


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", [PHONE, DESK], ids=["phone", "desk"])
def test_it_fits_and_nothing_is_wrong(
    browser: Chrome, report: str, theme: str, size: tuple[int, int]
) -> None:
    show(browser, report, theme, size)
    assert browser.get_log("browser") == []
    assert browser.execute_script("return document.documentElement.scrollWidth") <= size[0]
    script = "return getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)"
    paper = browser.execute_script(script)
    assert (min(paper) > 200) if theme == "light" else (max(paper) < 60)
    script = "return [...document.images].every(i => i.loading == 'lazy' || i.naturalWidth > 0)"
    assert browser.execute_script(script)
    assert len(browser.get_screenshot_as_png()) > 10_000


def test_the_slider_moves_by_mouse_and_by_key(browser: Chrome, report: str) -> None:
    show(browser, report)
    slider, stage = browser.find_element(By.ID, "slider"), browser.find_element(By.ID, "stage")
    assert edge(browser) == "50%"
    slider.send_keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    assert edge(browser) == "52%" and slider.get_attribute("value") == "52"
    assert slider.get_attribute("aria-valuetext") == "52 % original, the rest compressed"
    slider.send_keys(Keys.HOME)
    assert edge(browser) == "0%"
    across = stage.size["width"] // 4
    ActionChains(browser).move_to_element_with_offset(stage, across, 0).click().perform()
    assert edge(browser) in ("74%", "75%", "76%")
    ActionChains(browser).move_to_element(stage).click_and_hold().move_by_offset(
        -across, 0
    ).release().perform()
    assert edge(browser) in ("24%", "25%", "26%")
    drawn = browser.find_element(By.ID, "over").value_of_css_property("clip-path")
    assert drawn.startswith("inset(0") and "75" in drawn.replace("74", "75").replace("76", "75")
    assert browser.get_log("browser") == []


def test_the_views_flicker_until_they_are_stopped(browser: Chrome, report: str) -> None:
    show(browser, report)
    button = browser.find_element(By.ID, "flicker")
    button.send_keys(Keys.SPACE)
    assert button.get_attribute("aria-pressed") == "true"
    seen = set[str]()
    WebDriverWait(browser, 20, 0.1).until(lambda _: seen.add(edge(browser)) or len(seen) == 2)
    assert seen == {"0%", "100%"}
    button.click()
    assert button.get_attribute("aria-pressed") == "false" and edge(browser) == "50%"
    button.click()
    browser.find_element(By.ID, "slider").send_keys(Keys.ARROW_LEFT)
    assert button.get_attribute("aria-pressed") == "false" and edge(browser) == "49%"


def test_every_picture_can_be_seen_in_every_view(browser: Chrome, report: str) -> None:
    show(browser, report)
    name = browser.find_element(By.ID, "viewer-name")
    first = name.text
    assert first.startswith("a<script>alert(1)</script>") and first.endswith("worst 1")
    browser.find_element(By.ID, "next").click()
    assert name.text.startswith("p1: SSIM 0.880")
    for _ in range(2):
        browser.find_element(By.ID, "previous").click()
    assert name.text.startswith("p2:")
    button = browser.find_elements(By.CSS_SELECTOR, ".exhibit button")[0]
    browser.execute_script("arguments[0].scrollIntoView()", button)
    button.send_keys(Keys.ENTER)
    assert name.text == first
    current = browser.find_elements(By.CSS_SELECTOR, ".exhibit[aria-current=true]")
    assert len(current) == 1
    choice = Select(browser.find_element(By.ID, "left"))
    assert [option.text for option in choice.options] == [
        "input",
        "original",
        "compressed",
        "difference x4",
    ]
    choice.select_by_visible_text("difference x4")
    shown = browser.find_element(By.ID, "over").get_attribute("src")
    assert shown == current[0].find_elements(By.TAG_NAME, "img")[3].get_attribute("src")
    assert browser.find_element(By.ID, "left-tag").text == "difference x4"
    browser.find_element(By.ID, "next").click()
    assert choice.first_selected_option.text == "difference x4", "the choice stays"
    assert browser.get_log("browser") == []


def test_all_of_it_can_be_reached_by_key(browser: Chrome, report: str) -> None:
    show(browser, report)
    reached, body = [], browser.find_element(By.TAG_NAME, "body")
    body.send_keys(Keys.TAB)
    for _ in range(16):
        active = browser.switch_to.active_element
        reached.append(active.get_attribute("id") or active.text)
        active.send_keys(Keys.TAB)
    wanted = ["slider", "left", "right", "flicker", "previous", "next"]
    assert [each for each in reached if each in wanted] == wanted


def test_several_targets_are_shown(browser: Chrome, tmp_path: Path) -> None:
    folder = write_several(tmp_path / "all")
    page.write(folder, folder / page.FILE)
    show(browser, (folder / page.FILE).as_uri(), "dark", PHONE)
    assert browser.get_log("browser") == []
    assert browser.execute_script("return document.documentElement.scrollWidth") <= PHONE[0]
