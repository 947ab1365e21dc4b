"""Names that keys of a recipe have in transformers, TRL, PEFT and elsewhere, for errors that name the right key."""

import difflib
from collections.abc import Collection

_OTHER_NAMES = {
    "lr": ("learning_rate", "max_lr", "peak_lr", "base_lr"),
    "batch_size": ("per_device_train_batch_size", "train_batch_size", "micro_batch_size", "batchsize", "bs"),
    "accumulation_steps": ("gradient_accumulation_steps", "grad_accum", "accumulate_grad_batches"),
    "epochs": ("num_train_epochs", "num_epochs", "max_epochs"),
    "steps": ("max_steps", "num_steps", "train_steps", "total_steps", "iterations", "max_iters"),
    "warmup_steps": ("warmup", "num_warmup_steps", "warmup_ratio"),
    "schedule": ("lr_scheduler_type", "lr_scheduler", "scheduler", "lr_schedule"),
    "optimizer": ("optim", "optimiser"),
    "precision": ("mixed_precision", "bf16", "fp16", "amp"),
    "max_grad_norm": ("clip_grad_norm", "gradient_clipping", "grad_clip", "gradient_clip_val"),
    "max_length": ("max_seq_length", "max_seq_len", "seq_length", "cutoff_len", "model_max_length"),
    "num_workers": ("dataloader_num_workers", "workers"),
    "activation_checkpointing": ("gradient_checkpointing",),
    "compile": ("torch_compile",),
    "log_every": ("logging_steps", "log_steps", "log_interval"),
    "evaluate_every": ("eval_steps", "eval_every", "eval_interval", "val_check_interval"),
    "save_every": ("save_steps", "checkpoint_every", "save_interval"),
    "keep": ("save_total_limit",),
    "resume": ("resume_from_checkpoint", "resume_from"),
    "output_dir": ("output", "out_dir", "output_folder", "save_dir", "logging_dir"),
    "name": ("model_name_or_path", "model_name", "model_id", "pretrained_model_name_or_path", "base_model"),
    "dtype": ("torch_dtype",),
    "quantization": ("load_in_4bit", "load_in_8bit", "quantization_config"),
    "attention": ("attn_implementation",),
    "r": ("rank", "lora_r", "lora_rank"),
    "alpha": ("lora_alpha",),
    "dropout": ("lora_dropout",),
    "target_modules": ("lora_target_modules",),
    "path": ("data_path", "dataset", "file", "json_file"),
    "init_args": ("args", "kwargs", "params", "config"),
    "class_path": ("class", "target", "_target_", "class_name"),
    "evaluation": ("eval", "val", "validation", "test"),
}

_FEW = 15  # names that can be read at a glance


def hint_at(name: str, allowed: Collection[str]) -> str:
    """Return what an error says after an unknown name: the closest of the allowed ones, or all if they are few.

    A name is close that is spelt alike, that begins one of them, or that means the same in another library.
    """
    plain = name.lower().replace("-", "_")
    meant = [own for own, others in _OTHER_NAMES.items() if plain in others and own in allowed]
    longer = [own for own in allowed if len(plain) > 2 and own.startswith(f"{plain}_")]
    close = meant or longer or difflib.get_close_matches(plain, allowed, n=1, cutoff=0.65)
    if close:
        return f"did you mean {close[0]!r}?"
    if len(allowed) <= _FEW:
        return f"there are {', '.join(sorted(allowed))}"
    (closest,) = difflib.get_close_matches(plain, allowed, n=1, cutoff=0)
    return f"the closest of its {len(allowed)} keys is {closest!r}"
