//! A link that is refused or has expired is not the end of a file: the API gives another one.

use serde_json::json;

use super::api::{Api, USER};
use super::topology;
use crate::files::{Files, content};
use crate::model::lake;
use crate::program::{Engine, files};
use crate::topics::Topics;

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_link_that_is_refused_or_expired_is_asked_for_anew() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let server = Files::start(0).await;
    let media = json!([
        {"mediaID": 1, "fullDownloadLink": server.link("ok", 11, "a.pdf")},
        {"mediaID": "2", "fullDownloadLink": server.link("ok", 12, "b.pdf")},
        // Refused for ever.
        {"mediaID": 3, "fullDownloadLink": server.link("refused", 3, "c.pdf")},
    ]);
    let answers = [json!({"method": "GET", "path": "/export/project/7/media", "status": 200, "body": {"data": media}})];
    let api = Api::start(([127, 0, 0, 1], 0).into(), &answers, 0).await;
    let task = |id: u32, link: String, expires: Option<&str>| {
        let task = json!({"media_id": id.to_string(), "project_id": "7", "download_url": link, "expires_at": expires,
            "blob_path": format!("7/media/{id}_x.pdf"), "source_event_id": "e"});
        (Some(id.to_string()), task.to_string())
    };
    let tasks = vec![
        task(1, server.link("refused", 1, "a.pdf"), None),
        task(2, server.link("ok", 2, "b.pdf"), Some("2020-01-01T00:00:00Z")),
        task(3, server.link("refused", 3, "c.pdf"), None),
    ];
    Topics::open(data).await.write("claimx.downloads.pending", tasks).await;
    let flows = ["--flow=downloader", "--flow=uploader", "--flow=results"];
    let run = flows.iter().fold(Engine::run(&topology(), data), Engine::arg);
    run.arg("--until-drained")
        .arg("--time-scale=0.0001")
        .arg("--allow-local-urls")
        .env("KAFKA_CLAIMX_API_URL", format!("http://{}", api.address))
        .env("KAFKA_CLAIMX_API_USERNAME", USER.0)
        .env("KAFKA_CLAIMX_API_PASSWORD", USER.1)
        .env("ALLOWED_ATTACHMENT_DOMAINS", "127.0.0.1")
        .finish()
        .expect(0);
    let stored = files(&data.join("files"));
    let wanted = [("7/media/1_x.pdf", "11"), ("7/media/2_x.pdf", "12")];
    let wanted = wanted.map(|(path, number)| (path.to_owned(), content(number, "pdf")));
    assert_eq!(stored.into_iter().collect::<Vec<_>>(), wanted);
    assert!(!server.requests().contains_key("2"), "an expired link is not asked for");
    assert_eq!(server.requests()["3"], 5, "one that stays refused is tried as often as any other failure");
    assert_eq!(lake::read(&data.join("tables/claimx_attachments")).await.unwrap().len(), 2);
    assert_eq!(Topics::open(data).await.count("claimx.downloads.dlq").await, 1);
}
