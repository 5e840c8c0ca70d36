"""The study's page, driven in headless Chromium: see conftest.py for the browser."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from benchmarks.study.page import VOTE_COLUMNS, design_study, study_page
from benchmarks.study.votes import read_votes

By = pytest.importorskip("selenium.webdriver.common.by").By
Keys = pytest.importorskip("selenium.webdriver.common.keys").Keys
ActionChains = pytest.importorskip("selenium.webdriver").ActionChains
WebDriverWait = pytest.importorskip("selenium.webdriver.support.ui").WebDriverWait


def by(page, selector):
    return page.find_element(By.CSS_SELECTOR, selector)


def press(page, key, *, shift=False):
    actions = ActionChains(page)
    if shift:
        actions.key_down(Keys.SHIFT).send_keys(key).key_up(Keys.SHIFT).perform()
    else:
        actions.send_keys(key).perform()


@pytest.fixture
def study(tmp_path):
    """Nine pairs of ten named greys; the file of the page. Its id is the test's own."""
    names = [f"{i}<img onerror=alert(1)>.png" for i in range(10)]
    for i, name in enumerate(names):
        Image.fromarray(np.full((60, 80, 3), 25 * i, dtype=np.uint8)).save(tmp_path / name)
    rows = [(tmp_path.name, "B", i, 9, names[i], names[i - 1], 5.0) for i in range(1, 10)]
    columns = ["attacker", "defender", "level", "population", "best", "worst", "gap"]
    design = design_study(pd.DataFrame(rows, columns=columns), seed=4)
    path = tmp_path / "study.html"
    page = study_page(design, lambda name: tmp_path / name, 1280, "A <i>study</i>")
    path.write_text(page, encoding="utf-8")
    return path


def forget_storage(page):
    """Empty the storage, one by one: Chromium may lose what is written soon after `clear()`."""
    page.execute_script("Object.keys(localStorage).forEach((k) => localStorage.removeItem(k))")


def open_study(page, study, observer):
    """Begin as an observer whose votes the browser does not hold."""
    page.get(study.as_uri())
    if not by(page, "#start").is_displayed():
        forget_storage(page)
        page.execute_script("history.replaceState(null, '')")
        page.refresh()
    WebDriverWait(page, 20).until(lambda _: by(page, "#start").is_displayed())
    by(page, "#observer").send_keys(observer, Keys.ENTER)


def progress(page):
    return by(page, "#progress").text


def shown(page):
    """The grey of the left and of the right image, once both are there."""
    script = """
        const images = ["left", "right"].map((id) => document.getElementById(id));
        if (!images.every((image) => image.complete && image.naturalWidth)) return null;
        return images.map((image) => {
          const canvas = document.createElement("canvas").getContext("2d");
          canvas.drawImage(image, 0, 0, 1, 1);
          return canvas.getImageData(0, 0, 1, 1).data[0];
        });
    """
    return WebDriverWait(page, 20).until(lambda _: page.execute_script(script))


def downloaded(page, pattern):
    WebDriverWait(page, 20).until(lambda _: list(page.downloads.glob(pattern)))
    return next(page.downloads.glob(pattern))


def test_study_votes_by_mouse_and_key_survive_a_reload_and_download(page, study):
    open_study(page, study, 'Ann "A", Ü')
    assert "A <i>study</i>" in by(page, "h1").text
    assert progress(page).endswith("0 of 9 pairs voted")
    greys = []
    greys.append(shown(page))
    by(page, "#grades button:last-child").click()
    for key in ("2", Keys.ARROW_DOWN, Keys.ARROW_RIGHT):
        greys.append(shown(page))
        press(page, key)
    greys.append(shown(page))
    press(page, Keys.ARROW_LEFT, shift=True)
    before, pair = progress(page), shown(page)
    assert before.endswith("5 of 9 pairs voted")
    page.refresh()
    assert (progress(page), shown(page)) == (before, pair)
    press(page, Keys.BACKSPACE)
    assert by(page, "#grades .chosen").get_attribute("value") == "-50"
    press(page, "4")
    by(page, "#trial .save").click()
    table = pd.read_csv(downloaded(page, "votes-*Ann*.csv"))
    assert list(table.columns) == VOTE_COLUMNS
    assert table["observer"].unique().tolist() == ['Ann "A", Ü']
    assert table["trial"].tolist() == [1, 2, 3, 4, 5]
    right = [100, -50, 0, 100, 50]
    for row, (left_grey, right_grey), vote in zip(table.itertuples(), greys, right, strict=True):
        best = 25 * int(row.best[0])
        assert row.best_side == ("left" if best == left_grey else "right")
        assert best == max(left_grey, right_grey)
        assert row.preference == (vote if best == right_grey else -vote)


def test_votes_survive_a_reload_that_finds_the_storage_empty(page, study):
    """In a new profile, Chromium hands a reloaded page an empty storage now and then."""
    open_study(page, study, "Zoe")
    for key in "124":
        press(page, key)
    before = progress(page), shown(page)
    assert before[0].endswith("3 of 9 pairs voted")
    forget_storage(page)
    page.refresh()
    assert (progress(page), shown(page)) == before


def test_votes_survive_a_reload_without_any_storage(page, study):
    off = "Object.defineProperty(window, 'localStorage', {get() { throw new Error('off'); }})"
    script = page.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": off})
    try:
        page.get(study.as_uri())
        by(page, "#observer").send_keys("Yve", Keys.ENTER)
        press(page, "5")
        assert "save the csv" in " ".join(by(page, "#lost").text.split())
        before = progress(page)
        page.refresh()
        assert progress(page) == before and before.endswith("1 of 9 pairs voted")
    finally:
        page.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", script)


def test_two_people_of_one_name_keep_their_own_votes(page, study):
    open_study(page, study, "Kim")
    for _ in range(9):
        press(page, "1")
    by(page, "#end .save").click()
    by(page, "#another").click()
    by(page, "#observer").send_keys("Kim", Keys.ENTER)
    assert by(page, "#same-name").text == "Kim"
    by(page, "#same-other").click()
    assert progress(page) == "Kim: 0 of 9 pairs voted"
    for _ in range(9):
        press(page, "5")
    by(page, "#end .save").click()
    WebDriverWait(page, 20).until(lambda _: len(list(page.downloads.glob("votes-*Kim*.csv"))) == 2)
    votes = read_votes(sorted(page.downloads.glob("votes-*Kim*.csv")))
    assert votes.groupby("observer").size().tolist() == [9, 9]
    by(page, "#another").click()
    by(page, "#observer").send_keys("Kim", Keys.ENTER)
    mine = page.find_elements(By.CSS_SELECTOR, "#same-sessions button")
    assert ["9 of 9 votes" in button.text for button in mine] == [True, True]
    mine[0].click()
    assert by(page, "#end").is_displayed() and progress(page) == "Kim: 9 of 9 pairs voted"


def test_study_order_and_sides_follow_the_observer(page, study):
    def sequence(observer):
        open_study(page, study, observer)
        pairs = []
        for _ in range(9):
            pairs.append(tuple(shown(page)))
            press(page, "3")
        assert by(page, "#end").is_displayed()
        return pairs

    first, again, other = sequence("one"), sequence("one"), sequence("two")
    assert first == again != other
    assert {frozenset(pair) for pair in first} == {frozenset(pair) for pair in other}
    assert len({left < right for left, right in first}) == 2  # both sides occur


def test_study_works_on_a_narrow_screen(page, study, narrow):
    open_study(page, study, "narrow")
    assert page.execute_script("return document.documentElement.scrollWidth") <= 390
    assert by(page, "#grades button:last-child").rect["y"] < 844
