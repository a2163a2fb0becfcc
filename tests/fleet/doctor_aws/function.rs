//! The function that is the scaler: its state, schedule, time-out, log and role.

use super::*;

#[test]
fn the_function_that_is_the_scaler_is_looked_at_by_its_name() {
    let fleet = Fleet::up("--jobs 1 --keep --max 2 --idle-timeout 10m");
    let function = "/2015-03-31/functions";
    let (output, findings) = look(&fleet, "--function ci-scaler");
    assert_eq!((output.code, not_ok(&findings)), (Some(1), vec![("function", "wrong")]), "{output:?}");

    let settings = fleet.dir().join("scaler.toml");
    let iam = format!("iam --config {} --account 123456789012 --region eu-central-1", settings.display());
    let policy = |least: &str| {
        query(&fleet, IAM, &format!("Action=PutRolePolicy&RoleName=ci-scaler&PolicyName=p&PolicyDocument={least}"));
    };
    let least = fleet.ok(&format!("{iam} --log-group /aws/lambda/ci-scaler"));
    let role = "RoleName=ci-scaler";
    query(&fleet, IAM, &format!("Action=CreateRole&{role}&AssumeRolePolicyDocument={{}}"));
    policy(&least);
    rest(&fleet, "lambda", "POST", function, &json!({"FunctionName": "ci-scaler", "Role": SCALER_ROLE, "Timeout": 60}));
    let target = json!({"Arn": "arn:aws:lambda:eu-central-1:123456789012:function:ci-scaler", "RoleArn": SCALER_ROLE});
    let schedule = |when: &str, state: &str| json!({"ScheduleExpression": when, "State": state, "Target": target, "FlexibleTimeWindow": {"Mode": "OFF"}});
    rest(&fleet, "scheduler", "POST", "/schedules/ci", &schedule("rate(1 minute)", "ENABLED"));
    let (output, findings) = look(&fleet, "--function ci-scaler");
    assert_eq!(not_ok(&findings), [("function.errors", "warning")], "without a log nothing is known: {output:?}");
    let log = json!({"logGroupName": "/aws/lambda/ci-scaler", "logStreamName": "s"});
    logs(&fleet, "CreateLogGroup", &json!({"logGroupName": "/aws/lambda/ci-scaler"}));
    logs(&fleet, "CreateLogStream", &log);
    let (output, findings) = look(&fleet, "--function ci-scaler");
    assert_eq!((output.code, not_ok(&findings)), (Some(0), vec![]), "{output:?}");

    let set = |timeout: u32| {
        rest(&fleet, "lambda", "PUT", &format!("{function}/ci-scaler/configuration"), &json!({"Timeout": timeout}));
    };
    let found = || {
        let (output, findings) = look(&fleet, "--function ci-scaler");
        let found = not_ok(&findings).into_iter().map(|(id, verdict)| format!("{id} {verdict}")).collect::<Vec<_>>();
        (found.join(", "), output.out)
    };
    set(3);
    assert_eq!(found().0, "function.time-out wrong");
    set(900);
    assert_eq!(found().0, "function.time-out warning");
    set(60);
    rest(&fleet, "scheduler", "PUT", "/schedules/ci", &schedule("rate(1 minute)", "DISABLED"));
    assert_eq!(found().0, "function.schedule wrong");
    rest(&fleet, "scheduler", "PUT", "/schedules/ci", &schedule("rate(1 hour)", "ENABLED"));
    assert_eq!(found().0, "function.schedule warning");
    rest(&fleet, "scheduler", "PUT", "/schedules/ci", &schedule("rate(1 minute)", "ENABLED"));
    policy(&fleet.ok(&iam));
    let (without_log, out) = found();
    assert_eq!(without_log, "role.scaler warning", "the name of a stream is an example");
    assert!(out.contains("logs:PutLogEvents"), "{out}");
    policy(&least);
    // Where its settings are is told by its variables, and its role must be able to read them there.
    for (variable, place, right) in [
        ("LIGHTSOUT_SCALER_CONFIG_S3", "s3://acme-ci/scaler.toml", "s3:GetObject on arn:aws:s3:::acme-ci/scaler.toml"),
        (
            "LIGHTSOUT_SCALER_CONFIG_SSM",
            "/ci/scaler",
            "ssm:GetParameter on arn:aws:ssm:eu-central-1:123456789012:parameter/ci/scaler",
        ),
    ] {
        let stored = json!({"Environment": {"Variables": {variable: place}}});
        rest(&fleet, "lambda", "PUT", &format!("{function}/ci-scaler/configuration"), &stored);
        let (without, out) = found();
        assert_eq!(without, "role.scaler wrong", "{out}");
        assert!(out.contains(right), "{out}");
        policy(&fleet.ok(&format!("{iam} --log-group /aws/lambda/ci-scaler --settings {place}")));
        assert_eq!(found().0, "", "with {right}");
        policy(&least);
    }
    rest(
        &fleet,
        "lambda",
        "PUT",
        &format!("{function}/ci-scaler/configuration"),
        &json!({"Environment": {"Variables": {}}}),
    );
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_millis();
    let now = u64::try_from(now).expect("a time");
    let say = |message: &str| {
        let mut event = log.clone();
        event["logEvents"] = json!([{"timestamp": now, "message": message}]);
        logs(&fleet, "PutLogEvents", &event);
    };
    let of_module = |version: &str| {
        let variables = json!({"Environment": {"Variables": {"LIGHTSOUT_MODULE_VERSION": version}}});
        rest(&fleet, "lambda", "PUT", &format!("{function}/ci-scaler/configuration"), &variables);
    };
    of_module("0.1.0");
    assert_eq!(found().0, "function.version warning", "it has not said its own");
    say(r#"{"level":"INFO","message":"started as a function","version":"0.0.9"}"#);
    let (other, out) = found();
    assert_eq!(other, "function.version warning");
    assert!(out.contains("it is 0.0.9, and what made it expects 0.1.0"), "{out}");
    of_module("0.0.9");
    assert_eq!(found().0, "");
    let timed_out = "2026-11-27T02:00:00.000Z 1-2 Task timed out after 60.00 seconds";
    say(timed_out);
    let (timed, out) = found();
    assert_eq!(timed, "function.errors warning");
    assert!(out.contains(timed_out), "{out}");
    query(&fleet, IAM, &format!("Action=DeleteRolePolicy&{role}&PolicyName=p"));
    let (found, out) = found();
    assert_eq!(found, "role.scaler wrong, function.errors warning");
    assert!(out.contains("autoscaling:SetDesiredCapacity"), "{out}");
}
