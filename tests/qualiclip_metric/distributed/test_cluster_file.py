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
