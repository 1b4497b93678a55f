#!/usr/bin/env python3
"""Makes the tokenizer fixtures of src/text/testdata, each with the library whose format it has.

All are trained on the same small text; cases.json holds tricky strings and their ids.
  llama3_style, gpt2_style   byte-level BPE by `tokenizers`; the tests train on train.txt too, and must
                             arrive at the same merges
  qwen2_style                Qwen2's pattern, NFC, added tokens with every flag
  digits_style               Digits before GPT-2's pattern, and Punctuation
  llama2_style               BPE with byte fallback and the normalizers of LLaMA-2
  metaspace_style            the same tokens with Metaspace, as transformers 5 writes them
  sentencepiece_style        tokenizer.model of `sentencepiece`
  tiktoken_style             tokenizer.model of `tiktoken`, with the ranks of llama3_style

    pip install tokenizers sentencepiece tiktoken
    python tools/make_tokenizer_fixtures.py
"""

import base64
import io
import json
import pathlib

import sentencepiece
import tiktoken
from tokenizers import (AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers,
                        trainers)

LLAMA3_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"
    r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)

QWEN2_PATTERN = LLAMA3_PATTERN.replace("{1,3}", "")

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


FLAG_CASES = [
    "a <left>  b<left>\n<left>x",
    "a <right> \t b<right>\u3000<right>x",
    "word<single> <single>word <single> .<single>. _<single> \u0301<single>",
    "<both> <both>  \n<both>  <left><right>  <left>",
    "A\u030a ffi \u1112\u1161\u11ab <left>e\u0301 \u2126",
]

SENTENCEPIECE_CASES = [
    "two  spaces   three",
    " leading and trailing ",
    "\n\n new lines \n\t",
    "\u2581already\u2581escaped \u2581 \u2581",
    "<s>not special</s> <unk> <0x41>",
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
    write_tokenizers_cases(directory, tokenizer)


def write_tokenizers_cases(directory, tokenizer, texts=CASES):
    write_cases(directory, lambda text: tokenizer.encode(text, add_special_tokens=False).ids,
                lambda ids: tokenizer.decode(ids, skip_special_tokens=False), texts)


def write_cases(directory, encode, decode, texts=CASES):
    cases = [{"text": text, "ids": encode(text)} for text in texts]
    for case in cases:
        case["decoded"] = decode(case["ids"])
    (directory / "cases.json").write_text(
        "[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]\n", encoding="utf-8")


def make_qwen2(directory):
    """As Qwen2's tokenizer.json; the flags of added tokens are those that other models use."""
    directory.mkdir(parents=True, exist_ok=True)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    split = pre_tokenizers.Split(Regex(QWEN2_PATTERN), "isolated")
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, byte_level])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator([TRAINING_TEXT], trainers.BpeTrainer(
        vocab_size=330, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    flag = lambda text, **flags: AddedToken(text, normalized=False, special=False, **flags)
    tokenizer.add_special_tokens([AddedToken("<|endoftext|>", normalized=False, special=True)])
    tokenizer.add_tokens([flag("<left>", lstrip=True), flag("<right>", rstrip=True),
                          flag("<both>", lstrip=True, rstrip=True),
                          flag("<single>", single_word=True)])
    tokenizer.save(str(directory / "tokenizer.json"), pretty=False)
    write_tokenizers_cases(directory, tokenizer, CASES + FLAG_CASES)


def make_digits(directory):
    directory.mkdir(parents=True, exist_ok=True)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Punctuation("contiguous"), pre_tokenizers.Digits(individual_digits=True),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator([TRAINING_TEXT], trainers.BpeTrainer(
        vocab_size=330, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    tokenizer.save(str(directory / "tokenizer.json"), pretty=False)
    write_tokenizers_cases(directory, tokenizer)


def all_merges(pieces):
    """The merges that transformers derives from SentencePiece's pieces, the best one first."""
    merges = []
    for piece in pieces:
        splits = [(piece[:i], piece[i:]) for i in range(1, len(piece))]
        merges += [list(split) for split in reversed(splits) if set(split) <= pieces.keys()]
    return merges


def sentencepiece_model():
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(TRAINING_TEXT.splitlines()), model_writer=model, model_type="bpe",
        vocab_size=400, byte_fallback=True, character_coverage=0.98, minloglevel=2,
        normalization_rule_name="identity", remove_extra_whitespaces=False,
        allow_whitespace_only_pieces=True, hard_vocab_limit=False)
    return model.getvalue()


def make_sentencepiece(directory, model):
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "tokenizer.model").write_bytes(model)
    processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    write_cases(directory, processor.encode, processor.decode, CASES + SENTENCEPIECE_CASES)


def make_llama2(directory, model, metaspace):
    """The pieces of `model` in a tokenizer.json like LLaMA-2's."""
    directory.mkdir(parents=True, exist_ok=True)
    processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    vocab = {processor.id_to_piece(i): i for i in range(len(processor))}
    pieces = {piece: i for piece, i in vocab.items() if i >= 259}
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=[tuple(m) for m in all_merges(pieces)],
                                     unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    if metaspace:
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace("\u2581", "first", split=False)
    else:
        tokenizer.normalizer = normalizers.Sequence([
            normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
    tokenizer.decoder = decoders.Sequence([
        decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(),
        decoders.Strip(" ", 1, 0)])
    tokenizer.add_special_tokens([AddedToken(t, normalized=False) for t in ("<unk>", "<s>", "</s>")])
    tokenizer.add_tokens([AddedToken("<pad>", normalized=False)])
    tokenizer.save(str(directory / "tokenizer.json"), pretty=False)
    write_tokenizers_cases(
        directory, tokenizer,
        CASES + SENTENCEPIECE_CASES + ["<s>a</s> b<pad> c<s>", " <s> <s>", "<pad> x"])


def make_tiktoken(directory, json_path):
    directory.mkdir(parents=True, exist_ok=True)
    byte_of = {c: b for b, c in bytes_to_unicode().items()}
    vocab = json.loads(json_path.read_text(encoding="utf-8"))["model"]["vocab"]
    tokens = [bytes(byte_of[c] for c in token)
              for token in sorted(vocab, key=vocab.get) if token != "<|endoftext|>"]
    ranks = {token: rank for rank, token in enumerate(tokens)}
    lines = [base64.b64encode(token).decode() + f" {rank}\n" for token, rank in ranks.items()]
    (directory / "tokenizer.model").write_text("".join(lines), encoding="ascii")
    encoding = tiktoken.Encoding("fixture", pat_str=LLAMA3_PATTERN, mergeable_ranks=ranks,
                                 special_tokens={"<|endoftext|>": len(ranks)})
    added = {str(len(ranks)): {"content": "<|endoftext|>", "special": True}}
    write_json(directory / "tokenizer_config.json",
               {"added_tokens_decoder": added, "eos_token": "<|endoftext|>"})
    write_cases(directory, lambda text: encoding.encode(text, allowed_special="all"),
                encoding.decode)


def bytes_to_unicode():
    """The byte-level alphabet: printable bytes stand for themselves, others for U+0100 and on."""
    kept = [b for b in range(256) if 0x21 <= b <= 0x7E or (b >= 0xA1 and b != 0xAD)]
    moved = [b for b in range(256) if b not in kept]
    return {**{b: chr(b) for b in kept}, **{b: chr(256 + i) for i, b in enumerate(moved)}}


def main():
    root = pathlib.Path(__file__).resolve().parent.parent / "src" / "text" / "testdata"
    split = pre_tokenizers.Split(Regex(LLAMA3_PATTERN), "isolated")
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    make(root / "llama3_style", pre_tokenizers.Sequence([split, byte_level]), [])
    make(root / "gpt2_style", pre_tokenizers.ByteLevel(add_prefix_space=False),
         [AddedToken("<extra>", special=False, normalized=False)])
    make_qwen2(root / "qwen2_style")
    make_digits(root / "digits_style")
    model = sentencepiece_model()
    make_sentencepiece(root / "sentencepiece_style", model)
    make_llama2(root / "llama2_style", model, metaspace=False)
    make_llama2(root / "metaspace_style", model, metaspace=True)
    make_tiktoken(root / "tiktoken_style", root / "llama3_style" / "tokenizer.json")
    (root / "train.txt").write_text(TRAINING_TEXT, encoding="utf-8")


if __name__ == "__main__":
    main()
