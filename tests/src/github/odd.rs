//! Odd events: what is none is in the dead letters, as it was sent, with the field and the place of its rule; the rest has its
//! row, cell by cell as the model says.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{assert_tables_agree, model, topology};
use crate::model::account::Account;
use crate::program::Engine;
use crate::topics::Topics;

/// Messages, each with the field it is dead of: `-` where it is no object, nothing where it lives.
fn messages() -> Vec<(String, Option<&'static str>)> {
    let good = json!({"id": "1", "type": "PushEvent", "actor": {"id": 7, "login": "ada"}, "repo": {"id": 9, "name": "a/b"},
        "payload": {"ref": "main"}, "public": true, "created_at": "2026-01-10T08:00:00Z"});
    let mut number = 0;
    let mut odd = |field: &str, value: Value| {
        let mut event = good.clone();
        number += 1;
        event["id"] = json!(format!("odd-{number}"));
        match field.split_once('.') {
            Some((outer, inner)) => event[outer][inner] = value,
            None => event[field] = value,
        }
        event.to_string()
    };
    let mut all: Vec<(String, Option<&'static str>)> = vec![
        ("".into(), Some("-")),
        ("{".into(), Some("-")),
        ("[]".into(), Some("-")),
        ("null".into(), Some("-")),
        ("\"text\"".into(), Some("-")),
        (good.to_string(), None),
        // Seen again under the same id: the first stays.
        (good.to_string().replace("main", "other"), None),
        (good.to_string().replace("\"1\"", "17.0"), None),
    ];
    let dead: [(&str, &'static str, Value); 16] = [
        ("id", "id", Value::Null),
        ("id", "id", json!("  ")),
        ("id", "id", json!({"a": 1})),
        ("type", "type", Value::Null),
        ("type", "type", json!("")),
        ("created_at", "created_at", Value::Null),
        ("created_at", "created_at", json!("yesterday")),
        ("created_at", "created_at", json!(1_768_032_000)),
        ("actor", "actor_id", Value::Null),
        ("actor", "actor_id", json!([7])),
        ("actor.id", "actor_id", json!("ada")),
        ("actor.id", "actor_id", json!({"id": 7})),
        ("repo", "repo_id", Value::Null),
        ("repo.id", "repo_id", json!("")),
        ("repo.name", "repo_name", Value::Null),
        ("repo.name", "repo_name", json!(" ")),
    ];
    all.extend(dead.map(|(field, of, value)| (odd(field, value), Some(of))));
    let alive = [
        ("type", json!("NobodyKnowsEvent")),
        ("created_at", json!("2026-01-10T08:00:00.1234567+05:30")),
        ("created_at", json!("2026-01-09T23:59:59-00:30")),
        ("actor.id", json!(" 8 ")),
        ("actor.login", Value::Null),
        ("actor.login", json!("Zoë 🦀")),
        ("repo.id", json!(9.0)),
        ("repo.name", json!("no-slash")),
        ("payload", Value::Null),
        ("payload", json!([1, {"a": null}])),
        ("payload", json!("{\"action\": \"opened\"}")),
        ("payload", json!("no json")),
        ("payload.action", json!({"not": "a text"})),
        ("payload.ref", json!(12)),
        ("payload.release", json!({"assets": [{"id": 1, "browser_download_url": "https://github.com/x"}]})),
        ("public", json!("yes")),
        ("org", json!({"id": 3, "login": "acme"})),
        ("org", json!("acme")),
        ("unknown", json!({"deep": [[[]]]})),
    ];
    all.extend(alive.map(|(field, value)| (odd(field, value), None)));
    all
}

#[tokio::test]
async fn every_odd_github_event_ends_as_it_must() {
    let data = tempfile::tempdir().unwrap();
    let data = data.path();
    let messages = messages();
    for (message, dead) in &messages {
        let judged = model::event(&json!(message)).err().map(|field| field.unwrap_or("-"));
        assert_eq!(judged, *dead, "the model judges {message}");
    }
    let sent: Vec<_> = messages.iter().map(|(message, _)| (Some("one key".to_owned()), message.clone())).collect();
    Topics::open(data).await.write(model::EVENTS, [sent.clone(), sent].concat()).await;
    Engine::run(&topology(), data).arg("--until-drained").arg("--flow=ingester").finish().expect(0);

    let emitted: Vec<Value> =
        messages.iter().map(|(message, _)| json!({"topic": model::EVENTS, "value": message})).collect();
    assert_tables_agree(&Account::of(&emitted, &[], &[]), data, &["github_events", "github_actors"]).await;

    let topics = Topics::open(data).await;
    let mut letters: BTreeMap<Vec<u8>, Vec<_>> = BTreeMap::new();
    for letter in topics.all("github.events.dlq").await {
        letters.entry(letter.payload.to_vec()).or_default().push(letter);
    }
    for (message, field) in messages.iter().filter_map(|(message, dead)| Some((message, dead.as_ref()?))) {
        let found = letters.remove(message.as_bytes()).unwrap_or_default();
        assert_eq!(found.len(), 2, "dead letters for {message}");
        for letter in found {
            let header = |name: &str| letter.header(name).unwrap_or_default().to_owned();
            let (error, place) = (header("error"), header("place"));
            let told = *field == "-" || (error.contains(field) && place.ends_with(&format!(".message.{field}")));
            assert!(told && place.contains("github.yaml:"), "{message}: {error:?} at {place:?}");
            assert_eq!(header("error_category"), "permanent");
        }
    }
    assert!(letters.is_empty(), "dead, and not to be: {:?}", letters.keys());
    // What lives is asked about once an event; no release was published.
    let ids = model::expect(&Account::of(&emitted, &[], &[]))["github_events"].rows.len();
    assert_eq!((topics.count("github.repositories").await, topics.count("github.assets").await), (ids, 0));
}
