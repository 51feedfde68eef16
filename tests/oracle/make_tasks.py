"""Writes tests/oracle/fixtures/tasks: items of every task that are made up here, two small random models (a Llama whose
tokenizer puts BOS, a GPT-2 whose tokenizer does not), and what lm-evaluation-harness makes of them: log-likelihoods of all
choices, which are greedy, which items count as right. The GPTQ authors' form of LAMBADA, and the first release's with
its quotation marks changed, which the harness does not have, are computed by transformers alone.

    python3 -m venv venv && venv/bin/pip install torch transformers==5.2.* lm-eval==0.4.13 accelerate
    venv/bin/python tests/oracle/make_tasks.py
"""

import json
import os
import random
import re

os.environ.update(HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1", TOKENIZERS_PARALLELISM="false")

import lm_eval
import torch
import transformers
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "fixtures", "tasks")
TIE = 1e-3  # decisions closer than this could come out otherwise elsewhere

WHO = ["the old gardener", "Mara", "a tired clerk", "the twins", "Dr. Okoye", "someone from the mill", "the goalkeeper"]
WHAT = ["a bucket of rain", "two letters", "the copper kettle", "a map", "bread", "the spare key", "an umbrella"]
WHERE = ["the greenhouse", "a harbour", "the attic", "town", "the long corridor", "the river", "the platform"]
DID = ["carried", "forgot", "painted", "sold", "found", "counted", "hid"]


def some(r):
    return "%s %s %s near %s" % (r.choice(WHO), r.choice(DID), r.choice(WHAT), r.choice(WHERE))


def lambada(r):
    for i in range(7):
        word = r.choice(["kettle", "map", "harbour", "attic", "umbrella"])
        yield {"text": "%s. Later %s. Nobody asked about the %s, so I kept the %s" % (some(r), some(r), word, word)}
    yield {"text": "“Wait,” she said. ''It is ``here'' again.\n\n\"A kettle?\" The “kettle"}
    yield {"text": "  two spaces  inside and before:  the  river"}
    yield {"text": "À côté du port, naïve façade; Ωmega… the café"}
    yield {"text": "He said don't and then he didn't"}
    yield {"text": " ".join(some(r) for _ in range(12)) + " at the attic"}  # longer than the models' contexts


def standard(r):
    yield "`` wait , '' she said , `` the map is gone . '' he looked for the map"
    yield "they do n't know who sold the kettle , but everyone wants the kettle"
    yield "her mother 's “ old ” house stood by the river , behind the river"
    for i in range(5):
        yield "%s , and %s . so much for the %s" % (some(r), some(r), r.choice(["river", "map", "attic"]))


def hellaswag(r):
    for i in range(8):
        yield {"activity_label": r.choice(["Baking", "Washing dishes", "Playing chess"]), "ctx_a": some(r).capitalize() + ".",
               "ctx_b": r.choice(["he", "she", "the TWINS", "a man"]), "endings": [some(r) + "." for _ in range(4)],
               "label": str(r.randrange(4))}
    yield {"activity_label": "Home and Garden", "ctx_a": "[header] How to mend a kettle [title] Find the leak. [step] Look.",
           "ctx_b": "", "endings": ["[substeps] Use  a   lamp.", "Sell it [title] Soon. [step] Wait.", " Ask a friend. ",
                                    "Paint [the attic\n] and wait."], "label": "0"}
    yield {"activity_label": "Reading", "ctx_a": "", "ctx_b": "ÉTÉ À PARIS", "endings": ["l’été", "naïve", "x", "(no)"],
           "label": "1"}
    yield {"activity_label": "Trailing ", "ctx_a": "A clerk sits.", "ctx_b": "ßtrange ODYSSEUS ΟΔΥΣΣΕΥΣ", "label": 2,
           "endings": ["goes", "sits down", "stands  up", "is a very long ending that goes on for some more words"]}
    yield {"activity_label": "Long", "ctx_a": " ".join(some(r) for _ in range(10)), "ctx_b": "they", "label": "3",
           "endings": ["stop.", "go on.", "sleep.", "count the copper kettles."]}


def piqa(r):
    for i in range(9):
        yield {"goal": "how do you keep %s dry?" % r.choice(WHAT), "sol1": "put it in %s" % r.choice(WHERE),
               "sol2": "ask %s, then %s" % (r.choice(WHO), some(r)), "label": r.randrange(2)}
    yield {"goal": "", "sol1": "yes", "sol2": "no", "label": 0}
    yield {"goal": "  spaces around  ", "sol1": " leading", "sol2": "trailing ", "label": 1}
    yield {"goal": "température idéale?", "sol1": "20 °C", "sol2": "−5 °C", "label": 0}


def arc(r):
    for i in range(9):
        n = r.choice([3, 4, 4, 5])
        labels = ["A", "B", "C", "D", "E"][:n] if i % 3 else ["1", "2", "3", "4", "5"][:n]
        yield {"id": "x%d" % i, "question": "Which of these did %s find?" % r.choice(WHO),
               "choices": {"text": [r.choice(WHAT) + " " + str(k) for k in range(n)], "label": labels},
               "answerKey": r.choice(labels)}
    yield {"id": "u", "question": "Où est le café?", "choices": {"text": ["ici", "là-bas"], "label": ["A", "B"]},
           "answerKey": "B"}
    yield {"id": "q", "question": "A question with\ttab and  spaces ", "choices": {"text": ["one", "two"], "label": ["A", "B"]},
           "answerKey": "A"}
    yield {"id": "l", "question": " ".join(some(r) for _ in range(9)), "answerKey": "C",
           "choices": {"text": ["a", "bb", "ccc", "dddd"], "label": ["A", "B", "C", "D"]}}


def openbookqa(r):
    for i in range(9):
        yield {"id": "o%d" % i, "question_stem": "%s would need" % r.choice(WHO).capitalize(),
               "choices": {"text": [r.choice(WHAT) + "s" * k for k in range(4)], "label": ["A", "B", "C", "D"]},
               "answerKey": r.choice("ABCD")}
    two = {"label": ["A", "B"]}
    yield {"id": "e", "question_stem": "", "choices": {"text": ["alone", "river"], **two}, "answerKey": "A"}
    yield {"id": "s", "question_stem": "It ends in spaces   ", "choices": {"text": ["now", "later"], **two}, "answerKey": " B"}
    yield {"id": "n", "question_stem": "It ends in a line end\n", "choices": {"text": ["now", "later"], **two},
           "answerKey": "A"}


def winogrande(r):
    for i in range(9):
        yield {"sentence": "%s called, but _ had %s already." % (r.choice(WHO), r.choice(DID)), "option1": r.choice(WHO),
               "option2": r.choice(WHO[:3]) + " too", "answer": r.choice("12")}
    yield {"sentence": "_ was first.", "option1": "Ann", "option2": "Élodie", "answer": "2"}
    yield {"sentence": "The kettle is _  , said  Ann . ", "option1": "new", "option2": "old ", "answer": "1"}
    yield {"sentence": "One _ and two _ gaps.", "option1": "map", "option2": "key", "answer": "1"}


def boolq(r):
    for i in range(10):
        yield {"passage": "%s. %s." % (some(r), some(r)), "question": "did %s find %s" % (r.choice(WHO), r.choice(WHAT)),
               "label": r.randrange(2)}
    yield {"passage": "", "question": "is it empty", "label": 1}
    yield {"passage": " ".join(some(r) for _ in range(11)), "question": "is it long", "label": 1}


FORMS = {"hellaswag": hellaswag, "piqa": piqa, "arc": arc, "winogrande": winogrande, "openbookqa": openbookqa,
         "boolq": boolq}
TASK = {"arc": "arc_easy"}


def train_tokenizer(texts, post):
    special = ["<s>", "</s>"] if post else ["<|endoftext|>"]
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    t.decoder = decoders.ByteLevel()
    t.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=256 + 60, special_tokens=special, show_progress=False,
                                                     initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    if post:
        t.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    words = {"bos_token": special[0], "eos_token": special[-1]}
    return transformers.PreTrainedTokenizerFast(tokenizer_object=t, **words)


def make_model(name, tokenizer, texts):
    torch.manual_seed({"llama": 3, "gpt2": 4}[name])
    ids = {"vocab_size": len(tokenizer), "bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    if name == "llama":
        m = transformers.LlamaForCausalLM(transformers.LlamaConfig(
            hidden_size=16, intermediate_size=24, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=1,
            max_position_embeddings=112, tie_word_embeddings=True, **ids))
    else:
        m = transformers.GPT2LMHeadModel(transformers.GPT2Config(n_embd=16, n_layer=1, n_head=2, n_positions=96, **ids))
    # A little training, so that some last words are the most likely ones.
    adam = torch.optim.Adam(m.parameters(), lr=1e-2)
    rows = [tokenizer(t, return_tensors="pt").input_ids[:, :90] for t in texts]
    for step in range(600):
        x = rows[step % len(rows)]
        loss = m(input_ids=x, labels=x).loss
        adam.zero_grad()
        loss.backward()
        adam.step()
    return m.to(torch.bfloat16)


MANAGER = TaskManager()


def samples(lm, task, path):
    split = {"validation_split": "validation", "test_split": None, "training_split": None}
    own = {"dataset_path": "json", "dataset_name": None,
           "dataset_kwargs": {"data_files": {"validation": path}}, **split}
    of_file = MANAGER._factory.build(MANAGER._entry(task), overrides=own, registry=MANAGER._index)
    got = lm_eval.simple_evaluate(model=lm, tasks=[of_file], task_manager=MANAGER, num_fewshot=0, log_samples=True, bootstrap_iters=0,
                                  cache_requests=False)
    by_id = sorted(got["samples"][task], key=lambda s: s["doc_id"])
    values = {k.split(",")[0]: v for k, v in got["results"][task].items() if "," in k}
    return by_id, {k: v for k, v in values.items() if isinstance(v, float)}


def apart_enough(values, what):
    first = sorted(values, reverse=True)[:2]
    assert first[0] - first[1] > TIE, (what, values)


def choices(lm, form, path):
    by_id, total = samples(lm, TASK.get(form, form), path)
    items = []
    for s in by_id:
        ll = [float(x[0][0]) if isinstance(x[0], (list, tuple)) else float(x[0]) for x in s["resps"]]
        apart_enough(ll, (form, s["doc_id"]))
        items.append({"ll": [round(x, 5) for x in ll], "acc": int(s["acc"]), **({"acc_norm": int(s["acc_norm"])} if "acc_norm" in s else {})})
    return {"items": items, "acc": total["acc"], **({"acc_norm": total["acc_norm"]} if "acc_norm" in total else {})}


def last_words(lm, task, path):
    by_id, total = samples(lm, task, path)
    return {"items": [{"ll": [round(float(s["resps"][0][0][0]), 5)], "acc": int(s["acc"])} for s in by_id],
            "acc": total["acc"], "ppl": total["perplexity"]}


def score(m, tokenizer, context, continuation):
    most = m.config.max_position_embeddings
    ids = (context + continuation)[-(most + 1):]
    with torch.no_grad():
        logits = m(input_ids=torch.tensor([ids[:-1]])).logits[0].double()
    rows = torch.log_softmax(logits, -1)[-len(continuation):]
    for row in rows:
        apart_enough(row.tolist(), "greedy")
    ll = sum(float(rows[i, t]) for i, t in enumerate(continuation))
    return {"ll": [round(ll, 5)], "acc": int(all(int(rows[i].argmax()) == t for i, t in enumerate(continuation)))}


def quotes(text):
    return "\n" + re.sub("“|”|''|``", '"', text.strip()).strip()


def own(m, tokenizer, texts, variant):
    items = []
    for text in texts:
        changed = quotes(text)
        if variant == "normalized":  # no BOS; the last word as it is in the text; both encoded apart
            context, word = changed.rsplit(" ", 1)[0], " " + text.rsplit(" ", 1)[1]
            items.append(score(m, tokenizer, tokenizer.encode(context, add_special_tokens=False),
                               tokenizer.encode(word, add_special_tokens=False)))
        else:
            context, word = changed.rsplit(" ", 1)
            stripped = context.rstrip()
            whole, first = tokenizer.encode(changed), tokenizer.encode(stripped)
            items.append(score(m, tokenizer, first, whole[len(first):]))
    return {"items": items, "acc": sum(i["acc"] for i in items) / len(items)}


def write_lines(name, rows):
    path = os.path.join(OUT, name)
    with open(path, "w") as f:
        for row in rows:
            f.write(row + "\n" if isinstance(row, str) else json.dumps(row, ensure_ascii=False) + "\n")
    return path


def main():
    torch.set_num_threads(1)
    os.makedirs(OUT, exist_ok=True)
    r = random.Random(13)
    passages = list(lambada(r))
    tokens_apart = list(standard(r))
    files = {"lambada": write_lines("lambada.jsonl", passages), "standard": write_lines("standard.txt", tokens_apart)}
    rows = {form: list(make(r)) for form, make in FORMS.items()}
    for form in FORMS:
        files[form] = write_lines(form + ".jsonl", rows[form])
    as_json = os.path.join(OUT, "standard.tmp.jsonl")
    write_lines("standard.tmp.jsonl", [{"text": t} for t in tokens_apart])
    out = {"made_by": "lm-eval %s, transformers %s" % (lm_eval.__version__, transformers.__version__)}
    texts = [p["text"] for p in passages] + tokens_apart
    for name in ("llama", "gpt2"):
        tokenizer = train_tokenizer(texts, name == "llama")
        m = make_model(name, tokenizer, texts)
        folder = os.path.join(OUT, name)
        m.save_pretrained(folder)
        # What the file holds is what is computed with.
        m = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        tokenizer.save_pretrained(folder)
        os.remove(os.path.join(folder, "generation_config.json"))
        for file in ("tokenizer.json", "config.json"):
            with open(os.path.join(folder, file)) as f:
                content = json.load(f)
            with open(os.path.join(folder, file), "w") as f:
                json.dump(content, f, ensure_ascii=False, separators=(",", ":"))
        os.chmod(os.path.join(folder, "model.safetensors"), 0o644)
        lm = HFLM(pretrained=m, tokenizer=tokenizer, batch_size=1, dtype="float32")
        got = {form: choices(lm, form, files[form]) for form in FORMS}
        got["lambada openai"] = last_words(lm, "lambada_openai", files["lambada"])
        got["lambada standard"] = last_words(lm, "lambada_standard", as_json)
        lm.add_bos_token = False
        got["lambada openai never"] = last_words(lm, "lambada_openai", files["lambada"])
        got["lambada normalized never"] = own(m, tokenizer, [p["text"] for p in passages], "normalized")
        got["lambada detokenized"] = own(m, tokenizer, tokens_apart, "detokenized")
        out[name] = got
        print(name, {k: (v["acc"], v.get("acc_norm")) for k, v in got.items()})
    os.remove(as_json)
    with open(os.path.join(OUT, "expected.json"), "w") as f:
        f.write(json.dumps(out, separators=(",", ":")).replace("},{", "},\n{").replace("],\"", "],\n\"") + "\n")


main()
