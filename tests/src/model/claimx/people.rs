//! What a project's answer says: the project and its contacts.

use serde_json::{Value, json};

use crate::model::coerce::{at, flag, id, int, objects, text, ts_text, uuid5};
use crate::model::expect::Cells;

/// The part of an answer that holds project, company and team: the wrapper's, if there is one.
pub fn root(body: &Value) -> &Value {
    if at(body, "data").is_null() { body } else { at(body, "data") }
}

/// The project of an answer. One without an id is none.
pub fn project(body: &Value) -> Option<&Value> {
    let project = at(root(body), "project");
    (project.is_object() && !id(at(project, "projectId")).is_null()).then_some(project)
}

/// The address of the policyholder.
pub fn email(project: &Value) -> Value {
    let emails = objects(at(project, "customerInformation.emails"));
    let address = |element: Option<&&Value>| element.map_or(Value::Null, |element| text(at(element, "emailAddress")));
    let primary = address(emails.iter().find(|element| truthy(at(element, "primary"))));
    if primary.is_null() { address(emails.first()) } else { primary }
}

fn truthy(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(flag) => *flag,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => !list.is_empty(),
        Value::Object(map) => !map.is_empty(),
    }
}

fn phone(project: &Value, key: &str) -> Value {
    objects(at(project, "customerInformation.phones")).first().map_or(Value::Null, |phone| phone[key].clone())
}

/// The API's columns of `claimx_projects`, clocks and event left out.
pub fn project_cells(body: &Value, project: &Value) -> Cells {
    let mut cells = Cells::new();
    for (column, path) in [
        ("project_number", "projectNumber"),
        ("master_file_name", "mfn"),
        ("secondary_number", "secondaryNumber"),
        ("status", "status"),
        ("type_of_loss", "typeOfLoss"),
        ("cause_of_loss", "causeOfLoss"),
        ("loss_description", "lossDescription"),
        ("customer_first_name", "customerInformation.firstName"),
        ("customer_last_name", "customerInformation.lastName"),
        ("street1", "address.street1"),
        ("street2", "address.street2"),
        ("city", "address.city"),
        ("state_province", "address.stateProvince"),
        ("zip_postcode", "address.zipPostcode"),
        ("county", "address.county"),
        ("country", "address.country"),
        ("custom_attribute1", "customAttribute1"),
        ("custom_attribute2", "customAttribute2"),
        ("custom_attribute3", "customAttribute3"),
        ("custom_business_name", "customerInformation.customBusinessName"),
        ("business_line_type", "customerInformation.businessLineType"),
        ("custom_external_unique_id", "customExternalUniqueId"),
    ] {
        cells.insert(column, text(at(project, path)));
    }
    for (column, path) in [
        ("created_date", "createdDate"),
        ("date_of_loss", "dateOfLoss"),
        ("date_received", "dateReceived"),
        ("date_contacted", "dateContacted"),
        ("planned_inspection_date", "plannedInspectionDate"),
        ("date_inspected", "dateInspected"),
        ("appointment_date", "appointmentDate"),
    ] {
        cells.insert(column, ts_text(at(project, path)));
    }
    cells.insert("primary_email", email(project));
    cells.insert("primary_phone", text(&phone(project, "phoneNumber")));
    cells.insert("primary_phone_country_code", int(&phone(project, "phoneCountryCode")));
    cells.insert("year_built", int(at(project, "yearBuilt")));
    cells.insert("square_footage", int(at(project, "squareFootage")));
    cells.insert("company_name", text(at(root(body), "companyName")));
    cells
}

/// The id of a contact.
pub fn contact_id(email: &str, kind: &str) -> String {
    uuid5(super::NAMESPACE, &format!("contact:{}:{kind}", email.trim().to_lowercase()))
}

/// The contacts of a project's answer, by their ids: the API's columns, clocks and event left out.
pub fn contacts(body: &Value) -> Vec<(String, Cells)> {
    let mut contacts = Vec::new();
    if let Some(project) = project(body)
        && let Some(email) = email(project).as_str()
    {
        let cells = Cells::from([
            ("contact_email", json!(email)),
            ("contact_type", json!("POLICYHOLDER")),
            ("first_name", text(at(project, "customerInformation.firstName"))),
            ("last_name", text(at(project, "customerInformation.lastName"))),
            ("phone_number", text(&phone(project, "phoneNumber"))),
            ("phone_country_code", int(&phone(project, "phoneCountryCode"))),
            ("is_primary_contact", json!(true)),
        ]);
        contacts.push((contact_id(email, "POLICYHOLDER"), cells));
    }
    for member in objects(at(root(body), "teamMembers")) {
        let Some(email) = text(at(member, "userName")).as_str().map(str::to_owned) else { continue };
        let primary = flag(at(member, "primaryContact"));
        let cells = Cells::from([
            ("contact_email", json!(email)),
            ("contact_type", json!("CLAIM_REP")),
            ("is_primary_contact", if primary.is_null() { json!(false) } else { primary }),
            ("master_file_name", text(at(member, "mfn"))),
        ]);
        contacts.push((contact_id(&email, "CLAIM_REP"), cells));
    }
    contacts
}

/// The contact a task's link was sent to: address and columns. What the link does not say is left out.
pub fn recipient(task: &Value) -> Option<(String, Cells)> {
    let link = at(task, "externalLinkData");
    let email = text(at(link, "email")).as_str()?.to_owned();
    let mut cells = Cells::from([
        ("contact_email", json!(email)),
        ("contact_type", json!("POLICYHOLDER")),
        ("is_primary_contact", json!(false)),
    ]);
    for (column, value) in [
        ("first_name", text(at(link, "firstName"))),
        ("last_name", text(at(link, "lastName"))),
        ("phone_number", text(at(link, "phone"))),
        ("phone_country_code", int(at(link, "phoneCountryCode"))),
    ] {
        if !value.is_null() {
            cells.insert(column, value);
        }
    }
    Some((email, cells))
}
