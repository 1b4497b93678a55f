#!/usr/bin/env python3
"""Makes the tokenizer fixtures of src/text/testdata with Hugging Face's `tokenizers`.

Two byte-level BPE tokenizers are trained on the same small text: one with the pattern of LLaMA-3, one
with that of GPT-2 and with added tokens. cases.json holds tricky strings and their ids. The tests
train on train.txt too, and must arrive at the same merges.

    pip install tokenizers
    python tools/make_tokenizer_fixtures.py
"""

import json
import pathlib

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

LLAMA3_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"
    r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)

TRAINING_TEXT = """\
Once upon a time there was a small dog. The dog was brown, and the dog's name was Bo.
Bo wasn't big; he'd run and he'd jump, and they'll say: "What a good dog!"
In 1999 there were 12345 dogs, in 2024 there are 67890 dogs. Aaaaaaaah, aaaa, aaaaa!
Über den Flüssen fließt das Wasser; naïve cafés, déjà vu, déjà vu.
日本語のテキスト、日本語の文。 Привет, мир! Привет, собака! 🐕🐕 👩‍👩‍👧 banana bananas bandana
    indented text, with   runs of   spaces\tand\ttabs
"""

CASES = [
    "",
    " ",
    "a",
    "Once upon a time there was a small dog.",
    "the dogs' names weren't Bo's; THEY'LL SAY: I'M HE'D'VE",
    "12345 67890 1 12 123 1234 3.14 ½ ٣٤٥ ²",
    "🐕 👩‍👩‍👧 🇩🇪 ❤️ 🏳️‍🌈",
    "日本語のテキスト、中文字符。한국어",
    "e\u0301 é a\u0308 ä \u1e9b\u0323 ﬃ",
    "line\r\nline\r\n\r\nline\n\n\n\rend\r",
    "a  b   c    d     e      ",
    "    four spaces\n\t\ttabs \t mixed \n \n  \n",
    "nul\x00byte\x00\x00 and \x01\x7f controls",
    "\u00a0nbsp\u2003em\u3000ideographic\u200bzero\u180emvs\u0085nel\u2028ls\ufeffbom",
    "x" * 33 + "aaaa" * 100,
    "bandanabananas" * 40,
    "!!!???... --- ((([[[{{{ \"quoted\" 'single' #@$%^&*\n\n//",
    "\u017fS 'S 'ſ don'T İstanbul ŒUVRE",
    "\U0010ffff\ue000\ufffd\U0001f9ff",
    "Привет, мир! здравствуй",
    "<|endoftext|>",
    "before<|endoftext|>after <|endoftext|><extra> <extra>x",
]


def write_json(path, value):
    path.write_text(json.dumps(value, ensure_ascii=True, indent=1) + "\n", encoding="utf-8")


def make(directory, pre_tokenizer, added):
    directory.mkdir(parents=True, exist_ok=True)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        min_frequency=2,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([TRAINING_TEXT], trainer)
    tokenizer.add_tokens(added)
    tokenizer.save(str(directory / "tokenizer.json"), pretty=False)
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<|endoftext|>",
              "eos_token": "<|endoftext|>"}
    write_json(directory / "tokenizer_config.json", config)
    cases = []
    for text in CASES:
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        cases.append({"text": text, "ids": ids})
    (directory / "cases.json").write_text(
        "[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]\n", encoding="utf-8")


def main():
    root = pathlib.Path(__file__).resolve().parent.parent / "src" / "text" / "testdata"
    split = pre_tokenizers.Split(Regex(LLAMA3_PATTERN), "isolated")
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    make(root / "llama3_style", pre_tokenizers.Sequence([split, byte_level]), [])
    make(root / "gpt2_style", pre_tokenizers.ByteLevel(add_prefix_space=False),
         [AddedToken("<extra>", special=False, normalized=False)])
    (root / "train.txt").write_text(TRAINING_TEXT, encoding="utf-8")


if __name__ == "__main__":
    main()
