"""GPUs: the image, the device, the resource and where it is."""

from __future__ import annotations

from typing import Any

from tests.deploy.chart.rendering import Chart

GPU: dict[str, Any] = {"gpu": {"enabled": True}}


def test_without_a_gpu_nothing_asks_for_it(chart: Chart) -> None:
    rendered = chart.render()
    assert "RERANKD_DEVICE" not in rendered.environment
    assert rendered.container["resources"]["limits"].keys() == {"cpu", "memory"}
    assert "tolerations" not in rendered.pod


def test_a_pod_on_a_gpu_has_the_image_the_device_and_the_resource(chart: Chart) -> None:
    rendered = chart.render(GPU)
    assert rendered.container["image"] == "rerankd:v0.1.0-gpu"
    assert rendered.environment["RERANKD_DEVICE"] == "cuda"
    assert rendered.container["resources"]["limits"]["nvidia.com/gpu"] == 1
    assert rendered.pod["tolerations"] == [
        {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}
    ]
    assert "runtimeClassName" not in rendered.pod


def test_the_resource_and_the_runtime_can_be_chosen(chart: Chart) -> None:
    gpu = {"enabled": True, "count": 2, "resource": "nvidia.com/mig-1g.10gb"}
    gpu |= {"runtimeClassName": "nvidia", "tolerate": False}
    rendered = chart.render({"gpu": gpu, "tolerations": [{"operator": "Exists"}]})
    assert rendered.container["resources"]["limits"]["nvidia.com/mig-1g.10gb"] == 2
    assert rendered.pod["runtimeClassName"] == "nvidia"
    assert rendered.pod["tolerations"] == [{"operator": "Exists"}]


def test_a_setting_takes_precedence_over_the_device(chart: Chart) -> None:
    environment = chart.render(GPU | {"settings": {"device": "auto"}}).environment
    assert environment["RERANKD_DEVICE"] == "auto"


def test_an_image_without_a_gpu_is_refused(chart: Chart) -> None:
    message = chart.refusal(GPU | {"image": {"variant": "slim"}})
    assert "gpu.enabled needs the image.variant gpu, not slim" in message


def test_what_prepares_the_model_needs_no_gpu_and_may_run_beside_it(chart: Chart) -> None:
    values = GPU | {"model": {"name": "a/b", "storage": "claim", "claim": "models"}}
    rendered = chart.render(values | {"prepare": {"by": "job"}})
    pod = rendered.the("Job", "rerankd-prepare-model")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert "nvidia.com/gpu" not in container["resources"]["limits"]
    assert pod["tolerations"] == rendered.pod["tolerations"]
