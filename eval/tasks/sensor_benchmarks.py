"""Benchmarks of 3D objects, depth, thermal pictures and inertial recordings on their official files."""

from eval.data.labels import readable
from eval.data.sets.depth_thermal import NYU_SCENES, SUN_SCENES
from eval.data.sets.three_d import MODELNET_40, SCAN_OBJECT_NN
from eval.tasks import instructblip
from eval.tasks.benchmark_tasks import captions, classes

_OBJECT = "What is this object?"
_AN_OBJECT = "a 3d model of a {answer}"
_SCENE = "What kind of room is this?"
_DESCRIBE = "describe the 3d model"  # X-InstructBLIP
_CAPTION = "Describe the 3D model in one sentence."
_MODELNET_NAMES = [readable(name) for name in MODELNET_40]
# X-InstructBLIP's captions of objects have no penalty of length.
_INSTRUCTBLIP_3D = {**instructblip.CAPTION, "length_penalty": 0.0}

OBJECTS = (
    classes(
        "modelnet40",
        "official:modelnet40/test",
        "point_cloud",
        "ModelNet40, test: which of 40 kinds of object is it?",
        prompt=_OBJECT,
        answer_form=_AN_OBJECT,
        names=_MODELNET_NAMES,
    ),
    classes(
        "modelnet40-instructblip",
        "official:modelnet40/test",
        "point_cloud",
        "ModelNet40 as X-InstructBLIP asks it: its prompt and candidates, ranked by the sum.",
        prompt="describe the 3d model.",
        answer_form=_AN_OBJECT,
        names=_MODELNET_NAMES,
        scorer="classification-sum-v1",
    ),
    *(
        classes(
            f"scanobjectnn-{variant}",
            f"official:scanobjectnn/{variant}",
            "point_cloud",
            f"ScanObjectNN, {variant.upper()}: which of 15 kinds of scanned object is it?",
            prompt=_OBJECT,
            answer_form=_AN_OBJECT,
            names=SCAN_OBJECT_NN,
        )
        for variant in ("pb-t50-rs", "obj-bg", "obj-only")
    ),
    classes(
        "objaverse-lvis",
        "official:objaverse-lvis/all",
        "point_cloud",
        "Objaverse-LVIS: which of 1,156 categories is it?",
        prompt=_OBJECT,
        answer_form=_AN_OBJECT,
    ),
    captions(
        "cap3d",
        "official:cap3d/pointllm-3000",
        "point_cloud",
        "Cap3D, PointLLM's 3,000 objects: a caption.",
        prompt=_CAPTION,
    ),
    captions(
        "cap3d-instructblip",
        "official:cap3d/val",
        "point_cloud",
        "Cap3D as X-InstructBLIP asks it: its held-out part and prompt, five beams.",
        prompt=_DESCRIBE,
        settings=_INSTRUCTBLIP_3D,
    ),
    captions(
        "pointllm-captions",
        "official:pointllm/val-200",
        "point_cloud",
        "PointLLM's 200 objects, with its prompt: a caption by people.",
        prompt="Caption this 3D model in detail.",
        settings={"max_new_tokens": 128},
    ),
)
SENSORS = (
    classes(
        "nyu-d",
        "official:nyu-d/val",
        "depth",
        "NYU-D: which of 10 kinds of room is it, by depth alone?",
        prompt=_SCENE,
        names=[readable(name) for name in NYU_SCENES],
    ),
    classes(
        "sun-d",
        "official:sun-d/test",
        "depth",
        "SUN-D: which of 19 kinds of room is it, by depth alone?",
        prompt=_SCENE,
        names=[readable(name) for name in SUN_SCENES],
    ),
    classes(
        "llvip",
        "official:llvip/val",
        "thermal",
        "LLVIP: is there a person in the thermal picture?",
        prompt="What does the thermal picture show?",
        names=("person", "background"),
    ),
    classes(
        "flir-v1",
        "official:flir-v1/val",
        "thermal",
        "FLIR v1: which of four things does the thermal picture show?",
        prompt="What does the thermal picture show?",
        names=("bicycle", "car", "dog", "person"),
    ),
    classes(
        "ego4d-imu",
        "official:ego4d-imu/test",
        "imu",
        "Ego4D: what does the wearer of the sensor do?",
        prompt="What is the person doing?",
    ),
)
TASKS = (*OBJECTS, *SENSORS)
