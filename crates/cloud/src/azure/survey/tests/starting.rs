//! From what and where new machines start, and what the subscription lets run.

use lightsout_core::doctor::facts::{NextImage, NotOffered, QuotaFacts, Subnet};

use super::*;

/// The same, where a call whose address has this in it is answered so.
async fn where_told(told: Vec<(&'static str, Value)>) -> CloudFacts {
    found("Flexible", move |asked| {
        told.iter().find(|(part, _)| asked.path.contains(part)).map(|(_, answer)| answer.clone())
    })
    .await
    .1
}

fn image(facts: &CloudFacts) -> &NextImage {
    facts.next_images[0].as_ref().unwrap()
}

/// The scale set, where something of it is so.
fn set_with(pointer: &str, value: Value) -> (&'static str, Value) {
    let mut set = set("Flexible");
    *set.pointer_mut(pointer).unwrap() = value;
    ("/virtualMachineScaleSets/runners?", set)
}

pub(super) fn version(name: &str, more: &Value) -> Value {
    let mut profile = json!({
        "publishedDate": "2026-10-01T00:00:00.0000000+00:00",
        "endOfLifeDate": "2027-01-01T00:00:00+00:00",
        "targetRegions": [{ "name": "West Europe" }],
    });
    profile.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let id = format!("{IMAGE}/versions/{name}");
    json!({ "id": id, "name": name, "location": "northeurope", "properties": { "provisioningState": "Succeeded", "publishingProfile": profile } })
}

#[tokio::test]
async fn a_sound_scale_set_has_an_image_addresses_sizes_and_quotas() {
    let facts = where_told(Vec::new()).await;
    let NextImage { id, usable, created, deprecated, .. } = image(&facts);
    assert_eq!((id.as_str(), *usable), ("galleries/ci/images/runner/versions/1.10.0", true));
    assert_eq!(created.unwrap().to_string(), "2026-10-01T00:00:00Z");
    assert_eq!(deprecated.unwrap().to_string(), "2027-01-01T00:00:00Z");
    let subnet = Subnet { id: "runners".into(), zone: "ci".into(), free: Some(249) };
    assert_eq!(facts.subnets, Some(Ok(vec![subnet])));
    // Two of twenty machines are there, of four processors each.
    let quota = |name: &str, limit, others| QuotaFacts {
        name: name.into(),
        limit,
        smallest: 4,
        most: 80,
        others,
        of_all: true,
    };
    let quotas = vec![quota("All of them", 100, Some(4)), quota("Dsv5", 40, Some(0))];
    assert_eq!((facts.quotas, facts.not_offered), (Some(Ok(quotas)), Some(Ok(NotOffered::default()))));
    assert_eq!(facts.scale_set.unwrap().room, Some(18));
}

#[tokio::test]
async fn a_new_machine_starts_from_the_highest_version_that_counts_or_from_the_one_that_is_named() {
    let versions = json!({ "value": [
        version("1.9.0", &json!({})),
        version("1.10.0", &json!({ "targetRegions": [{ "name": "northeurope" }] })),
        version("2.0.0", &json!({ "excludeFromLatest": true })),
    ] });
    let facts = where_told(vec![("/versions?", versions)]).await;
    let NextImage { id, usable, .. } = image(&facts);
    assert!(id.ends_with("/1.10.0") && !usable, "{id} is not where the scale set is");
    let named = || {
        let id = json!(format!("{IMAGE}/versions/1.9.0"));
        set_with("/properties/virtualMachineProfile/storageProfile/imageReference/id", id)
    };
    let facts = where_told(vec![named(), ("/versions/1.9.0?", version("1.9.0", &json!({})))]).await;
    assert!(image(&facts).usable && image(&facts).id.ends_with("/1.9.0"));
    let facts = where_told(vec![named(), ("/versions/1.9.0?", json!({ "status": 404 }))]).await;
    assert!(!image(&facts).usable && image(&facts).id.ends_with("/1.9.0"), "it was deleted");
    let versions = json!({ "value": [
        version("1.9.0", &json!({})),
        version("1.10.0", &json!({ "targetRegions": [{ "name": "West Europe", "excludeFromLatest": true }] })),
        version("1.8.0", &json!({ "targetRegions": [
            { "name": "westeurope" }, { "name": "northeurope", "excludeFromLatest": true },
        ] })),
    ] });
    let facts = where_told(vec![("/versions?", versions)]).await;
    assert!(image(&facts).usable && image(&facts).id.ends_with("/1.9.0"), "it is left out where the scale set is");
    let mut half = version("1.10.0", &json!({}));
    half["properties"]["provisioningState"] = json!("Failed");
    let facts = where_told(vec![("/versions?", json!({ "value": [version("1.9.0", &json!({})), half] }))]).await;
    assert!(image(&facts).usable && image(&facts).id.ends_with("/1.9.0"), "{facts:?}");
    assert_eq!(image(&facts).passed_over, ["1.10.0, which is Failed"]);
    let mut half = version("1.10.0", &json!({}));
    half["properties"]["provisioningState"] = json!("Creating");
    let facts = where_told(vec![("/versions?", json!({ "value": [half] }))]).await;
    assert!(!image(&facts).usable, "none is whole");
    let facts = where_told(vec![("/versions?", json!({ "value": [] }))]).await;
    assert!(!image(&facts).usable, "no version is left");
    let facts = where_told(vec![("/versions?", denied())]).await;
    let why = facts.next_images[0].as_ref().unwrap_err();
    assert!(why.contains("Microsoft.Compute/galleries/images/versions/read"), "{why}");
}

#[tokio::test]
async fn an_image_without_a_gallery_has_no_age_and_one_of_others_is_not_looked_at() {
    let reference = "/properties/virtualMachineProfile/storageProfile/imageReference";
    let own = format!("{SUBSCRIPTION}/resourceGroups/ci/providers/Microsoft.Compute/images/runner");
    let answer = json!({ "id": own, "location": "westeurope", "properties": { "provisioningState": "Succeeded" } });
    let facts = where_told(vec![set_with(reference, json!({ "id": own })), ("/images/runner?", answer)]).await;
    let NextImage { id, usable, created, .. } = image(&facts);
    assert_eq!((id.as_str(), *usable, *created), ("images/runner", true, None));
    let others = json!({ "publisher": "Canonical", "offer": "ubuntu", "sku": "server", "version": "latest" });
    assert!(where_told(vec![set_with(reference, others)]).await.next_images.is_empty());
}

#[tokio::test]
async fn a_subnet_that_is_gone_and_one_that_is_not_counted_are_told_apart() {
    for answer in [json!({ "value": [] }), json!({ "status": 404 })] {
        let facts = where_told(vec![("/virtualNetworks/ci/usages?", answer)]).await;
        assert_eq!(facts.subnets.unwrap().unwrap()[0].free, None);
    }
    let uncounted = json!({ "value": [{ "id": SUBNET, "currentValue": -1, "limit": -1 }] });
    let why = where_told(vec![("/virtualNetworks/ci/usages?", uncounted)]).await.subnets.unwrap().unwrap_err();
    assert!(why.contains("does not count"), "{why}");
    let why = where_told(vec![("/virtualNetworks/ci/usages?", denied())]).await.subnets.unwrap().unwrap_err();
    assert!(why.contains("Microsoft.Network/virtualNetworks/usages/read"), "{why}");
}

#[tokio::test]
async fn a_size_that_is_not_to_be_had_is_named_with_where() {
    let zones = |zones: &Value| json!([{ "type": "Zone", "restrictionInfo": { "zones": zones } }]);
    for (size, wanted) in [
        (json!({ "value": [] }), "Standard_D4s_v5 in westeurope"),
        (
            json!({ "value": [size(&json!([{ "type": "Location" }]))] }),
            "Standard_D4s_v5 in westeurope, to this subscription",
        ),
        (json!({ "value": [size(&zones(&json!(["1"])))] }), "Standard_D4s_v5 in zone 1 of westeurope"),
    ] {
        let facts = where_told(vec![("/skus?", size)]).await;
        assert_eq!(facts.not_offered, Some(Ok(NotOffered { missing: vec![wanted.to_owned()], all: true })));
    }
    let zones = set_with("/zones", json!(["1", "2", "3"]));
    let facts = where_told(vec![zones]).await;
    let missing = vec!["Standard_D4s_v5 in zone 3 of westeurope".to_owned()];
    assert_eq!(facts.not_offered, Some(Ok(NotOffered { missing, all: false })));
    // Of several sizes one is to be had, and not all count towards its family.
    let mut mix = set("Flexible");
    let sizes = ["Standard_D4s_v5", "Standard_D4as_v5", "Standard_D4ds_v5"].map(|name| json!({ "name": name }));
    mix["properties"]["skuProfile"] = json!({ "vmSizes": sizes });
    let mut other = size(&json!([]));
    (other["name"], other["family"]) = (json!("Standard_D4as_v5"), json!("standardDASv5Family"));
    let told = json!({ "value": [size(&json!([])), other] });
    let facts = where_told(vec![("/virtualMachineScaleSets/runners?", mix), ("/skus?", told)]).await;
    let missing = vec!["Standard_D4ds_v5 in westeurope".to_owned()];
    assert_eq!(facts.not_offered, Some(Ok(NotOffered { missing, all: false })));
    let quotas = facts.quotas.unwrap().unwrap();
    let of_all: Vec<_> = quotas.iter().map(|quota| (quota.name.as_str(), quota.of_all)).collect();
    assert_eq!(of_all, [("All of them", true), ("Dsv5", false)]);
    let facts = where_told(vec![("/skus?", denied())]).await;
    for why in [facts.not_offered.unwrap().unwrap_err(), facts.quotas.unwrap().unwrap_err()] {
        assert!(why.contains("Microsoft.Compute/skus/read"), "{why}");
    }
}

#[tokio::test]
async fn spot_machines_count_towards_the_quota_of_spot_alone() {
    let priority = "/properties/virtualMachineProfile/priority";
    let facts = where_told(vec![set_with(priority, json!("Spot"))]).await;
    let quotas = facts.quotas.unwrap().unwrap();
    assert_eq!(quotas.iter().map(|quota| (quota.name.as_str(), quota.limit)).collect::<Vec<_>>(), [("Spot", 3)]);
    assert!(quotas[0].of_all, "{quotas:?}");
    let mut mixed = set("Flexible");
    mixed["properties"]["virtualMachineProfile"]["priority"] = json!("Spot");
    mixed["properties"]["priorityMixPolicy"] = json!({ "baseRegularPriorityCount": 1 });
    let quotas = where_told(vec![("/virtualMachineScaleSets/runners?", mixed)]).await.quotas.unwrap().unwrap();
    assert!(quotas.iter().any(|quota| quota.name == "Spot") && quotas.len() > 1, "{quotas:?}");
    assert!(quotas.iter().all(|quota| !quota.of_all), "where one is used up, others may start: {quotas:?}");
}
