"""Two processes: gradients and weights are those of one that has seen the whole batch."""

import os

import pytest
import torch
from torch import multiprocessing

from lexidex.encoders.training.gathering import gathered, is_main, n_processes, rank

WEIGHT = torch.tensor([[0.5, -0.2], [0.1, 0.9], [0.3, 0.3]])
TEXTS = torch.tensor([[1.0, 0, 2], [0, 1, 1], [2, 1, 0], [1, 1, 1]])


def loss_of(queries, documents, first):
    """InfoNCE of some queries over all documents, and FLOPS of all."""
    scores = queries @ documents.t()
    own = torch.arange(first, first + len(queries))
    return torch.nn.functional.cross_entropy(scores, own) + documents.mean(0).square().sum()


def process(number, port, folder):
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.distributed.init_process_group("gloo", rank=number, world_size=2)
    weight = WEIGHT.clone().requires_grad_()
    half = TEXTS[2 * rank() : 2 * rank() + 2]
    vectors = (half @ weight).relu()
    loss_of(vectors, gathered(vectors), 2 * rank()).backward()
    torch.distributed.all_reduce(weight.grad)
    torch.save((n_processes(), weight.grad / 2), f"{folder}/{number}.pt")
    torch.distributed.destroy_process_group()


def test_one_process_gathers_nothing():
    assert (n_processes(), rank()) == (1, 0)
    assert gathered(TEXTS) is TEXTS


def test_one_process_tells_and_writes_also_before_they_have_met(monkeypatch):
    monkeypatch.delenv("RANK", raising=False)
    assert is_main()
    for number in (0, 1):
        monkeypatch.setenv("RANK", str(number))
        assert is_main() == (number == 0)


@pytest.mark.slow
def test_two_processes_give_the_gradients_of_the_whole_batch(tmp_path):
    port = 20000 + os.getpid() % 20000
    multiprocessing.spawn(process, (port, str(tmp_path)), nprocs=2)
    weight = WEIGHT.clone().requires_grad_()
    vectors = (TEXTS @ weight).relu()
    halves = [loss_of(vectors[place : place + 2], vectors, place) for place in (0, 2)]
    (sum(halves) / 2).backward()
    for number in range(2):
        processes, gradient = torch.load(tmp_path / f"{number}.pt")
        assert processes == 2
        torch.testing.assert_close(gradient, weight.grad)


def trained(folder, batch):
    """Weights of a short training by the loop, whose losses are of the whole batch."""
    from lexidex.encoders.training.loss import Loss, Objective, Regulariser

    from .linear_student import LinearStudent
    from .test_trainer import trainer

    penalties = [Regulariser("flops", side, 0.05) for side in ("queries", "documents")]
    loss = Loss([Objective("info-nce"), Objective("kl", over="batch")], penalties)
    sizes = {"per_device_train_batch_size": batch, "eval_strategy": "no", "save_strategy": "no"}
    run = trainer(folder, student=LinearStudent(), steps=5, loss=loss, options=sizes, learned=False)
    run.train()
    return {name: tensor.clone() for name, tensor in run._whole.state_dict().items()}


def training_process(number, port, folder):
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2"}
    os.environ |= {"RANK": str(number), "LOCAL_RANK": str(number)}
    torch.set_num_threads(1)
    torch.save(trained(f"{folder}/{number}", 4), f"{folder}/{number}.pt")
    torch.distributed.destroy_process_group()


@pytest.mark.slow
def test_two_processes_train_as_one_does_on_the_whole_batch(tmp_path):
    port = 40000 + os.getpid() % 20000
    multiprocessing.spawn(training_process, (port, str(tmp_path)), nprocs=2)
    wanted = trained(tmp_path / "whole", 8)
    for number in range(2):
        found = torch.load(tmp_path / f"{number}.pt")
        for name, tensor in wanted.items():
            torch.testing.assert_close(found[name], tensor, rtol=1e-4, atol=1e-5)
