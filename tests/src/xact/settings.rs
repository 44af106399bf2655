//! Every setting of the xact topology.

use engine::plan::Plan;

use crate::settings::{
    Setting, Settings, brokers, group, kafka, lake, plan_of, retries, setting, setting_with, shown, source_topics,
    store, table, topics, web,
};

const XACT: Settings = Settings { topology: "xact", all: SETTINGS, spellings: SPELLINGS };

const ALL_TOPICS: &str = "xact.events.raw xact.downloads.pending xact.downloads.cached xact.downloads.results";
const OTHER_TOPICS: &str = "test.events.raw test.downloads.pending test.downloads.cached test.downloads.results";
const HOSTS: &str = "usw2-prod-xn-exportreceiver-publish.s3.us-west-2.amazonaws.com claimxperience.s3.amazonaws.com \
                     claimxperience.s3.us-east-1.amazonaws.com www.claimxperience.com claimxperience.com \
                     xactware-claimx-us-prod.s3.us-west-1.amazonaws.com";
const RETRIES: &str = "ingester: events.retry.5m=300s events.retry.10m=600s events.retry.20m=1200s events.retry.40m=2400s; \
                       downloader: downloads.retry.5m=300s downloads.retry.10m=600s downloads.retry.20m=1200s \
                       downloads.retry.40m=2400s; uploader: uploads.retry.5m=300s uploads.retry.10m=600s \
                       uploads.retry.20m=1200s uploads.retry.40m=2400s; results: results.retry.5m=300s \
                       results.retry.10m=600s results.retry.20m=1200s results.retry.40m=2400s";
const TWO_RETRIES: &str = "ingester: events.retry.5m=300s events.retry.10m=600s; downloader: downloads.retry.5m=300s \
                           downloads.retry.10m=600s; uploader: uploads.retry.5m=300s uploads.retry.10m=600s; results: \
                           results.retry.5m=300s results.retry.10m=600s";
const SHORT_RETRIES: &str = "ingester: events.retry.30s=30s events.retry.2m=120s; downloader: downloads.retry.30s=30s \
                             downloads.retry.2m=120s; uploader: uploads.retry.30s=30s uploads.retry.2m=120s; results: \
                             results.retry.30s=30s results.retry.2m=120s";
const SASL: [(&str, &str); 3] =
    [("KAFKA_SECURITY_PROTOCOL", "sasl_ssl"), ("KAFKA_SASL_USERNAME", "ann"), ("KAFKA_SASL_PASSWORD", "secret")];
const SCRAM: &str = "SCRAM-SHA-512";
const LAKE: &str = "abfss://space@onelake.dfs.fabric.microsoft.com/house/Files/xact";
const EVENTS: &str = "DATA/tables/xact_events";
const FAILED: &str = "DATA/tables/xact_attachments_failed";
const INVENTORY: &str = "DATA/tables/xact_attachments";

/// Every setting, some in several spellings of their value.
const SETTINGS: &[Setting] = &[
    setting("KAFKA_BOOTSTRAP_SERVERS", brokers, "embedded", "a:9092,b:9092", "a:9092,b:9092"),
    setting("KAFKA_SECURITY_PROTOCOL", |p| kafka(p).protocol.clone(), "plaintext", "ssl", "ssl"),
    setting_with(&SASL, setting("KAFKA_SASL_MECHANISM", |p| kafka(p).mechanism.clone(), "PLAIN", SCRAM, SCRAM)),
    setting_with(
        &SASL,
        setting("KAFKA_SASL_USERNAME", |p| kafka(p).username.clone(), "", "$ConnectionString", "$ConnectionString"),
    ),
    setting_with(
        &SASL,
        setting(
            "KAFKA_SASL_PASSWORD",
            |p| kafka(p).password.0.clone(),
            "",
            "Endpoint=sb://x/;Key=a=",
            "Endpoint=sb://x/;Key=a=",
        ),
    ),
    setting("KAFKA_MAX_POLL_RECORDS", |p| shown(kafka(p).max_poll_records), "1000", "250", "250"),
    setting("KAFKA_SESSION_TIMEOUT_MS", |p| shown(kafka(p).session_timeout), "60s", "45000", "45s"),
    setting("KAFKA_MAX_POLL_INTERVAL_MS", |p| shown(kafka(p).max_poll_interval), "300s", "600000", "600s"),
    setting("KAFKA_HEARTBEAT_INTERVAL_MS", |p| shown(kafka(p).heartbeat), "3s", "1500", "1.5s"),
    setting("KAFKA_AUTO_OFFSET_RESET", reset, "earliest", "latest", "latest"),
    setting("KAFKA_XACT_TOPIC_PREFIX", topics, ALL_TOPICS, "test", OTHER_TOPICS),
    setting("KAFKA_XACT_TOPIC_PREFIX", source_topics, ALL_TOPICS, "test", OTHER_TOPICS),
    setting("KAFKA_XACT_TOPIC_PREFIX", dead_letters, DEAD, "t", OTHER_DEAD),
    setting("XACT_INGESTER_GROUP", |p| group(p, "ingester"), "xact-event-ingester", "g", "g"),
    setting("XACT_DOWNLOADER_GROUP", |p| group(p, "downloader"), "xact-download-worker", "g", "g"),
    setting("XACT_UPLOADER_GROUP", |p| group(p, "uploader"), "xact-upload-worker", "g", "g"),
    setting("XACT_RESULTS_GROUP", |p| group(p, "results"), "xact-result_processor", "g", "g"),
    setting("KAFKA_RETRY_DELAYS", retries, RETRIES, "[30,120]", SHORT_RETRIES),
    setting("KAFKA_RETRY_DELAYS", retries, RETRIES, "30s, 2m", SHORT_RETRIES),
    setting("KAFKA_MAX_RETRIES", retries, RETRIES, "2", TWO_RETRIES),
    setting("ALLOWED_ATTACHMENT_DOMAINS", |p| web(p).allow.join(" "), HOSTS, "a.test, b.test", "a.test b.test"),
    setting("ALLOWED_ATTACHMENT_DOMAINS", |p| web(p).allow.join(" "), HOSTS, "a.test", "a.test"),
    setting("KAFKA_DOWNLOAD_CONCURRENCY", |p| shown(web(p).concurrency), "10", "40", "40"),
    setting("XACT_MAX_FILE_SIZE", |p| shown(web(p).max_size), "2147483648", "1MiB", "1048576"),
    setting("CACHE_DIR", |p| store(p, "spool").url.clone(), "DATA/spool", "/tmp/cache", "/tmp/cache"),
    setting("ONELAKE_DOMAIN_PATHS__XACT", |p| store(p, "files").url.clone(), "DATA/files", LAKE, LAKE),
    setting("ONELAKE_XACT_PATH", |p| store(p, "files").url.clone(), "DATA/files", LAKE, LAKE),
    setting("KAFKA_UPLOAD_CONCURRENCY", |p| shown(store(p, "files").concurrency), "10", "25", "25"),
    setting("ENABLE_DELTA_WRITES", |p| shown(lake(p).write), "true", "false", "false"),
    setting("XACT_TABLES_PATH", |p| lake(p).url.clone(), "DATA/tables", LAKE, LAKE),
    setting("XACT_TABLES_PATH", |p| table(p, "attachments"), INVENTORY, "/lake/", "/lake/xact_attachments"),
    setting("XACT_EVENTS_TABLE_PATH", |p| table(p, "events"), EVENTS, "x/log", "DATA/tables/x/log"),
    setting("DELTA_EVENTS_TABLE_PATH", |p| table(p, "events"), EVENTS, LAKE, LAKE),
    setting(
        "DELTA_INVENTORY_TABLE_PATH",
        |p| table(p, "attachments"),
        INVENTORY,
        "Tables/xact_attachments",
        "DATA/tables/Tables/xact_attachments",
    ),
    setting("DELTA_FAILED_TABLE_PATH", |p| table(p, "failed"), FAILED, LAKE, LAKE),
];

/// Where two names stand for one setting, the first wins over the second.
const SPELLINGS: &[(&str, &str)] =
    &[("ONELAKE_DOMAIN_PATHS__XACT", "ONELAKE_XACT_PATH"), ("XACT_EVENTS_TABLE_PATH", "DELTA_EVENTS_TABLE_PATH")];

const DEAD: &str = "xact.events.dlq xact.downloads.dlq xact.uploads.dlq xact.results.dlq";
const OTHER_DEAD: &str = "t.events.dlq t.downloads.dlq t.uploads.dlq t.results.dlq";

fn dead_letters(plan: &Plan) -> String {
    plan.flows.iter().map(|flow| flow.source.retry.dead_letter.as_str()).collect::<Vec<_>>().join(" ")
}

fn reset(plan: &Plan) -> String {
    kafka(plan).consumer["auto.offset.reset"].clone()
}

#[test]
fn every_setting_has_its_effect_from_the_environment() {
    XACT.assert_effects();
}

#[test]
fn the_file_beside_the_topology_sets_what_the_environment_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("xact.yaml");
    std::fs::copy(XACT.file(), &copy).unwrap();
    std::fs::write(folder.path().join("xact.env"), "KAFKA_XACT_TOPIC_PREFIX=test\nKAFKA_UPLOAD_CONCURRENCY=25\n")
        .unwrap();
    let plan = plan_of(&copy, &[("KAFKA_UPLOAD_CONCURRENCY", "7")].into_iter().collect());
    assert_eq!((topics(&plan).as_str(), store(&plan, "files").concurrency), (OTHER_TOPICS, 7));
}

#[test]
fn the_first_of_two_names_wins() {
    XACT.assert_spellings();
}

#[test]
fn half_a_login_and_a_wrong_number_are_said_before_anything_starts() {
    XACT.assert_refused(&[
        ("KAFKA_DOWNLOAD_CONCURRENCY", "many", "KAFKA_DOWNLOAD_CONCURRENCY"),
        ("KAFKA_UPLOAD_CONCURRENCY", "0", "KAFKA_UPLOAD_CONCURRENCY"),
        ("XACT_MAX_FILE_SIZE", "large", "XACT_MAX_FILE_SIZE"),
        ("KAFKA_RETRY_DELAYS", "[5m, soon]", "KAFKA_RETRY_DELAYS"),
        ("KAFKA_SECURITY_PROTOCOL", "sasl_ssl", "username"),
        ("KAFKA_HEARTBEAT_INTERVAL_MS", "60000", "session_timeout"),
    ]);
}

#[test]
fn the_table_above_the_topology_and_its_page_name_the_same_settings() {
    XACT.assert_complete();
}
