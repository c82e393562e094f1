"""The gradient over the logits' memory: reused where it may be, an error where it may not."""

import pytest
import torch
from torch.utils.checkpoint import checkpoint

from crossentropy.torch import CrossEntropyLoss, cross_entropy

TARGET = torch.tensor([0, 3, -100, 1, 2, 2])
CHANGED = "modified by an inplace operation"


def network(dtype=torch.float32):
    torch.manual_seed(0)
    return torch.nn.Linear(7, 4, dtype=dtype), torch.randn(6, 7, dtype=dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("options", [{}, {"softcap": 3.0, "label_smoothing": 0.1}], ids=str)
def test_a_layers_output_is_overwritten_by_its_gradient(path, dtype, options):
    layer, features = network(dtype)
    logits = layer(features)
    want = torch.autograd.grad(
        cross_entropy(logits, TARGET, **options), [logits, *layer.parameters()]
    )
    logits = layer(features)
    value = cross_entropy(logits, TARGET, inplace_backward=True, **options)
    got = torch.autograd.grad(value, [logits, *layer.parameters()])
    assert got[0].data_ptr() == logits.data_ptr()
    assert not got[0].requires_grad
    for mine, theirs in zip(got, want, strict=True):
        torch.testing.assert_close(mine, theirs)


def test_planes_and_rows_of_channels_last(path):
    for memory_format in (torch.contiguous_format, torch.channels_last):
        torch.manual_seed(0)
        image = torch.randn(2, 5, 3, 4)
        target = torch.randint(0, 6, (2, 3, 4))
        layer = torch.nn.Conv2d(5, 6, 1)
        logits = layer(image).contiguous(memory_format=memory_format) * 1
        (want,) = torch.autograd.grad(cross_entropy(logits, target), logits, retain_graph=True)
        value = cross_entropy(logits, target, inplace_backward=True)
        (got,) = torch.autograd.grad(value, logits)
        torch.testing.assert_close(got, want)
        assert got.data_ptr() == logits.data_ptr()


OTHERS = {
    "saved the input": lambda z: (z**2).sum(),
    "saved a view of it": lambda z: (z.view(-1) ** 2).sum(),
    "another loss": lambda z: cross_entropy(z, TARGET, inplace_backward=True),
    "a checkpoint": lambda z: checkpoint(lambda x: (x**2).sum(), z, use_reentrant=False),
}


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
def test_whoever_else_saved_the_logits_gets_an_error(path, other):
    layer, features = network()
    logits = layer(features)
    first = other(logits)  # its backward pass runs after that of the loss, which is made later
    total = first + cross_entropy(logits, TARGET, inplace_backward=True)
    with pytest.raises(RuntimeError, match=CHANGED):
        total.backward()


def test_a_layer_that_saved_its_output_gets_an_error(path):
    logits = torch.randn(6, 4, requires_grad=True).exp()
    with pytest.raises(RuntimeError, match=CHANGED):
        cross_entropy(logits, TARGET, inplace_backward=True).backward()


def test_a_second_backward_pass_is_an_error(path):
    layer, features = network()
    value = cross_entropy(layer(features), TARGET, inplace_backward=True)
    value.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match=CHANGED):
        value.backward()


@pytest.mark.parametrize("view", [lambda z: z, lambda z: z[1:], lambda z: z.view(2, 3, 4)[0]])
def test_leaves_are_refused(path, view):
    leaf = torch.randn(6, 4, requires_grad=True)
    logits = view(leaf)
    with pytest.raises(RuntimeError, match="leaf tensor that requires grad"):
        cross_entropy(logits, TARGET[: len(logits)], inplace_backward=True)


def test_memory_that_several_rows_share_is_never_written(path):
    row = torch.randn(1, 4) * torch.ones((), requires_grad=True)
    before = row.detach().clone()
    cross_entropy(row.expand(6, 4), TARGET, inplace_backward=True).backward()
    assert torch.equal(row, before)


def test_a_copy_that_had_to_be_made_is_overwritten_instead(path):
    wide = torch.randn(6, 8) * torch.ones((), requires_grad=True)
    before = wide.detach().clone()
    value = cross_entropy(wide[:, ::2], TARGET, inplace_backward=True)
    (got,) = torch.autograd.grad(value, wide)
    (want,) = torch.autograd.grad(cross_entropy(wide[:, ::2], TARGET), wide)
    torch.testing.assert_close(got, want)
    assert torch.equal(wide, before)


def test_no_effect_on_gradients_of_gradients(path):
    layer, features = network(torch.float64)
    logits = layer(features)
    before = logits.detach().clone()
    value = cross_entropy(logits, TARGET, inplace_backward=True)
    (gradient,) = torch.autograd.grad(value, logits, create_graph=True)
    gradient.square().sum().backward()
    assert torch.equal(logits, before)


def test_no_effect_where_hooks_pack_what_is_saved(path):
    layer, features = network()
    (want,) = torch.autograd.grad(cross_entropy(layer(features), TARGET), layer.weight)
    with torch.autograd.graph.save_on_cpu():
        logits = layer(features)
        value = cross_entropy(logits, TARGET, inplace_backward=True)
    before = logits.detach().clone()
    for _ in range(2):
        (got,) = torch.autograd.grad(value, layer.weight, retain_graph=True)
        torch.testing.assert_close(got, want)
    assert torch.equal(logits, before)


def test_no_effect_under_transforms():
    logits = torch.randn(6, 4)
    before = logits.clone()
    gradient = torch.func.grad(lambda z: cross_entropy(z, TARGET, inplace_backward=True))
    torch.testing.assert_close(
        gradient(logits), torch.func.grad(lambda z: cross_entropy(z, TARGET))(logits)
    )
    assert torch.equal(logits, before)


def test_logits_changed_before_the_backward_pass_are_an_error(path):
    layer, features = network()
    logits = layer(features)
    value = cross_entropy(logits, TARGET, inplace_backward=True)
    logits.add_(1)
    with pytest.raises(RuntimeError, match=CHANGED):
        value.backward()


def test_logits_that_need_no_gradient_are_left_alone(path):
    logits = torch.randn(6, 4)
    before = logits.clone()
    cross_entropy(logits, TARGET, inplace_backward=True)
    assert torch.equal(logits, before)


def test_training_by_the_module_is_the_same_with_and_without(path):
    weights = []
    for inplace in (False, True):
        layer, features = network()
        optimizer = torch.optim.SGD(layer.parameters(), 0.5)
        criterion = CrossEntropyLoss(inplace_backward=inplace)
        for _ in range(5):
            optimizer.zero_grad()
            criterion(layer(features), TARGET).backward()
            optimizer.step()
        weights.append(layer.weight.detach())
    torch.testing.assert_close(*weights, rtol=1e-6, atol=1e-7)  # in place it takes two passes
