//! Help, version, completions, the schema.

use wasmill_tests::wasmill;

use crate::run;

#[test]
fn help() {
    insta::assert_snapshot!(run(wasmill().arg("--help")));
}

#[test]
fn help_of_each_command() {
    for command in
        ["new", "build", "inspect", "check", "plan", "run", "savepoint", "stop", "test", "schema", "completions"]
    {
        insta::assert_snapshot!(format!("help_{command}"), run(wasmill().args([command, "--help"])));
    }
}

#[test]
fn a_usage_error() {
    insta::assert_snapshot!(run(wasmill().args(["run", "--paralelism", "2", "job.toml"])));
}

#[test]
fn completions_name_every_command() {
    for shell in ["bash", "zsh", "fish"] {
        let script = run(wasmill().args(["completions", shell]));
        assert!(script.starts_with("exit code: 0"), "{script}");
        for command in ["inspect", "check", "plan"] {
            assert!(script.contains(command), "{shell}: {command}");
        }
    }
}

#[test]
fn the_schema_is_json_and_closed() {
    let ended = wasmill_tests::run(wasmill().arg("schema"));
    let schema: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(schema["additionalProperties"], false);
    assert!(schema["properties"]["operator"].is_object());
}
