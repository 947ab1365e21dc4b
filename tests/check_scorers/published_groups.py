"""Scores of groups by the code of lmms-eval and VLMEvalKit.

Each way takes the rows of a set and, by the key that groups them, what ours gives ([groups right, items right]), and
returns (ours, theirs), in the terms of the package.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd

from eval.data.letters import LETTERS
from tests.check_scorers.option_letters import vlmevalkit_parser
from tests.check_scorers.wheels import LMMS_EVAL, VLMEVALKIT, Wheels

Way = Callable[[pd.DataFrame, Mapping[str, Sequence[float]]], tuple[Any, Any]]
_QUIET = SimpleNamespace(info=lambda text: None, warning=lambda text: None)


class PublishedGroups:
    """The functions of the packages whose wheels are there."""

    def __init__(self, wheels: Wheels) -> None:
        self._wheels = wheels

    def _lmms_eval(self, path: str, names: str, **known: Any) -> SimpleNamespace:
        return self._wheels.functions(LMMS_EVAL, f"lmms_eval/tasks/{path}", names, **known)

    def _vlmevalkit(self, path: str, names: str, **known: Any) -> SimpleNamespace:
        shared = {"pd": pd, "np": np, "defaultdict": defaultdict, "load": lambda data: data, "d2df": lambda data: data}
        return self._wheels.functions(VLMEVALKIT, f"vlmeval/dataset/utils/{path}", names, **shared, **known)

    def _ways(
        self, lmms_eval: Callable[[], Way] | None, vlmevalkit: Callable[[], Way] | None
    ) -> Iterator[tuple[str, Way]]:
        for package, make in ((LMMS_EVAL, lmms_eval), (VLMEVALKIT, vlmevalkit)):
            if make is not None and self._wheels.has(package):
                yield package, make()

    def mmvp(self) -> Iterator[tuple[str, Way]]:
        """Pairs of two questions."""

        def lmms_eval() -> Way:
            names = "mmvp_process_results mmvp_aggregate_pair_results mmvp_doc_to_target _normalize_answer"
            known = {"re": re, "Any": Any, "Dict": dict, "List": list}
            found = self._lmms_eval("mmvp/utils.py", f"{names} _extract_answer_letter", eval_logger=_QUIET, **known)

            def way(rows: pd.DataFrame, own: Mapping[str, Sequence[float]]) -> tuple[Any, Any]:
                results = [
                    found.mmvp_process_results({"Index": n, "Correct Answer": f"({'ab'[place]})"}, [text])
                    for n, (place, text) in enumerate(zip(rows["place"], rows["text"], strict=True), 1)
                ]
                pairs = found.mmvp_aggregate_pair_results([one["mmvp_pair_accuracy"] for one in results])
                return own["pair"][0], pairs

            return way

        def vlmevalkit() -> Way:
            found = self._vlmevalkit("multiple_choice.py", "report_acc_MMVP")

            def way(rows: pd.DataFrame, own: Mapping[str, Sequence[float]]) -> tuple[Any, Any]:
                hits = [said == place for said, place in zip(rows["said"], rows["place"], strict=True)]
                given = found.report_acc_MMVP(pd.DataFrame({"question": rows["group:pair"], "hit": hits}))
                return own["pair"], [given["Overall"], given["Average"]]

            return way

        return self._ways(lmms_eval, vlmevalkit)

    def circular(self) -> Iterator[tuple[str, Way]]:
        """Rotations of options."""

        def vlmevalkit() -> Way:
            parse = vlmevalkit_parser(self._wheels)
            known = {"string": SimpleNamespace(ascii_uppercase=LETTERS)}
            known["can_infer"] = lambda text, choices: parse(text, [*choices.values()]) or False
            names = "prefetch_circular_group prefetch_answer build_choices"
            found = self._vlmevalkit("multiple_choice.py", names, **known)

            def way(rows: pd.DataFrame, own: Mapping[str, Sequence[float]]) -> tuple[Any, Any]:
                right = [LETTERS[fields["right"]] for fields in rows["fields"]]
                given = found.prefetch_circular_group(rows.assign(GT=right, prediction=rows["text"]))
                return own["question"][0], float(given["hit"] if given else 0)

            return way

        return self._ways(None, vlmevalkit)

    def mme(self) -> Iterator[tuple[str, Way]]:
        """A question and its negation; the score of a category is accuracy and accuracy+, in percent."""

        def lmms_eval() -> Way:
            names = "eval_type_dict parse_pred_ans mme_process_results mme_aggregate_results"
            found = self._lmms_eval("mme/utils.py", names, defaultdict=defaultdict, eval_logger=_QUIET)

            def way(rows: pd.DataFrame, own: Mapping[str, Sequence[float]]) -> tuple[Any, Any]:
                columns = (rows["group:picture"], rows["right"], rows["text"])
                results = [
                    found.mme_process_results({"answer": right, "category": "color", "question_id": name}, [text])
                    for name, right, text in zip(*columns, strict=True)
                ]
                given = found.mme_aggregate_results([one["mme_perception_score"] for one in results])
                return sum(own["picture"]) * 100, given

            return way

        def vlmevalkit() -> Way:
            found = self._vlmevalkit("yorn.py", "MME_rating")

            def way(rows: pd.DataFrame, own: Mapping[str, Sequence[float]]) -> tuple[Any, Any]:
                data = pd.DataFrame({"image_path": rows["group:picture"], "score": _scores(rows)})
                return sum(own["picture"]) * 100, found.MME_rating(data.assign(category="color"))["color"]

            return way

        return self._ways(lmms_eval, vlmevalkit)

    def naturalbench(self) -> Iterator[tuple[str, Way]]:
        """Two questions about two pictures."""

        def lmms_eval() -> Way:
            found = self._lmms_eval("naturalbench/utils.py", "get_scores")
            return lambda rows, own: _naturalbench(found, rows, own)

        def vlmevalkit() -> Way:
            found = self._vlmevalkit("naturalbench.py", "get_scores")
            return lambda rows, own: _naturalbench(found, rows, own)

        return self._ways(lmms_eval, vlmevalkit)

    def hallusion(self) -> Iterator[tuple[str, Way]]:
        """Questions about several figures: by question, and by figure."""

        def lmms_eval() -> Way:
            found = self._lmms_eval("hallusion_bench/utils.py", "get_eval_fig get_eval_pair_all")

            def way(rows: pd.DataFrame, own: Mapping[str, Sequence[float]]) -> tuple[Any, Any]:
                data = [
                    {"category": "VD", "subcategory": "math", "set_id": row["set"], "figure_id": row["figure"]}
                    | {"question_id": row["question"], "correct": score, "said": score}
                    for (_, row), score in zip(rows.iterrows(), _scores(rows), strict=True)
                ]
                by_figure, by_question = found.get_eval_fig(data), found.get_eval_pair_all(data, "said")
                theirs = [one["correct"] / one["total"] for one in (by_question, by_figure)]
                return [own["question"][0], own["picture"][0]], theirs

            return way

        def vlmevalkit() -> Way:
            found = self._vlmevalkit("yorn.py", "Hallusion_rating")

            def way(rows: pd.DataFrame, own: Mapping[str, Sequence[float]]) -> tuple[Any, Any]:
                places = zip(rows["set"], rows["figure"], rows["question"], strict=True)
                names = [f"VD_math_x_{one}_{figure}_{question}" for one, figure, question in places]
                data = pd.DataFrame({"index": names, "l2-category": "math", "score": _scores(rows)})
                given = found.Hallusion_rating(data).iloc[0]
                theirs = [given[name] / 100 for name in ("qAcc", "fAcc", "aAcc")]
                return [own["question"][0], own["picture"][0], own["question"][1]], theirs

            return way

        return self._ways(lmms_eval, vlmevalkit)


def _scores(rows: pd.DataFrame) -> list[int]:
    return [int(text == right) for text, right in zip(rows["text"], rows["right"], strict=True)]


def _naturalbench(found: SimpleNamespace, rows: pd.DataFrame, own: Mapping[str, Sequence[float]]) -> tuple[Any, Any]:
    said = [{"Yes": 1, "No": 0}.get(text, -1) for text in rows["text"]]
    given = found.get_scores([said[start : start + 4] for start in range(0, len(said), 4)])
    ours = [own["all"][0], own["question"][0], own["picture"][0], own["all"][1]]
    return ours, [given[name] for name in ("G_Acc", "Q_Acc", "I_Acc", "Acc")]
