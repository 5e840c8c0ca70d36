"""Models in the hub's manner: to a folder and back, to a hub and back, and from its cache."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from huggingface_hub import ModelCard

from qualiclip_metric import checkpoints, create, from_pretrained, push_to_hub, save_pretrained
from qualiclip_metric.checkpoints import WeightsError
from qualiclip_metric.checkpoints.model_card import model_card
from qualiclip_metric.metric import QualiCLIP

if TYPE_CHECKING:
    from tests.qualiclip_metric.conftest import Hub

IMG = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
NAME = "user/my-lite"


def test_a_folder_and_back(random_lite: Path, tmp_path: Path) -> None:
    metric = create(random_lite)
    folder = save_pretrained(metric, tmp_path / "deep" / "mine")
    assert sorted(file.name for file in folder.iterdir()) == ["README.md", "model.safetensors"]
    again = from_pretrained(folder, temperature=3.0)
    assert again.temperature == 3.0
    assert again.signature is not None
    assert again.signature.weights == metric.signature.weights  # type: ignore[union-attr]
    torch.testing.assert_close(from_pretrained(str(folder))(IMG), metric(IMG), atol=0, rtol=0)
    assert checkpoints.read(folder / "model.safetensors").licence == "CC0"


def test_what_was_changed_in_the_module_is_saved(random_lite: Path, tmp_path: Path) -> None:
    metric = create(random_lite)
    state = metric.state_dict()
    metric.load_state_dict({**state, "text.features": state["text.features"].flip(1)})
    again = from_pretrained(save_pretrained(metric, tmp_path / "mine"))
    torch.testing.assert_close(again(IMG), 1 - create(random_lite)(IMG), atol=1e-5, rtol=0)


def test_names_and_paths_are_saved_like_metrics(random_lite: Path, tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "README.md").write_text("my own card")
    save_pretrained(create(random_lite), tmp_path / "a")
    save_pretrained(random_lite, tmp_path / "b")
    first, second = ((tmp_path / n / "model.safetensors").read_bytes() for n in "ab")
    assert first == second
    assert (tmp_path / "b" / "README.md").read_text() == "my own card"


def test_the_card_is_made_of_the_checkpoints_own_words() -> None:
    from qualiclip_metric.build import complete

    checkpoint = complete("lite")
    card = ModelCard(model_card(checkpoint, "my-lite"))
    assert card.data.license == "apache-2.0"
    assert card.data.library_name == "qualiclip-metric"
    assert "image-quality-assessment" in card.data.tags
    for part in (checkpoint.training["data"]["digest"], "Good photo. / Bad photo.", "| unseen |"):
        assert part in card.text
    assert "nan" not in card.text.lower()
    odd = checkpoints.Checkpoint("lite", {}, torch.ones(1, 2, 5), licence="My | own")
    card = ModelCard(model_card(odd, "odd"))
    assert (card.data.license, card.data.license_name) == ("other", "My | own")
    assert "how it was trained" in card.text


def test_a_hub_and_back(random_lite: Path, hub: "Hub") -> None:
    url = push_to_hub(create(random_lite), NAME, message="First")
    assert url.startswith(f"{hub.url}/{NAME}/commit/")
    assert set(hub.files) == {f"{NAME}/model.safetensors", f"{NAME}/README.md"}
    metric = from_pretrained(NAME)
    torch.testing.assert_close(metric(IMG), create(random_lite)(IMG), atol=0, rtol=0)
    assert str(metric.signature).startswith(f"model:{NAME}@c0ffee00|weights:")
    other = create(f"hf://{NAME}@v1.0", precision="bf16")
    assert str(other.signature).startswith(f"model:{NAME}@c0ffee00|weights:")
    assert any(path == f"/{NAME}/resolve/v1.0/model.safetensors" for _, path, _ in hub.asked)


def test_from_the_cache_without_network(
    random_lite: Path, hub: "Hub", monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.files[f"{NAME}/model.safetensors"] = random_lite.read_bytes()
    online = from_pretrained(NAME)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    hub.asked.clear()
    offline = from_pretrained(NAME)
    assert hub.asked == []
    assert offline.signature == online.signature
    with pytest.raises(WeightsError, match="hf://user/other"):
        from_pretrained("user/other")
    with pytest.raises(WeightsError, match="HF_HUB_OFFLINE"):
        push_to_hub(online, NAME)


def test_what_the_hub_refuses(random_lite: Path, hub: "Hub") -> None:
    with pytest.raises(WeightsError, match="hf://user/none@main"):
        from_pretrained("user/none")
    from huggingface_hub.errors import HfHubHTTPError

    hub.statuses = [403]
    with pytest.raises(HfHubHTTPError):
        push_to_hub(random_lite, NAME)


@pytest.mark.parametrize("name", ["name", "a/b/c", "user/name@", "../x"])
def test_wrong_repository_names_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="expected hf://user/name"):
        create(f"hf://{name}")


def test_folders_that_hold_no_model(tmp_path: Path, tiny: QualiCLIP) -> None:
    with pytest.raises(ValueError, match=r"model\.safetensors"):
        from_pretrained(tmp_path)
    with pytest.raises(ValueError, match="v1"):
        from_pretrained(tmp_path, revision="v1")
    with pytest.raises(ValueError, match="create"):
        save_pretrained(tiny, tmp_path)


def test_a_name_that_is_neither_folder_nor_repository_is_refused() -> None:
    with pytest.raises(ValueError, match="no-such-folder"):
        from_pretrained("no-such-folder")
