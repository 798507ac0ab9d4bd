use thv_clock::Timestamp;

use super::*;

const RECORD: &str = r#"{"version":1,"grant":{"issuer":"https://as.example","client_id":"https://c.example/m.json",
    "identity":"metadata-document","method":"none","requested_scope":"a","token_endpoint":"https://as.example/token",
    "access_token":"access-s3cret","issued_at":1000,"refresh_token":"refresh-s3cret"}}"#;

fn read(record: &str) -> Result<Credentials, UnreadableCredentials> {
    Credentials::from_secret(&SecretString::from(record))
}

#[test]
fn t_6_a_record_without_the_later_members_is_read() {
    let read = read(RECORD).unwrap();
    assert!(read.metadata_documents.is_empty() && read.registrations.is_empty() && !read.logged_out);
    let grant = read.grant.unwrap();
    assert_eq!((grant.expires_at, grant.resource.clone(), grant.scope.clone()), (None, None, None));
    assert!(grant.is_fresh(Timestamp::from_secs(u64::MAX / 2000)), "nobody has said when it ends");
}

#[test]
fn a_record_is_read_back_as_it_was_written() {
    let mut written = read(RECORD).unwrap();
    written.metadata_documents.insert("https://as.example".into(), "https://c.example/m.json".into());
    let again = Credentials::from_secret(&written.to_secret()).unwrap();
    assert_eq!(again.to_secret().expose_secret(), written.to_secret().expose_secret());
    assert!(again.grant.unwrap().same_tokens(&written.grant.unwrap()));
}

#[test]
fn what_cannot_be_read_is_an_error_and_no_empty_record() {
    assert!(matches!(read(r#"{"version":2,"grant":7}"#), Err(UnreadableCredentials::Version(2))));
    for record in ["", "null", "{}", r#"{"version":1,"grant":{}}"#] {
        assert!(matches!(read(record), Err(UnreadableCredentials::Json { .. })), "{record}");
    }
}

#[test]
fn cl_30_debug_shows_no_token_nor_does_the_reason_why_a_record_is_not_read() {
    let shown = format!("{:?}", read(RECORD));
    assert!(!shown.contains("s3cret"), "{shown}");
    let misplaced = RECORD.replace("\"issued_at\":1000", "\"issued_at\":\"access-s3cret\"");
    let error = read(&misplaced).unwrap_err();
    assert!(!format!("{error:?} {error}").contains("s3cret"), "{error:?}");
}

#[test]
fn cl_52_a_grant_is_for_the_server_of_its_resource() {
    let mut grant = read(RECORD).unwrap().grant.unwrap();
    assert!(grant.is_for("https://mcp.example/mcp"), "of one without a resource nothing is known");
    grant.resource = Some("https://mcp.example".to_owned());
    assert!(grant.is_for("https://mcp.example/mcp") && !grant.is_for("https://evil.example/mcp"));
}
