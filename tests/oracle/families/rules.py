"""Where a change of config.json is not expected to do here what it does in transformers: what a module lists (common.py), and what
holds for every family, each with its reason."""

from families.common import ABSENT, ANY, option

NO_STEP = {"quick_gelu", "relu2", "tanh", "linear", "mish", "leaky_relu"}
NO_KEY = {"some_new_key", "rotary_pct", "is_encoder_decoder"}
OF_ROPE = {"rope_theta", "rope_scaling", "partial_rotary_factor"}
SMALLEST = {"max_position_embeddings", "head_dim", "num_experts_per_tok"}


def value_of(config, keys, key):
    v = keys.get(key, config.get(key))
    return None if v is ABSENT else v


def says_otherwise(config, keys):
    """Rotary positions told twice and differently."""
    inner, outer = value_of(config, keys, "rope_parameters") or {}, value_of(config, keys, "rope_scaling") or {}
    inner = inner.get("full_attention", inner)  # of two tables the one that the keys outside are about
    flat = {k: v for k in ("rope_theta", "partial_rotary_factor") if (v := value_of(config, keys, k)) is not None}
    if isinstance(v := value_of(config, keys, "rotary_pct"), float):
        flat["partial_rotary_factor"] = v
    return any(k in a and a[k] != v for a, b in ((inner, outer), (inner, flat), (outer, flat)) for k, v in b.items())


def refused_everywhere(module, config, keys):
    if any(k.startswith(("hidden_act", "activation")) and isinstance(v, str) and v in NO_STEP for k, v in keys.items()):
        return "no step has this activation"
    if says_otherwise(config, keys):
        return "rotary positions told twice and differently: transformers has an order of places, which another version has not"
    for place in ("rope_parameters", "rope_scaling"):
        told = keys.get(place)
        kind = told.get("rope_type", told.get("type", "default")) if isinstance(told, dict) else "default"
        if kind not in option(module, "ROPE_KINDS", {kind}) and config.keys() & {"rope_parameters", "rope_scaling"}:
            return "not one of the family's kinds of rotary positions"
    parts = [value_of(config, keys, "partial_rotary_factor")] + [(keys.get(p) or {}).get("partial_rotary_factor") for p in ("rope_parameters", "rope_scaling") if isinstance(keys.get(p), dict)]
    if not option(module, "PARTIAL", False) and any(p not in (None, 1, 1.0) for p in parts):
        return "transformers leaves partial_rotary_factor out of this family: what a file means by it is not known"
    unknown = NO_KEY if "rope_parameters" in config else NO_KEY | OF_ROPE
    if len(keys) == 1 and any(k in unknown and k not in config and v for k, v in keys.items() if v is not ABSENT):
        return "not one of the family's keys, which may change the computation"
    if any(k in SMALLEST and v == 0 and v is not False for k, v in keys.items()):
        return "0 of what must be there"
    tied = option(module, "TIED_KEY", "tie_word_embeddings")
    if config.get(tied) is False and (keys.get(tied) is True or (keys.get(tied) is ABSENT and getattr(type(next(iter(module.MODELS.values())))(), tied, False))):
        return "the file holds a head that is not the embedding; transformers leaves one of them out"
    return None


def either_everywhere(config, keys):
    (key, value), *more = keys.items()
    if more:
        return None
    if value is None and not (isinstance(config.get(key), int) and not isinstance(config.get(key), bool)):
        return "null, which this version's strict classes refuse by its type; older ones take it"
    if key == "sliding_window" and value == 0:
        return "0, with which transformers' tokens see nothing: no window"
    if key == "num_key_value_heads" and value is None:
        return "null, which older classes take for one of a query head each"
    if key == "return_dict":
        return "the form of an output"
    if key.endswith("_token_id"):
        return "which token pads is nothing that is computed"
    if "dropout" in key or "pdrop" in key or key in ("initializer_range", "num_return_sequences", "layerdrop", "init_std", "pretraining_tp"):
        return "training and generation are not looked at"
    return None


def expected_here(module, which, config, keys, result):
    """What a change must do here, where transformers' result is this one: the same, "refused" or "either"; and why."""
    for here, there in (("refused", "REFUSED"), ("either", "EITHER")) if result == "error" else (("refused", "REFUSED"),):
        for asked, why, *models in option(module, there, []):
            if which in (models or [which]) and all(k in keys and (v is ANY and keys[k] is not ABSENT or keys[k] is v or (keys[k] == v and type(keys[k]) is type(v))) for k, v in asked.items()):
                return here, why
    why = either_everywhere(config, keys) if result == "error" else refused_everywhere(module, config, keys)
    return ("either" if result == "error" else "refused", why) if why else (result, None)
