#!/usr/bin/env python3
"""Makes src/eval/testdata/goldens.json: what EleutherAI's lm-evaluation-harness makes of the hand-written rows there.

For each task, zero-shot and with examples, what it asks a model for (context and continuation) and which choice is right; and
the log-likelihoods and scores that the harness gets from transformers in float32 for the shipped model and for a LLaMA of
random weights with the same tokenizer:

  pip install lm-eval torch transformers
  trit convert models/tales-3m.gguf tales --to hf-packed
  trit synth --preset micro --family llama llama --seed 7
  cp tales/tokenizer* llama
  python tools/make_eval_goldens.py tales llama

Never needed to build or test.
"""
import json
import pathlib
import sys

import lm_eval
import torch
import yaml
from lm_eval.api.instance import Instance
from lm_eval.api.task import ConfigurableTask
from lm_eval.models.huggingface import HFLM
from transformers import AutoModelForCausalLM, AutoTokenizer

TESTDATA = pathlib.Path(__file__).resolve().parent.parent / "src/eval/testdata"
YAML = {
    "arc_easy": "arc/arc_easy.yaml",
    "arc_challenge": "arc/arc_easy.yaml",
    "hellaswag": "hellaswag/hellaswag.yaml",
    "boolq": "super_glue/boolq/default.yaml",
    "openbookqa": "openbookqa/openbookqa.yaml",
    "piqa": "piqa/piqa.yaml",
    "winogrande": "winogrande/default.yaml",
    "sciq": "sciq/sciq.yaml",
    "lambada_openai": "lambada/lambada_openai.yaml",
}
SPLITS = ("training_split", "validation_split", "test_split")


def load_config(name):
    """The harness's own description of a task; !function names a Python function beside the YAML file."""
    path = pathlib.Path(lm_eval.__file__).parent / "tasks" / YAML[name]

    def function(loader, node):
        module, attribute = loader.construct_scalar(node).rsplit(".", 1)
        scope = {}
        exec((path.parent / f"{module}.py").read_text(), scope)
        return scope[attribute]

    class Loader(yaml.SafeLoader):
        pass

    Loader.add_constructor("!function", function)
    config = yaml.load(path.read_text(), Loader)
    config["task"] = name
    return config


def make_task(name, data, few_shot):
    """The task on local files: of the splits, those whose files are there."""
    config = load_config(name)
    files = {}
    for split in SPLITS:
        file = data / name / f"{config.get(split)}.jsonl"
        if config.get(split) and file.exists():
            files[config[split]] = str(file)
        elif split in config:
            config[split] = None
    if few_shot and config.get("test_split") and not config.get("training_split") and name != "lambada_openai":
        config["fewshot_split"] = config["test_split"]  # examples from the questions, never the one that is asked
    config.update(dataset_path="json", dataset_name=None, dataset_kwargs={"data_files": files})
    config["num_fewshot"] = few_shot
    task = ConfigurableTask(config=config)
    task.set_fewshot_seed(1234)
    return task


def prompts(name, few_shot):
    task = make_task(name, TESTDATA, few_shot)
    task.build_all_requests()
    items = {}
    for instance in task.instances:
        item = items.setdefault(instance.doc_id, {"requests": []})
        item["requests"].append(list(instance.args))
        if task.OUTPUT_TYPE == "multiple_choice":
            text = task.doc_to_text(instance.doc)
            gold = text if task.multiple_input else task.doc_to_target(instance.doc)
            item["gold"] = int(gold)
    return list(items.values())


def load_model(path):
    model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32).to(torch.float32)  # the packed form keeps a float16 head
    return HFLM(pretrained=model, tokenizer=AutoTokenizer.from_pretrained(path), batch_size=1)


def scores(name, few_shot, model):
    result = lm_eval.evaluate(
        lm=model, task_dict={name: make_task(name, TESTDATA, few_shot)}, log_samples=True, bootstrap_iters=0)
    samples = sorted(result["samples"][name], key=lambda sample: sample["doc_id"])
    metrics = result["results"][name]
    return {
        "log_likelihoods": [[round(response[0][0], 6) for response in sample["resps"]] for sample in samples],
        "greedy": [[response[0][1] for response in sample["resps"]] for sample in samples],
        "metrics": {key: metrics[f"{key},none"] for key in ("acc", "acc_norm", "perplexity") if f"{key},none" in metrics},
    }


def rolling(text, model):
    """Of a whole text, in windows: what the harness's perplexities are made of."""
    request = Instance("loglikelihood_rolling", {}, (text,), 0)
    return round(model.loglikelihood_rolling([request])[0], 6)


def main():
    models = {"tales": load_model(sys.argv[1]), "llama": load_model(sys.argv[2])}
    goldens = {"harness": lm_eval.__version__, "tasks": {}}
    for name in YAML:
        goldens["tasks"][name] = {}
        for few_shot in (0, 2):
            entry = {"items": prompts(name, few_shot)}
            for key, model in models.items():
                entry[key] = scores(name, few_shot, model)
            goldens["tasks"][name][str(few_shot)] = entry
    text = (TESTDATA / "rolling.txt").read_text()
    goldens["rolling"] = {key: rolling(text, model) for key, model in models.items()}
    # A line for each list of numbers.
    text = json.dumps(goldens, ensure_ascii=False, separators=(",", ":")).replace("],", "],\n").replace("},", "},\n")
    (TESTDATA / "goldens.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
