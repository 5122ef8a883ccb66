"""Token ids of a conversation in the ChatML form, with the weight that each token has in the loss."""

# What others say counts a little, so that the network learns to tell their words apart. The first tokens of an
# answer decide what it is about and count more.
WEIGHTS = {"other": 0.2, "answer": 1.0, "answer_start": 3.0}
START_TOKENS = 20


def encode(tokenizer, messages):
    """Returns `(ids, weights)`, one weight for each token."""
    ids, weights = [], []
    for role, text in messages:
        head = tokenizer.encode(f"<|im_start|>{role}\n")
        body = tokenizer.encode(text, control=False) + tokenizer.encode("<|im_end|>")
        tail = tokenizer.encode("\n")
        ids += head + body + tail
        if role == "assistant":
            start = min(START_TOKENS, len(body))
            own = [WEIGHTS["answer_start"]] * start + [WEIGHTS["answer"]] * (len(body) - start)
        else:
            own = [WEIGHTS["other"]] * len(body)
        weights += [0.0] * len(head) + own + [0.0] * len(tail)
    return ids[:-1], weights[:-1]


def prompt(messages):
    """The text that the chat template makes of `messages`, ready for the assistant's turn."""
    return "".join(f"<|im_start|>{role}\n{text}<|im_end|>\n" for role, text in messages) + "<|im_start|>assistant\n"


TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
