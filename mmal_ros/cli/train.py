"""`mmal train`: from recorded sessions with labels to a model set that the live graph runs."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from mmal_ros.cli.paths_given import folder, input_folder

err = Console(stderr=True)


class Preset(StrEnum):
    """What is trained how."""

    PRODUCT = "product"
    FIDELITY = "fidelity"


class Device(StrEnum):
    """Where torch computes."""

    CPU = "cpu"
    CUDA = "cuda"


def train(
    data_set: Annotated[
        str,
        typer.Argument(
            metavar="DATASET",
            help="a folder of sessions, recorded by `mmal run --record` and labelled with `mmal review`; or of "
            "features written by `mmal run --fast --save-features`, with a labels.csv: person, recording, start_s, "
            "end_s, level",
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            metavar="models/NAME/VERSION", callback=folder, help="folder of the new version; it must not be there yet"
        ),
    ],
    data: Annotated[
        Path | None, typer.Option(metavar="DIR", callback=input_folder, help="where a published data set was put")
    ] = None,
    preset: Annotated[
        Preset,
        typer.Option(
            help="product: calibrated classifiers, and a policy that learns on people scored without them. "
            "fidelity: the paper's Algorithm 1, classifiers and policy together"
        ),
    ] = Preset.PRODUCT,
    budget: Annotated[
        int, typer.Option(metavar="N", min=1, help="labels that the policy may ask for per episode")
    ] = 100,
    episodes: Annotated[int, typer.Option(metavar="N", min=1, help="of the policy's training")] = 100,
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="the same seed gives the same files")] = 0,
    test: Annotated[
        str | None,
        typer.Option(
            metavar="A,B",
            help="codes of the people on whom the set is measured; nothing is learned from them. By default those "
            "whom the data set names, or the last fifth",
        ),
    ] = None,
    purpose: Annotated[
        str | None, typer.Option(metavar="TEXT", help="first line of the card: what the set is for and what not")
    ] = None,
    log: Annotated[
        Path | None,
        typer.Option(metavar="DIR", callback=folder, help="write TensorBoard curves: `tensorboard --logdir DIR`"),
    ] = None,
    device: Annotated[Device, typer.Option(help="where the policy, and in fidelity everything, learns")] = Device.CPU,
    parent: Annotated[
        str | None, typer.Option(metavar="DIR", help="the model set that this one succeeds; the card names it")
    ] = None,
) -> None:
    """Train four classifiers, the selection policy and its control, and write them as a model set with its card.

    The card says how the exported files do on people they have not seen, beside what a constant answer gets. What is
    finished is kept beside the output in `.VERSION.work`: the same command goes on after Ctrl-C or a crash, and gives
    the same files bit by bit. The live graph runs the new version once `models/NAME/current` names it; a first version
    is made current at once.

    Example: `mmal train recordings/ --output models/clinic/1 --test C07,C08`
    """
    from mmal_ros.model_card import CURRENT_NAME, make_current
    from mmal_ros.models import load_model_set
    from mmal_ros.paths import find_model
    from mmal_ros.training.data import load_data_set
    from mmal_ros.training.export.measure import metrics_table
    from mmal_ros.training.train import Plan, people_to_test, train_model_set

    predecessor = load_model_set(find_model(parent)) if parent is not None else None
    with err.status("reading …"):
        loaded = load_data_set(data_set, data)
    plan = Plan(
        test=tuple(_names(test)) if test is not None else people_to_test(loaded),
        purpose=purpose or _purpose(loaded.source),
        preset=preset.value,
        budget=budget,
        episodes=episodes,
        seed=seed,
        device=device.value,
        parent=predecessor,
    )
    models = train_model_set(output, loaded, plan, err, log)
    if not (output.parent / CURRENT_NAME).exists():
        make_current(output.parent, output.name)
    out = Console()
    out.print(metrics_table(models.card.metrics))
    out.print(f"model set: {output}", highlight=False, soft_wrap=True)


def _purpose(source: str) -> str:
    return (
        f"Engagement of people like those of: {source}. How it does on anybody else is not known. "
        "Not a medical device and no judge of a child."
    )


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]
