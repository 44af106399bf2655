#!/usr/bin/env python3
"""Compares the Delta tables and files of a finished simulated ClaimX run with what the simulation's account implies.

    python tests/independent.py DATA

DATA is the `--data` folder of the run. The tables are read with Python's deltalake; what they must hold is computed here from
`DATA/sim` (what was emitted, answered and served) and from the facts of the domain alone: neither the topology nor any code of
the engine is used. Every row that must be there is, none twice, none besides, and each cell holds a value that the account
knows for it. Columns of which only a clock knows the value must be filled. Prints what it compared; ends with 1 and the first
differences of each table if there are any, and with 2 if there is no account.
"""

import hashlib
import json
import os
import re
import sys
import uuid
from collections import defaultdict
from datetime import datetime, timedelta, timezone
from decimal import Decimal, InvalidOperation
from urllib.parse import parse_qs, urlsplit

from deltalake import DeltaTable

# UUIDv5 of the URL http://nsmkdvPipe/claimx/event_id.
NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "http://nsmkdvPipe/claimx/event_id")
SECRET = (
    "sig signature sign sv se st sp sr spr x-amz-signature x-amz-credential x-amz-security-token token access_token api_key apikey "
    "key secret password pwd auth authorization"
).split()
FILLED = object()  # any value but null

# ---- coercions


def text(value):
    """Trimmed; blank is null; numbers as they are written."""
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (dict, list)):
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False, default=str)
    return str(value).strip() or None


def identifier(value):
    if isinstance(value, (int, Decimal)) and not isinstance(value, bool):
        return str(int(value))
    return text(value)


def integer(value):
    if isinstance(value, (bool, int, Decimal)):
        return int(value)
    if isinstance(value, str) and re.fullmatch(r"[+-]?\d+", value.strip()):
        return int(value)
    return None


def integer32(value):
    number = integer(value)
    return number if number is not None and -(2**31) <= number < 2**31 else None


def boolean(value):
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return value.strip().lower() in ("true", "1", "yes")
    return bool(value)


def decimal(value):
    try:
        return None if value is None else Decimal(str(value).strip())
    except InvalidOperation:
        return None


def time_text(value):
    return (value.strip().replace("Z", "+00:00") or None) if isinstance(value, str) else None


def instant(value):
    """An ISO text as UTC; without an offset it is UTC already."""
    at = datetime.fromisoformat(value.strip().replace("Z", "+00:00"))
    return (at if at.tzinfo else at.replace(tzinfo=timezone.utc)).astimezone(timezone.utc)


def redacted(url):
    """The URL with `[REDACTED]` for the values of secret query keys."""
    head, mark, query = url.partition("?")
    pairs = [pair.partition("=") for pair in query.split("&")]
    shown = [k + e + ("[REDACTED]" if k.lower() in SECRET and e else v) for k, e, v in pairs]
    return head + mark + "&".join(shown)


def objects(value):
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def mapping(value):
    return value if isinstance(value, dict) else {}


# ---- the account


def lines(folder, name):
    with open(os.path.join(folder, name), encoding="utf-8") as file:
        return [json.loads(line, parse_float=Decimal) for line in file if line.strip()]


def first(message, *names):
    return next((message[name] for name in names if text(message.get(name))), None)


def event_of(message):
    """The event that a message on the topic means."""
    event = {
        "event_type": text(first(message, "event_type", "eventType")),
        "project_id": identifier(first(message, "project_id", "projectId")),
        "media_id": identifier(first(message, "media_id", "mediaId")),
        "task_assignment_id": identifier(first(message, "task_assignment_id", "taskAssignmentId")),
        "video_collaboration_id": identifier(first(message, "video_collaboration_id", "videoCollaborationId")),
        "master_file_name": text(first(message, "master_file_name", "masterFileName")),
        "ingested_at": instant(first(message, "ingested_at", "ingestion_time", "IngestionTime")),
    }
    parts = [event["project_id"], event["event_type"], event["ingested_at"].isoformat()]
    for kind, name in (("media", "media_id"), ("task", "task_assignment_id"), ("video", "video_collaboration_id")):
        if event[name]:
            parts.append(f"{kind}:{event[name]}")
    own = identifier(first(message, "event_id", "eventId"))
    return {"event_id": own or str(uuid.uuid5(NAMESPACE, "|".join(parts))), **event}


class Account:
    """What happened outside the engine."""

    def __init__(self, folder):
        emitted = lines(folder, "emitted.jsonl")
        self.events = {}
        for line in emitted:
            event = event_of(line["value"])
            self.events.setdefault(event["event_id"], event)
        self.projects, self.media, self.tasks, self.videos = (defaultdict(list) for _ in range(4))
        for answer in sorted(lines(folder, "answers.jsonl"), key=lambda answer: answer["at"]):
            if answer["status"] == 200 and answer["fault"] not in ("timeout", "reset", "truncated"):
                self.take(urlsplit(answer["path"]).path, answer["body"])
        broken = ("timeout", "reset", "truncated", "expired")
        self.served = {}
        for file in lines(folder, "files.jsonl"):
            if file["fault"] not in broken and not str(file["fault"]).isdigit():
                self.served[file["url"].partition("?")[0]] = file

    def take(self, path, body):
        if match := re.search(r"/export/project/(\d+)$", path):
            root = body["data"] if isinstance(body, dict) and "data" in body else body
            self.projects[match[1]].append(mapping(root))
        elif match := re.search(r"/export/project/(\d+)/media$", path):
            items = body if isinstance(body, list) else body.get("data", body.get("media", body))
            for item in objects(items if isinstance(items, list) else [items]):
                self.media[identifier(item.get("mediaID"))].append(item)
        elif match := re.search(r"/customTasks/assignment/(\d+)$", path):
            self.tasks[match[1]].append(mapping(body))
        elif path.endswith("/data"):
            for name in ("data", "collaborations", "videoCollaboration"):
                body = body.get(name, body) if isinstance(body, dict) else body
            for item in objects(body if isinstance(body, list) else [body]):
                if text(item.get("claimId")):
                    self.videos[text(item["claimId"])].append(item)

    def about(self, name, *types):
        """The events of these types by the value of a field."""
        found = defaultdict(list)
        for event in self.events.values():
            if event[name] and event["event_type"] in types:
                found[event[name]].append(event)
        return found


# ---- what the tables must hold: by key, by column the values that are right

TASKS = ("CUSTOM_TASK_ASSIGNED", "CUSTOM_TASK_COMPLETED")
VIDEOS = ("VIDEO_COLLABORATION_INVITE_SENT", "VIDEO_COLLABORATION_COMPLETED")
HOLDER = ("POLICYHOLDER_INVITED", "POLICYHOLDER_JOINED")
XA = "PROJECT_AUTO_XA_LINKING_UNSUCCESSFUL"
TYPES = ("PROJECT_CREATED", "PROJECT_FILE_ADDED", "PROJECT_MFN_ADDED", XA, *TASKS, *VIDEOS, *HOLDER)


def camel(column):
    head, *rest = column.split("_")
    return head + "".join(part.capitalize() for part in rest)


def columns(coerce, names, source):
    """`column` or `column=field`; without a field it is the column's camel-case spelling."""
    cells = {}
    for name in names.split():
        column, _, field = name.partition("=")
        cells[column] = coerce(source.get(field or camel(column)))
    return cells


def ids(events):
    return {event["event_id"] for event in events}


def merge(rows, key, cells):
    """One more version of a row: each may be the newest."""
    row = rows.setdefault(key, {})
    for column, value in cells.items():
        row.setdefault(column, [])
        row[column] += value if isinstance(value, list) else [value]


def stamps(*names):
    return {name: FILLED for name in names}


def address(customer):
    """The policyholder's: the first primary one, or the first at all where that is blank or there is none."""
    known = objects(customer.get("emails"))
    chosen = next((mail for mail in known if mail.get("primary")), None)
    return text(mapping(chosen).get("emailAddress")) or (text(known[0].get("emailAddress")) if known else None)


def contact_id(mail, kind):
    return str(uuid.uuid5(NAMESPACE, f"contact:{mail.lower()}:{kind}"))


def expected_events(account):
    return {
        (e["event_id"],): {**e, "event_date": e["ingested_at"].date(), "created_at": FILLED} for e in account.events.values()
    }


def expected_log(account):
    same = ("event_id", "event_type", "project_id")
    rest = {"status": "success", "error_message": None, "error_category": None, "processed_date": None}
    rest |= stamps("api_calls", "duration_ms", "retry_count", "processed_at")
    return {
        (e["event_id"],): {**{n: e[n] for n in same}, **rest, "processed_date": e["ingested_at"].date()}
        for e in account.events.values()
    }


def expected_projects(account):
    about, rows = account.about("project_id", *TYPES), {}

    def latest(events, *types):
        return max((e["ingested_at"] for e in events if e["event_type"] in types), default=None)

    for project, events in about.items():
        failed = latest(events, XA)
        own = {
            "project_id": project,
            "coverages": None,
            "contents_task_sent": None,
            "contents_task_at": None,
            "xa_autolink_fail": True if failed else None,
            "xa_autolink_fail_at": failed,
            "policyholder_invited_at": latest(events, "POLICYHOLDER_INVITED"),
            "policyholder_joined_at": latest(events, "POLICYHOLDER_JOINED"),
            "event_id": list(ids(events)),
            **stamps("created_at", "updated_at"),
        }
        merge(rows, (project,), own)
        renamed = [e["master_file_name"] for e in events if e["event_type"] == "PROJECT_MFN_ADDED"]
        answers = account.projects[project]
        if not answers and any(e["event_type"] != XA for e in events):
            rows[(project,)]["project_number"] = []  # nothing is right: it was never asked for
        for root in answers:
            found = mapping(root.get("project"))
            customer, place = mapping(found.get("customerInformation")), mapping(found.get("address"))
            phone = mapping(next(iter(objects(customer.get("phones"))), None))
            cells = columns(
                text,
                "project_number secondary_number status type_of_loss cause_of_loss loss_description custom_attribute1 "
                "custom_attribute2 custom_attribute3 custom_external_unique_id",
                found,
            )
            cells |= columns(
                time_text,
                "created_date date_of_loss date_received date_contacted planned_inspection_date date_inspected appointment_date",
                found,
            )
            cells |= columns(integer, "year_built square_footage", found)
            cells |= columns(text, "street1 street2 city state_province zip_postcode county country", place)
            cells |= columns(
                text, "customer_first_name=firstName customer_last_name=lastName custom_business_name business_line_type", customer
            )
            cells |= columns(text, "primary_phone=phoneNumber", phone)
            cells |= columns(integer, "primary_phone_country_code=phoneCountryCode", phone)
            cells["primary_email"] = address(customer)
            cells["company_name"] = text(root.get("companyName"))
            cells["master_file_name"] = [text(found.get("mfn")), *filter(None, renamed)]
            cells["last_enriched_at"] = FILLED
            merge(rows, (project,), cells)
    return rows


def expected_contacts(account):
    rows = {}
    about = account.about("project_id", *TYPES)

    def add(project, mail, kind, cells):
        # One event of a project may fill any of its contacts.
        own = {"contact_id": contact_id(mail, kind), "project_id": project, "contact_type": kind, "contact_email": mail}
        own |= {"event_id": list(ids(about[project])), "video_collaboration_id": None}
        own |= stamps("created_at", "last_enriched_at", "updated_at", "created_date")
        merge(rows, (own["contact_id"], project), own | cells)

    for project, answers in account.projects.items():
        for root in answers:
            customer = mapping(mapping(root.get("project")).get("customerInformation"))
            phone = mapping(next(iter(objects(customer.get("phones"))), None))
            if mail := address(customer):
                cells = columns(text, "first_name last_name", customer) | columns(text, "phone_number", phone)
                cells |= columns(integer, "phone_country_code", phone)
                add(project, mail, "POLICYHOLDER", cells | {"is_primary_contact": True, "master_file_name": None})
            for member in objects(root.get("teamMembers")):
                if user := text(member.get("userName")):
                    cells = columns(text, "master_file_name=mfn", member)
                    cells["is_primary_contact"] = boolean(member.get("primaryContact", False)) or False
                    add(project, user, "CLAIM_REP", cells)
    holders = set(rows)
    for task, project, _ in tasks(account):
        link = mapping(task.get("externalLinkData"))
        mail = text(link.get("email"))
        if not mail:
            continue
        key = (contact_id(mail, "POLICYHOLDER"), project)
        cells = {"task_assignment_id": integer32(task.get("assignmentId")), "link_enriched_at": FILLED}
        if key not in holders:
            cells |= columns(text, "first_name last_name phone_number=phone", link)
            cells |= columns(integer, "phone_country_code", link)
            cells["is_primary_contact"] = False
        add(project, mail, "POLICYHOLDER", cells)
    return rows


def tasks(account):
    """Each answer about a task that an event asked for, the project that it belongs to, and the events."""
    for assignment, events in account.about("task_assignment_id", *TASKS).items():
        for task in account.tasks[str(integer(assignment))]:
            for event in events:
                yield task, identifier(task.get("projectId")) or event["project_id"], events


def expected_tasks(account):
    rows = {}
    for task, project, events in tasks(account):
        number = integer(task.get("assignmentId"))
        cells = columns(text, "status mfn task_name form_id form_response_id assignor_email=assignor task_url=url", task)
        cells |= columns(
            integer,
            "task_id=assignmentId assignment_id template_id=taskId assignee_id assignor_id cancelled_by_resource_id "
            "pdf_project_media_id resubmit_task_assignment_id",
            task,
        )
        cells |= columns(boolean, "stp_enabled xactimate_exportable", task)
        cells |= columns(
            time_text,
            "date_assigned date_completed cancelled_date date_exported stp_started_date fraud_language_accepted_date",
            task,
        )
        cells |= {"project_id": project, "event_id": list(ids(events))}
        merge(rows, (number,), cells | stamps("created_at", "updated_at", "last_enriched_at"))
    return rows


def expected_templates(account):
    rows = {}
    for task, project, events in tasks(account):
        template = task.get("customTask")
        if not isinstance(template, dict):
            continue
        number = integer(template.get("taskId"))
        cells = columns(integer, "template_id=taskId task_id comp_id modified_by_id", template)
        cells |= columns(
            text, "name description form_id form_name notify_assigned_subject notify_completed_subject modified_by", template
        )
        cells |= columns(
            boolean,
            "enabled is_default=default is_manual_delivery is_external_link_delivery provide_portal_access "
            "notify_assigned_send_recipient notify_assigned_send_recipient_sms notify_task_completed "
            "allow_resubmit=allowReSubmit auto_generate_pdf",
            template,
        )
        cells |= columns(time_text, "modified_date", template)
        cells |= {"project_id": project, "event_id": list(ids(events))}
        merge(rows, (number, project), cells | stamps("created_at", "updated_at", "last_enriched_at"))
    return rows


def expected_links(account):
    rows = {}
    for task, project, events in tasks(account):
        link = mapping(task.get("externalLinkData"))
        if integer(link.get("linkId")) is None:
            continue
        cells = columns(integer, "link_id country_id state_id", link) | columns(integer, "assignment_id", task)
        cells |= columns(text, "link_code url notification_access_method", link)
        cells |= {"project_id": project, "created_date": None, "last_accessed": None, "accessed_count": 0}
        merge(rows, (integer(link["linkId"]),), cells | {"event_id": list(ids(events))} | stamps("created_at", "updated_at"))
    return rows


def expected_videos(account):
    rows = {}
    for project, events in account.about("project_id", *VIDEOS).items():
        for item in account.videos[project]:
            number = integer(item.get("videoCollaborationId"))
            number = integer(item.get("id")) if number is None else number
            cells = columns(
                integer, "claim_id number_of_videos number_of_photos number_of_viewers session_count company_id", item
            )
            cells |= columns(
                text,
                "mfn claim_number policy_number email_user_name claim_rep_first_name claim_rep_last_name total_time company_name "
                "guid",
                item,
            )
            cells |= columns(time_text, "created_date live_call_first_session live_call_last_session", item)
            names = filter(None, (cells["claim_rep_first_name"], cells["claim_rep_last_name"]))
            cells["claim_rep_full_name"] = text(item.get("claimRepFullName")) or text(" ".join(names))
            cells["total_time_seconds"] = decimal(item.get("totalTimeSeconds"))
            cells |= {"collaboration_id": number, "video_collaboration_id": number, "event_id": list(ids(events))}
            merge(rows, (number,), cells | stamps("created_at", "updated_at", "last_enriched_at"))
    return rows


def expiry(url):
    """When a link of the service ends: signed at, and a life, in milliseconds."""
    query = parse_qs(urlsplit(url).query)
    if "systemDate" not in query or "expires" not in query:
        return None
    end = timedelta(milliseconds=int(query["systemDate"][0]) + int(query["expires"][0]))
    return datetime(1970, 1, 1, tzinfo=timezone.utc) + end


def media_events(account):
    return account.about("media_id", "PROJECT_FILE_ADDED", "PROJECT_MFN_ADDED")


def expected_media(account):
    rows = {}
    for medium, events in media_events(account).items():
        rows[(medium,)] = {"media_id": []} if not account.media[medium] else {}
        for item in account.media[medium]:
            link = text(item.get("fullDownloadLink"))
            cells = columns(text, "task_assignment_id=taskAssignmentID file_type=mediaType file_name=mediaName", item)
            cells |= columns(text, "media_description media_comment latitude longitude gps_source taken_date", item)
            cells["full_download_link"] = link and redacted(link)
            cells["expires_at"] = text(item.get("expiresAt")) or (link and expiry(link))
            cells |= {"media_id": medium, "project_id": [e["project_id"] for e in events], "event_id": list(ids(events))}
            merge(rows, (medium,), cells | stamps("created_at", "updated_at", "last_enriched_at"))
    return rows


def expected_files(account):
    rows = {}
    for medium, events in media_events(account).items():
        for item in account.media[medium]:
            link = text(item.get("fullDownloadLink"))
            if not link:
                continue
            place = urlsplit(link)
            last = place.path.rsplit("/", 1)[-1]
            named = last if "." in last else parse_qs(place.query).get("filename", [""])[0]
            kind, name = text(item.get("mediaType")), text(item.get("mediaName"))
            served = account.served.get(link.partition("?")[0], {})
            cells = {
                "media_id": medium,
                "project_id": [e["project_id"] for e in events],
                "file_type": kind or text(named.rpartition(".")[2].lower()),
                "file_name": name or text(last),
                "media_type": kind,
                "media_name": name,
                "download_url": redacted(link),
                "source_event_id": list(ids(events)),
                "bytes_downloaded": served.get("bytes", "never served"),
            }
            merge(rows, (medium,), cells | stamps("blob_path", "downloaded_at", "created_at", "updated_at", "created_date"))
    return rows


# ---- the comparison

TABLES = {
    "claimx_events": (["event_id"], expected_events),
    "claimx_event_log": (["event_id"], expected_log),
    "claimx_projects": (["project_id"], expected_projects),
    "claimx_contacts": (["contact_id", "project_id"], expected_contacts),
    "claimx_attachment_metadata": (["media_id"], expected_media),
    "claimx_tasks": (["task_id"], expected_tasks),
    "claimx_task_templates": (["template_id", "project_id"], expected_templates),
    "claimx_external_links": (["link_id"], expected_links),
    "claimx_video_collab": (["collaboration_id"], expected_videos),
    "claimx_attachments": (["media_id"], expected_files),
}


def same(value, right):
    if right is FILLED:
        return value is not None
    if isinstance(right, Decimal):
        return decimal(value) == right
    if isinstance(right, datetime) and isinstance(value, str):
        return instant(value) == right
    return type(value) is type(right) and value == right or value is right


def differences(rows, key, expected):
    """What is wrong with `rows`, and how many cells were compared."""
    found, wrong, cells = {}, [], 0
    for row in rows:
        at = tuple(row[column] for column in key)
        if at in found:
            wrong.append(f"{at} is there twice")
        found[at] = row
    wrong += [f"{at} is missing" for at in expected if at not in found]
    for at, row in found.items():
        if at not in expected:
            wrong.append(f"{at} is there, and nothing caused it")
            continue
        right = expected[at]
        wrong += [f"there is no column {column}" for column in right if column not in row and at == next(iter(found))]
        for column, value in row.items():
            # A column that nothing fills is null.
            wanted = right.get(column, None)
            wanted = wanted if isinstance(wanted, list) else [wanted]
            cells += 1
            if not any(same(value, one) for one in wanted):
                shown = "something" if FILLED in wanted else sorted({repr(one) for one in wanted})[:6]
                wrong.append(f"{at}: {column} is {value!r}, right is {shown}")
    return wrong, cells


def file_differences(data, rows, account):
    """Each row of the inventory has its file, byte for byte what was served, and there is no other file."""
    folder, wrong = os.path.join(data, "files"), []
    stored = {
        os.path.relpath(os.path.join(at, name), folder).replace(os.sep, "/") for at, _, names in os.walk(folder) for name in names
    }
    for row in rows:
        path = row["blob_path"]
        if not path.startswith(f"{row['project_id']}/media/{row['media_id']}_") or path.count("/") != 2:
            wrong.append(f"{path} is no path for medium {row['media_id']} of project {row['project_id']}")
        if path not in stored:
            wrong.append(f"{path} is missing, or belongs to two rows")
            continue
        stored.discard(path)
        with open(os.path.join(folder, path), "rb") as file:
            content = file.read()
        served = account.served.get(row["download_url"].partition("?")[0], {})
        if (len(content), hashlib.sha256(content).hexdigest()) != (served.get("bytes"), served.get("sha256")):
            wrong.append(f"{path} is not what was served")
    return wrong + [f"{path} is there without a row" for path in sorted(stored)]


def main(data):
    account = Account(os.path.join(data, "sim"))
    if not account.events or not account.projects:
        print(f"{data}/sim: an empty account proves nothing", file=sys.stderr)
        return 2
    problems, tables = [], {}
    for name, (key, expect) in TABLES.items():
        tables[name] = DeltaTable(os.path.join(data, "tables", name)).to_pyarrow_table().to_pylist()
        expected = expect(account)
        wrong, cells = differences(tables[name], key, expected)
        print(f"{name}: {len(tables[name])} rows of {len(expected)}, {cells} cells, {len(wrong)} differences")
        problems += [f"{name}: {line}" for line in wrong[:20]]
        if not expected:
            problems.append(f"{name}: the account implies no row, which proves nothing")
    wrong = file_differences(data, tables["claimx_attachments"], account)
    print(f"files: {len(tables['claimx_attachments'])}, {len(wrong)} differences")
    problems += [f"files: {line}" for line in wrong[:20]]
    parents = {row["project_id"] for row in tables["claimx_projects"]}
    for name, rows in tables.items():
        orphans = sorted({row["project_id"] for row in rows if "project_id" in row} - parents)
        problems += [f"{name}: project {project} is not there" for project in orphans[:20]]
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        sys.exit(2)
    sys.exit(main(sys.argv[1]))
