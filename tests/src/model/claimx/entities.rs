//! What the other answers say: media, tasks, templates, links, collaborations. Clocks and events are left out.

use serde_json::{Value, json};

use crate::model::coerce::{at, decimal, expiry, extension, flag, id, int, iso, last_segment, redact, text, ts_text};
use crate::model::expect::Cells;

/// The first value of a list that is not null.
fn first(values: impl IntoIterator<Item = Value>) -> Value {
    values.into_iter().find(|value| !value.is_null()).unwrap_or(Value::Null)
}

/// `claimx_attachment_metadata`.
pub fn media(item: &Value, project: &str) -> Cells {
    let link = text(at(item, "fullDownloadLink"));
    let expires = link.as_str().and_then(expiry).map_or(Value::Null, |at| json!(iso(at)));
    let mut cells = Cells::from([
        ("project_id", json!(project)),
        ("task_assignment_id", first([text(at(item, "taskAssignmentID")), text(at(item, "taskAssignmentId"))])),
        ("full_download_link", link.as_str().map_or(Value::Null, |link| json!(redact(link)))),
        ("expires_at", first([text(at(item, "expiresAt")), expires])),
    ]);
    for (column, key) in [
        ("file_type", "mediaType"),
        ("file_name", "mediaName"),
        ("media_description", "mediaDescription"),
        ("media_comment", "mediaComment"),
        ("latitude", "latitude"),
        ("longitude", "longitude"),
        ("gps_source", "gpsSource"),
        ("taken_date", "takenDate"),
    ] {
        cells.insert(column, text(at(item, key)));
    }
    cells
}

/// `claimx_attachments`, as far as the API tells.
pub fn file(item: &Value, media: &str, project: &str, url: &str) -> Cells {
    let name = first([text(at(item, "mediaName")), last_segment(url)]);
    let mut cells = Cells::from([
        ("project_id", json!(project)),
        ("file_type", first([text(at(item, "mediaType")), extension(url)])),
        ("file_name", name.clone()),
        ("media_type", text(at(item, "mediaType"))),
        ("media_name", text(at(item, "mediaName"))),
        ("download_url", json!(redact(url))),
    ]);
    let name = name.as_str().unwrap_or("file").to_owned();
    let plain = name.len() <= 100
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "._- ".contains(c))
        && !name.ends_with('.');
    if plain {
        cells.insert("blob_path", json!(format!("{project}/media/{media}_{name}")));
    }
    cells
}

/// `claimx_tasks`; none without an assignment id.
pub fn task(answer: &Value, project: &str) -> Option<(i64, Cells)> {
    let assignment = int(at(answer, "assignmentId")).as_i64()?;
    let mut cells = Cells::from([("assignment_id", json!(assignment)), ("project_id", json!(project))]);
    for (column, key) in [
        ("template_id", "taskId"),
        ("assignee_id", "assigneeId"),
        ("assignor_id", "assignorId"),
        ("cancelled_by_resource_id", "cancelledByResourceId"),
        ("pdf_project_media_id", "pdfProjectMediaId"),
        ("resubmit_task_assignment_id", "resubmitTaskAssignmentId"),
    ] {
        cells.insert(column, int(at(answer, key)));
    }
    for (column, key) in [
        ("status", "status"),
        ("mfn", "mfn"),
        ("task_name", "taskName"),
        ("form_id", "formId"),
        ("form_response_id", "formResponseId"),
        ("assignor_email", "assignor"),
        ("task_url", "url"),
    ] {
        cells.insert(column, text(at(answer, key)));
    }
    for (column, key) in [
        ("date_assigned", "dateAssigned"),
        ("date_completed", "dateCompleted"),
        ("cancelled_date", "cancelledDate"),
        ("date_exported", "dateExported"),
        ("stp_started_date", "stpStartedDate"),
        ("fraud_language_accepted_date", "fraudLanguageAcceptedDate"),
    ] {
        cells.insert(column, ts_text(at(answer, key)));
    }
    cells.insert("stp_enabled", flag(at(answer, "stpEnabled")));
    cells.insert("xactimate_exportable", flag(at(answer, "xactimateExportable")));
    Some((assignment, cells))
}

/// `claimx_task_templates`; none without an id.
pub fn template(answer: &Value) -> Option<(i64, Cells)> {
    let template = at(answer, "customTask");
    let template_id = int(at(template, "taskId")).as_i64()?;
    let mut cells = Cells::from([("task_id", json!(template_id))]);
    for (column, key) in [
        ("name", "name"),
        ("description", "description"),
        ("form_id", "formId"),
        ("form_name", "formName"),
        ("notify_assigned_subject", "notifyAssignedSubject"),
        ("notify_completed_subject", "notifyCompletedSubject"),
        ("modified_by", "modifiedBy"),
    ] {
        cells.insert(column, text(at(template, key)));
    }
    for (column, key) in [
        ("enabled", "enabled"),
        ("is_default", "default"),
        ("is_manual_delivery", "isManualDelivery"),
        ("is_external_link_delivery", "isExternalLinkDelivery"),
        ("provide_portal_access", "providePortalAccess"),
        ("notify_assigned_send_recipient", "notifyAssignedSendRecipient"),
        ("notify_assigned_send_recipient_sms", "notifyAssignedSendRecipientSms"),
        ("notify_task_completed", "notifyTaskCompleted"),
        ("allow_resubmit", "allowReSubmit"),
        ("auto_generate_pdf", "autoGeneratePdf"),
    ] {
        cells.insert(column, flag(at(template, key)));
    }
    cells.insert("comp_id", int(at(template, "compId")));
    cells.insert("modified_by_id", int(at(template, "modifiedById")));
    cells.insert("modified_date", ts_text(at(template, "modifiedDate")));
    Some((template_id, cells))
}

/// `claimx_external_links`; none without an id.
pub fn link(answer: &Value, assignment: i64, project: &str) -> Option<(i64, Cells)> {
    let link = at(answer, "externalLinkData");
    let link_id = int(at(link, "linkId")).as_i64()?;
    let cells = Cells::from([
        ("assignment_id", json!(assignment)),
        ("project_id", json!(project)),
        ("link_code", text(at(link, "linkCode"))),
        ("url", text(at(link, "url"))),
        ("notification_access_method", text(at(link, "notificationAccessMethod"))),
        ("country_id", int(at(link, "countryId"))),
        ("state_id", int(at(link, "stateId"))),
        ("accessed_count", json!(0)),
    ]);
    Some((link_id, cells))
}

/// `claimx_video_collab`; none without an id.
pub fn collaboration(report: &Value) -> Option<(i64, Cells)> {
    let key = first([int(at(report, "videoCollaborationId")), int(at(report, "id"))]).as_i64()?;
    let mut cells = Cells::from([("video_collaboration_id", json!(key))]);
    for (column, path) in [
        ("mfn", "mfn"),
        ("claim_number", "claimNumber"),
        ("policy_number", "policyNumber"),
        ("email_user_name", "emailUserName"),
        ("claim_rep_first_name", "claimRepFirstName"),
        ("claim_rep_last_name", "claimRepLastName"),
        ("total_time", "totalTime"),
        ("company_name", "companyName"),
        ("guid", "guid"),
    ] {
        cells.insert(column, text(at(report, path)));
    }
    for (column, path) in [
        ("claim_id", "claimId"),
        ("number_of_videos", "numberOfVideos"),
        ("number_of_photos", "numberOfPhotos"),
        ("number_of_viewers", "numberOfViewers"),
        ("session_count", "sessionCount"),
        ("company_id", "companyId"),
    ] {
        cells.insert(column, int(at(report, path)));
    }
    for (column, path) in [
        ("created_date", "createdDate"),
        ("live_call_first_session", "liveCallFirstSession"),
        ("live_call_last_session", "liveCallLastSession"),
    ] {
        cells.insert(column, ts_text(at(report, path)));
    }
    cells.insert("total_time_seconds", decimal(at(report, "totalTimeSeconds")));
    let names: Vec<String> = [&cells["claim_rep_first_name"], &cells["claim_rep_last_name"]]
        .into_iter()
        .filter_map(|name| name.as_str().map(str::to_owned))
        .collect();
    let full = text(&json!(names.join(" ")));
    cells.insert("claim_rep_full_name", first([text(at(report, "claimRepFullName")), full]));
    Some((key, cells))
}

/// The element of a list of media with this id.
pub fn find<'v>(items: &[&'v Value], media: &str) -> Option<&'v Value> {
    items.iter().copied().find(|item| id(at(item, "mediaID")) == media)
}
