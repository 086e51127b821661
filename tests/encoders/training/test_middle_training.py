"""Hidden words: which are hidden, and that a training of them learns."""

import json

import numpy as np
import torch

from lexidex.encoders.training.encoder_student import EncoderStudent
from lexidex.encoders.training.middle_training import NOT_HIDDEN, MaskedModel, MaskingCollator
from lexidex.encoders.training.plan import Example
from lexidex.encoders.training.run import Run
from lexidex.encoders.training.start import make_start

from .tiny import tiny_pairs, write_backbone
from .tiny_recipes import make_world, tiny_recipe

PAIRS = tiny_pairs(20)


def student_in(folder):
    backbone = write_backbone(folder / "backbone")
    return EncoderStudent(make_start("splade-max", backbone, folder / "start", []), dropout=False)


def test_a_share_of_the_words_is_hidden_and_no_special_token(tmp_path):
    student = student_in(tmp_path)
    collator = MaskingCollator(student, PAIRS, 0.3, seed=1)
    ids = np.array([2, *range(5, 93), 3] * 50)  # [CLS], words, [SEP]
    shown, labels = collator.hide(ids, np.random.default_rng(0))
    hidden = labels != NOT_HIDDEN
    assert not hidden[np.isin(ids, [2, 3])].any()
    assert (labels[hidden] == ids[hidden]).all()
    assert (shown[~hidden] == ids[~hidden]).all()
    shares = [hidden.mean(), (shown[hidden] == 4).mean(), (shown[hidden] == ids[hidden]).mean()]
    np.testing.assert_allclose(shares, [0.3, 0.8, 0.1], atol=0.03)


def test_what_is_hidden_depends_on_seed_and_place(tmp_path):
    collator = MaskingCollator(student_in(tmp_path), PAIRS, 0.5, seed=1)
    one, again, other = (
        collator([Example(0, np.array([3]), place)])["labels"] for place in (7, 7, 8)
    )
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


def test_scores_are_those_of_the_hidden_positions_and_vectors_those_of_the_encoder(tmp_path):
    student = student_in(tmp_path)
    batch = student.prepare("documents", PAIRS.documents)
    labels = torch.full(batch["ids"].shape, NOT_HIDDEN)
    labels[0, 2] = labels[3, 1] = 7
    with torch.no_grad():
        scores, vectors = MaskedModel(student)(batch["ids"], batch["mask"], labels)
        model = student.expanding.network.model
        wanted = model(input_ids=batch["ids"], attention_mask=batch["mask"]).logits
    torch.testing.assert_close(scores, torch.stack([wanted[0, 2], wanted[3, 1]]))
    encoded = student.encode("documents", PAIRS.documents).toarray()
    np.testing.assert_allclose(vectors.numpy(), encoded, atol=1e-4)


def test_texts_of_which_nothing_is_hidden_train_all_the_same(tmp_path):
    world = make_world(tmp_path)
    # One text a step and a rate at which most have no hidden word.
    changes = {"masked.rate": 0.01, "training.batch": 1, "training.steps": 4}
    recipe = tiny_recipe("efficient-splade-middle", world).changed(changes)
    Run(recipe, tmp_path / "run").train()
    log = json.loads((tmp_path / "run" / "round-1" / "log.json").read_text())
    told = [line["masked-language-model"] for line in log if "masked-language-model" in line]
    assert 0 in told
    assert np.isfinite(told).all()
