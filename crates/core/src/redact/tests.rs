use proptest::prelude::*;

use super::*;
use crate::{
    cloud::{CloudError, CloudErrorKind},
    exchange::{ErrorKind, ExchangeError},
};

#[test]
fn what_helps_stays() {
    for text in [
        "GET https://gitlab.example/api/v4/runners/verify: 403: the token is not accepted; see platform.gitlab.token",
        "the token: it is wrong, expired or revoked",
        "token = { file = \"/etc/lightsout/token\" }: cannot be read: Permission denied (os error 13)",
        "arn:aws:iam::123456789012:role/runner is not authorized to perform: autoscaling:CompleteLifecycleAction",
        "a runner authentication token begins with glrt-; is this one?",
        "no secret from the SSM parameter /ci/runner-token: ssm:GetParameter failed: AccessDeniedException",
        "what? 1 = 2",
    ] {
        assert_eq!(redact(text, 300), text);
    }
}

#[test]
fn it_is_one_line_and_short() {
    assert_eq!(redact("one\r\n\ttwo\u{1b}[31m\u{202e} three\0", 300), "one two [31m three");
    assert_eq!(redact("äöü", 3), "äöü");
    assert_eq!(redact("äöüß", 4), "äöüß");
    assert_eq!(redact("äöüßéè", 5), "...éè");
    assert_eq!(redact(&"x".repeat(1 << 20), 6), "x...xx");
}

#[test]
fn what_may_be_a_secret_is_hidden() {
    for (text, told) in [
        ("Authorization: Bearer hunter2 is refused", "Authorization: Bearer *** is refused"),
        ("\"authorization\": \"hunter2\"", "\"authorization\": ***"),
        ("authorization=Basic hunter2", "authorization=*** ***"),
        ("sent PRIVATE-TOKEN: s3cretvalue", "sent PRIVATE-TOKEN: ***"),
        ("{\"token\":\"abc\",\"id\":7}", "{\"token\":\"***"),
        ("RUNNER_TOKEN=abc in the environment", "RUNNER_TOKEN=*** in the environment"),
        ("https://me:hunter2@ci.example/a?job_token=x#y failed", "https://ci.example/a failed"),
        ("/jobs?scope=pending&private=x: 500", "/jobs: 500"),
        ("is vendor_pat_11ABCDEFG0 it?", "is *** it?"),
        ("no runner has glrt-t3_abcdefghij.01, sorry", "no runner has ***, sorry"),
        ("is CCIPAT_a1b2c3d4e5f6 it? or sgu_a1b2c3d4e5f6", "is *** it? or ***"),
        ("bkaj_a1b2c3d4e5f6", "***"),
        ("key -----BEGIN PRIVATE KEY----- MIIE", "key ***"),
        ("the token: | s3cretvalue | is refused", "the token: | *** | is refused"),
        ("token: ‘db-pass’ is no text that a token has", "token: ‘db-pass’ is no text that a token has"),
        ("secret: échec", "secret: échec"),
    ] {
        assert_eq!(redact(text, 300), told, "{text}");
    }
}

fn words(output: &str) -> String {
    let env = [
        ("PATH", "/usr/bin".into()),
        ("CI_TOKEN", "hunter2".into()),
        ("DB_PASS", Text::secret("correcthorse\nbattery staple\nx")),
        ("HOOK", Text::secret("https://hooks.example/T0/xyzabc?wait=1")),
        ("PHRASE", Text::secret("my  pass\tphrase")),
    ];
    last_words(output, env.iter().map(|(name, value)| (*name, value)), 600)
}

#[test]
fn the_last_words_are_the_end_of_what_was_said() {
    assert_eq!(words("one\ntwo\n\n three \nfour\n"), "one | two | three | four");
    let many: String = (0..100).map(|line| format!("{line}\n")).collect();
    assert!(words(&many).starts_with("90 | ") && words(&many).ends_with(" | 99"));
    assert_eq!(words(""), "");
    let much = words(&format!("first {}last", "word ".repeat(1_000)));
    assert!(much.starts_with("first word") && much.ends_with("word last") && much.len() == 600, "{much}");
}

/// What was asked stands at the beginning, why it failed at the end, and a secret is none by where it stands.
#[test]
fn where_much_is_said_its_beginning_and_its_end_are_told() {
    let much = "between ".repeat(500);
    let text = format!("SetDesiredCapacity of ci failed: {much} token: s3cretvalue {much} no room in eu-central-1a");
    for most in [99, 300, 1_000] {
        let told = redact(&text, most);
        assert!(told.starts_with("SetDesiredCapacity of ci failed:"), "{told}");
        assert!(told.ends_with(" no room in eu-central-1a") && told.contains("..."), "{told}");
        assert_eq!(told.matches("...").count(), 1, "{told}");
        assert_eq!(told.chars().count(), most);
    }
    let whole = redact(&text, 100_000);
    assert!(whole.ends_with("no room in eu-central-1a") && whole.contains("token: *** between"), "{}", whole.len());
    let told = ExchangeError::new(ErrorKind::Server, &text).message;
    assert!(told.ends_with("no room in eu-central-1a"), "{told}");
    let told = CloudError::new(CloudErrorKind::Other, &text).message;
    assert!(told.ends_with("no room in eu-central-1a"), "{told}");
    let key = "-----BEGIN PRIVATE KEY-----\nMIIEabcd\n-----END PRIVATE KEY-----";
    assert_eq!(redact(&format!("the key {key}: it is no RSA key"), 300), "the key ***: it is no RSA key");
}

/// As `set -eux` in a script of people's own shows what they do.
#[test]
fn what_a_shell_shows_of_itself_is_not_told_and_what_is_known_for_a_secret_nowhere() {
    for (output, told) in [
        ("+ mount /dev/x /mnt\nmount: no such device\n++ id -u\n+ exit 3\n", "mount: no such device"),
        ("+ api_token=s3cret\n+ echo s3cret\ns3cret is refused\n", "*** is refused"),
        ("+ curl -H 'Authorization: Bearer abcd' host\ncurl: abcd?\n", "curl: ***?"),
        ("TOKEN=s3cret\nis s3cret it?\n", "TOKEN=*** | is *** it?"),
        ("hunter2 is in /usr/bin\n", "*** is in /usr/bin"),
        ("correcthorse is x\nbattery staple\n", "*** is x | ***"),
        ("posted to https://hooks.example/T0/xyzabc?wait=1\nwith my  pass\tphrase\n", "posted to *** | with ***"),
        ("no key, and no end of one:\n-----END OF STEP 1\nit failed\n", "*** | it failed"),
        // As dash shows it, without quotes.
        ("+ printf %s\\n -----BEGIN KEY-----\nMIIEabcd\n-----END KEY-----\n+ false\nno such key\n", "no such key"),
        ("MIIEabcd\n-----END KEY-----\nis it? -----BEGIN KEY-----\nMIIEefgh\n", "*** | is it? ***"),
        (
            "-----BEGIN KEY-----\nMIIEabcd\n-----END KEY----- one\n-----BEGIN KEY-----\nMIIE\n-----END KEY-----\ntwo",
            "*** one | *** | two",
        ),
        ("+ key='-----BEGIN KEY-----\nMIIEabcd\n-----END KEY-----'\n+ false\nno such key\n", "no such key"),
        ("+ printf '%s\\n' 'it'\\''s'\nit's\n", "it's"),
        ("+ echo \"\ninside\n\"\nbehind\n", "behind"),
        ("+ echo 'open\nnever closed\n", ""),
        ("+1 is a number\n", "+1 is a number"),
    ] {
        assert_eq!(words(output), told, "{output}");
    }
}

proptest! {
    #[test]
    fn any_text_is_told(text in "([tT]oken|authorization|bearer|://|-----(BEGIN|END)|[?=@/|\"'+\n ]|: ?|glrt-|[é‘ß]|[a-zA-Z0-9]{8}|\\PC){0,20}", most in 0..99_usize) {
        prop_assert!(redact(&text, most).chars().count() <= most.max(LEFT_OUT.len()));
        let _ = last_words(&text, [], most);
    }

    #[test]
    fn no_secret_is_in_what_is_told(
        before in ".{0,40}",
        after in ".{0,40}",
        secret in "[a-zA-Z0-9_-]{4}[0-9][A-Z][a-z][a-zA-Z0-9_-]{9}",
        shape in 0..8_usize,
        most in 0..400_usize,
    ) {
        let around = match shape {
            0 => format!("{before} Authorization: Bearer {secret} {after}"),
            1 => format!("{before} authorization: {secret}\n{after}"),
            2 => format!("{before} PRIVATE-TOKEN: {secret} {after}"),
            3 => format!("{before} {{\"registration_token\":\"{secret}\"}} {after}"),
            4 => format!("{before} https://host.example/path?any={secret}&more=1 {after}"),
            5 => format!("{before} https://user:{secret}@host.example/path {after}"),
            6 => format!("{before} glrt-{secret} {after}"),
            _ => format!("{before} SOME_PASSWORD={secret} {after}"),
        };
        let told = redact(&around, most);
        prop_assert!(!told.contains(&secret), "{around:?}: {told:?}");
        let last = last_words(&format!("{around}\n{secret}\n"), [], most);
        prop_assert!(matches!(shape, 3..7) || !last.contains(&secret), "{around:?}: {last:?}");
        prop_assert!(told.chars().count() <= most.max(LEFT_OUT.len()));
        prop_assert!(!told.contains(char::is_control), "{told:?}");
    }
}
