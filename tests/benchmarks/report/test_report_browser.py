"""The report, driven in headless Chromium: see conftest.py for the browser."""

import pytest
from typer.testing import CliRunner

from benchmarks.__main__ import app as application
from benchmarks.cli.report import app
from qualiclip_metric.distortions import DISTORTIONS

By = pytest.importorskip("selenium.webdriver.common.by").By
Keys = pytest.importorskip("selenium.webdriver.common.keys").Keys
Select = pytest.importorskip("selenium.webdriver.support.select").Select
WebDriverWait = pytest.importorskip("selenium.webdriver.support.ui").WebDriverWait
ActionChains = pytest.importorskip("selenium.webdriver").ActionChains


@pytest.fixture(scope="module")
def report(results, tmp_path_factory):
    """A report with the panels of monotonicity and robustness; its address."""
    folder = tmp_path_factory.mktemp("report")
    image = next(iter((results / "alpha").parent.parent.glob("images*/alpha-000.png")))
    words = ["monotonicity", "--metric", "sharpness", "--images", image, "--results", results]
    assert CliRunner().invoke(app, [str(word) for word in words]).exit_code == 0
    robust = ["robustness", "--images", image, "--results", results, "--resamples", "20"]
    for name in ("sharpness", "jpegsize"):
        robust += ["--metric", name]
    assert CliRunner().invoke(application, [str(w) for w in robust]).exit_code == 0
    words = ["--results", results, "--out", folder / "report.html", "--resamples", 100]
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == 0, result.output
    return (folder / "report.html").as_uri()


@pytest.fixture
def opened(page, report):
    page.get(report)
    return page


def by(page, selector):
    return page.find_element(By.CSS_SELECTOR, selector)


def texts(page, selector):
    return [e.text for e in page.find_elements(By.CSS_SELECTOR, selector)]


def choose(page, select, text):
    Select(by(page, select)).select_by_visible_text(text)


def test_opens_and_asks_nothing_of_a_network(opened):
    asked = "return performance.getEntriesByType('resource').map((e) => e.name)"
    names = opened.execute_script(asked)
    assert [name for name in names if not name.startswith("data:")] == []
    assert by(opened, "#scatter svg").is_displayed()


def test_the_summary_sorts_both_ways_with_blanks_last(opened):
    head = "#summary-table thead th:nth-child(4) button"
    assert by(opened, head).text == "SRCC"
    seen = []
    for direction in ("descending", "ascending"):
        by(opened, head).send_keys(Keys.ENTER)
        assert by(opened, "#summary-table th[aria-sort]").get_attribute("aria-sort") == direction
        raw = opened.execute_script(
            "return [...document.querySelectorAll('#summary-table tbody tr')]"
            ".map((row) => row.cells[3].dataset.sort ?? '')"
        )
        assert raw[-2:] == ["", ""]  # one metric could not be built, one failed everywhere
        seen.append([float(value) for value in raw[:-2]])
    assert seen[0] == sorted(seen[0], reverse=True)
    assert seen[1] == sorted(seen[1])


def test_names_stay_text(opened):
    """No element came from a name, and the name is readable as it is."""
    found = "return [...document.querySelectorAll('img')].filter((i) => !i.src.startsWith('data:'))"
    assert opened.execute_script(found) == []
    everything = opened.execute_script("return document.body.innerText")
    assert "good<img src=x onerror=alert(1)>" in everything
    assert "no weights <img src=x onerror=alert(1)>" in everything


def test_a_pair_of_metrics_can_be_chosen_by_list_and_by_heat_map(opened):
    choose(opened, "#attacker", "fair")
    choose(opened, "#defender", "poor")
    assert by(opened, "#pairs-text").text.startswith("fair attacks poor")
    assert len(texts(opened, "#pairs > li")) == 6
    assert any("gap" in text for text in texts(opened, "#pairs h4"))
    cells = opened.find_elements(By.CSS_SELECTOR, '#matrices [data-cell="1 0"]')
    assert len(cells) == 3  # aggressiveness, resistance, attack gap
    opened.execute_script("arguments[0].scrollIntoView({block: 'center'})", cells[0])
    cells[0].send_keys(Keys.ENTER)
    names = texts(opened, ".heat thead span")
    assert by(opened, "#pairs-text").text.startswith(f"{names[1]} attacks {names[0]}")
    by(opened, "#swap").send_keys(Keys.ENTER)
    assert by(opened, "#pairs-text").text.startswith(f"{names[0]} attacks {names[1]}")
    choose(opened, "#defender", names[0])
    assert "itself" in by(opened, "#pairs-text").text


def test_a_dot_shows_its_image_under_the_pointer_and_by_key(opened):
    plot = by(opened, "#scatter svg")
    opened.execute_script("arguments[0].scrollIntoView({block: 'center'})", plot)
    first = opened.execute_script(
        "return document.querySelector('#scatter .dots').getAttribute('d').match(/M(\\S+) (\\S+)h/)"
    )
    size = plot.size
    move = ActionChains(opened).move_to_element_with_offset(
        plot,
        round(float(first[1]) - size["width"] / 2),
        round(float(first[2]) - size["height"] / 2),
    )
    move.perform()
    tip = by(opened, "#tip")
    WebDriverWait(opened, 20).until(lambda _: tip.is_displayed())
    assert "000.png" in tip.text and "MOS" in tip.text
    assert tip.find_element(By.TAG_NAME, "img").get_attribute("src").startswith("data:image/webp")
    opened.execute_script("arguments[0].focus({preventScroll: true})", plot)
    before = tip.text
    plot.send_keys(Keys.ARROW_RIGHT)
    assert tip.is_displayed() and tip.text != before
    plot.send_keys(Keys.ESCAPE)
    assert not tip.is_displayed()


def test_another_data_set_redraws_and_claims_no_opinions(opened):
    choose(opened, "#dataset", "beta")
    assert "beta" in by(opened, "#agreement-text").text
    assert texts(opened, "#matrices h3") == ["Attack gap"]
    assert texts(opened, "#rankings figure") == []
    assert "distortion level" in by(opened, "#scatter svg").get_attribute("aria-label")
    assert "aggress" not in by(opened, "#gmad-text").text.lower()


def test_a_metric_that_failed_everywhere_has_its_reason_and_draws_nothing(opened):
    rows = texts(opened, "#summary-table tbody tr")
    assert any("broken" in row and "FAILED on all 24 image(s): no memory" in row for row in rows)
    choose(opened, "#dataset", "beta")
    choose(opened, "#metric", "broken")
    assert "broken on beta" in by(opened, "#agreement-text").text
    assert texts(opened, "#over li") == ["None."]


def test_metric_and_ladder_lists_redraw(opened):
    choose(opened, "#metric", "poor")
    assert by(opened, "#agreement-text").text.startswith("poor on alpha")
    assert len(texts(opened, "#over li")) == len(texts(opened, "#under li")) == 10
    before = by(opened, "#ladders").get_attribute("innerHTML")
    assert len(texts(opened, "#ladders > div")) == len(DISTORTIONS)
    by(opened, "#ladder-scale").send_keys(Keys.SPACE)
    assert by(opened, "#ladders").get_attribute("innerHTML") != before


def test_robustness_draws_what_was_measured_and_says_what_was_not(opened):
    assert len(texts(opened, "#robust > div")) == 8
    assert len(opened.find_elements(By.CSS_SELECTOR, "#robust .trace")) == 8
    before = by(opened, "#robust").get_attribute("innerHTML")
    by(opened, "#robust-scale").send_keys(Keys.SPACE)
    assert by(opened, "#robust").get_attribute("innerHTML") != before
    choose(opened, "#robust-metric", "jpegsize")
    assert texts(opened, "#robust .reason") == ["jpegsize: it has no gradient"] * 2
    assert len(opened.find_elements(By.CSS_SELECTOR, "#robust .trace")) == 6


def test_the_theme_turns_dark_and_light(opened):
    colours = []
    for name in ("light", "dark"):
        by(opened, "#theme").send_keys(Keys.ENTER)
        assert by(opened, "#theme").text == f"Theme: {name}"
        colours.append(by(opened, "body").value_of_css_property("background-color"))
    assert colours[0] != colours[1]


def test_nothing_is_wider_than_a_phone(page, report, narrow):
    page.get(report)
    assert page.execute_script("return document.documentElement.scrollWidth") == 390
    cut = page.execute_script(
        """return [...document.querySelectorAll("svg text")].filter((t) => {
          const box = t.getBoundingClientRect();
          return box.width && (box.left < 0 || box.right > 390.5);
        }).map((t) => t.textContent);"""
    )
    assert cut == []


def test_everything_that_reacts_is_reached_by_tab(opened):
    """Every control is a native one or has a tab stop."""
    odd = opened.execute_script(
        "return [...document.querySelectorAll('[onclick], [role=button]')].map((e) => e.outerHTML)"
    )
    assert odd == []
    assert by(opened, "#scatter svg").get_attribute("tabindex") == "0"
    assert all(
        e.get_attribute("tabindex") == "0"
        for e in opened.find_elements(By.CSS_SELECTOR, "#summary .scroll")
    )
