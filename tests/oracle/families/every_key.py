"""Every key that transformers' config class of a family has, absent, null and with other values; and keys of hub files.

    tries(module, which, config)     [(changes of config.json, ...)]

Keys are those of the written config.json, of the class (its fields, aliases) and of HUB; values follow from the present value, the
default or the field's type. Switches are also turned two at a time. A module adds values by EVERY_KEY = {key: [values]} and
combinations by FLIPS."""

from transformers import PreTrainedConfig

from families.common import ABSENT, option

# What hub files hold beside the class's keys, most of it from older versions.
HUB = dict(
    _name_or_path="somewhere/some-model", _attn_implementation_autoset=True, torch_dtype="float16", dtype="float16", transformers_version="4.31.0", auto_map={"AutoConfig": "configuration_other.OtherConfig"},
    pretraining_tp=1, rope_scaling=None, rope_theta=500.0, partial_rotary_factor=0.5, rotary_pct=0.5, attention_bias=False, mlp_bias=False, use_cache=False, unsloth_fixed=True, quantization_config=None,
    initializer_factor=1.0, attn_implementation="flash_attention_2", torchscript=True, use_bfloat16=True, tokenizer_class="PreTrainedTokenizerFast", prefix="x", finetuning_task="x", do_sample=True,
    temperature=0.5, top_k=5, top_p=0.5, max_length=5, min_length=2, num_beams=3, num_return_sequences=2, repetition_penalty=1.5, no_repeat_ngram_size=2, bad_words_ids=[[1]], early_stopping=True,
    length_penalty=2.0, diversity_penalty=0.5, typical_p=0.5, remove_invalid_values=True, output_scores=True, return_dict_in_generate=True, forced_bos_token_id=3, forced_eos_token_id=4,
    suppress_tokens=[1], begin_suppress_tokens=[2], sep_token_id=3, decoder_start_token_id=3, encoder_no_repeat_ngram_size=2, tf_legacy_loss=True, pruned_heads={}, cross_attention_hidden_size=None,
    is_decoder=True, add_cross_attention=False, tie_encoder_decoder=False, task_specific_params={"x": {}}, use_flash_attn=True, neftune_noise_alpha=5.0, gradient_checkpointing=True, some_new_key=1,
)  # fmt: skip
ROPES = [dict(rope_type="default", rope_theta=500.0), dict(rope_type="linear", rope_theta=1e4, factor=3.0), dict(rope_type="dynamic", rope_theta=1e4, factor=3.0),
         dict(rope_type="llama3", rope_theta=1e4, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=16),
         dict(rope_type="yarn", rope_theta=1e4, factor=4.0, original_max_position_embeddings=16), dict(rope_type="default", rope_theta=1e4, partial_rotary_factor=0.5), {}]  # fmt: skip
ACTS = ["relu", "gelu", "gelu_new", "gelu_pytorch_tanh", "gelu_fast", "silu", "swish", "quick_gelu", "relu2", "tanh", "sigmoid", "linear", "mish", "leaky_relu", "gelu_python", "nothing"]
# Not a matter of one model: which class it is, where files are.
LEFT = {"architectures", "model_type", "sub_configs", "id2label", "label2id", "transformers_weights", "_experts_implementation", "_attn_implementation"}


def fields_of(cls):
    out = {}
    for c in reversed(cls.__mro__):
        for name, kind in getattr(c, "__annotations__", {}).items():
            if "ClassVar" not in str(kind):
                out[name] = str(kind)
    return out


def values_of(key, now, kind, module, config):
    if key in option(module, "EVERY_KEY", {}):
        return module.EVERY_KEY[key]
    if key in ("rope_parameters", "rope_scaling"):
        return ROPES
    if key == "layer_types":
        n = config.get("num_hidden_layers", 2)
        return [["full_attention"] * n, ["sliding_attention"] * n, ["sliding_attention"] + ["full_attention"] * (n - 1), ["full_attention"] * (n + 1)]
    if key.startswith(("hidden_act", "activation")) and (isinstance(now, str) or "str" in kind):
        return ACTS
    if "dropout" in key or "pdrop" in key:
        return [0.5]
    if isinstance(now, bool) or (now is None and "bool" in kind):
        return [not now, bool(now)] if now is None else [not now]
    if isinstance(now, int) or (now is None and "int" in kind and "list" not in kind):
        return [2 * now, now + 1, 1, 0] if now else [1, 5, 0]
    if isinstance(now, float) or (now is None and "float" in kind):
        return [now / 2, 0.1] if now else [0.5]
    if isinstance(now, list) or "list" in kind:
        return [[], [0], [1], [0, 1]]
    return []


def tries(module, which, config):
    """Of the first model all; of others the class's own keys alone."""
    cls = type(module.MODELS[which])
    fields = {} if cls is dict else fields_of(cls)
    aliases = getattr(cls, "attribute_map", {})
    first, shared = which == next(iter(module.MODELS)), set(fields_of(PreTrainedConfig))
    keys = set(config) | set(fields) | set(HUB) if first else (set(config) | set(fields)) - shared - {k for k in fields if k.endswith("_token_id")}
    out = []
    for key in sorted(keys - LEFT - set(aliases)):
        now = config.get(key)
        values = [v for v in values_of(key, now, fields.get(key, ""), module, config) if v != now or type(v) is not type(now)]
        if key in HUB and key not in config and HUB[key] not in values:
            values.append(HUB[key])
        out += [{key: v} for v in values]
        if key in config:
            out.append({key: ABSENT})
        if now is not None:
            out.append({key: None})
    if first:  # switches that may matter together
        switches = [k for k in sorted(keys - shared) if isinstance(config.get(k), bool) and k in fields and k != "use_cache"]
        pairs = [(a, b) for i, a in enumerate(switches) for b in switches[i + 1 :]]
        out += [{a: not config[a], b: not config[b]} for a, b in pairs] + [{k: not config[k], "pretraining_tp": 2} for k in switches if "pretraining_tp" in config]
    for alias, key in sorted(aliases.items()):
        if key in config:
            out.append({key: ABSENT, alias: config[key]})
        elif key in fields:
            out.append({alias: getattr(module.MODELS[which], key, None)})
    if "rope_parameters" in config and first:
        flat = {k: v for k, v in config["rope_parameters"].items() if k in ("rope_theta", "partial_rotary_factor")} if isinstance(config["rope_parameters"], dict) else {}
        old = {"rope_parameters": ABSENT}
        out += [{**old, "rope_theta": 500.0}, {**old, "rope_theta": 500}, {**old, **flat, "rope_scaling": None}]
        out += [{**old, **flat, "rope_scaling": {("type" if k == "rope_type" else k): v for k, v in r.items() if k != "rope_theta"}} for r in ROPES[1:5]]
        out += [{**old, **flat, "rope_scaling": {k: v for k, v in r.items() if k != "rope_theta"}} for r in ROPES[1:2]]
    return out
