#!/usr/bin/env python3
"""Writes src/text/testdata/chat/*.json: templates, contexts, and what Python's jinja2 makes of them, set up
exactly as Hugging Face's transformers does.

  make_chat_fixtures.py            writes the fixtures
  make_chat_fixtures.py --random N SEED [--keep K]
                                   prints N random cases, one JSON object a line; with --keep the first K
                                   go to random.json instead

Needs transformers and jinja2. Not needed to build or test trit."""

import argparse
import copy
import datetime
import json
import pathlib
import random

from transformers.utils import chat_template_utils

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "src/text/testdata/chat"
NOW = datetime.datetime(2024, 7, 26, 12, 34, 56)


class Clock(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return NOW


chat_template_utils.datetime = Clock


def outcome(template, context):
    """{"expected": text} or {"error": message}."""
    context = {"tools": None, "documents": None, "add_generation_prompt": False, **context}
    context = copy.deepcopy(context)  # `list|indent` appends to the list
    try:
        text = chat_template_utils._compile_jinja_template(template).render(**context)
        text.encode()
        return {"expected": text}
    except Exception as error:  # whatever it is: the template does not render
        return {"error": f"{type(error).__name__}: {error}"}


def case(name, template, context):
    return {"name": name, "template": template, "context": context, **outcome(template, context)}


def write(name, cases):
    """Equal templates and contexts are written once; the cases hold their places in the lists."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    lists = {"template": [], "context": []}
    for c in cases:
        for key, values in lists.items():
            if c[key] not in values:
                values.append(c[key])
            c[key] = values.index(c[key])
    text = json.dumps({"templates": lists["template"], "contexts": lists["context"], "cases": cases},
                      ensure_ascii=False, indent=0)
    (FOLDER / f"{name}.json").write_text(text + "\n", encoding="utf-8")
    failed = sum("error" in c for c in cases)
    print(f"{name}: {len(cases)} cases, of which {failed} must fail")


# ---- Templates in the manner of published models: the same constructs, the same text around the messages.

LLAMA3 = """{% set conversation = messages %}{% for turn in conversation %}{% set part = '<|start_header_id|>' + \
turn['role'] + '<|end_header_id|>\n\n' + turn['content'] | trim + '<|eot_id|>' %}{% if loop.index0 == 0 %}\
{% set part = bos_token + part %}{% endif %}{{ part }}{% endfor %}{% if add_generation_prompt %}\
{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"""

LLAMA31 = """{{- bos_token }}
{%- if not date_string is defined %}
    {%- if strftime_now is defined %}
        {%- set date_string = strftime_now("%d %b %Y") %}
    {%- else %}
        {%- set date_string = "26 Jul 2024" %}
    {%- endif %}
{%- endif %}
{%- if messages[0]['role'] == 'system' %}
    {%- set about = messages[0]['content']|trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set about = "" %}
{%- endif %}
{{- "<|start_header_id|>system<|end_header_id|>\\n\\n" }}
{%- if tools is not none %}
    {{- "Environment: ipython\\n" }}
{%- endif %}
{{- "Today: " + date_string + "\\n\\n" }}
{%- if tools is not none %}
    {{- "These functions may be called:\\n\\n" }}
    {%- for t in tools %}
        {{- t | tojson(indent=4) }}
        {{- "\\n\\n" }}
    {%- endfor %}
{%- endif %}
{{- about }}
{{- "<|eot_id|>" }}
{%- for message in messages %}
    {%- if not (message.role == 'ipython' or message.role == 'tool' or 'tool_calls' in message) %}
        {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n'+ message['content'] | trim + '<|eot_id|>' }}
    {%- elif 'tool_calls' in message %}
        {%- if not message.tool_calls|length == 1 %}
            {{- raise_exception("One call of a tool at a time!") }}
        {%- endif %}
        {%- set tool_call = message.tool_calls[0].function %}
        {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' -}}
        {{- '{"name": "' + tool_call.name + '", ' }}
        {{- '"parameters": ' }}
        {{- tool_call.arguments | tojson }}
        {{- "}" }}
        {{- "<|eot_id|>" }}
    {%- elif message.role == "tool" or message.role == "ipython" %}
        {{- "<|start_header_id|>ipython<|end_header_id|>\\n\\n" }}
        {%- if message.content is mapping or message.content is iterable %}
            {{- message.content | tojson }}
        {%- else %}
            {{- message.content }}
        {%- endif %}
        {{- "<|eot_id|>" }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
{%- endif %}
"""

CHATML = """{% for message in messages %}
{% if loop.first and messages[0]['role'] != 'system' %}
{{ '<|im_start|>system\nAnswer briefly.<|im_end|>\n' }}
{% endif %}
{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}
{% endfor %}
{% if add_generation_prompt %}
{{ '<|im_start|>assistant\n' }}
{% endif %}"""

CHATML_GENERATION = """{%- for message in messages %}
    {%- if message.role == 'assistant' %}
        {{- '<|im_start|>assistant\n' }}
        {%- generation %}{{ message.content }}<|im_end|>{% endgeneration %}
        {{- '\n' }}
    {%- else %}
        {{- '<|im_start|>' ~ message.role ~ '\n' ~ message.content ~ '<|im_end|>\n' }}
    {%- endif %}
{%- endfor %}
{{- '<|im_start|>assistant\n' if add_generation_prompt }}"""

BITNET = """{% for turn in messages %}{% set text = turn['role'] | capitalize + ': ' + turn['content'] | trim + \
'<|eot_id|>' %}{% if loop.first %}{% set text = bos_token + text %}{% endif %}{{ text }}{% endfor %}\
{% if add_generation_prompt %}{{ 'Assistant: ' }}{% endif %}"""

FALCON3 = """{%- if tools %}
{{- '<|system|>\\n' }}
{%- if messages[0]['role'] == 'system' %}
{{- messages[0]['content'] }}
{%- set turns = messages[1:] %}
{%- else %}
{%- set turns = messages %}
{%- endif %}
{{- 'Functions can be called.\\n\\n<tools>' + tools|tojson(indent=2) + '</tools>\\n' }}
{%- for turn in turns %}
{%- if turn['role'] == 'user' %}
{{- '<|user|>\\n' + turn['content'] + '\\n' }}
{%- elif turn['role'] == 'assistant' %}
{%- if turn.content %}
{{- '<|assistant|>\\n' + turn['content'] }}
{%- endif %}
{%- if turn.tool_calls %}
{{- '\\n<tool_call>\\n' }}
{{- turn.tool_calls|tojson(indent=2) }}
{{- '\\n</tool_call>' }}
{%- endif %}
{{- eos_token + '\\n' }}
{%- elif turn['role'] == 'tool' %}
{{- '<|assistant|>\\n<tool_response>\\n' + turn['content'] + '\\n</tool_response>\\n' }}
{%- endif %}
{%- endfor %}
{{- '<|assistant|>\\n' if add_generation_prompt }}
{%- else %}
{%- for turn in messages %}
{%- if turn['role'] == 'system' %}
{{- '<|system|>\\n' + turn['content'] + '\\n' }}
{%- elif turn['role'] == 'user' %}
{{- '<|user|>\\n' + turn['content'] + '\\n' }}
{%- elif turn['role'] == 'assistant' %}
{%- if not loop.last %}
{{- '<|assistant|>\\n' + turn['content'] + eos_token + '\\n' }}
{%- else %}
{{- '<|assistant|>\\n' + turn['content'] + eos_token }}
{%- endif %}
{%- endif %}
{%- if loop.last and add_generation_prompt %}
{{- '<|assistant|>\\n' }}
{%- endif %}
{%- endfor %}
{%- endif %}"""

QWEN3 = """{%- if tools %}
    {{- '<|im_start|>system\\n' }}
    {%- if messages[0].role == 'system' %}
        {{- messages[0].content + '\\n\\n' }}
    {%- endif %}
    {{- "Functions, within <tools></tools>:\\n<tools>" }}
    {%- for one in tools %}
        {{- "\\n" }}
        {{- one | tojson }}
    {%- endfor %}
    {{- "\\n</tools>\\n{\\"name\\": <name>, \\"arguments\\": <object>}<|im_end|>\\n" }}
{%- else %}
    {%- if messages[0].role == 'system' %}
        {{- '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}
    {%- endif %}
{%- endif %}
{%- set state = namespace(searching=true, last_question=messages|length - 1) %}
{%- for message in messages[::-1] %}
    {%- set place = (messages|length - 1) - loop.index0 %}
    {%- if state.searching and message.role == "user" and message.content is string and not(message.content.startswith('<tool_response>') and message.content.endswith('</tool_response>')) %}
        {%- set state.searching = false %}
        {%- set state.last_question = place %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- if message.content is string %}
        {%- set content = message.content %}
    {%- else %}
        {%- set content = '' %}
    {%- endif %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) %}
        {{- '<|im_start|>' + message.role + '\\n' + content + '<|im_end|>' + '\\n' }}
    {%- elif message.role == "assistant" %}
        {%- set thought = '' %}
        {%- if message.reasoning_content is string %}
            {%- set thought = message.reasoning_content %}
        {%- else %}
            {%- if '</think>' in content %}
                {%- set thought = content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}
                {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
            {%- endif %}
        {%- endif %}
        {%- if loop.index0 > state.last_question %}
            {%- if loop.last or (not loop.last and thought) %}
                {{- '<|im_start|>' + message.role + '\\n<think>\\n' + thought.strip('\\n') + '\\n</think>\\n\\n' + content.lstrip('\\n') }}
            {%- else %}
                {{- '<|im_start|>' + message.role + '\\n' + content }}
            {%- endif %}
        {%- else %}
            {{- '<|im_start|>' + message.role + '\\n' + content }}
        {%- endif %}
        {%- if message.tool_calls %}
            {%- for tool_call in message.tool_calls %}
                {%- if (loop.first and content) or (not loop.first) %}
                    {{- '\\n' }}
                {%- endif %}
                {%- if tool_call.function %}
                    {%- set tool_call = tool_call.function %}
                {%- endif %}
                {{- '<tool_call>\\n{"name": "' }}
                {{- tool_call.name }}
                {{- '", "arguments": ' }}
                {%- if tool_call.arguments is string %}
                    {{- tool_call.arguments }}
                {%- else %}
                    {{- tool_call.arguments | tojson }}
                {%- endif %}
                {{- '}\\n</tool_call>' }}
            {%- endfor %}
        {%- endif %}
        {{- '<|im_end|>\\n' }}
    {%- elif message.role == "tool" %}
        {%- if loop.first or (messages[loop.index0 - 1].role != "tool") %}
            {{- '<|im_start|>user' }}
        {%- endif %}
        {{- '\\n<tool_response>\\n' }}
        {{- content }}
        {{- '\\n</tool_response>' }}
        {%- if loop.last or (messages[loop.index0 + 1].role != "tool") %}
            {{- '<|im_end|>\\n' }}
        {%- endif %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\\n\\n</think>\\n\\n' }}
    {%- endif %}
{%- endif %}"""

ALTERNATING = """{{ bos_token }}{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) \
%}{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}\
{% if message['role'] == 'user' %}{{ '[INST] ' + message['content'] + ' [/INST]' }}{% elif message['role'] == \
'assistant' %}{{ message['content'] + eos_token }}{% else %}{{ raise_exception('Only user and assistant roles are \
supported!') }}{% endif %}{% endfor %}"""

MACROS = """{%- macro kind(spec, fallback='any') -%}
    {%- if spec.type is undefined -%}{{ fallback }}
    {%- elif spec.type is string and spec.type != 'array' -%}{{ spec.type }}
    {%- elif spec.type == 'array' -%}list<{{ kind(spec['items'], fallback='?') }}>
    {%- else -%}{{ spec.type | join(' | ') }}{%- endif -%}
{%- endmacro -%}
{%- macro describe(tool) -%}
function {{ tool.name }}(
{%- for name, spec in tool.parameters.properties | dictsort -%}
    {{ name }}{{ '?' if name not in tool.parameters.required | default([]) }}: {{ kind(spec) }}
    {%- if spec.enum %} in {{ spec.enum | map('tojson') | join(', ') }}{% endif -%}
    {{- ', ' if not loop.last -}}
{%- endfor -%}
)
{%- if tool.description %}  // {{ tool.description | trim | replace('\\n', ' ') }}{% endif %}
{%- endmacro -%}
{% for tool in tools %}
{{ describe(tool.function) | indent(2, first=true) }}
{% endfor %}
{% set roles %}{% for m in messages %}{{ m.role }}{% if not loop.last %},{% endif %}{% endfor %}{% endset %}
roles={{ roles.split(',') | unique | list }} last={{ (messages | last).content[:5] }} users={{ messages | selectattr('role', 'equalto', 'user') | list | length }}
{% for m in messages recursive %}{{ loop.depth }}:{{ m.role | upper }} {% if loop.previtem is defined and loop.previtem.role == m.role %}(again){% endif %}{{ loop.revindex }} {{ loop.cycle('a', 'b') }}
{% endfor %}"""

TOOLS = [
    {"type": "function", "function": {
        "name": "get_weather", "description": "The weather\nin a town <now> & \"later\"",
        "parameters": {"type": "object", "properties": {
            "town": {"type": "string", "description": "Zürich, 北京 …"},
            "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
            "days": {"type": "array", "items": {"type": "integer"}}},
            "required": ["town"]}}},
    {"type": "function", "function": {
        "name": "now", "parameters": {"type": "object", "properties": {}}}}]

CHATS = {
    "one": [{"role": "user", "content": "Hello"}],
    "system": [{"role": "system", "content": " Be kind.\n"}, {"role": "user", "content": " Hi there \n"}],
    "many": [{"role": "system", "content": "You are a bot."},
             {"role": "user", "content": "1 + 1?"}, {"role": "assistant", "content": "2"},
             {"role": "user", "content": "  And 2 + 2?\t"}, {"role": "assistant", "content": "4\n"},
             {"role": "user", "content": "Grüße aus 東京 🎉 <|eot_id|> {{ x }}"}],
    "ends_with_answer": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}],
    "thinking": [{"role": "user", "content": "q1"},
                 {"role": "assistant", "content": "<think>\nold\n</think>\n\nanswer 1"},
                 {"role": "user", "content": "q2"},
                 {"role": "assistant", "content": "<think>\nnew thought\n</think>\n\nanswer 2"}],
    "reasoning": [{"role": "user", "content": "q"},
                  {"role": "assistant", "reasoning_content": "\nhm\n", "content": "\n\na"}],
    "tool_calls": [{"role": "system", "content": "S"}, {"role": "user", "content": "Weather?"},
                   {"role": "assistant", "content": "", "tool_calls": [
                       {"type": "function", "function": {
                           "name": "get_weather",
                           "arguments": {"town": "Zürich \"old\"", "days": [1, 2], "exact": True,
                                         "limit": 1.5, "none": None}}}]},
                   {"role": "tool", "content": "sunny"}, {"role": "tool", "content": "warm"},
                   {"role": "assistant", "content": "Sunny and warm."}],
    "alternates_not": [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}],
    "empty": [],
}


def models():
    cases = []
    templates = {"llama3": LLAMA3, "llama31": LLAMA31, "chatml": CHATML,
                 "chatml_generation": CHATML_GENERATION, "bitnet": BITNET, "falcon3": FALCON3,
                 "qwen3": QWEN3, "alternating": ALTERNATING, "macros": MACROS}
    for model, template in templates.items():
        for chat, messages in CHATS.items():
            for prompt in (True, False):
                for tools in (None, TOOLS):
                    if tools and model not in ("llama31", "falcon3", "qwen3", "macros"):
                        continue
                    context = {"messages": messages, "tools": tools, "add_generation_prompt": prompt,
                               "bos_token": "<|begin|>", "eos_token": "<|end|>"}
                    if chat == "one" and model == "qwen3":
                        context["enable_thinking"] = False
                    name = f"{model}/{chat}{'/prompt' if prompt else ''}{'/tools' if tools else ''}"
                    cases.append(case(name, template, context))
    return cases


# ---- One construct a case.

CONTEXT = {
    "messages": [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "World"}],
    "text": "  The quick, brown fox\njumps.\t", "name": "Zoë O'Neil", "empty": "", "n": 7, "m": -3,
    "x": 2.5, "big": 1e16, "small": 1e-5, "yes": True, "no": False, "nothing": None,
    "numbers": [3, 1, 2], "words": ["pear", "Apple", "fig"], "mixed": [1, "a", None, True, 2.0, ["x"]],
    "map": {"b": 1, "a": {"c": [10, 20]}, "items": "shadow"}, "pairs": [["k", 1], ["l", 2]],
    "people": [{"name": "Ann", "age": 30}, {"name": "bob", "age": 25}, {"name": "Cid"}],
    "bos_token": "<s>",
}


def constructs():
    lines = (pathlib.Path(__file__).parent / "chat_constructs.txt").read_text(encoding="utf-8")
    cases = []
    for number, block in enumerate(lines.split("\n%%%\n")):
        cases.append(case(f"construct {number}", block, CONTEXT))
    return cases


# ---- Random templates.

class Maker:
    def __init__(self, seed):
        self.random = random.Random(seed)
        self.loops = 0

    def pick(self, *choices):
        return self.random.choice(choices)

    def name(self):
        names = ["text", "name", "empty", "n", "m", "x", "yes", "no", "nothing", "numbers", "words",
                 "mixed", "map", "pairs", "people", "missing", "messages", "v", "w"]
        return self.random.choice(names + (["loop.index", "loop.last", "loop.first", "loop.index0",
                                            "loop.length", "loop.previtem", "loop.revindex", "item"] * 2
                                           if self.loops else []))

    def literal(self):
        return self.pick("1", "0", "-2", "2.5", "'a'", "'a, b'", "''", "[]", "[1, 'z']", "{'k': 2}", "true",
                         "none", "(1, 2)", "'\\n x '", "\"it's\"", "10", "'é'", "{}", "false", "3.0")

    def expression(self, depth):
        r = self.random.random()
        if depth <= 0 or r < 0.25:
            return self.name() if self.random.random() < 0.65 else self.literal()
        e = lambda: self.expression(depth - 1)
        if r < 0.33:
            return f"{e()} {self.pick('+', '-', '*', '/', '//', '%', '~', '~', '+')} {e()}"
        if r < 0.40:
            return f"{e()} {self.pick('==', '!=', '<', '>', '<=', '>=', 'in', 'not in')} {e()}"
        if r < 0.47:
            return f"({e()}) {self.pick('and', 'or')} {e()}"
        if r < 0.50:
            return self.pick("not ", "-", "not not ", "+") + e()
        if r < 0.55:
            return f"({e()} if {e()} else {e()})" if self.random.random() < 0.7 else f"({e()} if {e()})"
        if r < 0.60:
            part = lambda: self.pick("", "", "1", "-1", "2", "n", "0", "-2")
            index = self.pick(part() + ":" + part(), part() + ":" + part() + ":" + self.pick("", "2", "-1"),
                              self.pick("0", "-1", "1", "'a'", "'name'", "n"))
            return f"{self.name()}[{index}]"
        if r < 0.65:
            attribute = self.pick("a", "b", "items", "name", "c", "role", "content", "age")
            return f"{self.name()}.{attribute}"
        if r < 0.78:
            method = self.pick(
                "strip()", "lstrip()", "rstrip()", "split()", "split(',')", "split('o', 1)", "upper()",
                "lower()", "title()", "startswith('T')", "endswith('.')", "replace('o', '0')", "find('o')",
                "count('o')", "items()", "keys()", "get('a')", "get('zz', 3)", "strip(' .')", "capitalize()",
                "rsplit('o', 1)", "splitlines()", "join(words)", "isdigit()", "rfind('o')", "values()",
                "rsplit()", "partition('o')", "isalpha()", "isupper()", "islower()", "index(1)",
                "removeprefix('T')", "rstrip('\\t\\n')")
            return f"{self.pick(self.name(), '(' + e() + ')', self.name())}.{method}"
        if r < 0.92:
            filters = self.pick(
                "trim", "upper", "lower", "capitalize", "title", "length", "list", "first", "last",
                "join", "join(', ')", "default('d')", "default('d', true)", "string", "int", "float", "abs",
                "round", "round(1)", "reverse", "sort", "unique", "tojson", "tojson(indent=2)", "items",
                "dictsort", "sum", "min", "max", "map('upper')", "map(attribute='name')", "select",
                "select('string')", "reject('none')", "selectattr('age')", "replace('o', '0')", "indent",
                "indent(2, true)", "wordcount", "count", "selectattr('age', 'gt', 26)",
                "rejectattr('age', 'defined')", "map(attribute='age', default=0)", "sort(reverse=true)",
                "sort(attribute='name')", "join(d='-')", "d(1)", "map('length')", "tojson(sort_keys=true)",
                "replace('', '-')", "replace('o', '0', 1)", "trim('.')", "sum(start=2)")
            tail = self.pick("", "", "|list", "|string", "|length", "|first")
            return f"{self.pick(self.name(), '(' + e() + ')', self.name())}|{filters}{tail}"
        tests = self.pick("defined", "undefined", "none", "string", "number", "integer", "float", "mapping",
                          "sequence", "iterable", "boolean", "true", "false", "not none", "not defined",
                          "odd", "even", "divisibleby(2)", "eq(1)", "in(mixed)", "in [1, 2]", "lt 3",
                          "upper", "lower", "sameas none", "callable", "equalto 'a'", "ge(2)")
        return f"({self.pick(self.name(), '(' + e() + ')')} is {tests})"

    def space(self):
        return self.pick("", "", " ", "\n", "\n  ", "  \n", "  ", "\n\n", "x", " y ", "\n z\n")

    def block(self, kind):
        return self.pick("{%", "{%", "{%-", "{%+") + f" {kind} " + self.pick("%}", "%}", "-%}", "+%}")

    def output(self, depth):
        return self.pick("{{", "{{", "{{-") + f" {self.expression(depth)} " + self.pick("}}", "}}", "-}}")

    def body(self, depth):
        return "".join(self.space() + self.statement(depth) for _ in range(self.random.randint(1, 3))) + \
            self.space()

    def statement(self, depth):
        r = self.random.random()
        if depth <= 0 or r < 0.4:
            return self.output(2)
        if r < 0.52:
            text = self.block(f"if {self.expression(2)}") + self.body(depth - 1)
            if self.random.random() < 0.3:
                text += self.block(f"elif {self.expression(1)}") + self.body(depth - 1)
            if self.random.random() < 0.5:
                text += self.block("else") + self.body(depth - 1)
            return text + self.block("endif")
        if r < 0.70:
            target = self.pick("item", "item", "item", "v", "v, w")
            source = {"v, w": self.pick("map.items()", "pairs", "map|dictsort", "map|items")}.get(
                target, self.pick("numbers", "words", "people", "messages", "range(3)", "text", "map",
                                  "mixed", "missing", self.expression(1)))
            condition = self.pick("", "", "", " if " + ("v" if "v" in target else "item"))
            self.loops += 1
            inside = self.body(depth - 1)
            if self.random.random() < 0.15:
                inside += self.block("if loop.index == 2") + self.block(self.pick("break", "continue")) + \
                    self.block("endif") + self.space()
            self.loops -= 1
            text = self.block(f"for {target} in {source}{condition}") + inside
            if self.random.random() < 0.2:
                text += self.block("else") + self.body(depth - 1)
            return text + self.block("endfor")
        if r < 0.80:
            return self.block(f"set {self.pick('v', 'w', 'v, w')} = {self.expression(2)}")
        if r < 0.84:
            tail = self.pick("", "|upper", "|trim")
            return self.block(f"set v{' ' + tail if tail else ''}") + self.body(depth - 1) + \
                self.block("endset")
        if r < 0.89:
            return (self.block("set ns = namespace(v=0)") + self.block("for item in numbers") +
                    self.block(f"set ns.v = {self.pick('ns.v + item', 'loop.index', 'item')}") +
                    self.block("endfor") + "{{ ns.v }}")
        if r < 0.94:
            loops, self.loops = self.loops, 0
            inside = self.body(depth - 1)
            self.loops = loops
            call = self.pick("f()", "f(1)", "f(v=n)", "f('a', w='b')", "f(1, 2)", "f(w=name)")
            return self.block("macro f(v, w='d')") + inside + self.block("endmacro") + "{{ " + call + " }}"
        if r < 0.96:
            return self.pick("{#", "{#-") + " note " + self.pick("#}", "-#}")
        if r < 0.98:
            return self.block(f"with v = {self.expression(1)}") + self.body(depth - 1) + self.block("endwith")
        return self.block(f"filter {self.pick('upper', 'trim', 'indent')}") + self.body(depth - 1) + \
            self.block("endfilter")


def random_cases(count, seed):
    for number in range(count):
        maker = Maker(f"{seed}/{number}")
        template = maker.body(maker.pick(0, 1, 2, 3))
        yield case(f"random {seed}/{number}", template, CONTEXT)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--random", nargs=2, metavar=("N", "SEED"))
    parser.add_argument("--keep", type=int, default=0)
    arguments = parser.parse_args()
    if not arguments.random:
        write("models", models())
        write("constructs", constructs())
        return
    cases = random_cases(int(arguments.random[0]), arguments.random[1])
    if arguments.keep:
        # Of a result that nobody looks at, Python may not notice that it fails.
        lazy = ("map(", "attr(", "select", "reject", "unique", "items", "reverse")
        good = [c for c in cases if "expected" in c and 40 < len(c["template"]) < 400
                and " % " not in c["template"] and not any(word in c["expected"] for word in ("<built-in", "dict_"))
                and not any(word in c["template"] and word + "|list" not in c["template"]
                            for word in lazy)]
        write("random", good[:arguments.keep])
        return
    for c in cases:
        print(json.dumps(c))


if __name__ == "__main__":
    main()
