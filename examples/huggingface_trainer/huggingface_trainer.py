"""Hugging Face's Trainer on a model small enough to be made here, without a download.

    pip install "sweepboard[transformers]"
    sweeps run sweep.yaml

A callback reports after each evaluation, with the folder that the Trainer has just saved.
"""

from pathlib import Path

import torch
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    set_seed,
)

WORDS, LENGTH = 32, 12


class Reporting(TrainerCallback):
    """Reports what was evaluated, once the epoch's checkpoint has been saved."""

    def __init__(self, report):
        self.report = report

    def on_evaluate(self, args, state, control, metrics, **_):
        self.metrics = metrics

    def on_save(self, args, state, control, **_):
        saved = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        self.report(self.metrics, checkpoint=saved)


def sentences(count, seed):
    """Sequences of words; the question is whether word 1 is among them."""
    generator = torch.Generator().manual_seed(seed)
    words = torch.randint(1, WORDS, (count, LENGTH), generator=generator)
    return [{"input_ids": row, "labels": int((row == 1).any())} for row in words]


def accuracy(predicted):
    return {"accuracy": (predicted.predictions.argmax(-1) == predicted.label_ids).mean()}


def train(config, *, report, log_dir, resume_from=None):
    set_seed(config["seed"])
    shape = BertConfig(
        vocab_size=WORDS, hidden_size=config["width"], num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=2 * config["width"], max_position_embeddings=LENGTH,
    )  # fmt: skip
    arguments = TrainingArguments(
        output_dir=str(log_dir / "trainer"),
        num_train_epochs=config["epochs"],
        learning_rate=config["lr"],
        per_device_train_batch_size=32,
        eval_strategy="epoch",
        save_strategy="epoch",
        save_total_limit=2,
        report_to="none",
        disable_tqdm=True,
    )
    trainer = Trainer(
        BertForSequenceClassification(shape),
        arguments,
        train_dataset=sentences(320, seed=0),
        eval_dataset=sentences(160, seed=1),
        compute_metrics=accuracy,
        callbacks=[Reporting(report)],
    )
    trainer.train(resume_from_checkpoint=str(resume_from) if resume_from else None)
