"""1.2 to 1.5: what REST refuses, with which code and which message, and in which order it looks."""

from __future__ import annotations

import pytest
from contract_client import Target, refused

differs = pytest.mark.differs
HALF = "/v1/models/half:predict"
MANY = "/v1/models/many:predict"
SHAPES = "/v1/models/shapes:predict"
GOOD = b'{"instances": [1.0]}'
DEEP = b"[" * 500_000 + b"]" * 500_000

ROUTES = [
    ("1.2 trailing slash", "GET", "/v1/models/half/"),
    ("1.2 version in the singular", "GET", "/v1/models/half/version/1"),
    ("1.2 label in the singular", "GET", "/v1/models/half/label/stable"),
    ("1.2 version and label", "GET", "/v1/models/half/versions/1/labels/stable"),
    ("1.2 two names", "GET", "/v1/models/half/many"),
    ("1.2 version is no number", "GET", "/v1/models/half/versions/one"),
    ("1.2 negative version", "GET", "/v1/models/half/versions/-1"),
    ("1.2 GET on predict", "GET", HALF),
    ("1.2 GET on classify", "GET", "/v1/models/examples:classify"),
    ("1.2 POST on status", "POST", "/v1/models/half"),
    ("1.2 POST on metadata", "POST", "/v1/models/half/metadata"),
    ("1.2 verb in another case", "POST", "/v1/models/half:Predict"),
    ("1.2 unknown verb", "POST", "/v1/models/half:guess"),
    ("1.1 PUT", "PUT", "/v1/models/half"),
    ("1.1 DELETE", "DELETE", "/v1/models/half"),
    ("1.1 PATCH", "PATCH", HALF),
]


@pytest.mark.parametrize(("method", "path"), [pytest.param(*case[1:], id=case[0]) for case in ROUTES])
def test_malformed_requests(target: Target, method: str, path: str) -> None:
    """1.2: inside ``/v1/`` there is no 404 and no 405 for a route, only this 400."""
    refused(target.rest.request(method, path, content=GOOD), 400, f"Malformed request: {method} {path}")


def test_head_is_400(target: Target) -> None:
    """1.1: HEAD reaches the handler and is malformed, like every method but GET, POST and OPTIONS."""
    assert target.rest.head("/v1/models/half").status_code == 400


def test_routes_are_matched_without_case(target: Target) -> None:
    """1.2: the regular expression ignores case; the verb after the colon alone does not."""
    assert target.rest.get("/V1/Models/half").status_code == 200


@differs
def test_a_query_string_is_ignored(target: Target) -> None:
    """1.1 differs: there it is 400."""
    assert target.rest.get("/v1/models/half?x=1").status_code == 200
    assert target.rest.post(f"{HALF}?x=1", content=GOOD).status_code == 200


@differs
@pytest.mark.parametrize("path", ["/", "/v1", "/v2000", "/v1/nothing"])
def test_outside_of_v1_is_a_json_404(target: Target, path: str) -> None:
    """1.1 differs: there it is a page of HTML."""
    answer = target.rest.get(path)
    assert answer.status_code == 404
    assert "error" in answer.json()


@differs
def test_there_is_a_list_of_models(target: Target) -> None:
    """1.2 differs: there ``GET /v1/models`` is 400, "Missing model name in request."."""
    listed = {one["name"] for one in target.rest.get("/v1/models").json()["models"]}
    assert {"half", "many", "digits-5-9"} <= listed


BODIES = [
    ("1.3 bad JSON on an unknown model", "/v1/models/x:predict", b"{", 400, "JSON Parse error"),
    ("1.3 no instances on an unknown model", "/v1/models/x:predict", b"{}", 404, "Servable not found"),
    ("1.3 root no object on an unknown model", "/v1/models/x:predict", b"[1]", 400, "Is not object"),
    (
        "1.3 signature_name no string on an unknown model",
        "/v1/models/x:predict",
        b'{"signature_name": 1}',
        400,
        "'signature_name' key must be a string value.",
    ),
    (
        "1.3 unknown signature before no instances",
        HALF,
        b'{"signature_name": "s"}',
        400,
        'Serving signature name: "s" not found in signature def',
    ),
    (
        "1.3 examples before an unknown model, classify",
        "/v1/models/x:classify",
        b"{}",
        400,
        "When method is classify, key 'examples' is expected and was not found",
    ),
    ("1.3 examples before an unknown model, regress", "/v1/models/x:regress", b"{}", 400, "'examples'"),
    (
        "1.3 unknown model, classify",
        "/v1/models/x:classify",
        b'{"examples": [{"x": 1.0}]}',
        404,
        "Servable not found for request: Latest(x)",
    ),
    ("1.4 empty body", HALF, b"", 400, "JSON Parse error: The document is empty"),
    ("1.4 blank body", HALF, b" \n", 400, "JSON Parse error: The document is empty"),
    ("1.4 no JSON", HALF, b"hello", 400, "JSON Parse error"),
    ("1.4 cut short", HALF, b'{"instances": [1.0', 400, "JSON Parse error"),
    ("1.4 missing comma", HALF, b'{"instances": [1.0] "x": 1}', 400, "JSON Parse error"),
    ("1.4 comma too many", HALF, b'{"instances": [1.0,]}', 400, "JSON Parse error"),
    ("1.4 not UTF-8", HALF, b'{"instances": ["\xff"]}', 400, ""),
    ("1.4 nan in small letters", HALF, b'{"instances": [nan]}', 400, "JSON Parse error"),
    ("1.4 root is a list", HALF, b"[1]", 400, "Is not object"),
    ("1.4 root is a number", HALF, b"1", 400, "JSON Value: 1 Is not object"),
    ("1.4 root is null", HALF, b"null", 400, "Is not object"),
    ("1.5 unknown model", "/v1/models/x:predict", GOOD, 404, "Servable not found for request: Latest(x)"),
    (
        "1.5 unknown version",
        "/v1/models/half/versions/99:predict",
        GOOD,
        404,
        "Servable not found for request: Specific(half, 99)",
    ),
    (
        "1.5 unknown label",
        "/v1/models/half/labels/l:predict",
        GOOD,
        400,
        "Unrecognized servable version label: l",
    ),
    (
        "1.5 no default signature",
        "/v1/models/identity:predict",
        GOOD,
        400,
        'Serving signature name: "serving_default" not found in signature def',
    ),
    (
        "1.5 signature without inputs",
        SHAPES,
        b'{"signature_name": "no_input", "instances": [1.0]}',
        400,
        "Failed to get input map for signature: no_input",
    ),
    (
        "1.5 both keys",
        HALF,
        b'{"instances": [1.0], "inputs": [1.0]}',
        400,
        "Not formatted correctly expecting only one of 'inputs' or 'instances' keys to exist",
    ),
    ("1.5 neither key", HALF, b"{}", 400, "Missing 'inputs' or 'instances' key"),
    ("1.5 instances an object", HALF, b'{"instances": {"x": 1}}', 400, "Expecting 'instances' to be an list/array"),
    ("1.5 instances null", HALF, b'{"instances": null}', 400, "Expecting 'instances' to be an list/array"),
    ("1.5 no instances", HALF, b'{"instances": []}', 400, "No values in 'instances' array"),
    (
        "1.5 row with a key too many",
        MANY,
        b'{"instances": [{"a": [1, 2], "b": 1, "foo": 2}]}',
        400,
        "Failed to process element: 0 key: foo of 'instances' list. Error: INVALID_ARGUMENT: JSON object: does not "
        "have named input: foo",
    ),
    (
        "1.5 row with a key too few",
        MANY,
        b'{"instances": [{"a": [1, 2], "b": 1}, {"b": 1}]}',
        400,
        "Failed to process element: 1 of 'instances' list. JSON object",
    ),
    ("1.5 row's keys are listed in order", MANY, b'{"instances": [{"b": 1}]}', 400, "keys must be equal to: a,b"),
    (
        "1.5 plain rows for two inputs",
        MANY,
        b'{"instances": [1, 2]}',
        400,
        "instances is a plain list, but expecting list of objects as multiple input tensors required as per "
        "tensorinfo_map",
    ),
    (
        "1.5 object, then value",
        HALF,
        b'{"instances": [{"x": 1.0}, 2.0]}',
        400,
        "Expecting object but got list at item 1 of input list",
    ),
    (
        "1.5 value, then object",
        HALF,
        b'{"instances": [1.0, {"x": 1.0}]}',
        400,
        "Expecting value/list but got object at item 1 of input list",
    ),
    (
        "1.5 rows of different sizes",
        SHAPES,
        b'{"signature_name": "table", "instances": [[1, 2], [1, 2, 3]]}',
        400,
        "Failed to process element: 1 of 'instances' list. Error: INVALID_ARGUMENT: "
        "Expecting tensor size: 2 but got: 3",
    ),
    (
        "1.5 rows of different shapes",
        SHAPES,
        b'{"signature_name": "any_rank", "instances": [[1, 2], [[1, 2]]]}',
        400,
        "Expecting shape [2] but got: [1,2]",
    ),
    (
        "1.5 ragged inside a row",
        SHAPES,
        b'{"signature_name": "any_rank", "instances": [[[1, 2], [1]]]}',
        400,
        "Encountered list at unexpected size: 1 at level: 1 expected size: 2",
    ),
    (
        "1.5 columnar, input missing",
        MANY,
        b'{"inputs": {"a": [[1, 2]]}}',
        400,
        "Missing named input: b in 'inputs' object.",
    ),
    (
        "1.5 columnar, plain for two inputs",
        MANY,
        b'{"inputs": [1]}',
        400,
        "inputs is a plain value/list, but expecting an object as multiple input tensors required",
    ),
    (
        "1.5 columnar, ragged sizes",
        SHAPES,
        b'{"signature_name": "table", "inputs": [[1, 2], [1]]}',
        400,
        "Encountered list at unexpected size: 1 at level: 1 expected size: 2",
    ),
    (
        "1.5 columnar, list too deep",
        SHAPES,
        b'{"signature_name": "any_rank", "inputs": [1, [2]]}',
        400,
        "Encountered list at unexpected level: 1 expected < 1",
    ),
    (
        "1.5 columnar, value too high",
        SHAPES,
        b'{"signature_name": "any_rank", "inputs": [[1], 2]}',
        400,
        "JSON Value: 2 found at incorrect level: 1 in the JSON DOM. Expected at level: 2",
    ),
    ("1.5 wrong shape for the graph", SHAPES, b'{"signature_name": "fixed", "inputs": [[1, 2, 3]]}', 400, ""),
    ("1.5 wrong rank for the graph", HALF, b'{"inputs": [[1.0]]}', 400, ""),
    ("1.5 the graph refuses the values", SHAPES, b'{"signature_name": "checked", "inputs": [-1.0]}', 400, ""),
    ("1.5 an index out of range", SHAPES, b'{"signature_name": "pick", "inputs": [7]}', 400, ""),
    (
        "1.6 scalar output in rows",
        SHAPES,
        b'{"signature_name": "scalar_out", "instances": [1.0, 2.0]}',
        400,
        "Tensor name: y has no shape information",
    ),
    (
        "1.6 outputs of different batches in rows",
        SHAPES,
        b'{"signature_name": "uneven", "instances": [1.0, 2.0]}',
        400,
        "has inconsistent batch size:",
    ),
]


@pytest.mark.parametrize(("path", "body", "status", "gist"), [pytest.param(*case[1:], id=case[0]) for case in BODIES])
def test_refused_bodies(target: Target, path: str, body: bytes, status: int, gist: str) -> None:
    """1.3 to 1.6: each refusal with its code and the gist of its message."""
    refused(target.rest.post(path, content=body), status, gist)


TYPES = [
    ("1.5 string for float", "float", b'["x"]', 'JSON Value: "x" Type: String is not of expected type: float'),
    ("1.5 truth for float", "float", b"[true]", "is not of expected type: float"),
    ("1.5 null for float", "float", b"[null]", "is not of expected type: float"),
    ("1.5 base64 for float", "float", b'[{"b64": "AAAA"}]', "Type: Object is not of expected type: float"),
    ("1.5 float for int32", "int32", b"[1.0]", "is not of expected type: int32"),
    ("1.5 beyond int32", "int32", b"[2147483648]", "is not of expected type: int32"),
    ("1.5 beyond int64", "int64", b"[9223372036854775808]", "is not of expected type: int64"),
    ("1.5 negative for uint32", "uint32", b"[-1]", "is not of expected type: uint32"),
    ("1.5 beyond uint32", "uint32", b"[4294967296]", "is not of expected type: uint32"),
    ("1.5 negative for uint64", "uint64", b"[-1]", "is not of expected type: uint64"),
    ("1.5 number for bool", "bool", b"[1]", "is not of expected type: bool"),
    ("1.5 number for string", "string", b"[1]", "is not of expected type: string"),
    ("1.5 bad base64", "string", b'[{"b64": "*"}]', "Unable to base64 decode"),
]


@pytest.mark.parametrize("form", ["instances", "inputs"])
@pytest.mark.parametrize(("dtype", "values", "gist"), [pytest.param(*case[1:], id=case[0]) for case in TYPES])
def test_refused_values(target: Target, dtype: str, values: bytes, gist: str, form: str) -> None:
    """1.5: which JSON a type takes, in both forms."""
    body = b'{"signature_name": "%s", "%s": %s}' % (dtype.encode(), form.encode(), values)
    refused(target.rest.post("/v1/models/identity:predict", content=body), 400, gist)


def test_malformed_base64_object(target: Target) -> None:
    """1.5: an object that is neither a named row nor base64."""
    body = b'{"signature_name": "string", "inputs": [{"b64": "AA==", "x": 1}]}'
    refused(target.rest.post("/v1/models/identity:predict", content=body), 400, "not formatted correctly for base64")


@pytest.mark.parametrize(("form", "status"), [("instances", 400), ("inputs", 501)])
def test_types_that_json_cannot_say(target: Target, form: str, status: int) -> None:
    """1.5: UNIMPLEMENTED, which is 501 in columns; in rows every error is 400."""
    answer = target.post("/v1/models/identity:predict", {"signature_name": "complex64", form: [1]})
    refused(answer, status, "Conversion of JSON Value: ", "to type: complex64")


@differs
@pytest.mark.parametrize(
    ("dtype", "value"), [("int8", 128), ("int8", -129), ("int16", 32768), ("uint8", 256), ("uint8", -1)]
)
def test_narrow_integers_do_not_wrap(target: Target, dtype: str, value: int) -> None:
    """1.5 differs: there an int8 of 128 becomes -128."""
    answer = target.post("/v1/models/identity:predict", {"signature_name": dtype, "instances": [value]})
    refused(answer, 400, dtype)


@differs
def test_text_after_the_json_is_refused(target: Target) -> None:
    """1.4 differs: there ``{...}xyz`` is accepted."""
    refused(target.rest.post(HALF, content=GOOD + b"xyz"), 400, "JSON Parse error")


@differs
def test_nesting_has_an_end(target: Target) -> None:
    """1.4 differs: there 500,000 levels are read."""
    refused(target.rest.post(HALF, content=b'{"instances": ' + DEEP + b"}"), 400)


@differs
def test_version_beyond_int64_has_a_message(target: Target) -> None:
    """1.2 differs: there the body is empty."""
    answer = target.rest.get("/v1/models/half/versions/9223372036854775808")
    refused(answer, 400, "Failed to convert version: 9223372036854775808 to numeric.")


def test_values_in_messages_are_cut(target: Target) -> None:
    """1.4: a long value is not sent back whole."""
    answer = target.post(HALF, {"instances": [1.0], "inputs": ["y" * 10_000]})
    refused(answer, 400)
    assert len(answer.content) < 1500


BOTH = ("classify", "regress")
EXAMPLES = [
    ("1.7 no examples", b"{}", "When method is {method}, key 'examples' is expected and was not found", BOTH),
    ("1.7 examples no list", b'{"examples": {}}', "Expecting 'examples' value to be an list/array", BOTH),
    ("1.7 no example", b'{"examples": []}', "'examples' value is an empty array", BOTH),
    ("1.7 example no object", b'{"examples": [[1.0]]}', "Example must be JSON object but got JSON Array", BOTH),
    ("1.7 null", b'{"examples": [{"x": null}]}', "Feature: x has element with unexpected JSON type: Null", BOTH),
    ("1.7 array in a list", b'{"examples": [{"x": [[1.0]]}]}', "unexpected JSON type: Array", BOTH[:1]),
    ("1.7 object", b'{"examples": [{"x": {"y": 1.0}}]}', "unexpected JSON type: Object", BOTH[:1]),
    (
        "1.7 mixed kinds",
        b'{"examples": [{"x": [1, 1.5]}]}',
        "Unexpected element type in feature: x expecting type: int64",
        BOTH[:1],
    ),
    (
        "1.7 beyond int64",
        b'{"examples": [{"x": 9223372036854775808}]}',
        "has uint64_t element. Only int64_t is supported.",
        BOTH[:1],
    ),
    ("1.7 integer for a float feature", b'{"examples": [{"x": 80}]}', "", BOTH),
    ("1.7 feature missing", b'{"examples": [{"z": 1.0}]}', "", BOTH[:1]),
    (
        "1.7 signature_name no string",
        b'{"signature_name": 1, "examples": [{"x": 1.0}]}',
        "'signature_name' key must be a string value.",
        BOTH[:1],
    ),
    ("1.7 bad JSON", b'{"examples": ', "JSON Parse error", BOTH),
    (
        "2.4 unknown signature",
        b'{"signature_name": "s", "examples": [{"x": 1.0}]}',
        "No signature was found with the name: s",
        BOTH,
    ),
    (
        "2.4 no input called inputs",
        b'{"signature_name": "no_inputs_alias", "examples": [{"x": 1.0}]}',
        "",
        BOTH[:1],
    ),
    ("2.4 no classes, no scores", b'{"signature_name": "no_answers", "examples": [{"x": 1.0}]}', "", BOTH),
]


@pytest.mark.parametrize(
    ("method", "body", "gist"),
    [
        pytest.param(method, body, gist, id=f"{name}, {method}")
        for name, body, gist, methods in EXAMPLES
        for method in methods
    ],
)
def test_refused_examples(target: Target, method: str, body: bytes, gist: str) -> None:
    """1.7: what classify and regress refuse."""
    answer = target.rest.post(f"/v1/models/examples:{method}", content=body)
    refused(answer, 400, gist.format(method=method))
