"""From the torch model to OpenVINO's, in the precision that the torch model has.

Of eight-bit weights OpenVINO makes eight-bit products: it rounds what comes in as well, token by
token, so that nothing has to be calibrated.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from openvino.frontend import FrontEndManager
from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

from app.engines import Pair
from app.engines.graphs import lower_stem
from app.engines.openvino import TAIL
from app.engines.openvino.adaptation import save
from app.engines.torch.model import Part, TorchModel, quiet


def convert(model: TorchModel, examples: Sequence[Pair], folder: Path, stem: str) -> None:
    """Write `{stem}.xml` and the other parts of the model; the tail once for all precisions."""
    stems = {"lower": lower_stem(stem), "body": stem, "tail": TAIL}

    def write(part: Part) -> None:
        file = folder / f"{stems[part.kind]}.xml"
        if not file.exists():
            write_part(part, file)

    model.export(examples, write)


def write_part(part: Part, file: Path) -> None:
    with quiet():
        decoder = TorchScriptPythonDecoder(part.module, example_input=tuple(part.inputs.values()))
    # The front end itself: `openvino.convert_model` would report to a statistics service.
    frontend = FrontEndManager().load_by_framework("pytorch")
    model = frontend.convert(frontend.load(decoder))
    for port, name in zip(model.inputs, part.inputs, strict=True):
        port.get_node().set_friendly_name(name)
        port.get_tensor().set_names({name})
    model.reshape({name: [-1, -1, *tensor.shape[2:]] for name, tensor in part.inputs.items()})
    save(model, file)
