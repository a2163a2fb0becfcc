//! Faults over the sockets: put in, counted, cleared, and whom they do not touch.

use super::*;

#[tokio::test]
async fn faults_are_put_in_and_cleared() {
    let bed = Bed::start(Options::default()).await;
    bed.group("ci", 0, 3, 0).await;
    let fault = json!({"target": "aws", "action": "DescribeAutoScalingGroups", "effect": "throttle", "count": 1});
    assert_eq!(bed.control("POST", "faults", &fault).await.status, 200);
    let refused = bed.aws(&[("Action", "DescribeAutoScalingGroups"), ("Version", "2011-01-01")]).await;
    assert_eq!(refused.status, 400);
    assert!(refused.text().contains("<Code>Throttling</Code>"), "{}", refused.text());
    let fine = bed.aws(&[("Action", "DescribeAutoScalingGroups"), ("Version", "2011-01-01")]).await;
    assert_eq!(fine.status, 200);

    for (effect, broken) in [("drop", true), ("reset", true), ("truncate", false)] {
        let fault = json!({"target": "gitlab", "effect": effect});
        assert_eq!(bed.control("POST", "faults", &fault).await.status, 200);
        let token = [("private-token", "glpat-lightsout-local")];
        let answer = bed.try_call("GET", "/api/v4/groups/lightsout/projects", &token, "").await;
        assert_eq!(answer.is_err(), broken, "{effect}: {answer:?}");
        if let Ok(answer) = answer {
            assert!(serde_json::from_slice::<Value>(&answer.body).is_err(), "{}", answer.text());
        }
        assert_eq!(bed.control("DELETE", "faults", &json!(null)).await.json(), json!({"faults": []}));
        assert_eq!(bed.call("GET", "/api/v4/groups/lightsout/projects", &token, "").await.status, 200);
    }
    let nonsense = bed.control("POST", "faults", &json!({"target": "aws", "effect": "explode"})).await;
    assert_eq!(nonsense.status, 400);
    assert!(nonsense.json()["error"].as_str().is_some_and(|error| error.contains("explode")), "{}", nonsense.text());
    bed.down().await;
}

#[tokio::test]
async fn faults_of_one_metadata_service_leave_the_others_alone() {
    let bed = Bed::start(Options::default()).await;
    bed.group("ci", 0, 3, 2).await;
    let ids = bed.in_service("ci", 2).await;
    let (hit, spared) = (bed.imds(&ids[0]).await, bed.imds(&ids[1]).await);
    for (effect, status) in [(json!({"status": {"code": 403}}), 403), (json!("throttle"), 429), (json!("expire"), 401)]
    {
        let fault = json!({"target": "imds", "instance": ids[0], "effect": effect, "count": 1});
        assert_eq!(bed.control("POST", "faults", &fault).await.status, 200);
        assert_eq!(spared.get("instance-id").await.status, 200);
        assert_eq!(hit.get("instance-id").await.status, status, "{effect}");
    }
    // The tokens of the first are gone for good; a new one helps.
    assert_eq!(hit.get("instance-id").await.status, 401);
    assert_eq!(bed.imds(&ids[0]).await.get("instance-id").await.status, 200);
    let hang = json!({"target": "imds", "instance": ids[1], "effect": "hang"});
    assert_eq!(bed.control("POST", "faults", &hang).await.status, 200);
    let answer = tokio::time::timeout(Duration::from_millis(200), spared.get("instance-id")).await;
    assert!(answer.is_err(), "it must hang");
    bed.down().await;
}

#[tokio::test]
async fn a_call_is_counted_for_the_instance_whose_role_signed_it() {
    let bed = Bed::start(Options::default()).await;
    bed.group("ci", 0, 3, 1).await;
    let id = bed.in_service("ci", 1).await.remove(0);
    let role = bed.imds(&id).await.get("iam/security-credentials/ci").await.json();
    let key = role["AccessKeyId"].as_str().expect("a key id");
    let signature =
        format!("AWS4-HMAC-SHA256 Credential={key}/20261121/eu-central-1/autoscaling/aws4_request, Signature=0");
    let body = "Action=DescribeAutoScalingInstances&Version=2011-01-01";
    let described = bed.call("POST", "/", &[("authorization", &signature)], body).await;
    assert_eq!(described.status, 200, "{}", described.text());
    let counters = bed.cloud.snapshot().counters;
    assert_eq!(counters.aws["DescribeAutoScalingInstances"]["instance"], 1);
    assert!(counters.imds[&id] >= 2);
    let expired = json!({"target": "aws", "effect": "expire", "count": 1});
    assert_eq!(bed.control("POST", "faults", &expired).await.status, 200);
    let refused = bed.call("POST", "/", &[("authorization", &signature)], body).await;
    assert_eq!(refused.status, 403);
    assert!(refused.text().contains("<Code>ExpiredToken</Code>"), "{}", refused.text());
    bed.down().await;
}
