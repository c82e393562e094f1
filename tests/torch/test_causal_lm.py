"""A patched model of transformers has the loss and the gradients of the model itself."""

import copy

import pytest
import torch
from torch import nn

from crossentropy.torch import LinearOptions, patch_causal_lm

transformers = pytest.importorskip("transformers")

SIZE = {"num_hidden_layers": 1, "num_attention_heads": 2, "vocab_size": 101}
WIDE = {**SIZE, "hidden_size": 16, "intermediate_size": 32, "num_key_value_heads": 2}


def llama(**options):
    config = transformers.LlamaConfig(**WIDE, max_position_embeddings=32, **options)
    return transformers.LlamaForCausalLM(config)


def gpt2():
    config = transformers.GPT2Config(
        n_layer=1,
        n_head=2,
        n_embd=16,
        n_positions=32,
        vocab_size=101,
        bos_token_id=0,
        eos_token_id=0,
    )
    return transformers.GPT2LMHeadModel(config)


def gemma2():
    config = transformers.Gemma2Config(
        **WIDE, head_dim=8, max_position_embeddings=32, final_logit_softcapping=0.5
    )
    return transformers.Gemma2ForCausalLM(config)


def granite():
    config = transformers.GraniteConfig(**WIDE, max_position_embeddings=32, logits_scaling=3.0)
    return transformers.GraniteForCausalLM(config)


MODELS = {
    "llama": llama,
    "llama, tied": lambda: llama(tie_word_embeddings=True),
    "gpt2, tied": gpt2,
    "gemma2, capped": gemma2,
    "granite, scaled": granite,
}


def a_batch():
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(101, (2, 9), generator=generator)
    labels = tokens.clone()
    labels[:, :3] = -100  # a prompt
    return tokens, labels


def gradients_of(model, **options):
    tokens, labels = a_batch()
    model.zero_grad()
    output = model(input_ids=tokens, labels=labels, **options)
    output[0].backward()
    grads = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    return output, grads


@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
@pytest.mark.parametrize(
    "options", [{}, {"num_items_in_batch": 37}, {"return_dict": False}], ids=str
)
def test_loss_and_gradients_are_the_models(make, options):
    torch.manual_seed(0)
    model = make().eval()
    want, want_grads = gradients_of(model, **options)
    with patch_causal_lm(model, options=LinearOptions(max_bytes=4096)) as patched:
        got, grads = gradients_of(patched, **options)
    torch.testing.assert_close(got[0], want[0])
    assert grads.keys() == want_grads.keys()
    for name, gradient in grads.items():
        torch.testing.assert_close(gradient, want_grads[name], rtol=1e-4, atol=1e-6)
    if isinstance(got, tuple):
        assert got[1] is None
    else:
        assert got.logits is None
    again, _ = gradients_of(model, **options)  # as it was
    torch.testing.assert_close(again[1], want[1])


def test_a_model_of_16_bits_has_a_loss_in_float32():
    model = llama().bfloat16().eval()
    want, _ = gradients_of(model)
    patch_causal_lm(model)
    got, _ = gradients_of(model)
    assert got.loss.dtype == want.loss.dtype == torch.float32
    torch.testing.assert_close(got.loss, want.loss, rtol=2e-3, atol=0)


def test_logits_are_there_where_they_are_asked_for():
    model = llama()
    want = copy.deepcopy(model)
    patch = patch_causal_lm(model)
    tokens, labels = a_batch()
    torch.testing.assert_close(model(tokens).logits, want(tokens).logits)
    with torch.no_grad():
        assert model(tokens, labels=labels).logits.shape == (2, 9, 101)
    assert model.generate(tokens, max_new_tokens=2, pad_token_id=0).shape == (2, 11)
    patch.undo()
    assert model(tokens, labels=labels).logits is not None


def test_what_cannot_be_patched():
    with pytest.raises(TypeError, match="causal language model of transformers"):
        patch_causal_lm(nn.Linear(2, 3))
    model = llama()
    model.loss_function = nn.functional.cross_entropy
    with pytest.raises(TypeError, match="ForCausalLMLoss"):
        patch_causal_lm(model)


def test_a_model_that_does_more_to_its_logits_fails():
    model = llama()
    own_loss = model.loss_function
    head = model.lm_head

    class Shifting(type(model)):
        def forward(self, input_ids, labels):
            hidden = self.model(input_ids=input_ids).last_hidden_state
            logits = self.lm_head(hidden).clamp(-1, 1)
            return self.loss_function(logits=logits, labels=labels, vocab_size=101)

    model.__class__ = Shifting
    tokens, labels = a_batch()
    with patch_causal_lm(model), pytest.raises(TypeError, match="'clamp' of its logits"):
        model(input_ids=tokens, labels=labels)
    assert model.loss_function is own_loss
    assert model.lm_head is head
    assert torch.is_tensor(head(torch.zeros(1, 16)))
