"""Picture tasks on stamps (tuxpaint) and fashion-MNIST."""

from eval.task import Choose, Generate, Probe, Task

STAMPS_TEST = "starter:stamps/image-test.jsonl"
STAMPS_TRAIN = "starter:stamps/image-train.jsonl"
PROMPT = "Describe the picture in a few words."

# The top folders of the stamps, put like a caption.
STAMP_CATEGORIES = {
    "animals": "An animal.",
    "clothes": "Clothes.",
    "food": "Food.",
    "hobbies": "A hobby.",
    "household": "A household object.",
    "medical": "A medical object.",
    "military": "A military object.",
    "naturalforces": "A force of nature.",
    "people": "A person.",
    "plants": "A plant.",
    "seasonal": "A holiday decoration.",
    "space": "An object in space.",
    "sports": "A sport.",
    "town": "A building or a thing in town.",
    "vehicles": "A vehicle.",
}

TASKS = (
    Task(
        name="image-caption-choice-10",
        version=3,
        description="Which of 10 captions belongs to the picture? Captions never seen in training.",
        data=STAMPS_TEST,
        modalities=("image",),
        prompt=PROMPT,
        kind=Choose("grouped", num_candidates=10),
        scorer="choice-pmi-v1",
        reference=STAMPS_TRAIN,
        num_shuffles=2,
        train=STAMPS_TRAIN,
    ),
    Task(
        name="image-caption-choice-all",
        version=2,
        description="Which of all held-out captions belongs to the picture?",
        data=STAMPS_TEST,
        modalities=("image",),
        prompt=PROMPT,
        kind=Choose("answers"),
        scorer="choice-pmi-v1",
        reference=STAMPS_TRAIN,
        num_shuffles=2,
        train=STAMPS_TRAIN,
        no_probe="captions are open-ended, there are no classes to probe for",
    ),
    Task(
        name="image-category",
        version=2,
        description="Which of the 15 categories does the picture belong to? Categories are never named in training.",
        data=STAMPS_TEST,
        modalities=("image",),
        prompt=PROMPT,
        kind=Choose("labels", labels=STAMP_CATEGORIES),
        scorer="choice-pmi-v1",
        reference=STAMPS_TRAIN,
        target="meta:category",
        num_shuffles=4,
        probe=Probe(STAMPS_TRAIN),
        train=STAMPS_TRAIN,
        train_target="answer",
    ),
    Task(
        name="image-caption",
        version=3,
        description="A caption written by the model, compared with the held-out one.",
        data=STAMPS_TEST,
        modalities=("image",),
        prompt=PROMPT,
        kind=Generate({"max_new_tokens": 24}),
        scorer="caption-cider-d-v2",
    ),
    Task(
        name="fashion-mnist",
        version=2,
        description="Which of 10 kinds of clothing is on the small grey picture? Zero-shot.",
        data="starter:fashion-mnist/image-test.jsonl",
        modalities=("image",),
        prompt=PROMPT,
        kind=Choose("labels"),
        scorer="choice-pmi-v1",
        reference="starter:fashion-mnist/image-train.jsonl",
        num_references=16,
        clusters=("media",),
        num_shuffles=4,
        limit=500,
        probe=Probe("starter:fashion-mnist/image-train.jsonl", limit=1000),
        # What the adapters of the starter recipes learn; the probe shows what training on clothes would give.
        train=STAMPS_TRAIN,
        train_target="answer",
    ),
)
