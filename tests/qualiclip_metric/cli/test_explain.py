"""`qualiclip explain`: figures, the contact sheet, bad files, odd names."""

import io
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner
from typer.testing import Result as Outcome

from qualiclip_metric import create, images
from qualiclip_metric.cli import app
from qualiclip_metric.explanations import explanation
from qualiclip_metric.explanations.explanation import MAPS, Explanation, default_map, explain_image
from qualiclip_metric.explanations.figure import draw
from qualiclip_metric.explanations.overlay import overlay
from qualiclip_metric.metric import QualiCLIP
from qualiclip_metric.pages.cards import CardPage
from qualiclip_metric.pages.explanation_card import explanation_card
from qualiclip_metric.reference import Reference

NASTY = "<script>alert(1)</script>&amp;\"'"


def noise(size: tuple[int, int], seed: int = 0) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)


def an_explanation(
    name: str = "a.png",
    score: float = 0.5,
    size: tuple[int, int] = (60, 90),
    faults: dict[str, float] | None = None,
) -> Explanation:
    ramp = np.linspace(0, 1, size[1], dtype=np.float32)[None].repeat(size[0], axis=0)
    return Explanation(
        name=name,
        score=score,
        pairs=("Sharp/Blurry image", "Noise-free/Noisy image"),
        probabilities=(score + 0.1, score - 0.1),
        asked=(0, 1),
        photo=noise(size),
        panels=MAPS["grad"],
        maps=(ramp, 1 - ramp),
        faults=faults or {},
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two images of one name in two folders, and a file that is none."""
    top = tmp_path_factory.mktemp("photos")
    for seed, name in enumerate(("a/x.png", "b/x.png")):
        (top / name).parent.mkdir()
        Image.fromarray(noise((48, 64), seed)).save(top / name)
    (top / "b/z.jpg").write_text("no image")
    return top


@pytest.fixture
def run(random_lite: Path, tmp_path: Path) -> Any:
    def call(*arguments: str | Path) -> Outcome:
        options = ["--out", tmp_path / "out", "--model", random_lite]
        return CliRunner().invoke(app, ["explain", *map(str, (*options, *arguments))])

    return call


def test_a_figure_per_image_and_a_line_per_figure(
    run: Any, folder: Path, tmp_path: Path, random_lite: Path
) -> None:
    result = run(folder)
    assert result.exit_code == 1
    names = ["x-explained.png", "x-explained-2.png"]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == sorted(names)
    lines = result.stdout.splitlines()
    metric = create(random_lite, engine="auto")
    for line, photo, figure in zip(lines, ("a/x.png", "b/x.png"), names, strict=True):
        score = metric(images.read(folder / photo)[None]).item()
        assert line == f"{score:6.4f}  {folder / photo}  {tmp_path / 'out' / figure}"
        with Image.open(tmp_path / "out" / figure) as picture:
            assert picture.format == "PNG"
    assert f"error: {folder / 'b/z.jpg'}: not an image" in result.stderr
    assert "1 of 3 images" in result.stderr
    assert str(metric.signature.of_files("srgb")) in result.stderr


def test_options_of_reading_are_those_of_score(run: Any, folder: Path, tmp_path: Path) -> None:
    assert "limit of 3071" in run(folder / "a/x.png", "--max-pixels", "3071").stderr
    content = (folder / "a/x.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(content[: len(content) // 2])
    codes = [run(tmp_path / "cut.png", *more).exit_code for more in ((), ("--allow-truncated",))]
    assert codes == [1, 0]


def test_a_reference_gives_the_page_percentiles(
    run: Any, folder: Path, tmp_path: Path, random_lite: Path
) -> None:
    signature = create(random_lite).signature.of_files("srgb")
    Reference.of([0.0] * 20, "dark photos", str(signature)).save(tmp_path / "ref.json")
    words = [folder / "a/x.png", "--format", "html", "--reference", tmp_path / "ref.json"]
    assert run(*words).exit_code == 0
    text = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    assert "above 100 % of 20 dark photos" in text
    assert run(*words, "--size", "64").exit_code == 2  # another signature


class Page(HTMLParser):
    """Tags of a page, their attributes and the text."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(content)
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def test_one_page_for_a_folder(run: Any, folder: Path, tmp_path: Path) -> None:
    result = run(folder, "--format", "html", "--map", "local", "--pair", "2")
    assert result.exit_code == 1
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["index.html"]
    assert result.stdout.count(str(tmp_path / "out/index.html")) == 2
    page = Page((tmp_path / "out/index.html").read_text(encoding="utf-8"))
    assert len(page.all("details")) == 2
    assert "2 images, mean" in page.text and "best first" in page.text
    assert f"{folder / 'b/z.jpg'}: not an image" in page.text
    assert page.text.count("the maps ask: pair 3") == 2


def test_the_page_is_escaped_self_contained_and_sorted(tmp_path: Path) -> None:
    scores = {"best": 0.9, NASTY: 0.2, "middle": 0.5}
    with CardPage(tmp_path, worst_first=True) as cards:
        for name, score in scores.items():
            cards.add(explanation_card(an_explanation(name, score)))
        cards.add_failure(NASTY, NASTY)
        cards.write(tmp_path / "page.html", title=NASTY, signature=NASTY)
    assert [p.name for p in tmp_path.iterdir()] == ["page.html"]  # the scratch file is gone
    page = Page((tmp_path / "page.html").read_text(encoding="utf-8"))
    assert not page.all("script")
    assert page.text.count(NASTY) == 2 + 1 + 1 + 2  # title and head, card, signature, failure
    assert [page.text.index(f"{score:.4f}") for score in (0.2, 0.5, 0.9)] == sorted(
        page.text.index(f"{score:.4f}") for score in scores.values()
    )
    sources = [str(image["src"]) for image in page.all("img")]
    assert len(sources) == 3 * (1 + 1 + 2 + 2)  # thumbnail, photo, maps, legends
    assert all(source.startswith("data:image/") for source in sources)
    assert not page.all("link")
    for _, attributes in page.tags:
        assert not {"href", "onclick", "onerror"} & attributes.keys()


def test_figures_of_every_aspect_hold_their_pictures() -> None:
    for size in ((40, 160), (160, 40), (100, 100)):
        picture = Image.open(io.BytesIO(draw(an_explanation(size=size), "signature")))
        pixels = np.asarray(picture.convert("RGB")).reshape(-1, 3)
        assert 500 < picture.width < 2500
        assert 300 < picture.height < 2500
        assert (pixels == 255).all(axis=1).mean() < 0.9


@pytest.mark.parametrize("name", ["$x^2$ and $", "写真.png", "n" * 500, NASTY])
def test_figures_take_any_name(name: str) -> None:
    assert draw(an_explanation(name))[:4] == b"\x89PNG"


def test_an_overlay_shows_photo_and_map() -> None:
    photo = noise((20, 30))
    low, high = (overlay(photo, np.full((20, 30), v, np.float32), "inferno") for v in (0, 1))
    assert low.dtype == np.uint8
    grey = photo @ np.array([0.299, 0.587, 0.114])
    for picture in (low, high):  # whatever the map, the photo's light and dark are still seen
        assert np.corrcoef(picture.mean(axis=2).ravel(), grey.ravel())[0, 1] > 0.99
    assert np.abs(high.astype(int) - low).mean() > 50


def test_an_explanation_is_computed_at_full_size_and_shown_reduced(tiny: QualiCLIP) -> None:
    img = torch.rand(3, 100, 200, generator=torch.Generator().manual_seed(0))
    case = explain_image(tiny, img, "a", MAPS["local"], pair=1, side=50)
    assert case.score == pytest.approx(tiny(img[None]).item(), abs=1e-6)
    assert case.photo.shape == (25, 50, 3)
    assert [m.shape for m in case.maps] == [(25, 50)]
    assert case.asked == (1,)
    assert (case.verdict, case.diagnosis) == ("", [])  # it has no diagnosis
    assert sum(case.probabilities) / 7 == pytest.approx(case.score)


def test_the_default_map_is_positions_where_the_encoder_has_them(
    tiny: QualiCLIP, random_lite: Path
) -> None:
    assert default_map(create(random_lite)) == "positions"
    assert default_map(tiny) == "grad"


def test_the_likeliest_fault_is_said_as_score_says_it(tmp_path: Path) -> None:
    photo = tmp_path / "noisy.png"
    Image.fromarray(noise((96, 96))).save(photo)
    arguments = ["--format", "html", "--out", str(tmp_path / "out")]
    explained = CliRunner().invoke(app, ["explain", str(photo), *arguments])
    scored = CliRunner().invoke(app, ["score", str(photo), "--diagnose", "--precision", "fp32"])
    assert explained.exit_code == 0, explained.output
    score, name, verdict = scored.stdout.splitlines()[1].split("  ")
    assert verdict.startswith("(noise ")
    page = tmp_path / "out" / "index.html"
    assert explained.stdout == f"{score}  {name}  {verdict}  {page}\n"
    text = Page(page.read_text(encoding="utf-8")).text
    assert f"{verdict.strip('()')} {name}" in text
    assert f"likeliest: {verdict.strip('()')}" in text


def test_the_likeliest_fault_is_marked_and_no_fault_is_not() -> None:
    shares = {"none": 0.1, "blur": 0.7, "noise": 0.2}
    case = an_explanation(faults=shares)
    assert case.verdict == "blur 70%"
    assert case.diagnosis == [
        ("no fault", 0.1, False), ("blur", 0.7, True), ("noise", 0.2, False)
    ]  # fmt: skip
    pristine = an_explanation(faults={"none": 0.8, "blur": 0.2})
    assert pristine.verdict == "no fault 80%"
    assert not any(marked for _, _, marked in pristine.diagnosis)


def red(figure: bytes) -> int:
    pixels = np.asarray(Image.open(io.BytesIO(figure)).convert("RGB")).reshape(-1, 3).astype(int)
    return int((np.abs(pixels - [0xC0, 0x39, 0x2B]).sum(axis=1) < 12).sum())


def test_a_figure_draws_the_diagnosis_with_the_fault_in_red() -> None:
    dark = np.zeros((60, 90), np.float32)  # maps without red in their colours
    plain, faulty, pristine = (
        draw(replace(an_explanation(faults=faults), maps=(dark, dark), photo=noise((60, 90)) // 9))
        for faults in ({}, {"none": 0.2, "blur": 0.8}, {"none": 0.8, "blur": 0.2})
    )
    assert red(faulty) > 1000
    assert red(plain) == red(pristine) == 0


@pytest.mark.parametrize("form", ["png", "html"])
def test_what_is_done_at_an_interruption_is_kept(
    run: Any, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    def interrupted(
        metric: object, img: object, name: str, *options: object, **named: object
    ) -> Explanation:
        if Path(name).parent.name == "b":
            raise KeyboardInterrupt
        return an_explanation(name)

    monkeypatch.setattr(explanation, "explain_image", interrupted)
    result = run(folder, "--format", form)
    assert result.exit_code == 130
    assert "1 of 3 images" in result.stderr
    kept = {"png": "x-explained.png", "html": "index.html"}
    assert [p.name for p in (tmp_path / "out").iterdir()] == [kept[form]]


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--pair", "9"], "--pair"),
        (["--pair", "nonsense"], "--pair"),
        (["--prompts", "/nowhere.toml"], "/nowhere.toml"),
        (["--map", "occlusion"], "occlusion"),
        (["--reference", "/nowhere.json"], "/nowhere.json"),
        (["--out", "/dev/null"], "--out"),
    ],
)
def test_usage_errors_exit_2(
    run: Any, folder: Path, tmp_path: Path, arguments: list[str], word: str
) -> None:
    result = run(folder, *arguments)
    assert result.exit_code == 2
    assert word in result.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("module", ["matplotlib", "jinja2"])
def test_missing_extras_name_their_cure(
    module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, module, None)
    with pytest.raises(ImportError, match=r"\[explain\]"):
        _ = draw(an_explanation()) if module == "matplotlib" else CardPage(tmp_path)
