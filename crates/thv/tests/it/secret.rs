use crate::run::thv_at;

#[test]
fn a_secret_is_stored_printed_listed_and_removed() {
    let home = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str], input: &str| thv_at(home.path(), arguments, input);
    let set = run(&["secret", "set", "api-key"], "s3cret\n");
    assert_eq!((set.code, set.stdout.as_str()), (Some(0), ""), "{}", set.stderr);
    assert!(!set.stderr.contains("s3cret"), "{}", set.stderr);
    assert_eq!(run(&["secret", "get", "api-key"], "").stdout, "s3cret\n");
    assert_eq!(run(&["secret", "list"], "").stdout, "api-key\n");
    assert_eq!(run(&["secret", "list", "--json"], "").stdout, "[\"api-key\"]\n");
    let again = run(&["secret", "set", "api-key", "--json"], "s3cret\n");
    assert_eq!(again.stdout, "{\"name\":\"api-key\",\"result\":\"stored\"}\n");
    assert_eq!(run(&["secret", "delete", "api-key"], "").code, Some(0));
    let gone = run(&["secret", "get", "api-key"], "");
    assert_eq!((gone.code, gone.stdout.as_str()), (Some(1), ""));
    assert!(gone.stderr.contains("hint: `thv secret list`"), "{}", gone.stderr);
}

#[test]
fn names_of_the_programs_own_are_not_the_users() {
    let home = tempfile::tempdir().unwrap();
    for arguments in
        [&["secret", "get", "__thv_workloads_a.login"], &["secret", "set", "__thv_workloads_a.login"]]
    {
        let run = thv_at(home.path(), arguments, "x");
        assert_eq!(run.code, Some(1));
        assert!(run.stderr.contains("the program's own"), "{}", run.stderr);
    }
}
