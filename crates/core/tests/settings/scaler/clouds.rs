//! A pool's group in each cloud: how it is named, and what is refused.

use super::*;

const SCALE_SET: &str = "/subscriptions/0b1f6471-1bf0-4dda-aec3-111122223333/resourceGroups/ci/providers/Microsoft.Compute/virtualMachineScaleSets/runners";

#[test]
fn a_scale_set_is_named_by_its_resource_id_alone() {
    let settings = parse(&format!(
        "[defaults]\nregion = 'eu-west-1'\nplatform.command.queue = ['depth']\n[[pool]]\ngroup = '{SCALE_SET}'\n[[pool]]\ngroup = 'ci'\n"
    ));
    let [azure, aws] = &settings.pools[..] else { panic!("two pools") };
    assert_eq!(
        (azure.name.as_str(), azure.group.as_str()),
        ("runners", SCALE_SET),
        "its own name is enough in records"
    );
    assert_eq!(
        azure.location(),
        Location { cloud: CloudName::Azure, ..Location::default() },
        "the default is for others"
    );
    assert_eq!(aws.location(), Location { region: Some("eu-west-1".into()), ..Location::default() });
}

#[test]
fn a_resource_id_that_is_none_and_one_that_is_there_twice_are_refused() {
    let refused = |text: &str| ScalerSettings::parse(&one(text)).unwrap_err().to_string();
    let of =
        |group: &str, more: &str| format!("[[pool]]\ngroup = '{group}'\n{more}\nplatform.command.queue = ['depth']\n");
    let wrong = refused(&of(&SCALE_SET.replace("virtualMachineScaleSets", "virtualMachines"), ""));
    for part in [
        "f.toml:2: pool[",
        "group = ",
        "\"virtualMachines\" where virtualMachineScaleSets belongs; write group = \"/subscriptions/",
    ] {
        assert!(wrong.contains(part), "{wrong} lacks {part}");
    }
    let region = refused(&of(SCALE_SET, "region = 'westeurope'"));
    assert!(region.contains("a scale set's resource id says where it is; remove region"), "{region}");
    let twice = of(SCALE_SET, "name = 'a'") + &of(&SCALE_SET.to_ascii_uppercase(), "name = 'b'");
    assert!(refused(&twice).contains("has the same group as the pool at"), "whatever its case");
}

#[test]
fn a_cloud_of_the_users_own_is_named_by_its_program() {
    let pool = |more: &str| format!("[[pool]]\nplatform.command.queue = ['depth']\n{more}\n");
    let settings = parse(&format!(
        "[defaults]\nregion = 'eu-west-1'\n{}{}{}",
        pool("group = 'ci'\ncloud = ['rack', '/srv/rack']"),
        pool("group = 'ci'\nname = 'ci-2'\ncloud = ['other']"),
        pool("group = 'ci'\nname = 'ci-3'"),
    ));
    let locations: Vec<_> = settings.pools.iter().map(PoolSettings::location).collect();
    let own = |program: &[&str]| Location {
        cloud: CloudName::Program,
        region: None,
        program: program.iter().map(|part| (*part).to_owned()).collect(),
    };
    assert_eq!(locations[..2], [own(&["rack", "/srv/rack"]), own(&["other"])], "a region is for others");
    assert_eq!((locations[2].cloud, locations[2].program.len()), (CloudName::Aws, 0));
    let refused = |text: &str| ScalerSettings::parse(&one(text)).unwrap_err().to_string();
    let region = refused(&pool("group = 'ci'\ncloud = ['rack']\nregion = 'here'"));
    assert!(region.contains("a cloud of your own program has no regions; remove region"), "{region}");
    let twice =
        refused(&(pool("group = 'ci'\nname = 'a'\ncloud = ['r']") + &pool("group = 'ci'\nname = 'b'\ncloud = ['r']")));
    assert!(twice.contains("has the same group as the pool at"), "{twice}");
    let empty = refused(&pool("group = 'ci'\ncloud = []"));
    assert!(empty.contains("cloud") && empty.contains("write at least the program"), "{empty}");
}

#[test]
fn a_secret_of_key_vault_is_named_by_its_identifier() {
    let token = |url: &str| {
        let text = gitlab(&format!(
            "url = 'https://git.test'\nprojects = ['a/b']\nrun_untagged = true\ntoken = {{ keyvault = '{url}' }}"
        ));
        ScalerSettings::parse(&one(&text)).map(|settings| settings.pools[0].platform.secret().unwrap().to_string())
    };
    for url in [
        "https://ci.vault.azure.net/secrets/git-token",
        "https://ci.vault.azure.net/secrets/t/4387e9f3d6e14c459867679a90fd0f79",
    ] {
        assert_eq!(token(url).unwrap(), format!("the Key Vault secret {url}"));
    }
    for wrong in [
        "git-token",
        "https://ci.vault.azure.net/keys/t",
        "http://ci.vault.azure.net/secrets/t",
        "https:///secrets/t",
        "https://v/secrets/t?x=1",
    ] {
        assert!(token(wrong).unwrap_err().to_string().contains("has a keyvault that is no identifier"), "{wrong}");
    }
}
