//! Every setting of the claimx topology.

use engine::plan::{Auth, Connection, Http, Plan, StageKind};

use crate::settings::{
    Setting, Settings, brokers, flow, group, kafka, lake, plan_of, retries, setting, setting_with, shown,
    source_topics, store, table, topics, web,
};

const CLAIMX: Settings = Settings { topology: "claimx", all: SETTINGS, spellings: SPELLINGS };

const ALL_TOPICS: &str = "claimx.events.raw claimx.enrichment.pending claimx.downloads.pending claimx.downloads.cached \
                          claimx.downloads.results";
const OTHER_TOPICS: &str = "test.events.raw test.enrichment.pending test.downloads.pending test.downloads.cached \
                            test.downloads.results";
const HOSTS: &str = "usw2-prod-xn-exportreceiver-publish.s3.us-west-2.amazonaws.com claimxperience.s3.amazonaws.com \
                     claimxperience.s3.us-east-1.amazonaws.com www.claimxperience.com claimxperience.com \
                     xactware-claimx-us-prod.s3.us-west-1.amazonaws.com";
const RETRIES: &str = "ingester: events.retry.5m=300s events.retry.10m=600s events.retry.20m=1200s events.retry.40m=2400s; \
                       enricher: enrichment.retry.5m=300s enrichment.retry.10m=600s enrichment.retry.20m=1200s \
                       enrichment.retry.40m=2400s; downloader: downloads.retry.5m=300s downloads.retry.10m=600s \
                       downloads.retry.20m=1200s downloads.retry.40m=2400s; uploader: uploads.retry.5m=300s \
                       uploads.retry.10m=600s uploads.retry.20m=1200s uploads.retry.40m=2400s; results: \
                       results.retry.5m=300s results.retry.10m=600s results.retry.20m=1200s results.retry.40m=2400s";
const TWO_RETRIES: &str = "ingester: events.retry.5m=300s events.retry.10m=600s; enricher: enrichment.retry.5m=300s \
                           enrichment.retry.10m=600s; downloader: downloads.retry.5m=300s downloads.retry.10m=600s; \
                           uploader: uploads.retry.5m=300s uploads.retry.10m=600s; results: results.retry.5m=300s \
                           results.retry.10m=600s";
const SHORT_RETRIES: &str = "ingester: events.retry.30s=30s events.retry.2m=120s; enricher: enrichment.retry.30s=30s \
                             enrichment.retry.2m=120s; downloader: downloads.retry.30s=30s downloads.retry.2m=120s; \
                             uploader: uploads.retry.30s=30s uploads.retry.2m=120s; results: results.retry.30s=30s \
                             results.retry.2m=120s";
const NAMED: (&str, &str) = ("KAFKA_CLAIMX_API_USERNAME", "ann");
const PASSWORD: (&str, &str) = ("KAFKA_CLAIMX_API_PASSWORD", "secret");
const SASL: [(&str, &str); 3] =
    [("KAFKA_SECURITY_PROTOCOL", "sasl_ssl"), ("KAFKA_SASL_USERNAME", "ann"), ("KAFKA_SASL_PASSWORD", "secret")];

/// Every setting, some in several spellings of their value.
const SETTINGS: &[Setting] = &[
    setting("KAFKA_BOOTSTRAP_SERVERS", brokers, "embedded", "a:9092,b:9092", "a:9092,b:9092"),
    setting("KAFKA_SECURITY_PROTOCOL", |p| kafka(p).protocol.clone(), "plaintext", "ssl", "ssl"),
    setting_with(&SASL, setting("KAFKA_SASL_MECHANISM", |p| kafka(p).mechanism.clone(), "PLAIN", SCRAM, SCRAM)),
    setting_with(&SASL, setting("KAFKA_SASL_USERNAME", |p| kafka(p).username.clone(), "", "bob", "bob")),
    setting_with(&SASL, setting("KAFKA_SASL_PASSWORD", |p| kafka(p).password.0.clone(), "", "s}{\"'", "s}{\"'")),
    setting("KAFKA_MAX_POLL_RECORDS", |p| shown(kafka(p).max_poll_records), "1000", "250", "250"),
    setting("KAFKA_SESSION_TIMEOUT_MS", |p| shown(kafka(p).session_timeout), "60s", "45000", "45s"),
    setting("KAFKA_MAX_POLL_INTERVAL_MS", |p| shown(kafka(p).max_poll_interval), "300s", "600000", "600s"),
    setting("KAFKA_HEARTBEAT_INTERVAL_MS", |p| shown(kafka(p).heartbeat), "3s", "1500", "1.5s"),
    setting(
        "KAFKA_AUTO_OFFSET_RESET",
        |p| kafka(p).consumer["auto.offset.reset"].clone(),
        "earliest",
        "latest",
        "latest",
    ),
    setting("KAFKA_CLAIMX_TOPIC_PREFIX", topics, ALL_TOPICS, "test", OTHER_TOPICS),
    setting(
        "KAFKA_CLAIMX_TOPIC_PREFIX",
        |p| flow(p, "enricher").source.retry.dead_letter.clone(),
        DLQ,
        "t",
        "t.enrichment.dlq",
    ),
    setting("KAFKA_CLAIMX_TOPIC_PREFIX", source_topics, SOURCES, "t", OTHER_SOURCES),
    setting("CLAIMX_INGESTER_GROUP", |p| group(p, "ingester"), "claimx-event-ingester-worker", "g", "g"),
    setting("CLAIMX_ENRICHER_GROUP", |p| group(p, "enricher"), "claimx-enrichment-worker", "g", "g"),
    setting("CLAIMX_DOWNLOADER_GROUP", |p| group(p, "downloader"), "claimx-download-worker", "g", "g"),
    setting("CLAIMX_UPLOADER_GROUP", |p| group(p, "uploader"), "claimx-upload-worker", "g", "g"),
    setting("CLAIMX_RESULTS_GROUP", |p| group(p, "results"), "claimx-result-processor", "g", "g"),
    setting("KAFKA_RETRY_DELAYS", retries, RETRIES, "[30,120]", SHORT_RETRIES),
    setting("KAFKA_RETRY_DELAYS", retries, RETRIES, "30s, 2m", SHORT_RETRIES),
    setting("KAFKA_MAX_RETRIES", retries, RETRIES, "2", TWO_RETRIES),
    setting("KAFKA_CLAIMX_API_URL", |p| api(p).url.clone(), LOCAL_API, "https://api.test/x/", "https://api.test/x"),
    setting("CLAIMX_API_URL", |p| api(p).url.clone(), LOCAL_API, "https://other.test", "https://other.test"),
    setting_with(&[PASSWORD], setting("KAFKA_CLAIMX_API_USERNAME", auth, "none", "ann", "basic ann:secret")),
    setting_with(&[NAMED], setting("KAFKA_CLAIMX_API_PASSWORD", auth, "none", "pass", "basic ann:pass")),
    setting("CLAIMX_API_TOKEN", auth, "none", "dG9rZW4=", "token dG9rZW4="),
    setting_with(&[NAMED, PASSWORD], setting("CLAIMX_API_TOKEN", auth, "none", "dG9rZW4=", "token dG9rZW4=")),
    setting("KAFKA_CLAIMX_API_TIMEOUT_SECONDS", |p| shown(api(p).timeout), "30s", "7", "7s"),
    setting("CLAIMX_API_TIMEOUT_SECONDS", |p| shown(api(p).timeout), "30s", "8", "8s"),
    setting("KAFKA_CLAIMX_API_MAX_RETRIES", |p| shown(api(p).retries), "3", "0", "0"),
    setting("KAFKA_CLAIMX_API_CONCURRENCY", |p| shown(api(p).concurrency), "20", "5", "5"),
    setting("CLAIMX_API_MAX_CONCURRENT", |p| shown(api(p).concurrency), "20", "6", "6"),
    setting("CLAIMX_API_SENDER_USERNAME", sender, "'pipeline@example.com'", "ann@test", "'ann@test'"),
    setting("ALLOWED_ATTACHMENT_DOMAINS", |p| web(p).allow.join(" "), HOSTS, "a.test, b.test", "a.test b.test"),
    setting("ALLOWED_ATTACHMENT_DOMAINS", |p| web(p).allow.join(" "), HOSTS, "a.test", "a.test"),
    setting("ALLOWED_ATTACHMENT_DOMAINS", |p| web(p).allow.join(" "), HOSTS, "[a.test,b.test]", "a.test b.test"),
    setting("KAFKA_DOWNLOAD_CONCURRENCY", |p| shown(web(p).concurrency), "10", "40", "40"),
    setting("CLAIMX_MAX_FILE_SIZE", |p| shown(web(p).max_size), "2147483648", "1MiB", "1048576"),
    setting("CACHE_DIR", |p| store(p, "spool").url.clone(), "DATA/spool", "/tmp/cache", "/tmp/cache"),
    setting("ONELAKE_DOMAIN_PATHS__CLAIMX", |p| store(p, "files").url.clone(), "DATA/files", LAKE, LAKE),
    setting("ONELAKE_CLAIMX_PATH", |p| store(p, "files").url.clone(), "DATA/files", LAKE, LAKE),
    setting("KAFKA_UPLOAD_CONCURRENCY", |p| shown(store(p, "files").concurrency), "10", "25", "25"),
    setting("ENABLE_DELTA_WRITES", |p| shown(lake(p).write), "true", "false", "false"),
    setting("CLAIMX_TABLES_PATH", |p| lake(p).url.clone(), "DATA/tables", LAKE, LAKE),
    setting(
        "CLAIMX_TABLES_PATH",
        |p| table(p, "projects"),
        "DATA/tables/claimx_projects",
        "/lake/",
        "/lake/claimx_projects",
    ),
    setting(
        "CLAIMX_EVENTS_TABLE_PATH",
        |p| table(p, "events"),
        "DATA/tables/claimx_events",
        "x/log",
        "DATA/tables/x/log",
    ),
    setting("CLAIMX_EVENTS_TABLE_PATH", |p| table(p, "events"), "DATA/tables/claimx_events", LAKE, LAKE),
    setting("CLAIMX_INVENTORY_TABLE_PATH", |p| table(p, "attachments"), INVENTORY, "files", "DATA/tables/files"),
];

/// Where two names stand for one setting, the first wins over the second.
const SPELLINGS: &[(&str, &str)] = &[
    ("KAFKA_CLAIMX_API_URL", "CLAIMX_API_URL"),
    ("KAFKA_CLAIMX_API_TIMEOUT_SECONDS", "CLAIMX_API_TIMEOUT_SECONDS"),
    ("KAFKA_CLAIMX_API_CONCURRENCY", "CLAIMX_API_MAX_CONCURRENT"),
    ("ONELAKE_DOMAIN_PATHS__CLAIMX", "ONELAKE_CLAIMX_PATH"),
];

const SCRAM: &str = "SCRAM-SHA-512";
const DLQ: &str = "claimx.enrichment.dlq";
const LOCAL_API: &str = "http://localhost:8765";
const LAKE: &str = "abfss://space@onelake.dfs.fabric.microsoft.com/house/Files/claimx";
const INVENTORY: &str = "DATA/tables/claimx_attachments";
const SOURCES: &str = "claimx.events.raw claimx.enrichment.pending claimx.downloads.pending claimx.downloads.cached \
                       claimx.downloads.results";
const OTHER_SOURCES: &str =
    "t.events.raw t.enrichment.pending t.downloads.pending t.downloads.cached t.downloads.results";

fn api(plan: &Plan) -> &Http {
    let Connection::Http(http) = &plan.connections["api"] else { panic!("api is no http connection") };
    http
}

fn auth(plan: &Plan) -> String {
    match &api(plan).auth {
        Auth::None => "none".to_owned(),
        Auth::Basic(user, password) => format!("basic {user}:{}", password.0),
        Auth::Token(token) => format!("token {}", token.0),
        Auth::Bearer(token) => format!("bearer {}", token.0),
    }
}

fn sender(plan: &Plan) -> String {
    let stages = &flow(plan, "enricher").stages;
    let body = stages.iter().find_map(|s| match &s.kind {
        StageKind::Enrich(enrich) => enrich.call.body.get("senderUsername"),
        _ => None,
    });
    body.expect("a call names its sender").text().to_owned()
}

#[test]
fn every_setting_has_its_effect_from_the_environment() {
    CLAIMX.assert_effects();
}

#[test]
fn the_file_beside_the_topology_sets_what_the_environment_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("claimx.yaml");
    std::fs::copy(CLAIMX.file(), &copy).unwrap();
    let lines = "# a drill\n\nKAFKA_CLAIMX_TOPIC_PREFIX=test # bare\nexport ALLOWED_ATTACHMENT_DOMAINS=\"a.test, b.test\"\n\
                 KAFKA_RETRY_DELAYS='[30, 120]'\nKAFKA_UPLOAD_CONCURRENCY=25\nKAFKA_DOWNLOAD_CONCURRENCY=\n";
    std::fs::write(folder.path().join("claimx.env"), lines).unwrap();
    let environment = [("KAFKA_UPLOAD_CONCURRENCY", "7"), ("KAFKA_CLAIMX_TOPIC_PREFIX", "")].into_iter().collect();
    let plan = plan_of(&copy, &environment);
    assert_eq!(topics(&plan), OTHER_TOPICS, "an empty variable is none");
    assert_eq!(web(&plan).allow, ["a.test", "b.test"]);
    assert_eq!(retries(&plan).replace("test.", ""), SHORT_RETRIES);
    assert_eq!(store(&plan, "files").concurrency, 7, "the environment wins");
    assert_eq!(web(&plan).concurrency, 10, "an empty line is no value");
}

#[test]
fn the_first_of_two_names_wins() {
    CLAIMX.assert_spellings();
}

#[test]
fn half_a_login_and_a_wrong_number_are_said_before_anything_starts() {
    CLAIMX.assert_refused(&[
        ("KAFKA_CLAIMX_API_USERNAME", "ann", "password"),
        ("KAFKA_CLAIMX_API_CONCURRENCY", "many", "KAFKA_CLAIMX_API_CONCURRENCY"),
        ("KAFKA_CLAIMX_API_CONCURRENCY", "0", "KAFKA_CLAIMX_API_CONCURRENCY"),
        ("KAFKA_CLAIMX_API_TIMEOUT_SECONDS", "soon", "KAFKA_CLAIMX_API_TIMEOUT_SECONDS"),
        ("KAFKA_RETRY_DELAYS", "[5m, soon]", "KAFKA_RETRY_DELAYS"),
        ("KAFKA_MAX_RETRIES", "-1", "KAFKA_MAX_RETRIES"),
        ("KAFKA_SECURITY_PROTOCOL", "sasl_ssl", "username"),
        ("KAFKA_HEARTBEAT_INTERVAL_MS", "60000", "session_timeout"),
    ]);
}

#[test]
fn the_table_above_the_topology_and_its_page_name_the_same_settings() {
    CLAIMX.assert_complete();
}
