"""Models, health, measurements, tokens and hosts, and paths that there are not."""

import openai
import pytest
from prometheus_client.parser import text_string_to_metric_families

from omni.model import OmniModel
from tests.demo.server.serving import MODEL, SPACE, Running, asked, sent, serving

TOKEN = "a-token-of-a-test"


def test_models_say_what_they_take(server: Running) -> None:
    models = {model.id: model for model in server.openai.models.list()}
    assert {*models} == {MODEL, SPACE}
    told = models[MODEL].model_extra
    assert told["modalities"]["image"] == {"formats": ["npy"]}
    assert told["limits"]["max_media"] == 16
    assert told["max_model_len"] == 512
    assert models[SPACE].model_extra["dimensions"] == 8
    assert server.openai.models.retrieve(MODEL) == models[MODEL]
    with pytest.raises(openai.NotFoundError, match="does not exist"):
        server.openai.models.retrieve("other/name")


def test_health_says_that_it_answers(server: Running) -> None:
    assert server.http.get("/health").json() == {"status": "ok"}


def test_measurements_are_prometheus(server: Running) -> None:
    server.chat(messages=asked(sent("image", 5)), max_tokens=3)
    server.chat(messages=[])
    families = {family.name: family for family in text_string_to_metric_families(server.http.get("/metrics").text)}
    counted = {
        (sample.labels["endpoint"], sample.labels["status"]): sample.value
        for sample in families["omni_requests"].samples
        if sample.name.endswith("_total")
    }
    assert counted["/v1/chat/completions", "200"] >= 1
    assert counted["/v1/chat/completions", "400"] >= 1
    first = [sample for sample in families["omni_first_token_seconds"].samples if sample.name.endswith("_count")]
    assert first[0].value >= 1
    for name in ("omni_request_seconds", "omni_request_bytes", "omni_media", "omni_batch_answer_tokens"):
        assert families[name].samples
    assert families["omni_batch_waiting"].type == "gauge"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/nothing", 404),
        ("GET", "/docs", 404),
        ("GET", "/openapi.json", 404),
        ("GET", "/v1/chat/completions", 405),
        ("DELETE", "/v1/models", 405),
        ("GET", "/../../etc/passwd", 404),
        ("GET", "/v1/models/..%2f..%2fetc%2fpasswd", 404),
    ],
)
def test_other_paths_are_errors_in_the_same_form(server: Running, method: str, path: str, status: int) -> None:
    answer = server.http.request(method, path)
    assert answer.status_code == status
    assert {*answer.json()["error"]} == {"message", "type", "param", "code"}


def test_browsers_are_told_what_not_to_do(server: Running) -> None:
    headers = server.http.get("/v1/models").headers
    assert headers["x-frame-options"] == "DENY"
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert not [name for name in headers if name.startswith("access-control")]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 403),
        ({"Host": "evil.example:80"}, 403),
        ({"Host": ""}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Host": "localhost"}, 200),
        ({"Host": "[::1]:8000"}, 200),
        ({"Host": "localhost", "Origin": "http://localhost"}, 200),
    ],
)
def test_pages_of_other_sites_are_kept_out(server: Running, headers: dict[str, str], status: int) -> None:
    assert server.http.get("/v1/models", headers=headers).status_code == status
    preflight = {**headers, "Access-Control-Request-Method": "POST"}
    answer = server.http.options("/v1/chat/completions", headers=preflight)
    assert answer.status_code == (405 if status == 200 else 403)


def test_a_token_is_asked_for(model: OmniModel) -> None:
    with serving(model, token=TOKEN) as server:
        assert server.openai.models.list().data
        wrong = openai.OpenAI(base_url=f"{server.url}/v1", api_key="another-token-of-a-test", max_retries=0)
        with wrong, pytest.raises(openai.AuthenticationError, match="needs its token"):
            wrong.chat.completions.create(model=MODEL, messages=asked())
        for headers in ({"Authorization": ""}, {"Authorization": "Bearer"}, {"Authorization": f"Basic {TOKEN}"}):
            assert server.http.get("/metrics", headers=headers).status_code == 401
        assert server.http.get("/health", headers={"Authorization": ""}).status_code == 200
        assert server.http.get(f"/v1/models?token={TOKEN}", headers={"Authorization": ""}).status_code == 401
