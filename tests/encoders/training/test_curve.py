"""The learning curve: every point of the logs, in the panel and at the place where it belongs."""

import xml.etree.ElementTree as ET

import pytest

from lexidex.encoders.training import gathering, run
from lexidex.encoders.training.curve import GAP, PANEL, TOP, draw_curve
from lexidex.encoders.training.held_out import measured_at, with_ends

from .tiny import tiny_pairs, write_backbone, write_pairs

TITLES = ["nDCG@10, held out", "loss", "terms of a text"]


def points_of(drawing, panel):
    """(x, y) of the points in a panel, from the left."""
    top = TOP + panel * (PANEL + GAP)
    circles = [
        element.attrib for element in ET.fromstring(drawing).iter() if "cx" in element.attrib
    ]
    places = [(float(circle["cx"]), float(circle["cy"])) for circle in circles]
    return sorted((x, y) for x, y in places if top <= y <= top + PANEL)


def texts_of(drawing):
    return [element.text for element in ET.fromstring(drawing).iter() if element.text]


def test_before_and_after_are_drawn_and_rounds_joined():
    before, after = {"nDCG@10": 0.2}, {"nDCG@10": 0.6}
    log = [{"step": 5, "loss": 2.0}, {"step": 10, "loss": 1.0}, {"step": 10, "train_loss": 1.5}]
    rounds = [with_ends(log, before, after, 10)] * 2
    assert [line["step"] for line in rounds[0]] == [0, 5, 10, 10, 10]
    drawing = draw_curve(rounds, "two rounds")
    measured, losses = points_of(drawing, 0), points_of(drawing, 1)
    left, middle, again, right = (x for x, _ in measured)
    assert middle == again == pytest.approx((left + right) / 2, abs=0.1)
    assert measured[0][1] > measured[3][1]  # upwards is less, in a drawing
    assert [x for x, _ in losses] == pytest.approx(
        [left + share * (right - left) for share in (0.25, 0.5, 0.75, 1)], abs=0.1
    )
    assert drawing.count("<polyline") == 4
    assert [text for text in texts_of(drawing) if text in TITLES] == TITLES[:2]


def test_what_was_measured_at_the_end_already_is_not_repeated():
    log = [{"step": 10, "eval_nDCG@10": 0.6}]
    assert measured_at(log, 10) == {"nDCG@10": 0.6}
    assert measured_at(log, 9) == {}
    lines = with_ends(log, {"nDCG@10": 0.2}, {"nDCG@10": 0.6}, 10)
    assert lines == [{"step": 0, "eval_nDCG@10": 0.2}, *log]


def test_what_is_no_number_is_left_out():
    drawing = draw_curve([[{"step": 1, "loss": float("nan")}, {"step": 2, "loss": 3.0}]], "odd")
    assert len(points_of(drawing, 0)) == 1
    assert draw_curve([[]], "empty").startswith("<svg")


def test_of_several_processes_one_tells_and_writes(tmp_path, monkeypatch, capsys):
    from lexidex.commands.train import train

    for module in (gathering, run):
        monkeypatch.setattr(module, "is_main", lambda: False)
    given = ["training.steps=1", "training.batch=4", "held_out.queries=8", "held_out.documents=20"]
    given += [f"model.{name}" for name in ("layers=1", "frozen_layers=1", "max_length=16")]
    given += ["model.query_max_length=8", "columns.frequent=20", "columns.drawn=30"]
    backbone, pairs = write_backbone(tmp_path / "backbone"), tmp_path / "pairs.jsonl"
    options = {"data": [write_pairs(pairs, tiny_pairs(40))], "backbone": str(backbone)}
    capsys.readouterr()  # what making the backbone has told
    train("matrix", to=tmp_path / "run", settings=given, **options)
    assert capsys.readouterr() == ("", "")
    assert not (tmp_path / "run" / "round-1" / "log.json").exists()
