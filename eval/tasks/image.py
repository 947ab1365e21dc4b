"""Picture tasks on stamps (tuxpaint) and fashion-MNIST."""

from eval.task import Choose, Generate, Probe, Task

STAMPS_TEST = "starter:stamps/image-test.jsonl"
STAMPS_TRAIN = "starter:stamps/image-train.jsonl"
PROMPT = "Describe the picture."

# The top folders of the stamps, as words that a caption would use.
STAMP_CATEGORIES = {
    "animals": "an animal",
    "clothes": "clothes",
    "food": "food",
    "hobbies": "a hobby or game",
    "household": "a household object",
    "medical": "something medical",
    "military": "something military",
    "naturalforces": "weather or a force of nature",
    "people": "a person",
    "plants": "a plant",
    "seasonal": "a holiday or season",
    "space": "something in space",
    "sports": "a sport",
    "town": "something in a town",
    "vehicles": "a vehicle",
}

FASHION_CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)

TASKS = (
    Task(
        name="image-caption-choice-10",
        version=1,
        description="Which of 10 captions belongs to the picture? Captions never seen in training.",
        data=STAMPS_TEST,
        modalities=("image",),
        prompt=PROMPT,
        kind=Choose("sampled", num_candidates=10),
        scorer="choice-pmi-v1",
        num_shuffles=2,
    ),
    Task(
        name="image-caption-choice-all",
        version=1,
        description="Which of all held-out captions belongs to the picture?",
        data=STAMPS_TEST,
        modalities=("image",),
        prompt=PROMPT,
        kind=Choose("answers"),
        scorer="choice-pmi-v1",
        num_shuffles=2,
    ),
    Task(
        name="image-category",
        version=1,
        description="Which of the 15 categories does the picture belong to? Categories are never named in training.",
        data=STAMPS_TEST,
        modalities=("image",),
        prompt=PROMPT,
        kind=Choose("labels", labels=STAMP_CATEGORIES),
        scorer="choice-pmi-v1",
        target="meta:category",
        num_shuffles=4,
        probe=Probe(STAMPS_TRAIN),
    ),
    Task(
        name="image-caption",
        version=1,
        description="A caption written by the model, compared with the held-out one.",
        data=STAMPS_TEST,
        modalities=("image",),
        prompt=PROMPT,
        kind=Generate({"max_new_tokens": 24}),
        scorer="caption-cider-d-v1",
    ),
    Task(
        name="fashion-mnist",
        version=1,
        description="Which of 10 kinds of clothing is on the small grey picture? Zero-shot.",
        data="starter:fashion-mnist/image-test.jsonl",
        modalities=("image",),
        prompt=PROMPT,
        kind=Choose("labels"),
        scorer="choice-pmi-v1",
        clusters=("media",),
        num_shuffles=4,
        limit=500,
        probe=Probe("starter:fashion-mnist/image-train.jsonl", limit=1000),
    ),
)
