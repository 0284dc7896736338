"""The MongoDB server of the sandbox does what the stores need."""

from __future__ import annotations

from controlplane.sandbox import MongoServer, run_mongo


def test_an_upsert_by_key_keeps_one_document(mongo: MongoServer, mongo_database_name: str) -> None:
    client = mongo.client()
    try:
        collection = client[mongo_database_name]["runs"]
        for total in (1, 2):
            collection.update_one({"job_id": "a"}, {"$set": {"total": total}}, upsert=True)
        assert [(each["job_id"], each["total"]) for each in collection.find()] == [("a", 2)]
    finally:
        client.close()


def test_documents_survive_a_crash_of_the_server() -> None:
    with run_mongo() as running:
        client = running.server.client()
        try:
            client["store"]["jobs"].insert_one({"_id": 1})
            running.kill()
            assert not running.server.is_ready()
            running.restart()
            assert client["store"]["jobs"].find_one() == {"_id": 1}
        finally:
            client.close()
