"""Weaviate's own client for Python, of the version that speaks REST and GraphQL as we do."""

import json
import sys

import weaviate

url, name, uuid = sys.argv[1:]
client = weaviate.Client(url)
fields = ["text", "rerankd_id"]


def labelled(label):
    return {"path": ["rerankd_labels"], "operator": "ContainsAll", "valueText": [label]}


def get(query):
    answer = query.with_limit(2).with_additional(["id", "distance", "score"]).do()
    if "errors" in answer:
        raise SystemExit(json.dumps(answer["errors"]))
    return answer["data"]["Get"][name]


near = {"vector": [1.0, 0.0]}
filtered = client.query.get(name, fields).with_near_vector(near)
filtered = filtered.with_where({"operator": "And", "operands": [labelled("n=3")]})
report = {
    "schema": client.schema.get(name),
    "near": get(client.query.get(name, fields).with_near_vector(near)),
    "filtered": get(filtered),
    "words": get(client.query.get(name, fields).with_bm25("needle", properties=["text"])),
    "both": get(
        client.query.get(name, fields).with_hybrid("needle", vector=[0.1, 1.0], properties=["text"])
    ),
    "listed": client.data_object.get(class_name=name, limit=2, after=uuid)["objects"],
    "removed": client.batch.delete_objects(
        name,
        {"path": ["id"], "operator": "ContainsAny", "valueTextArray": [uuid]},
        output="minimal",
    )["results"],
}
print(json.dumps(report))
