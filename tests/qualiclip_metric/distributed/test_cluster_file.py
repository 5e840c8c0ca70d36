"""The cluster launcher's file is one that Ray takes, and starts what docs/guide/scale.md says."""

import json
from pathlib import Path
from typing import Any

import pytest

FILE = Path(__file__).parents[3] / "configs" / "ray-cluster.yaml"


@pytest.fixture
def config() -> Any:
    yaml = pytest.importorskip("yaml", reason="PyYAML comes with ray")
    return yaml.safe_load(FILE.read_text(encoding="utf-8"))


@pytest.mark.filterwarnings("default")
def test_it_fits_rays_own_schema(config: Any) -> None:
    pytest.importorskip("ray", reason="ray, of the extra `ray`, is not installed")
    jsonschema = pytest.importorskip("jsonschema", reason="it comes with ray")
    import ray.autoscaler

    schema = Path(str(ray.autoscaler.__file__)).with_name("ray-schema.json")
    checks = json.loads(schema.read_text(encoding="utf-8"))
    jsonschema.validate(config, checks)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**config, "head_nodetype": "head"}, checks)


def test_its_names_fit_together(config: Any) -> None:
    types = config["available_node_types"]
    assert config["head_node_type"] in types
    workers = {name: kind for name, kind in types.items() if name != config["head_node_type"]}
    assert workers
    assert all(kind["min_workers"] <= kind["max_workers"] for kind in workers.values())
    assert sum(kind["max_workers"] for kind in workers.values()) <= config["max_workers"]
    assert any("qualiclip-metric[ray" in line for line in config["setup_commands"])
    # the head reads, writes and counts; images are scored on the other nodes
    assert types[config["head_node_type"]]["resources"]["CPU"] < min(
        kind["resources"]["CPU"] for kind in workers.values()
    )
