"""Train: choose images, network and budget, press Train, watch it learn."""

from __future__ import annotations

from pages.ui.frame import frame, told_kindly


def main() -> None:
    """Draw the page."""
    frame("train")
    with told_kindly():
        bench()


def bench() -> None:
    """The stage with its controls beside it, and below what there is to say about the network on it."""
    # Imported here: the frame is on the screen while torch is loaded.
    from pages.ui import lab
    from pages.ui.network import network
    from pages.ui.run_address import run_on_stage
    from pages.ui.train_stage import RUN, own_runs, training
    from pages.ui.visitor import visitor

    me = visitor()
    lab.executor()  # so that a worker is warm when Train is pressed
    run = run_on_stage(RUN)
    settings = training(run, me)
    model = run.model if run is not None else settings.model if settings is not None else None
    if model is not None:
        network(model)
    own_runs(me)


if __name__ == "__main__":
    main()
