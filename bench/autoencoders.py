"""The autoencoders on full MNIST, split as in the course notes: what they reach, through the real stages under Ray.

    python -m bench.autoencoders [--source full]      full: the published files; or their address, folder or archive

The VAE is trained for 40 epochs in batches of 100; the others as the committed params.yaml has it.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
from pathlib import Path

from bench.mnist import prepared
from bench.stages import Stages, absolute

VAE = {"epochs": 40, "batch_size": 100}


def kept(stages: Stages, model: str) -> dict[str, float]:
    """The measures of the epoch that was kept, which is the one with the lowest validation loss."""
    with stages.path("models", model, "history.csv").open() as opened:
        rows = [{key: float(value) for key, value in row.items()} for row in csv.DictReader(opened)]
    return min(rows, key=lambda row: row["validation_loss"])


def trained(stages: Stages, model: str) -> tuple[float, dict[str, float]]:
    """Train and evaluate; the seconds of the epochs, and the test measures."""
    stages.prepare(model)
    stages.run("components.train", model)
    seconds = stages.seconds_of_epochs()
    stages.run("components.evaluate", model)
    return seconds, stages.metrics(model)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.autoencoders", description=__doc__)
    parser.add_argument("--source", default="full", help="sample | full | the path of your own files")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        stages = prepared(Path(folder), absolute(arguments.source))
        stages.entry("vae").update(VAE)
        seconds, _ = trained(stages, "autoencoder")
        found = kept(stages, "autoencoder")
        accuracy, loss = found["validation_rounded_accuracy"], found["validation_loss"]
        print(f"autoencoder: validation rounded accuracy {accuracy:.4f}, loss {loss:.4f}; {seconds:.0f} s", flush=True)
        seconds, test = trained(stages, "denoising")
        ratios = ", ".join(f"{key} {test[key]:.2f} dB" for key in ("psnr", "psnr_noisy", "psnr_median"))
        print(f"denoising: {ratios}; {seconds:.0f} s", flush=True)
        seconds, test = trained(stages, "vae")
        print(f"vae: test elbo {test['elbo']:.2f} nats, of it KL {test['kl']:.2f}; {seconds:.0f} s", flush=True)
        stages.run("components.studies", "reuse")
        found = stages.metrics("reuse")
        ways = ", ".join(f"{way} {found[way]:.4f}" for way in ("frozen", "fine_tuned", "from_scratch"))
        print(f"reuse: test accuracy with {found['labels']} labels {ways}", flush=True)


if __name__ == "__main__":
    main()
