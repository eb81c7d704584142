#include "cli/command.h"

const struct cli_option cli_global_options[] = {
    {"profile", "NAME", "take server, CA and credential from this profile"},
    {"config", "FILE", "the file with the profiles (~/.config/kluis/config.yaml)"},
    {"server", "URL", "https://HOST:PORT"},
    {"ca", "FILE", "the CA that vouches for the server, and no other (PEM)"},
    {"credential", "FILE", "the file that holds the token"},
    {"certificate", "FILE", "client certificate (PEM), instead of a token"},
    {"key", "FILE", "the client certificate's key (PEM)"},
    {"tenant", "NAME", "the tenant to act on (operators)"},
    {"format", "FORMAT", "table, json or csv"},
    {"quiet", NULL, "print results only"},
    {"help", NULL, "show help"},
    {"version", NULL, "show the version"},
    {NULL, NULL, NULL},
};

#define PURPOSE                                                                              \
    {                                                                                        \
        "purpose", "PURPOSE", "what it is for; a credential made for one purpose needs none" \
    }
#define FIELDS                                                                          \
    {                                                                                   \
        "fields", "LIST", "fields, separated by commas (newsletter.email,newsletter.*)" \
    }
#define LIMIT                                       \
    {                                               \
        "limit", "N", "at most this many (1..1000)" \
    }
#define CURSOR                                                \
    {                                                         \
        "cursor", "CURSOR", "go on where the last page ended" \
    }
#define RECIPIENT                                               \
    {                                                           \
        "recipient", "NAME", "for this recipient of the policy" \
    }
#define GROUND                                                                             \
    {                                                                                      \
        "ground", "GROUND",                                                                \
            "legal_claim, protect_person or public_interest, where somebody restricted it" \
    }
#define BEFORE                                                                               \
    {                                                                                        \
        "before", "WHEN", "a time, or how long from now (P30D); without it, what is due now" \
    }
#define YES                       \
    {                             \
        "yes", NULL, "do not ask" \
    }
#define DRY_RUN                                                     \
    {                                                               \
        "dry-run", NULL, "show what would be erased, erase nothing" \
    }
#define OUT                                                                   \
    {                                                                         \
        "out", "PATH", "write it to this new file instead of standard output" \
    }
#define REASON                                                                           \
    {                                                                                    \
        "reason", "REASON", "request, retention, consent_withdrawn, tenant_end or other" \
    }
#define STORE                                                             \
    {                                                                     \
        "store", "STORE", "of this store (operators); main when left out" \
    }
#define END              \
    {                    \
        NULL, NULL, NULL \
    }

static const struct cli_option subject_read_options[] = {PURPOSE, FIELDS, RECIPIENT, GROUND, END};
static const struct cli_option subject_list_options[] = {
    {"type", "TYPE", "record type"}, PURPOSE, FIELDS, RECIPIENT, GROUND, LIMIT, CURSOR, END};
static const struct cli_option subject_find_options[] = {PURPOSE, LIMIT, CURSOR, END};
static const struct cli_option erase_options[] = {REASON, YES, DRY_RUN, PURPOSE, END};
static const struct cli_option report_options[] = {
    {"as", "FORM", "json (the default) or html, a page to read"},
    {"lang", "LANGUAGE", "of the page: en (the default), nl or fr"},
    PURPOSE,
    OUT,
    END};
static const struct cli_option export_options[] = {
    {"as", "FORM", "json (the default) or csv"}, PURPOSE, OUT, END};
static const struct cli_option token_resolve_options[] = {RECIPIENT, PURPOSE, GROUND, END};
static const struct cli_option record_read_options[] = {PURPOSE, FIELDS, RECIPIENT, GROUND, END};
static const struct cli_option record_patch_options[] = {
    {"if-version", "N", "the version that was read; \"any\" overwrites whatever is there"}, END};
static const struct cli_option record_verify_options[] = {
    {"field", "FIELD", "the field of the record, of type secret"},
    PURPOSE,
    {"value-file", "FILE",
     "a file with the value; else it is asked for, or comes from standard input"},
    END};
static const struct cli_option file_put_options[] = {
    {"file", "PATH", "the file to send"},
    {"type", "MEDIA", "its media type (application/octet-stream)"},
    {"if-version", "N", "only when the record is still at this version"},
    END};
static const struct cli_option file_get_options[] = {PURPOSE, RECIPIENT, GROUND, OUT, END};
static const struct cli_option consent_give_options[] = {
    {"notice", "NOTICE", "the notice it was given for"},
    {"channel", "CHANNEL", "how it was given (web-form, phone, ...)"},
    RECIPIENT,
    {"evidence", "FILE", "a text that shows it; - for standard input"},
    {"at", "TIME", "when it was given (RFC 3339)"},
    {"expires", "TIME", "when it ends (RFC 3339)"},
    {"explicit", NULL, "an explicit consent (GDPR art. 9, 49)"},
    END};
static const struct cli_option consent_withdraw_options[] = {RECIPIENT, END};
#define SUBJECTS                                                                     \
    {                                                                                \
        "subjects", "N", "look at this many people at most (0..1000000, else 50000)" \
    }
#define STRICT                                                                       \
    {                                                                                \
        "strict", NULL, "end with 1 when it allows anything that is not allowed now" \
    }
static const struct cli_option policy_diff_options[] = {SUBJECTS, STRICT, END};
static const struct cli_option policy_apply_options[] = {
    {"dry-run", NULL, "show what it would change, as `policy diff` does, and change nothing"},
    SUBJECTS,
    STRICT,
    END};
static const struct cli_option policy_explain_options[] = {
    {"role", "ROLE", "the role that asks"},
    PURPOSE,
    FIELDS,
    {"action", "ACTION", "read (the default), write, lookup, ..."},
    {"from", "COUNTRY", "where the credential is"},
    RECIPIENT,
    {"subject", "SUBJECT", "with what is known of this subject"},
    END};
static const struct cli_option credential_create_options[] = {
    {"role", "ROLE", "a role of the policy, or steward, auditor, operator"},
    {"purposes", "LIST", "made for these purposes only"},
    {"location", "COUNTRY", "where it is used from: country or region"},
    {"recipient", "NAME", "reads as this recipient of the policy alone, and as nobody else"},
    {"subject", "SUBJECT", "bound to this one subject"},
    {"expires-in", "DURATION", "ISO 8601, such as P90D (the default)"},
    {"client-certificate", "SHA256",
     "for the client certificate with this fingerprint, instead of a token"},
    {"reason", "FILE",
     "why, for whoever reviews the trail: a text that names no person; - for standard input"},
    {"out", "FILE", "write the token to a new file of mode 0600 instead of showing it"},
    END};
static const struct cli_option webhook_add_options[] = {
    {"country", "COUNTRY", "where the target is: country or region"},
    {"events", "LIST", "alerts, heads; all, if left out"},
    {"out", "FILE", "write the secret to a new file of mode 0600 instead of showing it"},
    END};
static const struct cli_option page_options[] = {LIMIT, CURSOR, END};
static const struct cli_option revoke_options[] = {YES, END};
static const struct cli_option rotate_options[] = {
    {"level", "LEVEL", "root (the default), tenant, all, values or audit"},
    {"rate", "N", "at most N pages a second"},
    {"without-backup", NULL,
     "level values although no backup of the last day was verified: older ones will not open"},
    {"no-wait", NULL, "do not wait until the old key is out of use"},
    STORE,
    END};
static const struct cli_option sweep_options[] = {
    {"rate", "N", "take at most this many keys a second"},
    {"dry-run", NULL, "show what waits, take nothing"},
    STORE,
    END};
static const struct cli_option backup_create_options[] = {
    {"directory", "DIR", "an absolute path on the server"},
    {"country", "COUNTRY", "where it lies: country or region"},
    {"keep", "N", "how many backups stay there, the newest verified one in any case"},
    {"rate", "N", "at most N MiB a second"},
    {"no-wait", NULL, "do not wait until it is done"},
    STORE,
    END};
static const struct cli_option backup_verify_options[] = {
    {"directory", "DIR", "where it lies, when the vault does not know it"},
    {"no-wait", NULL, "do not wait until it is done"},
    STORE,
    END};
static const struct cli_option audit_options[] = {
    {"subject", "SUBJECT", "of this subject"},
    {"credential-id", "CREDENTIAL", "by this credential"},
    {"purpose", "PURPOSE", "that name this purpose"},
    {"field", "FIELD", "that name this field (newsletter.email)"},
    {"action", "ACTION", "of this action, such as read, erase, credential_create"},
    {"result", "RESULT", "ok or refused"},
    {"from", "TIME", "from this time on (RFC 3339)"},
    {"to", "TIME", "before this time"},
    LIMIT,
    CURSOR,
    STORE,
    END};
static const struct cli_option audit_export_options[] = {
    {"as", "FORM", "ndjson (the default), cef or ocsf"},
    {"from", "TIME", "from this time on (RFC 3339)"},
    {"to", "TIME", "before this time"},
    {"follow-from", "FILE",
     "begin where the last export with this file ended, and keep there where this one does"},
    {"limit", "N", "fetch so many entries at a time (1..10000)"},
    OUT,
    STORE,
    END};
static const struct cli_option verify_options[] = {
    {"from", "FILE",
     "compare with heads kept earlier, as kluisd publishes them or audit head prints them, and go on from the newest"},
    {"all", NULL, "with --from: go over all entries all the same"},
    {"known-key", "KEY",
     "a key that is known to be the trail's (base64url): it must lead to the one in use"},
    STORE,
    END};
static const struct cli_option prune_options[] = {
    YES, {"dry-run", NULL, "say what would go and when, let nothing go"}, STORE, END};
static const struct cli_option summary_options[] = {
    {"from", "TIME", "from this time on (RFC 3339)"},
    {"to", "TIME", "before this time"},
    {"entry", "N", "begin with this entry, such as where the last review ended"},
    {"hours", "HOURS", "count what came outside of these, such as \"08:00-18:00 Europe/Brussels\""},
    END};
static const struct cli_option review_options[] = {
    {"from", "N", "the first entry; the first that is not reviewed, if left out"},
    {"to", "N", "behind the last entry"},
    {"findings", "N,...", "entries to point at"},
    {"note", "FILE", "a text that names no person; - for standard input"},
    END};
static const struct cli_option breach_options[] = {
    {"role", "ROLE", "whatever credential had this role, in place of named ones; needs --from"},
    {"recipient", "NAME", "what was done in this recipient's name, likewise"},
    {"from", "TIME", "from this time on (RFC 3339); from when they were made, if left out"},
    {"to", "TIME", "before this time; until now, if left out"},
    {"aware-at", "TIME",
     "when the breach became known, for the deadline; now, if left out, and open in the page"},
    {"limit", "N", "fetch so many people at a time"},
    {"as", "FORM",
     "html, a page to the supervisory authority that names nobody; people, the list of those to "
     "inform, as CSV"},
    {"lang", "LANGUAGE", "of the page: en (the default), nl or fr"},
    {"contact", "TYPE.FIELD,...", "of people: fields to reach them by, read for --purpose"},
    PURPOSE,
    OUT,
    END};
static const struct cli_option processing_options[] = {
    {"as", "FORM", "html, a page to read or print"},
    {"lang", "LANGUAGE", "of the page: en (the default), nl or fr"},
    OUT,
    END};
static const struct cli_option tenant_create_options[] = {
    {"store", "STORE", "the store its data is to lie in; the first in the EEA when left out"},
    {"grace", "DURATION", "how long it can come back after its end (ISO 8601)"},
    END};
static const struct cli_option retained_read_options[] = {PURPOSE, END};
static const struct cli_option receipt_verify_options[] = {
    {"key", "KEY",
     "a key that is known to be the tenant's (of the end of a tenant the vault's): in base64url, or a file with it, with a signed head, or with the keys "
     "of the trail"},
    {"subject", "SUBJECT", "whether it is about this person; needs --secret"},
    {"record", "RECORD", "and about this record of theirs"},
    {"secret", "FILE",
     "the secret that the answer to the erasure told once, in base64url; - for standard input"},
    {NULL, NULL, NULL}};
static const struct cli_option consent_receipt_options[] = {
    RECIPIENT, {"consent", "ID", "this one; without it the newest"}, END};
static const struct cli_option consent_due_options[] = {
    BEFORE, {"purpose", "PURPOSE", "those for this purpose alone"}, LIMIT, CURSOR, END};
static const struct cli_option notice_audience_options[] = {
    {"notice", "NAME", "the notice that changes; without it, all that the policy replaced"},
    LIMIT,
    CURSOR,
    END};
static const struct cli_option report_retention_options[] = {
    BEFORE, {"ids", NULL, "list whose records, page by page"}, LIMIT, CURSOR, END};
static const struct cli_option retention_list_options[] = {LIMIT, STORE, END};
static const struct cli_option retention_run_options[] = {YES, DRY_RUN, STORE, END};
static const struct cli_option store_options[] = {STORE, END};
static const struct cli_option store_add_options[] = {
    {"directory", "DIR", "an absolute path on the server, missing or empty"},
    {"country", "COUNTRY", "where it lies, and its custodian: country or region; for ever"},
    {"custodian", "KIND:PLACE",
     "file:/PATH, passphrase:/PATH or pkcs11:URI, as the server sees it"},
    {"passphrase-file", "FILE", "the passphrase, or the token's PIN; else it is asked for, twice"},
    END};
static const struct cli_option report_statistics_options[] = {
    {"field", "TYPE.FIELD", "of this field alone"},
    PURPOSE,
    {"from", "MONTH", "from this month on, as 2023-01"},
    {"to", "MONTH", "up to this month"},
    {"ended", "TENANT", "of tenants of that name that have come to their end (operators)"},
    STORE,
    LIMIT,
    CURSOR,
    END};
static const struct cli_option retained_end_options[] = {
    {"basis", "NAME", "only what is kept for this basis; without it, all that is left"},
    YES,
    DRY_RUN,
    END};
static const struct cli_option tenant_end_options[] = {
    YES,
    DRY_RUN,
    {"now", NULL, "one whose grace period is running: its controller asks for it"},
    END};
static const struct cli_option tenant_export_options[] = {
    {"out", "FILE", "the new file to write: a JSON value a line"},
    {"files", "DIR", "fetch the files too, into this folder, as RECORD.FIELD"},
    {"resume", NULL, "go on with FILE.part, where it was cut short"},
    {"limit", "N", "fetch so many subjects at a time"},
    END};
static const struct cli_option restriction_options[] = {
    {"ground", "GROUND", "accuracy_contested, unlawful, needed_for_claim or objection_pending"},
    END};
static const struct cli_option lift_options[] = {
    {"told-at", "TIME", "when the person was told that it will be lifted (RFC 3339)"}, END};
static const struct cli_option objection_options[] = {
    {"ground", "GROUND", "situation, direct_marketing or research"},
    {"compelling-grounds", "FILE", "why the purpose prevails: a text; - for standard input"},
    END};
static const struct cli_option event_options[] = {
    {"at", "TIME", "when it happened or will (RFC 3339); now when left out"}, END};
static const struct cli_option hold_options[] = {
    {"basis", "NAME", "why it must be kept: a name, such as bookkeeping"},
    {"until", "TIME", "until when (RFC 3339)"},
    END};
static const struct cli_option custodian_options[] = {
    {"custodian", "KIND:PLACE",
     "file:/PATH, passphrase:/PATH or pkcs11:URI, as the server sees it"},
    {"country", "COUNTRY", "where it lies: country or region"},
    {"passphrase-file", "FILE",
     "the new passphrase, or the token's PIN; else it is asked for, twice"},
    STORE,
    END};
static const struct cli_option mirror_add_options[] = {
    {"country", "COUNTRY", "where the folder lies: country or region"}, STORE, END};
static const struct cli_option mirror_drop_options[] = {
    {"destroyed", NULL, "it cannot be reached, and you answer for its destruction"},
    YES,
    STORE,
    END};
#define NOTE                                                                        \
    {                                                                               \
        "note", "FILE", "a text, kept under the person's key; - for standard input" \
    }
#define TOLD_AT                                                  \
    {                                                            \
        "told-at", "TIME", "when the person was told (RFC 3339)" \
    }
static const struct cli_option disclosure_add_options[] = {
    RECIPIENT,
    PURPOSE,
    FIELDS,
    {"at", "TIME", "when (RFC 3339); now, if left out"},
    {"country", "COUNTRY", "where to, when it is not the recipient's own country"},
    {"channel", "CHANNEL", "how (e-mail, letter, ...)"},
    NOTE,
    END};
static const struct cli_option request_create_options[] = {
    {"right", "RIGHT",
     "access, rectification, erasure, restriction, portability, objection, automated_decision or "
     "withdrawal"},
    {"received-at", "TIME", "when it came (RFC 3339); now, if left out"},
    {"channel", "CHANNEL", "how it came (e-mail, letter, ...)"},
    NOTE,
    END};
static const struct cli_option request_list_options[] = {
    {"state", "STATE", "open, closed, received, verified, completed or rejected"},
    {"due-before", "WHEN", "due before a time (RFC 3339) or within a duration (P7D)"},
    LIMIT,
    CURSOR,
    END};
static const struct cli_option request_verify_options[] = {
    {"method", "METHOD",
     "authenticated_session, known_contact, control_question, electronic_identification, "
     "in_person, redacted_document or representative_mandate"},
    NOTE,
    END};
static const struct cli_option request_extend_options[] = {
    {"reason", "REASON", "complexity or number_of_requests"}, TOLD_AT, NOTE, END};
static const struct cli_option request_complete_options[] = {
    {"outcome", "OUTCOME", "done (the default), partly_done or nothing_to_do"},
    {"reference", "TEXT", "where what was done is to be found"},
    TOLD_AT,
    NOTE,
    {"as", "FORM", "of an access or a portability, without a reference: json, html or csv"},
    {"lang", "LANGUAGE", "of a page: en (the default), nl or fr"},
    {"out", "PATH", "write the document that is made to this new file"},
    {"fee", "AMOUNT", "a fee, such as 12.50"},
    {"fee-currency", "CURRENCY", "such as EUR"},
    {"fee-reason", "REASON", "manifestly_unfounded, excessive or further_copies"},
    YES,
    {"dry-run", NULL, "show what would be completed, do nothing"},
    END};
static const struct cli_option request_reject_options[] = {
    {"ground", "GROUND",
     "manifestly_unfounded, excessive, identity_not_proven, legal_exception, rights_of_others, "
     "not_applicable or withdrawn_by_person"},
    TOLD_AT,
    NOTE,
    END};
static const struct cli_option help_options[] = {{"man", NULL, "the man page, in scdoc's language"},
                                                 {"completion", NULL, "the bash completion"},
                                                 END};

const struct cli_command cli_commands[] = {
    {"subject", "create", "[FILE]", 0, 1,
     "store a person: JSON with records, from FILE or standard input", NULL, cli_subject_create},
    {"subject", "read", "SUBJECT", 1, 1, "read fields, each as the role may see it",
     subject_read_options, cli_subject_read},
    {"subject", "list", NULL, 0, 0, "those whom a purpose may reach", subject_list_options,
     cli_subject_list},
    {"subject", "find", "FIELD", 1, 1,
     "find by an indexed field; the value comes from standard input", subject_find_options,
     cli_subject_find},
    {"subject", "erase", "SUBJECT", 1, 1, "destroy a person's key; prints the receipt",
     erase_options, cli_subject_erase},
    {"subject", "report", "SUBJECT", 1, 1, "all about a person, for that person (GDPR art. 15)",
     report_options, cli_subject_report},
    {"subject", "export", "SUBJECT", 1, 1,
     "what a person provided, to take elsewhere (GDPR art. 20)", export_options,
     cli_subject_export},
    {"record", "add", "SUBJECT [FILE]", 1, 2, "add a record: JSON from FILE or standard input",
     NULL, cli_record_add},
    {"record", "read", "SUBJECT RECORD", 2, 2, "read one record", record_read_options,
     cli_record_read},
    {"record", "patch", "SUBJECT RECORD [FILE]", 2, 3,
     "rectify: JSON {\"fields\":{...}}, null removes", record_patch_options, cli_record_patch},
    {"record", "verify", "SUBJECT RECORD", 2, 2,
     "whether a value is the secret that is kept; exit status 1 when it is not",
     record_verify_options, cli_record_verify},
    {"record", "erase", "SUBJECT RECORD", 2, 2, "shred one record; the subject goes on",
     erase_options, cli_record_erase},
    {"record", "hold", "SUBJECT RECORD", 2, 2,
     "keep a record until a date, whatever else of the subject is erased", hold_options,
     cli_record_hold},
    {"record", "release", "SUBJECT RECORD", 2, 2, "end a record's hold", NULL, cli_record_release},
    {"token", "resolve", "[FILE]", 0, 1,
     "whom a recipient's tokens stand for; one a line, from FILE or standard input",
     token_resolve_options, cli_token_resolve},
    {"file", "put", "SUBJECT RECORD FIELD", 3, 3, "send a file for a field of type file",
     file_put_options, cli_file_put},
    {"file", "get", "SUBJECT RECORD FIELD", 3, 3, "get the bytes of such a field", file_get_options,
     cli_file_get},
    {"record", "event", "SUBJECT RECORD EVENT", 3, 3,
     "note what starts the clocks of a record's purposes", event_options, cli_record_event},
    {"record", "unevent", "SUBJECT RECORD EVENT", 3, 3, "it did not happen after all", NULL,
     cli_record_event_remove},
    {"restriction", "show", "SUBJECT", 1, 1, "whether a person's data is only stored", NULL,
     cli_restriction_show},
    {"restriction", "set", "SUBJECT", 1, 1, "from now on only store it", restriction_options,
     cli_restriction_set},
    {"restriction", "lift", "SUBJECT", 1, 1, "use it again, the person having been told",
     lift_options, cli_restriction_lift},
    {"objection", "list", "SUBJECT", 1, 1, "what a person objected to", NULL, cli_objection_list},
    {"objection", "set", "SUBJECT PURPOSE", 2, 2,
     "note an objection, or the grounds that prevail over it", objection_options,
     cli_objection_set},
    {"objection", "end", "SUBJECT PURPOSE", 2, 2, "the person takes it back", NULL,
     cli_objection_end},
    {"report", "statistics", NULL, 0, 0, "counts of people who were erased",
     report_statistics_options, cli_report_statistics},
    {"retention", "run", NULL, 0, 0, "erase what no purpose keeps any more; --dry-run counts it",
     retention_run_options, cli_retention_run},
    {"retention", "list", NULL, 0, 0, "runs, newest first", retention_list_options,
     cli_retention_list},
    {"retained", "read", "RECEIPT RECORD", 2, 2, "a record that an erasure kept",
     retained_read_options, cli_retained_read},
    {"retained", "end", "RECEIPT RECORD", 2, 2, "shred it before its time; prints the receipt",
     retained_end_options, cli_retained_end},
    {"consent", "list", "SUBJECT", 1, 1, "the ledger of consents", NULL, cli_consent_list},
    {"consent", "give", "SUBJECT PURPOSE", 2, 2, "note a consent", consent_give_options,
     cli_consent_give},
    {"consent", "withdraw", "SUBJECT PURPOSE", 2, 2, "withdraw a consent; acts on the next read",
     consent_withdraw_options, cli_consent_withdraw},
    {"consent", "receipt", "SUBJECT PURPOSE", 2, 2,
     "the receipt of a consent, signed (ISO/IEC TS 27560)", consent_receipt_options,
     cli_consent_receipt},
    {"consent", "due", NULL, 0, 0, "whom to ask again before their consent ends",
     consent_due_options, cli_consent_due},
    {"notice", "audience", NULL, 0, 0, "whom to tell that a notice changes",
     notice_audience_options, cli_notice_audience},
    {"report", "retention", NULL, 0, 0, "what falls due, by record type and purpose",
     report_retention_options, cli_report_retention},
    {"report", "processing", NULL, 0, 0,
     "the record of processing activities (GDPR art. 30); of an operator, without a tenant, the "
     "register of all",
     processing_options, cli_report_processing},
    {"disclosure", "list", "SUBJECT", 1, 1, "who received what of a person", NULL,
     cli_disclosure_list},
    {"disclosure", "add", "SUBJECT", 1, 1, "note a disclosure made elsewhere",
     disclosure_add_options, cli_disclosure_add},
    {"request", "create", "SUBJECT", 1, 1, "note what a person asks for by a right of theirs",
     request_create_options, cli_request_create},
    {"request", "list", NULL, 0, 0, "requests by their deadlines, open ones first",
     request_list_options, cli_request_list},
    {"request", "show", "REQUEST", 1, 1, "a request", NULL, cli_request_show},
    {"request", "verify", "REQUEST", 1, 1, "note how the person was identified",
     request_verify_options, cli_request_verify},
    {"request", "extend", "REQUEST", 1, 1, "put the answer off, once; the person was told",
     request_extend_options, cli_request_extend},
    {"request", "complete", "REQUEST", 1, 1,
     "complete a request; an erasure is carried out, and its receipt printed",
     request_complete_options, cli_request_complete},
    {"request", "reject", "REQUEST", 1, 1, "refuse a request, on a ground", request_reject_options,
     cli_request_reject},
    {"policy", "show", NULL, 0, 0, "the policy in force", NULL, cli_policy_show},
    {"policy", "check", "FILE", 1, 1, "check a policy and run its tests", NULL, cli_policy_check},
    {"policy", "diff", "FILE", 1, 1,
     "what a policy would newly allow and newly withhold, and for how many people",
     policy_diff_options, cli_policy_diff},
    {"policy", "apply", "FILE", 1, 1, "check a policy and put it in force", policy_apply_options,
     cli_policy_apply},
    {"policy", "explain", NULL, 0, 0,
     "each gate's answer for a role, a purpose and fields, and what would alter it",
     policy_explain_options, cli_policy_explain},
    {"credential", "create", NULL, 0, 0, "make a credential; its token is shown once",
     credential_create_options, cli_credential_create},
    {"credential", "list", NULL, 0, 0, "the tenant's credentials", page_options,
     cli_credential_list},
    {"credential", "revoke", "CREDENTIAL", 1, 1, "end a credential at once", revoke_options,
     cli_credential_revoke},
    {"webhook", "add", "URL", 1, 1,
     "have events sent to a URL, signed; the secret to verify them with is shown once",
     webhook_add_options, cli_webhook_add},
    {"webhook", "list", NULL, 0, 0, "webhooks, and how their deliveries go", NULL,
     cli_webhook_list},
    {"webhook", "remove", "WEBHOOK", 1, 1, "send no more; what waits for it is dropped",
     revoke_options, cli_webhook_remove},
    {"webhook", "test", "WEBHOOK", 1, 1, "send it an event, and see whether it is taken", NULL,
     cli_webhook_test},
    {"key", "status", NULL, 0, 0, "the root key: generation, age, place, finality", store_options,
     cli_key_status},
    {"key", "sweep", NULL, 0, 0,
     "take the keys of what was overwritten, and of the traces that erasures left", sweep_options,
     cli_key_sweep},
    {"key", "rotate", NULL, 0, 0, "rotate keys while the vault works", rotate_options,
     cli_key_rotate},
    {"key", "custodian", NULL, 0, 0,
     "move the root key to another custodian, or under another passphrase, while the vault works",
     custodian_options, cli_key_custodian},
    {"key", "mirror list", NULL, 0, 0, "second places of the keys, and whether they are in step",
     store_options, cli_mirror_list},
    {"key", "mirror add", "DIRECTORY", 1, 1,
     "make a mirror in an empty folder of the server's; it is in step when this ends",
     mirror_add_options, cli_mirror_add},
    {"key", "mirror drop", "MIRROR", 1, 1, "take a mirror out; its root key is overwritten",
     mirror_drop_options, cli_mirror_drop},
    {"backup", "create", NULL, 0, 0, "copy what is stored, ciphertext alone, to a directory",
     backup_create_options, cli_backup_create},
    {"backup", "list", NULL, 0, 0, "backups, and when each was verified", store_options,
     cli_backup_list},
    {"backup", "verify", "[BACKUP]", 0, 1, "prove a backup readable; without one, the newest",
     backup_verify_options, cli_backup_verify},
    {"audit", "list", NULL, 0, 0, "entries of the audit trail, as audit search", audit_options,
     cli_audit_search},
    {"audit", "search", NULL, 0, 0, "entries of the audit trail of which all that is given holds",
     audit_options, cli_audit_search},
    {"audit", "export", NULL, 0, 0, "the audit trail as lines, for a SIEM", audit_export_options,
     cli_audit_export},
    {"audit", "head", NULL, 0, 0, "the trail's signed head", store_options, cli_audit_head},
    {"audit", "verify", "[FILE]...", 0, CLI_ARGUMENTS_MAX,
     "check the trail: every entry, its tree, its heads and their keys; of a copy (audit save) without a server",
     verify_options, cli_audit_verify},
    {"audit", "save", "FILE", 1, 1, "take the trail down with what checking it needs",
     store_options, cli_audit_save},
    {"audit", "prune", NULL, 0, 0,
     "let entries go that are older than the policy keeps them; --dry-run says which",
     prune_options, cli_audit_prune},
    {"audit", "prunes", NULL, 0, 0, "runs of that, newest first", retention_list_options,
     cli_audit_prunes},
    {"audit", "summary", NULL, 0, 0, "a period of the trail added up, for its reviewer",
     summary_options, cli_audit_summary},
    {"audit", "review", NULL, 0, 0, "sign off a stretch of the trail", review_options,
     cli_audit_review},
    {"audit", "reviews", NULL, 0, 0, "reviews, and what of the trail none covers", page_options,
     cli_audit_reviews},
    {"report", "breach", "[CREDENTIAL...]", 0, CLI_ARGUMENTS_MAX,
     "what credentials did, for the report of a breach (GDPR art. 33, 34)", breach_options,
     cli_report_breach},
    {"receipt", "show", "RECEIPT", 1, 1,
     "the receipt of an erasure; with --format json all that proves it, for a file", store_options,
     cli_receipt_show},
    {"receipt", "verify", "FILE", 1, 1,
     "check a receipt from a file, without a server: signature, audit entry, about whom",
     receipt_verify_options, cli_receipt_verify},
    {"store", "list", NULL, 0, 0, "the stores of the vault, their countries, and how they are",
     NULL, cli_store_list},
    {"store", "add", "STORE", 1, 1,
     "make a store in a folder of the server's, with a country and a root key of its own",
     store_add_options, cli_store_add},
    {"tenant", "create", "TENANT", 1, 1, "make a tenant, or change its grace period",
     tenant_create_options, cli_tenant_create},
    {"tenant", "show", "TENANT", 1, 1, "a tenant", NULL, cli_tenant_show},
    {"tenant", "list", NULL, 0, 0, "all tenants", NULL, cli_tenant_list},
    {"tenant", "end", "TENANT", 1, 1,
     "destroy a tenant's keys, at once or after its grace period; prints the receipt",
     tenant_end_options, cli_tenant_end},
    {"tenant", "restore", "TENANT", 1, 1, "bring an ended tenant back, within its grace period",
     NULL, cli_tenant_restore},
    {"tenant", "export", "TENANT", 1, 1,
     "all of a tenant, for its own steward: in its grace period, or when its policy allows it",
     tenant_export_options, cli_tenant_export},
    {"status", NULL, NULL, 0, 0, "whether the server is ready, and what it does not enforce", NULL,
     cli_status},
    {"help", NULL, "[NOUN] [VERB]", 0, 2, "show help", help_options, cli_help},
    {NULL, NULL, NULL, 0, 0, NULL, NULL, NULL},
};

bool cli_command_is_offline(const struct cli_command *command)
{
    return command->run == cli_help || command->run == cli_receipt_verify;
}
